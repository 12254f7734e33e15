//! Slack behind the URL of an incoming webhook: takes one message a second.
//!
//! # Invariants
//! - The URL is the credential: another path is no service.
//! - A message comes in the channel whole or not at all.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::base::{Asked, Reply, System};

/// The path that messages are posted to.
pub const PATH: &str = "/services/T00000000/B00000000/0123456789abcdefABCDEF01";

/// Messages beyond this number push out the oldest.
pub const KEPT_MESSAGES: usize = 1_000;

/// One a second, and a little less, since the network moves messages closer to each other.
const GAP: SignedDuration = SignedDuration::from_millis(900);

const BLOCKS: usize = 50;
const SECTION_CHARS: usize = 3_000;
const FIELDS: usize = 10;
const FIELD_CHARS: usize = 2_000;
const HEADER_CHARS: usize = 150;
const ELEMENTS: usize = 10;

/// A channel with an incoming webhook.
#[derive(Debug, Default)]
pub struct Slack {
    messages: VecDeque<Value>,
    posted: u64,
    last: Option<Timestamp>,
}

impl Slack {
    /// The latest messages, oldest first.
    pub fn messages(&self) -> impl Iterator<Item = &Value> {
        self.messages.iter()
    }

    /// How many messages were ever taken.
    pub fn posted(&self) -> u64 {
        self.posted
    }
}

impl System for Slack {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        let plain = |status, text: &'static str| Reply::text(status, "text/plain", text);
        if asked.path != PATH {
            return plain(404, "no_service");
        }
        if asked.method != "POST" {
            return plain(405, "method_not_allowed");
        }
        // A clock that was set back holds up nobody.
        if self
            .last
            .is_some_and(|last| last <= now && now.duration_since(last) < GAP)
        {
            return plain(429, "rate_limited").with("retry-after", "1");
        }
        let Some(message) = asked.json().filter(Value::is_object) else {
            return plain(400, "invalid_payload");
        };
        let text = message.get("text").and_then(Value::as_str).unwrap_or("");
        let sound = match message.get("blocks") {
            None if text.is_empty() => return plain(400, "no_text"),
            None => true,
            Some(blocks) => sound_blocks(blocks),
        };
        if !sound {
            return plain(400, "invalid_blocks");
        }
        self.last = Some(now);
        self.posted += 1;
        self.messages.push_back(message);
        while self.messages.len() > KEPT_MESSAGES {
            self.messages.pop_front();
        }
        plain(200, "ok")
    }
}

fn sound_blocks(blocks: &Value) -> bool {
    let Some(blocks) = blocks.as_array() else {
        return false;
    };
    (1..=BLOCKS).contains(&blocks.len()) && blocks.iter().all(sound_block)
}

fn sound_block(block: &Value) -> bool {
    let list = |member: &str, most: usize| {
        let list = block.get(member).and_then(Value::as_array);
        list.filter(|list| (1..=most).contains(&list.len()))
    };
    match block.get("type").and_then(Value::as_str) {
        Some("divider") => true,
        Some("header") => sound_text(block.get("text"), HEADER_CHARS, &["plain_text"]),
        Some("context") => list("elements", ELEMENTS).is_some_and(|elements| {
            let mut elements = elements.iter();
            elements.all(|element| sound_text(Some(element), SECTION_CHARS, &TEXTS))
        }),
        Some("section") => {
            let text = block.get("text");
            let fields = block.get("fields");
            (text.is_some() || fields.is_some())
                && (text.is_none() || sound_text(text, SECTION_CHARS, &TEXTS))
                && (fields.is_none()
                    || list("fields", FIELDS).is_some_and(|fields| {
                        let mut fields = fields.iter();
                        fields.all(|field| sound_text(Some(field), FIELD_CHARS, &TEXTS))
                    }))
        }
        _ => false,
    }
}

const TEXTS: [&str; 2] = ["mrkdwn", "plain_text"];

fn sound_text(object: Option<&Value>, most: usize, kinds: &[&str]) -> bool {
    let member = |name: &str| {
        let value = object.and_then(|object| object.get(name));
        value.and_then(Value::as_str).unwrap_or("")
    };
    let chars = member("text").chars().count();
    kinds.contains(&member("type")) && (1..=most).contains(&chars)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::probe::Probe;
    use super::*;
    use crate::clock::{Clock, Hand};

    async fn probe() -> (Probe<Slack>, Hand) {
        let (clock, hand) = Clock::manual("2026-02-03T09:20:00Z".parse().unwrap());
        (Probe::of(Slack::default(), clock).await, hand)
    }

    fn message() -> Value {
        json!({"text": "Leak detected", "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": "Leak detected"}},
            {"type": "section", "text": {"type": "mrkdwn", "text": "*AIR-HDR-42* 58.2 dB"}},
            {"type": "section", "fields": [{"type": "mrkdwn", "text": "*Robot*\nspot-07"}]},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": "Pump hall AM"}]},
        ]})
    }

    #[tokio::test]
    async fn a_message_is_taken_with_ok() {
        let (probe, _) = probe().await;
        let answer = probe.post(PATH, &message()).await;
        assert_eq!((answer.status, answer.text.as_str()), (200, "ok"));
        let world = probe.running.world();
        let text = world.with(|slack| slack.messages().next().unwrap()["text"].clone());
        assert_eq!(text, "Leak detected");
    }

    #[tokio::test]
    async fn a_second_message_within_a_second_is_refused_with_retry_after() {
        let (probe, hand) = probe().await;
        assert_eq!(probe.post(PATH, &message()).await.status, 200);
        let refused = probe.post(PATH, &message()).await;
        assert_eq!(refused.status, 429);
        assert_eq!(refused.retry_after.as_deref(), Some("1"));
        hand.advance(Duration::from_secs(1));
        assert_eq!(probe.post(PATH, &message()).await.status, 200);
        assert_eq!(probe.running.world().with(|slack| slack.posted()), 2);
    }

    #[tokio::test]
    async fn blocks_that_break_a_limit_are_invalid_blocks() {
        let (probe, _) = probe().await;
        for (at, wrong) in [
            ("/blocks", json!([])),
            ("/blocks", json!(vec![json!({"type": "divider"}); 51])),
            ("/blocks/0/text/text", json!("")),
            ("/blocks/0/text/text", json!("x".repeat(151))),
            ("/blocks/0/text/type", json!("mrkdwn")),
            ("/blocks/1/text/text", json!("x".repeat(3_001))),
            ("/blocks/1/text/type", json!("markdown")),
            ("/blocks/2/fields", json!([])),
            ("/blocks/3/elements", json!([])),
            ("/blocks/3/type", json!("unknown")),
        ] {
            let mut body = message();
            *body.pointer_mut(at).unwrap() = wrong;
            let answer = probe.post(PATH, &body).await;
            let answered = (answer.status, answer.text.as_str());
            assert_eq!(answered, (400, "invalid_blocks"), "{at}");
        }
        assert_eq!(probe.running.world().with(|slack| slack.posted()), 0);
    }

    #[tokio::test]
    async fn another_url_is_no_service_and_a_message_without_text_has_no_text() {
        let (probe, _) = probe().await;
        let elsewhere = probe.post("/services/T0/B0/wrong", &message()).await;
        assert_eq!(
            (elsewhere.status, elsewhere.text.as_str()),
            (404, "no_service")
        );
        let empty = probe.post(PATH, &json!({})).await;
        assert_eq!((empty.status, empty.text.as_str()), (400, "no_text"));
    }
}
