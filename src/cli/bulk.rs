//! `deliveries replay` and `deliveries discard`: says which it would be, asks, has it done, and
//! shows how far it is.
//!
//! # Invariants
//! - Nothing is done without a filter or `--all`, nor unasked: a terminal is asked, a program says
//!   `--yes`.
//! - What was begun goes on without this command; the command only waits for it.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use serde::Serialize;
use tokio::net::UnixStream;

use super::asker::Asker;
use super::deliveries::{DeliveryJson, line};
use super::{FAILED, Outcome, Usage, choose, complain, print, runtime};
use crate::app::bulk::{refuses, refuses_states};
use crate::app::control::{Answer, Ask};
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::relay::journal::{Bulk, Counted, Filter, Job, Kind, Reader, Worked};

/// So many deliveries of each destination are shown before it is asked.
const SHOWN: usize = 3;
/// How often the relay's progress is looked at.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Serialize)]
struct BulkJson<'a> {
    act: &'static str,
    dry_run: bool,
    matching: u64,
    counts: Vec<CountJson<'a>>,
    first: Vec<DeliveryJson<'a>>,
    jobs: &'a [i64],
    done: Option<u64>,
}

#[derive(Serialize)]
struct CountJson<'a> {
    destination: &'a str,
    state: &'static str,
    n: u64,
}

pub(super) fn run(kind: Kind, input: &Input, matches: &ArgMatches) -> Outcome {
    let data_dir = Config::data_dir(input)?;
    let mut reader = Reader::open(&data_dir)?;
    let sums = reader.sums()?;
    let bulk = Bulk {
        kind,
        filter: choose::filter(matches, &sums, Clock::system().wall())?,
        as_sent: kind == Kind::Replay && matches.get_flag("as-sent"),
    };
    check(kind, &bulk.filter, matches.get_flag("all"))?;
    check_ids(kind, &bulk.filter, &mut reader)?;
    let (json, dry_run) = (matches.get_flag("json"), matches.get_flag("dry-run"));
    if !dry_run && !matches.get_flag("yes") && !std::io::stdin().is_terminal() {
        return Err(Usage(format!(
            "{} asks before it does anything, and there is no terminal to ask at: say --yes, or \
             --dry-run to look first",
            kind.as_str()
        ))
        .into());
    }
    let counted = reader.count(&bulk.effective(), SHOWN)?;
    if dry_run || counted.total() == 0 {
        say(kind, &counted, dry_run, json, &[], (!dry_run).then_some(0))?;
        return Ok(ExitCode::SUCCESS);
    }
    if !matches.get_flag("yes") {
        for text in preview(kind, &counted) {
            complain(&text);
        }
        if !confirmed(kind)? {
            complain("nothing was done");
            return Ok(ExitCode::from(FAILED));
        }
    }
    let ask = Ask::Begin {
        who: super::who(input),
        bulk: Box::new(bulk),
    };
    let (jobs, done) = runtime()?.block_on(carry_out(&data_dir, reader, ask, counted.total()))?;
    say(kind, &counted, false, json, &jobs, Some(done))?;
    Ok(ExitCode::SUCCESS)
}

fn check(kind: Kind, filter: &Filter, all: bool) -> Result<(), Usage> {
    let word = kind.as_str();
    if filter.is_empty() && !all {
        return Err(Usage(format!(
            "{word}: say which deliveries (IDs, --state, --destination, --asset, --type, --since, \
             --until, --text), or --all"
        )));
    }
    refuses_states(kind, filter).map_or(Ok(()), |why| Err(Usage(why)))
}

/// A delivery that a person names by its id is there, and can be acted on.
fn check_ids(kind: Kind, filter: &Filter, reader: &mut Reader) -> anyhow::Result<()> {
    for id in &filter.ids {
        let Some(found) = reader.delivery(id)? else {
            return Err(Usage(format!("no delivery `{id}`")).into());
        };
        if let Some(why) = refuses(kind, &found) {
            return Err(Usage(why).into());
        }
    }
    Ok(())
}

/// Has it begun and waits for its end; gives the jobs, and how many deliveries they changed.
async fn carry_out(
    data_dir: &Path,
    mut reader: Reader,
    ask: Ask,
    matching: u64,
) -> anyhow::Result<(Vec<i64>, u64)> {
    let asker = Asker::find(data_dir).await?;
    let jobs = match asker.ask(ask).await {
        Ok(Answer::Begun(jobs)) => jobs,
        Ok(Answer::Failed(why)) => {
            asker.close().await;
            anyhow::bail!(why);
        }
        Ok(other) => anyhow::bail!("an answer to something else: {other:?}"),
        Err(error) => {
            asker.close().await;
            return Err(error);
        }
    };
    let progress = Progress::new(matching);
    loop {
        // Looked at before what is read: a relay that ends after its last step is no trouble.
        let alive = match &asker {
            Asker::Relay(socket) => {
                tokio::time::sleep(LOOK).await;
                UnixStream::connect(socket).await.is_ok()
            }
            Asker::Journal(ground, _) => {
                ground.journal.work(ground.clock.wall(), false).await? == Worked::Step
            }
        };
        let found = jobs.iter().map(|no| reader.job(*no));
        let found: Vec<Job> = found
            .filter_map(Result::transpose)
            .collect::<Result<_, _>>()?;
        let done = found.iter().map(|job| job.done).sum();
        progress.show(done);
        if found.iter().all(|job| job.ended_at.is_some()) {
            progress.clear();
            asker.close().await;
            return Ok((jobs, done));
        }
        if !alive {
            progress.clear();
            asker.close().await;
            anyhow::bail!(
                "the relay ended meanwhile, after {done} of {matching}; it goes on with the rest \
                 when it starts again"
            );
        }
    }
}

/// A line that is written over and over, where somebody sees it.
struct Progress {
    matching: u64,
    seen: bool,
}

impl Progress {
    fn new(matching: u64) -> Self {
        let seen = std::io::stderr().is_terminal();
        Self { matching, seen }
    }

    fn show(&self, done: u64) {
        let matching = self.matching;
        self.write(&format!(
            "{done} of {matching} (it goes on if you end this command)"
        ));
    }

    fn clear(&self) {
        self.write("");
    }

    fn write(&self, text: &str) {
        if self.seen {
            // Where standard error is closed there is nobody to tell.
            let mut stderr = std::io::stderr().lock();
            write!(stderr, "\r{text}\u{1b}[K").ok();
            stderr.flush().ok();
        }
    }
}

fn confirmed(kind: Kind) -> anyhow::Result<bool> {
    asked(&format!("{} them?", kind.as_str()))
}

/// Asks at the terminal.
pub(super) fn asked(question: &str) -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} [y/N] ").ok();
    stderr.flush().ok();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn preview(kind: Kind, counted: &Counted) -> Vec<String> {
    let mut lines = vec![format!(
        "{} is for {} deliveries",
        kind.as_str(),
        counted.total()
    )];
    for ((destination, state), n) in &counted.by_state {
        lines.push(format!("  {destination}: {n} {}", state.as_str()));
    }
    lines.extend(counted.first.iter().map(|delivery| line(delivery, None)));
    let shown = u64::try_from(counted.first.len()).unwrap_or(u64::MAX);
    if counted.total() > shown {
        lines.push(format!("… and {} more", counted.total() - shown));
    }
    lines
}

fn say(
    kind: Kind,
    counted: &Counted,
    dry_run: bool,
    json: bool,
    jobs: &[i64],
    done: Option<u64>,
) -> anyhow::Result<()> {
    if json {
        let counts = counted.by_state.iter();
        return print(&serde_json::to_string(&BulkJson {
            act: kind.as_str(),
            dry_run,
            matching: counted.total(),
            counts: counts
                .map(|((destination, state), n)| CountJson {
                    destination,
                    state: state.as_str(),
                    n: *n,
                })
                .collect(),
            first: counted
                .first
                .iter()
                .map(|delivery| DeliveryJson::new(delivery, delivery.due_at))
                .collect(),
            jobs,
            done,
        })?);
    }
    match done {
        _ if counted.total() == 0 => print("no delivery matches; nothing to do"),
        None => {
            for text in preview(kind, counted) {
                print(&text)?;
            }
            print("nothing was done (--dry-run)")
        }
        Some(done) => {
            let state = kind.makes().as_str();
            print(&format!("{done} deliveries are now {state}"))
        }
    }
}
