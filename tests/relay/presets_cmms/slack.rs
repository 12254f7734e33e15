//! Slack takes about one message a second, from whoever knows its URL.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::systems::base::Trouble;
use orbit_relay::sim::systems::slack::{PATH, Slack};
use serde_json::Value;

use super::{chat, endless, refused, until_tried};
use crate::ops::surfaces;
use crate::presets::hidden::Canaries;
use crate::presets::{Plant, alert, until_there_are};

async fn slack() -> Plant<Slack> {
    chat(Slack::default(), PATH, "slack").await
}

fn messages(plant: &Plant<Slack>) -> Vec<Value> {
    plant
        .system
        .with(|slack| slack.messages().cloned().collect())
}

#[tokio::test]
async fn several_alerts_at_once_come_one_a_second_and_none_is_refused() {
    let plant = slack().await;
    let relay = plant.site.start().await;
    for n in 1..=3 {
        relay.accept(alert(&plant.site, n).to_string()).await;
    }
    until_there_are(&relay, 3, State::Delivered).await;
    let posts = plant.asked("POST", PATH);
    let answers: Vec<_> = posts.iter().map(|post| post.status).collect();
    assert_eq!(answers, [Some(200); 3]);
    let text = messages(&plant)[0]["blocks"][0]["text"]["text"].clone();
    assert_eq!(text, "Temperature above threshold");
    relay.finish().await;
}

#[tokio::test]
async fn a_429_is_waited_out_for_as_long_as_slack_says() {
    let plant = slack().await;
    plant.system.plan(1, "POST", PATH, Trouble::RateLimit(2));
    let relay = plant.site.start().await;
    relay.accept(alert(&plant.site, 1).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let posts = plant.asked("POST", PATH);
    assert_eq!(posts.len(), 2);
    let waited = posts[1].at.duration_since(posts[0].at);
    assert!(waited.as_millis() >= 1_900, "{waited:?}");
    assert_eq!(messages(&plant).len(), 1);
    relay.finish().await;
}

#[tokio::test]
async fn what_slack_would_read_as_markup_is_written_as_text_and_no_text_is_too_long() {
    let plant = slack().await;
    let relay = plant.site.start().await;
    relay.accept(endless(&plant.site).to_string()).await;
    until_there_are(&relay, 1, State::Delivered).await;
    let message = &messages(&plant)[0];
    for text in [
        &message["text"],
        &message["blocks"][1]["text"]["text"],
        &message["blocks"][2]["elements"][0]["text"],
    ] {
        let text = text.as_str().unwrap();
        let bare = text.replace("&amp;", "").replace("&lt;", "");
        let bare = bare.replace("&gt;", "");
        let link = bare.rfind(" - <https://").unwrap_or(bare.len());
        assert!(!bare[..link].contains(['&', '<', '>']), "{text}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn a_notice_of_the_relay_is_a_message_with_its_text() {
    let plant = slack().await;
    let relay = plant.site.start().await;
    refused(&plant.site, &relay).await;
    plant.until("a notice", |slack| slack.posted() == 1).await;
    let message = &messages(&plant)[0];
    assert!(message["text"].as_str().unwrap().contains("strict"));
    relay.finish_with_notices(1).await;
}

#[tokio::test]
async fn the_url_is_seen_by_slack_alone_whatever_it_answers() {
    let secret = PATH.trim_start_matches("/services/");
    let canaries = Canaries::listen(vec![("the URL's path", secret.into())]);
    let plant = slack().await;
    let relay = plant.site.start().await;
    for (n, status) in (1..).zip([403, 404, 410, 500]) {
        plant.system.plan(1, "POST", PATH, Trouble::Status(status));
        relay.accept(alert(&plant.site, n).to_string()).await;
        plant.until_asked(n, "POST", PATH).await;
        until_tried(&relay, u64::try_from(n).unwrap()).await;
        canaries.hidden(surfaces(&relay, &plant.site.data_dir()).await);
        if relay.parts.sums.borrow().destinations[0].paused.is_some() {
            relay.resume("plant").await;
        }
    }
    relay.stop().await;
}
