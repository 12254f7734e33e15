//! Today, and what waits for somebody: seen and decided by plain HTTP.

use orbit_relay::relay::deliver::Unmapped;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::Answer;

use crate::frame::is_a_screen;
use crate::visitor::{Seen, Visitor};
use crate::world::{Site, inspection};

const CMMS: &str = "cmms";

fn says(seen: &Seen, words: &str) {
    assert!(seen.body.contains(words), "{words}: {}", seen.body);
}

#[tokio::test]
async fn today_is_green_only_while_nothing_waits_for_anybody() {
    let site = Site::new().await.with_the_page();
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let relay = site.start().await;
    relay.registered().await;
    site.inspect().await;
    relay.until_there_are_at(CMMS, 1, State::Delivered).await;
    let ann = Visitor::at_first(&relay, &site).await;
    let today = ann.see("/").await.is(200);
    is_a_screen(&today);
    says(&today, "All is well");

    let at = site.clock.wall();
    let journal = relay.journal_handle();
    let paused = journal.pause(at, CMMS, "bob", "works on the roof", None);
    assert!(paused.await.unwrap());
    let is_paused = |sums: &_| crate::world::sums_at(sums, CMMS).unwrap().paused.is_some();
    relay.until("it is paused", is_paused).await;
    let today = ann.see("/").await.is(200);
    assert!(!today.body.contains("All is well"), "{}", today.body);
    says(&today, "is paused");
    says(&today, "href=\"/waiting#paused\"");

    let waiting = ann.see("/waiting").await.is(200);
    is_a_screen(&waiting);
    says(&waiting, "works on the roof");
    let waiting = ann.submit("/waiting", "/waiting/resume", &[]).await.is(200);
    says(&waiting, "was resumed");
    relay.until("it is resumed", |sums| !is_paused(sums)).await;
    let waiting = ann.see("/waiting").await.is(200);
    says(&waiting, "Nothing waits for you");
    says(&waiting, "Undo: pause it again");
    relay.stop().await;
}

#[tokio::test]
async fn what_was_given_up_is_replayed_as_it_was_shown() {
    let site = Site::new().await.with_the_page();
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    site.plant().set_answer_at("/cmms", Answer::Status(422));
    let relay = site.start().await;
    let ann = Visitor::at_first(&relay, &site).await;
    for n in 0..2 {
        relay.accept(inspection(n)).await;
    }
    relay.until_there_are_at(CMMS, 2, State::Dead).await;
    site.plant().set_answer_at("/cmms", Answer::Ok);
    let shown = ann.see("/waiting").await.is(200).form("/waiting/replay");
    let answered = ann.send(&shown, &[]).await.is(303);
    says(
        &ann.follow(answered).await,
        "The replay of 2 deliveries to cmms was begun.",
    );
    relay.until_there_are_at(CMMS, 2, State::Delivered).await;
    // What was shown is gone, and nothing else is taken in its place.
    ann.send(&shown, &[]).await.is(422);
    relay.stop().await;
}

#[tokio::test]
async fn an_action_gets_its_asset_and_what_waited_goes_out() {
    let site = Site::new().await.with_the_page().without_flag("asset-map");
    let mut cmms = site.at(CMMS);
    cmms.unmapped = Unmapped::Park;
    let site = site.destination(cmms);
    let relay = site.start().await;
    let ann = Visitor::at_first(&relay, &site).await;
    for n in 0..3 {
        relay.accept(inspection(n)).await;
    }
    relay.until_there_are_at(CMMS, 3, State::Parked).await;
    let fields = [("asset", "PUMP-101"), ("by", "action_name")];
    let waiting = ann
        .submit("/waiting", "/waiting/asset", &fields)
        .await
        .is(200);
    says(&waiting, "is PUMP-101 from now on");
    relay.until_there_are_at(CMMS, 3, State::Delivered).await;
    says(&ann.see("/waiting").await, "Undo: the map before that");
    let undone = ann
        .submit("/waiting", "/waiting/undo-map", &[])
        .await
        .is(200);
    says(&undone, "The asset map is as it was before");
    relay.stop().await;
}

#[tokio::test]
async fn a_form_that_is_not_understood_and_an_asset_without_a_name_are_refused_in_words() {
    let site = Site::new().await.with_the_page().without_flag("asset-map");
    let mut cmms = site.at(CMMS);
    cmms.unmapped = Unmapped::Park;
    let site = site.destination(cmms);
    let relay = site.start().await;
    let ann = Visitor::at_first(&relay, &site).await;
    relay.accept(inspection(0)).await;
    relay.until_there_are_at(CMMS, 1, State::Parked).await;
    let form = ann.see("/waiting").await.form("/waiting/asset");
    for (fields, words) in [
        (
            [("asset", " "), ("by", "action_name")],
            "An asset has a name",
        ),
        (
            [("asset", "P"), ("by", "nonsense")],
            "The row cannot go by that",
        ),
        (
            [("asset", "P"), ("seq", "x")],
            "That form is not understood.",
        ),
    ] {
        let refused = ann.send(&form, &fields).await.is(422);
        says(&refused, words);
    }
    relay.stop().await;
}
