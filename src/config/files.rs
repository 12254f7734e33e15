//! Which files the settings are read from, and which of them wins.
//!
//! # Invariants
//! - What lies in the working directory wins over `CONFIG_DIR`, and that over the data directory; in
//!   one of them `.env` wins over the configuration file, and that over an asset map that is there.
//!   What the page saved comes last, and of it no configuration file where there is another one.
//! - A file that is not there is no error, unless somebody named it.
//! - No file is opened that is not needed for what is wanted.

use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::Config;
use super::problem::{ConfigError, Origin, Problems};
use super::resolve::Input;

/// The directory that a file belongs to, the one that wins first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The working directory.
    WorkingDir,
    /// `CONFIG_DIR`, and a configuration file that is named.
    ConfigDir,
    /// The data directory, with what `PACKAGE_DIR` brings.
    DataDir,
    /// What the page saved.
    Page,
}

impl Level {
    /// All that win over what the page saved, in their order.
    pub(super) const ABOVE_PAGE: [Self; 3] = [Self::WorkingDir, Self::ConfigDir, Self::DataDir];
}

/// A file that was read.
#[derive(Clone)]
pub struct Text {
    /// Whose it is.
    pub level: Level,
    /// Its path as it is shown.
    pub path: PathBuf,
    /// What it holds: maybe secrets.
    pub bytes: Vec<u8>,
}

/// A file that counts because it is there: nobody named one.
#[derive(Clone)]
pub struct Found {
    /// Whose it is.
    pub level: Level,
    /// The setting that would have named it.
    pub setting: &'static str,
    /// Its path.
    pub path: PathBuf,
}

pub(super) const DOTENV: &str = ".env";
/// No `.env` and no configuration file is larger.
pub(super) const LARGEST: u64 = 1024 * 1024;
pub(super) const FILE: &str = "relay.toml";
const ASSET_MAP: &str = "assets.csv";
/// The folder of the data directory that holds what the page saved.
pub(super) const PAGE: &str = "page";

impl Input {
    /// Reads all that may hold settings; with a problem for each file that cannot be read.
    pub fn read_files(&mut self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        self.read(|_| false, &mut problems);
        self.read_below(|_| false, &mut problems);
        self.read_page(|_| false, &mut problems);
        problems.into_result()
    }

    /// The same without what the page saved.
    pub fn read_above_page(&mut self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        self.read(|_| false, &mut problems);
        self.read_below(|_| false, &mut problems);
        problems.into_result()
    }

    /// The same with the asset map of the page, but nothing else that it saved.
    pub fn read_all_but_saved(&mut self) -> Result<(), ConfigError> {
        self.read_above_page()?;
        self.add_page(None, None);
        Ok(())
    }

    /// Lays this below all that was read, as what the page saved.
    pub(super) fn add_page(&mut self, dotenv: Option<Text>, file: Option<Text>) {
        self.dotenvs.extend(dotenv);
        if self.file_of_page_counts() {
            self.file = file;
        }
        let map = Config::data_dir_of(self).join(PAGE).join(ASSET_MAP);
        self.find(Level::Page, "asset-map", map, &mut Problems::default());
    }

    /// Reads no more than is needed to know where the data directory is.
    pub fn read_for_data_dir(&mut self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        self.read(|input| input.gives("data-dir"), &mut problems);
        problems.into_result()
    }

    /// Reads no more than is needed to know this setting. What cannot be read is left out.
    pub fn read_for(&mut self, name: &str) {
        let mut unheard = Problems::default();
        self.read(|input| input.gives(name), &mut unheard);
        self.read_below(|input| input.gives(name), &mut unheard);
        self.read_page(|input| input.gives(name), &mut unheard);
    }

    /// The working directory, and `CONFIG_DIR`.
    fn read(&mut self, enough: impl Fn(&Self) -> bool, problems: &mut Problems) {
        if enough(self) {
            return;
        }
        self.read_dotenv(Level::WorkingDir, Path::new(DOTENV), problems);
        let dir = self.config_dir();
        if let Some(dir) = &dir
            && !enough(self)
        {
            self.read_dotenv(Level::ConfigDir, &dir.join(DOTENV), problems);
        }
        if !enough(self) {
            self.read_file(Level::ConfigDir, dir.as_deref(), problems);
        }
        if let Some(dir) = dir {
            self.find(Level::ConfigDir, "asset-map", dir.join(ASSET_MAP), problems);
        }
    }

    /// The data directory, which all else may name.
    fn read_below(&mut self, enough: impl Fn(&Self) -> bool, problems: &mut Problems) {
        if enough(self) {
            return;
        }
        let dir = Config::data_dir_of(self);
        // One that cannot be entered is the journal's affair, which waits until it can.
        let dir = std::fs::metadata(dir.join(".")).is_ok().then_some(dir);
        let package = self.package_dotenv().filter(|path| !is_missing(path));
        let dotenv = package.or_else(|| Some(dir.as_ref()?.join(DOTENV)));
        if let Some(path) = dotenv {
            self.read_dotenv(Level::DataDir, &path, problems);
        }
        if !enough(self) && self.file.is_none() {
            self.read_file(Level::DataDir, dir.as_deref(), problems);
        }
        if let Some(dir) = dir {
            self.find(Level::DataDir, "asset-map", dir.join(ASSET_MAP), problems);
        }
    }

    /// What the page saved.
    fn read_page(&mut self, enough: impl Fn(&Self) -> bool, problems: &mut Problems) {
        if enough(self) {
            return;
        }
        let dir = Config::data_dir_of(self).join(PAGE);
        if std::fs::metadata(dir.join(".")).is_err() {
            return;
        }
        self.read_dotenv(Level::Page, &dir.join(DOTENV), problems);
        if !enough(self) && self.file_of_page_counts() {
            let (level, path) = (Level::Page, dir.join(FILE));
            let origin = Origin::outside(path.display().to_string());
            let bytes = problems.of(read(&path, &origin));
            self.file = bytes.map(|bytes| Text { level, path, bytes });
        }
        self.find(Level::Page, "asset-map", dir.join(ASSET_MAP), problems);
    }

    /// One configuration file counts, as a whole.
    fn file_of_page_counts(&self) -> bool {
        self.file.is_none() && !self.gives("config")
    }

    /// The `.env` that a package brings, whether it is there or not.
    pub fn package_dotenv(&self) -> Option<PathBuf> {
        let dir = self.value("package-dir")?;
        Some(Path::new(&dir).join(DOTENV))
    }

    /// Where that is kept.
    pub fn kept_dotenv(&self) -> PathBuf {
        Config::data_dir_of(self).join(DOTENV)
    }

    /// The directory that is watched.
    pub fn config_dir(&self) -> Option<PathBuf> {
        self.value("config-dir").map(PathBuf::from)
    }

    fn read_dotenv(&mut self, level: Level, path: &Path, problems: &mut Problems) {
        let origin = Origin::outside(path.display().to_string());
        if let Some(bytes) = problems.of(read(path, &origin)) {
            self.dotenvs.push(Text {
                level,
                path: path.to_owned(),
                bytes,
            });
        }
    }

    /// The file that is named so far, else the one that lies in this directory.
    fn read_file(&mut self, level: Level, dir: Option<&Path>, problems: &mut Problems) {
        let (path, bytes) = if let Some((path, origin)) = self.given("config") {
            let path = PathBuf::from(path);
            let bytes = whole(&path).map_err(|error| {
                problems.note(&origin, unreadable(&format!("{} ", path.display()), &error));
            });
            (path, bytes.ok())
        } else if let Some(dir) = dir {
            let path = dir.join(FILE);
            let origin = Origin::outside(path.display().to_string());
            let bytes = problems.of(read(&path, &origin));
            if bytes.is_some() {
                let (setting, path) = ("config", path.clone());
                self.found.push(Found {
                    level,
                    setting,
                    path,
                });
            }
            (path, bytes)
        } else {
            return;
        };
        self.file = bytes.map(|bytes| Text { level, path, bytes });
    }

    fn find(
        &mut self,
        level: Level,
        setting: &'static str,
        path: PathBuf,
        problems: &mut Problems,
    ) {
        match std::fs::metadata(&path) {
            Ok(_) => self.found.push(Found {
                level,
                setting,
                path,
            }),
            Err(error) if is_absence(&error) => {}
            Err(error) => {
                let origin = Origin::outside(path.display().to_string());
                problems.note(&origin, unreadable("", &error));
            }
        }
    }
}

fn read(path: &Path, origin: &Origin) -> Result<Option<Vec<u8>>, super::Problem> {
    match whole(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => Err(super::Problem::new(origin, unreadable("", &error))),
    }
}

/// What stands in a file. A pipe or a device would hold the reader up, or never end.
fn whole(path: &Path) -> std::io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is no file"));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > LARGEST) {
        return Err(std::io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}

fn unreadable(path: &str, error: &std::io::Error) -> String {
    let what_to_do = match error.kind() {
        ErrorKind::PermissionDenied => {
            let process = std::fs::metadata("/proc/self");
            let whom = process.map_or("this user".to_owned(), |us| format!("uid {}", us.uid()));
            format!("; make it readable for {whom}, and its directory searchable")
        }
        _ => String::new(),
    };
    format!("{path}cannot be read: {error}{what_to_do}")
}

fn is_missing(path: &Path) -> bool {
    matches!(std::fs::metadata(path), Err(error) if is_absence(&error))
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::gateway::Routes;

    /// Directories for the configuration, the data and the package, and an input that names them.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            for dir in ["config", "data", "package"] {
                std::fs::create_dir(home.path(dir)).unwrap();
            }
            home
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            std::fs::write(self.path(path), text).unwrap();
        }

        fn remove(&self, path: &str) {
            std::fs::remove_file(self.path(path)).unwrap();
        }

        fn input(&self, more: &[(&str, &str)]) -> Input {
            let dirs = [
                ("CONFIG_DIR", "config"),
                ("DATA_DIR", "data"),
                ("PACKAGE_DIR", "package"),
            ];
            let dirs = dirs.map(|(name, dir)| (name.to_owned(), self.shown(dir)));
            let more = more.iter();
            let more = more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Input {
                environment: dirs.into_iter().chain(more).collect(),
                routes: Routes {
                    ipv4: "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0".to_owned(),
                    in_container: true,
                    ..Routes::default()
                },
                ..Input::default()
            }
        }

        fn shown(&self, path: &str) -> String {
            self.path(path).display().to_string()
        }

        fn load(&self, more: &[(&str, &str)]) -> Result<Config, ConfigError> {
            let mut input = self.input(more);
            input.read_files()?;
            Config::load(&input)
        }

        /// A setting's value and origin, with this home's path left out.
        fn setting(&self, name: &str, more: &[(&str, &str)]) -> (String, String) {
            let config = self.load(more).unwrap();
            let shown = config.shown_settings();
            let shown = shown.into_iter().find(|shown| shown.name == name).unwrap();
            let plain = |text: String| text.replace(&format!("{}/", self.shown("")), "");
            let plain = |text| plain(text).replace(&self.shown(""), "");
            (plain(shown.value), plain(shown.origin))
        }
    }

    #[test]
    fn each_directory_wins_over_the_next_and_in_one_of_them_dotenv_over_the_file() {
        let home = Home::new();
        home.write("config/.env", "\nMAX_AGE=2m\n");
        home.write("config/relay.toml", "max_age = \"3m\"\n");
        home.write("data/.env", "MAX_AGE=4m\n");
        home.write("data/relay.toml", "max_age = \"5m\"\n");
        let of = |more: &[_]| home.setting("max-age", more);
        let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
        assert_eq!(of(&[("MAX_AGE", "1m")]), pair("1m", "MAX_AGE"));
        let from_dotenv = pair("2m", "MAX_AGE in config/.env, line 2");
        assert_eq!(of(&[("MAX_AGE", "")]), from_dotenv, "empty is not set");
        home.write("config/.env", "MAX_AGE=\n");
        assert_eq!(of(&[]), pair("3m", "config/relay.toml:1"));
        home.write("config/relay.toml", "max_age = \"\"\n");
        assert_eq!(of(&[]), pair("4m", "MAX_AGE in data/.env, line 1"));
        home.remove("data/.env");
        assert_eq!(of(&[]), pair("5m", "default"), "only one file is read");
        home.remove("config/relay.toml");
        assert_eq!(of(&[]), pair("5m", "data/relay.toml:1"));
    }

    #[test]
    fn a_file_that_is_named_stands_in_the_place_of_the_one_in_config_dir() {
        let home = Home::new();
        home.write("named.toml", "max_age = \"3m\"\n");
        home.write("config/relay.toml", "max_age = \"4m\"\n");
        home.write("data/.env", "MAX_AGE=5m\n");
        let named = home.shown("named.toml");
        let (value, _) = home.setting("max-age", &[("RELAY_CONFIG", &named)]);
        assert_eq!(value, "3m");
        assert_eq!(home.setting("config", &[]).1, "CONFIG_DIR");
        home.write("data/.env", &format!("RELAY_CONFIG={named}\nMAX_AGE=5m\n"));
        assert_eq!(home.setting("max-age", &[]).0, "4m");
        home.remove("config/relay.toml");
        assert_eq!(home.setting("max-age", &[]).0, "5m");
        assert_eq!(home.setting("config", &[]).0, "named.toml");
    }

    #[test]
    fn an_asset_map_is_found_where_none_is_set() {
        let home = Home::new();
        let of = |more: &[_]| home.setting("asset-map", more);
        assert_eq!(of(&[]).0, "(not set)");
        home.write("data/assets.csv", "");
        let found = (
            "data/assets.csv".to_owned(),
            "the data directory".to_owned(),
        );
        assert_eq!(of(&[]), found);
        home.write("config/assets.csv", "");
        let found = ("config/assets.csv".to_owned(), "CONFIG_DIR".to_owned());
        assert_eq!(of(&[]), found);
        home.write("data/.env", "ASSET_MAP=elsewhere.csv\n");
        assert_eq!(of(&[]), found, "what is in CONFIG_DIR wins");
        assert_eq!(of(&[("ASSET_MAP", "mine.csv")]).0, "mine.csv");
    }

    #[test]
    fn what_is_no_file_or_too_large_is_named_and_holds_nobody_up() {
        let home = Home::new();
        let pipe = home.path("config/.env");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        let error = home.load(&[]).unwrap_err().to_string();
        assert!(error.contains("cannot be read: it is no file"), "{error}");
        home.remove("config/.env");
        home.write("config/.env", &"#".repeat(1024 * 1024 + 1));
        let error = home.load(&[]).unwrap_err().to_string();
        assert!(error.contains("larger than 1 MiB"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_no_error_and_what_cannot_be_read_is_named_with_what_to_do() {
        let home = Home::new();
        for (name, value) in [
            ("CONFIG_DIR", home.shown("nowhere")),
            ("DATA_DIR", home.shown("nowhere/data")),
            ("PACKAGE_DIR", home.shown("nowhere")),
        ] {
            assert!(home.load(&[(name, &value)]).is_ok(), "{name}");
        }
        for name in [".env", "relay.toml"] {
            for dir in ["config", "data"] {
                let path = format!("{dir}/{name}");
                std::fs::create_dir(home.path(&path)).unwrap();
                let error = home.load(&[]).unwrap_err().to_string();
                let start = format!("{}: cannot be read: ", home.shown(&path));
                assert!(error.starts_with(&start), "{error}");
                std::fs::remove_dir(home.path(&path)).unwrap();
            }
        }
        let denied = unreadable("", &ErrorKind::PermissionDenied.into());
        assert!(denied.contains("make it readable for uid "), "{denied}");
    }

    #[test]
    fn a_line_of_any_dotenv_that_cannot_be_used_is_named_with_its_file() {
        let home = Home::new();
        for path in ["config/.env", "data/.env"] {
            home.write(path, "A=1\nWEBHOOK_SECRET='canary\n");
            let error = home.load(&[]).unwrap_err().to_string();
            let start = format!("{}: line 2: WEBHOOK_SECRET: ", home.shown(path));
            assert!(error.starts_with(&start), "{error}");
            assert!(!error.contains("canary"), "{error}");
            home.remove(path);
        }
    }

    #[test]
    fn what_says_where_files_are_cannot_stand_in_them() {
        let home = Home::new();
        let elsewhere = home.shown("elsewhere");
        home.write(
            "data/.env",
            &format!("DATA_DIR={elsewhere}\nCONFIG_DIR=x\nPACKAGE_DIR=y\n"),
        );
        let config = home.load(&[("WEBHOOK_HOST", "localhost")]).unwrap();
        assert_eq!(config.data_dir, home.path("data"));
        let warnings = config.warnings.join("\n");
        for name in ["DATA_DIR", "CONFIG_DIR", "PACKAGE_DIR"] {
            assert!(
                warnings.contains(&format!("{name} does not count here")),
                "{warnings}"
            );
        }
        home.write("data/.env", &format!("DATA_DIR={}\n", home.shown("data")));
        let config = home.load(&[("WEBHOOK_HOST", "localhost")]).unwrap();
        assert_eq!(config.warnings, [""; 0], "it says the same");
        home.write("data/relay.toml", &format!("data_dir = {elsewhere:?}\n"));
        let config = home.load(&[("WEBHOOK_HOST", "localhost")]).unwrap();
        assert_eq!(config.data_dir, home.path("data"));
        assert!(config.warnings[0].contains("`data_dir` does not count here"));
        home.write("config/relay.toml", "config_dir = \"x\"\n");
        let error = home.load(&[]).unwrap_err().to_string();
        assert!(error.contains("unknown key `config_dir`"), "{error}");
    }

    #[test]
    fn for_the_data_directory_no_more_is_opened_than_is_needed() {
        let home = Home::new();
        // What is a directory cannot be read, as a file of somebody else's.
        for path in ["config/relay.toml", "data/.env", "data/relay.toml"] {
            std::fs::create_dir(home.path(path)).unwrap();
        }
        let mut given = home.input(&[]);
        std::fs::create_dir(home.path("config/.env")).unwrap();
        given.read_for_data_dir().unwrap();
        assert_eq!(Config::data_dir(&given).unwrap(), home.path("data"));
        std::fs::remove_dir(home.path("config/.env")).unwrap();
        home.write("config/.env", &format!("DATA_DIR={}\n", home.shown("data")));
        let mut input = home.input(&[("DATA_DIR", "")]);
        input.read_for_data_dir().unwrap();
        assert_eq!(Config::data_dir(&input).unwrap(), home.path("data"));
        assert!(input.file.is_none() && input.dotenvs.len() == 1);
        home.write("config/.env", "");
        let mut input = home.input(&[("DATA_DIR", "")]);
        assert!(input.read_for_data_dir().is_err(), "the file may name it");
    }

    #[test]
    fn a_packages_dotenv_counts_before_the_one_that_was_kept() {
        let home = Home::new();
        home.write("data/.env", "MAX_AGE=4m\n");
        home.write("package/.env", "MAX_AGE=3m\n");
        let (value, origin) = home.setting("max-age", &[]);
        assert_eq!(
            (&*value, &*origin),
            ("3m", "MAX_AGE in package/.env, line 1")
        );
        home.remove("package/.env");
        assert_eq!(home.setting("max-age", &[]).0, "4m");
    }

    #[test]
    fn where_health_is_found_whatever_else_is_wrong() {
        let home = Home::new();
        home.write("config/.env", "WEBHOOK_SECRET='open\n");
        home.write(
            "config/relay.toml",
            "ops_bind = \"0.0.0.0:1\"\nnonsense = 1\n",
        );
        let mut input = home.input(&[("MAX_AGE", "nonsense")]);
        input.read_for("ops-bind");
        assert_eq!(Config::ops_bind(&input).unwrap().to_string(), "0.0.0.0:1");
        let mut input = home.input(&[("OPS_BIND", "127.0.0.1:2")]);
        input.read_for("ops-bind");
        assert!(input.dotenvs.is_empty() && input.file.is_none());
        assert_eq!(Config::ops_bind(&input).unwrap().to_string(), "127.0.0.1:2");
    }
}
