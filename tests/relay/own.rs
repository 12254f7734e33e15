//! What the relay itself has to say, and what other sources say, goes to whoever takes it; and
//! nothing goes round.

use orbit_relay::config::Config;
use orbit_relay::event::{ALERT, COMPLETED, Event, Identity, ORBIT, Origin, RELAY, Takes};
use orbit_relay::reconcile::webhook::Wish;
use orbit_relay::relay::deliver;
use orbit_relay::relay::journal::State;
use orbit_relay::relay::transform::expression::Expression;
use orbit_relay::sim::backend::{Answer, BackendWorld};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::engine::action;
use crate::world::{Relay, Site, accepted, inspection};

/// The bodies that came to this path and were taken.
fn bodies(plant: &BackendWorld, path: &str) -> Vec<Value> {
    let posts = plant.received_at(path);
    let taken = posts.iter().filter(|post| post.accepted());
    taken
        .map(|post| serde_json::from_slice(&post.body).unwrap())
        .collect()
}

/// A destination at `/name` that takes these events of the relay.
fn hears(site: &Site, name: &str, types: &[&str]) -> deliver::Config {
    deliver::Config {
        takes: vec![Takes::new(RELAY, types)],
        ..site.at(name)
    }
}

/// Waits until nothing is left to be done.
async fn until_at_rest(relay: &Relay) {
    relay
        .until("at rest", |sums| {
            let mut all = sums.destinations.iter();
            all.all(|d| d.of(State::Pending) + d.of(State::Sending) + d.of(State::Postponed) == 0)
        })
        .await;
}

/// The types on record.
fn types(relay: &Relay) -> Vec<String> {
    let rows = relay.journal();
    rows.iter().map(|row| row.event_type.clone()).collect()
}

fn tune(config: &mut Config) {
    for of in &mut config.destinations {
        if of.destination.name == "cmms" {
            of.answer_as_event = true;
        } else {
            of.takes = vec![Takes::new(RELAY, ["answer:cmms"])];
        }
    }
}

/// A sample that Orbit might have sent comes into the journal.
async fn sample(site: &Site, relay: &Relay, event_type: &str, body: &Value) {
    let event = Event {
        source: ORBIT.to_owned(),
        event_type: event_type.to_owned(),
        identity: Identity::RunEvent("sample-1".to_owned()),
        origin: Origin::Sample,
        received_at: relay.clock.wall(),
        body: body.to_string().into_bytes(),
    };
    relay.journal_handle().append(event).await.unwrap();
    site.count(1);
}

#[tokio::test]
async fn the_number_of_a_ticket_reaches_the_template_of_a_chat() {
    let site = Site::new().await;
    let url = site.at("").destination.url.origin().ascii_serialization();
    let file = format!(
        r#"
        [[destination]]
        name = "cmms"
        url = "{url}/cmms"
        [[destination]]
        name = "chat"
        url = "{url}/chat"
        body = {{ text = "ticket {{{{ event.data.answer.number }}}} in {{{{ event.data.destination }}}}" }}
        "#
    );
    let site = site.configured(&file).tuned(tune);
    let plant = site.plant();
    let answer = json!({"number": "WO-7"}).to_string();
    plant.set_answer_at("/cmms", Answer::Body(201, answer));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    accepted(&plant, 2).await;
    assert_eq!(
        bodies(&plant, "/chat"),
        [json!({"text": "ticket WO-7 in cmms"})]
    );
    until_at_rest(&relay).await;
    assert_eq!(types(&relay), [COMPLETED, "answer:cmms"]);
    relay.stop().await;
}

#[tokio::test]
async fn an_answer_of_many_kilobytes_is_told_whole_and_what_steps_took_too() {
    let site = Site::new().await;
    let url = site.at("").destination.url.origin().ascii_serialization();
    let file = format!(
        r#"
        [[destination]]
        name = "cmms"
        url = "{url}"
        [[destination.step]]
        name = "create"
        path = "/cmms"
        body = {{ n = 1 }}
        take = {{ id = "json:/id" }}
        [[destination]]
        name = "chat"
        url = "{url}/chat"
        "#
    );
    let site = site.configured(&file).tuned(tune);
    let plant = site.plant();
    let long = "x".repeat(40_000);
    let answer = json!({"id": "7", "long": long});
    plant.set_answer_at("/cmms", Answer::Body(200, answer.to_string()));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    accepted(&plant, 2).await;
    let data = &bodies(&plant, "/chat")[0]["data"];
    assert_eq!(data["answer"], answer);
    assert_eq!(data["taken"], json!({"id": "7"}));
    relay.stop().await;
}

#[tokio::test]
async fn what_became_of_a_delivery_reaches_another_once_and_nothing_goes_round() {
    let site = Site::new().await;
    let (mut cmms, chat) = (site.at("cmms"), hears(&site, "chat", &["after:deliver"]));
    cmms.takes.push(Takes::new(RELAY, ["*"]));
    let site = site.destination(cmms).destination(chat);
    let plant = site.plant();
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at("chat", 1, State::Delivered).await;
    until_at_rest(&relay).await;
    let told = bodies(&plant, "/chat");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["type"], "after:deliver");
    assert_eq!(told[0]["data"]["destination"], "cmms");
    assert_eq!(told[0]["data"]["outcome"], "delivered");
    assert_eq!(told[0]["relay"]["source"], RELAY);
    assert_eq!(told[0]["relay"]["event_type"], "after:deliver");
    // It hears that the event came, and not what it did itself.
    let heard = bodies(&plant, "/cmms");
    let heard: Vec<_> = heard.iter().map(|body| &body["type"]).collect();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert!(heard.contains(&&json!("event.received")), "{heard:?}");
    let rows = relay.journal();
    let after = rows.iter().filter(|row| row.event_type == "after:deliver");
    let of_cmms = after.flat_map(|row| &row.deliveries);
    let of_cmms = of_cmms.filter(|of| of.destination == "cmms");
    let reasons: Vec<_> = of_cmms.map(|of| of.reason.clone().unwrap()).collect();
    // What chat did with an event of the relay is not told.
    assert_eq!(reasons, ["about this destination itself"]);
    relay.stop().await;
}

#[tokio::test]
async fn an_action_without_an_asset_is_told_once_for_all_destinations() {
    let site = Site::new().await;
    let chat = hears(&site, "chat", &["asset.unmapped"]);
    let (cmms, other) = (site.at("cmms"), site.at("other"));
    let site = site.destination(cmms).destination(other).destination(chat);
    let plant = site.plant();
    let relay = site.start().await;
    for n in 1..=3 {
        relay
            .accept(action(n, COMPLETED, "nobody knows this"))
            .await;
    }
    relay.until_there_are_at("chat", 1, State::Delivered).await;
    relay.until_there_are_at("cmms", 3, State::Delivered).await;
    relay.until_there_are_at("other", 3, State::Delivered).await;
    until_at_rest(&relay).await;
    let told = bodies(&plant, "/chat");
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["data"]["action"], "nobody knows this");
    let sums = relay.finish_with_notices(1).await;
    assert_eq!(sums.duplicate, 0, "nobody sent it twice");
}

#[tokio::test]
async fn drift_that_is_only_observed_is_told_when_it_changes_and_not_again_at_a_start() {
    let site = Site::with_a_manual_clock().await.flag("manage", "observe");
    let chat = hears(&site, "chat", &["webhook.drift"]);
    let site = site.destination(chat);
    let drifts = |relay: &Relay| types(relay).len();
    let events = |n: usize| {
        let webhook = site.robots.webhooks().remove(0);
        assert!(site.robots.edit_webhook(&webhook.uuid, |w| {
            w.events = [COMPLETED, "ACTION_COMPLETED_WITH_ALERT"][..n]
                .iter()
                .map(|of| (*of).to_owned())
                .collect();
        }));
    };
    let relay = site.start().await;
    relay.webhook_done(Wish::Sync).await;
    relay.registered().await;
    events(1);
    for _ in 0..2 {
        relay.look(site.hand()).await;
        assert_eq!(drifts(&relay), 1);
    }
    let same = relay.events;
    relay.finish_with_notices(1).await;
    let listener = TcpListener::bind(same).await.unwrap();
    let relay = site.start_at(listener).await;
    relay.look(site.hand()).await;
    assert_eq!(drifts(&relay), 1, "nothing changed");
    events(2);
    relay.look(site.hand()).await;
    assert_eq!(drifts(&relay), 1, "it is as it should be");
    events(1);
    relay.look(site.hand()).await;
    assert_eq!(drifts(&relay), 2, "it came back");
    relay.until_there_are_at("chat", 2, State::Delivered).await;
    relay.finish_with_notices(1).await;
}

#[tokio::test]
async fn an_event_of_another_source_needs_no_type_in_its_body() {
    let site = Site::new().await;
    let mut chat = site.at("chat");
    chat.takes = vec![Takes::new("github", ["issues.*"])];
    let filter = "delivery.source == 'github' and event.issue.number == 5";
    chat.when = Some(Expression::parse(filter).unwrap());
    let site = site.destination(chat);
    let plant = site.plant();
    let relay = site.start().await;
    for (n, source, event_type) in [
        (5, "github", "issues.opened"),
        (6, "github", "issues.opened"),
        (5, "github", "push"),
        (5, "gitlab", "issues.opened"),
    ] {
        let event = Event {
            source: source.to_owned(),
            event_type: event_type.to_owned(),
            identity: Identity::Id(format!("{n}")),
            origin: Origin::Webhook,
            received_at: relay.clock.wall(),
            body: json!({"issue": {"number": n}}).to_string().into_bytes(),
        };
        relay.journal_handle().append(event).await.unwrap();
    }
    relay.until_there_are_at("chat", 3, State::Skipped).await;
    relay.until_there_are_at("chat", 1, State::Delivered).await;
    let body = &bodies(&plant, "/chat")[0];
    assert_eq!(body["issue"]["number"], 5);
    assert_eq!(body["relay"]["source"], "github");
    assert_eq!(body["relay"]["event_type"], "issues.opened");
    relay.stop().await;
}

#[tokio::test]
async fn a_sample_alert_asks_nothing_of_orbit_and_makes_no_order_as_a_genuine_one_does() {
    let site = Site::new().await;
    let mut cmms = crate::orders::cmms(&site, crate::orders::SOON);
    cmms.when = Some(Expression::parse("inspection.robot != 'nobody'").unwrap());
    let site = site.destination(cmms);
    crate::orders::answers(&site, &json!(1), "OPEN");
    let relay = site.start().await;
    let of_runs = || {
        let asked = site.robots.requests();
        let of_runs = asked.iter().filter(|seen| seen.path.contains("/runs/"));
        of_runs.count()
    };
    let body = json!({"type": ALERT, "data": {"uuid": "sample-1",
        "runUuid": "r", "actionName": "P-101 motor DE"}});
    sample(&site, &relay, ALERT, &body).await;
    relay.until_there_are_at("cmms", 1, State::Delivered).await;
    assert!(crate::orders::orders(&site).is_empty());
    assert_eq!(of_runs(), 0);
    relay.registered().await;
    crate::orders::alert(&site).await;
    relay.until_there_are_at("cmms", 2, State::Delivered).await;
    assert_eq!(crate::orders::orders(&site).len(), 1);
    assert_eq!(of_runs(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_sample_for_a_destination_waits_for_its_asset_whatever_the_filter_says() {
    let site = Site::new().await;
    let mut cmms = site.at("cmms");
    cmms.unmapped = deliver::Unmapped::Park;
    cmms.when = Some(Expression::parse("false").unwrap());
    let site = site.destination(cmms);
    let relay = site.start().await;
    let body = json!({"type": COMPLETED, "sample": {"destination": "cmms"},
        "data": {"uuid": "sample-1", "actionName": "nobody knows this"}});
    sample(&site, &relay, COMPLETED, &body).await;
    relay.until_there_are_at("cmms", 1, State::Parked).await;
    relay.finish().await;
}
