//! Makes Orbit match the configuration, and finds what its webhooks did not bring.
//!
//! ```text
//! webhook      our webhook in Orbit: made, found again, kept right
//! backfill     what Orbit has on record and the journal has not
//! orbit_clock  what Orbit's clock shows
//! nudge        a word to one of these to look now
//! ```

pub mod backfill;
mod nudge;
pub mod orbit_clock;
pub mod webhook;

pub use self::nudge::Nudge;
