//! Asks Orbit for lists, at no more than the rate that is allowed, and again where that may help.
//!
//! # Invariants
//! - Between two questions there is at least the configured time, after 429 at least what Orbit
//!   asked for, up to [`LONGEST_BUSY`].
//! - A question is asked at most [`TRIES`] times.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::value::RawValue;

use super::RoundError;
use super::pages::{Brought, Walk};
use crate::clock::{Clock, later};
use crate::orbit::{CallError, Client, Page};
use crate::retry::{Schedule, chance};

const TRIES: u32 = 4;
/// Where Orbit does not say how long it wants to be left alone, and the most that is waited.
const BUSY: Duration = Duration::from_secs(10);
const LONGEST_BUSY: Duration = Duration::from_mins(10);

/// Orbit's lists.
#[derive(Debug)]
pub(super) struct Lists {
    client: Arc<Client>,
    clock: Clock,
    interval: Duration,
    /// No question before then, on the steady clock.
    next_at: Timestamp,
}

impl Lists {
    pub(super) fn new(client: Arc<Client>, clock: Clock, interval: Duration) -> Self {
        let next_at = clock.steady();
        Self {
            client,
            clock,
            interval,
            next_at,
        }
    }

    /// The next page of a walk through a collection. `start` and `end` are the parameters that
    /// bound the time.
    pub(super) async fn next(
        &mut self,
        walk: &mut Walk,
        collection: &Collection,
        end: Option<Timestamp>,
    ) -> Result<Brought, RoundError> {
        loop {
            let mut query = vec![
                (collection.start, walk.start().to_string()),
                ("orderBy", collection.order.to_owned()),
                ("limit", walk.limit().to_string()),
            ];
            query.extend(end.map(|end| (collection.end, end.to_string())));
            query.extend(walk.offset().map(|offset| ("offset", offset.to_string())));
            query.extend(collection.only.map(|only| (only, "true".to_owned())));
            let page = self.page(collection.name, &query).await;
            match page {
                Ok(page) => return Ok(walk.take(page)?),
                Err(CallError::TooLarge) if walk.ask_for_less() => {}
                Err(CallError::TooLarge) => {
                    tracing::error!(
                        "backfill: an entry of Orbit's from {} on is too large to be taken and is \
                         left out",
                        walk.start()
                    );
                    walk.pass_one();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One run event; none where Orbit has it no more.
    pub(super) async fn run_event(
        &mut self,
        uuid: &str,
    ) -> Result<Option<Box<RawValue>>, RoundError> {
        for tries in 1.. {
            self.turn().await;
            match self.client.run_event(uuid).await {
                Err(error) if tries < TRIES && may_pass(&error) => {
                    self.postpone(&error, tries);
                }
                asked => return Ok(asked?),
            }
        }
        Ok(None)
    }

    async fn page(
        &mut self,
        collection: &str,
        query: &[(&str, String)],
    ) -> Result<Page, CallError> {
        let mut tries = 1;
        loop {
            self.turn().await;
            match self.client.page(collection, query).await {
                Err(error) if tries < TRIES && may_pass(&error) => {
                    self.postpone(&error, tries);
                    tries += 1;
                }
                asked => return asked,
            }
        }
    }

    async fn turn(&mut self) {
        self.clock.sleep_until(self.next_at).await;
        self.next_at = later(self.clock.steady(), self.interval);
    }

    fn postpone(&mut self, error: &CallError, tries: u32) {
        let wait = match error {
            CallError::Busy { retry_after } => retry_after.unwrap_or(BUSY).min(LONGEST_BUSY),
            _ => Schedule::SECOND_TO_MINUTE.delay(tries, chance()),
        };
        self.next_at = later(self.clock.steady(), wait.max(self.interval));
    }
}

fn may_pass(error: &CallError) -> bool {
    match error {
        CallError::Busy { .. } | CallError::Nonsense | CallError::Http(_) => true,
        CallError::Status(status) => *status >= 500,
        _ => false,
    }
}

/// A list of Orbit's, and what its parameters are called.
#[derive(Debug)]
pub(super) struct Collection {
    name: &'static str,
    start: &'static str,
    end: &'static str,
    order: &'static str,
    /// A parameter that is to be true.
    only: Option<&'static str>,
    /// The member that holds the time that the list is in the order of.
    pub(super) member: &'static str,
}

/// All run events, by when Orbit stored them.
pub(super) const RUN_EVENTS: Collection = Collection {
    name: "run_events",
    start: "startCreatedAt",
    end: "endCreatedAt",
    order: "created_at",
    only: None,
    member: "createdAt",
};

/// Those that something was found at.
pub(super) const ALERTS: Collection = Collection {
    only: Some("excludeNonAlerts"),
    ..RUN_EVENTS
};

/// All anomalies, by when they took place.
pub(super) const ANOMALIES: Collection = Collection {
    name: "anomalies",
    start: "startTime",
    end: "endTime",
    order: "time",
    only: None,
    member: "time",
};
