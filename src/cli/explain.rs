//! `deliveries show`, also called `explain`: one delivery in words. Why this asset, what Orbit said,
//! what was sent, what came back, when the next try is and why.
//!
//! # Invariants
//! - No secret is shown: the journal holds none, and the destination's own headers are not read.

use std::process::ExitCode;

use clap::ArgMatches;
use serde::Serialize;
use serde_json::value::RawValue;

use super::deliveries::{DeliveryJson, next_at};
use super::destinations::{ActJson, act_line};
use super::{Outcome, Usage, choose, print};
use crate::app::assets::Assets;
use crate::app::learnt::Learnt;
use crate::app::words::{self, asset, key, sent_body, tries};
use crate::config::{Config, Input};
use crate::event::Envelope;
use crate::relay::assets::AssetMap;
use crate::relay::journal::{DeliveryDetail, Reader, State};

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
    let learnt = Learnt::of(&detail, map(input).as_ref());
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

/// The map that a start would load now; none where it cannot be loaded.
fn map(input: &Input) -> Option<AssetMap> {
    let path = Config::asset_map(input).ok()?;
    Assets::map(path.as_deref()).ok()
}

/// When the next try is, and what a person can do about it.
fn next(detail: &DeliveryDetail) -> String {
    let (next, id) = (words::next(detail), &detail.delivery.id);
    match (detail.delivery.state, detail.state) {
        (State::Dead, _) => format!("{next}; orbit-relay deliveries replay {id} sends it again"),
        (State::Parked, State::Parked) if detail.unmapped => {
            format!("{next}, or: orbit-relay deliveries replay {id}")
        }
        _ => next,
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
