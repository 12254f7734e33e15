//! Where log lines go and how they look.
//!
//! # Invariants
//! - Only this program's own lines are written, at any level: what libraries trace may hold what
//!   must not be shown.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::Log;

/// Starts logging to standard output.
pub(super) fn start(log: Log) {
    let ours = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::from_level(log.level))
        .with_default(LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_target(false);
    let registry = tracing_subscriber::registry().with(ours);
    // A second start, as in tests, keeps the first.
    if log.json {
        registry
            .with(lines.json().flatten_event(true))
            .try_init()
            .ok();
    } else {
        let colours = std::io::stdout().is_terminal();
        registry.with(lines.with_ansi(colours)).try_init().ok();
    }
}
