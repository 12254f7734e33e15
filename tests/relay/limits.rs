//! Senders that send too much, too slowly, not to the end or nothing, and requests under way at
//! the end.

use std::collections::BTreeMap;
use std::time::Duration;

use orbit_relay::relay::journal::State;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::path::relay_object;
use crate::wire;
use crate::world::{BOUND, Relay, Site, inspection, uuid};

/// The form is right, so the body is read before the relay knows better.
const STRANGER: &str = "t=1,v1=0000000000000000000000000000000000000000000000000000000000000000";
const LARGEST: usize = 8 * 1024 * 1024;

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
            let headers = [
                ("content-length", length.as_str()),
                ("orbit-signature", STRANGER),
            ];
            let head = wire::head("POST", "/", &headers);
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
    let headers = [("content-length", "1000"), ("orbit-signature", STRANGER)];
    let head = wire::head("POST", "/", &headers);
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
            STRANGER.to_owned()
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
    assert_eq!(sums.rejected, [("wrong_signature".to_owned(), 1)].into());
}

#[tokio::test]
async fn strangers_who_only_hold_connections_open_keep_no_event_out() {
    let site = Site::new().await;
    let relay = site.start().await;
    let mut strangers = Vec::new();
    for _ in 0..300 {
        strangers.push(silent(&relay, b"").await);
    }
    tokio::time::timeout(Duration::from_secs(5), relay.accept(inspection(1)))
        .await
        .expect("long before their time is over");
    relay.finish().await;
    drop(strangers);
}
