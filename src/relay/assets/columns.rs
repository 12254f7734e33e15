//! What the columns of the file are for, by their names in the header.
//!
//! # Invariants
//! - No two columns have the same name, whatever their case.

use std::collections::BTreeSet;

use super::keys::KEY_COLUMNS;
use super::table::{Problems, Record};

pub(super) const ASSET_ID: &str = "asset_id";

/// What a column of the file is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Column {
    /// Its place in [`KEY_COLUMNS`].
    Key(usize),
    Asset,
    Attribute(String),
    /// A spreadsheet's leftover: no name, and nothing may stand in it.
    Nameless,
}

impl Column {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Key(key) => KEY_COLUMNS.get(*key).copied().unwrap_or_default(),
            Self::Asset => ASSET_ID,
            Self::Attribute(name) => name,
            Self::Nameless => "",
        }
    }
}

pub(super) fn is_known(name: &str) -> bool {
    let name = name.to_lowercase();
    name == ASSET_ID || KEY_COLUMNS.contains(&name.as_str())
}

pub(super) fn expected() -> String {
    format!(
        "expected a header line with {ASSET_ID} and at least one of {}, separated by comma, semicolon or tab",
        KEY_COLUMNS.join(", ")
    )
}

pub(super) fn columns(header: &Record, problems: &mut Problems) -> Vec<Column> {
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for name in &header.cells {
        let lower = name.to_lowercase();
        columns.push(match KEY_COLUMNS.iter().position(|key| *key == lower) {
            Some(key) => Column::Key(key),
            None if lower == ASSET_ID => Column::Asset,
            None if lower.is_empty() => Column::Nameless,
            None => Column::Attribute(name.clone()),
        });
        if !lower.is_empty() && !seen.insert(lower) {
            let name: String = name.chars().take(60).collect();
            problems.add(header.line, format!("two columns are called {name:?}"));
        }
    }
    if !columns.contains(&Column::Asset) {
        let what = format!("there is no column {ASSET_ID}; {}", expected());
        problems.add(header.line, what);
    } else if !columns
        .iter()
        .any(|column| matches!(column, Column::Key(_)))
    {
        let what = format!("there is no key column; {}", expected());
        problems.add(header.line, what);
    }
    columns
}
