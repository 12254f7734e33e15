//! Limble wants dates as numbers, and may pass over what it is asked for.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::{Ticket, Trouble, basic};
use orbit_relay::sim::systems::limble::Limble;
use serde_json::json;

use super::ASSETS;
use crate::presets::{Plant, alert, completed, until_there_are};

const KEYS: &str = r#"
preset = "limble"
auth = { type = "basic", user = "CLIENT", password = { env = "LIMBLE_SECRET" } }
settings = { location_id = 12345, type = 2 }
"#;

async fn limble() -> Plant<Limble> {
    let mut plant = Plant::new(Limble::default(), KEYS).await;
    plant.site.write_assets(ASSETS);
    plant.site = plant.site.variable("LIMBLE_SECRET", "secret");
    let credentials = basic("CLIENT", "secret");
    plant.system.require("authorization", &credentials);
    plant
}

fn tasks(plant: &Plant<Limble>) -> Vec<Ticket> {
    plant
        .system
        .with(|limble| limble.tasks().all().cloned().collect())
}

#[tokio::test]
async fn an_alert_is_one_task_that_is_due_in_a_week() {
    let plant = limble().await;
    let relay = plant.site.start().await;
    let came = plant.site.clock.wall().as_second();
    let alert = alert(&plant.site, 1);
    for event in [&alert, &completed(&alert), &alert] {
        relay.accept(event.to_string()).await;
    }
    until_there_are(&relay, 1, State::Delivered).await;
    let tasks = tasks(&plant);
    assert_eq!(tasks.len(), 1);
    let fields = &tasks[0].fields;
    let week = fields["due"].as_i64().unwrap() - came - 7 * 86_400;
    assert!((0..20).contains(&week), "{week} s later");
    for (name, number) in [("locationID", 12345), ("assetID", 4201), ("type", 2)] {
        assert_eq!(fields[name], number, "{name}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_task_whose_answer_was_lost_is_found_and_not_made_again() {
    let plant = limble().await;
    plant
        .system
        .plan(1, "POST", "/v2/tasks", Trouble::LoseAnswer);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(tasks(&plant).len(), 1);
    relay
        .until_at("plant", "known", |d| d.orders.open == 1)
        .await;
    relay.finish().await;
}

#[tokio::test]
async fn where_the_question_is_passed_over_each_alert_has_its_task_all_the_same() {
    let plant = limble().await;
    plant.system.with(|limble| limble.finds_meta1(false));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    let mut other = alert(&plant.site, 2);
    other["data"]["actionName"] = json!("P-102 motor DE");
    relay.accept(other.to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    assert_eq!(tasks(&plant).len(), 2);
    relay.finish().await;
}

#[tokio::test]
async fn while_a_task_is_open_there_is_no_other_and_when_it_is_completed_there_is() {
    let plant = limble().await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    relay.accept(alert(&plant.site, 2).to_string()).await;
    until_there_are(&relay, 1, State::Skipped).await;
    let id = tasks(&plant)[0].id.clone();
    let now = plant.site.clock.wall();
    assert!(plant.system.with(|limble| limble.complete(&id, now)));
    relay
        .until_at("plant", "closed", |d| d.orders.open == 0)
        .await;
    relay.accept(alert(&plant.site, 3).to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    assert_eq!(tasks(&plant).len(), 2);
    relay.finish().await;
}
