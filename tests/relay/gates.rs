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
async fn without_an_answer_an_event_passes_or_is_parked_when_the_limit_is_over_and_no_sooner() {
    for (on_failure, state, sent) in [
        (OnFailure::Pass, State::Delivered, &["/cmms"][..]),
        (OnFailure::Hold, State::Parked, &[]),
    ] {
        let site = site(on_failure).await;
        let plant = site.plant();
        plant.set_answer_at("/gate", Answer::Status(503));
        let relay = site.start().await;
        relay.accept(inspection(1)).await;
        waits(&relay, &uuid(1), "cmms").await;
        let there = there_is("cmms", state);
        let passed = relay.let_pass(site.hand(), STEP, 6 * MINUTE, there).await;
        assert!(passed >= 5 * MINUTE, "{passed:?}");
        let reason = delivery(&relay, &uuid(1), "cmms").reason;
        let said = reason.is_some_and(|why| why.starts_with("the gate gate gave no answer"));
        assert_eq!(said, on_failure == OnFailure::Hold);
        assert_eq!(paths(&plant), sent);
        relay.finish().await;
    }
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
        gate.when = Some(Expression::parse("event.data.actionName + 1 > 1").unwrap());
        let site = site.destination(gate).destination(cmms);
        let relay = site.start().await;
        relay.accept(inspection(1)).await;
        relay.until_there_are_at("gate", 1, State::Dead).await;
        relay.until_there_are_at("cmms", 1, state).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn who_waits_less_long_for_orbit_than_the_gate_waits_for_the_gate() {
    let site = Site::new().await;
    let (mut gate, mut cmms) = (gate(&site, OnFailure::Hold), site.at("cmms"));
    gate.when = Some(Expression::parse("inspection.robot == 'spot-12'").unwrap());
    cmms.enrich_wait = Some(Duration::ZERO);
    let site = site.destination(gate).destination(cmms);
    let runs = vec!["/api/v0/runs".to_owned()];
    site.robots
        .change_weather(|weather| weather.down_under = runs);
    let relay = site.start().await;
    let event = Event {
        source: ORBIT.into(),
        event_type: COMPLETED.into(),
        identity: Identity::RunEvent(uuid(1)),
        origin: Origin::Webhook,
        received_at: relay.clock.wall(),
        body: br#"{"type":"ACTION_COMPLETED","data":{"runUuid":"r","actionName":"P-101"}}"#
            .to_vec(),
    };
    relay.journal_handle().append(event).await.unwrap();
    site.count(1);
    waits(&relay, &uuid(1), "cmms").await;
    assert_eq!(paths(&site.plant()), [""; 0]);
    relay.stop().await;
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

#[tokio::test]
async fn the_end_of_the_gate_wakes_what_waits_even_while_that_is_being_claimed() {
    let site = site(OnFailure::Hold).await;
    let relay = site.start().await;
    // The clock stands still: a wake-up that is lost is never made up for.
    for n in 1..=40 {
        relay.accept(inspection(n)).await;
        let there = n.try_into().unwrap();
        relay
            .until_there_are_at("cmms", there, State::Delivered)
            .await;
    }
    relay.finish().await;
}

#[tokio::test]
async fn an_event_waits_for_each_of_two_gates_and_either_of_them_cancels() {
    let site = site(OnFailure::Hold).await;
    let mut second = site.at("second");
    second.gate = gate(&site, OnFailure::Hold).gate;
    let site = site.destination(second);
    let plant = site.plant();
    let no = || Answer::Cancel("no".to_owned());
    let of_second = vec![Answer::Status(503), Answer::Ok, Answer::Ok, no()];
    plant.set_answer_at("/second", Answer::Script(of_second));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at("gate", 1, State::Delivered).await;
    relay
        .until_there_are_at("second", 1, State::Postponed)
        .await;
    relay.until_there_are_at("cmms", 1, State::Postponed).await;
    assert_eq!(paths(&plant), ["/gate"]);
    let there = there_is("cmms", State::Delivered);
    relay.let_pass(site.hand(), STEP, 4 * MINUTE, there).await;
    assert_eq!(paths(&plant), ["/gate", "/second", "/cmms"]);
    plant.set_answer_at("/gate", Answer::Script(vec![no(), Answer::Ok]));
    for n in 2..=3 {
        relay.accept(inspection(n)).await;
        let ends = u64::try_from(n).unwrap();
        relay
            .until_there_are_at("cmms", ends - 1, State::Skipped)
            .await;
        relay
            .until_there_are_at("second", ends, State::Delivered)
            .await;
    }
    let of = |n| delivery(&relay, &uuid(n), "cmms").reason.unwrap();
    assert_eq!(of(2), "cancelled by the gate gate: no");
    assert_eq!(of(3), "cancelled by the gate second: no");
    assert_eq!(plant.tally_at("/cmms").attempts, 1);
    relay.finish().await;
}

#[tokio::test]
async fn a_gate_of_several_steps_has_answered_after_the_last_and_any_of_them_cancels() {
    let site = Site::with_a_manual_clock().await;
    let cmms = site.at("cmms");
    let url = cmms.destination.url.origin().ascii_serialization();
    let file = format!(
        r#"
        [[destination]]
        name = "gate"
        url = "{url}"
        gate = true
        on_failure = "hold"
        [[destination.step]]
        name = "ask"
        path = "/ask"
        body = {{ n = 1 }}
        [[destination.step]]
        name = "note"
        path = "/note"
        body = {{ n = 2 }}
        "#
    );
    let site = site.configured(&file).destination(cmms);
    let plant = site.plant();
    let no = Answer::Cancel("no".to_owned());
    plant.set_answer_at("/ask", Answer::Script(vec![Answer::Ok, no]));
    let of_note = vec![
        Answer::Status(503),
        Answer::Ok,
        Answer::Status(503),
        Answer::Ok,
    ];
    plant.set_answer_at("/note", Answer::Script(of_note));
    let relay = site.start().await;
    for (n, state) in [(1, State::Delivered), (2, State::Skipped)] {
        relay.accept(inspection(n)).await;
        waits(&relay, &uuid(n), "cmms").await;
        let there = there_is("cmms", state);
        relay.let_pass(site.hand(), STEP, 4 * MINUTE, there).await;
    }
    let paths = paths(&plant);
    assert_eq!(paths, ["/ask", "/note", "/cmms", "/ask", "/note"]);
    let reason = delivery(&relay, &uuid(2), "cmms").reason.unwrap();
    assert_eq!(reason, "cancelled by the gate gate: no");
    relay.finish().await;
}

#[tokio::test]
async fn a_sample_for_one_destination_waits_for_no_gate_and_one_for_all_does() {
    let site = site(OnFailure::Hold).await;
    let plant = site.plant();
    plant.set_answer_at("/gate", Answer::Status(503));
    let relay = site.start().await;
    let sample = |id: &str, names: &str| Event {
        source: ORBIT.into(),
        event_type: COMPLETED.into(),
        identity: Identity::RunEvent(id.into()),
        origin: Origin::Sample,
        received_at: relay.clock.wall(),
        body: format!(
            r#"{{"type":"ACTION_COMPLETED","sample":{{{names}}},"data":{{"uuid":"{id}"}}}}"#
        )
        .into_bytes(),
    };
    let journal = relay.journal_handle();
    let at = relay.clock.wall();
    let paused = journal.pause(at, "gate", "me", "a holiday", None).await;
    assert_eq!(paused, Ok(true));
    let named = sample("one", r#""destination":"cmms""#);
    journal.append(named).await.unwrap();
    relay.until_there_are_at("cmms", 1, State::Delivered).await;
    journal.append(sample("all", "")).await.unwrap();
    waits(&relay, "all", "cmms").await;
    site.count(2);
    relay.finish().await;
}

#[tokio::test]
async fn what_waits_for_a_gate_when_the_process_is_killed_waits_no_longer_for_it() {
    let site = site(OnFailure::Pass).await;
    let plant = site.plant();
    plant.set_answer_at("/gate", Answer::Status(503));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    waits(&relay, &uuid(1), "cmms").await;
    relay.until_there_are_at("gate", 1, State::Postponed).await;
    let before = 3 * MINUTE;
    site.hand().advance(before);
    attempted(&plant, 2).await;
    relay.until_there_are_at("gate", 1, State::Postponed).await;
    relay.kill().await;
    let relay = site.start().await;
    // Its reason may be gone for a moment: a start asks all that wait again.
    relay.until_there_are_at("cmms", 1, State::Postponed).await;
    let there = there_is("cmms", State::Delivered);
    let after = relay.let_pass(site.hand(), STEP, 4 * MINUTE, there).await;
    let whole = before + after;
    assert!(whole >= 5 * MINUTE && whole <= 6 * MINUTE, "{whole:?}");
    assert_eq!(paths(&plant), ["/cmms"]);
    relay.finish().await;
}
