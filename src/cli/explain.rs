//! `deliveries show`, also called `explain`: one delivery in words. Why this asset, what Orbit said,
//! what was sent, what came back, when the next try is and why.
//!
//! # Invariants
//! - No secret is shown: the journal holds none, and the destination's own headers are not read.

use std::process::ExitCode;

use clap::ArgMatches;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::deliveries::{DeliveryJson, next_at};
use super::destinations::{ActJson, act_line, trouble};
use super::learnt::{self, Learnt};
use super::{Outcome, Usage, choose, print};
use crate::config::{Config, Input};
use crate::event::{Envelope, idempotency_key};
use crate::relay::journal::{DeliveryDetail, Reader, State};
use crate::relay::transform;

#[derive(Serialize)]
struct DetailJson<'a> {
    #[serde(flatten)]
    delivery: DeliveryJson<'a>,
    delivery_key: String,
    next: String,
    failures: u32,
    replayed: bool,
    waits_for: Option<String>,
    gate: Option<&'a str>,
    cancels: Option<&'a str>,
    last_change_at: Option<String>,
    answer: Option<&'a str>,
    headers: Vec<(&'static str, String)>,
    body: Option<Box<RawValue>>,
    #[serde(flatten)]
    learnt: &'a Learnt,
    act: Option<ActJson<'a>>,
    acts_since: Vec<ActJson<'a>>,
}

pub(super) fn show(input: &Input, matches: &ArgMatches) -> Outcome {
    let mut reader = Reader::open(&Config::data_dir(input)?)?;
    let wanted = matches.get_one::<String>("id");
    let id = choose::id(&reader.sums()?, wanted.map_or("", String::as_str))?;
    let Some(detail) = reader.delivery(&id)? else {
        return Err(Usage(format!(
            "no delivery `{id}`; orbit-relay deliveries list shows them"
        ))
        .into());
    };
    let learnt = Learnt::of(&detail, learnt::map(input).as_ref());
    if matches.get_flag("json") {
        print(&serde_json::to_string(&json(&detail, &learnt)?)?)?;
    } else {
        for line in lines(&detail, &learnt) {
            print(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn json<'a>(detail: &'a DeliveryDetail, learnt: &'a Learnt) -> anyhow::Result<DetailJson<'a>> {
    let body = sent_body(detail).filter(|_| !learnt.has_template());
    let body = body.and_then(|body| String::from_utf8(body).ok());
    let destination = &detail.delivery.id.destination;
    Ok(DetailJson {
        delivery: DeliveryJson::new(
            &detail.delivery,
            next_at(&detail.delivery, Some(&detail.destination)),
        ),
        delivery_key: key(detail),
        next: next(detail),
        failures: detail.failures,
        replayed: detail.replayed,
        waits_for: detail.waits_for.map(|seq| format!("{destination}:{seq}")),
        gate: detail.gate.as_deref(),
        cancels: detail.cancels.as_deref(),
        last_change_at: detail.changed_at.map(|at| at.to_string()),
        answer: detail.answer.as_deref(),
        headers: headers(detail),
        body: body.map(RawValue::from_string).transpose()?,
        learnt,
        act: detail.act.as_ref().map(ActJson::new),
        acts_since: detail.since.iter().map(ActJson::new).collect(),
    })
}

fn lines(detail: &DeliveryDetail, learnt: &Learnt) -> Vec<String> {
    let delivery = &detail.delivery;
    let (id, state) = (&delivery.id, delivery.state.as_str());
    let action = Envelope::parse(&detail.event.body)
        .ok()
        .and_then(|envelope| envelope.data("actionName"))
        .map(|action| format!(" about the action {action:?}"))
        .unwrap_or_default();
    let mut lines = vec![
        format!("{id}: {state}"),
        format!(
            "event: {:?}{action}, number {}, known as {:?}, received at {} from {} ({})",
            delivery.event_type,
            id.seq,
            delivery.event,
            delivery.received_at,
            detail.event.source,
            detail.event.origin
        ),
        format!("asset: {}{}", asset(detail), learnt.row()),
        format!("tries: {}", tries(detail)),
    ];
    lines.extend(learnt.of_orbit());
    lines.extend(
        detail
            .act
            .iter()
            .map(|act| format!("act: {}", act_line(act))),
    );
    lines.push(format!("next: {}", next(detail)));
    for act in &detail.since {
        lines.push(format!("since then, at the destination: {}", act_line(act)));
    }
    if let Some(why) = &detail.cancels {
        lines.push(format!(
            "as a gate, it keeps the event from others: {why:?}"
        ));
    }
    match &detail.answer {
        Some(answer) => lines.push(format!("the last answer began: {answer:?}")),
        None => lines.push("no answer is kept".to_owned()),
    }
    if learnt.has_template() {
        lines.extend(learnt.requests());
    } else if let Some(body) = sent_body(detail) {
        lines
            .push("what is sent, besides the destination's own headers and authentication:".into());
        for (name, value) in headers(detail) {
            lines.push(format!("{name}: {value}"));
        }
        lines.push(String::new());
        lines.push(String::from_utf8_lossy(&body).into_owned());
    } else {
        lines.push("no body was made yet; the event as it came:".into());
        lines.push(String::from_utf8_lossy(&detail.event.body).into_owned());
    }
    lines
}

/// Why this asset: what the frozen part of the body says.
fn asset(detail: &DeliveryDetail) -> String {
    let frozen = detail.relay.as_deref();
    let frozen: Option<Value> = frozen.and_then(|relay| serde_json::from_str(relay).ok());
    let Some(frozen) = frozen else {
        return match &detail.delivery.asset {
            Some(asset) => format!("{asset:?}"),
            None => "looked up when it is sent".to_owned(),
        };
    };
    let text = |name: &str| frozen.get("asset")?.get(name)?.as_str();
    match (text("id"), text("matched_by")) {
        (Some(id), Some("orbit")) => format!("{id:?}, as Orbit itself names it"),
        (Some(id), Some("default")) => format!("{id:?}, which `unmapped` names"),
        (Some(id), Some(by)) => format!("{id:?}, found in the asset map by {by}"),
        (Some(id), None) => format!("{id:?}"),
        (None, _) => "none: no row of the asset map was about it when it was first sent".to_owned(),
    }
}

fn tries(detail: &DeliveryDetail) -> String {
    let delivery = &detail.delivery;
    let at = detail
        .changed_at
        .map(|at| format!(", the last ended at {at:.0}"))
        .unwrap_or_default();
    let reason = delivery
        .reason
        .as_ref()
        .map(|reason| format!(": {reason:?}"))
        .unwrap_or_default();
    if delivery.attempts == 0 {
        return format!("none yet{reason}");
    }
    let failed = match detail.failures {
        0 => String::new(),
        n => format!(", {n} failed in a row"),
    };
    format!("{}{failed}{at}{reason}", delivery.attempts)
}

/// When the next try is, and why then.
fn next(detail: &DeliveryDetail) -> String {
    let destination = &detail.delivery.id.destination;
    match (detail.delivery.state, detail.state) {
        (State::Delivered, _) => "none: the destination took it".to_owned(),
        (State::Skipped, _) => "none: the destination does not want it, see the reason".to_owned(),
        (State::Discarded, _) => "none: it was discarded".to_owned(),
        (State::Dead, _) => format!(
            "none: it is given up and kept; orbit-relay deliveries replay {} sends it again",
            detail.delivery.id
        ),
        (State::Sending, _) => "it is being tried now".to_owned(),
        (State::Parked, State::Parked) if detail.unmapped => format!(
            "none until the asset map has an asset for it, or: orbit-relay deliveries replay {}",
            detail.delivery.id
        ),
        (State::Parked, State::Parked) => "none until a person has seen to it".to_owned(),
        (State::Parked, _) => format!(
            "none for now: {}",
            trouble(&detail.destination).unwrap_or_default()
        ),
        (State::Pending | State::Postponed, _) => {
            let when = waiting(detail);
            match trouble(&detail.destination) {
                Some(trouble) => format!("{when}; but {destination}: {trouble}"),
                None => when,
            }
        }
    }
}

fn waiting(detail: &DeliveryDetail) -> String {
    let destination = &detail.delivery.id.destination;
    if let Some(seq) = detail.waits_for {
        return format!("when {destination}:{seq}, which goes first, has ended");
    }
    if let (Some(gate), false) = (&detail.gate, detail.for_orbit) {
        let limit = detail.delivery.due_at;
        let limit = limit.map(|at| format!(", at the latest about {at:.0}"));
        return format!(
            "when the gate {gate} has answered{}",
            limit.unwrap_or_default()
        );
    }
    let due = detail.delivery.due_at.max(detail.hold_until);
    let asked = match (detail.not_before, detail.hold_until) {
        (Some(at), _) | (None, Some(at)) if Some(at) == due => {
            ", because the destination asked for that much time"
        }
        _ if detail.for_orbit => ", when Orbit is asked again",
        _ if detail.failures > 0 => ", by the schedule of retries",
        _ => "",
    };
    match due {
        Some(at) => format!("about {at:.0}{asked}"),
        None if detail.replayed => {
            "as soon as nothing new and no retry waits for the destination".to_owned()
        }
        None => "as soon as it is its turn".to_owned(),
    }
}

fn headers(detail: &DeliveryDetail) -> Vec<(&'static str, String)> {
    let key = key(detail);
    vec![
        ("Content-Type", "application/json".to_owned()),
        ("Idempotency-Key", key.clone()),
        ("webhook-id", key),
        ("Relay-Attempt", detail.delivery.attempts.max(1).to_string()),
    ]
}

/// What it was sent with, or will be.
fn key(detail: &DeliveryDetail) -> String {
    let (event, delivery) = (&detail.event, &detail.delivery);
    let frozen = detail.relay.as_deref().and_then(transform::key_of);
    frozen.unwrap_or_else(|| {
        idempotency_key(
            &event.source,
            &event.event_type,
            &event.identity,
            &delivery.id.destination,
        )
    })
}

fn sent_body(detail: &DeliveryDetail) -> Option<Vec<u8>> {
    let relay = detail.relay.as_deref()?;
    transform::body(&detail.event.body, relay).ok()
}
