//! The command line: what it looks like, and what each command does.
//!
//! ```text
//! args         the commands and flags, made of the table of settings
//! run          the relay
//! taken        what a package brings, taken into the data directory
//! health       whether the relay on this machine is well
//! read         status, events list, events show
//! dump         events dump, and what `events list` shares with it
//! choose       which deliveries, which destination: flags, and what is made of them
//! deliveries   the list of deliveries
//! explain      one delivery in words
//! learnt       what it was made of: the row, Orbit's words, requests
//! bulk         replay and discard
//! replay       events that were kept for a destination
//! destinations destinations: list, show, test, pause, resume
//! backfill     what Orbit has that is not here
//! webhook      our webhook in Orbit: status, list, sync, delete, rotate-secret
//! orders       orders that destinations made of alerts
//! assets       the asset map: check, unmapped, export
//! accounts     the accounts of the page: reset
//! asker        who does it: the running relay, or this process
//! check        whether all is as it should be, and what to do if not
//! report       the same, and all else that a bug report needs
//! config_check config check
//! sources      sources: list
//! presets      presets: list, show
//! template     template test
//! package      package check
//! schema       content type and JSON Schema of what is sent
//! layout       JSON text, written in another way
//! sender       who sends: Orbit or a source, with its secrets
//! send         one request as a source makes it
//! verify       why a captured request does or does not verify
//! trigger      a sample event, made by the running relay
//! demo         a simulated Orbit, a relay and a plant in one process
//! simulate     the two halves of the demo, each alone
//! signals      SIGTERM, SIGINT, SIGHUP
//! log          where log lines go and how they look
//! ```
//!
//! # Invariants
//! - Exit 0; 1 failed while running; 2 usage or malformed configuration; 4 `check`,
//!   `package check`, `assets check` or `verify` found something that is not as it should be; 5 the
//!   configuration changed, start it again.
//! - Errors are printed once, with their causes, on standard error; of a configuration all, one
//!   a line.

mod accounts;
mod args;
mod asker;
mod assets;
mod backfill;
mod bulk;
mod check;
mod choose;
mod config_check;
mod deliveries;
#[cfg(feature = "sim")]
mod demo;
mod destinations;
mod dump;
mod explain;
mod health;
mod layout;
mod log;
mod orders;
mod package;
mod presets;
mod read;
mod replay;
mod report;
mod run;
mod schema;
mod send;
mod sender;
mod signals;
#[cfg(feature = "sim")]
mod simulate;
mod sources;
mod taken;
mod template;
mod trigger;
mod verify;
mod webhook;

use std::borrow::Cow;
use std::io::Write as _;
use std::process::ExitCode;

use clap::ArgMatches;

use crate::config::gateway::Routes;
use crate::config::{ConfigError, Input, settings};
use crate::relay::journal::Kind;

/// What a command ended with, other than an error.
type Outcome = anyhow::Result<ExitCode>;

/// The process failed while it ran.
const FAILED: u8 = 1;
/// The command line or the configuration is wrong.
const USAGE: u8 = 2;
/// `check`, `package check`, `assets check` or `verify` found something that is not as it should be.
const TROUBLE: u8 = 4;
/// The configuration changed; start it again.
const CHANGED: u8 = 5;

/// The whole program.
pub fn main() -> ExitCode {
    let matches = match args::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            // Where standard error is closed there is nobody to tell.
            error.print().ok();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match dispatch(&matches) {
        Ok(code) => code,
        Err(error) => {
            for line in lines(&error) {
                complain(&format!("error: {line}"));
            }
            let wrong_use = error.is::<ConfigError>()
                || error.is::<Usage>()
                || error.is::<crate::http::BuildError>()
                || error.is::<crate::orbit::client::BuildError>();
            ExitCode::from(if wrong_use { USAGE } else { FAILED })
        }
    }
}

/// An error with its causes; of a configuration all that is wrong, a line each.
fn lines(error: &anyhow::Error) -> Vec<String> {
    match error.downcast_ref() {
        Some(ConfigError::Wrong(problems)) => problems.iter().map(ToString::to_string).collect(),
        _ => vec![format!("{error:#}")],
    }
}

/// The user asked for something that cannot be.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

fn dispatch(matches: &ArgMatches) -> Outcome {
    match matches.subcommand() {
        None => run::run(matches),
        Some(("run", matches)) => run::run(matches),
        Some(("health", matches)) => health::run(matches),
        Some(("check", matches)) => check::run(matches),
        Some(("status", matches)) => read::status(&input(matches)?, matches.get_flag("json")),
        Some(("backfill", matches)) => backfill::run(&input(matches)?, matches),
        Some(("events", matches)) => match matches.subcommand() {
            Some(("list", matches)) => read::list(&input(matches)?, matches),
            Some(("dump", matches)) => dump::dump(&input(matches)?, matches),
            Some(("show", matches)) => read::show(&input(matches)?, matches),
            _ => Err(Usage("say list, dump or show".into()).into()),
        },
        Some(("deliveries", matches)) => match matches.subcommand() {
            Some(("list", matches)) => deliveries::list(&input(matches)?, matches),
            Some(("show", matches)) => explain::show(&whole_input(matches)?, matches),
            Some(("replay", matches)) if matches.get_flag("kept") => {
                replay::kept(&input(matches)?, matches)
            }
            Some(("replay", matches)) => bulk::run(Kind::Replay, &input(matches)?, matches),
            Some(("discard", matches)) => bulk::run(Kind::Discard, &input(matches)?, matches),
            _ => Err(Usage("say list, show, replay or discard".into()).into()),
        },
        Some(("destinations", matches)) => match matches.subcommand() {
            Some(("list", matches)) => destinations::list(&input(matches)?, matches),
            Some(("show", matches)) => destinations::show(&input(matches)?, matches),
            Some(("pause", matches)) => destinations::pause(&input(matches)?, matches),
            Some(("resume", matches)) => destinations::resume(&input(matches)?, matches),
            Some(("test", matches)) => destinations::test(&input(matches)?, matches),
            _ => Err(Usage("say list, show, test, pause or resume".into()).into()),
        },
        Some(("webhook", matches)) => match matches.subcommand() {
            Some((name, matches)) => webhook::run(&input(matches)?, name, matches),
            None => Err(Usage("say status, list, sync, delete or rotate-secret".into()).into()),
        },
        Some(("orders", matches)) => match matches.subcommand() {
            Some(("list", matches)) => orders::list(&input(matches)?, matches),
            _ => Err(Usage("say list".into()).into()),
        },
        Some(("assets", matches)) => match matches.subcommand() {
            Some(("check", matches)) => assets::check(&whole_input(matches)?, matches),
            Some(("unmapped", matches)) => assets::unmapped(&whole_input(matches)?, matches),
            Some(("export", matches)) => assets::export(&whole_input(matches)?),
            _ => Err(Usage("say check, unmapped or export".into()).into()),
        },
        Some(("accounts", matches)) => match matches.subcommand() {
            Some(("reset", matches)) => accounts::reset(&input(matches)?, matches),
            _ => Err(Usage("say reset".into()).into()),
        },
        Some(("config", matches)) => match matches.subcommand() {
            Some(("check", matches)) => {
                config_check::check(&input(matches)?, matches.get_flag("json"))
            }
            _ => Err(Usage("say check".into()).into()),
        },
        Some(("sources", matches)) => match matches.subcommand() {
            Some(("list", matches)) => {
                sources::list(&whole_input(matches)?, matches.get_flag("json"))
            }
            _ => Err(Usage("say list".into()).into()),
        },
        Some(("presets", matches)) => match matches.subcommand() {
            Some(("list", _)) => presets::list(),
            Some(("show", matches)) => presets::show(matches),
            _ => Err(Usage("say list or show".into()).into()),
        },
        Some(("template", matches)) => match matches.subcommand() {
            Some(("test", matches)) => template::test(&input(matches)?, matches),
            _ => Err(Usage("say test".into()).into()),
        },
        Some(("package", matches)) => match matches.subcommand() {
            Some(("check", matches)) => package::check(matches),
            _ => Err(Usage("say check".into()).into()),
        },
        Some(("schema", matches)) => schema::run(matches),
        Some(("send", matches)) => send::run(&input(matches)?, matches),
        Some(("verify", matches)) => verify::run(&input(matches)?, matches),
        Some(("trigger", matches)) => trigger::run(&input(matches)?, matches),
        #[cfg(feature = "sim")]
        Some(("demo", matches)) => demo::demo(matches),
        #[cfg(feature = "sim")]
        Some(("simulate", matches)) => match matches.subcommand() {
            Some(("orbit", matches)) => simulate::orbit(matches),
            Some(("backend", matches)) => simulate::backend(matches),
            _ => Err(Usage("say orbit or backend".into()).into()),
        },
        Some((other, _)) => Err(Usage(format!("no command `{other}`")).into()),
    }
}

/// What the settings are found in. A command without their flags looks at the journal: for it no
/// more is read than says where that is.
fn input(matches: &ArgMatches) -> anyhow::Result<Input> {
    let mut input = without_files(matches)?;
    if matches.try_contains_id("hostname").is_ok() {
        input.read_files()?;
    } else {
        input.read_for_data_dir()?;
    }
    Ok(input)
}

/// All that the settings may be found in, for a command without the flags of all of them.
fn whole_input(matches: &ArgMatches) -> anyhow::Result<Input> {
    let mut input = without_files(matches)?;
    input.read_files()?;
    Ok(input)
}

/// Flags and environment.
fn without_files(matches: &ArgMatches) -> anyhow::Result<Input> {
    let (input, not_utf8) = as_far_as_readable(matches);
    match not_utf8 {
        None => Ok(input),
        Some(name) => Err(Usage(format!("{name}: the value is not UTF-8")).into()),
    }
}

/// Flags and environment, and a setting's variable that cannot be read: the one place where the
/// environment is.
fn as_far_as_readable(matches: &ArgMatches) -> (Input, Option<String>) {
    let mut environment = std::collections::BTreeMap::new();
    let mut not_utf8 = None;
    for (name, value) in std::env::vars_os() {
        // A name that is not UTF-8 is none of ours.
        let Ok(name) = name.into_string() else {
            continue;
        };
        match value.into_string() {
            Ok(value) => drop(environment.insert(name, value)),
            Err(_) if settings::of_variable(&name).is_some() => not_utf8 = Some(name),
            Err(_) => {}
        }
    }
    let flags = args::flags(matches);
    let input = Input {
        flags,
        environment,
        routes: Routes::read(),
        ..Input::default()
    };
    (input, not_utf8)
}

/// Who asks, for the record: the user's name, or number.
fn who(input: &Input) -> String {
    use std::os::unix::fs::MetadataExt as _;

    let named = ["USER", "LOGNAME"].iter();
    let mut named = named.filter_map(|name| input.environment.get(*name));
    let named = named.find(|name| !name.trim().is_empty());
    if let Some(name) = named {
        let plain = name.chars().filter(|c| !c.is_control());
        return plain.take(64).collect();
    }
    let uid = std::fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid());
    format!("uid {uid}")
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?)
}

/// Writes a line to standard output. A closed pipe is the reader's choice.
fn print(line: &str) -> anyhow::Result<()> {
    wrote(line).map(drop)
}

/// The same; whether somebody still reads.
fn wrote(line: &str) -> anyhow::Result<bool> {
    match writeln!(std::io::stdout().lock(), "{}", visible(line)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes text for programs to standard output, every character as it is.
fn print_as_it_is(text: &str) -> anyhow::Result<()> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn complain(line: &str) {
    // Where standard error is closed there is nobody to tell.
    writeln!(std::io::stderr().lock(), "{}", visible(line)).ok();
}

/// What would steer a terminal is shown instead, in a way that leaves JSON what it is.
fn visible(text: &str) -> Cow<'_, str> {
    let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(steers) {
        return text.into();
    }
    let shown = text.chars().map(|c| {
        if steers(c) {
            format!("\\u{:04x}", u32::from(c))
        } else {
            c.to_string()
        }
    });
    Cow::Owned(shown.collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_would_steer_a_terminal_is_shown_instead_and_json_stays_json() {
        let shown = super::visible("a\u{1b}[31m\u{9b}b\r\n\tc");
        assert_eq!(shown, "a\\u001b[31m\\u009bb\\u000d\n\tc");
        let text = "a\u{1b}\u{9b}\u{7f}\r\n\tc";
        let json = serde_json::to_string(text).unwrap();
        let shown: String = serde_json::from_str(&super::visible(&json)).unwrap();
        assert_eq!(shown, text);
        assert_eq!(super::visible("größer"), "größer");
    }
}
