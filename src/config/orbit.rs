//! Orbit, our webhook there, and what is missing to work with them.
//!
//! # Invariants
//! - A value that nobody has edited yet counts as not set, and is named.
//! - What is missing is no error: it is said, and nothing is accepted until it is there.

use std::time::Duration;

use super::problem::Problems;
use super::resolve::{Input, Values};
use super::{parse, path, settings, switch, word};
use crate::http::{ServerFiles, Trust};
use crate::reconcile::webhook::{Machine, Manage, OnExit};
use crate::secret::Secret;
use crate::{orbit, reconcile};

/// What stands in the official example's `.env` until somebody edits it.
const PLACEHOLDERS: [&str; 3] = ["YOUR_SECRET", "YOUR_API_TOKEN", "YOUR_BACKEND_URL"];

/// Orbit, or why nothing can be accepted without it.
pub(super) fn orbit(
    values: &Values,
    placeholders: &[String],
    secret: bool,
    where_to_set: &str,
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
    )
    .map(|why| format!("{why}{where_to_set}"));
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

/// Where somebody sets what is missing who may see nothing but the log: by hand, or as an extension.
pub(super) fn where_to_set(input: &Input) -> String {
    let Some(dir) = input.config_dir() else {
        return "; settings are read from the environment, from .env in the working directory and from \
                the file of --config, at the start"
            .to_owned();
    };
    format!(
        "; settings are read from the environment (that of docker-compose.yml in the extension), from \
         {}, whose change starts the relay again, and from {}",
        dir.join(".env").display(),
        input.kept_dotenv().display()
    )
}

/// The files of our own certificate, if they can be used.
pub(super) fn tls(values: &Values, problems: &mut Problems) -> Option<ServerFiles> {
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
pub(super) fn webhook(
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
            .of(values.read("payload-types", parse::event_types))
            .unwrap_or_default(),
        enabled: switch(values, "enabled", problems),
        validate_tls_cert: switch(values, "validate-tls-cert", problems),
        manage: manage.unwrap_or_default(),
        on_exit: on_exit.unwrap_or_default(),
    };
    (webhook, port)
}

/// How Orbit is looked through for what the webhook missed.
pub(super) fn backfill(
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

/// Whether nobody has edited it yet.
pub(super) fn is_placeholder(value: &str) -> bool {
    PLACEHOLDERS.contains(&value.trim())
}

/// Takes out the values that nobody has edited yet, and names them.
pub(super) fn remove_placeholders(values: &mut Values) -> Vec<String> {
    let mut found = Vec::new();
    for setting in settings::SETTINGS {
        if let Some((value, origin)) = values.get(setting.name)
            && is_placeholder(value)
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

fn token(text: &str) -> Result<Secret, &'static str> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(Secret::new(text.to_owned()))
    } else {
        Err("an API token has no spaces, line ends or non-ASCII characters")
    }
}
