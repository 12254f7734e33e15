//! What a `when` may ask for: names that exist, and that can be evaluated.
//!
//! # Invariants
//! - A name that nobody has is refused at start, with the nearest that somebody has.

use serde::Serialize;
use serde_json::json;

use super::reader::Item;
use crate::config::nearest;
use crate::relay::deliver::INSPECTION_MEMBERS;
use crate::relay::destination::RESPONSE_MEMBERS;
use crate::relay::transform::expression::Expression;

/// A destination's `when`.
pub(super) fn of_an_event(item: &Item<'_, '_>) -> Option<Expression> {
    expression(item, &event_samples(), ("inspection", &INSPECTION_MEMBERS))
}

/// A success rule's `when`.
pub(super) fn of_an_answer(item: &Item<'_, '_>) -> Option<Expression> {
    expression(item, &answer_samples(), ("response", &RESPONSE_MEMBERS))
}

/// An expression over the names of the samples, which are objects; `members` are those of the
/// names that have no others.
fn expression(
    item: &Item<'_, '_>,
    samples: &[serde_json::Value],
    members: (&str, &[&str]),
) -> Option<Expression> {
    let expression = item.parsed("an expression", Expression::parse)?;
    // Each sample has all names.
    let sample = samples.first().and_then(serde_json::Value::as_object);
    let known: Vec<_> = sample
        .into_iter()
        .flat_map(|sample| sample.keys().map(String::as_str))
        .collect();
    let mut names: Vec<_> = expression.names().collect();
    names.sort();
    let mut good = true;
    for name in &names {
        let mut parts = name.split('.');
        let (root, member) = (parts.next().unwrap_or_default(), parts.next());
        let (wrong, instead) = match member {
            _ if !known.contains(&root) => (root, nearest::instead(root, known.iter().copied())),
            Some(member) if root == members.0 && !members.1.contains(&member) => {
                let instead = nearest::instead(member, members.1.iter().copied());
                (name.as_str(), instead)
            }
            _ => continue,
        };
        item.refuse(format!("no `{wrong}` is known here; {instead}"));
        good = false;
    }
    (good && samples.iter().all(|sample| runs(item, &expression, sample))).then_some(expression)
}

/// Whether it can be evaluated. What fails for these values only may be right for others.
fn runs(item: &Item<'_, '_>, expression: &Expression, names: &impl Serialize) -> bool {
    let Err(error) = expression.holds(names) else {
        return true;
    };
    let text = error.to_string();
    let always = ["unknown filter", "unknown test", "unknown function", "fuel"];
    let broken = always.iter().any(|what| text.contains(what));
    if broken {
        item.refuse(text);
    }
    !broken
}

/// What `when` is asked of: an event of which nothing is known, and one as Orbit sends them.
fn event_samples() -> [serde_json::Value; 2] {
    [
        json!({"event": {}, "inspection": {}}),
        json!({
            "event": {"type": "ACTION_COMPLETED", "time": "2026-01-01T00:00:00Z", "data": {}},
            "inspection": {"severity": 3, "action": "Pump", "mission": "Round", "alert": true},
        }),
    ]
}

/// What `success.when` is asked of.
fn answer_samples() -> [serde_json::Value; 2] {
    [
        json!({"response": {}}),
        json!({"response": {"status": 200, "headers": {}, "text": "{}", "json": {}}}),
    ]
}
