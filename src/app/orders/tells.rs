//! Tells Orbit that the anomalies of closed orders are closed.
//!
//! # Invariants
//! - An anomaly that is closed is left alone, so that telling twice changes nothing.
//! - One order at a time, and not more than one a second.
//! - While Orbit cannot be told, it is left alone for longer and longer; an order that closes
//!   meanwhile is worth one try.
//! - That Orbit has no anomaly is believed a day after the order was closed, and not before: an
//!   Orbit that is starting has none either.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, later};
use crate::orbit::{CallError, Client};
use crate::relay::journal::{Journal, Sums, UntoldOrder, WriteError};
use crate::retry::{self, Schedule};

/// Between two orders.
const PAUSE: Duration = Duration::from_secs(1);
/// So long after an order was closed, an anomaly that was never there is not waited for.
const LOOKED_FOR: Duration = Duration::from_hours(24);
const NO_ANOMALY: &str = "Orbit has no anomaly of this run event";
/// So many are looked up at once.
const STEP: usize = 16;
/// While Orbit cannot be told.
const BACKOFF: Schedule = Schedule {
    first: Duration::from_secs(10),
    longest: Duration::from_hours(1),
    jitter: 0.2,
};

/// What is needed to tell Orbit.
pub(in crate::app) struct Tells {
    pub(in crate::app) journal: Journal,
    /// None without an API token.
    pub(in crate::app) api: Option<Arc<Client>>,
    pub(in crate::app) clock: Clock,
}

/// Tells until `stop`. What is cut off is told again at the next start.
pub(in crate::app) async fn run(tells: Tells, stop: CancellationToken) {
    let telling = async {
        if let Some(api) = &tells.api {
            tells.tell_for_ever(api).await;
        }
        tells.until_there_is_one().await;
        tracing::warn!(
            "orders: an order is closed, and without ORBIT_API_TOKEN Orbit cannot be told: close \
             its anomaly by hand, or set a token"
        );
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = telling => {}
    }
}

impl Tells {
    async fn until_there_is_one(&self) {
        let one = |sums: &Sums| sums.destinations.iter().any(|d| d.orders.closed > 0);
        // The writer lives as long as this handle of its journal, so there is no error to see.
        drop(self.journal.sums().wait_for(one).await);
    }

    async fn until_another_is_closed(&self, known: u64) {
        let another = |sums: &Sums| ever_closed(sums) != known;
        drop(self.journal.sums().wait_for(another).await);
    }

    async fn tell_for_ever(&self, api: &Client) {
        let mut failures = 0;
        loop {
            self.until_there_is_one().await;
            let known = ever_closed(&self.journal.sums().borrow());
            match self.tell_some(api, &mut failures).await {
                Ok(Some(wake_at)) => tokio::select! {
                    () = self.clock.sleep_until(wake_at) => {}
                    () = self.until_another_is_closed(known) => {}
                },
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "orders: the journal cannot be asked");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Tells of what is due; gives when there is more to do, if that is later.
    async fn tell_some(
        &self,
        api: &Client,
        failures: &mut u32,
    ) -> Result<Option<Timestamp>, WriteError> {
        let due = self
            .journal
            .untold_orders(self.clock.steady(), STEP)
            .await?;
        if due.now.is_empty() {
            let soon = later(self.clock.steady(), BACKOFF.first);
            return Ok(Some(due.next_due.map_or(soon, |next| next.min(soon))));
        }
        for order in due.now {
            let event = &order.run_event;
            let told = tell(api, event).await;
            let at = self.clock.wall();
            match told {
                Ok(Found::None) if !is_believed(order.closed_at, at) => {
                    *failures = 0;
                    let wait = wait(order.tries);
                    self.untold(&order, NO_ANOMALY.to_owned(), wait).await?;
                }
                Ok(found) => {
                    *failures = 0;
                    let why = (found == Found::None).then(|| NO_ANOMALY.to_owned());
                    self.journal.order_is_told(order.no, at, why).await?;
                    match found {
                        Found::None => tracing::info!(event, "order closed: Orbit has no anomaly"),
                        Found::ClosedBefore => tracing::debug!(event, "anomaly: closed already"),
                        Found::Closed => tracing::info!(event, "anomaly closed in Orbit"),
                    }
                }
                Err(error) if is_own(&error) => {
                    let wait = wait(order.tries);
                    self.untold(&order, error.to_string(), wait).await?;
                }
                Err(error) => {
                    let wait = wait(order.tries.max(*failures));
                    *failures = failures.saturating_add(1);
                    let due_at = self.untold(&order, error.to_string(), wait).await?;
                    if let CallError::Busy {
                        retry_after: Some(asked_for),
                    } = error
                    {
                        self.clock.sleep(asked_for).await;
                    }
                    return Ok(Some(due_at));
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// Gives when it is tried again.
    async fn untold(
        &self,
        order: &UntoldOrder,
        reason: String,
        wait: Duration,
    ) -> Result<Timestamp, WriteError> {
        let event = &order.run_event;
        if order.why.as_ref() != Some(&reason) {
            tracing::warn!(
                event,
                reason,
                "Orbit cannot be told that an order is closed; again later"
            );
        }
        let due_at = later(self.clock.steady(), wait);
        self.journal
            .order_is_untold(order.no, due_at, reason)
            .await?;
        Ok(due_at)
    }
}

/// After so many tries that failed.
fn wait(failed: u32) -> Duration {
    BACKOFF.delay(failed.saturating_add(1), retry::chance())
}

/// What was closed, and is not gone by age.
fn ever_closed(sums: &Sums) -> u64 {
    let orders = sums.destinations.iter().map(|d| d.orders);
    orders.map(|orders| orders.closed + orders.told).sum()
}

/// Whether there will be no anomaly, as there is none now.
fn is_believed(closed_at: Timestamp, now: Timestamp) -> bool {
    now >= later(closed_at, LOOKED_FOR)
}

/// Whether what keeps Orbit from one order may keep it from no other.
fn is_own(error: &CallError) -> bool {
    matches!(
        error,
        CallError::Status(400..=499) | CallError::Nonsense | CallError::TooLarge
    )
}

/// What there was to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    None,
    ClosedBefore,
    Closed,
}

async fn tell(api: &Client, run_event: &str) -> Result<Found, CallError> {
    let anomalies = api.anomalies_of(run_event).await?;
    if anomalies.is_empty() {
        return Ok(Found::None);
    }
    let mut found = Found::ClosedBefore;
    for anomaly in anomalies.iter().filter(|anomaly| !anomaly.is_closed()) {
        api.close_anomaly(&anomaly.uuid).await?;
        found = Found::Closed;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_answer_ends_no_order_before_a_day_is_over() {
        let closed_at = Timestamp::from_second(1_770_000_000).unwrap();
        assert!(!is_believed(closed_at, closed_at));
        let day = Duration::from_hours(24);
        let almost = later(closed_at, day).as_millisecond() - 1;
        let almost = Timestamp::from_millisecond(almost).unwrap();
        assert!(!is_believed(closed_at, almost));
        assert!(is_believed(closed_at, later(closed_at, day)));
    }

    #[test]
    fn nonsense_about_one_order_holds_up_no_other() {
        for own in [
            CallError::Nonsense,
            CallError::TooLarge,
            CallError::Status(404),
        ] {
            assert!(is_own(&own), "{own}");
        }
        let all = [
            CallError::Status(503),
            CallError::Unauthorized(401),
            CallError::Busy { retry_after: None },
        ];
        for error in all {
            assert!(!is_own(&error), "{error}");
        }
    }
}
