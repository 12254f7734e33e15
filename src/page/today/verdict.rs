//! Whether all is well, and what is wrong if not, the worst first.
//!
//! # Invariants
//! - Pure. All is well only where nothing speaks against it: events are accepted, every part and
//!   every destination is well, nothing needs a person, nobody is silent, the numbers add up, and
//!   all that is known. What a person switched off need not be.
//! - Each cause says where it is decided.

use jiff::SignedDuration;
use serde::Serialize;

use super::view::{Destination, Facts};
use crate::page::html::parts;

/// What waits for so long waits for too long, whatever it waits for.
const TOO_LONG: SignedDuration = SignedDuration::from_hours(1);
/// So many characters of a reason are said.
const LONGEST: usize = 300;

/// Whether all is well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Verdict {
    /// In one word.
    pub(crate) standing: Standing,
    /// In a sentence.
    pub(crate) words: String,
    /// What speaks against it, the worst first.
    pub(crate) causes: Vec<Cause>,
}

/// How it stands as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Standing {
    /// Something does not work, or waits for a person.
    Wrong,
    /// Somebody should look.
    Look,
    /// All is well.
    Well,
}

/// Something that speaks against it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
    /// How bad it is.
    pub(crate) standing: Standing,
    /// What it is.
    pub(crate) what: String,
    /// Where it is decided.
    pub(crate) href: String,
}

/// What the facts mean.
pub(crate) fn verdict(facts: &Facts) -> Verdict {
    let mut causes = Vec::new();
    let mut say = |standing, what: String, href: &str| {
        causes.push(Cause {
            standing,
            what: parts::shortened(&what, LONGEST),
            href: href.to_owned(),
        });
    };
    if let Some(why) = &facts.not_configured {
        say(
            Standing::Wrong,
            format!("No event can be accepted: {why}"),
            "/setup",
        );
    } else if !facts.ready && facts.parts.iter().all(|part| part.well != Some(false)) {
        say(
            Standing::Wrong,
            "No event can be accepted.".to_owned(),
            "/health",
        );
    }
    for part in facts.parts.iter().filter(|part| part.well == Some(false)) {
        let standing = if part.vital {
            Standing::Wrong
        } else {
            Standing::Look
        };
        say(
            standing,
            format!("{}: {}", part.name, part.in_words()),
            part.href,
        );
    }
    for part in facts
        .parts
        .iter()
        .filter(|part| part.well.is_some() && part.soon)
    {
        say(
            Standing::Look,
            format!("{}: {}", part.name, part.in_words()),
            part.href,
        );
    }
    for part in facts.parts.iter().filter(|part| part.is_missed()) {
        let what = format!("{}: {}", part.name, part.in_words());
        say(Standing::Look, what, part.href);
    }
    for mistake in &facts.mistakes {
        say(
            Standing::Wrong,
            format!("The numbers do not add up: {mistake}"),
            "/health",
        );
    }
    if let Some(why) = &facts.unreadable {
        let what = format!("Not all could be looked at: {why}");
        say(Standing::Wrong, what, "/health");
    }
    needs(facts, &mut say);
    for destination in &facts.destinations {
        troubled(facts, destination, &mut say);
    }
    if facts.destinations.iter().all(|to| to.removed) {
        let what = "There is no destination: events are kept and go nowhere.".to_owned();
        say(Standing::Look, what, "/setup");
    }
    if facts.reading_on {
        let what = "The relay is still reading what came: who is silent is not known yet.";
        say(Standing::Look, what.to_owned(), "/#routes");
    }
    silent(facts, &mut say);
    causes.sort_by_key(|cause| cause.standing);
    let standing = causes
        .first()
        .map_or(Standing::Well, |cause| cause.standing);
    Verdict {
        standing,
        words: words(facts, standing, causes.len()),
        causes,
    }
}

/// What waits for a decision.
fn needs(facts: &Facts, say: &mut impl FnMut(Standing, String, &str)) {
    let needs = &facts.needs;
    for (n, one, many, href) in [
        (
            needs.dead,
            "delivery was given up",
            "deliveries were given up",
            "/waiting#dead",
        ),
        (
            needs.unmapped,
            "delivery waits for an asset",
            "deliveries wait for an asset",
            "/waiting#unmapped",
        ),
        (
            needs.parked,
            "delivery is parked until somebody decides",
            "deliveries are parked until somebody decides",
            "/waiting#paused",
        ),
    ] {
        if n > 0 {
            let words = if n == 1 { one } else { many };
            say(
                Standing::Wrong,
                format!("{} {words}.", parts::count(n)),
                href,
            );
        }
    }
}

/// What is wrong with a destination.
fn troubled(facts: &Facts, of: &Destination, say: &mut impl FnMut(Standing, String, &str)) {
    let name = &of.name;
    if of.paused {
        let why = of.reason.as_deref().unwrap_or("no reason is known");
        say(
            Standing::Wrong,
            format!("{name} is paused: {why}"),
            "/waiting#paused",
        );
    } else if !of.well && !of.removed {
        let why = of.reason.as_deref().unwrap_or("no reason is known");
        say(
            Standing::Wrong,
            format!("{name} {}: {why}", of.in_words()),
            "/#destinations",
        );
    } else if let Some(seconds) = of.held_s {
        let wait = parts::duration(SignedDuration::from_secs(seconds));
        let what = format!("{name} asked to be left alone for another {wait}.");
        say(Standing::Look, what, "/#destinations");
    } else if let Some(oldest) = of.oldest.filter(|_| !of.removed && of.waiting > 0) {
        let age = facts.now.duration_since(oldest);
        if age > TOO_LONG {
            let age = parts::duration(age);
            let what = format!("{name} works, and something has waited for it for {age}.");
            say(Standing::Look, what, "/#destinations");
        }
    }
}

/// Who has not been heard of for longer than is usual.
fn silent(facts: &Facts, say: &mut impl FnMut(Standing, String, &str)) {
    let mut silent = facts.routes.iter().filter(|route| route.silent);
    let Some(first) = silent.next() else {
        return;
    };
    let since = parts::duration(facts.now.duration_since(first.last_at));
    let robot = parts::shortened(&first.robot, 60);
    let mission = first
        .mission
        .as_deref()
        .map(|mission| parts::shortened(mission, 60));
    let mission = mission.map_or_else(String::new, |mission| format!(" on {mission}"));
    let others = match silent.count() + facts.silent_left_out {
        0 => String::new(),
        1 => ", and one more".to_owned(),
        n => format!(", and {n} more"),
    };
    let what = format!("{robot}{mission}: silent for {since}, which is longer than usual{others}.");
    say(Standing::Look, what, "/#routes");
}

fn words(facts: &Facts, standing: Standing, causes: usize) -> String {
    match (standing, causes) {
        (Standing::Well, _) => match facts.last_event_at {
            _ if facts.ever.accepted == 0 => {
                "Nothing is wrong. Nothing was received yet: the first event shows that it works."
                    .to_owned()
            }
            Some(at) => {
                let ago = parts::duration(facts.now.duration_since(at));
                format!("All is well. The last event of Orbit came {ago} ago.")
            }
            None => "All is well. No event of Orbit came yet.".to_owned(),
        },
        (Standing::Look, 1) => "One thing to look at.".to_owned(),
        (Standing::Look, n) => format!("{n} things to look at."),
        (Standing::Wrong, 1) => "One thing is wrong, or waits for you.".to_owned(),
        (Standing::Wrong, n) => {
            format!("{n} things are wrong, wait for you, or should be looked at.")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::known::Part;
    use super::super::view::Route;
    use super::super::view::tests::{at, well};
    use super::Standing::{Look, Wrong};
    use super::*;

    /// A change of the facts, how it stands then, and where that is decided.
    type Case = (&'static str, fn(&mut Facts), Standing, &'static str);

    fn part<'a>(facts: &'a mut Facts, name: &str) -> &'a mut Part {
        facts
            .parts
            .iter_mut()
            .find(|part| part.name == name)
            .unwrap()
    }

    /// Nobody knows how it does.
    fn unknown(facts: &mut Facts, name: &str) {
        let part = part(facts, name);
        (part.well, part.status, part.counts) = (None, "not known", true);
    }

    #[test]
    fn what_is_not_known_is_not_green_and_what_was_switched_off_is() {
        let mut facts = well();
        unknown(&mut facts, "Orbit");
        part(&mut facts, "Orbit").reason = Some("it has not answered yet".to_owned());
        let missed = verdict(&facts);
        assert_eq!(missed.standing, Look);
        assert_eq!(
            missed.causes[0].what,
            "Orbit: not known: it has not answered yet"
        );
        part(&mut facts, "Orbit").counts = false;
        assert_eq!(verdict(&facts).standing, Standing::Well);
    }

    #[test]
    fn all_is_well_when_nothing_speaks_against_it() {
        let verdict = verdict(&well());
        assert_eq!(verdict.causes, []);
        assert_eq!(verdict.standing, Standing::Well);
        assert_eq!(
            verdict.words,
            "All is well. The last event of Orbit came 5 min ago."
        );
    }

    #[test]
    fn before_the_first_event_it_is_said_that_nothing_came() {
        let mut facts = well();
        facts.ever.accepted = 0;
        facts.last_event_at = None;
        let verdict = verdict(&facts);
        assert_eq!(verdict.standing, Standing::Well);
        assert!(verdict.words.contains("Nothing was received yet"));
    }

    const CASES: &[Case] = &[
        ("not ready", |f| f.ready = false, Wrong, "/health"),
        (
            "not configured",
            |f| f.not_configured = Some("no secret".into()),
            Wrong,
            "/setup",
        ),
        (
            "journal",
            |f| part(f, "Journal").well = Some(false),
            Wrong,
            "/health",
        ),
        (
            "journal filling",
            |f| part(f, "Journal").soon = true,
            Look,
            "/health",
        ),
        (
            "events",
            |f| part(f, "Events").well = Some(false),
            Wrong,
            "/setup",
        ),
        (
            "orbit",
            |f| part(f, "Orbit").well = Some(false),
            Wrong,
            "/setup",
        ),
        (
            "webhook",
            |f| part(f, "Webhook").well = Some(false),
            Wrong,
            "/waiting#webhook",
        ),
        (
            "backfill",
            |f| part(f, "Backfill").well = Some(false),
            Look,
            "/health",
        ),
        (
            "clock",
            |f| part(f, "Clock").well = Some(false),
            Look,
            "/health",
        ),
        (
            "sums",
            |f| f.mistakes = vec!["kept 1 ≠ 2".into()],
            Wrong,
            "/health",
        ),
        (
            "unreadable",
            |f| f.unreadable = Some("no".into()),
            Wrong,
            "/health",
        ),
        ("dead", |f| f.needs.dead = 1, Wrong, "/waiting#dead"),
        (
            "unmapped",
            |f| f.needs.unmapped = 14,
            Wrong,
            "/waiting#unmapped",
        ),
        ("parked", |f| f.needs.parked = 2, Wrong, "/waiting#paused"),
        (
            "paused",
            |f| f.destinations[0].paused = true,
            Wrong,
            "/waiting#paused",
        ),
        (
            "down",
            |f| f.destinations[0].well = false,
            Wrong,
            "/#destinations",
        ),
        (
            "held",
            |f| f.destinations[0].held_s = Some(90),
            Look,
            "/#destinations",
        ),
        (
            "old queue",
            |f| {
                f.destinations[0].waiting = 1;
                f.destinations[0].oldest = Some(at(-4000));
            },
            Look,
            "/#destinations",
        ),
        ("no destination", |f| f.destinations.clear(), Look, "/setup"),
        ("silent", |f| f.routes[0].silent = true, Look, "/#routes"),
        ("reading", |f| f.reading_on = true, Look, "/#routes"),
        ("orbit unknown", |f| unknown(f, "Orbit"), Look, "/setup"),
        (
            "backfill unknown",
            |f| unknown(f, "Backfill"),
            Look,
            "/health",
        ),
        ("clock unknown", |f| unknown(f, "Clock"), Look, "/health"),
    ];

    #[test]
    fn each_cause_keeps_it_from_being_green() {
        for (name, change, standing, href) in CASES {
            let mut facts = well();
            change(&mut facts);
            let verdict = verdict(&facts);
            assert_eq!(verdict.standing, *standing, "{name}: {verdict:?}");
            assert_eq!(verdict.causes.len(), 1, "{name}: {verdict:?}");
            assert_eq!(verdict.causes[0].href, *href, "{name}");
            assert!(!verdict.words.contains("All is well"), "{name}");
        }
    }

    #[test]
    fn the_worst_stands_first() {
        let mut facts = well();
        facts.routes[0].silent = true;
        facts.needs.dead = 3;
        let verdict = verdict(&facts);
        let whats: Vec<_> = verdict.causes.iter().map(|cause| &*cause.what).collect();
        assert_eq!(
            whats,
            [
                "3 deliveries were given up.",
                "Spot on Round: silent for 5 min, which is longer than usual."
            ]
        );
    }

    #[test]
    fn several_that_are_silent_are_one_cause() {
        let mut facts = well();
        let route = Route {
            silent: true,
            ..facts.routes[0].clone()
        };
        facts.routes = vec![route.clone(), route.clone(), route];
        facts.silent_left_out = 4;
        let verdict = verdict(&facts);
        assert_eq!(verdict.causes.len(), 1);
        assert!(
            verdict.causes[0].what.ends_with("usual, and 6 more."),
            "{verdict:?}"
        );
    }

    #[test]
    fn no_cause_is_longer_than_people_read() {
        let mut facts = well();
        facts.routes[0].silent = true;
        facts.routes[0].robot = "x".repeat(10_000);
        facts.destinations[0].well = false;
        facts.destinations[0].reason = Some("\u{202e}y".repeat(10_000));
        for cause in verdict(&facts).causes {
            assert!(cause.what.chars().count() <= LONGEST + 1);
            assert!(!cause.what.contains('\u{202e}'));
        }
    }
}
