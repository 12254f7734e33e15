//! What every preset sends of every sample, and that no event whatsoever is too much for one.
//!
//! The configuration is the one that the preset's page begins with.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use jiff::Timestamp;
use orbit_relay::config::{Config, Input, Level, Text};
use orbit_relay::event::{ALERT, COMPLETED, NOTICE, Takes};
use orbit_relay::relay::assets::AssetMap;
use orbit_relay::relay::deliver;
use orbit_relay::relay::deliver::preview::{Came, PreviewedRequest, Verdict, preview, verdict};
use orbit_relay::relay::destination::presets;
use orbit_relay::relay::journal::Enrichment;
use proptest::prelude::*;
use serde_json::{Value, json};
use url::Url;

use crate::world::fixture;

/// What a secret is in these configurations.
const SECRET: &str = "canary-of-a-secret";
/// What all presets may ask of an asset.
const ASSETS: &str = "\
action_name,channel,asset_id,location,site_id,pi_webid,pi_unit,fiix_code,upkeep_id,upkeep_location,limble_id,limble_location,maintainx_id,maintainx_location,sap_object_type,servicenow_ci,servicenow_group,ignition_tag
P-101 motor DE,,P-101,PUMPHALL,BEDFORD,F1AbEDqD5loBNH0,Cel,PUMP-A,O1L94DYjCv,,4201,,8901,,EAMS_EQUI,0a1b2c,plant,[default]Pumps/P-101
Kühlung #3 / 점검 50%,,AIR-HDR-42,,,F1AbEDqD5loBNH1,,,,,,,,,,,,
PI-2203,,PI-2203,,,F1AbEDqD5loBNH2,bar,,,,,,,,,,,
Door 7 closed?,,DOOR-07,,,,,,,,,,,,,,,
";

fn map() -> AssetMap {
    AssetMap::parse(ASSETS.as_bytes()).unwrap()
}

fn orbit() -> Url {
    "https://orbit.plant.example".parse().unwrap()
}

fn came(event: &[u8], known: &Enrichment) -> Came {
    let at: Timestamp = "2026-02-03T09:20:01.25Z".parse().unwrap();
    Came {
        enrichment: known.clone(),
        ..Came::of(event.to_vec(), at).unwrap()
    }
}

/// The configuration that a preset's page begins with.
fn configuration(preset: &str) -> String {
    let page = format!("docs/presets/{preset}.md");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let page = std::fs::read_to_string(page).unwrap();
    let block = page.split("```toml\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

fn config(preset: &str) -> deliver::Config {
    let text = configuration(preset);
    let mut environment = BTreeMap::new();
    for part in text.split("env = \"").skip(1) {
        let name = part.split('"').next().unwrap();
        let value = match name {
            "TEAMS_URL" | "SLACK_URL" => format!("https://chat.example/{SECRET}?sig={SECRET}"),
            _ => SECRET.to_owned(),
        };
        environment.insert(name.to_owned(), value);
    }
    let input = Input {
        environment,
        file: Some(Text {
            level: Level::ConfigDir,
            path: "relay.toml".into(),
            bytes: text.into_bytes(),
        }),
        ..Input::default()
    };
    let config = Config::load(&input);
    let mut config = config.unwrap_or_else(|error| panic!("{preset}: {error}"));
    config.destinations.remove(0)
}

/// What Orbit sends, and what the relay itself has to say.
fn samples() -> Vec<(&'static str, Vec<u8>, Enrichment)> {
    let names = [
        "acoustic-leak-alert",
        "failed-action",
        "gauge-string-value",
        "late-upload",
        "plugin-object-value",
        "screenshot",
        "test-empty",
        "test-no-data",
        "test-string-data",
        "thermal",
        "unknown-type",
        "visual-alert",
    ];
    let mut samples: Vec<_> = names
        .into_iter()
        .map(|name| {
            (
                name,
                fixture(&format!("{name}.json")),
                Enrichment::default(),
            )
        })
        .collect();
    let anomalies: Value = serde_json::from_slice(&fixture("anomalies-page.json")).unwrap();
    let anomaly = anomalies.pointer("/resources/0").unwrap_or(&anomalies[0]);
    let known = Enrichment {
        run: Some(String::from_utf8(fixture("run.json")).unwrap()),
        anomaly: Some(anomaly.to_string()),
    };
    let alert = fixture("visual-alert.json");
    samples.push(("visual-alert, with what Orbit knows of it", alert, known));
    let notice = json!({"uuid": "0d5b7a52-0009-4c1e-9a10-000000000009", "type": NOTICE,
        "time": "2026-02-03T09:20:00Z", "data": {"text": "plant: 3 deliveries are dead"}});
    let notice = notice.to_string().into_bytes();
    samples.push(("a notice of the relay", notice, Enrichment::default()));
    samples
}

fn requests(
    config: &deliver::Config,
    event: &[u8],
    known: &Enrichment,
) -> Result<Vec<PreviewedRequest>, String> {
    preview(config, &map(), &came(event, known), Some(&orbit()))
}

/// A body that claims to be JSON is.
fn assert_sound(preset: &str, requests: &[PreviewedRequest]) {
    for request in requests {
        let claims =
            |(name, value): &(String, String)| name == "content-type" && value.contains("json");
        let body = request.body.as_deref();
        if let Some(body) = body.filter(|_| request.headers.iter().any(claims)) {
            let read: Result<Value, _> = serde_json::from_str(body);
            assert!(read.is_ok(), "{preset}: {}: {body}", request.round);
        }
        let shown = format!("{request:?}");
        assert!(!shown.contains(SECRET), "{preset}: {shown}");
    }
}

fn show(page: &mut String, request: &PreviewedRequest) {
    let adds = if request.adds { "append " } else { "" };
    let when = request.when.as_deref();
    let when = when.map_or_else(String::new, |when| format!(" (when {when})"));
    writeln!(page, "\n--- {adds}{}{when}", request.round).unwrap();
    writeln!(page, "{} {}", request.method, request.url).unwrap();
    for (name, value) in &request.headers {
        writeln!(page, "{name}: {value}").unwrap();
    }
    let Some(body) = &request.body else { return };
    let json: Result<Value, _> = serde_json::from_str(body);
    // For the reader's eye alone: what is shown line by line is the text as it is sent.
    match json {
        Ok(Value::Object(_)) => writeln!(page, "\n{}", lines(body)).unwrap(),
        _ => writeln!(page, "\n{body}").unwrap(),
    }
}

/// A JSON text with line breaks and nothing else changed, as far as it goes: members in their
/// order, numbers with their digits.
fn lines(json: &str) -> String {
    let (mut text, mut depth, mut quoted, mut escaped) = (String::new(), 0, false, false);
    for c in json.chars() {
        let (opens, closes) = (matches!(c, '{' | '['), matches!(c, '}' | ']'));
        let breaks = |depth: usize| format!("\n{}", "  ".repeat(depth));
        match c {
            _ if quoted => text.push(c),
            _ if opens => {
                depth += 1;
                text.push(c);
                text += &breaks(depth);
            }
            _ if closes => {
                depth -= 1;
                text = text.trim_end().to_owned();
                if !text.ends_with(['{', '[']) {
                    text += &breaks(depth);
                }
                text.push(c);
            }
            ',' => {
                text.push(c);
                text += &breaks(depth);
            }
            ':' => text += ": ",
            _ => text.push(c),
        }
        quoted ^= c == '"' && !escaped;
        escaped = quoted && c == '\\' && !escaped;
    }
    text
}

#[test]
fn every_sample_makes_these_requests_with_every_preset() {
    for preset in &presets::ALL {
        let config = config(preset.name);
        let mut page = String::new();
        for (name, event, known) in samples() {
            let requests = requests(&config, &event, &known);
            let verdict = verdict(&config, &map(), &came(&event, &known), Some(&orbit())).unwrap();
            let verdict = match verdict {
                Verdict::Sent => "sent".to_owned(),
                Verdict::Parked => "parked".to_owned(),
                Verdict::Skipped(why) => format!("skipped: {why}"),
            };
            writeln!(page, "\n=== {name}: {verdict}").unwrap();
            if let Ok(requests) = &requests {
                assert_sound(preset.name, requests);
            }
            if !verdict.starts_with("sent") {
                continue;
            }
            let requests = requests.unwrap_or_else(|why| panic!("{}: {name}: {why}", preset.name));
            for request in &requests {
                show(&mut page, request);
            }
        }
        insta::assert_snapshot!(preset.name, page.trim_start());
    }
}

/// What a chat shows of an event that is no inspection: its heading, and its text.
fn shown(preset: &str, source: &str, event_type: &str, body: &Value) -> (String, String) {
    let mut config = config(preset);
    config.takes.push(Takes::new(source, ["*"]));
    let file = json!({"type": "X"}).to_string();
    let came = Came {
        source: source.to_owned(),
        event_type: event_type.to_owned(),
        body: body.to_string().into_bytes(),
        ..came(file.as_bytes(), &Enrichment::default())
    };
    let verdict = verdict(&config, &map(), &came, Some(&orbit())).unwrap();
    assert_eq!(verdict, Verdict::Sent);
    let requests = preview(&config, &map(), &came, Some(&orbit())).unwrap();
    assert_sound(preset, &requests);
    let body: Value = serde_json::from_str(requests[0].body.as_ref().unwrap()).unwrap();
    let places = match preset {
        "teams" => ["body/0/text", "body/1/text"].map(|at| format!("/attachments/0/content/{at}")),
        _ => ["0", "1"].map(|at| format!("/blocks/{at}/text/text")),
    };
    let [heading, text] = places.map(|at| body.pointer(&at).unwrap().as_str().unwrap().to_owned());
    (heading, text)
}

#[test]
fn a_chat_shows_of_what_is_no_inspection_whose_it_is_its_type_and_why() {
    let of = |data: Value| json!({"type": "t", "uuid": "u", "data": data});
    for preset in ["teams", "slack"] {
        let shown = |source, event_type, body| shown(preset, source, event_type, &body);
        let dead = json!({"destination": "cmms", "outcome": "dead", "reason": "answered 422"});
        assert_eq!(
            shown("relay", "after:deliver", of(dead)),
            (
                "relay after:deliver".into(),
                "cmms: dead: answered 422".into()
            )
        );
        let paused = json!({"destination": "cmms", "by": "me", "why": "a holiday"});
        assert_eq!(
            shown("relay", "destination.paused", of(paused)),
            ("relay destination.paused".into(), "cmms: a holiday".into())
        );
        assert_eq!(
            shown("stock", "low", of(json!({"text": "3 filters left"}))),
            ("stock low".into(), "3 filters left".into())
        );
        for body in [
            json!({"action": "opened"}),
            of(json!("text")),
            of(json!([7])),
        ] {
            let plain = ("github issues.opened".into(), "issues.opened".into());
            assert_eq!(shown("github", "issues.opened", body), plain);
        }
    }
}

/// JSON of any shape.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[a-z/?#{}%\u{2063}]{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof![
            prop::sample::select(NAMES.as_slice()).prop_map(str::to_owned),
            any::<String>(),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// What Orbit calls things.
const NAMES: [&str; 20] = [
    "uuid",
    "runUuid",
    "time",
    "createdAt",
    "actionName",
    "actionUuid",
    "missionName",
    "robotNickname",
    "error",
    "elementId",
    "assetId",
    "customMetadataTags",
    "severity",
    "title",
    "dataCaptures",
    "dataUrl",
    "keyResults",
    "name",
    "units",
    "value",
];

/// An event that holds any JSON, at the places where Orbit has something too.
fn any_event() -> impl Strategy<Value = Value> {
    let types = prop::sample::select([COMPLETED, ALERT, "TEST", NOTICE, "OTHER"].as_slice());
    let members =
        prop::collection::btree_map(prop::sample::select(NAMES.as_slice()), any_json(), 0..12);
    (types, any_json(), members, any_json(), any::<bool>()).prop_map(
        |(kind, data, members, captures, is_data)| {
            let mut event = json!({"type": kind, "uuid": "u", "data": data});
            if is_data {
                event["data"] = json!({
                    "actionName": "P-101 motor DE",
                    "dataCaptures": [{"keyResults": [captures]}, captures],
                });
                for (name, value) in members {
                    event["data"][name] = value;
                }
            }
            event
        },
    )
}

#[test]
fn no_json_whatsoever_makes_a_preset_panic_or_send_what_is_no_json() {
    let configs: Vec<_> = presets::ALL
        .iter()
        .map(|preset| (preset.name, config(preset.name)))
        .collect();
    let (map, orbit) = (map(), orbit());
    let cases = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
    };
    proptest!(cases, |(event in any_event(), known in any_json())| {
        let known = Enrichment { run: Some(known.to_string()), anomaly: Some(known.to_string()) };
        let event = event.to_string();
        for (name, config) in &configs {
            let requests = preview(config, &map, &came(event.as_bytes(), &known), Some(&orbit));
            if let Ok(requests) = &requests {
                assert_sound(name, requests);
            }
        }
    });
}
