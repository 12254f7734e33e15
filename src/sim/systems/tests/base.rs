//! What all systems share: the record, the troubles, the credentials.
//!
//! # Invariants
//! - As in the parent.

use axum::body::Bytes;
use serde_json::{Map, json};

use super::{PICTURE, Plant};
use crate::sim::systems::base::{KEPT_BYTES, KEPT_TICKETS, Tickets, Trouble, basic};
use crate::sim::systems::ignition::Ignition;

const PATH: &str = "/system/webdev/Plant/inspections";

async fn start() -> Plant<Ignition> {
    Plant::start(Ignition::new("Plant")).await
}

#[tokio::test]
async fn an_answer_is_lost_after_the_request_was_done() {
    let plant = start().await;
    let world = plant.world();
    world.plan(1, "POST", "/inspections", Trouble::LoseAnswer);
    let body = json!({"key": "k"});
    let lost = plant.request(reqwest::Method::POST, PATH, &[]).json(&body);
    assert!(lost.send().await.is_err());
    assert_eq!(world.with(|system| system.inspections.len()), 1);
    let again = plant.post(PATH, &[], &body).await;
    assert_eq!(again.json()["duplicate"], true);
    let statuses: Vec<_> = world.exchanges().iter().map(|e| e.status).collect();
    assert_eq!(statuses, [None, Some(200)]);
}

#[tokio::test]
async fn a_request_is_lost_before_it_was_done() {
    let plant = start().await;
    let world = plant.world();
    world.plan(1, "POST", "/inspections", Trouble::LoseRequest);
    let lost = plant
        .request(reqwest::Method::POST, PATH, &[])
        .json(&json!({}));
    assert!(lost.send().await.is_err());
    assert_eq!(world.with(|system| system.inspections.len()), 0);
}

#[tokio::test]
async fn troubles_come_in_their_order_and_end() {
    let plant = start().await;
    let world = plant.world();
    world.plan(1, "POST", "inspections", Trouble::RateLimit(7));
    world.plan(1, "POST", "inspections", Trouble::Status(503));
    world.plan(1, "GET", "inspections", Trouble::Status(500));
    let limited = plant.post(PATH, &[], &json!({})).await;
    assert_eq!((limited.status, limited.header("retry-after")), (429, "7"));
    assert_eq!(plant.post(PATH, &[], &json!({})).await.status, 503);
    assert_eq!(plant.post(PATH, &[], &json!({})).await.status, 200);
    assert_eq!(world.exchanges_of("POST", "webdev").len(), 3);
}

#[tokio::test]
async fn without_its_credentials_a_request_is_refused_and_not_done() {
    let plant = start().await;
    let world = plant.world();
    let right = basic("orbit", "secret");
    world.require("authorization", &right);
    assert_eq!(plant.post(PATH, &[], &json!({})).await.status, 401);
    assert_eq!(world.with(|system| system.inspections.len()), 0);
    let headers = [("authorization", &*right)];
    assert_eq!(plant.post(PATH, &headers, &json!({})).await.status, 200);
}

#[tokio::test]
async fn who_waits_for_a_system_sees_it_once_it_is_as_wanted() {
    let plant = start().await;
    let world = plant.world();
    let waits = world.wait_until(|system| system.inspections.len() == 2);
    let asks = async {
        plant.post(PATH, &[], &json!({"key": "1"})).await;
        plant.post(PATH, &[], &json!({"key": "2"})).await;
    };
    let both = async { tokio::join!(waits, asks) };
    let ten = std::time::Duration::from_secs(10);
    assert!(tokio::time::timeout(ten, both).await.is_ok());
}

#[tokio::test]
async fn a_body_is_on_record_byte_for_byte() {
    let plant = start().await;
    plant.picture(PATH, &[]).await;
    let exchanges = plant.world().exchanges();
    assert_eq!(exchanges[0].asked.body, PICTURE);
    assert_eq!(exchanges[0].asked.header("content-type"), "image/jpeg");
}

#[test]
fn the_oldest_tickets_give_way_and_all_are_counted() {
    let mut tickets = Tickets::default();
    for number in 0..=KEPT_TICKETS {
        tickets.open(&number.to_string(), Map::new());
    }
    assert_eq!(tickets.all().count(), KEPT_TICKETS);
    assert!(tickets.get("0").is_none());
    assert_eq!(tickets.made(), u64::try_from(KEPT_TICKETS).unwrap() + 1);
}

#[test]
fn of_attachments_beyond_the_bound_the_size_is_kept_only() {
    let mut tickets = Tickets::default();
    tickets.open("1", Map::new());
    let large = Bytes::from(vec![0; KEPT_BYTES]);
    assert!(tickets.attach("1", "large.jpg", "image/jpeg", &large));
    assert!(tickets.attach("1", "small.jpg", "image/jpeg", &Bytes::from_static(PICTURE)));
    let files = &tickets.get("1").unwrap().attachments;
    assert_eq!(files[0].bytes.len(), KEPT_BYTES);
    assert_eq!((files[1].bytes.len(), files[1].size), (0, PICTURE.len()));
    assert!(!tickets.attach("2", "a.jpg", "image/jpeg", &large));
}
