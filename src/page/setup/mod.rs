//! Setup: Orbit, the webhook, destinations, the asset map.
//!
//! # Invariants
//! - What is shown is what the view says.

use std::sync::Arc;

use axum::Router;

use super::Page;

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
}

/// Whose turn it is to save.
#[derive(Default)]
pub(in crate::page) struct Saving;
