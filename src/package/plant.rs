//! The plant's own files in a package: `.env`, `relay.toml`, `assets.csv`, and secrets.
//!
//! # Invariants
//! - They are read as the relay reads them.
//! - No value is in a row.

use super::contents::{ASSETS, COMPOSE, Contents, DOTENV, RELAY};
use super::leaks;
use crate::config::{Config, ConfigError, dotenv, settings};
use crate::relay::assets::AssetMap;
use crate::table::Row;

/// So many are told one by one.
const TOLD: usize = 10;

/// Rows for the plant's files, and for what in them is secret.
pub(super) fn rows(contents: &Contents) -> Vec<Row> {
    let mut secrets = secrets(contents);
    let rows: [(&str, Judge); 3] = [(DOTENV, dotenv), (RELAY, relay), (ASSETS, assets)];
    let mut rows: Vec<_> = rows
        .into_iter()
        .map(|(name, judge)| match contents.texts.get(name) {
            None => Row::unknown(name, "is not in the package"),
            Some(text) => judge(text, &mut secrets),
        })
        .collect();
    rows.push(credentials(&secrets));
    rows
}

type Judge = fn(&[u8], &mut Vec<String>) -> Row;

fn dotenv(text: &[u8], secrets: &mut Vec<String>) -> Row {
    let variables = match dotenv::parse(text) {
        Ok(variables) => variables,
        Err(error) => return Row::bad(DOTENV, error.to_string(), "mend that line"),
    };
    let mut unknown = Vec::new();
    for (name, value, line) in &variables {
        if leaks::names_a_secret(name) || leaks::holds_credentials(value) {
            secrets.push(format!("{name} in {DOTENV}"));
        }
        if settings::of_variable(name).is_none() {
            unknown.push(format!("{name} (line {line})"));
        }
    }
    let count = variables.len();
    if unknown.is_empty() {
        Row::good(DOTENV, format!("variables: {count}, all known"))
    } else {
        // The configuration file may name any.
        Row::unknown(
            DOTENV,
            format!(
                "variables: {count}; no settings of the relay: {}",
                told(&unknown)
            ),
        )
        .advising("look for a slip in these names, unless relay.toml names them")
    }
}

fn relay(text: &[u8], secrets: &mut Vec<String>) -> Row {
    if leaks::holds_credentials(&String::from_utf8_lossy(text)) {
        secrets.push(format!("a URL in {RELAY}"));
    }
    match Config::file_is_plain(RELAY, text) {
        Ok(()) => Row::good(
            RELAY,
            "is TOML, and its settings are known; destinations and secrets are judged at the start",
        ),
        Err(ConfigError::Wrong(problems)) => {
            let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
            Row::bad(RELAY, told(&problems), "mend these lines")
        }
        Err(error) => Row::bad(RELAY, error.to_string(), "mend it"),
    }
}

fn assets(text: &[u8], _: &mut Vec<String>) -> Row {
    match AssetMap::parse(text) {
        Ok(map) => Row::good(ASSETS, format!("rows: {}", map.len())),
        Err(error) => Row::bad(ASSETS, error.to_string(), "mend these lines"),
    }
}

/// What the contents of files give away. `.env` is read line by line, and what is written into
/// the compose file has a row of its own.
fn secrets(contents: &Contents) -> Vec<String> {
    let files = contents.files.iter();
    let files = files.filter(|(name, _)| ![DOTENV, COMPOSE].contains(&name.as_str()));
    let told = files.flat_map(|(name, found)| found.told(name));
    // What has no such ending, or these, is a key or a secret as a whole.
    let ends = ["key", "token", "secret"];
    let whole = contents.files.keys().filter(|name| {
        let (bare, end) = name.rsplit_once('.').unwrap_or((name, "secret"));
        !bare.is_empty() && ends.contains(&end)
    });
    told.chain(whole.cloned()).collect()
}

fn credentials(secrets: &[String]) -> Row {
    const NAME: &str = "credentials";
    if secrets.is_empty() {
        Row::good(NAME, "none were found")
    } else {
        Row::unknown(NAME, format!("contains credentials: {}", told(secrets)))
            .advising("give this file to nobody, and keep it as you keep a password")
    }
}

/// The first of them, and how many more.
pub(super) fn told(what: &[String]) -> String {
    let all: Vec<_> = what.iter().take(TOLD).map(String::as_str).collect();
    match what.len().checked_sub(TOLD).filter(|more| *more > 0) {
        Some(more) => format!("{}; and {more} more", all.join("; ")),
        None => all.join("; "),
    }
}
