//! What can be looked at: the views of the screens.
//!
//! # Invariants
//! - Nothing is done here but looking again.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde_json::json;

use super::super::access::{Decide, See};
use super::super::assets::view::{self as assets, AssetQuery, AssetsQuery, Days};
use super::super::deliveries::{picture, story, view as deliveries};
use super::super::health::{self, Least, LogQuery};
use super::super::{Page, acts, today, waiting};
use super::given::{Asked, Named, Problem, Said, json as answer, ok};
use super::table;

type Of = State<Arc<Page>>;

/// The document of this API.
pub(super) async fn document(See(_): See) -> Said {
    let head = [(axum::http::header::CONTENT_TYPE, "application/json")];
    Ok((head, table::document()).into_response())
}

/// Who asks.
pub(super) async fn me(See(person): See) -> Said {
    ok(&json!({ "name": person.name, "role": person.role }))
}

pub(super) async fn today(State(page): Of, See(_): See) -> Said {
    ok(&today::view::view(&page).await?)
}

pub(super) async fn waiting(State(page): Of, See(_): See) -> Said {
    ok(&waiting::view::view(&page).await?)
}

pub(super) async fn deliveries(State(page): Of, See(_): See, RawQuery(query): RawQuery) -> Said {
    let list = deliveries::list(&page, &query.unwrap_or_default()).await?;
    if let Some(problem) = list.problems.first() {
        return Err(Problem::bad(format!("{}: {}", problem.field, problem.what)));
    }
    ok(&list)
}

pub(super) async fn delivery(State(page): Of, See(_): See, id: Named) -> Said {
    ok(&story::story(&page, &id.number()?).await?)
}

pub(super) async fn picture(State(page): Of, See(_): See, seq: Named, mut asked: Asked) -> Said {
    let n = asked.number("n")?.unwrap_or(1);
    Ok(picture::of_event(&page, seq.number()?, n).await?)
}

pub(super) async fn acts(
    State(page): Of,
    See(_): See,
    mut asked: Asked,
    RawQuery(query): RawQuery,
) -> Said {
    asked.number::<i64>("before")?;
    ok(&acts::view::acts(&page, &query.unwrap_or_default()).await?)
}

pub(super) async fn assets(State(page): Of, See(_): See, mut asked: Asked) -> Said {
    let page_no = asked.page()?;
    let query = AssetsQuery {
        q: asked.text("q"),
        page: page_no,
    };
    ok(&assets::assets(&page, query).await?)
}

pub(super) async fn asset(
    State(page): Of,
    See(_): See,
    Named(asset): Named,
    mut asked: Asked,
) -> Said {
    let page_no = asked.page()?;
    let days = match &*asked.text("days") {
        "" => Days::default(),
        word => {
            let mut all = Days::ALL.into_iter();
            let found = all
                .find(|(_, name, _)| *name == word)
                .map(|(days, ..)| days);
            found.ok_or_else(|| Problem::bad("The query parameter `days` is 7, 30, 90 or all."))?
        }
    };
    let query = AssetQuery {
        asset,
        days,
        page: page_no,
    };
    ok(&assets::asset(&page, query).await?)
}

pub(super) async fn health(State(page): Of, See(_): See) -> Said {
    health::begin(&page, health::FRESH);
    ok(&health::view(&page))
}

/// Looks again, now.
pub(super) async fn look(State(page): Of, See(_): See) -> Said {
    health::begin(&page, jiff::SignedDuration::ZERO);
    let body = json!({ "is_looking": page.looks.is_looking() });
    answer(StatusCode::ACCEPTED, &body)
}

pub(super) async fn log(State(page): Of, See(_): See, mut asked: Asked) -> Said {
    let level = match &*asked.text("level") {
        "" => Least::All,
        word => {
            let mut all = Least::ALL.into_iter();
            let found = all
                .find(|(_, name, _)| *name == word)
                .map(|(least, ..)| least);
            let what = "The query parameter `level` is all, info, warn or error.";
            found.ok_or_else(|| Problem::bad(what))?
        }
    };
    let query = LogQuery {
        level,
        text: asked.text("text"),
    };
    ok(&health::recent(&page, &query))
}

pub(super) async fn report(State(page): Of, Decide(_): Decide) -> Said {
    Ok(health::report_file(&page).await?)
}
