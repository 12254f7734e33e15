//! The data path, in the order in which an inspection takes it.
//!
//! # Invariants
//! - Only a map: this file declares modules and holds nothing else.

pub mod receive;

pub mod verify;

pub mod journal;

pub mod enrich;

pub mod assets;

pub mod transform;

pub mod deliver;

pub mod destination;
