//! The extension as Site Hub has it: the package that `build_spx.sh` made, a real Docker engine and
//! Compose, a simulated Orbit and plant on the host. Needs root; `tests/extension/run.sh` builds
//! what it needs and runs it.
//!
//! ```text
//! docker    Docker and containers
//! site      a Site Hub: installs, upgrades
//! package   what is in the package and how its container runs
//! life      from token to inspection, stops, kills, nothing configured, upgrades
//! wire      TLS, names and addresses from inside the image
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and is told by its environment where things are"
)]

mod docker;
mod life;
mod package;
#[path = "../process/mod.rs"]
mod process;
mod site;
mod wire;
