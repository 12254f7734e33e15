//! A gate is asked before an event goes to others, and holds up nothing that is not its own.

use std::time::Duration;

use orbit_relay::event::{ALERT, COMPLETED, Event, Identity, ORBIT, Origin, Takes};
use orbit_relay::relay::deliver::{self, Gate, OnFailure};
use orbit_relay::relay::journal::{DeliveryRow, State, Sums};
use orbit_relay::relay::transform::expression::Expression;
use orbit_relay::sim::backend::{Answer, BackendWorld};

use crate::engine::action;
use crate::world::{Relay, Site, accepted, attempted, inspection, sums_at, uuid};

const MINUTE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_secs(5);

/// A destination at `/gate` that is asked first.
fn gate(site: &Site, on_failure: OnFailure) -> deliver::Config {
    let mut gate = site.at("gate");
    gate.gate = Some(Gate {
        on_failure,
        limit: 5 * MINUTE,
    });
    gate
}

/// A gate, and a CMMS behind it.
async fn site(on_failure: OnFailure) -> Site {
    let site = Site::with_a_manual_clock().await;
    let (gate, cmms) = (gate(&site, on_failure), site.at("cmms"));
    site.destination(gate).destination(cmms)
}

fn delivery(relay: &Relay, uuid: &str, destination: &str) -> DeliveryRow {
    let events = relay.journal();
    let event = events.iter().find(|event| event.identity == uuid).unwrap();
    let mut all = event.deliveries.iter();
    all.find(|of| of.destination == destination)
        .unwrap()
        .clone()
}

fn paths(plant: &BackendWorld) -> Vec<String> {
    let posts = plant.received();
    let taken = posts.iter().filter(|post| post.accepted());
    taken.map(|post| post.path.clone()).collect()
}

fn there_is(name: &'static str, state: State) -> impl Fn(&Sums) -> bool {
    move |sums| sums_at(sums, name).unwrap().of(state) == 1
}

/// Waits until the event is postponed because of the gate.
async fn waits(relay: &Relay, uuid: &str, destination: &str) {
    relay
        .until_there_are_at(destination, 1, State::Postponed)
        .await;
    let row = delivery(relay, uuid, destination);
    assert_eq!(row.reason.as_deref(), Some("waits for the gate gate"));
    assert_eq!(row.attempts, 0, "waiting is no try");
}

#[tokio::test]
async fn an_event_goes_to_others_only_after_the_gate_has_answered() {
    let site = site(OnFailure::Hold).await;
    let plant = site.plant();
    plant.set_answer_at(
        "/gate",
        Answer::Script(vec![Answer::Status(503), Answer::Ok]),
    );
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    attempted(&plant, 1).await;
    waits(&relay, &uuid(1), "cmms").await;
    assert_eq!(paths(&plant), [""; 0]);
    let there = there_is("cmms", State::Delivered);
    relay.let_pass(site.hand(), STEP, 4 * MINUTE, there).await;
    assert_eq!(paths(&plant), ["/gate", "/cmms"]);
    let row = delivery(&relay, &uuid(1), "cmms");
    assert_eq!(row.attempts, 1);
    relay.finish().await;
}

#[tokio::test]
async fn an_answer_lets_go_at_once_and_one_gate_is_asked_once_for_all() {
    let site = site(OnFailure::Hold).await;
    let chat = site.at("chat");
    let site = site.destination(chat);
    let plant = site.plant();
    plant.set_answer_at("/gate", Answer::Status(204));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    // The clock stands still: nobody has to look again later.
    accepted(&plant, 3).await;
    let mut paths = paths(&plant);
    assert_eq!(paths.remove(0), "/gate");
    paths.sort();
    assert_eq!(paths, ["/chat", "/cmms"]);
    relay.finish().await;
}

#[tokio::test]
async fn a_gate_that_cancels_ends_the_event_and_its_reason_is_shown() {
    let site = site(OnFailure::Pass).await;
    let plant = site.plant();
    let reason = "outside working hours".to_owned();
    plant.set_answer_at("/gate", Answer::Cancel(reason));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at("cmms", 1, State::Skipped).await;
    let row = delivery(&relay, &uuid(1), "cmms");
    let reason = row.reason.unwrap();
    assert_eq!(reason, "cancelled by the gate gate: outside working hours");
    let asked = delivery(&relay, &uuid(1), "gate");
    assert_eq!(asked.state, State::Delivered);
    assert_eq!(paths(&plant), ["/gate"]);
    relay.finish().await;
}

#[tokio::test]
async fn any_other_success_lets_an_event_pass() {
    let site = site(OnFailure::Hold).await;
    let plant = site.plant();
    let said = r#"{"reason":"of another type"}"#.to_owned();
    plant.set_answer_at("/gate", Answer::Body(200, said));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at("cmms", 1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn where_a_failure_passes_an_event_goes_when_the_limit_is_over_and_no_sooner() {
    let site = site(OnFailure::Pass).await;
    let plant = site.plant();
    plant.set_answer_at("/gate", Answer::Status(503));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    waits(&relay, &uuid(1), "cmms").await;
    let there = there_is("cmms", State::Delivered);
    let passed = relay.let_pass(site.hand(), STEP, 6 * MINUTE, there).await;
    assert!(passed >= 5 * MINUTE, "{passed:?}");
    relay.finish().await;
}

#[tokio::test]
async fn where_a_failure_holds_an_event_is_parked_when_the_limit_is_over() {
    let site = site(OnFailure::Hold).await;
    let plant = site.plant();
    plant.set_answer_at("/gate", Answer::Status(503));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    waits(&relay, &uuid(1), "cmms").await;
    let there = there_is("cmms", State::Parked);
    let passed = relay.let_pass(site.hand(), STEP, 6 * MINUTE, there).await;
    assert!(passed >= 5 * MINUTE, "{passed:?}");
    let reason = delivery(&relay, &uuid(1), "cmms").reason.unwrap();
    assert!(
        reason.starts_with("the gate gate gave no answer"),
        "{reason}"
    );
    assert_eq!(paths(&plant), [""; 0]);
    relay.finish().await;
}

#[tokio::test]
async fn an_event_that_the_gate_refuses_passes_or_is_held_as_the_gate_says() {
    for (on_failure, state) in [
        (OnFailure::Pass, State::Delivered),
        (OnFailure::Hold, State::Parked),
    ] {
        let site = site(on_failure).await;
        site.plant().set_answer_at("/gate", Answer::Status(422));
        let relay = site.start().await;
        relay.accept(inspection(1)).await;
        relay.until_there_are_at("cmms", 1, state).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn where_the_filter_of_a_gate_fails_its_on_failure_decides() {
    for (on_failure, state) in [
        (OnFailure::Pass, State::Delivered),
        (OnFailure::Hold, State::Parked),
    ] {
        let site = Site::with_a_manual_clock().await;
        let (mut gate, cmms) = (gate(&site, on_failure), site.at("cmms"));
        gate.when = Some(Expression::parse("event.nothing.at.all == 1").unwrap());
        let site = site.destination(gate).destination(cmms);
        let relay = site.start().await;
        relay.accept(inspection(1)).await;
        relay.until_there_are_at("gate", 1, State::Dead).await;
        relay.until_there_are_at("cmms", 1, state).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_gate_that_is_paused_holds_up_nothing_that_is_not_its_own() {
    let site = Site::with_a_manual_clock().await;
    let (mut gate, mut cmms) = (gate(&site, OnFailure::Hold), site.at("cmms"));
    gate.takes = vec![Takes::new(ORBIT, [COMPLETED])];
    gate.when = Some(Expression::parse("inspection.action == 'gated'").unwrap());
    cmms.takes.push(Takes::new("github", ["*"]));
    let site = site.destination(gate).destination(cmms);
    let plant = site.plant();
    let relay = site.start().await;
    let journal = relay.journal_handle();
    let at = relay.clock.wall();
    let paused = journal.pause(at, "gate", "me", "a holiday", None).await;
    assert_eq!(paused, Ok(true));
    relay.accept(action(1, COMPLETED, "gated")).await;
    waits(&relay, &uuid(1), "cmms").await;
    // Not by what it is about, nor by its type, nor by its source.
    relay.accept(action(2, COMPLETED, "another")).await;
    relay.accept(action(3, ALERT, "gated")).await;
    let foreign = Event {
        source: "github".into(),
        event_type: "issues.opened".into(),
        identity: Identity::Id("1".into()),
        origin: Origin::Webhook,
        received_at: at,
        body: br#"{"action":"opened","data":{"actionName":"gated"}}"#.to_vec(),
    };
    journal.append(foreign).await.unwrap();
    site.count(1);
    relay.until_there_are_at("cmms", 3, State::Delivered).await;
    assert_eq!(paths(&plant), ["/cmms"; 3]);
    relay.resume("gate").await;
    relay.until_there_are_at("cmms", 4, State::Delivered).await;
    assert_eq!(plant.tally_at("/gate").attempts, 1);
    relay.finish().await;
}
