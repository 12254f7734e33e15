//! Where the row of a subject is found: by hash where its keys are names, and where they are
//! patterns among those only that begin as the subject does.
//!
//! # Invariants
//! - The most significant set of filled columns wins; within it a row without a pattern, then the
//!   row with the most characters given, then the one that stands first.
//! - No two rows of one index have the same keys.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::keys::{Columns, KEYS, Keys, joined};
use super::pattern::{Cell, Pattern};

/// The rows of a map by their keys. A row is its place in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index(BTreeMap<Columns, Rows>);

/// The key cells of one row, by column; none where one is empty.
pub(super) type Cells = [Option<Cell>; KEYS];

/// The row of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) row: usize,
    pub(super) filled: Columns,
    /// The first row that fits as well and says something else.
    pub(super) tied: Option<usize>,
}

/// The rows in which the same columns are filled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rows {
    exact: HashMap<Box<str>, usize>,
    /// By the columns that are patterns.
    shapes: BTreeMap<Columns, Shape>,
}

/// The rows in which the same of these columns are patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Shape {
    /// While the map is loaded: each row by its keys as they are written alike.
    by_text: HashMap<Box<str>, usize>,
    /// How many bytes the first patterns have before their first `*` or `?`.
    starts: BTreeSet<usize>,
    /// By the names, and by these bytes; those with more characters given first.
    buckets: HashMap<Box<str>, Vec<Wild>>,
}

/// A row with patterns.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wild {
    literals: usize,
    row: usize,
    patterns: Box<[Pattern]>,
}

impl Index {
    /// Takes a row in; or says which row has the same keys.
    pub(super) fn insert(&mut self, cells: &Cells, row: usize) -> Result<Columns, usize> {
        let cell = |key: usize| cells.get(key).and_then(Option::as_ref);
        let filled = Columns::of(|key| cell(key).is_some());
        let wild = Columns::of(|key| matches!(cell(key), Some(Cell::Pattern(_))));
        let exact = |key: usize| match cell(key) {
            Some(Cell::Exact(name)) => name,
            _ => "",
        };
        let mut names = joined(filled.without(wild).iter().map(exact));
        let rows = self.0.entry(filled).or_default();
        if wild.is_empty() {
            return match rows.exact.entry(names.into()) {
                Entry::Vacant(entry) => {
                    entry.insert(row);
                    Ok(filled)
                }
                Entry::Occupied(entry) => Err(*entry.get()),
            };
        }
        let shape = rows.shapes.entry(wild).or_default();
        let texts: Vec<String> = filled
            .iter()
            .filter_map(|key| cell(key).map(ToString::to_string))
            .collect();
        match shape
            .by_text
            .entry(joined(texts.iter().map(String::as_str)).into())
        {
            Entry::Vacant(entry) => drop(entry.insert(row)),
            Entry::Occupied(entry) => return Err(*entry.get()),
        }
        let patterns: Box<[Pattern]> = wild
            .iter()
            .filter_map(|key| match cell(key) {
                Some(Cell::Pattern(pattern)) => Some(pattern.clone()),
                _ => None,
            })
            .collect();
        let start = patterns.first().map(Pattern::start).unwrap_or_default();
        shape.starts.insert(start.len());
        names.push_str(&start);
        let literals = cells.iter().flatten().map(Cell::literals).sum();
        shape.buckets.entry(names.into()).or_default().push(Wild {
            literals,
            row,
            patterns,
        });
        Ok(filled)
    }

    /// All rows are there.
    pub(super) fn settle(&mut self) {
        for shape in self
            .0
            .values_mut()
            .flat_map(|rows| rows.shapes.values_mut())
        {
            shape.by_text = HashMap::new();
            for bucket in shape.buckets.values_mut() {
                bucket.sort_unstable_by_key(|wild| (Reverse(wild.literals), wild.row));
            }
        }
    }

    /// The row of these keys; `alike` says whether two rows say the same of what fits both.
    pub(super) fn find(&self, keys: &Keys, alike: impl Fn(usize, usize) -> bool) -> Option<Found> {
        let known = keys.filled();
        let sets = self.0.iter().rev();
        let mut sets = sets.filter(|(filled, _)| filled.is_within(known));
        sets.find_map(|(&filled, rows)| {
            if let Some(&row) = rows.exact.get(&*keys.joined(filled)) {
                return Some(Found {
                    row,
                    filled,
                    tied: None,
                });
            }
            let mut best = Best::default();
            for (wild, shape) in &rows.shapes {
                shape.find(keys, filled, *wild, &mut best);
            }
            let row = best.rows.iter().copied().min()?;
            let others = best.rows.into_iter();
            let tied = others.filter(|other| !alike(row, *other)).min();
            Some(Found { row, filled, tied })
        })
    }
}

/// The rows that fit and have the most characters given, so far.
#[derive(Default)]
struct Best {
    literals: usize,
    rows: Vec<usize>,
}

impl Shape {
    fn find(&self, keys: &Keys, filled: Columns, wild: Columns, best: &mut Best) {
        let Some(first) = wild.iter().next() else {
            return;
        };
        let mut place = keys.joined(filled.without(wild));
        let names = place.len();
        let text = keys.text(first);
        let starts = self.starts.iter().filter_map(|start| text.get(..*start));
        for start in starts {
            place.truncate(names);
            place.push_str(start);
            for row in self.buckets.get(&*place).into_iter().flatten() {
                if row.literals < best.literals {
                    break;
                }
                if !row.fits(keys, wild) {
                    continue;
                }
                if row.literals > best.literals {
                    best.literals = row.literals;
                    best.rows.clear();
                }
                best.rows.push(row.row);
            }
        }
    }
}

impl Wild {
    fn fits(&self, keys: &Keys, wild: Columns) -> bool {
        let mut patterns = wild.iter().zip(&self.patterns);
        patterns.all(|(key, pattern)| pattern.matches(keys.characters(key)))
    }
}
