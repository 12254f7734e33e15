//! Assets: readings, photographs, tickets, and the asset map.
//!
//! # Invariants
//! - What is shown is what the view says.

pub(in crate::page) mod map;

use std::sync::Arc;

use axum::Router;

use super::Page;

pub(super) fn routes() -> Router<Arc<Page>> {
    map::routes()
}
