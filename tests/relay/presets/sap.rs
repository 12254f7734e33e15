//! SAP: notifications, and the token that it wants.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::{Ticket, Trouble, basic};
use orbit_relay::sim::systems::sap::Sap;

use super::{PUMP, Plant, alert, is_jpeg, until_there_are};

const PRESET: &str = r#"
preset = "sap-notification"
auth = { type = "basic", user = "ORBIT_RFC", password = { env = "SAP_PASSWORD" } }
settings = { time_zone = "Europe/Berlin" }
"#;
/// What makes a notification.
const CREATE: &str = "MaintenanceNotification";

async fn sap() -> Plant<Sap> {
    let mut plant = Plant::new(Sap::new([PUMP]), PRESET).await;
    let credentials = basic("ORBIT_RFC", "password-of-sap");
    plant.system.require("authorization", &credentials);
    plant.site = plant.site.variable("SAP_PASSWORD", "password-of-sap");
    plant
}

fn notification(plant: &Plant<Sap>) -> Ticket {
    plant.system.with(|sap| {
        assert_eq!(sap.notifications.made(), 1);
        sap.notifications.all().next().unwrap().clone()
    })
}

#[tokio::test]
async fn an_inspection_becomes_a_notification_with_asset_and_photograph() {
    let plant = sap().await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let made = notification(&plant);
    assert_eq!(made.text("TechnicalObject"), PUMP);
    assert_eq!(made.text("NotificationType"), "M1");
    assert_eq!(made.text("MaintPriority"), "2");
    // 09:13:55 in UTC, on that day in Berlin.
    assert_eq!(made.text("MalfunctionStartTime"), "PT10H13M55S");
    assert_eq!(made.text("MalfunctionStartDate"), "/Date(1770076800000)/");
    let [picture] = &made.attachments[..] else {
        panic!("{:?}", made.attachments.len())
    };
    assert!(is_jpeg(&picture.bytes));
    assert_eq!(picture.name, "motor spot-cam-ptz.jpg");
    assert_eq!(plant.system.with(|sap| sap.sessions_begun()), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_token_that_has_expired_is_fetched_again_within_the_same_try() {
    let plant = sap().await;
    // The notification ends the session: its picture needs another.
    plant.system.with(|sap| sap.changes_of_a_session = Some(1));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(notification(&plant).attachments.len(), 1);
    assert_eq!(plant.system.with(|sap| sap.sessions_begun()), 2);
    assert_eq!(super::only_delivery(&relay).attempts, 1);
    relay.finish().await;
}

#[tokio::test]
async fn each_try_fetches_its_own_token() {
    let plant = sap().await;
    plant.system.plan(2, "POST", CREATE, Trouble::Status(503));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(plant.system.with(|sap| sap.sessions_begun()), 3);
    assert_eq!(notification(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_after_the_notification_was_made_makes_no_second_one() {
    let plant = sap().await;
    plant.system.plan(1, "POST", CREATE, Trouble::LoseAnswer);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(notification(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_relay_that_is_killed_before_it_hears_of_the_notification_makes_no_second_one() {
    let plant = sap().await;
    plant.system.plan(1, "POST", CREATE, Trouble::Hang);
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    plant
        .until("made", |sap| sap.notifications.made() == 1)
        .await;
    relay.kill().await;
    let relay = plant.site.start().await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(notification(&plant).attachments.len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_second_alert_is_skipped_while_the_notification_is_open_and_then_makes_a_new_one() {
    let plant = sap().await;
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    relay
        .until_at("plant", "open", |d| d.orders.open == 1)
        .await;
    relay.accept(alert(&plant.site, 2).to_string()).await;
    until_there_are(&relay, 1, State::Skipped).await;
    let first = notification(&plant);
    assert_eq!(first.attachments.len(), 1);
    plant.system.with(|sap| assert!(sap.complete(&first.id)));
    relay
        .until_at("plant", "closed", |d| d.orders.open == 0)
        .await;
    relay.accept(alert(&plant.site, 3).to_string()).await;
    until_there_are(&relay, 2, State::Delivered).await;
    assert_eq!(plant.system.with(|sap| sap.notifications.made()), 2);
    relay.finish().await;
}
