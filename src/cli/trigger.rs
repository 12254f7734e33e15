//! `trigger`: a sample event, made by the running relay and marked as one.
//!
//! # Invariants
//! - Without a running relay nothing is made.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::args::place;
use super::asker::ask_running;
use super::{FAILED, Outcome, Usage, choose, complain, print, runtime, schema};
use crate::app::control::{Answer, Ask};
use crate::config::{Config, Input};
use crate::relay::journal::Reader;

pub(super) fn command() -> Command {
    Command::new("trigger")
        .about(
            "Have the running relay make a sample event, marked as such: it goes to those that take \
             it, or to one destination",
        )
        .args([
            Arg::new("event")
                .value_name("EVENT")
                .help("Its type: Orbit's or the relay's own; orbit-relay schema lists them")
                .required(true),
            Arg::new("destination")
                .long("destination")
                .value_name("NAME")
                .help("Only for this one, by its name or id, whatever it takes"),
        ])
        .args(place())
}

pub(super) fn run(input: &Input, matches: &ArgMatches) -> Outcome {
    let text = |name| matches.get_one::<String>(name).cloned();
    let event_type = text("event").unwrap_or_default();
    if !schema::has(&event_type) {
        return Err(Usage(format!(
            "there is no sample of `{event_type}`{}; what other sources send is made by \
             orbit-relay send",
            schema::hint(&event_type)
        ))
        .into());
    }
    let data_dir = Config::data_dir(input)?;
    let sums = Reader::open(&data_dir)?.sums()?;
    let destination = text("destination")
        .map(|name| choose::destination(&sums, &name))
        .transpose()?;
    let ask = Ask::Trigger {
        event_type: event_type.clone(),
        destination: destination.clone(),
        who: super::who(input),
    };
    let answer = runtime()?.block_on(ask_running(&data_dir, &ask))?;
    match answer {
        Answer::Triggered(seq) => {
            let whom = destination.as_ref().map(|id| format!(" for {id} alone"));
            print(&format!(
                "event {seq}: a sample of {event_type}{}\norbit-relay events show {seq} says what \
                 became of it",
                whom.unwrap_or_default()
            ))?;
            if let Some(id) = destination {
                print(&format!(
                    "orbit-relay deliveries show {id}:{seq} explains it"
                ))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Answer::Failed(why) => {
            complain(&format!("error: {why}"));
            Ok(ExitCode::from(FAILED))
        }
        other => anyhow::bail!("an answer to something else: {other:?}"),
    }
}
