//! `UpKeep` wants a login, whose token is over some day, and answers 200 also where it made nothing.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::{Ticket, Trouble};
use orbit_relay::sim::systems::upkeep::UpKeep;

use super::{ASSETS, until_tried};
use crate::ops::surfaces;
use crate::presets::hidden::Canaries;
use crate::presets::{Plant, alert, completed, only_delivery, until_there_are};

const KEYS: &str = r#"
preset = "upkeep"
secrets = { email = { env = "UPKEEP_EMAIL" }, password = { env = "UPKEEP_PASSWORD" } }
"#;
const CREATE: &str = "/work-orders";

async fn upkeep() -> Plant<UpKeep> {
    let system = UpKeep::new("canary@plant.example", "canary-password");
    let mut plant = Plant::new(system, KEYS).await;
    plant.site.write_assets(ASSETS);
    plant.site = plant
        .site
        .variable("UPKEEP_EMAIL", "canary@plant.example")
        .variable("UPKEEP_PASSWORD", "canary-password");
    plant
}

fn orders(plant: &Plant<UpKeep>) -> Vec<Ticket> {
    plant
        .system
        .with(|upkeep| upkeep.work_orders().all().cloned().collect())
}

#[tokio::test]
async fn an_alert_is_one_work_order_on_its_asset() {
    let plant = upkeep().await;
    let relay = plant.site.start().await;
    let alert = alert(&plant.site, 1);
    for event in [&alert, &completed(&alert), &alert] {
        relay.accept(event.to_string()).await;
    }
    until_there_are(&relay, 1, State::Delivered).await;
    let orders = orders(&plant);
    assert_eq!(orders.len(), 1);
    assert_eq!(
        orders[0].text("title"),
        "P-101: Temperature above threshold"
    );
    assert_eq!(orders[0].text("asset"), "O1L94DYjCv");
    assert_eq!(orders[0].fields["priority"], 3);
    relay.finish().await;
}

#[tokio::test]
async fn a_token_that_is_over_is_fetched_anew_within_the_same_try() {
    let plant = upkeep().await;
    plant.system.with(|upkeep| upkeep.end_next_sessions(1));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(only_delivery(&relay).attempts, 1);
    assert_eq!(plant.system.with(|upkeep| upkeep.sessions()), 2);
    assert_eq!(orders(&plant).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_200_without_success_is_no_delivery_and_is_tried_again() {
    let plant = upkeep().await;
    plant.system.with(|upkeep| upkeep.fail_next(1));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(only_delivery(&relay).attempts, 2);
    assert_eq!(orders(&plant).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn neither_the_login_nor_its_token_is_seen_whatever_upkeep_answers() {
    let canaries = Canaries::listen(vec![
        ("the password", b"canary-password".to_vec()),
        ("the address", b"canary@plant.example".to_vec()),
        ("a token", b"r:session-".to_vec()),
    ]);
    let plant = upkeep().await;
    let relay = plant.site.start().await;
    let troubles = [
        Trouble::Status(400),
        Trouble::Status(401),
        Trouble::Status(500),
        Trouble::LoseAnswer,
    ];
    for (n, trouble) in (1..).zip(troubles) {
        plant.system.plan(2, "POST", CREATE, trouble);
        let asked = plant.asked("POST", CREATE).len();
        relay.accept(alert(&plant.site, n).to_string()).await;
        plant.until_asked(asked + 1, "POST", CREATE).await;
        until_tried(&relay, u64::try_from(n).unwrap()).await;
        canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
        if relay.parts.sums.borrow().destinations[0].paused.is_some() {
            relay.resume("plant").await;
        }
    }
    relay.stop().await;
}

#[tokio::test]
async fn a_wrong_password_parks_the_alert_and_pauses_the_destination() {
    let mut plant = upkeep().await;
    plant.site = plant.site.variable("UPKEEP_PASSWORD", "canary-other");
    let canaries = Canaries::listen(vec![("the password", b"canary-other".to_vec())]);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Parked).await;
    let reason = only_delivery(&relay).reason.unwrap();
    assert!(reason.contains("step login"), "{reason}");
    canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
    assert_eq!(orders(&plant).len(), 0);
    relay.finish().await;
}
