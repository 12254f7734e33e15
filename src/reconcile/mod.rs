//! Makes Orbit match the configuration, and finds what its webhooks did not bring.
//!
//! ```text
//! webhook      our webhook in Orbit: made, found again, kept right
//! backfill     what Orbit has on record and the journal has not
//! orbit_clock  what Orbit's clock shows
//! ```

pub mod backfill;
pub mod orbit_clock;
pub mod webhook;
