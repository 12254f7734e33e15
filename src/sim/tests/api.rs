//! Orbit's API: webhooks, tokens, records, pictures.
//!
//! # Invariants
//! - As in the parent.

use axum::http::{StatusCode, header};
use reqwest::Method;
use serde_json::json;

use super::{SECRET, Site, answer};

#[tokio::test]
async fn a_webhook_is_created_listed_updated_and_deleted() {
    let site = Site::start().await;
    let uuid = site.register().await;
    let path = format!("/api/v0/webhooks/{uuid}");
    let (_, all) = site.get("/api/v0/webhooks/").await;
    assert_eq!(all[0]["secret"], SECRET);

    let (_, updated) = site.post(&path, &json!({"enabled": false})).await;
    assert_eq!(updated["enabled"], false);
    assert_eq!(updated["url"], site.backend.url());
    let (status, _) = site
        .post(&path, &json!({"name": "x", "secret": "short"}))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, unchanged) = site.get(&format!("{path}/")).await;
    assert_eq!(unchanged, updated);

    let (status, _) = answer(site.request(Method::DELETE, &path)).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(site.get(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_is_told_without_the_token_or_with_another_csrf_token() {
    let site = Site::start().await;
    let url = format!("{}/api/v0/runs", site.orbit.url());
    let bare = site.client.request(Method::GET, url.parse().unwrap());
    let other = bare.try_clone().unwrap().bearer_auth("other");
    for stranger in [bare, other] {
        assert_eq!(answer(stranger).await.0, StatusCode::UNAUTHORIZED);
    }

    let home = site.request(Method::GET, "/").send().await.unwrap();
    let cookie = home.headers()[header::SET_COOKIE].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap();
    let (_, token) = cookie.split_once('=').unwrap();
    for (header_value, expected) in [(token, StatusCode::OK), ("other", StatusCode::FORBIDDEN)] {
        let request = site.request(Method::POST, "/api/v0/webhooks");
        let request = request.header(header::COOKIE, cookie);
        let request = request.header("x-csrf-token", header_value);
        assert_eq!(answer(request.json(&site.webhook())).await.0, expected);
    }
}

#[tokio::test]
async fn run_events_are_paged_and_filtered_by_created_at() {
    let site = Site::start().await;
    for _ in 0..130 {
        site.world.inspect().await;
    }
    let (_, first) = site.get("/api/v0/run_events/").await;
    assert_eq!(
        (&first["limit"], &first["total"]),
        (&json!(20), &json!(130))
    );
    let (_, last) = site.get("/api/v0/run_events/?limit=500&offset=100").await;
    assert_eq!(last["limit"], 100);
    assert_eq!(last["resources"].as_array().unwrap().len(), 30);

    let middle = last["resources"][7]["createdAt"].as_str().unwrap();
    let count = async |query: String| {
        let (status, page) = site.get(&format!("/api/v0/run_events/?{query}")).await;
        assert_eq!(status, StatusCode::OK);
        page["total"].as_u64().unwrap()
    };
    let before = count(format!("endCreatedAt={middle}")).await;
    let from = count(format!("startCreatedAt={middle}&orderBy=-created_at")).await;
    assert_eq!(before + from, 130);
    assert!(before < 130 && from < 130);

    let alerts = count("excludeNonAlerts=true".to_owned()).await;
    let (_, anomalies) = site.get("/api/v0/anomalies?limit=100").await;
    assert_eq!(anomalies["total"], alerts);
    let anomaly = anomalies["resources"][0].clone();
    let path = format!("/api/v0/anomalies/{}", anomaly["uuid"].as_str().unwrap());
    let closing = site.request(Method::PATCH, &path);
    let (_, closed) = answer(closing.json(&json!({"status": "closed"}))).await;
    assert_eq!(closed["status"], "closed");
    let run_event = anomaly["runEventUuid"].as_str().unwrap();
    let (_, one) = site
        .get(&format!(
            "/api/v0/anomalies/?runEventUuid={run_event}&status=closed"
        ))
        .await;
    assert_eq!(one["total"], 1);

    let run = anomaly["runUuid"].as_str().unwrap();
    let (_, run) = site.get(&format!("/api/v0/runs/{run}")).await;
    assert!(run["robotNickname"].as_str().unwrap().starts_with("spot-"));
    let bad = site
        .get("/api/v0/run_events/?startCreatedAt=yesterday")
        .await;
    assert_eq!(bad.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_picture_is_found_by_its_encoded_path_only() {
    let site = Site::start().await;
    let path = loop {
        let inspection = site.world.inspect().await;
        let path = format!("/api/v0/run_events/{}", inspection.run_event);
        let (_, event) = site.get(&path).await;
        if inspection.action_name.contains('#')
            && let Some(path) = event["dataCaptures"][0]["dataUrl"].as_str()
        {
            break path.to_owned();
        }
    };
    let encoded: String = path
        .bytes()
        .map(|byte| match byte {
            b'/' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).into(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    let picture = site.request(Method::GET, &encoded).send().await.unwrap();
    assert_eq!(picture.headers()[header::CONTENT_TYPE], "image/jpeg");
    assert!(picture.bytes().await.unwrap().starts_with(b"\xff\xd8\xff"));
    assert_eq!(site.get(&path).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_remote_control_works_without_a_token_and_in_any_weather() {
    let site = Site::start().await;
    site.register().await;
    let url = format!("{}/sim/state", site.orbit.url()).parse().unwrap();
    let bare = site.client.request(Method::GET, url);
    assert_eq!(answer(bare).await.0, StatusCode::OK);
    let (_, weather) = site.post("/sim/weather", &json!({"down": true})).await;
    assert_eq!(weather["down"], true);
    let (status, _) = site.post("/sim/weather", &json!({"dwon": true})).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (_, posts) = site.post("/sim/test-payload", &json!(null)).await;
    assert_eq!(posts[0]["status"], 200);
    let (_, inspection) = site.post("/sim/inspect", &json!(null)).await;
    assert_eq!(inspection["posts"][0]["status"], 200);
    let (_, state) = site.get("/sim/state").await;
    assert_eq!(state["run_events"], 1);
    assert!(!state.to_string().contains(SECRET));
}
