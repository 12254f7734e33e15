//! What the webhook missed is found in Orbit, once, in any weather.

use std::time::Duration;

use orbit_relay::event::{ALERT, COMPLETED};
use orbit_relay::reconcile::backfill::{First, Progress};
use orbit_relay::relay::journal::{EventRow, State, Sums};
use orbit_relay::sim::orbit::{Redirect, Weather};

use crate::world::{Relay, Site, level};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

impl Relay {
    /// Waits until Orbit was looked through from now on, letting time pass.
    pub(crate) async fn looked_through(&self, site: &Site) {
        // What is younger may still be on its way.
        let from = self.clock.wall() + MINUTE;
        let looked = |progress: &Progress| progress.looked_at.is_some_and(|at| at >= from);
        let seen = self.parts.backfill.clone();
        self.let_pass(site.hand(), MINUTE / 6, HOUR, |_| looked(&seen.borrow()))
            .await;
    }
}

/// A relay that has looked through Orbit once, so that the floor is known.
async fn started(site: &Site) -> Relay {
    let relay = site.start().await;
    relay.registered().await;
    let looked = |progress: &Progress| progress.looked_at.is_some();
    level(relay.parts.backfill.clone(), "looked through", looked).await;
    relay
}

/// Run event, type and origin of each event, in order of arrival.
fn kept(relay: &Relay) -> Vec<(String, String, String)> {
    let rows = relay.journal().into_iter();
    rows.map(|row: EventRow| (row.identity, row.event_type, row.origin))
        .collect()
}

/// What Orbit holds, each with the type that its one event is to have.
fn held(site: &Site) -> Vec<(String, String)> {
    let all = site.robots.run_events().into_iter();
    all.map(|(uuid, alert)| (uuid, if alert { ALERT } else { COMPLETED }.to_owned()))
        .collect()
}

/// Everything that Orbit holds is here once, as what Orbit lists it.
fn assert_all_here(site: &Site, relay: &Relay) {
    let mut here: Vec<_> = kept(relay).into_iter().map(|(u, t, _)| (u, t)).collect();
    let mut held = held(site);
    here.sort();
    held.sort();
    assert_eq!(here, held);
}

fn nothing_lost(sums: &Sums, count: u64) {
    assert_eq!((sums.accepted, sums.mistakes()), (count, vec![]));
}

#[tokio::test]
async fn a_missed_webhook_is_found_by_backfill_and_delivered_once() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    for _ in 0..30 {
        site.robots.inspect().await;
        site.hand().advance(Duration::from_secs(1));
    }
    site.robots
        .change_weather(|weather| weather.lose_webhooks = false);
    site.inspect().await;
    relay.looked_through(&site).await;
    relay.until_there_are(31, State::Delivered).await;
    assert_all_here(&site, &relay);
    let origins = kept(&relay).into_iter().map(|(_, _, origin)| origin);
    assert_eq!(origins.filter(|origin| origin == "backfill").count(), 30);
    assert!(
        held(&site).iter().any(|(_, t)| t == ALERT),
        "some are alerts"
    );

    relay.looked_through(&site).await;
    relay.until_there_are(31, State::Delivered).await;
    let found = relay.metric("orbit_relay_events_backfilled").await;
    assert!((found - 30.0).abs() < 0.5, "{found}");
    nothing_lost(&relay.finish().await, 31);
}

#[tokio::test]
async fn a_backfilled_event_is_the_run_event_with_its_own_bytes_and_says_where_it_came_from() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    let lost = site.robots.inspect().await;
    relay.looked_through(&site).await;
    relay.until_there_are(1, State::Delivered).await;
    let received = site.plant().received();
    let body: serde_json::Value = serde_json::from_slice(&received[0].body).unwrap();
    assert_eq!(body["data"]["uuid"], lost.run_event.as_str());
    assert_eq!(body["time"], body["data"]["createdAt"]);
    assert_eq!(body["type"], lost.event_type);
    assert_eq!(body["relay"]["origin"], "backfill");
    relay.finish().await;
}

#[tokio::test]
async fn webhook_and_backfill_bring_an_event_once_in_either_order_and_at_the_same_moment() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    for _ in 0..20 {
        site.inspect().await;
    }
    relay.looked_through(&site).await;
    assert_all_here(&site, &relay);
    let found = relay.metric("orbit_relay_events_backfilled").await;
    assert!(found.abs() < 0.5, "the webhook came first: {found}");

    // Orbit sends late what backfill has brought already.
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    for _ in 0..20 {
        site.robots.inspect().await;
    }
    site.robots
        .change_weather(|weather| weather.lose_webhooks = false);
    let again = async {
        for (uuid, event_type) in held(&site).into_iter().skip(20) {
            let late = serde_json::json!({"uuid": uuid, "actionName": "late"});
            site.robots.send(&event_type, &late).await;
            site.count(1);
        }
    };
    tokio::join!(again, relay.looked_through(&site));
    assert_all_here(&site, &relay);
    let sums = relay.finish().await;
    nothing_lost(&sums, 40);
    assert_eq!(sums.backfilled + sums.accepted - sums.duplicate, 40);
}

#[tokio::test]
async fn a_stored_alert_covers_the_completed_event_and_never_the_reverse() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    // Both types are sent for an alert, and the alert is lost.
    let both = |weather: &mut Weather| weather.judge_later = true;
    site.robots.change_weather(both);
    for _ in 0..30 {
        site.inspect().await;
    }
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    assert!(
        !site.robots.judge().await.is_empty(),
        "alerts are raised, and lost"
    );
    let completed = kept(&relay);
    assert!(
        completed
            .iter()
            .all(|(_, event_type, _)| event_type == COMPLETED)
    );
    let late = site
        .robots
        .run_events()
        .into_iter()
        .filter(|(_, alert)| *alert);
    let late: Vec<_> = late.map(|(uuid, _)| uuid).collect();
    relay.looked_through(&site).await;
    let brought: Vec<_> = kept(&relay).split_off(30);
    assert_eq!(brought.len(), late.len());
    assert!(
        brought
            .iter()
            .all(|(uuid, event_type, origin)| late.contains(uuid)
                && event_type == ALERT
                && origin == "backfill")
    );
    relay.looked_through(&site).await;
    assert_eq!(kept(&relay).len(), 30 + late.len(), "nothing comes twice");
    relay.finish().await;
}

#[tokio::test]
async fn an_alert_that_is_raised_after_the_cursor_has_passed_is_found_by_the_sweep() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    site.robots
        .change_weather(|weather| weather.judge_later = true);
    for _ in 0..30 {
        site.inspect().await;
    }
    site.hand().advance(HOUR * 30);
    relay.looked_through(&site).await;
    site.robots
        .change_weather(|weather| weather.judge_later = false);
    site.inspect().await;
    site.hand().advance(HOUR);
    relay.looked_through(&site).await;
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    let late = site.robots.judge().await.len();
    assert!(late > 0);
    let before = kept(&relay).len();
    relay.looked_through(&site).await;
    assert_eq!(kept(&relay).len(), before + late);
    relay.finish().await;
}

#[tokio::test]
async fn a_first_install_takes_nothing_older_than_itself_unless_it_is_told_to() {
    for (first, taken) in [
        (First::Now, 1),
        (First::Ago(HOUR), 6),
        (First::Ago(HOUR * 48), 11),
    ] {
        let site = Site::with_a_manual_clock().await;
        for _ in 0..5 {
            site.robots.inspect().await;
        }
        site.hand().advance(HOUR * 24);
        for _ in 0..5 {
            site.robots.inspect().await;
        }
        site.hand().advance(MINUTE);
        let text = match first {
            First::Ago(ago) => format!("{}h", ago.as_secs() / 3600),
            _ => "now".to_owned(),
        };
        let site = site.flag("backfill-first", &text);
        let relay = started(&site).await;
        site.robots
            .change_weather(|weather| weather.lose_webhooks = true);
        site.robots.inspect().await;
        relay.looked_through(&site).await;
        assert_eq!(kept(&relay).len(), taken, "{text}");
        relay.finish().await;
    }
}

#[tokio::test]
async fn whatever_orbits_lists_do_all_is_found() {
    let fair = Weather {
        lose_webhooks: true,
        ..Weather::default()
    };
    let storms = [
        (
            "pages are small",
            Weather {
                largest_page: 7,
                ..fair.clone()
            },
        ),
        (
            "totals are wrong",
            Weather {
                wrong_totals: true,
                ..fair.clone()
            },
        ),
        (
            "pages are empty",
            Weather {
                largest_page: 40,
                wrong_totals: true,
                empty_page_every: 3,
                ..fair.clone()
            },
        ),
        (
            "answers break off",
            Weather {
                break_off_every: 3,
                ..fair.clone()
            },
        ),
        (
            "too many requests",
            Weather {
                busy_every: 2,
                ..fair.clone()
            },
        ),
        (
            "pages are small and answers break off",
            Weather {
                largest_page: 9,
                break_off_every: 4,
                busy_every: 5,
                ..fair.clone()
            },
        ),
    ];
    for (name, weather) in storms {
        let site = Site::with_a_manual_clock().await;
        let relay = started(&site).await;
        site.robots.set_weather(weather);
        for n in 0..150 {
            // A good part of them at one moment.
            if n % 60 == 0 {
                site.hand().advance(Duration::from_millis(1));
            }
            site.robots.inspect().await;
        }
        relay.looked_through(&site).await;
        assert_eq!(kept(&relay).len(), 150, "{name}");
        assert_all_here(&site, &relay);
        relay.finish().await;
    }
}

#[tokio::test]
async fn after_an_outage_of_orbit_or_of_the_relay_all_is_found() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    site.robots.change_weather(|weather| weather.down = true);
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    site.hand().advance(HOUR);
    for _ in 0..10 {
        site.robots.inspect().await;
    }
    site.hand().advance(HOUR);
    let failing = |progress: &Progress| progress.failing.is_some();
    level(relay.parts.backfill.clone(), "failing", failing).await;
    let health = relay.get("/readyz").await.json();
    assert_eq!(health["backfill"]["status"], "failing");
    site.robots.set_weather(Weather::default());
    relay.looked_through(&site).await;
    assert_all_here(&site, &relay);
    relay.finish().await;

    for _ in 0..10 {
        site.robots.inspect().await;
    }
    site.hand().advance(HOUR * 5);
    let relay = site.start().await;
    relay.registered().await;
    relay.looked_through(&site).await;
    assert_all_here(&site, &relay);
    nothing_lost(&relay.finish().await, 20);
}

#[tokio::test]
async fn a_list_that_cannot_be_had_is_said_and_moves_no_cursor() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    site.robots.inspect().await;
    let elsewhere = Redirect {
        status: 302,
        location: "https://127.0.0.1:9".to_owned(),
    };
    site.robots
        .change_weather(|weather| weather.redirect = Some(elsewhere));
    let failing = |sums: &Sums| {
        assert_eq!(sums.accepted, 0);
        relay.parts.backfill.borrow().failing.is_some()
    };
    relay.let_pass(site.hand(), MINUTE, HOUR, failing).await;
    site.robots.set_weather(Weather::default());
    relay.looked_through(&site).await;
    assert_all_here(&site, &relay);
    relay.finish().await;
}

#[tokio::test]
async fn with_backfill_off_nothing_is_looked_for() {
    let site = Site::with_a_manual_clock().await.flag("backfill", "false");
    let relay = site.start().await;
    relay.registered().await;
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    site.robots.inspect().await;
    site.hand().advance(HOUR);
    assert_eq!(
        relay.get("/readyz").await.json()["backfill"]["status"],
        "off"
    );
    let lists = site.robots.requests().into_iter();
    let lists = lists.filter(|seen| seen.path.contains("run_events"));
    assert_eq!(lists.count(), 0);
    nothing_lost(&relay.finish().await, 0);
}

#[tokio::test]
async fn without_a_webhook_orbit_is_polled_every_30_seconds_with_the_same_promises() {
    let site = Site::with_a_manual_clock().await;
    let site = site.flag("webhook-host", "none");
    let relay = site.start().await;
    let looked = |progress: &Progress| progress.looked_at.is_some();
    level(relay.parts.backfill.clone(), "looked through", looked).await;
    for _ in 0..20 {
        assert_eq!(site.robots.inspect().await.posts, []);
    }
    let here = |sums: &Sums| sums.accepted == 20;
    let passed = relay
        .let_pass(site.hand(), Duration::from_secs(5), HOUR, here)
        .await;
    assert!(passed <= MINUTE, "{passed:?}");
    relay.until_there_are(20, State::Delivered).await;
    assert_all_here(&site, &relay);
    assert_eq!(site.robots.webhooks().len(), 0);
    let health = relay.get("/readyz").await.json();
    assert_eq!(health["orbit"]["status"], "polling");
    assert_eq!(health["status"], "ready");
    nothing_lost(&relay.finish().await, 20);
}

#[tokio::test]
async fn a_clock_that_is_set_to_and_fro_between_two_looks_hides_nothing() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    site.hand().advance(HOUR * 6);
    relay.looked_through(&site).await;
    site.robots
        .change_weather(|weather| weather.lose_webhooks = true);
    for hours in [-2, 2, 0] {
        let skew_ms = hours * 3_600_000;
        site.robots
            .change_weather(|weather| weather.skew_ms = skew_ms);
        relay.knows_skew(&site, skew_ms).await;
        site.robots.inspect().await;
    }
    relay.looked_through(&site).await;
    assert_all_here(&site, &relay);
    relay.finish().await;
}

#[tokio::test]
async fn what_was_refused_is_looked_for_within_a_minute() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    relay.looked_through(&site).await;
    // Orbit's clock is set, and the first event after that comes before it is learnt.
    site.robots
        .change_weather(|weather| weather.skew_ms = 600_000);
    let sent = site.inspect().await;
    assert_eq!(sent.posts[0].status, Some(401));
    let here = |sums: &Sums| sums.backfilled == 1;
    let passed = relay
        .let_pass(site.hand(), Duration::from_secs(5), HOUR, here)
        .await;
    assert!(passed <= MINUTE * 2, "{passed:?}");
    relay.finish().await;
}

#[tokio::test]
async fn what_came_just_before_a_start_is_found_within_two_minutes() {
    let site = Site::with_a_manual_clock().await;
    let relay = started(&site).await;
    relay.looked_through(&site).await;
    relay.finish().await;
    // Too young for the first looks, which leave it to the webhook.
    site.robots.inspect().await;
    let relay = site.start().await;
    relay.registered().await;
    let here = |sums: &Sums| sums.backfilled == 1;
    let passed = relay
        .let_pass(site.hand(), Duration::from_secs(5), HOUR, here)
        .await;
    assert!(passed <= MINUTE * 2, "{passed:?}");
    nothing_lost(&relay.finish().await, 1);
}
