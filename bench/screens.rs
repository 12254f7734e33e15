//! The two ends of `bench/screens.sh` that are not the relay: a journal as a plant has it after a
//! quarter of a year, and somebody who asks for every screen.
//!
//! # Invariants
//! - A directory that holds a journal already is left alone.
//! - What is made depends on the number of events only, but for the time at which it ends.
//! - Only a loopback address is asked, by one request at a time, each on a connection of its own.

#[path = "screens/ask.rs"]
mod ask;
#[path = "screens/fill.rs"]
mod fill;
#[path = "screens/list.rs"]
mod list;
#[path = "screens/plant.rs"]
mod plant;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Arg, ArgMatches, Command, value_parser};
use orbit_relay::clock::{Clock, until};
use orbit_relay::relay::journal::{EventsPage, Reader};

/// No catalogue takes longer.
const PATIENCE: Duration = Duration::from_hours(1);
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn main() -> anyhow::Result<()> {
    match command().get_matches().subcommand() {
        Some(("fill", arguments)) => fill::fill(&data_dir(arguments)?, number(arguments, "events")),
        Some(("wait", arguments)) => wait(&data_dir(arguments)?),
        Some(("ask", arguments)) => ask::ask(
            u16::try_from(number(arguments, "port")).context("--port")?,
            &data_dir(arguments)?,
            number(arguments, "times"),
        ),
        _ => bail!("fill, wait or ask"),
    }
}

fn command() -> Command {
    let data_dir = || {
        Arg::new("data-dir")
            .long("data-dir")
            .value_parser(value_parser!(PathBuf))
            .required(true)
            .help("Where the journal is")
    };
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name)
            .long(name)
            .value_parser(value_parser!(u32).range(1..))
            .required(true)
            .help(help)
    };
    Command::new("screens")
        .about("Fills a journal for two destinations, and asks for every screen of its relay")
        .subcommand_required(true)
        .subcommand(
            Command::new("fill")
                .about("Makes a journal and an asset map")
                .args([data_dir(), number("events", "How many events")]),
        )
        .subcommand(
            Command::new("wait")
                .about("Waits until a relay has catalogued all that is there")
                .arg(data_dir()),
        )
        .subcommand(
            Command::new("ask")
                .about("Makes the first account, and asks for every screen")
                .args([
                    data_dir(),
                    number("port", "Where the page is, on 127.0.0.1"),
                    number("times", "How often each screen is asked for"),
                ]),
        )
}

fn data_dir(arguments: &ArgMatches) -> anyhow::Result<PathBuf> {
    let data_dir = arguments.get_one::<PathBuf>("data-dir").cloned();
    data_dir.context("--data-dir is missing")
}

fn number(arguments: &ArgMatches, name: &str) -> u32 {
    arguments.get_one::<u32>(name).copied().unwrap_or_default()
}

/// Says how long it took, and how many events that were.
fn wait(data_dir: &std::path::Path) -> anyhow::Result<()> {
    let clock = Clock::system();
    let began = clock.steady();
    let mut reader = Reader::open(data_dir)?;
    let newest = EventsPage {
        limit: 1,
        ..EventsPage::default()
    };
    let last = reader.events(&newest)?.first().map_or(0, |event| event.seq);
    let from = reader.catalogue_mark()?.upto;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    loop {
        let mark = reader.catalogue_mark()?;
        if mark.upto >= last && !mark.is_behind() {
            break;
        }
        ensure!(
            until(began, clock.steady()) < PATIENCE,
            "the catalogue is at {} of {last}",
            mark.upto
        );
        runtime.block_on(clock.sleep(LOOK_EVERY));
    }
    let seconds = until(began, clock.steady()).as_secs_f64();
    let said = serde_json::json!({"events": last - from, "seconds": seconds});
    writeln!(std::io::stdout(), "{said}")?;
    Ok(())
}
