//! The relay's own events, made in the commit of their cause (docs/decisions/0026).
//!
//! # Invariants
//! - An own event is there exactly when its cause is: both stand in one transaction.
//! - Only kinds that some destination takes are made, and none about an own event or a sample; but
//!   an answer is an event whatever it answers, samples excepted.
//! - While the journal is full only what is grave is made.

use jiff::Timestamp;
use rusqlite::{OptionalExtension as _, params};

use super::{Store, StoreError};
use crate::event::{Event, Members, Origin};
use crate::own::{self, About, Delivery, End, Found, Own, Pause};
use crate::relay::journal::{Appended, Ended, Lease, Missing, State};
use crate::relay::transform::key_of;

/// A delivery as own events tell of it.
struct Told {
    seq: i64,
    source: String,
    event_type: String,
    identity: String,
    origin: String,
    destination: String,
    destination_id: String,
    key: Option<String>,
    asset: Option<String>,
    attempts: u32,
}

impl Told {
    fn delivery(&self) -> Delivery<'_> {
        Delivery {
            event: About {
                number: self.seq,
                source: &self.source,
                event_type: &self.event_type,
                id: &self.identity,
                origin: &self.origin,
            },
            destination: &self.destination,
            destination_id: &self.destination_id,
            delivery: self.key.as_deref(),
            asset: self.asset.as_deref(),
            attempts: self.attempts,
        }
    }

    fn is_sample(&self) -> bool {
        self.origin == Origin::Sample.as_str()
    }

    fn concerns(&self) -> bool {
        own::concerns(&self.source, origin(&self.origin))
    }
}

impl Store {
    /// Whether an own event of this kind is to be made now.
    pub(super) fn says(&self, own: Own) -> bool {
        self.says.contains(&own) && (self.full.is_none() || own.is_grave())
    }

    /// Keeps it; one that is here already is said and counts nowhere.
    pub(in crate::relay::journal) fn say(&mut self, event: &Event) -> Result<(), StoreError> {
        self.admit(event).map(drop)
    }

    /// An event was taken.
    pub(super) fn say_received(&mut self, seq: i64, event: &Event) -> Result<(), StoreError> {
        if !self.says(Own::Received) || !own::concerns(&event.source, event.origin) {
            return Ok(());
        }
        let about = About {
            number: seq,
            source: &event.source,
            event_type: &event.event_type,
            id: &event.identity.text(),
            origin: event.origin.as_str(),
        };
        self.say(&own::received(about, event.received_at))
    }

    /// A delivery is frozen that was not frozen before.
    pub(super) fn say_before(&mut self, lease: Lease, at: Timestamp) -> Result<(), StoreError> {
        match self.told(lease)?.filter(Told::concerns) {
            Some(told) => self.say(&own::before(&told.delivery(), at)),
            None => Ok(()),
        }
    }

    /// A delivery was delivered or given up.
    pub(super) fn say_end(
        &mut self,
        lease: Lease,
        end: End<'_>,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let after = self.says(Own::AfterDeliver);
        let died = end.dead && self.says(Own::Dead);
        if !after && !died {
            return Ok(());
        }
        let Some(told) = self.told(lease)?.filter(Told::concerns) else {
            return Ok(());
        };
        if after {
            self.say(&own::after(&told.delivery(), end, at))?;
        }
        if died {
            self.say(&own::dead(&told.delivery(), end, at))?;
        }
        Ok(())
    }

    /// A try has ended, with all that is to be said of it.
    pub(super) fn say_settled(&mut self, lease: Lease, ended: &Ended) -> Result<(), StoreError> {
        let state = ended.disposition.state();
        if matches!(state, State::Delivered | State::Dead) {
            let end = End {
                dead: state == State::Dead,
                reason: ended.disposition.reason(),
                answer: ended.answer.as_deref(),
            };
            self.say_end(lease, end, ended.at)?;
        }
        if let Some(said) = ended
            .answer_event
            .as_deref()
            .filter(|_| self.full.is_none())
            && let Some(told) = self.told(lease)?.filter(|told| !told.is_sample())
        {
            self.say(&own::answer(&told.delivery(), said, ended.at))?;
        }
        Ok(())
    }

    /// A destination was paused, or resumed.
    pub(super) fn say_pause(
        &mut self,
        kind: Own,
        no: i64,
        (act, by, why): (i64, &str, &str),
        at: Timestamp,
    ) -> Result<(), StoreError> {
        if !self.says(kind) {
            return Ok(());
        }
        let mut destinations = self.memory.destinations.iter();
        let Some(destination) = destinations.find(|d| d.no == no) else {
            return Ok(());
        };
        let pause = Pause {
            destination: &destination.name,
            destination_id: &destination.id,
            by,
            why,
            act,
        };
        let event = if kind == Own::Paused {
            own::paused(pause, at)
        } else {
            own::resumed(pause, at)
        };
        self.say(&event)
    }

    /// Backfill found events: one for all that are kept in one commit.
    pub(super) fn say_found(
        &mut self,
        missing: &[Missing],
        appended: &[Appended],
    ) -> Result<(), StoreError> {
        if !self.says(Own::Found) {
            return Ok(());
        }
        let mut found: Option<(Found, Timestamp)> = None;
        for (Missing { event, .. }, appended) in missing.iter().zip(appended) {
            let Appended::Accepted(number) = appended else {
                continue;
            };
            let time = time_of(event);
            let (found, at) = found.get_or_insert((
                Found {
                    count: 0,
                    first: time,
                    last: time,
                    number: *number,
                },
                event.received_at,
            ));
            found.count += 1;
            found.first = found.first.min(time);
            found.last = found.last.max(time);
            *at = (*at).max(event.received_at);
        }
        match found {
            Some((found, at)) => self.say(&own::found(found, at)),
            None => Ok(()),
        }
    }

    fn told(&self, lease: Lease) -> Result<Option<Told>, StoreError> {
        let mut destinations = self.memory.destinations.iter();
        let Some(destination) = destinations.find(|d| d.no == lease.destination) else {
            return Ok(None);
        };
        let told = self
            .connection
            .prepare_cached(
                "SELECT e.source, e.type, e.identity, e.origin, d.relay, d.asset, d.attempts
                 FROM delivery d JOIN event e ON e.seq = d.seq
                 WHERE d.destination = ?1 AND d.seq = ?2",
            )?
            .query_row([lease.destination, lease.seq], |row| {
                let relay: Option<String> = row.get(4)?;
                Ok(Told {
                    seq: lease.seq,
                    source: row.get(0)?,
                    event_type: row.get(1)?,
                    identity: row.get(2)?,
                    origin: row.get(3)?,
                    destination: destination.name.clone(),
                    destination_id: destination.id.clone(),
                    key: relay.as_deref().and_then(key_of),
                    asset: row.get(5)?,
                    attempts: row.get(6)?,
                })
            })
            .optional()?;
        Ok(told)
    }

    /// Whether the event is a sample: of that nothing follows.
    pub(super) fn is_sample(&self, seq: i64) -> Result<bool, StoreError> {
        let is_sample: Option<bool> = self
            .connection
            .prepare_cached("SELECT origin = ?2 FROM event WHERE seq = ?1")?
            .query_row(params![seq, Origin::Sample.as_str()], |row| row.get(0))
            .optional()?;
        Ok(is_sample.unwrap_or(false))
    }
}

/// The origin of this word, as the journal has it; what an earlier version does not know came by
/// the webhook.
pub(super) fn origin(word: &str) -> Origin {
    [
        Origin::Backfill,
        Origin::Relay,
        Origin::WorkOrder,
        Origin::Sample,
    ]
    .into_iter()
    .find(|known| known.as_str() == word)
    .unwrap_or(Origin::Webhook)
}

/// When it was, as the event itself says.
fn time_of(event: &Event) -> Timestamp {
    let json = std::str::from_utf8(&event.body).ok();
    let members = json.and_then(|json| Members::parse(json).ok());
    let time = members.and_then(|members| members.text("time"));
    let time = time.and_then(|time| time.parse().ok());
    time.unwrap_or(event.received_at)
}
