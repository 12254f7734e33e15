//! What the user asked for: flags, environment, `.env` and the configuration file, brought together
//! and checked.
//!
//! ```text
//! settings      the table of all settings
//! resolve       which value counts, and where it came from
//! dotenv        `.env`, read kindly
//! file          the configuration file
//! destinations  where events go: the integration URL and the file's destinations
//! egress        what their URLs may name, and what they go through
//! describe      destinations as they are shown
//! gateway       the machine that a container runs on
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
pub mod gateway;
mod nearest;
mod parse;
mod problem;
mod resolve;
pub mod settings;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use self::describe::ShownDestination;
use self::describe::{Described, NOT_SET};
use self::file::File;
pub use self::problem::{ConfigError, Problem, Problems};
pub use self::resolve::{Input, Shown};
use self::resolve::{Values, Variables};
use crate::event::TEST;
use crate::http::{ServerFiles, Trust};
use crate::reconcile::webhook::{Machine, Manage, OnExit};
use crate::relay::deliver;
use crate::relay::destination::Auth;
use crate::relay::journal;
use crate::relay::receive::WorkOrdersAuth;
use crate::secret::{Secret, WebhookSecret};
use crate::{orbit, reconcile};

/// What stands in the official example's `.env` until somebody edits it.
const PLACEHOLDERS: [&str; 3] = ["YOUR_SECRET", "YOUR_API_TOKEN", "YOUR_BACKEND_URL"];

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Orbit, if there is a host and a token for it.
    pub orbit: Option<orbit::Config>,
    /// Where Orbit is, for whoever only looks; without a token its text is empty.
    pub orbit_host: Option<orbit::Config>,
    /// The gateway of the default route, if there is one.
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
    /// Where events come in.
    pub listen: SocketAddr,
    /// The certificate that is shown there; without one it is plain HTTP.
    pub tls: Option<ServerFiles>,
    /// Health and metrics.
    pub ops_listen: SocketAddr,
    /// How old, or how early, a signature may be.
    pub max_age: Duration,
    /// The journal's place.
    pub data_dir: PathBuf,
    /// The asset map.
    pub asset_map: Option<PathBuf>,
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
    /// Every destination and where its keys came from.
    pub shown_destinations: Vec<ShownDestination>,
    /// What the user should know, for the log.
    pub warnings: Vec<String>,
}

/// How the log looks.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// JSON lines instead of text.
    pub json: bool,
    /// The least important line that is written.
    pub level: tracing::Level,
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
                let (config, _) = Self::read(input, &Variables::without_dotenv(input));
                (config, Err(error.into()))
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
        let gateway = input.routes.gateway();
        let machine = gateway::settle(&mut values, gateway, &mut shown, &mut problems);

        let secret = problems.of(values.read("webhook-secret", WebhookSecret::parse));
        let (orbit, orbit_host, not_configured) =
            orbit(&values, &placeholders, secret.is_some(), &mut problems);
        let tls = tls(&values, &mut problems);
        let (webhook, port) = webhook(
            &values,
            tls.is_some(),
            machine,
            &mut warnings,
            &mut problems,
        );
        warnings.extend(unknown_variables(variables, &file));

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
        warnings.extend(destinations::unsubscribed(&described, &subscribed));
        let of = &mut problems;
        let bind = of.of(values.read("bind", parse::ip));
        let bind = bind.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into());
        let ops_listen = of.of(values.read("ops-bind", parse::socket));
        let max_age = of.of(values.read("max-age", parse::duration));
        let keep_delivered = of.of(values.read("keep-delivered", parse::duration));
        let journal_limit = of.of(values.read("journal-limit", parse::journal_limit));
        let work_orders = of.of(values.read("work-orders-auth", work_orders_auth));
        let log = log(&values, of);

        // What has a default is there, or there was a problem with it.
        let config = Self {
            orbit,
            orbit_host,
            gateway,
            check_at_start: true,
            listen: SocketAddr::new(bind, port),
            tls,
            webhook,
            backfill,
            secret,
            not_configured,
            ops_listen: ops_listen.unwrap_or((std::net::Ipv4Addr::LOCALHOST, 22101).into()),
            max_age: max_age.unwrap_or(Duration::from_mins(5)),
            data_dir: path(&values, "data-dir").unwrap_or_else(|| "./data".into()),
            asset_map: path(&values, "asset-map"),
            shown_destinations: described.iter().map(Described::show).collect(),
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
        let variables = Variables::read(input)?;
        let mut problems = Problems::default();
        let wanted = |setting: &settings::Setting| setting.name == "data-dir";
        let file = File::settings(input, wanted, &mut problems);
        let values = Values::find(input, &variables, &file, wanted, &mut problems);
        problems.into_result()?;
        Ok(path(&values, "data-dir").unwrap_or_else(|| "./data".into()))
    }

    /// The configuration file that is to be read, and who named it.
    pub fn file(input: &Input) -> Result<Option<(PathBuf, String)>, ConfigError> {
        let variables = Variables::read(input)?;
        let mut problems = Problems::default();
        let none = file::Given::new();
        let wanted = |setting: &settings::Setting| setting.name == "config";
        let values = Values::find(input, &variables, &none, wanted, &mut problems);
        problems.into_result()?;
        Ok(values
            .get("config")
            .map(|(path, origin)| (PathBuf::from(path), origin.to_string())))
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
const NO_SETTINGS: [&str; 2] = ["notify", "expect-every"];

fn shown(values: &Values, file: &File) -> Vec<Shown> {
    let mut shown = values.shown();
    let [notify, expect_every] = NO_SETTINGS;
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
    shown
}

/// Orbit, or why nothing can be accepted without it.
fn orbit(
    values: &Values,
    placeholders: &[String],
    secret: bool,
    problems: &mut Problems,
) -> (Option<orbit::Config>, Option<orbit::Config>, Option<String>) {
    let host = problems.of(values.read("hostname", parse::host));
    let trust = problems.of(values.read("verify", parse::trust));
    let certificate = problems.of(values.read("cert", parse::certificate));
    let token = problems.of(values.read("api-token", token));
    let polling = values
        .get("webhook-host")
        .is_some_and(|(host, _)| parse::is_none(host));
    let not_configured = not_configured(
        placeholders,
        host.is_some(),
        token.is_some(),
        (!polling).then_some(secret),
    );
    let has_token = token.is_some();
    let orbit_host = host.map(|host| orbit::Config {
        host,
        token: token.unwrap_or_else(|| Secret::new(String::new())),
        trust: trust.unwrap_or(Trust::Authorities(Vec::new())),
        certificate,
    });
    let orbit = orbit_host.clone().filter(|_| has_token);
    (orbit, orbit_host, not_configured)
}

/// The files of our own certificate, if they can be used.
fn tls(values: &Values, problems: &mut Problems) -> Option<ServerFiles> {
    let key = path(values, "tls-key");
    if values.get("tls-cert").is_none() {
        let why = "a key alone is no use; give its certificate with --tls-cert FILE.pem";
        problems.of(values.read("tls-key", |_| Err::<(), _>(why)));
        return None;
    }
    let certificate = problems.of(values.read("tls-cert", parse::certificates))?;
    let which = if key.is_some() { "tls-key" } else { "tls-cert" };
    let files = ServerFiles { certificate, key };
    problems.of(values.read(which, |_| files.read()))?;
    Some(files)
}

/// How our webhook should be, and the port that it listens on.
fn webhook(
    values: &Values,
    https: bool,
    machine: Machine,
    warnings: &mut Vec<String>,
    problems: &mut Problems,
) -> (reconcile::webhook::Config, u16) {
    let port = problems.of(values.read("webhook-port", parse::port));
    let port = port.unwrap_or(21600);
    let polling = values
        .get("webhook-host")
        .is_some_and(|(host, _)| parse::is_none(host));
    if !polling && (!matches!(port, 0 | 21000..=22000) || matches!(port, 21443 | 21001)) {
        warnings.push(format!(
            "--webhook-port {port}: Orbit's own hosts block ports outside 21000-22000, and \
             21443 and 21001 are taken there; elsewhere it works"
        ));
    }
    let hosts = values
        .get("webhook-host")
        .map_or("0.0.0.0", |(hosts, _)| hosts)
        .split(',')
        .map(str::trim);
    for host in hosts.filter(|host| matches!(*host, "0.0.0.0" | "::" | "[::]")) {
        warnings.push(format!(
            "--webhook-host {host}: Orbit can probably not call that; give the address of this \
             machine as Orbit reaches it"
        ));
    }
    let scheme = if https { "https" } else { "http" };
    let urls = problems.of(values.read("webhook-host", |hosts| {
        parse::webhook_urls(scheme, hosts, port)
    }));
    let urls = urls.unwrap_or_else(|| vec![nowhere()]);
    let stays_here = |url: &url::Url| Machine::is_loopback(url) || machine.is_ours(url);
    for url in urls.iter().filter(|url| !https && !stays_here(url)) {
        let url = url.as_str().trim_end_matches('/');
        warnings.push(format!(
            "inspections come to {url} unencrypted: who is in between can read them; --tls-cert \
             FILE.pem makes it HTTPS"
        ));
    }
    let manage = problems.of(values.read("manage", |text| word(text, &MANAGE)));
    let on_exit = problems.of(values.read("on-exit", |text| word(text, &ON_EXIT)));
    let webhook = reconcile::webhook::Config {
        urls,
        machine,
        events: problems
            .of(values.read("payload-types", parse::several))
            .unwrap_or_default(),
        enabled: switch(values, "enabled", problems),
        validate_tls_cert: switch(values, "validate-tls-cert", problems),
        manage: manage.unwrap_or_default(),
        on_exit: on_exit.unwrap_or_default(),
    };
    (webhook, port)
}

/// How Orbit is looked through for what the webhook missed.
fn backfill(
    values: &Values,
    events: Vec<String>,
    polling: bool,
    problems: &mut Problems,
) -> reconcile::backfill::Config {
    let first = problems.of(values.read("backfill-first", parse::first));
    let rate = problems.of(values.read("backfill-rate", parse::rate));
    reconcile::backfill::Config {
        on: switch(values, "backfill", problems),
        first: first.unwrap_or(reconcile::backfill::First::Now),
        interval: rate.map_or(Duration::from_millis(500), |rate| rate.per / rate.count),
        events,
        polling,
    }
}

const MANAGE: [(&str, Manage); 3] = [
    ("repair", Manage::Repair),
    ("observe", Manage::Observe),
    ("off", Manage::Off),
];
const ON_EXIT: [(&str, OnExit); 3] = [
    ("keep", OnExit::Keep),
    ("disable", OnExit::Disable),
    ("delete", OnExit::Delete),
];

/// The address of a webhook whose own one has a problem.
fn nowhere() -> url::Url {
    url::Url::parse("http://nowhere.invalid/").expect("this text is a URL")
}

fn switch(values: &Values, name: &str, problems: &mut Problems) -> bool {
    problems
        .of(values.read(name, parse::switch))
        .unwrap_or_default()
}

/// A variable of `.env` that is no setting, and that the file does not name, is probably a
/// misspelt one.
fn unknown_variables(variables: &Variables<'_>, file: &File) -> Vec<String> {
    variables
        .of_dotenv()
        .into_iter()
        .filter(|(_, name)| !settings::is_variable(name) && !file.variables.contains(*name))
        .map(|(line, name)| format!(".env, line {line}: {name} is no setting of orbit-relay"))
        .collect()
}

/// Takes out the values that nobody has edited yet, and names them.
fn remove_placeholders(values: &mut Values) -> Vec<String> {
    let mut found = Vec::new();
    for setting in settings::SETTINGS {
        if let Some((value, origin)) = values.get(setting.name)
            && PLACEHOLDERS.contains(&value.trim())
        {
            found.push(format!(
                "{origin} still holds the placeholder {}",
                value.trim()
            ));
            values.remove(setting.name);
        }
    }
    found
}

/// What is missing; `by_hand` says whether a webhook that is made by hand has its secret, and is
/// none where no webhook is wanted.
fn not_configured(
    placeholders: &[String],
    host: bool,
    token: bool,
    by_hand: Option<bool>,
) -> Option<String> {
    if !placeholders.is_empty() {
        return Some(format!("not configured: {}", placeholders.join("; ")));
    }
    if by_hand == Some(true) || (host && token) {
        return None;
    }
    let missing = match (host, token) {
        (false, false) => "ORBIT_HOSTNAME and ORBIT_API_TOKEN",
        (false, true) => "ORBIT_HOSTNAME",
        (true, _) => "ORBIT_API_TOKEN",
    };
    if by_hand.is_none() {
        return Some(format!(
            "not configured: set {missing}: with --webhook-host none Orbit is polled"
        ));
    }
    Some(format!(
        "not configured: set {missing}, or WEBHOOK_SECRET for a webhook that was made by hand"
    ))
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

fn token(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("an API token has no spaces, line ends or non-ASCII characters")
    }
}

fn path(values: &Values, name: &str) -> Option<PathBuf> {
    values.get(name).map(|(path, _)| PathBuf::from(path))
}

fn log(values: &Values, problems: &mut Problems) -> Log {
    let json = values.read("log-format", |text| {
        word(text, &[("text", false), ("json", true)])
    });
    let level = values.read("log-level", |text| {
        text.trim().parse::<tracing::Level>().or_else(|_| {
            let levels = ["error", "warn", "info", "debug", "trace"];
            word(text, &levels.map(|level| (level, tracing::Level::INFO)))
        })
    });
    Log {
        json: problems.of(json).unwrap_or(false),
        level: problems.of(level).unwrap_or(tracing::Level::INFO),
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
