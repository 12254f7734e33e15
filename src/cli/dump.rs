//! `events dump`, and the filters that it shares with `events list`.
//!
//! # Invariants
//! - Each event is printed once, in order of arrival, whatever comes meanwhile: the journal commits
//!   numbers in order, so what is read up to the last one is all there is up to it.
//! - One read looks at [`STEP`] numbers at most, however few of them are asked for.
//! - It ends where nobody reads, also while there is nothing to print, and at a signal also while
//!   its reader stalls. Only then a line may be cut.

use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

use super::args::{json, limit, place};
use super::read::line;
use super::signals::until_stopped;
use super::{Outcome, choose, runtime, wrote};
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::event::Glob;
use crate::relay::journal::{EventsPage, Reader};

/// Between two looks for what is new.
const LOOK: Duration = Duration::from_secs(1);
/// After a signal the line that is being written has so long.
const LAST_LINE: Duration = Duration::from_secs(1);
/// One read looks at so many numbers.
const STEP: i64 = 10_000;
/// And gives so many events.
const PAGE: u32 = 500;

/// The command `events`.
pub(super) fn command() -> Command {
    Command::new("events")
        .about("Look at the events in the journal")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("List events, the newest first")
                .args(place())
                .args(filters())
                .args([json(), limit()]),
        )
        .subcommand(
            Command::new("dump")
                .about("Print events as JSON lines, all of them, the oldest first")
                .args(place())
                .args(filters())
                .args([
                    number("after", "Only events with a larger number"),
                    Arg::new("limit")
                        .long("limit")
                        .value_name("N")
                        .help("End after so many")
                        .value_parser(value_parser!(u64).range(1..)),
                    Arg::new("follow")
                        .long("follow")
                        .help("Go on with what comes, until a signal or nobody reads")
                        .conflicts_with("before")
                        .action(ArgAction::SetTrue),
                ]),
        )
        .subcommand(
            Command::new("show")
                .about("Show one event and its deliveries")
                .arg(
                    Arg::new("event")
                        .value_name("EVENT")
                        .help("Its number, or what it is known by")
                        .required(true),
                )
                .args(place())
                .arg(json()),
        )
}

fn filters() -> [Arg; 4] {
    let one = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    [
        one("source", "NAME", "Only of this source"),
        one(
            "type",
            "GLOB",
            "Only of these types; * is any text, ? one character",
        ),
        one(
            "since",
            "WHEN",
            "Only received then or later: RFC 3339, a date, or 2d for two days ago",
        ),
        number("before", "Only events with a smaller number"),
    ]
}

fn number(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name)
        .long(name)
        .value_name("NUMBER")
        .help(help)
        .value_parser(value_parser!(i64))
}

/// What the filters ask for.
pub(super) fn page(matches: &ArgMatches) -> anyhow::Result<EventsPage> {
    let text = |name| matches.get_one::<String>(name);
    Ok(EventsPage {
        before: matches.get_one("before").copied(),
        source: text("source").cloned(),
        event_type: text("type").map(|glob| Glob::new(glob)),
        since: choose::when(matches, "since", Clock::system().wall())?,
        limit: PAGE,
        ..EventsPage::default()
    })
}

pub(super) fn dump(input: &Input, matches: &ArgMatches) -> Outcome {
    let mut dump = Dump {
        reader: Reader::open(&Config::data_dir(input)?)?,
        page: EventsPage {
            ascending: true,
            ..page(matches)?
        },
        end: matches.get_one("before").copied().unwrap_or(i64::MAX),
        seen: matches.get_one("after").copied().unwrap_or(0).max(0),
        left: matches.get_one("limit").copied().unwrap_or(u64::MAX),
    };
    let follow = matches.get_flag("follow");
    let runtime = runtime()?;
    // On a thread of its own: a write waits for the reader, and a signal must not.
    let mut printing = runtime.spawn(async move {
        while dump.catch_up().await? && follow {
            tokio::time::sleep(LOOK).await;
        }
        anyhow::Ok(())
    });
    let ended = runtime.block_on(async {
        let ended = until_stopped(async {
            tokio::select! {
                printed = &mut printing => printed?,
                () = nobody_reads() => Ok(()),
            }
        })
        .await?;
        if ended.is_none() {
            printing.abort();
            // The line that is being written, if somebody reads it.
            tokio::time::timeout(LAST_LINE, printing).await.ok();
        }
        ended.unwrap_or(Ok(()))
    });
    runtime.shutdown_background();
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// Where a dump stands.
struct Dump {
    reader: Reader,
    page: EventsPage,
    /// The number that is not looked at any more.
    end: i64,
    /// The last number that was looked at.
    seen: i64,
    /// How many events may still be printed.
    left: u64,
}

impl Dump {
    /// Prints what there is by now; whether anybody wants more.
    async fn catch_up(&mut self) -> anyhow::Result<bool> {
        let last = self.reader.last_number()?;
        let last = last.min(self.end.saturating_sub(1));
        while self.seen < last {
            let step = self.seen.saturating_add(STEP).min(last);
            self.page.before = step.checked_add(1);
            loop {
                self.page.after = Some(self.seen);
                self.page.limit = u32::try_from(self.left).unwrap_or(PAGE).min(PAGE);
                let events = self.reader.events(&self.page)?;
                let Some(newest) = events.last() else {
                    break;
                };
                self.seen = newest.seq;
                for event in &events {
                    self.left = self.left.saturating_sub(1);
                    if !wrote(&line(event, false)?)? {
                        return Ok(false);
                    }
                    // Here it can be told to end.
                    tokio::task::yield_now().await;
                }
                if self.left == 0 {
                    return Ok(false);
                }
            }
            self.seen = step;
        }
        Ok(true)
    }
}

/// Ends when standard output is a pipe that nobody reads any more; a file is never that.
async fn nobody_reads() {
    let pipe = std::io::stdout().as_fd().try_clone_to_owned();
    // Its mode stays as it is: nothing is written through this copy.
    let pipe = pipe.and_then(Sender::from_owned_fd_unchecked);
    if let Ok(pipe) = pipe
        && pipe.ready(Interest::ERROR).await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}
