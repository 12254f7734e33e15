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
    step: Option<Step>,
}

/// Claims, and makes ready what was claimed. An error means that nothing is ready; what was
/// claimed is free again when its lease ends.
pub(super) async fn fill(shared: Arc<Shared>, want: Want) -> Result<Filled, WriteError> {
    let probe = want.probe;
    let mut claims = shared.journal.claim(want).await?;
    let claimed = std::mem::take(&mut claims.now);
    let mut filled = Filled {
        ready: Vec::with_capacity(claimed.len()),
        claimed: claimed.len(),
        claims,
    };
    let mut plans: Vec<Plan> = claimed
        .into_iter()
        .map(|claim| plan(&shared, claim))
        .collect();
    let steps: Vec<(Lease, Step)> = plans
        .iter_mut()
        .filter_map(|plan| Some((plan.claim.lease, plan.step.clone()?)))
        .collect();
    let fates = if steps.is_empty() {
        Vec::new()
    } else {
        let at = shared.clock.wall();
        shared.journal.prepare(steps, at).await?
    };
    let mut fates = fates.into_iter();
    for plan in plans {
        let frozen = match plan.step {
            None => plan.claim.frozen.clone(),
            Some(step) => match (fates.next(), step) {
                (Some(Fate::Send), Step::Freeze { relay, .. }) => Some(relay),
                _ => None,
            },
        };
        let Some(relay) = frozen else { continue };
        match transform::body(&plan.claim.body, &relay) {
            Ok(body) => filled.ready.push(Ready {
                claim: plan.claim,
                key: plan.key,
                body,
                asset: plan.asset,
                action: plan.action,
                probe,
            }),
            // It was an object when it was accepted, so this is a journal that was tampered with.
            Err(error) => tracing::error!(%error, seq = plan.claim.lease.seq, "deliver: no body"),
        }
    }
    Ok(filled)
}

fn plan(shared: &Shared, claim: Claim) -> Plan {
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
        step: None,
    };
    match step(shared, &mut plan) {
        Ok(step) => plan.step = step,
        Err(reason) => {
            tracing::error!(seq = plan.claim.lease.seq, reason, "deliver: dead");
            plan.step = Some(Step::Bury { reason });
        }
    }
    plan
}

fn step(shared: &Shared, plan: &mut Plan) -> Result<Option<Step>, String> {
    let Plan { claim, key, .. } = plan;
    let envelope = Envelope::parse(&claim.body).map_err(|e| e.to_string())?;
    plan.action = envelope.data("actionName");
    if let Some(relay) = &claim.frozen {
        plan.asset = frozen_asset(relay);
        return Ok(None);
    }
    let notice = claim.source == event::RELAY;
    if let Some(reason) = unwanted(shared, claim, notice) {
        return Ok(Some(Step::Skip { reason }));
    }
    let found = map(shared, &envelope, plan.action.as_deref());
    let asset = found.as_ref().map(|found| found.asset_id.clone());
    if let Some(when) = shared.config.when.as_ref().filter(|_| !notice) {
        let names = names(
            when,
            claim,
            &envelope,
            plan.action.as_deref(),
            asset.as_deref(),
        );
        let holds = names.and_then(|names| when.holds(&names).map_err(|e| e.to_string()))?;
        if !holds {
            let reason = format!("does not hold: {}", when.text());
            return Ok(Some(Step::Skip { reason }));
        }
    }
    let relay = relay(claim, key, found.as_ref()).map_err(|e| e.to_string())?;
    let once = (shared.config.once_per == OncePer::Inspection && is_inspection(&claim.event_type))
        .then(|| inspection_key(&claim.source, &claim.identity, &claim.destination_id));
    let line = match (shared.config.order_by, &asset) {
        (OrderBy::Asset, Some(asset)) if !claim.replayed => Some(asset.clone()),
        _ => None,
    };
    plan.asset.clone_from(&asset);
    Ok(Some(Step::Freeze {
        relay,
        asset,
        line,
        once,
    }))
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
    let subject = Subject {
        orbit_asset_id: envelope.data("assetId"),
        element_id: envelope.data("elementId"),
        action_uuid: envelope.data("actionUuid"),
        action_name: action.map(str::to_owned),
        mission_name: envelope.data("missionName"),
        robot: envelope.data("robotNickname"),
    };
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

/// The asset that an earlier try was sent with, for the log.
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
