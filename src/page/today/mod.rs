//! Today: what came, where it stands, who is silent.
//!
//! ```text
//! view     what is shown
//! known    what is known of each part
//! verdict  whether all is well
//! html     how it looks
//! ```
//!
//! # Invariants
//! - What is shown is what the view says.

mod html;
mod known;
mod verdict;
pub(super) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::IntoResponse as _;
use axum::routing::get;

use super::access::See;
use super::html::layout::{self, Here};
use super::{Answer, Page};

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new().route("/", get(screen))
}

async fn screen(State(page): State<Arc<Page>>, See(person): See) -> Answer {
    let view = view::view(&page).await?;
    let screen = layout::screen(&person, Here::Today, "Today", &html::body(&view));
    Ok(screen.into_response())
}
