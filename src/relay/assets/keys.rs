//! By what rows are found: the key columns, and which of them count more.
//!
//! # Invariants
//! - Of two sets of filled columns the more significant one is the one with the more significant
//!   column that the other has not.
//! - Names are compared trimmed, in Unicode NFC, case-sensitive.

use std::cell::OnceCell;

use super::pattern::characters;
use super::subject::Subject;
use super::table;

/// The columns by which a row can be found, the most significant first.
pub const KEY_COLUMNS: [&str; KEYS] = [
    "reading",
    "channel_name",
    "orbit_asset_id",
    "element_id",
    "action_uuid",
    "action_name",
    "mission_name",
    "robot",
];

pub(super) const KEYS: usize = 8;
pub(super) const ORBIT_ASSET_ID: usize = 2;
pub(super) const ELEMENT_ID: usize = 3;
pub(super) const ACTION_NAME: usize = 5;
pub(super) const ROBOT: usize = 7;

/// Some of the key columns, one bit each; the greater number is the more significant set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Columns(u8);

impl Columns {
    pub(super) fn of(has: impl Fn(usize) -> bool) -> Self {
        Self((0..KEYS).fold(0, |bits, key| bits << 1 | u8::from(has(key))))
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn has(self, key: usize) -> bool {
        key < KEYS && self.0 >> (KEYS - 1 - key) & 1 == 1
    }

    pub(super) fn is_within(self, other: Self) -> bool {
        self.0 & other.0 == self.0
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The places in [`KEY_COLUMNS`].
    pub(super) fn iter(self) -> impl Iterator<Item = usize> {
        (0..KEYS).filter(move |key| self.has(*key))
    }

    /// The names, joined by `+`.
    pub(super) fn names(self) -> String {
        let names = self.iter().filter_map(|key| KEY_COLUMNS.get(key).copied());
        names.collect::<Vec<_>>().join("+")
    }
}

/// The text of each key column; empty where there is none.
#[derive(Debug, Default)]
pub(super) struct Keys {
    texts: [String; KEYS],
    characters: [OnceCell<Vec<char>>; KEYS],
}

impl Keys {
    pub(super) fn of(subject: &Subject) -> Self {
        let fields = [
            &subject.reading,
            &subject.channel_name,
            &subject.orbit_asset_id,
            &subject.element_id,
            &subject.action_uuid,
            &subject.action_name,
            &subject.mission_name,
            &subject.robot,
        ];
        Self {
            texts: fields.map(|field| field.as_deref().map(table::normal).unwrap_or_default()),
            characters: Default::default(),
        }
    }

    pub(super) fn filled(&self) -> Columns {
        Columns::of(|key| !self.text(key).is_empty())
    }

    pub(super) fn text(&self, key: usize) -> &str {
        self.texts.get(key).map_or("", String::as_str)
    }

    /// The text as patterns are compared with it.
    pub(super) fn characters(&self, key: usize) -> &[char] {
        let cell = self.characters.get(key);
        cell.map_or(&[], |cell| cell.get_or_init(|| characters(self.text(key))))
    }

    /// The texts of these columns as one, of which no two lists have the same.
    pub(super) fn joined(&self, columns: Columns) -> String {
        joined(columns.iter().map(|key| self.text(key)))
    }
}

/// Each text is preceded by its length.
pub(super) fn joined<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.fold(String::new(), |all, text| {
        format!("{all}{}:{text}", text.len())
    })
}
