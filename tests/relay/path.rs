//! The main path: an inspection goes from Orbit to the plant's system.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::Received;
use serde_json::{Value, json};

use crate::world::{Site, accepted, fixture, is_a_time};

/// The events among the samples, with the asset that each is about.
const EVENTS: [(&str, Option<&str>); 8] = [
    ("thermal.json", Some("P-101")),
    ("acoustic-leak-alert.json", Some("AIR-HDR-42")),
    ("visual-alert.json", Some("DOOR-07")),
    ("gauge-string-value.json", Some("PI-2203")),
    ("plugin-object-value.json", None),
    ("screenshot.json", None),
    ("failed-action.json", None),
    ("late-upload.json", Some("AIR-HDR-42")),
];

/// The plant got the event's own text, byte for byte, and after it the `relay` object.
pub(crate) fn relay_object(received: &Received, sent: &[u8]) -> Value {
    let event = sent.trim_ascii_end().strip_suffix(b"}").unwrap();
    let rest = received.body.strip_prefix(event).unwrap_or_else(|| {
        let got = String::from_utf8_lossy(&received.body);
        panic!("sent {}\n got {got}", String::from_utf8_lossy(sent))
    });
    let rest = rest.strip_prefix(br#","relay":"#).unwrap();
    let relay = rest.strip_suffix(b"}").unwrap();
    serde_json::from_slice(relay).unwrap()
}

#[tokio::test]
async fn an_inspection_goes_from_orbit_to_the_plant_with_its_asset() {
    let site = Site::new().await;
    let relay = site.start().await;
    relay.registered().await;
    let inspection = site.inspect().await;
    assert_eq!(inspection.posts[0].status, Some(200));
    let plant = site.plant();
    accepted(&plant, 1).await;
    let posts = plant.received();
    let post = &posts[0];
    let body: Value = serde_json::from_slice(&post.body).unwrap();

    let header = |name: &str| post.headers.get(name).map(String::as_str);
    assert_eq!(header("content-type"), Some("application/json"));
    let agent = concat!("orbit-relay/", env!("CARGO_PKG_VERSION"));
    assert_eq!(header("user-agent"), Some(agent));
    assert_eq!(header("relay-attempt"), Some("1"));
    assert_eq!(header("webhook-id"), Some(post.key()));
    assert_eq!(body["relay"]["delivery"], post.key());
    assert_eq!(post.key().len(), 64);

    assert_eq!(body["data"]["uuid"], inspection.run_event.as_str());
    assert_eq!(body["relay"]["schema"], 1);
    assert_eq!(body["relay"]["source"], "orbit");
    assert_eq!(body["relay"]["origin"], "webhook");
    assert!(is_a_time(body["relay"]["received_at"].as_str().unwrap()));
    let asset = &body["relay"]["asset"];
    assert!(asset["id"].is_string(), "{asset}");
    assert_eq!(asset["matched_by"], "action_name");
    let attributes = asset["attributes"].as_object().unwrap();
    assert_eq!(
        attributes.keys().collect::<Vec<_>>(),
        ["area", "criticality"]
    );

    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn every_sample_event_arrives_byte_for_byte_and_with_its_asset() {
    let site = Site::new().await;
    let relay = site.start().await;
    for (name, _) in EVENTS {
        relay.accept(fixture(name)).await;
    }
    relay.until_there_are(8, State::Delivered).await;
    let posts = site.plant().received();
    for (name, asset) in EVENTS {
        let sent = fixture(name);
        let uuid = serde_json::from_slice::<Value>(&sent).unwrap()["uuid"].clone();
        let of_this = |post: &&std::sync::Arc<Received>| {
            serde_json::from_slice::<Value>(&post.body).unwrap()["uuid"] == uuid
        };
        let post = posts.iter().find(of_this);
        let post = post.unwrap_or_else(|| panic!("{name} arrives"));
        let relay = relay_object(post, &sent);
        assert_eq!(
            relay["asset"].get("id").cloned(),
            asset.map(|a| json!(a)),
            "{name}"
        );
        assert_eq!(relay["asset"].is_null(), asset.is_none(), "{name}");
    }
    relay.finish().await;
}
