//! `verify`: why a captured request does or does not verify, in words.
//!
//! ```text
//! mod      the command
//! judge    what is said of a request
//! headers  the headers, as people have them in a file
//! wanted   which headers a scheme wants
//! mistakes what may have gone wrong where the code does not match
//! ```
//!
//! # Invariants
//! - Nothing is sent, nothing is written; no secret is shown.

mod headers;
mod judge;
mod mistakes;
#[cfg(test)]
mod tests;
mod wanted;

pub(super) use self::judge::wants;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};

use super::args::settings;
use super::sender::Sender;
use super::{Outcome, TROUBLE, Usage, choose, print};
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::relay::receive::LARGEST_BODY;
use crate::relay::verify::Headers;

pub(super) fn command() -> Command {
    let file = |name: &'static str, help: &'static str| {
        let path = value_parser!(PathBuf);
        Arg::new(name)
            .long(name)
            .value_name("FILE")
            .help(help)
            .required(true)
            .value_parser(path)
    };
    Command::new("verify")
        .about("Say why a captured request does or does not verify; exit 4 if it does not, or is no event")
        .args([
            Arg::new("source")
                .long("source")
                .value_name("NAME")
                .help("Who sent it: orbit, or a source of the configuration")
                .required(true),
            file(
                "headers",
                "Its headers, `Name: value` one a line, as curl -v or nginx's debug log has them",
            ),
            file("body", "Its body, byte for byte"),
            Arg::new("at").long("at").value_name("TIME").help(
                "Judge its age as of then: RFC 3339, a date, or 2h for two hours ago [default: now]",
            ),
        ])
        .args(settings())
}

pub(super) fn run(input: &Input, matches: &ArgMatches) -> Outcome {
    let config = Config::load(input)?;
    let now = Clock::system().wall();
    let at = choose::when(matches, "at", now)?.unwrap_or(now);
    let source = matches.get_one::<String>("source");
    let sender = Sender::find(&config, source.map_or("", String::as_str))?;
    let others = Sender::others(&config, sender.name);
    let path = |name| {
        matches
            .get_one::<PathBuf>(name)
            .cloned()
            .unwrap_or_default()
    };
    let (headers_file, body_file) = (path("headers"), path("body"));
    let headers = read(&headers_file, headers::LARGEST)?;
    let headers = headers::parse(&headers)
        .map_err(|why| Usage(format!("{}: {why}", headers_file.display())))?;
    let body = read(&body_file, LARGEST_BODY)?;
    let headers = headers.iter().map(|(name, value)| (&**name, &**value));
    let headers = Headers(headers.collect());
    let judged = judge::judge(&sender, &others, &headers, &body, at);
    for line in &judged.lines {
        print(line)?;
    }
    Ok(if judged.would_do {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(TROUBLE)
    })
}

/// All of a file, if it is not larger.
fn read(path: &Path, largest: usize) -> anyhow::Result<Vec<u8>> {
    let refuse = |what: String| Usage(format!("{}: {what}", path.display()));
    let file = std::fs::File::open(path).map_err(|error| refuse(error.to_string()))?;
    let mut text = Vec::new();
    let limit = u64::try_from(largest).unwrap_or(u64::MAX);
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut text);
    read.map_err(|error| refuse(error.to_string()))?;
    if text.len() > largest {
        let kib = largest / 1024;
        return Err(refuse(format!(
            "it is larger than {kib} KiB; no request has that much"
        ))
        .into());
    }
    Ok(text)
}
