//! What somebody decides on this screen; each gives a sentence that says what was begun.
//!
//! # Invariants
//! - Everything goes the way that commands go, with the account's name.
//! - An act on a group is about what was shown, and no more: what stopped before the first of it
//!   or after the last is left.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::subject;
use crate::app::control::{self, Answer, Ask};
use crate::event::Envelope;
use crate::page::access::Person;
use crate::page::assets::map;
use crate::page::html::parts;
use crate::page::{Failed, Page};
use crate::relay::assets::Subject;
use crate::relay::journal::{Bulk, Filter, Kind, State, Stopped};

const LONGEST_ASSET: usize = 200;
const LOOK: &str = "Look again: what was shown may have changed.";

/// A group that was shown.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OnGroup {
    /// The destination's id.
    pub(crate) destination: String,
    /// Where its deliveries stand: dead, or parked.
    pub(crate) state: State,
    /// Why, as it was shown.
    pub(crate) reason: String,
    /// When the first of them stopped.
    pub(crate) first: Timestamp,
    /// When the last of them did.
    pub(crate) last: Timestamp,
    /// How many were shown.
    pub(crate) count: u64,
}

/// What was shown of a destination that is no longer configured.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OnRemoved {
    /// The destination's id.
    pub(crate) destination: String,
    /// When that was.
    pub(crate) shown: Timestamp,
    /// How many were shown.
    pub(crate) count: u64,
}

/// A destination.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OnDestination {
    /// Its id.
    pub(crate) destination: String,
}

/// A version of the asset map.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct OnMap {
    /// The one that was in use when it was shown.
    pub(crate) version: String,
}

/// An action that gets an asset.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Assign {
    /// An event of it.
    pub(crate) seq: i64,
    /// By what the row goes.
    pub(crate) by: String,
    /// The asset.
    pub(crate) asset: String,
}

/// Sends a group again.
pub(crate) async fn replay(page: &Page, who: &Person, on: OnGroup) -> Result<String, Failed> {
    let (n, name) = (on.count, name(page, &on.destination));
    begin(page, who, Kind::Replay, on.filter()?).await?;
    Ok(format!(
        "The replay of {} to {name} was begun.",
        deliveries(n)
    ))
}

/// Throws a group away.
pub(crate) async fn discard(page: &Page, who: &Person, on: OnGroup) -> Result<String, Failed> {
    let (n, name) = (on.count, name(page, &on.destination));
    begin(page, who, Kind::Discard, on.filter()?).await?;
    Ok(format!(
        "The discard of {} to {name} was begun.",
        deliveries(n)
    ))
}

/// Throws away what a destination that is no longer configured still had.
pub(crate) async fn discard_removed(
    page: &Page,
    who: &Person,
    on: OnRemoved,
) -> Result<String, Failed> {
    let is_removed = {
        let sums = page.app.parts.sums.borrow();
        let mut of = sums.destinations.iter();
        of.any(|of| of.id == on.destination && of.removed)
    };
    if !is_removed {
        return Err(Failed::wrong("That destination is configured again.", LOOK));
    }
    let name = name(page, &on.destination);
    let filter = Filter {
        destination: Some(on.destination),
        states: [State::Parked].into(),
        until: Some(on.shown),
        ..Filter::default()
    };
    begin(page, who, Kind::Discard, filter).await?;
    let n = deliveries(on.count);
    Ok(format!("The discard of {n} to {name} was begun."))
}

/// Ends a pause.
pub(crate) async fn resume(page: &Page, who: &Person, on: OnDestination) -> Result<String, Failed> {
    let name = name(page, &on.destination);
    let ask = Ask::Resume {
        destination: on.destination,
        who: who.name.clone(),
        why: String::new(),
    };
    Ok(match act(page, ask).await? {
        Answer::Changed(true) => format!("{name} was resumed: what waits for it goes out."),
        _ => format!("{name} was not paused."),
    })
}

/// Pauses a destination.
pub(crate) async fn pause(page: &Page, who: &Person, on: OnDestination) -> Result<String, Failed> {
    let name = name(page, &on.destination);
    let ask = Ask::Pause {
        destination: on.destination,
        who: who.name.clone(),
        why: "paused on the page".to_owned(),
    };
    Ok(match act(page, ask).await? {
        Answer::Changed(true) => format!("{name} was paused: what comes for it is parked."),
        _ => format!("{name} was paused already."),
    })
}

/// Adds a row to the asset map, so that an action has an asset.
pub(crate) async fn assign(
    page: &Arc<Page>,
    who: &Person,
    assign: Assign,
) -> Result<String, Failed> {
    let asset = assign.asset.trim();
    if asset.is_empty() || asset.chars().count() > LONGEST_ASSET {
        let what = format!("An asset has a name of 1 to {LONGEST_ASSET} characters.");
        return Err(Failed::wrong(what, "Go back, and name the asset."));
    }
    if asset.chars().any(char::is_control) {
        let what = "An asset's name has no line ends and no control characters.";
        return Err(Failed::wrong(what, "Go back, and name the asset."));
    }
    let seq = assign.seq.to_string();
    let found = page.read(move |reader| reader.find(&seq)).await?;
    let subject = found.first().and_then(|event| {
        let envelope = Envelope::parse(&event.body).ok()?;
        Some(Subject::of(&envelope))
    });
    let Some(subject) = subject else {
        return Err(Failed::wrong("That event is gone.", LOOK));
    };
    let Some(keys) = subject::keys(&subject, &assign.by) else {
        let what = "The row cannot go by that: the inspection does not say it.";
        return Err(Failed::wrong(what, LOOK));
    };
    let applied = map::add_row(page, who, &keys, asset).await?;
    if !applied.changed {
        return Ok("The asset map has that row already.".to_owned());
    }
    let action = subject.action_name.as_deref().unwrap_or("The action");
    Ok(format!(
        "{} is {} from now on, and what waits for that goes out. Undo is below.",
        parts::shortened(action, 80),
        parts::shortened(asset, 80)
    ))
}

/// Takes the row back that was added here last.
pub(crate) async fn undo_map(page: &Arc<Page>, who: &Person, on: OnMap) -> Result<String, Failed> {
    let applied = map::undo(page, who, &on.version).await?;
    let rows = parts::count(u64::try_from(applied.rows).unwrap_or(u64::MAX));
    Ok(format!(
        "The asset map is as it was before, with {rows} rows. What went out meanwhile stays so."
    ))
}

impl OnGroup {
    fn filter(self) -> Result<Filter, Failed> {
        if !matches!(self.state, State::Dead | State::Parked) {
            return Err(Failed::wrong("That does not wait for anybody.", LOOK));
        }
        Ok(Filter {
            destination: Some(self.destination),
            states: [self.state].into(),
            stopped: Some(Stopped {
                reason: self.reason,
                first: self.first,
                last: self.last,
            }),
            ..Filter::default()
        })
    }
}

async fn begin(page: &Page, who: &Person, kind: Kind, filter: Filter) -> Result<(), Failed> {
    let ask = Ask::Begin {
        who: who.name.clone(),
        bulk: Box::new(Bulk {
            kind,
            filter,
            as_sent: false,
        }),
    };
    match act(page, ask).await? {
        Answer::Begun(jobs) if !jobs.is_empty() => Ok(()),
        _ => Err(Failed::wrong("Nothing of that is left.", LOOK)),
    }
}

async fn act(page: &Page, ask: Ask) -> Result<Answer, Failed> {
    match control::act_within(&page.app.ground, ask, &page.app.stop).await {
        Answer::Failed(why) => {
            let advice = "Nothing was changed, or it is not known: look again.";
            Err(Failed::unavailable(parts::shortened(&why, 500), advice))
        }
        answer => Ok(answer),
    }
}

/// What people call a destination.
fn name(page: &Page, id: &str) -> String {
    let sums = page.app.parts.sums.borrow();
    let of = sums.destinations.iter().find(|of| of.id == id);
    parts::shortened(of.map_or(id, |of| &of.name), 80)
}

fn deliveries(n: u64) -> String {
    match n {
        1 => "1 delivery".to_owned(),
        n => format!("{} deliveries", parts::count(n)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(state: State) -> OnGroup {
        OnGroup {
            destination: "cmms".to_owned(),
            state,
            reason: "answered 422".to_owned(),
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            count: 2,
        }
    }

    #[test]
    fn an_act_on_a_group_is_about_that_group_only() {
        let filter = group(State::Dead).filter().unwrap();
        assert_eq!(filter.destination.as_deref(), Some("cmms"));
        assert_eq!(filter.states, [State::Dead].into());
        assert_eq!(filter.stopped.unwrap().reason, "answered 422");
    }

    #[test]
    fn only_what_waits_for_somebody_is_acted_on_by_group() {
        for state in State::ALL {
            let waits = matches!(state, State::Dead | State::Parked);
            assert_eq!(group(state).filter().is_ok(), waits, "{state:?}");
        }
    }
}
