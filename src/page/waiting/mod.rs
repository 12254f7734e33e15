//! Waiting for you: what needs a decision.
//!
//! # Invariants
//! - What is shown is what the view says.

use std::sync::Arc;

use axum::Router;

use super::Page;

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
}
