//! `status`, `events list` and `events show`: what the journal holds, beside a running relay or without one.
//!
//! # Invariants
//! - Nothing is written. Output for programs is one JSON object a line; its members are
//!   documented in docs/data-model.md.

use std::process::ExitCode;

use clap::ArgMatches;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::destinations::DestinationJson;
use super::{Outcome, Usage, dump, print};
use crate::config::{Config, Input};
use crate::event::{Envelope, ORBIT, idempotency_key};
use crate::reconcile::backfill;
use crate::reconcile::orbit_clock::{self, Noted};
use crate::reconcile::webhook::NOTE_RECONCILED;
use crate::relay::journal::{DeliveryRow, EventRow, Job, Reader, Sums};
use crate::relay::transform;

#[derive(Serialize)]
struct StatusJson<'a> {
    received: u64,
    accepted: u64,
    duplicate: u64,
    rejected: u64,
    rejected_by_reason: &'a BTreeMap<String, u64>,
    backfilled: u64,
    last_event_at: Option<String>,
    orbit: &'a OrbitJson,
    destinations: Vec<DestinationJson<'a>>,
    jobs: Vec<JobJson<'a>>,
    adds_up: bool,
}

/// What is known of Orbit.
#[derive(Serialize)]
struct OrbitJson {
    last_reconcile_at: Option<String>,
    backfill_looked_at: Option<String>,
    backfill_cursor: Option<String>,
    clock_skew_ms: Option<i64>,
    clock_learnt_at: Option<String>,
}

#[derive(Serialize)]
struct JobJson<'a> {
    job: i64,
    act: &'static str,
    destination: &'a str,
    who: &'a str,
    at: String,
    filter: String,
    done: u64,
    at_seq: i64,
    last_seq: i64,
}

#[derive(Serialize)]
struct EventJson<'a> {
    seq: i64,
    source: &'a str,
    event_type: &'a str,
    event: &'a str,
    origin: &'a str,
    received_at: String,
    action: Option<String>,
    body_bytes: usize,
    deliveries: Vec<DeliveryJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
}

#[derive(Serialize)]
struct DeliveryJson<'a> {
    delivery: String,
    destination: &'a str,
    state: &'static str,
    attempts: u32,
    asset: Option<&'a str>,
    reason: Option<&'a str>,
}

pub(super) fn status(input: &Input, json: bool) -> Outcome {
    let mut reader = Reader::open(&Config::data_dir(input)?)?;
    let (sums, jobs) = reader.status()?;
    let orbit = OrbitJson::read(&reader)?;
    if json {
        print(&serde_json::to_string(&status_json(&sums, &jobs, &orbit))?)?;
    } else {
        let last_event = sums.last_event_at;
        let last_event = last_event.map(|at| format!("the last event of Orbit came at {at}"));
        let lines = sums.lines().into_iter().chain(last_event);
        let lines = lines.chain(orbit.lines());
        for line in lines.chain(jobs.iter().map(job_line)) {
            print(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl OrbitJson {
    fn read(reader: &Reader) -> anyhow::Result<Self> {
        let progress = reader.note(backfill::NOTE)?;
        let progress = progress.and_then(|note| backfill::Progress::of_note(&note));
        let progress = progress.unwrap_or_default();
        let clock = reader.note(orbit_clock::NOTE)?;
        let clock: Option<Noted> = clock.and_then(|note| serde_json::from_str(&note).ok());
        Ok(Self {
            last_reconcile_at: reader.note(NOTE_RECONCILED)?,
            backfill_looked_at: progress.looked_at.map(|at| at.to_string()),
            backfill_cursor: progress.cursor.map(|at| at.to_string()),
            clock_skew_ms: clock.as_ref().map(|clock| clock.skew_ms),
            clock_learnt_at: clock.map(|clock| clock.at.to_string()),
        })
    }

    fn lines(&self) -> Vec<String> {
        let reconciled = self
            .last_reconcile_at
            .as_ref()
            .map(|at| format!("Orbit last answered about our webhook at {at}"));
        let looked = self.backfill_looked_at.as_ref().map(|at| {
            let cursor = self.backfill_cursor.as_deref().unwrap_or("nothing yet");
            format!("backfill: Orbit was looked through at {at}, up to {cursor} on its clock")
        });
        let skew = self.clock_skew_ms.and_then(orbit_clock::in_words);
        [reconciled, looked, skew].into_iter().flatten().collect()
    }
}

pub(super) fn list(input: &Input, matches: &ArgMatches) -> Outcome {
    let mut page = dump::page(matches)?;
    page.limit = matches.get_one("limit").copied().unwrap_or(20);
    let mut reader = Reader::open(&Config::data_dir(input)?)?;
    let json = matches.get_flag("json");
    let mut events = reader.events(&page)?;
    if events.is_empty() && !json {
        print("no events")?;
    }
    while let Some(oldest) = events.last() {
        page.before = Some(oldest.seq);
        for event in &events {
            page.limit = page.limit.saturating_sub(1);
            print(&if json {
                line(event, false)?
            } else {
                event_line(event)
            })?;
        }
        events = reader.events(&page)?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(input: &Input, matches: &ArgMatches) -> Outcome {
    let wanted = matches
        .get_one::<String>("event")
        .map_or("", String::as_str);
    let events = Reader::open(&Config::data_dir(input)?)?.find(wanted)?;
    if events.is_empty() {
        return Err(Usage(format!(
            "no event `{wanted}`; orbit-relay events list shows them"
        ))
        .into());
    }
    for event in &events {
        if matches.get_flag("json") {
            print(&line(event, true)?)?;
            continue;
        }
        print(&event_line(event))?;
        for delivery in event_json(event, false)?.deliveries {
            let (destination, state, attempts) =
                (delivery.destination, delivery.state, delivery.attempts);
            let asset = delivery
                .asset
                .map_or("none".to_owned(), |asset| format!("{asset:?}"));
            let reason = delivery
                .reason
                .map(|r| format!(", because: {r:?}"))
                .unwrap_or_default();
            print(&format!(
                "  {destination}: {state}, attempts {attempts}, asset {asset}{reason}"
            ))?;
            print(&format!("  idempotency key {}", delivery.delivery))?;
        }
        print(&String::from_utf8_lossy(&event.body))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The sums as one JSON object.
fn status_json<'a>(sums: &'a Sums, jobs: &'a [Job], orbit: &'a OrbitJson) -> StatusJson<'a> {
    StatusJson {
        received: sums.received(),
        accepted: sums.accepted,
        duplicate: sums.duplicate,
        rejected: sums.rejected.values().sum(),
        rejected_by_reason: &sums.rejected,
        backfilled: sums.backfilled,
        last_event_at: sums.last_event_at.map(|at| at.to_string()),
        orbit,
        destinations: sums
            .destinations
            .iter()
            .map(|d| DestinationJson::new(d, sums))
            .collect(),
        jobs: jobs.iter().map(job_json).collect(),
        adds_up: sums.mistakes().is_empty(),
    }
}

fn job_json(job: &Job) -> JobJson<'_> {
    JobJson {
        job: job.no,
        act: job.kind.as_str(),
        destination: &job.destination,
        who: &job.who,
        at: job.at.to_string(),
        filter: job.filter.to_string(),
        done: job.done,
        at_seq: job.at_seq,
        last_seq: job.last_seq,
    }
}

/// A bulk act that is not done, for people.
fn job_line(job: &Job) -> String {
    let Job {
        kind,
        destination,
        filter,
        who,
        at,
        done,
        at_seq,
        last_seq,
        ..
    } = job;
    format!(
        "{destination}: {} under way since {at:.0}, asked for by {who} ({filter}): {done} done, at \
         event {at_seq} of {last_seq}",
        kind.as_str()
    )
}

fn event_line(event: &EventRow) -> String {
    let action = action(event)
        .map(|action| format!(" {action:?}"))
        .unwrap_or_default();
    let states: Vec<_> = event
        .deliveries
        .iter()
        .map(|delivery| format!("{} {}", delivery.destination, delivery.state.as_str()))
        .collect();
    let states = if states.is_empty() {
        "kept".to_owned()
    } else {
        states.join(", ")
    };
    let source = match event.source.as_str() {
        ORBIT => String::new(),
        other => format!("{other} "),
    };
    let at = event.received_at;
    format!(
        "{} {at} {source}{:?}{action} {:?}: {states}",
        event.seq, event.event_type, event.identity
    )
}

/// The event for programs.
pub(super) fn line(event: &EventRow, with_body: bool) -> anyhow::Result<String> {
    Ok(serde_json::to_string(&event_json(event, with_body)?)?)
}

fn event_json(event: &EventRow, with_body: bool) -> anyhow::Result<EventJson<'_>> {
    let body = match String::from_utf8(event.body.clone()) {
        Ok(text) if with_body => Some(RawValue::from_string(text)?),
        _ => None,
    };
    Ok(EventJson {
        seq: event.seq,
        source: &event.source,
        event_type: &event.event_type,
        event: &event.identity,
        origin: &event.origin,
        received_at: event.received_at.to_string(),
        action: action(event),
        body_bytes: event.body.len(),
        deliveries: event
            .deliveries
            .iter()
            .map(|delivery| DeliveryJson {
                delivery: key(event, delivery),
                destination: &delivery.destination,
                state: delivery.state.as_str(),
                attempts: delivery.attempts,
                asset: delivery.asset.as_deref(),
                reason: delivery.reason.as_deref(),
            })
            .collect(),
        body,
    })
}

fn action(event: &EventRow) -> Option<String> {
    Envelope::parse(&event.body).ok()?.data("actionName")
}

/// What it was sent with, or will be.
fn key(event: &EventRow, delivery: &DeliveryRow) -> String {
    let frozen = delivery.relay.as_deref().and_then(transform::key_of);
    frozen.unwrap_or_else(|| {
        idempotency_key(
            &event.source,
            &event.event_type,
            &event.identity,
            &delivery.destination,
        )
    })
}
