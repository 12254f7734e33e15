//! SIGTERM: what is under way is finished, what is not is in the journal.

use std::time::Duration;

use orbit_relay::sim::backend::Answer;
use orbit_relay::sim::random::Random;
use tokio_util::sync::CancellationToken;

use crate::process::load::{Ledger, check_drained};
use crate::process::{Home, PATIENCE, Relay, Web, plant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_ends_within_10_s_and_loses_nothing() {
    let (home, plant, ledger) = (Home::new(), plant().await, Ledger::default());
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    let (stop, at) = (CancellationToken::new(), relay.at);
    let load = {
        let (ledger, stop) = (ledger.clone(), stop.clone());
        tokio::spawn(async move {
            ledger.post_until(&stop, at, 1, 2_000).await;
        })
    };
    plant.world().wait_for(20).await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    stop.cancel();
    load.await.unwrap();

    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    ledger.post_unanswered_again(&relay).await;
    ledger.wait_for_all(&relay, &plant.world()).await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    let again = ledger.check(&plant.world());
    assert_eq!(again, 0, "what is drained is not sent again");
    let accepted = check_drained(&home.status().await);
    assert_eq!(accepted, u64::try_from(ledger.sent()).unwrap());
}

/// A relay with one event that the plant never answers.
async fn stuck(home: &Home, plant: &orbit_relay::sim::backend::Backend) -> (Relay, Ledger) {
    plant.world().set_answer(Answer::Hang);
    let relay = Relay::ready(home.relay_to(&plant.url())).await;
    let ledger = Ledger::default();
    let mut random = Random::new(1);
    let posted = ledger.post(&Web::new(), relay.at, &mut random, 0).await;
    assert_eq!(posted.unwrap().status, 200);
    let sent = plant.world();
    let sending = sent.wait_until(|tally| tally.attempts == 1);
    tokio::time::timeout(PATIENCE, sending).await.unwrap();
    (relay, ledger)
}

/// The next relay delivers it under the same key, with the same body.
async fn is_delivered_next_time(
    home: &Home,
    plant: &orbit_relay::sim::backend::Backend,
    ledger: &Ledger,
) {
    plant.world().set_answer(Answer::Ok);
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    ledger.wait_for_all(&relay, &plant.world()).await;
    assert_eq!(relay.stop().await, Some(0));
    ledger.check(&plant.world());
    check_drained(&home.status().await);
    let posts = plant.world().received();
    let same = |(a, b): (&str, &str)| a == b;
    assert!(posts.iter().all(|post| same((post.key(), posts[0].key()))));
    assert!(posts.iter().all(|post| post.body == posts[0].body));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_within_the_grace_period_though_the_plant_hangs() {
    let (home, plant) = (Home::new(), plant().await);
    let (mut relay, ledger) = stuck(&home, &plant).await;
    // Seven seconds of grace, two for closing, and what a busy machine adds.
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    let said = relay.process.text();
    assert!(said.contains("the rest is in the journal"), "{said}");
    is_delivered_next_time(&home, &plant, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_sigterm_ends_it_at_once() {
    let (home, plant) = (Home::new(), plant().await);
    let (mut relay, ledger) = stuck(&home, &plant).await;
    relay.process.signal("TERM");
    relay.process.line("finishing what is under way").await;
    relay.process.signal("TERM");
    relay.process.ended(Duration::from_secs(4)).await;
    is_delivered_next_time(&home, &plant, &ledger).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_stops_it_as_sigterm_does() {
    let home = Home::new();
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", crate::process::SECRET);
    let mut relay = Relay::ready(command).await;
    relay.process.signal("INT");
    assert_eq!(relay.process.ended(PATIENCE).await, Some(0));
    relay.process.line("stopped").await;
}
