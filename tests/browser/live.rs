//! Screens change by themselves.

use serde_json::json;

use crate::scene::Scene;
use crate::world::{Site, inspection};

/// An event is to be seen within this.
const BOUND_MS: f64 = 2_000.0;

/// Notes when the number of what was delivered becomes this, by the browser's own clock.
const WATCH: &str = "window.seen = null; window.sameDocument = true; \
    const wanted = arguments[0]; \
    const look = () => { \
      const number = document.querySelector('#numbers .cards li:nth-child(2) .number'); \
      if (window.seen === null && number && number.innerText.trim() === wanted) \
        window.seen = Date.now(); }; \
    new MutationObserver(look).observe(document.body, \
      {subtree: true, childList: true, characterData: true}); \
    return Date.now()";

#[tokio::test]
async fn today_shows_what_was_delivered_within_two_seconds_without_a_reload() {
    let site = Site::new().await;
    let cmms = site.at("cmms");
    let scene = Scene::of(site.destination(cmms)).await;
    scene.first_visit().await;
    scene.go("/").await;
    let browser = &scene.browser;
    browser
        .until_text("#numbers .cards li:nth-child(2) .number", "0")
        .await;
    for n in 1..=3_usize {
        let begun = browser.run(WATCH, json!([n.to_string()])).await;
        scene.relay.accept(inspection(n)).await;
        let seen = async || {
            browser
                .run("return window.seen", json!([]))
                .await
                .is_number()
        };
        browser.until("it is seen", seen).await;
        let seen = browser.run("return window.seen", json!([])).await;
        let took = seen.as_f64().unwrap() - begun.as_f64().unwrap();
        assert!(took <= BOUND_MS, "event {n}: {took} ms");
        let same = browser.run("return window.sameDocument", json!([])).await;
        assert_eq!(same, true, "it was not loaded anew");
    }
    scene.end().await;
}
