//! The webhook's secret as it changes: rotated, taken over from Orbit, given to Orbit again.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use orbit_relay::reconcile::webhook::Wish;
use orbit_relay::relay::verify::Keys;
use orbit_relay::secret::WebhookSecret;
use orbit_relay::sim::javascript::sign;
use orbit_relay::sim::orbit::World;
use serde_json::json;

use crate::world::{Relay, SECRET, Site, asked_about_webhooks, inspection, level};

fn another(of: &str) -> WebhookSecret {
    WebhookSecret::parse(&of.repeat(32)).unwrap()
}

fn of_orbit(robots: &World) -> String {
    robots.webhooks()[0].secret.expose_hex()
}

fn file(site: &Site, name: &str) -> PathBuf {
    site.data_dir().join(name)
}

fn kept(site: &Site) -> WebhookSecret {
    let text = std::fs::read_to_string(file(site, "webhook-secret")).unwrap();
    WebhookSecret::parse(&text).unwrap()
}

fn mode(path: &PathBuf) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A relay that made its secret, registered where the clock is in the test's hand.
async fn with_a_secret_of_its_own() -> (Site, Relay) {
    let site = Site::with_a_manual_clock()
        .await
        .without_variable("WEBHOOK_SECRET");
    let relay = site.start().await;
    relay.registered().await;
    (site, relay)
}

/// How an event is answered that was signed with this key so much later than now.
async fn signed(relay: &Relay, n: usize, by: &WebhookSecret, later_ms: i64) -> u16 {
    let body = inspection(n);
    let t_ms = relay.clock.wall().as_millisecond() + later_ms;
    let header = sign(by, t_ms, body.as_bytes());
    let answer = relay
        .post_with(&[("Orbit-Signature", &header)], body.as_bytes())
        .await;
    answer.status
}

async fn until_one_key(relay: &Relay) {
    let one = |keys: &Result<Keys, String>| keys.as_ref().is_ok_and(|k| k.previous.is_none());
    drop(level(relay.parts.secret.clone(), "one key", one).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_200_events_a_second_a_rotation_refuses_no_genuine_one_and_then_the_old_key() {
    const EVENTS: usize = 600;
    let site = Arc::new(Site::new().await.without_variable("WEBHOOK_SECRET"));
    let relay = site.start().await;
    relay.registered().await;
    let old = kept(&site);
    let robots = site.robots.clone();
    let sending = tokio::spawn(async move {
        let mut posts = tokio::task::JoinSet::new();
        let mut every = tokio::time::interval(Duration::from_millis(5));
        for n in 0..EVENTS {
            every.tick().await;
            let robots = robots.clone();
            posts.spawn(async move {
                let data = json!({"uuid": format!("rotation-{n}"), "actionName": "x"});
                robots.send("ACTION_COMPLETED", &data).await
            });
        }
        posts.join_all().await
    });
    let third = u64::try_from(EVENTS / 3).unwrap();
    relay
        .until("a third of them", |sums| sums.accepted >= third)
        .await;
    // Between the new secret here and the new one there lie many events.
    site.robots.change_weather(|w| w.delay_ms = 100);
    let done = relay.webhook_done(Wish::RotateSecret).await;
    assert!(done.contains("a new secret was made"), "{done}");
    assert!(done.contains(": secret"), "Orbit has it: {done}");
    let new = kept(&site);
    assert_ne!(new.expose_hex(), old.expose_hex());
    assert_eq!(of_orbit(&site.robots), new.expose_hex());
    for name in ["webhook-secret", "webhook-secret.previous"] {
        assert_eq!(mode(&file(&site, name)), 0o600, "{name}");
    }
    let posts: Vec<_> = sending.await.unwrap().into_iter().flatten().collect();
    site.count(posts.len());
    assert_eq!(posts.len(), EVENTS);
    let refused: Vec<_> = posts.iter().filter(|p| p.status != Some(200)).collect();
    assert!(refused.is_empty(), "{refused:?}");

    assert_eq!(signed(&relay, 1, &new, 0).await, 200);
    assert_eq!(signed(&relay, 2, &old, 3_000).await, 401);
    let why = relay.webhook(Wish::RotateSecret).await.unwrap_err();
    assert!(why.contains("changed just now"), "{why}");
    relay.finish().await;
}

#[tokio::test]
async fn the_old_key_is_good_until_the_first_event_with_the_new_one_and_its_file_goes_later() {
    let (site, relay) = with_a_secret_of_its_own().await;
    let old = kept(&site);
    relay.webhook_done(Wish::RotateSecret).await;
    assert_eq!(
        signed(&relay, 1, &old, 60_000).await,
        200,
        "no new one came"
    );
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    assert_eq!(signed(&relay, 2, &old, 2_001).await, 401);
    assert_eq!(signed(&relay, 3, &old, -1_000).await, 200, "was on its way");
    site.hand().advance(Duration::from_mins(6));
    until_one_key(&relay).await;
    assert!(!file(&site, "webhook-secret.previous").exists());
    assert_eq!(signed(&relay, 4, &old, -1_000).await, 401);
    relay.webhook_done(Wish::RotateSecret).await;
    relay.finish().await;
}

#[tokio::test]
async fn where_no_event_comes_the_old_key_ends_ten_minutes_after_orbit_got_the_new_one() {
    let (site, relay) = with_a_secret_of_its_own().await;
    let old = kept(&site);
    relay.webhook_done(Wish::RotateSecret).await;
    relay.look_after(site.hand(), Duration::from_mins(9)).await;
    assert_eq!(signed(&relay, 1, &old, 0).await, 200);
    relay.look_after(site.hand(), Duration::from_mins(2)).await;
    assert_eq!(signed(&relay, 2, &old, 0).await, 401);
    site.hand().advance(Duration::from_mins(5));
    until_one_key(&relay).await;
    relay.finish().await;
}

#[tokio::test]
async fn the_old_key_ends_ten_minutes_later_by_orbits_clock_however_wrong_that_is() {
    for skew_ms in [-3_600_000, 3_600_000] {
        let site = Site::with_a_manual_clock()
            .await
            .without_variable("WEBHOOK_SECRET");
        site.robots.change_weather(|w| w.skew_ms = skew_ms);
        let relay = site.start().await;
        relay.registered().await;
        relay.knows_skew(&site, skew_ms).await;
        let old = kept(&site);
        relay.webhook_done(Wish::RotateSecret).await;
        relay.look_after(site.hand(), Duration::from_mins(9)).await;
        assert_eq!(signed(&relay, 1, &old, skew_ms).await, 200, "{skew_ms}");
        assert!(file(&site, "webhook-secret.previous").exists(), "{skew_ms}");
        relay.look_after(site.hand(), Duration::from_mins(2)).await;
        assert_eq!(signed(&relay, 2, &old, skew_ms).await, 401, "{skew_ms}");
        site.hand().advance(Duration::from_mins(5));
        until_one_key(&relay).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_secret_that_is_given_later_refuses_nothing_that_orbit_signed_with_the_one_of_before() {
    let (site, relay) = with_a_secret_of_its_own().await;
    relay.webhook_done(Wish::RotateSecret).await;
    relay.finish().await;
    let site = site.variable("WEBHOOK_SECRET", SECRET);
    site.robots.change_weather(|w| w.status = Some(500));
    let relay = site.start().await;
    relay.not_registered().await;
    // The relay has moved, and Orbit is not told yet: the event comes here all the same.
    let signing = WebhookSecret::parse(&of_orbit(&site.robots)).unwrap();
    assert_eq!(signed(&relay, 1, &signing, 0).await, 200);
    site.robots.change_weather(|w| w.status = None);
    site.hand().advance(Duration::from_mins(2));
    relay.registered().await;
    assert_eq!(of_orbit(&site.robots), SECRET);
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    site.hand().advance(Duration::from_mins(6));
    until_one_key(&relay).await;
    for name in ["webhook-secret", "webhook-secret.previous"] {
        assert!(!file(&site, name).exists(), "{name}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_rotation_where_it_only_observes_changes_the_secret_and_nothing_else() {
    let site = Site::with_a_manual_clock()
        .await
        .without_variable("WEBHOOK_SECRET")
        .flag("manage", "observe");
    let relay = site.start().await;
    relay.webhook_done(Wish::Sync).await;
    let (uuid, _) = relay.registered().await;
    site.robots.edit_webhook(&uuid, |w| {
        w.enabled = false;
        w.events.truncate(1);
    });
    relay.look(site.hand()).await;
    let (before, old) = (site.robots.webhooks()[0].clone(), of_orbit(&site.robots));
    let done = relay.webhook_done(Wish::RotateSecret).await;
    assert!(
        done.contains(&format!("set right {uuid}: secret")),
        "{done}"
    );
    let after = site.robots.webhooks()[0].clone();
    assert_eq!(format!("{after:?}"), format!("{before:?}"));
    assert_ne!(of_orbit(&site.robots), old);
    assert_eq!(of_orbit(&site.robots), kept(&site).expose_hex());
    // The old one ends although something else is not as it should be.
    relay.look_after(site.hand(), Duration::from_mins(11)).await;
    site.hand().advance(Duration::from_mins(5));
    until_one_key(&relay).await;

    site.robots.change_weather(|w| w.status = Some(500));
    let done = relay.webhook_done(Wish::RotateSecret).await;
    assert!(
        done.contains("webhook sync"),
        "nothing tries it again: {done}"
    );
    site.robots.change_weather(|w| w.status = None);
    relay.webhook_done(Wish::Sync).await;
    assert_eq!(of_orbit(&site.robots), kept(&site).expose_hex());

    relay.webhook_done(Wish::Delete).await;
    relay.look_after(site.hand(), Duration::from_mins(11)).await;
    site.hand().advance(Duration::from_mins(5));
    until_one_key(&relay).await;
    relay.webhook_done(Wish::RotateSecret).await;
    assert_eq!(site.robots.webhooks().len(), 0, "it stays deleted");
    relay.finish().await;
}

#[tokio::test]
async fn a_rotation_does_not_enable_what_an_administrator_disabled() {
    let (site, relay) = with_a_secret_of_its_own().await;
    let (uuid, _) = relay.registered().await;
    site.robots.edit_webhook(&uuid, |w| w.enabled = false);
    relay.look(site.hand()).await;
    relay.webhook_done(Wish::RotateSecret).await;
    assert_eq!(of_orbit(&site.robots), kept(&site).expose_hex());
    assert!(!site.robots.webhooks()[0].enabled);
    relay.finish().await;
}

#[tokio::test]
async fn while_orbit_cannot_be_told_both_keys_are_accepted_over_a_restart_too() {
    let (site, relay) = with_a_secret_of_its_own().await;
    let old = kept(&site);
    site.robots.change_weather(|w| w.status = Some(500));
    let done = relay.webhook_done(Wish::RotateSecret).await;
    assert!(done.contains("both are accepted"), "{done}");
    let new = kept(&site);
    site.hand().advance(Duration::from_mins(30));
    assert_eq!(signed(&relay, 1, &old, 0).await, 200);
    relay.finish().await;

    let relay = site.start().await;
    relay.not_registered().await;
    assert_eq!(of_orbit(&site.robots), old.expose_hex());
    assert_eq!(signed(&relay, 2, &old, 0).await, 200);
    site.robots.change_weather(|w| w.status = None);
    site.hand().advance(Duration::from_mins(2));
    relay.registered().await;
    assert_eq!(of_orbit(&site.robots), new.expose_hex());
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    relay.finish().await;
}

#[tokio::test]
async fn a_rotation_that_was_killed_before_its_second_file_did_not_take_place() {
    let site = Site::new().await.without_variable("WEBHOOK_SECRET");
    let relay = site.start().await;
    relay.registered().await;
    relay.finish().await;
    let secret = kept(&site);
    let previous = file(&site, "webhook-secret.previous");
    std::fs::copy(file(&site, "webhook-secret"), &previous).unwrap();

    let relay = site.start().await;
    relay.registered().await;
    assert!(!previous.exists());
    assert_eq!(of_orbit(&site.robots), secret.expose_hex());
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    relay.webhook_done(Wish::RotateSecret).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_secret_that_was_given_is_not_rotated() {
    let site = Site::new().await;
    let relay = site.start().await;
    relay.registered().await;
    let why = relay.webhook(Wish::RotateSecret).await.unwrap_err();
    assert!(why.contains("WEBHOOK_SECRET"), "{why}");
    assert_eq!(of_orbit(&site.robots), SECRET);
    relay.finish().await;
}

#[tokio::test]
async fn a_secret_that_is_changed_in_orbit_is_taken_over_where_ours_was_made() {
    let (site, relay) = with_a_secret_of_its_own().await;
    let (uuid, _) = relay.registered().await;
    let (old, theirs) = (kept(&site), another("cd"));
    let changed = theirs.clone();
    site.robots.edit_webhook(&uuid, |w| w.secret = changed);
    // An event that does not verify has Orbit looked at before the minute is over.
    assert_eq!(site.inspect().await.posts[0].status, Some(401));
    relay.look_after(site.hand(), Duration::from_secs(6)).await;
    assert_eq!(kept(&site).expose_hex(), theirs.expose_hex());
    assert_eq!(mode(&file(&site, "webhook-secret")), 0o600);
    assert_eq!(signed(&relay, 1, &old, -1_000).await, 200, "was on its way");
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    relay.look(site.hand()).await;
    assert_eq!(of_orbit(&site.robots), theirs.expose_hex());
    let posts = site.robots.requests().into_iter();
    let posts = posts.filter(|seen| seen.method == "POST").count();
    assert_eq!(posts, 1, "only the create");
    relay.finish().await;

    let relay = site.start().await;
    relay.registered().await;
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    assert_eq!(kept(&site).expose_hex(), theirs.expose_hex());
    relay.finish().await;
}

#[tokio::test]
async fn a_masked_secret_is_given_to_orbit_again_only_after_events_failed_to_verify() {
    let site = Site::with_a_manual_clock().await;
    site.robots.change_weather(|w| w.mask_secrets = true);
    let relay = site.start().await;
    let (uuid, _) = relay.registered().await;
    let edit = || {
        site.robots
            .edit_webhook(&uuid, |w| w.secret = another("cd"))
    };
    assert!(edit());
    relay.look(site.hand()).await;
    assert_ne!(
        of_orbit(&site.robots),
        SECRET,
        "nothing shows that it differs"
    );
    assert_eq!(site.inspect().await.posts[0].status, Some(401));
    relay.look_after(site.hand(), Duration::from_secs(6)).await;
    assert_eq!(of_orbit(&site.robots), SECRET);
    assert_eq!(site.inspect().await.posts[0].status, Some(200));

    // Strangers can make events fail: it is not given again and again.
    assert!(edit());
    assert_eq!(site.inspect().await.posts[0].status, Some(401));
    relay.look(site.hand()).await;
    assert_ne!(of_orbit(&site.robots), SECRET);
    relay.look_after(site.hand(), Duration::from_mins(5)).await;
    assert_eq!(of_orbit(&site.robots), SECRET);
    relay.finish().await;
}

#[tokio::test]
async fn however_often_it_is_nudged_orbit_is_asked_every_five_seconds_at_most() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    relay.registered().await;
    relay.webhook_status().await;
    let before = asked_about_webhooks(&site);
    for n in 0..20 {
        assert_eq!(signed(&relay, n, &another("cd"), 0).await, 401);
        relay.nudge.look();
    }
    assert_eq!(asked_about_webhooks(&site), before, "no time has passed");
    relay.look_after(site.hand(), Duration::from_secs(5)).await;
    let after = asked_about_webhooks(&site);
    // One look, and the one of the status that was asked for.
    assert_eq!(after, before + 2);
    relay.finish().await;
}
