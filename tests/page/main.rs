//! The page over plain HTTP, against a real relay: what a browser would send, without a browser.
//!
//! | module | what |
//! |---|---|
//! | [`decide`] | Today, and what waits for somebody |
//! | [`deliveries`] | deliveries and acts |
//! | [`frame`] | what every screen has, and what is served without a login |
//! | [`assets`] | assets, their readings and photographs |
//! | [`asset_map`] | the asset map that the page keeps |
//! | [`ways`] | the first visit, the login, and where every way leads |
//! | [`first`] | the first account, and the list of screens |
//! | [`api`] | the JSON API against its document |
//! | [`schema`] | whether a value is as a schema has it |
//! | [`visitor`] | a client with cookies that fills in forms as they stand in the HTML |
//! | [`markup`] | reading our own HTML |
//! | [`world`], [`wire`] | the relay and what is around it: the harness of `tests/relay` |
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod api;
mod asset_map;
mod assets;
mod decide;
mod first;
mod frame;
mod markup;
mod schema;
mod visitor;
mod ways;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../relay/wire.rs"]
mod wire;
#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../relay/world.rs"]
mod world;
