//! What a person may do to destinations and deliveries, as calls of the journal.
//!
//! # Invariants
//! - Each call is one small commit, however many deliveries are concerned.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Filter, Journal, State, WriteError};

/// What a bulk act does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sends finished deliveries again.
    Replay,
    /// Throws away deliveries that were not made.
    Discard,
}

impl Kind {
    /// The word in the journal and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replay => "replay",
            Self::Discard => "discard",
        }
    }

    /// The kind of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Replay, Self::Discard]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }

    /// What a delivery becomes.
    pub fn makes(self) -> State {
        match self {
            Self::Replay => State::Pending,
            Self::Discard => State::Discarded,
        }
    }

    /// The states of the deliveries that it can be done to: as they are shown; for a replay as the
    /// rows say, for what only waits for its destination needs none.
    pub fn takes(self) -> &'static [State] {
        match self {
            Self::Replay => &[State::Dead, State::Delivered, State::Skipped, State::Parked],
            Self::Discard => &[State::Pending, State::Postponed, State::Parked, State::Dead],
        }
    }
}

/// A bulk act: what is to be done, and to which deliveries.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bulk {
    /// What.
    pub kind: Kind,
    /// To these.
    pub filter: Filter,
    /// A replay keeps the part of the body that was frozen, instead of making it anew with
    /// today's asset map.
    pub as_sent: bool,
}

impl Bulk {
    /// The filter with the states that it can be done to. A replay that names neither states nor
    /// deliveries is for what is dead.
    pub fn effective(&self) -> Filter {
        let mut filter = self.filter.clone();
        let can = self.kind.takes();
        if !filter.states.is_empty() {
            filter.states.retain(|state| can.contains(state));
        } else if self.kind == Kind::Replay && filter.ids.is_empty() {
            filter.states.insert(State::Dead);
        } else {
            filter.states.extend(can);
        }
        filter.as_stored = self.kind == Kind::Replay && filter.states.contains(&State::Parked);
        filter
    }
}

/// What came of a step of the bulk acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worked {
    /// A step was made; there may be more to do.
    Step,
    /// Enough replayed deliveries wait for this destination already.
    Waits(String),
    /// No bulk act is left to be done.
    Nothing,
}

impl Journal {
    /// Stops claims for a destination, by its id; `at` is the wall clock. `trouble` says what the
    /// relay found and waits to see mended; none when a person asked. False if nothing changed.
    pub async fn pause(
        &self,
        at: Timestamp,
        destination: &str,
        who: &str,
        why: &str,
        trouble: Option<&str>,
    ) -> Result<bool, WriteError> {
        let (destination, who, why) = (destination.to_owned(), who.to_owned(), why.to_owned());
        let trouble = trouble.map(str::to_owned);
        self.write(move |store| store.pause(at, &destination, &who, &why, trouble.as_deref()))
            .await
    }

    /// Keeps that somebody did something to a destination that changes nothing here.
    pub async fn keep_act(
        &self,
        at: Timestamp,
        who: &str,
        what: &'static str,
        destination: Option<&str>,
        detail: &str,
    ) -> Result<(), WriteError> {
        let (who, id) = (who.to_owned(), destination.map(str::to_owned));
        let detail = detail.to_owned();
        self.write(move |store| {
            let no = id.map(|id| store.number(&id)).transpose()?;
            store.act(at, &who, what, no, &detail).map(drop)
        })
        .await
    }

    /// Ends a pause. False if there was none.
    pub async fn resume(
        &self,
        at: Timestamp,
        destination: &str,
        who: &str,
        why: &str,
    ) -> Result<bool, WriteError> {
        let (destination, who, why) = (destination.to_owned(), who.to_owned(), why.to_owned());
        self.write(move |store| store.resume(at, &destination, &who, &why))
            .await
    }

    /// Begins a bulk act: one job for each destination that it concerns; gives their numbers.
    /// [`Journal::work`] does them.
    pub async fn begin(
        &self,
        at: Timestamp,
        who: &str,
        bulk: Bulk,
    ) -> Result<Vec<i64>, WriteError> {
        let who = who.to_owned();
        self.write(move |store| store.begin_bulk(at, &who, &bulk))
            .await
    }

    /// Makes one event that is kept for a destination its delivery, with the act; false where it is
    /// not kept: the destination has a delivery of it, or the event is gone.
    pub async fn take_kept(
        &self,
        at: Timestamp,
        who: &str,
        destination: &str,
        seq: i64,
    ) -> Result<bool, WriteError> {
        let (who, destination) = (who.to_owned(), destination.to_owned());
        self.write(move |store| store.take_kept(at, &who, &destination, seq))
            .await
    }

    /// Makes a step of the bulk acts that are not done. `paced`: no more replayed deliveries wait
    /// for a destination than it can soon take.
    pub async fn work(&self, at: Timestamp, paced: bool) -> Result<Worked, WriteError> {
        self.write(move |store| store.work(at, paced)).await
    }
}

#[cfg(test)]
mod tests;
