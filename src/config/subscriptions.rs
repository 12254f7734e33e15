//! Whether what destinations take exists, and comes to an end.
//!
//! # Invariants
//! - A source that nobody configured is refused; so is, of the relay alone, an event that it never
//!   has.
//! - No answer that is an event comes back to the destination that gave it.

use super::describe::Described;
use super::loops;
use super::nearest::{instead, nearest};
use super::parse;
use super::problem::Problems;
use super::sources::DescribedSource;
use crate::event::{Glob, NOTICE, ORBIT, RELAY, TEST};
use crate::own::{ANSWER, Own};
use crate::relay::deliver;

/// Says what of it is wrong.
pub(super) fn refuse(all: &[Described], sources: &[DescribedSource], problems: &mut Problems) {
    let mut known = vec![ORBIT, RELAY];
    known.extend(sources.iter().map(DescribedSource::name));
    let own = own_types(all.iter().map(|described| &described.config));
    for described in all {
        for takes in &described.config.takes {
            if !known.contains(&takes.source.as_str()) {
                let instead = instead(&takes.source, known.iter().copied());
                let what = format!("no source is called `{}`; {instead}", takes.source);
                note(described, "sources", &what, problems);
            }
        }
        refuse_unheard(described, all, &own, problems);
    }
    refuse_circles(all, problems);
}

/// The events that Orbit's destinations ask for and nobody brings.
pub(super) fn unsubscribed(all: &[Described], subscribed: &[String]) -> Vec<String> {
    let mut warnings = Vec::new();
    for described in all {
        let takes = described.config.takes.iter();
        let of_orbit = takes.filter(|takes| takes.source == ORBIT);
        for glob in of_orbit.flat_map(|takes| &takes.types) {
            let event = glob.text();
            // Beside other sources' types only what looks like Orbit's is meant for it.
            if subscribed.iter().any(|known| glob.matches(known))
                || glob.matches(TEST)
                || parse::event_pattern(event).is_err()
            {
                continue;
            }
            let instead = match nearest(event, subscribed.iter().map(String::as_str)) {
                Some(right) => format!("did you mean {right}, or is it to be added there?"),
                None => "add it there".to_owned(),
            };
            warnings.push(format!(
                "{}: the destination {} takes {event}, which payload-types ({}) does not \
                 subscribe to; {instead}",
                described.origin_of("events"),
                described.name(),
                subscribed.join(", "),
            ));
        }
    }
    warnings
}

/// The sources that a destination names and can take nothing of, as both write their types.
pub(super) fn nothing_fits(all: &[Described], sources: &[DescribedSource]) -> Vec<String> {
    let mut warnings = Vec::new();
    for described in all {
        for takes in &described.config.takes {
            let source = sources.iter().find(|source| source.name() == takes.source);
            let Some(source) = source else { continue };
            let brought: Vec<_> = source.config.events.iter().map(Glob::text).collect();
            let taken = |event: &&str| takes.types.iter().any(|glob| glob.matches(event));
            // What a pattern of the source brings nobody knows.
            if brought.iter().any(|event| event.contains(['*', '?'])) || brought.iter().any(taken) {
                continue;
            }
            let wanted: Vec<_> = takes.types.iter().map(Glob::text).collect();
            warnings.push(format!(
                "{}: the destination {} gets nothing of the source {}: it takes {}, and the source \
                 brings {}",
                described.origin_of("events"),
                described.name(),
                takes.source,
                wanted.join(", "),
                brought.join(", "),
            ));
        }
    }
    warnings
}

/// The types of all that the relay itself has to say.
pub(super) fn own_types<'a>(all: impl Iterator<Item = &'a deliver::Config>) -> Vec<String> {
    let answers = all.filter(|config| config.answer_as_event);
    let answers = answers.map(|config| answer(&config.destination.name));
    let own = Own::ALL.map(|own| own.as_str().to_owned()).into_iter();
    own.chain([NOTICE.to_owned()]).chain(answers).collect()
}

fn answer(name: &str) -> String {
    format!("{ANSWER}{name}")
}

fn note(described: &Described, key: &str, what: &str, problems: &mut Problems) {
    let text = format!(
        "`{key}` of [[destination]] \"{}\": {what}",
        described.name()
    );
    problems.note(described.origin_of(key), text);
}

/// What a destination of the relay's events alone takes and the relay never says.
fn refuse_unheard(
    described: &Described,
    all: &[Described],
    own: &[String],
    problems: &mut Problems,
) {
    let takes = &described.config.takes;
    if takes.iter().any(|takes| takes.source != RELAY) {
        return;
    }
    let fits = |glob: &Glob| own.iter().any(|event| glob.matches(event));
    let unheard = takes.iter().flat_map(|takes| &takes.types);
    for event in unheard.filter(|glob| !fits(glob)).map(Glob::text) {
        let silent = event.strip_prefix(ANSWER);
        let silent = silent.filter(|name| all.iter().any(|other| other.name() == *name));
        let what = match silent {
            Some(name) => format!("the destination `{name}` has no answer_as = \"event\""),
            None => format!(
                "no event of the relay fits `{event}`; {}",
                instead(event, own.iter().map(String::as_str))
            ),
        };
        note(described, "events", &what, problems);
    }
}

fn refuse_circles(all: &[Described], problems: &mut Problems) {
    let answering: Vec<_> = all.iter().filter(|d| d.config.answer_as_event).collect();
    let goes_to: Vec<Vec<usize>> = answering
        .iter()
        .map(|from| {
            let answer = answer(from.name());
            let takes = |to: &Described| to.config.takes(RELAY, &answer);
            let places = answering.iter().enumerate();
            places
                .filter(|(_, to)| takes(to))
                .map(|(place, _)| place)
                .collect()
        })
        .collect();
    for circle in loops::circles(&goes_to) {
        let in_it: Vec<_> = circle.iter().filter_map(|at| answering.get(*at)).collect();
        let Some(first) = in_it.first() else { continue };
        let what = if in_it.len() == 1 {
            let answer = answer(first.name());
            format!("it would take its own answers, {answer}, for ever; leave them out")
        } else {
            let names: Vec<_> = in_it.iter().chain([first]).map(|d| d.name()).collect();
            let names = names.join(" → ");
            format!("answers would go round for ever: {names}; leave out one of them")
        };
        note(first, "events", &what, problems);
    }
}
