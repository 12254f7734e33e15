//! What an event is about, for the catalogue: by the model that templates see, and by the asset map
//! of now.
//!
//! # Invariants
//! - Pure; any bytes give something, and bounded by [`MOST_READINGS`] and [`MOST_ASSETS`].
//! - The relay's own events and samples are about nothing: nothing happened in the plant.

use std::collections::HashSet;

use jiff::Timestamp;

use super::model::{Found, asset, find, subject};
use crate::event::{ALERT, Envelope, ORBIT, Origin, RELAY};
use crate::relay::assets::AssetMap;
use crate::relay::journal::{About, Enrichment, EventRow, Reading};
use crate::relay::transform::json::Json;
use crate::relay::transform::model::{self as event_model, Facts, ModelAsset};

/// No more readings of an event are in the catalogue.
const MOST_READINGS: usize = 256;
/// No more assets.
const MOST_ASSETS: usize = 32;

/// What an event is about; none where it is not for the catalogue.
pub fn about(map: &AssetMap, event: &EventRow, known: &Enrichment) -> Option<About> {
    if event.source == RELAY || event.origin == Origin::Sample.as_str() {
        return None;
    }
    let model = model(map, event, known);
    let inspection = model.get("inspection").filter(|of| !of.is_null());
    let text = |name: &str| text(inspection?, name);
    let came = event.received_at;
    let at = time(inspection, came).unwrap_or(came);
    let ids = model.get("assets").map_or(&[][..], Json::items).iter();
    let of_whole = model.get("asset").and_then(|asset| self::text(asset, "id"));
    let mut assets = Vec::new();
    for id in of_whole
        .into_iter()
        .chain(ids.filter_map(|asset| self::text(asset, "id")))
    {
        if assets.len() < MOST_ASSETS && !assets.contains(&id) {
            assets.push(id);
        }
    }
    Some(About {
        seq: event.seq,
        at,
        robot: text("robot"),
        mission: text("mission"),
        action: match inspection {
            Some(_) => text("action"),
            None => Some(event.event_type.clone()),
        },
        alert: event.source == ORBIT && event.event_type == ALERT,
        readings: readings(&model, &assets, at, came),
        assets,
    })
}

fn model(map: &AssetMap, event: &EventRow, known: &Enrichment) -> Json {
    let envelope = Envelope::of(&event.event_type, &event.body).ok();
    let envelope = envelope.filter(|_| event.source == ORBIT);
    let whole = envelope.as_ref().map(|envelope| subject(envelope, known));
    let asset_of = |part: &event_model::Subject<'_>| -> Option<ModelAsset> {
        if part.channel.is_none() && part.reading.is_none() {
            return match find(map, envelope.as_ref()?, known) {
                Found::Asset(found) => Some(found),
                Found::None(_) => None,
            };
        }
        let part = whole.as_ref()?.part(part.channel, part.reading);
        map.find(&part).map(asset)
    };
    event_model::build(&Facts {
        event: &event.body,
        event_type: &event.event_type,
        source: &event.source,
        origin: &event.origin,
        received_at: event.received_at,
        key: "",
        run: known.run.as_deref(),
        anomaly: known.anomaly.as_deref(),
        enrichment: None,
        asset_of: &asset_of,
        url_of: &|_| None,
        orbit: None,
        settings: &Json::Null,
    })
}

/// What was read of assets that are known.
fn readings(model: &Json, assets: &[String], at: Timestamp, came: Timestamp) -> Vec<Reading> {
    let mut names = HashSet::new();
    let all = model.get("readings").map_or(&[][..], Json::items);
    let all = all.iter().filter_map(|json| {
        let asset = text(json.get("asset")?, "id").filter(|id| assets.contains(id))?;
        let value = json.get("number").and_then(Json::as_f64);
        let words = || match json.get("flag").and_then(Json::as_bool) {
            Some(true) => Some("yes".to_owned()),
            Some(false) => Some("no".to_owned()),
            None => text(json, "text"),
        };
        let words = if value.is_none() {
            Some(words()?)
        } else {
            None
        };
        let name = text(json, "name").or_else(|| text(json, "channel"));
        let name = name.unwrap_or_else(|| "value".to_owned());
        Some(Reading {
            name: next_name(&mut names, &asset, &name),
            asset,
            at: time(Some(json), came).unwrap_or(at),
            value,
            text: words,
            unit: text(json, "unit"),
        })
    });
    all.take(MOST_READINGS).collect()
}

/// A name that no other reading of the asset has in this event.
fn next_name(names: &mut HashSet<(String, String)>, asset: &str, name: &str) -> String {
    let mut next = name.to_owned();
    let mut count = 1;
    while !names.insert((asset.to_owned(), next.clone())) {
        count += 1;
        next = format!("{name} #{count}");
    }
    next
}

/// When it was, as it says; nothing was after it came.
fn time(of: Option<&Json>, came: Timestamp) -> Option<Timestamp> {
    let at: Timestamp = of?.get("time")?.as_str()?.parse().ok()?;
    Some(at.min(came))
}

fn text(json: &Json, name: &str) -> Option<String> {
    let text = json.get(name)?.as_str()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAME: &str = "2026-02-03T10:00:00Z";

    fn event(source: &str, event_type: &str, body: &str) -> EventRow {
        EventRow {
            seq: 7,
            source: source.into(),
            event_type: event_type.into(),
            identity: "i".into(),
            origin: "webhook".into(),
            received_at: CAME.parse().unwrap(),
            body: body.into(),
            deliveries: Vec::new(),
        }
    }

    fn map() -> AssetMap {
        let csv = "action_name,channel_name,asset_id\nPump 1,,P-1\nPump 1,ir,P-1-MOTOR\n";
        AssetMap::parse(csv.as_bytes()).unwrap()
    }

    const PUMP: &str = r#"{"type":"ACTION_COMPLETED_WITH_ALERT","data":{"actionName":"Pump 1",
        "missionName":"Round","robotNickname":"spot-1","time":"2026-02-03T09:14:07Z",
        "dataCaptures":[
        {"channelName":"ptz","keyResults":[{"name":"Pressure (bar)","value":"6.2"},
            {"name":"Pressure (bar)","value":6.4},{"name":"Open","value":true}]},
        {"channelName":"ir","keyResults":[{"name":"Max","value":81,"units":"C"},
            {"name":"Note","value":"hot"},{"name":"Nothing","value":null}]}]}}"#;

    #[test]
    fn an_inspection_is_about_what_its_model_and_the_asset_map_say() {
        let event = event(ORBIT, ALERT, PUMP);
        let about = about(&map(), &event, &Enrichment::default()).unwrap();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            (about.robot, about.mission),
            (some("spot-1"), some("Round"))
        );
        assert_eq!((about.action, about.alert), (some("Pump 1"), true));
        assert_eq!(about.at.to_string(), "2026-02-03T09:14:07Z");
        assert_eq!(about.assets, ["P-1", "P-1-MOTOR"]);
        let readings = about.readings.iter().map(|r| {
            let value = r.value.map(|value| value.to_string());
            let value = value.or_else(|| r.text.clone()).unwrap();
            let unit = r.unit.as_deref().unwrap_or_default();
            format!("{} {}: {value} {unit}", r.asset, r.name)
        });
        let expected = [
            "P-1 Pressure: 6.2 bar",
            "P-1 Pressure #2: 6.4 bar",
            "P-1 Open: yes ",
            "P-1-MOTOR Max: 81 C",
            "P-1-MOTOR Note: hot ",
        ];
        assert_eq!(readings.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_orbit_said_counts_where_the_event_says_nothing() {
        let body = r#"{"type":"ACTION_COMPLETED","data":{"actionName":"Pump 9"}}"#;
        let known = Enrichment {
            run: Some(r#"{"robotNickname":"spot-2","missionName":"Night"}"#.into()),
            anomaly: Some(r#"{"assetId":"O-9"}"#.into()),
        };
        let about = about(&map(), &event(ORBIT, "ACTION_COMPLETED", body), &known).unwrap();
        assert_eq!(about.robot.as_deref(), Some("spot-2"));
        assert_eq!(about.mission.as_deref(), Some("Night"));
        assert_eq!(about.assets, ["O-9"]);
    }

    #[test]
    fn another_sources_event_has_its_type_and_what_is_the_relays_own_or_a_sample_nothing() {
        let known = Enrichment::default();
        let other = about(&map(), &event("github", "issues.opened", PUMP), &known).unwrap();
        assert_eq!(other.action.as_deref(), Some("issues.opened"));
        assert_eq!(
            (other.assets.len(), other.robot, other.alert),
            (0, None, false)
        );
        assert_eq!(other.at.to_string(), CAME);
        assert_eq!(
            about(&map(), &event(RELAY, "RELAY_NOTICE", "{}"), &known),
            None
        );
        let mut sample = event(ORBIT, ALERT, PUMP);
        sample.origin = "sample".into();
        assert_eq!(about(&map(), &sample, &known), None);
    }

    #[test]
    fn no_time_is_after_the_event_came() {
        let body = PUMP.replace("2026-02-03T09:14:07Z", "2999-01-01T00:00:00Z");
        let about = about(&map(), &event(ORBIT, ALERT, &body), &Enrichment::default());
        assert_eq!(about.unwrap().at.to_string(), CAME);
    }

    proptest! {
        #[test]
        fn any_bytes_give_something(body in any::<Vec<u8>>(), text in any::<String>()) {
            let mut hostile = event(ORBIT, ALERT, "");
            hostile.body = body;
            prop_assert!(about(&map(), &hostile, &Enrichment::default()).is_some());
            let json = serde_json::json!({"type": ALERT, "data": {"actionName": text,
                "robotNickname": text, "dataCaptures": [{"channelName": text, "keyResults":
                [{"name": text, "value": text}]}]}});
            hostile.body = json.to_string().into();
            prop_assert!(about(&map(), &hostile, &Enrichment::default()).is_some());
        }
    }
}
