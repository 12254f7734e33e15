//! The data path, in the order in which an inspection takes it.

pub mod journal;
pub mod receive;
pub mod transform;
pub mod verify;
