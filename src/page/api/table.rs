//! What can be called: the one table of which the routes are made, and the document is held to.
//!
//! # Invariants
//! - What is not in the table cannot be called. A query parameter that it does not name is refused.

use std::io::Read as _;
use std::sync::Arc;

use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, on};
use flate2::read::GzDecoder;

use super::{does, looks, map, setup};
use crate::page::Page;

/// The document of this API, openapi.json, as build.rs packed it.
const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.gz"));

/// One call.
pub(super) struct Call {
    #[cfg(test)]
    pub(super) method: MethodFilter,
    pub(super) path: &'static str,
    /// What its query may name.
    pub(super) query: &'static [&'static str],
    pub(super) routes: MethodRouter<Arc<Page>>,
}

const DELIVERIES: &[&str] = &[
    "text",
    "asset",
    "action",
    "mission",
    "robot",
    "destination",
    "state",
    "since",
    "until",
    "before",
];

/// The document of this API.
pub(super) fn document() -> String {
    let mut document = String::new();
    let unpacked = GzDecoder::new(DOCUMENT).read_to_string(&mut document);
    unpacked.expect("it was packed when this was built");
    document
}

impl Call {
    fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }
}

fn call<H: Handler<T, Arc<Page>>, T: 'static>(
    method: MethodFilter,
    path: &'static str,
    handler: H,
) -> Call {
    Call {
        #[cfg(test)]
        method,
        path,
        query: &[],
        routes: on(method, handler),
    }
}

fn get<H: Handler<T, Arc<Page>>, T: 'static>(path: &'static str, handler: H) -> Call {
    call(MethodFilter::GET, path, handler)
}

fn put<H: Handler<T, Arc<Page>>, T: 'static>(path: &'static str, handler: H) -> Call {
    call(MethodFilter::PUT, path, handler)
}

fn post<H: Handler<T, Arc<Page>>, T: 'static>(path: &'static str, handler: H) -> Call {
    call(MethodFilter::POST, path, handler)
}

fn delete<H: Handler<T, Arc<Page>>, T: 'static>(path: &'static str, handler: H) -> Call {
    call(MethodFilter::DELETE, path, handler)
}

/// All calls.
pub(super) fn calls() -> Vec<Call> {
    let mut all = seeing();
    all.extend(deciding());
    all.extend(mapping());
    all.extend(setting_up());
    all
}

fn seeing() -> Vec<Call> {
    vec![
        get("/openapi.json", looks::document),
        get("/me", looks::me),
        get("/today", looks::today),
        get("/waiting", looks::waiting),
        get("/deliveries", looks::deliveries).query(DELIVERIES),
        get("/deliveries/{id}", looks::delivery),
        get("/events/{seq}/picture", looks::picture).query(&["n"]),
        get("/acts", looks::acts).query(&["who", "what", "before"]),
        get("/assets", looks::assets).query(&["q", "page"]),
        get("/assets/{name}", looks::asset).query(&["days", "page"]),
        get("/health", looks::health),
        post("/health/look", looks::look),
        get("/log", looks::log).query(&["level", "text"]),
        get("/report", looks::report),
    ]
}

fn deciding() -> Vec<Call> {
    vec![
        post("/waiting/map", does::map),
        post("/deliveries/count", does::count),
        post("/deliveries/bulk", does::bulk),
        post("/deliveries/{id}/replay", does::replay),
        post("/deliveries/{id}/discard", does::discard),
        post("/events/{seq}/send", does::send),
        post("/destinations/{name}/pause", does::pause),
        post("/destinations/{name}/resume", does::resume),
        post("/destinations/{name}/test", does::test),
        get("/webhook", does::webhook),
        post("/webhook/sync", does::sync),
    ]
}

fn mapping() -> Vec<Call> {
    vec![
        get("/map", map::get),
        put("/map", map::put),
        post("/map/compare", map::compare),
        get("/map/rows", map::rows).query(&["q", "page"]),
        post("/map/rows", map::add),
        put("/map/rows/{line}", map::change),
        delete("/map/rows/{line}", map::remove),
        post("/map/undo", map::undo),
        get("/map/history", map::history),
        get("/map/history/{at}", map::earlier),
        get("/map/history/{at}/file", map::earlier_file),
        post("/map/history/{at}/restore", map::restore),
    ]
}

fn setting_up() -> Vec<Call> {
    vec![
        get("/setup", setup::overview),
        get("/settings", setup::settings),
        get("/settings/{name}", setup::setting),
        put("/settings/{name}", setup::set),
        delete("/settings/{name}", setup::unset),
        post("/setup/anew", setup::anew),
        get("/presets", setup::presets),
        get("/presets/{name}", setup::preset),
        get("/destinations", setup::destinations),
        get("/destinations/{name}", setup::destination),
        put("/destinations/{name}", setup::put_destination),
        delete("/destinations/{name}", setup::remove_destination),
        get("/destinations/{name}/preview", setup::preview).query(&["event"]),
        get("/export", setup::export),
        post("/import", setup::import),
        get("/accounts", setup::accounts),
        post("/accounts", setup::add_account),
        put("/accounts/{name}", setup::change_account),
        delete("/accounts/{name}", setup::remove_account),
        get("/tokens", setup::tokens),
        post("/tokens", setup::add_token),
        delete("/tokens/{name}", setup::remove_token),
    ]
}
