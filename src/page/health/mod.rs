//! Health: `check` as a screen, versions, room, clock, the log of the last hour, the report.
//!
//! ```text
//! mod     the routes, and what is done there
//! look    the table of `check`: when it was looked at, and looking again
//! view    what the screen says
//! html    how it says it
//! ```
//!
//! # Invariants
//! - Opening the screen asks nobody outside for more than `check` does, and no more often than once
//!   in [`look::FRESH`].
//! - The report holds no secret: it is that of `check --report`, with the log of the last hour.

mod html;
mod look;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};

pub(super) use self::look::{FRESH, Looks, begin};
pub(super) use self::view::{Least, LogQuery, log as recent, view};
use super::access::{Decide, See};
use super::{Answer, Failed, Page};
use crate::app::check::report::Report;

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
        .route("/health", get(health))
        .route("/health/look", post(again))
        .route("/health/log", get(log))
        .route("/health/report.txt", get(report))
}

async fn health(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    begin(&page, FRESH);
    Ok(html::health(&person, &view(&page)).into_response())
}

/// Looks again, now.
async fn again(State(page): State<Arc<Page>>, See(person): See) -> Redirect {
    begin(&page, jiff::SignedDuration::ZERO);
    page.say(
        &person,
        "It is being looked at; the table changes when that is done.",
    );
    Redirect::to("/health")
}

async fn log(
    State(page): State<Arc<Page>>,
    See(person): See,
    Query(query): Query<LogQuery>,
) -> Answer {
    Ok(html::log(&person, &view::log(&page, &query), &query).into_response())
}

async fn report(State(page): State<Arc<Page>>, Decide(_): Decide) -> Answer {
    report_file(&page).await
}

/// The report, as a file.
pub(super) async fn report_file(page: &Arc<Page>) -> Answer {
    let looked = page.looks.last();
    let shared = Arc::clone(page);
    let text = tokio::task::spawn_blocking(move || {
        let app = &shared.app;
        Report {
            data_dir: &app.data_dir,
            settings: &app.shown.settings,
            sources: &app.shown.sources,
            destinations: &app.shown.destinations,
            findings: looked.as_ref().map(|looked| &looked.findings),
            answers: &[],
        }
        .text()
    });
    let stops = || Failed::unavailable("The relay stops.", "Come again in a moment.");
    let mut text = text.await.map_err(|_| stops())?;
    text.push_str("\nThe log of the last hour\n");
    let lines = page.outside.log.lines(page.app.clock.wall());
    let lines = lines.iter();
    let lines = lines.map(|line| format!("{:.3} {:5} {}\n", line.at, line.level, line.text));
    text.push_str(&lines.collect::<Vec<_>>().concat());
    let name = "attachment; filename=\"orbit-relay-report.txt\"";
    let head = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CONTENT_DISPOSITION, name),
    ];
    Ok::<Response, Failed>((head, text).into_response())
}
