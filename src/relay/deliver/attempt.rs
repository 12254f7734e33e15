//! One try of one delivery: map, freeze, send, record.
//!
//! # Invariants
//! - The body is frozen in the journal before its first byte goes out.
//! - A try whose end could not be recorded keeps trying to record it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{JOURNAL_PAUSE, Shared};
use crate::clock::{later, until};
use crate::event::{self, Envelope};
use crate::relay::assets::{Match, Subject};
use crate::relay::destination::Request;
use crate::relay::destination::outcome::Outcome;
use crate::relay::journal::{Claim, Disposition, WriteError};
use crate::relay::transform::{self, Asset, Relay};
use crate::retry::{self, Schedule};

pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) claim: Claim,
}

/// What a try says of its destination.
pub(super) enum Ended {
    /// It answered as it should, be it with a refusal of this event.
    Reached,
    /// It, or the way to it, failed.
    Failed {
        /// With this event.
        seq: i64,
        /// How.
        reason: String,
    },
    /// Nothing was sent.
    Untried,
}

/// What was made of the event.
struct Rendered {
    body: Vec<u8>,
    asset: Option<String>,
    action: Option<String>,
}

impl Attempt {
    pub(super) async fn run(self) -> Ended {
        let key = event::idempotency_key(
            &self.claim.source,
            &self.claim.event_type,
            &self.claim.identity,
            &self.claim.destination_id,
        );
        if !self.shared.config.events.contains(&self.claim.event_type) {
            let reason = format!("{} is not among the event types", self.claim.event_type);
            self.record(Disposition::Skipped { reason }).await;
            tracing::debug!(
                seq = self.claim.lease.seq,
                event_type = self.claim.event_type,
                "deliver: skipped"
            );
            return Ended::Untried;
        }
        let rendered = match self.render(&key).await {
            Ok(rendered) => rendered,
            Err(disposition) => {
                self.record(disposition).await;
                return Ended::Untried;
            }
        };
        let request = Request {
            key,
            attempt: self.claim.attempt,
            body: rendered.body,
            at: self.shared.clock.wall(),
        };
        let clock = &self.shared.clock;
        let began = clock.steady();
        let rest = until(began, self.claim.lease.until);
        let outcome = tokio::time::timeout(rest, self.shared.destination.send(request))
            .await
            .map_or_else(
                |_| Outcome::Postponed {
                    reason: "no answer before the lease ended".into(),
                    retry_after: None,
                },
                |sent| sent.outcome,
            );
        let took = until(began, clock.steady());
        self.conclude(outcome, took, rendered.asset, rendered.action)
            .await
    }

    /// The body, the same at every try: what the relay adds is frozen before the first.
    async fn render(&self, key: &str) -> Result<Rendered, Disposition> {
        let Claim {
            lease,
            frozen,
            body,
            ..
        } = &self.claim;
        let dead = |e: &dyn std::error::Error| Disposition::Dead {
            reason: e.to_string(),
        };
        let envelope = Envelope::parse(body).map_err(|e| dead(&e))?;
        let action = envelope.data("actionName");
        let (relay, asset) = if let Some(relay) = frozen {
            (relay.clone(), frozen_asset(relay))
        } else {
            let found = self.map(&envelope, action.as_deref());
            let relay = self.relay(key, found.as_ref()).map_err(|e| dead(&e))?;
            let asset = found.map(|found| found.asset_id);
            self.shared
                .journal
                .freeze(*lease, relay.clone(), asset.clone())
                .await
                .map_err(|_| Disposition::Released)?;
            (relay, asset)
        };
        let body = transform::body(body, &relay).map_err(|e| dead(&e))?;
        Ok(Rendered {
            body,
            asset,
            action,
        })
    }

    fn map(&self, envelope: &Envelope<'_>, action: Option<&str>) -> Option<Match> {
        let subject = Subject {
            orbit_asset_id: envelope.data("assetId"),
            element_id: envelope.data("elementId"),
            action_uuid: envelope.data("actionUuid"),
            action_name: action.map(str::to_owned),
            mission_name: envelope.data("missionName"),
            robot: envelope.data("robotNickname"),
        };
        let map = self.shared.assets.borrow().clone();
        let found = map.find(&subject);
        if found.is_none() && action.is_some() {
            self.shared.unmapped.note(&map, &subject);
        }
        found
    }

    fn relay(&self, key: &str, found: Option<&Match>) -> Result<String, serde_json::Error> {
        let Claim {
            source,
            origin,
            received_at,
            ..
        } = &self.claim;
        let mut relay = Relay::new(key, source, origin.as_str(), received_at.to_string());
        relay.asset = found.map(|found| Asset {
            id: &found.asset_id,
            matched_by: &found.matched_by,
            attributes: found
                .attributes
                .iter()
                .map(|(name, value)| (name.clone(), value.clone().into()))
                .collect(),
        });
        relay.to_json()
    }

    async fn conclude(
        &self,
        outcome: Outcome,
        took: Duration,
        asset: Option<String>,
        action: Option<String>,
    ) -> Ended {
        let Claim {
            lease,
            destination_id,
            event_type,
            identity,
            attempt,
            received_at,
            ..
        } = &self.claim;
        let clock = &self.shared.clock;
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let seq = lease.seq;
        let (action, asset) = (action.as_deref(), asset.as_deref());
        let (word, disposition) = match &outcome {
            Outcome::Delivered => ("delivered", Disposition::Delivered),
            Outcome::Dead { reason } => (
                "dead",
                Disposition::Dead {
                    reason: reason.clone(),
                },
            ),
            Outcome::Postponed { reason, .. } | Outcome::Parked { reason, .. } => {
                let delay = Schedule::SECOND_TO_MINUTE.delay(*attempt, retry::chance());
                let due_at = later(clock.steady(), delay);
                (
                    "postponed",
                    Disposition::Postponed {
                        due_at,
                        reason: reason.clone(),
                    },
                )
            }
        };
        self.shared.metrics.count_attempt(destination_id, word);
        self.record(disposition).await;
        match outcome {
            Outcome::Delivered => {
                self.shared
                    .metrics
                    .observe_delivery(until(*received_at, clock.wall()));
                tracing::info!(
                    seq,
                    event = identity,
                    event_type,
                    action,
                    asset,
                    destination = destination_id,
                    attempt,
                    took_ms,
                    "delivered"
                );
                Ended::Reached
            }
            Outcome::Dead { reason } => {
                tracing::error!(
                    seq, event = identity, event_type, action, asset,
                    destination = destination_id, attempt, took_ms, %reason,
                    "dead: the destination refuses this event; it is kept"
                );
                Ended::Reached
            }
            Outcome::Postponed { reason, .. } | Outcome::Parked { reason, .. } => {
                // Once for each event: the further tries are the circuit's affair.
                if *attempt == 1 {
                    tracing::warn!(
                        seq, event = identity, event_type, action, asset,
                        destination = destination_id, attempt, took_ms, %reason, "postponed"
                    );
                } else {
                    tracing::debug!(
                        seq, event = identity, destination = destination_id, attempt, took_ms,
                        %reason, "postponed"
                    );
                }
                Ended::Failed { seq, reason }
            }
        }
    }

    async fn record(&self, disposition: Disposition) {
        let lease = self.claim.lease;
        let mut waits = None;
        loop {
            let at = self.shared.clock.wall();
            match self
                .shared
                .journal
                .record(lease, disposition.clone(), at)
                .await
            {
                Ok(()) => return,
                Err(error @ (WriteError::LeaseLost(_) | WriteError::NoDestination(_))) => {
                    tracing::warn!(%error, seq = lease.seq, "deliver: a try's end came too late");
                    return;
                }
                Err(WriteError::Unavailable(_) | WriteError::Behind) => {
                    waits.get_or_insert_with(|| Unrecorded::new(&self.shared));
                    tokio::time::sleep(JOURNAL_PAUSE).await;
                }
            }
        }
    }
}

/// Counts a try whose end waits for the journal, for as long as it lives.
struct Unrecorded<'a>(&'a Shared);

impl<'a> Unrecorded<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.unrecorded.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Drop for Unrecorded<'_> {
    fn drop(&mut self) {
        self.0.unrecorded.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The asset that an earlier try was sent with, for the log.
fn frozen_asset(relay: &str) -> Option<String> {
    let relay: serde_json::Value = serde_json::from_str(relay).ok()?;
    relay.get("asset")?.get("id")?.as_str().map(str::to_owned)
}
