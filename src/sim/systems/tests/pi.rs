//! PI Web API, as the preset `pi-web-api` asks it.
//!
//! # Invariants
//! - As in the parent.

use serde_json::{Value, json};

use super::Plant;
use crate::sim::systems::pi::{Pi, Written};

const PATH: &str = "/piwebapi/streams/F1Abc/value?updateOption=Replace";
const ASKED: (&str, &str) = ("x-requested-with", "orbit-relay");
const AT: &str = "2026-02-03T09:14:07.118Z";

async fn start() -> Plant<Pi> {
    Plant::start(Pi::new(["F1Abc", "F1Def"])).await
}

fn value(value: &Value, unit: &Value, good: bool) -> Value {
    json!({"Timestamp": AT, "Value": value, "UnitsAbbreviation": unit, "Good": good})
}

fn written(plant: &Plant<Pi>) -> Vec<Written> {
    let streams = plant.world().with(|pi| pi.streams.clone());
    streams["F1Abc"].values.values().cloned().collect()
}

#[tokio::test]
async fn a_value_is_taken_and_a_second_one_at_its_time_takes_its_place() {
    let plant = start().await;
    for number in [61.4, 61.5] {
        let body = value(&json!(number), &json!("°C"), true);
        assert_eq!(plant.post(PATH, &[ASKED], &body).await.status, 202);
    }
    let written = written(&plant);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].value, json!(61.5));
    assert_eq!(written[0].unit.as_deref(), Some("°C"));
}

#[tokio::test]
async fn with_no_replace_the_first_value_stays() {
    let plant = start().await;
    let path = "/piwebapi/streams/F1Abc/value?updateOption=NoReplace";
    for number in [1, 2] {
        let body = value(&json!(number), &Value::Null, true);
        plant.post(path, &[ASKED], &body).await;
    }
    assert_eq!(written(&plant)[0].value, json!(1));
}

#[tokio::test]
async fn a_lost_reading_is_taken_if_it_is_called_bad() {
    let plant = start().await;
    let lost = value(&Value::Null, &json!("bar"), false);
    assert_eq!(plant.post(PATH, &[ASKED], &lost).await.status, 202);
    assert!(!written(&plant)[0].good);
    let good = value(&Value::Null, &json!("bar"), true);
    assert_eq!(plant.post(PATH, &[ASKED], &good).await.status, 400);
}

#[tokio::test]
async fn without_x_requested_with_nothing_is_written() {
    let plant = start().await;
    let body = value(&json!(1), &Value::Null, true);
    assert_eq!(plant.post(PATH, &[], &body).await.status, 403);
    assert!(written(&plant).is_empty());
}

#[tokio::test]
async fn an_unknown_stream_a_strange_unit_and_a_wrong_time_are_refused() {
    let plant = start().await;
    let right = value(&json!(1), &json!("bar"), true);
    let unknown = "/piwebapi/streams/F1None/value";
    assert_eq!(plant.post(unknown, &[ASKED], &right).await.status, 404);
    let strange = value(&json!(1), &json!("furlong"), true);
    assert_eq!(plant.post(PATH, &[ASKED], &strange).await.status, 409);
    let text = value(&json!("open"), &Value::Null, true);
    assert_eq!(plant.post(PATH, &[ASKED], &text).await.status, 400);
    let time = json!({"Timestamp": "yesterday at noon", "Value": 1});
    assert_eq!(plant.post(PATH, &[ASKED], &time).await.status, 400);
}

#[tokio::test]
async fn a_partial_success_says_of_each_what_became_of_it() {
    let plant = start().await;
    let item = json!({"Timestamp": AT, "Value": 1, "UnitsAbbreviation": "bar"});
    let strange = json!({"Timestamp": AT, "Value": 1, "UnitsAbbreviation": "furlong"});
    let body = json!([
        {"WebId": "F1Abc", "Items": [item, strange]}, {"WebId": "F1None", "Items": [item]},
    ]);
    let path = "/piwebapi/streamsets/recorded";
    let got = plant.post(path, &[ASKED], &body).await;
    assert_eq!(got.status, 207);
    let items = got.json()["Items"].as_array().unwrap().clone();
    let statuses: Vec<_> = items.iter().map(|item| item["Substatus"].clone()).collect();
    assert_eq!(statuses, [204, 409, 404]);
    let body = json!([{"WebId": "F1Abc", "Items": [item]}]);
    assert_eq!(plant.post(path, &[ASKED], &body).await.status, 202);
}

#[tokio::test]
async fn told_so_it_answers_207_with_what_went_wrong() {
    let plant = start().await;
    plant.world().with(|pi| pi.partial = Some(409));
    let body = value(&json!(1), &Value::Null, true);
    let got = plant.post(PATH, &[ASKED], &body).await;
    assert_eq!(
        (got.status, &got.json()["Items"][0]["Substatus"]),
        (207, &json!(409))
    );
    assert!(written(&plant).is_empty());
}
