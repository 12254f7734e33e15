//! What was not as it should be in Orbit becomes an own event, where somebody hears it.
//!
//! # Invariants
//! - What is set right is said each time, when it was; what is only observed, when it changes.
//! - The first contact is no drift, nor is what is left of a deletion.

use super::look::{Done, Found};
use super::plan::{Act, Plan};
use super::{Reconcile, Status, Turn};
use crate::own::{self, Own};

impl Reconcile {
    /// After a look that changes nothing.
    pub(super) async fn say_observed(&self, turn: &mut Turn, found: &Found, plan: &Plan) {
        let differences = plan.differences();
        if turn.said.drift(&differences) && !is_first_contact(found) {
            let webhook = match &plan.act {
                Act::Update { uuid, .. } | Act::Nothing { uuid, .. } => Some(&**uuid),
                Act::Create | Act::StayDeleted => None,
            };
            self.say_drift(webhook, &differences, false).await;
        }
    }

    /// After these differences were set right.
    pub(super) async fn say_repaired(&self, done: &Done, repairs: &[&'static str]) {
        if let (Status::Registered { uuid, .. }, false) = (&done.status, repairs.is_empty()) {
            self.say_drift(Some(uuid), repairs, true).await;
        }
    }

    /// That nobody hears of it keeps nothing from being set right.
    async fn say_drift(&self, webhook: Option<&str>, repairs: &[&str], repaired: bool) {
        if !self.journal.says(Own::Drift) {
            return;
        }
        let event = own::drift(webhook, repairs, repaired, self.clock.wall());
        if let Err(error) = self.journal.append(event).await {
            tracing::warn!(%error, "webhook: that it had drifted is not kept as an event");
        }
    }
}

/// Whether nothing was on record that Orbit could differ from.
pub(super) fn is_first_contact(found: &Found) -> bool {
    found.record.as_ref().is_none_or(|record| record.deleted)
}
