//! The JSON API: what the screens show and do, for programs, by API token.
//!
//! ```text
//! mod      the router
//! table    what can be called
//! given    what a call brings, and refusals
//! looks    what can be looked at
//! does     what is decided
//! map      the asset map
//! setup    settings, destinations, accounts and tokens
//! openapi.json   what all of it takes and answers
//! ```
//!
//! # Invariants
//! - What is shown is what the screen's view says; what is done goes the way of the screen's form.
//! - Every answer that is no file is JSON, refusals too.
//!
//! # Not here
//! - `/live`: a program asks again.

mod does;
mod given;
mod looks;
mod map;
mod setup;
mod table;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse as _;

use self::given::{Asked, Problem};
use super::Page;

pub(super) fn routes() -> Router<Arc<Page>> {
    let mut routes = Router::new();
    for call in table::calls() {
        let known = call.query;
        let check = move |request: Request, next: Next| async move {
            match Asked::check(request.uri().query().unwrap_or(""), known) {
                Ok(()) => next.run(request).await,
                Err(problem) => problem.into_response(),
            }
        };
        routes = routes.route(call.path, call.routes.layer(from_fn(check)));
    }
    routes
        .fallback(async || Problem::not_found())
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "There is no such method here.",
                "The header Allow says which there are.",
            )
        })
}
