//! What is asked about the asset map, and what is answered.
//!
//! # Invariants
//! - What changes something is a POST of somebody who may set up, and is answered with the way to a
//!   screen.
//! - A file is given out as a file, never as something to be shown.

use std::sync::Arc;

use axum::Router;
use axum::extract::multipart::MultipartError;
use axum::extract::{DefaultBodyLimit, Form, FromRequest as _, Multipart, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::keep::LARGEST;
use super::view::{self, FormView, MapQuery};
use super::{Applied, MapState, conflict, html, refuse_large, state};
use crate::page::access::{Configure, Person, See};
use crate::page::assets::{Asked, asked};
use crate::page::{Answer, Failed, Page};
use crate::relay::assets::AssetMap;

const MAP: &str = "/assets/map";
/// What stands around a file in a form.
const AROUND: usize = 64 * 1024;
/// So many files are taken in at once.
pub(crate) static UPLOADS: Semaphore = Semaphore::const_new(2);

pub(in crate::page::assets) fn routes() -> Router<Arc<Page>> {
    let upload = post(upload).layer(DefaultBodyLimit::max(LARGEST + AROUND));
    Router::new()
        .route(MAP, get(map))
        .route("/assets/map/file", get(file))
        .route("/assets/map/row", get(row).post(save))
        .route("/assets/map/remove", post(remove))
        .route("/assets/map/undo", post(undo))
        .route("/assets/map/upload", get(ask).merge(upload))
        .route("/assets/map/upload/{name}", get(uploaded))
        .route("/assets/map/upload/{name}/apply", post(apply))
        .route("/assets/map/upload/{name}/drop", post(drop_upload))
        .route("/assets/map/history", get(history))
        .route("/assets/map/history/{at}", get(version).post(restore))
        .route("/assets/map/history/{at}/file", get(earlier))
}

/// Of which row.
#[derive(Deserialize)]
struct RowQuery {
    line: Option<usize>,
}

/// The version that somebody saw.
#[derive(Deserialize)]
struct Seen {
    version: String,
}

/// The row that somebody saw.
#[derive(Deserialize)]
struct SeenRow {
    version: String,
    line: usize,
}

async fn map(State(page): State<Arc<Page>>, See(person): See, query: Asked<MapQuery>) -> Answer {
    let view = view::map(&page, asked(query)?).await?;
    Ok(html::map(&person, &view).into_response())
}

async fn file(State(page): State<Arc<Page>>, See(_): See) -> Answer {
    Ok(download(view::bytes(&page).await?))
}

async fn row(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    row: Asked<RowQuery>,
) -> Answer {
    let view = view::form(&page, asked(row)?.line).await?;
    Ok(html::form(&person, &view, None).into_response())
}

async fn save(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Answer {
    let of = |name: &str| {
        let found = pairs.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, text)| text.as_str())
    };
    let (version, line) = (of("version").to_owned(), of("line").parse().ok());
    let mut view = view::form(&page, line).await?;
    if view.version != version {
        let advice = "Nothing was done. Look at the asset map again, then do it once more.";
        return Err(conflict(
            "Somebody changed the asset map meanwhile.",
            advice,
        ));
    }
    for (n, (_, text)) in view.fields.iter_mut().enumerate() {
        of(&format!("cell{n}")).clone_into(text);
    }
    let cells = view.fields.clone();
    let done = match view.line {
        Some(line) => super::change_cells(&page, &person, (line, version), cells).await,
        None => super::add_cells(&page, &person, cells).await,
    };
    match done {
        Ok(applied) => Ok(said(&page, &person, &applied)),
        Err(failed) if failed.status == StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(wrong(&person, &view, &failed))
        }
        Err(failed) => Err(failed),
    }
}

fn wrong(person: &Person, view: &FormView, failed: &Failed) -> Response {
    let screen = html::form(person, view, Some(failed));
    (failed.status, screen).into_response()
}

async fn remove(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(SeenRow { version, line }): Form<SeenRow>,
) -> Answer {
    let applied = super::remove_row(&page, &person, (line, version)).await?;
    Ok(said(&page, &person, &applied))
}

async fn undo(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Form(Seen { version }): Form<Seen>,
) -> Answer {
    let applied = super::undo(&page, &person, &version).await?;
    Ok(said(&page, &person, &applied))
}

async fn ask(State(page): State<Arc<Page>>, Configure(person): Configure) -> Answer {
    super::refuse_locked(&page)?;
    let state: MapState = state(&page);
    Ok(html::ask(&person, &state).into_response())
}

async fn upload(
    State(page): State<Arc<Page>>,
    Configure(_): Configure,
    request: Request,
) -> Answer {
    super::refuse_locked(&page)?;
    let busy = |_| {
        let advice = "Come again in a moment.";
        Failed::unavailable("Other files are being uploaded.", advice)
    };
    let _place = UPLOADS.try_acquire().map_err(busy)?;
    let form = Multipart::from_request(request, &()).await;
    let form = form.map_err(|rejection| not_understood(&rejection.body_text()))?;
    let bytes = bytes_of(form).await?;
    let name = super::upload(&page, bytes).await?;
    Ok(to(&format!("{MAP}/upload/{name}")))
}

/// What is in the form's file.
async fn bytes_of(mut form: Multipart) -> Result<Vec<u8>, Failed> {
    let unread = |error: MultipartError| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => match refuse_large(usize::MAX) {
            Err(failed) => failed,
            Ok(()) => not_understood(&error.body_text()),
        },
        _ => not_understood(&error.body_text()),
    };
    while let Some(field) = form.next_field().await.map_err(unread)? {
        if field.name() == Some("file") {
            return Ok(field.bytes().await.map_err(unread)?.to_vec());
        }
    }
    Ok(Vec::new())
}

fn not_understood(why: &str) -> Failed {
    let what = format!("What was sent is no form with a file: {why}.");
    Failed::wrong(what, "Upload the file again.")
}

async fn uploaded(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Path(name): Path<String>,
) -> Answer {
    let view = view::upload(&page, &name).await?;
    Ok(html::upload(&person, &view).into_response())
}

async fn apply(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Path(name): Path<String>,
    Form(Seen { version }): Form<Seen>,
) -> Answer {
    match super::apply(&page, &person, &name, version).await {
        Ok(applied) => Ok(said(&page, &person, &applied)),
        // It is compared anew with what is there now.
        Err(failed) if failed.status == StatusCode::CONFLICT && super::locked(&page).is_none() => {
            let what = "Somebody changed the asset map meanwhile: the file was compared anew.";
            page.say(&person, what);
            Ok(to(&format!("{MAP}/upload/{name}")))
        }
        Err(failed) => Err(failed),
    }
}

async fn drop_upload(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Path(name): Path<String>,
) -> Answer {
    super::drop_upload(&page, &name).await?;
    page.say(
        &person,
        "The uploaded file is thrown away; the asset map is as it was.",
    );
    Ok(to(MAP))
}

async fn history(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    let view = view::history(&page).await?;
    Ok(html::history(&person, &view).into_response())
}

async fn version(State(page): State<Arc<Page>>, See(person): See, Path(at): Path<i64>) -> Answer {
    let view = view::version(&page, at).await?;
    Ok(html::version(&person, &view).into_response())
}

async fn restore(
    State(page): State<Arc<Page>>,
    Configure(person): Configure,
    Path(at): Path<i64>,
    Form(Seen { version }): Form<Seen>,
) -> Answer {
    let applied = super::restore(&page, &person, at, version).await?;
    Ok(said(&page, &person, &applied))
}

async fn earlier(State(page): State<Arc<Page>>, See(_): See, Path(at): Path<i64>) -> Answer {
    Ok(download(view::earlier(&page, at).await?))
}

/// A map as a file, which no program takes for a page.
pub(crate) fn download(bytes: Vec<u8>) -> Response {
    let version = AssetMap::version_of(&bytes);
    let name = format!("attachment; filename=\"assets-{version}.csv\"");
    let head = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, name),
    ];
    (head, bytes).into_response()
}

/// The way back to the map, where it is said what was done.
fn said(page: &Page, person: &Person, applied: &Applied) -> Response {
    let Applied { version, rows, .. } = applied;
    page.say(
        person,
        if applied.changed {
            format!(
                "The asset map is changed: {rows} rows, version {version}. What waits for an asset \
                 is looked at again."
            )
        } else {
            "The asset map says that already: nothing was changed.".to_owned()
        },
    );
    to(MAP)
}

fn to(path: &str) -> Response {
    Redirect::to(path).into_response()
}
