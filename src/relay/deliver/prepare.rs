//! Before anything is sent: claim → filter → map → freeze, for several deliveries at once.
//!
//! # Invariants
//! - What the relay adds to a body is frozen in the journal before its first byte goes out.
//! - All that one claim gave is settled in one commit.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::{OncePer, OrderBy, Shared};
use crate::event::{self, ALERT, COMPLETED, Envelope, inspection_key};
use crate::relay::assets::{Match, Subject};
use crate::relay::journal::{Claim, Claims, Fate, Lease, Step, Want, WriteError};
use crate::relay::transform::expression::Expression;
use crate::relay::transform::{self, Asset, Relay};

/// A delivery that only has to be sent.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) claim: Claim,
    pub(super) key: String,
    pub(super) body: Vec<u8>,
    pub(super) asset: Option<String>,
    pub(super) action: Option<String>,
    /// Whether it is to find out if the destination is up again.
    pub(super) probe: bool,
}

/// What a claim came to.
#[derive(Debug, Default)]
pub(super) struct Filled {
    /// In order of arrival.
    pub(super) ready: Vec<Ready>,
    /// How many were claimed.
    pub(super) claimed: usize,
    /// Claimed, but the journal could not say what is to become of them: to be given back.
    pub(super) unsettled: Vec<Lease>,
    /// What the claim said besides.
    pub(super) claims: Claims,
}

/// What an event is, for a destination's filter.
#[derive(Serialize)]
struct Names<'a> {
    event: Option<Value>,
    inspection: Option<Inspection<'a>>,
}

/// What a filter may ask of an inspection: the members of [`Inspection`].
pub const INSPECTION_MEMBERS: [&str; 6] =
    ["action", "mission", "robot", "asset", "alert", "severity"];

#[derive(Serialize)]
struct Inspection<'a> {
    action: Option<&'a str>,
    mission: Option<String>,
    robot: Option<String>,
    asset: Option<&'a str>,
    alert: bool,
    /// Orbit's events do not say it.
    severity: Option<u8>,
}

/// What is known of one claim before it may be sent.
struct Plan {
    claim: Claim,
    key: String,
    action: Option<String>,
    asset: Option<String>,
    /// None, if it is not to be sent.
    body: Option<Vec<u8>>,
}

/// Claims, and makes ready what was claimed. An error means that nothing was claimed.
pub(super) async fn fill(shared: Arc<Shared>, want: Want) -> Result<Filled, WriteError> {
    let probe = want.probe;
    let mut claims = shared.journal.claim(want).await?;
    let claimed = std::mem::take(&mut claims.now);
    let mut filled = Filled {
        ready: Vec::with_capacity(claimed.len()),
        claimed: claimed.len(),
        unsettled: Vec::new(),
        claims,
    };
    let mut steps = Vec::new();
    let mut plans = Vec::with_capacity(claimed.len());
    for claim in claimed {
        let (plan, step) = plan(&shared, claim);
        let asks = step.is_some();
        steps.extend(step.map(|step| (plan.claim.lease, step)));
        plans.push((plan, asks));
    }
    let fates = if steps.is_empty() {
        Vec::new()
    } else {
        let at = shared.clock.wall();
        match shared.journal.prepare(steps, at).await {
            Ok(fates) => fates,
            Err(error) => {
                tracing::debug!(%error, "deliver: what was claimed is given back");
                filled.unsettled = plans.iter().map(|(plan, _)| plan.claim.lease).collect();
                return Ok(filled);
            }
        }
    };
    let mut fates = fates.into_iter();
    for (plan, asks) in plans {
        let goes = !asks || matches!(fates.next(), Some(Fate::Send { .. }));
        if let Some(body) = plan.body.filter(|_| goes) {
            filled.ready.push(Ready {
                claim: plan.claim,
                key: plan.key,
                body,
                asset: plan.asset,
                action: plan.action,
                probe,
            });
        }
    }
    Ok(filled)
}

/// The plan, and what the journal is asked; nothing, if it was frozen before.
fn plan(shared: &Shared, claim: Claim) -> (Plan, Option<Step>) {
    let id = &claim.destination_id;
    let kind = if is_inspection(&claim.event_type) && shared.config.once_per == OncePer::Inspection
    {
        event::INSPECTION
    } else {
        &claim.event_type
    };
    let key = event::idempotency_key(&claim.source, kind, &claim.identity, id);
    let mut plan = Plan {
        key,
        claim,
        action: None,
        asset: None,
        body: None,
    };
    let step = step(shared, &mut plan).unwrap_or_else(|reason| {
        tracing::error!(seq = plan.claim.lease.seq, reason, "deliver: dead");
        Some(Step::Bury { reason })
    });
    // What is sent is the other one.
    plan.claim.body = Vec::new();
    (plan, step)
}

fn step(shared: &Shared, plan: &mut Plan) -> Result<Option<Step>, String> {
    let Plan { claim, key, .. } = plan;
    let envelope = Envelope::parse(&claim.body).map_err(|e| e.to_string())?;
    plan.action = envelope.data("actionName");
    let config = &shared.config;
    let relay = if let Some(relay) = &claim.frozen {
        plan.asset = frozen_asset(relay);
        // The key that it was sent with, whatever has been configured since.
        plan.key = transform::key_of(relay).unwrap_or_else(|| plan.key.clone());
        relay.clone()
    } else {
        let notice = claim.source == event::RELAY;
        if let Some(reason) = unwanted(shared, claim, notice) {
            return Ok(Some(Step::Skip { reason }));
        }
        let found = map(shared, &envelope, plan.action.as_deref());
        plan.asset = found.as_ref().map(|found| found.asset_id.clone());
        if let Some(when) = config.when.as_ref().filter(|_| !notice) {
            let (action, asset) = (plan.action.as_deref(), plan.asset.as_deref());
            let names = names(when, claim, &envelope, action, asset)?;
            if !when.holds(&names).map_err(|e| e.to_string())? {
                let reason = format!("does not hold: {}", when.text());
                return Ok(Some(Step::Skip { reason }));
            }
        }
        relay(claim, key, found.as_ref()).map_err(|e| e.to_string())?
    };
    plan.body = Some(body(claim, &envelope, &relay)?);
    if claim.frozen.is_some() && !config.in_order() {
        return Ok(None);
    }
    // What was frozen before may have lost its turn since: it was dead, and waits again.
    let once = (config.once_per == OncePer::Inspection && is_inspection(&claim.event_type))
        .then(|| inspection_key(&claim.source, &claim.identity, &claim.destination_id));
    let line = (config.order_by == OrderBy::Asset && !claim.replayed)
        .then(|| plan.asset.clone())
        .flatten();
    Ok(Some(Step::Freeze {
        relay,
        asset: plan.asset.clone(),
        line,
        once,
        message: None,
        map: None,
        template: None,
        action: None,
        while_open: None,
    }))
}

fn body(claim: &Claim, envelope: &Envelope<'_>, relay: &str) -> Result<Vec<u8>, String> {
    let mut body = Vec::with_capacity(claim.body.len() + relay.len() + 16);
    transform::write_body(&mut body, envelope, relay).map_err(|e| e.to_string())?;
    Ok(body)
}

fn unwanted(shared: &Shared, claim: &Claim, notice: bool) -> Option<String> {
    if notice {
        return (!shared.config.hears_notices)
            .then(|| "a notice of the relay is for those that `notify` names".to_owned());
    }
    let wanted = shared.config.events.contains(&claim.event_type);
    (!wanted).then(|| format!("{} is not among the event types", claim.event_type))
}

fn map(shared: &Shared, envelope: &Envelope<'_>, action: Option<&str>) -> Option<Match> {
    let subject = Subject::of(envelope);
    let map = shared.assets.borrow().clone();
    let found = map.find(&subject);
    if found.is_none() && action.is_some() {
        shared.unmapped.note(&map, &subject);
    }
    found
}

fn names<'a>(
    when: &Expression,
    claim: &Claim,
    envelope: &Envelope<'_>,
    action: Option<&'a str>,
    asset: Option<&'a str>,
) -> Result<Names<'a>, String> {
    let wants_event = when
        .names()
        .any(|name| name == "event" || name.starts_with("event."));
    let event = if wants_event {
        let value = serde_json::from_slice(&claim.body);
        Some(value.map_err(|e| format!("the filter cannot read the event: {e}"))?)
    } else {
        None
    };
    let inspection = is_inspection(&claim.event_type).then(|| Inspection {
        action,
        mission: envelope.data("missionName"),
        robot: envelope.data("robotNickname"),
        asset,
        alert: claim.event_type == ALERT,
        severity: None,
    });
    Ok(Names { event, inspection })
}

fn relay(claim: &Claim, key: &str, found: Option<&Match>) -> Result<String, serde_json::Error> {
    let received_at = claim.received_at.to_string();
    let mut relay = Relay::new(key, &claim.source, claim.origin.as_str(), received_at);
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

fn is_inspection(event_type: &str) -> bool {
    matches!(event_type, COMPLETED | ALERT)
}

/// The asset that an earlier try was sent with.
fn frozen_asset(relay: &str) -> Option<String> {
    let relay: Value = serde_json::from_str(relay).ok()?;
    relay.get("asset")?.get("id")?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_members_that_a_filter_may_ask_for_are_those_that_there_are() {
        let inspection = Inspection {
            action: None,
            mission: None,
            robot: None,
            asset: None,
            alert: false,
            severity: None,
        };
        let value = serde_json::to_value(inspection).unwrap();
        let mut members: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        let mut named = INSPECTION_MEMBERS.map(str::to_owned);
        members.sort();
        named.sort();
        assert_eq!(members, named);
    }
}
