//! Bodies such as the vendors send, for trying a source out: made up, but of the right form.
//!
//! # Invariants
//! - Id and type stand where the scheme reads them, if it reads them in the body.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::scheme::{Place, Scheme};

pub(super) fn body(scheme: &Scheme, id: &str, event_type: &str, at: Timestamp) -> Value {
    let at_s = at.as_second();
    match scheme {
        Scheme::Stripe => json!({
            "id": id,
            "object": "event",
            "api_version": "2025-03-31.basil",
            "created": at_s,
            "data": {"object": {
                "id": "ch_sample",
                "object": "charge",
                "amount": 4200,
                "currency": "eur",
                "description": "Replacement bearing",
                "paid": true,
                "status": "succeeded",
            }},
            "livemode": false,
            "pending_webhooks": 1,
            "request": {"id": null, "idempotency_key": null},
            "type": event_type,
        }),
        Scheme::Github => github(event_type, at),
        Scheme::Slack => slack(id, event_type, at_s),
        Scheme::Up42 { .. } => json!({
            "messageId": id,
            "event": event_type,
            "createdAt": at.to_string(),
            "body": {
                "orderId": "11111111-2222-3333-4444-555555555555",
                "workspaceId": "66666666-7777-8888-9999-000000000000",
                "displayName": "Plant, north yard",
                "status": "FULFILLED",
                "assets": ["aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"],
            },
        }),
        Scheme::Servo => json!({
            "event": event_type,
            "created_at": at.to_string(),
            "results": [{"connector": "prometheus", "value": {"throughput": 42.5}}],
        }),
        Scheme::StandardWebhooks => json!({
            "type": event_type,
            "timestamp": at.to_string(),
            "data": {"id": "sample", "text": "a sample, nothing happened"},
        }),
        Scheme::Hmac(_) | Scheme::Token(_) | Scheme::None { .. } => {
            named(scheme, id, event_type, at)
        }
    }
}

fn github(event_type: &str, at: Timestamp) -> Value {
    let (event, action) = match event_type.split_once('.') {
        Some((event, action)) => (event, Some(action)),
        None => (event_type, None),
    };
    let mut body = json!({
        "repository": {
            "id": 1_296_269,
            "name": "hello-world",
            "full_name": "octocat/hello-world",
            "html_url": "https://github.com/octocat/hello-world",
        },
        "sender": {"id": 1, "login": "octocat", "type": "User"},
    });
    let more = match event {
        "ping" => json!({"zen": "Design for failure.", "hook_id": 1}),
        "push" => json!({
            "ref": "refs/heads/main",
            "before": "0".repeat(40),
            "after": "1".repeat(40),
            "commits": [],
        }),
        // GitHub names the member in the singular: `issues` brings an `issue`.
        _ => json!({event.strip_suffix('s').unwrap_or(event): {
            "id": 1,
            "number": 1,
            "title": "A sample, nothing happened",
            "created_at": at.to_string(),
        }}),
    };
    let action = action.map(|action| ("action".to_owned(), action.into()));
    if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
        body.extend(more);
        body.extend(action);
    }
    body
}

fn slack(id: &str, event_type: &str, at_s: i64) -> Value {
    if event_type == "url_verification" {
        return json!({
            "token": "sample",
            "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P",
            "type": event_type,
        });
    }
    json!({
        "token": "sample",
        "team_id": "T061EG9R6",
        "api_app_id": "A0PNCHHK2",
        "event": {
            "type": event_type,
            "channel": "C0LAN2Q65",
            "user": "U061F7AUR",
            "text": "a sample, nothing happened",
            "ts": format!("{at_s}.000100"),
        },
        "type": "event_callback",
        "event_id": id,
        "event_time": at_s,
    })
}

/// Of a source that nothing is known of but where its names are.
fn named(scheme: &Scheme, id: &str, event_type: &str, at: Timestamp) -> Value {
    let mut body = json!({
        "time": at.to_string(),
        "text": "a sample, nothing happened",
    });
    if let Some(names) = scheme.names() {
        for (place, text) in [(&names.id, id), (&names.event_type, event_type)] {
            if let Some(Place::Pointer(pointer)) = place {
                put(&mut body, pointer, text);
            }
        }
    }
    body
}

/// Puts a text at a JSON pointer. What is on the way and is no object becomes one.
fn put(mut body: &mut Value, pointer: &str, text: &str) {
    let Some(steps) = pointer.strip_prefix('/') else {
        return;
    };
    for step in steps.split('/') {
        if !body.is_object() {
            *body = Value::Object(Map::new());
        }
        let Value::Object(members) = body else {
            return;
        };
        let name = step.replace("~1", "/").replace("~0", "~");
        body = members.entry(name).or_insert(Value::Null);
    }
    *body = text.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::text_at;
    use crate::relay::verify::scheme::Names;

    #[test]
    fn id_and_type_stand_where_the_scheme_reads_them() {
        let pointed = |id: &str, event_type: &str| Scheme::None {
            names: Names {
                id: Some(Place::Pointer(id.into())),
                event_type: Some(Place::Pointer(event_type.into())),
            },
        };
        let up42 = Scheme::Up42 {
            body_unsigned: false,
        };
        for (scheme, id, event_type) in [
            (Scheme::Stripe, Some("/id"), "/type"),
            (Scheme::Slack, Some("/event_id"), "/event/type"),
            (up42, Some("/messageId"), "/event"),
            (Scheme::Servo, None, "/event"),
            (Scheme::StandardWebhooks, None, "/type"),
            (
                pointed("/a/0/b", "/a/kind~1x"),
                Some("/a/0/b"),
                "/a/kind~1x",
            ),
            (pointed("/text/id", "/time"), Some("/text/id"), "/time"),
        ] {
            let sample = body(&scheme, "the id", "the \"type\"", Timestamp::UNIX_EPOCH).to_string();
            let at = |pointer: &str| text_at(&sample, pointer);
            assert_eq!(at(event_type).as_deref(), Some("the \"type\""), "{sample}");
            if let Some(id) = id {
                assert_eq!(at(id).as_deref(), Some("the id"), "{sample}");
            }
        }
    }

    #[test]
    fn a_sample_of_github_has_its_action_and_its_subject() {
        let opened = body(&Scheme::Github, "1", "issue.opened", Timestamp::UNIX_EPOCH);
        assert_eq!(opened["action"], "opened");
        assert_eq!(opened["issue"]["number"], 1);
        let push = body(&Scheme::Github, "1", "push", Timestamp::UNIX_EPOCH);
        assert_eq!(push["ref"], "refs/heads/main");
        assert_eq!(push.get("action"), None);
    }
}
