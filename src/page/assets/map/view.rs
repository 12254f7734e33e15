//! What the screens of the asset map show.
//!
//! # Invariants
//! - Bounded: a page of rows, the first so many of a difference.
//! - It is of the file as it stands; what is in use is said beside it.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::keep::{self, Entry, Keep};
use super::{ACT, MapState, blocking, keep_of, refuse_locked, state, unusable, waiting};
use crate::page::{Failed, Page};
use crate::relay::assets::{
    AssetMap, Change, Difference, LoadError, PLACEHOLDER, Says, Sheet, SheetRow,
};
use crate::relay::journal::ActsPage;

/// So many rows stand on a page.
const ROWS: usize = 100;
/// So many rows of a difference are shown of each kind.
const SHOWN: usize = 100;
/// So many acts are looked through for whoever changed the map.
const ACTS: u32 = 200;

/// Which rows are wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MapQuery {
    /// What is in some cell of them.
    pub(crate) q: String,
    /// Which page, from 1.
    pub(crate) page: usize,
}

/// The map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MapView {
    /// How it stands.
    pub(crate) state: MapState,
    /// The version of the file that is shown.
    pub(crate) version: String,
    /// Why the file cannot be used, if so: an earlier one is in use then.
    pub(crate) problems: Vec<ProblemView>,
    /// How many more there are.
    pub(crate) more_problems: usize,
    /// Whether there is a last change that can be undone.
    pub(crate) undo: bool,
    /// The names in its header.
    pub(crate) columns: Vec<String>,
    /// What was looked for.
    pub(crate) q: String,
    /// How many rows there are with that.
    pub(crate) found: usize,
    /// Which page this is, from 1.
    pub(crate) page: usize,
    /// Of how many.
    pub(crate) pages: usize,
    /// Its rows.
    pub(crate) rows: Vec<RowView>,
}

/// A row of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RowView {
    /// Its line.
    pub(crate) line: usize,
    /// Its cells.
    pub(crate) cells: Vec<String>,
    /// It is about no asset yet.
    pub(crate) unfinished: bool,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ProblemView {
    pub(crate) line: usize,
    pub(crate) what: String,
}

/// A row to be filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FormView {
    /// The version of the file that it is of.
    pub(crate) version: String,
    /// The row's line; none of a new one.
    pub(crate) line: Option<usize>,
    /// The columns, and what stands there.
    pub(crate) fields: Vec<(String, String)>,
    /// How many of them are offered first.
    pub(crate) usual: usize,
}

/// A file that waits to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct UploadView {
    /// Its name here; a file that is only compared has none.
    #[serde(skip)]
    pub(crate) name: String,
    /// What it is compared with.
    pub(crate) against: String,
    /// Its version.
    pub(crate) version: String,
    /// How many rows it has.
    pub(crate) rows: usize,
    /// Why it cannot be used.
    pub(crate) problems: Vec<ProblemView>,
    /// How many more there are.
    pub(crate) more_problems: usize,
    /// What it changes.
    pub(crate) difference: DifferenceView,
}

/// What changes from one file to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct DifferenceView {
    /// In a few words.
    pub(crate) words: String,
    pub(crate) added: usize,
    pub(crate) changed: usize,
    pub(crate) removed: usize,
    pub(crate) same: usize,
    pub(crate) columns_added: Vec<String>,
    pub(crate) columns_removed: Vec<String>,
    /// The first of each kind.
    pub(crate) rows: Vec<ChangeView>,
    /// How many are not shown.
    pub(crate) left_out: usize,
}

/// What becomes of a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct ChangeView {
    /// `added`, `changed` or `removed`.
    pub(crate) what: &'static str,
    /// Its line in the new file; of one that is removed, in the old one.
    pub(crate) line: usize,
    /// What it goes by.
    pub(crate) goes_by: String,
    /// The asset, and the other columns, as they were; none of one that is added.
    pub(crate) was: Option<String>,
    /// As they are; none of one that is removed.
    pub(crate) is: Option<String>,
}

/// The versions of the map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HistoryView {
    /// How the map stands.
    pub(crate) state: MapState,
    /// The newest first.
    pub(crate) entries: Vec<EntryView>,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct EntryView {
    /// By what it is called: when it was put in place, in milliseconds since 1970.
    pub(crate) at: i64,
    /// The same.
    pub(crate) time: Timestamp,
    /// Its version.
    pub(crate) version: String,
    /// Who put it in place; none where it was found in the data directory, or that is no longer
    /// known.
    pub(crate) who: Option<String>,
    /// What was changed.
    pub(crate) why: Option<String>,
    /// Whether it is the one in use.
    pub(crate) in_use: bool,
}

/// One version, and what it says that the one in use does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct VersionView {
    /// It.
    pub(crate) entry: EntryView,
    /// The version of the file now.
    pub(crate) now: String,
    /// Whether the page may put it back.
    pub(crate) locked: Option<String>,
    /// What would change with it.
    pub(crate) difference: DifferenceView,
}

/// The map's file, as it stands.
pub(crate) async fn bytes(page: &Page) -> Result<Vec<u8>, Failed> {
    let (path, is_kept) = (page.app.assets.path().to_owned(), page.app.assets.is_kept());
    let keep = keep_of(page);
    let read = move || {
        if is_kept {
            keep.current()
        } else {
            keep::read(&path)
        }
    };
    blocking(move || read().map_err(|error| unusable(&error))).await
}

/// The map, or a part of it.
pub(crate) async fn map(page: &Page, query: MapQuery) -> Result<MapView, Failed> {
    let (bytes, state, keep) = (bytes(page).await?, state(page), keep_of(page));
    blocking(move || {
        let entries = keep.entries().map_err(|error| unusable(&error))?;
        let mut view = MapView::of(&bytes, state, query);
        let is_last = |last: &Entry| last.version == view.version;
        let has_last = entries.len() > 1 && entries.first().is_some_and(is_last);
        view.undo = has_last && view.state.locked.is_none();
        Ok(view)
    })
    .await
}

/// A row to be added, or the one of a line.
pub(crate) async fn form(page: &Page, line: Option<usize>) -> Result<FormView, Failed> {
    refuse_locked(page)?;
    let bytes = bytes(page).await?;
    blocking(move || {
        let sheet = Sheet::read(&bytes).map_err(|error| super::wrong(&error))?;
        let row = match line {
            Some(line) => Some(sheet.row(line).ok_or_else(super::no_row)?),
            None => None,
        };
        let fields = sheet.fields().into_iter();
        let fields = fields.map(|name| {
            let place = sheet.columns().iter().position(|column| *column == name);
            let cell = row.zip(place).and_then(|(row, place)| row.cells.get(place));
            (name, cell.cloned().unwrap_or_default())
        });
        Ok(FormView {
            version: AssetMap::version_of(&bytes),
            line,
            fields: fields.collect(),
            usual: sheet.usual(),
        })
    })
    .await
}

/// What an uploaded file would change.
pub(crate) async fn upload(page: &Page, name: &str) -> Result<UploadView, Failed> {
    refuse_locked(page)?;
    let (old, new) = (bytes(page).await?, waiting(page, name).await?);
    let name = name.to_owned();
    blocking(move || Ok(UploadView::of(name, &old, &new))).await
}

/// What a file would change, which is not kept.
pub(crate) async fn compared(page: &Page, new: Vec<u8>) -> Result<UploadView, Failed> {
    let old = bytes(page).await?;
    blocking(move || Ok(UploadView::of(String::new(), &old, &new))).await
}

/// The versions of the map.
pub(crate) async fn history(page: &Arc<Page>) -> Result<HistoryView, Failed> {
    let (entries, acts) = (entries(page).await?, acts(page).await?);
    let state = state(page);
    let mut is_later = false;
    let entries = entries.iter().map(|entry| {
        let mut shown = EntryView::of(entry, &acts);
        // The same version may have been in use before.
        shown.in_use = !is_later && state.locked.is_none() && entry.version == state.version;
        is_later |= shown.in_use;
        shown
    });
    Ok(HistoryView {
        entries: entries.collect(),
        state,
    })
}

/// One version of it, against the file as it stands.
pub(crate) async fn version(page: &Arc<Page>, at: i64) -> Result<VersionView, Failed> {
    let (old, new) = (bytes(page).await?, earlier(page, at).await?);
    let history = history(page).await?;
    let mut entries = history.entries.into_iter();
    let entry = entries.find(|entry| entry.at == at);
    let entry = entry.ok_or_else(Failed::not_found)?;
    let difference = blocking(move || {
        let now = AssetMap::version_of(&old);
        Ok((now, DifferenceView::of(&difference(&old, &new))))
    });
    let (now, difference) = difference.await?;
    Ok(VersionView {
        entry,
        now,
        locked: history.state.locked,
        difference,
    })
}

/// What an earlier version's file holds.
pub(crate) async fn earlier(page: &Page, at: i64) -> Result<Vec<u8>, Failed> {
    let keep = keep_of(page);
    let found = blocking(move || keep.entry(at).map_err(|error| unusable(&error)));
    let (_, bytes) = found.await?.ok_or_else(Failed::not_found)?;
    Ok(bytes)
}

async fn entries(page: &Page) -> Result<Vec<Entry>, Failed> {
    let keep: Keep = keep_of(page);
    blocking(move || keep.entries().map_err(|error| unusable(&error))).await
}

/// Who changed the map, and how: by the time.
async fn acts(page: &Arc<Page>) -> Result<Vec<(i64, String, String)>, Failed> {
    let wanted = ActsPage {
        what: Some(ACT.to_owned()),
        limit: ACTS,
        ..ActsPage::default()
    };
    let acts = page.read(move |reader| reader.acts_page(&wanted)).await?;
    let acts = acts.into_iter();
    Ok(acts
        .map(|act| (act.at.as_millisecond(), act.who, act.detail))
        .collect())
}

/// What changes from one file to another; one that cannot be read says nothing.
fn difference(old: &[u8], new: &[u8]) -> Difference {
    let read = |bytes| Sheet::read(bytes).unwrap_or_else(|_| Sheet::empty());
    Difference::between(&read(old), &read(new))
}

impl MapView {
    fn of(bytes: &[u8], state: MapState, query: MapQuery) -> Self {
        let version = AssetMap::version_of(bytes);
        // What is in use is good.
        let (problems, more_problems) = if version == state.version {
            (Vec::new(), 0)
        } else {
            problems(bytes)
        };
        let sheet = Sheet::read(bytes).unwrap_or_else(|_| Sheet::empty());
        let q = query.q.trim().to_lowercase();
        let has = |row: &&SheetRow| {
            let mut cells = row.cells.iter();
            q.is_empty() || cells.any(|cell| cell.to_lowercase().contains(&q))
        };
        let found: Vec<&SheetRow> = sheet.rows().iter().filter(has).collect();
        let pages = found.len().div_ceil(ROWS).max(1);
        let page = query.page.clamp(1, pages);
        let rows = found.iter().skip((page - 1) * ROWS).take(ROWS);
        Self {
            version,
            problems,
            more_problems,
            undo: false,
            columns: sheet.columns().to_vec(),
            found: found.len(),
            page,
            pages,
            rows: rows.map(|row| RowView::of(row)).collect(),
            q: query.q,
            state,
        }
    }
}

impl RowView {
    fn of(row: &SheetRow) -> Self {
        Self {
            line: row.line,
            cells: row.cells.clone(),
            unfinished: row.cells.iter().any(|cell| cell == PLACEHOLDER),
        }
    }
}

impl UploadView {
    fn of(name: String, old: &[u8], new: &[u8]) -> Self {
        let (problems, more_problems) = problems(new);
        Self {
            name,
            against: AssetMap::version_of(old),
            version: AssetMap::version_of(new),
            rows: AssetMap::parse(new).map_or(0, |map| map.len()),
            problems,
            more_problems,
            difference: DifferenceView::of(&difference(old, new)),
        }
    }
}

/// What is wrong with a file; nothing with one that is not there.
fn problems(bytes: &[u8]) -> (Vec<ProblemView>, usize) {
    let parsed = match bytes {
        [] => Ok(AssetMap::empty()),
        bytes => AssetMap::parse(bytes),
    };
    let of = |error: &LoadError| {
        let problems = error.problems().iter().map(|problem| ProblemView {
            line: problem.line,
            what: problem.what.clone(),
        });
        (problems.collect(), error.more())
    };
    parsed.as_ref().err().map_or((Vec::new(), 0), of)
}

impl DifferenceView {
    fn of(difference: &Difference) -> Self {
        let [added, changed, removed] = difference.counts();
        let mut shown = [0; 3];
        let mut rows = Vec::new();
        for change in &difference.rows {
            let view = ChangeView::of(change);
            let [a, c, r] = &mut shown;
            let n = match change {
                Change::Added(_) => a,
                Change::Changed(..) => c,
                Change::Removed(_) => r,
            };
            *n += 1;
            if *n <= SHOWN {
                rows.push(view);
            }
        }
        Self {
            words: difference.in_words(),
            added,
            changed,
            removed,
            same: difference.same,
            columns_added: difference.columns_added.clone(),
            columns_removed: difference.columns_removed.clone(),
            left_out: difference.rows.len() - rows.len(),
            rows,
        }
    }
}

impl ChangeView {
    fn of(change: &Change) -> Self {
        let (what, row, was, is) = match change {
            Change::Added(row) => ("added", row, None, Some(row)),
            Change::Changed(was, row) => ("changed", row, Some(was), Some(row)),
            Change::Removed(row) => ("removed", row, Some(row), None),
        };
        Self {
            what,
            line: row.line,
            goes_by: row.goes_by(),
            was: was.map(says),
            is: is.map(says),
        }
    }
}

/// The asset of a row and its other columns.
fn says(row: &Says) -> String {
    let asset = if row.is_unfinished() {
        "no asset yet".to_owned()
    } else {
        row.asset.clone()
    };
    let attributes = row.attributes.iter();
    let attributes = attributes.map(|(name, text)| format!("{name} \"{text}\""));
    let all: Vec<String> = std::iter::once(asset).chain(attributes).collect();
    all.join(", ")
}

impl EntryView {
    fn of(entry: &Entry, acts: &[(i64, String, String)]) -> Self {
        let act = acts.iter().find(|(at, ..)| *at == entry.at);
        Self {
            at: entry.at,
            time: Timestamp::from_millisecond(entry.at).unwrap_or(Timestamp::UNIX_EPOCH),
            version: entry.version.clone(),
            who: act.map(|(_, who, _)| who.clone()),
            why: act.map(|(.., why)| why.clone()),
            in_use: false,
        }
    }
}
