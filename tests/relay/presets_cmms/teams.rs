//! Teams takes Adaptive Cards up to 28 KB, from whoever knows its URL.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::Trouble;
use orbit_relay::sim::systems::teams::{LARGEST, Teams};
use serde_json::{Value, json};

use super::{chat, endless, refused, until_tried};
use crate::ops::surfaces;
use crate::presets::hidden::Canaries;
use crate::presets::{Plant, alert, completed, until_there_are};

const SIGNATURE: &str = "canary-sig-0123456789";

async fn teams() -> Plant<Teams> {
    let teams = Teams::new(SIGNATURE);
    let target = teams.target();
    chat(teams, &target, "teams").await
}

fn cards(plant: &Plant<Teams>) -> Vec<Value> {
    plant.system.with(|teams| teams.cards().cloned().collect())
}

fn facts(card: &Value, element: usize) -> &Value {
    &card["body"][element]["facts"]
}

#[tokio::test]
async fn an_alert_is_one_card_and_a_completed_inspection_is_none() {
    let plant = teams().await;
    let relay = plant.site.start().await;
    let alert = alert(&plant.site, 1);
    relay.accept(completed(&alert).to_string()).await;
    relay.accept(alert.to_string()).await;
    relay.accept(alert.to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    until_there_are(&relay, 1, State::Skipped).await;
    let cards = cards(&plant);
    assert_eq!(cards.len(), 1);
    assert_eq!(cards[0]["body"][0]["text"], "Temperature above threshold");
    let of_pump = json!({"title": "Asset", "value": "P-101"});
    assert!(facts(&cards[0], 2).as_array().unwrap().contains(&of_pump));
    let reading = json!([{"title": "Region 1 Max", "value": "96.4 C"}]);
    assert_eq!(facts(&cards[0], 3), &reading);
    let link = cards[0]["actions"][0]["url"].as_str().unwrap();
    assert!(link.starts_with("https://127.0.0.1:"), "{link}");
    relay.finish().await;
}

#[tokio::test]
async fn a_card_stays_below_28_kilobytes_whatever_the_event_holds() {
    let plant = teams().await;
    let relay = plant.site.start().await;
    relay.accept(endless(&plant.site).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let posts = plant.asked("POST", "/workflows");
    let size = posts[0].asked.body.len();
    assert!((4_000..LARGEST).contains(&size), "{size}");
    let more = &cards(&plant)[0]["body"][4];
    assert_eq!(more["text"], "and 32 more readings");
    relay.finish().await;
}

#[tokio::test]
async fn a_notice_of_the_relay_is_a_card_with_its_text() {
    let plant = teams().await;
    let relay = plant.site.start().await;
    refused(&plant.site, &relay).await;
    plant.until("a notice", |teams| teams.posted() == 1).await;
    let card = &cards(&plant)[0];
    assert_eq!(card["body"][0]["text"], "orbit-relay");
    let text = card["body"][1]["text"].as_str().unwrap();
    assert!(text.contains("strict"), "{text}");
    assert_eq!(card["body"][2]["isVisible"], false);
    relay.finish_with_notices(1).await;
}

#[tokio::test]
async fn the_url_is_seen_by_teams_alone_whatever_it_answers() {
    let canaries = Canaries::listen(vec![("the sig of the URL", SIGNATURE.into())]);
    let plant = teams().await;
    let relay = plant.site.start().await;
    let troubles = [
        None,
        Some(Trouble::Status(400)),
        Some(Trouble::Status(401)),
        Some(Trouble::Status(413)),
        Some(Trouble::LoseRequest),
    ];
    for (n, trouble) in (1..).zip(troubles) {
        if let Some(trouble) = trouble {
            plant.system.plan(1, "POST", "/workflows", trouble);
        }
        relay.accept(alert(&plant.site, n).to_string()).await;
        plant.until_asked(n, "POST", "/workflows").await;
        until_tried(&relay, u64::try_from(n).unwrap()).await;
        canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
        if relay.parts.sums.borrow().destinations[0].paused.is_some() {
            relay.resume("plant").await;
        }
    }
    relay.stop().await;
    assert!(canaries.log().contains("delivered"));
}
