//! The catalogue: what events are about, so that people find them.
//!
//! ```text
//! mod    what is kept of an event, and how far the catalogue is, as values and calls
//! words  the words of a text, and what of a text is kept (pure)
//! route  who is silent for longer than usual (pure)
//! thin   a long series in few points (pure)
//! ```
//!
//! # Invariants
//! - What the catalogue has is derived: it can be made again from the events at any time.
//! - Each commit is small; what it costs does not depend on how much is there.
//!
//! # Not here
//! A full-text index. A plant has few thousand subjects, however many events: the words of these are
//! rows of a table, so that a search has no syntax, and one that fits half of all events costs no
//! more than another.

mod route;
mod thin;
mod words;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::route::Route;
pub(super) use self::route::{Heard, heard};
pub use self::thin::Point;
pub(super) use self::thin::thinned;
pub(super) use self::words::{bare, kept, words};
use super::{Journal, WriteError};

/// The note that says how far the catalogue is.
pub(super) const NOTE: &str = "catalogue";
/// The kind of the terms that are words.
pub(super) const WORD: &str = "word";

/// What people look events up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The robot's nickname.
    Robot,
    /// The mission's name.
    Mission,
    /// The action's name; of what is no inspection, the event's type.
    Action,
    /// A plant asset.
    Asset,
}

impl Field {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Robot => "robot",
            Self::Mission => "mission",
            Self::Action => "action",
            Self::Asset => "asset",
        }
    }
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq)]
pub struct About {
    /// The event's place in the order of arrival.
    pub seq: i64,
    /// When the inspection was; of anything else, when the event came.
    pub at: Timestamp,
    /// The robot's nickname.
    pub robot: Option<String>,
    /// The mission's name.
    pub mission: Option<String>,
    /// The action's name; of what is no inspection, the event's type.
    pub action: Option<String>,
    /// The plant assets that it is about: first that of the whole, then those of single readings.
    pub assets: Vec<String>,
    /// Whether it found something.
    pub alert: bool,
    /// What was read.
    pub readings: Vec<Reading>,
}

/// One value that was read of an asset.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The asset.
    pub asset: String,
    /// What was read; no two of an event and an asset have one name.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// The number, where it is one.
    pub value: Option<f64>,
    /// The text, where it is no number.
    pub text: Option<String>,
    /// The unit.
    pub unit: Option<String>,
}

/// How far the catalogue is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Mark {
    /// All events up to this one were looked at.
    pub upto: i64,
    /// The version of the asset map that events are looked at with.
    pub map: String,
    /// Of those that an earlier map had, all up to this one were looked at anew.
    pub anew: i64,
    /// And these are all up to this one.
    pub anew_upto: i64,
    /// When the latest of those up to `upto` was received; in milliseconds, as the next.
    pub latest: i64,
    /// At most so much earlier than another before it was any of them received: by so much the
    /// clock was set back.
    pub set_back: i64,
}

impl Mark {
    /// With this map: with another one than before, all is to be looked at anew.
    #[must_use]
    pub fn with_map(mut self, version: &str) -> Self {
        if self.map != version {
            version.clone_into(&mut self.map);
            (self.anew, self.anew_upto) = (0, self.upto);
        }
        self
    }

    /// The event behind those that were looked at now is one of them.
    pub fn passes(&mut self, seq: i64, received_at: Timestamp) {
        let at = received_at.as_millisecond();
        if self.upto == 0 {
            self.latest = at;
        }
        self.upto = seq;
        self.latest = self.latest.max(at);
        self.set_back = self.set_back.max(self.latest - at);
    }

    /// Whether some are still as an earlier map had them.
    pub fn is_behind(&self) -> bool {
        self.anew < self.anew_upto
    }
}

impl Journal {
    /// Writes what events are about, and how far the catalogue is, both or neither. Of an event
    /// that is gone nothing is written. What Orbit had more to say about is done with up to
    /// `again`.
    pub async fn catalogue(
        &self,
        rows: Vec<About>,
        mark: Mark,
        again: Option<i64>,
    ) -> Result<(), WriteError> {
        self.write(move |store| store.catalogue(&rows, &mark, again))
            .await
    }
}

#[cfg(test)]
pub(super) mod tests;
