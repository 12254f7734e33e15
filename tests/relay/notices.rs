//! Someone is told of what goes wrong, seldom, and of its end.

use std::time::Duration;

use orbit_relay::event::{NOTICE, RELAY, Takes};
use orbit_relay::relay::journal::{DestinationSums, State, Sums};
use orbit_relay::sim::backend::{Answer, BackendWorld};
use serde_json::{Value, json};

use crate::world::{BOUND, Site, inspection, is_a_time, sums_at};

/// A step of a manual clock while a notice is to come at once, and while it is to come late.
const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(5);
const NINE_MINUTES: Duration = Duration::from_mins(9);

/// A destination that gets inspections, and one that hears of trouble besides.
async fn site() -> Site {
    let site = Site::with_a_manual_clock().await;
    let (cmms, mut teams) = (site.at("cmms"), site.at("teams"));
    teams.takes.push(Takes::new(RELAY, [NOTICE]));
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
            assert!(is_a_time(body["time"].as_str().unwrap()));
            body["data"].clone()
        })
        .collect()
}

/// Lets time pass until they were told so often; gives how much passed.
async fn pass_until_told(site: &Site, count: usize, step: Duration) -> Duration {
    let plant = site.plant();
    let mut passed = Duration::ZERO;
    let passing = async {
        while told(&plant).len() < count {
            site.hand().advance(step);
            passed += step;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let told_in_time = tokio::time::timeout(3 * BOUND, passing).await.is_ok();
    assert!(
        told_in_time,
        "{count} notices within the bound: {:?}",
        told(&plant)
    );
    passed
}

async fn let_pass(site: &Site, steps: u32) {
    for _ in 0..steps {
        site.hand().advance(2 * LONG);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
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
    relay.until("dead", |sums| dead(sums, "cmms") == 1).await;
    let passed = pass_until_told(&site, 1, SHORT).await;
    assert!(passed < NINE_MINUTES, "{passed:?}");
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
    let passed = pass_until_told(&site, 2, LONG).await;
    assert!(passed > NINE_MINUTES, "{passed:?}");
    assert_eq!(told(&plant)[1]["news"][0]["count"], 2);
    assert_eq!(told(&plant)[1]["news"].as_array().unwrap().len(), 1);
    let skipped = |d: &DestinationSums| d.of(State::Skipped) == 2;
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
    relay.until("dead", |sums| dead(sums, "cmms") == 1).await;
    while dead(&relay.parts.sums.borrow(), "teams") == 0 {
        let_pass(&site, 1).await;
    }
    let_pass(&site, 150).await;
    let sums = relay.finish_with_notices(1).await;
    assert_eq!(sums.accepted, 2);
}

#[tokio::test]
async fn silence_is_told_and_that_it_is_over_and_notices_do_not_break_it() {
    let hour = Duration::from_hours(1);
    let site = site()
        .await
        .tuned(|config| config.expect_every = Some(Duration::from_hours(1)));
    let plant = site.plant();
    let relay = site.start().await;
    let passed = pass_until_told(&site, 1, 6 * LONG).await;
    assert!(passed > hour, "{passed:?}");
    assert_eq!(told(&plant)[0]["news"][0]["what"], "silence");
    relay.accept(inspection(1)).await;
    pass_until_told(&site, 2, LONG).await;
    assert_eq!(told(&plant)[1]["news"][0]["what"], "recovered");
    pass_until_told(&site, 3, 6 * LONG).await;
    assert_eq!(told(&plant)[2]["news"][0]["what"], "silence");
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
    relay.until_at("cmms", "down", |d| d.down.is_some()).await;
    pass_until_told(&site, 1, SHORT).await;
    let news = told(&plant)[0]["news"][0].clone();
    assert_eq!(
        (&news["what"], &news["destination"]),
        (&json!("down"), &json!("cmms"))
    );
    assert!(is_a_time(news["since"].as_str().unwrap()));
    plant.set_answer_at("/cmms", Answer::Ok);
    pass_until_told(&site, 2, LONG).await;
    assert_eq!(told(&plant)[1]["news"][0]["what"], "recovered");
    relay.finish_with_notices(2).await;
}

#[tokio::test]
async fn where_nobody_is_to_hear_there_are_no_notices() {
    let site = Site::with_a_manual_clock().await;
    let cmms = site.at("cmms");
    let site = site.destination(cmms);
    refuse(&site.plant(), "/cmms", "poison");
    let relay = site.start().await;
    relay.accept(poison(1)).await;
    relay.until("dead", |sums| dead(sums, "cmms") == 1).await;
    let_pass(&site, 20).await;
    let sums = relay.finish().await;
    assert_eq!(sums.accepted, 1);
}
