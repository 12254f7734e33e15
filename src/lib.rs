//! orbit-relay takes robot inspections from Boston Dynamics Orbit, keeps them durably, and
//! delivers them to the plant's own system.

pub mod app;
pub mod clock;
pub mod config;
pub mod event;
pub mod http;
pub mod metrics;
pub mod ops;
pub mod orbit;
pub mod reconcile;
pub mod relay;
pub mod retry;
pub mod secret;
#[cfg(feature = "sim")]
pub mod sim;
