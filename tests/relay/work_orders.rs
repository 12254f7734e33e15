//! Orbit's own work orders: what it asks for is the alert that its webhook brings.

use orbit_relay::event::ALERT;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::javascript::sign;
use orbit_relay::sim::orbit::{Inspection, Weather};
use serde_json::{Value, json};

use crate::orders::{SOON, answers, cmms, until_told};
use crate::wire::{self, Answer};
use crate::world::{Relay, Site, accepted, secret};

const HEADER: (&str, &str) = ("X-Orbit-Work-Orders", "let me in");

fn taking_orders(site: Site) -> Site {
    site.variable("WORK_ORDERS_AUTH", &format!("{}: {}", HEADER.0, HEADER.1))
}

async fn ask_with(relay: &Relay, headers: &[(&str, &str)], body: &str) -> Answer {
    let request = wire::request("POST", "/work-orders", headers, body.as_bytes());
    wire::send(relay.events, &request).await
}

/// Orbit asks for a work order.
async fn ask(site: &Site, relay: &Relay, body: &Value) -> Answer {
    site.count(1);
    ask_with(relay, &[HEADER], &body.to_string()).await
}

async fn shown(relay: &Relay, id: &str) -> Answer {
    let path = format!("/work-orders/{id}");
    wire::send(relay.events, &wire::head("GET", &path, &[HEADER])).await
}

/// The webhook is never called; the inspection is in Orbit all the same.
async fn unsent_alert(site: &Site) -> Inspection {
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    for _ in 0..500 {
        let inspection = site.robots.inspect().await;
        if inspection.event_type == ALERT {
            return inspection;
        }
    }
    panic!("no alert in 500 inspections");
}

/// The same alert as the webhook would have brought it.
async fn by_webhook(relay: &Relay, alert: &Inspection) -> Answer {
    let body = json!({"uuid": "m", "type": ALERT, "data": {"uuid": alert.run_event}}).to_string();
    let signature = sign(
        &secret(),
        relay.clock.wall().as_millisecond(),
        body.as_bytes(),
    );
    relay
        .post_with(&[("Orbit-Signature", &signature)], body.as_bytes())
        .await
}

#[tokio::test]
async fn an_alert_that_comes_by_webhook_and_as_a_work_order_makes_one_delivery() {
    for case in 0..3 {
        let site = taking_orders(Site::new().await);
        let relay = site.start().await;
        relay.registered().await;
        let alert = unsent_alert(&site).await;
        let body = json!({"anomaly": {"runEventUuid": alert.run_event, "title": "Hot"}});
        let order = async { ask(&site, &relay, &body).await };
        let (order, event) = match case {
            0 => (order.await, by_webhook(&relay, &alert).await),
            1 => {
                let event = by_webhook(&relay, &alert).await;
                (order.await, event)
            }
            _ => tokio::join!(order, by_webhook(&relay, &alert)),
        };
        assert_eq!(
            (order.status, event.status),
            (200, 200),
            "{order:?} {event:?}"
        );
        let expected =
            json!({"id": alert.run_event, "title": "Hot", "status": "open", "url": null});
        assert_eq!(order.json(), expected);
        let again = ask(&site, &relay, &body).await;
        assert_eq!((again.status, again.json()), (200, expected));
        accepted(&site.plant(), 1).await;
        relay.until_there_are(1, State::Delivered).await;
        let sums = relay.finish().await;
        assert_eq!((sums.accepted, sums.duplicate), (1, 2), "case {case}");
        assert_eq!(site.plant().tally().attempts, 1);
    }
}

#[tokio::test]
async fn a_work_order_becomes_the_run_event_as_orbit_has_it() {
    let site = taking_orders(Site::new().await);
    let relay = site.start().await;
    relay.registered().await;
    let alert = unsent_alert(&site).await;
    let (anomaly, _) = site.robots.anomaly_of(&alert.run_event).unwrap();
    // Of an anomaly's uuid Orbit knows the run event.
    let answer = ask(&site, &relay, &json!({"anomaly": {"uuid": anomaly}})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["id"], *alert.run_event);
    assert_eq!(answer.json()["title"], *alert.action_name);
    accepted(&site.plant(), 1).await;
    let body: Value = serde_json::from_slice(&site.plant().received()[0].body).unwrap();
    assert_eq!(body["type"], ALERT);
    assert_eq!(body["relay"]["origin"], "work_order");
    assert_eq!(body["data"]["actionName"], *alert.action_name);
    assert_eq!(body["time"], body["data"]["createdAt"]);
    assert!(body["data"]["dataCaptures"].is_array());
    relay.until_there_are(1, State::Delivered).await;
    let answer = shown(&relay, &alert.run_event).await;
    let expected = json!({
        "id": alert.run_event, "title": alert.action_name, "status": "open", "state": "delivered",
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
    for unknown in ["another", "..%2f..", "a%20b"] {
        assert_eq!(shown(&relay, unknown).await.status, 404, "{unknown}");
    }
    // One that Orbit does not have is made of what it sent.
    let own = json!({"runEvent": {"uuid": "r-9"}, "name": "Gauge", "severity": 4});
    assert_eq!(ask(&site, &relay, &own).await.json()["title"], "Gauge");
    accepted(&site.plant(), 2).await;
    let body: Value = serde_json::from_slice(&site.plant().received()[1].body).unwrap();
    assert_eq!(body["data"]["uuid"], "r-9");
    assert_eq!(body["data"]["actionName"], "Gauge");
    assert_eq!(body["data"]["severity"], 4);
    relay.finish().await;
}

#[tokio::test]
async fn a_work_order_is_closed_when_its_systems_order_is() {
    let site = taking_orders(Site::new().await);
    let config = cmms(&site, SOON);
    let site = site.destination(config);
    answers(&site, &json!(1), "CLOSED");
    let relay = site.start().await;
    relay.registered().await;
    let alert = unsent_alert(&site).await;
    let answer = ask(&site, &relay, &json!({"run_event_uuid": alert.run_event})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    until_told(&relay, 1).await;
    assert_eq!(
        shown(&relay, &alert.run_event).await.json()["status"],
        "closed"
    );
    relay.finish().await;
}

#[tokio::test]
async fn work_orders_are_refused_without_the_configured_header_and_unknown_without_the_setting() {
    let site = Site::new().await;
    let relay = site.start().await;
    for path in [
        "/work-orders",
        "/work-orders/x",
        "/hooks/closed/integration",
    ] {
        for method in ["GET", "POST"] {
            let request = wire::request(method, path, &[HEADER], b"{}");
            assert_eq!(
                wire::send(relay.events, &request).await.status,
                404,
                "{method} {path}"
            );
        }
    }
    relay.finish().await;

    let site = taking_orders(Site::new().await);
    let relay = site.start().await;
    let (name, value) = HEADER;
    let wrong: [&[(&str, &str)]; 5] = [
        &[],
        &[(name, "let me")],
        &[(name, "")],
        &[("X-Other", value)],
        &[HEADER, HEADER],
    ];
    for headers in wrong {
        site.count(1);
        let answer = ask_with(&relay, headers, r#"{"runEventUuid":"r"}"#).await;
        assert_eq!(answer.status, 401, "{headers:?}: {answer:?}");
        assert!(!answer.body.contains(value));
        for path in ["/work-orders", "/work-orders/r"] {
            let request = wire::head("GET", path, headers);
            assert_eq!(
                wire::send(relay.events, &request).await.status,
                401,
                "{path}"
            );
        }
    }
    let request = wire::head("GET", "/work-orders", &[HEADER]);
    assert_eq!(wire::send(relay.events, &request).await.status, 200);
    for body in ["[]", "x", "{}", r#"{"anomaly":{"name":"x"}}"#] {
        site.count(1);
        let answer = ask_with(&relay, &[HEADER], body).await;
        assert_eq!(answer.status, 400, "{body}: {answer:?}");
    }
    let sums = relay.finish().await;
    assert_eq!(
        (sums.rejected["wrong_header"], sums.rejected["no_run_event"]),
        (5, 2)
    );
    assert_eq!((sums.rejected["not_an_event"], sums.accepted), (2, 0));
}

#[tokio::test]
async fn while_orbit_cannot_be_asked_a_work_order_is_503_and_nothing_is_made() {
    let site = taking_orders(Site::new().await);
    let relay = site.start().await;
    relay.registered().await;
    let alert = unsent_alert(&site).await;
    site.robots.set_weather(Weather {
        status: Some(503),
        ..Weather::default()
    });
    let body = json!({"runEventUuid": alert.run_event});
    let answer = ask(&site, &relay, &body).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.header("retry-after"), Some("5"));
    site.robots.set_weather(Weather::default());
    assert_eq!(ask(&site, &relay, &body).await.status, 200);
    accepted(&site.plant(), 1).await;
    let sums = relay.finish().await;
    assert_eq!((sums.rejected["orbit_away"], sums.accepted), (1, 1));
}
