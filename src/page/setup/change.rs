//! What may be changed, by a form and by the API alike.
//!
//! # Invariants
//! - What an act says of a change names settings and destinations, and no value.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Failed, Page, blocking};
use super::save::{By, NotSaved, read, save};
use crate::config::saved::{Fault, Import, Keys, Needed};

/// Sets settings by their names, and unsets those that have no value.
pub(in super::super) async fn settings(
    page: &Arc<Page>,
    by: By<'_>,
    values: Vec<(String, Option<String>)>,
) -> Result<bool, NotSaved> {
    let names: Vec<_> = values.iter().map(|(name, _)| name.as_str()).collect();
    let detail = format!("settings: {}", names.join(", "));
    save(page, by, &cut(&detail), move |saved| {
        let faults = values.iter().filter_map(|(name, value)| {
            let set = match value {
                Some(value) => saved.set(name, value),
                None => saved.unset(name).map(drop),
            };
            set.err()
        });
        none(faults.collect())
    })
    .await
}

/// Adds a destination, or puts it in the place of the one that was called `old`.
pub(in super::super) async fn put_destination(
    page: &Arc<Page>,
    by: By<'_>,
    old: Option<String>,
    keys: Keys,
) -> Result<bool, NotSaved> {
    let name = keys.get("name").and_then(|name| name.as_str());
    let name = name.unwrap_or_default();
    let detail = match old.as_deref() {
        None => format!("destination {name}: added"),
        Some(old) if old == name => format!("destination {name}: changed"),
        Some(old) => format!("destination {old}: changed, now {name}"),
    };
    save(page, by, &cut(&detail), move |saved| {
        saved.put(old.as_deref(), keys)
    })
    .await
}

/// Removes a destination; whether it was there.
pub(in super::super) async fn remove_destination(
    page: &Arc<Page>,
    by: By<'_>,
    name: String,
) -> Result<bool, NotSaved> {
    let detail = cut(&format!("destination {name}: removed"));
    save(page, by, &detail, move |saved| {
        saved.remove(&name);
        Ok(())
    })
    .await
}

/// All that is saved as one text, without secrets.
pub(in super::super) async fn export(page: &Arc<Page>) -> Result<String, Failed> {
    let shared = Arc::clone(page);
    blocking(move || read(&shared).map(|saved| saved.export())).await?
}

/// What an import came to.
#[derive(Debug)]
pub(in super::super) enum Imported {
    /// It counts; or it already did.
    Saved(bool),
    /// These secrets are to be given first.
    Needs(Vec<Needed>),
}

/// Puts what an export says in the place of all that is saved.
pub(in super::super) async fn import(
    page: &Arc<Page>,
    by: By<'_>,
    text: String,
    given: BTreeMap<String, String>,
) -> Result<Imported, NotSaved> {
    let shared = Arc::clone(page);
    let (first_text, first_given) = (text.clone(), given.clone());
    let first = blocking(move || {
        let saved = read(&shared)?;
        let import = saved.import(&first_text, &first_given);
        import.map_err(NotSaved::Refused)
    });
    if let Import::Needs(needed) = first.await?? {
        return Ok(Imported::Needs(needed));
    }
    let saved = save(page, by, "configuration imported", move |saved| {
        match saved.import(&text, &given)? {
            Import::Ready(candidate) => *saved = *candidate,
            // Somebody else removed a secret just now: nothing is changed.
            Import::Needs(_) => {}
        }
        Ok(())
    });
    saved.await.map(Imported::Saved)
}

fn none(faults: Vec<Fault>) -> Result<(), Vec<Fault>> {
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

/// What somebody gave may be of any length.
fn cut(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
