//! Alerts close the loop: orders that are closed close their anomaly in Orbit.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orbit_relay::event::{ALERT, COMPLETED, ORBIT, Takes};
use orbit_relay::relay::deliver::{self, OnClosed, Poll};
use orbit_relay::relay::destination::Auth;
use orbit_relay::relay::journal::{OrderRow, Reader, State};
use orbit_relay::relay::transform::address::Address;
use orbit_relay::relay::transform::expression::Expression;
use orbit_relay::secret::{Secret, Source};
use orbit_relay::sim::backend::Answer as PlantAnswer;
use orbit_relay::sim::orbit::Inspection;
use serde_json::{Value, json};

use crate::world::{BOUND, Relay, Site};

/// What the destination's system signs with.
pub(crate) const KEY: [u8; 32] = [7; 32];

pub(crate) fn on_closed(poll: Option<String>, every: Duration) -> OnClosed {
    OnClosed {
        poll: poll.map(|url| Poll {
            url: Address::parse(&url).unwrap(),
            when: Expression::parse("response.json.status in ['CLOSED', 'COMP']").unwrap(),
            every,
        }),
        secret: Some(Source::Given(Secret::new(format!(
            "whsec_{}",
            STANDARD.encode(KEY)
        )))),
    }
}

/// A system that makes orders of alerts, asked every so often.
pub(crate) fn cmms(site: &Site, every: Duration) -> deliver::Config {
    let mut cmms = site.at("cmms");
    cmms.takes = vec![Takes::new(ORBIT, [ALERT])];
    let orders = cmms.destination.url.join("/orders/").unwrap();
    let poll = format!("{orders}{{{{ answer.id }}}}");
    cmms.on_closed = Some(on_closed(Some(poll), every));
    cmms
}

/// It answers this to alerts, and this to those who ask for order 1.
pub(crate) fn answers(site: &Site, id: &Value, status: &str) {
    let taken = PlantAnswer::Body(201, json!({"id": id}).to_string());
    site.plant().set_answer_at("/cmms", taken);
    let order = PlantAnswer::Body(200, json!({"status": status}).to_string());
    site.plant().set_get_at("/orders/1", order);
}

pub(crate) const SOON: Duration = Duration::from_millis(50);

/// A robot finds something.
pub(crate) async fn alert(site: &Site) -> Inspection {
    for _ in 0..500 {
        let inspection = site.inspect().await;
        if inspection.event_type == ALERT {
            return inspection;
        }
    }
    panic!("no alert in 500 inspections");
}

pub(crate) fn status_of(site: &Site, alert: &Inspection) -> String {
    site.robots.anomaly_of(&alert.run_event).unwrap().1
}

/// How often an anomaly was changed by the API.
pub(crate) fn patches(site: &Site) -> usize {
    let requests = site.robots.requests();
    requests
        .iter()
        .filter(|seen| seen.method == "PATCH")
        .count()
}

pub(crate) async fn until_told(relay: &Relay, n: u64) {
    relay
        .until_at("cmms", "told", |d| {
            d.orders.told == n && d.orders.closed == 0
        })
        .await;
}

pub(crate) async fn until_open(relay: &Relay, n: u64) {
    relay.until_at("cmms", "open", |d| d.orders.open == n).await;
}

pub(crate) fn orders(site: &Site) -> Vec<OrderRow> {
    Reader::open(&site.data_dir()).unwrap().orders(100).unwrap()
}

/// Waits until the newest order has a reason on record.
pub(crate) async fn until_noted(site: &Site, why: fn(&OrderRow) -> &Option<String>) {
    let noted = async {
        while why(&orders(site)[0]).is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let noted = tokio::time::timeout(BOUND, noted).await;
    assert!(noted.is_ok(), "{:?}", orders(site));
}

async fn asked(site: &Site, n: usize) {
    asked_at(site, "", n).await;
}

/// Waits until so many questions came to paths that begin like this.
async fn asked_at(site: &Site, path: &str, n: usize) {
    let there = || {
        let gets = site.plant().gets();
        gets.iter()
            .filter(|asked| asked.path.starts_with(path))
            .count()
    };
    let asked = async {
        while there() < n {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let asked = tokio::time::timeout(BOUND, asked).await;
    assert!(asked.is_ok(), "{n} questions: {:?}", site.plant().gets());
}

#[tokio::test]
async fn a_closed_order_closes_its_anomaly_exactly_once_over_restarts() {
    let site = Site::new().await;
    let mut config = cmms(&site, SOON);
    config.destination.auth = Auth::parse("Bearer of-the-cmms").unwrap();
    let site = site.destination(config);
    answers(&site, &json!(1), "INPRG");
    let relay = site.start().await;
    relay.registered().await;
    let alert = alert(&site).await;
    until_open(&relay, 1).await;
    asked(&site, 2).await;
    assert_eq!(
        (status_of(&site, &alert), patches(&site)),
        ("open".into(), 0)
    );
    relay.finish().await;

    // Its system closes it while the relay is away.
    answers(&site, &json!(1), "COMP");
    let relay = site.start().await;
    until_told(&relay, 1).await;
    assert_eq!(status_of(&site, &alert), "closed");
    relay.finish().await;
    let questions = site.plant().gets();
    assert!(questions.iter().all(|asked| {
        let header = |name: &str| asked.headers.get(name).map(String::as_str);
        header("authorization") == Some("Bearer of-the-cmms")
            && header("idempotency-key").is_none()
            && header("accept") == Some("application/json")
    }));

    let relay = site.start().await;
    until_told(&relay, 1).await;
    let metric = "orbit_relay_work_orders{destination=\"cmms\",state=\"told\"}";
    assert!((relay.metric(metric).await - 1.0).abs() < 0.1);
    relay.finish().await;
    assert_eq!(patches(&site), 1);
    assert_eq!(site.plant().gets().len(), questions.len());
    let [order] = &orders(&site)[..] else {
        panic!()
    };
    assert_eq!(order.run_event, alert.run_event);
    assert_eq!(order.closed_by.as_deref(), Some("poll"));
    assert!(order.orbit_closed_at.is_some() && order.orbit_why.is_none());
}

#[tokio::test]
async fn two_questions_are_under_way_at_most_and_posts_go_on() {
    let site = Site::new().await;
    let config = cmms(&site, SOON);
    let other = another(&site);
    let site = site.destination(config).destination(other);
    answers(&site, &json!(1), "");
    site.plant().set_get_at("/orders/1", PlantAnswer::Hang);
    let relay = site.start().await;
    relay.registered().await;
    for n in 1..=4 {
        alert(&site).await;
        relay.until_there_are_at("cmms", n, State::Delivered).await;
    }
    asked_at(&site, "/orders/1", 2).await;
    // Time for many more, as the other destination shows.
    asked_at(&site, "/others/1", 20).await;
    let gets = site.plant().gets();
    assert_eq!(
        gets.iter()
            .filter(|asked| asked.path == "/orders/1")
            .count(),
        2
    );
    relay.finish().await;
}

/// Another destination, whose orders stay open.
fn another(site: &Site) -> deliver::Config {
    let mut other = site.at("other");
    other.takes = vec![Takes::new(ORBIT, [ALERT])];
    let places = other.destination.url.join("/others/").unwrap();
    let places = format!("{places}{{{{ answer.id }}}}");
    other.on_closed = Some(on_closed(Some(places), SOON));
    let open = PlantAnswer::Body(200, json!({"id": 1, "status": "INPRG"}).to_string());
    site.plant().set_answer_at("/other", open.clone());
    site.plant().set_get_at("/others/1", open);
    other
}

#[tokio::test]
async fn nothing_is_asked_of_a_destination_that_is_paused() {
    let site = Site::new().await;
    let config = cmms(&site, SOON);
    let other = another(&site);
    let site = site.destination(config).destination(other);
    answers(&site, &json!(1), "INPRG");
    let relay = site.start().await;
    relay.registered().await;
    alert(&site).await;
    relay.until_there_are_at("cmms", 1, State::Delivered).await;
    relay.until_there_are_at("other", 1, State::Delivered).await;
    let at = relay.clock.wall();
    let journal = relay.journal_handle();
    assert_eq!(
        journal.pause(at, "cmms", "me", "works", None).await,
        Ok(true)
    );
    let asked_of = |path: &str| {
        let gets = site.plant().gets();
        gets.iter().filter(|asked| asked.path == path).count()
    };
    // One was under way, or about to be; the other destination says when time has passed.
    let seen = async |more: usize| asked_at(&site, "/others/1", asked_of("/others/1") + more).await;
    seen(3).await;
    let before = asked_of("/orders/1");
    seen(20).await;
    assert_eq!(asked_of("/orders/1"), before);
    relay.resume("cmms").await;
    asked_at(&site, "/orders/1", before + 1).await;
    relay.finish().await;
}

#[tokio::test]
async fn hostile_ids_are_asked_for_at_one_place_or_not_at_all() {
    for (id, place) in [
        (json!("../../admin"), Some("/orders/..%2F..%2Fadmin")),
        (json!("1?x=y#z"), Some("/orders/1%3Fx%3Dy%23z")),
        (json!("@evil.example/"), Some("/orders/%40evil.example%2F")),
        (json!(".."), None),
        (json!({"a": 1}), None),
        (json!(null), None),
    ] {
        let site = Site::new().await;
        let config = cmms(&site, SOON);
        let site = site.destination(config);
        answers(&site, &id, "OPEN");
        if let Some(place) = place {
            let open = PlantAnswer::Body(200, json!({"status": "OPEN"}).to_string());
            site.plant().set_get_at(place, open);
        }
        let relay = site.start().await;
        relay.registered().await;
        alert(&site).await;
        until_open(&relay, 1).await;
        if let Some(place) = place {
            asked(&site, 1).await;
            assert!(site.plant().gets().iter().all(|asked| asked.path == place));
        } else {
            until_noted(&site, |order| &order.poll_why).await;
            assert!(site.plant().gets().is_empty());
        }
        relay.finish().await;
    }
}

#[tokio::test]
async fn an_order_that_is_gone_stays_open_and_is_shown() {
    let site = Site::new().await;
    let config = cmms(&site, SOON);
    let site = site.destination(config);
    answers(&site, &json!(1), "");
    site.plant()
        .set_get_at("/orders/1", PlantAnswer::Status(404));
    let relay = site.start().await;
    relay.registered().await;
    alert(&site).await;
    asked(&site, 1).await;
    until_noted(&site, |order| &order.poll_why).await;
    let why = orders(&site)[0].poll_why.clone();
    assert_eq!(why.as_deref(), Some("it is not there: answered 404"));
    until_open(&relay, 1).await;
    relay.finish().await;
}

#[tokio::test]
async fn without_a_token_a_closed_order_is_recorded_and_waits() {
    let site = Site::new().await.without_variable("ORBIT_API_TOKEN");
    let config = cmms(&site, SOON);
    let site = site.destination(config);
    answers(&site, &json!(1), "CLOSED");
    let relay = site.start().await;
    let body = json!({"uuid": "m", "type": ALERT, "data": {"uuid": "r-1", "actionName": "Pump"}});
    relay.accept(body.to_string()).await;
    relay
        .until_at("cmms", "closed", |d| d.orders.closed == 1)
        .await;
    relay.finish().await;
    assert_eq!(patches(&site), 0);
    assert_eq!(orders(&site)[0].title.as_deref(), Some("Pump"));
}

#[tokio::test]
async fn a_completed_event_makes_no_order() {
    let site = Site::new().await;
    let mut config = cmms(&site, SOON);
    config.takes.push(Takes::new(ORBIT, [COMPLETED]));
    let site = site.destination(config);
    let relay = site.start().await;
    relay.accept(crate::world::inspection(1)).await;
    relay.until_there_are_at("cmms", 1, State::Delivered).await;
    relay.finish().await;
    assert_eq!(orders(&site), []);
}
