//! The shapes in which Orbit tells of inspections, members in Orbit's order.
//!
//! # Invariants
//! - What a run event looks like is the same in a webhook's `data` and in the API's answers.
//! - Outer times end in `Z` with milliseconds; times of captures end in `+00:00`, with up to
//!   six digits and no trailing zeros, as `PostgreSQL` prints them.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// A webhook's type for an inspection without a finding.
pub const ACTION_COMPLETED: &str = "ACTION_COMPLETED";

/// A webhook's type for an inspection with one.
pub const ACTION_COMPLETED_WITH_ALERT: &str = "ACTION_COMPLETED_WITH_ALERT";

/// What goes out to a webhook.
#[derive(Clone, Debug, Serialize)]
pub struct Envelope<'a, T: ?Sized> {
    /// This message's own id.
    pub uuid: &'a str,
    /// What has happened.
    #[serde(rename = "type")]
    pub event_type: &'a str,
    /// When it was sent.
    pub time: String,
    /// For the two action types a [`RunEvent`].
    pub data: &'a T,
}

/// One action that a robot has done.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in Orbit's API")]
pub struct RunEvent {
    pub uuid: String,
    pub run_uuid: String,
    pub time: String,
    pub created_at: String,
    pub action_name: String,
    pub action_uuid: String,
    pub mission_name: String,
    pub event_type: &'static str,
    pub error: u32,
    pub metadata_file_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    pub data_captures: Vec<RunCapture>,
}

/// One recording of an action: a picture, mostly, and what was read from it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in Orbit's API")]
pub struct RunCapture {
    pub time: String,
    pub uuid: String,
    pub data_url: String,
    pub created_at: String,
    pub key_results: Option<Vec<KeyResult>>,
    pub channel_name: &'static str,
}

/// One reading.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "named as in Orbit's API")]
pub struct KeyResult {
    pub name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<&'static str>,
    pub value: Value,
}

/// One lap of a mission.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in Orbit's API")]
pub struct Run {
    pub uuid: String,
    pub run_type: &'static str,
    pub start_time: String,
    pub end_time: Option<String>,
    pub action_count: usize,
    pub pending_action_count: usize,
    pub robot_nickname: &'static str,
    pub robot_hostname: &'static str,
    pub robot_serial: &'static str,
    pub operator_id: &'static str,
    pub mission_status: &'static str,
    pub mission_name: String,
}

/// A finding.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "named as in Orbit's API")]
pub struct Anomaly {
    pub uuid: String,
    pub time: String,
    pub created_at: String,
    pub element_id: String,
    pub asset_id: Option<String>,
    pub name: String,
    pub severity: u8,
    pub title: String,
    pub source: &'static str,
    pub run_uuid: String,
    pub run_event_uuid: String,
    pub status: String,
    pub status_modified_at: String,
    pub status_modified_by: Option<String>,
}

/// As JavaScript prints a date: UTC, always three digits of a second.
pub fn javascript_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// As `PostgreSQL` prints a time inside a JSON column: no fraction when it is zero.
pub fn postgres_time(time: Timestamp) -> String {
    let text = time.strftime("%Y-%m-%dT%H:%M:%S%.6f").to_string();
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text}+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_print_as_javascript_and_as_postgresql_do() {
        let time = |text: &str| text.parse::<Timestamp>().unwrap();
        for (at, javascript, postgres) in [
            (
                "2026-02-03T09:13:55.402118Z",
                "2026-02-03T09:13:55.402Z",
                "2026-02-03T09:13:55.402118+00:00",
            ),
            (
                "2026-02-03T09:19:40Z",
                "2026-02-03T09:19:40.000Z",
                "2026-02-03T09:19:40+00:00",
            ),
            (
                "2026-02-03T09:14:06.9Z",
                "2026-02-03T09:14:06.900Z",
                "2026-02-03T09:14:06.9+00:00",
            ),
        ] {
            assert_eq!(javascript_time(time(at)), javascript);
            assert_eq!(postgres_time(time(at)), postgres);
        }
    }
}
