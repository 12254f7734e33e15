//! What a `when` or a template may ask for: names that exist, and that can be evaluated.
//!
//! # Invariants
//! - A name that nobody has is refused at start, with the nearest that somebody has.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;

use super::message::NAMES;
use super::reader::Item;
use crate::config::nearest;
use crate::event::ALERT;
use crate::relay::destination::RESPONSE_MEMBERS;
use crate::relay::transform::expression::Expression;
use crate::relay::transform::json::Json;
use crate::relay::transform::model::{self, Facts, ModelAsset};
use crate::relay::transform::template::Scope;

/// What cannot be right for any event.
const ALWAYS: [&str; 4] = ["unknown filter", "unknown test", "unknown function", "fuel"];

/// An alert with one of everything.
const ALERT_SAMPLE: &str = r#"{"uuid":"0d5b7a52-0001-4c1e-9a10-000000000001","type":"ACTION_COMPLETED_WITH_ALERT","time":"2026-02-03T09:14:07.118Z","data":{"uuid":"9b1f0a11-1111-4a1a-8a1a-000000000001","runUuid":"5c2e0000-2222-4b2b-8b2b-000000000001","time":"2026-02-03T09:13:55.402Z","createdAt":"2026-02-03T09:14:06.931Z","actionName":"P-101 motor DE","actionUuid":"aa000000-0000-4000-8000-000000000101","missionName":"Pump hall","eventType":"daq","error":0,"elementId":"e1000000-0000-4000-8000-000000000003","assetId":"P-101","customMetadataTags":["pump"],"severity":3,"title":"Too hot","robotNickname":"spot","dataCaptures":[{"time":"2026-02-03T09:13:55.402118+00:00","uuid":"c1c1c1c1-0000-4000-8000-000000000001","dataUrl":"/daq/download/spot/a/b.jpg","createdAt":"2026-02-03T09:14:06.9+00:00","keyResults":[{"name":"Max","units":"C","value":61.4}],"channelName":"spot-cam-ir"}]}}"#;
/// An event of which next to nothing is known.
const BARE_SAMPLE: &str = r#"{"type":"ACTION_COMPLETED_WITH_ALERT","data":{}}"#;

/// What events look like to templates: an alert with one of everything, and one with nothing.
pub(super) static SAMPLES: LazyLock<[Arc<Json>; 2]> =
    LazyLock::new(|| [ALERT_SAMPLE, BARE_SAMPLE].map(|event| Arc::new(sample(event))));

fn sample(event: &str) -> Json {
    let asset = |_: &model::Subject<'_>| {
        Some(ModelAsset {
            id: "PUMP-101".to_owned(),
            matched_by: "action_name".to_owned(),
            line: Some(2),
            attributes: Vec::new(),
        })
    };
    let url = |data_url: &str| Some(format!("https://orbit.example{data_url}"));
    model::build(&Facts {
        event: event.as_bytes(),
        event_type: ALERT,
        source: crate::event::ORBIT,
        origin: "webhook",
        received_at: Timestamp::UNIX_EPOCH,
        key: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        run: Some(r#"{"robotSerial":"s","operatorId":"o"}"#),
        anomaly: None,
        enrichment: Some("complete"),
        asset_of: &asset,
        url_of: &url,
        orbit: None,
        settings: &Json::Null,
    })
}

/// A destination's `when`.
pub(super) fn of_an_event(item: &Item<'_, '_>) -> Option<Expression> {
    of_a_step(item, &NAMES)
}

/// A step's `when`, which may ask for these.
pub(super) fn of_a_step(item: &Item<'_, '_>, known: &[&str]) -> Option<Expression> {
    let expression = item.parsed("an expression", Expression::parse)?;
    let good = all_known(item, expression.names(), known);
    let runs = SAMPLES.iter().all(|sample| {
        let scope = Scope::new(Arc::clone(sample));
        right(item, expression.holds_in(&scope))
    });
    (good && runs).then_some(expression)
}

/// Says of each name that nobody has what it should be.
pub(super) fn all_known(
    item: &Item<'_, '_>,
    names: impl Iterator<Item = String>,
    known: &[&str],
) -> bool {
    let mut names: Vec<_> = names.collect();
    names.sort();
    let mut good = true;
    for name in &names {
        let mut parts = name.split('.');
        let (root, member) = (parts.next().unwrap_or_default(), parts.next());
        let (wrong, instead) = match (member, members(root)) {
            _ if !known.contains(&root) => (root, nearest::instead(root, known.iter().copied())),
            (Some(member), Some(members)) if !members.iter().any(|known| known == member) => {
                let instead = nearest::instead(member, members.iter().map(String::as_str));
                (name.as_str(), instead)
            }
            _ => continue,
        };
        item.refuse(format!("no `{wrong}` is known here; {instead}"));
        good = false;
    }
    good
}

/// The members of a name that has these and no others; of a list those of its items.
fn members(root: &str) -> Option<Vec<String>> {
    let closed = ["inspection", "readings", "captures", "asset", "delivery"];
    let sample = SAMPLES.first().filter(|_| closed.contains(&root))?;
    let of = sample.get(root)?;
    match of.at(0).unwrap_or(of) {
        Json::Object(members) => Some(members.iter().map(|(name, _)| name.clone()).collect()),
        _ => None,
    }
}

/// A success rule's `when`.
pub(super) fn of_an_answer(item: &Item<'_, '_>) -> Option<Expression> {
    let expression = item.parsed("an expression", Expression::parse)?;
    let mut names: Vec<_> = expression.names().collect();
    names.sort();
    let mut good = true;
    for name in &names {
        let mut parts = name.split('.');
        let (root, member) = (parts.next().unwrap_or_default(), parts.next());
        let (wrong, instead) = match member {
            _ if root != "response" => (root, nearest::instead(root, ["response"])),
            Some(member) if !RESPONSE_MEMBERS.contains(&member) => {
                (name.as_str(), nearest::instead(member, RESPONSE_MEMBERS))
            }
            _ => continue,
        };
        item.refuse(format!("no `{wrong}` is known here; {instead}"));
        good = false;
    }
    (good
        && answer_samples()
            .iter()
            .all(|sample| runs(item, &expression, sample)))
    .then_some(expression)
}

/// Whether it can be evaluated. What fails for these values only may be right for others.
fn runs(item: &Item<'_, '_>, expression: &Expression, names: &impl Serialize) -> bool {
    right(item, expression.holds(names))
}

fn right<T, E: std::fmt::Display>(item: &Item<'_, '_>, ran: Result<T, E>) -> bool {
    let Err(error) = ran else { return true };
    let text = error.to_string();
    let broken = ALWAYS.iter().any(|what| text.contains(what));
    if broken {
        item.refuse(text);
    }
    !broken
}

/// What `success.when` is asked of.
fn answer_samples() -> [serde_json::Value; 2] {
    [
        json!({"response": {}}),
        json!({"response": {"status": 200, "headers": {}, "text": "{}", "json": {}}}),
    ]
}
