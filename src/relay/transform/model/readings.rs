//! The readings: one per key result; an object or a list gives one per value in it.
//!
//! # Invariants
//! - No two readings of an event have one id, and the same event gives the same ids.
//! - A number keeps its digits.

use std::collections::{HashMap, HashSet};

use super::super::json::Json;
use super::captures::Capture;
use super::texts::{cut, first, text};
use super::{summary, units};

/// The model shows no more readings of an event.
pub const MOST_READINGS: usize = 1024;

/// No name is longer: each value of an object repeats it.
const LONGEST_NAME: usize = 256;
const LONGEST_UNIT: usize = 64;
/// A text that is longer is no number.
const LONGEST_NUMBER: usize = 40;

/// One value that was read.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) name: Option<String>,
    pub(super) unit: Option<String>,
    pub(super) value: &'a Json,
    pub(super) channel: Option<String>,
    time: Option<String>,
    capture: usize,
    id: String,
}

/// The readings of all captures; one whose capture has no time has the inspection's.
pub(super) fn read<'a>(captures: &[Capture<'a>], time: Option<&str>) -> Vec<Reading<'a>> {
    let mut readings = Vec::new();
    let mut ids = Ids::default();
    for capture in captures {
        for result in capture.key_results {
            let Some(Named { name, unit, value }) = named(result) else {
                continue;
            };
            let mut leaves = Vec::new();
            flatten(name, value, MOST_READINGS - readings.len(), &mut leaves);
            for (name, value) in leaves {
                let channel = capture.channel.clone();
                readings.push(Reading {
                    id: ids.next(channel.as_deref(), name.as_deref()),
                    name,
                    unit: unit.clone(),
                    value,
                    channel,
                    time: capture.time.clone().or_else(|| time.map(str::to_owned)),
                    capture: capture.index,
                });
            }
        }
    }
    readings
}

impl Reading<'_> {
    /// The number that it is, or that its text is.
    pub(super) fn number(&self) -> Option<Json> {
        match self.value {
            Json::Number(_) => Some(self.value.clone()),
            Json::String(text) => number_in(text),
            _ => None,
        }
    }

    pub(super) fn to_json(&self, asset: Json) -> Json {
        Json::object([
            ("name", self.name.as_deref().into()),
            ("unit", self.unit.as_deref().into()),
            ("value", self.value.clone()),
            ("number", self.number().into()),
            ("text", self.value.as_str().into()),
            ("flag", self.value.as_bool().into()),
            ("channel", self.channel.as_deref().into()),
            ("time", self.time.as_deref().into()),
            ("capture", self.capture.into()),
            ("asset", asset),
            ("id", self.id.as_str().into()),
            ("words", summary::words(self).into()),
        ])
    }
}

struct Named<'a> {
    name: Option<String>,
    unit: Option<String>,
    value: &'a Json,
}

/// Name, unit and value of a key result; none where it has neither name nor value.
fn named(result: &Json) -> Option<Named<'_>> {
    let name = first(&[result], "name", text);
    let value = result.get("value");
    if name.is_none() && value.is_none() {
        return None;
    }
    let unit = first(&[result], "units", text);
    let split = name.as_deref().filter(|_| unit.is_none());
    let (name, unit) = match split.and_then(units::split) {
        Some((name, unit)) => (Some(name.to_owned()), Some(unit.to_owned())),
        None => (name, unit),
    };
    Some(Named {
        name: name.map(|name| cut(&name, LONGEST_NAME)),
        unit: unit.map(|unit| cut(&unit, LONGEST_UNIT)),
        value: value.unwrap_or(&Json::Null),
    })
}

/// The values in a value, at most `most`, each with its name.
fn flatten<'a>(
    name: Option<String>,
    value: &'a Json,
    most: usize,
    leaves: &mut Vec<(Option<String>, &'a Json)>,
) {
    if leaves.len() >= most {
        return;
    }
    let below = |part: &str| {
        let name = name.iter().map(String::as_str).chain([part]);
        let name: Vec<&str> = name.collect();
        Some(cut(&name.join(" "), LONGEST_NAME))
    };
    match value {
        Json::Object(members) if !members.is_empty() => {
            let mut seen = HashSet::new();
            // Of a member that appears twice the last one counts.
            let members = members.iter().rev().filter(|(part, _)| seen.insert(part));
            let members: Vec<_> = members.collect();
            for (part, value) in members.into_iter().rev() {
                flatten(below(part), value, most, leaves);
            }
        }
        Json::Array(items) if !items.is_empty() => {
            for (place, value) in (1..=most).zip(items) {
                flatten(below(&place.to_string()), value, most, leaves);
            }
        }
        _ => leaves.push((name, value)),
    }
}

/// A number as JSON writes it, perhaps with a plus. A comma, or a unit behind it, makes it text.
fn number_in(text: &str) -> Option<Json> {
    let text = text.trim();
    let bare = text.strip_prefix('+').filter(|bare| !bare.starts_with('-'));
    let text = bare.unwrap_or(text);
    if text.len() > LONGEST_NUMBER {
        return None;
    }
    let number = Json::parse(text.as_bytes()).ok()?;
    matches!(number, Json::Number(_)).then_some(number)
}

/// Ids that were given.
#[derive(Default)]
struct Ids {
    given: HashSet<String>,
    repeats: HashMap<String, usize>,
}

impl Ids {
    fn next(&mut self, channel: Option<&str>, name: Option<&str>) -> String {
        let (channel, name) = (channel.unwrap_or_default(), name.unwrap_or_default());
        let plain = format!("{channel}/{name}");
        let mut id = plain.clone();
        // A name may itself end in `#2`.
        while !self.given.insert(id.clone()) {
            let repeats = self.repeats.entry(plain.clone()).or_insert(1);
            *repeats += 1;
            id = format!("{plain}#{repeats}");
        }
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(key_results: &str) -> Vec<(String, String)> {
        let event = format!(
            r#"{{"data":{{"dataCaptures":[{{"channelName":"c","keyResults":{key_results}}}]}}}}"#
        );
        let event = Json::parse(event.as_bytes()).unwrap();
        let captures = super::super::captures::read(&event);
        let readings = read(&captures, None);
        let both = readings.iter().map(|reading| {
            let json = reading.to_json(Json::Null);
            let of = |name: &str| json.get(name).unwrap().to_string();
            let kinds = ["number", "text", "flag", "unit"].map(of).join(" ");
            (reading.id.clone(), kinds)
        });
        both.collect()
    }

    #[track_caller]
    fn one(key_results: &str, id: &str, kinds: &str) {
        assert_eq!(of(key_results), [(id.to_owned(), kinds.to_owned())]);
    }

    #[test]
    fn a_value_is_a_number_a_text_a_flag_or_nothing() {
        one(
            r#"[{"name":"a","value":0.00005}]"#,
            "c/a",
            "0.00005 null null null",
        );
        one(
            r#"[{"name":"a","value":"6.2"}]"#,
            "c/a",
            r#"6.2 "6.2" null null"#,
        );
        one(
            r#"[{"name":"a","value":" +6.20 "}]"#,
            "c/a",
            r#"6.20 " +6.20 " null null"#,
        );
        for text in [
            "6,2", "6.2 bar", "007", "+-1", "0x10", ".5", "NaN", "1e", "", "true",
        ] {
            let kinds = format!(r#"null "{text}" null null"#);
            one(
                &format!(r#"[{{"name":"a","value":"{text}"}}]"#),
                "c/a",
                &kinds,
            );
        }
        one(
            r#"[{"name":"a","value":false}]"#,
            "c/a",
            "null null false null",
        );
        for value in ["null", "{}", "[]"] {
            one(
                &format!(r#"[{{"name":"a","value":{value}}}]"#),
                "c/a",
                "null null null null",
            );
        }
        one(r#"[{"name":"a"}]"#, "c/a", "null null null null");
        one(r#"[{"value":1}]"#, "c/", "1 null null null");
        assert_eq!(of(r#"[null,1,"x",[],{},{"units":"C"}]"#), []);
        assert_eq!(of("null"), []);
        assert_eq!(of(r#"{"name":"a","value":1}"#), []);
    }

    #[test]
    fn a_unit_in_the_name_counts_where_there_is_no_other() {
        one(
            r#"[{"name":"Reading (bar)","value":1}]"#,
            "c/Reading",
            r#"1 null null "bar""#,
        );
        one(
            r#"[{"name":"Reading (bar)","units":"psi","value":1}]"#,
            "c/Reading (bar)",
            r#"1 null null "psi""#,
        );
        one(
            r#"[{"name":"T (bar)","units":null,"value":1}]"#,
            "c/T",
            r#"1 null null "bar""#,
        );
    }

    #[test]
    fn an_object_or_a_list_gives_a_reading_for_each_value() {
        let ids = |key_results| -> Vec<String> {
            of(key_results).into_iter().map(|(id, _)| id).collect()
        };
        assert_eq!(
            ids(r#"[{"name":"LEL","value":{"avg":1,"max":2}}]"#),
            ["c/LEL avg", "c/LEL max"]
        );
        assert_eq!(
            ids(r#"[{"name":"x","value":[1,{"y":2,"z":[3]}]}]"#),
            ["c/x 1", "c/x 2 y", "c/x 2 z 1"]
        );
        one(
            r#"[{"name":"x","value":{"a":1,"a":2}}]"#,
            "c/x a",
            "2 null null null",
        );
    }

    #[test]
    fn repeats_have_ids_of_their_own() {
        let ids = of(r#"[{"name":"a"},{"name":"a#2"},{"name":"a"},{"name":"a"}]"#);
        let ids: Vec<_> = ids.iter().map(|(id, _)| &**id).collect();
        assert_eq!(ids, ["c/a", "c/a#2", "c/a#3", "c/a#4"]);
    }

    #[test]
    fn there_are_at_most_so_many_and_names_are_bounded() {
        let many = format!(r#"[{{"name":"a","value":[{}1]}}]"#, "1,".repeat(5_000));
        assert_eq!(of(&many).len(), MOST_READINGS);
        let deep = format!("{}1{}", r#"{"abcdefgh":"#.repeat(100), "}".repeat(100));
        let ids = of(&format!(r#"[{{"name":"a","value":{deep}}}]"#));
        assert_eq!(ids[0].0.chars().count(), LONGEST_NAME + 2);
    }
}
