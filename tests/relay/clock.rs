//! Orbit's clock is wrong, or ours is: events are judged by Orbit's, and the difference is said.

use std::time::Duration;

use orbit_relay::relay::journal::State;
use orbit_relay::sim::javascript::sign;

use crate::world::{Relay, Site, inspection, secret};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR_MS: i64 = 3_600_000;

impl Relay {
    /// Waits until Orbit's clock is known to be so far ahead, letting time pass.
    pub(crate) async fn knows_skew(&self, site: &Site, skew_ms: i64) {
        let clock = self.parts.orbit_clock.clone();
        let known = || {
            clock
                .skew_ms()
                .is_some_and(|known| (known - skew_ms).abs() < 5_000)
        };
        self.let_pass(site.hand(), MINUTE / 6, MINUTE * 10, |_| known())
            .await;
    }
}

#[tokio::test]
async fn a_skewed_orbit_keeps_working_and_an_old_signature_is_refused_by_its_clock() {
    for skew_ms in [-5 * HOUR_MS, 5 * HOUR_MS] {
        let site = Site::with_a_manual_clock().await;
        site.robots
            .change_weather(|weather| weather.skew_ms = skew_ms);
        let relay = site.start().await;
        relay.registered().await;
        relay.knows_skew(&site, skew_ms).await;
        let sent = site.inspect().await;
        assert_eq!(sent.posts[0].status, Some(200), "{skew_ms}");
        relay.until_there_are(1, State::Delivered).await;

        let body = inspection(1);
        let at = |ms: i64| sign(&secret(), ms, body.as_bytes());
        let orbit_now = site.robots.now().as_millisecond();
        for (age_ms, status) in [(299_000, 200), (310_000, 401), (-310_000, 401)] {
            let signature = at(orbit_now - age_ms);
            let headers = [("Orbit-Signature", &*signature)];
            let answer = relay.post_with(&headers, body.as_bytes()).await;
            assert_eq!(answer.status, status, "{skew_ms} {age_ms}");
        }
        let by_our_clock = at(site.clock.wall().as_millisecond());
        let answer = relay
            .post_with(&[("Orbit-Signature", &by_our_clock)], body.as_bytes())
            .await;
        assert_eq!(answer.status, 401, "{skew_ms}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_skew_beyond_30_seconds_is_reported_with_its_size_and_direction() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    relay.knows_skew(&site, 0).await;
    assert_eq!(
        relay.get("/readyz").await.json()["clock"]["status"],
        "right"
    );
    site.robots
        .change_weather(|weather| weather.skew_ms = -90_000);
    relay.knows_skew(&site, -90_000).await;
    let clock = &relay.get("/readyz").await.json()["clock"];
    assert_eq!(clock["status"], "skewed");
    assert_eq!(clock["reason"], "Orbit's clock is 90 s behind ours");
    let skew = relay.metric("orbit_relay_orbit_clock_skew_seconds").await;
    assert!((skew + 90.0).abs() < 1.0, "{skew}");
    relay.finish().await;
}

#[tokio::test]
async fn what_was_learnt_of_orbits_clock_counts_from_the_first_moment_after_a_restart() {
    let site = Site::with_a_manual_clock().await;
    site.robots
        .change_weather(|weather| weather.skew_ms = HOUR_MS);
    let relay = site.start().await;
    relay.knows_skew(&site, HOUR_MS).await;
    relay.finish().await;
    // Orbit tells nothing now, but its events come.
    site.robots
        .change_weather(|weather| weather.status = Some(500));
    let relay = site.start().await;
    relay.knows_skew(&site, HOUR_MS).await;
    let body = inspection(1);
    let now = site.robots.now().as_millisecond();
    let signature = sign(&secret(), now, body.as_bytes());
    let headers = [("Orbit-Signature", &*signature)];
    let answer = relay.post_with(&headers, body.as_bytes()).await;
    assert_eq!(answer.status, 200);
    relay.finish().await;
}

#[tokio::test]
async fn our_own_clock_may_be_set_without_refusing_anything() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    relay.registered().await;
    relay.knows_skew(&site, 0).await;
    let wall = site.clock.wall();
    site.robots
        .change_weather(|weather| weather.skew_ms = -HOUR_MS);
    site.hand().set_wall(wall + Duration::from_hours(1));
    let sent = site.inspect().await;
    assert_eq!(sent.posts[0].status, Some(200));
    relay.finish().await;
}

#[tokio::test]
async fn an_exact_replay_is_answered_as_a_duplicate_and_changes_nothing() {
    let site = Site::new().await;
    let relay = site.start().await;
    // Without an id it is known by its bytes, and these can be written with other white space.
    let bodies = [inspection(1), r#"{"type":"X","n":[1,2]}"#.to_owned()];
    for body in bodies {
        let signature = relay.sign(body.as_bytes());
        let headers = [("Orbit-Signature", &*signature)];
        let other = body.replace(',', " ,\n ");
        for (body, status) in [
            (&body, "accepted"),
            (&body, "duplicate"),
            (&other, "duplicate"),
        ] {
            let answer = relay.post_with(&headers, body.as_bytes()).await;
            assert_eq!(answer.status, 200, "{body}");
            assert_eq!(answer.json()["status"], status, "{body}");
        }
    }
    assert_eq!(relay.journal().len(), 2);
    let sums = relay.finish().await;
    assert_eq!((sums.accepted, sums.duplicate), (2, 4));
}
