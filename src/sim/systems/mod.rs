//! The systems that presets speak to, as their makers describe them, traps included.
//!
//! | module | what it plays |
//! |---|---|
//! | [`base`] | what all of them have |
//! | [`fiix`], [`limble`], [`maintainx`], [`upkeep`] | maintenance systems in the cloud |
//! | [`kafka`] | the REST interface of a Kafka cluster |
//! | [`slack`], [`teams`] | chats |
//! | [`maximo`] | Maximo: service requests and work orders |
//! | [`sap`] | S/4HANA: maintenance notifications |
//! | [`servicenow`] | `ServiceNow`: records of any table |
//! | [`pi`] | PI Web API: values of streams |
//! | [`ignition`] | Ignition: a `WebDev` resource |
//!
//! # Invariants
//! - A system refuses what the real one is said to refuse, in its own words as far as those are
//!   known. None was compared with the real product.
//!
//! # Not here
//! - What the relay sends: tests hold the two together.

pub mod base;
pub mod fiix;
pub mod ignition;
pub mod kafka;
pub mod limble;
pub mod maintainx;
pub mod maximo;
pub mod pi;
#[cfg(test)]
mod probe;
pub mod sap;
pub mod servicenow;
pub mod slack;
pub mod teams;
pub mod upkeep;

#[cfg(test)]
mod tests;
