//! Before anything is sent: claim → learn → map → filter → freeze, for several deliveries at once.
//!
//! # Invariants
//! - What the relay adds to a body, and the first request of a template, are frozen in the journal
//!   before the first byte goes out.
//! - All that one claim gave is settled in one commit.

use std::sync::Arc;

use super::cargo::{Cargo, Draft};
use super::gates;
use super::learn::{self, Learnt};
use super::model::{self, Found, is_inspection, of_orbit};
use super::own::{is_notice, unwanted};
use super::sample;
use super::{Config, OncePer, OrderBy, Shared, Unmapped, WhileOpen};
use crate::event::{self, ALERT, Envelope, ORBIT, inspection_key};
use crate::relay::assets::AssetMap;
use crate::relay::journal::{self, Asked, Claim, Claims, Fate, Lease, Step, Want, WriteError};
use crate::relay::transform;
use crate::relay::transform::model::ModelAsset;

/// A delivery that only has to be sent.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) claim: Claim,
    pub(super) key: String,
    pub(super) cargo: Cargo,
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
    /// Whether one was parked by an asset map that is not the latest any more.
    pub(super) parked_by_old_map: bool,
    /// What the claim said besides.
    pub(super) claims: Claims,
}

/// What is known of one claim before it may be sent.
struct Plan {
    claim: Claim,
    key: String,
    action: Option<String>,
    asset: Option<String>,
    /// None, if it is not to be sent.
    cargo: Option<Cargo>,
}

/// Claims, and makes ready what was claimed. An error means that nothing was claimed.
pub(super) async fn fill(shared: Arc<Shared>, want: Want) -> Result<Filled, WriteError> {
    let probe = want.probe;
    let mut claims = shared.journal.claim(want).await?;
    let claimed = std::mem::take(&mut claims.now);
    let mut filled = Filled {
        ready: Vec::with_capacity(claimed.len()),
        claimed: claimed.len(),
        claims,
        ..Filled::default()
    };
    let map = shared.assets.borrow().clone();
    let needs: Vec<_> = claimed
        .iter()
        .map(|claim| (claim, model::needs(&shared, &map, claim)))
        .collect();
    let learnt = match learn::learn(&shared, &needs).await {
        Ok(learnt) => learnt,
        Err(error) => {
            tracing::debug!(%error, "deliver: what was claimed is given back");
            filled.unsettled = claimed.iter().map(|claim| claim.lease).collect();
            return Ok(filled);
        }
    };
    let mut steps = Vec::new();
    let mut plans = Vec::with_capacity(claimed.len());
    let mut parks = false;
    for (claim, learnt) in claimed.into_iter().zip(learnt) {
        let (plan, step) = plan(&shared, &map, claim, &learnt);
        let asks = step.is_some();
        parks |= matches!(step, Some(Step::Park { .. }));
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
    filled.parked_by_old_map = parks && !Arc::ptr_eq(&map, &shared.assets.borrow());
    let mut fates = fates.into_iter();
    for (plan, asks) in plans {
        let fate = if asks {
            fates.next()
        } else {
            Some(Fate::Send { open: None })
        };
        let Some(Fate::Send { open }) = fate else {
            continue;
        };
        if let Some(mut cargo) = plan.cargo {
            cargo.with_open(open);
            filled.ready.push(Ready {
                claim: plan.claim,
                key: plan.key,
                cargo,
                asset: plan.asset,
                action: plan.action,
                probe,
            });
        }
    }
    Ok(filled)
}

/// The plan, and what the journal is asked; nothing, if it was frozen before.
fn plan(
    shared: &Shared,
    map: &Arc<AssetMap>,
    claim: Claim,
    learnt: &Learnt,
) -> (Plan, Option<Step>) {
    let id = &claim.destination_id;
    let kind = kind(&shared.config, &claim.source, &claim.event_type);
    let key = event::idempotency_key(&claim.source, kind, &claim.identity, id);
    let mut plan = Plan {
        key,
        claim,
        action: None,
        asset: None,
        cargo: None,
    };
    let step = step(shared, map, &mut plan, learnt).unwrap_or_else(|reason| {
        let (seq, destination) = (plan.claim.lease.seq, shared.destination.name());
        tracing::error!(seq, destination, reason, "deliver: dead");
        Some(Step::Bury { reason })
    });
    // What is sent is the other one.
    plan.claim.body = Vec::new();
    (plan, step)
}

/// What stands for the type in keys.
pub(super) fn kind<'a>(config: &Config, source: &str, event_type: &'a str) -> &'a str {
    if config.once_per == OncePer::Inspection && is_inspection(source, event_type) {
        event::INSPECTION
    } else {
        event_type
    }
}

fn step(
    shared: &Shared,
    map: &Arc<AssetMap>,
    plan: &mut Plan,
    learnt: &Learnt,
) -> Result<Option<Step>, String> {
    let config = &shared.config;
    let claim = &plan.claim;
    let envelope = Envelope::of(&claim.event_type, &claim.body).map_err(|e| e.to_string())?;
    plan.action = envelope
        .data("actionName")
        .filter(|_| claim.source == ORBIT);
    let found = if let Some(relay) = &claim.frozen {
        // The key that it was sent with, whatever has been configured since.
        plan.key = transform::key_of(relay).unwrap_or_else(|| plan.key.clone());
        model::frozen_asset(relay)
    } else {
        match look_up(shared, map, plan, learnt, &envelope)? {
            Ok(found) => found,
            Err(step) => return Ok(Some(step)),
        }
    };
    plan.asset = found.as_ref().map(|found| found.id.clone());
    let draft = Draft {
        shared,
        map,
        claim: &plan.claim,
        envelope: &envelope,
        key: &plan.key,
        asset: found.as_ref(),
        learnt,
    };
    if claim.frozen.is_none()
        && !sample::is_for_it(claim)
        && let Some(reason) = unheld(shared, claim, &draft)?
    {
        return Ok(Some(Step::Skip { reason }));
    }
    let relay = match &claim.frozen {
        Some(relay) => relay.clone(),
        None => draft.view().relay().map_err(|e| e.to_string())?,
    };
    let (cargo, message) = draft.cargo(&relay)?;
    let asked = gates::asked(&draft);
    plan.cargo = Some(cargo);
    if claim.frozen.is_some() && message.is_none() && !config.in_order() {
        return Ok(None);
    }
    Ok(Some(freeze(shared, map, plan, relay, message, asked)))
}

/// The asset of an event, if it is to be sent; or what becomes of it otherwise.
fn look_up(
    shared: &Shared,
    map: &Arc<AssetMap>,
    plan: &Plan,
    learnt: &Learnt,
    envelope: &Envelope<'_>,
) -> Result<Result<Option<ModelAsset>, Step>, String> {
    let claim = &plan.claim;
    let (source, kind) = (&*claim.source, &*claim.event_type);
    let by_takes = || unwanted(&shared.config, source, envelope);
    if let Some(reason) = sample::unwanted(claim, by_takes) {
        return Ok(Err(Step::Skip { reason }));
    }
    if let Some(why) = &learnt.missing
        && let Some(due_at) = learn::again_at(shared, claim)
    {
        let reason = format!("waits for Orbit: {why}");
        return Ok(Err(Step::Wait { due_at, reason }));
    }
    if source != ORBIT {
        return Ok(Ok(None));
    }
    let subject = match model::find(map, envelope, &learnt.known) {
        Found::Asset(found) => return Ok(Ok(Some(found))),
        Found::None(subject) => subject,
    };
    if of_orbit(claim) {
        shared.unmapped.note(map, &subject, shared.clock.wall());
    }
    Ok(match &shared.config.unmapped {
        _ if !is_inspection(source, kind) => Ok(None),
        Unmapped::Send => Ok(None),
        Unmapped::Default(id) => Ok(Some(model::default_asset(id))),
        Unmapped::Park => Err(park(shared, map, plan, learnt, envelope)?),
    })
}

fn freeze(
    shared: &Shared,
    map: &Arc<AssetMap>,
    plan: &Plan,
    relay: String,
    message: Option<String>,
    gates: Option<Vec<Asked>>,
) -> Step {
    let (config, claim) = (&shared.config, &plan.claim);
    let fresh = claim.frozen.is_none();
    // What was frozen before may have lost its turn since: it was dead, and waits again.
    let is_inspection = is_inspection(&claim.source, &claim.event_type);
    let once = (config.once_per == OncePer::Inspection && is_inspection)
        .then(|| inspection_key(&claim.source, &claim.identity, &claim.destination_id));
    let is_alert = of_orbit(claim) && claim.event_type == ALERT;
    let by_ticket = config.while_open != WhileOpen::Create && is_alert;
    let line = match (config.order_by, &plan.asset) {
        (OrderBy::Asset, Some(asset)) if !claim.replayed => Some(asset.clone()),
        _ if by_ticket => {
            let texts = [&plan.asset, &plan.action].map(|text| text.as_deref().unwrap_or_default());
            Some(texts.join("\n"))
        }
        _ => None,
    };
    Step::Freeze {
        relay,
        asset: plan.asset.clone(),
        line,
        once,
        template: message.as_ref().and(config.message.version.clone()),
        message,
        map: fresh.then(|| map.version().to_owned()),
        action: plan.action.clone(),
        while_open: by_ticket.then(|| journal::WhileOpen {
            asset: plan.asset.clone(),
            action: plan.action.clone(),
            skip: config.while_open == WhileOpen::Skip,
        }),
        gates,
    }
}

/// It waits for a row of the asset map, unless the filter would not have let it go anyhow. A sample
/// for this destination meets no filter.
fn park(
    shared: &Shared,
    map: &Arc<AssetMap>,
    plan: &Plan,
    learnt: &Learnt,
    envelope: &Envelope<'_>,
) -> Result<Step, String> {
    let draft = Draft {
        shared,
        map,
        claim: &plan.claim,
        envelope,
        key: &plan.key,
        asset: None,
        learnt,
    };
    if !sample::is_for_it(&plan.claim)
        && let Some(reason) = unheld(shared, &plan.claim, &draft)?
    {
        return Ok(Step::Skip { reason });
    }
    let action = plan.action.as_deref().unwrap_or_default();
    Ok(Step::Park {
        reason: format!("no asset for the action {action:?}: it waits for a row of the asset map"),
        map: Some(map.version().to_owned()),
        action: plan.action.clone(),
    })
}

/// Why the filter does not let it go.
fn unheld(shared: &Shared, claim: &Claim, draft: &Draft<'_>) -> Result<Option<String>, String> {
    let Some(when) = &shared.config.when else {
        return Ok(None);
    };
    if is_notice(&claim.source, &claim.event_type) {
        return Ok(None);
    }
    let holds = when.holds_in(&draft.scope()).map_err(|e| e.to_string())?;
    Ok((!holds).then(|| format!("does not hold: {}", when.text())))
}
