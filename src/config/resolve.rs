//! Finds the value of each setting and where it came from: flags win over the environment, which
//! wins over `.env`, which wins over the file, which wins over the default.
//!
//! # Invariants
//! - An empty value counts as not set.
//! - A secret's value is in no problem and in no [`Shown`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::dotenv::{self, DotenvError};
use super::file::{self, Place};
use super::gateway::Routes;
use super::problem::{Origin, Problem, Problems};
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
    /// The configuration file that [`super::Config::file`] names, and its content.
    pub file: Option<(PathBuf, Vec<u8>)>,
    /// In which the gateway is found.
    pub routes: Routes,
}

/// The environment, and `.env` below it.
pub(super) struct Variables<'a> {
    environment: &'a BTreeMap<String, String>,
    /// Each with its line.
    dotenv: BTreeMap<String, (String, usize)>,
}

impl<'a> Variables<'a> {
    pub(super) fn read(input: &'a Input) -> Result<Self, DotenvError> {
        let dotenv = match &input.dotenv {
            None => BTreeMap::new(),
            Some(text) => dotenv::parse(text)?
                .into_iter()
                .map(|(name, value, line)| (name, (value, line)))
                .collect(),
        };
        Ok(Self {
            environment: &input.environment,
            dotenv,
        })
    }

    /// The environment alone.
    pub(super) fn without_dotenv(input: &'a Input) -> Self {
        Self {
            environment: &input.environment,
            dotenv: BTreeMap::new(),
        }
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.environment(name)
            .or_else(|| Some(self.dotenv.get(name)?.0.as_str()))
    }

    /// The same, without `.env`.
    pub(super) fn environment(&self, name: &str) -> Option<&str> {
        let value = self.environment.get(name)?;
        (!value.trim().is_empty()).then_some(value)
    }

    /// The variables that stand in `.env`, by line.
    pub(super) fn of_dotenv(&self) -> Vec<(usize, &str)> {
        let lines = self.dotenv.iter();
        let mut lines: Vec<_> = lines.map(|(name, (_, line))| (*line, &**name)).collect();
        lines.sort_unstable();
        lines
    }
}

/// A place to look a variable up: its value and its origin.
type Source<'a> = &'a dyn Fn(&str) -> Option<(String, Origin)>;

/// The values that were found.
#[derive(Default)]
pub(super) struct Values(BTreeMap<&'static str, (String, Origin)>);

/// A setting, or a key of a destination, as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its value, or `***`.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

impl Values {
    /// Finds the settings that are wanted; a secret's file is read only if it is.
    pub(super) fn find(
        input: &Input,
        variables: &Variables<'_>,
        file: &file::Given,
        wanted: impl Fn(&Setting) -> bool,
        problems: &mut Problems,
    ) -> Self {
        let mut values = BTreeMap::new();
        for setting in SETTINGS.iter().filter(|setting| wanted(setting)) {
            let found = find(setting, input, variables, file.get(setting.name));
            if let Some(found) = problems.of(found) {
                values.insert(setting.name, found);
            }
        }
        Self(values)
    }

    pub(super) fn get(&self, name: &str) -> Option<(&str, &Origin)> {
        self.0
            .get(name)
            .map(|(value, origin)| (value.as_str(), origin))
    }

    pub(super) fn set(&mut self, name: &'static str, value: String, origin: Origin) {
        self.0.insert(name, (value, origin));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Reads a value with `parse`; a problem names where the value came from.
    pub(super) fn read<T, E: std::fmt::Display>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let Some((value, origin)) = self.get(name) else {
            return Ok(None);
        };
        parse(value).map(Some).map_err(|e| problem(name, origin, e))
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
                    name: setting.name.to_owned(),
                    value,
                    origin: origin.to_string(),
                })
            })
            .collect()
    }
}

fn find(
    setting: &Setting,
    input: &Input,
    variables: &Variables<'_>,
    in_file: Option<&(Place, Origin)>,
) -> Result<Option<(String, Origin)>, Problem> {
    if let Some(value) = input
        .flags
        .get(setting.name)
        .filter(|value| !value.trim().is_empty())
    {
        let origin = Origin::outside(format!("--{}", setting.name));
        return Ok(Some((value.clone(), origin)));
    }
    let from_environment = |variable: &str| {
        let value = variables.environment(variable)?;
        Some((value.to_owned(), Origin::outside(variable)))
    };
    let from_dotenv = |variable: &str| {
        let (value, line) = variables.dotenv.get(variable)?;
        let origin = Origin::outside(format!("{variable} in .env, line {line}"));
        Some((value.clone(), origin))
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
    if let Some((place, origin)) = in_file
        && let Some(found) = from_file(setting.name, place, origin, variables)?
    {
        return Ok(Some(found));
    }
    Ok(setting
        .default
        .map(|value| (value.to_owned(), Origin::outside("default"))))
}

/// A problem with a setting; a line of the file may hold several.
fn problem(name: &str, origin: &Origin, what: impl std::fmt::Display) -> Problem {
    if origin.is_in_file() {
        Problem::new(origin, format!("`{}`: {what}", name.replace('-', "_")))
    } else {
        Problem::new(origin, what)
    }
}

fn from_file(
    name: &str,
    place: &Place,
    origin: &Origin,
    variables: &Variables<'_>,
) -> Result<Option<(String, Origin)>, Problem> {
    let value = match place {
        Place::Text(text) => text.expose().to_owned(),
        Place::Variable(variable) => variables
            .get(variable)
            .ok_or_else(|| problem(name, origin, file::missing(variable)))?
            .to_owned(),
        Place::File(path) => {
            file::read_secret(path).map_err(|error| problem(name, origin, error))?
        }
    };
    Ok((!value.trim().is_empty()).then(|| (value, origin.clone())))
}

fn read_secret(path: &Path, origin: &Origin) -> Result<(String, Origin), Problem> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Problem::new(origin, format!("{} cannot be read: {e}", path.display())))?;
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(Problem::new(origin, format!("{} is empty", path.display())));
    }
    let origin = Origin::outside(format!("{origin} = {}", path.display()));
    Ok((text, origin))
}
