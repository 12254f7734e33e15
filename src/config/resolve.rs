//! Finds the value of each setting and where it came from: flags win over the environment, which
//! wins over the files of each [`Level`] in turn, which win over the default.
//!
//! # Invariants
//! - An empty value counts as not set.
//! - A secret's value is in no problem and in no [`Shown`].

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::dotenv;
use super::file::{self, Place};
use super::files::{Found, Level, Text};
use super::gateway::Routes;
use super::orbit::is_placeholder;
use super::problem::{ConfigError, Origin, Problem, Problems, SAVED, SavedIn};
use super::saved;
use super::settings::{Kind, SETTINGS, Setting};

/// Secrets that the relay sends, each with what says where it goes and who is believed there.
const GOES_TO: [(&str, &[&str]); 3] = [
    ("api-token", &["hostname", "verify"]),
    ("webhook-secret", &["hostname", "verify"]),
    ("integration-auth", &["integration-url", "integration-ca"]),
];

/// What the settings are found in. The program reads it once; a test makes one.
#[derive(Clone, Default)]
pub struct Input {
    /// The flags that were given, by the setting's name.
    pub flags: BTreeMap<String, String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Each `.env` that was read, the one that wins first.
    pub dotenvs: Vec<Text>,
    /// The configuration file.
    pub file: Option<Text>,
    /// What counts because it is there.
    pub found: Vec<Found>,
    /// In which the gateway is found, if this is a container.
    pub routes: Routes,
}

impl Input {
    /// A setting's value and its origin, so far as files were read; none where the default holds.
    pub(super) fn given(&self, name: &str) -> Option<(String, Origin)> {
        let variables = Variables::as_far_as_they_go(self);
        let mut unheard = Problems::default();
        let wanted = |setting: &Setting| setting.name == name;
        let file = file::File::settings(self, wanted, &mut unheard);
        let setting = SETTINGS.iter().find(|setting| wanted(setting))?;
        given(setting, self, &variables, file.get(setting.name)).ok()?
    }

    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.given(name).map(|(value, _)| value)
    }

    pub(super) fn gives(&self, name: &str) -> bool {
        self.given(name).is_some()
    }

    /// Where a setting comes from that the page cannot change, because a flag, the environment or a
    /// file above what the page saves has it.
    pub fn locked(&self, name: &str) -> Option<String> {
        let variables = Variables::as_far_as_they_go(self);
        let wanted = |setting: &Setting| setting.name == name;
        let file = file::File::settings(self, wanted, &mut Problems::default());
        let setting = SETTINGS.iter().find(|setting| wanted(setting))?;
        match above_page(setting, self, &variables, file.get(setting.name)) {
            Ok(Some((value, _))) if is_placeholder(&value) => None,
            Ok(found) => found.map(|(_, origin)| origin.to_string()),
            Err(problem) => Some(problem.origin().to_string()),
        }
    }

    /// Why an address cannot be set on the page: a secret that stands above it would be sent there.
    pub fn bound(&self, name: &str) -> Option<String> {
        let mut secrets = GOES_TO
            .iter()
            .filter(|(_, addresses)| addresses.contains(&name));
        let (secret, origin) =
            secrets.find_map(|(secret, _)| Some((secret, self.locked(secret)?)))?;
        Some(format!(
            "{secret} is set by {origin}, and what it is sent to, and how, is set beside it, not on \
             the page"
        ))
    }

    /// The configuration file that counts in the place of the one that the page saves.
    pub fn file_above_page(&self) -> Option<String> {
        let file = self.file.as_ref().filter(|file| file.level < Level::Page);
        let path = file.map(|file| file.path.display().to_string());
        // One that is named and cannot be read counts too.
        path.or_else(|| self.value("config"))
    }
}

/// The environment, and each `.env` below it.
pub(super) struct Variables<'a> {
    environment: &'a BTreeMap<String, String>,
    dotenvs: Vec<Dotenv>,
}

/// The variables of one `.env`.
struct Dotenv {
    level: Level,
    path: String,
    /// Each with its line.
    variables: BTreeMap<String, (String, usize)>,
}

impl Dotenv {
    fn read(text: &Text) -> Result<Self, ConfigError> {
        let variables = dotenv::parse(&text.bytes);
        let variables = variables.map_err(|error| ConfigError::dotenv(&text.path, error))?;
        Ok(Self {
            level: text.level,
            path: text.path.display().to_string(),
            variables: variables
                .into_iter()
                .map(|(name, value, line)| (name, (value, line)))
                .collect(),
        })
    }

    /// A value that names a file which the page saved, with that file's path.
    fn beside(&self, value: &str) -> String {
        if !value.starts_with(saved::SECRETS) {
            return value.to_owned();
        }
        let path = Path::new(&self.path).with_file_name(value);
        path.display().to_string()
    }
}

impl<'a> Variables<'a> {
    pub(super) fn read(input: &'a Input) -> Result<Self, ConfigError> {
        let dotenvs: Result<_, _> = input.dotenvs.iter().map(Dotenv::read).collect();
        Ok(Self {
            environment: &input.environment,
            dotenvs: dotenvs?,
        })
    }

    /// Without each `.env` that cannot be used.
    pub(super) fn as_far_as_they_go(input: &'a Input) -> Self {
        let dotenvs = input.dotenvs.iter();
        Self {
            environment: &input.environment,
            dotenvs: dotenvs.filter_map(|text| Dotenv::read(text).ok()).collect(),
        }
    }

    /// A variable that is set and not empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.environment(name).or_else(|| {
            let mut dotenvs = self.dotenvs.iter();
            let (value, _) = dotenvs.find_map(|dotenv| dotenv.variables.get(name))?;
            Some(value.as_str())
        })
    }

    /// The same, without any `.env`.
    pub(super) fn environment(&self, name: &str) -> Option<&str> {
        let value = self.environment.get(name)?;
        (!value.trim().is_empty()).then_some(value)
    }

    /// The variables that stand in any `.env`: whose it is, the place in words, the name, the
    /// value; by file and line.
    pub(super) fn of_dotenvs(&self) -> Vec<(Level, String, &str, &str)> {
        let mut all = Vec::new();
        for dotenv in &self.dotenvs {
            let lines = dotenv.variables.iter();
            let mut lines: Vec<_> = lines.collect();
            lines.sort_unstable_by_key(|(_, (_, line))| *line);
            all.extend(lines.into_iter().map(|(name, (value, line))| {
                let place = format!("{}, line {line}", dotenv.path);
                (dotenv.level, place, name.as_str(), value.as_str())
            }));
        }
        all
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

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            value,
            origin,
        } = self;
        write!(f, "{name} = {value} (from {origin})")
    }
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
    pub(super) fn read<T, E: fmt::Display>(
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

/// Whether a file of this level may give this setting: what says where files are cannot itself
/// stand in them.
pub(super) fn may_stand(name: &str, level: Level) -> bool {
    match name {
        "config-dir" | "package-dir" => false,
        "config" => level < Level::Page,
        "data-dir" => level < Level::DataDir,
        _ => true,
    }
}

fn find(
    setting: &Setting,
    input: &Input,
    variables: &Variables<'_>,
    in_file: Option<&(Place, Origin)>,
) -> Result<Option<(String, Origin)>, Problem> {
    let default = || {
        let extension = setting.in_extension.filter(|_| input.gives("package-dir"));
        let extension = extension.map(|value| (value, "default of the extension"));
        let (value, origin) = extension.or(setting.default.map(|value| (value, "default")))?;
        Some((value.to_owned(), Origin::outside(origin)))
    };
    Ok(given(setting, input, variables, in_file)?.or_else(default))
}

fn given(
    setting: &Setting,
    input: &Input,
    variables: &Variables<'_>,
    in_file: Option<&(Place, Origin)>,
) -> Result<Option<(String, Origin)>, Problem> {
    let above = above_page(setting, input, variables, in_file)?;
    // What nobody has edited yet must not keep the page from setting it.
    let counts = |(value, _): &(String, Origin)| !is_placeholder(value);
    if above.as_ref().is_some_and(counts) || !may_stand(setting.name, Level::Page) {
        return Ok(above);
    }
    let saved = at(Level::Page, setting, input, variables, in_file)?;
    Ok(saved.or(above))
}

fn above_page(
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
    if let Some(found) = by_variable(setting, &from_environment)? {
        return Ok(Some(found));
    }
    let levels = Level::ABOVE_PAGE.into_iter();
    for level in levels.filter(|level| may_stand(setting.name, *level)) {
        if let Some(found) = at(level, setting, input, variables, in_file)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What the files of this level give.
fn at(
    level: Level,
    setting: &Setting,
    input: &Input,
    variables: &Variables<'_>,
    in_file: Option<&(Place, Origin)>,
) -> Result<Option<(String, Origin)>, Problem> {
    for dotenv in variables.dotenvs.iter().filter(|d| d.level == level) {
        let from_dotenv = |variable: &str| {
            let (value, line) = dotenv.variables.get(variable)?;
            let origin = format!("{variable} in {}, line {line}", dotenv.path);
            let origin = Origin::outside(origin);
            if level == Level::Page {
                let origin = origin.saved(SavedIn::Dotenv(*line));
                return Some((dotenv.beside(value), origin));
            }
            Some((value.clone(), origin))
        };
        if let Some(found) = by_variable(setting, &from_dotenv)? {
            return Ok(Some(found));
        }
    }
    let file = input.file.as_ref().filter(|file| file.level == level);
    if let (Some(_), Some((place, origin))) = (file, in_file)
        && let Some(found) = from_file(setting.name, place, origin, variables)?
    {
        return Ok(Some(found));
    }
    let mut found = input.found.iter().filter(|found| found.level == level);
    let found = found.find(|found| found.setting == setting.name);
    Ok(found.map(|found| {
        let whose = match level {
            Level::DataDir => "the data directory",
            Level::ConfigDir | Level::WorkingDir => "CONFIG_DIR",
            Level::Page => SAVED,
        };
        (found.path.display().to_string(), Origin::outside(whose))
    }))
}

/// What the first of the setting's variables says that is set there.
fn by_variable(setting: &Setting, source: Source<'_>) -> Result<Option<(String, Origin)>, Problem> {
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
    Ok(None)
}

/// A problem with a setting; a line of the file may hold several.
fn problem(name: &str, origin: &Origin, what: impl fmt::Display) -> Problem {
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
    let unread = |what: &dyn fmt::Display| {
        Problem::new(origin, format!("{} cannot be read: {what}", path.display()))
    };
    // A pipe would hold the reader up.
    if std::fs::metadata(path).is_ok_and(|other| !other.is_file() && !other.is_dir()) {
        return Err(unread(&"it is no file"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unread(&error))?;
    let text = text.trim().to_owned();
    if text.is_empty() {
        return Err(Problem::new(origin, format!("{} is empty", path.display())));
    }
    if origin.saved_in().is_some() {
        return Ok((text, origin.clone()));
    }
    let origin = Origin::outside(format!("{origin} = {}", path.display()));
    Ok((text, origin))
}
