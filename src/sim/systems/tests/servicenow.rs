//! `ServiceNow`, as the preset `servicenow` asks it.
//!
//! # Invariants
//! - As in the parent.

use serde_json::{Value, json};

use super::{PICTURE, Plant, got};
use crate::sim::systems::base::basic;
use crate::sim::systems::servicenow::ServiceNow;

const ITEM: &str = "00000000000000000000000000000abc";
const TABLE: &str = "/api/now/table/incident";

fn body(key: &str) -> Value {
    json!({
        "short_description": "P-101 motor DE", "urgency": "2", "impact": "2", "cmdb_ci": ITEM,
        "correlation_id": key, "correlation_display": "Orbit",
    })
}

async fn start() -> Plant<ServiceNow> {
    Plant::start(ServiceNow::new([ITEM])).await
}

async fn find(plant: &Plant<ServiceNow>, key: &str) -> Value {
    let fields = "sysparm_limit=1&sysparm_fields=sys_id,correlation_id";
    let path = format!("{TABLE}?{fields}&sysparm_query=correlation_id%3D{key}");
    let found = plant.get(&path, &[]).await;
    assert_eq!(found.status, 200);
    found.json()["result"].clone()
}

#[tokio::test]
async fn a_record_is_made_found_annotated_and_gets_its_picture() {
    let plant = start().await;
    assert_eq!(find(&plant, "k1").await, json!([]));
    let made = plant.post(TABLE, &[], &body("k1")).await;
    assert_eq!(made.status, 201);
    let id = made.json()["result"]["sys_id"].as_str().unwrap().to_owned();
    assert_eq!(made.header("location"), format!("{TABLE}/{id}"));
    let found = find(&plant, "k1").await;
    assert_eq!(found, json!([{"sys_id": id, "correlation_id": "k1"}]));

    let file = format!("table_name=incident&table_sys_id={id}&file_name=ir%20%231.jpg");
    let path = format!("/api/now/attachment/file?{file}");
    assert_eq!(plant.picture(&path, &[]).await.status, 201);
    let noted = plant.request(reqwest::Method::PATCH, &format!("{TABLE}/{id}"), &[]);
    let answered = got(noted.json(&json!({"work_notes": "again"}))).await;
    assert_eq!(answered.status, 200);
    let record = plant
        .world()
        .with(|now| now.records.get(&id).cloned())
        .unwrap();
    assert_eq!(record.text("cmdb_ci"), ITEM);
    assert_eq!(record.notes, ["again"]);
    assert_eq!(record.attachments[0].name, "ir #1.jpg");
    assert_eq!(record.attachments[0].bytes, PICTURE);
}

#[tokio::test]
async fn a_query_by_a_field_that_the_table_lacks_finds_any_record() {
    let plant = start().await;
    plant.world().with(|now| now.has_correlation_id = false);
    plant.post(TABLE, &[], &body("k1")).await;
    let found = find(&plant, "k2").await;
    assert_eq!(found.as_array().unwrap().len(), 1);
    // What tells that it is another's.
    assert!(found[0].get("correlation_id").is_none());
}

#[tokio::test]
async fn a_text_that_is_too_long_is_cut_and_an_unknown_item_is_emptied() {
    let plant = start().await;
    let mut body = body("k1");
    body["short_description"] = json!("x".repeat(161));
    body["cmdb_ci"] = json!("PUMP-101");
    let made = plant.post(TABLE, &[], &body).await.json();
    let text = made["result"]["short_description"].as_str().unwrap();
    assert_eq!(text.len(), 160);
    assert_eq!(made["result"]["cmdb_ci"], "");
}

#[tokio::test]
async fn who_is_not_known_is_refused() {
    let plant = start().await;
    plant
        .world()
        .require("authorization", &basic("orbit", "secret"));
    let refused = plant.post(TABLE, &[], &body("k1")).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.json()["error"]["message"], "User Not Authenticated");
}

#[tokio::test]
async fn a_table_or_a_record_that_is_not_there_is_said() {
    let plant = start().await;
    let table = plant.post("/api/now/table/nothing", &[], &body("k1")).await;
    assert_eq!(table.status, 400);
    let path = "/api/now/attachment/file?table_name=incident&table_sys_id=x&file_name=a.jpg";
    assert_eq!(plant.picture(path, &[]).await.status, 404);
    assert_eq!(plant.get(&format!("{TABLE}/x"), &[]).await.status, 404);
}

#[tokio::test]
async fn a_closed_record_is_seen_by_the_poll() {
    let plant = start().await;
    let made = plant.post(TABLE, &[], &body("k1")).await.json();
    let id = made["result"]["sys_id"].as_str().unwrap();
    let path = format!("{TABLE}/{id}?sysparm_fields=active");
    let open = plant.get(&path, &[]).await.json();
    assert_eq!(open, json!({"result": {"active": "true"}}));
    assert!(plant.world().with(|now| now.close(id)));
    let closed = plant.get(&path, &[]).await.json();
    assert_eq!(closed, json!({"result": {"active": "false"}}));
}
