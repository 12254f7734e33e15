//! An action without an asset gets one, and what waited for it goes.

use orbit_relay::relay::deliver::Unmapped;
use orbit_relay::relay::journal::State;

use crate::scene::Scene;
use crate::world::{Site, inspection};

const CMMS: &str = "cmms";

/// Three inspections of an action that no map knows; the browser is at Waiting.
pub(crate) async fn three_parked(scripts: bool) -> Scene {
    let site = Site::new().await.without_flag("asset-map");
    let mut cmms = site.at(CMMS);
    cmms.unmapped = Unmapped::Park;
    let scene = Scene::of(site.destination(cmms)).await;
    if !scripts {
        scene.without_scripts().await;
    }
    scene.first_visit().await;
    for n in 0..3 {
        scene.relay.accept(inspection(n)).await;
    }
    let parked = scene.relay.until_there_are_at(CMMS, 3, State::Parked);
    parked.await;
    scene.go("/waiting").await;
    scene
}

/// Gives the action its asset, and takes that back.
pub(crate) async fn maps(scene: &Scene) {
    let browser = &scene.browser;
    browser.until_text("#unmapped h3", "P-101 motor DE").await;
    browser.until_text("#unmapped", "Seen 3 times").await;
    browser
        .write("#unmapped input[name=asset]", "PUMP-101")
        .await;
    browser
        .click_text("#unmapped button", "Apply to all 3 waiting")
        .await;
    browser.until_text(".said", "is PUMP-101 from now on").await;
    let delivered = scene.relay.until_there_are_at(CMMS, 3, State::Delivered);
    delivered.await;
    scene.go("/waiting").await;
    browser
        .until_text("#waiting", "Nothing waits for you")
        .await;
    browser
        .click_text("#lately button", "Undo: the map before that")
        .await;
    browser
        .until_text(".said", "The asset map is as it was before")
        .await;
}

#[tokio::test]
async fn an_unmapped_action_is_mapped_and_what_waited_flows() {
    let scene = three_parked(true).await;
    maps(&scene).await;
    scene.end().await;
}
