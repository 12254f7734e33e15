//! What is known of an inspection, or of a part of it, when its asset is looked up.
//!
//! # Invariants
//! - All that looks assets up makes its subject here.
//! - Nothing panics and nothing recurses, whatever JSON an event has.

use std::collections::BTreeSet;

use serde_json::value::RawValue;

use crate::event::{Envelope, Members};

/// No more readings of one event are looked at.
const MOST_PARTS: usize = 10_000;

/// What is known of an inspection when its asset is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The asset that Orbit itself has for the action.
    pub orbit_asset_id: Option<String>,
    /// The element of the site's walk that the action belongs to.
    pub element_id: Option<String>,
    /// The action's uuid.
    pub action_uuid: Option<String>,
    /// The action's name, as people gave it.
    pub action_name: Option<String>,
    /// The mission's name.
    pub mission_name: Option<String>,
    /// The robot that did it.
    pub robot: Option<String>,
    /// The channel of a capture, where it is one capture or reading that is looked up.
    pub channel_name: Option<String>,
    /// The name of a reading, where it is one that is looked up.
    pub reading: Option<String>,
}

impl Subject {
    /// An inspection as a whole, from what the event itself says.
    pub fn of(envelope: &Envelope<'_>) -> Self {
        Self {
            orbit_asset_id: envelope.data("assetId"),
            element_id: envelope.data("elementId"),
            action_uuid: envelope.data("actionUuid"),
            action_name: envelope.data("actionName"),
            mission_name: envelope.data("missionName"),
            robot: envelope.data("robotNickname"),
            channel_name: None,
            reading: None,
        }
    }

    /// One capture of this inspection, or with its name one reading.
    #[must_use]
    pub fn part(&self, channel_name: Option<&str>, reading: Option<&str>) -> Self {
        Self {
            channel_name: channel_name.map(str::to_owned),
            reading: reading.map(str::to_owned),
            ..self.clone()
        }
    }

    /// The captures and the readings of an inspection, each once. A reading has the name that
    /// templates see: without the unit in brackets, and with the member of an object behind it.
    pub fn parts(&self, envelope: &Envelope<'_>) -> Vec<Self> {
        let mut parts = BTreeSet::new();
        let data = envelope.members().raw("data").map(Members::parse);
        let captures = match &data {
            Some(Ok(data)) => list(data.raw("dataCaptures")),
            _ => Vec::new(),
        };
        for capture in captures {
            let Ok(capture) = Members::parse(capture.get()) else {
                continue;
            };
            let channel = capture.text("channelName");
            let results = list(capture.raw("keyResults"));
            let names = results.into_iter().flat_map(|result| names(result.get()));
            let readings = names.map(|name| (channel.clone(), Some(name)));
            let whole = std::iter::once((channel.clone(), None));
            parts.extend(whole.chain(readings).take(MOST_PARTS));
            if parts.len() >= MOST_PARTS {
                break;
            }
        }
        let is_part =
            |(channel, reading): &(Option<_>, Option<_>)| channel.is_some() || reading.is_some();
        let parts = parts.into_iter().filter(is_part);
        parts
            .map(|(channel, reading)| self.part(channel.as_deref(), reading.as_deref()))
            .collect()
    }
}

fn list(json: Option<&str>) -> Vec<&RawValue> {
    json.and_then(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

/// The readings of one key result.
fn names(result: &str) -> Vec<String> {
    let Some((name, value)) = Members::parse(result).ok().and_then(|members| {
        Some((
            members.text("name")?,
            members.raw("value").unwrap_or("null"),
        ))
    }) else {
        return Vec::new();
    };
    let name = without_unit(&name);
    let of = |member: &str| format!("{name} {member}");
    if let Ok(members) = Members::parse(value) {
        return members.iter().map(|(member, _)| of(member)).collect();
    }
    if value.starts_with('[') {
        return (1..=list(Some(value)).len())
            .map(|place| of(&place.to_string()))
            .collect();
    }
    vec![name.to_owned()]
}

/// `Reading (bar)` is the reading `Reading`.
fn without_unit(name: &str) -> &str {
    let bare = name
        .trim()
        .strip_suffix(')')
        .and_then(|name| name.rsplit_once('('))
        .map(|(bare, _)| bare.trim_end());
    bare.filter(|bare| !bare.is_empty()).unwrap_or(name.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parts(data: &str) -> Vec<String> {
        let body = format!(r#"{{"type":"X","data":{data}}}"#);
        let envelope = Envelope::parse(body.as_bytes()).unwrap();
        let parts = Subject::of(&envelope).parts(&envelope);
        let text = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        parts
            .into_iter()
            .map(|part| format!("{}/{}", text(part.channel_name), text(part.reading)))
            .collect()
    }

    #[test]
    fn an_inspection_is_what_its_event_says() {
        let body = r#"{"type":"X","data":{"assetId":"o","elementId":"e","actionUuid":"u",
            "actionName":"a","missionName":"m","robotNickname":"r"}}"#;
        let subject = Subject::of(&Envelope::parse(body.as_bytes()).unwrap());
        let some = |text: &str| Some(text.to_owned());
        let expected = Subject {
            orbit_asset_id: some("o"),
            element_id: some("e"),
            action_uuid: some("u"),
            action_name: some("a"),
            mission_name: some("m"),
            robot: some("r"),
            ..Subject::default()
        };
        assert_eq!(subject, expected);
    }

    #[test]
    fn each_capture_and_each_reading_is_a_part() {
        let data = r#"{"dataCaptures":[
            {"channelName":"ir","keyResults":[{"name":"Max","value":1},{"name":"Max","value":2}]},
            {"channelName":"ptz","keyResults":null},
            {"keyResults":[{"name":"Reading (bar)","value":"6.2"},{"name":"LEL","value":
                {"avg":1,"max":2}},{"name":"P","value":[1,2]},{"name":"(x)"}]},
            {"channelName":"","keyResults":[]}, 7, {"keyResults":[8,{"value":9}]}]}"#;
        let expected = [
            "-/(x)",
            "-/LEL avg",
            "-/LEL max",
            "-/P 1",
            "-/P 2",
            "-/Reading",
            "ir/-",
            "ir/Max",
            "ptz/-",
        ];
        assert_eq!(parts(data), expected);
        for none in [
            "null",
            "{}",
            r#"{"dataCaptures":null}"#,
            r#"{"dataCaptures":{}}"#,
        ] {
            assert_eq!(parts(none), [] as [&str; 0], "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_event_panics(data in "(\\{|\\}|\\[|\\]|\"dataCaptures\":|\"keyResults\":|\"name\":|\"a\"|,|1){0,30}") {
            let body = format!(r#"{{"type":"X","data":{data}}}"#);
            if let Ok(envelope) = Envelope::parse(body.as_bytes()) {
                Subject::of(&envelope).parts(&envelope);
            }
        }
    }
}
