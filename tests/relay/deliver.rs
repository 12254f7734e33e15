//! What becomes of an event when the plant's system, or the way to it, has trouble.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use orbit_relay::app::Exit;
use orbit_relay::app::control::{self, Answer, Ask};
use orbit_relay::relay::destination::INTEGRATION;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::{Answer as PlantAnswer, Received};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::{TcpListener, UnixStream};

use crate::path::relay_object;
use crate::world::{
    Relay, Site, accepted, answer, any_port, attempted, fixture, inspection, level, uuid,
};

fn asset(post: &Received) -> Value {
    let body: Value = serde_json::from_slice(&post.body).unwrap();
    body["relay"]["asset"].clone()
}

/// All posts are tries of one delivery: one key, one body, numbered.
fn assert_one_delivery(posts: &[Arc<Received>]) {
    for (n, post) in (1..).zip(posts) {
        assert_eq!(post.key(), posts[0].key(), "try {n} has the same key");
        assert_eq!(post.headers["webhook-id"], posts[0].key(), "try {n}");
        assert_eq!(post.body, posts[0].body, "try {n} has the same body");
        assert_eq!(post.headers["relay-attempt"], n.to_string());
    }
}

#[tokio::test]
async fn every_try_of_a_delivery_has_the_same_key_and_body_and_a_number() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    let plant = site.plant();
    plant.set_answer(PlantAnswer::Status(503));
    let sent = fixture("acoustic-leak-alert.json");
    relay.accept(&sent).await;
    attempted(&plant, 1).await;
    relay.next_try(site.hand()).await;
    relay.next_try(site.hand()).await;
    plant.set_answer(PlantAnswer::Ok);
    relay.next_try(site.hand()).await;
    relay.until_there_are(1, State::Delivered).await;
    let posts = plant.received();
    assert_eq!(posts.len(), 4);
    assert_one_delivery(&posts);
    relay_object(&posts[3], &sent);
    relay.finish().await;
}

#[tokio::test]
async fn what_comes_while_the_plant_is_down_is_delivered_when_it_is_up_again() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    let port = site.stop_plant().await;
    for n in 0..10 {
        relay.accept(inspection(n)).await;
    }
    let down = |health: &_| matches!(health, orbit_relay::relay::deliver::Health::Down(_));
    level(relay.health(), "down", down).await;
    let ready = relay.get("/readyz").await;
    assert_eq!(ready.status, 200, "events are accepted all the same");
    let destination = &ready.json()["destinations"]["integration"];
    assert_eq!(destination["status"], "down");
    let why = destination["reason"].as_str().unwrap();
    assert!(why.contains("cannot connect"), "{why}");
    relay.next_try(site.hand()).await;
    relay.next_try(site.hand()).await;

    site.start_plant(port).await;
    relay
        .pass_time_until_there_are(site.hand(), 10, State::Delivered)
        .await;
    let keys = site.plant().deliveries_by_key();
    assert_eq!(keys.len(), 10);
    assert!(keys.values().all(|n| *n == 1), "{keys:?}");
    assert_eq!(
        relay.get("/readyz").await.json()["destinations"]["integration"]["status"],
        "working"
    );
    relay.finish().await;
}

#[tokio::test]
async fn every_trouble_that_may_pass_postpones_and_names_its_reason() {
    let elsewhere = TcpListener::bind(any_port()).await.unwrap();
    let other_host = format!("http://{}", elsewhere.local_addr().unwrap());
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    let plant = site.plant();
    let redirect = |status| PlantAnswer::Redirect(status, format!("{other_host}/token=x?token=x"));
    let named = format!("a redirect to {other_host}: it is not followed");
    let rows = [
        ("500", PlantAnswer::Status(500), "answered 500"),
        ("502", PlantAnswer::Status(502), "answered 502"),
        ("503", PlantAnswer::Status(503), "answered 503"),
        ("500 with a page", PlantAnswer::Html500, "answered 500"),
        ("301", redirect(301), named.as_str()),
        ("302", redirect(302), named.as_str()),
        ("307", redirect(307), named.as_str()),
        ("308", redirect(308), named.as_str()),
        ("408", PlantAnswer::Status(408), "answered 408"),
        ("425", PlantAnswer::Status(425), "answered 425"),
        ("429", PlantAnswer::RetryAfter(429, 1), "answered 429"),
        ("reset", PlantAnswer::Reset, "the exchange failed"),
    ];
    for (n, (name, trouble, reason)) in rows.into_iter().enumerate() {
        plant.set_answer(trouble);
        relay.accept(inspection(n)).await;
        relay.until_there_are(1, State::Postponed).await;
        let why = relay.delivery(&uuid(n)).reason.unwrap();
        assert!(why.contains(reason), "{name}: {why}");
        assert!(!why.contains("token=x"), "{name}: {why}");
        plant.set_answer(PlantAnswer::Ok);
        let delivered = u64::try_from(n).unwrap() + 1;
        relay.next_try(site.hand()).await;
        relay.until_there_are(delivered, State::Delivered).await;
        let posts = plant.received();
        assert_one_delivery(&posts[posts.len() - 2..]);
    }
    let visit = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept());
    assert!(
        visit.await.is_err(),
        "nobody came to where the redirects point"
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_refused_event_is_dead_at_once_and_kept_and_the_next_goes_out() {
    let site = Site::new().await;
    let relay = site.start().await;
    let plant = site.plant();
    let statuses = [400, 404, 405, 409, 413, 422];
    for (n, status) in (1..).zip(statuses) {
        plant.set_answer(PlantAnswer::Status(status));
        let body = inspection(n);
        relay.accept(&body).await;
        let dead = u64::try_from(n).unwrap();
        relay.until_there_are(dead, State::Dead).await;
        let delivery = relay.delivery(&uuid(n));
        assert_eq!(delivery.attempts, 1, "{status}");
        let reason = delivery.reason.unwrap();
        assert!(
            reason.starts_with(&format!("answered {status}")),
            "{reason}"
        );
        let mut kept = relay.journal().into_iter();
        let kept = kept.any(|event| event.body == body.as_bytes());
        assert!(kept, "{status}: it is kept");
        plant.set_answer(PlantAnswer::Ok);
        relay.accept(inspection(n + 100)).await;
        relay.until_there_are(dead, State::Delivered).await;
    }
    relay.finish().await;
}

#[tokio::test]
async fn an_exchange_that_hangs_holds_up_neither_receipt_nor_other_events_nor_the_end() {
    let site = Site::new().await;
    let relay = site.start().await;
    let plant = site.plant();
    plant.set_answer(PlantAnswer::Hang);
    relay.accept(inspection(1)).await;
    attempted(&plant, 1).await;
    plant.set_answer(PlantAnswer::Ok);
    for n in 2..20 {
        relay.accept(inspection(n)).await;
    }
    relay.until_there_are(18, State::Delivered).await;
    assert_eq!(relay.delivery(&uuid(1)).state, State::Sending);
    assert_eq!(
        relay.stop().await,
        Exit::Cut,
        "the grace period bounds the end"
    );

    let relay = site.start().await;
    relay.until_there_are(19, State::Delivered).await;
    let posts = plant.received();
    let of_the_first = |post: &&Arc<Received>| post.key() == posts[0].key();
    let tries: Vec<_> = posts.iter().filter(of_the_first).cloned().collect();
    assert_eq!(tries.len(), 2);
    assert_one_delivery(&tries);
    relay.finish().await;
}

#[tokio::test]
async fn an_answer_that_drips_is_believed_by_its_status_and_ends_within_the_grace_period() {
    let site = Site::new().await;
    let relay = site.start().await;
    let plant = site.plant();
    plant.set_answer(PlantAnswer::Drip);
    relay.accept(inspection(1)).await;
    attempted(&plant, 1).await;
    plant.set_answer(PlantAnswer::Ok);
    for n in 2..20 {
        relay.accept(inspection(n)).await;
    }
    relay.until_there_are(18, State::Delivered).await;
    assert_eq!(relay.delivery(&uuid(1)).state, State::Sending);
    let sums = relay.finish().await;
    assert_eq!(sums.destinations[0].of(State::Delivered), 19);
    assert_eq!(plant.tally().attempts, 19, "none is sent twice");
}

#[tokio::test]
async fn a_new_asset_map_counts_for_new_events_and_never_for_a_body_that_was_sent() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    let plant = site.plant();
    plant.set_answer(PlantAnswer::Status(503));
    relay.accept(inspection(1)).await;
    relay.until_there_are(1, State::Postponed).await;

    site.write_assets("action_name,asset_id\nP-101 motor DE,RENAMED\n");
    relay.assets.reload();
    plant.set_answer(PlantAnswer::Ok);
    relay.next_try(site.hand()).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_one_delivery(&plant.received());
    assert_eq!(asset(&plant.received()[1])["id"], "P-101");

    relay.accept(inspection(2)).await;
    relay.until_there_are(2, State::Delivered).await;
    assert_eq!(asset(&plant.received()[2])["id"], "RENAMED");
    relay.finish().await;
}

#[tokio::test]
async fn a_bad_asset_map_keeps_the_one_in_use() {
    let site = Site::new().await;
    let relay = site.start().await;
    let bad = [
        "",
        "no header\n",
        "action_name,asset_id\nx,A\nx,B\n",
        "action_name,asset_id\n,A\n",
    ];
    for (n, csv) in (1..).zip(bad) {
        site.write_assets(csv);
        relay.assets.reload();
        relay.accept(inspection(n)).await;
        let delivered = u64::try_from(n).unwrap();
        relay.until_there_are(delivered, State::Delivered).await;
        let posts = site.plant().received();
        assert_eq!(asset(posts.last().unwrap())["id"], "P-101", "{csv:?}");
    }
    std::fs::remove_file(site.path("assets.csv")).unwrap();
    relay.assets.reload();
    relay.accept(inspection(9)).await;
    relay.until_there_are(5, State::Delivered).await;
    assert_eq!(
        asset(site.plant().received().last().unwrap())["id"],
        "P-101"
    );
    relay.finish().await;
}

#[tokio::test]
async fn without_a_matching_row_the_asset_is_orbits_or_none() {
    let site = Site::new().await.without_flag("asset-map");
    let relay = site.start().await;
    let plant = site.plant();
    relay.accept(fixture("acoustic-leak-alert.json")).await;
    accepted(&plant, 1).await;
    let expected = json!({"id": "AIR-HDR-42", "matched_by": "orbit", "attributes": {}});
    assert_eq!(asset(&plant.received()[0]), expected);
    relay.accept(fixture("thermal.json")).await;
    accepted(&plant, 2).await;
    assert_eq!(asset(&plant.received()[1]), Value::Null);
    relay.until_there_are(2, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn credentials_arrive_in_each_form_in_which_they_can_be_given() {
    let basic = "Basic cGxhbnQ6cGFzczp3w7ZyZA==";
    let rows = [
        ("Bearer abc.def", "authorization", "Bearer abc.def"),
        ("Basic plant:pass:wörd", "authorization", basic),
        ("X-Api-Key: k-1 2", "x-api-key", "k-1 2"),
    ];
    for (given, header, value) in rows {
        let site = Site::new().await.variable("INTEGRATION_AUTH", given);
        if header == "authorization" {
            answer(&site, PlantAnswer::RequireAuth(value.to_owned()));
        }
        let relay = site.start().await;
        relay.accept(inspection(1)).await;
        relay.until_there_are(1, State::Delivered).await;
        assert_eq!(site.plant().received()[0].headers[header], value);
        relay.finish().await;
    }
    let site = Site::new().await;
    answer(&site, PlantAnswer::RequireAuth(basic.to_owned()));
    let url = site
        .plant_url()
        .replace("http://", "http://plant:pass%3Aw%C3%B6rd@");
    let site = site.flag("integration-url", &format!("{url}?site=7"));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!(site.plant().received()[0].path, "/inspections?site=7");
    relay.finish().await;
}

async fn replay_kept(relay: &Relay, site: &Site, limit: u64) -> u64 {
    let open = |journal: &_| *journal == orbit_relay::relay::journal::Availability::Open;
    level(relay.parts.journal.clone(), "open", open).await;
    let socket = control::path(&site.data_dir());
    let asking = async {
        let stream = loop {
            match UnixStream::connect(&socket).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        let destination = INTEGRATION.to_owned();
        let who = Some("me".to_owned());
        let ask = Ask::ReplayKept {
            destination,
            limit,
            who,
        };
        control::ask(stream, &ask).await
    };
    match tokio::time::timeout(crate::world::BOUND, asking).await {
        Ok(Ok(Answer::Made(made))) => made,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_from_before_there_was_a_destination_wait_until_a_person_asks_for_them() {
    let site = Site::new().await;
    let url = site.plant_url();
    let site = site.without_flag("integration-url");
    let relay = site.start().await;
    for n in 1..=3 {
        relay.accept(inspection(n)).await;
    }
    assert_eq!(relay.get("/readyz").await.json()["destinations"], json!({}));
    let sums = relay.finish().await;
    assert_eq!((sums.accepted, sums.destinations.len()), (3, 0));

    let site = site.flag("integration-url", &url);
    let plant = site.plant();
    let relay = site.start().await;
    relay.accept(inspection(4)).await;
    let sums = relay.until_there_are(1, State::Delivered).await;
    assert_eq!(sums.destinations[0].kept, 3, "they wait");
    assert_eq!(plant.tally().attempts, 1);

    assert_eq!(replay_kept(&relay, &site, 2).await, 2);
    relay.until_there_are(3, State::Delivered).await;
    assert_eq!(replay_kept(&relay, &site, 2).await, 1);
    let sums = relay.until_there_are(4, State::Delivered).await;
    assert_eq!(sums.destinations[0].kept, 0);
    assert_eq!(replay_kept(&relay, &site, 2).await, 0);
    for post in plant.received() {
        let body: Value = serde_json::from_slice(&post.body).unwrap();
        let late = body["data"]["uuid"] == uuid(4);
        let origin = if late { "webhook" } else { "replay" };
        assert_eq!(body["relay"]["origin"], origin, "{body}");
    }
    let keys: BTreeSet<_> = plant.deliveries_by_key().into_keys().collect();
    assert_eq!(keys.len(), 4);
    relay.finish().await;
}

#[tokio::test]
async fn a_plants_own_certificate_authority_is_believed_when_it_is_given_and_only_then() {
    let site = Site::with_a_plant_behind_tls().await;
    let pem = site.plant_certificate();
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are(1, State::Postponed).await;
    let why = relay.delivery(&uuid(1)).reason.unwrap();
    assert!(
        why.contains(&hex::encode(Sha256::digest(&certificate))),
        "{why}"
    );
    assert_eq!(site.plant().tally().attempts, 0);
    relay.finish().await;

    std::fs::write(site.path("plant.pem"), pem).unwrap();
    let file = site.path("plant.pem").display().to_string();
    let site = site.flag("integration-ca", &file);
    let relay = site.start().await;
    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;
}
