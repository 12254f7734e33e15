//! The inspection in one line, in words.
//!
//! # Invariants
//! - One line of at most [`LONGEST`] characters, without control characters.
//! - An alert and an error are always in it; readings that find no room are counted.

use super::super::json::Json;
use super::inspection::Inspection;
use super::readings::Reading;
use super::texts::{cut, plain};
use super::units;

/// No summary has more characters.
const LONGEST: usize = 200;

const LONGEST_TITLE: usize = 56;
const LONGEST_ACTION: usize = 56;
const LONGEST_MISSION: usize = 30;
const LONGEST_ROBOT: usize = 20;
const LONGEST_ERROR: usize = 12;
const LONGEST_PART: usize = 60;

/// The line.
pub(super) fn line(inspection: &Inspection, readings: &[Reading<'_>]) -> String {
    let (mut line, place) = (head(inspection), place(inspection));
    let mut room = LONGEST.saturating_sub(width(&line) + width(&place));
    let mut joint = ": ";
    for (done, reading) in readings.iter().enumerate() {
        let left = readings.len() - done;
        let item = format!("{joint}{}", words(reading));
        // So that what does not fit can still be counted.
        let rest = if left > 1 { width(&more(left - 1)) } else { 0 };
        if width(&item) + rest > room {
            let note = if done > 0 {
                more(left)
            } else {
                format!(": {left} readings")
            };
            if width(&note) <= room {
                line.push_str(&note);
            }
            break;
        }
        room -= width(&item);
        line.push_str(&item);
        joint = ", ";
    }
    line + &place
}

/// What it is about, and whether it is an alert or failed.
fn head(inspection: &Inspection) -> String {
    let part = |text: &Option<String>, most| {
        let text = text.as_deref().map(plain);
        let text = text.filter(|text| !text.is_empty());
        text.map(|text| cut(&text, most))
    };
    let action = part(&inspection.action, LONGEST_ACTION);
    let title = part(&inspection.title, LONGEST_TITLE).filter(|_| inspection.alert);
    let subject = match (title, action) {
        (Some(title), Some(action)) if title != action => format!("{title} at {action}"),
        (Some(one), _) | (None, Some(one)) => one,
        (None, None) => "inspection".to_owned(),
    };
    let alert = if inspection.alert { "ALERT " } else { "" };
    match inspection.error {
        None | Some(0) => format!("{alert}{subject}"),
        Some(error) => {
            let error = cut(&error.to_string(), LONGEST_ERROR);
            format!("{alert}{subject}, error {error}")
        }
    }
}

/// On which mission, by which robot.
fn place(inspection: &Inspection) -> String {
    let mission = (&inspection.mission, LONGEST_MISSION);
    let robot = (&inspection.robot, LONGEST_ROBOT);
    let parts = [mission, robot].into_iter().filter_map(|(text, most)| {
        let text = plain(text.as_deref()?);
        (!text.is_empty()).then(|| cut(&text, most))
    });
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        return String::new();
    }
    format!(" ({})", parts.join(", "))
}

fn more(readings: usize) -> String {
    format!(", +{readings} more")
}

/// One reading: name, value, unit.
pub(super) fn words(reading: &Reading<'_>) -> String {
    let part = |text: &str| cut(&plain(text), LONGEST_PART);
    let name = reading.name.as_deref().or(reading.channel.as_deref());
    let name = part(name.unwrap_or("value"));
    let unit = reading.unit.as_deref().map(|unit| part(units::shown(unit)));
    let unit = unit.map(|unit| format!(" {unit}")).unwrap_or_default();
    match (reading.number(), reading.value) {
        (Some(number), _) => format!("{name} {}{unit}", cut(&number.to_string(), LONGEST_PART)),
        (None, Json::String(text)) if !text.trim().is_empty() => {
            format!("{name}: {}{unit}", part(text))
        }
        (None, Json::Bool(true)) => format!("{name}: yes"),
        (None, Json::Bool(false)) => format!("{name}: no"),
        (None, _) => format!("{name}: no value"),
    }
}

fn width(text: &str) -> usize {
    text.chars().count()
}
