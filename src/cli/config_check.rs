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
            print(&line(&setting))?;
        }
        for destination in &config.shown_destinations {
            print("")?;
            print(&format!("destination {}", destination.name))?;
            for key in &destination.keys {
                print(&format!("  {}", line(key)))?;
            }
        }
        for warning in warnings {
            complain(&format!("warning: {warning}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn line(shown: &Shown) -> String {
    format!("{} = {} (from {})", shown.name, shown.value, shown.origin)
}

fn object(config: &Config, warnings: &[&str]) -> Value {
    let keys = |shown: &[Shown]| -> Vec<Value> {
        let keys = shown.iter();
        keys.map(|key| json!({"name": key.name, "value": key.value, "from": key.origin}))
            .collect()
    };
    let destinations: Vec<_> = config
        .shown_destinations
        .iter()
        .map(|shown| json!({"name": shown.name, "keys": keys(&shown.keys)}))
        .collect();
    json!({
        "settings": keys(&config.shown_settings()),
        "destinations": destinations,
        "warnings": warnings,
    })
}
