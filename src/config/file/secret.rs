//! A secret in the file: a text, `{ env = "NAME" }`, or `{ file = "PATH" }`.
//!
//! # Invariants
//! - A secret's text is in no problem, nor is what stands where the name of a variable belongs and
//!   does not look like one.

use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::reader::Item;
use crate::config::resolve::Variables;
use crate::secret::{Secret, Source};

/// The keys of a secret that is found elsewhere.
pub(super) const KEYS: &[&str] = &["env", "file"];

const WANTED: &str = "a text, { env = \"NAME\" } or { file = \"PATH\" }";

/// Where the file says that a secret is found.
#[derive(Clone)]
pub(in crate::config) enum Place {
    /// Here.
    Text(Secret),
    /// In this variable.
    Variable(String),
    /// In this file.
    File(PathBuf),
}

/// Where a secret is found; where it came from is remembered.
pub(super) fn place(item: &Item<'_, '_>) -> Option<Place> {
    let table = match item.value {
        DeValue::String(text) => return Some(Place::Text(Secret::new(text.as_ref().to_owned()))),
        DeValue::Table(_) => item.table(WANTED, KEYS)?,
        // A number may be a secret without its quotes.
        _ => {
            item.refuse(format!("write {WANTED}"));
            return None;
        }
    };
    let here = item.origin();
    match (table.take("env"), table.take("file")) {
        (Some(name), None) => {
            let name = name.text("the name of a variable")?.trim();
            let holder = format!("${}", shown_variable(name).unwrap_or("…"));
            item.comes_from(here.by_way_of(holder));
            item.document.names(name);
            Some(Place::Variable(name.to_owned()))
        }
        (None, Some(path)) => {
            let path = path.text("the path of a file")?;
            item.comes_from(here.by_way_of(path.to_owned()));
            Some(Place::File(item.document.path(path)))
        }
        _ => {
            item.refuse(format!("write {WANTED}"));
            None
        }
    }
}

/// The secret, if it is there now and `check` has nothing against it.
pub(super) fn source(
    item: &Item<'_, '_>,
    variables: &Variables<'_>,
    check: impl Fn(&Secret) -> Result<(), String>,
) -> Option<Source> {
    let source = match place(item)? {
        Place::Text(secret) => Source::Given(secret),
        Place::File(path) => Source::File(path),
        Place::Variable(name) => {
            let Some(value) = variables.get(&name) else {
                item.refuse(missing(&name));
                return None;
            };
            Source::Given(Secret::new(value.trim().to_owned()))
        }
    };
    let checked = match source.current() {
        Ok(secret) if secret.expose().trim().is_empty() => Err("the secret is empty".to_owned()),
        Ok(secret) => check(&secret),
        Err(error) => Err(error.to_string()),
    };
    checked.map_err(|what| item.refuse(what)).ok()?;
    Some(source)
}

/// The secrets of an array: several are good while one takes the place of another.
pub(super) fn sources(
    several: &Item<'_, '_>,
    variables: &Variables<'_>,
    check: impl Fn(&Secret) -> Result<(), String>,
) -> Option<Vec<Source>> {
    let items = several.items("an array of secrets")?;
    let mut holders = Vec::new();
    let mut sources = Vec::new();
    for item in &items {
        sources.push(source(item, variables, &check));
        let holder = several.came_from();
        holders.push(holder.and_then(|origin| origin.holder().map(str::to_owned)));
        several.comes_from(several.origin());
    }
    // Each secret told its own place; they share one key.
    if holders.iter().any(Option::is_some) {
        let holders = holders.into_iter();
        let holders = holders.map(|holder| holder.unwrap_or_else(|| "here".to_owned()));
        let holders: Vec<_> = holders.collect();
        several.comes_from(several.origin().by_way_of(holders.join(" and ")));
    }
    sources.into_iter().collect()
}

/// What to say of a variable that is not set.
pub(in crate::config) fn missing(name: &str) -> String {
    match shown_variable(name) {
        Some(name) => format!("the environment variable {name} is not set"),
        None => "`env` takes the name of an environment variable, and there is none of this name \
                 (names are shown only where they have no other characters than A-Z, 0-9 and _)"
            .to_owned(),
    }
}

/// A variable's name, if it looks like one: somebody may have written the secret itself.
fn shown_variable(name: &str) -> Option<&str> {
    let usual = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let looks_like_a_name = !name.is_empty() && name.len() <= 64 && name.bytes().all(usual);
    looks_like_a_name.then_some(name)
}

/// What may be wrong with a secret's text.
pub(super) type Check = fn(&Secret) -> Result<(), String>;

/// Anything goes.
pub(super) const ANYTHING: Check = |_| Ok(());

/// What can stand in a header.
pub(super) fn in_a_header(secret: &Secret) -> Result<(), String> {
    let text = secret.expose();
    if text.bytes().all(|b| b == b'\t' || (b >= b' ' && b != 0x7f)) {
        Ok(())
    } else {
        Err("the value has a character that cannot stand in an HTTP header".to_owned())
    }
}

/// Reads a file that holds a secret.
pub(in crate::config) fn read(path: &Path) -> Result<String, String> {
    let source = Source::File(path.to_owned());
    let secret = source.current().map_err(|e| e.to_string())?;
    Ok(secret.expose().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_place_of_a_variables_name_is_not_shown() {
        assert!(missing("CMMS_TOKEN").contains("CMMS_TOKEN"));
        assert!(!missing("canary-1").contains("canary"));
    }
}
