//! Maximo: service requests and work orders.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::{Ticket, Tickets, Trouble};
use orbit_relay::sim::systems::maximo::Maximo;

use super::{PUMP, Plant, alert, completed, is_jpeg, until_there_are};
use crate::orders;
use crate::world::Relay;

const SERVICE_REQUEST: &str = r#"
preset = "maximo-service-request"
settings = { site_id = "BEDFORD" }
auth = { type = "header", name = "apikey", value = { env = "MAXIMO_API_KEY" } }
"#;
/// All assets that the simulated plant has.
const ASSETS: [&str; 10] = [
    "P-101",
    "P-102",
    "P-103",
    "AIR-HDR-42",
    "PI-2203",
    "HX-118",
    "TR-T2",
    "DOOR-07",
    "FE-12",
    "LG-4",
];
/// What makes a service request, and no question and no picture.
const CREATE: &str = "mxapisr?lean=1";

/// A site with Maximo, and a key that it wants.
async fn maximo(preset: &str) -> Plant<Maximo> {
    let mut plant = Plant::new(Maximo::new(ASSETS), preset).await;
    plant.system.require("apikey", "key-of-maximo");
    plant.site = plant.site.variable("MAXIMO_API_KEY", "key-of-maximo");
    plant
}

/// The only one of these.
fn only(tickets: &Tickets) -> Ticket {
    assert_eq!(tickets.made(), 1);
    tickets.all().next().unwrap().clone()
}

fn request(plant: &Plant<Maximo>) -> Ticket {
    plant.system.with(|maximo| only(&maximo.requests))
}

async fn until_open(relay: &Relay, n: u64) {
    relay
        .until_at("plant", "open", |d| d.orders.open == n)
        .await;
}

#[tokio::test]
async fn an_inspection_becomes_a_service_request_with_asset_and_photograph() {
    let plant = maximo(SERVICE_REQUEST).await;
    let relay = plant.site.start().await;
    relay.registered().await;
    let alert = orders::alert(&plant.site).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let made = request(&plant);
    let asset = relay.delivery(&alert.run_event).asset.unwrap();
    assert_eq!(made.text("assetnum"), asset);
    assert_eq!(made.text("siteid"), "BEDFORD");
    assert!(made.text("description").contains(&alert.action_name));
    // What only Orbit's anomaly says.
    let long = made.text("description_longdescription");
    let severity = ["warning", "error", "critical"]
        .iter()
        .position(|word| long.contains(&format!("Severity: {word}")));
    let priority = 3 - u64::try_from(severity.expect(long)).unwrap();
    assert_eq!(made.fields["reportedpriority"], priority);
    assert!(!made.attachments.is_empty());
    for picture in &made.attachments {
        assert!(is_jpeg(&picture.bytes), "{}", picture.name);
        assert_eq!(picture.content_type, "image/jpeg");
        assert!(
            picture
                .name
                .starts_with(&alert.action_name.replace('/', "_")[..4])
        );
    }
    relay.finish().await;
}

#[tokio::test]
async fn an_inspection_becomes_a_work_order_and_a_second_alert_a_note_in_it() {
    let preset = r#"
preset = "maximo-work-order"
settings = { site_id = "BEDFORD", work_type = "EM" }
auth = { type = "header", name = "apikey", value = { env = "MAXIMO_API_KEY" } }
"#;
    let plant = maximo(preset).await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_open(&relay, 1).await;
    let made = plant.system.with(|maximo| only(&maximo.orders));
    assert_eq!(made.text("assetnum"), PUMP);
    assert_eq!(made.text("worktype"), "EM");
    assert_eq!(made.fields["wopriority"], 2);
    assert_eq!(made.attachments.len(), 1);

    relay.accept(alert(&plant.site, 2).to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    let made = plant.system.with(|maximo| only(&maximo.orders));
    assert_eq!((made.notes.len(), made.attachments.len()), (1, 2));
    plant
        .system
        .with(|maximo| assert!(maximo.set_status(&made.id, "COMP")));
    until_open(&relay, 0).await;
    relay.finish().await;
}

#[tokio::test]
async fn an_alert_that_is_told_twice_and_without_its_finding_makes_one_service_request() {
    let plant = maximo(SERVICE_REQUEST).await;
    let relay = plant.site.start().await;
    let first = alert(&plant.site, 1);
    let mut again = first.clone();
    again["uuid"] = "another message of the same".into();
    for body in [&completed(&first), &first, &first, &again] {
        relay.accept(body.to_string()).await;
    }
    until_there_are(&relay, 1, State::Delivered).await;
    until_there_are(&relay, 1, State::Skipped).await;
    let made = request(&plant);
    assert_eq!((made.notes.len(), made.attachments.len()), (0, 1));
    relay.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_ticket_was_made_makes_no_second_one() {
    let plant = maximo(SERVICE_REQUEST).await;
    plant.system.plan(1, "POST", CREATE, Trouble::LoseAnswer);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    // What is known of the ticket was found, and is enough to follow it.
    until_open(&relay, 1).await;
    let made = request(&plant);
    assert_eq!(made.attachments.len(), 1);
    plant
        .system
        .with(|maximo| assert!(maximo.set_status(&made.id, "CLOSED")));
    until_open(&relay, 0).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_is_killed_between_ticket_and_picture_makes_no_second_ticket() {
    let plant = maximo(SERVICE_REQUEST).await;
    let robots = &plant.site.robots;
    robots.change_weather(|weather| weather.media.delay_ms = 600_000);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    plant
        .until("made", |maximo| maximo.requests.made() == 1)
        .await;
    relay.kill().await;
    robots.change_weather(|weather| weather.media.delay_ms = 0);
    let relay = plant.site.start().await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(request(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_is_killed_before_it_hears_of_the_ticket_makes_no_second_one() {
    let plant = maximo(SERVICE_REQUEST).await;
    plant.system.plan(1, "POST", CREATE, Trouble::Hang);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    plant
        .until("made", |maximo| maximo.requests.made() == 1)
        .await;
    relay.kill().await;
    let relay = plant.site.start().await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(request(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_picture_that_failed_is_attached_later_and_those_that_went_are_not_again() {
    let plant = maximo(SERVICE_REQUEST).await;
    plant
        .system
        .plan(3, "POST", "doclinks", Trouble::Status(503));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(plant.asked("POST", "doclinks").len(), 4);
    assert_eq!(request(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_second_alert_adds_a_note_while_the_ticket_is_open_and_then_makes_a_new_one() {
    let plant = maximo(SERVICE_REQUEST).await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_open(&relay, 1).await;
    let first = request(&plant).id;

    // Its own request is tried again, too, and stays a note.
    plant
        .system
        .plan(1, "POST", first_of_note(), Trouble::Status(503));
    relay.accept(alert(&plant.site, 2).to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    let noted = request(&plant);
    assert_eq!((noted.notes.len(), noted.attachments.len()), (1, 2));
    assert!(
        noted.notes[0].contains("Region 1 Max 96.4"),
        "{}",
        noted.notes[0]
    );

    plant
        .system
        .with(|maximo| assert!(maximo.set_status(&first, "CLOSED")));
    until_open(&relay, 0).await;
    relay.accept(alert(&plant.site, 3).to_string()).await;
    until_there_are(&relay, 3, State::Delivered).await;
    let (old, made) = plant.system.with(|maximo| {
        let old = maximo.requests.get(&first).unwrap().notes.len();
        (old, maximo.requests.made())
    });
    assert_eq!((old, made), (1, 2));
    relay.finish().await;
}

/// Every record's address begins like this.
fn first_of_note() -> &'static str {
    "mxapisr/_"
}

#[tokio::test]
async fn an_alert_of_another_action_makes_a_ticket_of_its_own_while_one_is_open() {
    let plant = maximo(SERVICE_REQUEST).await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_open(&relay, 1).await;
    let mut other = alert(&plant.site, 2);
    other["data"]["actionName"] = "P-101 motor NDE".into();
    relay.accept(other.to_string()).await;
    until_open(&relay, 2).await;
    assert_eq!(plant.system.with(|maximo| maximo.requests.made()), 2);
    relay.finish().await;
}

#[tokio::test]
async fn a_maximo_that_begins_sessions_is_never_shown_their_cookie() {
    let plant = maximo(SERVICE_REQUEST).await;
    plant.system.with(|maximo| maximo.sessions = true);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(request(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_maximo_behind_a_proxy_is_spoken_to_where_it_is_configured() {
    let plant = maximo(SERVICE_REQUEST).await;
    plant.system.with(|maximo| {
        maximo.public_origin = Some("https://maximo.elsewhere.example".to_owned());
    });
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_open(&relay, 1).await;
    relay.accept(alert(&plant.site, 2).to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    let made = request(&plant);
    assert_eq!((made.notes.len(), made.attachments.len()), (1, 2));
    relay.finish().await;
}

#[tokio::test]
async fn an_asset_that_maximo_does_not_know_is_dead_with_its_reason() {
    let plant = maximo(SERVICE_REQUEST).await;
    plant.system.with(|maximo| maximo.assets.clear());
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Dead).await;
    let reason = super::only_delivery(&relay).reason.unwrap();
    assert_eq!(reason, "step create: answered 400");
    relay.finish().await;
}
