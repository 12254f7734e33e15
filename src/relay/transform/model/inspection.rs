//! What is known of the inspection: what the event says, then Orbit's anomaly, then its run.
//!
//! # Invariants
//! - What the event says wins.
//! - Only Orbit tells of inspections, and a test payload is none.

use super::super::json::Json;
use super::super::times;
use super::texts::{first, text};
use super::{Facts, Subject};
use crate::event::{ALERT, COMPLETED, NOTICE, ORBIT, TEST};

/// The words of the severities, from 0.
const SEVERITIES: [&str; 5] = ["unknown", "info", "warning", "error", "critical"];
/// No inspection has more.
const MOST_TAGS: usize = 100;

/// The inspection of an event.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) action: Option<String>,
    pub(super) mission: Option<String>,
    pub(super) robot: Option<String>,
    pub(super) time: Option<String>,
    pub(super) alert: bool,
    pub(super) title: Option<String>,
    pub(super) error: Option<i64>,
    action_uuid: Option<String>,
    robot_serial: Option<String>,
    operator: Option<String>,
    run_uuid: Option<String>,
    run_event: Option<String>,
    created_at: Option<String>,
    severity: Option<usize>,
    tags: Vec<String>,
    asset_id: Option<String>,
    element_id: Option<String>,
    kind: Option<String>,
}

impl Inspection {
    /// What is known of it; none, where the event is no inspection.
    pub(super) fn read(
        facts: &Facts<'_>,
        event: &Json,
        anomaly: &Json,
        run: &Json,
    ) -> Option<Self> {
        let data = event.get("data").unwrap_or(&Json::Null);
        if !is_inspection(facts, data) {
            return None;
        }
        let told = |name| first(&[data], name, text);
        let raised = |name| first(&[data, anomaly], name, text);
        let ran = |name| first(&[data, run], name, text);
        let time = |name| first(&[data], name, |json| times::rfc3339(json.as_str()?).ok());
        let named = || first(&[anomaly], "name", text);
        let this_run = || first(&[run], "uuid", text);
        Some(Self {
            action: raised("actionName").or_else(named),
            mission: ran("missionName"),
            robot: ran("robotNickname"),
            time: time("time"),
            alert: facts.event_type == ALERT,
            title: raised("title"),
            error: first(&[data], "error", whole),
            action_uuid: raised("actionUuid"),
            robot_serial: ran("robotSerial"),
            operator: ran("operatorId"),
            run_uuid: raised("runUuid").or_else(this_run),
            run_event: told("uuid"),
            created_at: time("createdAt"),
            severity: first(&[data, anomaly], "severity", severity),
            tags: first(&[data, anomaly], "customMetadataTags", tags).unwrap_or_default(),
            asset_id: raised("assetId"),
            element_id: raised("elementId"),
            kind: told("eventType"),
        })
    }

    /// What its asset is looked up by.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            asset_id: self.asset_id.as_deref(),
            element_id: self.element_id.as_deref(),
            action_uuid: self.action_uuid.as_deref(),
            action: self.action.as_deref(),
            mission: self.mission.as_deref(),
            robot: self.robot.as_deref(),
            channel: None,
            reading: None,
        }
    }

    pub(super) fn to_json(&self, summary: String) -> Json {
        let text = |of: &Option<String>| of.as_deref().into();
        let word = self.severity.and_then(|severity| SEVERITIES.get(severity));
        Json::object([
            ("action", text(&self.action)),
            ("action_uuid", text(&self.action_uuid)),
            ("mission", text(&self.mission)),
            ("robot", text(&self.robot)),
            ("robot_serial", text(&self.robot_serial)),
            ("operator", text(&self.operator)),
            ("run_uuid", text(&self.run_uuid)),
            ("run_event", text(&self.run_event)),
            ("time", text(&self.time)),
            ("created_at", text(&self.created_at)),
            ("alert", self.alert.into()),
            ("severity", self.severity.into()),
            ("severity_word", word.copied().into()),
            ("title", text(&self.title)),
            ("tags", self.tags.iter().map(String::as_str).collect()),
            ("element_id", text(&self.element_id)),
            ("error", self.error.into()),
            ("kind", text(&self.kind)),
            ("summary", summary.into()),
        ])
    }
}

/// A type that nobody knows is one where it names an action or has captures.
fn is_inspection(facts: &Facts<'_>, data: &Json) -> bool {
    if facts.source != ORBIT || matches!(facts.event_type, NOTICE | TEST) {
        return false;
    }
    matches!(facts.event_type, COMPLETED | ALERT)
        || first(&[data], "actionName", text).is_some()
        || !data
            .get("dataCaptures")
            .map_or(&[][..], Json::items)
            .is_empty()
}

/// A whole number, or the text of one.
fn whole(json: &Json) -> Option<i64> {
    json.as_i64().or_else(|| json.as_str()?.trim().parse().ok())
}

fn severity(json: &Json) -> Option<usize> {
    let severity = usize::try_from(whole(json)?).ok()?;
    (severity < SEVERITIES.len()).then_some(severity)
}

fn tags(json: &Json) -> Option<Vec<String>> {
    let tags: Vec<String> = match json {
        Json::Array(items) => items.iter().filter_map(text).take(MOST_TAGS).collect(),
        one => text(one).into_iter().collect(),
    };
    (!tags.is_empty()).then_some(tags)
}
