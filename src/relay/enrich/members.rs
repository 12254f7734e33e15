//! What is kept of Orbit's answers: the members that are used, and their text as it was sent.
//!
//! # Invariants
//! - Pure. What comes out is a JSON object that any JSON parser reads, of at most 16 KiB.
//! - A member that cannot be kept is left out; the others stay.

use std::collections::HashMap;

use serde_json::Value;
use serde_json::value::RawValue;

/// The members of a run, the most wanted first.
pub(super) const RUN: &[&str] = &[
    "uuid",
    "robotNickname",
    "robotHostname",
    "robotSerial",
    "missionName",
    "missionStatus",
    "operatorId",
    "runType",
    "startTime",
    "endTime",
];

/// The members of an anomaly, the most wanted first.
pub(super) const ANOMALY: &[&str] = &[
    "uuid",
    "assetId",
    "elementId",
    "severity",
    "status",
    "title",
    "name",
    "time",
    "createdAt",
    "source",
    "customMetadataTags",
    "tags",
];

const MOST_BYTES: usize = 16 << 10;

/// Tags are a list, or an object of lists. What is deeper is none of ours.
const DEEPEST: u8 = 3;

type Object<'a> = HashMap<String, &'a RawValue>;

/// The `wanted` members of the object `text`; nothing, where it is no object or has another
/// `uuid` than asked for.
pub(super) fn kept(text: &str, wanted: &[&str], uuid: &str) -> Option<String> {
    let object: Object<'_> = serde_json::from_str(text).ok()?;
    let is_other = |given: &&RawValue| match serde_json::from_str::<Value>(given.get()) {
        Ok(Value::String(given)) => !uuid.is_empty() && !given.eq_ignore_ascii_case(uuid),
        _ => false,
    };
    if object.get("uuid").is_some_and(is_other) {
        return None;
    }
    let mut kept = String::from("{");
    for name in wanted {
        let Some(value) = object.get(*name).map(|value| value.get()) else {
            continue;
        };
        let bytes = kept.len() + name.len() + value.len() + r#","":}"#.len();
        if bytes > MOST_BYTES || !is_plain(value, DEEPEST) {
            continue;
        }
        if kept.len() > 1 {
            kept.push(',');
        }
        kept.push('"');
        kept.push_str(name);
        kept.push_str("\":");
        kept.push_str(value);
    }
    kept.push('}');
    Some(kept)
}

/// Not too deep, and without half characters or numbers that nobody can read.
fn is_plain(value: &str, levels: u8) -> bool {
    let are_plain = |value: &RawValue| is_plain(value.get(), levels.saturating_sub(1));
    match value.as_bytes().first() {
        Some(b'[') => {
            let items = serde_json::from_str::<Vec<&RawValue>>(value);
            levels > 0 && items.is_ok_and(|items| items.into_iter().all(are_plain))
        }
        Some(b'{') => {
            let members = serde_json::from_str::<Object<'_>>(value);
            levels > 0 && members.is_ok_and(|members| members.into_values().all(are_plain))
        }
        _ => serde_json::from_str::<Value>(value).is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_used_is_kept_and_its_text_as_it_was_sent() {
        let text = r#" {"later":{"x":[1]},"title":"K\u00fchlung 점검","severity":4.0,
            "tags":["a", "b"],"uuid":"u","assetId":null} "#;
        let found = kept(text, ANOMALY, "U").unwrap();
        let expected = r#"{"uuid":"u","assetId":null,"severity":4.0,"title":"K\u00fchlung 점검","tags":["a", "b"]}"#;
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_no_object_or_another_one_is_not_kept() {
        for text in ["[]", "7", "null", "", "{", r#"{"uuid":"other"}"#] {
            assert_eq!(kept(text, RUN, "asked"), None, "{text}");
        }
        assert_eq!(kept("{}", RUN, "asked").as_deref(), Some("{}"));
        assert!(kept(r#"{"uuid":7}"#, RUN, "asked").is_some());
    }

    #[test]
    fn a_member_that_is_too_long_too_deep_or_unreadable_is_left_out_and_the_others_stay() {
        let long = format!("{:?}", "x".repeat(MOST_BYTES));
        let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
        for odd in [&long, &deep, r#""\ud800""#, "1e999", r#"[["\udc00"]]"#] {
            let text = format!(r#"{{"title":{odd},"tags":{odd},"uuid":"u","source":"s"}}"#);
            let found = kept(&text, ANOMALY, "");
            assert_eq!(found.as_deref(), Some(r#"{"uuid":"u","source":"s"}"#));
        }
        let tags = r#"{"tags":[{"a":["b"]}]}"#;
        assert_eq!(kept(tags, ANOMALY, "").as_deref(), Some(tags));
    }

    #[test]
    fn many_long_members_stay_under_the_bound_together() {
        let half = format!("{:?}", "x".repeat(MOST_BYTES / 2));
        let members = ANOMALY.iter().map(|name| format!(r#""{name}":{half}"#));
        let text = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        let found = kept(&text, ANOMALY, "").unwrap();
        assert!(found.len() <= MOST_BYTES && found.starts_with(r#"{"uuid":"#));
    }
}
