//! The first account of a relay with the page, and what it takes to make it.
#![allow(dead_code, reason = "each test program uses its part")]

use std::path::Path;

/// The first account's name.
pub(crate) const NAME: &str = "ann";
/// Its password.
pub(crate) const PASSWORD: &str = "what only ann knows";

/// The set-up code, as whoever can read the data directory finds it.
pub(crate) fn setup_code(data_dir: &Path) -> String {
    let file = data_dir.join("page/setup-code");
    let code = std::fs::read_to_string(&file);
    let code = code.unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    code.trim().to_owned()
}

/// The screens that an account with the role configure comes to by itself: name and path.
pub(crate) const SCREENS: [(&str, &str); 12] = [
    ("today", "/"),
    ("waiting", "/waiting"),
    ("deliveries", "/deliveries"),
    ("assets", "/assets"),
    ("map", "/assets/map"),
    ("setup", "/setup"),
    ("destinations", "/setup/destinations"),
    ("health", "/health"),
    ("log", "/health/log"),
    ("acts", "/acts"),
    ("account", "/account"),
    ("accounts", "/accounts"),
];
