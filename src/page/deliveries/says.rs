//! What an event says of its inspection.
//!
//! # Invariants
//! - Pure. Any bytes give something, and no panic.
//! - Bounded: [`MOST_READINGS`], [`MOST_PICTURES`].

use jiff::Timestamp;
use serde::Serialize;

use crate::event::{Envelope, Origin};
use crate::relay::journal::{Enrichment, EventRow};
use crate::relay::transform::json::Json;
use crate::relay::transform::model::{Facts, build};

/// So many readings are shown.
const MOST_READINGS: usize = 200;
/// So many photographs are shown.
const MOST_PICTURES: usize = 12;

/// What it says.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Says {
    /// In one line.
    pub(crate) summary: Option<String>,
    /// When the robot inspected.
    pub(crate) at: Option<Timestamp>,
    pub(crate) action: Option<String>,
    pub(crate) mission: Option<String>,
    pub(crate) robot: Option<String>,
    pub(crate) operator: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) severity: Option<String>,
    pub(crate) alert: bool,
    pub(crate) readings: Vec<Reading>,
    /// So many more are not shown.
    pub(crate) more_readings: usize,
    pub(crate) pictures: Vec<Picture>,
    /// So many more are not shown.
    pub(crate) more_pictures: usize,
}

/// One reading.
#[derive(Debug, Serialize)]
pub(crate) struct Reading {
    pub(crate) name: String,
    /// Its value, with its digits.
    pub(crate) value: String,
    pub(crate) unit: Option<String>,
    pub(crate) channel: Option<String>,
}

/// One photograph.
#[derive(Debug, Serialize)]
pub(crate) struct Picture {
    /// Its number; the first is 1.
    pub(crate) n: i64,
    pub(crate) name: String,
    /// Where the page has it.
    pub(crate) url: String,
}

impl Says {
    /// What this event says.
    pub(super) fn of(event: &EventRow, known: &Enrichment) -> Self {
        let model = build(&Facts {
            event: &event.body,
            event_type: &event.event_type,
            source: &event.source,
            origin: &event.origin,
            received_at: event.received_at,
            key: "",
            run: known.run.as_deref(),
            anomaly: known.anomaly.as_deref(),
            enrichment: None,
            asset_of: &|_| None,
            url_of: &|_| None,
            orbit: None,
            settings: &Json::Null,
        });
        let Some(inspection) = model.get("inspection").filter(|of| !of.is_null()) else {
            return Self::default();
        };
        let text = |name: &str| inspection.get(name)?.as_str().map(str::to_owned);
        let items = |name: &str| model.get(name).map_or(&[][..], Json::items);
        let readings = items("readings");
        let pictures = items("captures").iter();
        // A sample names photographs that nobody took.
        let is_sample = event.origin == Origin::Sample.as_str();
        let pictures: Vec<_> = pictures
            .filter(|_| !is_sample)
            .filter_map(|capture| picture(capture, event.seq))
            .collect();
        Self {
            summary: text("summary"),
            at: text("time").and_then(|at| at.parse().ok()),
            action: text("action"),
            mission: text("mission"),
            robot: text("robot"),
            operator: text("operator"),
            title: text("title"),
            severity: text("severity_word"),
            alert: inspection.get("alert").and_then(Json::as_bool) == Some(true),
            more_readings: readings.len().saturating_sub(MOST_READINGS),
            readings: readings.iter().take(MOST_READINGS).map(reading).collect(),
            more_pictures: pictures.len().saturating_sub(MOST_PICTURES),
            pictures: pictures.into_iter().take(MOST_PICTURES).collect(),
        }
    }

    /// The run event that an inspection is known by.
    pub(super) fn run_event(event: &EventRow) -> Option<String> {
        let envelope = Envelope::of(&event.event_type, &event.body).ok()?;
        envelope.data("uuid")
    }
}

fn picture(capture: &Json, seq: i64) -> Option<Picture> {
    capture.get("is_image")?.as_bool().filter(|is| *is)?;
    let n = capture.get("index")?.as_i64()?.checked_add(1)?;
    Some(Picture {
        n,
        name: capture.get("name")?.as_str()?.to_owned(),
        url: format!("/events/{seq}/picture?n={n}"),
    })
}

fn reading(reading: &Json) -> Reading {
    let text = |name: &str| reading.get(name)?.as_str().map(str::to_owned);
    let value = match reading.get("value") {
        None | Some(Json::Null) => "no value".to_owned(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Bool(true)) => "yes".to_owned(),
        Some(Json::Bool(false)) => "no".to_owned(),
        Some(other) => other.to_string(),
    };
    Reading {
        name: text("name").unwrap_or_else(|| "value".to_owned()),
        value,
        unit: text("unit"),
        channel: text("channel"),
    }
}

/// A JSON text with line breaks and nothing else changed: members in their order, numbers with
/// their digits. What is no JSON is left as it is; at most about `most` characters.
pub(super) fn pretty(json: &str, most: usize) -> String {
    let is_json = serde_json::from_str::<&serde_json::value::RawValue>(json).is_ok();
    if !is_json || json.len() > most {
        let mut shown: String = json.chars().take(most).collect();
        if shown.len() < json.len() {
            shown.push('…');
        }
        return shown;
    }
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    let mut before = ' ';
    for c in json.chars() {
        if quoted {
            text.push(c);
            quoted = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            before = c;
            continue;
        }
        match c {
            ' ' | '\t' | '\r' | '\n' => continue,
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !matches!(before, '{' | '[') {
                    break_line(&mut text, depth);
                }
                text.push(c);
            }
            _ => {
                if matches!(before, '{' | '[' | ',') {
                    break_line(&mut text, depth);
                }
                text.push(c);
                match c {
                    '{' | '[' => depth += 1,
                    ':' => text.push(' '),
                    '"' => quoted = true,
                    _ => {}
                }
            }
        }
        before = c;
        if text.len() > most.saturating_mul(4) {
            text.push('…');
            break;
        }
    }
    text
}

fn break_line(text: &mut String, depth: usize) {
    text.push('\n');
    text.extend(std::iter::repeat_n("  ", depth.min(40)));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_nothing_else_is_changed() {
        let json = r#"{"b":[1.50,{}, [ ],"a\"}{,:\\"],"a":{"b":null}}"#;
        let expected = "{\n  \"b\": [\n    1.50,\n    {},\n    [],\n    \"a\\\"}{,:\\\\\"\n  ],\n  \
            \"a\": {\n    \"b\": null\n  }\n}";
        assert_eq!(pretty(json, 1000), expected);
        assert_eq!(pretty("not JSON", 1000), "not JSON");
        assert_eq!(pretty("not JSON", 3), "not…");
        let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
        assert!(pretty(&deep, 1000).len() < 20_000);
    }

    proptest! {
        #[test]
        fn broken_into_lines_it_is_the_same_json(text in "[a-z\"\\\\{}\\[\\],: \n0-9é]{0,40}") {
            let json = serde_json::json!({"k": [text.clone(), {"x": text}], "n": 1}).to_string();
            let again: serde_json::Value = serde_json::from_str(&pretty(&json, 10_000)).unwrap();
            prop_assert_eq!(again.to_string(), json);
        }
    }
}
