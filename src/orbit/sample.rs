//! Events as Orbit sends them, made up: for whoever wants to see how one travels.
//!
//! # Invariants
//! - Pure: the same chance and time give the same bytes.
//! - A person sees of each that nothing happened. No picture is named, so none is asked for.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::clock::shifted;
use crate::event::{ALERT, COMPLETED, TEST};

/// The types that there is a sample of.
pub const TYPES: [&str; 3] = [COMPLETED, ALERT, TEST];

/// The JSON Schema of Orbit's events, as they are sent to a destination.
pub const SCHEMA: &str = include_str!("event.schema.json");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    uuid: String,
    #[serde(rename = "type")]
    event_type: &'static str,
    time: Timestamp,
    data: Payload,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    action: Option<RunEvent>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    alert: Option<Alert>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    data_captures: Vec<Capture>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RunEvent {
    uuid: String,
    run_uuid: String,
    time: Timestamp,
    created_at: Timestamp,
    action_name: &'static str,
    action_uuid: String,
    mission_name: &'static str,
    event_type: &'static str,
    error: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    title: &'static str,
    severity: u8,
    custom_metadata_tags: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Capture {
    uuid: String,
    time: Timestamp,
    created_at: Timestamp,
    channel_name: &'static str,
    key_results: [KeyResult; 2],
}

#[derive(Serialize)]
struct KeyResult {
    name: &'static str,
    units: &'static str,
    value: f64,
}

/// The body of an event of this type; none of types that Orbit does not have. `chance` makes its
/// ids its own.
pub fn sample(event_type: &str, chance: u128, at: Timestamp) -> Option<String> {
    let event_type = TYPES.into_iter().find(|known| *known == event_type)?;
    let at = at.round(jiff::Unit::Millisecond).unwrap_or(at);
    let all = Uuid::from_u128(chance);
    let id = |of: &str| Uuid::new_v5(&all, of.as_bytes()).to_string();
    let seen = shifted(at, -12_000);
    let value = |name, units, value| KeyResult { name, units, value };
    let action = RunEvent {
        uuid: id("event"),
        run_uuid: id("run"),
        time: seen,
        created_at: at,
        action_name: "SAMPLE P-101 motor DE",
        action_uuid: id("action"),
        mission_name: "SAMPLE mission",
        event_type: "daq",
        error: 0,
    };
    let capture = |channel_name, key_results| Capture {
        uuid: id("capture"),
        time: seen,
        created_at: at,
        channel_name,
        key_results,
    };
    let data = match event_type {
        COMPLETED => Payload {
            action: Some(action),
            alert: None,
            data_captures: vec![capture(
                "spot-cam-ir",
                [
                    value("Region 1 Max", "C", 61.4),
                    value("Region 2 Max", "C", 24.0),
                ],
            )],
        },
        ALERT => Payload {
            action: Some(action),
            alert: Some(Alert {
                title: "SAMPLE: leak detected",
                severity: 3,
                custom_metadata_tags: ["sample"],
            }),
            data_captures: vec![capture(
                "leak-source",
                [
                    value("SPL At Source", "dB", 58.2),
                    value("Leak Rate", "m3/s", 0.00005),
                ],
            )],
        },
        _ => Payload {
            action: None,
            alert: None,
            data_captures: Vec::new(),
        },
    };
    let sent = Sent {
        uuid: id("envelope"),
        event_type,
        time: at,
        data,
    };
    serde_json::to_string(&sent).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event;

    fn at() -> Timestamp {
        "2026-02-03T09:14:07.118Z".parse().unwrap()
    }

    #[test]
    fn a_sample_has_the_members_that_orbit_sends_but_for_pictures_and_says_what_it_is() {
        for (event_type, fixture) in [
            (
                COMPLETED,
                &include_bytes!("../../tests/fixtures/thermal.json")[..],
            ),
            (
                ALERT,
                include_bytes!("../../tests/fixtures/acoustic-leak-alert.json"),
            ),
            (TEST, include_bytes!("../../tests/fixtures/test-empty.json")),
        ] {
            let body = sample(event_type, 1, at()).unwrap();
            let ours: serde_json::Value = serde_json::from_str(&body).unwrap();
            let real: serde_json::Value = serde_json::from_slice(fixture).unwrap();
            let none = serde_json::Map::new();
            for at in [
                "",
                "/data",
                "/data/dataCaptures/0",
                "/data/dataCaptures/0/keyResults/0",
            ] {
                let members = ours
                    .pointer(at)
                    .and_then(|of| of.as_object())
                    .unwrap_or(&none);
                for name in members.keys() {
                    let there = real.pointer(at).is_some_and(|of| of.get(name).is_some());
                    assert!(there, "{event_type}: Orbit has no {at}/{name}");
                }
            }
            assert_eq!(body.contains("SAMPLE"), event_type != TEST, "{body}");
            assert!(!body.contains("dataUrl"), "{body}");
        }
        assert_eq!(sample("order.status", 1, at()), None);
    }

    #[test]
    fn two_samples_are_two_events_and_one_is_always_the_same() {
        let identity = |chance| {
            let body = sample(ALERT, chance, at()).unwrap();
            event::Envelope::parse(body.as_bytes())
                .unwrap()
                .identity(body.as_bytes())
        };
        assert_eq!(identity(1), identity(1));
        assert_ne!(identity(1), identity(2));
        assert!(matches!(identity(1), event::Identity::RunEvent(_)));
    }
}
