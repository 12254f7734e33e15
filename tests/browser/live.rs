//! Screens change by themselves.

use serde_json::json;

use crate::driver::Browser;
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

#[tokio::test]
async fn today_says_that_it_is_old_while_the_relay_is_away_and_no_longer_once_it_is_back() {
    const OLD: &str = "main > .problem[role=status]";
    const NUMBER: &str = "#numbers .cards li:nth-child(2) .number";
    let site = Site::new().await;
    let cmms = site.at("cmms");
    let scene = Scene::of(site.destination(cmms)).await;
    scene.first_visit().await;
    scene.go("/").await;
    scene.browser.until_text(NUMBER, "0").await;
    assert_eq!(scene.browser.count(OLD).await, 0, "it is as it is now");
    let stay = json!([]);
    scene.browser.run("window.sameDocument = true", stay).await;
    let scene = scene
        .restarted(async |browser: &Browser| {
            let said = browser
                .until_text(OLD, "This screen is as it was at ")
                .await;
            assert!(said.contains("the relay answered 502"), "{said}");
            assert!(browser.is_shown(NUMBER).await, "what it was stays");
        })
        .await;
    let browser = &scene.browser;
    browser.until_there_is_no(OLD).await;
    scene.relay.accept(inspection(1)).await;
    browser.until_text(NUMBER, "1").await;
    let same = browser.run("return window.sameDocument", json!([])).await;
    assert_eq!(same, true, "it was not loaded anew");
    // The console has what Orbit answered in the relay's place, and nothing else.
    let severe = browser.console().await.into_iter();
    let others: Vec<_> = severe
        .filter(|said| said.level == "SEVERE" && !said.text.contains("a status of 502 "))
        .collect();
    assert!(others.is_empty(), "{others:#?}");
    scene.end().await;
}
