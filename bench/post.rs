//! The two ends of `bench/deliver.sh` that are not the relay: a backend that answers at once, and
//! a bare loop that posts what the relay would post.
//!
//! The loop has the relay's own HTTP client, headers and bodies; it has no journal, and everything
//! that can be made ready before is. What it reaches is what posting alone costs on this machine.
//!
//! # Invariants
//! - Only loopback addresses are listened on and posted to.
//! - The backend counts by the path that is posted to, so that rounds do not mix.
//! - The backend's times go from the first arrival to the last, whoever posts.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use clap::{Arg, ArgMatches, Command, value_parser};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use orbit_relay::clock::{Clock, until};
use orbit_relay::event;
use orbit_relay::http::{self, Client, Trust};
use orbit_relay::relay::destination::{INTEGRATION, TIMEOUT};
use orbit_relay::relay::journal::{EventRow, EventsPage, Reader};
use orbit_relay::relay::transform::{self, Relay};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

const ANSWER: &[u8] = br#"{"status":"accepted"}"#;
const AGENT: &str = concat!("orbit-relay/", env!("CARGO_PKG_VERSION"));
/// As many events are read from the journal at once.
const PAGE: u32 = 10_000;

fn main() -> anyhow::Result<()> {
    match command().get_matches().subcommand() {
        Some(("backend", arguments)) => backend(arguments),
        Some(("loop", arguments)) => bare_loop(arguments),
        _ => bail!("backend or loop"),
    }
}

fn command() -> Command {
    Command::new("post")
        .about("A backend that answers at once, and a bare loop that posts to it")
        .subcommand_required(true)
        .subcommand(
            Command::new("backend")
                .about("Answers every POST and HEAD with 200, and a GET with what came to its path")
                .arg(
                    Arg::new("port")
                        .long("port")
                        .value_parser(value_parser!(u16))
                        .required(true)
                        .help("Where it listens, on 127.0.0.1"),
                ),
        )
        .subcommand(
            Command::new("loop")
                .about("Posts all events of a journal once, and changes nothing in it")
                .arg(
                    Arg::new("data-dir")
                        .long("data-dir")
                        .value_parser(value_parser!(PathBuf))
                        .required(true)
                        .help("Where the journal is"),
                )
                .arg(
                    Arg::new("url")
                        .long("url")
                        .value_parser(value_parser!(Url))
                        .required(true)
                        .help("Where to post: http://127.0.0.1:PORT/NAME"),
                )
                .arg(
                    Arg::new("in-flight")
                        .long("in-flight")
                        .value_parser(value_parser!(u32).range(1..=256))
                        .default_value("4")
                        .help("How many posts are under way at once"),
                ),
        )
}

/// One line on standard output.
fn say(line: &serde_json::Value) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

fn backend(arguments: &ArgMatches) -> anyhow::Result<()> {
    let port = arguments.get_one::<u16>("port").copied().unwrap_or(0);
    // One thread is enough for a backend that does nothing, and leaves the rest to the other side.
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
}

async fn listen(address: SocketAddr) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let arrivals = Arc::new(Arrivals {
        clock: Clock::system(),
        by_path: Mutex::default(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let arrivals = Arc::clone(&arrivals);
        tokio::spawn(async move {
            let answer = service_fn(|request| arrivals.answer(request));
            // A connection that ends is the other side's affair.
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await
                .ok();
        });
    }
}

/// What came, by the path that it was posted to.
struct Arrivals {
    clock: Clock,
    by_path: Mutex<BTreeMap<String, Arrived>>,
}

#[derive(Default)]
struct Arrived {
    posts: u64,
    keys: HashSet<String>,
    bytes: u64,
    first_at: Option<Timestamp>,
    last_at: Option<Timestamp>,
}

impl Arrivals {
    async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET {
            let report = self.report(&path).to_string();
            return Ok(Response::new(Full::new(report.into())));
        }
        // The relay's own check at its start asks whether anybody is there.
        if request.method() == Method::HEAD {
            return Ok(Response::new(Full::default()));
        }
        let key = request.headers().get("idempotency-key");
        let key = key
            .and_then(|key| key.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let Ok(body) = request.into_body().collect().await else {
            let mut answer = Response::new(Full::default());
            *answer.status_mut() = StatusCode::BAD_REQUEST;
            return Ok(answer);
        };
        self.count(path, key, body.to_bytes().len());
        Ok(Response::new(Full::new(Bytes::from_static(ANSWER))))
    }

    fn count(&self, path: String, key: String, bytes: usize) {
        let now = self.clock.steady();
        let mut by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = by_path.entry(path).or_default();
        arrived.posts += 1;
        arrived.keys.insert(key);
        arrived.bytes += u64::try_from(bytes).unwrap_or(0);
        arrived.first_at.get_or_insert(now);
        arrived.last_at = Some(now);
    }

    fn report(&self, path: &str) -> serde_json::Value {
        let by_path = self.by_path.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = Arrived::default();
        let arrived = by_path.get(path).unwrap_or(&nothing);
        let seconds = arrived
            .first_at
            .zip(arrived.last_at)
            .map_or(0.0, |(first, last)| until(first, last).as_secs_f64());
        let after_the_first = u32::try_from(arrived.posts.saturating_sub(1)).unwrap_or(u32::MAX);
        serde_json::json!({
            "posts": arrived.posts,
            "keys": arrived.keys.len(),
            "body_bytes": arrived.bytes.checked_div(arrived.posts).unwrap_or(0),
            "seconds": seconds,
            "rate_per_s": (f64::from(after_the_first) / seconds.max(1e-6)).round(),
        })
    }
}

/// What one post needs.
struct Post {
    key: String,
    body: Vec<u8>,
}

fn bare_loop(arguments: &ArgMatches) -> anyhow::Result<()> {
    let (Some(data_dir), Some(url), Some(in_flight)) = (
        arguments.get_one::<PathBuf>("data-dir"),
        arguments.get_one::<Url>("url"),
        arguments.get_one::<u32>("in-flight"),
    ) else {
        bail!("--data-dir, --url and --in-flight");
    };
    let local = url.host_str().is_some_and(|host| host == "127.0.0.1");
    ensure!(local, "--url: only 127.0.0.1 is posted to");
    let posts = read(data_dir)?;
    // As the relay builds its own.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let mut times = runtime.block_on(post_all(posts, url, *in_flight))?;
    times.sort_unstable();
    let at = |percent: usize| {
        let rank = (times.len() * percent).div_ceil(100);
        let time = times.get(rank.saturating_sub(1)).copied();
        (time.unwrap_or_default().as_secs_f64() * 1e6).round() / 1e3
    };
    say(&serde_json::json!({ "posts": times.len(), "p50_ms": at(50), "p99_ms": at(99) }))?;
    Ok(())
}

/// All events of a journal, in order of arrival, as the relay would post them.
fn read(data_dir: &Path) -> anyhow::Result<Vec<Post>> {
    let mut reader = Reader::open(data_dir)?;
    let mut posts = Vec::new();
    let mut before = None;
    loop {
        let page = reader.events(&EventsPage {
            before,
            limit: PAGE,
            ..EventsPage::default()
        })?;
        let Some(last) = page.last() else { break };
        before = Some(last.seq);
        for row in &page {
            posts.push(post_of(row)?);
        }
    }
    posts.reverse();
    Ok(posts)
}

fn post_of(row: &EventRow) -> anyhow::Result<Post> {
    let key = event::idempotency_key(&row.source, &row.event_type, &row.identity, INTEGRATION);
    let received_at = row.received_at.to_string();
    let relay = Relay::new(&key, &row.source, &row.origin, received_at).to_json()?;
    let body = transform::body(&row.body, &relay)?;
    Ok(Post { key, body })
}

/// How long each post took.
async fn post_all(posts: Vec<Post>, url: &Url, in_flight: u32) -> anyhow::Result<Vec<Duration>> {
    let client = Client::build(&http::Config {
        trust: Trust::Authorities(Vec::new()),
        certificate: None,
        timeout: TIMEOUT,
    })?;
    let waiting = Arc::new(Mutex::new(posts.into_iter()));
    let mut places = JoinSet::new();
    for _ in 0..in_flight {
        let (client, url, waiting) = (client.clone(), url.clone(), Arc::clone(&waiting));
        places.spawn(async move {
            let clock = Clock::system();
            let mut times = Vec::new();
            let next = || {
                waiting
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .next()
            };
            while let Some(post) = next() {
                let began = clock.steady();
                exchange(&client, &url, post).await?;
                times.push(until(began, clock.steady()));
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(place) = places.join_next().await {
        times.extend(place??);
    }
    Ok(times)
}

async fn exchange(client: &Client, url: &Url, post: Post) -> anyhow::Result<()> {
    let mut answer = client
        .request(Method::POST, url.clone())
        .header("content-type", "application/json")
        .header("user-agent", AGENT)
        .header("idempotency-key", &post.key)
        .header("webhook-id", &post.key)
        .header("relay-attempt", 1)
        .body(post.body)
        .send()
        .await
        .context("post")?;
    ensure!(answer.status() == 200, "answered {}", answer.status());
    http::read_limited(&mut answer, 64 * 1024).await?;
    Ok(())
}
