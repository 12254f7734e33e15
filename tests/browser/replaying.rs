//! What was given up is sent again by one click.

use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::Answer;

use crate::scene::Scene;
use crate::world::{Site, inspection};

const CMMS: &str = "cmms";

/// Two dead deliveries at a plant that has been mended since; the browser is at Waiting.
pub(crate) async fn two_dead(scripts: bool) -> Scene {
    let site = Site::new().await;
    let cmms = site.at(CMMS);
    site.plant().set_answer_at("/cmms", Answer::Status(422));
    let scene = Scene::of(site.destination(cmms)).await;
    if !scripts {
        scene.without_scripts().await;
    }
    scene.first_visit().await;
    for n in 0..2 {
        scene.relay.accept(inspection(n)).await;
    }
    scene.relay.until_there_are_at(CMMS, 2, State::Dead).await;
    scene.site.plant().set_answer_at("/cmms", Answer::Ok);
    scene.go("/waiting").await;
    scene
}

/// Reads why, and has them sent again.
pub(crate) async fn replays(scene: &Scene) {
    let browser = &scene.browser;
    browser.until_text("#dead", "answered 422").await;
    browser
        .click_text("#dead button", "Replay 2 deliveries")
        .await;
    browser
        .until_text(".said", "The replay of 2 deliveries to cmms was begun.")
        .await;
    let delivered = scene.relay.until_there_are_at(CMMS, 2, State::Delivered);
    delivered.await;
    scene.go("/waiting").await;
    browser
        .until_text("#waiting", "Nothing waits for you")
        .await;
}

#[tokio::test]
async fn dead_deliveries_are_replayed_by_one_click_and_delivered() {
    let scene = two_dead(true).await;
    replays(&scene).await;
    scene.end().await;
}
