//! `destinations`: how each does, what was done to it; one post to try it, pause and resume.
//!
//! # Invariants
//! - What is shown is what the journal holds, beside a running relay and without one.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::ArgMatches;
use serde::Serialize;

use super::asker::{Asker, ask_running};
use super::{FAILED, Outcome, choose, complain, print, runtime};
use crate::app::control::{Answer, Ask};
use crate::app::words::{because, trouble};
use crate::config::{Config, Input};
use crate::relay::journal::{Act, DestinationSums, Reader, State, Sums};

/// So many acts on a destination are shown.
const ACTS: u32 = 20;

/// One destination, for programs.
#[derive(Serialize)]
pub(super) struct DestinationJson<'a> {
    destination: &'a str,
    name: &'a str,
    condition: &'static str,
    paused: Option<PausedJson<'a>>,
    down: Option<DownJson<'a>>,
    held_until: Option<String>,
    removed: bool,
    accepted: u64,
    kept: u64,
    expired: u64,
    #[serde(flatten)]
    states: BTreeMap<&'static str, u64>,
    /// Of the parked, those that are so because they had no asset.
    unmapped: u64,
    oldest_undelivered_at: Option<String>,
}

#[derive(Serialize)]
struct PausedJson<'a> {
    since: String,
    by: &'a str,
    why: &'a str,
    trouble: Option<&'a str>,
}

#[derive(Serialize)]
struct DownJson<'a> {
    since: String,
    why: &'a str,
}

#[derive(Serialize)]
struct ShownJson<'a> {
    #[serde(flatten)]
    destination: DestinationJson<'a>,
    acts: Vec<ActJson<'a>>,
}

/// One act, for programs.
#[derive(Serialize)]
pub(super) struct ActJson<'a> {
    act: i64,
    at: String,
    who: &'a str,
    what: &'a str,
    destination: Option<&'a str>,
    detail: &'a str,
}

#[derive(Serialize)]
struct ChangedJson<'a> {
    act: &'static str,
    destination: &'a str,
    changed: bool,
}

impl<'a> DestinationJson<'a> {
    pub(super) fn new(destination: &'a DestinationSums, sums: &Sums) -> Self {
        let DestinationSums { kept, expired, .. } = *destination;
        let paused = destination.paused.as_ref().map(|paused| PausedJson {
            since: paused.at.to_string(),
            by: &paused.by,
            why: &paused.why,
            trouble: paused.trouble.as_deref(),
        });
        let down = destination.down.as_ref().map(|down| DownJson {
            since: down.at.to_string(),
            why: &down.why,
        });
        Self {
            destination: &destination.id,
            name: &destination.name,
            condition: condition(destination),
            paused,
            down,
            held_until: destination.held_until.map(|at| at.to_string()),
            removed: destination.removed,
            accepted: sums.accepted.saturating_sub(kept + expired),
            kept,
            expired,
            states: State::ALL
                .into_iter()
                .map(|state| (state.as_str(), destination.of(state)))
                .collect(),
            unmapped: destination.unmapped,
            oldest_undelivered_at: destination.oldest_undelivered_at.map(|at| at.to_string()),
        }
    }
}

impl<'a> ActJson<'a> {
    pub(super) fn new(act: &'a Act) -> Self {
        Self {
            act: act.no,
            at: act.at.to_string(),
            who: &act.who,
            what: &act.what,
            destination: act.destination.as_deref(),
            detail: &act.detail,
        }
    }
}

pub(super) fn list(input: &Input, matches: &ArgMatches) -> Outcome {
    let sums = Reader::open(&Config::data_dir(input)?)?.sums()?;
    let json = matches.get_flag("json");
    if sums.destinations.is_empty() && !json {
        print("no destinations")?;
    }
    for destination in &sums.destinations {
        if json {
            print(&serde_json::to_string(&DestinationJson::new(
                destination,
                &sums,
            ))?)?;
        } else {
            for line in lines(destination) {
                print(&line)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(input: &Input, matches: &ArgMatches) -> Outcome {
    let mut reader = Reader::open(&Config::data_dir(input)?)?;
    let sums = reader.sums()?;
    let id = choose::destination(&sums, &named(matches))?;
    let acts = reader.acts(&id, ACTS)?;
    let Some(destination) = sums.destinations.iter().find(|d| d.id == id) else {
        return Ok(ExitCode::from(FAILED));
    };
    if matches.get_flag("json") {
        let shown = ShownJson {
            destination: DestinationJson::new(destination, &sums),
            acts: acts.iter().map(ActJson::new).collect(),
        };
        print(&serde_json::to_string(&shown)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for line in lines(destination) {
        print(&line)?;
    }
    if acts.is_empty() {
        print("  nobody has done anything to it")?;
    }
    for act in &acts {
        print(&format!("  {}", act_line(act)))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn pause(input: &Input, matches: &ArgMatches) -> Outcome {
    change(input, matches, true)
}

pub(super) fn resume(input: &Input, matches: &ArgMatches) -> Outcome {
    change(input, matches, false)
}

pub(super) fn test(input: &Input, matches: &ArgMatches) -> Outcome {
    let data_dir = Config::data_dir(input)?;
    let sums = Reader::open(&data_dir)?.sums()?;
    let destination = choose::destination(&sums, &named(matches))?;
    let ask = Ask::Test {
        destination: destination.clone(),
        who: super::who(input),
    };
    let answer = runtime()?.block_on(ask_running(&data_dir, &ask))?;
    let trial = match answer {
        Answer::Tested(trial) => trial,
        Answer::Failed(why) => {
            complain(&format!("error: {why}"));
            return Ok(ExitCode::from(FAILED));
        }
        other => anyhow::bail!("unexpected answer: {other:?}"),
    };
    if matches.get_flag("json") {
        print(&serde_json::to_string(&trial)?)?;
    } else {
        let took_ms = trial.took_ms;
        print(&match &trial.reason {
            None => format!("{destination} took it in {took_ms} ms"),
            Some(why) => format!("{destination} did not take it: {why} ({took_ms} ms)"),
        })?;
        print(&format!("sent: {}", trial.body))?;
        if let Some(answer) = &trial.answer {
            print(&format!("answered: {answer}"))?;
        }
    }
    Ok(if trial.delivered {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FAILED)
    })
}

fn change(input: &Input, matches: &ArgMatches, pause: bool) -> Outcome {
    let data_dir = Config::data_dir(input)?;
    let sums = Reader::open(&data_dir)?.sums()?;
    let destination = choose::destination(&sums, &named(matches))?;
    let who = super::who(input);
    let why = matches.get_one::<String>("why").cloned();
    let why = why.unwrap_or_default();
    let id = destination.clone();
    let (word, ask) = if pause {
        let ask = Ask::Pause {
            destination,
            who,
            why,
        };
        ("pause", ask)
    } else {
        let ask = Ask::Resume {
            destination,
            who,
            why,
        };
        ("resume", ask)
    };
    let answer = runtime()?.block_on(async {
        let asker = Asker::find(&data_dir).await?;
        let answer = asker.ask(ask).await;
        asker.close().await;
        answer
    })?;
    match answer {
        Answer::Changed(changed) if matches.get_flag("json") => {
            print(&serde_json::to_string(&ChangedJson {
                act: word,
                destination: &id,
                changed,
            })?)?;
        }
        Answer::Changed(true) if pause => {
            print(&format!(
                "{id} is paused: what comes for it waits until orbit-relay destinations resume {id}"
            ))?;
        }
        Answer::Changed(true) => print(&format!("{id} goes on"))?,
        Answer::Changed(false) => print(&format!("{id} is not paused"))?,
        Answer::Failed(why) => {
            complain(&format!("error: {why}"));
            return Ok(ExitCode::from(FAILED));
        }
        other => anyhow::bail!("an answer to something else: {other:?}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn named(matches: &ArgMatches) -> String {
    let named = matches.get_one::<String>("destination");
    named.cloned().unwrap_or_default()
}

/// How it does, in one word: the gravest first.
fn condition(destination: &DestinationSums) -> &'static str {
    if destination.removed {
        "removed"
    } else if destination.paused.is_some() {
        "paused"
    } else if destination.down.is_some() {
        "down"
    } else if destination.held_until.is_some() {
        "held"
    } else {
        "ok"
    }
}

fn lines(destination: &DestinationSums) -> Vec<String> {
    let DestinationSums { id, name, kept, .. } = destination;
    let condition = condition(destination);
    let named = if name == id || name.is_empty() {
        String::new()
    } else {
        format!(" (id {id})")
    };
    let states = State::ALL.into_iter();
    let states: Vec<_> = states
        .map(|state| format!("{} {}", state.as_str(), destination.of(state)))
        .collect();
    let shown = if name.is_empty() { id } else { name };
    let mut lines = vec![format!("{shown}{named}: {condition}")];
    lines.extend(trouble(destination).map(|trouble| format!("  {trouble}")));
    lines.push(format!("  {}", states.join(", ")));
    if destination.unmapped > 0 {
        let unmapped = destination.unmapped;
        lines.push(format!("  parked: {unmapped} without an asset"));
    }
    if *kept > 0 {
        lines.push(format!("  kept {kept} that came before it was configured"));
    }
    if let Some(at) = destination.oldest_undelivered_at {
        lines.push(format!("  the oldest undelivered event came at {at}"));
    }
    lines
}

/// One act, for people.
pub(super) fn act_line(act: &Act) -> String {
    let Act {
        at,
        who,
        what,
        detail,
        ..
    } = act;
    format!("{at:.0} {who}: {what}{}", because(detail))
}
