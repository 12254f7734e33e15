//! The client of Orbit's API.
//!
//! ```text
//! anomaly  anomalies, and the run events that they are about
//! client   requests, credentials, errors
//! model    what Orbit answers, read as liberally as can be
//! sample   events as Orbit sends them, made up
//! ```

pub mod anomaly;
pub mod client;
pub mod media;
pub mod model;
pub mod sample;

pub use self::client::{CallError, Client, Config};
pub use self::model::{Page, Version, Webhook};
