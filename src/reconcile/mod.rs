//! Makes Orbit match the configuration: our webhook; and, later, what it missed.

pub mod webhook;
