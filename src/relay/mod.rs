//! The data path, in the order in which an inspection takes it.

pub mod journal;
pub mod transform;
pub mod verify;
