//! Ignition and the example to begin with: one request each.

use orbit_relay::event::ALERT;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::Answer as PlantAnswer;
use orbit_relay::sim::systems::base::Trouble;
use orbit_relay::sim::systems::ignition::Ignition;
use serde_json::{Value, json};

use super::{MOTOR, PUMP, Plant, alert, file, only_delivery, until_there_are};
use crate::world::{Site, accepted, uuid};

const IGNITION: &str = r#"
preset = "ignition"
settings = { project = "Plant" }
"#;

#[tokio::test]
async fn an_inspection_is_posted_to_ignition_once_though_its_answer_is_lost() {
    let plant = Plant::new(Ignition::new("Plant"), IGNITION).await;
    plant.system.plan(1, "POST", "webdev", Trouble::LoseAnswer);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let asked = plant.asked("POST", "webdev");
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].asked.body, asked[1].asked.body);
    let inspections = plant.system.with(|ignition| ignition.inspections.clone());
    let [(key, posted)] = &inspections.iter().collect::<Vec<_>>()[..] else {
        panic!("{inspections:?}")
    };
    assert_eq!(asked[0].asked.header("idempotency-key"), *key);
    assert_eq!(posted["asset"], PUMP);
    assert_eq!(posted["action"], MOTOR);
    assert_eq!(posted["alert"], true);
    assert_eq!(posted["t_ms"], 1_770_110_035_000_i64);
    assert_eq!(posted["readings"][0]["number"], 96.4);
    let url = posted["captures"][0]["url"].as_str().unwrap();
    assert!(url.starts_with(&plant.site.orbit.url()), "{url}");
    assert!(url.ends_with("motor%20spot-cam-ptz.jpg"), "{url}");
    relay.finish().await;
}

#[tokio::test]
async fn a_script_of_ignition_that_fails_is_called_again() {
    let plant = Plant::new(Ignition::new("Plant"), IGNITION).await;
    plant.system.with(|ignition| ignition.script_fails = true);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    plant.until_asked(2, "POST", "webdev").await;
    plant.system.with(|ignition| ignition.script_fails = false);
    until_there_are(&relay, 1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn the_example_posts_all_that_is_known_under_plain_names() {
    let site = Site::new().await;
    let url = site.plant_url();
    let site = site.configured(&file(&url, "preset = \"generic\""));
    let relay = site.start().await;
    relay.accept(alert(&site, 1).to_string()).await;
    accepted(&site.plant(), 1).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let received = &site.plant().received()[0];
    let body: Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["key"], received.headers["idempotency-key"]);
    assert_eq!(body["type"], ALERT);
    assert_eq!(body["asset"]["id"], PUMP);
    assert_eq!(body["asset"]["attributes"]["area"], "Pump hall");
    assert_eq!(body["inspection"]["run_event"], uuid(1));
    assert_eq!(body["inspection"]["severity_word"], "error");
    assert_eq!(body["readings"][0]["unit"], "C");
    assert_eq!(body["captures"][0]["type"], "image/jpeg");
    assert_eq!(body["delivery"]["origin"], "webhook");
    assert_eq!(only_delivery(&relay).attempts, 1);
    relay.finish().await;
}

#[tokio::test]
async fn what_adds_to_a_ticket_sends_its_own_body_though_it_is_called_like_what_makes_one() {
    let site = Site::new().await;
    let keys = r#"
events = ["ACTION_COMPLETED_WITH_ALERT"]
while_open = "append"
on_closed = { poll_path = "/orders/{{ answer.id }}", when = "response.json.closed" }
[[destination.step]]
name = "send"
path = "/orders"
body = { kind = "order" }
take = { id = "json:/id" }
[[destination.append]]
name = "send"
path = "/notes/{{ open.id }}"
body = { kind = "note" }
"#;
    let url = site.plant_url();
    let site = site.configured(&file(&url, keys));
    let taken = PlantAnswer::Body(201, json!({"id": 7}).to_string());
    site.plant().set_answer(taken);
    let relay = site.start().await;
    for n in 1..=2 {
        relay.accept(alert(&site, n).to_string()).await;
        until_there_are(&relay, n.try_into().unwrap(), State::Delivered).await;
    }
    let received = site.plant().received();
    for (post, (place, body)) in received.iter().zip([
        ("/orders", r#"{"kind":"order"}"#),
        ("/notes/7", r#"{"kind":"note"}"#),
    ]) {
        assert!(post.path.ends_with(place), "{}", post.path);
        assert_eq!(post.body, body.as_bytes());
    }
    assert_eq!(received.len(), 2);
    relay.finish().await;
}
