//! The relay as one process: build, run, drain.
//!
//! ```text
//! mod     what is built, how it runs, how it ends
//! tasks   the parts, and what each is started with
//! lines   what one part tells and another hears
//! secret  the webhook secret: given, or made and kept in the data directory
//! assets  the asset map: loaded, and loaded again when it has changed or on SIGHUP
//! catalogue what events are about, so that people find them
//! notices what is told to the destinations that `notify` names
//! ports   whether the relay could listen where a configuration says
//! preview what an event would become at a destination, and nothing is sent
//! retention what was delivered long ago goes
//! orders  closed orders close their anomalies in Orbit
//! hourly  what is kept, the sums, and the counts of refused requests
//! jobs    does the bulk acts that people asked for
//! control the socket by which commands ask the running relay for something
//! handles what the page is given of the running parts
//! check   whether all is as it should be, and what to do if not
//! waiting    a configuration that cannot be used: what is answered meanwhile
//! watch   the folder of the configuration, and what becomes of it
//! trial   one post to a destination, to see how it answers
//! trigger a sample event, made for whoever wants to see how one travels
//! webhook one act on our webhook, where no relay runs
//! bulk    what a bulk act can be done to, in words
//! learnt  what a delivery was made of
//! words   deliveries and destinations in words
//! ```
//!
//! # Invariants
//! - Sockets, clock and the stop signal come from outside: a test is the program with other
//!   arguments.
//! - A task that dies stops the process with a failing exit.
//! - Order of the end: tell Orbit if it is to be told, stop accepting and claiming, finish what is
//!   under way within the grace period, close the journal.

pub mod assets;
pub mod bulk;
mod catalogue;
pub mod check;
pub mod control;
pub mod handles;
mod hourly;
mod jobs;
pub mod learnt;
mod lines;
mod notices;
mod orders;
pub mod ports;
pub mod preview;
mod retention;
pub mod secret;
mod tasks;
pub mod trial;
mod trigger;
pub mod waiting;
pub mod watch;
pub mod webhook;
pub mod words;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::assets::Assets;
use self::check::Subject;
pub use self::handles::{Handles, Pages, Shown};
use self::lines::Lines;
use self::secret::Wanted;
use self::tasks::{Common, Intake, Served, Tasks};
use crate::clock::Clock;
use crate::config::Config;
use crate::event::RELAY;
use crate::http::ServerTls;
use crate::metrics::Metrics;
use crate::ops::health::Parts;
use crate::orbit;
use crate::own::Own;
use crate::reconcile::webhook::{self as hook, Manage, Nudge, OnExit, Reconcile};
use crate::relay::enrich::{Deadlines, Enrich};
use crate::relay::journal::{self, Journal, Registered};

/// What is under way when the relay stops may take this long, and closing the journal so long:
/// together less than the 10 s after which Docker kills.
const GRACE: Duration = Duration::from_secs(7);
const CLOSING: Duration = Duration::from_secs(2);

/// The sockets that the relay listens on.
#[derive(Debug)]
pub struct Listeners {
    /// Takes events.
    pub webhook: TcpListener,
    /// Health and metrics.
    pub ops: TcpListener,
}

/// A relay that is ready to run.
#[derive(Debug)]
pub struct App {
    tasks: JoinSet<&'static str>,
    stop: CancellationToken,
    journal: Journal,
    writer: journal::Writer,
    metrics: Metrics,
    /// How its parts do.
    pub parts: Parts,
    /// The asset map, to be loaded again.
    pub assets: Arc<Assets>,
    /// By which Orbit is looked at now.
    pub nudge: Nudge,
    /// Cancelled before the stop where the relay goes on with other parts: Orbit is told of no end.
    pub goes_on: CancellationToken,
    /// Told when the stop was asked for.
    asked_to_stop: oneshot::Sender<()>,
}

/// How a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was asked to stop, and everything under way was finished.
    Drained,
    /// It was asked to stop, and the grace period ran out. What was not finished is in the
    /// journal.
    Cut,
    /// A part of it died.
    Died,
}

impl App {
    /// Whether the parts can be made whose certificates are read only then; nothing is started.
    pub fn try_parts(config: &Config) -> anyhow::Result<()> {
        Assets::check(config.asset_map.as_deref())?;
        for destination in &config.destinations {
            Served::build(destination.clone())?;
        }
        config.orbit.clone().map(orbit::Client::build).transpose()?;
        config.tls.clone().map(ServerTls::build).transpose()?;
        Ok(())
    }

    /// Starts all parts. They run until `stop`.
    pub fn build(
        mut config: Config,
        listeners: Listeners,
        clock: Clock,
        stop: CancellationToken,
        pages: Option<Pages>,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new().context("the metrics cannot be made")?;
        let lines = Lines::new(&config);
        let configured = config.not_configured.is_none();
        let assets = Arc::new(Assets::load(config.asset_map.clone(), &config.data_dir)?);
        let (subject, says_check) = (Subject::of(&config, None), config.check_at_start);
        let shown = Shown::of(&config);
        let journal_config = journal_config(&config);
        let served = std::mem::take(&mut config.destinations).into_iter();
        let served = served.map(Served::build);
        let served = served.collect::<Result<Vec<_>, _>>()?;
        let orbit = config.orbit.clone().map(orbit::Client::build).transpose()?;
        let orbit = orbit.map(Arc::new);
        let tls = config.tls.take().map(ServerTls::build).transpose()?;
        let (journal, writer) = Journal::start(journal_config, clock.clone())
            .context("the journal's thread cannot be started")?;
        let (asked_to_stop, asked) = oneshot::channel();
        let parts = lines.parts(&journal, &served, &clock);
        let wanted = Wanted::of(&mut config, &parts);
        let mut tasks = Tasks::new(Common {
            journal: journal.clone(),
            metrics: metrics.clone(),
            clock: clock.clone(),
            parts: parts.clone(),
            data_dir: config.data_dir,
            stop: stop.clone(),
        });
        let closing = closing(orbit.is_some(), &config.webhook, &stop);
        let nudge = lines.nudge.clone();
        let (keys, tests) = (lines.keys.subscribe(), lines.last_test.subscribe());
        let intake = Intake {
            tls,
            orbit_clock: parts.orbit_clock.clone(),
            clock_wake: Arc::clone(&lines.wake_clock),
            refused: Arc::clone(&lines.refused),
            wanted,
            publish: lines.keys,
            changes: lines.key_changes,
            nudge: nudge.clone(),
            closing: closing.clone(),
            say_accepted: served.is_empty(),
            closes: served.iter().filter_map(Served::closes).collect(),
            work_orders: config.work_orders,
            api: orbit.clone(),
            sources: config.sources,
            trusted_proxies: config.trusted_proxies,
            last_test: lines.last_test,
        };
        tasks.start_intake(listeners.webhook, intake);
        let (desk, asks) = hook::desk();
        let (desk, mut backfill) = (orbit.is_some().then_some(desk), None);
        tasks.start_orders(&served, orbit.clone());
        let enrich = Enrich::new(orbit.clone(), clock.clone(), Deadlines::default());
        let destinations = served.iter().map(Served::named).collect();
        let subject = subject.of_running(orbit.clone(), destinations);
        if says_check {
            tasks.start_check(subject.clone(), tests.clone());
        }
        let api = orbit.clone();
        if let Some(client) = orbit {
            // Nothing is taken before everything is configured.
            if configured {
                let wakes = (lines.wake_clock, Arc::clone(&lines.refused));
                let clock = tasks.start_orbit_clock(&client, lines.ahead_ms, wakes);
                let tell = (lines.progress, lines.refused, nudge.clone());
                backfill = Some(tasks.start_backfill(config.backfill, &client, clock, tell));
            }
            let reconcile = Reconcile {
                config: config.webhook,
                client,
                journal: journal.clone(),
                keys,
                changes: lines.change_keys,
                nudge: nudge.clone(),
                orbit_clock: parts.orbit_clock.clone(),
                clock,
                status: lines.webhook,
                looked_at: lines.looked_at,
            };
            tasks.start_reconcile(reconcile, asks, asked, closing);
        }
        tasks.start_keeping(&served, config.expect_every);
        tasks.start_catalogue(&assets);
        let ground = tasks.start_commands(&served, desk, backfill, tests);
        let handles = Handles::of(&tasks.common, ground, &assets, api, subject, shown);
        let page = pages.map(|pages| pages(handles));
        tasks.start_ops(listeners.ops, page);
        tasks.start_deliveries(served, &assets, enrich);
        Ok(Self {
            tasks: tasks.running,
            stop,
            journal,
            writer,
            metrics,
            parts,
            assets,
            nudge,
            goes_on: CancellationToken::new(),
            asked_to_stop,
        })
    }

    /// The journal, for whoever acts on it beside the parts. It is closed when the last handle is
    /// dropped.
    pub fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// Runs until the stop signal, or until a part dies; then drains. `hard` ends it at once.
    pub async fn run(self, hard: CancellationToken) -> Exit {
        let Self {
            mut tasks,
            stop,
            journal,
            mut writer,
            metrics,
            goes_on,
            asked_to_stop,
            ..
        } = self;
        let mut died = false;
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => break,
                () = writer.ended() => {
                    tracing::error!("the journal's thread died");
                    died = true;
                    break;
                }
                Some(ended) = tasks.join_next() => match ended {
                    Ok(name) if !stop.is_cancelled() => {
                        tracing::error!("the task `{name}` ended before it was asked to");
                        died = true;
                        break;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::error!(%error, "a task died");
                        died = true;
                        break;
                    }
                },
            }
        }
        if died || goes_on.is_cancelled() {
            drop(asked_to_stop);
        } else {
            // Nobody hears it where there is no Orbit.
            asked_to_stop.send(()).ok();
        }
        stop.cancel();
        let drain = async {
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task died");
                    died = true;
                }
            }
        };
        let drained = tokio::select! {
            drained = tokio::time::timeout(GRACE, drain) => drained.is_ok(),
            () = hard.cancelled() => false,
        };
        drop(tasks);
        if !died {
            let close = async {
                // What was refused while the last requests were finished.
                hourly::flush(&journal, &metrics).await;
                drop(journal);
                writer.ended().await;
            };
            // Bounded by the last commit; a second signal does not wait even for that.
            tokio::select! {
                () = close => {}
                () = hard.cancelled() => {}
                () = tokio::time::sleep(CLOSING) => {}
            }
        }
        match (died, drained) {
            (true, _) => Exit::Died,
            (false, true) => Exit::Drained,
            (false, false) => Exit::Cut,
        }
    }
}

/// Does what may wait for a disk on a thread for that.
pub async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, tokio::task::JoinError> {
    tokio::task::spawn_blocking(what).await
}

/// What the journal needs to know.
fn journal_config(config: &Config) -> journal::Config {
    let destinations = config.destinations.iter();
    let heard = |kind: &Own| {
        destinations
            .clone()
            .any(|of| of.takes(RELAY, kind.as_str()))
    };
    journal::Config {
        data_dir: config.data_dir.clone(),
        says: Own::ALL.into_iter().filter(heard).collect(),
        destinations: Some(
            destinations
                .clone()
                .map(|of| Registered {
                    id: of.destination.id.clone(),
                    name: of.destination.name.clone(),
                })
                .collect(),
        ),
        keep_delivered: config.keep_delivered,
        limit_bytes: config.journal_limit,
    }
}

/// What closes the port for events. Where Orbit is told of the stop, that goes first, so that it has
/// nobody to call for as short as can be.
fn closing(has_orbit: bool, webhook: &hook::Config, stop: &CancellationToken) -> CancellationToken {
    let says_farewell =
        has_orbit && webhook.manage == Manage::Repair && webhook.on_exit != OnExit::Keep;
    if says_farewell {
        CancellationToken::new()
    } else {
        stop.child_token()
    }
}
