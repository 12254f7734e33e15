//! `template test`: the requests that an event makes, without any being sent.
//!
//! # Invariants
//! - Nothing is sent, and nothing written. No secret is shown.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command};
use serde::Serialize;

use super::args::{json, settings};
use super::{Outcome, Usage, print};
use crate::app::assets::Assets;
use crate::config::{Config, Input};
use crate::orbit::client::base_url;
use crate::relay::deliver::preview::{PreviewedRequest, Verdict, preview, verdict};
use crate::relay::journal::{Enrichment, Reader};

/// No event is larger.
const LARGEST: u64 = 8 << 20;

#[derive(Serialize)]
struct RequestJson<'a> {
    step: &'a str,
    round: &'a str,
    adds: bool,
    when: Option<&'a str>,
    method: &'a str,
    url: &'a str,
    headers: &'a [(String, String)],
    body: Option<&'a str>,
}

pub(super) fn command() -> Command {
    Command::new("template")
        .about("Try what destinations send")
        .subcommand_required(true)
        .subcommand(
            Command::new("test")
                .about(
                    "Show the requests that an event makes, without sending them; what answers \
                     and secrets would give stands as its name",
                )
                .args([
                    Arg::new("destination")
                        .long("destination")
                        .value_name("NAME")
                        .help("Of this destination")
                        .required(true),
                    Arg::new("event")
                        .long("event")
                        .value_name("FILE|ID")
                        .help(
                            "An event as Orbit sends it, or one of the journal: its number or uuid",
                        )
                        .required(true),
                ])
                .args(settings())
                .arg(json()),
        )
}

pub(super) fn test(input: &Input, matches: &ArgMatches) -> Outcome {
    let config = Config::load(input)?;
    let text = |name| matches.get_one::<String>(name).map_or("", String::as_str);
    let (name, wanted) = (text("destination"), text("event"));
    let mut all = config.destinations.iter();
    let Some(destination) = all.find(|known| known.destination.name == name) else {
        let names = config.destinations.iter();
        let names: Vec<_> = names.map(|known| known.destination.name.as_str()).collect();
        let error = format!("no destination `{name}`; there are: {}", names.join(", "));
        return Err(Usage(error).into());
    };
    let map = Assets::map(config.asset_map.as_deref())?;
    let orbit = config.orbit.as_ref();
    let orbit = orbit.and_then(|orbit| base_url(&orbit.host));
    let Wanted { body, known, at } = event(wanted, &config.data_dir)?;
    let decided = verdict(destination, &map, &body, &known, orbit.as_ref(), at);
    let requests = preview(destination, &map, &body, &known, orbit.as_ref(), at);
    let (decided, requests) = match (decided, requests) {
        (Ok(decided), Ok(requests)) => (decided, requests),
        (Err(error), _) | (_, Err(error)) => anyhow::bail!("it makes no requests: {error}"),
    };
    if matches.get_flag("json") {
        for request in &requests {
            print(&serde_json::to_string(&as_json(request))?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    match decided {
        Verdict::Sent => {}
        Verdict::Skipped(why) => print(&format!("This event would be skipped: {why}.\n"))?,
        Verdict::Parked => print("This event would wait for a row of the asset map.\n")?,
    }
    for request in &requests {
        for line in lines(request) {
            print(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The event that is meant.
struct Wanted {
    body: Vec<u8>,
    known: Enrichment,
    at: jiff::Timestamp,
}

/// A file of this name goes before an event of the journal.
fn event(wanted: &str, data_dir: &Path) -> anyhow::Result<Wanted> {
    if let Ok(found) = std::fs::metadata(wanted) {
        anyhow::ensure!(found.is_file(), "{wanted} is no file");
        anyhow::ensure!(found.len() <= LARGEST, "{wanted} has more than 8 MiB");
        return Ok(Wanted {
            body: std::fs::read(wanted).with_context(|| wanted.to_owned())?,
            known: Enrichment::default(),
            at: jiff::Timestamp::UNIX_EPOCH,
        });
    }
    let mut reader = Reader::open(data_dir)?;
    let Some(found) = reader.find(wanted)?.into_iter().next() else {
        let error = format!("`{wanted}` is no file, and no event of the journal");
        return Err(Usage(error).into());
    };
    Ok(Wanted {
        known: reader.enrichment(found.seq)?,
        body: found.body,
        at: found.received_at,
    })
}

fn as_json(request: &PreviewedRequest) -> RequestJson<'_> {
    RequestJson {
        step: &request.step,
        round: &request.round,
        adds: request.adds,
        when: request.when.as_deref(),
        method: request.method,
        url: &request.url,
        headers: &request.headers,
        body: request.body.as_deref(),
    }
}

fn lines(request: &PreviewedRequest) -> Vec<String> {
    let adds = if request.adds {
        ", while a ticket is open"
    } else {
        ""
    };
    let when = request.when.as_ref().map(|when| format!(", if {when}"));
    let mut lines = vec![
        format!("--- {}{adds}{}", request.round, when.unwrap_or_default()),
        format!("{} {}", request.method, request.url),
    ];
    let headers = request.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
    lines.push(String::new());
    if let Some(body) = &request.body {
        lines.push(body.clone());
        lines.push(String::new());
    }
    lines
}
