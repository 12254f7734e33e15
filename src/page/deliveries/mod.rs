//! Deliveries: the list, the story of one, and what can be done.
//!
//! ```text
//! mod      the routes
//! wanted   which deliveries a list is of: what stands in its address (pure)
//! view     what the list shows
//! list     the same as HTML
//! story    what the screen of one delivery shows
//! says     what its event says of the inspection (pure)
//! detail   the same as HTML
//! curl     a request as a command (pure)
//! picture  a photograph, as Orbit has it
//! does     what people do to deliveries
//! ```
//!
//! # Invariants
//! - What is shown is what the view says.

mod curl;
mod detail;
pub(crate) mod does;
mod list;
pub(crate) mod picture;
mod says;
pub(crate) mod story;
pub(crate) mod view;
mod wanted;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, State};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::access::{Person, See};
use super::html::layout::{self, Here};
use super::html::parts;
use super::{Answer, Failed, Page};
use crate::relay::journal::DeliveryId;

/// What stands in a path as it is.
const PLAIN: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':');

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
        .route("/deliveries", get(all))
        .route("/deliveries/bulk", get(does::ask).post(does::bulk))
        .route("/deliveries/{id}", get(one))
        .route("/deliveries/{id}/replay", post(does::replay))
        .route(
            "/deliveries/{id}/replay-as-sent",
            post(does::replay_as_sent),
        )
        .route("/deliveries/{id}/discard", post(does::discard))
        .route("/events/{seq}/send", post(does::send))
        .route("/events/{seq}/picture", get(picture::picture))
}

async fn all(State(page): State<Arc<Page>>, See(person): See, RawQuery(query): RawQuery) -> Answer {
    let list = view::list(&page, &query.unwrap_or_default()).await?;
    let body = list::html(&person, &list);
    Ok(layout::screen(&person, Here::Deliveries, "Deliveries", &body).into_response())
}

async fn one(State(page): State<Arc<Page>>, See(person): See, Path(id): Path<String>) -> Answer {
    let story = story::story(&page, &id_of(&id)?).await?;
    let title: String = story.summary.chars().take(120).collect();
    let body = detail::html(&person, &story);
    Ok(layout::screen(&person, Here::Deliveries, &title, &body).into_response())
}

/// The delivery that a path names.
fn id_of(text: &str) -> Result<DeliveryId, Failed> {
    text.parse().map_err(|_| Failed::not_found())
}

/// Where the story of a delivery stands.
pub(crate) fn href(id: &str) -> String {
    format!("/deliveries/{}", utf8_percent_encode(id, &PLAIN))
}

/// A form of one button of this class.
fn one_of(person: &Person, action: &str, word: &str, class: &str) -> Markup {
    let inside =
        html! { button type="submit" class=[(!class.is_empty()).then_some(class)] { (word) } };
    parts::form(person, action, &inside)
}
