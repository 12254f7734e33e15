//! A simulated Orbit and a simulated plant system, for the demo, the tests, and integrators
//! who have no robot.
//!
//! ```text
//! plant ──inspections──▶ orbit::World ──signed webhook──▶ whoever has registered
//!                             ▲                                  │
//!            Orbit's API ─────┘         backend ◀──POST── what the relay makes of it
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`orbit`] | Orbit over HTTPS: a world that tests edit, and the API on top of it |
//! | [`backend`] | the plant's own system: takes any POST, answers as it is told |
//! | [`proxy`] | a forward proxy between the relay and a plant |
//! | [`plant`] | robots and what they find; the same again for the same seed |
//! | [`site`] | what there is to inspect, and its asset map |
//! | [`model`] | the JSON shapes of Orbit |
//! | [`javascript`] | JSON as a JavaScript engine writes it, and Orbit's signature over it |
//! | [`random`] | numbers from a seed |
//! | `serve`, `identity`, `reply` | sockets, certificates, answers, and connections dropped without one |
//!
//! # Invariants
//! - Nothing here is used outside of the demo, `simulate` and tests; the shipped image is built
//!   without it.
//! - Time stamps come from the clock that was handed in. Delays of the network (a slow or
//!   dripping answer) run in real time, as the time-outs do that they are there to trip.
//!
//! # Not here
//! - Opinions about the relay: nothing here knows what a relay should do.

pub mod backend;
mod identity;
pub mod javascript;
pub mod model;
pub mod orbit;
pub mod plant;
pub mod proxy;
pub mod random;
mod reply;
mod serve;
pub mod site;
pub mod systems;

#[cfg(test)]
mod tests;

pub use identity::{CertificateError, ClientIdentity};
pub use serve::StartError;
pub use site::asset_map_csv;
