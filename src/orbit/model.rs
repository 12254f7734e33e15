//! What Orbit answers, read as liberally as can be: unknown members are ignored, missing ones
//! have a default, and one odd entry does not spoil a list.
//!
//! # Invariants
//! - A webhook without a uuid is no webhook.
//! - What Orbit leaves out is unknown, not false or empty.
//! - A secret cannot be printed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::secret::Secret;

/// A webhook as Orbit has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    pub uuid: String,
    /// What people see.
    #[serde(default, deserialize_with = "text")]
    pub name: Option<String>,
    /// What Orbit calls.
    #[serde(default, deserialize_with = "text")]
    pub url: Option<String>,
    /// Whether Orbit calls it.
    #[serde(default, deserialize_with = "flag")]
    pub enabled: Option<bool>,
    /// Whether Orbit checks the certificate of `url`.
    #[serde(default, rename = "validateTlsCert", deserialize_with = "flag")]
    pub validate_tls_cert: Option<bool>,
    /// What Orbit calls it for.
    #[serde(default, deserialize_with = "strings")]
    pub events: Option<Vec<String>>,
    /// The signing secret; Orbit may mask it or leave it out.
    #[serde(default, deserialize_with = "secret")]
    pub secret: Option<Secret>,
    /// Archived webhooks are as good as deleted.
    #[serde(default, deserialize_with = "flag")]
    pub archived: Option<bool>,
}

/// A webhook as we want it: the whole object is sent, for create and for update.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WantedWebhook {
    /// What people see.
    pub name: String,
    /// What Orbit is to call.
    pub url: String,
    /// Whether it is to.
    pub enabled: bool,
    /// Whether it is to check the certificate of `url`.
    pub validate_tls_cert: bool,
    /// What it is to call for.
    pub events: Vec<String>,
    /// The signing secret, 64 hex characters.
    pub secret: String,
}

impl Webhook {
    /// Reads the webhooks of an answer: a list, a page of a list, or a single one; and how many
    /// entries it had, odd ones too.
    pub fn read(answer: Value) -> Option<(Vec<Self>, usize)> {
        let entries = match answer {
            Value::Array(entries) => entries,
            Value::Object(mut object) => match object.remove("resources") {
                Some(Value::Array(entries)) => entries,
                None if object.contains_key("uuid") => vec![Value::Object(object)],
                _ => return None,
            },
            _ => return None,
        };
        let count = entries.len();
        let webhooks = entries.into_iter();
        let webhooks = webhooks.filter_map(|entry| serde_json::from_value(entry).ok());
        Some((webhooks.collect(), count))
    }
}

/// What Orbit says of itself to anybody; where it says nothing, nothing.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Its version.
    #[serde(default, deserialize_with = "text")]
    pub version: Option<String>,
    /// Its serial number.
    #[serde(default, deserialize_with = "text")]
    pub serial: Option<String>,
    /// What it runs on.
    #[serde(default, deserialize_with = "text")]
    pub host_environment: Option<String>,
}

/// One page of a collection, each entry as the text that Orbit sent.
#[derive(Debug, Deserialize)]
pub struct Page {
    /// The entries.
    pub resources: Vec<Box<RawValue>>,
    /// How many there are in all, if Orbit's word can be trusted.
    #[serde(default, deserialize_with = "number")]
    pub total: Option<u64>,
    /// The most that this page may have, if Orbit's word can be trusted.
    #[serde(default, deserialize_with = "number")]
    pub limit: Option<u64>,
}

impl Page {
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// A whole number; anything else is unknown.
fn number<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(json)?.as_u64())
}

/// A text; anything else is unknown.
fn text<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    Ok(Value::deserialize(json)?.as_str().map(str::to_owned))
}

/// A list of strings; anything else is unknown.
fn strings<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<Vec<String>>, D::Error> {
    let Value::Array(items) = Value::deserialize(json)? else {
        return Ok(None);
    };
    Ok(Some(
        items
            .into_iter()
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect(),
    ))
}

fn secret<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<Secret>, D::Error> {
    Ok(text(json)?.map(Secret::new))
}

/// True or false, also as a text or a number; anything else is unknown.
fn flag<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<bool>, D::Error> {
    Ok(match Value::deserialize(json)? {
        Value::Bool(flag) => Some(flag),
        Value::String(text) => text.trim().to_ascii_lowercase().parse().ok(),
        Value::Number(number) => number.as_i64().map(|number| number != 0),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_create_may_answer_an_object_an_array_or_a_page() {
        let webhook = json!({"uuid": "u", "url": "http://x", "later": 1});
        for answer in [
            webhook.clone(),
            json!([webhook]),
            json!({"resources": [webhook]}),
        ] {
            assert_eq!(Webhook::read(answer).unwrap().0[0].uuid, "u");
        }
    }

    #[test]
    fn an_odd_entry_does_not_spoil_a_list() {
        let answer =
            json!([1, {"url": "no uuid"}, {"uuid": "u", "events": {"odd": true}, "secret": null}]);
        let (webhooks, count) = Webhook::read(answer).unwrap();
        assert_eq!((webhooks.len(), count), (1, 3));
        let odd = json!([{"uuid": "u", "name": 7, "enabled": 1, "archived": "false", "url": null}]);
        let (odd, _) = Webhook::read(odd).unwrap();
        assert_eq!((odd[0].enabled, odd[0].archived), (Some(true), Some(false)));
        assert!(Webhook::read(json!("text")).is_none());
        assert!(Webhook::read(json!({"error": "x"})).is_none());
    }
}
