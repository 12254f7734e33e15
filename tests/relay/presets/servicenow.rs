//! `ServiceNow`: records, where what is asked for may be passed over.

use std::time::Duration;

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::{Ticket, Trouble, basic};
use orbit_relay::sim::systems::servicenow::ServiceNow;
use serde_json::{Map, json};

use super::{Plant, alert, is_jpeg, until_there_are};
use crate::world::{BOUND, Site};

const PRESET: &str = r#"
preset = "servicenow"
auth = { type = "basic", user = "orbit.relay", password = { env = "SERVICENOW_PASSWORD" } }
"#;
/// What makes an incident, and no question.
const CREATE: &str = "table/incident?";
/// The configuration item of the pump.
const ITEM: &str = "9f0c2ae51b2a30d0d5a1ea8f034bcb3a";
const MAP: &str =
    "action_name,asset_id,servicenow_ci\nP-101 motor DE,P-101,9f0c2ae51b2a30d0d5a1ea8f034bcb3a\n";

async fn servicenow() -> Plant<ServiceNow> {
    let mut plant = Plant::new(ServiceNow::new([ITEM]), PRESET).await;
    let credentials = basic("orbit.relay", "password-of-servicenow");
    plant.system.require("authorization", &credentials);
    plant.site = plant
        .site
        .variable("SERVICENOW_PASSWORD", "password-of-servicenow");
    plant.site.write_assets(MAP);
    plant
}

/// The records of the relay, oldest first.
fn records(plant: &Plant<ServiceNow>) -> Vec<Ticket> {
    plant.system.with(|now| {
        let all = now.records.all();
        all.filter(|record| record.text("correlation_display") == "Orbit")
            .cloned()
            .collect()
    })
}

fn only(plant: &Plant<ServiceNow>) -> Ticket {
    let mut records = records(plant);
    assert_eq!(records.len(), 1);
    records.remove(0)
}

#[tokio::test]
async fn an_inspection_becomes_an_incident_with_asset_and_photograph() {
    let plant = servicenow().await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let made = only(&plant);
    assert_eq!(made.text("cmdb_ci"), ITEM);
    assert_eq!((made.text("urgency"), made.text("impact")), ("2", "2"));
    assert!(made.text("short_description").contains("P-101 motor DE"));
    assert!(made.text("description").contains("Asset: P-101"));
    let [picture] = &made.attachments[..] else {
        panic!("{:?}", made.attachments.len())
    };
    assert!(is_jpeg(&picture.bytes));
    assert_eq!(picture.name, "motor spot-cam-ptz.jpg");
    relay.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_incident_was_made_makes_no_second_one() {
    let plant = servicenow().await;
    plant.system.plan(1, "POST", CREATE, Trouble::LoseAnswer);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(only(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_query_field_that_is_passed_over_leads_to_no_wrong_ticket() {
    let plant = servicenow().await;
    plant.system.with(|now| {
        now.has_correlation_id = false;
        let fields = [
            ("sys_id", json!("another's")),
            ("sys_class_name", json!("incident")),
            ("number", json!("INC7777777")),
            ("active", json!("false")),
        ];
        let fields: Map<_, _> = fields.map(|(n, v)| (n.to_owned(), v)).into_iter().collect();
        now.records.open("another's", fields);
    });
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    relay
        .until_at("plant", "open", |d| d.orders.open == 1)
        .await;
    let made = only(&plant);
    assert_eq!(made.attachments.len(), 1);

    // A try that comes after it was made still means the same record.
    plant
        .system
        .plan(2, "POST", "attachment", Trouble::Status(503));
    let mut other = alert(&plant.site, 2);
    other["data"]["actionName"] = "P-102 motor DE".into();
    other["data"]["assetId"] = "P-102".into();
    relay.accept(other.to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    let pictures: Vec<_> = records(&plant)
        .iter()
        .map(|record| record.attachments.len())
        .collect();
    assert_eq!(pictures, [1, 1]);

    // A note goes to the record that was made, and that one is asked for.
    relay.accept(alert(&plant.site, 3).to_string()).await;
    until_there_are(&relay, 3, State::Delivered).await;
    assert_eq!(records(&plant)[0].notes.len(), 1);
    plant.system.with(|now| assert!(now.close(&made.id)));
    relay
        .until_at("plant", "closed", |d| d.orders.open == 1)
        .await;
    plant.system.with(|now| {
        let another = now.records.get("another's").unwrap();
        assert!(another.attachments.is_empty() && another.notes.is_empty());
    });
    relay.finish().await;
}

#[tokio::test]
async fn a_second_alert_adds_a_note_while_the_incident_is_open_and_then_makes_a_new_one() {
    let plant = servicenow().await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    relay
        .until_at("plant", "open", |d| d.orders.open == 1)
        .await;
    relay.accept(alert(&plant.site, 2).to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    let noted = only(&plant);
    assert_eq!((noted.notes.len(), noted.attachments.len()), (1, 2));
    plant.system.with(|now| assert!(now.close(&noted.id)));
    relay
        .until_at("plant", "closed", |d| d.orders.open == 0)
        .await;
    relay.accept(alert(&plant.site, 3).to_string()).await;
    until_there_are(&relay, 3, State::Delivered).await;
    assert_eq!(records(&plant).len(), 2);
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_is_killed_before_the_picture_knows_of_its_record_though_nothing_finds_it() {
    let plant = servicenow().await;
    plant.system.with(|now| now.has_correlation_id = false);
    let robots = &plant.site.robots;
    robots.change_weather(|weather| weather.media.delay_ms = 600_000);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    let downloads = |site: &Site| {
        let requests = site.robots.requests().into_iter();
        requests
            .filter(|seen| seen.path.starts_with("/daq/"))
            .count()
    };
    // What was made is in the journal before the picture is asked for.
    let asked = async {
        while downloads(&plant.site) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, asked).await.unwrap();
    relay.kill().await;
    robots.change_weather(|weather| weather.media.delay_ms = 0);
    let relay = plant.site.start().await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(only(&plant).attachments.len(), 1);
    relay.finish().await;
}
