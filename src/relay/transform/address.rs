//! A URL with gaps: `https://cmms.example/orders/{{ answer.id }}`.
//!
//! # Invariants
//! - Pure, and bounded as an expression is.
//! - What fills a gap is one value, percent-encoded: it never adds a segment to the path, a
//!   parameter, or anything before the path. Scheme, host and port are those that are written.
//! - What fills a gap stands in no error.

use std::fmt;
use std::sync::Arc;

use url::Url;

use super::expression::LONGEST;
use super::json::Json;
use super::template::{Gapped, Scope};

/// A URL with gaps that was read.
#[derive(Clone)]
pub struct Address {
    text: Arc<str>,
    gapped: Gapped,
    settings: Json,
    origin: url::Origin,
}

/// Why a text is no such URL, or why its gaps cannot be filled.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct AddressError(String);

impl Address {
    /// Reads one whose gaps hold of `answer`. No gap stands before the path.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::with_settings(text, &Json::Object(Vec::new()))
    }

    /// Reads one whose gaps hold of `answer` or of these `settings`.
    pub fn with_settings(text: &str, settings: &Json) -> Result<Self, AddressError> {
        let text = text.trim();
        let refuse = |what: &str| Err(AddressError(what.to_owned()));
        if text.len() > LONGEST {
            return refuse("the URL has more than 4096 bytes");
        }
        let fixed = text.split("{{").next().unwrap_or_default();
        let after_scheme = fixed.split_once("://").map(|(_, rest)| rest);
        let Some((_, _)) = after_scheme.and_then(|rest| rest.split_once('/')) else {
            return refuse(
                "write the URL as https://HOST/PATH: no {{ … }} may stand before the path",
            );
        };
        let Ok(url) = Url::parse(fixed) else {
            return refuse("this is not a URL like https://cmms.example/orders/{{ answer.id }}");
        };
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("the URL begins with another word than http:// or https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("the URL has a user or a password; the destination's `auth` is shown");
        }
        let gapped = Gapped::parse("url", text, &["answer", "settings"]);
        let gapped = gapped.map_err(|error| AddressError(error.reason))?;
        let unknown = gapped.names().find(|name| {
            let member = name.strip_prefix("settings.");
            let member = member.and_then(|rest| rest.split('.').next());
            member.is_some_and(|member| settings.get(member).is_none())
        });
        if let Some(name) = unknown {
            return Err(AddressError(format!("no `{name}` is known here")));
        }
        Ok(Self {
            text: text.into(),
            gapped,
            settings: settings.clone(),
            origin: url.origin(),
        })
    }

    /// The URL for what a destination answered.
    pub fn fill(&self, answer: &serde_json::Value) -> Result<Url, AddressError> {
        let answer = Json::parse(answer.to_string().as_bytes());
        let answer = answer.map_err(|error| AddressError(error.to_string()))?;
        let names = [("answer", answer), ("settings", self.settings.clone())];
        let scope = Scope::new(Arc::new(Json::object(names)));
        let text = self.gapped.fill_url(&scope);
        let text = text.map_err(|error| AddressError(error.reason))?;
        let url = Url::parse(&text).ok();
        // By now it is; whatever a filter may have done, it goes nowhere else.
        let url = url.filter(|url| url.origin() == self.origin && url.username().is_empty());
        url.ok_or_else(|| {
            AddressError("what comes out is no URL of the host that is written".into())
        })
    }

    /// The URL up to its first gap: host and all.
    pub fn fixed(&self) -> Option<Url> {
        Url::parse(self.text.split("{{").next()?).ok()
    }

    /// As it may be shown: without what stands behind `?`.
    pub fn shown(&self) -> String {
        match self.text.split_once('?') {
            Some((path, _)) => format!("{path}?***"),
            None => self.text.to_string(),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.origin.ascii_serialization())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TEXT: &str =
        "https://cmms.example:8443/api/orders/{{ answer.id }}?view={{ answer.view }}";

    fn fill(text: &str, answer: &serde_json::Value) -> Result<String, String> {
        let address = Address::parse(text).unwrap();
        let filled = address.fill(answer);
        filled.map(|url| url.to_string()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_gap_is_filled_with_one_value() {
        let answer = json!({"id": 4711, "view": "short form"});
        assert_eq!(
            fill(TEXT, &answer).unwrap(),
            "https://cmms.example:8443/api/orders/4711?view=short%20form"
        );
        let nested = json!({"order": {"ids": ["WO-1"]}});
        assert_eq!(
            fill("http://x/{{ answer.order.ids[0] }}/status", &nested).unwrap(),
            "http://x/WO-1/status"
        );
    }

    #[test]
    fn a_gap_may_hold_a_setting() {
        let settings = Json::object([("table", "a b".into())]);
        let address = "http://x/{{ settings.table }}/{{ answer.id }}";
        let address = Address::with_settings(address, &settings).unwrap();
        let url = address.fill(&json!({"id": 1})).unwrap();
        assert_eq!(url.as_str(), "http://x/a%20b/1");
    }

    #[test]
    fn hostile_values_never_change_host_path_or_query() {
        for hostile in [
            "/",
            "//evil.example/",
            "../../admin",
            "x/../..",
            "?a=b",
            "#x",
            "@evil.example",
            "x@y",
            "\\..\\..",
            "%2e%2e",
            "%2f",
            "a&b=c",
            "a;b",
            "https://evil.example/",
            "\r\nHost: evil",
            "\u{202e}",
            "ﬁ",
            "a b",
            "{{ answer }}",
        ] {
            let url = fill(
                "http://x.example:81/a/{{ answer.id }}/b",
                &json!({"id": hostile}),
            );
            let url = Url::parse(&url.unwrap()).unwrap();
            let segments: Vec<_> = url.path_segments().unwrap().collect();
            assert_eq!(segments.len(), 3, "{hostile:?}: {url}");
            assert_eq!((segments[0], segments[2]), ("a", "b"), "{hostile:?}");
            assert_eq!(url.origin().ascii_serialization(), "http://x.example:81");
            assert_eq!((url.query(), url.fragment()), (None, None), "{hostile:?}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_and_not_said() {
        for answer in [
            json!({}),
            json!(null),
            json!({"id": null}),
            json!({"id": ""}),
            json!({"id": "."}),
            json!({"id": ".."}),
            json!({"id": {"canary": 1}}),
            json!({"id": ["canary"]}),
            json!("canary"),
            json!({"id": "canary".repeat(1000)}),
        ] {
            let error = fill("http://x/{{ answer.id }}", &answer).unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn nothing_but_the_host_that_is_written_can_be_meant() {
        for text in [
            "{{ answer.url }}",
            "https://{{ answer.host }}/x",
            "https://cmms{{ answer.host }}/x",
            "https://cmms.example{{ answer.path }}",
            "https://cmms.example:{{ answer.port }}/",
            "{{ answer.scheme }}://x/",
            "https://x?id={{ answer.id }}",
            "ftp://x/{{ answer.id }}",
            "https://me:canary@x/{{ answer.id }}",
            "/orders/{{ answer.id }}",
            "https://x/{% if 1 %}{{ answer.id }}{% endif %}",
            "https://x/{{ answer.id",
            "https://x/{{ event.id }}",
            "https://x/{{ answer.id|nonsense }}",
            "https://x/{{ settings.table }}",
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_stands_behind_a_question_mark_is_not_shown() {
        let address = Address::parse("https://x/{{ answer.id }}?key=canary").unwrap();
        let shown = format!("{} {address:?}", address.shown());
        assert!(!shown.contains("canary"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_place(id: String) {
            if let Ok(url) = fill("http://x.example/a/{{ answer.id }}/b?c={{ answer.id }}", &json!({"id": id})) {
                let url = Url::parse(&url).unwrap();
                prop_assert_eq!(url.host_str(), Some("x.example"));
                prop_assert_eq!(url.path_segments().unwrap().count(), 3);
                prop_assert_eq!(url.query_pairs().count(), 1);
            }
        }
    }
}
