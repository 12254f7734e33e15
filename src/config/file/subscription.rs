//! What a destination takes: `sources` and `events`; and what it is to others: `gate` and
//! `answer_as`.
//!
//! # Invariants
//! - What is not said of Orbit is what was always meant: its action events, and no other source.
//! - Of the relay itself a destination hears only what it names.
//! - What a preset says of events holds for Orbit's alone: it knows no other source.

use std::collections::BTreeSet;
use std::time::Duration;

use toml::de::DeValue;

use super::destination::{EVENTS, set};
use super::reader::{Item, Table};
use crate::config::nearest;
use crate::config::parse;
use crate::event::{ORBIT, RELAY, Takes};
use crate::relay::deliver::{self, Gate, OnFailure};

const EVENT_TYPES: &str = "an array of event types like [\"ACTION_COMPLETED\"]";
/// So long a gate is waited for that lets pass what it gives no answer to.
const PASS_LIMIT: Duration = Duration::from_mins(5);
/// And so long one that holds it.
const HOLD_LIMIT: Duration = Duration::from_hours(24);
/// No type is longer.
const LONGEST_TYPE: usize = 256;

/// Reads all of it.
pub(super) fn read(table: &Table<'_, '_>, config: &mut deliver::Config) {
    let sources = sources(table);
    let parse = match sources.as_deref() {
        Some([only]) if only == ORBIT => parse::event_pattern,
        _ => pattern,
    };
    let own = table.has("events");
    let given = table.take("events");
    let given = given.map(|item| globs(&item, EVENT_TYPES, parse));
    let sources = sources.unwrap_or_default();
    if !own
        && let Some(item) = table
            .take("sources")
            .filter(|_| sources.iter().any(|s| s == RELAY))
    {
        item.refuse("the relay has much to say: name in `events` what is wanted of it");
    }
    let given = given.map(Option::unwrap_or_default);
    config.takes = sources
        .iter()
        .map(|source| match &given {
            Some(types) if own || source == ORBIT => Takes::new(source, types),
            None if source == ORBIT => Takes::new(source, EVENTS),
            _ => Takes::new(source, ["*"]),
        })
        .collect();
    gate(table, config);
    set(&mut config.answer_as_event, table, "answer_as", |item| {
        item.word(&[("event", true)])
    });
}

/// Whose events it takes; nothing where that cannot be read.
fn sources(table: &Table<'_, '_>) -> Option<Vec<String>> {
    match table.take("sources") {
        None => Some(vec![ORBIT.to_owned()]),
        Some(item) => {
            let names = item.list("an array of names like [\"orbit\"]", parse::name)?;
            Some(once_each(names))
        }
    }
}

/// Types, in which `*` stands for any text and `?` for one character.
pub(super) fn globs(
    item: &Item<'_, '_>,
    wanted: &str,
    parse: impl Fn(&str) -> Result<String, String>,
) -> Option<Vec<String>> {
    Some(once_each(item.list(wanted, parse)?))
}

fn once_each(mut texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts.retain(|text| seen.insert(text.clone()));
    texts
}

/// Types of any source.
pub(super) fn pattern(text: &str) -> Result<String, String> {
    let text = text.trim();
    let wrong = text.is_empty() || text.len() > LONGEST_TYPE || text.contains(char::is_control);
    if wrong {
        let shown = nearest::quoted(text);
        return Err(format!(
            "{shown} is no event type like order.status, or order.* for all that begin so"
        ));
    }
    Ok(text.to_owned())
}

fn gate(table: &Table<'_, '_>, config: &mut deliver::Config) {
    let given = table.take("gate");
    let is_gate = given.as_ref().and_then(Item::flag);
    let mut on_failure = OnFailure::Pass;
    set(&mut on_failure, table, "on_failure", |item| {
        item.word(&[("pass", OnFailure::Pass), ("hold", OnFailure::Hold)])
    });
    let mut limit = match on_failure {
        OnFailure::Pass => PASS_LIMIT,
        OnFailure::Hold => HOLD_LIMIT,
    };
    set(&mut limit, table, "gate_limit", |item| {
        item.parsed("a duration like \"5m\"", parse::duration)
    });
    if is_gate == Some(true) {
        config.gate = Some(Gate { on_failure, limit });
        refuse_unasked(table);
    }
    // What is wrong with `gate` itself was said.
    if given.is_none() || is_gate == Some(false) {
        for key in ["on_failure", "gate_limit"] {
            if let Some(item) = table.take(key) {
                item.refuse("it belongs to a gate: write gate = true beside it");
            }
        }
    }
}

/// Whoever waits for a gate takes what the gate skips for asked: it may skip nothing that it has
/// not been asked about.
fn refuse_unasked(table: &Table<'_, '_>) {
    for (key, skips, all) in [
        ("once_per", ["inspection"].as_slice(), "event"),
        ("while_open", &["append", "skip"], "create"),
    ] {
        let given = table.take(key);
        let skips = |item: &Item<'_, '_>| match item.value {
            DeValue::String(word) => skips.contains(&word.as_ref()),
            _ => false,
        };
        if let Some(item) = given.filter(skips) {
            item.refuse(format!(
                "a gate is asked about each event, and what it leaves out would go on unasked: \
                 write {key} = \"{all}\" beside `gate`"
            ));
        }
    }
}
