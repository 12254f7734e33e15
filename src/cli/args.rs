//! The commands and flags. The flags of settings are made of `config::settings`; those of
//! deliveries and destinations stand in `choose`, those of events in `dump`.
//!
//! # Invariants
//! - No secret has a flag.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use super::{
    accounts, assets, choose, dump, presets, schema, send, sources, template, trigger, verify,
    webhook,
};
use crate::config::settings::{Kind, SETTINGS, Setting};

const ABOUT: &str = "Takes robot inspections from Boston Dynamics Orbit, keeps them durably, and \
    posts them to the plant's own system.";
const AFTER: &str = "Secrets have no flag: ORBIT_API_TOKEN, WEBHOOK_SECRET and INTEGRATION_AUTH \
    (each also as …_FILE) are read from the environment, from .env or from the configuration \
    file; .env.example lists every variable, examples/relay.toml every key of the file.";

const LONGEST_WAIT: Duration = Duration::from_hours(1);

/// The whole command line.
pub(super) fn command() -> Command {
    let root = Command::new("orbit-relay")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(AFTER)
        .args_conflicts_with_subcommands(true)
        .disable_help_subcommand(true)
        .args(settings())
        .subcommand(
            Command::new("run")
                .about("Run the relay (the default)")
                .args(settings()),
        )
        .subcommand(check())
        .subcommand(
            Command::new("health")
                .about(
                    "Ask the relay on this machine whether it is well; exit 1 unless events can be \
                     accepted",
                )
                .args(where_health_is())
                .arg(json()),
        )
        .subcommand(
            Command::new("status")
                .about("Show the sums: what was received, and what became of it")
                .args(place())
                .arg(json()),
        )
        .subcommand(dump::command())
        .subcommand(backfill())
        .subcommand(choose::deliveries())
        .subcommand(choose::destinations())
        .subcommand(webhook::command())
        .subcommand(orders())
        .subcommand(assets::command())
        .subcommand(accounts::command())
        .subcommand(
            Command::new("config")
                .about("Look at the configuration")
                .subcommand_required(true)
                .subcommand(
                    Command::new("check")
                        .about(
                            "Check the configuration, and show every value and where it came \
                             from; starts nothing",
                        )
                        .args(settings())
                        .arg(json()),
                ),
        )
        .subcommand(sources::command())
        .subcommand(presets::command())
        .subcommand(template::command())
        .subcommand(package())
        .subcommand(schema::command())
        .subcommand(send::command())
        .subcommand(verify::command())
        .subcommand(trigger::command());
    #[cfg(feature = "sim")]
    let root = root.subcommand(demo()).subcommand(simulate());
    root
}

fn check() -> Command {
    Command::new("check")
        .about(
            "Look at everything: configuration, disk, ports, Orbit, webhook, destinations; say \
             what to do about what is wrong. Changes nothing; exit 4 if anything is wrong",
        )
        .args([
            Arg::new("wait")
                .long("wait")
                .value_name("DURATION")
                .help(
                    "Wait so long for a test payload from Orbit, such as 2m; 0 for not at all \
                     [default: 60s at a terminal, else 0]",
                )
                .value_parser(wait),
            Arg::new("report")
                .long("report")
                .value_name("FILE")
                .help("Write all of it, without secrets, to attach to a bug report")
                .value_parser(value_parser!(std::path::PathBuf)),
            json(),
        ])
        .args(settings())
}

fn package() -> Command {
    Command::new("package")
        .about("Look at a package for Orbit's extensions page")
        .subcommand_required(true)
        .subcommand(
            Command::new("check")
                .about(
                    "Look at everything in a package before it is uploaded; say what to do about \
                     what is wrong. Changes nothing; exit 4 if anything is wrong",
                )
                .arg(
                    Arg::new("file")
                        .value_name("FILE.spx")
                        .help("The package: the relay's own, or one with settings only")
                        .required(true)
                        .value_parser(value_parser!(std::path::PathBuf)),
                ),
        )
}

fn wait(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let wait = text.parse::<jiff::SignedDuration>().ok();
    let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
    wait.filter(|wait| *wait <= LONGEST_WAIT)
        .ok_or_else(|| "write 0, or a duration up to an hour, such as 60s or 2m".to_owned())
}

fn backfill() -> Command {
    let when = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("WHEN").help(help)
    };
    Command::new("backfill")
        .about("Look through what Orbit stored in a time, and take what is not here")
        .args([
            when(
                "since",
                "Stored then or later: RFC 3339, a date, or 2d for two days ago",
            )
            .required(true),
            when("until", "Stored before then"),
            Arg::new("dry-run")
                .long("dry-run")
                .help("Only say what is missing")
                .action(ArgAction::SetTrue),
            json(),
        ])
        .args(settings())
}

fn orders() -> Command {
    Command::new("orders")
        .about("Look at the orders that destinations made of alerts")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("List them, the newest first: open or closed, and what Orbit was told")
                .args(place())
                .args([json(), limit()]),
        )
}

#[cfg(feature = "sim")]
fn demo() -> Command {
    Command::new("demo")
        .about("Run a simulated Orbit, a relay and a simulated plant, all on loopback")
        .args([
            Arg::new("events")
                .long("events")
                .value_name("N")
                .help("End after N deliveries")
                .value_parser(value_parser!(u64).range(1..)),
            seed(),
        ])
}

#[cfg(feature = "sim")]
fn simulate() -> Command {
    let listen = |port: &'static str| {
        Arg::new("listen")
            .long("listen")
            .value_name("IP:PORT")
            .help("Where to listen; a loopback address")
            .value_parser(value_parser!(std::net::SocketAddr))
            .default_value(port)
    };
    let certificate_out = Arg::new("certificate-out")
        .long("certificate-out")
        .value_name("FILE")
        .help("Write the self-signed certificate there, in PEM form")
        .value_parser(value_parser!(std::path::PathBuf));
    Command::new("simulate")
        .about("Play Orbit, or the plant's system, for any relay")
        .subcommand_required(true)
        .subcommand(
            Command::new("orbit")
                .about("Play Orbit: HTTPS, self-signed, robots that finish inspections")
                .after_help(
                    "Point orbit-relay at it: ORBIT_API_TOKEN=demo-token orbit-relay \
                     --hostname 127.0.0.1:8443 --verify false --webhook-host 127.0.0.1\n\
                     Point any other receiver at it: POST \
                     {\"name\",\"url\",\"enabled\",\"validateTlsCert\",\"events\",\"secret\"} with the \
                     header `Authorization: Bearer demo-token` to \
                     https://127.0.0.1:8443/api/v0/webhooks",
                )
                .args([
                    listen("127.0.0.1:8443"),
                    Arg::new("token")
                        .long("token")
                        .value_name("TOKEN")
                        .help("The API token that it accepts")
                        .default_value("demo-token"),
                    seed(),
                    Arg::new("every")
                        .long("every")
                        .value_name("SECONDS")
                        .help("Seconds between inspections; 0 for none but those asked for")
                        .value_parser(value_parser!(u64))
                        .default_value("2"),
                    certificate_out.clone(),
                ]),
        )
        .subcommand(
            Command::new("backend")
                .about("Play the plant's system: takes what is posted and prints it")
                .after_help(
                    "Point orbit-relay at it: INTEGRATION_URL=http://127.0.0.1:8080/ orbit-relay …\n\
                     Any other sender: POST to any path; GET /received lists what came",
                )
                .args([
                    listen("127.0.0.1:8080"),
                    Arg::new("tls")
                        .long("tls")
                        .help("HTTPS, with a self-signed certificate")
                        .action(ArgAction::SetTrue),
                    Arg::new("answer")
                        .long("answer")
                        .value_name("STATUS")
                        .help("The status that every post is answered with")
                        .value_parser(value_parser!(u16).range(200..=599))
                        .default_value("200"),
                    certificate_out,
                ]),
        )
}

#[cfg(feature = "sim")]
fn seed() -> Arg {
    Arg::new("seed")
        .long("seed")
        .value_name("N")
        .help("The same number gives the same inspections [default: by chance]")
        .value_parser(value_parser!(u64))
}

/// The settings that were given as flags, by name.
pub(super) fn flags(matches: &ArgMatches) -> BTreeMap<String, String> {
    SETTINGS
        .iter()
        .filter_map(|setting| {
            let values = matches.try_get_many::<String>(setting.name).ok()??;
            let joined = values.map(String::as_str).collect::<Vec<_>>().join(",");
            Some((setting.name.to_owned(), joined))
        })
        .collect()
}

/// Every setting that has a flag.
pub(super) fn settings() -> impl Iterator<Item = Arg> {
    SETTINGS
        .iter()
        .filter(|setting| setting.kind != Kind::Secret)
        .map(flag)
}

/// What a command needs to find the journal.
pub(super) fn place() -> impl Iterator<Item = Arg> {
    SETTINGS
        .iter()
        .filter(|setting| matches!(setting.name, "config" | "config-dir" | "data-dir"))
        .map(flag)
}

/// What a command needs to find the journal and the asset map.
pub(super) fn place_and_map() -> impl Iterator<Item = Arg> {
    let map = SETTINGS.iter().find(|setting| setting.name == "asset-map");
    place().chain(map.map(flag))
}

/// What a command needs to find health and metrics.
fn where_health_is() -> impl Iterator<Item = Arg> {
    let names = [
        "config",
        "config-dir",
        "package-dir",
        "ops-bind",
        "data-dir",
    ];
    let wanted = move |setting: &&Setting| names.contains(&setting.name);
    SETTINGS.iter().filter(wanted).map(flag)
}

fn flag(setting: &Setting) -> Arg {
    let default = setting
        .default
        .map(|d| format!(" [default: {d}]"))
        .unwrap_or_default();
    let variables = setting.variables.join(", ");
    let arg = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value)
        .help(format!("{} [env: {variables}]{default}", setting.help));
    let arg = if setting.name == "validate-tls-cert" {
        arg.alias("validate-TLS-cert")
    } else {
        arg
    };
    match setting.kind {
        Kind::Several => arg.num_args(1..),
        Kind::Switch => arg.num_args(0..=1).default_missing_value("true"),
        Kind::One | Kind::Secret => arg,
    }
}

/// How much of a list is shown.
pub(super) fn limit() -> Arg {
    Arg::new("limit")
        .long("limit")
        .value_name("N")
        .help("At most this many")
        .value_parser(value_parser!(u32).range(1..=10_000))
        .default_value("20")
}

pub(super) fn json() -> Arg {
    Arg::new("json")
        .long("json")
        .help("For programs")
        .action(ArgAction::SetTrue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_of_the_official_example_work_unchanged() {
        let line =
            "orbit-relay --hostname ORBIT --verify False --webhook-host ME --webhook-port 21600";
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let flags = flags(&matches);
        assert_eq!(flags["verify"], "False");
        assert_eq!(flags["webhook-port"], "21600");
        let line = "orbit-relay run --validate-TLS-cert False --cert a.pem b.key --enabled";
        let matches = command().try_get_matches_from(line.split(' ')).unwrap();
        let flags = super::flags(matches.subcommand_matches("run").unwrap());
        assert_eq!(flags["validate-tls-cert"], "False");
        assert_eq!(flags["cert"], "a.pem,b.key");
        assert_eq!(flags["enabled"], "true");
    }

    #[test]
    fn help_says_what_every_flag_does() {
        insta::assert_snapshot!(command().render_help().to_string());
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}
