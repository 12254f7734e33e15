//! What others do to our webhook in Orbit, what the relay does about it, and what a person asks
//! for.

use std::time::Duration;

use orbit_relay::reconcile::webhook::{NOTE_RECONCILED, Relation, ShownSecret, Status, Told, Wish};
use orbit_relay::relay::journal::State;
use orbit_relay::secret::WebhookSecret;
use orbit_relay::sim::orbit::{Weather, Webhook, World};

use crate::world::{SECRET, Site, asked_about_webhooks, inspection, level};

const TYPES: [&str; 2] = ["ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"];

/// How often something was to be changed in Orbit.
fn changes(robots: &World) -> usize {
    let requests = robots.requests().into_iter();
    requests.filter(|seen| seen.method != "GET").count()
}

fn live(robots: &World) -> Vec<Webhook> {
    let mut webhooks = robots.webhooks();
    webhooks.retain(|webhook| !webhook.archived);
    webhooks
}

fn another() -> WebhookSecret {
    WebhookSecret::parse(&"ab".repeat(32)).unwrap()
}

#[tokio::test]
async fn whatever_is_done_to_it_in_orbit_is_set_right() {
    type Edit = fn(&mut Webhook);
    let edits: [(&str, Edit); 5] = [
        ("archived", |w| w.archived = true),
        ("events", |w| w.events.truncate(1)),
        ("TLS flag", |w| w.validate_tls_cert = false),
        ("address", |w| w.url = "http://10.0.0.9:21600".to_owned()),
        ("secret", |w| w.secret = another()),
    ];
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    relay.registered().await;
    let check = |what: &str| {
        let live = live(&site.robots);
        assert_eq!(live.len(), 1, "{what}");
        assert_eq!(live[0].url, format!("http://{}", relay.events), "{what}");
        assert_eq!(live[0].events, TYPES, "{what}");
        assert_eq!(live[0].secret.expose_hex(), SECRET, "{what}");
        assert!(live[0].enabled && live[0].validate_tls_cert, "{what}");
        live[0].uuid.clone()
    };
    let uuid = check("at first");
    assert!(site.robots.remove_webhook(&uuid));
    relay.look(site.hand()).await;
    check("removed");
    for (what, edit) in edits {
        let uuid = check(what);
        assert!(site.robots.edit_webhook(&uuid, edit));
        let before = changes(&site.robots);
        relay.look(site.hand()).await;
        check(what);
        relay.look(site.hand()).await;
        let after = changes(&site.robots);
        assert_eq!(after, before + 1, "{what}: set right once");
    }
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn observing_says_what_differs_and_writes_nothing_until_a_person_asks() {
    let site = Site::with_a_manual_clock().await.flag("manage", "observe");
    let relay = site.start().await;
    let drift = |status: &Status| matches!(status, Status::Drift { .. });
    let what = |status| match status {
        Status::Drift { what } => what,
        other => panic!("{other:?}"),
    };
    let missing = level(relay.parts.webhook.clone(), "drift", drift).await;
    assert_eq!(what(missing), ["missing"]);
    let ready = relay.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (200, &"degraded".into())
    );
    assert_eq!(ready.json()["orbit"]["status"], "drift");
    let reason = ready.json()["orbit"]["reason"].to_string();
    assert!(reason.contains("missing"), "{reason}");

    site.robots.add_webhook(Webhook {
        uuid: "by-hand".to_owned(),
        name: String::new(),
        url: format!("http://{}", relay.events),
        enabled: true,
        validate_tls_cert: false,
        events: vec!["ACTION_COMPLETED".to_owned()],
        secret: another(),
        archived: false,
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
    });
    relay.look(site.hand()).await;
    let status = relay.parts.webhook.borrow().clone();
    assert_eq!(what(status), ["events", "TLS flag", "secret"]);
    assert_eq!(changes(&site.robots), 0, "{:?}", site.robots.requests());

    let done = relay.webhook_done(Wish::Sync).await;
    assert!(
        done.contains("set right by-hand: first contact, events"),
        "{done}"
    );
    assert_eq!(live(&site.robots)[0].secret.expose_hex(), SECRET);
    relay.look(site.hand()).await;
    assert_eq!(relay.registered().await, ("by-hand".to_owned(), true));
    relay.finish().await;
}

#[tokio::test]
async fn with_manage_off_orbit_is_asked_only_for_lists() {
    let site = Site::new().await.flag("manage", "off");
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are(1, State::Delivered).await;
    let ready = relay.get("/readyz").await.json();
    assert_eq!(ready["orbit"]["status"], "off");
    assert_eq!(ready["status"], "ready");
    for wish in [Wish::Sync, Wish::Delete, Wish::RotateSecret] {
        let why = relay.webhook(wish).await.unwrap_err();
        assert!(why.contains("--manage is off"), "{why}");
    }
    assert_eq!(asked_about_webhooks(&site), 0);
    assert_eq!(relay.webhook(Wish::List).await, Ok(Told::List(Vec::new())));
    relay.webhook_status().await;
    assert_eq!(changes(&site.robots), 0);
    let noted = relay.journal_handle().note(NOTE_RECONCILED).await;
    assert_eq!(
        noted,
        Ok(None),
        "to look writes nothing, so a full disk is no matter"
    );
    relay.finish().await;
}

#[tokio::test]
async fn of_two_that_are_ours_one_is_kept_and_a_twin_of_somebody_else_is_left_alone() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    let (first, _) = relay.registered().await;
    site.robots.edit_webhook(&first, |w| w.archived = true);
    relay.look(site.hand()).await;
    let second = live(&site.robots)[0].uuid.clone();
    assert_ne!(first, second, "an archived one is made anew");
    site.robots.edit_webhook(&first, |w| w.archived = false);
    let twin = Webhook {
        uuid: "twin".to_owned(),
        secret: another(),
        ..live(&site.robots)[0].clone()
    };
    site.robots.add_webhook(twin.clone());
    relay.look(site.hand()).await;
    let left = live(&site.robots);
    let uuids: Vec<_> = left.iter().map(|w| w.uuid.as_str()).collect();
    assert_eq!(uuids, [second.as_str(), "twin"]);
    assert_eq!(format!("{:?}", left[1]), format!("{twin:?}"));
    assert_eq!(left[1].secret.expose_hex(), twin.secret.expose_hex());

    let report = relay.webhook_status().await;
    assert_eq!(
        (report.twins, report.differences),
        (vec!["twin".into()], vec![])
    );
    let Ok(Told::List(listed)) = relay.webhook(Wish::List).await else {
        panic!("it is a list");
    };
    let relations: Vec<_> = listed.iter().map(|w| (w.relation, w.secret)).collect();
    let whole = ShownSecret::Whole;
    assert_eq!(
        relations,
        [(Relation::Ours, whole), (Relation::Twin, whole)]
    );
    relay.finish().await;
}

#[tokio::test]
async fn one_that_is_disabled_by_hand_is_reported_and_enabled_by_sync() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    let (uuid, _) = relay.registered().await;
    site.robots.edit_webhook(&uuid, |w| w.enabled = false);
    relay.look(site.hand()).await;
    assert_eq!(relay.registered().await, (uuid.clone(), false));
    let ready = relay.get("/readyz").await.json();
    assert_eq!(ready["orbit"]["status"], "disabled");
    assert_eq!(ready["status"], "degraded");
    assert_eq!(relay.webhook_status().await.status, "disabled");
    assert!(!live(&site.robots)[0].enabled, "it is respected");

    let done = relay.webhook_done(Wish::Sync).await;
    assert_eq!(done, format!("set right {uuid}: enabled"));
    assert!(live(&site.robots)[0].enabled);
    assert_eq!(relay.registered().await, (uuid, true));
    assert_eq!(relay.webhook_done(Wish::Sync).await, "all was right");
    relay.finish().await;
}

#[tokio::test]
async fn what_a_person_deletes_is_not_made_again_until_sync_or_until_enabled_changes() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    let (uuid, _) = relay.registered().await;
    let done = relay.webhook_done(Wish::Delete).await;
    assert!(done.starts_with(&format!("deleted {uuid}\n")), "{done}");
    relay.look(site.hand()).await;
    assert_eq!(live(&site.robots).len(), 0);
    let ready = relay.get("/readyz").await.json();
    assert_eq!(ready["orbit"]["status"], "deleted");
    relay.finish().await;

    let relay = site.start().await;
    let deleted = |status: &Status| *status == Status::Deleted;
    level(relay.parts.webhook.clone(), "deleted", deleted).await;
    assert_eq!(relay.webhook_status().await.status, "deleted");
    relay.finish().await;

    let site = site.flag("enabled", "false");
    let relay = site.start().await;
    assert!(!relay.registered().await.1, "the flag has changed");
    relay.webhook_done(Wish::Delete).await;
    let done = relay.webhook_done(Wish::Sync).await;
    assert!(done.starts_with("made "), "{done}");
    assert_eq!(live(&site.robots).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_deletion_that_failed_is_finished_by_the_next_look_and_drift_where_it_is_only_observed() {
    for manage in ["repair", "observe"] {
        let site = Site::with_a_manual_clock().await.flag("manage", manage);
        let relay = site.start().await;
        relay.webhook_done(Wish::Sync).await;
        let (uuid, _) = relay.registered().await;
        relay.webhook_done(Wish::Delete).await;
        assert_eq!(live(&site.robots).len(), 0);
        relay.webhook_done(Wish::Sync).await;
        let made = live(&site.robots)[0].clone();
        assert_ne!(made.uuid, uuid);
        // As a kill leaves it between the record and the deletion.
        let journal = relay.journal_handle();
        let note = journal.note("webhook").await.unwrap().unwrap();
        let note = note.replace("\"deleted\":false", "\"deleted\":true");
        journal.set_note("webhook", note).await.unwrap();
        relay.look(site.hand()).await;
        let status = relay.webhook_status().await;
        if manage == "repair" {
            assert_eq!(live(&site.robots).len(), 0);
            assert_eq!(status.status, "deleted");
        } else {
            assert_eq!(live(&site.robots).len(), 1, "only observed");
            assert_eq!(status.status, "drift");
            let drift = relay.parts.webhook.borrow().clone();
            assert!(matches!(drift, Status::Drift { .. }), "{drift:?}");
            relay.webhook_done(Wish::Delete).await;
            assert_eq!(live(&site.robots).len(), 0);
        }
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_create_whose_answer_is_lost_leads_to_one_webhook() {
    let site = Site::with_a_manual_clock().await;
    site.robots.change_weather(|w| w.lose_create_answers = true);
    let relay = site.start().await;
    relay.not_registered().await;
    assert_eq!(live(&site.robots).len(), 1);
    site.hand().advance(Duration::from_mins(1));
    let (uuid, _) = relay.registered().await;
    let live = live(&site.robots);
    assert_eq!((live.len(), &live[0].uuid), (1, &uuid));
    relay.finish().await;
}

#[tokio::test]
async fn a_token_that_is_refused_later_leaves_webhooks_working_and_the_relay_degraded() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    relay.registered().await;
    assert_eq!(relay.get("/readyz").await.json()["status"], "ready");
    let looked = relay
        .metric("orbit_relay_last_reconcile_timestamp_seconds")
        .await;
    assert!(looked > 1.0, "{looked}");
    site.robots.change_weather(|w| w.status = Some(401));
    site.hand().advance(Duration::from_secs(61));
    let why = relay.not_registered().await;
    assert!(why.contains("API token"), "{why}");
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    relay.until_there_are(1, State::Delivered).await;
    let ready = relay.get("/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (200, &"degraded".into())
    );
    site.robots.set_weather(Weather::default());
    site.hand().advance(Duration::from_mins(5));
    relay.registered().await;
    relay.finish().await;
}

#[tokio::test]
async fn what_becomes_of_it_when_the_relay_stops_is_as_on_exit_says() {
    let site = Site::new().await;
    let relay = site.start().await;
    relay.registered().await;
    relay.finish().await;
    assert!(live(&site.robots)[0].enabled, "keep is the default");

    let site = site.flag("on-exit", "disable");
    let relay = site.start().await;
    let (uuid, _) = relay.registered().await;
    relay.finish().await;
    assert!(!live(&site.robots)[0].enabled);
    let relay = site.start().await;
    assert_eq!(relay.registered().await, (uuid.clone(), true));
    assert!(live(&site.robots)[0].enabled, "enabled again");
    site.robots.edit_webhook(&uuid, |w| w.enabled = false);
    relay.finish().await;
    let relay = site.start().await;
    let enabled = relay.registered().await.1;
    assert!(!enabled, "what an administrator disabled stays so");
    relay.finish().await;

    let site = site.flag("on-exit", "delete");
    let relay = site.start().await;
    relay.registered().await;
    relay.finish().await;
    assert_eq!(site.robots.webhooks().len(), 0);
    let relay = site.start().await;
    assert_ne!(relay.registered().await.0, uuid, "made anew");
    relay.finish().await;
}

#[tokio::test]
async fn events_are_taken_while_orbit_is_told_of_the_stop_and_one_that_hangs_does_not_hold_it_up() {
    let site = Site::new().await.flag("on-exit", "disable");
    let relay = site.start().await;
    relay.registered().await;
    site.robots.change_weather(|w| w.delay_ms = 60_000);
    relay.tell_to_stop();
    relay.accept(inspection(1)).await;
    relay.finish().await;
    assert!(live(&site.robots)[0].enabled);
}

#[tokio::test]
async fn without_a_webhook_host_nothing_is_registered_and_events_are_taken_all_the_same() {
    let site = Site::new().await.flag("webhook-host", "none");
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are(1, State::Delivered).await;
    let ready = relay.get("/readyz").await.json();
    assert_eq!(ready["orbit"]["status"], "polling");
    assert_eq!(ready["status"], "ready");
    assert_eq!(relay.webhook_status().await.status, "polling");
    let why = relay.webhook(Wish::Sync).await.unwrap_err();
    assert!(why.contains("--webhook-host is none"), "{why}");
    assert_eq!(changes(&site.robots), 0);
    relay.finish().await;
}

#[tokio::test]
async fn polling_needs_an_orbit_and_a_token_even_where_a_secret_is_given() {
    let site = Site::new()
        .await
        .flag("webhook-host", "none")
        .without_variable("ORBIT_API_TOKEN");
    let relay = site.start_unready().await;
    let not_configured =
        |secret: &Result<_, String>| matches!(secret, Err(why) if why.contains("not configured"));
    let why = level(relay.parts.secret.clone(), "a reason", not_configured).await;
    let why = why.unwrap_err();
    for part in ["ORBIT_API_TOKEN", "--webhook-host none"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    relay.finish().await;
}
