//! Alerts close the loop: when the order that a destination made of an alert is closed, so is the
//! anomaly in Orbit.
//!
//! ```text
//! polls  asks destinations how their orders are
//! tells  tells Orbit of those that are closed, however that became known
//! ```
//!
//! The two meet in the journal only.

pub(super) mod polls;
pub(super) mod tells;
