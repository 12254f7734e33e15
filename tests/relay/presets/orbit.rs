//! What Orbit knows or does not say, and assets that the map learns later.

use std::time::Duration;

use orbit_relay::clock::until;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::maximo::Maximo;
use serde_json::Value;

use super::{MOTOR, PUMP, Plant, alert, file, only_delivery, until_there_are};
use crate::world::{Site, accepted};

const SERVICE_REQUEST: &str = r#"
preset = "maximo-service-request"
settings = { site_id = "BEDFORD" }
"#;
/// What the map says at first.
const NOTHING: &str = "action_name,asset_id\nSomething else,X-1\n";

#[tokio::test]
async fn an_alert_without_an_asset_is_parked_and_goes_within_five_seconds_of_a_map_that_has_it() {
    let plant = Plant::new(Maximo::new([PUMP]), SERVICE_REQUEST).await;
    plant.site.write_assets(NOTHING);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Parked).await;
    let reason = only_delivery(&relay).reason.unwrap();
    assert_eq!(
        reason,
        format!("no asset for the action {MOTOR:?}: it waits for a row of the asset map")
    );
    assert!(plant.system.exchanges().is_empty());

    let written = relay.clock.steady();
    plant
        .site
        .write_assets(&format!("action_name,asset_id\n{MOTOR},{PUMP}\n"));
    until_there_are(&relay, 1, State::Delivered).await;
    let took = until(written, relay.clock.steady());
    assert!(took < Duration::from_secs(5), "{took:?}");
    let asset = plant.system.with(|maximo| {
        assert_eq!(maximo.requests.made(), 1);
        let made = maximo.requests.all().next().unwrap();
        made.text("assetnum").to_owned()
    });
    assert_eq!(asset, PUMP);
    relay.finish().await;
}

#[tokio::test]
async fn what_was_parked_goes_after_a_restart_with_a_map_that_has_it() {
    let plant = Plant::new(Maximo::new([PUMP]), SERVICE_REQUEST).await;
    plant.site.write_assets(NOTHING);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Parked).await;
    relay.finish().await;
    plant
        .site
        .write_assets(&format!("action_name,asset_id\n{MOTOR},{PUMP}\n"));
    let relay = plant.site.start().await;
    until_there_are(&relay, 1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn an_alert_waits_for_an_orbit_that_is_down_and_then_goes_without_it_marked_partial() {
    let plant = Plant::new(Maximo::new([PUMP]), SERVICE_REQUEST).await;
    let relay = plant.site.start().await;
    relay.registered().await;
    let mut event = alert(&plant.site, 1);
    for member in ["severity", "title", "elementId"] {
        event["data"].as_object_mut().unwrap().remove(member);
    }
    plant
        .site
        .robots
        .change_weather(|weather| weather.down = true);
    let came = relay.clock.steady();
    relay.accept(event.to_string()).await;
    until_there_are(&relay, 1, State::Postponed).await;
    let waits = only_delivery(&relay);
    assert!(
        waits.reason.unwrap().starts_with("waits for Orbit: "),
        "it says what it waits for"
    );
    assert_eq!(waits.attempts, 0);
    assert!(plant.system.exchanges().is_empty());
    until_there_are(&relay, 1, State::Delivered).await;
    let took = until(came, relay.clock.steady());
    assert!(took >= Duration::from_secs(1), "{took:?}");
    let relay_part = only_delivery(&relay).relay.unwrap();
    assert!(
        relay_part.contains(r#""enrichment":"partial""#),
        "{relay_part}"
    );
    // The priority of one that nobody knows; and no picture.
    plant.system.with(|maximo| {
        let made = maximo.requests.all().next().unwrap();
        assert_eq!(made.fields["reportedpriority"], 2);
        assert!(made.attachments.is_empty());
    });
    relay.finish().await;
}

#[tokio::test]
async fn a_picture_that_orbit_does_not_give_holds_its_ticket_up_no_longer_than_the_wait() {
    let plant = Plant::new(Maximo::new([PUMP]), SERVICE_REQUEST).await;
    let relay = plant.site.start().await;
    plant
        .site
        .robots
        .change_weather(|weather| weather.media.status = Some(503));
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    plant.system.with(|maximo| {
        assert_eq!(maximo.requests.made(), 1);
        let made = maximo.requests.all().next().unwrap();
        assert!(made.attachments.is_empty());
    });
    relay.finish().await;
}

#[tokio::test]
async fn what_orbit_knows_is_asked_for_once_and_marked_complete() {
    let site = Site::new().await;
    let url = site.plant_url();
    let site = site.configured(&file(&url, "preset = \"generic\""));
    let relay = site.start().await;
    relay.registered().await;
    let found = crate::orders::alert(&site).await;
    let posts = site.robots.run_event_count();
    accepted(&site.plant(), u64::try_from(posts).unwrap()).await;
    let received = site.plant().received();
    let body = received.iter().find_map(|post| {
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        (body["inspection"]["run_event"] == found.run_event.as_str()).then_some(body)
    });
    let body = body.unwrap();
    assert_eq!(body["delivery"]["enrichment"], "complete");
    assert!(body["inspection"]["severity"].as_u64().unwrap() >= 2);
    assert!(
        body["inspection"]["robot"]
            .as_str()
            .unwrap()
            .starts_with("spot-")
    );
    relay.finish().await;
}
