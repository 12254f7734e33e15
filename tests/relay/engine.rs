//! What the delivery engine does in bad weather: outages, limits, several destinations.

use std::collections::BTreeMap;
use std::time::Duration;

use orbit_relay::event::{ALERT, COMPLETED};
use orbit_relay::relay::deliver::{Health, Rate};
use orbit_relay::relay::destination::Auth;
use orbit_relay::relay::journal::{DestinationSums, State};
use orbit_relay::relay::transform::expression::Expression;
use orbit_relay::secret::Source;
use orbit_relay::sim::backend::Answer;
use serde_json::json;

use crate::world::{Site, attempted, inspection, level, sums_at, uuid};

const CMMS: &str = "cmms";
const PATH: &str = "/cmms";

fn counted(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

/// An inspection of this kind, about this action.
pub(crate) fn action(n: usize, event_type: &str, action: &str) -> String {
    json!({"uuid": uuid(n + 500_000), "type": event_type, "time": "2026-02-03T09:14:07Z",
        "data": {"uuid": uuid(n), "actionName": action}})
    .to_string()
}

#[tokio::test]
async fn an_hour_of_outage_with_ten_thousand_waiting_costs_few_attempts_and_ends_without_a_spike() {
    const WAITING: usize = 10_000;
    const RATE: u32 = 2_000;
    let site = Site::with_a_manual_clock().await;
    let mut cmms = site.at(CMMS);
    cmms.max_in_flight = 32;
    cmms.rate_limit = Some(Rate {
        count: RATE,
        per: Duration::from_secs(1),
    });
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(503));
    site.waiting(0..WAITING).await;
    let relay = site.start().await;
    let hour = Duration::from_hours(1);
    let step = Duration::from_secs(5);
    let mut passed = Duration::ZERO;
    while passed < hour {
        site.hand().advance(step);
        passed += step;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let attempts = plant.tally_at(PATH).attempts;
    assert!(
        (4..300).contains(&attempts),
        "{attempts} attempts in an hour"
    );
    relay.until_at(CMMS, "down", |d| d.down.is_some()).await;

    plant.set_answer_at(PATH, Answer::Ok);
    let all = counted(WAITING);
    let delivered = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == all;
    let step = Duration::from_millis(250);
    let minutes = Duration::from_mins(20);
    relay.let_pass(site.hand(), step, minutes, delivered).await;
    let mut by_second = BTreeMap::new();
    for post in plant
        .received_at(PATH)
        .iter()
        .filter(|post| post.accepted())
    {
        *by_second.entry(post.at.as_second()).or_insert(0) += 1;
    }
    let most = by_second.values().max().unwrap();
    assert!(*most <= RATE + RATE / 10, "{most} in one second");
    let keys = plant.deliveries_by_key();
    assert!(keys.len() == WAITING && keys.values().all(|n| *n == 1));
    relay.finish().await;
}

#[tokio::test]
async fn a_destination_that_hangs_holds_up_no_other() {
    let site = Site::new().await;
    let (cmms, teams) = (site.at(CMMS), site.at("teams"));
    let site = site.destination(cmms).destination(teams);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Hang);
    let relay = site.start().await;
    for n in 0..50 {
        relay.accept(inspection(n)).await;
    }
    relay
        .until_there_are_at("teams", 50, State::Delivered)
        .await;
    assert_eq!(plant.tally_at(PATH).accepted, 0);
    relay.stop().await;
}

#[tokio::test]
async fn a_poison_event_is_dead_and_delays_no_neighbour() {
    let site = Site::new().await;
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let plant = site.plant();
    let poison = Answer::Poison {
        containing: uuid(3),
        answer: Box::new(Answer::Status(422)),
    };
    plant.set_answer_at(PATH, poison);
    let relay = site.start().await;
    for n in 0..20 {
        relay.accept(inspection(n)).await;
    }
    relay.until_there_are_at(CMMS, 19, State::Delivered).await;
    relay.until_there_are_at(CMMS, 1, State::Dead).await;
    relay.finish().await;
}

#[tokio::test]
async fn one_poison_event_cannot_hold_the_circuit_open() {
    let site = Site::with_a_manual_clock().await;
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(500));
    let relay = site.start().await;
    for n in 0..6 {
        relay.accept(inspection(n)).await;
    }
    relay.until_at(CMMS, "down", |d| d.down.is_some()).await;
    let poison = Answer::Poison {
        containing: uuid(0),
        answer: Box::new(Answer::Status(500)),
    };
    plant.set_answer_at(PATH, poison);
    let delivered = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == 5;
    let step = Duration::from_secs(5);
    let longest = Duration::from_mins(5);
    relay.let_pass(site.hand(), step, longest, delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn five_different_events_refused_in_a_row_pause_the_destination_and_bury_nothing() {
    let site = Site::new().await;
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(404));
    let relay = site.start().await;
    for n in 0..30 {
        relay.accept(inspection(n)).await;
    }
    let parked = relay
        .until_at(CMMS, "all parked", |d| d.of(State::Parked) == 30)
        .await;
    let paused = parked.paused.unwrap();
    assert_eq!(
        (paused.by.as_str(), paused.trouble.as_deref()),
        ("relay", Some("refused"))
    );
    assert!(paused.why.contains("answered 404"), "{}", paused.why);
    let tried = plant.tally_at(PATH).attempts;
    assert!((5..=9).contains(&tried), "{tried} attempts, 4 at once");
    let ready = relay.get("/readyz").await;
    assert_eq!(ready.json()["destinations"][CMMS]["status"], "paused");

    plant.set_answer_at(PATH, Answer::Ok);
    relay.resume(CMMS).await;
    relay.until_there_are_at(CMMS, 30, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn refused_credentials_park_everything_until_the_destination_is_resumed() {
    for status in [401, 403, 410] {
        let site = Site::new().await;
        let cmms = site.at(CMMS);
        let site = site.destination(cmms);
        let plant = site.plant();
        plant.set_answer_at(PATH, Answer::Status(status));
        let relay = site.start().await;
        for n in 0..10 {
            relay.accept(inspection(n)).await;
        }
        relay.until_there_are_at(CMMS, 10, State::Parked).await;
        assert!(plant.tally_at(PATH).attempts <= 4, "{status}");
        plant.set_answer_at(PATH, Answer::Ok);
        relay.resume(CMMS).await;
        relay.until_there_are_at(CMMS, 10, State::Delivered).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_filter_skips_what_it_does_not_hold_of() {
    let site = Site::new().await;
    let mut cmms = site.at(CMMS);
    let when = "inspection.alert or event.data.actionName == 'fan'";
    cmms.when = Some(Expression::parse(when).unwrap());
    let site = site.destination(cmms);
    let relay = site.start().await;
    relay.accept(action(1, COMPLETED, "pump")).await;
    relay.accept(action(2, COMPLETED, "fan")).await;
    relay.accept(action(3, ALERT, "pump")).await;
    relay.until_there_are_at(CMMS, 2, State::Delivered).await;
    relay.until_there_are_at(CMMS, 1, State::Skipped).await;
    let why = relay.delivery(&uuid(1)).reason.unwrap();
    assert_eq!(why, format!("does not hold: {when}"));
    relay.finish().await;
}

#[tokio::test]
async fn retry_after_is_honoured_for_the_destination_and_survives_a_restart() {
    let site = Site::with_a_manual_clock().await;
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::RetryAfter(429, 3600));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at(CMMS, 1, State::Postponed).await;
    plant.set_answer_at(PATH, Answer::Ok);
    relay.accept(inspection(2)).await;
    let almost = Duration::from_secs(3595);
    let step = Duration::from_secs(5);
    let mut passed = Duration::ZERO;
    while passed < almost {
        site.hand().advance(step);
        passed += step;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(plant.tally_at(PATH).attempts, 1);
    relay.finish().await;
    let relay = site.start().await;
    let delivered = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == 2;
    let step = Duration::from_millis(500);
    let passed = relay
        .let_pass(site.hand(), step, Duration::from_secs(30), delivered)
        .await;
    assert!(passed >= Duration::from_secs(4), "{passed:?}");
    relay.finish().await;
}

#[tokio::test]
async fn what_is_due_goes_out_even_if_nothing_else_happens() {
    let site = Site::with_a_manual_clock().await;
    let mut cmms = site.at(CMMS);
    cmms.retry.schedule = vec![Duration::from_secs(20)];
    cmms.retry.jitter = 0.0;
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Script(vec![Answer::Status(503), Answer::Ok]));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at(CMMS, 1, State::Postponed).await;
    let delivered = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == 1;
    let (step, second) = (Duration::from_millis(500), Duration::from_secs(1));
    let longest = Duration::from_secs(20) + second;
    let passed = relay.let_pass(site.hand(), step, longest, delivered).await;
    assert!(passed >= Duration::from_secs(20), "{passed:?}");
    relay.finish().await;
}

#[tokio::test]
async fn one_probe_is_in_flight_however_long_it_takes() {
    let site = Site::with_a_manual_clock().await;
    let mut cmms = site.at(CMMS);
    cmms.max_in_flight = 32;
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(503));
    let relay = site.start().await;
    for n in 0..40 {
        relay.accept(inspection(n)).await;
    }
    relay.until_at(CMMS, "down", |d| d.down.is_some()).await;
    let at_rest = |d: &DestinationSums| d.of(State::Sending) == 0;
    relay.until_at(CMMS, "at rest", at_rest).await;
    let before = plant.tally_at(PATH).attempts;
    plant.set_answer_at(PATH, Answer::Hang);
    for _ in 0..200 {
        site.hand().advance(Duration::from_secs(3));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    attempted(&plant, before + 1).await;
    assert_eq!(plant.tally_at(PATH).attempts, before + 1);
    relay.stop().await;
}

#[tokio::test]
async fn new_credentials_in_their_file_end_the_pause_that_the_old_ones_led_to() {
    let site = Site::new().await;
    let mut cmms = site.at(CMMS);
    let file = site.path("token");
    std::fs::write(&file, "old").unwrap();
    cmms.destination.auth = Auth::Bearer(Source::File(file.clone()));
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::RequireAuth("Bearer new".to_owned()));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    let paused = |d: &DestinationSums| d.paused.is_some();
    relay.until_at(CMMS, "paused", paused).await;
    std::fs::write(&file, "new").unwrap();
    relay.until_there_are_at(CMMS, 1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_person_can_end_the_time_that_a_destination_asked_for() {
    let site = Site::with_a_manual_clock().await;
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::RetryAfter(429, 86_400));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    let held = |d: &DestinationSums| d.held_until.is_some() && d.of(State::Postponed) == 1;
    relay.until_at(CMMS, "held", held).await;
    plant.set_answer_at(PATH, Answer::Ok);
    relay.accept(inspection(2)).await;
    relay.resume(CMMS).await;
    let delivered = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == 2;
    let (step, longest) = (Duration::from_secs(1), Duration::from_mins(1));
    relay.let_pass(site.hand(), step, longest, delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_clock_that_jumps_by_a_day_neither_stalls_deliveries_nor_fires_them_all() {
    for forward in [true, false] {
        let site = Site::with_a_manual_clock().await;
        let mut cmms = site.at(CMMS);
        cmms.retry.schedule = vec![Duration::from_mins(10)];
        let site = site.destination(cmms);
        let plant = site.plant();
        plant.set_answer_at(PATH, Answer::Status(503));
        let relay = site.start().await;
        relay.accept(inspection(1)).await;
        relay.until_there_are_at(CMMS, 1, State::Postponed).await;
        plant.set_answer_at(PATH, Answer::Ok);
        let day = Duration::from_hours(24);
        let now = site.clock.wall();
        let wall = if forward { now + day } else { now - day };
        site.hand().set_wall(wall);
        site.hand().advance(Duration::from_mins(9));
        relay.accept(inspection(2)).await;
        relay.until_there_are_at(CMMS, 1, State::Delivered).await;
        assert_eq!(plant.tally_at(PATH).attempts, 2, "nothing was fired early");
        let delivered = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == 2;
        let step = Duration::from_secs(10);
        relay
            .let_pass(site.hand(), step, Duration::from_mins(4), delivered)
            .await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn an_event_is_given_up_for_its_age_but_never_an_alert() {
    let site = Site::with_a_manual_clock().await;
    let mut cmms = site.at(CMMS);
    cmms.retry.schedule = vec![];
    cmms.retry.then_every = Duration::from_mins(1);
    cmms.retry.give_up_after = Some(Duration::from_mins(10));
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(503));
    let relay = site.start().await;
    relay.accept(action(1, COMPLETED, "pump")).await;
    relay.accept(action(2, ALERT, "pump")).await;
    let dead = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Dead) == 1;
    let step = Duration::from_secs(10);
    let passed = relay
        .let_pass(site.hand(), step, Duration::from_mins(20), dead)
        .await;
    assert!(passed >= Duration::from_mins(10), "{passed:?}");
    let why = relay.delivery(&uuid(1)).reason.unwrap();
    assert!(why.contains("given up after"), "{why}");
    relay.until_there_are_at(CMMS, 1, State::Postponed).await;
    relay.finish().await;
}

#[tokio::test]
async fn a_destination_that_is_taken_out_parks_what_it_had_and_goes_on_when_it_is_back() {
    let site = Site::with_a_manual_clock().await;
    let (cmms, teams) = (site.at(CMMS), site.at("teams"));
    let site = site.destination(cmms.clone()).destination(teams.clone());
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(503));
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at(CMMS, 1, State::Postponed).await;
    relay.finish().await;
    let site = site.without_destinations().destination(teams);
    let relay = site.start().await;
    relay.accept(inspection(2)).await;
    let removed = relay
        .until_at(CMMS, "removed", |d| d.removed && d.kept == 1)
        .await;
    assert_eq!(removed.of(State::Parked), 1);
    relay.until_there_are_at("teams", 2, State::Delivered).await;
    relay.finish().await;
    plant.set_answer_at(PATH, Answer::Ok);
    let site = site.destination(cmms);
    let relay = site.start().await;
    let delivered = |sums: &_| sums_at(sums, CMMS).unwrap().of(State::Delivered) == 1;
    let step = Duration::from_secs(1);
    relay
        .let_pass(site.hand(), step, Duration::from_mins(2), delivered)
        .await;
    let sums = relay.finish().await;
    assert_eq!(
        sums_at(&sums, CMMS).unwrap().kept,
        1,
        "what came meanwhile is kept"
    );
}

#[tokio::test]
async fn a_new_name_keeps_the_keys() {
    let site = Site::new().await;
    let cmms = site.at(CMMS);
    let mut renamed = cmms.clone();
    renamed.destination.name = "maximo".into();
    let site = site.destination(cmms);
    let relay = site.start().await;
    relay.accept(inspection(1)).await;
    relay.until_there_are_at(CMMS, 1, State::Delivered).await;
    relay.finish().await;
    let site = site.without_destinations().destination(renamed);
    let relay = site.start().await;
    relay.accept(inspection(2)).await;
    relay
        .until_there_are_at("maximo", 2, State::Delivered)
        .await;
    relay.finish().await;
}

#[tokio::test]
async fn a_destination_that_was_down_is_asked_with_one_event_after_a_restart() {
    let site = Site::new().await;
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let plant = site.plant();
    plant.set_answer_at(PATH, Answer::Status(503));
    let relay = site.start().await;
    for n in 0..10 {
        relay.accept(inspection(n)).await;
    }
    relay.until_at(CMMS, "down", |d| d.down.is_some()).await;
    relay.finish().await;
    let before = plant.tally_at(PATH).attempts;
    let relay = site.start().await;
    attempted(&plant, before + 1).await;
    let down = |health: &Health| matches!(health, Health::Down(_));
    level(relay.parts.destinations[CMMS].clone(), "down", down).await;
    assert!(plant.tally_at(PATH).attempts <= before + 2);
    plant.set_answer_at(PATH, Answer::Ok);
    relay.until_there_are_at(CMMS, 10, State::Delivered).await;
    relay.finish().await;
}
