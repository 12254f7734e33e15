//! Tells Orbit that the anomalies of closed orders are closed.
//!
//! # Invariants
//! - An anomaly that is closed is left alone, so that telling twice changes nothing.
//! - One order at a time, and not more than one a second.
//! - While Orbit cannot be told, it is left alone for longer and longer.

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

    async fn tell_for_ever(&self, api: &Client) {
        let mut failures = 0;
        loop {
            self.until_there_is_one().await;
            match self.tell_some(api, &mut failures).await {
                Ok(Some(wake_at)) => self.clock.sleep_until(wake_at).await,
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
            match tell(api, event).await {
                Ok(found) => {
                    *failures = 0;
                    let why = (found == Found::None)
                        .then(|| "Orbit has no anomaly of this run event".to_owned());
                    let at = self.clock.wall();
                    self.journal.order_is_told(order.no, at, why).await?;
                    match found {
                        Found::None => tracing::info!(event, "order closed: Orbit has no anomaly"),
                        Found::ClosedBefore => tracing::debug!(event, "anomaly: closed already"),
                        Found::Closed => tracing::info!(event, "anomaly closed in Orbit"),
                    }
                }
                Err(error) => {
                    *failures = failures.saturating_add(1);
                    return self.untold(&order, &error, *failures).await;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }

    /// What keeps Orbit from one keeps it from all.
    async fn untold(
        &self,
        order: &UntoldOrder,
        error: &CallError,
        failures: u32,
    ) -> Result<Option<Timestamp>, WriteError> {
        let reason = error.to_string();
        let event = &order.run_event;
        if order.why.as_ref() != Some(&reason) {
            tracing::warn!(
                event,
                reason,
                "Orbit cannot be told that an order is closed; again later"
            );
        }
        let asked_for = match error {
            CallError::Busy { retry_after } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let wait = BACKOFF.delay(failures.max(order.tries.saturating_add(1)), retry::chance());
        let due_at = later(self.clock.steady(), wait.max(asked_for));
        self.journal
            .order_is_untold(order.no, due_at, reason)
            .await?;
        // A refusal may be this one's own affair.
        let own = matches!(error, CallError::Status(400..=499));
        Ok((!own).then_some(due_at))
    }
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
