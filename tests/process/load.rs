//! Signed events from many senders, and a ledger of what was sent and what was acknowledged.
//!
//! # Invariants
//! - Every event is another one, and looks the same again for the same seed.
//! - Acknowledged is what was answered 200; of all else the ledger claims nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use orbit_relay::sim::backend::BackendWorld;
use orbit_relay::sim::random::Random;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;

use super::{Answer, PATIENCE, Relay, SECRET, Web};

/// Senders at once.
const SENDERS: u32 = 6;

/// An event as Orbit's bytes, with what a reader of numbers or text might spoil.
pub fn event(random: &mut Random, uuid: &str, filler: usize) -> Vec<u8> {
    let kind = ["ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"];
    let kind = random.pick(&kind).unwrap();
    let (envelope, n) = (random.uuid(), random.number());
    let filler = "x".repeat(filler);
    format!(
        "{{\"uuid\":\"{envelope}\",\"type\":\"{kind}\",\"time\":\"2026-02-03T09:14:06.931Z\",\
         \"data\":{{\"uuid\":\"{uuid}\",\"actionName\":\"P-101 motor DE\",\"big\":{n},\
         \"odd\":[0.00005,1e21,9007199254740993,1e400,-0],\"text\":\"Kühlung \u{2028} 점검\",\
         \"twice\":1,\"twice\":2,\"filler\":\"{filler}\"}},\"later\":null}}"
    )
    .into_bytes()
}

/// What was sent, and what of it was acknowledged.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    sent: BTreeMap<String, Vec<u8>>,
    acknowledged: BTreeSet<String>,
}

impl Ledger {
    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.0.lock().unwrap()
    }

    pub fn sent(&self) -> usize {
        self.book().sent.len()
    }

    pub fn acknowledged(&self) -> usize {
        self.book().acknowledged.len()
    }

    fn unanswered(&self) -> Vec<(String, Vec<u8>)> {
        let book = self.book();
        let sent = book.sent.iter();
        let unanswered = sent.filter(|(uuid, _)| !book.acknowledged.contains(*uuid));
        unanswered.map(|(u, b)| (u.clone(), b.clone())).collect()
    }

    /// Posts one new event and notes what came of it; none when no answer came.
    pub async fn post(
        &self,
        web: &Web,
        at: SocketAddr,
        random: &mut Random,
        filler: usize,
    ) -> Option<Answer> {
        let uuid = random.uuid();
        let body = event(random, &uuid, filler);
        self.book().sent.insert(uuid.clone(), body.clone());
        self.send(web, at, uuid, &body).await
    }

    async fn send(&self, web: &Web, at: SocketAddr, uuid: String, body: &[u8]) -> Option<Answer> {
        let answer = web.post_event(at, SECRET, body).await.ok()?;
        if answer.status == 200 {
            self.book().acknowledged.insert(uuid);
        }
        Some(answer)
    }

    /// Posts ever smaller events until one is refused and the relay says that it is not ready.
    /// Gives the refusal and what `/readyz` says.
    pub async fn post_until_full(&self, relay: &Relay) -> (Answer, Value) {
        let (web, mut random) = (Web::new(), Random::new(1));
        let mut filler = 20_000;
        for _ in 0..5_000 {
            let answer = self.post(&web, relay.at, &mut random, filler).await;
            let answer = answer.expect("it always answers");
            if answer.status == 200 {
                continue;
            }
            filler /= 2;
            let ready = relay.get_ops("/readyz").await;
            if ready.status == 503 {
                return (answer, serde_json::from_str(&ready.body).unwrap());
            }
        }
        panic!("it is never full:\n{}", relay.process.text());
    }

    /// Posts from several connections until `stop`, until the relay is gone, or `most` each.
    pub async fn post_until(&self, stop: &CancellationToken, at: SocketAddr, seed: u64, most: u32) {
        let mut random = Random::new(seed);
        let senders = (0..SENDERS).map(|_| {
            let (ledger, stop, mut random) =
                (self.clone(), stop.clone(), Random::new(random.number()));
            tokio::spawn(async move {
                let web = Web::new();
                for _ in 0..most {
                    let posted = ledger.post(&web, at, &mut random, 300).await;
                    if posted.is_none() || stop.is_cancelled() {
                        break;
                    }
                }
            })
        });
        for sender in senders.collect::<Vec<_>>() {
            sender.await.unwrap();
        }
    }

    /// Posts again what was not acknowledged, as a sender does that got no answer.
    pub async fn post_unanswered_again(&self, relay: &Relay) {
        let web = Web::new();
        for (uuid, body) in self.unanswered() {
            let answer = self.send(&web, relay.at, uuid, &body).await.unwrap();
            assert_eq!(answer.status, 200, "{}", relay.process.text());
        }
    }

    /// Waits until the plant has each acknowledged event.
    pub async fn wait_for_all(&self, relay: &Relay, plant: &BackendWorld) {
        let wanted = u64::try_from(self.acknowledged()).unwrap();
        let all = || self.missing(plant).is_empty();
        let waiting = plant.wait_until(|tally| tally.accepted >= wanted && all());
        let done = tokio::time::timeout(PATIENCE * 2, waiting).await;
        let missing = self.missing(plant).len();
        let log = || relay.process.text();
        assert!(done.is_ok(), "{missing} not delivered:\n{}", log());
    }

    /// What was acknowledged and is not with the plant.
    pub fn missing(&self, plant: &BackendWorld) -> BTreeSet<String> {
        let delivered: BTreeSet<_> = accepted(plant).into_iter().map(|d| d.uuid).collect();
        let book = self.book();
        book.acknowledged.difference(&delivered).cloned().collect()
    }

    /// Every acknowledged event is with the plant as it was sent, and every event has one key
    /// and one body however often it came. Gives how many came more than once, counted.
    pub fn check(&self, plant: &BackendWorld) -> usize {
        let missing = self.missing(plant);
        assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
        let book = self.book();
        let mut by_uuid: BTreeMap<String, Delivered> = BTreeMap::new();
        let mut by_key: BTreeMap<String, String> = BTreeMap::new();
        let mut again = 0;
        for delivered in accepted(plant) {
            let uuid = delivered.uuid.clone();
            let sent = book.sent.get(&uuid).expect("nothing is invented");
            assert_eq!(
                members(sent),
                without_relay(&delivered.body),
                "{uuid} was altered"
            );
            let holder = by_key.entry(delivered.key.clone()).or_insert(uuid.clone());
            assert_eq!(*holder, uuid, "two events under one key");
            if let Some(first) = by_uuid.get(&uuid) {
                assert_eq!(*first, delivered, "{uuid} came twice, not the same");
                again += 1;
            } else {
                by_uuid.insert(uuid, delivered);
            }
        }
        again
    }
}

/// One post that the plant took.
#[derive(Debug, PartialEq, Eq)]
struct Delivered {
    uuid: String,
    key: String,
    body: Vec<u8>,
}

fn accepted(plant: &BackendWorld) -> Vec<Delivered> {
    let posts = plant.received();
    let posts = posts.iter().filter(|post| post.accepted());
    posts
        .map(|post| {
            let text = String::from_utf8_lossy(&post.body);
            let (_, uuid) = text.split_once("\"data\":{\"uuid\":\"").unwrap();
            let (uuid, _) = uuid.split_once('"').unwrap();
            let key = post.key().to_owned();
            assert_eq!(post.headers["webhook-id"], key);
            Delivered {
                uuid: uuid.to_owned(),
                key,
                body: post.body.to_vec(),
            }
        })
        .collect()
}

/// The top-level members, each as the text that stands there.
fn members(body: &[u8]) -> BTreeMap<String, String> {
    let raw: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(body).unwrap();
    raw.into_iter()
        .map(|(name, raw)| (name, raw.get().to_owned()))
        .collect()
}

fn without_relay(body: &[u8]) -> BTreeMap<String, String> {
    let mut members = members(body);
    assert!(members.remove("relay").is_some());
    members
}

/// The sums of a `status --json` add up, and nothing waits. Gives how many were accepted.
pub fn check_drained(status: &Value) -> u64 {
    let of = |value: &Value, name: &str| value[name].as_u64().unwrap_or_else(|| panic!("{name}"));
    let sum = |value: &Value, names: &[&str]| names.iter().map(|n| of(value, n)).sum::<u64>();
    let taken = sum(status, &["accepted", "duplicate", "rejected"]);
    assert_eq!(of(status, "received"), taken, "{status}");
    assert_eq!(status["adds_up"], true, "{status}");
    for destination in status["destinations"].as_array().unwrap() {
        let open = ["pending", "sending", "postponed", "parked"];
        let closed = ["skipped", "delivered", "dead", "discarded"];
        let (open, closed) = (sum(destination, &open), sum(destination, &closed));
        assert_eq!(of(destination, "accepted"), open + closed, "{status}");
        assert_eq!(open, 0, "{status}");
    }
    of(status, "accepted")
}
