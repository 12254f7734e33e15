//! Presets: what well-known systems want, as the keys of a destination.
//!
//! Each is a file beside this one, embedded as text. `config` reads it; a key that the user gives
//! wins over it.
//!
//! # Invariants
//! - A preset is plain configuration: it can do nothing that a user's file cannot.

/// A preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name.
    pub name: &'static str,
    /// Its file.
    pub text: &'static str,
}

macro_rules! presets {
    ($($name:literal),* $(,)?) => {
        [$(Preset { name: $name, text: include_str!(concat!($name, ".toml")) }),*]
    };
}

/// All of them, in the order in which they are listed.
pub const ALL: [Preset; 14] = presets![
    "generic",
    "maximo-service-request",
    "maximo-work-order",
    "sap-notification",
    "servicenow",
    "pi-web-api",
    "teams",
    "slack",
    "ignition",
    "kafka-rest",
    "fiix",
    "upkeep",
    "limble",
    "maintainx",
];

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}
