//! The asset map that the page keeps: looked at, changed, put back.
//!
//! ```text
//! mod      what there is of the map, and every change of it
//! keep     its file and its history
//! uploads  files that wait to be confirmed
//! view     what the screens show
//! html     how they look
//! routes   what is asked, and what is answered
//! ```
//!
//! # Invariants
//! - A change is a whole map that [`AssetMap::parse`] takes, or it is none; it is in the history
//!   and among the acts before it is in place, and in use before it is answered. One that fails
//!   then is an act once more, and not in the history.
//! - What was begun is done to its end, though the browser goes away.
//! - One change at a time; what goes by a line or compares with a version is refused once the map
//!   is another.
//! - Where another file is the map, nothing is changed.

mod html;
pub(in crate::page) mod keep;
pub(in crate::page) mod routes;
mod uploads;
pub(in crate::page) mod view;

use std::io;
use std::sync::Arc;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::Mutex;

use self::keep::{Entry, Keep, LARGEST};
pub(super) use self::routes::routes;
use self::uploads::Uploads;
use super::super::access::{Person, Role};
use super::super::{Failed, Page};
use crate::app::assets::Assets;
use crate::clock::Clock;
use crate::relay::assets::{
    AssetMap, Difference, KEY_COLUMNS, LoadError, PLACEHOLDER, Sheet, literal,
};
use crate::relay::journal::{ActsPage, Journal};

/// No cell that is written here has more characters.
const LONGEST_CELL: usize = 10_000;
/// No act says more of what was changed.
const LONGEST_DETAIL: usize = 300;
const ASSET_ID: &str = "asset_id";
/// What an act on the map is called.
const ACT: &str = "map";
/// And one that did not work.
const FAILED: &str = "map failed";
/// How the act begins that adds a row for what waits.
const DECIDED: &str = "row added for what waits: ";

/// Whose turn it is to change the map. Of the whole process: a page that is built again meets the
/// end of what the earlier one does.
static TURN: Mutex<()> = Mutex::const_new(());

/// How the map stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct MapState {
    /// Why the page cannot change it: where it comes from. None where the page keeps it.
    pub(crate) locked: Option<String>,
    /// Its file.
    pub(crate) path: String,
    /// What tells the map in use from others; `none` while there is none.
    pub(crate) version: String,
    /// How many rows it has.
    pub(crate) rows: usize,
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Applied {
    /// The version that is in use now; it is what [`undo`] takes.
    pub(crate) version: String,
    /// The version that was in use before.
    pub(crate) before: String,
    /// How many rows the map has.
    pub(crate) rows: usize,
    /// Whether the map is another than before.
    pub(crate) changed: bool,
}

/// The map as it was when it was the change's turn.
struct Now {
    bytes: Vec<u8>,
    version: String,
}

/// What the map is to be.
struct Wanted {
    bytes: Vec<u8>,
    /// What is changed, in words, for the acts.
    detail: String,
}

/// A change that is good, and lies in the history.
struct Ready {
    wanted: Wanted,
    entry: Entry,
    applied: Applied,
}

/// How the map stands.
pub(crate) fn state(page: &Page) -> MapState {
    let assets = &page.app.assets;
    let map = assets.current().borrow().clone();
    MapState {
        locked: locked(page),
        path: assets.path().display().to_string(),
        version: map.version().to_owned(),
        rows: map.len(),
    }
}

/// Adds a row that goes by these names, each of a key column, just as they are.
pub(crate) async fn add_row(
    page: &Page,
    person: &Person,
    keys: &[(&str, &str)],
    asset_id: &str,
) -> Result<Applied, Failed> {
    let keys = keys.iter();
    let keys = keys.map(|(column, name)| ((*column).to_owned(), literal(name)));
    let asset = (ASSET_ID.to_owned(), asset_id.to_owned());
    let cells: Vec<_> = keys.chain([asset]).collect();
    let detail = format!("{DECIDED}{}", said(&cells));
    add(page, person, cells, detail).await
}

/// Takes back the change that made this version, while it is the one in use. Who may decide takes
/// back a row that [`add_row`] added, and whatever else it is, who may set up.
pub(crate) async fn undo(
    page: &Arc<Page>,
    person: &Person,
    version: &str,
) -> Result<Applied, Failed> {
    if person.role >= Role::Configure {
        return take_back(page, person, version).await;
    }
    let wanted = ActsPage {
        what: Some(ACT.to_owned()),
        limit: 1,
        ..ActsPage::default()
    };
    let last = page.read(move |reader| reader.acts_page(&wanted)).await?;
    if !last.first().is_some_and(|act| is_decided(&act.detail)) {
        return Err(conflict(
            "The last change of the asset map was not a row that was added here.",
            "Whoever may set up can put back what was before, in the history of the asset map.",
        ));
    }
    take_back(page, person, version).await
}

/// Whether an act on the map is a row that somebody decided on.
pub(crate) fn is_decided(detail: &str) -> bool {
    detail.starts_with(DECIDED)
}

/// Takes back the change that made this version, while it is the one in use.
async fn take_back(page: &Page, person: &Person, version: &str) -> Result<Applied, Failed> {
    let (keep, version) = (keep_of(page), version.to_owned());
    change(page, person, move |now| {
        if now.version != version {
            return Err(conflict(
                "The asset map was changed again since.",
                "Look at its history: every earlier version can be put back from there.",
            ));
        }
        let entries = keep.entries().map_err(|error| unusable(&error))?;
        let mut earlier = entries.iter().skip_while(|entry| entry.version != version);
        let entry = earlier.nth(1).map(|entry| entry.at);
        put_back(&keep, entry)
    })
    .await
}

/// Puts the version back that was put in place then.
pub(crate) async fn restore(
    page: &Page,
    person: &Person,
    at: i64,
    seen: String,
) -> Result<Applied, Failed> {
    let keep = keep_of(page);
    change(page, person, move |now| {
        now.must_be(&seen)?;
        put_back(&keep, Some(at))
    })
    .await
}

fn put_back(keep: &Keep, at: Option<i64>) -> Result<Wanted, Failed> {
    let gone = || {
        let advice = "The history shows which versions there are.";
        conflict("That version is not kept any more.", advice)
    };
    let entry = keep.entry(at.ok_or_else(gone)?);
    let (entry, bytes) = entry.map_err(|error| unusable(&error))?.ok_or_else(gone)?;
    let at = Timestamp::from_millisecond(entry.at).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Wanted {
        bytes,
        detail: format!("put back what was there from {at:.0} on"),
    })
}

/// Adds a row of these cells; key cells may be patterns.
pub(crate) async fn add_cells(
    page: &Page,
    person: &Person,
    cells: Vec<(String, String)>,
) -> Result<Applied, Failed> {
    let detail = format!("row added: {}", said(&cells));
    add(page, person, cells, detail).await
}

async fn add(
    page: &Page,
    person: &Person,
    cells: Vec<(String, String)>,
    detail: String,
) -> Result<Applied, Failed> {
    check_cells(&cells)?;
    change(page, person, move |now| {
        let sheet = now.sheet()?;
        let with = sheet.with_row(&cells);
        let is_known = Sheet::read(&with).is_ok_and(|with| {
            let difference = Difference::between(&sheet, &with);
            difference.rows.is_empty()
        });
        Ok(Wanted {
            detail,
            // A row that says what another says is none.
            bytes: if is_known { now.bytes.clone() } else { with },
        })
    })
    .await
}

/// Writes other cells into the row of a line of the version that was seen.
pub(crate) async fn change_cells(
    page: &Page,
    person: &Person,
    (line, seen): (usize, String),
    cells: Vec<(String, String)>,
) -> Result<Applied, Failed> {
    check_cells(&cells)?;
    change(page, person, move |now| {
        now.must_be(&seen)?;
        let bytes = now.sheet()?.with_cells(line, &cells);
        Ok(Wanted {
            bytes: bytes.map_err(|_| no_row())?,
            detail: format!("row of line {line} changed: {}", said(&cells)),
        })
    })
    .await
}

/// Takes the row of a line out of the version that was seen.
pub(crate) async fn remove_row(
    page: &Page,
    person: &Person,
    (line, seen): (usize, String),
) -> Result<Applied, Failed> {
    change(page, person, move |now| {
        now.must_be(&seen)?;
        let sheet = now.sheet()?;
        let row = sheet.row(line).ok_or_else(no_row)?;
        let names = sheet.columns().iter().cloned();
        let cells: Vec<_> = names.zip(row.cells.iter().cloned()).collect();
        Ok(Wanted {
            bytes: sheet.without_row(line).map_err(|_| no_row())?,
            detail: format!("row of line {line} removed: {}", said(&cells)),
        })
    })
    .await
}

/// Puts what was uploaded in place of the version that it was compared with.
async fn apply(page: &Page, person: &Person, name: &str, seen: String) -> Result<Applied, Failed> {
    let bytes = waiting(page, name).await?;
    let applied = replace(page, person, bytes, seen).await?;
    drop_upload(page, name).await?;
    Ok(applied)
}

/// Puts a file in place of the version that was seen.
pub(crate) async fn replace(
    page: &Page,
    person: &Person,
    bytes: Vec<u8>,
    seen: String,
) -> Result<Applied, Failed> {
    refuse_empty(&bytes)?;
    change(page, person, move |now| {
        now.must_be(&seen)?;
        let new = Sheet::read(&bytes).map_err(|error| wrong(&error))?;
        let old = now.sheet().unwrap_or_else(|_| Sheet::empty());
        let words = Difference::between(&old, &new).in_words();
        Ok(Wanted {
            detail: format!("file uploaded: {words}"),
            bytes,
        })
    })
    .await
}

fn refuse_empty(bytes: &[u8]) -> Result<(), Failed> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        let advice = "Choose the CSV file of the asset map.";
        return Err(Failed::wrong(
            "The file is empty, or none was chosen.",
            advice,
        ));
    }
    Ok(())
}

/// Keeps an uploaded file until it is confirmed; its name.
async fn upload(page: &Page, bytes: Vec<u8>) -> Result<String, Failed> {
    refuse_locked(page)?;
    refuse_empty(&bytes)?;
    refuse_large(bytes.len())?;
    let (uploads, now) = (Uploads::of(&page.app.data_dir), page.app.clock.wall());
    blocking(move || uploads.keep(now, &bytes).map_err(|error| unusable(&error))).await
}

/// What was uploaded under this name.
async fn waiting(page: &Page, name: &str) -> Result<Vec<u8>, Failed> {
    let (uploads, now) = (Uploads::of(&page.app.data_dir), page.app.clock.wall());
    let name = name.to_owned();
    let found = move || uploads.get(now, &name).map_err(|error| unusable(&error));
    blocking(found).await?.ok_or_else(|| Failed {
        status: StatusCode::NOT_FOUND,
        what: "This file does not wait any more.".to_owned(),
        advice: "Uploaded files wait for an hour: upload it again.".to_owned(),
    })
}

/// Lets an uploaded file go.
async fn drop_upload(page: &Page, name: &str) -> Result<(), Failed> {
    let (uploads, name) = (Uploads::of(&page.app.data_dir), name.to_owned());
    blocking(move || uploads.drop(&name).map_err(|error| unusable(&error))).await
}

/// Makes the map another one.
async fn change(
    page: &Page,
    person: &Person,
    make: impl FnOnce(&Now) -> Result<Wanted, Failed> + Send + 'static,
) -> Result<Applied, Failed> {
    refuse_locked(page)?;
    let doing = Doing {
        keep: keep_of(page),
        clock: page.app.clock.clone(),
        journal: page.app.ground.journal.clone(),
        assets: Arc::clone(&page.app.assets),
        who: person.name.clone(),
    };
    // To its end, though whoever asked goes away meanwhile.
    let done = tokio::spawn(doing.change(make)).await;
    done.unwrap_or_else(|_| Err(Failed::stops()))
}

/// A change on its way.
struct Doing {
    keep: Keep,
    clock: Clock,
    journal: Journal,
    assets: Arc<Assets>,
    who: String,
}

impl Doing {
    async fn change(
        self,
        make: impl FnOnce(&Now) -> Result<Wanted, Failed> + Send + 'static,
    ) -> Result<Applied, Failed> {
        let _turn = TURN.lock().await;
        let (keep, now) = (self.keep.clone(), self.clock.wall().as_millisecond());
        let ready = match blocking(move || prepare(&keep, now, make)).await? {
            Ok(ready) => ready,
            Err(same) => return Ok(same),
        };
        let Ready {
            wanted,
            entry,
            applied,
        } = ready;
        let at = Timestamp::from_millisecond(entry.at).unwrap_or(Timestamp::UNIX_EPOCH);
        let (version, before, rows) = (&applied.version, &applied.before, applied.rows);
        let what = &wanted.detail;
        let detail = format!("{what}; version {version} with {rows} rows, before {before}");
        let kept = self.journal.keep_act(at, &self.who, ACT, None, &detail);
        if let Err(error) = kept.await {
            let keep = self.keep;
            let forgotten = move || keep.forget(&entry).map_err(|error| unusable(&error));
            blocking(forgotten).await?;
            return Err(error.into());
        }
        let (keep, assets) = (self.keep, self.assets);
        let put = move || put(&keep, &assets, &entry, &wanted.bytes);
        if let Err(failed) = blocking(put).await {
            let why = format!("{detail}: {}", failed.what);
            let now = self.clock.wall();
            let act = self.journal.keep_act(now, &self.who, FAILED, None, &why);
            if let Err(error) = act.await {
                tracing::warn!(%error, "page: that the map stayed is not among the acts");
            }
            return Err(failed);
        }
        tracing::info!(who = self.who, "asset map: {detail}");
        Ok(applied)
    }
}

fn put(keep: &Keep, assets: &Assets, entry: &Entry, bytes: &[u8]) -> Result<(), Failed> {
    if let Err(error) = keep.put(bytes) {
        // What is in its place all the same stays in the history.
        let is_there = keep.current().is_ok_and(|now| now == bytes);
        if !is_there && let Err(error) = keep.forget(entry) {
            tracing::warn!(%error, "page: a version that never counted stays in the history");
        }
        return Err(unusable(&error));
    }
    assets.reload();
    Ok(())
}

/// Looks whether the change is good and lays it into the history; or says that it is none.
fn prepare(
    keep: &Keep,
    at: i64,
    make: impl FnOnce(&Now) -> Result<Wanted, Failed>,
) -> Result<Result<Ready, Applied>, Failed> {
    let bytes = keep.current().map_err(|error| unusable(&error))?;
    let version = AssetMap::version_of(&bytes);
    let now = Now { bytes, version };
    let wanted = make(&now)?;
    refuse_large(wanted.bytes.len())?;
    let map = if wanted.bytes.is_empty() {
        AssetMap::empty()
    } else {
        AssetMap::parse(&wanted.bytes).map_err(|error| wrong(&error))?
    };
    let applied = Applied {
        version: map.version().to_owned(),
        before: now.version.clone(),
        rows: map.len(),
        changed: map.version() != now.version,
    };
    if !applied.changed {
        return Ok(Err(applied));
    }
    let kept = || {
        let entries = keep.entries()?;
        // What stands there may not be the page's doing: it is not lost either.
        let is_known = entries
            .first()
            .is_some_and(|last| last.version == now.version);
        if !is_known {
            keep.remember(at - 1, &now.version, &now.bytes)?;
        }
        keep.remember(at, &applied.version, &wanted.bytes)
    };
    let entry = kept().map_err(|error| unusable(&error))?;
    Ok(Ok(Ready {
        wanted,
        entry,
        applied,
    }))
}

impl Now {
    fn sheet(&self) -> Result<Sheet, Failed> {
        Sheet::read(&self.bytes).map_err(|error| wrong(&error))
    }

    fn must_be(&self, seen: &str) -> Result<(), Failed> {
        if self.version == seen {
            return Ok(());
        }
        let advice = "Nothing was done. Look at the asset map again, then do it once more.";
        Err(conflict(
            "Somebody changed the asset map meanwhile.",
            advice,
        ))
    }
}

fn keep_of(page: &Page) -> Keep {
    Keep::of(&page.app.data_dir)
}

/// Where the map comes from that the page does not keep.
fn locked(page: &Page) -> Option<String> {
    if page.app.assets.is_kept() {
        return None;
    }
    let settings = page.app.shown.settings.iter();
    let mut settings = settings.filter(|shown| shown.name == "asset-map");
    let origin = settings.next().map(|shown| shown.origin.clone());
    Some(origin.unwrap_or_else(|| "the configuration".to_owned()))
}

fn refuse_locked(page: &Page) -> Result<(), Failed> {
    let Some(origin) = locked(page) else {
        return Ok(());
    };
    let path = page.app.assets.path().display().to_string();
    let what =
        format!("The asset map is the file {path}, from {origin}: the page cannot change it.");
    Err(conflict(
        what,
        "Change that file: it is read again within seconds.",
    ))
}

fn refuse_large(bytes: usize) -> Result<(), Failed> {
    if bytes <= LARGEST {
        return Ok(());
    }
    Err(Failed {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        what: "The asset map is larger than 8 MiB.".to_owned(),
        advice: "Patterns with * and ? make one row of many.".to_owned(),
    })
}

/// What a form may fill in.
fn check_cells(cells: &[(String, String)]) -> Result<(), Failed> {
    let filled = |name: &str| {
        let mut cells = cells.iter();
        cells.any(|(column, text)| column.eq_ignore_ascii_case(name) && !text.trim().is_empty())
    };
    if cells
        .iter()
        .any(|(_, text)| text.chars().count() > LONGEST_CELL)
    {
        let what = format!("A cell has more than {LONGEST_CELL} characters.");
        return Err(Failed::wrong(what, "Make it shorter."));
    }
    let is_unfinished = |(_, text): &(String, String)| text.trim() == PLACEHOLDER;
    if !filled(ASSET_ID) || cells.iter().any(is_unfinished) {
        let advice = "Give the plant's own name of the asset, such as PUMP-101.";
        return Err(Failed::wrong("The row names no asset.", advice));
    }
    if !KEY_COLUMNS.into_iter().any(filled) {
        let advice = "Fill at least one of the columns that inspections are found by, such as \
            action_name.";
        return Err(Failed::wrong("The row goes by nothing.", advice));
    }
    Ok(())
}

/// Cells for an act, at no great length.
fn said(cells: &[(String, String)]) -> String {
    let filled = cells.iter().filter(|(_, text)| !text.trim().is_empty());
    let words: Vec<String> = filled
        .map(|(name, text)| format!("{name} {text:?}"))
        .collect();
    let words = words.join(", ");
    match words.char_indices().nth(LONGEST_DETAIL) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}

async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> Result<T, Failed> + Send + 'static,
) -> Result<T, Failed> {
    crate::page::blocking(what).await?
}

fn wrong(error: &LoadError) -> Failed {
    let what = format!("That would be no asset map: {error}.");
    Failed::wrong(what, "Nothing was changed. Correct it, then try again.")
}

pub(crate) fn conflict(what: impl Into<String>, advice: &str) -> Failed {
    Failed {
        status: StatusCode::CONFLICT,
        what: what.into(),
        advice: advice.to_owned(),
    }
}

fn no_row() -> Failed {
    conflict(
        "That row is not there any more.",
        "Look at the asset map again.",
    )
}

fn unusable(error: &io::Error) -> Failed {
    tracing::error!(%error, "page: the asset map's folder cannot be used");
    let what = format!("The asset map's file or its folder cannot be used: {error}.");
    let advice = "Look at the data directory and its disk; Health says how much room there is.";
    Failed::unavailable(what, advice)
}
