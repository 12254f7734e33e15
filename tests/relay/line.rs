//! Deliveries that wait for one another: one at a time for an asset, one for an inspection.

use std::time::Duration;

use orbit_relay::event::{ALERT, COMPLETED};
use orbit_relay::relay::deliver::{OncePer, OrderBy};
use orbit_relay::relay::journal::{DestinationSums, State};
use orbit_relay::sim::backend::{Answer, BackendWorld};
use serde_json::Value;

use crate::engine::action;
use crate::world::{Site, sums_at, uuid};

const CMMS: &str = "cmms";
const PATH: &str = "/cmms";

/// The bodies that came to a path, in order of arrival: the `data.uuid` of each.
fn uuids(plant: &BackendWorld, path: &str) -> Vec<String> {
    let body = |body: &[u8]| -> Value { serde_json::from_slice(body).unwrap() };
    plant
        .received_at(path)
        .iter()
        .map(|post| {
            body(&post.body)["data"]["uuid"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[tokio::test]
async fn in_order_by_asset_only_the_poisoned_asset_waits_and_only_until_it_is_dead() {
    let site = Site::with_a_manual_clock().await;
    let mut cmms = site.at(CMMS);
    cmms.order_by = OrderBy::Asset;
    let site = site.destination(cmms);
    site.write_assets("action_name,asset_id\npump,PUMP\nfan,FAN\n");
    let plant = site.plant();
    let busy = Answer::Poison {
        containing: uuid(1),
        answer: Box::new(Answer::Status(503)),
    };
    plant.set_answer_at(PATH, busy);
    let relay = site.start().await;
    for n in 1..=8 {
        let name = if n % 2 == 1 { "pump" } else { "fan" };
        relay.accept(action(n, COMPLETED, name)).await;
    }
    relay.until_there_are_at(CMMS, 4, State::Delivered).await;
    relay.until_there_are_at(CMMS, 4, State::Postponed).await;
    let fans: Vec<_> = [2, 4, 6, 8].map(uuid).into();
    let sent: Vec<_> = uuids(&plant, PATH);
    assert_eq!(
        sent.iter().filter(|u| **u != uuid(1)).collect::<Vec<_>>(),
        fans.iter().collect::<Vec<_>>()
    );

    let refused = Answer::Poison {
        containing: uuid(1),
        answer: Box::new(Answer::Status(422)),
    };
    plant.set_answer_at(PATH, refused);
    let done = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == 7;
    let step = Duration::from_secs(1);
    relay
        .let_pass(site.hand(), step, Duration::from_mins(2), done)
        .await;
    let sent = uuids(&plant, PATH);
    let pumps: Vec<_> = sent.iter().rev().take(3).rev().cloned().collect();
    assert_eq!(pumps, [3, 5, 7].map(uuid), "in order of arrival");
    relay.finish().await;
}

#[tokio::test]
async fn once_per_inspection_makes_one_of_a_completed_event_and_its_alert() {
    let site = Site::new().await;
    let (mut cmms, both) = (site.at(CMMS), site.at("both"));
    cmms.once_per = OncePer::Inspection;
    let site = site.destination(cmms).destination(both);
    let relay = site.start().await;
    for n in 0..10 {
        relay.accept(action(n, COMPLETED, "pump")).await;
        relay.accept(action(n, ALERT, "pump")).await;
    }
    relay.until_there_are_at(CMMS, 10, State::Delivered).await;
    relay.until_there_are_at(CMMS, 10, State::Skipped).await;
    relay.until_there_are_at("both", 20, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_line_goes_on_when_the_delivery_before_has_ended_not_when_a_second_has_passed() {
    let site = Site::with_a_manual_clock().await;
    let mut cmms = site.at(CMMS);
    cmms.order_by = OrderBy::Asset;
    let site = site.destination(cmms);
    site.write_assets("action_name,asset_id\npump,PUMP\n");
    let relay = site.start().await;
    for n in 1..=12 {
        relay.accept(action(n, COMPLETED, "pump")).await;
    }
    relay.until_there_are_at(CMMS, 12, State::Delivered).await;
    relay.stop().await;
}

#[tokio::test]
async fn what_waits_again_after_five_refusals_keeps_its_line() {
    let site = Site::new().await;
    let mut cmms = site.at(CMMS);
    cmms.order_by = OrderBy::Asset;
    let site = site.destination(cmms);
    site.write_assets("action_name,asset_id\npump,PUMP\n");
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(404));
    let relay = site.start().await;
    for n in 1..=8 {
        relay.accept(action(n, COMPLETED, "pump")).await;
    }
    relay.until_there_are_at(CMMS, 8, State::Parked).await;
    let tried = plant.received_at(PATH).len();
    plant.set_answer_at(PATH, Answer::Status(503));
    relay.resume(CMMS).await;
    relay.until_there_are_at(CMMS, 8, State::Postponed).await;
    let again: std::collections::BTreeSet<_> = uuids(&plant, PATH).drain(tried..).collect();
    assert_eq!(
        again,
        [uuid(1)].into(),
        "one at a time, the first one first"
    );
    relay.stop().await;
}

#[tokio::test]
async fn what_waits_again_after_five_refusals_is_still_once_per_inspection() {
    let site = Site::new().await;
    let mut cmms = site.at(CMMS);
    cmms.once_per = OncePer::Inspection;
    cmms.max_in_flight = 1;
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(404));
    let relay = site.start().await;
    for n in 1..=3 {
        relay.accept(action(n, COMPLETED, "pump")).await;
        relay.accept(action(n, ALERT, "pump")).await;
    }
    relay.until_there_are_at(CMMS, 6, State::Parked).await;
    plant.set_answer_at(PATH, Answer::Ok);
    relay.resume(CMMS).await;
    let rest = |d: &DestinationSums| d.of(State::Delivered) + d.of(State::Skipped) == 6;
    relay.until_at(CMMS, "all at rest", rest).await;
    assert_eq!(plant.tally_at(PATH).accepted, 3);
    relay.stop().await;
}

#[tokio::test]
async fn a_delivery_keeps_its_key_when_once_per_is_changed_between_its_tries() {
    let site = Site::new().await;
    let mut cmms = site.at(CMMS);
    cmms.retry.schedule = vec![Duration::from_millis(500)];
    cmms.retry.then_every = Duration::from_millis(500);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(503));
    let site = site.destination(cmms.clone());
    let relay = site.start().await;
    relay.accept(action(1, COMPLETED, "pump")).await;
    relay.until_there_are_at(CMMS, 1, State::Postponed).await;
    relay.finish().await;
    cmms.once_per = OncePer::Inspection;
    cmms.max_in_flight = 1;
    plant.set_answer_at(PATH, Answer::Ok);
    let site = site.without_destinations().destination(cmms);
    let relay = site.start().await;
    relay.until_there_are_at(CMMS, 1, State::Delivered).await;
    let keys: std::collections::BTreeSet<_> = plant
        .received_at(PATH)
        .into_iter()
        .map(|p| p.key().to_owned())
        .collect();
    assert_eq!(keys.len(), 1, "{keys:?}");
    relay.finish().await;
}
