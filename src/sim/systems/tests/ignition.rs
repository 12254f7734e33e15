//! Ignition, as the preset `ignition` asks it.
//!
//! # Invariants
//! - As in the parent.

use serde_json::json;

use super::{Plant, got};
use crate::sim::systems::ignition::Ignition;

const PATH: &str = "/system/webdev/Plant/inspections";

#[tokio::test]
async fn the_script_gets_the_object_and_knows_it_again() {
    let plant = Plant::start(Ignition::new("Plant")).await;
    let body = json!({"key": "k1", "summary": "P-101 motor DE"});
    let first = plant.post(PATH, &[], &body).await;
    assert_eq!(first.json(), json!({"stored": true, "duplicate": false}));
    let second = plant.post(PATH, &[], &body).await;
    assert_eq!(second.json()["duplicate"], true);
    let kept = plant.world().with(|system| system.inspections.clone());
    assert_eq!(kept["k1"]["summary"], "P-101 motor DE");
}

#[tokio::test]
async fn what_is_not_called_json_is_no_object_to_the_script() {
    let plant = Plant::start(Ignition::new("Plant")).await;
    let request = plant.request(
        reqwest::Method::POST,
        PATH,
        &[("content-type", "text/plain")],
    );
    assert_eq!(got(request.body("{}")).await.status, 500);
}

#[tokio::test]
async fn another_resource_is_not_found_and_a_failing_script_is_a_500() {
    let plant = Plant::start(Ignition::new("Plant")).await;
    let other = "/system/webdev/Plant/other";
    assert_eq!(plant.post(other, &[], &json!({})).await.status, 404);
    plant.world().with(|system| system.script_fails = true);
    assert_eq!(plant.post(PATH, &[], &json!({})).await.status, 500);
}
