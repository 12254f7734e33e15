//! The client of Orbit's API.
//!
//! ```text
//! client   requests, credentials, errors
//! model    what Orbit answers, read as liberally as can be
//! ```

pub mod client;
pub mod model;

pub use self::client::{CallError, Client, Config};
pub use self::model::{Page, Version, Webhook};
