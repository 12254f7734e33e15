//! The asset map: says which plant asset an inspection is about, from a CSV file that people keep
//! in a spreadsheet.
//!
//! ```text
//! mod      the map: read, asked, and written again
//! table    the spreadsheet side: lines, separators, quotes
//! columns  what the columns of the header are for
//! keys     the key columns, and which count more
//! pattern  what a key cell means: a name, or `*` and `?`
//! index    where the row of a subject is found
//! subject  what is known of an inspection, a capture, a reading
//! sheet    the file with a row more, a row less, or another cell
//! difference what one file says and another does not
//! ```
//!
//! # Invariants
//! - Pure: bytes in, map out; no file is opened here.
//! - A map is loaded whole or not at all: a row that could mean two things is refused, never guessed.
//! - The order of rows decides only between two patterns of the same weight, and that is said.
//! - Cells and what is looked up are compared trimmed, in Unicode NFC, case-sensitive.

mod columns;
mod difference;
mod index;
mod keys;
mod pattern;
mod sheet;
mod subject;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use self::columns::{Column, columns, expected, is_known};
pub use self::difference::{Change, Difference, Says};
use self::index::{Cells, Found, Index};
pub use self::keys::KEY_COLUMNS;
use self::keys::{ACTION_NAME, Columns, ELEMENT_ID, Keys, ORBIT_ASSET_ID, ROBOT};
use self::pattern::Cell;
pub use self::sheet::{NoRow, Sheet, SheetRow, literal};
pub use self::subject::Subject;
pub use self::table::{LoadError, Problem};
use self::table::{Problems, Record, Table};

/// What stands for an asset in a line that is to be finished.
pub const PLACEHOLDER: &str = "ASSET-ID-HERE";

/// Which plant asset belongs to what Orbit says about an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetMap {
    version: String,
    separator: u8,
    columns: Vec<Column>,
    /// In the order of the file; identical ones once.
    rows: Vec<Row>,
    index: Index,
    filled: Columns,
    repeated: Vec<Repeated>,
}

/// The asset of one inspection, and why it is that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The plant's own name of the asset.
    pub asset_id: String,
    /// The filled key columns of the row, joined by `+`; `orbit` when Orbit itself named the asset.
    pub matched_by: String,
    /// Every other column of the row with its text, in the order of the file.
    pub attributes: Vec<(String, String)>,
    /// The line of the row in the file; none when Orbit itself named the asset.
    pub line: Option<usize>,
    /// Why, in words, such as `line 12: action_name "P-101*"`.
    pub why: String,
    /// The line of another row that fits as well and says something else: the first one counts.
    pub tied_with: Option<usize>,
}

/// What the rows of a map go by that Orbit's event may not say: it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// A row goes by the robot.
    pub robot: bool,
    /// A row goes by the element of the site's walk.
    pub element_id: bool,
    /// A row goes by the asset that Orbit has.
    pub orbit_asset_id: bool,
}

/// A row that says what an earlier one says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Its line.
    pub line: usize,
    /// The line of the earlier one.
    pub first: usize,
}

/// A row of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    line: usize,
    /// As many as there are columns.
    cells: Vec<String>,
}

impl AssetMap {
    /// A map without rows: assets are then those that Orbit itself names.
    pub fn empty() -> Self {
        Self {
            version: "none".to_owned(),
            separator: b',',
            columns: Vec::new(),
            rows: Vec::new(),
            index: Index::default(),
            filled: Columns::default(),
            repeated: Vec::new(),
        }
    }

    /// Reads a CSV file with a header. Separator, quotes and line ends may be those of Excel.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        let Table {
            separator,
            header,
            rows,
        } = Table::open(bytes, is_known)?
            .ok_or_else(|| LoadError::at(1, format!("the file is empty; {}", expected())))?;
        let mut problems = Problems::default();
        let columns = columns(&header, &mut problems);
        problems.into_result()?;

        let mut map = Self {
            version: Self::version_of(bytes),
            separator,
            columns,
            ..Self::empty()
        };
        let mut problems = Problems::default();
        for Record { line, cells, .. } in rows {
            if let Err(what) = map.add(Row { line, cells }) {
                problems.add(line, what);
            }
        }
        problems.into_result()?;
        map.index.settle();
        Ok(map)
    }

    /// The version of the map that such a file holds; `none` of an empty one.
    pub fn version_of(bytes: &[u8]) -> String {
        if bytes.is_empty() {
            return Self::empty().version;
        }
        let hash = hex::encode(Sha256::digest(bytes));
        hash.chars().take(12).collect()
    }

    /// How many rows there are; identical rows count once.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What tells this map from any other: the beginning of its file's SHA-256, `none` for the
    /// empty one.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// What its rows go by that may have to be asked for.
    pub fn uses(&self) -> Uses {
        Uses {
            robot: self.filled.has(ROBOT),
            element_id: self.filled.has(ELEMENT_ID),
            orbit_asset_id: self.filled.has(ORBIT_ASSET_ID),
        }
    }

    /// The asset of an inspection: from the most significant row whose filled keys all match, else
    /// the one that Orbit itself named, else none.
    pub fn find(&self, subject: &Subject) -> Option<Match> {
        let keys = Keys::of(subject);
        let found = self.index.find(&keys, |one, other| {
            let says = |place: usize| self.rows.get(place).map(|row| self.says(row));
            says(one) == says(other)
        });
        if let Some(found) = found {
            return self.of_row(&found);
        }
        let asset_id = keys.text(ORBIT_ASSET_ID);
        (!asset_id.is_empty()).then(|| Match {
            asset_id: asset_id.to_owned(),
            matched_by: "orbit".to_owned(),
            attributes: Vec::new(),
            line: None,
            why: "no row fits; Orbit names it".to_owned(),
            tied_with: None,
        })
    }

    /// What to paste into the file so that `subject` is found: a line that fits its header, or,
    /// for an empty map, a header and a line. A name may hold line ends of its own, in quotes.
    ///
    /// When the file has no key column that `subject` could fill, the line is without a key.
    pub fn suggestion(&self, subject: &Subject) -> String {
        let line = self.line_for(subject);
        match self.missing_header() {
            Some(header) => format!("{header}\n{line}"),
            None => line,
        }
    }

    /// The header that a file needs before the first line of [`Self::line_for`], if it has none.
    pub fn missing_header(&self) -> Option<String> {
        let header = [Column::Key(ACTION_NAME), Column::Asset];
        self.columns
            .is_empty()
            .then(|| table::line(self.separator, header.iter().map(Column::name)))
    }

    /// Whether the line for a subject goes by its action's name wherever it has one.
    pub fn suggests_action_names(&self) -> bool {
        self.columns.is_empty() || self.columns.contains(&Column::Key(ACTION_NAME))
    }

    /// The line alone of a [`Self::suggestion`].
    pub fn line_for(&self, subject: &Subject) -> String {
        let keys = Keys::of(subject);
        if self.columns.is_empty() {
            let name = pattern::escaped(keys.text(ACTION_NAME));
            return table::line(self.separator, [&*name, PLACEHOLDER]);
        }
        let usable =
            |key: &usize| self.columns.contains(&Column::Key(*key)) && !keys.text(*key).is_empty();
        let chosen = std::iter::once(ACTION_NAME)
            .chain(0..KEY_COLUMNS.len())
            .find(usable);
        let name = chosen.map(|key| pattern::escaped(keys.text(key)));
        let cells = self.columns.iter().map(|column| match column {
            Column::Asset => PLACEHOLDER,
            Column::Key(key) if Some(*key) == chosen => name.as_deref().unwrap_or_default(),
            _ => "",
        });
        table::line(self.separator, cells)
    }

    /// Each row: its line, and in words what it goes by and the asset that it names.
    pub fn rows(&self) -> impl Iterator<Item = (usize, String)> {
        self.rows.iter().map(|row| {
            let (asset_id, _) = self.says(row);
            (row.line, format!("{} is {asset_id:?}", self.goes_by(row)))
        })
    }

    /// Every asset that a row names, once, in order.
    pub fn assets(&self) -> impl Iterator<Item = &str> {
        let named: BTreeSet<_> = self.rows.iter().map(|row| self.says(row).0).collect();
        named.into_iter()
    }

    /// The rows that say what an earlier one says; they count once.
    pub fn repeated(&self) -> &[Repeated] {
        &self.repeated
    }

    /// The map as CSV: header and rows as they were read, cells trimmed and in NFC, separated by
    /// commas, without empty lines, nameless columns and repeated rows.
    pub fn to_csv(&self) -> String {
        let named = |cells: &mut dyn Iterator<Item = &str>| {
            let columns = self.columns.iter();
            let cells: Vec<&str> = cells
                .zip(columns)
                .filter(|(_, column)| **column != Column::Nameless)
                .map(|(cell, _)| cell)
                .collect();
            table::line(b',', cells) + "\n"
        };
        let header = match self.missing_header() {
            Some(header) => header + "\n",
            None => named(&mut self.columns.iter().map(Column::name)),
        };
        let rows = self.rows.iter();
        let rows = rows.map(|row| named(&mut row.cells.iter().map(String::as_str)));
        std::iter::once(header).chain(rows).collect()
    }

    /// Takes one row in, or says why not.
    fn add(&mut self, row: Row) -> Result<(), String> {
        let (cells, columns) = (row.cells.len(), self.columns.len());
        if cells != columns {
            return Err(format!(
                "{cells} cells where the header has {columns}; quote a cell that holds the separator"
            ));
        }
        let mut keys = Cells::default();
        for (column, cell) in self.columns.iter().zip(&row.cells) {
            match column {
                Column::Asset if cell.is_empty() => return Err("asset_id is empty".to_owned()),
                Column::Key(key) if !cell.is_empty() => {
                    if let Some(slot) = keys.get_mut(*key) {
                        let read = Cell::parse(cell);
                        *slot = Some(read.map_err(|why| format!("{}: {why}", column.name()))?);
                    }
                }
                Column::Nameless if !cell.is_empty() => {
                    return Err("a cell is filled whose column has no name in the header".into());
                }
                _ => {}
            }
        }
        if keys.iter().all(Option::is_none) {
            let columns = self.key_columns().join(", ");
            return Err(format!("no key is filled; fill at least one of {columns}"));
        }
        // A line that was pasted and not finished is about no asset yet.
        let mut cells = self.columns.iter().zip(&row.cells);
        if cells.any(|(column, cell)| *column == Column::Asset && cell == PLACEHOLDER) {
            return Ok(());
        }
        match self.index.insert(&keys, self.rows.len()) {
            Ok(filled) => {
                self.filled = self.filled.and(filled);
                self.rows.push(row);
                Ok(())
            }
            Err(first) => self.repeat(&row, first, &keys),
        }
    }

    /// A row with the keys of an earlier one: good, if it says the same.
    fn repeat(&mut self, row: &Row, first: usize, keys: &Cells) -> Result<(), String> {
        let Some(earlier) = self.rows.get(first) else {
            return Ok(());
        };
        let ((asset, attributes), first) = (self.says(earlier), earlier.line);
        let (other_asset, other_attributes) = self.says(row);
        let difference = if asset != other_asset {
            "another asset_id"
        } else if attributes != other_attributes {
            "other attributes"
        } else {
            let line = row.line;
            self.repeated.push(Repeated { line, first });
            return Ok(());
        };
        let filled = Columns::of(|key| keys.get(key).is_some_and(Option::is_some));
        Err(format!(
            "the same keys ({}) as line {first}, but {difference}; keep one of the two",
            filled.names(),
        ))
    }

    fn key_columns(&self) -> Vec<&'static str> {
        (0..)
            .zip(KEY_COLUMNS)
            .filter(|(key, _)| self.columns.contains(&Column::Key(*key)))
            .map(|(_, name)| name)
            .collect()
    }

    fn of_row(&self, found: &Found) -> Option<Match> {
        let row = self.rows.get(found.row)?;
        let (asset_id, attributes) = self.says(row);
        let tied_with = found.tied.and_then(|tied| self.rows.get(tied));
        let tied_with = tied_with.map(|tied| tied.line);
        let tie = tied_with.map(|line| {
            format!("; line {line} fits as well and says something else, the first counts")
        });
        let (line, keys, tie) = (row.line, self.goes_by(row), tie.unwrap_or_default());
        Some(Match {
            asset_id: asset_id.to_owned(),
            matched_by: found.filled.names(),
            attributes: attributes
                .into_iter()
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
            line: Some(line),
            why: format!("line {line}: {keys}{tie}"),
            tied_with,
        })
    }

    /// The asset that a row names, and its attributes.
    fn says<'a>(&'a self, row: &'a Row) -> (&'a str, Vec<(&'a str, &'a str)>) {
        let mut asset_id = "";
        let mut attributes = Vec::new();
        for (column, cell) in self.columns.iter().zip(&row.cells) {
            match column {
                Column::Asset => asset_id = cell,
                Column::Attribute(name) => attributes.push((&**name, &**cell)),
                Column::Key(_) | Column::Nameless => {}
            }
        }
        (asset_id, attributes)
    }

    /// The keys of a row as they stand there, in words.
    fn goes_by(&self, row: &Row) -> String {
        let cells = self.columns.iter().zip(&row.cells);
        let keys =
            cells.filter(|(column, cell)| matches!(column, Column::Key(_)) && !cell.is_empty());
        let keys: Vec<String> = keys
            .map(|(column, cell)| format!("{} \"{cell}\"", column.name()))
            .collect();
        keys.join(", ")
    }
}
