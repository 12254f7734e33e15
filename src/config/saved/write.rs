//! A candidate is checked against the levels above it, and then written whole.
//!
//! # Invariants
//! - A refused candidate leaves nothing behind.
//! - Secrets first, under names that nothing names yet; then both files beside the old ones; then
//!   they take their places. So a crash leaves what was, or what is to be; only one between the two
//!   last steps, of a change that concerns both files, leaves one of each.
//! - A secret that a file in its place names is not removed, whatever fails then.
//! - What somebody else wrote since it was read is not overwritten.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use url::Url;

use super::{DOTENV, FILE, Fault, Keys, LARGEST, SECRETS, Saved, of_variable};
use crate::config::files::{Level, Text};
use crate::config::{Config, Input, settings};

/// A candidate that can be used, with its secrets written and not yet named by any file.
#[derive(Debug)]
pub struct Checked {
    /// The configuration as it will be.
    pub config: Config,
    candidate: Saved,
    staged: Staged,
}

/// Why a checked candidate could not be written; what was before is still there.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else was faster.
    #[error("somebody else has just saved something: look again, and save again")]
    Changed,
    /// A file cannot be written.
    #[error("{path} cannot be written: {error}")]
    Failed {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}

/// Files of secrets that go again unless they are kept.
#[derive(Debug, Default)]
struct Staged(Vec<PathBuf>);

impl Drop for Staged {
    fn drop(&mut self) {
        for path in &self.0 {
            // What stays behind is named by nothing and swept away next time.
            std::fs::remove_file(path).ok();
        }
    }
}

/// Saved secrets, each with the setting that says where it is sent, and what is said when that is
/// another place.
pub(super) const STRAYS: [(&str, &str, &str); 3] = [
    (
        "api-token",
        "hostname",
        "Orbit's address is another one: give the token again",
    ),
    (
        "webhook-secret",
        "hostname",
        "Orbit's address is another one, and the webhook is made there with this: give it again",
    ),
    (
        "integration-auth",
        "integration-url",
        "the integration URL goes to another address: give this again",
    ),
];

/// Whether both are the same host, or URLs of the same one.
pub(super) fn same_host(one: Option<&str>, other: Option<&str>) -> bool {
    let origin = |text: Option<&str>| {
        let url = Url::parse(text?.trim()).ok()?;
        let origin = url.origin();
        origin.is_tuple().then_some(origin)
    };
    one == other || origin(one).is_some_and(|one| Some(one) == origin(other))
}

impl Saved {
    /// Whether a start could use this, with `bare`: flags and environment. `fits` tries what is
    /// made of it.
    pub fn check(
        self,
        bare: &Input,
        fits: impl FnOnce(&Config) -> Result<(), String>,
    ) -> Result<Checked, Vec<Fault>> {
        let mut input = bare.clone();
        let elsewhere = |what: &dyn std::fmt::Display| vec![Fault::elsewhere(&what.to_string())];
        input.read_above_page().map_err(|error| elsewhere(&error))?;
        let mut faults = self.locked(&input);
        faults.extend(self.strays());
        if !faults.is_empty() {
            return Err(faults);
        }
        let file = self.file_text().map_err(|what| elsewhere(&what))?;
        let dotenv = self.dotenv_text();
        // A start would refuse it.
        for (name, text) in [(FILE, &file), (DOTENV, &dotenv)] {
            if u64::try_from(text.len()).map_or(true, |length| length > LARGEST) {
                let what = format!("with this {name} would be larger than 1 MiB: make it shorter");
                return Err(elsewhere(&what));
            }
        }
        let staged = self.stage().map_err(|error| elsewhere(&error))?;
        let text = |name: &str, text: &str| Text {
            level: Level::Page,
            path: self.dir.join(name),
            bytes: text.as_bytes().to_vec(),
        };
        input.add_page(Some(text(DOTENV, &dotenv)), Some(text(FILE, &file)));
        let config = Config::load(&input);
        let config = config.map_err(|error| Fault::of_error(&error, &dotenv, &file))?;
        fits(&config).map_err(|what| elsewhere(&what))?;
        Ok(Checked {
            config,
            candidate: self,
            staged,
        })
    }

    /// What is changed here and has its value from above.
    fn locked(&self, input: &Input) -> Vec<Fault> {
        let changed = settings::SETTINGS.iter().filter(|setting| {
            let mut names = setting.variables.iter();
            names.any(|name| {
                let file = format!("{name}_FILE");
                self.variables.get(*name) != self.before.variables.get(*name)
                    || self.variables.get(&file) != self.before.variables.get(&file)
            })
        });
        let mut faults: Vec<_> = changed
            .filter_map(|setting| {
                let what = match input.locked(setting.name) {
                    Some(origin) => format!("it is set by {origin}, which wins: change it there"),
                    None => input.bound(setting.name)?,
                };
                Some(Fault::setting(setting.name, &what))
            })
            .collect();
        if !self.file_is_unchanged()
            && let Some(path) = input.file_above_page()
        {
            let what = format!(
                "{path} says what the destinations are, and counts in the place of what the page \
                 saves: change it there"
            );
            faults.push(Fault::elsewhere(&what));
        }
        faults
    }

    /// A secret that was given for one host must not be sent to another.
    fn strays(&self) -> Vec<Fault> {
        let of = |variables: &BTreeMap<String, String>, name: &str| {
            let mut all = variables.iter();
            let found = all.find(|(variable, _)| of_variable(variable) == Some(name));
            found.map(|(_, value)| value.clone())
        };
        let (now, before) = (&self.variables, &self.before.variables);
        let is_stray = |(secret, address, _): &&(&str, &str, &str)| {
            let token = of(now, secret);
            let is_kept = token.is_some() && token == of(before, secret);
            is_kept && !same_host(of(now, address).as_deref(), of(before, address).as_deref())
        };
        let strays = STRAYS.iter().filter(is_stray);
        strays
            .map(|(secret, _, what)| Fault::setting(secret, what).again())
            .collect()
    }

    fn dotenv_text(&self) -> String {
        let mut text = format!("{HEAD}\n");
        for (name, value) in &self.variables {
            let mut quoted = String::with_capacity(value.len());
            for c in value.chars() {
                if matches!(c, '\\' | '"' | '$') {
                    quoted.push('\\');
                }
                quoted.push(c);
            }
            // Writing to a text does not fail.
            writeln!(text, "{name}=\"{quoted}\"").ok();
        }
        text
    }

    fn file_text(&self) -> Result<String, String> {
        let mut keys = self.file.clone();
        if !self.destinations.is_empty() {
            let tables = self.destinations.iter().cloned().map(Json::Object);
            keys.insert("destination".to_owned(), tables.collect());
        }
        let text = toml::to_string(&keys);
        let text = text.map_err(|error| format!("it cannot be written as TOML: {error}"))?;
        Ok(format!("{HEAD}\n{text}"))
    }

    /// Writes the new secrets, which nothing names yet.
    fn stage(&self) -> Result<Staged, WriteError> {
        let mut staged = Staged::default();
        if self.new.is_empty() {
            return Ok(staged);
        }
        let dir = self.dir.join(SECRETS);
        make(&dir).map_err(|error| WriteError::at(&dir, error))?;
        for (name, text) in &self.new {
            let path = self.dir.join(name);
            write_new(&path, text.expose().as_bytes())
                .map_err(|error| WriteError::at(&path, error))?;
            staged.0.push(path);
        }
        sync(&dir).map_err(|error| WriteError::at(&dir, error))?;
        Ok(staged)
    }

    /// Removes the secrets that nothing names any more.
    fn sweep(&self) {
        let mut named: BTreeSet<String> = self.variables.values().cloned().collect();
        self.destinations
            .iter()
            .for_each(|table| files(table, &mut named));
        let entries = std::fs::read_dir(self.dir.join(SECRETS));
        for entry in entries.into_iter().flatten().flatten() {
            let name = format!("{SECRETS}{}", entry.file_name().to_string_lossy());
            if !named.contains(&name) {
                // Next time, then.
                std::fs::remove_file(entry.path()).ok();
            }
        }
    }
}

const HEAD: &str = "# Saved on the page of orbit-relay, which writes this file anew.";

impl Checked {
    /// Writes it.
    pub fn write(self) -> Result<(), WriteError> {
        self.write_and(sync)
    }

    /// Writes it, and has the folder kept by `sync`.
    pub(super) fn write_and(
        mut self,
        sync: impl FnOnce(&Path) -> std::io::Result<()>,
    ) -> Result<(), WriteError> {
        let candidate = &self.candidate;
        let before = &candidate.before;
        let dir = &candidate.dir;
        make(dir).map_err(|error| WriteError::at(dir, error))?;
        let mut steps = Vec::new();
        if candidate.variables != before.variables {
            steps.push((DOTENV, candidate.dotenv_text(), &before.dotenv));
        }
        if !candidate.file_is_unchanged() {
            let text = candidate.file_text().map_err(|what| WriteError::Failed {
                path: dir.join(FILE).display().to_string(),
                error: std::io::Error::other(what),
            })?;
            steps.push((FILE, text, &before.file));
        }
        // Somebody else who saved meanwhile may have swept them away.
        if !self.staged.0.iter().all(|path| path.exists()) {
            return Err(WriteError::Changed);
        }
        for (name, text, before) in &steps {
            let path = dir.join(name);
            if there(&path).map_err(|error| WriteError::at(&path, error))? != **before {
                return Err(WriteError::Changed);
            }
            let unfinished = dir.join(format!("{name}.new"));
            replace_unfinished(&unfinished, text.as_bytes())
                .map_err(|error| WriteError::at(&unfinished, error))?;
        }
        let steps: Vec<_> = steps
            .iter()
            .map(|(name, _, before)| (*name, before.as_deref()))
            .collect();
        take_places(dir, &steps)?;
        // From here on they are named by what counts.
        self.staged.0.clear();
        match sync(dir) {
            Ok(()) => self.candidate.sweep(),
            // A crash may bring back what was: what that names stays.
            Err(error) => {
                tracing::warn!(%error, "page: {} may not be on the disk yet", dir.display());
            }
        }
        Ok(())
    }
}

impl WriteError {
    fn at(path: &Path, error: std::io::Error) -> Self {
        Self::Failed {
            path: path.display().to_string(),
            error,
        }
    }
}

/// Each file that the keys name.
fn files(keys: &Keys, named: &mut BTreeSet<String>) {
    fn of(value: &Json, named: &mut BTreeSet<String>) {
        match value {
            Json::String(text) if text.starts_with(SECRETS) => {
                named.insert(text.clone());
            }
            Json::Array(items) => items.iter().for_each(|item| of(item, named)),
            Json::Object(keys) => files(keys, named),
            _ => {}
        }
    }
    keys.values().for_each(|value| of(value, named));
}

/// Puts each unfinished file in the place of what was before, or none of them.
pub(super) fn take_places(dir: &Path, steps: &[(&str, Option<&[u8]>)]) -> Result<(), WriteError> {
    for (number, (name, _)) in steps.iter().enumerate() {
        let path = dir.join(name);
        let moved = std::fs::rename(dir.join(format!("{name}.new")), &path);
        if let Err(error) = moved {
            for (name, before) in steps.iter().take(number) {
                put_back(dir, name, *before);
            }
            return Err(WriteError::at(&path, error));
        }
    }
    Ok(())
}

/// After a step that failed: what was there before, as far as that can be done.
fn put_back(dir: &Path, name: &str, before: Option<&[u8]>) {
    let path = dir.join(name);
    let put_back = match before {
        None => std::fs::remove_file(&path),
        Some(bytes) => {
            let unfinished = dir.join(format!("{name}.new"));
            replace_unfinished(&unfinished, bytes)
                .and_then(|()| std::fs::rename(&unfinished, &path))
        }
    };
    if let Err(error) = put_back {
        tracing::error!(%error, "page: {} could not be put back", path.display());
    }
}

fn make(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

fn there(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn replace_unfinished(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // One that was left behind may have other rights.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(path, bytes)
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(super) fn sync(dir: &Path) -> std::io::Result<()> {
    std::fs::File::open(dir)?.sync_all()
}
