//! The systems that presets speak to, as their makers describe them, traps included.
//!
//! | module | what it plays |
//! |---|---|
//! | [`base`] | what all of them have |
//!
//! # Invariants
//! - A system refuses what the real one is said to refuse, in its own words as far as those are
//!   known. None was compared with the real product.
//!
//! # Not here
//! - What the relay sends: tests hold the two together.

pub mod base;
