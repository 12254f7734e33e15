//! Waiting for you: what needs a decision.
//!
//! ```text
//! view     what is shown
//! subject  by what a row of the asset map may go
//! html     how it looks
//! acts     what somebody decides
//! ```
//!
//! # Invariants
//! - What is shown is what the view says.
//! - Whoever may only look changes nothing.

pub(super) mod acts;
mod html;
mod subject;
pub(super) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};

use self::acts::{Assign, OnDestination, OnGroup, OnMap, OnRemoved};
use super::access::{Decide, Person, See};
use super::html::layout::{self, Here};
use super::setup::repair;
use super::{Answer, Failed, Page};

const HERE: &str = "/waiting";

/// What a form brought.
type Sent<T> = Result<Form<T>, FormRejection>;

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
        .route(HERE, get(screen))
        .route("/waiting/asset", post(assign))
        .route("/waiting/undo-map", post(undo_map))
        .route("/waiting/replay", post(replay))
        .route("/waiting/discard", post(discard))
        .route("/waiting/discard-removed", post(discard_removed))
        .route("/waiting/resume", post(resume))
        .route("/waiting/pause", post(pause))
        .route("/waiting/webhook", post(repair))
}

async fn screen(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    let view = view::view(&page).await?;
    let body = html::body(&view, &person);
    let screen = layout::screen(&person, Here::Waiting, "Waiting for you", &body);
    Ok(screen.into_response())
}

async fn assign(State(page): State<Arc<Page>>, Decide(who): Decide, sent: Sent<Assign>) -> Answer {
    let said = acts::assign(&page, &who, read(sent)?).await?;
    Ok(back(&page, &who, said))
}

async fn undo_map(State(page): State<Arc<Page>>, Decide(who): Decide, sent: Sent<OnMap>) -> Answer {
    let said = acts::undo_map(&page, &who, read(sent)?).await?;
    Ok(back(&page, &who, said))
}

async fn replay(State(page): State<Arc<Page>>, Decide(who): Decide, sent: Sent<OnGroup>) -> Answer {
    let said = acts::replay(&page, &who, read(sent)?).await?;
    Ok(back(&page, &who, said))
}

async fn discard(
    State(page): State<Arc<Page>>,
    Decide(who): Decide,
    sent: Sent<OnGroup>,
) -> Answer {
    let said = acts::discard(&page, &who, read(sent)?).await?;
    Ok(back(&page, &who, said))
}

async fn discard_removed(
    State(page): State<Arc<Page>>,
    Decide(who): Decide,
    sent: Sent<OnRemoved>,
) -> Answer {
    let said = acts::discard_removed(&page, &who, read(sent)?).await?;
    Ok(back(&page, &who, said))
}

async fn resume(
    State(page): State<Arc<Page>>,
    Decide(who): Decide,
    sent: Sent<OnDestination>,
) -> Answer {
    let said = acts::resume(&page, &who, read(sent)?).await?;
    Ok(back(&page, &who, said))
}

async fn pause(
    State(page): State<Arc<Page>>,
    Decide(who): Decide,
    sent: Sent<OnDestination>,
) -> Answer {
    let said = acts::pause(&page, &who, read(sent)?).await?;
    Ok(back(&page, &who, said))
}

async fn repair(State(page): State<Arc<Page>>, Decide(who): Decide) -> Answer {
    let said = repair::said(&page, &who.name).await?;
    Ok(back(&page, &who, said))
}

fn read<T>(sent: Sent<T>) -> Result<T, Failed> {
    let Form(sent) = sent.map_err(|_| {
        Failed::wrong(
            "That form is not understood.",
            "Go back, load the screen again, and try.",
        )
    })?;
    Ok(sent)
}

/// To the screen, which says what was begun.
fn back(page: &Page, who: &Person, said: String) -> axum::response::Response {
    page.say(who, said);
    Redirect::to(HERE).into_response()
}
