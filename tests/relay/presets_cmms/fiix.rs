//! Fiix knows a caller by the signature of each request, and answers 200 also where it refuses.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::{Asked, Ticket};
use orbit_relay::sim::systems::fiix::Fiix;
use serde_json::json;

use super::{ASSETS, Loses};
use crate::ops::surfaces;
use crate::presets::hidden::Canaries;
use crate::presets::{Plant, alert, completed, until_there_are};

const KEYS: &str = r#"
preset = "fiix"
sign = { scheme = "fiix", app_key = "app", access_key = "access", secret = { env = "FIIX_SECRET" } }
settings = { site_id = 12345, status_id = 23456, urgent_priority_id = 3 }
"#;
const SECRET: &str = "canary-secret";

/// A tenant that loses the answers to so many requests which make a work order.
async fn fiix(loses: u32) -> Plant<Loses<Fiix>> {
    let system = Loses {
        system: Fiix::new("app", "access", SECRET, &[("PUMP-A", 71)]),
        which: makes_an_order,
        times: loses,
    };
    let mut plant = Plant::new(system, KEYS).await;
    plant.site.write_assets(ASSETS);
    plant.site = plant.site.variable("FIIX_SECRET", SECRET);
    plant
}

fn makes_an_order(asked: &Asked) -> bool {
    let body = asked.object().unwrap_or_default();
    body.get("_maCn") == Some(&json!("AddRequest"))
        && body.get("className") == Some(&json!("WorkOrder"))
}

fn orders(plant: &Plant<Loses<Fiix>>) -> Vec<Ticket> {
    plant
        .system
        .with(|fiix| fiix.system.work_orders().all().cloned().collect())
}

fn links(plant: &Plant<Loses<Fiix>>) -> Vec<(String, u64)> {
    plant.system.with(|fiix| fiix.system.links().to_vec())
}

#[tokio::test]
async fn an_alert_is_one_work_order_on_its_asset_and_every_request_is_signed() {
    let plant = fiix(0).await;
    let relay = plant.site.start().await;
    let alert = alert(&plant.site, 1);
    for event in [&alert, &completed(&alert), &alert] {
        relay.accept(event.to_string()).await;
    }
    until_there_are(&relay, 1, State::Delivered).await;
    let orders = orders(&plant);
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].fields["intSiteID"], 12345);
    assert_eq!(orders[0].fields["intPriorityID"], 3);
    let description = orders[0].text("strDescription");
    assert!(description.contains("Region 1 Max 96.4"), "{description}");
    assert_eq!(links(&plant), [("5001".to_owned(), 71)]);
    relay.finish().await;
}

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_found_and_linked_and_not_made_again() {
    let plant = fiix(1).await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(orders(&plant).len(), 1);
    assert_eq!(links(&plant), [("5001".to_owned(), 71)]);
    relay.finish().await;
}

#[tokio::test]
async fn an_asset_that_fiix_does_not_know_holds_up_no_order() {
    let plant = fiix(0).await;
    let relay = plant.site.start().await;
    let mut alert = alert(&plant.site, 1);
    alert["data"]["actionName"] = json!("P-102 motor DE");
    relay.accept(alert.to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let orders = orders(&plant);
    assert!(orders[0].text("strDescription").contains("Asset: P-102"));
    assert_eq!(links(&plant), []);
    relay.finish().await;
}

#[tokio::test]
async fn a_wrong_secret_makes_nothing_behind_its_200_and_no_secret_is_seen() {
    let canaries = Canaries::listen(vec![("the secret", b"canary-secret".to_vec())]);
    let mut plant = fiix(0).await;
    plant.site = plant
        .site
        .variable("FIIX_SECRET", "canary-secret-of-others");
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    plant.until_asked(2, "POST", "/api/").await;
    relay
        .until_at("plant", "put off", |d| d.of(State::Sending) == 0)
        .await;
    canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
    assert_eq!(orders(&plant).len(), 0);
    relay.stop().await;
}
