//! `config check`: the effective configuration, and where each value came from.
//!
//! # Invariants
//! - Nothing is started, opened for writing, or asked over a network.
//! - What is shown holds no secret; the configuration sees to that.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::{Outcome, Usage, complain, print};
use crate::config::{Config, Input, Shown};

pub(super) fn check(input: &Input, as_json: bool) -> Outcome {
    let config = Config::load(input)?;
    crate::app::assets::Assets::check(config.asset_map.as_deref())
        .map_err(|e| Usage(format!("{e:#}")))?;
    let warnings = config.not_configured.iter().chain(&config.warnings);
    let warnings: Vec<_> = warnings.map(String::as_str).collect();
    if as_json {
        print(&object(&config, &warnings).to_string())?;
    } else {
        for setting in config.shown_settings() {
            print(&setting.to_string())?;
        }
        let sources = config.shown_sources.iter();
        let sources = sources.map(|source| ("source", &source.name, &source.keys));
        let destinations = config.shown_destinations.iter();
        let destinations = destinations.map(|to| ("destination", &to.name, &to.keys));
        for (kind, name, keys) in sources.chain(destinations) {
            print("")?;
            print(&format!("{kind} {name}"))?;
            for key in keys {
                print(&format!("  {key}"))?;
            }
        }
        for warning in warnings {
            complain(&format!("warning: {warning}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn object(config: &Config, warnings: &[&str]) -> Value {
    let keys = |shown: &[Shown]| -> Vec<Value> {
        let keys = shown.iter();
        keys.map(|key| json!({"name": key.name, "value": key.value, "from": key.origin}))
            .collect()
    };
    let table = |name: &str, of: &[Shown]| json!({"name": name, "keys": keys(of)});
    let sources = config.shown_sources.iter();
    let sources: Vec<_> = sources.map(|of| table(&of.name, &of.keys)).collect();
    let destinations = config.shown_destinations.iter();
    let destinations: Vec<_> = destinations.map(|of| table(&of.name, &of.keys)).collect();
    json!({
        "settings": keys(&config.shown_settings()),
        "sources": sources,
        "destinations": destinations,
        "warnings": warnings,
    })
}
