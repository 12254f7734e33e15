//! Makes a journal in which events wait for a destination, for `bench/deliver.sh` and
//! `bench/backlog.sh`.
//!
//! It goes through the journal that the relay itself uses, many calls at a time, so that they are
//! committed in large groups. What it leaves behind is what a relay leaves that was stopped while
//! its destination was away.
//!
//! # Invariants
//! - No two events are the same, and their sizes do not depend on the run.
//! - A directory that holds a journal already is left alone.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::{Arg, Command, value_parser};
use jiff::Timestamp;
use orbit_relay::clock::{Clock, later};
use orbit_relay::event::{COMPLETED, Event, Identity, ORBIT, Origin};
use orbit_relay::relay::destination::INTEGRATION;
use orbit_relay::relay::journal::{
    Appended, Availability, Config, DATABASE, Disposition, Ended, Journal, Registered, Want,
};
use tokio::task::JoinSet;

/// As many calls wait for a commit: two full groups.
const UNDER_WAY: usize = 1024;
/// So many are claimed at once.
const CLAIMED: usize = 256;
/// Longer than any run.
const LEASE: Duration = Duration::from_hours(1);
/// Postponed deliveries are due only after the run.
const POSTPONED_BY: Duration = Duration::from_hours(24);

fn main() -> anyhow::Result<()> {
    let arguments = command().get_matches();
    let number = |name| arguments.get_one::<u32>(name).copied().unwrap_or_default();
    let Some(data_dir) = arguments.get_one::<PathBuf>("data-dir").cloned() else {
        bail!("--data-dir is missing");
    };
    ensure!(
        !data_dir.join(DATABASE).exists(),
        "{} holds a journal already",
        data_dir.display()
    );
    let (events, postponed) = (number("events"), number("postponed"));
    ensure!(postponed <= events, "more are postponed than there are");
    let made = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(fill(data_dir, events, number("captures"), postponed))?;
    writeln!(std::io::stdout(), "{made}")?;
    Ok(())
}

fn command() -> Command {
    let number = |name| {
        Arg::new(name)
            .long(name)
            .value_parser(value_parser!(u32))
            .default_value("0")
    };
    Command::new("fill")
        .about("Makes a journal in which events wait for the destination `integration`")
        .arg(
            Arg::new("data-dir")
                .long("data-dir")
                .value_parser(value_parser!(PathBuf))
                .required(true)
                .help("Where the journal is made"),
        )
        .arg(number("events").required(true).help("How many events"))
        .arg(
            number("captures")
                .default_value("9")
                .help("Captures of the largest events; the smallest have half as many"),
        )
        .arg(number("postponed").help("How many of them were tried once, and wait for tomorrow"))
}

async fn fill(
    data_dir: PathBuf,
    events: u32,
    captures: u32,
    postponed: u32,
) -> anyhow::Result<serde_json::Value> {
    let clock = Clock::system();
    let config = Config {
        data_dir,
        destinations: Some(vec![Registered {
            id: INTEGRATION.to_owned(),
            name: INTEGRATION.to_owned(),
        }]),
        keep_delivered: Config::KEEP_DELIVERED,
        limit_bytes: u64::MAX,
        says: Vec::new(),
    };
    let (journal, mut writer) = Journal::start(config, clock.clone())?;
    let mut availability = journal.availability();
    let found = availability
        .wait_for(|now| *now != Availability::Opening)
        .await?
        .clone();
    ensure!(found == Availability::Open, "the journal: {found:?}");
    let bytes = append(&journal, &clock, events, captures).await?;
    postpone(&journal, &clock, postponed).await?;
    drop(journal);
    writer.ended().await;
    Ok(serde_json::json!({
        "events": events,
        "postponed": postponed,
        "body_bytes": bytes / u64::from(events.max(1)),
    }))
}

/// Returns how many bytes the bodies have together.
async fn append(
    journal: &Journal,
    clock: &Clock,
    events: u32,
    captures: u32,
) -> anyhow::Result<u64> {
    let mut under_way = JoinSet::new();
    let mut bytes = 0;
    for n in 0..events {
        while under_way.len() >= UNDER_WAY {
            appended(under_way.join_next().await)?;
        }
        let event = event(n, captures, clock.wall());
        bytes += u64::try_from(event.body.len())?;
        let journal = journal.clone();
        under_way.spawn(async move { journal.append(event).await });
    }
    while !under_way.is_empty() {
        appended(under_way.join_next().await)?;
    }
    Ok(bytes)
}

fn appended<E, J>(ended: Option<Result<Result<Appended, E>, J>>) -> anyhow::Result<()>
where
    E: std::error::Error + Send + Sync + 'static,
    J: std::error::Error + Send + Sync + 'static,
{
    match ended.transpose()?.transpose()? {
        Some(Appended::Duplicate) => bail!("an event was there already"),
        Some(Appended::Accepted(_)) | None => Ok(()),
    }
}

/// As after a first try that failed.
async fn postpone(journal: &Journal, clock: &Clock, deliveries: u32) -> anyhow::Result<()> {
    let mut left = usize::try_from(deliveries)?;
    while left > 0 {
        let now = clock.steady();
        let want = Want {
            destination: INTEGRATION.to_owned(),
            limit: left.min(CLAIMED),
            replays: 0,
            probe: false,
            in_order: false,
            hasten: false,
            worked: Duration::ZERO,
            now,
            lease: LEASE,
        };
        let claims = journal.claim(want).await?;
        ensure!(!claims.now.is_empty(), "nothing is left to postpone");
        let ended = Ended {
            disposition: Disposition::Postponed {
                due_at: later(now, POSTPONED_BY),
                not_before: None,
                reason: "cannot connect: Connection refused (os error 111)".to_owned(),
            },
            answer: None,
            hold_until: None,
            order: None,
            cancels: None,
            answer_event: None,
            at: clock.wall(),
        };
        left -= claims.now.len();
        let leases = claims.now.iter().map(|claim| claim.lease);
        let ends = leases.map(|lease| (lease, ended.clone())).collect();
        journal.record(ends).await?;
    }
    Ok(())
}

/// A thermal inspection; how many captures it has depends on its number.
fn event(n: u32, captures: u32, now: Timestamp) -> Event {
    let uuid = uuid(n, 0);
    let least = captures.div_ceil(2);
    let captures = least + n % (captures - least + 1);
    let captures: Vec<String> = (1..=captures)
        .map(|capture| capture_of(n, capture))
        .collect();
    let body = format!(
        r#"{{"uuid":"{envelope}","type":"{COMPLETED}","time":"{now:.3}","data":{{"uuid":"{uuid}","runUuid":"7d0c41f2-5be6-4f0e-9c35-1f6a20b8e417","time":"{now:.3}","createdAt":"{now:.3}","actionName":"P-204 bearing NDE","actionUuid":"3a9be017-88d4-46a1-b7f3-02c5d94e6a58","missionName":"Compressor hall, early","eventType":"daq","error":0,"metadataFileUrl":"/daq/download/spot-12/2026-05-11T061940Z/P-204 bearing NDE/metadata.json","actionRunArchiveFileUrl":"/daq/download/spot-12/2026-05-11T061940Z/P-204 bearing NDE/archive.zip","dataCaptures":[{captures}]}}}}"#,
        envelope = self::uuid(n, u32::MAX),
        captures = captures.join(","),
    );
    Event {
        source: ORBIT.to_owned(),
        event_type: COMPLETED.to_owned(),
        identity: Identity::RunEvent(uuid.to_string()),
        origin: Origin::Webhook,
        received_at: now,
        body: body.into_bytes(),
    }
}

fn capture_of(n: u32, capture: u32) -> String {
    format!(
        r#"{{"time":"2026-05-11T06:19:40.274095+00:00","uuid":"{}","dataUrl":"/daq/download/spot-12/2026-05-11T061940Z/P-204 bearing NDE/P-204 bearing NDE spot-cam-ir.jpg","createdAt":"2026-05-11T06:19:51.6+00:00","keyResults":[{{"name":"Region {capture} Max","units":"C","value":58.9}}],"channelName":"spot-cam-ir"}}"#,
        uuid(n, capture)
    )
}

/// Distinct for each pair, and spread as random ones are.
fn uuid(n: u32, part: u32) -> uuid::Uuid {
    let mut bits: u128 = (u128::from(n) << 64) | u128::from(part);
    for _ in 0..3 {
        // Odd, so that nothing is lost in the product.
        bits = bits.wrapping_mul(0x2d99_787a_d9e2_1f6f_9e37_79b9_7f4a_7c15);
        bits ^= bits >> 61;
    }
    uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}
