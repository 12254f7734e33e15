//! The one part of the path that is fuzzed.

#[path = "../../src/relay/verify/mod.rs"]
pub mod verify;
