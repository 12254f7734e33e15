//! The REST interface of Kafka says with 200 that it has understood, and besides whether it took
//! the record.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::basic;
use orbit_relay::sim::systems::kafka::{Kafka, Record};
use serde_json::json;

use crate::ops::surfaces;
use crate::presets::hidden::Canaries;
use crate::presets::{Plant, alert, completed, only_delivery, until_there_are};

const KEYS: &str = r#"
preset = "kafka-rest"
auth = { type = "basic", user = "KEY", password = { env = "KAFKA_SECRET" } }
settings = { cluster_id = "lkc-1a2b3c", topic = "plant.inspections" }
"#;

async fn kafka() -> Plant<Kafka> {
    let kafka = Kafka::with_topics(&["plant.inspections"]);
    let mut plant = Plant::new(kafka, KEYS).await;
    plant.site = plant.site.variable("KAFKA_SECRET", "canary-password");
    let credentials = basic("KEY", "canary-password");
    plant.system.require("authorization", &credentials);
    plant
}

fn records(plant: &Plant<Kafka>) -> Vec<Record> {
    plant
        .system
        .with(|kafka| kafka.records().cloned().collect())
}

#[tokio::test]
async fn each_event_is_one_record_with_its_asset_as_the_key() {
    let plant = kafka().await;
    let relay = plant.site.start().await;
    let alert = alert(&plant.site, 1);
    for event in [&alert, &completed(&alert), &alert] {
        relay.accept(event.to_string()).await;
    }
    until_there_are(&relay, 2, State::Delivered).await;
    let records = records(&plant);
    assert_eq!(records.len(), 2);
    for record in &records {
        assert_eq!(record.key.as_deref(), Some("P-101"));
        assert_eq!(record.value["readings"][0]["number"], json!(96.4));
        assert_eq!(record.value["inspection"]["action"], "P-101 motor DE");
    }
    assert_ne!(records[0].value["key"], records[1].value["key"]);
    relay.finish().await;
}

#[tokio::test]
async fn a_200_with_another_error_code_is_no_delivery_and_is_tried_again() {
    let plant = kafka().await;
    plant
        .system
        .with(|kafka| kafka.refuse_next(50003, "Timed out waiting for a broker"));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(plant.asked("POST", "/records").len(), 2);
    assert_eq!(records(&plant).len(), 1);
    assert_eq!(only_delivery(&relay).attempts, 2);
    relay.finish().await;
}

#[tokio::test]
async fn the_secret_of_the_key_is_seen_by_nobody() {
    let canaries = Canaries::listen(vec![
        ("the secret", b"canary-password".to_vec()),
        ("the header", basic("KEY", "canary-password").into_bytes()),
    ]);
    let plant = kafka().await;
    plant.system.require("authorization", "another");
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Parked).await;
    let delivery = only_delivery(&relay);
    assert!(delivery.reason.unwrap().contains("credentials"));
    canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
    relay.stop().await;
}
