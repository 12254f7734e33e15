//! `demo`: a simulated Orbit, a real relay and a simulated plant, over real sockets on loopback.
//! Every inspection goes to an integration URL; each alert, which Orbit sends twice here, becomes
//! one service request in a simulated Maximo.
//!
//! # Invariants
//! - Everything listens on loopback; the data directory is its own and is removed at the end.
//! - The page is there; what is saved on it is not taken, and that is said.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use tokio::net::TcpListener;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use super::{FAILED, Outcome, print, runtime};
use crate::app::{App, Exit, Listeners};
use crate::clock::{Clock, until};
use crate::config::{Config, Input, Level, Text};
use crate::page::{self, Access, Outside};
use crate::relay::journal::{State, Sums};
use crate::secret::Secret;
use crate::sim::backend::{Backend, BackendConfig, Received, Tls};
use crate::sim::orbit::{Orbit, OrbitConfig, World};
use crate::sim::systems::base::{Running, SystemWorld};
use crate::sim::systems::maximo::Maximo;

const EVERY: Duration = Duration::from_millis(1500);
const TOKEN: &str = "demo-token";
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(super) fn demo(matches: &ArgMatches) -> Outcome {
    let wanted = matches.get_one::<u64>("events").copied();
    let seed = super::simulate::seed(matches)?;
    let dir = std::env::temp_dir().join(format!("orbit-relay-demo-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let outcome = runtime()?.block_on(play(&dir, wanted, seed));
    std::fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    outcome
}

async fn play(dir: &Path, wanted: Option<u64>, seed: u64) -> Outcome {
    let mut signals = Signals::listen()?;
    let clock = Clock::system();
    let orbit = Orbit::start(OrbitConfig {
        listen: ANY_PORT,
        token: Secret::new(TOKEN.to_owned()),
        seed,
        clock: clock.clone(),
    })
    .await?;
    let backend = Backend::start(BackendConfig {
        listen: ANY_PORT,
        clock: clock.clone(),
        tls: Tls::Off,
    })
    .await?;
    let assets = crate::sim::asset_map_csv().lines().skip(1);
    let assets = assets.filter_map(|row| row.split(',').nth(1));
    let maximo = Running::start(ANY_PORT, clock.clone(), Maximo::new(assets)).await?;
    maximo.world().require("apikey", TOKEN);
    let listeners = Listeners {
        webhook: TcpListener::bind(ANY_PORT).await?,
        ops: TcpListener::bind(ANY_PORT).await?,
    };
    let (webhook_at, ops_at) = (listeners.webhook.local_addr()?, listeners.ops.local_addr()?);
    let (backend_url, maximo_url) = (backend.url(), maximo.url());
    let plant = [&*backend_url, &*maximo_url];
    let (config, input) = configure(dir, &orbit, plant, webhook_at, ops_at)?;
    let (outside, code) = open_page(&config, input, &clock)?;
    introduce(dir, &orbit, plant, webhook_at, ops_at, seed, &code)?;

    let tickets = maximo.world();
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    let of_page = outside.clone();
    let pages = Box::new(move |handles| page::router(handles, of_page));
    let app = App::build(config, listeners, clock.clone(), stop.clone(), Some(pages))?;
    let parts = app.parts.clone();
    let assets = Arc::clone(&app.assets);
    let relay = app.run(hard.clone());
    tokio::pin!(relay);
    let registered = parts.webhook.clone();
    let scene = async {
        wait_until_registered(registered).await?;
        let robots = orbit.world();
        robots.change_weather(|weather| weather.alerts_twice = true);
        let plant = backend.world();
        let mut posts = plant.subscribe();
        let walking = async {
            tokio::select! {
                watched = watch(&mut posts, wanted, &clock) => watched?,
                () = robots.keep_inspecting(EVERY, drop) => {}
            }
            // What is under way for Maximo is waited for.
            settled(&parts.sums).await;
            anyhow::Ok(())
        };
        tokio::select! {
            biased;
            told = tell(&tickets) => told,
            walked = walking => walked,
        }
    };
    let watch_signals = signals.watch(
        stop.clone(),
        hard.clone(),
        Arc::new(move || assets.reload()),
    );
    let watch_signals = async {
        tokio::join!(watch_signals, leave_out(&outside.apply));
    };
    tokio::pin!(watch_signals);
    let played = tokio::select! {
        played = scene => played,
        () = stop.cancelled() => Ok(()),
        () = &mut watch_signals => Ok(()),
        exit = &mut relay => anyhow::bail!("the relay ended by itself: {exit:?}"),
    };
    stop.cancel();
    let exit = tokio::select! {
        exit = relay => exit,
        () = watch_signals => Exit::Died,
    };
    let tickets = tickets_made(&orbit.world(), &tickets);
    orbit.stop().await;
    backend.stop().await;
    maximo.stop().await;
    played?;
    let all_there = sum_up(&tickets, &parts.sums.borrow().clone())?;
    Ok(if exit == Exit::Died || !all_there {
        ExitCode::from(FAILED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Whether everything is where it should be, with a line for each sum.
fn sum_up(tickets: &str, sums: &Sums) -> anyhow::Result<bool> {
    print("")?;
    print(tickets)?;
    for line in sums.lines() {
        print(&line)?;
    }
    let dead = sums.destinations.iter().map(|d| d.of(State::Dead));
    Ok(sums.mistakes().is_empty() && dead.sum::<u64>() == 0)
}

/// The page's part of the process, and the code by which it is set up.
fn open_page(config: &Config, input: Input, clock: &Clock) -> anyhow::Result<(Outside, String)> {
    let outside = Outside {
        access: Arc::new(Access::new(clock.clone())),
        input,
        apply: Arc::default(),
        log: Arc::default(),
    };
    super::log::start(&config.log, &outside.log);
    let code = page::access::reset(&config.data_dir)?.shown();
    let access = page::access::Config::of(config);
    outside.access.open(&config.data_dir, access);
    Ok((outside, code))
}

/// A line for each inspection, until so many were delivered.
async fn watch(
    posts: &mut tokio::sync::broadcast::Receiver<Arc<Received>>,
    wanted: Option<u64>,
    clock: &Clock,
) -> anyhow::Result<()> {
    let mut count = 0;
    while wanted.is_none_or(|wanted| count < wanted) {
        match posts.recv().await {
            Ok(post) if !post.accepted() => {}
            Ok(post) => {
                count += 1;
                print(&line(&post, clock))?;
            }
            Err(RecvError::Lagged(missed)) => count += missed,
            Err(RecvError::Closed) => anyhow::bail!("the simulated plant ended"),
        }
    }
    Ok(())
}

fn tickets_made(robots: &World, maximo: &SystemWorld<Maximo>) -> String {
    let alerts = robots.run_events();
    let alerts = alerts.iter().filter(|(_, is_alert)| *is_alert).count();
    let (made, pictures) = maximo.with(|maximo| {
        let all = maximo.requests.all();
        let pictures: usize = all.map(|ticket| ticket.attachments.len()).sum();
        (maximo.requests.made(), pictures)
    });
    format!(
        "Maximo: {alerts} alerts, each sent twice, made {made} service requests with {pictures} pictures"
    )
}

/// A line for each service request, once its pictures are there.
async fn tell(maximo: &SystemWorld<Maximo>) -> anyhow::Result<()> {
    for told in 0.. {
        let next = maximo.wait_until(|maximo| {
            let next = maximo.requests.all().nth(told);
            next.is_some_and(|ticket| !ticket.attachments.is_empty())
        });
        next.await;
        let line = maximo.with(|maximo| {
            let ticket = maximo.requests.all().nth(told)?;
            let pictures = ticket.attachments.len();
            let asset = ticket.text("assetnum");
            let what = ticket.text("description");
            let id = &ticket.id;
            Some(format!(
                "         Maximo: service request {id} on {asset}, {pictures} picture(s): {what}"
            ))
        });
        print(&line.unwrap_or_default())?;
    }
    Ok(())
}

/// Says that what was saved on the page is not taken.
async fn leave_out(saved: &tokio::sync::Notify) {
    loop {
        saved.notified().await;
        let told = print("page: saved, but the demo keeps to what it was started with");
        if let Err(error) = told {
            tracing::warn!("page: {error:#}");
        }
    }
}

/// Until nothing is under way any more, or for ten seconds.
async fn settled(sums: &tokio::sync::watch::Receiver<Sums>) {
    let quiet = |sums: &Sums| {
        let under_way = [State::Pending, State::Sending, State::Postponed];
        let mut all = sums.destinations.iter();
        all.all(|d| under_way.iter().all(|state| d.of(*state) == 0))
    };
    let mut sums = sums.clone();
    let wait = sums.wait_for(quiet);
    // What is not through by then is in the sums.
    tokio::time::timeout(Duration::from_secs(10), wait)
        .await
        .ok();
}

fn configure(
    dir: &Path,
    orbit: &Orbit,
    [backend, maximo]: [&str; 2],
    webhook_at: SocketAddr,
    ops_at: SocketAddr,
) -> anyhow::Result<(Config, Input)> {
    let write = |name: &str, text: &str| -> anyhow::Result<PathBuf> {
        let path = dir.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    };
    let assets = write("assets.csv", crate::sim::asset_map_csv())?;
    let certificate = write("orbit.pem", orbit.certificate_pem())?;
    let data_dir = dir.join("data");
    let file = format!(
        "[[destination]]\nname = \"maximo\"\npreset = \"maximo-service-request\"\n\
         url = \"{maximo}\"\nsettings = {{ site_id = \"BEDFORD\" }}\n\
         auth = {{ type = \"header\", name = \"apikey\", value = \"{TOKEN}\" }}\n"
    );
    let path = write("relay.toml", &file)?;
    let flags = [
        ("hostname", orbit.addr().to_string()),
        ("verify", certificate.display().to_string()),
        ("webhook-host", webhook_at.ip().to_string()),
        ("webhook-port", webhook_at.port().to_string()),
        ("ops-bind", ops_at.to_string()),
        ("data-dir", data_dir.display().to_string()),
        ("asset-map", assets.display().to_string()),
        ("integration-url", backend.to_owned()),
        ("log-level", "warn".to_owned()),
    ];
    let input = Input {
        flags: flags
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        environment: [("ORBIT_API_TOKEN".to_owned(), TOKEN.to_owned())].into(),
        file: Some(Text {
            level: Level::WorkingDir,
            path,
            bytes: file.into_bytes(),
        }),
        ..Input::default()
    };
    let mut config = Config::load(&input)?;
    // The ports are those that the system gave, not those that an Orbit would allow.
    config.warnings.clear();
    Ok((config, input))
}

fn introduce(
    dir: &Path,
    orbit: &Orbit,
    [backend, maximo]: [&str; 2],
    webhook_at: SocketAddr,
    ops_at: SocketAddr,
    seed: u64,
    code: &str,
) -> anyhow::Result<()> {
    let (orbit_url, data) = (orbit.url(), dir.join("data"));
    let program = std::env::current_exe()?;
    let program = program.display();
    let orbit_url = orbit_url.trim_end_matches('/');
    for line in [
        format!("Orbit (simulated)    {orbit_url}  self-signed, token {TOKEN}, seed {seed}"),
        format!("relay, events        http://{webhook_at}/"),
        format!("relay, health        http://{ops_at}/readyz   metrics at /metrics"),
        format!("page: http://{ops_at}, set-up code {code}"),
        format!("plant (simulated)    {backend}"),
        format!("Maximo (simulated)   {maximo}  apikey {TOKEN}, preset maximo-service-request"),
        String::new(),
        "Try, in another terminal:".to_owned(),
        format!("  curl -k -X POST {orbit_url}/sim/test-payload      press Orbit's test button"),
        format!("  curl -k -X POST {orbit_url}/sim/inspect           one more inspection"),
        format!("  curl http://{ops_at}/readyz                      how the parts do"),
        format!("  {program} status --data-dir {}", data.display()),
        format!("  {program} events list --data-dir {}", data.display()),
        "Ctrl-C ends it.".to_owned(),
        String::new(),
    ] {
        print(&line)?;
    }
    Ok(())
}

async fn wait_until_registered(
    mut status: tokio::sync::watch::Receiver<crate::reconcile::webhook::Status>,
) -> anyhow::Result<()> {
    use crate::reconcile::webhook::Status;
    let registered = status.wait_for(|status| matches!(status, Status::Registered { .. }));
    tokio::time::timeout(Duration::from_secs(30), registered)
        .await
        .context("the relay did not register its webhook within 30 s")??;
    print("The relay has registered its webhook. Robots are walking.\n")
}

/// received → asset → delivered.
fn line(post: &Received, clock: &Clock) -> String {
    let body: serde_json::Value = serde_json::from_slice(&post.body).unwrap_or_default();
    let text = |pointer: &str| body.pointer(pointer).and_then(serde_json::Value::as_str);
    let action = text("/data/actionName").or(text("/type")).unwrap_or("?");
    let alert = if text("/type") == Some("ACTION_COMPLETED_WITH_ALERT") {
        "  ALERT"
    } else {
        ""
    };
    let asset = text("/relay/asset/id").unwrap_or("no asset");
    let received: Option<jiff::Timestamp> =
        text("/relay/received_at").and_then(|at| at.parse().ok());
    let took = received.map_or(Duration::ZERO, |at| until(at, clock.wall()));
    let at = received
        .map(|at| at.strftime("%H:%M:%S").to_string())
        .unwrap_or_default();
    format!(
        "{at} received {action} → {asset} → delivered in {} ms{alert}",
        took.as_millis()
    )
}
