//! A destination's system says that an order is closed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use orbit_relay::event::{ALERT, ORBIT, idempotency_key};
use orbit_relay::relay::journal::{State, Sums};
use orbit_relay::sim::backend::Answer as PlantAnswer;
use orbit_relay::sim::orbit::Weather;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::orders::{
    KEY, SOON, alert, cmms, on_closed, orders, patches, status_of, until_noted, until_open,
    until_told,
};
use crate::wire::{self, Answer};
use crate::world::{Relay, Site};

/// The headers with which a system signs at this second.
fn signed(at: i64, body: &str, key: &[u8]) -> [(&'static str, String); 3] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(format!("msg_1.{at}.{body}").as_bytes());
    let code = STANDARD.encode(mac.finalize().into_bytes());
    [
        ("webhook-id", "msg_1".to_owned()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", format!("v1,{code}")),
    ]
}

async fn post(relay: &Relay, path: &str, headers: &[(&str, String)], body: &str) -> Answer {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (*name, &**value))
        .collect();
    let request = wire::request("POST", path, &headers, body.as_bytes());
    wire::send(relay.events, &request).await
}

async fn say_closed(relay: &Relay, body: &Value) -> Answer {
    let body = body.to_string();
    let headers = signed(relay.clock.wall().as_second(), &body, &KEY);
    post(relay, "/hooks/closed/cmms", &headers, &body).await
}

#[tokio::test]
async fn a_system_that_says_so_closes_the_anomaly_once_by_any_name_of_the_order() {
    let site = Site::new().await;
    let mut config = cmms(&site, SOON);
    config.on_closed = Some(on_closed(None, SOON));
    let site = site.destination(config);
    let relay = site.start().await;
    relay.registered().await;
    let mut names = Vec::new();
    for n in 1..=3 {
        let alert = alert(&site).await;
        until_open(&relay, n).await;
        names.push(alert);
    }
    let posts = site.plant().received_at("/cmms");
    let post = posts
        .iter()
        .find(|post| String::from_utf8_lossy(&post.body).contains(&names[0].run_event));
    let (anomaly, _) = site.robots.anomaly_of(&names[2].run_event).unwrap();
    for body in [
        json!({"delivery": post.unwrap().key(), "status": "Closed"}),
        json!({"run_event": names[1].run_event, "later": [1]}),
        json!({"anomaly": anomaly}),
    ] {
        let answer = say_closed(&relay, &body).await;
        assert_eq!(
            (answer.status, &*answer.body),
            (200, "{\"status\":\"closed\"}\n")
        );
        let again = say_closed(&relay, &body).await;
        assert_eq!(
            (again.status, &*again.body),
            (200, "{\"status\":\"closed already\"}\n")
        );
    }
    until_told(&relay, 3).await;
    assert!(
        names
            .iter()
            .all(|alert| status_of(&site, alert) == "closed")
    );
    assert_eq!(patches(&site), 3);
    let metric = "orbit_relay_closed_requests_total{outcome=\"closed\"}";
    assert!((relay.metric(metric).await - 3.0).abs() < 0.1);
    // They are no events: the sums know nothing of them.
    relay.finish().await;
    assert!(
        orders(&site)
            .iter()
            .all(|order| order.closed_by.as_deref() == Some("hook"))
    );
}

#[tokio::test]
async fn what_is_not_signed_as_it_should_be_closes_nothing() {
    let site = Site::new().await;
    let config = cmms(&site, Duration::from_hours(1));
    let site = site.destination(config);
    let relay = site.start().await;
    relay.registered().await;
    let alert = alert(&site).await;
    until_open(&relay, 1).await;
    let body = json!({"run_event": alert.run_event}).to_string();
    let now = relay.clock.wall().as_second();
    let good = signed(now, &body, &KEY);
    let path = "/hooks/closed/cmms";
    let mut doubled = good.to_vec();
    doubled.push(good[2].clone());
    let refused = [
        Vec::new(),
        good[..2].to_vec(),
        doubled,
        signed(now, &body, &[8; 32]).to_vec(),
        signed(now, "{}", &KEY).to_vec(),
        // What was signed an hour ago and is sent again.
        signed(now - 3600, &body, &KEY).to_vec(),
        signed(now + 3600, &body, &KEY).to_vec(),
        vec![("Orbit-Signature", relay.sign(body.as_bytes()))],
    ];
    for headers in refused {
        let answer = post(&relay, path, &headers, &body).await;
        let expected = (401, "{\"error\":\"not verified\"}\n");
        assert_eq!((answer.status, &*answer.body), expected, "{headers:?}");
    }
    for (body, status) in [
        ("[]", 400),
        ("{", 400),
        ("{}", 400),
        (r#"{"run_event":"a","delivery":"b"}"#, 400),
        (r#"{"run_event":"","status":"closed"}"#, 400),
        (
            &*json!({"run_event": alert.run_event, "status": "open"}).to_string(),
            400,
        ),
        (r#"{"run_event":"another"}"#, 404),
        (r#"{"delivery":"another"}"#, 404),
        (r#"{"anomaly":"another"}"#, 404),
        (&*"x".repeat(64 * 1024 + 1), 413),
    ] {
        let answer = post(&relay, path, &signed(now, body, &KEY), body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        assert!(answer.json()["error"].is_string());
    }
    assert_eq!(
        post(&relay, "/hooks/closed/", &good, &body).await.status,
        404
    );
    until_open(&relay, 1).await;
    relay.finish().await;
    assert_eq!(
        (status_of(&site, &alert), patches(&site)),
        ("open".into(), 0)
    );
}

#[tokio::test]
async fn strangers_do_not_learn_the_names_of_destinations() {
    let site = Site::new().await;
    let config = cmms(&site, Duration::from_hours(1));
    let without_secret = site.at("other");
    let site = site.destination(config).destination(without_secret);
    let relay = site.start().await;
    relay.registered().await;
    let now = relay.clock.wall().as_second();
    let (body, large) = ("{}".to_owned(), "x".repeat(64 * 1024 + 1));
    for (headers, body, expected) in [
        (Vec::new(), &body, 401),
        (signed(now, &body, &[8; 32]).to_vec(), &body, 401),
        (signed(now - 3600, &body, &KEY).to_vec(), &body, 401),
        (signed(now, &large, &[8; 32]).to_vec(), &large, 413),
    ] {
        let asked = async |name: &str| {
            let path = format!("/hooks/closed/{name}");
            let answer = post(&relay, &path, &headers, body).await;
            (answer.status, answer.body)
        };
        let known = asked("cmms").await;
        assert_eq!(known.0, expected);
        assert_eq!(asked("other").await, known);
        assert_eq!(asked("nobody").await, known);
    }
    let metric = "orbit_relay_closed_requests_total{outcome=\"no_destination\"}";
    assert!((relay.metric(metric).await - 4.0).abs() < 0.1);
    relay.finish().await;
}

#[tokio::test]
async fn a_system_that_closes_before_its_answer_is_on_record_is_told_to_come_again() {
    let site = Site::with_a_manual_clock().await;
    let minute = Duration::from_mins(1);
    let mut config = cmms(&site, minute);
    config.on_closed = Some(on_closed(None, minute));
    let site = site.destination(config);
    // It made an order, and its answer was lost.
    site.plant()
        .set_answer_at("/cmms", PlantAnswer::Status(503));
    let relay = site.start().await;
    relay.registered().await;
    let alert = alert(&site).await;
    relay.until_there_are_at("cmms", 1, State::Postponed).await;
    let key = idempotency_key(ORBIT, ALERT, &alert.run_event, "cmms");
    let names = [
        json!({"delivery": key}),
        json!({"run_event": alert.run_event}),
    ];
    for name in &names {
        let early = say_closed(&relay, name).await;
        assert_eq!(
            (early.status, early.header("retry-after")),
            (503, Some("5"))
        );
    }
    let another = say_closed(&relay, &json!({"run_event": "another"})).await;
    assert_eq!(another.status, 404);
    site.plant().set_answer_at("/cmms", PlantAnswer::Ok);
    let open = |sums: &Sums| sums.destinations[0].orders.open == 1;
    relay
        .let_pass(site.hand(), minute / 6, 60 * minute, open)
        .await;
    for name in &names {
        assert_eq!(say_closed(&relay, name).await.status, 200);
    }
    until_told(&relay, 1).await;
    assert_eq!(status_of(&site, &alert), "closed");
    relay.finish().await;
}

#[tokio::test]
async fn an_order_that_closes_while_orbit_is_left_alone_is_told_at_once() {
    let site = Site::with_a_manual_clock().await;
    let minute = Duration::from_mins(1);
    let mut config = cmms(&site, minute);
    config.on_closed = Some(on_closed(None, minute));
    let site = site.destination(config);
    let relay = site.start().await;
    relay.registered().await;
    let first = alert(&site).await;
    until_open(&relay, 1).await;
    site.robots.set_weather(Weather {
        status: Some(503),
        ..Weather::default()
    });
    say_closed(&relay, &json!({"run_event": first.run_event})).await;
    until_noted(&site, |order| &order.orbit_why).await;
    site.robots.set_weather(Weather::default());
    let second = alert(&site).await;
    until_open(&relay, 1).await;
    say_closed(&relay, &json!({"run_event": second.run_event})).await;
    // The clock stands still.
    relay.until_at("cmms", "told", |d| d.orders.told == 1).await;
    let statuses = [&first, &second].map(|alert| status_of(&site, alert));
    assert_eq!(statuses, ["open", "closed"]);
    let told = |sums: &Sums| sums.destinations[0].orders.told == 2;
    relay
        .let_pass(site.hand(), minute / 6, 60 * minute, told)
        .await;
    relay.finish().await;
}
