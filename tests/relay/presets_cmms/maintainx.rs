//! `MaintainX` knows four words for how urgent something is, and ids that are numbers.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::Ticket;
use orbit_relay::sim::systems::maintainx::MaintainX;
use serde_json::json;

use super::ASSETS;
use crate::ops::surfaces;
use crate::presets::hidden::Canaries;
use crate::presets::{Plant, alert, completed, only_delivery, until_there_are};

const KEYS: &str = r#"
preset = "maintainx"
auth = { type = "bearer", token = { env = "MAINTAINX_KEY" } }
settings = { location_id = 2345 }
"#;

async fn maintainx() -> Plant<MaintainX> {
    let mut plant = Plant::new(MaintainX::default(), KEYS).await;
    plant.site.write_assets(ASSETS);
    plant.site = plant.site.variable("MAINTAINX_KEY", "canary-key");
    plant.system.require("authorization", "Bearer canary-key");
    plant
}

fn orders(plant: &Plant<MaintainX>) -> Vec<Ticket> {
    plant
        .system
        .with(|system| system.work_orders().all().cloned().collect())
}

#[tokio::test]
async fn an_alert_is_one_work_order_with_ids_that_are_numbers() {
    let plant = maintainx().await;
    let relay = plant.site.start().await;
    let alert = alert(&plant.site, 1);
    for event in [&alert, &completed(&alert), &alert] {
        relay.accept(event.to_string()).await;
    }
    until_there_are(&relay, 1, State::Delivered).await;
    let orders = orders(&plant);
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].fields["assetId"], 8901);
    assert_eq!(orders[0].fields["locationId"], 2345);
    relay.finish().await;
}

#[tokio::test]
async fn every_severity_is_a_word_that_maintainx_knows() {
    let plant = maintainx().await;
    let relay = plant.site.start().await;
    let rows = [
        (json!(0), "HIGH"),
        (json!(1), "LOW"),
        (json!(2), "MEDIUM"),
        (json!(3), "HIGH"),
        (json!(4), "HIGH"),
        (json!(null), "HIGH"),
    ];
    for (n, (severity, word)) in (1..).zip(rows) {
        let mut alert = alert(&plant.site, n);
        alert["data"]["severity"] = severity.clone();
        // Each is another action, so that no open order stands in its way.
        alert["data"]["actionName"] = json!(format!("action {n}"));
        alert["data"]["assetId"] = json!("P-101");
        relay.accept(alert.to_string()).await;
        until_there_are(&relay, u64::try_from(n).unwrap(), State::Delivered).await;
        let order = orders(&plant).pop().unwrap();
        assert_eq!(order.text("priority"), word, "{severity}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn while_an_order_is_open_there_is_no_other_and_when_it_is_done_there_is() {
    let plant = maintainx().await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    relay.accept(alert(&plant.site, 2).to_string()).await;
    until_there_are(&relay, 1, State::Skipped).await;
    let id = orders(&plant)[0].id.clone();
    assert!(plant.system.with(|system| system.complete(&id)));
    relay
        .until_at("plant", "closed", |d| d.orders.open == 0)
        .await;
    relay.accept(alert(&plant.site, 3).to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    assert_eq!(orders(&plant).len(), 2);
    relay.finish().await;
}

#[tokio::test]
async fn a_key_that_is_refused_parks_and_is_not_seen() {
    let canaries = Canaries::listen(vec![("the key", b"canary-key".to_vec())]);
    let plant = maintainx().await;
    plant.system.require("authorization", "Bearer other");
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Parked).await;
    assert!(only_delivery(&relay).reason.unwrap().contains("401"));
    canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
    relay.finish().await;
}
