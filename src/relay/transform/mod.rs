//! Step 6 of the path: the body that a destination gets.
//!
//! ```text
//! mod         the body
//! address     a URL that an answer completes
//! expression  what a `when` says, and what templates are made of
//! json        JSON as a tree
//! pictures    marks for pictures, and what replaces them
//! model       what templates and filters see of an event
//! template    bodies, and texts with gaps
//! times       times in the forms that systems want
//! ```
//!
//! # Invariants
//! - Pure. What is passed through travels as the text that was sent: numbers, depth, order and
//!   unknown members survive.
//! - The sender's own `relay` member is left out; ours stands last.

pub mod address;
pub mod expression;
pub mod json;
pub mod model;
pub mod pictures;
pub mod template;
pub mod times;

use serde::Serialize;

use crate::event::{Envelope, EnvelopeError};

/// The version of the `relay` object.
const SCHEMA: u32 = 1;

/// What the relay adds to an event. Frozen at the first send.
#[derive(Debug, Serialize)]
pub struct Relay<'a> {
    schema: u32,
    /// The delivery's key, the same at every attempt.
    pub delivery: &'a str,
    /// Who sent the event.
    pub source: &'a str,
    /// The event's type, where its source is not Orbit: its own body need not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_type: Option<&'a str>,
    /// How the relay came by it: webhook, backfill or replay.
    pub origin: &'a str,
    /// When the relay received it, RFC 3339.
    pub received_at: String,
    /// Whether Orbit said all that it was asked, where it was: `complete` or `partial`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrichment: Option<&'a str>,
    /// The plant asset that it is about.
    pub asset: Option<Asset<'a>>,
}

/// The plant asset, and why it is that one.
#[derive(Debug, Serialize)]
pub struct Asset<'a> {
    /// The plant's name for it.
    pub id: &'a str,
    /// The columns that matched, or `orbit`.
    pub matched_by: &'a str,
    /// The line of the row in the asset map.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<usize>,
    /// The other columns of the row.
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

impl<'a> Relay<'a> {
    /// The relay's part of the body.
    pub fn new(delivery: &'a str, source: &'a str, origin: &'a str, received_at: String) -> Self {
        Self {
            schema: SCHEMA,
            delivery,
            source,
            event_type: None,
            origin,
            received_at,
            enrichment: None,
            asset: None,
        }
    }

    /// Its JSON text.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// The key that stands in a relay's part of a body: what it was sent with.
pub fn key_of(relay: &str) -> Option<String> {
    let relay: serde_json::Value = serde_json::from_str(relay).ok()?;
    relay.get("delivery")?.as_str().map(str::to_owned)
}

/// Whether Orbit had said all that it was asked, as a relay's part of a body says.
pub fn enrichment_of(relay: &str) -> Option<String> {
    let relay: serde_json::Value = serde_json::from_str(relay).ok()?;
    relay.get("enrichment")?.as_str().map(str::to_owned)
}

/// The event as its source sent it, plus `relay` (JSON text).
pub fn body(event: &[u8], relay: &str) -> Result<Vec<u8>, EnvelopeError> {
    let mut body = Vec::with_capacity(event.len() + relay.len() + 16);
    write_body(&mut body, &Envelope::of("", event)?, None, relay)?;
    Ok(body)
}

/// The same, of an event that was read already, perhaps with another `data`.
pub fn write_body(
    body: &mut Vec<u8>,
    envelope: &Envelope<'_>,
    data: Option<&str>,
    relay: &str,
) -> Result<(), EnvelopeError> {
    body.push(b'{');
    for (name, raw) in envelope
        .members()
        .iter()
        .filter(|(name, _)| *name != "relay")
    {
        let raw = data.filter(|_| name == "data").unwrap_or(raw);
        let name = serde_json::to_string(name).map_err(EnvelopeError::NotAnObject)?;
        for text in [&name, ":", raw, ","] {
            body.extend_from_slice(text.as_bytes());
        }
    }
    for text in ["\"relay\":", relay, "}"] {
        body.extend_from_slice(text.as_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_passed_through_keeps_its_text() {
        let raw = "{\"uuid\":\"u\",\"type\":\"X\",\"big\":[0.00005,1e21,9007199254740993,1e400,-0],\
                   \"text\":\"Kühlung \u{2028} \\u00e9\", \"data\":{\"b\":1, \"a\":1,\"b\":2},\
                   \"relay\":\"mine\",\"later\":null}";
        let body = String::from_utf8(body(raw.as_bytes(), r#"{"schema":1}"#).unwrap()).unwrap();
        let expected = "{\"uuid\":\"u\",\"type\":\"X\",\"big\":[0.00005,1e21,9007199254740993,1e400,-0],\
                        \"text\":\"Kühlung \u{2028} \\u00e9\",\"data\":{\"b\":1, \"a\":1,\"b\":2},\
                        \"later\":null,\"relay\":{\"schema\":1}}";
        assert_eq!(body, expected);
    }

    #[test]
    fn a_thousand_levels_pass() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        let event = format!(r#"{{"type":"X","data":{deep}}}"#);
        let body = body(event.as_bytes(), "{}").unwrap();
        assert_eq!(
            body,
            format!(r#"{{"type":"X","data":{deep},"relay":{{}}}}"#).into_bytes()
        );
    }

    #[test]
    fn the_relay_object_has_the_documented_members() {
        let mut relay = Relay::new("k", "orbit", "webhook", "2026-02-03T09:14:07Z".into());
        insta::assert_snapshot!(relay.to_json().unwrap(), @r#"{"schema":1,"delivery":"k","source":"orbit","origin":"webhook","received_at":"2026-02-03T09:14:07Z","asset":null}"#);
        assert_eq!(key_of(&relay.to_json().unwrap()).as_deref(), Some("k"));
        let attributes = [("area".to_owned(), "north".into())].into_iter().collect();
        relay.asset = Some(Asset {
            id: "PUMP-101",
            matched_by: "action_name",
            row: Some(2),
            attributes,
        });
        insta::assert_snapshot!(relay.to_json().unwrap(), @r#"{"schema":1,"delivery":"k","source":"orbit","origin":"webhook","received_at":"2026-02-03T09:14:07Z","asset":{"id":"PUMP-101","matched_by":"action_name","row":2,"attributes":{"area":"north"}}}"#);
    }

    #[test]
    fn the_type_of_another_sources_event_stands_beside_its_source() {
        let mut relay = Relay::new("k", "github", "webhook", "2026-02-03T09:14:07Z".into());
        relay.event_type = Some("issues.opened");
        let body = body(br#"{"action":"opened"}"#, &relay.to_json().unwrap()).unwrap();
        insta::assert_snapshot!(String::from_utf8(body).unwrap(), @r#"{"action":"opened","relay":{"schema":1,"delivery":"k","source":"github","event_type":"issues.opened","origin":"webhook","received_at":"2026-02-03T09:14:07Z","asset":null}}"#);
    }

    proptest! {
        #[test]
        fn any_event_gives_valid_json(text: String, n: f64, relay in "[a-z]{0,9}") {
            let event = serde_json::json!({ "type": text.clone(), text: n, "relay": 1 });
            let body = body(event.to_string().as_bytes(), &format!("\"{relay}\"")).unwrap();
            let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(&value["relay"], &serde_json::json!(relay));
        }
    }
}
