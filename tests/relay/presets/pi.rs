//! PI Web API: one value per reading.

use std::collections::BTreeSet;

use orbit_relay::event::COMPLETED;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::Trouble;
use orbit_relay::sim::systems::pi::{Pi, Written};
use serde_json::{Value, json};

use super::{Plant, until_there_are};
use crate::world::uuid;

const PRESET: &str = r#"
preset = "pi-web-api"
max_in_flight = 1
"#;
/// Three streams; what has no row with a `pi_webid` is no matter of PI's.
const MAP: &str = "\
action_name,channel_name,reading,asset_id,pi_webid,pi_unit
PI-2203,gauge,Pressure,PI-2203,F1AbPressure,
PI-2203,gauge,Level,LI-2203,F1AbLevel,
PI-2203,gauge,Temperature,TI-2203,F1AbTemperature,°C
PI-2203,gauge,Confidence,PI-2203,,
";

async fn pi() -> Plant<Pi> {
    let streams = ["F1AbPressure", "F1AbLevel", "F1AbTemperature"];
    let plant = Plant::new(Pi::new(streams), PRESET).await;
    plant.site.write_assets(MAP);
    plant
}

/// A round past a gauge: one reading as text, one lost, one in Orbit's own unit, and one that
/// nobody keeps.
fn readings(n: usize) -> Value {
    json!({
        "uuid": uuid(n + 700_000),
        "type": COMPLETED,
        "time": "2026-02-03T09:14:07.118Z",
        "data": {
            "uuid": uuid(n),
            "time": "2026-02-03T09:13:50Z",
            "actionName": "PI-2203",
            "dataCaptures": [{
                "time": "2026-02-03T09:13:55.402118+00:00",
                "channelName": "gauge",
                "keyResults": [
                    {"name": "Pressure (bar)", "value": "6.2"},
                    {"name": "Level", "units": "dB", "value": null},
                    {"name": "Temperature", "units": "C", "value": 71.5},
                    {"name": "Confidence", "value": 0.91},
                ],
            }],
        },
    })
}

/// What a stream holds at the time of the capture, and nothing else.
fn written(plant: &Plant<Pi>, stream: &str) -> Option<Written> {
    plant.system.with(|pi| {
        let values = &pi.streams[stream].values;
        assert!(values.len() <= 1, "{values:?}");
        let at = "2026-02-03T09:13:55.402118Z".parse().unwrap();
        values.get(&at).cloned()
    })
}

/// The keys of the requests that went to a stream.
fn keys(plant: &Plant<Pi>, stream: &str) -> Vec<String> {
    let asked = plant.asked("POST", stream).into_iter();
    asked
        .map(|exchange| exchange.asked.header("idempotency-key").to_owned())
        .collect()
}

fn good(value: f64, unit: &str) -> Written {
    Written {
        value: json!(value),
        unit: Some(unit.to_owned()),
        good: true,
    }
}

#[tokio::test]
async fn each_reading_is_a_value_with_a_key_of_its_own_and_a_lost_one_is_not_good() {
    let plant = pi().await;
    let relay = plant.site.start().await;
    relay.accept(readings(1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(written(&plant, "F1AbPressure"), Some(good(6.2, "bar")));
    assert_eq!(written(&plant, "F1AbTemperature"), Some(good(71.5, "°C")));
    let lost = Written {
        value: Value::Null,
        unit: Some("dB".to_owned()),
        good: false,
    };
    assert_eq!(written(&plant, "F1AbLevel"), Some(lost));
    let all = plant.asked("POST", "");
    let keys: BTreeSet<_> = all
        .iter()
        .map(|exchange| exchange.asked.header("idempotency-key"))
        .collect();
    assert_eq!((all.len(), keys.len()), (3, 3));
    assert!(keys.iter().all(|key| key.len() == 64));
    // The number as it was sent, not as a float would have it.
    let body = String::from_utf8(plant.asked("POST", "F1AbPressure")[0].asked.body.to_vec());
    assert!(body.unwrap().contains(r#""Value":6.2,"#));
    relay.finish().await;
}

#[tokio::test]
async fn only_the_reading_that_failed_is_repeated_and_with_the_same_key() {
    let plant = pi().await;
    plant
        .system
        .plan(2, "POST", "F1AbLevel", Trouble::Status(503));
    let relay = plant.site.start().await;
    relay.accept(readings(1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(keys(&plant, "F1AbPressure").len(), 1);
    assert_eq!(keys(&plant, "F1AbTemperature").len(), 1);
    let level = keys(&plant, "F1AbLevel");
    assert_eq!(level.len(), 3);
    assert!(level.iter().all(|key| *key == level[0]));
    relay.finish().await;
}

#[tokio::test]
async fn a_207_is_read_and_what_it_refuses_is_repeated() {
    let plant = pi().await;
    plant.system.with(|pi| pi.partial = Some(503));
    let relay = plant.site.start().await;
    relay.accept(readings(1).to_string()).await;
    plant.until_asked(3, "POST", "F1AbPressure").await;
    assert_eq!(written(&plant, "F1AbPressure"), None);
    assert_ne!(super::only_delivery(&relay).state, State::Delivered);
    plant.system.with(|pi| pi.partial = None);
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(written(&plant, "F1AbPressure"), Some(good(6.2, "bar")));
    relay.finish().await;
}

#[tokio::test]
async fn a_207_of_which_all_is_well_is_a_success() {
    let plant = pi().await;
    plant.system.with(|pi| pi.partial = Some(202));
    let relay = plant.site.start().await;
    relay.accept(readings(1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    assert_eq!(plant.asked("POST", "").len(), 3);
    relay.finish().await;
}

#[tokio::test]
async fn a_reading_that_is_refused_keeps_no_other_from_its_stream() {
    let plant = pi().await;
    plant
        .system
        .with(|pi| drop(pi.streams.remove("F1AbPressure")));
    let relay = plant.site.start().await;
    relay.accept(readings(1).to_string()).await;
    until_there_are(&relay, 1, State::Dead).await;
    assert_eq!(written(&plant, "F1AbTemperature"), Some(good(71.5, "°C")));
    let reason = super::only_delivery(&relay).reason.unwrap();
    assert_eq!(reason, "step value/0: answered 404");
    relay.finish().await;
}
