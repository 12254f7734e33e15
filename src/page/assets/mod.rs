//! Assets: readings, photographs, tickets, and the asset map.
//!
//! ```text
//! mod   what is asked about assets, and what is answered
//! view  what the screens show
//! html  how they look
//! map   the asset map that the page keeps
//! ```
//!
//! # Invariants
//! - What is shown is what the view says.

pub(in crate::page) mod html;
pub(in crate::page) mod map;
pub(in crate::page) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::IntoResponse as _;
use axum::routing::get;

use self::view::{AssetQuery, AssetsQuery};
use super::access::See;
use super::{Answer, Page};

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
        .route("/assets", get(assets))
        .route("/assets/one", get(asset))
        .merge(map::routes())
}

async fn assets(
    State(page): State<Arc<Page>>,
    See(person): See,
    Query(query): Query<AssetsQuery>,
) -> Answer {
    let view = view::assets(&page, query).await?;
    Ok(html::assets(&person, &view).into_response())
}

async fn asset(
    State(page): State<Arc<Page>>,
    See(person): See,
    Query(query): Query<AssetQuery>,
) -> Answer {
    let view = view::asset(&page, query).await?;
    Ok(html::asset(&person, &view).into_response())
}
