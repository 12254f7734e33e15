//! Who is asked before a delivery goes.
//!
//! Each destination asks this of itself, by the settings of the gate: that the gate is down, paused
//! or behind says nothing of an event that is not its own.
//!
//! # Invariants
//! - Pure.
//! - Only what goes out for the first time is asked of: no retry, and nothing that a person sent
//!   again. A gate waits for no gate, and a notice and a sample for one destination for none.

use std::sync::Arc;

use super::cargo::Draft;
use super::config::OnFailure;
use super::model::{View, asset_for};
use super::own::{is_notice, unwanted};
use super::prepare::kind;
use super::sample;
use super::{Config, Gate};
use crate::event;
use crate::relay::journal::Asked;
use crate::relay::transform::expression::Expression;
use crate::relay::transform::template::Scope;

/// The gates that this event is for; none where no gate has a say.
pub(super) fn asked(draft: &Draft<'_>) -> Option<Vec<Asked>> {
    let (shared, claim) = (draft.shared, draft.claim);
    let is_new = claim.frozen.is_none() && !claim.replayed;
    let exempt = is_notice(&claim.source, &claim.event_type) || sample::is_for_it(claim);
    if !is_new || shared.config.gate.is_some() || exempt {
        return None;
    }
    let gates = shared.gates.iter();
    let gates = gates.filter_map(|config| Some((config, config.gate.as_ref()?)));
    let gates = gates.filter(|(config, _)| is_for(config, draft));
    Some(gates.map(|(config, gate)| ask(config, gate)).collect())
}

/// The names that the filters of those gates ask for that this destination may have to ask of.
pub(super) fn names(config: &Config, gates: &[Config]) -> Vec<String> {
    if config.gate.is_some() {
        return Vec::new();
    }
    let sources: Vec<_> = config.takes.iter().map(|takes| &takes.source).collect();
    let shares = |gate: &&Config| gate.takes.iter().any(|of| sources.contains(&&of.source));
    let filters = gates
        .iter()
        .filter(shares)
        .filter_map(|gate| gate.when.as_ref());
    filters.flat_map(Expression::names).collect()
}

fn ask(config: &Config, gate: &Gate) -> Asked {
    Asked {
        gate: config.destination.id.clone(),
        limit: gate.limit,
        passes: gate.on_failure == OnFailure::Pass,
    }
}

/// Whether the gate takes it. Where its filter fails, nobody knows: the gate's own delivery is
/// given up then, and the gate's `on_failure` says what becomes of the event. Nor where Orbit has
/// not said all that is used here: the gate may wait for it longer.
fn is_for(config: &Config, draft: &Draft<'_>) -> bool {
    let claim = draft.claim;
    if unwanted(config, &claim.source, draft.envelope).is_some() {
        return false;
    }
    let Some(when) = &config.when else {
        return true;
    };
    if draft.learnt.missing.is_some() {
        return true;
    }
    let (source, known) = (&*claim.source, &draft.learnt.known);
    let kind = kind(config, source, &claim.event_type);
    let id = &config.destination.id;
    let key = event::idempotency_key(source, kind, &claim.identity, id);
    let asset = asset_for(config, draft.map, source, draft.envelope, known);
    let view = View {
        config,
        key: &key,
        asset: asset.as_ref(),
        ..draft.view()
    };
    let holds = when.holds_in(&Scope::new(Arc::new(view.model())));
    holds.unwrap_or_else(|error| {
        let (seq, gate) = (claim.lease.seq, &config.destination.name);
        tracing::warn!(seq, gate, %error, "deliver: the gate cannot be asked: its `when` fails");
        true
    })
}
