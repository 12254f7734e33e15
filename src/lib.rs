//! orbit-relay takes robot inspections from Boston Dynamics Orbit, keeps them durably, and
//! delivers them to the plant's own system.

pub mod clock;
pub mod event;
pub mod http;
pub mod retry;
pub mod secret;
#[cfg(feature = "sim")]
pub mod sim;
