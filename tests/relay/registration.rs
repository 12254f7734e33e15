//! Our webhook in Orbit: made, found again, kept right, in any weather.

use std::time::Duration;

use orbit_relay::relay::journal::State;
use orbit_relay::secret::WebhookSecret;
use orbit_relay::sim::orbit::{Redirect, Weather, Webhook};
use tokio::net::TcpListener;

use crate::world::{SECRET, Site, any_port, inspection};

const TYPES: [&str; 2] = ["ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"];

fn by_hand(uuid: &str, url: String) -> Webhook {
    Webhook {
        uuid: uuid.to_owned(),
        name: "made by hand".to_owned(),
        url,
        enabled: false,
        validate_tls_cert: false,
        events: vec!["MISSION_COMPLETED".to_owned()],
        secret: WebhookSecret::parse(&"ab".repeat(32)).unwrap(),
        archived: false,
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

/// All that may not change in a webhook that is not ours.
fn all_of(webhook: &Webhook) -> String {
    format!("{webhook:?} {}", webhook.secret.expose_hex())
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_webhook_is_made_where_there_is_none() {
    let site = Site::new().await;
    let relay = site.start().await;
    let (uuid, enabled) = relay.registered().await;
    let webhooks = site.robots.webhooks();
    assert_eq!(webhooks.len(), 1);
    let made = &webhooks[0];
    assert_eq!((made.uuid.as_str(), enabled), (uuid.as_str(), true));
    assert_eq!(made.url, format!("http://{}", relay.events));
    assert_eq!(made.events, TYPES);
    assert_eq!(made.secret.expose_hex(), SECRET);
    assert!(made.enabled && made.validate_tls_cert && !made.archived);
    relay.finish().await;
}

#[tokio::test]
async fn a_webhook_is_found_by_its_uuid_after_a_restart_even_at_another_address() {
    let site = Site::new().await;
    let relay = site.start().await;
    let (first, _) = relay.registered().await;
    relay.finish().await;

    let relay = site.start().await;
    let (second, _) = relay.registered().await;
    assert_eq!(first, second);
    let webhooks = site.robots.webhooks();
    assert_eq!(webhooks.len(), 1);
    assert_eq!(webhooks[0].url, format!("http://{}", relay.events));
    relay.finish().await;
}

#[tokio::test]
async fn at_first_contact_a_webhook_with_our_url_and_a_slash_is_ours_and_all_of_it_is_set() {
    let site = Site::new().await;
    let (listener, url) = listener().await;
    site.robots.add_webhook(by_hand("mine", format!("{url}/")));
    let relay = site.start_at(listener).await;
    assert_eq!(relay.registered().await, ("mine".to_owned(), true));
    let webhooks = site.robots.webhooks();
    assert_eq!(webhooks.len(), 1);
    assert_eq!(webhooks[0].events, TYPES);
    assert_eq!(webhooks[0].secret.expose_hex(), SECRET);
    assert_eq!(webhooks[0].name, "made by hand");
    assert!(webhooks[0].enabled && webhooks[0].validate_tls_cert);
    relay.finish().await;
}

#[tokio::test]
async fn an_archived_webhook_does_not_count_and_those_of_others_are_never_touched() {
    let site = Site::new().await;
    let (listener, url) = listener().await;
    let archived = Webhook {
        archived: true,
        ..by_hand("archived", url)
    };
    site.robots.add_webhook(archived);
    let other = "http://127.0.0.1:21601".to_owned();
    site.robots.add_webhook(by_hand("other", other));
    let before: Vec<_> = site.robots.webhooks().iter().map(all_of).collect();

    let relay = site.start_at(listener).await;
    let (ours, _) = relay.registered().await;
    let webhooks = site.robots.webhooks();
    let after: Vec<_> = webhooks.iter().map(all_of).collect();
    assert_eq!(after[..2], before);
    assert_eq!(webhooks.len(), 3);
    assert_eq!(webhooks[2].uuid, ours);
    let changes = site.robots.requests().into_iter();
    let changes: Vec<_> = changes.filter(|seen| seen.method != "GET").collect();
    assert_eq!(changes.len(), 1, "one create and nothing else: {changes:?}");
    relay.finish().await;
}

#[tokio::test]
async fn whatever_orbit_does_at_start_events_are_accepted_and_registration_comes_with_fair_weather()
{
    let fair = Weather::default();
    let elsewhere = Redirect {
        status: 302,
        location: "https://127.0.0.1:9".to_owned(),
    };
    let storms = [
        (
            "down",
            Weather {
                down: true,
                ..fair.clone()
            },
            "the exchange failed",
        ),
        (
            "500",
            Weather {
                status: Some(500),
                ..fair.clone()
            },
            "answered 500",
        ),
        (
            "429",
            Weather {
                status: Some(429),
                ..fair.clone()
            },
            "answered 429",
        ),
        (
            "nonsense",
            Weather {
                nonsense: true,
                ..fair.clone()
            },
            "not one of Orbit's API",
        ),
        (
            "redirect",
            Weather {
                redirect: Some(elsewhere),
                ..fair.clone()
            },
            "a redirect to https://127.0.0.1:9;",
        ),
    ];
    let mut rows = tokio::task::JoinSet::new();
    for (name, weather, reason) in storms {
        rows.spawn(async move {
            let site = Site::new().await;
            site.robots.set_weather(weather);
            let relay = site.start().await;
            let why = relay.not_registered().await;
            assert!(why.contains(reason), "{name}: {why}");
            relay.accept(inspection(1)).await;
            relay.until_there_are(1, State::Delivered).await;
            let ready = relay.get("/readyz").await;
            assert_eq!(ready.status, 200, "{name}");
            assert_eq!(ready.json()["orbit"]["status"], "failing", "{name}");
            site.robots.set_weather(Weather::default());
            relay.registered().await;
            assert_eq!(site.robots.webhooks().len(), 1, "{name}");
            relay.finish().await;
        });
    }
    while let Some(row) = rows.join_next().await {
        row.unwrap();
    }
}

#[tokio::test]
async fn an_odd_but_working_orbit_is_registered_with() {
    let fair = Weather::default();
    let oddities = [
        (
            "slow",
            Weather {
                delay_ms: 300,
                ..fair.clone()
            },
        ),
        (
            "answers a create with an array",
            Weather {
                create_answers_array: true,
                ..fair.clone()
            },
        ),
        (
            "masks secrets",
            Weather {
                mask_secrets: true,
                ..fair.clone()
            },
        ),
        (
            "gives no CSRF cookie",
            Weather {
                no_csrf_cookie: true,
                ..fair.clone()
            },
        ),
    ];
    for (name, weather) in oddities {
        let site = Site::new().await;
        site.robots.set_weather(weather);
        let relay = site.start().await;
        relay.accept(inspection(1)).await;
        let (uuid, _) = relay.registered().await;
        let webhooks = site.robots.webhooks();
        assert_eq!(webhooks.len(), 1, "{name}");
        assert_eq!(webhooks[0].uuid, uuid, "{name}");
        relay.finish().await;

        let changes = || {
            site.robots
                .requests()
                .iter()
                .filter(|r| r.method == "POST")
                .count()
        };
        let before = changes();
        let relay = site.start().await;
        assert_eq!(relay.registered().await.0, uuid, "{name}: found again");
        let moved = 1;
        assert_eq!(changes(), before + moved, "{name}: only its address is set");
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_create_that_is_answered_with_all_webhooks_never_takes_somebody_elses_for_ours() {
    let site = Site::new().await;
    let other = by_hand("other", "http://127.0.0.1:21601".to_owned());
    let before = all_of(&other);
    site.robots.add_webhook(other);
    site.robots.change_weather(|w| w.create_answers_all = true);
    let relay = site.start().await;
    let (uuid, _) = relay.registered().await;
    let webhooks = site.robots.webhooks();
    assert_eq!(webhooks.len(), 2);
    assert_eq!(
        (uuid, all_of(&webhooks[0])),
        (webhooks[1].uuid.clone(), before)
    );
    relay.finish().await;
}

#[tokio::test]
async fn a_refused_token_is_said_with_advice_and_events_are_accepted() {
    let site = Site::new()
        .await
        .variable("ORBIT_API_TOKEN", "of-yesterday");
    let relay = site.start().await;
    let why = relay.not_registered().await;
    for part in [
        "answered 401",
        "ADMIN",
        "ORBIT_API_TOKEN",
        "events are accepted",
    ] {
        assert!(why.contains(part), "{part}: {why}");
    }
    assert!(!why.contains("of-yesterday"), "{why}");
    relay.accept(inspection(1)).await;
    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_redirect_never_takes_the_token_to_another_host() {
    let site = Site::new().await;
    let (elsewhere, location) = listener().await;
    for status in [301, 302, 303, 307, 308] {
        let redirect = Some(Redirect {
            status,
            location: location.clone(),
        });
        site.robots
            .change_weather(|weather| weather.redirect = redirect);
        let relay = site.start().await;
        let why = relay.not_registered().await;
        assert!(why.contains(&location), "{status}: {why}");
        relay.finish().await;
    }
    let visit = tokio::time::timeout(Duration::from_millis(50), elsewhere.accept());
    assert!(visit.await.is_err(), "nobody came to the other host");
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_is_named_by_its_sha256() {
    let site = Site::new().await.flag("verify", "true");
    let relay = site.start().await;
    let why = relay.not_registered().await;
    assert!(why.contains(&site.orbit.certificate_sha256()), "{why}");
    let line = format!("ORBIT_VERIFY=sha256:{};", site.orbit.certificate_sha256());
    assert!(
        why.contains(&line) && why.contains("really Orbit's"),
        "{why}"
    );
    assert!(why.contains("--verify FILE.pem"), "{why}");
    relay.accept(inspection(1)).await;
    assert_eq!(site.robots.request_count(), 0);
    relay.finish().await;
}

#[tokio::test]
async fn any_certificate_will_do_where_the_user_said_so() {
    let site = Site::new().await.flag("verify", "False");
    let relay = site.start().await;
    relay.registered().await;
    relay.finish().await;
}

#[tokio::test]
async fn enabled_is_set_at_first_contact_and_then_only_when_the_flag_changes() {
    let site = Site::new().await.flag("enabled", "false");
    let enabled = |site: &Site| site.robots.webhooks()[0].enabled;
    let relay = site.start().await;
    let (uuid, is_enabled) = relay.registered().await;
    assert!(!is_enabled && !enabled(&site), "made as the flag says");
    assert_eq!(
        relay.get("/readyz").await.json()["orbit"]["status"],
        "disabled"
    );
    relay.finish().await;

    let site = site.flag("enabled", "true");
    let relay = site.start().await;
    assert!(
        relay.registered().await.1 && enabled(&site),
        "the flag has changed"
    );
    relay.finish().await;

    assert!(
        site.robots
            .edit_webhook(&uuid, |webhook| webhook.enabled = false)
    );
    let relay = site.start().await;
    assert!(
        !relay.registered().await.1 && !enabled(&site),
        "an admin's word stands"
    );
    relay.finish().await;
}

#[tokio::test]
async fn without_a_token_but_with_a_secret_a_person_takes_care_of_the_webhook() {
    let site = Site::new().await.without_variable("ORBIT_API_TOKEN");
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!(
        relay.get("/readyz").await.json()["orbit"]["status"],
        "by_hand"
    );
    assert_eq!(site.robots.request_count(), 0);
    relay.finish().await;
}
