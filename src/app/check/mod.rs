//! Is all as it should be, and if not, what is to be done? The one table for the command, for the
//! log at start, and for the log after a test payload.
//!
//! ```text
//! mod          the order in which rows are asked for
//! subject      what is looked at: the configuration, or the parts of a running relay
//! place        configuration, data directory, ports, asset map
//! orbit        asks Orbit; what its answers mean (pure)
//! webhooks     our webhook, and others beside it (pure)
//! ways         where else Orbit may be, and by which address it may call us
//! destinations what destinations answered (pure)
//! reach        whether Orbit can call us: the test payload
//! answers      what nobody outside can know of a real Orbit (pure)
//! said         the table of a running relay, and in the log
//! report       the table and all else that a bug report needs
//! ```
//!
//! # Invariants
//! - Nothing is made or changed: not in Orbit, not at a destination, not in the journal.
//! - No secret and no URL with one is in a row.

pub mod answers;
mod destinations;
mod orbit;
mod place;
pub mod reach;
pub mod report;
pub mod said;
mod subject;
mod ways;
mod webhooks;

pub use self::orbit::Seen;
pub use self::subject::{Ports, Subject};
use crate::clock::Clock;
use crate::table::{self, line_of};
pub use crate::table::{Row, Verdict};

/// What was seen, all in all.
#[derive(Debug)]
pub struct Findings {
    /// The table.
    pub rows: Vec<Row>,
    /// What Orbit said.
    pub orbit: Seen,
}

impl Findings {
    /// How many rows are like this.
    pub fn count(&self, verdict: Verdict) -> usize {
        table::count(&self.rows, verdict)
    }

    /// The table, names in one column, what to do below what is wrong.
    pub fn lines(&self) -> Vec<String> {
        table::lines(&self.rows)
    }

    /// How many of each.
    pub fn sum(&self) -> String {
        table::sum(&self.rows)
    }
}

/// What a row is about, for whoever shows a part of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Orbit, and what its token may do.
    Orbit,
    /// Our webhook there.
    Webhook,
    /// Where events go.
    Destinations,
    /// Which asset an action is about.
    AssetMap,
    /// This relay and its machine.
    Relay,
}

impl About {
    /// What the row of this name is about.
    pub fn of(row: &Row) -> Self {
        match row.name.as_str() {
            orbit::REACHED | orbit::CERTIFICATE | orbit::VERSION | orbit::TOKEN | orbit::CLOCK => {
                Self::Orbit
            }
            name if name.starts_with(orbit::RIGHT) => Self::Orbit,
            webhooks::OURS | webhooks::OTHERS | ways::NAME | reach::NAME => Self::Webhook,
            name if name.starts_with("destination") => Self::Destinations,
            place::ASSET_MAP => Self::AssetMap,
            _ => Self::Relay,
        }
    }
}

/// Looks at everything but whether Orbit can call us, which takes a person.
pub async fn look(subject: &Subject, clock: &Clock) -> Findings {
    let mut rows = place::rows(subject).await;
    let looks = destinations::begin(&subject.destinations, clock.wall());
    let mut seen = match &subject.orbit {
        Some(orbit) => orbit::look(orbit, subject.answer_questions, clock).await,
        None => Seen::default(),
    };
    if !orbit::is_reached(&seen) {
        seen.elsewhere = Some(ways::find_orbit(subject).await);
    }
    let pinged = ways::ping(subject).await;
    rows.extend(orbit::rows(subject, &seen));
    rows.extend(webhooks::rows(&subject.wanted_webhook(), &seen));
    rows.push(ways::row(subject, &pinged));
    rows.extend(place::rows_of_the_rest(subject, &seen));
    rows.extend(destinations::end(&subject.destinations, looks).await);
    Findings { rows, orbit: seen }
}
