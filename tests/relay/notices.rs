//! Someone is told of what goes wrong, seldom, and of its end.

use std::time::Duration;

use orbit_relay::event::NOTICE;
use orbit_relay::relay::journal::{State, Sums};
use orbit_relay::sim::backend::{Answer, BackendWorld};
use serde_json::{Value, json};

use crate::world::{Site, inspection, sums_at};

const SECOND: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_secs(10);
const TEN_MINUTES: Duration = Duration::from_mins(10);

/// A destination that gets inspections, and one that hears of trouble besides.
async fn site() -> Site {
    let site = Site::with_a_manual_clock().await;
    let (cmms, mut teams) = (site.at("cmms"), site.at("teams"));
    teams.hears_notices = true;
    site.destination(cmms).destination(teams)
}

/// What those who hear of trouble were told: the `data` of each notice.
fn told(plant: &BackendWorld) -> Vec<Value> {
    let posts = plant.received_at("/teams");
    let posts = posts.iter().filter(|post| post.accepted());
    let bodies = posts.map(|post| serde_json::from_slice::<Value>(&post.body).unwrap());
    bodies
        .filter(|body| body["type"] == NOTICE)
        .map(|body| {
            assert_eq!(body["relay"]["source"], "relay");
            assert_eq!(body["relay"]["origin"], "relay");
            assert!(crate::world::is_a_time(body["time"].as_str().unwrap()));
            body["data"].clone()
        })
        .collect()
}

fn poison(n: usize) -> String {
    inspection(n).replace("P-101 motor DE", "poison")
}

fn refuse(plant: &BackendWorld, path: &str, text: &str) {
    let answer = Answer::Poison {
        containing: text.to_owned(),
        answer: Box::new(Answer::Status(422)),
    };
    plant.set_answer_at(path, answer);
}

fn dead(sums: &Sums, name: &str) -> u64 {
    sums_at(sums, name).unwrap().of(State::Dead)
}

#[tokio::test]
async fn the_first_death_is_told_at_once_and_later_ones_together_even_over_a_restart() {
    let site = site().await;
    let plant = site.plant();
    refuse(&plant, "/cmms", "poison");
    let relay = site.start().await;
    relay.accept(poison(1)).await;
    let soon = 5 * SECOND;
    let first = |_: &_| told(&plant).len() == 1;
    relay.let_pass(site.hand(), SECOND, soon, first).await;
    let news = &told(&plant)[0]["news"][0];
    let shown = [
        &news["what"],
        &news["destination"],
        &news["count"],
        &news["since"],
    ];
    assert_eq!(
        shown,
        [&json!("dead"), &json!("cmms"), &json!(1), &Value::Null]
    );
    let reason = news["reason"].as_str().unwrap();
    assert!(reason.starts_with("answered 422"), "{reason}");
    let text = told(&plant)[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("1 event was given up for cmms"), "{text}");

    relay.accept(poison(2)).await;
    relay.accept(poison(3)).await;
    relay
        .until("three are dead", |sums| dead(sums, "cmms") == 3)
        .await;
    relay.finish_with_notices(1).await;
    let relay = site.start().await;
    let second = |_: &_| told(&plant).len() == 2;
    let longest = TEN_MINUTES + 3 * STEP;
    let passed = relay.let_pass(site.hand(), STEP, longest, second).await;
    assert!(passed > Duration::from_mins(9), "{passed:?}");
    assert_eq!(told(&plant)[1]["news"][0]["count"], 2);
    assert_eq!(told(&plant)[1]["news"].as_array().unwrap().len(), 1);
    let skipped = |d: &orbit_relay::relay::journal::DestinationSums| d.of(State::Skipped) == 2;
    relay.until_at("cmms", "notices skipped", skipped).await;
    relay.finish_with_notices(1).await;
}

#[tokio::test]
async fn a_notice_that_is_given_up_makes_no_notice() {
    let site = site().await;
    let plant = site.plant();
    refuse(&plant, "/cmms", "poison");
    refuse(&plant, "/teams", NOTICE);
    let relay = site.start().await;
    relay.accept(poison(1)).await;
    let given_up = |sums: &Sums| dead(sums, "teams") == 1;
    relay
        .let_pass(site.hand(), SECOND, 5 * SECOND, given_up)
        .await;
    for _ in 0..150 {
        site.hand().advance(STEP);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sums = relay.finish_with_notices(1).await;
    assert_eq!(sums.accepted, 2);
}

#[tokio::test]
async fn silence_is_told_and_that_it_is_over() {
    let site = site()
        .await
        .tuned(|config| config.expect_every = Some(Duration::from_hours(1)));
    let plant = site.plant();
    let relay = site.start().await;
    let there = |count: usize| {
        let plant = plant.clone();
        move |_: &Sums| told(&plant).len() == count
    };
    let hour = Duration::from_hours(1);
    let passed = relay
        .let_pass(site.hand(), 6 * STEP, hour + 12 * STEP, there(1))
        .await;
    assert!(passed > hour, "{passed:?}");
    assert_eq!(told(&plant)[0]["news"][0]["what"], "silence");
    relay.accept(inspection(1)).await;
    relay
        .let_pass(site.hand(), STEP, TEN_MINUTES + 3 * STEP, there(2))
        .await;
    assert_eq!(told(&plant)[1]["news"][0]["what"], "recovered");
    relay.let_pass(site.hand(), 6 * STEP, hour, there(3)).await;
    assert_eq!(
        told(&plant)[2]["news"][0]["what"],
        "silence",
        "notices break no silence"
    );
    relay.finish_with_notices(3).await;
}

#[tokio::test]
async fn a_destination_that_is_down_is_told_and_that_it_is_back() {
    let site = site().await;
    let plant = site.plant();
    plant.set_answer_at("/cmms", Answer::Status(503));
    let relay = site.start().await;
    for n in 0..5 {
        relay.accept(inspection(n)).await;
    }
    let first = |_: &_| told(&plant).len() == 1;
    relay
        .let_pass(site.hand(), SECOND, 30 * SECOND, first)
        .await;
    let news = told(&plant)[0]["news"][0].clone();
    assert_eq!(
        (&news["what"], &news["destination"]),
        (&json!("down"), &json!("cmms"))
    );
    assert!(crate::world::is_a_time(news["since"].as_str().unwrap()));
    plant.set_answer_at("/cmms", Answer::Ok);
    let second = |_: &_| told(&plant).len() == 2;
    relay
        .let_pass(site.hand(), STEP, TEN_MINUTES + 3 * STEP, second)
        .await;
    assert_eq!(told(&plant)[1]["news"][0]["what"], "recovered");
    relay.finish_with_notices(2).await;
}

#[tokio::test]
async fn where_nobody_is_to_hear_there_are_no_notices() {
    let site = Site::with_a_manual_clock().await;
    refuse(&site.plant(), "/", "poison");
    let relay = site.start().await;
    relay.accept(poison(1)).await;
    for _ in 0..10 {
        site.hand().advance(STEP);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let sums = relay.finish().await;
    assert_eq!(sums.accepted, 1);
}
