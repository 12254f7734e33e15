//! Microsoft Teams behind the URL of a Workflow: takes Adaptive Cards.
//!
//! # Invariants
//! - A message of more than [`LARGEST`] bytes is refused, as is one that shows nothing.
//! - The URL is the credential: without its `sig` nothing is taken.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::base::{Asked, Reply, System};

/// No message is larger, in bytes.
pub const LARGEST: usize = 28 << 10;

/// Cards beyond this number push out the oldest.
pub const KEPT_CARDS: usize = 1_000;

const CARD: &str = "application/vnd.microsoft.card.adaptive";
/// The elements of cards that are known here.
const ELEMENTS: [&str; 9] = [
    "TextBlock",
    "RichTextBlock",
    "Image",
    "ImageSet",
    "Container",
    "ColumnSet",
    "Column",
    "FactSet",
    "ActionSet",
];

/// A channel that a Workflow posts to.
#[derive(Debug)]
pub struct Teams {
    signature: String,
    too_large: u16,
    cards: VecDeque<Value>,
    posted: u64,
}

impl Teams {
    /// A Workflow whose URL carries this `sig`.
    pub fn new(signature: &str) -> Self {
        Self {
            signature: signature.to_owned(),
            too_large: 413,
            cards: VecDeque::new(),
            posted: 0,
        }
    }

    /// The path and query that messages are posted to.
    pub fn target(&self) -> String {
        format!(
            "/workflows/0a1b/triggers/manual/paths/invoke?api-version=1&sv=1.0&sig={}",
            self.signature
        )
    }

    /// With which status a message that is too large is refused from now on: 413 or 400.
    pub fn refuse_too_large_with(&mut self, status: u16) {
        self.too_large = status;
    }

    /// The latest cards, oldest first.
    pub fn cards(&self) -> impl Iterator<Item = &Value> {
        self.cards.iter()
    }

    /// How many messages were ever taken.
    pub fn posted(&self) -> u64 {
        self.posted
    }

    fn take(&mut self, asked: &Asked) -> Result<(), String> {
        let message = asked.object().ok_or("the request body is no JSON object")?;
        if message.get("type").and_then(Value::as_str) != Some("message") {
            return Err("type is not message".into());
        }
        let attachments = message.get("attachments").and_then(Value::as_array);
        let attachments = attachments.filter(|list| !list.is_empty());
        let attachments = attachments.ok_or("attachments is no list, or empty")?;
        for attachment in attachments {
            if attachment.get("contentType").and_then(Value::as_str) != Some(CARD) {
                return Err(format!("contentType is not {CARD}"));
            }
            let card = attachment.get("content").unwrap_or(&Value::Null);
            check_card(card)?;
        }
        for card in attachments.iter().filter_map(|one| one.get("content")) {
            self.cards.push_back(card.clone());
        }
        while self.cards.len() > KEPT_CARDS {
            self.cards.pop_front();
        }
        self.posted += 1;
        Ok(())
    }
}

impl System for Teams {
    fn answer(&mut self, asked: &Asked, _: Timestamp) -> Reply {
        if asked.parameter("sig") != Some(self.signature.as_str()) {
            let error = json!({"error": {"code": "DirectApiAuthorizationRequired",
                "message": "The request must be authenticated only by Shared Access scheme."}});
            return Reply::json(401, &error);
        }
        if asked.method != "POST" {
            return Reply::empty(405);
        }
        if asked.body.len() > LARGEST {
            let error = json!({"error": {"code": "RequestEntityTooLarge",
                "message": "Message size exceeds 28 KB."}});
            return Reply::json(self.too_large, &error);
        }
        match self.take(asked) {
            Ok(()) => Reply::empty(202),
            Err(message) => {
                let error = json!({"error": {"code": "InvalidRequestContent", "message": message}});
                Reply::json(400, &error)
            }
        }
    }
}

fn check_card(card: &Value) -> Result<(), String> {
    let text = |member: &str| card.get(member).and_then(Value::as_str);
    if text("type") != Some("AdaptiveCard") {
        return Err("the content is no AdaptiveCard".into());
    }
    match text("version") {
        Some("1.0" | "1.1" | "1.2" | "1.3" | "1.4") => {}
        other => return Err(format!("version {other:?} is not shown by Teams")),
    }
    let body = card.get("body").and_then(Value::as_array);
    let body = body.filter(|body| !body.is_empty());
    for element in body.ok_or("the card has no body")? {
        check_element(element)?;
    }
    let actions = card.get("actions").and_then(Value::as_array);
    for action in actions.into_iter().flatten() {
        check_action(action)?;
    }
    Ok(())
}

fn check_element(element: &Value) -> Result<(), String> {
    let kind = element.get("type").and_then(Value::as_str).unwrap_or("");
    if !ELEMENTS.contains(&kind) {
        return Err(format!("{kind:?} is no element of a card"));
    }
    if let Some(visible) = element.get("isVisible")
        && !visible.is_boolean()
    {
        return Err("isVisible is no boolean".into());
    }
    if kind == "TextBlock" && !element.get("text").is_some_and(Value::is_string) {
        return Err("a TextBlock has no text".into());
    }
    if kind == "FactSet" {
        let facts = element.get("facts").and_then(Value::as_array);
        for fact in facts.ok_or("a FactSet has no facts")? {
            for member in ["title", "value"] {
                if !fact.get(member).is_some_and(Value::is_string) {
                    return Err(format!("the {member} of a fact is no text"));
                }
            }
        }
    }
    Ok(())
}

fn check_action(action: &Value) -> Result<(), String> {
    let text = |member: &str| action.get(member).and_then(Value::as_str).unwrap_or("");
    let url = text("url");
    if text("type") != "Action.OpenUrl" {
        return Err("an action is not Action.OpenUrl".into());
    }
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err("the url of an action is none".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::probe::Probe;
    use super::*;
    use crate::clock::Clock;

    async fn probe() -> (Probe<Teams>, String) {
        let teams = Teams::new("s3cret");
        let target = teams.target();
        (Probe::of(teams, Clock::system()).await, target)
    }

    fn message(text: &str) -> Value {
        json!({"type": "message", "attachments": [{
            "contentType": CARD, "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard", "version": "1.4",
                "body": [
                    {"type": "TextBlock", "text": text, "wrap": true},
                    {"type": "FactSet", "isVisible": true,
                     "facts": [{"title": "Asset", "value": "PUMP-101"}]},
                ],
                "actions": [{"type": "Action.OpenUrl", "title": "Open in Orbit",
                             "url": "https://orbit.plant.example/inspections"}],
            },
        }]})
    }

    #[tokio::test]
    async fn a_card_is_taken_with_202_and_is_in_the_channel() {
        let (probe, target) = probe().await;
        let answer = probe.post(&target, &message("Leak detected")).await;
        assert_eq!((answer.status, answer.text.as_str()), (202, ""));
        let shown = probe.running.world().with(|teams| {
            let card = teams.cards().next().unwrap();
            card.pointer("/body/0/text").cloned()
        });
        assert_eq!(shown, Some(json!("Leak detected")));
    }

    #[tokio::test]
    async fn a_message_above_28_kilobytes_is_refused_and_one_below_is_not() {
        let (probe, target) = probe().await;
        let empty = message("").to_string().len();
        let fits = message(&"x".repeat(LARGEST - empty));
        let larger = message(&"x".repeat(LARGEST - empty + 1));
        assert_eq!(probe.post(&target, &fits).await.status, 202);
        assert_eq!(probe.post(&target, &larger).await.status, 413);
        let world = probe.running.world();
        world.with(|teams| teams.refuse_too_large_with(400));
        assert_eq!(probe.post(&target, &larger).await.status, 400);
        assert_eq!(world.with(|teams| teams.posted()), 1);
    }

    #[tokio::test]
    async fn the_url_is_the_credential() {
        let (probe, _) = probe().await;
        let wrong = "/workflows/0a1b/triggers/manual/paths/invoke?api-version=1&sig=wrong";
        assert_eq!(probe.post(wrong, &message("Leak")).await.status, 401);
        assert_eq!(probe.running.world().with(|teams| teams.posted()), 0);
    }

    #[tokio::test]
    async fn what_is_no_card_is_refused() {
        let (probe, target) = probe().await;
        let content = "/attachments/0/content";
        for (at, wrong) in [
            ("/type", json!("text")),
            ("/attachments", json!([])),
            ("/attachments/0/contentType", json!("text/plain")),
            (content, json!({})),
            (&format!("{content}/version"), json!("1.6")),
            (&format!("{content}/body"), json!([])),
            (&format!("{content}/body/0/text"), json!(null)),
            (&format!("{content}/body/0/type"), json!("Text")),
            (&format!("{content}/body/1/isVisible"), json!("true")),
            (&format!("{content}/body/1/facts/0/value"), json!(6.2)),
            (&format!("{content}/actions/0/url"), json!(null)),
        ] {
            let mut body = message("Leak");
            *body.pointer_mut(at).unwrap() = wrong;
            assert_eq!(probe.post(&target, &body).await.status, 400, "{at}");
        }
    }
}
