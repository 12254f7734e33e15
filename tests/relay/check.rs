//! The table of `check` in the log: at start, and after each test payload that is new.

use std::time::Duration;

use orbit_relay::sim::javascript::sign;

use crate::world::{BOUND, Relay, Site, secret};

const MINUTE: Duration = Duration::from_mins(1);
const TEST: &str = r#"{"uuid":"one","type":"TEST","time":"2026-01-01T00:00:00Z","data":{}}"#;

/// How many tables were begun: nothing else asks for the version.
fn tables(site: &Site) -> usize {
    let requests = site.robots.requests();
    let versions = requests.iter().filter(|r| r.path == "/api/v0/version");
    assert!(versions.clone().all(|request| !request.authorization));
    versions.count()
}

async fn pass_time_until(site: &Site, relay: &Relay, count: usize) {
    let longest = MINUTE * 10;
    relay
        .let_pass(site.hand(), MINUTE / 6, longest, |_| tables(site) == count)
        .await;
}

async fn press(site: &Site, relay: &Relay, status: &str) {
    let now = site.robots.now().as_millisecond();
    let signature = sign(&secret(), now, TEST.as_bytes());
    let headers = [("Orbit-Signature", &*signature)];
    let answer = relay.post_with(&headers, TEST.as_bytes()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains(status), "{answer:?}");
}

#[tokio::test]
async fn it_is_made_at_start_and_after_each_test_payload_and_posts_nothing() {
    let site = Site::with_a_manual_clock().await;
    let site = site.tuned(|config| config.check_at_start = true);
    let relay = site.start().await;
    let at_start = async {
        while tables(&site) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(BOUND, at_start).await.unwrap();
    press(&site, &relay, "accepted").await;
    pass_time_until(&site, &relay, 2).await;
    // Pressed again it may have the same body, and is signed anew.
    press(&site, &relay, "duplicate").await;
    pass_time_until(&site, &relay, 3).await;
    let once = sign(
        &secret(),
        site.robots.now().as_millisecond(),
        TEST.as_bytes(),
    );
    for _ in 0..2 {
        let headers = [("Orbit-Signature", &*once)];
        assert_eq!(relay.post_with(&headers, TEST.as_bytes()).await.status, 200);
    }
    pass_time_until(&site, &relay, 4).await;
    for _ in 0..20 {
        site.hand().advance(MINUTE / 6);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(tables(&site), 4, "the very message once more is no news");
    assert_eq!(site.plant().tally().attempts, 0);
    relay.finish().await;
}
