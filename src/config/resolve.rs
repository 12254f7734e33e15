//! Finds the value of each setting and where it came from: flags win over the environment, which
//! wins over `.env`, which wins over the default.
//!
//! # Invariants
//! - An empty value counts as not set.
//! - A secret's value is in no error and in no [`Shown`].

use std::collections::BTreeMap;
use std::path::Path;

use super::dotenv::{self, DotenvError};
use super::settings::{Kind, SETTINGS, Setting};

/// What the settings are found in. The program reads it once; a test makes one.
#[derive(Default)]
pub struct Input {
    /// The flags that were given, by the setting's name.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// The content of `.env` in the working directory.
    pub dotenv: Option<Vec<u8>>,
}

/// A place to look a variable up: its value and its origin.
type Source<'a> = &'a dyn Fn(&str) -> Option<(String, Origin)>;

/// Where a value came from, in words.
pub(super) type Origin = String;

/// The values that were found.
pub(super) struct Values(BTreeMap<&'static str, (String, Origin)>);

/// A setting as the log shows it at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The setting's name.
    pub name: &'static str,
    /// Its value, or `***`.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

/// What is wrong with a setting. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A line of `.env` cannot be read.
    #[error(".env")]
    Dotenv(#[from] DotenvError),
    /// A value cannot be used.
    #[error("{origin}: {what}")]
    Value {
        /// Where the value came from.
        origin: String,
        /// What is wrong and what to do.
        what: String,
    },
}

impl Values {
    /// Finds the settings that are wanted; a secret's file is read only if it is.
    pub(super) fn find(
        input: &Input,
        wanted: impl Fn(&Setting) -> bool,
    ) -> Result<Self, ConfigError> {
        let dotenv: BTreeMap<String, (String, usize)> = match &input.dotenv {
            None => BTreeMap::new(),
            Some(text) => dotenv::parse(text)?
                .into_iter()
                .map(|(name, value, line)| (name, (value, line)))
                .collect(),
        };
        let mut values = BTreeMap::new();
        for setting in SETTINGS.iter().filter(|setting| wanted(setting)) {
            if let Some(found) = find(setting, input, &dotenv)? {
                values.insert(setting.name, found);
            }
        }
        Ok(Self(values))
    }

    pub(super) fn get(&self, name: &str) -> Option<(&str, &str)> {
        self.0
            .get(name)
            .map(|(value, origin)| (value.as_str(), origin.as_str()))
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Reads a value with `parse`; an error names where the value came from.
    pub(super) fn read<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, ConfigError> {
        let Some((value, origin)) = self.get(name) else {
            return Ok(None);
        };
        parse(value).map(Some).map_err(|e| refused(origin, e))
    }

    pub(super) fn shown(&self) -> Vec<Shown> {
        SETTINGS
            .iter()
            .filter_map(|setting| {
                let (value, origin) = self.0.get(setting.name)?;
                let value = match setting.kind {
                    Kind::Secret => "***".to_owned(),
                    _ if setting.name == "integration-url" => super::parse::shown_url(value),
                    _ => value.clone(),
                };
                Some(Shown {
                    name: setting.name,
                    value,
                    origin: origin.clone(),
                })
            })
            .collect()
    }
}

pub(super) fn refused(origin: &str, what: impl std::fmt::Display) -> ConfigError {
    ConfigError::Value {
        origin: origin.to_owned(),
        what: what.to_string(),
    }
}

fn find(
    setting: &Setting,
    input: &Input,
    dotenv: &BTreeMap<String, (String, usize)>,
) -> Result<Option<(String, Origin)>, ConfigError> {
    if let Some(value) = input
        .flags
        .get(setting.name)
        .filter(|value| !value.trim().is_empty())
    {
        return Ok(Some((value.clone(), format!("--{}", setting.name))));
    }
    let from_environment = |variable: &str| {
        let value = input
            .environment
            .get(variable)
            .filter(|value| !value.trim().is_empty())?;
        Some((value.clone(), variable.to_owned()))
    };
    let from_dotenv = |variable: &str| {
        let (value, line) = dotenv.get(variable)?;
        Some((value.clone(), format!("{variable} in .env, line {line}")))
    };
    let sources: [Source<'_>; 2] = [&from_environment, &from_dotenv];
    for source in sources {
        for variable in setting.variables {
            if let Some(found) = source(variable) {
                return Ok(Some(found));
            }
            if setting.kind == Kind::Secret
                && let Some((path, origin)) = source(&format!("{variable}_FILE"))
            {
                return read_secret(Path::new(&path), &origin).map(Some);
            }
        }
    }
    Ok(setting
        .default
        .map(|value| (value.to_owned(), "default".to_owned())))
}

fn read_secret(path: &Path, origin: &str) -> Result<(String, Origin), ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| refused(origin, format!("{} cannot be read: {e}", path.display())))?;
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(refused(origin, format!("{} is empty", path.display())));
    }
    Ok((text, format!("{origin} = {}", path.display())))
}
