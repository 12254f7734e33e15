//! What the relay's own events say: the envelope as Orbit's, and `data`.
//!
//! # Invariants
//! - The uuid is made of the type, of what the event is about, and of the time or the try: the
//!   same cause gives the same event, and another cause another.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{ANSWER, Own};
use crate::event::{Event, Identity, Origin, RELAY};

/// What the ids of own events are made in.
const NAMESPACE: Uuid = Uuid::from_u128(0x1c0e_7b52_93fa_4d6f_8a35_6be0_41d7_9f28);

#[derive(Serialize)]
struct Envelope<'a, T> {
    #[serde(rename = "type")]
    event_type: &'a str,
    uuid: &'a str,
    time: Timestamp,
    data: T,
}

/// The event that an own event is about.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct About<'a> {
    /// Its number in the journal.
    pub number: i64,
    /// Who sent it.
    pub source: &'a str,
    /// Its type.
    #[serde(rename = "type")]
    pub event_type: &'a str,
    /// What it is known by.
    pub id: &'a str,
    /// How it came here.
    pub origin: &'a str,
}

/// The delivery that an own event is about.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Delivery<'a> {
    /// Its event.
    pub event: About<'a>,
    /// What people call the destination.
    pub destination: &'a str,
    /// What keys are made of.
    pub destination_id: &'a str,
    /// The key that every try carries; none where nothing was made to be sent.
    pub delivery: Option<&'a str>,
    /// The asset's id.
    pub asset: Option<&'a str>,
    /// How often it was tried.
    #[serde(skip)]
    pub attempts: u32,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// It was given up.
    pub dead: bool,
    /// Why.
    pub reason: Option<&'a str>,
    /// The beginning of the last answer.
    pub answer: Option<&'a str>,
}

#[derive(Serialize)]
struct Ended<'a> {
    #[serde(flatten)]
    delivery: &'a Delivery<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    attempts: u32,
    reason: Option<&'a str>,
    answer: Option<&'a str>,
}

/// A pause, or its end.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pause<'a> {
    /// What people call the destination.
    pub destination: &'a str,
    /// What keys are made of.
    pub destination_id: &'a str,
    /// Who did it: a person, or `relay`.
    pub by: &'a str,
    /// Why.
    pub why: &'a str,
    /// The number of the act.
    #[serde(skip)]
    pub act: i64,
}

/// What backfill found at one go.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Found {
    /// So many events.
    pub count: usize,
    /// When the first of them was, as its source says.
    pub first: Timestamp,
    /// When the last of them was.
    pub last: Timestamp,
    /// The number of the first that was kept.
    pub number: i64,
}

/// An action that has no asset.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Unmapped<'a> {
    /// The action's name.
    pub action: &'a str,
    /// The mission's name.
    pub mission: Option<&'a str>,
    /// The robot that did it.
    pub robot: Option<&'a str>,
    /// The version of the asset map; none where there is no map.
    pub map: Option<&'a str>,
    /// What to add to the map.
    pub suggestion: &'a str,
}

#[derive(Serialize)]
struct Drift<'a> {
    webhook: Option<&'a str>,
    repairs: &'a [&'a str],
    repaired: bool,
}

#[derive(Serialize)]
struct Answered<'a> {
    #[serde(flatten)]
    delivery: &'a Delivery<'a>,
    #[serde(flatten)]
    said: Said<'a>,
}

/// What a destination answered, and what was taken of it.
#[derive(Default, Deserialize, Serialize)]
struct Said<'a> {
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
    #[serde(borrow)]
    taken: Option<&'a RawValue>,
}

/// An event was taken.
pub fn received(event: About<'_>, at: Timestamp) -> Event {
    #[derive(Serialize)]
    struct Received<'a> {
        event: About<'a>,
    }
    make(
        Own::Received.as_str(),
        &about(&event),
        at,
        Received { event },
    )
}

/// A delivery is about to be made.
pub fn before(delivery: &Delivery<'_>, at: Timestamp) -> Event {
    make(Own::BeforeDeliver.as_str(), &tried(delivery), at, delivery)
}

/// A delivery has ended.
pub fn after(delivery: &Delivery<'_>, end: End<'_>, at: Timestamp) -> Event {
    let outcome = if end.dead { "dead" } else { "delivered" };
    let data = ended(delivery, end, Some(outcome));
    make(Own::AfterDeliver.as_str(), &tried(delivery), at, data)
}

/// A delivery was given up.
pub fn dead(delivery: &Delivery<'_>, end: End<'_>, at: Timestamp) -> Event {
    let data = ended(delivery, end, None);
    make(Own::Dead.as_str(), &tried(delivery), at, data)
}

/// A destination was paused.
pub fn paused(pause: Pause<'_>, at: Timestamp) -> Event {
    let what = [pause.destination_id.to_owned(), pause.act.to_string()];
    make(Own::Paused.as_str(), &what, at, pause)
}

/// A destination was resumed.
pub fn resumed(pause: Pause<'_>, at: Timestamp) -> Event {
    let what = [pause.destination_id.to_owned(), pause.act.to_string()];
    make(Own::Resumed.as_str(), &what, at, pause)
}

/// Our webhook was not as it should be, in these words. It was set right, or is only observed.
pub fn drift(webhook: Option<&str>, repairs: &[&str], repaired: bool, at: Timestamp) -> Event {
    let words = repairs.iter().map(|word| (*word).to_owned());
    let what: Vec<_> = words.chain(webhook.map(str::to_owned)).collect();
    let data = Drift {
        webhook,
        repairs,
        repaired,
    };
    make(Own::Drift.as_str(), &what, at, data)
}

/// Backfill found events.
pub fn found(found: Found, at: Timestamp) -> Event {
    make(Own::Found.as_str(), &[found.number.to_string()], at, found)
}

/// An action has no asset: one event for each action and version of the map, whenever it is.
pub fn unmapped(unmapped: Unmapped<'_>, at: Timestamp) -> Event {
    let map = unmapped.map.unwrap_or_default().to_owned();
    let uuid = uuid(Own::Unmapped.as_str(), &[map, unmapped.action.to_owned()]);
    event(Own::Unmapped.as_str(), uuid, at, unmapped)
}

/// A destination answered: `said` is a JSON object with `answer` and `taken`.
pub fn answer(delivery: &Delivery<'_>, said: &str, at: Timestamp) -> Event {
    let event_type = format!("{ANSWER}{}", delivery.destination);
    let data = Answered {
        delivery,
        said: serde_json::from_str(said).unwrap_or_default(),
    };
    make(&event_type, &tried(delivery), at, data)
}

fn ended<'a>(delivery: &'a Delivery<'a>, end: End<'a>, outcome: Option<&'static str>) -> Ended<'a> {
    Ended {
        delivery,
        outcome,
        attempts: delivery.attempts,
        reason: end.reason,
        answer: end.answer,
    }
}

fn about(event: &About<'_>) -> Vec<String> {
    let About {
        number,
        source,
        event_type,
        id,
        ..
    } = event;
    let names = [*source, *event_type, *id].map(str::to_owned);
    std::iter::once(number.to_string()).chain(names).collect()
}

/// This try of this delivery.
fn tried(delivery: &Delivery<'_>) -> Vec<String> {
    let mut what = about(&delivery.event);
    what.extend([
        delivery.destination_id.to_owned(),
        delivery.attempts.to_string(),
    ]);
    what
}

fn make(event_type: &str, what: &[String], at: Timestamp, data: impl Serialize) -> Event {
    let mut what = what.to_vec();
    what.push(at.as_millisecond().to_string());
    event(event_type, uuid(event_type, &what), at, data)
}

/// Each part is preceded by its length, so no two lists collide.
fn uuid(event_type: &str, what: &[String]) -> String {
    let mut name = format!("{}:{event_type}", event_type.len());
    for part in what {
        name.push_str(&format!("{}:{part}", part.len()));
    }
    Uuid::new_v5(&NAMESPACE, name.as_bytes()).to_string()
}

fn event(event_type: &str, uuid: String, at: Timestamp, data: impl Serialize) -> Event {
    let envelope = Envelope {
        event_type,
        uuid: &uuid,
        time: at,
        data,
    };
    // Texts, numbers and JSON that was read: there is nothing in it that cannot be written.
    let body = serde_json::to_vec(&envelope).unwrap_or_default();
    Event {
        source: RELAY.to_owned(),
        event_type: event_type.to_owned(),
        identity: Identity::Envelope(uuid),
        origin: Origin::Relay,
        received_at: at,
        body,
    }
}
