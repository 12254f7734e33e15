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
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::IntoResponse as _;
use axum::routing::get;

use self::view::{AssetQuery, AssetsQuery};
use super::access::See;
use super::{Answer, Failed, Page};

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
        .route("/assets", get(assets))
        .route("/assets/one", get(asset))
        .merge(map::routes())
}

/// What stands in an address.
type Asked<T> = Result<Query<T>, QueryRejection>;

fn asked<T>(query: Asked<T>) -> Result<T, Failed> {
    let Query(query) = query.map_err(|_| {
        let advice = "Go back to the assets, and begin again from there.";
        Failed::wrong("The address is not understood.", advice)
    })?;
    Ok(query)
}

async fn assets(
    State(page): State<Arc<Page>>,
    See(person): See,
    query: Asked<AssetsQuery>,
) -> Answer {
    let view = view::assets(&page, asked(query)?).await?;
    Ok(html::assets(&person, &view).into_response())
}

async fn asset(
    State(page): State<Arc<Page>>,
    See(person): See,
    query: Asked<AssetQuery>,
) -> Answer {
    let view = view::asset(&page, asked(query)?).await?;
    Ok(html::asset(&person, &view).into_response())
}
