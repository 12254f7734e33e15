//! `template test`: the requests that an event would make at a destination, and none is sent.
//!
//! # Invariants
//! - Nothing is sent, nothing is written, no token is fetched; no secret is shown.

use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::args::{json, settings};
use super::{Outcome, Usage, print};
use crate::app::assets::Assets;
use crate::app::preview;
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::orbit::client;
use crate::relay::assets::Match;
use crate::relay::deliver;
use crate::relay::deliver::preview::{Came, PreviewedRequest, Verdict};
use crate::relay::journal::Reader;
use crate::relay::receive::LARGEST_BODY;

pub(super) fn command() -> Command {
    Command::new("template")
        .about("Try what a destination would get")
        .subcommand_required(true)
        .subcommand(
            Command::new("test")
                .about(
                    "Show the requests that an event makes, secrets as ***; nothing is sent. What \
                     an answer would give stands as its name, such as steps.create.id",
                )
                .args([
                    Arg::new("destination")
                        .long("destination")
                        .value_name("NAME")
                        .help("The destination's name")
                        .required(true),
                    Arg::new("event")
                        .long("event")
                        .value_name("FILE|ID")
                        .help(
                            "A file with an event as Orbit sends it, or the number or uuid of an \
                             event in the journal",
                        )
                        .required(true),
                    json(),
                ])
                .args(settings()),
        )
}

pub(super) fn test(input: &Input, matches: &ArgMatches) -> Outcome {
    let text = |name| matches.get_one::<String>(name).map_or("", String::as_str);
    let config = Config::load(input)?;
    let to = destination(&config, text("destination"))?;
    let event = event(&config, text("event"))?;
    let map = Assets::map(config.asset_map.as_deref());
    let map = map.map_err(|error| Usage(format!("{error:#}")))?;
    let orbit = config.orbit_host.as_ref();
    let orbit = orbit.and_then(|orbit| client::base_url(&orbit.host));
    let orbit = orbit.as_ref();
    let preview = preview::at(to, &map, &event, orbit).map_err(anyhow::Error::msg)?;
    if matches.get_flag("json") {
        let json = preview.json(&to.destination.name);
        print(&serde_json::to_string(&json)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&asset(preview.row.as_ref()))?;
    print(&becomes(&preview.verdict, preview.requests.len()))?;
    for request in &preview.requests {
        for line in lines(request) {
            print(&line)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn destination<'a>(config: &'a Config, name: &str) -> anyhow::Result<&'a deliver::Config> {
    let mut all = config.destinations.iter();
    let found = all.find(|of| of.destination.name == name || of.destination.id == name);
    let names = config.destinations.iter().map(|of| &*of.destination.name);
    let names: Vec<_> = names.collect();
    found.ok_or_else(|| {
        let there = match names.as_slice() {
            [] => "none is configured".to_owned(),
            names => format!("configured: {}", names.join(", ")),
        };
        Usage(format!("no destination `{name}`; {there}")).into()
    })
}

/// A file goes before an event of the journal.
fn event(config: &Config, wanted: &str) -> anyhow::Result<Came> {
    if let Some(body) = file(Path::new(wanted))? {
        return Came::of(body, Clock::system().wall()).map_err(anyhow::Error::msg);
    }
    let mut reader = Reader::open(&config.data_dir)
        .map_err(|error| Usage(format!("there is no file {wanted}, and {error}")))?;
    let Some(event) = reader.find(wanted)?.pop() else {
        return Err(Usage(format!(
            "neither a file nor an event in the journal: `{wanted}`; orbit-relay events list shows \
             them"
        ))
        .into());
    };
    Ok(preview::kept(&mut reader, event)?)
}

/// The event in a file, if there is one.
pub(super) fn file(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let refuse = |what: &str| Usage(format!("{}: {what}", path.display()));
    let file = match std::fs::File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(&error.to_string()).into()),
        Ok(file) => file,
    };
    let mut body = Vec::new();
    let limit = u64::try_from(LARGEST_BODY).unwrap_or(u64::MAX);
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut body);
    read.map_err(|error| refuse(&error.to_string()))?;
    if body.len() > LARGEST_BODY {
        return Err(refuse("it is larger than 8 MiB; no event is").into());
    }
    Ok(Some(body))
}

fn asset(row: Option<&Match>) -> String {
    match row {
        Some(row) => format!("asset: {:?} ({})", row.asset_id, row.why),
        None => "asset: none is known".to_owned(),
    }
}

fn becomes(verdict: &Verdict, count: usize) -> String {
    let requests = match count {
        1 => "one request".to_owned(),
        count => format!("at most {count} requests"),
    };
    match verdict {
        Verdict::Sent => format!("it would be sent, in {requests}:"),
        Verdict::Skipped(reason) => {
            format!("it would be skipped ({reason}); otherwise {requests}:")
        }
        Verdict::Parked => {
            format!("it would be parked until the asset map has an asset for it; then {requests}:")
        }
    }
}

fn lines(request: &PreviewedRequest) -> Vec<String> {
    let PreviewedRequest {
        round,
        adds,
        when,
        method,
        url,
        headers,
        body,
        ..
    } = request;
    let adds = if *adds {
        ", to add to an open ticket"
    } else {
        ""
    };
    let when = when.as_ref().map(|when| format!(", if {when}"));
    let mut lines = vec![
        String::new(),
        format!("{round}{adds}{}", when.unwrap_or_default()),
        format!("{method} {url}"),
    ];
    let headers = headers.iter();
    lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
    if let Some(body) = body {
        lines.push(String::new());
        lines.push(body.clone());
    }
    lines
}
