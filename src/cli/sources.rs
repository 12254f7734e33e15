//! `sources list`: who sends, where, how it is checked, and what is taken of it.
//!
//! # Invariants
//! - Nothing is started, opened for writing, or asked over a network.
//! - No secret is shown.

use std::process::ExitCode;

use clap::Command;
use serde_json::{Value, json};

use super::{Outcome, args, print};
use crate::config::{Config, Input, ShownSource};
use crate::event::{Glob, ORBIT, RELAY};
use crate::relay::receive::Source;
use crate::relay::transform::expression::Expression;

/// Where Orbit posts.
const OF_ORBIT: &str = "/, /hooks/orbit";

pub(super) fn command() -> Command {
    Command::new("sources")
        .about("Look at the sources: who sends, where, and what is taken of it")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("List them: Orbit, those of the configuration file, and the relay itself")
                .args(args::place())
                .arg(args::json()),
        )
}

pub(super) fn list(input: &Input, as_json: bool) -> Outcome {
    let config = Config::load(input)?;
    if as_json {
        for source in objects(&config) {
            print(&source.to_string())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let of_orbit = [
        ("path", OF_ORBIT),
        ("scheme", "orbit"),
        ("events", &config.webhook.events.join(", ")),
        ("max_age", of_orbit_max_age(&config)),
    ];
    tell(ORBIT, of_orbit.into_iter())?;
    for source in &config.shown_sources {
        tell(&source.name, told(source))?;
    }
    tell(
        RELAY,
        [("events", &*config.own_types().join(", "))].into_iter(),
    )?;
    if input.file.is_none() {
        print("no configuration file was read (--config FILE): other sources stand in one")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How old a signature of Orbit may be.
fn of_orbit_max_age(config: &Config) -> &str {
    let max_age = config.shown.iter().find(|shown| shown.name == "max-age");
    max_age.map_or("", |shown| &shown.value)
}

/// How old one of this source may be; none where it says no time.
fn max_age_of<'a>(config: &'a Config, name: &str) -> Option<&'a str> {
    let source = config
        .shown_sources
        .iter()
        .find(|source| source.name == name)?;
    let max_age = source.keys.iter().find(|key| key.name == "max_age")?;
    Some(&max_age.value)
}

/// What is told of a source; the rest `config check` has.
fn told(source: &ShownSource) -> impl Iterator<Item = (&'static str, &str)> {
    const KEYS: [&str; 9] = [
        "path",
        "scheme",
        "body_unsigned",
        "insecure",
        "events",
        "when",
        "allow",
        "rate_limit",
        "max_age",
    ];
    KEYS.into_iter().filter_map(|name| {
        let key = source.keys.iter().find(|key| key.name == name)?;
        Some((name, key.value.as_str()))
    })
}

fn tell<'a>(name: &str, keys: impl Iterator<Item = (&'static str, &'a str)>) -> Outcome {
    print(name)?;
    for (key, value) in keys {
        print(&format!("  {key:13}  {value}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Each source for programs, with the same members.
fn objects(config: &Config) -> Vec<Value> {
    let max_age = of_orbit_max_age(config);
    let mut all = vec![json!({
        "name": ORBIT,
        "paths": ["/", "/hooks/orbit"],
        "scheme": "orbit",
        "events": config.webhook.events,
        "when": null,
        "allow": [],
        "rate_limit": null,
        "max_age": max_age,
        "body_unsigned": false,
        "insecure": false,
    })];
    let sources = config.sources.iter();
    all.extend(sources.map(|source| object(source, max_age_of(config, &source.name))));
    all.push(json!({
        "name": RELAY,
        "paths": [],
        "scheme": null,
        "events": config.own_types(),
        "when": null,
        "allow": [],
        "rate_limit": null,
        "max_age": null,
        "body_unsigned": false,
        "insecure": false,
    }));
    all
}

fn object(source: &Source, max_age: Option<&str>) -> Value {
    let events: Vec<_> = source.events.iter().map(Glob::text).collect();
    let allow: Vec<_> = source.allow.iter().map(ToString::to_string).collect();
    let limit = source
        .rate_limit
        .map(|limit| json!({"per_minute": limit.per_minute.get(), "burst": limit.burst.get()}));
    json!({
        "name": source.name,
        "paths": [source.path],
        "scheme": source.scheme.name(),
        "events": events,
        "when": source.when.as_ref().map(Expression::text),
        "allow": allow,
        "rate_limit": limit,
        "max_age": max_age,
        "body_unsigned": source.scheme.body_unsigned(),
        "insecure": !source.scheme.wants_secret(),
    })
}
