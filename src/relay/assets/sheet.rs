//! The map's file as it stands: a row is added, changed or taken out, and all else stays byte for
//! byte.
//!
//! # Invariants
//! - What is not touched keeps its bytes: separator, quotes, line ends, blank lines, columns that
//!   nobody here knows.
//! - A cell that is written is read back as the same text, whatever stands in it.
//! - To add a row and to take it out again gives the same bytes, where no column had to be added.
//! - Pure: whether the result is a map is for [`super::AssetMap::parse`] to say.

use std::ops::Range;

use super::columns::{ASSET_ID, is_known};
use super::keys::{ACTION_NAME, KEY_COLUMNS};
use super::table::{self, LoadError, Record, Table};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// The file of an asset map, to be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// Without its byte order mark.
    text: String,
    marked: bool,
    separator: u8,
    newline: &'static str,
    header: Option<SheetRow>,
    rows: Vec<SheetRow>,
}

/// A row where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetRow {
    /// Its line, counted from 1, as an editor shows it.
    pub line: usize,
    /// Its cells, trimmed and in Unicode NFC.
    pub cells: Vec<String>,
    /// From its first byte to its line end.
    at: Range<usize>,
}

/// There is no row in this line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no row in line {0}")]
pub struct NoRow(pub usize);

impl Sheet {
    /// A file that is not there yet.
    pub fn empty() -> Self {
        Self {
            text: String::new(),
            marked: false,
            separator: b',',
            newline: "\n",
            header: None,
            rows: Vec::new(),
        }
    }

    /// Reads a file, whether it is a good map or not; one of blank lines is as one that is not
    /// there.
    pub fn read(bytes: &[u8]) -> Result<Self, LoadError> {
        let Some(table) = Table::open(bytes, is_known)? else {
            return Ok(Self::empty());
        };
        let text = table.rows.text();
        let marked = text.len() < bytes.len();
        let separator = table.separator;
        let header = SheetRow::from(table.header);
        let after = text.get(header.at.end..).unwrap_or_default();
        let newline = match line_end(after) {
            "" => "\n",
            newline => newline,
        };
        Ok(Self {
            text: text.to_owned(),
            marked,
            separator,
            newline: match newline {
                "\r\n" => "\r\n",
                "\r" => "\r",
                _ => "\n",
            },
            header: Some(header),
            rows: table.rows.map(SheetRow::from).collect(),
        })
    }

    /// The names of the columns, as they stand in the header.
    pub fn columns(&self) -> &[String] {
        self.header.as_ref().map_or(&[], |header| &header.cells)
    }

    /// The rows that are not blank, in the order of the file.
    pub fn rows(&self) -> &[SheetRow] {
        &self.rows
    }

    /// The row of a line.
    pub fn row(&self, line: usize) -> Option<&SheetRow> {
        self.rows.iter().find(|row| row.line == line)
    }

    /// What can be filled in: the columns that have a name, and the key columns that the header
    /// has not.
    pub fn fields(&self) -> Vec<String> {
        let (mut fields, lacking) = self.present_and_lacking();
        fields.extend(lacking.into_iter().map(str::to_owned));
        fields
    }

    /// How many of the [`Self::fields`] are offered first.
    pub fn usual(&self) -> usize {
        self.present_and_lacking().0.len()
    }

    fn present_and_lacking(&self) -> (Vec<String>, Vec<&'static str>) {
        let columns = self.columns().iter();
        let mut present: Vec<String> = columns.filter(|name| !name.is_empty()).cloned().collect();
        if present.is_empty() {
            let first = KEY_COLUMNS.get(ACTION_NAME).copied().unwrap_or_default();
            present = vec![first.to_owned(), ASSET_ID.to_owned()];
        }
        let has = |key: &str| present.iter().any(|name| is_same(name, key));
        let lacking = KEY_COLUMNS.into_iter().rev();
        let lacking = lacking.filter(|key| !has(key)).collect();
        (present, lacking)
    }

    /// The file with one more row at its end. A column that its header lacks is added for what is
    /// filled in.
    pub fn with_row(&self, cells: &[(String, String)]) -> Vec<u8> {
        let sheet = self.with_columns(cells);
        let header = sheet.columns();
        let row = header.iter().map(|name| of(cells, name).unwrap_or(""));
        let row = table::line(sheet.separator, row);
        let (text, newline) = (&sheet.text, sheet.newline);
        sheet.bytes(&if text.is_empty() || text.ends_with(['\r', '\n']) {
            format!("{text}{row}{newline}")
        } else {
            format!("{text}{newline}{row}")
        })
    }

    /// The file with other texts in these cells of a row.
    pub fn with_cells(&self, line: usize, cells: &[(String, String)]) -> Result<Vec<u8>, NoRow> {
        let place = self.rows.iter().position(|row| row.line == line);
        let sheet = self.with_columns(cells);
        let row = place.and_then(|place| sheet.rows.get(place));
        let row = row.ok_or(NoRow(line))?;
        let raw = sheet.raw(row);
        let pairs = sheet.columns().iter().enumerate();
        let written = pairs.map(|(n, name)| {
            let (was, text) = (row.cells.get(n), of(cells, name));
            match text {
                Some(text) if was.is_none_or(|was| *was != table::normal(text)) => text.to_owned(),
                _ => raw.get(n).cloned().unwrap_or_default(),
            }
        });
        // Cells beyond the header stay, so that their mistake is seen.
        let beyond = raw.iter().skip(sheet.columns().len()).cloned();
        let written: Vec<String> = written.chain(beyond).collect();
        if written == raw {
            return Ok(sheet.bytes(&sheet.text));
        }
        let written = table::line(sheet.separator, written.iter().map(String::as_str));
        Ok(sheet.bytes(&replaced(&sheet.text, &row.at, &written)))
    }

    /// The file without a row.
    pub fn without_row(&self, line: usize) -> Result<Vec<u8>, NoRow> {
        let row = self.row(line).ok_or(NoRow(line))?;
        let mut at = row.at.clone();
        let after = self.text.get(at.end..).unwrap_or_default();
        match line_end(after) {
            "" => {
                let before = self.text.get(..at.start).unwrap_or_default();
                let kept = before.strip_suffix("\r\n");
                let kept = kept.or_else(|| before.strip_suffix(['\r', '\n']));
                at.start = kept.unwrap_or(before).len();
            }
            newline => at.end += newline.len(),
        }
        Ok(self.bytes(&replaced(&self.text, &at, "")))
    }

    /// The same, with the columns that are filled in and not there.
    fn with_columns(&self, cells: &[(String, String)]) -> Self {
        let lacks = |name: &str| !self.columns().iter().any(|column| is_same(column, name));
        let mut added: Vec<&str> = Vec::new();
        for (name, text) in cells {
            let is_new = lacks(name) && !added.iter().any(|other| is_same(other, name));
            if !text.trim().is_empty() && !name.trim().is_empty() && is_new {
                added.push(name);
            }
        }
        if added.is_empty() {
            return self.clone();
        }
        let names = table::line(self.separator, added.iter().copied());
        let separator = char::from(self.separator);
        let Some(header) = &self.header else {
            let text = format!("{names}{}", self.newline);
            return Self::read(text.as_bytes()).unwrap_or_else(|_| self.clone());
        };
        let empty = separator.to_string().repeat(added.len());
        let mut text = String::with_capacity(self.text.len() + names.len());
        let mut from = 0;
        let ends = std::iter::once((header.at.end, format!("{separator}{names}")));
        let rows = self.rows.iter().map(|row| (row.at.end, empty.clone()));
        for (end, more) in ends.chain(rows) {
            text.push_str(self.text.get(from..end).unwrap_or_default());
            text.push_str(&more);
            from = end;
        }
        text.push_str(self.text.get(from..).unwrap_or_default());
        let read = Self::read(&self.bytes(&text));
        read.unwrap_or_else(|_| self.clone())
    }

    /// The cells of a row as they stand, without their quotes.
    fn raw(&self, row: &SheetRow) -> Vec<String> {
        let text = self.text.get(row.at.clone()).unwrap_or_default();
        table::cells(text, self.separator)
    }

    fn bytes(&self, text: &str) -> Vec<u8> {
        let mut bytes = String::with_capacity(text.len() + BYTE_ORDER_MARK.len_utf8());
        if self.marked {
            bytes.push(BYTE_ORDER_MARK);
        }
        bytes.push_str(text);
        bytes.into_bytes()
    }
}

impl From<Record> for SheetRow {
    fn from(Record { line, cells, at }: Record) -> Self {
        Self { line, cells, at }
    }
}

/// A name as a key cell that means just it, where `*`, `?` and backslashes would mean more.
pub fn literal(name: &str) -> String {
    super::pattern::escaped(name)
}

fn is_same(column: &str, name: &str) -> bool {
    table::normal(column).to_lowercase() == table::normal(name).to_lowercase()
}

fn of<'a>(cells: &'a [(String, String)], column: &str) -> Option<&'a str> {
    let found = cells.iter().find(|(name, _)| is_same(name, column));
    found.map(|(_, text)| text.trim())
}

/// The line end that a text begins with.
fn line_end(text: &str) -> &str {
    let ends = ["\r\n", "\n", "\r"];
    let found = ends.into_iter().find(|end| text.starts_with(end));
    found.unwrap_or_default()
}

fn replaced(text: &str, at: &Range<usize>, by: &str) -> String {
    let before = text.get(..at.start).unwrap_or_default();
    let after = text.get(at.end..).unwrap_or_default();
    format!("{before}{by}{after}")
}

#[cfg(test)]
#[path = "tests/sheet.rs"]
mod tests;
