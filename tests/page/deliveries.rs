//! Deliveries and acts: found, explained, sent again.

use orbit_relay::relay::journal::State;
use serde_json::{Value, json};

use crate::frame::is_a_screen;
use crate::visitor::Visitor;
use crate::world::{Site, attempted, inspection};

const HOSTILE: &str = "<script>alert(1)</script>\"'\u{202e}";

/// An inspection of which every name is hostile, and which has no photograph.
fn hostile(n: usize) -> String {
    let mut event: Value = serde_json::from_str(&inspection(n)).unwrap();
    for name in ["actionName", "missionName", "robotNickname"] {
        event["data"][name] = format!("{HOSTILE}{}", "W".repeat(10_000)).into();
    }
    let reading = json!({"name": HOSTILE, "value": HOSTILE, "units": HOSTILE});
    event["data"]["dataCaptures"] = json!([{"channelName": HOSTILE, "keyResults": [reading]}]);
    event.to_string()
}

#[tokio::test]
async fn a_delivery_is_found_explained_and_sent_again_and_the_act_is_kept() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    relay.registered().await;
    relay.accept(hostile(1)).await;
    relay.until_there_are(1, State::Delivered).await;
    let ann = Visitor::at_first(&relay, &site).await;
    let path = "/deliveries/integration:1";
    for screen in ["/deliveries", "/deliveries?state=delivered&since=24h", path] {
        let seen = ann.see(screen).await.is(200);
        is_a_screen(&seen);
        assert!(!seen.body.contains("<script>alert"), "{screen}");
    }
    let list = ann.see("/deliveries?state=delivered").await.is(200);
    assert!(list.body.contains(&format!("href=\"{path}\"")), "{}", list.body);
    let none = ann.see("/deliveries?state=dead").await.is(200);
    assert!(none.body.contains("Nothing matches."), "{}", none.body);
    let wrong = ann.see("/deliveries?since=yesterday").await.is(200);
    assert!(wrong.body.contains("aria-invalid=\"true\""), "{}", wrong.body);
    let after = ann.submit(path, &format!("{path}/replay"), &[]).await;
    let after = after.is(200);
    assert!(after.body.contains("It is sent again"), "{}", after.body);
    attempted(&site.plant(), 2).await;
    let acts = ann.see("/acts?what=replay").await.is(200);
    is_a_screen(&acts);
    assert!(acts.body.contains("only integration:1"), "{}", acts.body);
    ann.get("/events/1/picture").await.is(404);
    ann.get("/events/77/picture?n=x").await.is(404);
    ann.get("/deliveries/nonsense").await.is(404);
    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn all_that_a_search_finds_is_counted_before_it_is_sent_again() {
    let site = Site::new().await.with_the_page();
    let relay = site.start().await;
    relay.registered().await;
    for n in 1..=3 {
        relay.accept(inspection(n)).await;
    }
    relay.until_there_are(3, State::Delivered).await;
    let ann = Visitor::at_first(&relay, &site).await;
    let ask = "/deliveries/bulk?act=replay&state=delivered";
    let asked = ann.see(ask).await.is(200);
    is_a_screen(&asked);
    assert!(asked.body.contains("<strong>3</strong>"), "{}", asked.body);
    attempted(&site.plant(), 3).await;
    // What comes after it was counted is not meant.
    relay.accept(inspection(4)).await;
    relay.until_there_are(4, State::Delivered).await;
    let form = asked.form("/deliveries/bulk");
    let seen = ann.send(&form, &[]).await;
    let after = ann.follow(seen).await.is(200);
    assert!(after.body.contains("It is begun"), "{}", after.body);
    attempted(&site.plant(), 7).await;
    let mut fewer = form.clone();
    fewer.action = form.action.replace("shown=3", "shown=2");
    let refused = ann.send(&fewer, &[]).await.is(422);
    assert!(refused.body.contains("more than was shown"), "{}", refused.body);
    fewer.action = form.action.replace("shown=3", "");
    ann.send(&fewer, &[]).await.is(422);
    for wrong in [
        "/deliveries/bulk?act=replay",
        "/deliveries/bulk?state=dead",
        "/deliveries/bulk?act=replay&state=dead&robot=spot",
        "/deliveries/bulk?act=replay&state=dead&text=spot",
        "/deliveries/bulk?act=replay&state=dead&asset=P-1",
        "/deliveries/bulk?act=replay&state=pending",
    ] {
        ann.get(wrong).await.is(422);
    }
    relay.until_there_are(4, State::Delivered).await;
    relay.finish().await;
}
