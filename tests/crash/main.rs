//! The real program, killed and stopped at bad moments: what it acknowledged it delivers.
//!
//! # Invariants
//! - The seed is printed and makes a run's moments the same again: `CRASH_SEED`. `CRASH_ROUNDS`
//!   asks for more than five kills.
//!
//! # Not here
//! A power cut: what a killed process wrote survives in the system's page cache, synced or not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking"
)]

#[path = "../process/mod.rs"]
mod process;

mod backfill;
mod full;
mod kill;
mod stop;
