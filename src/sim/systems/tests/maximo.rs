//! Maximo, as the presets `maximo-service-request` and `maximo-work-order` ask it.
//!
//! # Invariants
//! - As in the parent.

use serde_json::{Value, json};

use super::{Got, PICTURE, Plant};
use crate::sim::systems::base::Trouble;
use crate::sim::systems::maximo::Maximo;

const REQUESTS: &str = "/maximo/api/os/mxapisr?lean=1";
const KEY: &str = "0123456789abcdef";

async fn start() -> Plant<Maximo> {
    let plant = Plant::start(Maximo::new(["PUMP-101"])).await;
    plant.world().require("apikey", "secret");
    plant
}

fn body() -> Value {
    json!({
        "description": "P-101 motor DE: 61.4 °C", "assetnum": "PUMP-101", "siteid": "BEDFORD",
        "reportedby": "ORBIT", "reportedpriority": 2, "externalrecid": KEY,
    })
}

fn with(name: &str, value: &str) -> Value {
    let mut body = body();
    body[name] = json!(value);
    body
}

async fn create(plant: &Plant<Maximo>, body: &Value) -> Got {
    let headers = [("apikey", "secret"), ("properties", "ticketid")];
    plant.post(REQUESTS, &headers, body).await
}

async fn find(plant: &Plant<Maximo>) -> Value {
    let clause = format!("externalrecid%3D%22{KEY}%22");
    let path = format!("{REQUESTS}&oslc.pageSize=1&oslc.select=ticketid&oslc.where={clause}");
    let found = plant.get(&path, &[("apikey", "secret")]).await;
    assert_eq!(found.status, 200);
    found.json()["member"].clone()
}

/// The path of a record, whoever its address names as host.
fn path_of(href: &str) -> String {
    let id = href.rsplit('/').next().unwrap();
    format!("/maximo/api/os/mxapisr/{id}")
}

fn code(got: &Got) -> String {
    let json = got.json();
    assert_eq!(json["Error"]["statusCode"], got.status.to_string());
    json["Error"]["reasonCode"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_request_is_made_found_annotated_and_gets_its_picture() {
    let plant = start().await;
    assert_eq!(find(&plant).await, json!([]));
    let made = create(&plant, &body()).await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json()["ticketid"], "1001");
    let href = made.header("location").to_owned();
    assert!(href.starts_with(&plant.running.url()), "{href}");
    assert_eq!(
        find(&plant).await,
        json!([{"ticketid": "1001", "href": href}])
    );

    let headers = [
        ("apikey", "secret"),
        ("slug", "ir.jpg"),
        ("x-document-meta", "FILE/Attachments"),
    ];
    let path = format!("{}/doclinks?lean=1", path_of(&href));
    assert_eq!(plant.picture(&path, &headers).await.status, 201);
    let note = json!({"worklog": [{"description": "again", "description_longdescription": "x"}]});
    let headers = [
        ("apikey", "secret"),
        ("x-method-override", "PATCH"),
        ("patchtype", "MERGE"),
    ];
    let path = format!("{}?lean=1", path_of(&href));
    for _ in 0..2 {
        assert_eq!(plant.post(&path, &headers, &note).await.status, 204);
    }
    let request = plant.world().with(|m| m.requests.get("1001").cloned());
    let request = request.unwrap();
    assert_eq!(request.text("assetnum"), "PUMP-101");
    assert_eq!(request.notes, ["again\nx", "again\nx"]);
    assert_eq!(request.attachments[0].name, "ir.jpg");
    assert_eq!(request.attachments[0].content_type, "image/jpeg");
    assert_eq!(request.attachments[0].bytes, PICTURE);
}

#[tokio::test]
async fn a_key_of_more_than_20_characters_is_refused() {
    let plant = start().await;
    let twenty = "12345678901234567890";
    let created = create(&plant, &with("externalrecid", twenty)).await;
    assert_eq!(created.status, 201);
    let uuid = "0d5b7a52-0001-4c1e-9a10-000000000003";
    let refused = create(&plant, &with("externalrecid", uuid)).await;
    assert_eq!((refused.status, &*code(&refused)), (400, "BMXAA4049E"));
}

#[tokio::test]
async fn a_description_of_more_than_100_characters_is_refused() {
    let plant = start().await;
    let long = "°".repeat(101);
    let refused = create(&plant, &with("description", &long)).await;
    assert_eq!((refused.status, &*code(&refused)), (400, "BMXAA4049E"));
}

#[tokio::test]
async fn an_unknown_asset_and_an_unknown_site_are_refused() {
    let plant = start().await;
    for (name, value) in [("assetnum", "PUMP-999"), ("siteid", "NOWHERE")] {
        let refused = create(&plant, &with(name, value)).await;
        assert_eq!((refused.status, &*code(&refused)), (400, "BMXAA4153E"));
    }
    assert_eq!(plant.world().with(|m| m.requests.made()), 0);
}

#[tokio::test]
async fn without_lean_the_names_are_not_seen() {
    let plant = start().await;
    let headers = [("apikey", "secret")];
    let refused = plant
        .post("/maximo/api/os/mxapisr", &headers, &body())
        .await;
    assert_eq!((refused.status, &*code(&refused)), (400, "BMXAA4195E"));
}

#[tokio::test]
async fn a_wrong_key_is_refused_in_maximos_words() {
    let plant = start().await;
    let refused = plant.post(REQUESTS, &[("apikey", "old")], &body()).await;
    assert_eq!((refused.status, &*code(&refused)), (401, "BMXAA7901E"));
}

#[tokio::test]
async fn a_name_that_the_structure_lacks_is_dropped_when_written_and_refused_when_asked_for() {
    let plant = start().await;
    assert_eq!(create(&plant, &with("robot", "spot-07")).await.status, 201);
    let made = plant.world().with(|m| m.requests.get("1001").cloned());
    assert!(!made.unwrap().fields.contains_key("robot"));
    let path = format!("{REQUESTS}&oslc.where=robot%3D%22spot-07%22");
    assert_eq!(plant.get(&path, &[("apikey", "secret")]).await.status, 400);
}

#[tokio::test]
async fn a_note_without_merge_takes_the_place_of_the_others() {
    let plant = start().await;
    let made = create(&plant, &body()).await;
    let path = format!("{}?lean=1", path_of(made.header("location")));
    let override_only = [("apikey", "secret"), ("x-method-override", "PATCH")];
    for text in ["first", "second"] {
        let note = json!({"worklog": [{"description": text}]});
        plant.post(&path, &override_only, &note).await;
    }
    let notes = plant
        .world()
        .with(|m| m.requests.get("1001").unwrap().notes.clone());
    assert_eq!(notes, ["second\n"]);
    let bare = plant.post(&path, &[("apikey", "secret")], &json!({})).await;
    assert_eq!(bare.status, 400);
}

#[tokio::test]
async fn an_attachment_without_slug_or_meta_is_refused() {
    let plant = start().await;
    let made = create(&plant, &body()).await;
    let path = format!("{}/doclinks", path_of(made.header("location")));
    for header in [("slug", "a.jpg"), ("x-document-meta", "FILE/Attachments")] {
        let refused = plant.picture(&path, &[("apikey", "secret"), header]).await;
        assert_eq!(refused.status, 400, "{header:?}");
    }
    let nowhere = "/maximo/api/os/mxapisr/_none/doclinks";
    let headers = [("apikey", "secret"), ("slug", "a.jpg")];
    assert_eq!(plant.picture(nowhere, &headers).await.status, 404);
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_found_by_its_key() {
    let plant = start().await;
    plant
        .world()
        .plan(1, "POST", "mxapisr", Trouble::LoseAnswer);
    let headers = [("apikey", "secret")];
    let lost = plant.request(reqwest::Method::POST, REQUESTS, &headers);
    assert!(lost.json(&body()).send().await.is_err());
    assert_eq!(find(&plant).await[0]["ticketid"], "1001");
}

#[tokio::test]
async fn a_closed_request_is_seen_by_the_poll() {
    let plant = start().await;
    create(&plant, &body()).await;
    let clause = "ticketid%3D%221001%22";
    let path = format!("{REQUESTS}&oslc.select=status&oslc.where={clause}");
    for status in ["NEW", "CLOSED"] {
        plant.world().with(|m| m.set_status("1001", status));
        let polled = plant.get(&path, &[("apikey", "secret")]).await.json();
        assert_eq!(polled["member"][0]["status"], status);
    }
    assert!(!plant.world().with(|m| m.requests.get("1001").unwrap().open));
}

#[tokio::test]
async fn a_work_order_is_made_with_its_type() {
    let plant = start().await;
    let body = json!({
        "description": "x", "assetnum": "PUMP-101", "siteid": "BEDFORD", "worktype": "CM",
        "wopriority": 1, "externalrecid": KEY,
    });
    let headers = [("apikey", "secret"), ("properties", "wonum,siteid")];
    let made = plant
        .post("/maximo/api/os/mxapiwodetail?lean=1", &headers, &body)
        .await;
    assert_eq!(made.status, 201);
    assert_eq!(made.json()["wonum"], "5001");
    assert_eq!(made.json()["siteid"], "BEDFORD");
    let order = plant
        .world()
        .with(|m| m.orders.get("5001").cloned())
        .unwrap();
    assert_eq!(
        (order.text("worktype"), order.text("status")),
        ("CM", "WAPPR")
    );
    let clause = "wonum%3D%225001%22%20and%20siteid%3D%22BEDFORD%22";
    let path =
        format!("/maximo/api/os/mxapiwodetail?lean=1&oslc.select=status&oslc.where={clause}");
    let polled = plant.get(&path, &[("apikey", "secret")]).await.json();
    assert_eq!(polled["member"][0]["status"], "WAPPR");
}

#[tokio::test]
async fn where_it_keeps_sessions_a_request_with_its_cookie_is_refused() {
    let plant = start().await;
    plant.world().with(|m| m.sessions = true);
    let made = create(&plant, &body()).await;
    let cookie = made.header("set-cookie").split(';').next().unwrap();
    let headers = [("apikey", "secret"), ("cookie", cookie)];
    let refused = plant.post(REQUESTS, &headers, &body()).await;
    assert_eq!((refused.status, &*code(&refused)), (401, "BMXAA0021E"));
}

#[tokio::test]
async fn behind_a_proxy_its_addresses_name_another_host() {
    let plant = start().await;
    let public = "https://maximo.example".to_owned();
    plant.world().with(|m| m.public_origin = Some(public));
    let made = create(&plant, &body()).await;
    let href = made.header("location");
    assert!(href.starts_with("https://maximo.example/maximo/api/os/mxapisr/_"));
    let headers = [
        ("apikey", "secret"),
        ("slug", "a.jpg"),
        ("x-document-meta", "FILE/Attachments"),
    ];
    let path = format!("{}/doclinks", path_of(href));
    assert_eq!(plant.picture(&path, &headers).await.status, 201);
}
