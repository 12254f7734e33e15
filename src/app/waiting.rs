//! A relay whose configuration cannot be used, where somebody may change it meanwhile: it says so.
//!
//! # Invariants
//! - Nothing is taken, kept or sent, and no file is touched: every event is answered 503.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::Listeners;
use super::watch::Load;
use crate::clock::Clock;
use crate::relay::receive::serve::serve;

/// How often it is tried whether a start would succeed.
const EVERY: Duration = Duration::from_mins(1);

/// Answers at both ports until `stop`; what is wrong, a line each, at the ops port alone.
pub async fn answer(listeners: Listeners, wrong: &[String], stop: &CancellationToken) {
    let events = Router::new().fallback(async || {
        let refused = "not configured; the log of the relay says what is missing\n";
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(RETRY_AFTER, "5")],
            refused,
        )
    });
    let health = serde_json::json!({
        "status": "not_ready",
        "ready": false,
        "configuration": { "well": false, "status": "wrong", "reason": wrong.join("; ") },
    });
    let health: Arc<str> = format!("{health}\n").into();
    let ops = Router::new()
        .route("/healthz", get(async || "{\"status\":\"ok\"}\n"))
        .route(
            "/readyz",
            get(async move || {
                let json = [(CONTENT_TYPE, "application/json")];
                (StatusCode::SERVICE_UNAVAILABLE, json, health.to_string())
            }),
        );
    tokio::join!(
        serve(listeners.webhook, None, events, stop.clone()),
        serve(listeners.ops, None, ops, stop.clone()),
    );
}

/// Ends when a start would succeed: what was wrong need not stand where anything is watched.
pub async fn set_right(again: Load) {
    loop {
        Clock::system().sleep(EVERY).await;
        let again = Arc::clone(&again);
        if matches!(
            tokio::task::spawn_blocking(move || again()).await,
            Ok(Ok(()))
        ) {
            return;
        }
    }
}
