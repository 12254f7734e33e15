//! A person without a mouse.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::driver::{Browser, key};
use crate::{mapping, uploading};

/// More controls than that are on no screen.
const MOST: usize = 400;

/// What a control is known by; a live part of a screen may be another element a moment later.
const KEY: &str = "const key = e => [e.tagName, e.id, e.name, e.getAttribute('href'), \
    e.ariaLabel, e.closest('form')?.getAttribute('action'), \
    e.matches('button, summary') ? e.textContent : ''].join('|'); ";

/// All that can be used, in what is shown.
const CONTROLS: &str = "return [...document.querySelectorAll('a[href], button, input, \
    select, textarea, summary, [tabindex=\"0\"]')].filter(e => e.type !== 'hidden' \
    && !e.disabled && e.checkVisibility()).map(key)";

/// What has the focus, and whether that is seen.
const FOCUSED: &str = "const e = document.activeElement; \
    if (!e || e === document.body) return null; \
    const style = getComputedStyle(e); const box = e.getBoundingClientRect(); \
    return {key: key(e), name: e.outerHTML.slice(0, 120), \
      seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 \
        && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight}";

/// Walks with the tabulator alone; fails unless each control comes, and is seen when it does.
async fn every_control_is_reached(browser: &Browser, name: &str) {
    let all = browser.run(&format!("{KEY}{CONTROLS}"), json!([])).await;
    let mut missing: BTreeSet<String> = serde_json::from_value(all).unwrap();
    assert!(missing.len() > 5, "{name}: {missing:?}");
    for _ in 0..MOST {
        browser.press(key::TAB).await;
        let focused: Value = browser.run(&format!("{KEY}{FOCUSED}"), json!([])).await;
        if focused.is_null() {
            break;
        }
        assert_eq!(focused["seen"], true, "{name}: {focused}");
        missing.remove(focused["key"].as_str().unwrap());
        if missing.is_empty() {
            return;
        }
    }
    assert!(missing.is_empty(), "{name}: never reached: {missing:#?}");
}

#[tokio::test]
async fn every_control_of_waiting_is_reached_by_keyboard_and_used_by_it() {
    let scene = mapping::three_parked(true).await;
    scene.alone("/waiting").await;
    let browser = &scene.browser;
    browser.press(key::TAB).await;
    let first = browser.run("return document.activeElement.className", json!([]));
    assert_eq!(
        first.await,
        "skip",
        "the way past the navigation comes first"
    );
    assert!(browser.is_shown(".skip").await);
    browser.press(key::ENTER).await;
    let at = browser.run("return document.activeElement.id", json!([]));
    assert_eq!(at.await, "main");
    browser.press(key::TAB).await;
    let in_main = "return document.activeElement.closest('main') !== null";
    assert_eq!(browser.run(in_main, json!([])).await, true);

    scene.alone("/waiting").await;
    every_control_is_reached(browser, "Waiting").await;
    scene.alone("/waiting").await;
    let name = "#unmapped input[name=asset]";
    let on_it = "return document.activeElement.matches(arguments[0])";
    let mut presses = 0;
    while browser.run(on_it, json!([name])).await != true {
        assert!(presses < MOST, "{name} is never reached");
        presses += 1;
        browser.press(key::TAB).await;
    }
    browser.press("PUMP-101").await;
    browser.press(key::ENTER).await;
    browser.until_text(".said", "is PUMP-101 from now on").await;
    scene.end().await;
}

#[tokio::test]
async fn every_control_of_setup_is_reached_by_keyboard() {
    let scene = uploading::without_a_map(true).await;
    for path in [
        "/setup",
        "/setup/orbit",
        "/setup/webhook",
        "/setup/destinations",
        "/setup/add?preset=generic",
    ] {
        scene.alone(path).await;
        every_control_is_reached(&scene.browser, path).await;
    }
    scene.end().await;
}
