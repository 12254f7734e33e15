//! Where a row of the asset map goes from here.
//!
//! # Invariants
//! - A map that the page does not keep is not written: the line to add is shown instead.

use std::sync::Arc;

use crate::page::access::Person;
use crate::page::{Failed, Page};

/// Why the page does not write the map.
pub(crate) fn locked(page: &Page) -> Option<String> {
    match page.app.assets.path() {
        Some(path) => Some(format!("the asset map is {}", path.display())),
        None => Some("no asset map is configured".to_owned()),
    }
}

/// Whether an act of this kind changed the map.
pub(crate) fn is_change(what: &str) -> bool {
    what == "assets"
}

/// Adds a row.
pub(crate) async fn add(
    page: &Arc<Page>,
    _who: &Person,
    _row: &[(String, String)],
) -> Result<(), Failed> {
    let why = locked(page).unwrap_or_default();
    Err(Failed::wrong(
        format!("The page does not write this map: {why}."),
        "Add the line to that file.",
    ))
}
