//! What nobody outside can know of a real Orbit, answered from what it said.
//!
//! # Invariants
//! - Pure.
//! - Of what Orbit holds only forms are shown: names of members, types, the first characters of
//!   a text, and no text at all where the member's name sounds like a secret.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::reach::Reach;
use super::webhooks::{ShownSecret, shown_secret};
use super::{Seen, line_of};
use crate::orbit::{CallError, Page};

/// No answer says more.
const ANSWER_CHARS: usize = 8000;
/// So much of a text is shown.
const SHOWN_CHARS: usize = 8;
/// So deep is a form shown, and so many members at each level.
const DEPTH: usize = 6;
const MEMBERS: usize = 40;
const SOUNDS_SECRET: [&str; 6] = ["secret", "token", "password", "auth", "key", "cookie"];

/// What only the check asks for.
#[derive(Debug, Default)]
pub struct Questions {
    /// The page of one after the first.
    pub second: Option<Result<Page, CallError>>,
    /// A page of a thousand.
    pub large: Option<Result<Page, CallError>>,
}

/// A question and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The question.
    pub question: &'static str,
    /// The answer.
    pub answer: String,
}

/// All of them.
pub fn all(seen: &Seen, reach: &Reach, last_test: Option<&[u8]>) -> Vec<Answered> {
    let version = match &seen.version {
        Some(Ok(version)) => {
            let known = |text: &Option<String>| text.clone().unwrap_or("not said".to_owned());
            format!(
                "{}, serial {}, host environment {}",
                known(&version.version),
                known(&version.serial),
                known(&version.host_environment)
            )
        }
        other => unanswered(other.as_ref()),
    };
    let newest = match &seen.run_events {
        Some(Ok(page)) => page.resources.first().map(|newest| newest.get()),
        _ => None,
    };
    let created_at =
        newest.map_or_else(|| "not known: no run event was read".to_owned(), created_at);
    let shape_of = |text: Option<&[u8]>, none: &str| match text {
        None => none.to_owned(),
        Some(text) => match serde_json::from_slice(text) {
            Ok(value) => form(&value, "", 0),
            Err(_) => format!("{} bytes that are no JSON", text.len()),
        },
    };
    let answers = [
        ("version, serial, host environment", version),
        ("does GET /webhooks return secrets", secrets(seen)),
        ("does run_events accept offset", offset(seen)),
        ("does run_events accept limit=1000", large(seen)),
        ("the form of createdAt", created_at),
        (
            "the form of a run event",
            shape_of(
                newest.map(str::as_bytes),
                "not known: no run event was read",
            ),
        ),
        (
            "the form of the last test body",
            shape_of(last_test, "not known: no test payload has come yet"),
        ),
        ("was loopback reachable", reach.loopback()),
    ];
    let answers = answers.into_iter();
    answers
        .map(|(question, answer)| Answered {
            question,
            answer: line_of(&answer, ANSWER_CHARS),
        })
        .collect()
}

fn unanswered<T>(asked: Option<&Result<T, CallError>>) -> String {
    match asked {
        Some(Err(error)) => format!("not known: {error}"),
        _ => "not known: not asked".to_owned(),
    }
}

fn secrets(seen: &Seen) -> String {
    let webhooks = match &seen.webhooks {
        Some(Ok(webhooks)) => webhooks,
        other => return unanswered(other.as_ref()),
    };
    if webhooks.is_empty() {
        return "not known: there are no webhooks".to_owned();
    }
    let count = |kind| {
        let hooks = webhooks.iter();
        hooks.filter(|hook| shown_secret(hook) == kind).count()
    };
    format!(
        "of {} webhooks {} whole, {} masked, {} without one",
        webhooks.len(),
        count(ShownSecret::Whole),
        count(ShownSecret::Masked),
        count(ShownSecret::None)
    )
}

/// The second of two, asked for by itself, shows whether the offset counts.
fn offset(seen: &Seen) -> String {
    let (two, second) = match (&seen.run_events, &seen.questions.second) {
        (Some(Ok(two)), Some(Ok(second))) => (two, second),
        (Some(Ok(_)), Some(Err(error))) => return format!("no: {error}"),
        (asked, _) => return unanswered(asked.as_ref()),
    };
    let uuid = |entry: &RawValue| -> Option<String> {
        let entry: Value = serde_json::from_str(entry.get()).ok()?;
        Some(entry.get("uuid")?.as_str()?.to_owned())
    };
    let [first, other] = [0, 1].map(|place| two.resources.get(place).and_then(|e| uuid(e)));
    let given = second.resources.first().and_then(|entry| uuid(entry));
    match (first, other, given) {
        (Some(_), Some(other), Some(given)) if given == other => "yes".to_owned(),
        (Some(first), Some(_), Some(given)) if given == first => {
            "no: it is ignored, the page begins at the beginning".to_owned()
        }
        (Some(_), Some(_), Some(_)) => {
            "not known: another came, maybe something was stored meanwhile".to_owned()
        }
        (Some(_), Some(_), None) => "no: the page is empty".to_owned(),
        _ => "not known: Orbit has fewer than two run events".to_owned(),
    }
}

fn large(seen: &Seen) -> String {
    match &seen.questions.large {
        Some(Ok(page)) => {
            let number =
                |number: Option<u64>| number.map_or("not said".to_owned(), |n| n.to_string());
            format!(
                "{} came; the answer's limit is {}, its total {}",
                page.resources.len(),
                number(page.limit),
                number(page.total)
            )
        }
        Some(Err(error)) => format!("no: {error}"),
        None => "not known: not asked".to_owned(),
    }
}

fn created_at(run_event: &str) -> String {
    let run_event: Option<Value> = serde_json::from_str(run_event).ok();
    match run_event.as_ref().and_then(|event| event.get("createdAt")) {
        // The digits are the customer's.
        Some(Value::String(text)) => {
            let digits = |c: char| if c.is_ascii_digit() { '9' } else { c };
            text.chars().take(40).map(digits).collect()
        }
        Some(other) => form(other, "createdAt", 0),
        None => "it is not there".to_owned(),
    }
}

/// What a JSON value looks like.
fn form(value: &Value, name: &str, depth: usize) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "boolean".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => {
            let name = name.to_ascii_lowercase();
            let length = text.chars().count();
            if SOUNDS_SECRET.iter().any(|sound| name.contains(sound)) {
                return format!("string of {length}");
            }
            let shown: String = text.chars().take(SHOWN_CHARS).collect();
            let more = if length > SHOWN_CHARS { "…" } else { "" };
            format!("string of {length} ({shown}{more})")
        }
        Value::Array(_) | Value::Object(_) if depth >= DEPTH => "…".to_owned(),
        Value::Array(items) => match items.first() {
            None => "[]".to_owned(),
            Some(first) => format!("[{} × {}]", items.len(), form(first, name, depth + 1)),
        },
        Value::Object(members) => {
            let shown = members.iter().take(MEMBERS);
            let mut shown: Vec<_> = shown
                .map(|(name, value)| format!("{name}: {}", form(value, name, depth + 1)))
                .collect();
            if members.len() > MEMBERS {
                shown.push("…".to_owned());
            }
            format!("{{{}}}", shown.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn page(uuids: &[&str]) -> Page {
        let entries = uuids.iter().map(|uuid| json!({"uuid": uuid}).to_string());
        Page {
            resources: entries
                .map(|entry| RawValue::from_string(entry).unwrap())
                .collect(),
            total: Some(9),
            limit: Some(100),
        }
    }

    fn asked(two: &[&str], second: Result<Page, CallError>) -> Seen {
        Seen {
            run_events: Some(Ok(page(two))),
            questions: Questions {
                second: Some(second),
                large: None,
            },
            ..Seen::default()
        }
    }

    #[test]
    fn whether_offset_counts_is_seen_in_the_page_after_the_first() {
        for (second, says) in [
            (Ok(page(&["b"])), "yes"),
            (Ok(page(&["a"])), "no: it is ignored"),
            (Ok(page(&[])), "no: the page is empty"),
            (Ok(page(&["c"])), "not known"),
            (Err(CallError::Status(400)), "no: Orbit answered 400"),
        ] {
            let answer = offset(&asked(&["a", "b"], second));
            assert!(answer.starts_with(says), "{answer}");
        }
        let answer = offset(&asked(&["a"], Ok(page(&[]))));
        assert!(answer.contains("fewer than two"), "{answer}");
    }

    #[test]
    fn a_form_shows_names_and_types_and_no_more_of_a_text_than_its_beginning() {
        let body = json!({
            "uuid": "0123456789", "type": "TEST", "n": 1, "list": [{"a": null}, 2],
            "apiToken": "canary", "empty": [],
        });
        insta::assert_snapshot!(form(&body, "", 0), @"{apiToken: string of 6, empty: [], list: [2 × {a: null}], n: number, type: string of 4 (TEST), uuid: string of 10 (01234567…)}");
    }

    #[test]
    fn the_form_of_a_time_has_no_digits_of_its_own() {
        let event = json!({"createdAt": "2025-07-31T21:38:52.312188+00:00"}).to_string();
        assert_eq!(created_at(&event), "9999-99-99T99:99:99.999999+99:99");
    }
}
