//! What is wrong with a candidate, and which setting or key of a destination it is about.
//!
//! # Invariants
//! - What is about nothing that is saved says where it is instead.

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::of_variable;
use crate::config::dotenv;
use crate::config::problem::{ConfigError, Problem, SavedIn};

/// What a problem is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A setting, by its name.
    Setting(&'static str),
    /// A destination.
    Key {
        /// Its name.
        destination: String,
        /// The path of its key, such as `auth.token`; empty for the destination as a whole.
        key: String,
    },
    /// Something else.
    Elsewhere,
}

/// One thing that is wrong with a candidate. No secret is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What it is about.
    pub about: About,
    /// What is wrong, and what to do.
    pub what: String,
    /// Whether a secret is to be given that is not there, or not for this address.
    pub needs_secret: bool,
}

impl Fault {
    /// About a setting.
    pub fn setting(name: &'static str, what: &str) -> Self {
        Self {
            about: About::Setting(name),
            what: what.to_owned(),
            needs_secret: false,
        }
    }

    pub(super) fn key(destination: &str, key: &str, what: &str) -> Self {
        Self {
            about: About::Key {
                destination: destination.to_owned(),
                key: key.to_owned(),
            },
            what: what.to_owned(),
            needs_secret: false,
        }
    }

    pub(super) fn elsewhere(what: &str) -> Self {
        Self {
            about: About::Elsewhere,
            what: what.to_owned(),
            needs_secret: false,
        }
    }

    pub(super) fn again(self) -> Self {
        let needs_secret = true;
        Self {
            needs_secret,
            ..self
        }
    }

    /// Each problem, with what it is about by its line in one of these texts.
    pub(super) fn of_error(error: &ConfigError, dotenv: &str, file: &str) -> Vec<Self> {
        match error {
            ConfigError::Dotenv { .. } => vec![Self::elsewhere(&error.to_string())],
            ConfigError::Wrong(problems) => {
                let file = lines(file);
                let faults = problems
                    .iter()
                    .map(|problem| Self::of(problem, dotenv, &file));
                faults.collect()
            }
        }
    }

    fn of(problem: &Problem, dotenv: &str, file: &[(usize, About)]) -> Self {
        let about = match problem.origin().saved_in() {
            None => None,
            Some(SavedIn::Dotenv(line)) => setting_on(dotenv, line).map(About::Setting),
            Some(SavedIn::File(line)) => {
                let before = file.iter().filter(|(at, _)| *at <= line);
                let about = before.max_by_key(|(at, _)| *at);
                about.map(|(_, about)| about.clone())
            }
        };
        match about {
            Some(about) => Self {
                about,
                what: problem.what().to_owned(),
                needs_secret: false,
            },
            None => Self::elsewhere(&problem.to_string()),
        }
    }
}

fn setting_on(text: &str, line: usize) -> Option<&'static str> {
    let variables = dotenv::parse(text.as_bytes()).ok()?;
    let mut variables = variables.iter();
    let (variable, _, _) = variables.find(|(_, _, at)| *at == line)?;
    of_variable(variable)
}

/// What stands on each line on which a key begins.
fn lines(text: &str) -> Vec<(usize, About)> {
    let (root, _) = DeTable::parse_recoverable(text);
    let line = |at: usize| {
        let before = text.as_bytes().get(..at).unwrap_or_default();
        before.split(|byte| *byte == b'\n').count()
    };
    let mut all = Vec::new();
    for (key, value) in root.get_ref() {
        let tables = match value.get_ref() {
            DeValue::Array(tables) if key.get_ref() == "destination" => tables,
            _ => {
                let name = key.get_ref().replace('_', "-");
                let mut settings = crate::config::settings::SETTINGS.iter();
                let setting = settings.find(|setting| setting.name == name);
                let about = setting.map_or(About::Elsewhere, |s| About::Setting(s.name));
                all.push((line(key.span().start), about));
                continue;
            }
        };
        for table in tables {
            let DeValue::Table(keys) = table.get_ref() else {
                continue;
            };
            let name = keys.get("name").and_then(|name| name.get_ref().as_str());
            let name = name.unwrap_or_default();
            let mut found = Vec::new();
            found.push((table.span().start, String::new()));
            keys_of(keys, "", &mut found);
            all.extend(found.into_iter().map(|(at, key)| {
                let destination = name.to_owned();
                (line(at), About::Key { destination, key })
            }));
        }
    }
    all
}

/// The keys of a table, with those of the tables in it.
fn keys_of(table: &DeTable<'_>, path: &str, found: &mut Vec<(usize, String)>) {
    for (key, value) in table {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{}", key.get_ref());
        found.push((key.span().start, path.clone()));
        match value.get_ref() {
            DeValue::Table(table) => keys_of(table, &path, found),
            DeValue::Array(items) => {
                for item in items {
                    if let DeValue::Table(table) = item.get_ref() {
                        found.push((item.span().start, path.clone()));
                        keys_of(table, &path, found);
                    }
                }
            }
            _ => {}
        }
    }
}
