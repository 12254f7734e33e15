//! Posts genuine events of one source at a steady rate, and, if told to, floods another source with
//! requests that do not verify, for `bench/flood.sh`.
//!
//! Both go by a timetable, whatever the answers do: a request that is due while its connection still
//! waits for an answer counts from when it was due, so that a relay that stalls is not asked less.
//! Of one whose connection is free the time counts from when it is sent: how late a timer wakes is
//! not the relay's doing.
//!
//! # Invariants
//! - Nothing but a loopback address is contacted.
//! - No two genuine requests carry the same event, within one run or across runs.
//! - `requests`, `rate_per_s` and the latencies cover the measured seconds only; `statuses` and
//!   `errors` cover every request, warm-up included.

#[path = "load/tally.rs"]
mod tally;
#[path = "load/wire.rs"]
mod wire;

use std::fmt::Write as _;
use std::io::Write as _;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Arg, Command, value_parser};
use jiff::Timestamp;
use orbit_relay::clock::{Clock, later, until};
use orbit_relay::relay::verify::Scheme;
use orbit_relay::relay::verify::scheme::Draft;
use orbit_relay::secret::Secret;
use tokio::task::JoinSet;

use self::tally::Tally;
use self::wire::{Target, exchange};

/// How long an answer may stay out after the last second: the other side then counts as stuck.
const GRACE: Duration = Duration::from_secs(10);

/// Both sources sign by it.
const SCHEME: Scheme = Scheme::Github;

fn main() -> anyhow::Result<()> {
    let arguments = command().get_matches();
    let number = |name| arguments.get_one::<u32>(name).copied().unwrap_or_default();
    let text = |name| arguments.get_one::<String>(name).map_or("", String::as_str);
    let clock = Clock::system();
    let begin = later(clock.steady(), Duration::from_secs(number("warmup").into()));
    let measured = Duration::from_secs(number("seconds").into());
    let window = begin..later(begin, measured);
    let genuine = Timetable {
        target: Target::parse(text("url"))?,
        sender: Sender::Source(Secret::new(text("secret").to_owned())),
        rate: number("rate"),
        connections: number("connections"),
    };
    // Each has its own thread: what the flood costs its sender delays no genuine request.
    let flood = (number("flood") > 0).then(|| {
        Ok::<_, anyhow::Error>(Timetable {
            target: Target::parse(text("flood-url"))?,
            sender: Sender::Stranger,
            rate: number("flood"),
            connections: number("flood-connections"),
        })
    });
    let mut threads = Vec::new();
    for timetable in [Some(genuine), flood.transpose()?].into_iter().flatten() {
        let (clock, window) = (clock.clone(), window.clone());
        threads.push(thread::spawn(move || timetable.run(&clock, &window)));
    }
    for thread in threads {
        let Ok(tally) = thread.join() else {
            bail!("a thread of the load panicked");
        };
        writeln!(std::io::stdout(), "{}", tally?.report(measured))?;
    }
    Ok(())
}

fn command() -> Command {
    let number = |name, default, help| {
        Arg::new(name)
            .long(name)
            .value_parser(value_parser!(u32))
            .default_value(default)
            .help(help)
    };
    let text = |name, help| Arg::new(name).long(name).help(help);
    Command::new("flood")
        .about("Posts events of a source at a steady rate, and floods another; prints a JSON line of each")
        .arg(
            text(
                "url",
                "The path of the source: http://127.0.0.1:PORT/hooks/NAME",
            )
            .required(true),
        )
        .arg(text("secret", "What it signs with, as GitHub does").required(true))
        .arg(number("rate", "200", "Genuine requests a second"))
        .arg(number("connections", "16", "Connections that they share"))
        .arg(text("flood-url", "The path of the source that is flooded").requires("flood"))
        .arg(number(
            "flood",
            "0",
            "Requests a second there that do not verify",
        ))
        .arg(number(
            "flood-connections",
            "64",
            "Connections that they share",
        ))
        .arg(number(
            "warmup",
            "1",
            "Seconds of load before the measured ones",
        ))
        .arg(number("seconds", "5", "Measured seconds"))
}

/// Who sends.
enum Sender {
    /// The source itself, with its secret.
    Source(Secret),
    /// Somebody who knows the form and not the secret.
    Stranger,
}

/// So many requests a second, spread over some connections.
struct Timetable {
    target: Target,
    sender: Sender,
    rate: u32,
    connections: u32,
}

impl Timetable {
    fn run(self, clock: &Clock, window: &Range<Timestamp>) -> anyhow::Result<Tally> {
        ensure!(
            self.rate > 0 && self.connections > 0,
            "a rate and connections are needed"
        );
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.talk(clock, window))
    }

    async fn talk(self, clock: &Clock, window: &Range<Timestamp>) -> anyhow::Result<Tally> {
        let start = clock.steady();
        let each = Duration::from_secs(1) / self.rate;
        let run = getrandom::u64()?;
        let mut connections = JoinSet::new();
        for connection in 0..self.connections {
            let mut requests = Requests::new(&self.target, &self.sender, run, connection)?;
            let line = Line {
                first: later(start, each * connection),
                every: each * self.connections,
            };
            let (clock, window, address) = (clock.clone(), window.clone(), self.target.address);
            connections.spawn(async move {
                let mut tally = Tally::default();
                let limit = until(clock.steady(), later(window.end, GRACE));
                let posting = line.post(address, &mut requests, &clock, &window, &mut tally);
                match tokio::time::timeout(limit, posting).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tally.error(format!("{error:#}")),
                    Err(_) => tally.error(format!("no answer {GRACE:?} after the end")),
                }
                tally
            });
        }
        let mut sum = Tally::default();
        while let Some(tally) = connections.join_next().await {
            sum.add(tally?);
        }
        sum.latencies_us.sort_unstable();
        Ok(sum)
    }
}

/// When the requests of one connection are due.
struct Line {
    first: Timestamp,
    every: Duration,
}

impl Line {
    async fn post(
        &self,
        address: std::net::SocketAddr,
        requests: &mut Requests,
        clock: &Clock,
        window: &Range<Timestamp>,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let mut connection = None;
        let mut answer = Vec::with_capacity(4096);
        let mut due = self.first;
        while due < window.end {
            let free = clock.steady() <= due;
            clock.sleep_until(due).await;
            let request = requests.next(clock.wall())?;
            let since = if free { clock.steady() } else { due };
            match exchange(&mut connection, address, request, &mut answer).await {
                Ok(status) => {
                    *tally.statuses.entry(status).or_default() += 1;
                    if window.contains(&due) {
                        let us = until(since, clock.steady()).as_micros();
                        let us = u32::try_from(us).unwrap_or(u32::MAX);
                        tally.latencies_us.push(us);
                    }
                }
                Err(error) => {
                    tally.error(format!("{error:#}"));
                    connection = None;
                }
            }
            due = later(due, self.every);
        }
        Ok(())
    }
}

/// The requests of one connection.
struct Requests {
    target: Target,
    secret: Option<Secret>,
    /// Tells this connection of this run from all others.
    prefix: String,
    count: u64,
    bytes: Vec<u8>,
}

impl Requests {
    fn new(target: &Target, sender: &Sender, run: u64, connection: u32) -> anyhow::Result<Self> {
        let mut requests = Self {
            target: target.clone(),
            secret: None,
            prefix: format!("{run:016x}-{connection}"),
            count: 0,
            bytes: Vec::new(),
        };
        match sender {
            Sender::Source(secret) => requests.secret = Some(secret.clone()),
            // The relay takes as long to see that the same request is not genuine, time and again.
            Sender::Stranger => {
                let stranger = Secret::new("nobody told him".to_owned());
                requests.write(&stranger, Timestamp::UNIX_EPOCH)?;
            }
        }
        Ok(requests)
    }

    fn next(&mut self, now: Timestamp) -> anyhow::Result<&[u8]> {
        if let Some(secret) = self.secret.clone() {
            self.write(&secret, now)?;
        }
        Ok(&self.bytes)
    }

    fn write(&mut self, secret: &Secret, at: Timestamp) -> anyhow::Result<()> {
        self.count += 1;
        let id = format!("{}-{}", self.prefix, self.count);
        let pad = "x".repeat(900);
        let body = format!(r#"{{"type":"order","id":"{id}","text":"{pad}"}}"#);
        let draft = Draft {
            id: &id,
            event_type: "order",
            at,
            body: body.as_bytes(),
        };
        let signed = SCHEME.sign(secret, &draft).context("sign")?;
        let mut request = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            self.target.path,
            self.target.address,
            body.len(),
        );
        for (name, value) in signed {
            write!(request, "{name}: {value}\r\n")?;
        }
        self.bytes = format!("{request}\r\n{body}").into_bytes();
        Ok(())
    }
}
