//! `schema`: the documented shapes, for programs.
//!
//! # Invariants
//! - No setting is read.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::layout::{Layout, lay_out};
use super::{Outcome, Usage, print};
use crate::event::{ALERT, COMPLETED, TEST};
use crate::orbit::sample;
use crate::own::{self, ANSWER, Own};
use crate::relay::transform::json::Json;
use crate::relay::transform::model;

/// What the relay adds to each event.
const RELAY: &str = include_str!("relay.schema.json");
/// What `trigger` adds.
const SAMPLE: &str = r#"{"type":"object","description":"Of a sample only: nothing happened","properties":{"destination":{"type":"string","description":"The one that it is for, by its id"}}}"#;
/// What a destination of the form `event` gets.
const CONTENT_TYPE: &str = "application/json";
/// What templates and filters see.
const MODEL: &str = "event";

pub(super) fn command() -> Command {
    Command::new("schema")
        .about(
            "Print content type and JSON Schema of what is sent for an event, or of the model that \
             templates see; without EVENT what there is",
        )
        .arg(Arg::new("event").value_name("EVENT").help(
            "A type, such as delivery.dead; or `event`: the model, which docs/event-model.md \
             describes",
        ))
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    match matches.get_one::<String>("event").map(String::as_str) {
        None => {
            for (name, about) in all() {
                print(&format!("{name:28} {about}"))?;
            }
        }
        Some(MODEL) => print(model::SCHEMA.trim_end())?,
        Some(event_type) => {
            let schema = schema(event_type).ok_or_else(|| unknown(event_type))?;
            print(&format!("Content-Type: {CONTENT_TYPE}\n\n{schema}"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether it is a type of Orbit's or one of the relay's own.
pub(super) fn has(event_type: &str) -> bool {
    let answers = event_type.strip_prefix(ANSWER);
    sample::TYPES.contains(&event_type)
        || Own::ALL.iter().any(|kind| kind.as_str() == event_type)
        || answers.is_some_and(|name| !name.is_empty())
}

/// The JSON Schema of the body that brings an event of this type.
fn schema(event_type: &str) -> Option<String> {
    let schema = if sample::TYPES.contains(&event_type) {
        sample::SCHEMA
    } else if has(event_type) {
        own::schema(event_type)?
    } else {
        return None;
    };
    let with_relay = with_relay(schema)?;
    let text = lay_out(with_relay.as_bytes(), Layout::Indented(2))?;
    String::from_utf8(text).ok()
}

/// The schema of a body, of the schema of its event.
fn with_relay(schema: &str) -> Option<String> {
    let Json::Object(mut members) = Json::parse(schema.as_bytes()).ok()? else {
        return None;
    };
    for (name, member) in &mut members {
        match (&**name, member) {
            ("properties", Json::Object(of)) => {
                for (name, added) in [("sample", SAMPLE), ("relay", RELAY)] {
                    of.push((name.to_owned(), Json::parse(added.as_bytes()).ok()?));
                }
            }
            ("required", Json::Array(names)) => names.push(Json::String("relay".to_owned())),
            _ => {}
        }
    }
    let mut text = String::new();
    Json::Object(members).write(&mut text);
    Some(text)
}

fn all() -> Vec<(String, &'static str)> {
    let mut all = vec![(
        MODEL.to_owned(),
        "what templates and filters see of an event",
    )];
    let orbit = sample::TYPES.map(|name| (name.to_owned(), of_orbit(name)));
    all.extend(orbit);
    all.extend(Own::ALL.map(|kind| (kind.as_str().to_owned(), of_relay(kind))));
    all.push((
        format!("{ANSWER}DESTINATION"),
        "a destination with answer_as = \"event\" took an event",
    ));
    all
}

fn of_orbit(event_type: &str) -> &'static str {
    match event_type {
        COMPLETED => "Orbit: an inspection was finished",
        ALERT => "Orbit: an inspection found something",
        TEST => "Orbit: the test button of its webhook page",
        _ => "Orbit",
    }
}

fn of_relay(kind: Own) -> &'static str {
    match kind {
        Own::Received => "relay: an event was taken",
        Own::BeforeDeliver => "relay: a delivery is about to be made for the first time",
        Own::AfterDeliver => "relay: a delivery has ended, well or not",
        Own::Dead => "relay: a delivery was given up",
        Own::Paused => "relay: a destination was paused",
        Own::Resumed => "relay: a destination was resumed",
        Own::Drift => "relay: our webhook in Orbit was not as it should be",
        Own::Found => "relay: backfill found what the webhook missed",
        Own::Unmapped => "relay: an action has no asset",
    }
}

fn unknown(event_type: &str) -> Usage {
    Usage(format!(
        "no schema of `{event_type}`{}; what another source sends is its own affair",
        hint(event_type)
    ))
}

/// What somebody may have meant who wrote a type that there is not.
pub(super) fn hint(event_type: &str) -> String {
    let likeness = |name: &str| strsim::jaro_winkler(name, event_type);
    let all = all().into_iter().map(|(name, _)| name).skip(1);
    let nearest = all.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    let nearest = nearest.unwrap_or_default();
    format!("; is it `{nearest}`? orbit-relay schema lists all")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_is_an_object_with_the_relays_part_which_it_wants() {
        let own = Own::ALL.map(Own::as_str);
        let answer = format!("{ANSWER}cmms");
        for event_type in sample::TYPES.iter().chain(&own).chain([&&*answer]) {
            let text = schema(event_type).unwrap();
            let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(schema["type"], "object", "{event_type}");
            let relay = &schema["properties"]["relay"]["properties"];
            assert!(relay["delivery"].is_object(), "{event_type}: {schema}");
            let required = schema["required"].as_array().unwrap();
            assert!(required.contains(&"relay".into()), "{event_type}");
        }
        for none in ["", "answer:", "order.status", "ACTION"] {
            assert_eq!(schema(none), None, "{none}");
        }
    }

    #[test]
    fn the_relays_part_has_the_members_that_are_sent() {
        let relay = crate::relay::transform::Relay::new("k", "orbit", "sample", "t".into());
        let sent: serde_json::Value = serde_json::from_str(&relay.to_json().unwrap()).unwrap();
        let schema: serde_json::Value = serde_json::from_str(RELAY).unwrap();
        for name in sent.as_object().unwrap().keys() {
            assert!(schema["properties"][name].is_object(), "{name}");
        }
        for name in schema["required"].as_array().unwrap() {
            assert!(sent.get(name.as_str().unwrap()).is_some(), "{name}");
        }
    }
}
