//! The asset map.
//!
//! # Invariants
//! - A change is of a version that is named; of another one it is refused.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::super::access::{Configure, Decide, See};
use super::super::assets::map::{
    self, Applied,
    keep::LARGEST,
    routes::{UPLOADS, download},
    view::{self, MapQuery},
};
use super::super::{Failed, Page};
use super::given::{
    Asked, Body, Named, Problem, Said, bytes, must_match, ok, version, with_version,
};
use crate::relay::assets::AssetMap;

type Of = State<Arc<Page>>;
const CSV: &str = "text/csv";

/// Cells by the names of their columns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    cells: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    version: String,
}

impl Row {
    fn cells(self) -> Vec<(String, String)> {
        self.cells.into_iter().collect()
    }
}

fn applied(applied: &Applied) -> Said {
    Ok(with_version(ok(applied)?, &applied.version))
}

/// Refuses a change of another version than that of the file as it stands.
async fn seen(page: &Page, headers: &HeaderMap) -> Result<String, Problem> {
    let seen = version(headers)?;
    let now = AssetMap::version_of(&view::bytes(page).await?);
    must_match(&seen, &now)?;
    Ok(seen)
}

/// The row's line.
fn line_of(line: &Named) -> Result<usize, Problem> {
    match line.number()? {
        0 => Err(Problem::not_found()),
        line => Ok(line),
    }
}

/// A file as it was sent; so many are taken in at once.
async fn file(request: Request) -> Result<Vec<u8>, Problem> {
    let busy = |_| {
        let what = "Other files are being uploaded.";
        Failed::unavailable(what, "Come again in a moment.")
    };
    let _place = UPLOADS.try_acquire().map_err(busy)?;
    bytes(request, CSV, LARGEST).await
}

pub(super) async fn get(State(page): Of, See(_): See) -> Said {
    let bytes = view::bytes(&page).await?;
    let version = AssetMap::version_of(&bytes);
    Ok(with_version(download(bytes), &version))
}

pub(super) async fn put(
    State(page): Of,
    Configure(person): Configure,
    headers: HeaderMap,
    request: Request,
) -> Said {
    let seen = seen(&page, &headers).await?;
    let bytes = file(request).await?;
    applied(&map::replace(&page, &person, bytes, seen).await?)
}

/// What a file would change.
pub(super) async fn compare(State(page): Of, Configure(_): Configure, request: Request) -> Said {
    let bytes = file(request).await?;
    ok(&view::compared(&page, bytes).await?)
}

pub(super) async fn rows(State(page): Of, See(_): See, mut asked: Asked) -> Said {
    let page_no = asked.page()?;
    let query = MapQuery {
        q: asked.text("q"),
        page: page_no,
    };
    ok(&view::map(&page, query).await?)
}

pub(super) async fn add(
    State(page): Of,
    Configure(person): Configure,
    Body(row): Body<Row>,
) -> Said {
    applied(&map::add_cells(&page, &person, row.cells()).await?)
}

pub(super) async fn change(
    State(page): Of,
    Configure(person): Configure,
    line: Named,
    headers: HeaderMap,
    Body(row): Body<Row>,
) -> Said {
    let place = (line_of(&line)?, seen(&page, &headers).await?);
    applied(&map::change_cells(&page, &person, place, row.cells()).await?)
}

pub(super) async fn remove(
    State(page): Of,
    Configure(person): Configure,
    line: Named,
    headers: HeaderMap,
) -> Said {
    let place = (line_of(&line)?, seen(&page, &headers).await?);
    applied(&map::remove_row(&page, &person, place).await?)
}

/// Whoever may map what waits may take that back.
pub(super) async fn undo(
    State(page): Of,
    Decide(person): Decide,
    Body(Seen { version }): Body<Seen>,
) -> Said {
    applied(&map::undo(&page, &person, &version).await?)
}

pub(super) async fn history(State(page): Of, See(_): See) -> Said {
    ok(&view::history(&page).await?)
}

pub(super) async fn earlier(State(page): Of, See(_): See, at: Named) -> Said {
    ok(&view::version(&page, at.number()?).await?)
}

pub(super) async fn earlier_file(State(page): Of, See(_): See, at: Named) -> Said {
    Ok(download(view::earlier(&page, at.number()?).await?))
}

pub(super) async fn restore(
    State(page): Of,
    Configure(person): Configure,
    at: Named,
    Body(Seen { version }): Body<Seen>,
) -> Said {
    let at = at.number()?;
    let now = AssetMap::version_of(&view::bytes(&page).await?);
    if now != version {
        let advice = "Get the history again.";
        return Err(Problem::new(
            StatusCode::CONFLICT,
            "Somebody changed the asset map meanwhile.",
            advice,
        ));
    }
    applied(&map::restore(&page, &person, at, version).await?)
}
