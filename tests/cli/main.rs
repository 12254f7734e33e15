//! The real program at its edges: exit codes, what it says, and what it never says.
//!
//! ```text
//! usage      flags and settings that cannot be used: exit 1 and 2
//! check      `check`, against the simulators
//! config     the configuration file, and `config check`
//! https      the certificate of the webhook port, and its renewals
//! dotenv     `.env` in the working directory
//! files      CONFIG_DIR, the data directory, and what a package brings
//! sources    `sources list`
//! watch      the folder of the configuration while the relay runs
//! health     `health`, against running relays and against none
//! waiting    what is not configured, or not there yet: it stays up and says why
//! journal    status, events, kept events; one relay for each data directory
//! dump       events by filters, and as a stream
//! deliveries lists and bulk acts; destinations: test, pause and resume
//! accounts   the accounts of the page
//! assets     the asset map: read again, actions without an asset, `assets`
//! templates  presets, `template test`, and what is kept of the requests
//! backfill   what Orbit has that is not here
//! orbit      the demo, and the two halves of the simulator
//! webhook    our webhook in Orbit, in a person's hands
//! send       signed requests to a running relay, and to anything else
//! verify     why a captured request does or does not verify
//! saved      what the page saved, at a start
//! page       what the page saves is taken by the process that runs
//! schema     what is sent for each event
//! trigger    samples, for all that take them or for one destination
//! secrets    canaries in every secret, looked for everywhere
//! package    `package check`
//! memory     senders who have not shown who they are
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "each test program uses its part")]
#[path = "../page/markup.rs"]
mod markup;
#[path = "../process/mod.rs"]
mod process;

mod accounts;
mod assets;
mod backfill;
mod check;
mod config;
mod deliveries;
mod dotenv;
mod dump;
mod files;
mod health;
mod https;
mod journal;
mod memory;
mod orbit;
mod package;
mod page;
mod saved;
mod schema;
mod secrets;
mod send;
mod sources;
mod templates;
mod trigger;
mod usage;
mod verify;
mod waiting;
mod watch;
mod webhook;
