//! The data path, in the order in which an inspection takes it.
//!
//! # Invariants
//! - Only a map: this file declares modules and holds nothing else.

pub mod assets;
