//! orbit-relay takes robot inspections from Boston Dynamics Orbit, keeps them durably, and
//! delivers them to the plant's own system.
//!
//! ```text
//!  Orbit ──POST──▶ receive ─▶ verify ─▶ journal ══▶ deliver ─▶ destination ──POST──▶ the plant
//!                 (HTTP edge) (pure)   (durable)    claim      (one request or
//!                                                   enrich      several steps,
//!                                                   assets      one outcome)
//!                                                   transform
//!  reconcile ──▶ orbit: keeps our webhook in Orbit as it should be
//!  ops:           health and metrics
//! ```
//!
//! Receive and deliver never call each other: they meet in the journal. In reading order:
//! [`event`] is what flows, [`relay`] is the data path, [`orbit`] and [`reconcile`] are the other
//! side, [`config`], [`app`] and [`cli`] put it together, [`sim`] plays Orbit and a plant, and
//! [`package`] checks what Orbit is to install.
//! Imports go down the list in `tests/architecture.rs`, which holds them.

pub mod clock;
pub mod event;
pub mod http;
pub mod metrics;
pub mod own;
pub mod retry;
pub mod secret;
pub mod table;

pub mod relay;

pub mod orbit;
pub mod reconcile;

pub mod ops;
#[cfg(feature = "sim")]
pub mod sim;

pub mod config;

pub mod app;
pub mod package;

pub mod page;

pub mod cli;
