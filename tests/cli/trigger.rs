//! `trigger`: samples, for all that take them or for one destination.

use std::process::Command;
use std::time::Duration;

use orbit_relay::sim::backend::Backend;
use serde_json::Value;

use crate::process::{Home, PATIENCE, Relay, SECRET, plant};

fn relay(home: &Home, plant: &Backend) -> Command {
    let destination = |name: &str, more: &str| {
        let url = plant.url_of(&format!("/{name}"));
        format!("[[destination]]\nname = \"{name}\"\nurl = \"{url}\"\n{more}\n")
    };
    let file = [
        destination("cmms", ""),
        destination(
            "chat",
            "sources = [\"relay\"]\nevents = [\"delivery.dead\"]\nwhen = \"event.data.attempts > 99\"",
        ),
        destination("log", "sources = [\"relay\"]\nevents = [\"delivery.*\"]"),
    ];
    home.write("relay.toml", file.concat());
    let mut command = home.relay();
    command.args(["--config", "relay.toml"]);
    command.env("WEBHOOK_SECRET", SECRET);
    command
}

/// The one body that was posted there.
async fn body(plant: &Backend, path: &str) -> Value {
    let world = plant.world();
    let came = world.wait_until_at(path, |tally| tally.accepted >= 1);
    let came = tokio::time::timeout(PATIENCE, came).await;
    assert!(came.is_ok(), "nothing came to {path}");
    let received = world.received_at(path);
    assert_eq!(received.len(), 1, "{path}");
    serde_json::from_slice(&received[0].body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_goes_to_those_that_take_it_or_to_one_alone_and_says_that_it_is_one() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = Relay::ready(relay(&home, &plant)).await;
    let trigger = async |arguments: &[&str]| {
        let mut all = vec!["trigger"];
        all.extend(arguments);
        let ended = home.ask(&all).await;
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
        ended.out
    };
    let made = trigger(&["delivery.dead"]).await;
    assert!(
        made.starts_with("event 1: a sample of delivery.dead\n"),
        "{made}"
    );
    assert!(made.contains("orbit-relay events show 1 "), "{made}");
    let sample = body(&plant, "/log").await;
    assert_eq!(sample["relay"]["origin"], "sample", "{sample}");
    assert_eq!(sample["type"], "delivery.dead", "{sample}");
    assert!(sample["sample"].is_object(), "{sample}");

    // It neither takes Orbit's events, nor would its filter let one go.
    let made = trigger(&["ACTION_COMPLETED_WITH_ALERT", "--destination", "chat"]).await;
    assert!(made.contains("for chat alone"), "{made}");
    let sample = body(&plant, "/chat").await;
    assert_eq!(sample["relay"]["origin"], "sample", "{sample}");
    assert_eq!(sample["data"]["title"], "SAMPLE: leak detected", "{sample}");

    let settled = async {
        loop {
            let status = home.status().await;
            let all = status["destinations"].as_array().unwrap().clone();
            let of = |d: &Value, state: &str| d[state].as_u64().unwrap();
            let settled = |d: &Value| of(d, "skipped") + of(d, "delivered") == 2;
            if all.iter().all(settled) {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let settled = tokio::time::timeout(PATIENCE, settled).await;
    let status = settled.unwrap();
    assert_eq!(status["adds_up"], true, "{status}");
    assert!(plant.world().received_at("/cmms").is_empty());
    let shown = home.ask(&["events", "show", "2"]).await.out;
    assert!(shown.contains("cmms: skipped"), "{shown}");
    assert!(
        shown.contains("a sample for another destination"),
        "{shown}"
    );
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn a_sample_that_cannot_be_made_is_said() {
    let (home, plant) = (Home::new(), plant().await);
    let mut started = Relay::ready(relay(&home, &plant)).await;
    for (arguments, says) in [
        (&["delivery.ded"][..], "is it `delivery.dead`?"),
        (&["order.status"], "orbit-relay send"),
        (&["TEST", "--destination", "cmsm"], "is it `cmms`?"),
    ] {
        let mut all = vec!["trigger"];
        all.extend(arguments);
        let ended = home.ask(&all).await;
        assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{ended:?}");
        assert!(ended.err.contains(says), "{ended:?}");
    }
    assert_eq!(started.stop().await, Some(0));
    let alone = home.ask(&["trigger", "TEST"]).await;
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(alone.err.contains("start it first"), "{alone:?}");
    assert_eq!(home.status().await["accepted"], 0);
}
