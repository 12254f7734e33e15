//! The parts of a relay, and what each is started with.
//!
//! # Invariants
//! - Every part has a name for the log, and ends when it is told to stop.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assets::Assets;
use super::control::{self, Ground};
use super::notices::{self, Notices};
use super::orders::polls::{self, Polls};
use super::orders::tells::{self, Tells};
use super::secret::{self, Wanted};
use super::{Listeners, hourly, jobs, retention};
use crate::clock::Clock;
use crate::http::BuildError;
use crate::metrics::Metrics;
use crate::ops;
use crate::ops::health::Parts;
use crate::orbit;
use crate::reconcile::webhook::{self, Reconcile};
use crate::relay::deliver::{self, Deliver, Health, Limiter};
use crate::relay::destination::Destination;
use crate::relay::journal::{Journal, Registered};
use crate::relay::receive::{self, Closes, Receive, WorkOrdersAuth, serve};
use crate::secret::WebhookSecret;

/// The secret, or why there is none yet.
type SecretOrWhy = Result<WebhookSecret, String>;

/// A destination that is configured, and how it does.
pub(super) struct Served {
    config: deliver::Config,
    destination: Destination,
    limiter: Limiter,
    health: watch::Sender<Health>,
}

/// What else than Orbit's events is taken.
pub(super) struct Asked {
    pub(super) closes: Vec<Closes>,
    pub(super) work_orders: Option<WorkOrdersAuth>,
    pub(super) api: Option<Arc<orbit::Client>>,
}

impl Served {
    pub(super) fn build(mut config: deliver::Config) -> Result<Self, BuildError> {
        let polled = config.on_closed.as_ref();
        config.destination.keeps_answers = polled.is_some_and(|closed| closed.poll.is_some());
        Ok(Self {
            destination: Destination::build(config.destination.clone())?,
            limiter: Limiter::new(config.rate_limit),
            config,
            health: watch::Sender::new(Health::Untried),
        })
    }

    /// How its system says that an order is closed, if it does.
    pub(super) fn closes(&self) -> Option<Closes> {
        Some(Closes {
            id: self.destination.id().to_owned(),
            name: self.destination.name().to_owned(),
            secret: self.config.on_closed.as_ref()?.secret.clone()?,
        })
    }

    pub(super) fn registered(&self) -> Registered {
        Registered {
            id: self.destination.id().to_owned(),
            name: self.destination.name().to_owned(),
        }
    }

    pub(super) fn health(&self) -> (String, watch::Receiver<Health>) {
        (self.destination.name().to_owned(), self.health.subscribe())
    }
}

/// What most parts need.
pub(super) struct Common {
    pub(super) journal: Journal,
    pub(super) metrics: Metrics,
    pub(super) clock: Clock,
    pub(super) parts: Parts,
    pub(super) data_dir: PathBuf,
    pub(super) stop: CancellationToken,
}

/// The running parts, each with its name.
pub(super) struct Tasks {
    pub(super) common: Common,
    pub(super) running: JoinSet<&'static str>,
}

impl Tasks {
    pub(super) fn new(common: Common) -> Self {
        Self {
            common,
            running: JoinSet::new(),
        }
    }

    fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.running.spawn(async move {
            part.await;
            name
        });
    }

    /// What takes events, and what shows how the relay does.
    pub(super) fn start_intake(
        &mut self,
        listeners: Listeners,
        asked: Asked,
        wanted: Wanted,
        publish: watch::Sender<SecretOrWhy>,
        max_age: Duration,
        say_accepted: bool,
    ) {
        let Common {
            journal,
            metrics,
            clock,
            parts,
            stop,
            ..
        } = &self.common;
        let (stop, clock) = (stop.clone(), clock.clone());
        let receive = Receive {
            journal: journal.clone(),
            secret: publish.subscribe(),
            max_age,
            clock: clock.clone(),
            metrics: metrics.clone(),
            on_test: Box::new(say_test(parts.clone())),
            say_accepted,
            closes: asked.closes,
            work_orders: asked.work_orders,
            api: asked.api,
        };
        let events = receive::router(receive);
        let ops = ops::router(parts.clone(), metrics.clone(), clock.clone());
        let availability = journal.availability();
        let keep = secret::keep(wanted, publish, clock, availability, stop.clone());
        self.start("secret", keep);
        let events = serve::serve(listeners.webhook, events, stop.clone());
        self.start("receive", events);
        self.start("ops", serve::serve(listeners.ops, ops, stop));
    }

    /// What keeps our webhook in Orbit as it should be.
    pub(super) fn start_reconcile(
        &mut self,
        client: Arc<orbit::Client>,
        config: webhook::Config,
        secret: watch::Receiver<SecretOrWhy>,
        status: watch::Sender<webhook::Status>,
    ) {
        let reconcile = Reconcile {
            config,
            client,
            journal: self.common.journal.clone(),
            secret,
            clock: self.common.clock.clone(),
            status,
        };
        self.start("webhook", webhook::run(reconcile, self.common.stop.clone()));
    }

    /// What closes the anomalies of orders that are closed, where a destination says so.
    pub(super) fn start_orders(&mut self, served: &[Served], api: Option<Arc<orbit::Client>>) {
        let Common {
            journal,
            clock,
            stop,
            ..
        } = &self.common;
        let (journal, clock, stop) = (journal.clone(), clock.clone(), stop.clone());
        for served in served {
            let polled = served.config.on_closed.as_ref();
            let Some(poll) = polled.and_then(|on_closed| on_closed.poll.clone()) else {
                continue;
            };
            let polls = Polls {
                poll,
                journal: journal.clone(),
                destination: served.destination.clone(),
                limiter: served.limiter.clone(),
                clock: clock.clone(),
            };
            self.start("orders", polls::run(polls, stop.clone()));
        }
        // Also where nobody is followed any more: some may be closed, and Orbit not told.
        let tells = Tells {
            journal,
            api,
            clock,
        };
        self.start("orders", tells::run(tells, stop));
    }

    /// What keeps the journal within its limits, and people informed.
    pub(super) fn start_keeping(&mut self, served: &[Served], expect_every: Option<Duration>) {
        let Common {
            journal,
            metrics,
            clock,
            data_dir,
            stop,
            ..
        } = &self.common;
        let (stop, clock) = (stop.clone(), clock.clone());
        let ids = served.iter().map(|s| s.destination.id().to_owned());
        let retention = retention::run(journal.clone(), clock.clone(), stop.clone());
        let hourly = hourly::run(
            journal.clone(),
            metrics.clone(),
            ids.collect(),
            data_dir.clone(),
            clock.clone(),
            stop.clone(),
        );
        let notices = Notices {
            journal: journal.clone(),
            clock,
            expect_every,
        };
        self.start("retention", retention);
        self.start("hourly", hourly);
        if served.iter().any(|s| s.config.hears_notices) {
            self.start("notices", notices::run(notices, stop));
        }
    }

    /// What does as people ask.
    pub(super) fn start_commands(&mut self, served: &[Served]) {
        let Common {
            journal,
            clock,
            data_dir,
            stop,
            ..
        } = &self.common;
        let destinations = served
            .iter()
            .map(|s| (s.destination.id().to_owned(), s.destination.clone()));
        let ground = Ground::new(journal.clone(), destinations.collect(), clock.clone());
        let begun = Arc::new(Notify::new());
        let jobs = jobs::run(
            journal.clone(),
            clock.clone(),
            Arc::clone(&begun),
            stop.clone(),
        );
        let control = control::run(data_dir.clone(), ground, begun, stop.clone());
        self.start("jobs", jobs);
        self.start("control", control);
    }

    /// One loop for each destination.
    pub(super) fn start_deliveries(&mut self, served: Vec<Served>, assets: &Assets) {
        for Served {
            config,
            destination,
            limiter,
            health,
        } in served
        {
            let deliver = Deliver {
                config,
                journal: self.common.journal.clone(),
                destination,
                assets: assets.current(),
                limiter,
                clock: self.common.clock.clone(),
                metrics: self.common.metrics.clone(),
                health,
            };
            self.start("deliver", deliver::run(deliver, self.common.stop.clone()));
        }
    }
}

fn say_test(parts: Parts) -> impl Fn() + Send + Sync {
    move || {
        let line = parts.line();
        tracing::info!("test payload: arrived, verified and in the journal; {line}");
    }
}
