//! Bodies, samples and schemas fit together, and identities are what they should be.

use jiff::Timestamp;
use serde_json::Value;

use super::*;
use crate::event::Identity;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + second).unwrap()
}

fn types() -> impl Iterator<Item = String> {
    let own = Own::ALL.map(|own| own.as_str().to_owned());
    own.into_iter().chain(["answer:cmms".to_owned()])
}

/// Where a value is not as the schema has it, with the keywords that these schemas use.
pub(crate) fn wrong(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is = |word: &str| match word {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("a keyword that is not checked: {other}"),
    };
    let types: Vec<_> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    };
    if !types.is_empty() && !types.iter().any(|word| is(word)) {
        found.push(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        found.push(format!("{at}: {value} is not in {allowed:?}"));
    }
    let least = schema["minimum"].as_i64();
    if least.is_some_and(|least| value.as_i64().is_some_and(|n| n < least)) {
        found.push(format!("{at}: {value} is too small"));
    }
    for item in value.as_array().into_iter().flatten() {
        found.extend(wrong(&schema["items"], item, &format!("{at}[]")));
    }
    if let (Some(members), Some(known)) = (value.as_object(), schema["properties"].as_object()) {
        for name in schema["required"].as_array().into_iter().flatten() {
            if !members.contains_key(name.as_str().unwrap()) {
                found.push(format!("{at}: there is no {name}"));
            }
        }
        for (name, member) in members {
            match known.get(name) {
                Some(schema) => found.extend(wrong(schema, member, &format!("{at}/{name}"))),
                None => found.push(format!("{at}: {name} is not known")),
            }
        }
    }
    found
}

/// Where a body is not as the schema of its type has it.
pub(crate) fn wrong_body(event_type: &str, body: &[u8]) -> Vec<String> {
    let schema: Value = serde_json::from_str(schema(event_type).unwrap()).unwrap();
    wrong(&schema, &serde_json::from_slice(body).unwrap(), "")
}

#[test]
fn every_sample_is_as_its_schema_has_it_and_says_its_type_and_id() {
    for event_type in types() {
        let sample = sample(&event_type, at(0)).unwrap();
        assert_eq!(
            wrong_body(&event_type, &sample.body),
            [""; 0],
            "{event_type}"
        );
        assert_eq!(sample.event_type, event_type);
        assert_eq!(
            (&*sample.source, sample.origin),
            (RELAY, Origin::Sample),
            "{event_type}"
        );
        let body: Value = serde_json::from_slice(&sample.body).unwrap();
        assert_eq!(body["type"], *event_type);
        let uuid = body["uuid"].as_str().unwrap().to_owned();
        assert_eq!(sample.identity, Identity::Envelope(uuid));
    }
    assert!(sample("ACTION_COMPLETED", at(0)).is_none());
    assert!(schema("RELAY_NOTICE").is_none());
}

#[test]
fn a_schema_refuses_what_is_missing_unknown_or_of_another_type() {
    let body = sample("after:deliver", at(0)).unwrap().body;
    let body = String::from_utf8(body).unwrap();
    for (from, to) in [
        (r#""attempts":1"#, r#""attempts":"1""#),
        (r#""attempts":1"#, r#""tries":1"#),
        (r#""outcome":"delivered""#, r#""outcome":"lost""#),
        (r#""number":42,"#, ""),
    ] {
        let other = body.replace(from, to);
        assert_ne!(other, body, "{from}");
        assert_ne!(
            wrong_body("after:deliver", other.as_bytes()),
            [""; 0],
            "{to}"
        );
    }
}

#[test]
fn the_same_cause_gives_the_same_event_and_another_cause_another() {
    for event_type in types() {
        let id = |second| sample(&event_type, at(second)).unwrap().identity;
        assert_eq!(id(0), id(0), "{event_type}");
        let once = event_type == Own::Unmapped.as_str();
        assert_eq!(id(0) == id(1), once, "{event_type}");
    }
    let event = About {
        number: 1,
        source: "orbit",
        event_type: "T",
        id: "a",
        origin: "webhook",
    };
    let delivery = Delivery {
        event,
        destination: "cmms",
        destination_id: "1",
        delivery: None,
        asset: None,
        attempts: 1,
    };
    let first = before(&delivery, at(0)).identity;
    for other in [
        Delivery {
            attempts: 2,
            ..delivery
        },
        Delivery {
            destination_id: "11",
            ..delivery
        },
        Delivery {
            event: About { number: 2, ..event },
            ..delivery
        },
        Delivery {
            event: About { id: "b", ..event },
            ..delivery
        },
    ] {
        assert_ne!(before(&other, at(0)).identity, first, "{other:?}");
    }
    let end = End {
        dead: true,
        reason: None,
        answer: None,
    };
    assert_ne!(
        after(&delivery, end, at(0)).identity,
        dead(&delivery, end, at(0)).identity
    );
}

#[test]
fn an_answer_keeps_its_bytes_and_rubbish_is_null() {
    let delivery = |said: &str| {
        let event = About {
            number: 1,
            source: "up42",
            event_type: "order.status",
            id: "id:7",
            origin: "webhook",
        };
        let delivery = Delivery {
            event,
            destination: "wiki \"7\"",
            destination_id: "wiki",
            delivery: Some("k"),
            asset: None,
            attempts: 1,
        };
        let event = answer(&delivery, said, at(0));
        (event.event_type, String::from_utf8(event.body).unwrap())
    };
    let (event_type, body) = delivery(r#"{"answer":{"n":1.50e3},"taken":{"a":[1]}}"#);
    assert_eq!(event_type, "answer:wiki \"7\"");
    assert!(
        body.contains(r#""answer":{"n":1.50e3},"taken":{"a":[1]}"#),
        "{body}"
    );
    for rubbish in ["", "[]", "{", r#"{"taken":1}"#] {
        let (event_type, body) = delivery(rubbish);
        assert_eq!(
            wrong_body(&event_type, body.as_bytes()),
            [""; 0],
            "{rubbish}"
        );
        assert!(body.contains(r#""answer":null"#), "{body}");
    }
}

#[test]
fn nothing_is_said_of_own_events_and_of_samples() {
    assert!(concerns("orbit", Origin::Webhook) && concerns("up42", Origin::Backfill));
    assert!(!concerns(RELAY, Origin::Relay) && !concerns("orbit", Origin::Sample));
}
