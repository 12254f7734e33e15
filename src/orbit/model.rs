//! What Orbit answers, read as liberally as can be: unknown members are ignored, missing ones
//! have a default, and one odd entry does not spoil a list.
//!
//! # Invariants
//! - A webhook without a uuid is no webhook.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A webhook as Orbit has it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Its id.
    pub uuid: String,
    /// What people see.
    #[serde(default)]
    pub name: Option<String>,
    /// What Orbit calls.
    #[serde(default)]
    pub url: String,
    /// Whether Orbit calls it.
    #[serde(default)]
    pub enabled: bool,
    /// Whether Orbit checks the certificate of `url`.
    #[serde(default, rename = "validateTlsCert")]
    pub validate_tls_cert: Option<bool>,
    /// What Orbit calls it for.
    #[serde(default, deserialize_with = "strings")]
    pub events: Vec<String>,
    /// The signing secret; Orbit may mask it or leave it out.
    #[serde(default)]
    pub secret: Option<String>,
    /// Archived webhooks are as good as deleted.
    #[serde(default)]
    pub archived: Option<bool>,
}

/// A webhook as we want it: the whole object is sent, for create and for update.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
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
    /// Reads the webhooks of an answer: a list, a page of a list, or a single one.
    pub fn read(answer: Value) -> Option<Vec<Self>> {
        let entries = match answer {
            Value::Array(entries) => entries,
            Value::Object(mut object) => match object.remove("resources") {
                Some(Value::Array(entries)) => entries,
                None if object.contains_key("uuid") => vec![Value::Object(object)],
                _ => return None,
            },
            _ => return None,
        };
        Some(
            entries
                .into_iter()
                .filter_map(|entry| serde_json::from_value(entry).ok())
                .collect(),
        )
    }
}

fn strings<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Vec<String>, D::Error> {
    let strings = match Value::deserialize(json)? {
        Value::Array(items) => items,
        _ => Vec::new(),
    };
    Ok(strings
        .into_iter()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect())
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
            assert_eq!(Webhook::read(answer).unwrap()[0].uuid, "u");
        }
    }

    #[test]
    fn an_odd_entry_does_not_spoil_a_list() {
        let answer =
            json!([1, {"url": "no uuid"}, {"uuid": "u", "events": {"odd": true}, "secret": null}]);
        assert_eq!(Webhook::read(answer).unwrap().len(), 1);
        assert_eq!(Webhook::read(json!("text")), None);
        assert_eq!(Webhook::read(json!({"error": "x"})), None);
    }
}
