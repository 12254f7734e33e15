//! What the page has saved in `DATA_DIR/page/`: the lowest level of the settings, and the
//! destinations where no other configuration file counts.
//!
//! ```text
//! mod       what is saved, and how it is changed
//! places    where a secret stands in a destination, and what is made of it
//! faults    whose setting, or which key, a problem is about
//! write     a candidate is checked, and written whole
//! portable  export and import
//! aside     what cannot be read is put aside
//! ```
//!
//! # Invariants
//! - A secret is written to a file of its own and named; nothing here gives it back, and no other
//!   file than those that were saved can be named.
//! - What is changed is a candidate: nothing is written before all of it was checked against the
//!   levels above.
//! - A saved secret does not follow an address to somewhere else: it is then asked for again.

mod aside;
mod faults;
mod places;
mod portable;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

pub use self::aside::set_aside;
pub use self::faults::{About, Fault};
use self::places::{Take, hidden};
pub use self::portable::{Import, Needed};
pub use self::write::{Checked, WriteError};
use super::files::{DOTENV, FILE, LARGEST, PAGE};
use super::settings::{self, Kind, SETTINGS, Setting};
use super::{dotenv, parse};
use crate::secret::Secret;

/// The folder of saved secrets, beside the files that name them.
pub(super) const SECRETS: &str = "secrets/";
/// More destinations are no configuration that somebody makes by hand.
const MOST_DESTINATIONS: usize = 100;
/// No secret is longer, in bytes.
const LONGEST_SECRET: usize = 64 * 1024;
/// No plain value is longer.
const LONGEST: usize = 4096;

/// The keys of a destination, as in a `[[destination]]` of a configuration file. A secret that is
/// there stands as `{"kept": true}`.
pub type Keys = serde_json::Map<String, Json>;

/// Settings that the page leaves to flags, environment and files, and why.
const ELSEWHERE: [(&str, &str); 8] = [
    ("config", WHERE_FILES_ARE),
    ("config-dir", WHERE_FILES_ARE),
    ("package-dir", WHERE_FILES_ARE),
    ("data-dir", WHERE_FILES_ARE),
    ("asset-map", "the asset map has a screen of its own"),
    (
        "ops-bind",
        "the page itself is there: a mistake would shut it out",
    ),
    ("page-proxy", WHO_IS_BELIEVED),
    ("page-proxy-header", WHO_IS_BELIEVED),
];
const WHERE_FILES_ARE: &str = "it says where files are, which what is saved here cannot";
const WHO_IS_BELIEVED: &str = "it says who is let in without a password";

/// Settings that name files: here their text is given instead.
const FILES: [&str; 5] = ["verify", "cert", "tls-cert", "tls-key", "integration-ca"];

/// What the page has saved, with changes that are not written yet.
#[derive(Clone, Debug)]
pub struct Saved {
    /// `DATA_DIR/page`.
    dir: PathBuf,
    /// The variables of `.env`.
    variables: BTreeMap<String, String>,
    /// The keys of `relay.toml` outside its destinations.
    file: Keys,
    /// Its destinations.
    destinations: Vec<Keys>,
    /// Files that are not written yet: by the name by which they are named.
    new: BTreeMap<String, Secret>,
    /// As it was read.
    before: Before,
}

/// What was there when it was read.
#[derive(Clone, Debug, Default)]
struct Before {
    version: String,
    dotenv: Option<Vec<u8>>,
    file: Option<Vec<u8>>,
    variables: BTreeMap<String, String>,
    keys: Keys,
    destinations: Vec<Keys>,
}

/// Why what was saved cannot be read. No secret is in it.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used: {reason}; set it right or remove it")]
pub struct ReadError {
    path: String,
    reason: String,
}

impl Saved {
    /// Reads what was saved; nothing is no error.
    pub fn read(data_dir: &Path) -> Result<Self, ReadError> {
        let dir = data_dir.join(PAGE);
        let (dotenv, variables) = read_dotenv(&dir)?;
        let (file, keys, destinations) = read_file(&dir)?;
        let mut hash = Sha256::new();
        for bytes in [dotenv.as_deref(), file.as_deref()] {
            let bytes = bytes.unwrap_or_default();
            // Where one ends and the other begins counts too.
            hash.update(bytes.len().to_string());
            hash.update([0]);
            hash.update(bytes);
        }
        let version = hex::encode(hash.finalize());
        Ok(Self {
            before: Before {
                version: version.chars().take(16).collect(),
                dotenv,
                file,
                variables: variables.clone(),
                keys: keys.clone(),
                destinations: destinations.clone(),
            },
            dir,
            variables,
            file: keys,
            destinations,
            new: BTreeMap::new(),
        })
    }

    /// Which version of it this was when it was read.
    pub fn version(&self) -> &str {
        &self.before.version
    }

    /// The settings that are saved, each with its value; of one whose value is kept in a file, none.
    pub fn settings(&self) -> Vec<(&'static str, Option<String>)> {
        let saved = SETTINGS.iter().filter_map(|setting| {
            let value = self.setting(setting)?;
            let shown = match setting.name {
                _ if value.starts_with(SECRETS) || setting.kind == Kind::Secret => None,
                "integration-url" if parse::shown_url(&value) != value => None,
                _ => Some(value),
            };
            Some((setting.name, shown))
        });
        saved.collect()
    }

    /// Sets a setting by its name: a secret by its text, a certificate by its PEM text. An empty
    /// value unsets it.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), Fault> {
        let setting = known(name)?;
        let fault = |what: &str| Fault::setting(setting.name, what);
        let value = value.trim();
        if value.is_empty() {
            self.unset(name)?;
            return Ok(());
        }
        let is_pem = FILES.contains(&setting.name) && value.contains("-----BEGIN");
        if is_pem || setting.kind == Kind::Secret {
            if value.len() > LONGEST_SECRET {
                return Err(fault("it is longer than 64 KiB"));
            }
            let file = self.keep(setting.name, &format!("{value}\n"));
            self.forget(setting);
            let suffix = if is_pem { "" } else { "_FILE" };
            if let Some(variable) = setting.variables.first() {
                self.variables.insert(format!("{variable}{suffix}"), file);
            }
            return Ok(());
        }
        if value.chars().any(char::is_control) {
            return Err(fault("it has a line end or another control character"));
        }
        if value.len() > LONGEST {
            return Err(fault("it is longer than 4096 bytes"));
        }
        if value.starts_with(SECRETS) {
            return Err(fault("this is the name of a file that is kept here"));
        }
        let is_plain_trust = setting.name == "verify"
            && (parse::switch(value).is_ok() || value.to_ascii_lowercase().starts_with("sha256:"));
        if FILES.contains(&setting.name) && !is_plain_trust {
            return Err(fault(
                "no file can be named here: paste its text, from -----BEGIN on",
            ));
        }
        if setting.name == "integration-url" && has_password(value) {
            return Err(fault(
                "leave user and password out of the URL: give them as the authentication",
            ));
        }
        self.forget(setting);
        if let Some(variable) = setting.variables.first() {
            self.variables
                .insert((*variable).to_owned(), value.to_owned());
        }
        Ok(())
    }

    /// Forgets what was saved of a setting; whether there was anything.
    pub fn unset(&mut self, name: &str) -> Result<bool, Fault> {
        let setting = known(name)?;
        Ok(self.forget(setting))
    }

    /// The saved destinations.
    pub fn destinations(&self) -> Vec<Keys> {
        self.destinations.iter().map(hidden).collect()
    }

    /// One of them.
    pub fn destination(&self, name: &str) -> Option<Keys> {
        self.table(name).map(hidden)
    }

    /// Adds a destination, or puts it in the place of the one that was called `old`. One that gets
    /// another name keeps its id.
    pub fn put(&mut self, old: Option<&str>, keys: Keys) -> Result<(), Vec<Fault>> {
        let name = keys.get("name").and_then(Json::as_str).unwrap_or_default();
        let name = name.trim().to_owned();
        let fault = |what: &str| vec![Fault::key(&name, "name", what)];
        parse::name(&name).map_err(|what| fault(&what))?;
        let before = old.and_then(|old| self.table(old).cloned());
        if old.is_some() && before.is_none() {
            return Err(fault("there is no destination of the old name any more"));
        }
        if old != Some(&*name) && self.table(&name).is_some() {
            return Err(fault(
                "another destination has this name; give each its own",
            ));
        }
        if before.is_none() && self.destinations.len() >= MOST_DESTINATIONS {
            return Err(fault("there are a hundred destinations: more are not kept"));
        }
        let mut take = Take::of(self, &name, before.as_ref(), &keys);
        let mut taken = take.keys(keys);
        let (files, faults) = take.done();
        if !faults.is_empty() {
            return Err(faults);
        }
        taken.insert("name".to_owned(), name.clone().into());
        if let (Some(old), Some(before)) = (old, &before)
            && old != name
        {
            let id = before.get("id").cloned().unwrap_or_else(|| old.into());
            taken.entry("id").or_insert(id);
            self.rename(old, Some(&name));
        }
        self.new.extend(files);
        let wanted = old.unwrap_or(&name);
        let mut tables = self.destinations.iter_mut();
        match tables.find(|table| is_named(table, wanted)) {
            Some(table) => *table = taken,
            None => self.destinations.push(taken),
        }
        Ok(())
    }

    /// Removes a destination; whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.destinations.len();
        self.destinations.retain(|table| !is_named(table, name));
        let removed = self.destinations.len() < before;
        if removed {
            self.rename(name, None);
        }
        removed
    }

    /// Whether nothing differs from what was read.
    pub fn is_unchanged(&self) -> bool {
        self.variables == self.before.variables && self.file_is_unchanged()
    }

    fn file_is_unchanged(&self) -> bool {
        self.file == self.before.keys && self.destinations == self.before.destinations
    }

    fn setting(&self, setting: &Setting) -> Option<String> {
        let mut names = setting.variables.iter();
        names.find_map(|name| {
            let value = self.variables.get(*name);
            value
                .or_else(|| self.variables.get(&format!("{name}_FILE")))
                .cloned()
        })
    }

    fn forget(&mut self, setting: &Setting) -> bool {
        let before = self.variables.len();
        for name in setting.variables {
            self.variables.remove(*name);
            self.variables.remove(&format!("{name}_FILE"));
        }
        self.variables.len() < before
    }

    /// Keeps this text for a file, and says by which name the file is named.
    fn keep(&mut self, of: &str, text: &str) -> String {
        let name = self.free_name(of, &self.new);
        self.new.insert(name.clone(), Secret::new(text.to_owned()));
        name
    }

    /// A name that no file has: the old one stays until the new one is named.
    fn free_name(&self, of: &str, others: &BTreeMap<String, Secret>) -> String {
        let names = (1_u64..).map(|number| format!("{SECRETS}{of}.{number}"));
        let mut free = names.filter(|name| {
            !self.new.contains_key(name)
                && !others.contains_key(name)
                && std::fs::symlink_metadata(self.dir.join(name)).is_err()
        });
        free.next().unwrap_or_default()
    }

    /// In `notify` a destination has another name, or is not there any more.
    fn rename(&mut self, old: &str, new: Option<&str>) {
        let Some(Json::Array(names)) = self.file.get_mut("notify") else {
            return;
        };
        match new {
            // An empty list is refused as a slip.
            None if names.iter().all(|name| name.as_str() == Some(old)) => {
                self.file.remove("notify");
            }
            Some(new) => {
                let old = names.iter_mut().filter(|name| name.as_str() == Some(old));
                old.for_each(|name| *name = new.into());
            }
            None => names.retain(|name| name.as_str() != Some(old)),
        }
    }

    fn table(&self, name: &str) -> Option<&Keys> {
        let mut tables = self.destinations.iter();
        tables.find(|table| is_named(table, name))
    }
}

impl ReadError {
    fn new(path: &Path, reason: &dyn std::fmt::Display) -> Self {
        Self {
            path: path.display().to_string(),
            reason: reason.to_string(),
        }
    }
}

/// Keys as they would stand in a configuration file.
pub fn to_toml(keys: &Keys) -> String {
    toml::to_string(keys).unwrap_or_default()
}

/// Keys that somebody wrote as in a configuration file.
pub fn from_toml(text: &str) -> Result<Keys, String> {
    // Its message quotes the line, which may hold a secret.
    toml::from_str(text).map_err(|error: toml::de::Error| format!("not TOML: {}", error.message()))
}

/// Whether a setting can be set on the page at all; if not, why.
pub fn settable(name: &str) -> Result<(), &'static str> {
    let elsewhere = ELSEWHERE.iter().find(|(refused, _)| *refused == name);
    elsewhere.map_or(Ok(()), |(_, why)| Err(why))
}

/// Whether a setting that names a file is given by the file's text here.
pub fn is_pem(name: &str) -> bool {
    FILES.contains(&name)
}

fn known(name: &str) -> Result<&'static Setting, Fault> {
    let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
        let names = SETTINGS.iter().map(|setting| setting.name);
        let instead = super::nearest::instead(name, names);
        return Err(Fault::elsewhere(&format!("no such setting; {instead}")));
    };
    settable(name).map_err(|why| {
        let what = format!("it cannot be set on the page: {why}");
        Fault::setting(setting.name, &what)
    })?;
    Ok(setting)
}

fn is_named(table: &Keys, name: &str) -> bool {
    table.get("name").and_then(Json::as_str) == Some(name)
}

/// Whether a URL shows who somebody is.
fn has_password(text: &str) -> bool {
    let url = url::Url::parse(text.trim());
    url.is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
}

type Variables = BTreeMap<String, String>;
/// Bytes, keys outside the destinations, and destinations.
type File = (Option<Vec<u8>>, Keys, Vec<Keys>);

/// The bytes of the saved `.env`, and its variables.
fn read_dotenv(dir: &Path) -> Result<(Option<Vec<u8>>, Variables), ReadError> {
    let path = dir.join(DOTENV);
    let bytes = read(&path)?;
    let variables = dotenv::parse(bytes.as_deref().unwrap_or_default())
        .map_err(|error| ReadError::new(&path, &error))?;
    let variables = variables.into_iter();
    let variables = variables.map(|(name, value, _)| (name, value)).collect();
    Ok((bytes, variables))
}

/// The bytes of the saved configuration file, its keys, and its destinations.
fn read_file(dir: &Path) -> Result<File, ReadError> {
    let path = dir.join(FILE);
    let bytes = read(&path)?;
    let text = String::from_utf8_lossy(bytes.as_deref().unwrap_or_default());
    // Its errors quote what they find, which may be a secret that somebody wrote there.
    let mut keys: Keys = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        ReadError::new(&path, &format!("line {line}: it is not TOML"))
    })?;
    let destinations = match keys.remove("destination") {
        None => Vec::new(),
        Some(tables) => serde_json::from_value(tables)
            .map_err(|_| ReadError::new(&path, &"[[destination]] is no table"))?,
    };
    Ok((bytes, keys, destinations))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ReadError> {
    use std::io::Read as _;

    let failed = |error: std::io::Error| ReadError::new(path, &error);
    // A pipe would hold up whoever reads it.
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Ok(metadata) if !metadata.is_file() => return Err(ReadError::new(path, &"it is no file")),
        Ok(_) => {}
        Err(error) => return Err(failed(error)),
    }
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    let read = file.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(failed)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(ReadError::new(path, &"it is larger than 1 MiB"));
    }
    Ok(Some(bytes))
}

/// The setting that this variable of the saved `.env` sets.
fn of_variable(variable: &str) -> Option<&'static str> {
    settings::of_variable(variable).map(|setting| setting.name)
}

#[cfg(test)]
mod tests;
