//! Health and metrics, for people and for what watches over the relay.
//!
//! ```text
//! health      how each part does, in a word and a reason
//! prometheus  the metrics' text
//! ```
//!
//! # Invariants
//! - `/readyz` is 503 only while events cannot be accepted.
//! - Nothing here changes anything.

pub mod health;
mod prometheus;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use self::health::Parts;
use crate::clock::Clock;
use crate::metrics::Metrics;

struct Ops {
    parts: Parts,
    metrics: Metrics,
    clock: Clock,
}

/// The routes of the ops port. What is not about health is the page's, where there is one.
pub fn router(parts: Parts, metrics: Metrics, clock: Clock, page: Option<Router>) -> Router {
    let ops = Router::new()
        .route(
            "/healthz",
            get(async || json(StatusCode::OK, "{\"status\":\"ok\"}\n".into())),
        )
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics_text))
        .method_not_allowed_fallback(async || {
            json(
                StatusCode::METHOD_NOT_ALLOWED,
                "{\"error\":\"only GET\"}\n".into(),
            )
        })
        .with_state(Arc::new(Ops {
            parts,
            metrics,
            clock,
        }));
    match page {
        Some(page) => ops.merge(page),
        None => ops.fallback(async || {
            let known = "{\"error\":\"no such path; there are /healthz, /readyz and /metrics\"}\n";
            json(StatusCode::NOT_FOUND, known.into())
        }),
    }
}

async fn ready(State(ops): State<Arc<Ops>>) -> Response {
    let health = ops.parts.health();
    let status = if health.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    match serde_json::to_string(&health) {
        Ok(text) => json(status, text + "\n"),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn metrics_text(State(ops): State<Arc<Ops>>) -> Response {
    match prometheus::render(&ops.parts, &ops.metrics, ops.clock.wall()) {
        Ok(text) => ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "ops: the metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

fn json(status: StatusCode, text: String) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}
