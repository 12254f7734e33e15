//! What one file of the map says and another does not, by what their rows go by.
//!
//! # Invariants
//! - How a row is written, and where it stands, is no difference; a cell that is empty says nothing.
//! - A row is the same row in both where its keys mean the same.
//! - Any two files can be compared, also ones that are no good map.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use super::PLACEHOLDER;
use super::columns::ASSET_ID;
use super::keys::{KEY_COLUMNS, joined};
use super::pattern::Cell;
use super::sheet::{Sheet, SheetRow};

/// What changes from one file to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Columns that only the new one has.
    pub columns_added: Vec<String>,
    /// Columns that only the old one has.
    pub columns_removed: Vec<String>,
    /// The rows: added and changed ones in the order of the new file, then the removed ones in that
    /// of the old one.
    pub rows: Vec<Change>,
    /// How many rows say the same in both.
    pub same: usize,
}

/// What becomes of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Added(Says),
    /// It says something else: first what it said, then what it says.
    Changed(Says, Says),
    /// It is gone.
    Removed(Says),
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Says {
    /// Its line.
    pub line: usize,
    /// The asset that it names.
    pub asset: String,
    /// The key columns that are filled, each with its text.
    pub keys: Vec<(String, String)>,
    /// The other columns that are filled.
    pub attributes: Vec<(String, String)>,
}

impl Difference {
    /// What changes from `old` to `new`.
    pub fn between(old: &Sheet, new: &Sheet) -> Self {
        let mut left: BTreeMap<usize, Says> = BTreeMap::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (place, row) in old.rows().iter().enumerate() {
            let says = Says::of(old, row);
            // One that repeats another says nothing new.
            if let Entry::Vacant(entry) = places.entry(says.identity()) {
                entry.insert(place);
                left.insert(place, says);
            }
        }
        let mut difference = Self {
            columns_added: only_in(new, old),
            columns_removed: only_in(old, new),
            ..Self::default()
        };
        let mut seen: HashMap<String, Says> = HashMap::new();
        for row in new.rows() {
            let says = Says::of(new, row);
            let identity = says.identity();
            let was = places.get(&identity).and_then(|place| left.remove(place));
            let repeats = seen
                .get(&identity)
                .is_some_and(|first| first.is_same(&says));
            seen.entry(identity).or_insert_with(|| says.clone());
            match was {
                Some(was) if was.is_same(&says) => difference.same += 1,
                Some(was) => difference.rows.push(Change::Changed(was, says)),
                None if repeats => {}
                None => difference.rows.push(Change::Added(says)),
            }
        }
        let removed = left.into_values().map(Change::Removed);
        difference.rows.extend(removed);
        difference
    }

    /// Whether both say the same.
    pub fn is_empty(&self) -> bool {
        let Self {
            columns_added,
            columns_removed,
            rows,
            same: _,
        } = self;
        columns_added.is_empty() && columns_removed.is_empty() && rows.is_empty()
    }

    /// How many rows are added, changed and removed.
    pub fn counts(&self) -> [usize; 3] {
        self.rows.iter().fold([0; 3], |[a, c, r], row| match row {
            Change::Added(_) => [a + 1, c, r],
            Change::Changed(..) => [a, c + 1, r],
            Change::Removed(_) => [a, c, r + 1],
        })
    }

    /// In a few words, such as `2 rows added, 1 removed`.
    pub fn in_words(&self) -> String {
        if self.is_empty() {
            return "it says the same".to_owned();
        }
        let counts = self.counts().into_iter();
        let rows = counts.zip(["added", "changed", "removed"]);
        let mut words: Vec<String> = Vec::new();
        for (n, what) in rows.filter(|(n, _)| *n > 0) {
            words.push(match (words.is_empty(), n) {
                (true, 1) => format!("1 row {what}"),
                (true, _) => format!("{n} rows {what}"),
                (false, _) => format!("{n} {what}"),
            });
        }
        let columns = self.columns_added.len() + self.columns_removed.len();
        if columns > 0 {
            words.push("other columns".to_owned());
        }
        words.join(", ")
    }
}

impl Says {
    /// What a row of a file says.
    pub fn of(sheet: &Sheet, row: &SheetRow) -> Self {
        let mut says = Self {
            line: row.line,
            asset: String::new(),
            keys: Vec::new(),
            attributes: Vec::new(),
        };
        let names = sheet.columns().iter().map(String::as_str);
        let names = names.chain(std::iter::repeat(""));
        for (cell, name) in row.cells.iter().zip(names) {
            let lower = name.to_lowercase();
            if lower == ASSET_ID {
                says.asset.clone_from(cell);
            } else if !cell.is_empty() && KEY_COLUMNS.contains(&&*lower) {
                says.keys.push((lower, cell.clone()));
            } else if !cell.is_empty() {
                says.attributes.push((name.to_owned(), cell.clone()));
            }
        }
        says
    }

    /// Whether it is about no asset yet: somebody pasted it and did not go on.
    pub fn is_unfinished(&self) -> bool {
        self.asset == PLACEHOLDER
    }

    /// What it goes by, in words, such as `action_name "P-101*"`.
    pub fn goes_by(&self) -> String {
        let keys = self.keys.iter();
        let keys: Vec<String> = keys
            .map(|(name, text)| format!("{name} \"{text}\""))
            .collect();
        keys.join(", ")
    }

    /// The keys as they are understood.
    fn identity(&self) -> String {
        let mut keys: Vec<(&str, String)> = Vec::new();
        for (name, text) in &self.keys {
            let meant = Cell::parse(text).map_or_else(|_| text.clone(), |cell| cell.to_string());
            keys.push((name, meant));
        }
        keys.sort_unstable();
        let unfinished = if self.is_unfinished() {
            "unfinished"
        } else {
            ""
        };
        let texts = keys.iter().flat_map(|(name, text)| [*name, text.as_str()]);
        joined(std::iter::once(unfinished).chain(texts))
    }

    fn is_same(&self, other: &Self) -> bool {
        let attributes = |of: &Self| -> BTreeMap<String, String> {
            let all = of.attributes.iter();
            all.map(|(name, text)| (name.to_lowercase(), text.clone()))
                .collect()
        };
        self.asset == other.asset && attributes(self) == attributes(other)
    }
}

/// The columns that have a name and are only in the first.
fn only_in(one: &Sheet, other: &Sheet) -> Vec<String> {
    let lower = |name: &String| name.to_lowercase();
    let others: Vec<String> = other.columns().iter().map(lower).collect();
    let columns = one.columns().iter();
    let only = columns.filter(|name| !name.is_empty() && !others.contains(&lower(name)));
    only.cloned().collect()
}

#[cfg(test)]
#[path = "tests/difference.rs"]
mod tests;
