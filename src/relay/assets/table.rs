//! The spreadsheet side of the asset map: a file's text to rows with their lines, and a line to
//! paste.
//!
//! # Invariants
//! - A line number is the one that an editor shows, also after quoted cells and blank lines.
//! - Cells come trimmed and in Unicode NFC.
//! - A quote that swallows the rest of a file is found before its rows are believed.
//!
//! # Not here
//! What the columns mean.

use std::fmt;
use std::ops::Range;

use icu_normalizer::ComposingNormalizerBorrowed;

const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
const PROBLEMS_SHOWN: usize = 10;
/// More columns have no use, and each costs in every row.
const MOST_COLUMNS: usize = 200;
/// No cell is longer, in characters.
const LONGEST_CELL: usize = 10_000;

/// A file whose header is read and whose rows are to come.
pub(super) struct Table<'a> {
    pub(super) separator: u8,
    pub(super) header: Record,
    pub(super) rows: Records<'a>,
}

impl<'a> Table<'a> {
    /// Opens a file under the separator that gives its first row the most names that are known.
    /// None when every line is blank.
    pub(super) fn open(
        bytes: &'a [u8],
        is_known: fn(&str) -> bool,
    ) -> Result<Option<Self>, LoadError> {
        let text = utf8(bytes)?;
        refuse_wide(text)?;
        let under = |separator| {
            let mut rows = Records::new(text, separator);
            let header = rows.next()?;
            Some(Self {
                separator,
                header,
                rows,
            })
        };
        let known = |table: &Self| {
            table
                .header
                .cells
                .iter()
                .filter(|name| is_known(name))
                .count()
        };
        // The last of equals is taken, so the comma comes last.
        let tables = SEPARATORS.into_iter().rev().filter_map(under);
        let Some(table) = tables.max_by_key(known) else {
            return Ok(None);
        };
        match broken_quote(text, table.separator) {
            Some((offset, what)) => {
                Err(LoadError::at(Lines::new(text).at(offset), what.to_owned()))
            }
            None => bounded(text, table.separator).map(|()| Some(table)),
        }
    }
}

/// Says where a row has too many cells, or one that is too long, before any is taken apart.
fn bounded(text: &str, separator: u8) -> Result<(), LoadError> {
    let mut rows = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let is_long = |cell: &[u8]| {
        cell.len() > LONGEST_CELL && String::from_utf8_lossy(cell).chars().count() > LONGEST_CELL
    };
    let mut row = csv::ByteRecord::new();
    while rows.read_byte_record(&mut row).is_ok_and(|more| more) {
        let what = if row.len() > MOST_COLUMNS {
            format!("more than {MOST_COLUMNS} columns: leave out those that nothing needs")
        } else if row.iter().any(is_long) {
            format!("a cell of more than {LONGEST_CELL} characters: shorten it")
        } else {
            continue;
        };
        let line = Lines::new(text).at(start(text, row.position()));
        return Err(LoadError::at(line, what));
    }
    Ok(())
}

/// Where a row begins. The position is where the reader began to look: the rest of the last line end
/// and blank lines may lie between there and the row.
fn start(text: &str, position: Option<&csv::Position>) -> usize {
    let offset = position.map_or(0, csv::Position::byte);
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = text.get(offset..).unwrap_or_default();
    let skipped = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    offset.saturating_add(skipped)
}

/// A first row with more cells than this under any separator is not taken apart to see which it is.
fn refuse_wide(text: &str) -> Result<(), LoadError> {
    let first = text.trim_start().lines().next().unwrap_or_default();
    let is_wide = |separator: &u8| {
        let cells = first.bytes().filter(|byte| byte == separator).count();
        // Names may have separators in them, in quotes.
        cells > 10 * MOST_COLUMNS
    };
    if SEPARATORS.iter().any(is_wide) {
        let before = text.len() - text.trim_start().len();
        let what = format!("more than {MOST_COLUMNS} columns: leave out those that nothing needs");
        return Err(LoadError::at(Lines::new(text).at(before), what));
    }
    Ok(())
}

/// Why a file is no asset map: the first problems, each with its line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", listed(.problems, *.more))]
pub struct LoadError {
    problems: Vec<Problem>,
    more: usize,
}

/// One thing that is wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line of the file, counted from 1, as an editor shows it.
    pub line: usize,
    /// What is wrong there and what to do.
    pub what: String,
}

impl LoadError {
    /// The problems that are shown, in the order of the file.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many there are besides.
    pub fn more(&self) -> usize {
        self.more
    }

    pub(super) fn at(line: usize, what: String) -> Self {
        Self {
            problems: vec![Problem { line, what }],
            more: 0,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// The problems of one file, of which only the first are kept.
#[derive(Default)]
pub(super) struct Problems {
    shown: Vec<Problem>,
    more: usize,
}

impl Problems {
    pub(super) fn add(&mut self, line: usize, what: String) {
        if self.shown.len() < PROBLEMS_SHOWN {
            self.shown.push(Problem { line, what });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn into_result(self) -> Result<(), LoadError> {
        if self.shown.is_empty() {
            return Ok(());
        }
        Err(LoadError {
            problems: self.shown,
            more: self.more,
        })
    }
}

fn listed(problems: &[Problem], more: usize) -> String {
    let mut all: Vec<String> = problems.iter().map(ToString::to_string).collect();
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all.join("; ")
}

/// The text of a file, without its byte order mark.
fn utf8(bytes: &[u8]) -> Result<&str, LoadError> {
    let text = str::from_utf8(bytes).map_err(|error| {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let good = String::from_utf8_lossy(good);
        let line = Lines::new(&good).at(good.len());
        LoadError::at(line, "not UTF-8; in Excel: save as CSV UTF-8".to_owned())
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// How cells and subjects are written before they are compared.
pub(super) fn normal(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(text.trim())
        .into_owned()
}

/// One row of the file, its cells trimmed and in NFC, at least one of them filled.
pub(super) struct Record {
    pub(super) line: usize,
    pub(super) cells: Vec<String>,
    /// From its first byte to its line end.
    pub(super) at: Range<usize>,
}

/// The rows of a file that are not blank.
pub(super) struct Records<'a> {
    text: &'a str,
    lines: Lines<'a>,
    rows: csv::StringRecordsIntoIter<&'a [u8]>,
}

impl<'a> Records<'a> {
    fn new(text: &'a str, separator: u8) -> Self {
        let rows = csv::ReaderBuilder::new()
            .delimiter(separator)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes())
            .into_records();
        Self {
            text,
            lines: Lines::new(text),
            rows,
        }
    }

    /// The whole text, without a byte order mark.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let row = self.rows.next()?;
            let row = row.expect("text in memory is UTF-8, and rows may have any length");
            let cells: Vec<String> = row.iter().map(normal).collect();
            if cells.iter().all(String::is_empty) {
                continue;
            }
            let start = start(self.text, row.position());
            let line = self.lines.at(start);
            // The line end, or a part of it, may be read already; no row ends with one of its own.
            let end = self.rows.reader().position().byte();
            let end = usize::try_from(end).unwrap_or(usize::MAX);
            let row = self.text.get(start..end).unwrap_or_default();
            let at = start..start + row.trim_end_matches(['\r', '\n']).len();
            return Some(Record { line, cells, at });
        }
    }
}

/// Says in which line an offset lies, for offsets that only grow.
struct Lines<'a> {
    text: &'a [u8],
    offset: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            offset: 0,
            line: 1,
        }
    }

    fn at(&mut self, offset: usize) -> usize {
        for place in self.offset..offset.min(self.text.len()) {
            let next = self.text.get(place + 1);
            match self.text.get(place) {
                Some(b'\n') => self.line += 1,
                Some(b'\r') if next != Some(&b'\n') => self.line += 1,
                _ => {}
            }
            self.offset = place + 1;
        }
        self.line
    }
}

/// Where a quoted cell does not end as it should. The reader would go on and swallow lines.
fn broken_quote(text: &str, separator: u8) -> Option<(usize, &'static str)> {
    enum At {
        CellStart,
        Plain,
        Quoted,
        AfterQuote,
    }
    let mut at = At::CellStart;
    let mut opened = 0;
    for (offset, byte) in text.bytes().enumerate() {
        let ends_cell = byte == separator || byte == b'\n' || byte == b'\r';
        at = match at {
            At::CellStart if byte == b'"' => {
                opened = offset;
                At::Quoted
            }
            At::Quoted if byte == b'"' => At::AfterQuote,
            At::AfterQuote if byte == b'"' => At::Quoted,
            At::Quoted => At::Quoted,
            _ if ends_cell => At::CellStart,
            At::AfterQuote if byte == b' ' => At::AfterQuote,
            At::AfterQuote => {
                return Some((opened, "a quoted cell goes on after its closing quote"));
            }
            At::CellStart | At::Plain => At::Plain,
        };
    }
    matches!(at, At::Quoted).then_some((opened, "a quote is opened and never closed"))
}

/// The cells of one row's text, as they stand.
pub(super) fn cells(row: &str, separator: u8) -> Vec<String> {
    let rows = csv::ReaderBuilder::new()
        .delimiter(separator)
        .has_headers(false)
        .flexible(true)
        .from_reader(row.as_bytes())
        .into_records();
    let mut rows = rows.filter_map(Result::ok);
    let first = rows.next().unwrap_or_default();
    first.iter().map(str::to_owned).collect()
}

/// One CSV line, quoted where it must be.
pub(super) fn line<'a>(separator: u8, cells: impl IntoIterator<Item = &'a str>) -> String {
    let separator = char::from(separator);
    let quoted = |cell: &str| {
        if cell.contains([separator, '"', '\r', '\n']) {
            format!("\"{}\"", cell.replace('"', "\"\""))
        } else {
            cell.to_owned()
        }
    };
    let cells: Vec<String> = cells.into_iter().map(quoted).collect();
    cells.join(&separator.to_string())
}
