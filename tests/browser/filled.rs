//! Every screen of a relay that has been at work for two days: three robots, alerts, readings, an
//! action without an asset, and some that were given up. Its pictures are those of the documents.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orbit_relay::clock::Clock;
use orbit_relay::page::{Line, Recent};
use orbit_relay::relay::journal::Sums;
use orbit_relay::sim::asset_map_csv;
use orbit_relay::sim::backend::Answer;
use serde_json::json;
use tracing::field::Field;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::driver::Browser;
use crate::first::SCREENS;
use crate::scene::Scene;
use crate::world::Site;

/// So long it has been at work, and so often something came.
const AT_WORK: SignedDuration = SignedDuration::from_hours(48);
const INSPECTIONS: u32 = 160;
/// The last ones that the maintenance system refuses.
const REFUSED: std::ops::Range<u32> = 140..144;

/// Where its clock begins: all that happens is over now.
fn start() -> Timestamp {
    let now = Clock::system().wall();
    now.checked_sub(AT_WORK).unwrap()
}

/// Screens that look as others do: the repository need not hold them.
const WITHOUT_PICTURE: [&str; 8] = [
    "dead",
    "parked",
    "version",
    "setup-import",
    "upload",
    "history",
    "row",
    "bulk",
];

/// Nothing is under way, and all that came is on record.
fn is_done(sums: &Sums, received: u64) -> bool {
    let moving = ["pending", "sending"];
    let rest = |(state, n): (&str, u64)| !moving.contains(&state) || n == 0;
    sums.received() == received
        && sums.destinations.iter().all(|to| {
            let states = orbit_relay::relay::journal::State::ALL;
            states.into_iter().map(|s| (s.as_str(), to.of(s))).all(rest)
        })
}

/// Has the page show what the relay logs, as one that is run does.
struct Logged(Arc<Recent>, Clock);

impl<S: tracing::Subscriber> Layer<S> for Logged {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let (level, target) = (*event.metadata().level(), event.metadata().target());
        if level > tracing::Level::INFO || !target.starts_with("orbit_relay") {
            return;
        }
        let mut text = String::new();
        event.record(&mut |field: &Field, value: &dyn Debug| match field.name() {
            "message" => text.insert_str(0, &format!("{value:?}")),
            name => text = format!("{text} {name}={value:?}"),
        });
        let at = self.1.wall();
        self.0.add(Line { at, level, text });
    }
}

/// Two days at work.
async fn worked() -> Scene {
    let site = Site::with_a_clock_at(start()).await;
    let site = site.without_flag("asset-map");
    let to = |name: &str| site.at(name).destination.url.to_string();
    let file = format!(
        "[[destination]]\nname = \"maintenance\"\npreset = \"generic\"\nurl = \"{}\"\n\
         unmapped = \"park\"\n\n[[destination]]\nname = \"historian\"\npreset = \"generic\"\n\
         url = \"{}\"\n",
        to("maintenance"),
        to("historian")
    );
    let site = site.saved(&file);
    let map = site.data_dir().join("page/assets.csv");
    std::fs::write(&map, asset_map_csv()).unwrap();
    Scene::of(site).await
}

/// What came in these two days.
async fn at_work(scene: &Scene) {
    let (site, relay) = (&scene.site, &scene.relay);
    relay.registered().await;
    let step = Duration::try_from(AT_WORK).unwrap() / INSPECTIONS;
    for n in 0..INSPECTIONS {
        let refused = Answer::Body(422, r#"{"error":"work centre PUMPS is closed"}"#.to_owned());
        let answer = if REFUSED.contains(&n) {
            refused
        } else {
            Answer::Ok
        };
        site.plant().set_answer_at("/maintenance", answer);
        site.inspect().await;
        let received = u64::from(n) + 1;
        relay
            .until("it is done", |sums| is_done(sums, received))
            .await;
        site.hand().advance(step);
    }
}

/// The first address in a screen that begins so.
async fn way(browser: &Browser, css: &str) -> String {
    browser.until_there_is(css).await;
    browser.attribute(css, "href").await.unwrap()
}

/// The screens that are come to from others, by their names.
async fn details(scene: &Scene) -> BTreeMap<&'static str, String> {
    let browser = &scene.browser;
    let mut found = BTreeMap::new();
    for (name, list, css) in [
        (
            "dead",
            "/deliveries?state=dead",
            "td a[href^='/deliveries/']",
        ),
        (
            "delivery",
            "/deliveries?state=delivered",
            "td a[href^='/deliveries/']",
        ),
        (
            "parked",
            "/deliveries?state=parked",
            "td a[href^='/deliveries/']",
        ),
        (
            "asset",
            "/assets?q=PI-2203",
            "td a[href^='/assets/one'], th a[href^='/assets/one']",
        ),
        (
            "version",
            "/assets/map/history",
            "td a[href^='/assets/map/history/']",
        ),
        (
            "destination",
            "/setup/destinations",
            "th a[href^='/setup/destinations/']",
        ),
    ] {
        scene.alone(list).await;
        found.insert(name, way(browser, css).await);
    }
    found
}

/// Uploads a map that differs; gives where the difference is shown.
async fn difference(scene: &Scene) -> String {
    let browser = &scene.browser;
    let file = scene.site.path("map.csv");
    let map = asset_map_csv().replace("HX-118,Tank farm,B", "HX-118,Tank farm,A");
    std::fs::write(&file, map + "Sump level LG-4,LG-4,Tank farm,B\n").unwrap();
    scene.alone("/assets/map/upload").await;
    browser.upload("#file", &file).await;
    browser
        .click_text("main button", "Upload and compare")
        .await;
    browser.until_text("main", "Difference:").await;
    let path = browser.run("return location.pathname", json!([])).await;
    path.as_str().unwrap().to_owned()
}

/// Changes a row, so that there is a history and an act.
async fn changes_a_row(scene: &Scene) {
    scene.alone("/assets/map/row?line=2").await;
    let browser = &scene.browser;
    browser.write("#cell2", "Pump hall 1").await;
    browser.click_text("main button", "Save").await;
    browser.until_text("#map-rows", "Pump hall 1").await;
}

#[tokio::test]
async fn every_screen_with_data_in_it_is_valid_accessible_and_fits_a_phone() {
    let scene = worked().await;
    let logged = Logged(Arc::clone(&scene.site.log), scene.site.clock.clone());
    let _logged = tracing_subscriber::registry().with(logged).set_default();
    let mut faults = scene.faults("first-visit", "/setup-code").await;
    scene.shoot("first-visit", "/setup-code").await;
    at_work(&scene).await;
    scene.framed().await;
    scene.first_visit().await;
    changes_a_row(&scene).await;
    let mut screens: Vec<(&str, String)> = SCREENS.map(|(n, p)| (n, p.to_owned())).into();
    screens.push(("difference", difference(&scene).await));
    screens.extend(details(&scene).await);
    let others = [
        ("setup-orbit", "/setup/orbit"),
        ("setup-webhook", "/setup/webhook"),
        ("setup-add", "/setup/add?preset=servicenow"),
        ("setup-import", "/setup/import"),
        ("upload", "/assets/map/upload"),
        ("history", "/assets/map/history"),
        ("row", "/assets/map/row?line=2"),
        ("bulk", "/deliveries/bulk?act=replay&state=dead"),
    ];
    screens.extend(others.map(|(name, path)| (name, path.to_owned())));
    let browser = &scene.browser;
    for path in ["/health", "/setup/orbit"] {
        // What is looked at only when somebody asks has been looked at.
        scene.alone(path).await;
        browser.until_text("main tbody tr", "ok").await;
    }
    for (name, path) in &screens {
        faults.extend(scene.faults(name, path).await);
        if !WITHOUT_PICTURE.contains(name) {
            scene.shoot(name, path).await;
        }
    }
    scene.framed().await;
    scene.go("/account").await;
    scene.browser.click_text("button", "Log out").await;
    scene.browser.until_there_is("#password").await;
    scene.shoot("login", "/login").await;
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    scene.end().await;
}
