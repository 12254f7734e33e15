//! The relay as one process: build, run, drain.
//!
//! ```text
//! mod     what is built, what runs, how it ends
//! secret  the webhook secret: given, or made and kept in the data directory
//! assets  the asset map: loaded, and loaded again on SIGHUP
//! hourly  the line with the sums, and the counts of refused requests
//! control the socket by which commands ask the running relay for something
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
mod secret;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::ops::health::Parts;
use crate::reconcile::webhook::{self, Reconcile};
use crate::relay::deliver::{self, Deliver};
use crate::relay::destination::Destination;
use crate::relay::journal::{self, Availability, Journal, Sums};
use crate::relay::receive::{self, Receive, serve};
use crate::{ops, orbit};

/// What is under way when the relay stops may take this long.
const GRACE: Duration = Duration::from_secs(8);
/// Longer than one send takes, so that a lease never ends before its send.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

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
        let destination = config
            .destination
            .clone()
            .map(Destination::build)
            .transpose()?;
        let orbit = config.orbit.clone().map(orbit::Client::build).transpose()?;
        let lease = SEND_TIMEOUT + LEASE_MARGIN;
        let journal_config = journal::Config {
            data_dir: config.data_dir.clone(),
            lease,
        };
        let (journal, writer) = Journal::start(journal_config, clock.clone())
            .context("the journal's thread cannot be started")?;
        let (secret_tx, secret) = watch::channel(Err("the journal is not open yet".to_owned()));
        let (registered_tx, registered) = watch::channel(false);
        let unknown = if orbit.is_some() {
            webhook::Status::Unknown
        } else {
            webhook::Status::ByHand
        };
        let (status, webhook_status) = watch::channel(unknown);
        let (health, destination_health) = watch::channel(deliver::Health::Untried);
        let parts = Parts {
            journal: journal.availability(),
            secret: secret.clone(),
            webhook: webhook_status,
            destination: destination.as_ref().map(|_| destination_health),
            sums: journal.sums(),
        };

        let mut tasks = JoinSet::new();
        let mut task = |name, future: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            tasks.spawn(async move {
                future.await;
                name
            });
        };
        let ids = destination.iter().map(|d| d.id().to_owned()).collect();
        task(
            "register",
            Box::pin(register(journal.clone(), ids, registered_tx, stop.clone())),
        );
        task(
            "secret",
            Box::pin(secret::keep(
                secret::Wanted {
                    given: config.secret.clone(),
                    not_configured: config.not_configured.clone(),
                    data_dir: config.data_dir.clone(),
                },
                secret_tx,
                clock.clone(),
                registered,
                stop.clone(),
            )),
        );
        let receive = Receive {
            journal: journal.clone(),
            secret: secret.clone(),
            max_age: config.max_age,
            clock: clock.clone(),
            metrics: metrics.clone(),
            on_test: Box::new(say_test(parts.clone())),
            say_accepted: destination.is_none(),
        };
        let router = receive::router(receive);
        task(
            "receive",
            Box::pin(serve::serve(listeners.webhook, router, stop.clone())),
        );
        let router = ops::router(parts.clone(), metrics.clone());
        task(
            "ops",
            Box::pin(serve::serve(listeners.ops, router, stop.clone())),
        );
        if let Some(client) = orbit {
            let reconcile = Reconcile {
                config: config.webhook.clone(),
                client,
                journal: journal.clone(),
                secret,
                clock: clock.clone(),
                status,
            };
            task("webhook", Box::pin(webhook::run(reconcile, stop.clone())));
        }
        if let Some(destination) = destination {
            let deliver = Deliver {
                journal: journal.clone(),
                destination,
                assets: assets.current(),
                clock: clock.clone(),
                metrics: metrics.clone(),
                health,
            };
            task("deliver", Box::pin(deliver::run(deliver, stop.clone())));
        }
        let hourly = hourly::run(journal.clone(), metrics.clone(), clock, stop.clone());
        task("hourly", Box::pin(hourly));
        let control = control::run(config.data_dir, journal.clone(), stop.clone());
        task("control", Box::pin(control));
        Ok(Self {
            tasks,
            stop,
            journal,
            writer,
            metrics,
            parts,
            assets,
        })
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
                () = tokio::time::sleep(GRACE) => {}
            }
        }
        match (died, drained) {
            (true, _) => Exit::Died,
            (false, true) => Exit::Drained,
            (false, false) => Exit::Cut,
        }
    }
}

/// Makes the destination known to the journal, each time that it is opened. Until then no event
/// is taken: it would be kept as one that came before the destination was configured.
async fn register(
    journal: Journal,
    ids: Vec<String>,
    registered: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let mut availability = journal.availability();
    let keep_registered = async {
        loop {
            let open = availability.wait_for(|now| *now == Availability::Open);
            if open.await.is_err() {
                return;
            }
            if journal.register(ids.clone()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
            if !registered.send_replace(true) {
                say_kept(&journal.sums().borrow(), &ids);
            }
            if availability.changed().await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_registered => {}
    }
}

/// How many events came before their destination was configured, and how to send them.
fn say_kept(sums: &Sums, ids: &[String]) {
    for destination in &sums.destinations {
        let (kept, id) = (destination.kept, &destination.id);
        if kept > 0 && ids.contains(id) {
            tracing::info!(
                "{kept} events came before the destination `{id}` was configured and are kept; \
                 to send them too: orbit-relay deliveries replay --kept --destination {id}"
            );
        }
    }
}

fn say_test(parts: Parts) -> impl Fn() + Send + Sync {
    move || tracing::info!("test payload: arrived, verified and kept; {}", parts.line())
}
