//! What the user asked for: flags, environment and `.env`, brought together and checked.
//!
//! ```text
//! settings  the table of all settings
//! resolve   which value counts, and where it came from
//! dotenv    `.env`, read kindly
//! parse     what each kind of value may look like
//! ```
//!
//! # Invariants
//! - What cannot be used is an error that names where it came from; nothing is guessed.
//! - A secret is in no error.

pub mod dotenv;
mod parse;
mod resolve;
pub mod settings;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use self::resolve::{ConfigError, Input, Shown};
use self::resolve::{Values, refused};
use crate::event::TEST;
use crate::http::Trust;
use crate::relay::deliver;
use crate::relay::destination::{self, Auth, INTEGRATION};
use crate::relay::journal;
use crate::secret::{Secret, WebhookSecret};
use crate::{orbit, reconcile};

/// What stands in the official example's `.env` until somebody edits it.
const PLACEHOLDERS: [&str; 3] = ["YOUR_SECRET", "YOUR_API_TOKEN", "YOUR_BACKEND_URL"];

/// The whole configuration.
#[derive(Debug)]
pub struct Config {
    /// Orbit, if there is a host and a token for it.
    pub orbit: Option<orbit::Config>,
    /// How our webhook should be. Its port is set again when the listener has another.
    pub webhook: reconcile::webhook::Config,
    /// The webhook secret that was given; otherwise one is made and kept.
    pub secret: Option<WebhookSecret>,
    /// Why nothing can be accepted yet, if so.
    pub not_configured: Option<String>,
    /// Where events come in.
    pub listen: SocketAddr,
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
    /// The names of the destinations that hear of trouble.
    pub notify: Vec<String>,
    /// Silence that is longer than this is trouble.
    pub expect_every: Option<Duration>,
    /// How long delivered events stay in the journal.
    pub keep_delivered: Duration,
    /// How many bytes the journal may take.
    pub journal_limit: u64,
    /// How the log looks.
    pub log: Log,
    /// Every setting and where it came from, for the log.
    pub shown: Vec<Shown>,
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
        let mut values = Values::find(input, |_| true)?;
        let shown = values.shown();
        let mut warnings = Vec::new();
        let placeholders = remove_placeholders(&mut values);

        let host = values.read("hostname", parse::host)?;
        let trust = values.read("verify", parse::trust)?;
        let certificate = values.read("cert", parse::certificate)?;
        let token = values.read("api-token", token)?;
        let secret = values.read("webhook-secret", WebhookSecret::parse)?;
        let not_configured = not_configured(
            &placeholders,
            host.is_some(),
            token.is_some(),
            secret.is_some(),
        );
        let orbit = match (host, token) {
            (Some(host), Some(token)) => {
                let trust = trust.unwrap_or(Trust::Authorities(Vec::new()));
                Some(orbit::Config {
                    host,
                    token,
                    trust,
                    certificate,
                })
            }
            _ => None,
        };

        let port = values.read("webhook-port", parse::port)?.unwrap_or(21600);
        if !matches!(port, 0 | 21000..=22000) || matches!(port, 21443 | 21001) {
            warnings.push(format!(
                "--webhook-port {port}: Orbit's own hosts block ports outside 21000-22000, and \
                 21443 and 21001 are taken there; elsewhere it works"
            ));
        }
        let webhook_host = values.read("webhook-host", |text| Ok::<_, String>(text.to_owned()))?;
        let webhook_host = webhook_host.unwrap_or_default();
        let url = values
            .read("webhook-host", |host| parse::webhook_url(host, port))?
            .ok_or_else(|| refused("--webhook-host", "no host"))?;
        if matches!(webhook_host.trim(), "0.0.0.0" | "::" | "[::]") {
            warnings.push(format!(
                "--webhook-host {}: Orbit can probably not call that; give the address of this \
                 machine as Orbit reaches it",
                webhook_host.trim()
            ));
        }
        warnings.extend(unknown_variables(input)?);
        let event_types = values
            .read("payload-types", parse::several)?
            .unwrap_or_default();
        let switch = |name| {
            values
                .read(name, parse::switch)
                .map(Option::unwrap_or_default)
        };
        let webhook = reconcile::webhook::Config {
            url,
            events: event_types.clone(),
            enabled: switch("enabled")?,
            validate_tls_cert: switch("validate-tls-cert")?,
        };
        let mut forwarded = event_types;
        if switch("forward-test")? && !forwarded.iter().any(|taken| taken == TEST) {
            forwarded.push(TEST.to_owned());
        }
        let bind = values.read("bind", parse::ip)?;
        let listen = SocketAddr::new(bind.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()), port);
        let ops_listen = values
            .read("ops-bind", parse::socket)?
            .ok_or_else(|| refused("--ops-bind", "no address"))?;

        Ok(Self {
            orbit,
            webhook,
            secret,
            not_configured,
            listen,
            ops_listen,
            max_age: values
                .read("max-age", parse::duration)?
                .unwrap_or(Duration::from_mins(5)),
            data_dir: path(&values, "data-dir")?.unwrap_or_else(|| "./data".into()),
            asset_map: path(&values, "asset-map")?,
            destinations: integration(&values, forwarded)?.into_iter().collect(),
            notify: Vec::new(),
            expect_every: None,
            keep_delivered: journal::Config::KEEP_DELIVERED,
            journal_limit: journal::Config::LIMIT_BYTES,
            log: log(&values)?,
            shown,
            warnings,
        })
    }

    /// Reads only what a command needs that looks at the journal.
    pub fn data_dir(input: &Input) -> Result<PathBuf, ConfigError> {
        let values = Values::find(input, |setting| setting.name == "data-dir")?;
        Ok(path(&values, "data-dir")?.unwrap_or_else(|| "./data".into()))
    }
}

/// A variable of `.env` that is no setting is probably a misspelt one.
fn unknown_variables(input: &Input) -> Result<Vec<String>, ConfigError> {
    let dotenv = input
        .dotenv
        .as_deref()
        .map(dotenv::parse)
        .transpose()?
        .unwrap_or_default();
    Ok(dotenv
        .iter()
        .filter(|(name, _, _)| !settings::is_variable(name))
        .map(|(name, _, line)| format!(".env, line {line}: {name} is no setting of orbit-relay"))
        .collect())
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

fn not_configured(
    placeholders: &[String],
    host: bool,
    token: bool,
    secret: bool,
) -> Option<String> {
    if !placeholders.is_empty() {
        return Some(format!("not configured: {}", placeholders.join("; ")));
    }
    if secret || (host && token) {
        return None;
    }
    let missing = match (host, token) {
        (false, false) => "ORBIT_HOSTNAME and ORBIT_API_TOKEN",
        (false, true) => "ORBIT_HOSTNAME",
        (true, _) => "ORBIT_API_TOKEN",
    };
    Some(format!(
        "not configured: set {missing}, or WEBHOOK_SECRET for a webhook that was made by hand"
    ))
}

fn token(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("an API token has no spaces, line ends or non-ASCII characters")
    }
}

fn path(values: &Values, name: &str) -> Result<Option<PathBuf>, ConfigError> {
    values.read(name, |text| Ok::<_, String>(PathBuf::from(text)))
}

/// The destination that needs no file.
fn integration(
    values: &Values,
    events: Vec<String>,
) -> Result<Option<deliver::Config>, ConfigError> {
    let auth = values.read("integration-auth", Auth::parse)?;
    let ca_file = values.read("integration-ca", parse::authorities)?;
    let Some((url, url_auth)) = values.read("integration-url", parse::integration_url)? else {
        return Ok(None);
    };
    if auth.is_some() && url_auth.is_some() {
        let (_, origin) = values
            .get("integration-auth")
            .unwrap_or(("", "INTEGRATION_AUTH"));
        return Err(refused(
            origin,
            "the integration URL has a user and password too: give one",
        ));
    }
    let mut destination = destination::Config::new(INTEGRATION, url);
    destination.auth = auth.or(url_auth).unwrap_or(Auth::None);
    destination.tls.ca_file = ca_file;
    Ok(Some(deliver::Config::new(destination, events)))
}

fn log(values: &Values) -> Result<Log, ConfigError> {
    let json = values.read("log-format", |text| match text.trim() {
        "text" => Ok(false),
        "json" => Ok(true),
        _ => Err(format!("`{text}` is not text or json")),
    })?;
    let level = values.read("log-level", |text| {
        text.trim()
            .parse::<tracing::Level>()
            .map_err(|_| format!("`{text}` is not error, warn, info, debug or trace"))
    })?;
    Ok(Log {
        json: json.unwrap_or(false),
        level: level.unwrap_or(tracing::Level::INFO),
    })
}

#[cfg(test)]
mod tests;
