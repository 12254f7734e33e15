//! The model of each sample, of what is hostile, and of any JSON at all; and its schema.

mod schema;

use std::fmt::Write as _;

use jiff::Timestamp;
use proptest::prelude::*;
use url::Url;

use super::*;
use crate::event::{ALERT, COMPLETED, Event, Origin};

/// What each sample that is an event is called, with its bytes.
const SAMPLES: [(&str, &str); 12] = [
    (
        "acoustic-leak-alert",
        include_str!("../../../../../tests/fixtures/acoustic-leak-alert.json"),
    ),
    (
        "failed-action",
        include_str!("../../../../../tests/fixtures/failed-action.json"),
    ),
    (
        "gauge-string-value",
        include_str!("../../../../../tests/fixtures/gauge-string-value.json"),
    ),
    (
        "late-upload",
        include_str!("../../../../../tests/fixtures/late-upload.json"),
    ),
    (
        "plugin-object-value",
        include_str!("../../../../../tests/fixtures/plugin-object-value.json"),
    ),
    (
        "screenshot",
        include_str!("../../../../../tests/fixtures/screenshot.json"),
    ),
    (
        "test-empty",
        include_str!("../../../../../tests/fixtures/test-empty.json"),
    ),
    (
        "test-no-data",
        include_str!("../../../../../tests/fixtures/test-no-data.json"),
    ),
    (
        "test-string-data",
        include_str!("../../../../../tests/fixtures/test-string-data.json"),
    ),
    (
        "thermal",
        include_str!("../../../../../tests/fixtures/thermal.json"),
    ),
    (
        "unknown-type",
        include_str!("../../../../../tests/fixtures/unknown-type.json"),
    ),
    (
        "visual-alert",
        include_str!("../../../../../tests/fixtures/visual-alert.json"),
    ),
];
const PAGE: &str = include_str!("../../../../../tests/fixtures/run-events-page.json");
const ANOMALIES: &str = include_str!("../../../../../tests/fixtures/anomalies-page.json");
const RUN: &str = include_str!("../../../../../tests/fixtures/run.json");
const KEY: &str = "3118d57c46d09c89305069f2d999a51eceb99b96b7e7111779fa99b0e2f81434";
const MEMBERS: [&str; 11] = [
    "event",
    "inspection",
    "readings",
    "captures",
    "asset",
    "assets",
    "key",
    "short_key",
    "orbit_link",
    "delivery",
    "settings",
];

/// One asset for the action, another for its gauge and one for its leak.
fn asset_of(subject: &Subject<'_>) -> Option<ModelAsset> {
    let (id, matched_by, line) = match subject {
        Subject {
            reading: Some("Region 2 Max"),
            ..
        } => ("BEARING-7", "action_name+reading", Some(4)),
        Subject {
            channel: Some("gauge"),
            ..
        } => ("PI-2203", "channel_name", Some(3)),
        Subject {
            action: Some("P-101 motor DE"),
            ..
        } => ("PUMP-101", "action_name", Some(2)),
        Subject {
            asset_id: Some(id), ..
        } => (*id, "orbit", None),
        _ => return None,
    };
    let area = line.map(|_| ("area".to_owned(), "north".to_owned()));
    Some(ModelAsset {
        id: id.to_owned(),
        matched_by: matched_by.to_owned(),
        line,
        attributes: area.into_iter().collect(),
    })
}

fn url_of(data_url: &str) -> Option<String> {
    let safe = data_url.starts_with('/') && !data_url.starts_with("//");
    safe.then(|| {
        let segments = data_url.split('/');
        let encoded = segments.map(|segment| {
            percent_encoding::utf8_percent_encode(segment, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        });
        let path: Vec<_> = encoded.collect();
        format!("https://orbit.example{}", path.join("/"))
    })
}

/// The model of these bytes, with what Orbit said besides.
fn model(event: &str, run: Option<&str>, anomaly: Option<&str>) -> Json {
    let members = Json::parse(event.as_bytes()).unwrap_or(Json::Null);
    let event_type = members
        .get("type")
        .and_then(Json::as_str)
        .unwrap_or(COMPLETED);
    let settings = Json::object([("site_id", "BEDFORD".into())]);
    let orbit = Url::parse("https://orbit.example:8443/somewhere").unwrap();
    build(&Facts {
        event: event.as_bytes(),
        event_type,
        source: "orbit",
        origin: "webhook",
        received_at: Timestamp::UNIX_EPOCH,
        key: KEY,
        run,
        anomaly,
        enrichment: run.map(|_| "complete"),
        asset_of: &asset_of,
        url_of: &url_of,
        orbit: Some(&orbit),
        settings: &settings,
    })
}

/// An event of a finished action with these members of `data`, as its model.
fn of_data(event_type: &str, data: &str) -> Json {
    model(
        &format!(r#"{{"type":"{event_type}","data":{data}}}"#),
        None,
        None,
    )
}

#[track_caller]
fn shows(model: &Json, pointer: &str, expected: &str) {
    let shown = model
        .pointer(pointer)
        .unwrap_or_else(|| panic!("no {pointer}"));
    assert_eq!(shown.to_string(), expected, "{pointer}");
}

fn summary(model: &Json) -> &str {
    model
        .pointer("/inspection/summary")
        .and_then(Json::as_str)
        .unwrap()
}

/// The models of all samples, alone and with what Orbit says besides.
fn models() -> Vec<(String, Json)> {
    let mut models = Vec::new();
    for (name, event) in SAMPLES {
        models.push((name.to_owned(), model(event, None, None)));
    }
    let page = Json::parse(PAGE.as_bytes()).unwrap();
    for (place, data) in page.get("resources").unwrap().items().iter().enumerate() {
        let (data, at) = (data.to_string(), Timestamp::UNIX_EPOCH);
        let event = Event::of_run_event(&data, COMPLETED, Origin::Backfill, at).unwrap();
        let event = String::from_utf8(event.body).unwrap();
        models.push((
            format!("run-events-page-{place}"),
            model(&event, None, None),
        ));
    }
    let anomalies = Json::parse(ANOMALIES.as_bytes()).unwrap();
    let anomaly = anomalies.pointer("/resources/0").unwrap().to_string();
    for (name, event) in SAMPLES
        .into_iter()
        .filter(|(name, _)| ["thermal", "visual-alert"].contains(name))
    {
        let model = model(event, Some(RUN), Some(&anomaly));
        models.push((format!("{name}-with-run-and-anomaly"), model));
    }
    models
}

/// JSON that people can compare.
fn pretty(json: &Json, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth + 1);
    match json {
        Json::Object(members) if !members.is_empty() => {
            out.push('{');
            for (place, (name, of)) in members.iter().enumerate() {
                let comma = if place > 0 { "," } else { "" };
                write!(out, "{comma}\n{indent}{}: ", Json::from(name.as_str())).unwrap();
                pretty(of, depth + 1, out);
            }
            write!(out, "\n{}}}", "  ".repeat(depth)).unwrap();
        }
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                let comma = if place > 0 { "," } else { "" };
                write!(out, "{comma}\n{indent}").unwrap();
                pretty(item, depth + 1, out);
            }
            write!(out, "\n{}]", "  ".repeat(depth)).unwrap();
        }
        other => other.write(out),
    }
}

#[test]
fn the_model_of_each_sample() {
    for (name, model) in models() {
        let Json::Object(mut members) = model else {
            panic!("{name} is no object");
        };
        // The sample itself, and what all have in common.
        members.retain(|(name, _)| !["event", "key", "delivery", "settings"].contains(&&**name));
        let mut text = String::new();
        pretty(&Json::Object(members), 0, &mut text);
        // The marker's ends cannot be seen.
        let text = text.replace('\u{2063}', "\\u2063");
        insta::assert_snapshot!(name, text);
    }
}

#[test]
fn what_all_models_have_in_common() {
    let model = model(SAMPLES[5].1, Some(RUN), None);
    shows(&model, "/key", &format!("\"{KEY}\""));
    shows(&model, "/short_key", r#""3118d57c46d09c89""#);
    shows(&model, "/orbit_link", r#""https://orbit.example:8443/""#);
    shows(
        &model,
        "/delivery",
        r#"{"source":"orbit","event_type":"ACTION_COMPLETED","origin":"webhook","received_at":"1970-01-01T00:00:00Z","enrichment":"complete"}"#,
    );
    shows(&model, "/settings", r#"{"site_id":"BEDFORD"}"#);
    assert_eq!(model.get("event").unwrap().to_string(), SAMPLES[5].1.trim());
}

#[test]
fn a_test_payload_and_a_notice_are_no_inspection() {
    let data = r#"{"actionName":"a","dataCaptures":[{"keyResults":[{"name":"n","value":1}]}]}"#;
    for event_type in ["TEST", "RELAY_NOTICE"] {
        let model = of_data(event_type, data);
        for (member, nothing) in [
            ("inspection", "null"),
            ("readings", "[]"),
            ("captures", "[]"),
            ("asset", "null"),
            ("assets", "[]"),
        ] {
            shows(&model, &format!("/{member}"), nothing);
        }
    }
    shows(
        &of_data("SOMETHING_NEW", data),
        "/inspection/action",
        r#""a""#,
    );
    shows(
        &of_data("SOMETHING_NEW", r#"{"runUuid":"r"}"#),
        "/inspection",
        "null",
    );
}

#[test]
fn what_the_event_says_wins_over_the_anomaly_and_the_run() {
    let anomaly = r#"{"name":"A","severity":4,"title":"AT","assetId":"AA","elementId":"AE",
        "customMetadataTags":["at"],"runUuid":"ar","actionUuid":"au"}"#;
    let run = r#"{"uuid":"rr","robotNickname":"RR","robotSerial":"RS","operatorId":"RO","missionName":"RM"}"#;
    let data = r#"{"actionName":"D","severity":1,"title":"DT","assetId":"DA","elementId":"DE",
        "customMetadataTags":["dt"],"robotNickname":"DR","missionName":"DM","runUuid":"dr"}"#;
    let both = |data: &str| {
        model(
            &format!(r#"{{"type":"{ALERT}","data":{data}}}"#),
            Some(run),
            Some(anomaly),
        )
    };
    let said = both(data);
    for (member, expected) in [
        ("inspection/action", r#""D""#),
        ("inspection/severity", "1"),
        ("inspection/title", r#""DT""#),
        ("inspection/element_id", r#""DE""#),
        ("inspection/tags", r#"["dt"]"#),
        ("inspection/robot", r#""DR""#),
        ("inspection/mission", r#""DM""#),
        ("inspection/run_uuid", r#""dr""#),
        ("asset/id", r#""DA""#),
    ] {
        shows(&said, &format!("/{member}"), expected);
    }
    for data in [
        "{}",
        "null",
        r#"{"severity":9,"title":"","customMetadataTags":[],"robotNickname":[]}"#,
    ] {
        let silent = both(data);
        for (member, expected) in [
            ("inspection/action", r#""A""#),
            ("inspection/action_uuid", r#""au""#),
            ("inspection/severity", "4"),
            ("inspection/severity_word", r#""critical""#),
            ("inspection/title", r#""AT""#),
            ("inspection/element_id", r#""AE""#),
            ("inspection/tags", r#"["at"]"#),
            ("inspection/robot", r#""RR""#),
            ("inspection/robot_serial", r#""RS""#),
            ("inspection/operator", r#""RO""#),
            ("inspection/mission", r#""RM""#),
            ("inspection/run_uuid", r#""ar""#),
            ("asset/id", r#""AA""#),
        ] {
            shows(&silent, &format!("/{member}"), expected);
        }
    }
}

#[test]
fn a_severity_is_a_whole_number_from_0_to_4_or_its_text() {
    for (sent, number, word) in [
        ("0", "0", r#""unknown""#),
        ("1", "1", r#""info""#),
        (r#""2""#, "2", r#""warning""#),
        (r#"" 3 ""#, "3", r#""error""#),
        ("4", "4", r#""critical""#),
        ("5", "null", "null"),
        ("-1", "null", "null"),
        ("2.5", "null", "null"),
        ("1e400", "null", "null"),
        (r#""high""#, "null", "null"),
        ("true", "null", "null"),
        ("[3]", "null", "null"),
    ] {
        let model = of_data(ALERT, &format!(r#"{{"severity":{sent}}}"#));
        shows(&model, "/inspection/severity", number);
        shows(&model, "/inspection/severity_word", word);
    }
}

#[test]
fn the_summary_says_it_in_words() {
    let thermal = SAMPLES
        .iter()
        .find(|(name, _)| *name == "thermal")
        .unwrap()
        .1;
    let alert = thermal.replace(COMPLETED, ALERT);
    insta::assert_snapshot!(summary(&model(&alert, Some(RUN), None)), @"ALERT P-101 motor DE: Region 1 Max 61.4 °C, Region 2 Max 24 °C (Pump hall AM, spot-07)");
    insta::assert_snapshot!(summary(&model(SAMPLES[0].1, None, None)), @"ALERT Leak detected at Kühlung #3 / 점검 50%: SPL At Source 58.2 dB, Leak Rate 0.00005 m3/s, Distance: no value (Pump hall AM)");
    insta::assert_snapshot!(summary(&model(SAMPLES[1].1, None, None)), @"P-102 motor NDE, error 7 (Pump hall AM)");
    insta::assert_snapshot!(summary(&model(SAMPLES[2].1, None, None)), @"PI-2203: Reading 6.2 bar, Confidence 0.91 (Tank farm)");
    insta::assert_snapshot!(summary(&model(SAMPLES[11].1, None, None)), @"ALERT Door 7 closed?: Is the door closed: no, Lock count 2, Answer: The door is open about 20 cm. (Perimeter)");
    insta::assert_snapshot!(summary(&of_data(COMPLETED, "null")), @"inspection");
}

#[test]
fn readings_that_find_no_room_in_the_summary_are_counted() {
    let results: Vec<String> = (1..=40)
        .map(|n| format!(r#"{{"name":"Region {n} Max","units":"degC","value":{n}}}"#))
        .collect();
    let data = format!(
        r#"{{"actionName":"Busbar","missionName":"M","dataCaptures":[{{"keyResults":[{}]}}]}}"#,
        results.join(",")
    );
    let model = of_data(ALERT, &data);
    insta::assert_snapshot!(summary(&model), @"ALERT Busbar: Region 1 Max 1 °C, Region 2 Max 2 °C, Region 3 Max 3 °C, Region 4 Max 4 °C, Region 5 Max 5 °C, Region 6 Max 6 °C, Region 7 Max 7 °C, Region 8 Max 8 °C, Region 9 Max 9 °C, +31 more (M)");
    let long = "x".repeat(300);
    let data = format!(
        r#"{{"actionName":"{long}","title":"{long}","missionName":"{long}","robotNickname":"{long}","error":123456789012345,"dataCaptures":[{{"keyResults":[{{"name":"{long}","value":1}}]}}]}}"#
    );
    let model = of_data(ALERT, &data);
    assert!(summary(&model).chars().count() <= 200);
    assert!(
        summary(&model).contains(", error 12345678901…"),
        "{}",
        summary(&model)
    );
}

#[test]
fn the_summary_is_one_line_and_turns_nothing() {
    let data = "{\"actionName\":\"a\\r\\n\\u001b[31mb\\u2028c\\u202ed\",\"dataCaptures\":[{\"keyResults\":[{\"name\":\"n\\n\",\"units\":\"\\t\",\"value\":\"x\\u0000y\"}]}]}";
    assert_eq!(summary(&of_data(COMPLETED, data)), "a [31mb cd: n: x y");
}

#[test]
fn a_hostile_data_url_has_neither_a_url_nor_a_marker() {
    let data =
        r#"{"dataCaptures":[{"dataUrl":"//evil.example/x.jpg"},{"dataUrl":"/a/b c#1.jpg"},7]}"#;
    let model = of_data(COMPLETED, data);
    shows(&model, "/captures/0/url", "null");
    shows(&model, "/captures/0/data", "null");
    shows(&model, "/captures/0/name", r#""x.jpg""#);
    shows(
        &model,
        "/captures/1/url",
        r#""https://orbit.example/a/b%20c%231%2Ejpg""#,
    );
    let marker = Json::from(crate::relay::transform::pictures::mark(
        "3118d57c46d09c89",
        1,
    ))
    .to_string();
    shows(&model, "/captures/1/data", &marker);
    shows(
        &model,
        "/captures/2",
        r#"{"index":2,"uuid":null,"channel":null,"time":null,"name":"capture","url":null,"kind":"other","is_image":false,"type":null,"data":null,"asset":null}"#,
    );
}

#[test]
fn what_nests_too_deeply_is_null_and_the_rest_is_there() {
    let deep = "[".repeat(1_000) + &"]".repeat(1_000);
    let model = of_data(COMPLETED, &format!(r#"{{"actionName":"a","deep":{deep}}}"#));
    shows(&model, "/inspection/action", r#""a""#);
    shows(&model, "/event/data", r#"{"actionName":"a","deep":null}"#);
    for event in ["", "no JSON", &deep] {
        shows(
            &self::model(event, Some("{"), Some("[]")),
            "/inspection/action",
            "null",
        );
    }
}

#[test]
fn the_model_of_a_large_event_is_bounded() {
    let many = "{\"keyResults\":[{\"name\":1}]},".repeat(20_000);
    let model = of_data(COMPLETED, &format!(r#"{{"dataCaptures":[{many}{{}}]}}"#));
    assert_eq!(model.get("captures").unwrap().items().len(), MOST_CAPTURES);
    assert_eq!(model.get("readings").unwrap().items().len(), MOST_CAPTURES);
}

/// Any JSON, with the names and types that are looked for at likely and unlikely places.
fn any_json() -> impl Strategy<Value = Json> {
    let names = [
        "data",
        "type",
        "dataCaptures",
        "keyResults",
        "name",
        "units",
        "value",
        "dataUrl",
        "time",
        "createdAt",
        "channelName",
        "actionName",
        "title",
        "severity",
        "error",
        "uuid",
        "robotNickname",
        "customMetadataTags",
        "missionName",
        "assetId",
        "x",
        "",
    ];
    let words = [
        COMPLETED,
        ALERT,
        "TEST",
        "2026-02-03T09:14:07.118Z",
        "6.2",
        "Reading (bar)",
        "/a/b.jpg",
        "@evil.example/x",
        "",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (0..6_i64).prop_map(Json::from),
        Just(Json::Number("1e400".into())),
        any::<String>().prop_map(Json::from),
        proptest::sample::select(words.to_vec()).prop_map(Json::from),
    ];
    let name = prop_oneof![
        9 => proptest::sample::select(names.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(6, 48, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::Array),
            prop::collection::vec((name.clone(), inner), 0..8).prop_map(Json::Object),
        ]
    })
}

/// The same where it matters: as `data`, as captures, as key results.
fn any_event() -> impl Strategy<Value = String> {
    (any_json(), 0..4).prop_map(|(json, place)| match place {
        0 => json.to_string(),
        1 => format!(r#"{{"type":"{ALERT}","data":{json}}}"#),
        2 => format!(r#"{{"type":"{ALERT}","data":{{"dataCaptures":[{json},{json}]}}}}"#),
        _ => format!(
            r#"{{"type":"{ALERT}","data":{{"dataCaptures":[{{"dataUrl":"/a","keyResults":[{json},{{"name":"n","value":{json}}}]}}]}}}}"#
        ),
    })
}

proptest! {
    #[test]
    fn any_json_gives_a_model_that_the_schema_allows(
        event in any_event(),
        run in any_json(),
        anomaly in any_json(),
    ) {
        let (run, anomaly) = (run.to_string(), anomaly.to_string());
        let one = model(&event, Some(&run), Some(&anomaly));
        let text = one.to_string();
        prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok());
        let Json::Object(members) = &one else { panic!("no object") };
        let names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        prop_assert_eq!(names, MEMBERS);
        prop_assert_eq!(schema::wrong(&one), Vec::<String>::new());
        let ids: Vec<_> = one.get("readings").unwrap().items().iter().map(|reading| reading.get("id").unwrap().to_string()).collect();
        let mut distinct = ids.clone();
        distinct.sort();
        distinct.dedup();
        prop_assert_eq!(distinct.len(), ids.len());
        prop_assert_eq!(model(&event, Some(&run), Some(&anomaly)).to_string(), text);
    }

    #[test]
    fn no_bytes_panic(event: Vec<u8>, run: String) {
        let event = String::from_utf8_lossy(&event);
        prop_assert_eq!(schema::wrong(&model(&event, Some(&run), Some(&run))), Vec::<String>::new());
    }
}
