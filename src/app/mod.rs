//! The relay as one process: build, run, drain.
//!
//! ```text
//! mod     what is built, what runs, how it ends
//! secret  the webhook secret: given, or made and kept in the data directory
//! assets  the asset map: loaded, and loaded again on SIGHUP
//! notices what is told to the destinations that `notify` names
//! retention what was delivered long ago goes
//! hourly  what is kept, the sums, and the counts of refused requests
//! jobs    does the bulk acts that people asked for
//! control the socket by which commands ask the running relay for something
//! trial   one post to a destination, to see how it answers
//! ```
//!
//! # Invariants
//! - Sockets, clock and the stop signal come from outside: a test is the program with other
//!   arguments.
//! - A task that dies stops the process with a failing exit.
//! - Order of the end: stop accepting and claiming, finish what is under way within the grace
//!   period, close the journal.

pub mod assets;
pub mod control;
mod hourly;
mod jobs;
mod notices;
mod retention;
mod secret;
pub mod trial;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::assets::Assets;
use self::control::Ground;
use self::notices::Notices;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::ops::health::Parts;
use crate::reconcile::webhook::{self, Reconcile};
use crate::relay::deliver::{self, Deliver};
use crate::relay::destination::Destination;
use crate::relay::journal::{self, Journal, Registered};
use crate::relay::receive::{self, Receive, serve};
use crate::secret::WebhookSecret;
use crate::{ops, orbit};

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
}

/// What most parts need.
#[derive(Clone)]
struct Shared {
    journal: Journal,
    metrics: Metrics,
    clock: Clock,
    stop: CancellationToken,
}

/// A destination before its loop is started, with who is told how it does.
type Built = (
    deliver::Config,
    Destination,
    watch::Sender<deliver::Health>,
    watch::Receiver<deliver::Health>,
);

/// The running parts, each with a name for the log.
struct Tasks(JoinSet<&'static str>);

impl Tasks {
    fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            part.await;
            name
        });
    }

    /// What keeps our webhook in Orbit as it should be.
    fn start_webhook(
        &mut self,
        shared: &Shared,
        client: orbit::Client,
        config: webhook::Config,
        secret: watch::Receiver<Result<WebhookSecret, String>>,
        status: watch::Sender<webhook::Status>,
    ) {
        let reconcile = Reconcile {
            config,
            client,
            journal: shared.journal.clone(),
            secret,
            clock: shared.clock.clone(),
            status,
        };
        self.start("webhook", webhook::run(reconcile, shared.stop.clone()));
    }

    /// One loop for each destination.
    fn start_deliveries(&mut self, shared: &Shared, destinations: Vec<Built>, assets: &Assets) {
        for (config, destination, health, _) in destinations {
            let deliver = Deliver {
                config,
                journal: shared.journal.clone(),
                destination,
                assets: assets.current(),
                clock: shared.clock.clone(),
                metrics: shared.metrics.clone(),
                health,
            };
            self.start("deliver", deliver::run(deliver, shared.stop.clone()));
        }
    }

    /// What tells people of trouble.
    fn start_notices(&mut self, shared: &Shared, expect_every: Option<Duration>) {
        let notices = Notices {
            journal: shared.journal.clone(),
            clock: shared.clock.clone(),
            expect_every,
        };
        self.start("notices", notices::run(notices, shared.stop.clone()));
    }

    /// What the journal needs from time to time.
    fn start_housekeeping(&mut self, shared: &Shared, destinations: Vec<String>, dir: PathBuf) {
        let Shared {
            journal,
            metrics,
            clock,
            stop,
        } = shared.clone();
        let retention = retention::run(journal.clone(), clock.clone(), stop.clone());
        self.start("retention", retention);
        let hourly = hourly::run(journal, metrics, destinations, dir, clock, stop);
        self.start("hourly", hourly);
    }

    /// What serves the commands: the socket, and the bulk acts that were begun through it.
    fn start_commands(&mut self, data_dir: PathBuf, ground: Ground, stop: &CancellationToken) {
        let begun = Arc::new(Notify::new());
        let (journal, clock) = (ground.journal.clone(), ground.clock.clone());
        let jobs = jobs::run(journal, clock, begun.clone(), stop.clone());
        self.start("jobs", jobs);
        let control = control::run(data_dir, ground, begun, stop.clone());
        self.start("control", control);
    }
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
    /// Starts all parts. They run until `stop`.
    pub fn build(
        config: Config,
        listeners: Listeners,
        clock: Clock,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let metrics = Metrics::new().context("the metrics cannot be made")?;
        let assets = Arc::new(Assets::load(config.asset_map.clone())?);
        let mut destinations = Vec::new();
        for config in config.destinations {
            let destination = Destination::build(config.destination.clone())?;
            let (health, seen) = watch::channel(deliver::Health::Untried);
            destinations.push((config, destination, health, seen));
        }
        let orbit = config.orbit.clone().map(orbit::Client::build).transpose()?;
        let registered: Vec<_> = destinations
            .iter()
            .map(|(_, d, ..)| Registered {
                id: d.id().to_owned(),
                name: d.name().to_owned(),
            })
            .collect();
        let ids: Vec<_> = registered.iter().map(|r| r.id.clone()).collect();
        let journal_config = journal::Config {
            data_dir: config.data_dir.clone(),
            destinations: Some(registered),
            keep_delivered: config.keep_delivered,
            limit_bytes: config.journal_limit,
        };
        let (journal, writer) = Journal::start(journal_config, clock.clone())
            .context("the journal's thread cannot be started")?;
        let (secret_tx, secret) = watch::channel(Err("the relay was started just now".to_owned()));
        let (status, webhook_status) = watch::channel(status_at_start(orbit.is_some()));
        let parts = Parts {
            journal: journal.availability(),
            secret: secret.clone(),
            webhook: webhook_status,
            destinations: destinations
                .iter()
                .map(|(_, d, _, seen)| (d.name().to_owned(), seen.clone()))
                .collect(),
            sums: journal.sums(),
            room: journal.room(),
        };

        let ground = Ground {
            journal: journal.clone(),
            destinations: destinations
                .iter()
                .map(|(_, d, ..)| (d.id().to_owned(), d.clone()))
                .collect(),
            clock: clock.clone(),
        };

        let mut tasks = Tasks(JoinSet::new());
        let wanted = secret::Wanted {
            given: config.secret,
            not_configured: config.not_configured,
            data_dir: config.data_dir.clone(),
        };
        let availability = journal.availability();
        let keep = secret::keep(wanted, secret_tx, clock.clone(), availability, stop.clone());
        tasks.start("secret", keep);
        let receive = Receive {
            journal: journal.clone(),
            secret: secret.clone(),
            max_age: config.max_age,
            clock: clock.clone(),
            metrics: metrics.clone(),
            on_test: Box::new(say_test(parts.clone())),
            say_accepted: destinations.is_empty(),
        };
        let router = receive::router(receive);
        tasks.start(
            "receive",
            serve::serve(listeners.webhook, router, stop.clone()),
        );
        let router = ops::router(parts.clone(), metrics.clone(), clock.clone());
        tasks.start("ops", serve::serve(listeners.ops, router, stop.clone()));
        let shared = Shared {
            journal: journal.clone(),
            metrics: metrics.clone(),
            clock,
            stop: stop.clone(),
        };
        if let Some(client) = orbit {
            tasks.start_webhook(&shared, client, config.webhook, secret, status);
        }
        tasks.start_housekeeping(&shared, ids, config.data_dir.clone());
        if destinations.iter().any(|(config, ..)| config.hears_notices) {
            tasks.start_notices(&shared, config.expect_every);
        }
        tasks.start_deliveries(&shared, destinations, &assets);
        tasks.start_commands(config.data_dir, ground, &stop);
        Ok(Self {
            tasks: tasks.0,
            stop,
            journal,
            writer,
            metrics,
            parts,
            assets,
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

fn status_at_start(has_orbit: bool) -> webhook::Status {
    if has_orbit {
        webhook::Status::Unknown
    } else {
        webhook::Status::ByHand
    }
}

fn say_test(parts: Parts) -> impl Fn() + Send + Sync {
    move || {
        let line = parts.line();
        tracing::info!("test payload: arrived, verified and in the journal; {line}");
    }
}
