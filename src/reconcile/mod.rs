//! Makes Orbit match the configuration: our webhook, now; what it missed, later.

pub mod webhook;
