//! How every screen looks, and what screens are made of.
//!
//! ```text
//! layout  the frame of every screen
//! parts   states, times, texts from outside, tables, forms
//! plot    plots, as SVG
//! ```
//!
//! # Invariants
//! - No style and no script stands in a screen: the policy of content forbids both.

pub(crate) mod layout;
pub(crate) mod parts;
pub(crate) mod plot;
