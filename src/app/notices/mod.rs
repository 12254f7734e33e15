//! Someone is told: what goes wrong becomes an event of the relay's own, delivered like any other.
//!
//! ```text
//! mod   when to look, when to say something, and that it is kept
//! news  what is new, in words and as JSON (pure)
//! ```
//!
//! # Invariants
//! - At most one notice in [`AT_MOST_EVERY`], over restarts too; the first goes out at once, and
//!   what is new meanwhile goes with the next.
//! - What was said is noted in the commit that holds the notice: nothing is said twice, and
//!   nothing is forgotten by a restart.
//!
//! # Not here
//! Who hears it: `deliver` skips a notice for destinations that `notify` does not name.

mod news;

use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use self::news::{Said, Seen};
use crate::clock::{Clock, later, until};
use crate::event::{Event, Identity, NOTICE, Origin, RELAY};
use crate::relay::journal::{Availability, Journal, WriteError};

/// The note of what was said.
const NOTE: &str = "notices";
const LOOK: Duration = Duration::from_secs(1);
const AT_MOST_EVERY: Duration = Duration::from_mins(10);

/// What it needs.
#[derive(Debug)]
pub(super) struct Notices {
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    /// Silence that is longer than this is news.
    pub(super) expect_every: Option<Duration>,
}

/// Looks for news until `stop`.
pub(super) async fn run(notices: Notices, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = notices.run() => {}
    }
}

impl Notices {
    async fn run(self) {
        let started_at = self.clock.wall();
        let mut said = self.begin().await;
        let mut next_at = self.first_at(&said);
        loop {
            self.clock.sleep(LOOK).await;
            let (news, mut now) = {
                let (sums, room) = (self.journal.sums(), self.journal.room());
                let (sums, room) = (sums.borrow(), room.borrow());
                let seen = Seen {
                    sums: &sums,
                    room: &room,
                    silent_since: self.silent_since(sums.last_event_at.unwrap_or(started_at)),
                };
                news::news(&said, &seen)
            };
            if news.is_empty() {
                said = now;
                continue;
            }
            if self.clock.steady() < next_at {
                continue;
            }
            now.at = Some(self.clock.wall());
            let text = news::text(&news);
            match self.say(&news, &text, &now).await {
                Ok(()) => {
                    tracing::info!("notice: {text}");
                    said = now;
                    next_at = later(self.clock.steady(), AT_MOST_EVERY);
                }
                Err(error) => tracing::debug!(%error, "notices: not kept; it is tried again"),
            }
        }
    }

    /// What was said before. The first time ever, what is dead already is no news.
    async fn begin(&self) -> Said {
        let mut availability = self.journal.availability();
        loop {
            // The writer lives as long as this handle of its journal, so there is no error to see.
            drop(
                availability
                    .wait_for(|now| *now == Availability::Open)
                    .await,
            );
            match self.remembered().await {
                Ok(said) => return said,
                Err(error) => tracing::debug!(%error, "notices: the journal cannot be asked"),
            }
            self.clock.sleep(LOOK).await;
        }
    }

    async fn remembered(&self) -> Result<Said, WriteError> {
        let note = self.journal.note(NOTE).await?;
        if let Some(said) = note.and_then(|note| Said::from_note(&note)) {
            return Ok(said);
        }
        let said = Said::first(&self.journal.sums().borrow());
        self.journal.set_note(NOTE, said.to_note()).await?;
        Ok(said)
    }

    /// An earlier process may have said something a moment ago. Where the clock was set back since
    /// then, nobody knows how long ago that was.
    fn first_at(&self, said: &Said) -> Timestamp {
        let (wall, steady) = (self.clock.wall(), self.clock.steady());
        match said.at {
            None => steady,
            Some(at) => {
                let passed = until(at, wall);
                later(steady, AT_MOST_EVERY.saturating_sub(passed))
            }
        }
    }

    fn silent_since(&self, last: Timestamp) -> Option<Timestamp> {
        let expected = later(last, self.expect_every?);
        (self.clock.wall() > expected).then_some(last)
    }

    async fn say(&self, news: &[news::News], text: &str, said: &Said) -> Result<(), WriteError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)
            .map_err(|_| WriteError::Unavailable("the system gives no random numbers".into()))?;
        let uuid = uuid(u128::from_be_bytes(random));
        let now = self.clock.wall();
        let event = Event {
            source: RELAY.to_owned(),
            event_type: NOTICE.to_owned(),
            identity: Identity::Envelope(uuid.clone()),
            origin: Origin::Relay,
            received_at: now,
            body: news::envelope(&uuid, now, text, news).into_bytes(),
        };
        let said = said.to_note();
        self.journal.say(event, Some((NOTE, said))).await
    }
}

/// A random number as a uuid of version 4.
fn uuid(random: u128) -> String {
    let version = (random & !(0xf << 76)) | (0x4 << 76);
    let hex = format!("{:032x}", (version & !(0x3 << 62)) | (0x2 << 62));
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts = parts.map(|part| hex.get(part).unwrap_or_default());
    parts.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
