//! The relay as one process: build, run, drain.
//!
//! ```text
//! mod     what is built, how it runs, how it ends
//! tasks   the parts, and what each is started with
//! secret  the webhook secret: given, or made and kept in the data directory
//! assets  the asset map: loaded, and loaded again on SIGHUP
//! notices what is told to the destinations that `notify` names
//! retention what was delivered long ago goes
//! hourly  what is kept, the sums, and the counts of refused requests
//! jobs    does the bulk acts that people asked for
//! control the socket by which commands ask the running relay for something
//! check   whether all is as it should be, and what to do if not
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
pub mod check;
pub mod control;
mod hourly;
mod jobs;
mod notices;
mod retention;
pub mod secret;
mod tasks;
pub mod trial;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::assets::Assets;
use self::check::Subject;
use self::secret::Wanted;
use self::tasks::{Common, Intake, Served, Tasks};
use crate::clock::{Clock, Remote};
use crate::config::Config;
use crate::http::ServerTls;
use crate::metrics::Metrics;
use crate::ops::health::Parts;
use crate::orbit;
use crate::reconcile::backfill::{self, Backfill};
use crate::reconcile::orbit_clock::OrbitClock;
use crate::reconcile::webhook;
use crate::relay::journal::{self, Journal};

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
        let subject = config.check_at_start.then(|| Subject::of(&config, None));
        let served = config
            .destinations
            .into_iter()
            .map(Served::build)
            .collect::<Result<Vec<_>, _>>()?;
        let orbit = config.orbit.clone().map(orbit::Client::build).transpose()?;
        let orbit = orbit.map(Arc::new);
        let tls = config.tls.map(ServerTls::build).transpose()?;
        let journal_config = journal::Config {
            data_dir: config.data_dir.clone(),
            destinations: Some(served.iter().map(Served::registered).collect()),
            keep_delivered: config.keep_delivered,
            limit_bytes: config.journal_limit,
        };
        let (journal, writer) = Journal::start(journal_config, clock.clone())
            .context("the journal's thread cannot be started")?;
        let (secret_tx, secret) = watch::channel(Err("the relay was started just now".to_owned()));
        let (status, webhook_status) = watch::channel(status_at_start(orbit.is_some()));
        let (ahead_ms, _) = watch::channel(None);
        let orbit_clock = Remote::new(clock.clone(), ahead_ms.subscribe());
        let (progress, backfill) = watch::channel(backfill::Progress {
            on: orbit.is_some() && config.backfill.on,
            ..backfill::Progress::default()
        });
        let parts = Parts {
            orbit_clock: orbit_clock.clone(),
            backfill,
            journal: journal.availability(),
            secret: secret.clone(),
            webhook: webhook_status,
            destinations: served.iter().map(Served::health).collect(),
            sums: journal.sums(),
            room: journal.room(),
        };

        let last_test = watch::Sender::new(None);
        let tests = last_test.subscribe();
        let mut tasks = Tasks::new(Common {
            journal: journal.clone(),
            metrics: metrics.clone(),
            clock,
            parts: parts.clone(),
            data_dir: config.data_dir,
            stop: stop.clone(),
        });
        let wanted = Wanted {
            given: config.secret,
            not_configured: config.not_configured,
            data_dir: tasks.common.data_dir.clone(),
        };
        let intake = Intake {
            tls,
            wanted,
            publish: secret_tx,
            max_age: config.max_age,
            orbit_clock,
            say_accepted: served.is_empty(),
            last_test,
        };
        tasks.start_intake(listeners, intake);
        if let Some(subject) = subject {
            tasks.start_check(subject, orbit.clone(), &served, tests.clone());
        }
        let mut asked = None;
        if let Some(client) = orbit {
            let orbit_clock = OrbitClock::new(
                Arc::clone(&client),
                journal.clone(),
                tasks.common.clock.clone(),
                ahead_ms,
            );
            let backfill = Backfill::new(
                config.backfill,
                Arc::clone(&client),
                journal.clone(),
                tasks.common.clock.clone(),
                tasks.start_orbit_clock(orbit_clock),
                progress,
            );
            asked = Some(tasks.start_backfill(backfill));
            tasks.start_reconcile(client, config.webhook, secret, status);
        }
        tasks.start_keeping(&served, config.expect_every);
        tasks.start_commands(&served, asked, tests);
        tasks.start_deliveries(served, &assets);
        Ok(Self {
            tasks: tasks.running,
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
