//! What the user asked for: flags, environment, `.env` and the configuration file, brought together
//! and checked.
//!
//! ```text
//! settings      the table of all settings
//! files         the files that settings are read from, and which wins
//! resolve       which value counts, and where it came from
//! dotenv        `.env`, read kindly
//! file          the configuration file
//! saved         what the page has saved, and how that is changed
//! sources       who sends besides Orbit
//! destinations  where events go: the integration URL and the file's destinations
//! subscriptions whether what destinations take exists, and comes to an end
//! loops         whether answers would go round
//! egress        what their URLs may name, and what they go through
//! describe      destinations as they are shown
//! gateway       the machine that a container runs on
//! orbit         Orbit and our webhook there
//! page          who may show the page in a frame, and log people in to it
//! parse         what each kind of value may look like
//! nearest       what somebody meant who wrote a wrong word
//! problem       what is wrong, and where
//! ```
//!
//! # Invariants
//! - What cannot be used is an error that names where it came from; nothing is guessed.
//! - All that is wrong is said at once.
//! - A secret is in no error.

mod describe;
mod destinations;
pub mod dotenv;
mod egress;
mod file;
mod files;
pub mod gateway;
mod loops;
mod nearest;
mod orbit;
mod page;
mod parse;
mod problem;
mod resolve;
pub mod saved;
pub mod settings;
mod sources;
mod subscriptions;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

pub use self::describe::ShownDestination;
use self::describe::{Described, NOT_SET};
use self::file::File;
pub use self::files::{Found, Level, Text};
use self::orbit::{backfill, remove_placeholders, tls, webhook};
pub use self::problem::{ConfigError, Problem, Problems};
pub use self::resolve::{Input, Shown};
use self::resolve::{Values, Variables, may_stand};
use self::sources::DescribedSource;
pub use self::sources::ShownSource;
use crate::event::TEST;
use crate::http::ServerFiles;
use crate::reconcile;
use crate::relay::deliver;
use crate::relay::destination::Auth;
use crate::relay::destination::presets::Preset;
use crate::relay::journal;
use crate::relay::receive::{self, WorkOrdersAuth};
use crate::secret::WebhookSecret;

const DEFAULT_OPS: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 22101);

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Orbit, if there is a host and a token for it.
    pub orbit: Option<crate::orbit::Config>,
    /// Where Orbit is, for whoever only looks; without a token its text is empty.
    pub orbit_host: Option<crate::orbit::Config>,
    /// The machine of this container, if it is one and has a default route.
    pub gateway: Option<IpAddr>,
    /// Whether the log gets the table of `check` at start and after each test payload.
    pub check_at_start: bool,
    /// How our webhook should be. Its port is set again when the listener has another.
    pub webhook: reconcile::webhook::Config,
    /// How Orbit is looked through for what the webhook missed.
    pub backfill: reconcile::backfill::Config,
    /// The webhook secret that was given; otherwise one is made and kept.
    pub secret: Option<WebhookSecret>,
    /// Why nothing can be accepted yet, if so.
    pub not_configured: Option<String>,
    /// Whether there are other sources, and nothing of Orbit is set: then they alone are wanted.
    pub sources_alone: bool,
    /// Where events come in.
    pub listen: SocketAddr,
    /// The certificate that is shown there; without one it is plain HTTP.
    pub tls: Option<ServerFiles>,
    /// Health and metrics.
    pub ops_listen: SocketAddr,
    /// Who may show the page in a frame, and log people in to it.
    pub page: Page,
    /// How old, or how early, a signature may be.
    pub max_age: Duration,
    /// The journal's place.
    pub data_dir: PathBuf,
    /// The asset map.
    pub asset_map: Option<PathBuf>,
    /// The sources besides Orbit.
    pub sources: Vec<receive::Source>,
    /// The proxies whose word counts on who calls.
    pub trusted_proxies: Vec<IpNet>,
    /// Where inspections go.
    pub destinations: Vec<deliver::Config>,
    /// Silence that is longer than this is trouble.
    pub expect_every: Option<Duration>,
    /// How long delivered events stay in the journal.
    pub keep_delivered: Duration,
    /// How many bytes the journal may take.
    pub journal_limit: u64,
    /// What Orbit's work-order integration shows; none: there is nothing for it.
    pub work_orders: Option<WorkOrdersAuth>,
    /// How the log looks.
    pub log: Log,
    /// Every setting and where it came from, for the log.
    pub shown: Vec<Shown>,
    /// Every source besides Orbit and where its keys came from.
    pub shown_sources: Vec<ShownSource>,
    /// Every destination and where its keys came from.
    pub shown_destinations: Vec<ShownDestination>,
    /// What the user should know, for the log.
    pub warnings: Vec<String>,
}

/// Who may show the page in a frame, and log people in to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// How browsers reach Orbit: origins.
    pub orbits: Vec<String>,
    /// The reverse proxies that log people in.
    pub proxies: Vec<IpNet>,
    /// The header in which they name the account, in lower case.
    pub proxy_header: Option<String>,
}

/// How the log looks.
#[derive(Clone, Debug)]
pub struct Log {
    /// JSON lines instead of text.
    pub json: bool,
    /// The least important line that is written.
    pub level: tracing::Level,
    /// Where its times are local.
    pub zone: jiff::tz::TimeZone,
}

/// The presets, each with what it makes, in a line.
pub fn presets() -> Vec<(&'static Preset, String)> {
    let all = file::preset::all().into_iter();
    all.map(|(preset, declared)| (preset, declared.about))
        .collect()
}

/// What somebody gives who uses a preset.
#[derive(Clone, Debug, Default, serde::Serialize)]
pub struct PresetFields {
    /// What it makes, in a line.
    pub about: String,
    /// Its settings.
    pub settings: Vec<PresetField>,
    /// Its secrets; all must be given.
    pub secrets: Vec<PresetField>,
}

/// A setting or a secret of a preset.
#[derive(Clone, Debug, serde::Serialize)]
pub struct PresetField {
    /// Its name.
    pub name: String,
    /// What it is.
    pub about: String,
    /// What it may look like.
    pub example: Option<String>,
    /// What holds where it is not given; none: it must be given.
    pub default: Option<serde_json::Value>,
}

/// What somebody gives who uses this preset.
pub fn preset_fields(name: &str) -> Option<PresetFields> {
    let mut all = file::preset::all().into_iter();
    let (_, declared) = all.find(|(preset, _)| preset.name == name)?;
    let settings = declared.settings.into_iter().map(|setting| PresetField {
        name: setting.name,
        about: setting.about,
        example: setting.example,
        default: setting
            .default
            .and_then(|default| serde_json::from_str(&default.to_string()).ok()),
    });
    let secrets = declared.secrets.into_iter();
    let secrets = secrets.map(|(name, about)| PresetField {
        name,
        about,
        example: None,
        default: None,
    });
    Some(PresetFields {
        about: declared.about,
        settings: settings.collect(),
        secrets: secrets.collect(),
    })
}

impl Config {
    /// Reads the configuration.
    pub fn load(input: &Input) -> Result<Self, ConfigError> {
        let (config, problems) = Self::read(input, &Variables::read(input)?);
        problems.into_result()?;
        Ok(config)
    }

    /// Reads as much as can be used, with the defaults for the rest, and says what is wrong: for
    /// whoever looks into that. What cannot be used may be left out as a whole.
    pub fn as_far_as_it_goes(input: &Input) -> (Self, Result<(), ConfigError>) {
        match Variables::read(input) {
            Ok(variables) => {
                let (config, problems) = Self::read(input, &variables);
                (config, problems.into_result())
            }
            Err(error) => {
                let (config, _) = Self::read(input, &Variables::as_far_as_they_go(input));
                (config, Err(error))
            }
        }
    }

    fn read(input: &Input, variables: &Variables<'_>) -> (Self, Problems) {
        let mut problems = Problems::default();
        let mut file = File::read(input, variables, &mut problems);
        let mut values = Values::find(input, variables, &file.settings, |_| true, &mut problems);
        let mut shown = shown(&values, &file);
        let mut warnings = Vec::new();
        let placeholders = remove_placeholders(&mut values);
        let machine = gateway::settle(&mut values, &input.routes, &mut shown, &mut problems);

        let secret = problems.of(values.read("webhook-secret", WebhookSecret::parse));
        let has_secret = secret.is_some();
        let where_to_set = orbit::where_to_set(input);
        let (orbit, orbit_host, not_configured) = orbit::orbit(
            &values,
            &placeholders,
            has_secret,
            &where_to_set,
            &mut problems,
        );
        let sources_alone = !file.sources.is_empty()
            && placeholders.is_empty()
            && ["hostname", "api-token", "webhook-secret"]
                .iter()
                .all(|name| values.get(name).is_none());
        let tls = tls(&values, &mut problems);
        let (webhook, port) = webhook(
            &values,
            tls.is_some(),
            machine,
            &mut warnings,
            &mut problems,
        );
        warnings.extend(uncounted(variables, &file, &values, input));

        let subscribed = webhook.events.clone();
        let polling = webhook.urls.is_empty();
        let backfill = backfill(&values, subscribed.clone(), polling, &mut problems);
        let mut forwarded = subscribed.clone();
        if switch(&values, "forward-test", &mut problems)
            && !forwarded.iter().any(|taken| taken == TEST)
        {
            forwarded.push(TEST.to_owned());
        }
        let described = destinations::all(&values, forwarded, &mut file, variables, &mut problems);
        warnings.extend(subscriptions::unsubscribed(&described, &subscribed));
        warnings.extend(subscriptions::nothing_fits(&described, &file.sources));
        warnings.extend(sources::insecure(&file.sources));
        warnings.extend(sources::short_secrets(&file.sources));
        sources::refuse(&file.sources, &mut problems);
        subscriptions::refuse(&described, &file.sources, &mut problems);
        let of = &mut problems;
        let bind = of.of(values.read("bind", parse::ip));
        let bind = bind.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
        let ops_listen = of.of(values.read("ops-bind", parse::socket));
        let meet = |ops: SocketAddr| {
            let anywhere = ops.ip().is_unspecified() || bind.is_unspecified();
            ops.port() == port && port != 0 && (anywhere || ops.ip() == bind)
        };
        if ops_listen.is_some_and(meet) {
            let same = format!("port {port} is the webhook port; choose another");
            of.of(values.read("ops-bind", |_| Err::<(), _>(same)));
        }
        let max_age = of.of(values.read("max-age", parse::duration));
        let keep_delivered = of.of(values.read("keep-delivered", parse::duration));
        let journal_limit = of.of(values.read("journal-limit", parse::journal_limit));
        let work_orders = of.of(values.read("work-orders-auth", work_orders_auth));
        let page = page::page(&values, of);
        let log = log(&values, &mut warnings, of);

        // What has a default is there, or there was a problem with it.
        let config = Self {
            orbit,
            orbit_host,
            gateway: input.routes.gateway(),
            check_at_start: true,
            listen: SocketAddr::new(bind, port),
            tls,
            webhook,
            backfill,
            secret,
            not_configured,
            sources_alone,
            ops_listen: ops_listen.unwrap_or(DEFAULT_OPS),
            page,
            max_age: max_age.unwrap_or(Duration::from_mins(5)),
            data_dir: path(&values, "data-dir").unwrap_or_else(|| "./data".into()),
            asset_map: path(&values, "asset-map"),
            shown_destinations: described.iter().map(Described::show).collect(),
            shown_sources: file.sources.iter().map(DescribedSource::show).collect(),
            sources: file.sources.into_iter().map(|s| s.config).collect(),
            trusted_proxies: file.trusted_proxies.map_or_else(Vec::new, |(all, _)| all),
            destinations: described.into_iter().map(|d| d.config).collect(),
            expect_every: file.expect_every.map(|(every, _)| every),
            keep_delivered: keep_delivered.unwrap_or(journal::Config::KEEP_DELIVERED),
            journal_limit: journal_limit.unwrap_or(journal::Config::LIMIT_BYTES),
            work_orders,
            log,
            shown,
            warnings,
        };
        (config, problems)
    }

    /// Reads only what a command needs that looks at the journal.
    pub fn data_dir(input: &Input) -> Result<PathBuf, ConfigError> {
        Ok(Self::only(input, "data-dir")?.unwrap_or_else(|| "./data".into()))
    }

    /// Reads only where the asset map is.
    pub fn asset_map(input: &Input) -> Result<Option<PathBuf>, ConfigError> {
        Self::only(input, "asset-map")
    }

    fn only(input: &Input, name: &str) -> Result<Option<PathBuf>, ConfigError> {
        let variables = Variables::read(input)?;
        let mut problems = Problems::default();
        let wanted = |setting: &settings::Setting| setting.name == name;
        let file = File::settings(input, wanted, &mut problems);
        let values = Values::find(input, &variables, &file, wanted, &mut problems);
        problems.into_result()?;
        Ok(path(&values, name))
    }

    /// The same, as far as what was read can be used.
    fn data_dir_of(input: &Input) -> PathBuf {
        input
            .value("data-dir")
            .unwrap_or_else(|| "./data".into())
            .into()
    }

    /// Where health and metrics are, whatever else is wrong with the configuration.
    pub fn ops_bind(input: &Input) -> Result<SocketAddr, String> {
        let Some((value, origin)) = input.given("ops-bind") else {
            return Ok(DEFAULT_OPS);
        };
        parse::socket(&value).map_err(|error| format!("{origin}: {error}"))
    }

    /// Whether a configuration file is TOML and has no unknown setting. What it names, such as
    /// variables and other files, is not looked at: they are on another machine.
    pub fn file_is_plain(name: &str, text: &[u8]) -> Result<(), ConfigError> {
        let input = Input {
            file: Some(Text {
                level: Level::ConfigDir,
                path: name.into(),
                bytes: text.to_vec(),
            }),
            ..Input::default()
        };
        let mut problems = Problems::default();
        File::settings(&input, |_| true, &mut problems);
        problems.into_result()
    }

    /// The types of all that the relay itself has to say to destinations.
    pub fn own_types(&self) -> Vec<String> {
        subscriptions::own_types(self.destinations.iter())
    }

    /// Every setting there is, also those that are not set.
    pub fn shown_settings(&self) -> Vec<Shown> {
        let names = settings::SETTINGS.iter().map(|setting| setting.name);
        names
            .chain(NO_SETTINGS)
            .map(|name| {
                let set = self.shown.iter().find(|shown| shown.name == name);
                set.cloned().unwrap_or_else(|| Shown {
                    name: name.to_owned(),
                    value: NOT_SET.to_owned(),
                    origin: "default".to_owned(),
                })
            })
            .collect()
    }
}

/// What can stand in the file only.
const NO_SETTINGS: [&str; 3] = ["notify", "expect-every", "trusted-proxies"];

fn shown(values: &Values, file: &File) -> Vec<Shown> {
    let mut shown = values.shown();
    let [notify, expect_every, trusted_proxies] = NO_SETTINGS;
    if let Some((_, origin)) = file.notify.first() {
        let names: Vec<_> = file.notify.iter().map(|(name, _)| name.as_str()).collect();
        shown.push(Shown {
            name: notify.to_owned(),
            value: names.join(","),
            origin: origin.to_string(),
        });
    }
    if let Some((every, origin)) = &file.expect_every {
        shown.push(Shown {
            name: expect_every.to_owned(),
            value: describe::duration(*every),
            origin: origin.to_string(),
        });
    }
    if let Some((networks, origin)) = &file.trusted_proxies {
        shown.push(Shown {
            name: trusted_proxies.to_owned(),
            value: sources::listed(networks),
            origin: origin.to_string(),
        });
    }
    shown
}

fn switch(values: &Values, name: &str, problems: &mut Problems) -> bool {
    problems
        .of(values.read(name, parse::switch))
        .unwrap_or_default()
}

/// What stands in a file and does not count there. A variable of `.env` that is no setting, and
/// that the configuration file does not name, is probably a misspelt one.
fn uncounted(
    variables: &Variables<'_>,
    file: &File,
    values: &Values,
    input: &Input,
) -> Vec<String> {
    let data_dir = values.get("data-dir").map(|(dir, _)| dir);
    let mut warnings = Vec::new();
    for (level, place, variable, value) in variables.of_dotenvs() {
        let Some(setting) = settings::of_variable(variable) else {
            if !file.variables.contains(variable) {
                warnings.push(format!("{place}: {variable} is no setting of orbit-relay"));
            }
            continue;
        };
        if !may_stand(setting.name, level) && (setting.name, Some(value)) != ("data-dir", data_dir)
        {
            warnings.push(format!(
                "{place}: {variable} does not count here: set it in the environment, or by --{}",
                setting.name
            ));
        }
    }
    let in_data_dir = input
        .file
        .as_ref()
        .is_some_and(|f| f.level >= Level::DataDir);
    if let Some((_, origin)) = file.settings.get("data-dir").filter(|_| in_data_dir) {
        warnings.push(format!(
            "{origin}: `data_dir` does not count here: the file lies in the data directory, or is \
             named by what does"
        ));
    }
    warnings
}

/// One header: that is all that Orbit's integration can show.
fn work_orders_auth(text: &str) -> Result<WorkOrdersAuth, String> {
    let Ok(Auth::Header { name, value }) = Auth::parse(text) else {
        return Err(
            "write `Header-Name: value`, as in the work-order settings of Orbit".to_owned(),
        );
    };
    let value = value.current().map_err(|error| error.to_string())?;
    if value.expose().is_empty() {
        return Err("the header has no value".to_owned());
    }
    Ok(WorkOrdersAuth {
        header: name.as_str().to_owned(),
        value,
    })
}

fn path(values: &Values, name: &str) -> Option<PathBuf> {
    values.get(name).map(|(path, _)| PathBuf::from(path))
}

fn log(values: &Values, warnings: &mut Vec<String>, problems: &mut Problems) -> Log {
    let json = values.read("log-format", |text| {
        word(text, &[("text", false), ("json", true)])
    });
    let level = values.read("log-level", |text| {
        text.trim().parse::<tracing::Level>().or_else(|_| {
            let levels = ["error", "warn", "info", "debug", "trace"];
            word(text, &levels.map(|level| (level, tracing::Level::INFO)))
        })
    });
    // Others set `TZ` too, and not for us: how the log looks keeps no relay from starting.
    let zone = values.read("time-zone", parse::time_zone);
    let zone = zone.unwrap_or_else(|problem| {
        warnings.push(format!("{problem}; times in the log are UTC"));
        None
    });
    Log {
        json: problems.of(json).unwrap_or(false),
        level: problems.of(level).unwrap_or(tracing::Level::INFO),
        zone: zone.unwrap_or(jiff::tz::TimeZone::UTC),
    }
}

/// One of these words.
fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text.trim());
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let listed = match names.split_last() {
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        };
        let meant = nearest::nearest(text.trim(), names)
            .map(|right| format!("; did you mean `{right}`?"))
            .unwrap_or_default();
        format!("`{}` is not {listed}{meant}", text.trim())
    })
}

#[cfg(test)]
mod tests;
