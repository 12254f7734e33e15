//! Whether a gate lets an event go to others: what a successful answer of it says.
//!
//! # Invariants
//! - Pure. Only an answer that says by its type that it cancels, and why, does so; any other
//!   success lets the event go.
//! - A reason is one line of at most [`LONGEST`] characters.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use serde::Deserialize;

/// The type of an answer that lets the event go nowhere.
pub(super) const CANCEL: &str = "application/vnd.orbit-relay.cancel+json";
/// No reason is longer.
const LONGEST: usize = 1_000;

#[derive(Deserialize)]
struct Said {
    reason: String,
}

/// Whether an answer with these headers cancels.
pub(super) fn is_cancel(headers: &HeaderMap) -> bool {
    let Some(Ok(given)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = given.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(CANCEL)
}

/// Why the event is to go nowhere, if it is not to.
pub(super) fn cancels(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if !is_cancel(headers) {
        return None;
    }
    let Said { reason } = serde_json::from_slice(body).ok()?;
    let plain = reason.trim().chars().take(LONGEST);
    let plain: String = plain
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    Some(plain).filter(|plain| !plain.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content_type: &str, body: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        cancels(&headers, body.as_bytes())
    }

    #[test]
    fn only_an_answer_of_the_type_cancels() {
        let body = r#"{"reason":"outside working hours"}"#;
        for content_type in [
            CANCEL,
            "application/vnd.orbit-relay.cancel+json; charset=utf-8",
            "Application/Vnd.Orbit-Relay.Cancel+JSON",
        ] {
            assert_eq!(of(content_type, body).unwrap(), "outside working hours");
        }
        for content_type in [
            "application/json",
            "text/plain",
            "application/vnd.orbit-relay.cancel",
        ] {
            assert_eq!(of(content_type, body), None, "{content_type}");
        }
        assert_eq!(cancels(&HeaderMap::new(), body.as_bytes()), None);
    }

    #[test]
    fn a_reason_is_one_line_that_is_not_too_long_and_without_one_the_event_goes() {
        for body in [
            "",
            "{}",
            "[]",
            r#"{"reason":7}"#,
            r#"{"reason":" "}"#,
            r#"{"reason":"cut"#,
        ] {
            assert_eq!(of(CANCEL, body), None, "{body}");
        }
        assert_eq!(
            of(CANCEL, r#"{"reason":"a\nb\u001b[2J"}"#).unwrap(),
            "a b [2J"
        );
        let long = format!(r#"{{"reason":"{}"}}"#, "ü".repeat(2_000));
        assert_eq!(of(CANCEL, &long).unwrap().chars().count(), LONGEST);
    }
}
