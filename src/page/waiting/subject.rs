//! By what a row of the asset map may go, so that it finds an inspection.
//!
//! # Invariants
//! - Pure. Only what the inspection says is offered.
//! - What a row of a choice goes by is exactly what the choice names.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::page::html::parts;
use crate::relay::assets::Subject;

const JOIN: &str = "+";
/// So many characters of a name are said.
const LONGEST: usize = 60;

/// Which columns, and how people say that; what names the action is in all of them.
const CHOICES: [(&[&str], &str); 7] = [
    (&["action_name"], "this action, on every mission and robot"),
    (
        &["action_name", "mission_name"],
        "this action on this mission",
    ),
    (&["action_name", "robot"], "this action by this robot"),
    (
        &["action_name", "mission_name", "robot"],
        "this action on this mission by this robot",
    ),
    (
        &["action_uuid"],
        "this very action, also when it is renamed",
    ),
    (&["element_id"], "this element of the site's walk"),
    (&["orbit_asset_id"], "the asset that Orbit has for it"),
];

/// One way to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Choice {
    /// The columns, joined by `+`.
    pub(crate) by: String,
    /// In words.
    pub(crate) words: String,
}

/// The ways to find it, the usual one first.
pub(crate) fn choices(subject: &Subject) -> Vec<Choice> {
    let possible = CHOICES
        .iter()
        .filter(|(columns, _)| cells(subject, columns).is_some());
    let choices = possible.map(|(columns, words)| Choice {
        by: columns.join(JOIN),
        words: match columns {
            ["element_id" | "orbit_asset_id", ..] => {
                let names = cells(subject, columns).unwrap_or_default();
                let names: Vec<_> = names.into_iter().map(|(_, name)| name).collect();
                format!("{words}: {}", parts::shortened(&names.join(" "), LONGEST))
            }
            _ => (*words).to_owned(),
        },
    });
    choices.collect()
}

/// What a row of a choice goes by: columns, and the names there. None where the inspection does
/// not say so much, or there is no such choice.
pub(crate) fn keys<'a>(subject: &'a Subject, by: &str) -> Option<Vec<(&'static str, &'a str)>> {
    let (columns, _) = CHOICES
        .iter()
        .find(|(columns, _)| columns.join(JOIN) == by)?;
    cells(subject, columns)
}

fn cells<'a>(
    subject: &'a Subject,
    columns: &[&'static str],
) -> Option<Vec<(&'static str, &'a str)>> {
    let cells = columns.iter().map(|column| {
        let name = match *column {
            "action_name" => &subject.action_name,
            "mission_name" => &subject.mission_name,
            "robot" => &subject.robot,
            "action_uuid" => &subject.action_uuid,
            "element_id" => &subject.element_id,
            "orbit_asset_id" => &subject.orbit_asset_id,
            _ => &None,
        };
        let name = name.as_deref().map(str::trim);
        Some((*column, name.filter(|name| !name.is_empty())?))
    });
    cells.collect()
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, rename = "dataCaptures", default)]
    captures: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Capture {
    #[serde(rename = "dataUrl")]
    data_url: String,
}

/// Whether a photograph belongs to the event.
pub(crate) fn has_picture(body: &[u8]) -> bool {
    let Ok(event) = serde_json::from_slice::<Event<'_>>(body) else {
        return false;
    };
    let mut captures = event.data.captures.iter();
    captures.any(|capture| {
        let capture = serde_json::from_str::<Capture>(capture.get());
        capture.is_ok_and(|capture| !capture.data_url.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject {
            action_name: Some("Read gauge *".to_owned()),
            mission_name: Some("Round".to_owned()),
            robot: Some(" Spot ".to_owned()),
            ..Subject::default()
        }
    }

    #[test]
    fn only_what_the_inspection_says_is_offered() {
        let by = |subject: &Subject| -> Vec<String> {
            choices(subject)
                .into_iter()
                .map(|choice| choice.by)
                .collect()
        };
        assert_eq!(
            by(&subject()),
            [
                "action_name",
                "action_name+mission_name",
                "action_name+robot",
                "action_name+mission_name+robot"
            ]
        );
        let unnamed = Subject {
            action_name: Some("  ".to_owned()),
            action_uuid: Some("u-1".to_owned()),
            ..Subject::default()
        };
        assert_eq!(by(&unnamed), ["action_uuid"]);
        assert_eq!(by(&Subject::default()), [""; 0]);
    }

    #[test]
    fn a_row_goes_by_what_its_choice_names() {
        let subject = subject();
        let keys = keys(&subject, "action_name+robot").unwrap();
        assert_eq!(keys, [("action_name", "Read gauge *"), ("robot", "Spot")]);
    }

    #[test]
    fn what_was_not_offered_makes_no_row() {
        for by in [
            "element_id",
            "robot",
            "",
            "asset_id",
            "action_name+asset_id",
        ] {
            assert_eq!(keys(&subject(), by), None, "{by}");
        }
    }

    #[test]
    fn a_photograph_is_a_capture_with_an_address() {
        let of = |data: &str| has_picture(format!(r#"{{"data":{data}}}"#).as_bytes());
        assert!(of(r#"{"dataCaptures":[7,{},{"dataUrl":"/api/v0/x"}]}"#));
        for none in [
            "{}",
            r#"{"dataCaptures":[]}"#,
            r#"{"dataCaptures":null}"#,
            r#"{"dataCaptures":[{"dataUrl":""},{"dataUrl":4}]}"#,
            "3",
        ] {
            assert!(!of(none), "{none}");
        }
        assert!(!has_picture(b"\xff{"));
    }
}
