//! What is an event, which of them is new, and what else the webhook port answers.

use std::collections::BTreeMap;

use orbit_relay::event::TEST;
use orbit_relay::relay::journal::State;
use tokio::task::JoinSet;

use crate::path::relay_object;
use crate::wire;
use crate::world::{Site, accepted, fixture, inspection};

#[tokio::test]
async fn the_webhook_port_answers_every_other_request_in_json() {
    let site = Site::new().await;
    let relay = site.start().await;
    let ask = |method: &'static str, path: &'static str| {
        let events = relay.events;
        async move { wire::send(events, &wire::request(method, path, &[], b"")).await }
    };
    let pong = ask("GET", "/ping").await;
    assert_eq!((pong.status, pong.body.as_str()), (200, "PONG"));
    for (method, path, status) in [
        ("GET", "/", 405),
        ("PUT", "/", 405),
        ("DELETE", "/hooks/orbit", 405),
        ("POST", "/ping", 405),
        ("GET", "/elsewhere", 404),
        ("POST", "/hooks", 404),
        ("POST", "/hooks/orbit/../../etc/passwd", 404),
    ] {
        let answer = ask(method, path).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"].is_string(), "{method} {path}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(
            answer.header("allow").is_some(),
            status == 405,
            "{method} {path}"
        );
    }
    let body = inspection(1);
    let signature = relay.sign(body.as_bytes());
    let headers = [("Orbit-Signature", signature.as_str())];
    let request = wire::request("POST", "/hooks/orbit", &headers, body.as_bytes());
    let answer = wire::send(relay.events, &request).await;
    site.count(1);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["status"], "accepted");
    relay.finish().await;
}

#[tokio::test]
async fn what_is_verified_but_no_event_is_400_and_counted() {
    let site = Site::new().await;
    let relay = site.start().await;
    let rows: [(&str, &[u8]); 10] = [
        ("empty", b""),
        ("no JSON", b"not json"),
        ("cut off", br#"{"type":"ACTION_COMPLETED","data":{"#),
        ("something after it", br#"{"type":"ACTION_COMPLETED"} x"#),
        ("an array", br#"[{"type":"ACTION_COMPLETED"}]"#),
        ("a number", b"42"),
        ("no type", br#"{"uuid":"u"}"#),
        ("a type that is a number", br#"{"type":1}"#),
        ("a type that is null", br#"{"type":null}"#),
        (
            "not UTF-8",
            b"{\"type\":\"ACTION_COMPLETED\",\"x\":\"\xff\"}",
        ),
    ];
    for (name, body) in rows {
        let answer = relay.post(body).await;
        assert_eq!(answer.status, 400, "{name}");
        assert!(answer.json()["error"].is_string(), "{name}");
    }
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, [("not_an_event".to_owned(), 10)].into());
    assert_eq!(sums.accepted, 0);
}

#[tokio::test]
async fn odd_but_valid_events_reach_the_plant_as_they_were_sent() {
    let deep = format!("{}1{}", "[".repeat(1_000), "]".repeat(1_000));
    let rows = [
        ("1,000 levels deep", format!(r#"{{"type":"ACTION_COMPLETED","data":{{"deep":{deep}}}}}"#)),
        ("data is null", r#"{"uuid":"a","type":"ACTION_COMPLETED","data":null}"#.into()),
        ("data is absent", r#"{"uuid":"b","type":"ACTION_COMPLETED"}"#.into()),
        ("data is a string", r#"{"uuid":"c","type":"ACTION_COMPLETED","data":"text"}"#.into()),
        ("data is an array", r#"{"uuid":"d","type":"ACTION_COMPLETED","data":[1,{}]}"#.into()),
        ("not ASCII", "{\"type\":\"ACTION_COMPLETED\",\"data\":{\"actionName\":\"Kühlung 점검 \u{2028}\u{2029} \\u00e9 \\ud83d\",\"ü\":\"\u{1f916}\"}}".into()),
        ("numbers", r#"{"type":"ACTION_COMPLETED","data":{"n":[0.00005,1e21,9007199254740993,1e400,-1e400,-0,-0.0,1E+2,123456789012345678901234567890]}}"#.into()),
        ("duplicate keys within", r#"{"uuid":"e","type":"ACTION_COMPLETED","data":{"b":1,"a":{"b":2,"b":3},"b":4}}"#.into()),
        ("unknown members", r#"{"uuid":"f","later":{"x":[ ]},"type":"ACTION_COMPLETED","time":7,"data":{}}"#.into()),
        ("an empty name", r#"{"":0,"type":"ACTION_COMPLETED","uuid":"g"}"#.into()),
    ];
    let site = Site::new().await;
    let relay = site.start().await;
    let plant = site.plant();
    for (n, (name, body)) in (1..).zip(&rows) {
        let answer = relay.post(body).await;
        assert_eq!(answer.status, 200, "{name}");
        accepted(&plant, n).await;
        let posts = plant.received();
        let added = relay_object(posts.last().unwrap(), body.as_bytes());
        assert!(added["asset"].is_null(), "{name}");
    }
    relay.until_there_are(10, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn the_last_duplicate_of_a_member_wins_and_a_senders_own_relay_member_is_replaced() {
    let site = Site::new().await;
    let relay = site.start().await;
    relay
        .accept(
            r#"{"type":"NONSENSE","relay":{"asset":{"id":"forged"}},"type":"ACTION_COMPLETED","uuid":"u","relay":7,"data":1,"data":{"uuid":"v"}}"#,
        )
        .await;
    accepted(&site.plant(), 1).await;
    let posts = site.plant().received();
    let text = String::from_utf8(posts[0].body.to_vec()).unwrap();
    let start = r#"{"type":"ACTION_COMPLETED","uuid":"u","data":{"uuid":"v"},"relay":{"schema":1,"#;
    assert!(text.starts_with(start), "{text}");
    assert_eq!(text.matches("\"relay\":").count(), 1, "{text}");
    assert!(!text.contains("forged"), "{text}");
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!(relay.delivery("v").state, State::Delivered);
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_event_a_thousand_times_at_once_is_one_delivery() {
    let site = Site::new().await;
    let relay = site.start().await;
    let body = inspection(1);
    let signature = relay.sign(body.as_bytes());
    let headers = [("Orbit-Signature", signature.as_str())];
    let request: std::sync::Arc<[u8]> =
        wire::request("POST", "/", &headers, body.as_bytes()).into();
    let mut senders = JoinSet::new();
    for _ in 0..1_000 {
        let (to, request) = (relay.events, request.clone());
        senders.spawn(async move { wire::send(to, &request).await });
    }
    site.count(1_000);
    let mut words = BTreeMap::<String, usize>::new();
    while let Some(answer) = senders.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let word = answer.json()["status"].as_str().unwrap().to_owned();
        *words.entry(word).or_default() += 1;
    }
    assert_eq!(
        words,
        [("accepted".to_owned(), 1), ("duplicate".to_owned(), 999)].into()
    );
    relay.until_there_are(1, State::Delivered).await;
    let sums = relay.finish().await;
    assert_eq!((sums.accepted, sums.duplicate), (1, 999));
    assert_eq!(site.plant().tally().attempts, 1);
}

#[tokio::test]
async fn completed_and_alert_for_one_action_are_two_deliveries() {
    let site = Site::new().await;
    let relay = site.start().await;
    let completed = inspection(1);
    let alert = completed.replace("ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT");
    for body in [&completed, &alert, &completed, &alert] {
        relay.accept(body).await;
    }
    let sums = relay.until_there_are(2, State::Delivered).await;
    assert_eq!((sums.accepted, sums.duplicate), (2, 2));
    let keys = site.plant().deliveries_by_key();
    assert_eq!(keys.values().collect::<Vec<_>>(), [&1, &1]);
    relay.finish().await;
}

#[tokio::test]
async fn test_payloads_of_every_shape_again_and_again_are_200_and_not_forwarded() {
    let site = Site::new().await;
    let relay = site.start().await;
    let shapes = [
        "test-empty.json",
        "test-no-data.json",
        "test-string-data.json",
    ];
    for name in shapes.into_iter().cycle().take(9) {
        let body = fixture(name);
        let answer = relay.post(&body).await;
        assert_eq!(answer.status, 200, "{name}");
    }
    // The same bytes again are duplicates; Orbit gives each press an envelope of its own.
    let (hook, _) = relay.registered().await;
    for _ in 0..3 {
        let post = site.robots.send_test(&hook).await.unwrap();
        site.count(1);
        assert_eq!((post.event_type.as_str(), post.status), (TEST, Some(200)));
    }
    let sums = relay.until_there_are(6, State::Skipped).await;
    assert_eq!((sums.accepted, sums.duplicate), (6, 6));
    assert_eq!(site.plant().tally().attempts, 0);
    relay.finish().await;
}

#[tokio::test]
async fn test_payloads_are_forwarded_where_the_user_said_so() {
    let site = Site::new().await.flag("forward-test", "true");
    let relay = site.start().await;
    let shapes = [
        "test-empty.json",
        "test-no-data.json",
        "test-string-data.json",
    ];
    let plant = site.plant();
    for (n, name) in (1..).zip(shapes) {
        relay.accept(fixture(name)).await;
        accepted(&plant, n).await;
        let posts = plant.received();
        let added = relay_object(posts.last().unwrap(), &fixture(name));
        assert!(added["asset"].is_null(), "{name}");
    }
    relay.registered().await;
    let events = &site.robots.webhooks()[0].events;
    assert!(!events.iter().any(|event| event == TEST), "{events:?}");
    relay.finish().await;
}

#[tokio::test]
async fn an_unknown_type_is_kept_and_skipped_unless_it_is_listed() {
    let body = fixture("unknown-type.json");
    let site = Site::new().await;
    let relay = site.start().await;
    relay.accept(&body).await;
    relay.until_there_are(1, State::Skipped).await;
    assert_eq!(relay.journal()[0].body, body, "it is kept as it came");
    relay.finish().await;

    let site = Site::new()
        .await
        .flag("payload-types", "ACTION_COMPLETED,MISSION_COMPLETED");
    let relay = site.start().await;
    relay.accept(&body).await;
    relay.until_there_are(1, State::Delivered).await;
    relay_object(&site.plant().received()[0], &body);
    relay.finish().await;
}
