//! Senders who have not shown who they are cannot fill the memory.

use std::sync::Arc;

use axum::body::Bytes;

use crate::process::{Home, Relay, SECRET, Web, sign};

const SENDERS: usize = 100;
const LARGEST_BODY: usize = 8 << 20;
/// In a debug build on a busy machine: 23 MiB before the first sender, 32 MiB of bodies, the
/// connections' buffers, and as much again that the allocator has not given back yet.
const MOST_KIB: u64 = 128 << 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_senders_of_8_mib_at_once_leave_the_memory_bounded() {
    let home = Home::new();
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let mut relay = Relay::ready(command).await;
    let body = Bytes::from(vec![b' '; LARGEST_BODY]);
    // As costly to refuse as can be: the form is right, only the secret is another.
    let signature: Arc<str> = sign(&"5a".repeat(32), &body).into();
    let url: Arc<str> = format!("http://{}/", relay.at).into();
    let senders = (0..SENDERS).map(|_| {
        let (body, url, signature) = (body.clone(), Arc::clone(&url), Arc::clone(&signature));
        tokio::spawn(async move {
            let web = Web::new();
            web.post(&url, &[("orbit-signature", &signature)], body)
                .await
        })
    });
    let mut answered = 0;
    for sender in senders.collect::<Vec<_>>() {
        // One that is refused while it still sends may see its connection end instead.
        if let Ok(answer) = sender.await.unwrap() {
            assert!([401, 408, 503].contains(&answer.status), "{answer:?}");
            answered += 1;
        }
    }
    assert!(answered > 0);
    assert!(relay.process.is_alive());
    let peak = relay.process.peak_memory();
    assert!(peak < MOST_KIB, "{peak} KiB");
    let event =
        crate::process::load::event(&mut orbit_relay::sim::random::Random::new(1), "uuid-1", 0);
    assert_eq!(relay.post(&event).await.status, 200);
    assert_eq!(relay.stop().await, Some(0));
}
