//! By which of several addresses Orbit calls the relay: tried in order, until one is proven.

use std::time::Duration;

use orbit_relay::app::check::{Subject, look};
use orbit_relay::config::gateway::Routes;
use orbit_relay::config::{Config, Input};
use orbit_relay::reconcile::webhook::{Address, NOTE_ADDRESS, Status};
use orbit_relay::relay::journal::State;
use orbit_relay::sim::orbit::Webhook;
use tokio::net::TcpListener;

use crate::wire;
use crate::world::{Relay, Site, any_port, inspection, secret};

const SECONDS: Duration = Duration::from_secs(5);
const LONG: Duration = Duration::from_hours(2);

/// Nothing listens at the first address of this list, the relay does at the second.
const HOSTS: &str = "127.0.0.9,127.0.0.1";

fn url_of(site: &Site) -> String {
    let webhooks = site.robots.webhooks();
    assert_eq!(webhooks.len(), 1, "{webhooks:?}");
    webhooks[0].url.clone()
}

/// The address that is tried, or nothing.
fn tried(relay: &Relay) -> Option<Address> {
    match &*relay.parts.webhook.borrow() {
        Status::Registered { tried, .. } => tried.clone(),
        other => panic!("{other:?}"),
    }
}

async fn noted(relay: &Relay) -> Option<Address> {
    let note = relay.journal_handle().note(NOTE_ADDRESS).await.unwrap();
    note.and_then(|note| Address::read(&note))
}

impl Relay {
    /// Lets time pass until this is so.
    async fn passes_until(&self, site: &Site, there: impl Fn() -> bool) {
        self.let_pass(site.hand(), SECONDS, LONG, |_| there()).await;
    }

    /// Lets time pass until this address is the one that is tried.
    async fn tries(&self, site: &Site, url: &str) {
        let there = || tried(self).is_some_and(|tried| tried.url == url);
        self.passes_until(site, there).await;
        assert_eq!(url_of(site), url);
    }

    /// Lets so much time pass in small steps.
    async fn lives_on(&self, site: &Site, time: Duration) {
        let until = self.clock.wall() + time;
        self.passes_until(site, || self.clock.wall() >= until).await;
    }
}

/// A robot inspects, and Orbit calls whoever is registered.
async fn inspect(site: &Site, status: Option<u16>) {
    let inspection = site.robots.inspect().await;
    assert_eq!(inspection.posts.len(), 1, "{inspection:?}");
    assert_eq!(inspection.posts[0].status, status, "{inspection:?}");
    site.count(status.iter().count());
}

#[tokio::test]
async fn an_address_that_orbit_cannot_call_gives_way_to_the_next_and_nothing_is_lost() {
    let site = Site::with_a_manual_clock()
        .await
        .flag("webhook-host", HOSTS);
    let relay = site.start().await;
    relay.registered().await;
    let port = relay.events.port();
    let [first, second] = ["127.0.0.9", "127.0.0.1"].map(|host| format!("http://{host}:{port}"));
    assert_eq!(url_of(&site), first);
    let ready = relay.get("/readyz").await.json();
    assert_eq!(ready["orbit"]["status"], "registered");
    let reason = ready["orbit"]["reason"].to_string();
    assert!(
        reason.contains(&first) && reason.contains("1 of 2"),
        "{reason}"
    );
    assert_eq!(ready["status"], "ready");

    // Time alone says nothing against it.
    relay.lives_on(&site, Duration::from_mins(3)).await;
    assert_eq!(url_of(&site), first);
    inspect(&site, None).await;
    relay.tries(&site, &second).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!(noted(&relay).await.map(|noted| noted.proven), Some(false));

    inspect(&site, Some(200)).await;
    relay.passes_until(&site, || tried(&relay).is_none()).await;
    let proven = noted(&relay).await.unwrap();
    assert_eq!((&proven.url, proven.proven), (&second, true));
    assert!(relay.get("/readyz").await.json()["orbit"]["reason"].is_null());
    relay.until_there_are(2, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_proven_address_stays_whatever_is_missed_and_over_a_restart() {
    let site = Site::with_a_manual_clock()
        .await
        .flag("webhook-host", HOSTS);
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let at = listener.local_addr().unwrap();
    let second = format!("http://{at}");
    let relay = site.start_at(listener).await;
    relay.registered().await;
    relay.lives_on(&site, Duration::from_mins(1)).await;
    inspect(&site, None).await;
    relay.tries(&site, &second).await;
    inspect(&site, Some(200)).await;
    relay.passes_until(&site, || tried(&relay).is_none()).await;
    lose_one(&site).await;
    relay.lives_on(&site, Duration::from_mins(20)).await;
    relay.until_there_are(3, State::Delivered).await;
    assert_eq!(url_of(&site), second);
    relay.finish().await;

    let relay = site.start_at(TcpListener::bind(at).await.unwrap()).await;
    relay.registered().await;
    lose_one(&site).await;
    relay.lives_on(&site, Duration::from_mins(20)).await;
    relay.until_there_are(4, State::Delivered).await;
    assert_eq!((url_of(&site), tried(&relay)), (second, None));
    relay.finish().await;
}

#[tokio::test]
async fn what_orbit_stored_while_the_relay_was_down_or_the_webhook_disabled_speaks_against_nothing()
{
    let site = Site::with_a_manual_clock()
        .await
        .flag("webhook-host", HOSTS);
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let at = listener.local_addr().unwrap();
    let relay = site.start_at(listener).await;
    let (uuid, _) = relay.registered().await;
    let first = url_of(&site);
    relay.lives_on(&site, Duration::from_mins(1)).await;
    relay.finish().await;
    lose_one(&site).await;
    site.hand().advance(Duration::from_mins(5));

    let relay = site.start_at(TcpListener::bind(at).await.unwrap()).await;
    relay.registered().await;
    relay.lives_on(&site, Duration::from_mins(5)).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!(url_of(&site), first);

    site.robots
        .edit_webhook(&uuid, |webhook| webhook.enabled = false);
    relay.lives_on(&site, Duration::from_mins(2)).await;
    assert!(site.robots.inspect().await.posts.is_empty());
    relay.lives_on(&site, Duration::from_secs(20)).await;
    site.robots
        .edit_webhook(&uuid, |webhook| webhook.enabled = true);
    relay.lives_on(&site, Duration::from_mins(5)).await;
    relay.until_there_are(2, State::Delivered).await;
    assert_eq!(url_of(&site), first);
    relay.finish().await;
}

#[tokio::test]
async fn what_was_sent_to_another_address_proves_nothing_whenever_it_comes() {
    let site = Site::with_a_manual_clock()
        .await
        .flag("webhook-host", HOSTS);
    let relay = site.start().await;
    relay.registered().await;
    let port = relay.events.port();
    relay.lives_on(&site, Duration::from_mins(1)).await;
    inspect(&site, None).await;
    relay
        .tries(&site, &format!("http://127.0.0.1:{port}"))
        .await;
    // On its way by the address before, or by the twin that a person made; no host is signed.
    let hosts = ["127.0.0.9", "relay", "10.0.0.5"].map(|host| format!("{host}:{port}"));
    for (n, host) in hosts.iter().enumerate() {
        say(&site, &relay, host, n).await;
    }
    relay.lives_on(&site, Duration::from_mins(3)).await;
    assert_eq!(noted(&relay).await.map(|noted| noted.proven), Some(false));
    assert!(tried(&relay).is_some());
    say(&site, &relay, &format!("127.0.0.1:{port}"), hosts.len()).await;
    relay.passes_until(&site, || tried(&relay).is_none()).await;
    assert_eq!(noted(&relay).await.map(|noted| noted.proven), Some(true));
    relay.finish().await;
}

/// A signed event comes that names this host.
async fn say(site: &Site, relay: &Relay, host: &str, n: usize) {
    let body = inspection(n).into_bytes();
    let signature = relay.sign(&body);
    let url = format!("http://{host}/");
    let request = wire::request("POST", &url, &[("Orbit-Signature", &signature)], &body);
    let answer = wire::send(relay.events, &request).await;
    assert_eq!(answer.status, 200, "{host}: {answer:?}");
    site.count(1);
}

#[tokio::test]
async fn a_test_payload_proves_the_address_too() {
    let site = Site::with_a_manual_clock()
        .await
        .flag("webhook-host", "127.0.0.1,127.0.0.9");
    let relay = site.start().await;
    let (uuid, _) = relay.registered().await;
    let sent = site.robots.send_test(&uuid).await.unwrap();
    assert_eq!(sent.status, Some(200));
    site.count(1);
    relay.passes_until(&site, || tried(&relay).is_none()).await;
    lose_one(&site).await;
    relay.lives_on(&site, Duration::from_mins(20)).await;
    assert_eq!(url_of(&site), format!("http://{}", relay.events));
    relay.finish().await;
}

#[tokio::test]
async fn where_it_only_observes_another_address_is_said_and_not_given() {
    let site = Site::with_a_manual_clock()
        .await
        .flag("webhook-host", HOSTS);
    let relay = site.start().await;
    relay.registered().await;
    let first = url_of(&site);
    relay.finish().await;
    let site = site.flag("manage", "observe");
    let at = first.trim_start_matches("http://127.0.0.9:");
    let at = TcpListener::bind(format!("127.0.0.1:{at}")).await.unwrap();
    let relay = site.start_at(at).await;
    relay.registered().await;
    relay.lives_on(&site, Duration::from_mins(1)).await;
    inspect(&site, None).await;
    relay.lives_on(&site, Duration::from_mins(30)).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!(url_of(&site), first);
    assert!(tried(&relay).is_some_and(|tried| tried.url == first));
    relay.finish().await;
}

#[tokio::test]
async fn one_address_alone_is_never_searched_for() {
    let site = Site::with_a_manual_clock().await;
    let relay = site.start().await;
    relay.registered().await;
    lose_one(&site).await;
    relay.lives_on(&site, Duration::from_mins(20)).await;
    relay.until_there_are(1, State::Delivered).await;
    assert_eq!((tried(&relay), noted(&relay).await), (None, None));
    assert_eq!(url_of(&site), format!("http://{}", relay.events));
    relay.finish().await;
}

#[tokio::test]
async fn a_webhook_made_by_hand_for_0_0_0_0_is_taken_over_and_a_persons_edit_of_it_stands() {
    let site = Site::with_a_manual_clock().await;
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    site.robots.add_webhook(Webhook {
        uuid: "by-hand".to_owned(),
        name: "mine".to_owned(),
        url: format!("http://0.0.0.0:{port}/any/path"),
        enabled: true,
        validate_tls_cert: true,
        events: vec!["ACTION_COMPLETED".to_owned()],
        secret: secret(),
        archived: false,
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
    });
    let relay = site.start_at(listener).await;
    assert_eq!(relay.registered().await, ("by-hand".to_owned(), true));
    assert_eq!(url_of(&site), format!("http://127.0.0.1:{port}"));
    let by_a_person = format!("http://0.0.0.0:{port}/");
    site.robots
        .edit_webhook("by-hand", |webhook| webhook.url.clone_from(&by_a_person));
    for _ in 0..2 {
        relay.look(site.hand()).await;
    }
    assert_eq!(url_of(&site), by_a_person);
    inspect(&site, Some(200)).await;
    site.robots
        .edit_webhook("by-hand", |webhook| webhook.url += "x");
    relay.look(site.hand()).await;
    assert_eq!(url_of(&site), format!("http://127.0.0.1:{port}"));
    relay.finish().await;
}

#[tokio::test]
async fn what_is_signed_is_an_event_at_any_path_and_what_is_not_is_at_no_path() {
    let site = Site::new().await.without_flag("hostname");
    let relay = site.start().await;
    for (n, path) in ["/", "/hooks/orbit", "/webhook", "/a/b/c", "/x?y=1"]
        .iter()
        .enumerate()
    {
        let body = inspection(n).into_bytes();
        let signature = relay.sign(&body);
        let request = wire::request("POST", path, &[("Orbit-Signature", &signature)], &body);
        let answer = wire::send(relay.events, &request).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        site.count(1);
    }
    for method in ["GET", "PUT", "POST"] {
        let answer = wire::send(relay.events, &wire::head(method, "/webhook", &[])).await;
        assert_eq!(answer.status, 404, "{method}: {answer:?}");
    }
    let forged = wire::request(
        "POST",
        "/webhook",
        &[("Orbit-Signature", "t=1,v1=00")],
        b"{}",
    );
    assert_eq!(wire::send(relay.events, &forged).await.status, 401);
    site.count(1);
    relay.until_there_are(5, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn an_orbit_that_is_not_where_it_should_be_is_found_at_the_gateway_without_the_token() {
    let site = Site::new().await;
    let at = site.orbit.addr();
    let wrong = format!("127.0.0.8:{}", at.port());
    let set = [("ORBIT_HOSTNAME", &*wrong), ("ORBIT_API_TOKEN", "canary")];
    let input = Input {
        environment: set.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        routes: Routes {
            ipv4: "lo\t00000000\t0100007F\t0003\t0\t0\t0\t00000000\t0\t0\t0\n".to_owned(),
            in_container: true,
            ..Routes::default()
        },
        ..Input::default()
    };
    let subject = Subject::of(&Config::load(&input).unwrap(), None);
    let findings = look(&subject, &site.clock).await;
    let row = findings
        .rows
        .iter()
        .find(|row| row.name == "Orbit")
        .unwrap();
    let advice = row.advice.as_ref().unwrap();
    let says = format!(
        "gateway:{0} answers like an Orbit: set ORBIT_HOSTNAME=gateway:{0}",
        at.port()
    );
    assert!(advice.contains(&says), "{advice}");
    let seen = site.robots.requests();
    assert!(
        !seen.is_empty() && seen.iter().all(|seen| !seen.authorization),
        "{seen:?}"
    );
}

/// A robot inspects, and Orbit's call is lost on its way.
async fn lose_one(site: &Site) {
    let lose = |is_lost| {
        site.robots
            .change_weather(|weather| weather.lose_webhooks = is_lost);
    };
    lose(true);
    site.robots.inspect().await;
    lose(false);
}
