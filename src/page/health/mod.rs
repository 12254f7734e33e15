//! Health: `check` as a screen, the log, the support bundle.
//!
//! # Invariants
//! - What is shown is what the view says.

use std::sync::Arc;

use axum::Router;

use super::Page;

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new()
}
