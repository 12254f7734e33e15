//! What was not as it should be in Orbit becomes an own event, where somebody hears it.
//!
//! # Invariants
//! - What is set right is said each time, when it was; what is only observed, when it changes. That
//!   it was said is noted in the commit that holds the event, so a restart does not say it again.
//! - The first contact is no drift, nor is what is left of a deletion.

use super::look::{Done, Found};
use super::plan::{Act, Plan};
use super::{Reconcile, Status};
use crate::own::{self, Own};
use crate::relay::journal::WriteError;

/// The note of what was said that differs and is only observed.
const NOTE: &str = "webhook-drift";

impl Reconcile {
    /// After a look that changes nothing.
    pub(super) async fn say_observed(&self, found: &Found, plan: &Plan) {
        if !self.journal.says(Own::Drift) || is_first_contact(found) {
            return;
        }
        let webhook = match &plan.act {
            Act::Update { uuid, .. } | Act::Nothing { uuid, .. } => Some(&**uuid),
            Act::Create | Act::StayDeleted => None,
        };
        if let Err(error) = self.say_news(webhook, &plan.differences()).await {
            tracing::debug!(%error, "webhook: drift is not kept as an event; it is tried again");
        }
    }

    async fn say_news(
        &self,
        webhook: Option<&str>,
        differences: &[&str],
    ) -> Result<(), WriteError> {
        let now = differences.join(", ");
        if self.journal.note(NOTE).await?.unwrap_or_default() == now {
            return Ok(());
        }
        if differences.is_empty() {
            return self.journal.set_note(NOTE, now).await;
        }
        let event = own::drift(webhook, differences, false, self.clock.wall());
        self.journal.say(event, Some((NOTE, now))).await
    }

    /// After these differences were set right.
    pub(super) async fn say_repaired(&self, done: &Done, repairs: &[&'static str]) {
        if let (Status::Registered { uuid, .. }, false) = (&done.status, repairs.is_empty()) {
            self.say_drift(uuid, repairs).await;
        }
    }

    /// That nobody hears of it keeps nothing from being set right.
    async fn say_drift(&self, webhook: &str, repairs: &[&str]) {
        if !self.journal.says(Own::Drift) {
            return;
        }
        let event = own::drift(Some(webhook), repairs, true, self.clock.wall());
        if let Err(error) = self.journal.say(event, None).await {
            tracing::warn!(%error, "webhook: that it had drifted is not kept as an event");
        }
    }
}

/// Whether nothing was on record that Orbit could differ from.
pub(super) fn is_first_contact(found: &Found) -> bool {
    found.record.as_ref().is_none_or(|record| record.deleted)
}
