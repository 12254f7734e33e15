//! Orbit hears of closed orders, also where it cannot at first.

use std::time::Duration;

use orbit_relay::event::ALERT;
use orbit_relay::relay::journal::Sums;
use orbit_relay::sim::orbit::{Inspection, Weather};
use serde_json::json;

use crate::orders::{alert, answers, cmms, orders, patches, status_of, until_noted, until_open};
use crate::world::{Relay, Site};

const MINUTE: Duration = Duration::from_mins(1);

/// Waits until the order is closed and the reason is kept why Orbit was not told of it.
async fn until_closed_and_not_told(site: &Site, relay: &Relay) {
    let closed = |sums: &Sums| sums.destinations[0].orders.closed == 1;
    relay
        .let_pass(site.hand(), MINUTE / 6, 60 * MINUTE, closed)
        .await;
    until_noted(site, |order| &order.orbit_why).await;
}

/// Gives Orbit good weather, and waits until it was told, once.
async fn until_told(site: &Site, relay: &Relay, alert: &Inspection) {
    site.robots.set_weather(Weather::default());
    let told = |sums: &Sums| sums.destinations[0].orders.told == 1;
    relay
        .let_pass(site.hand(), MINUTE / 6, 120 * MINUTE, told)
        .await;
    assert_eq!(
        (status_of(site, alert), patches(site)),
        ("closed".into(), 1)
    );
}

#[tokio::test]
async fn an_orbit_that_is_down_when_the_order_closes_hears_of_it_later() {
    let site = Site::with_a_manual_clock().await;
    let config = cmms(&site, MINUTE);
    let site = site.destination(config);
    answers(&site, &json!("1"), "CLOSED");
    let relay = site.start().await;
    relay.registered().await;
    let alert = alert(&site).await;
    until_open(&relay, 1).await;
    site.robots.set_weather(Weather {
        status: Some(503),
        ..Weather::default()
    });
    until_closed_and_not_told(&site, &relay).await;
    assert_eq!(
        orders(&site)[0].orbit_why.as_deref(),
        Some("Orbit answered 503")
    );
    let relay = {
        relay.finish().await;
        site.start().await
    };
    until_told(&site, &relay, &alert).await;
    relay.finish().await;
    assert_eq!(orders(&site)[0].orbit_why, None);
}

#[tokio::test]
async fn an_orbit_that_has_no_anomaly_yet_is_asked_again_and_the_order_is_not_given_up() {
    let site = Site::with_a_manual_clock().await;
    let config = cmms(&site, MINUTE);
    let site = site.destination(config);
    answers(&site, &json!(1), "CLOSED");
    let relay = site.start().await;
    relay.registered().await;
    let alert = alert(&site).await;
    until_open(&relay, 1).await;
    // It is starting.
    site.robots.set_weather(Weather {
        empty_page_every: 1,
        ..Weather::default()
    });
    until_closed_and_not_told(&site, &relay).await;
    let order = orders(&site).remove(0);
    let why = "Orbit has no anomaly of this run event";
    assert_eq!(order.orbit_why.as_deref(), Some(why));
    assert_eq!(order.orbit_closed_at, None);
    until_told(&site, &relay, &alert).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_day_after_an_order_was_closed_it_is_believed_that_orbit_has_no_anomaly() {
    let site = Site::with_a_manual_clock().await;
    let config = cmms(&site, MINUTE);
    let site = site.destination(config);
    answers(&site, &json!(1), "CLOSED");
    let relay = site.start().await;
    relay.registered().await;
    let body = json!({"uuid": "m", "type": ALERT, "data": {"uuid": "r-1", "actionName": "Pump"}});
    relay.accept(body.to_string()).await;
    until_open(&relay, 1).await;
    until_closed_and_not_told(&site, &relay).await;
    let told = |sums: &Sums| sums.destinations[0].orders.told == 1;
    relay
        .let_pass(site.hand(), 10 * MINUTE, 26 * 60 * MINUTE, told)
        .await;
    relay.finish().await;
    let order = orders(&site).remove(0);
    let waited = order.orbit_closed_at.unwrap() - order.closed_at.unwrap();
    assert!(waited.total(jiff::Unit::Hour).unwrap() >= 24.0, "{order:?}");
    assert!(order.orbit_why.is_some());
}
