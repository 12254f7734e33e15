//! What is taken and what is refused, by senders of every kind.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use orbit_relay::event::TEST;
use orbit_relay::relay::journal::State;
use orbit_relay::secret::WebhookSecret;
use orbit_relay::sim::javascript::sign;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::path::relay_object;
use crate::wire::{self, Answer};
use crate::world::{BOUND, Relay, Site, accepted, fixture, inspection, secret, uuid};

const LARGEST: usize = 8 * 1024 * 1024;
const DAY_MS: i64 = 86_400_000;

/// An event of exactly so many bytes.
fn event_of(bytes: usize) -> Vec<u8> {
    let (start, end) = (r#"{"type":"ACTION_COMPLETED","data":{"pad":""#, r#""}}"#);
    let pad = "x".repeat(bytes - start.len() - end.len());
    format!("{start}{pad}{end}").into_bytes()
}

fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 1024);
    for chunk in body.chunks(1 << 20) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// What each is called, its signature headers, and the reason that it is refused for.
fn bad_signatures(relay: &Relay, body: &[u8]) -> Vec<(&'static str, Vec<String>, &'static str)> {
    let now = relay.clock.wall().as_millisecond();
    let right = relay.sign(body);
    let (_, mac) = right.split_once(",v1=").unwrap();
    let at = |t_ms| sign(&secret(), t_ms, body);
    let another = WebhookSecret::parse(&"0f".repeat(32)).unwrap();
    let mut flipped = body.to_vec();
    flipped[20] ^= 1;
    let bad = "00".repeat(32);
    let one = |header: String| vec![header];
    vec![
        ("no header", vec![], "no_signature"),
        ("empty", one(String::new()), "no_signature"),
        ("t alone", one("t=1".into()), "malformed_signature"),
        (
            "v1 with two equals signs",
            one("v1=a=b".into()),
            "malformed_signature",
        ),
        ("v1 alone", one(format!("v1={mac}")), "malformed_signature"),
        (
            "two wrong v1",
            one(format!("t={now},v1={bad},v1={bad}")),
            "wrong_signature",
        ),
        (
            "not hex",
            one(format!("t={now},v1={}", "zz".repeat(32))),
            "malformed_signature",
        ),
        (
            "100,000 characters",
            one(format!("t={now},v1={}", "a".repeat(100_000))),
            "malformed_signature",
        ),
        ("t is the least i64", one(at(i64::MIN)), "too_old"),
        (
            "t is the greatest i64",
            one(at(i64::MAX)),
            "from_the_future",
        ),
        (
            "t is beyond i64",
            one(format!("t=9223372036854775808,v1={mac}")),
            "malformed_signature",
        ),
        (
            "t is no number",
            one(format!("t=now,v1={mac}")),
            "malformed_signature",
        ),
        (
            "t twice",
            one(format!("t={now},{right}")),
            "malformed_signature",
        ),
        ("of tomorrow", one(at(now + DAY_MS)), "from_the_future"),
        ("of yesterday", one(at(now - DAY_MS)), "too_old"),
        (
            "another t than was signed",
            one(format!("t={},v1={mac}", now - 1_000)),
            "wrong_signature",
        ),
        (
            "another secret",
            one(sign(&another, now, body)),
            "wrong_signature",
        ),
        (
            "one flipped bit",
            one(sign(&secret(), now, &flipped)),
            "wrong_signature",
        ),
        (
            "two headers",
            vec![right.clone(), right.clone()],
            "several_signatures",
        ),
    ]
}

#[tokio::test]
async fn every_bad_signature_is_answered_alike_and_counted_by_reason() {
    let site = Site::new().await;
    let relay = site.start().await;
    let body = inspection(1).into_bytes();
    let rows = bad_signatures(&relay, &body);
    let mut answers: Vec<(&str, Answer)> = Vec::new();
    let mut expected = BTreeMap::<String, u64>::new();
    for (name, headers, reason) in &rows {
        let headers = headers.iter().map(|h| ("Orbit-Signature", h.as_str()));
        let headers: Vec<_> = headers.collect();
        let mut answer = relay.post_with(&headers, &body).await;
        answer.head = answer
            .head
            .lines()
            .filter(|l| !l.starts_with("date:"))
            .collect();
        let counted =
            format!(r#"orbit_relay_requests_total{{outcome="rejected",reason="{reason}"}}"#);
        let n = expected.entry((*reason).to_owned()).or_default();
        *n += 1;
        let n = f64::from(u32::try_from(*n).unwrap());
        assert!(
            (relay.metric(&counted).await - n).abs() < 0.5,
            "{name} counts as {reason}"
        );
        answers.push((name, answer));
    }
    let (_, first) = &answers[0];
    assert_eq!(first.status, 401);
    assert!(first.json().is_object());
    for (name, answer) in &answers {
        assert_eq!(answer, first, "{name}");
    }
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, expected);
    assert_eq!(sums.accepted, 0);
}

/// A header made of `t` and the MAC.
type Form = fn(&str, &str) -> String;

#[tokio::test]
async fn a_genuine_signature_is_taken_in_every_form_that_it_may_have() {
    let site = Site::new().await;
    let relay = site.start().await;
    let now = relay.clock.wall().as_millisecond();
    let minute = 60_000;
    let rows: [(&str, i64, Form); 7] = [
        ("as Orbit sends it", now, |t, mac| format!("t={t},v1={mac}")),
        ("upper case", now, |t, mac| {
            format!("t={t},v1={}", mac.to_uppercase())
        }),
        ("the second of two v1", now, |t, mac| {
            format!("t={t},v1={},v1={mac}", "00".repeat(32))
        }),
        ("an unknown element", now, |t, mac| {
            format!("t={t},v0=x,v1={mac},later=1")
        }),
        ("v1 first", now, |t, mac| format!("v1={mac},t={t}")),
        ("four minutes old", now - 4 * minute, |t, mac| {
            format!("t={t},v1={mac}")
        }),
        ("four minutes early", now + 4 * minute, |t, mac| {
            format!("t={t},v1={mac}")
        }),
    ];
    for (n, (name, t, form)) in rows.into_iter().enumerate() {
        let body = inspection(n);
        let signed = sign(&secret(), t, body.as_bytes());
        let (_, mac) = signed.split_once(",v1=").unwrap();
        let header = form(&t.to_string(), mac);
        let answer = relay
            .post_with(&[("Orbit-Signature", &header)], body.as_bytes())
            .await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    relay.until_there_are(7, State::Delivered).await;
    relay.finish().await;
}

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
async fn a_body_of_8_mib_is_taken_and_one_byte_more_is_413() {
    let site = Site::new().await;
    let relay = site.start().await;
    let largest = event_of(LARGEST);
    relay.accept(&largest).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!(
        relay_object(&site.plant().received()[0], &largest)["schema"],
        1
    );

    let beyond = event_of(LARGEST + 1);
    let answer = relay.post(&beyond).await;
    assert_eq!(answer.status, 413, "announced");
    let signature = relay.sign(&beyond);
    let headers = [
        ("Orbit-Signature", signature.as_str()),
        ("transfer-encoding", "chunked"),
    ];
    let mut chunked = wire::head("POST", "/", &headers);
    chunked.extend_from_slice(&in_chunks(&beyond));
    site.count(1);
    let answer = wire::send(relay.events, &chunked).await;
    assert_eq!(answer.status, 413, "in chunks");

    let small = inspection(1).into_bytes();
    let signature = relay.sign(&small);
    let headers = [
        ("Orbit-Signature", signature.as_str()),
        ("transfer-encoding", "chunked"),
    ];
    let mut chunked = wire::head("POST", "/", &headers);
    chunked.extend_from_slice(&in_chunks(&small));
    site.count(1);
    assert_eq!(
        wire::send(relay.events, &chunked).await.status,
        200,
        "chunks as such are fine"
    );
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, [("too_large".to_owned(), 2)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_unknown_senders_of_8_mib_fill_no_memory_and_keep_no_event_out() {
    const SENDERS: usize = 100;
    let site = Site::new().await;
    let relay = site.start().await;
    let (release, released) = watch::channel(false);
    let (under_way, mut waiting) = watch::channel(0);
    let body: std::sync::Arc<[u8]> = event_of(LARGEST).into();
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (body, mut released) = (body.clone(), released.clone());
        let (to, under_way) = (relay.events, under_way.clone());
        senders.spawn(async move {
            let mut stream = TcpStream::connect(to).await.unwrap();
            let length = body.len().to_string();
            let head = wire::head("POST", "/", &[("content-length", &length)]);
            let (last, most) = body.split_last().unwrap();
            let written = async {
                stream.write_all(&head).await?;
                stream.write_all(most).await
            };
            // A refused sender cannot write to the end; its answer is there all the same.
            written.await.ok();
            under_way.send_modify(|n| *n += 1);
            released.wait_for(|released| *released).await.unwrap();
            wire::finish(stream, &[*last]).await
        });
    }
    site.count(SENDERS);
    let all_there = tokio::time::timeout(BOUND, waiting.wait_for(|n| *n == SENDERS));
    let mut all_there = std::pin::pin!(all_there);
    let mut n = 0;
    let mut most = 0.0_f64;
    loop {
        most = most.max(relay.metric("orbit_relay_body_bytes").await);
        relay.accept(inspection(n)).await;
        n += 1;
        tokio::select! {
            biased;
            there = all_there.as_mut() => {
                there.expect("all are under way within the bound").unwrap();
                break;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    most = most.max(relay.metric("orbit_relay_body_bytes").await);
    assert!(
        most <= 32.0 * 1024.0 * 1024.0,
        "{most} bytes of bodies at once"
    );
    assert!(
        most >= 8.0 * 1024.0 * 1024.0,
        "{most}: the senders were there"
    );
    relay.accept(inspection(n)).await;
    release.send_replace(true);
    let mut statuses = BTreeMap::<u16, usize>::new();
    while let Some(answer) = senders.join_next().await {
        let answer = answer.unwrap().expect("every sender gets an answer");
        *statuses.entry(answer.status).or_default() += 1;
        if answer.status == 503 {
            assert_eq!(answer.header("retry-after"), Some("5"));
        }
    }
    assert!(
        statuses.keys().all(|status| [401, 503].contains(status)),
        "{statuses:?}"
    );
    let left = relay.metric("orbit_relay_body_bytes").await;
    assert!(left.abs() < 0.5, "{left} bytes are still counted");
    relay.finish().await;
}

#[tokio::test]
async fn of_a_body_that_breaks_off_nothing_is_stored() {
    let site = Site::new().await;
    let relay = site.start().await;
    let body = inspection(1).into_bytes();
    let signature = relay.sign(&body);
    let headers = [("Orbit-Signature", signature.as_str())];
    let whole = wire::request("POST", "/", &headers, &body);
    let mut stream = TcpStream::connect(relay.events).await.unwrap();
    stream.write_all(&whole[..whole.len() - 10]).await.unwrap();
    stream.shutdown().await.unwrap();
    site.count(1);
    let answer = wire::finish(stream, b"").await;
    assert!(answer.is_none_or(|answer| answer.status == 400));
    let sums = relay.finish().await;
    assert_eq!(sums.accepted, 0);
    assert_eq!(sums.rejected, [("broken_off".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_slow_sender_is_let_go_after_ten_seconds_and_delays_nobody() {
    let site = Site::new().await;
    let relay = site.start().await;
    let mut stream = TcpStream::connect(relay.events).await.unwrap();
    let head = wire::head("POST", "/", &[("content-length", "1000")]);
    stream.write_all(&head).await.unwrap();
    site.count(1);
    let slow = tokio::spawn(async move { wire::finish(stream, b"{\"type\":").await });
    for n in 0..20 {
        relay.accept(inspection(n)).await;
    }
    let bound = Duration::from_secs(15);
    let answer = tokio::time::timeout(bound, slow).await;
    let answer = answer.expect("within the deadline and a bit").unwrap();
    assert_eq!(answer.expect("it is told").status, 408);
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, [("too_slow".to_owned(), 1)].into());
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
        // Orbit gives each press an envelope of its own; the same bytes again are a duplicate.
    }
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

#[tokio::test]
async fn a_body_that_a_proxy_has_reformatted_is_verified_and_kept_as_it_came() {
    let site = Site::new().await;
    let relay = site.start().await;
    let compact = String::from_utf8(fixture("acoustic-leak-alert.json")).unwrap();
    let signature = relay.sign(compact.trim_end().as_bytes());
    let mut spaced = String::new();
    let mut in_text = false;
    let mut before = ' ';
    for c in compact.trim_end().chars() {
        if c == '"' && before != '\\' {
            in_text = !in_text;
        }
        before = c;
        if in_text || !",:{[".contains(c) {
            spaced.push(c);
        } else {
            write!(spaced, " {c}\r\n\t").unwrap();
        }
    }
    let headers = [("Orbit-Signature", signature.as_str())];
    let answer = relay.post_with(&headers, spaced.as_bytes()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    accepted(&site.plant(), 1).await;
    assert_eq!(relay.journal()[0].body, spaced.as_bytes());
    let posts = site.plant().received();
    let got: Value = serde_json::from_slice(&posts[0].body).unwrap();
    let sent: Value = serde_json::from_str(&compact).unwrap();
    assert_eq!(got["data"], sent["data"]);

    let altered = spaced.replace("Leak detected", "Leak  detected");
    assert_ne!(altered, spaced);
    let answer = relay.post_with(&headers, altered.as_bytes()).await;
    assert_eq!(answer.status, 401, "white space inside of text is content");
    relay.finish().await;
}

/// A request that stops half-way through its head, or never begins.
async fn silent(relay: &Relay, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(relay.events).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn connections_that_say_nothing_do_not_hold_up_the_end() {
    let site = Site::new().await;
    let relay = site.start().await;
    let never_began = silent(&relay, b"").await;
    let half_a_head = silent(&relay, b"POST / HTTP/1.1\r\nhost: rel").await;
    relay.accept(inspection(1)).await;
    assert_eq!(relay.journal()[0].identity, uuid(1));
    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;
    drop((never_began, half_a_head));
}

#[tokio::test]
async fn a_request_under_way_at_the_end_is_answered_and_counted() {
    let site = Site::new().await;
    let relay = site.start().await;
    let port = relay.events;
    let mut halves = Vec::new();
    for (n, signed) in [(1, true), (2, false)] {
        let body = inspection(n).into_bytes();
        let signature = if signed {
            relay.sign(&body)
        } else {
            "t=1".to_owned()
        };
        let headers = [("Orbit-Signature", signature.as_str())];
        let mut first = wire::request("POST", "/", &headers, &body);
        let second = first.split_off(first.len() - 10);
        halves.push((silent(&relay, &first).await, second));
        site.count(1);
    }
    let sent = async {
        // Both bodies are under way, but for their last ten bytes.
        let so_far = f64::from(u32::try_from(2 * inspection(1).len() - 20).unwrap());
        while (relay.metric("orbit_relay_body_bytes").await - so_far).abs() > 0.5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, sent)
        .await
        .expect("both are under way");
    let end = tokio::spawn(relay.finish());
    let refused = async { while TcpStream::connect(port).await.is_ok() {} };
    tokio::time::timeout(BOUND, refused)
        .await
        .expect("nobody is let in any more");
    let mut statuses = Vec::new();
    for (stream, second) in halves {
        statuses.push(wire::finish(stream, &second).await.unwrap().status);
    }
    assert_eq!(statuses, [200, 401]);
    let sums = end.await.unwrap();
    assert_eq!(sums.accepted, 1);
    assert_eq!(
        sums.rejected,
        [("malformed_signature".to_owned(), 1)].into()
    );
}
