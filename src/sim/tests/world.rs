//! What Orbit posts, the weather, and the backend that takes it.
//!
//! # Invariants
//! - As in the parent.

use std::time::Duration;

use axum::http::{StatusCode, header};
use hmac::Mac;
use reqwest::Method;
use serde_json::{Value, json};

use super::{SECRET, Site, answer};
use crate::clock::Clock;
use crate::secret::WebhookSecret;
use crate::sim::backend::{Answer, Backend, BackendConfig, Tally, Tls};
use crate::sim::model::{ACTION_COMPLETED, ACTION_COMPLETED_WITH_ALERT};
use crate::sim::orbit::{Redirect, Weather};

#[tokio::test]
async fn an_inspection_is_posted_with_a_signature_over_its_bytes() {
    let site = Site::start().await;
    let uuid = site.register().await;
    let inspection = site.world.inspect().await;
    assert_eq!(inspection.posts[0].status, Some(200));
    let received = site.backend.world().received();
    let signature = &received[0].headers["orbit-signature"];
    let (t, v1) = signature.split_once(",v1=").unwrap();
    let mut mac = WebhookSecret::parse(SECRET).unwrap().mac();
    mac.update(t.strip_prefix("t=").unwrap().as_bytes());
    mac.update(b".");
    mac.update(&received[0].body);
    mac.verify_slice(&hex::decode(v1).unwrap()).unwrap();

    let body: Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["data"]["uuid"], inspection.run_event);
    let path = format!("/api/v0/run_events/{}", inspection.run_event);
    assert_eq!(site.get(&path).await.1, body["data"]);

    let post = site.world.send_test(&uuid).await.unwrap();
    assert_eq!(post.status, Some(200));
    let received = site.backend.world().received();
    let body: Value = serde_json::from_slice(&received[1].body).unwrap();
    assert_eq!((&body["type"], &body["data"]), (&json!("TEST"), &json!({})));
}

#[tokio::test]
async fn the_weather_decides_what_an_api_call_meets() {
    let site = Site::start().await;
    let weather = |change: fn(&mut Weather)| {
        let mut weather = Weather::default();
        change(&mut weather);
        site.world.set_weather(weather);
    };
    weather(|w| w.down = true);
    let dropped = site.request(Method::GET, "/api/v0/runs").send().await;
    assert!(dropped.is_err());
    weather(|w| (w.status, w.retry_after_s) = (Some(429), Some(7)));
    let busy = site
        .request(Method::GET, "/api/v0/runs")
        .send()
        .await
        .unwrap();
    assert_eq!(
        (busy.status().as_u16(), &busy.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    weather(|w| w.nonsense = true);
    assert_eq!(
        site.get("/api/v0/runs").await,
        (StatusCode::OK, Value::Null)
    );
    weather(|w| {
        let location = "https://elsewhere.example".to_owned();
        w.redirect = Some(Redirect {
            status: 307,
            location,
        });
    });
    let moved = site
        .request(Method::GET, "/api/v0/runs")
        .send()
        .await
        .unwrap();
    assert_eq!(
        moved.headers()["location"],
        "https://elsewhere.example/api/v0/runs"
    );
    weather(|w| w.no_csrf_cookie = true);
    let home = site.request(Method::GET, "/").send().await.unwrap();
    assert!(!home.headers().contains_key("set-cookie"));
    weather(|w| (w.create_answers_array, w.mask_secrets) = (true, true));
    let (_, created) = site.post("/api/v0/webhooks/", &site.webhook()).await;
    assert_eq!(created[0]["secret"], "*".repeat(64));
    weather(|w| w.lose_webhooks = true);
    assert_eq!(site.world.inspect().await.posts[0].status, None);
    assert_eq!(site.backend.world().tally(), Tally::default());
    weather(|w| w.skew_ms = -3_600_000);
    let (_, time) = site.get("/api/v0/settings/system-time").await;
    let behind = Clock::system().wall().as_millisecond() - time["msSinceEpoch"].as_i64().unwrap();
    assert!((3_600_000..3_660_000).contains(&behind));
    assert_eq!(site.world.request_count(), 7);
}

#[tokio::test]
async fn a_receivers_certificate_is_checked_unless_the_webhook_says_otherwise() {
    let site = Site::start().await;
    let uuid = site.register().await;
    let listen = "127.0.0.1:0".parse().unwrap();
    let (clock, tls) = (Clock::system(), Tls::SelfSigned);
    let secure = Backend::start(BackendConfig { listen, clock, tls });
    let secure = secure.await.unwrap();
    assert!(secure.certificate_pem().is_some());
    site.world
        .edit_webhook(&uuid, |hook| hook.url = secure.url());
    let refused = site.world.send_test(&uuid).await.unwrap();
    assert!(refused.problem.unwrap().contains("certificate"));
    site.world
        .edit_webhook(&uuid, |hook| hook.validate_tls_cert = false);
    let taken = site.world.send_test(&uuid).await.unwrap();
    assert_eq!(taken.status, Some(200));
}

#[tokio::test]
async fn an_alert_sends_its_own_type_and_both_when_told_so() {
    let site = Site::start().await;
    site.register().await;
    for both in [false, true] {
        site.world
            .change_weather(|weather| weather.both_for_alert = both);
        let alert = loop {
            let inspection = site.world.inspect().await;
            if inspection.event_type == ACTION_COMPLETED_WITH_ALERT {
                break inspection;
            }
        };
        let types: Vec<_> = alert
            .posts
            .iter()
            .map(|post| post.event_type.as_str())
            .collect();
        let expected = [ACTION_COMPLETED, ACTION_COMPLETED_WITH_ALERT];
        assert_eq!(types, &expected[usize::from(!both)..]);
    }
}

#[tokio::test]
async fn the_backend_answers_as_told_and_counts_what_it_accepted() {
    let site = Site::start().await;
    let world = site.backend.world();
    let mut news = world.subscribe();
    let send = || site.to_backend().header("Idempotency-Key", "k").body("{}");
    for (answer, expected) in [
        (Answer::Status(503), 503),
        (Answer::RetryAfter(429, 5), 429),
        (Answer::Redirect(301, "http://x.example/".to_owned()), 301),
        (Answer::Html500, 500),
        (Answer::RequireAuth("Bearer a".to_owned()), 401),
        (Answer::Ok, 200),
    ] {
        world.set_answer(answer);
        assert_eq!(send().send().await.unwrap().status().as_u16(), expected);
    }
    world.set_answer(Answer::RequireAuth("Bearer a".to_owned()));
    let right = send()
        .header(header::AUTHORIZATION, "Bearer a")
        .send()
        .await
        .unwrap();
    assert_eq!(right.status().as_u16(), 200);
    assert_eq!(world.deliveries_by_key()["k"], 2);
    let mut told = Vec::new();
    for _ in 0..7 {
        told.push(news.recv().await.unwrap().accepted());
    }
    assert_eq!(told, [false, false, false, false, false, true, true]);

    world.set_answer(Answer::Reset);
    assert!(send().send().await.is_err());
    let short = Duration::from_millis(200);
    world.set_answer(Answer::Hang);
    assert!(send().timeout(short).send().await.unwrap_err().is_timeout());
    world.set_answer(Answer::Drip);
    let dripping = send().timeout(short).send().await.unwrap();
    assert!(dripping.bytes().await.unwrap_err().is_timeout());
    let ten = Duration::from_secs(10);
    tokio::time::timeout(ten, world.wait_for(3)).await.unwrap();
    assert_eq!(world.tally().attempts, 10);
    let list = site.client.request(
        Method::GET,
        format!("http://{}/received", site.backend.addr())
            .parse()
            .unwrap(),
    );
    let (_, list) = answer(list).await;
    assert_eq!(list["accepted"], 3);
    assert!(!list.to_string().contains("Bearer a"));
}

#[tokio::test]
async fn a_stopped_simulator_takes_nothing_more() {
    let site = Site::start().await;
    let call = site.request(Method::GET, "/api/v0/version");
    let again = call.try_clone().unwrap();
    assert_eq!(answer(call).await.0, StatusCode::OK);
    let post = site.to_backend();
    let received = site.backend.world();
    site.orbit.stop().await;
    site.backend.stop().await;
    assert!(again.send().await.is_err());
    assert!(post.send().await.is_err());
    assert_eq!(site.world.request_count(), 1);
    assert_eq!(received.tally(), Tally::default());
}
