//! Names that would be something else than text: in what Orbit says, in what the plant answers,
//! in the asset map.

use std::collections::BTreeSet;

use orbit_relay::relay::deliver::Unmapped;
use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::Answer;
use serde_json::{Value, json};

use crate::first::SCREENS;
use crate::scene::Scene;
use crate::world::{Site, inspection};

/// What the browser would show if it took it for anything else than text.
const MARKUP: &str = "</title></textarea></option><script>window.planted = 1</script>\
    <img src=x onerror='window.planted = 1'><b class=planted>bold</b>";

fn names() -> [String; 5] {
    [
        MARKUP.to_owned(),
        "\" onfocus=\"window.planted = 1\" autofocus class=\"planted\" '`--> &lt;b&gt; %00 \\"
            .to_owned(),
        "\u{202e}\u{5de}\u{5e9}\u{5d0}\u{5d1}\u{5d4} \u{2066}txt.exe \u{627}\u{644}\u{645}"
            .to_owned(),
        "W".repeat(10_000),
        "👩🏽‍🏭🔥 pump 🇩🇪 e\u{301}\u{301}\u{301}\u{301} \u{200b}\u{feff}".to_owned(),
    ]
}

/// An inspection in which all names are this; with an asset, if it is to be found in the map.
fn event(n: usize, name: &str, is_known: bool) -> String {
    let mut event: Value = serde_json::from_str(&inspection(n)).unwrap();
    if is_known {
        // An alert without an asset waits for what Orbit says of it.
        event["type"] = "ACTION_COMPLETED_WITH_ALERT".into();
    }
    let data = &mut event["data"];
    for member in [
        "actionName",
        "missionName",
        "robotNickname",
        "title",
        "operatorId",
    ] {
        data[member] = name.into();
    }
    if is_known {
        data["assetId"] = name.into();
    }
    let results = json!([
        {"name": name, "value": name, "units": name},
        {"name": name, "value": 21.5 + f64::from(u16::try_from(n).unwrap()), "units": name},
    ]);
    let url = format!(
        "/daq/download/{}",
        name.chars().take(100).collect::<String>()
    );
    data["dataCaptures"] = json!([
        {"channelName": name, "dataUrl": url, "keyResults": results},
    ]);
    event.to_string()
}

/// A relay that has seen all of them, delivered, given up and without an asset.
async fn scene() -> Scene {
    let site = Site::new().await.without_flag("asset-map");
    let (mut cmms, historian) = (site.at("cmms"), site.at("historian"));
    cmms.unmapped = Unmapped::Park;
    let rows: Vec<String> = names()
        .iter()
        .map(|name| {
            // No cell may be longer than the longest name.
            let action: String = format!("x {name}").chars().take(10_000).collect();
            let [action, name] = [&action, name].map(|cell| cell.replace('"', "\"\""));
            format!("\"{action}\",\"{name}\",\"{name}\"\n")
        })
        .collect();
    let page = site.data_dir().join("page");
    std::fs::create_dir_all(&page).unwrap();
    let map = format!(
        "action_name,asset_id,\"{}\"\n{}",
        "area <b class=planted>",
        rows.concat()
    );
    std::fs::write(page.join("assets.csv"), map).unwrap();
    let scene = Scene::of(site.destination(cmms).destination(historian)).await;
    for (n, name) in names().iter().enumerate() {
        // Each reason its own, and five refusals in a row would pause the destination.
        let refusal = Answer::Body(422, name.clone());
        let plant = scene.site.plant();
        let n = n * 3;
        let count = u64::try_from(n / 3).unwrap() + 1;
        plant.set_answer_at("/cmms", refusal);
        scene.relay.accept(event(n, name, true)).await;
        scene
            .relay
            .until_there_are_at("cmms", count, State::Dead)
            .await;
        plant.set_answer_at("/cmms", Answer::Ok);
        scene.relay.accept(event(n + 1, name, true)).await;
        let delivered = scene
            .relay
            .until_there_are_at("cmms", count, State::Delivered);
        delivered.await;
        scene.relay.accept(event(n + 2, name, false)).await;
        scene
            .relay
            .until_there_are_at("cmms", count, State::Parked)
            .await;
    }
    scene
}

/// Every address of these kinds in the screen that is shown.
async fn ways(scene: &Scene, kinds: &[&str]) -> BTreeSet<String> {
    let all = "return Array.from(document.querySelectorAll('main a[href]'), \
               a => a.getAttribute('href'))";
    let all = scene.browser.run(all, json!([])).await;
    let all: Vec<String> = serde_json::from_value(all).unwrap();
    let wanted = all.into_iter();
    wanted
        .filter(|way| kinds.iter().any(|kind| way.starts_with(kind)))
        .collect()
}

/// Nothing of what is shown was made by a name.
async fn is_text_only(scene: &Scene, path: &str) {
    let planted = "return [window.planted ?? null, document.querySelectorAll(\
        '.planted, main script, main [onerror], main [onfocus], main [autofocus], \
         main img[src=x]').length, document.querySelectorAll('script').length, \
         document.querySelectorAll('head title').length]";
    let seen = scene.browser.run(planted, json!([])).await;
    assert_eq!(seen, json!([null, 0, 1, 1]), "{path}");
}

#[tokio::test]
async fn hostile_names_are_text_on_every_screen() {
    let scene = scene().await;
    scene.first_visit().await;
    let mut paths: BTreeSet<String> = SCREENS.iter().map(|(_, p)| (*p).to_owned()).collect();
    for (list, kind) in [
        ("/deliveries?destination=cmms", "/deliveries/"),
        ("/assets", "/assets/one"),
        ("/waiting", "/deliveries"),
    ] {
        scene.alone(list).await;
        scene.browser.until_there_is("main a").await;
        let found = ways(&scene, &[kind]).await;
        assert!(!found.is_empty(), "{list} leads to no {kind}");
        // The longest names are in addresses too: those of a few are enough.
        paths.extend(found.into_iter().take(10));
    }
    paths.extend((2..=6).map(|line| format!("/assets/map/row?line={line}")));
    let search = percent_encoding::utf8_percent_encode(MARKUP, percent_encoding::NON_ALPHANUMERIC);
    for screen in ["/deliveries?text", "/assets?q", "/assets/map?q"] {
        paths.insert(format!("{screen}={search}"));
    }
    let mut faults = Vec::new();
    let mut shown = 0;
    for path in &paths {
        faults.extend(scene.faults(path, path).await);
        is_text_only(&scene, path).await;
        let text = scene.browser.text("main").await;
        shown += usize::from(text.contains("<script>window.planted"));
    }
    assert!(shown >= 4, "it stands there as text, on {shown} screens");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let console = scene.browser.console().await;
    let refused = console
        .iter()
        .filter(|s| s.text.contains("Security Policy"));
    assert_eq!(refused.count(), 0, "{console:#?}");
    scene.end().await;
}
