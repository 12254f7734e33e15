//! Posts signed Orbit events to a webhook port as fast as it answers them, for `bench/ingest.sh`
//! and `bench/backlog.sh`.
//!
//! Each connection sends a request, waits for its answer, then sends the next. The load shares
//! the machine with what it measures, so it is cheap: a request is a template of which only the
//! fresh bytes are rewritten, and of an answer only status and length are read.
//!
//! # Invariants
//! - Nothing but a loopback address is contacted.
//! - No two requests carry the same event, within one run or across runs.
//! - `requests`, `rate_per_s` and the latencies cover the measured seconds only; `statuses` and
//!   `errors` cover every request, warm-up and last ones included, so that their sum is what the
//!   other side has seen.

#[path = "load/request.rs"]
mod request;
#[path = "load/tally.rs"]
mod tally;
#[path = "load/wire.rs"]
mod wire;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Arg, ArgAction, Command, value_parser};
use jiff::Timestamp;
use orbit_relay::clock::{Clock, later, until};
use orbit_relay::secret::WebhookSecret;
use tokio::task::JoinSet;

use self::request::Post;
use self::tally::Tally;
use self::wire::{Target, exchange, percentile};

/// How long an answer may stay out after the last second: the other side then counts as stuck.
const GRACE: Duration = Duration::from_secs(10);

/// A relay that has taken no event by then does not start.
const LONGEST_START: Duration = Duration::from_mins(1);

/// Before the next try on a port that refuses: it would otherwise take a whole core.
const PAUSE: Duration = Duration::from_millis(5);

fn main() -> anyhow::Result<ExitCode> {
    let arguments = command().get_matches();
    if let Some(directory) = arguments.get_one::<String>("fsync-probe") {
        say(&fsync_probe(Path::new(directory))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let number = |name| arguments.get_one::<u32>(name).copied().unwrap_or_default();
    let text = |name| arguments.get_one::<String>(name).map_or("", String::as_str);
    let load = Load {
        target: Target::parse(text("url"))?,
        secret: WebhookSecret::parse(text("secret"))?,
        connections: number("connections"),
        threads: number("threads"),
        warmup: Duration::from_secs(number("warmup").into()),
        measured: Duration::from_secs(number("seconds").into()),
    };
    if arguments.get_flag("first") {
        load.first()?;
        return Ok(ExitCode::SUCCESS);
    }
    let tally = load.run()?;
    say(&tally.report(load.measured))?;
    if let Some(error) = &tally.last_error {
        writeln!(std::io::stderr(), "load: the last error: {error}")?;
    }
    let bad = tally.errors > 0 || tally.statuses.keys().any(|status| *status != 200);
    if arguments.get_flag("expect-200") && (bad || tally.statuses.is_empty()) {
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

fn command() -> Command {
    let number = |name, default| {
        Arg::new(name)
            .long(name)
            .value_parser(value_parser!(u32))
            .default_value(default)
    };
    Command::new("load")
        .about("Posts distinct signed Orbit events to a loopback address; prints one JSON line")
        .arg(
            Arg::new("url")
                .long("url")
                .required_unless_present("fsync-probe")
                .help("Where to post: http://127.0.0.1:PORT/"),
        )
        .arg(
            Arg::new("secret")
                .long("secret")
                .required_unless_present("fsync-probe")
                .help("The key to sign with, 64 hex characters"),
        )
        .arg(number("connections", "64").help("Connections that each keep one request going"))
        .arg(
            number("threads", "2")
                .value_parser(value_parser!(u32).range(1..=2))
                .help("Threads that the connections share, 1 or 2"),
        )
        .arg(number("warmup", "2").help("Seconds of load before the measured ones"))
        .arg(number("seconds", "10").help("Measured seconds"))
        .arg(
            Arg::new("expect-200")
                .long("expect-200")
                .action(ArgAction::SetTrue)
                .help("Exit with 1 unless every request was answered with 200"),
        )
        .arg(
            Arg::new("first")
                .long("first")
                .action(ArgAction::SetTrue)
                .help("Instead of the load: one event, again until it is answered with 200"),
        )
        .arg(
            Arg::new("fsync-probe")
                .long("fsync-probe")
                .value_name("DIR")
                .help("Instead of the load: time 200 writes of 64 KiB, each with fdatasync"),
        )
}

/// One line on standard output.
fn say(line: &serde_json::Value) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

/// What is to be done.
struct Load {
    target: Target,
    secret: WebhookSecret,
    connections: u32,
    threads: u32,
    warmup: Duration,
    measured: Duration,
}

impl Load {
    /// Ends when one event was taken: how long that is from the start of a relay is seen outside.
    fn first(&self) -> anyhow::Result<()> {
        let mut post = Post::new(&self.target, &self.secret)?;
        let clock = Clock::system();
        let until_taken = async {
            let mut connection = None;
            let mut answer = Vec::new();
            loop {
                let request = post.renew(clock.wall());
                let address = self.target.address;
                match exchange(&mut connection, address, request, &mut answer).await {
                    Ok(200) => return,
                    Ok(_) => {}
                    Err(_) => connection = None,
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(async { tokio::time::timeout(LONGEST_START, until_taken).await })
            .context("no event was taken within a minute")
    }

    /// Runs the connections to their end, on threads that share nothing.
    fn run(&self) -> anyhow::Result<Tally> {
        let clock = Clock::system();
        let begin = later(clock.steady(), self.warmup);
        let window = begin..later(begin, self.measured);
        let mut threads = Vec::new();
        for thread in 0..self.threads {
            let share = (thread..self.connections)
                .step_by(usize::try_from(self.threads)?)
                .map(|_| Post::new(&self.target, &self.secret))
                .collect::<anyhow::Result<Vec<_>>>()?;
            let (clock, window, address) = (clock.clone(), window.clone(), self.target.address);
            threads.push(thread::spawn(move || {
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?
                    .block_on(converse_all(share, address, clock, window))
            }));
        }
        let mut sum = Tally::default();
        for thread in threads {
            match thread.join() {
                Ok(tally) => sum.add(tally?),
                Err(_) => bail!("a thread of the load panicked"),
            }
        }
        sum.latencies_us.sort_unstable();
        Ok(sum)
    }
}

async fn converse_all(
    posts: Vec<Post>,
    address: SocketAddr,
    clock: Clock,
    window: Range<Timestamp>,
) -> anyhow::Result<Tally> {
    let mut connections = JoinSet::new();
    for post in posts {
        let (clock, window) = (clock.clone(), window.clone());
        connections.spawn(async move {
            let mut tally = Tally::default();
            let limit = until(clock.steady(), later(window.end, GRACE));
            let talk = converse(post, address, &clock, &window, &mut tally);
            if tokio::time::timeout(limit, talk).await.is_err() {
                tally.error(format!("no answer {GRACE:?} after the end"));
            }
            tally
        });
    }
    let mut sum = Tally::default();
    while let Some(tally) = connections.join_next().await {
        sum.add(tally?);
    }
    Ok(sum)
}

/// Posts one event after another until the window ends.
async fn converse(
    mut post: Post,
    address: SocketAddr,
    clock: &Clock,
    window: &Range<Timestamp>,
    tally: &mut Tally,
) {
    let mut connection = None;
    let mut answer = Vec::with_capacity(4096);
    loop {
        let sent = clock.steady();
        if sent >= window.end {
            return;
        }
        let request = post.renew(clock.wall());
        match exchange(&mut connection, address, request, &mut answer).await {
            Ok(status) => {
                *tally.statuses.entry(status).or_default() += 1;
                let done = clock.steady();
                if window.contains(&done) {
                    let us = until(sent, done).as_micros();
                    tally
                        .latencies_us
                        .push(u32::try_from(us).unwrap_or(u32::MAX));
                }
            }
            Err(error) => {
                tally.error(format!("{error:#}"));
                connection = None;
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// What the disk under `directory` takes to make 64 KiB durable: the floor of a commit.
fn fsync_probe(directory: &Path) -> anyhow::Result<serde_json::Value> {
    const WRITES: usize = 200;
    fs::create_dir_all(directory)?;
    let mut file = tempfile::tempfile_in(directory)
        .with_context(|| format!("a file in {}", directory.display()))?;
    let clock = Clock::system();
    let block = vec![0x5a; 64 * 1024];
    let mut times_us = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let before = clock.steady();
        file.write_all(&block)?;
        file.sync_data()?;
        let us = until(before, clock.steady()).as_micros();
        times_us.push(u32::try_from(us).unwrap_or(u32::MAX));
    }
    times_us.sort_unstable();
    let at = |percent| f64::from(percentile(&times_us, percent)) / 1e3;
    Ok(serde_json::json!({
        "writes": WRITES,
        "bytes": block.len(),
        "p50_ms": at(50),
        "p99_ms": at(99),
    }))
}
