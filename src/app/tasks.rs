//! The parts of a relay, and what each is started with.
//!
//! # Invariants
//! - Every part has a name for the log, and ends when it is told to stop.

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assets::Assets;
use super::check::reach::Tested;
use super::check::{self, Subject};
use super::control::{self, Ground};
use super::notices::{self, Notices};
use super::secret::{self, Wanted};
use super::{Listeners, hourly, jobs, retention};
use crate::clock::{Clock, Remote};
use crate::http::{BuildError, ServerTls};
use crate::metrics::Metrics;
use crate::ops;
use crate::ops::health::Parts;
use crate::orbit;
use crate::reconcile::Nudge;
use crate::reconcile::backfill::{Asked, Backfill, Signals};
use crate::reconcile::orbit_clock::{self, OrbitClock};
use crate::reconcile::webhook::{self, Reconcile};
use crate::relay::deliver::{self, Deliver, Health};
use crate::relay::destination::Destination;
use crate::relay::journal::{Journal, Registered};
use crate::relay::receive::{self, Receive, serve};
use crate::secret::WebhookSecret;

/// The secret, or why there is none yet.
type SecretOrWhy = Result<WebhookSecret, String>;

/// A destination that is configured, and how it does.
pub(super) struct Served {
    config: deliver::Config,
    destination: Destination,
    health: watch::Sender<Health>,
}

impl Served {
    pub(super) fn build(config: deliver::Config) -> Result<Self, BuildError> {
        Ok(Self {
            destination: Destination::build(config.destination.clone())?,
            config,
            health: watch::Sender::new(Health::Untried),
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

/// What intake needs besides.
pub(super) struct Intake {
    pub(super) tls: Option<ServerTls>,
    pub(super) wanted: Wanted,
    pub(super) publish: watch::Sender<SecretOrWhy>,
    pub(super) max_age: Duration,
    pub(super) orbit_clock: Remote,
    pub(super) say_accepted: bool,
    pub(super) last_test: watch::Sender<Option<Tested>>,
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
    pub(super) fn start_intake(&mut self, listeners: Listeners, intake: Intake) {
        let Common {
            journal,
            metrics,
            clock,
            parts,
            stop,
            ..
        } = &self.common;
        let (stop, clock) = (stop.clone(), clock.clone());
        let Intake {
            tls,
            wanted,
            publish,
            max_age,
            orbit_clock,
            say_accepted,
            last_test,
        } = intake;
        let receive = Receive {
            journal: journal.clone(),
            secret: publish.subscribe(),
            max_age,
            orbit_clock,
            clock: clock.clone(),
            metrics: metrics.clone(),
            on_test: Box::new(say_test(parts.clone(), clock.clone(), last_test)),
            say_accepted,
        };
        let events = receive::router(receive);
        let ops = ops::router(parts.clone(), metrics.clone(), clock.clone());
        let availability = journal.availability();
        let keep = secret::keep(wanted, publish, clock, availability, stop.clone());
        self.start("secret", keep);
        let events = serve::serve(listeners.webhook, tls, events, stop.clone());
        self.start("receive", events);
        self.start("ops", serve::serve(listeners.ops, None, ops, stop));
    }

    /// What learns Orbit's clock.
    pub(super) fn start_orbit_clock(&mut self, orbit_clock: OrbitClock) -> Arc<OrbitClock> {
        let orbit_clock = Arc::new(orbit_clock);
        let nudge = Nudge::default();
        let learning = orbit_clock::run(Arc::clone(&orbit_clock), nudge, self.common.stop.clone());
        self.start("orbit clock", learning);
        orbit_clock
    }

    /// What finds what the webhook missed; gives where it can be asked to.
    pub(super) fn start_backfill(&mut self, backfill: Backfill) -> mpsc::Sender<Asked> {
        let (ask, asked) = mpsc::channel(1);
        let signals = Signals {
            webhook: self.common.parts.webhook.clone(),
            journal: self.common.journal.availability(),
            asked,
        };
        self.start("backfill", backfill.run(signals, self.common.stop.clone()));
        ask
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

    /// What says in the log whether all is as it should be.
    pub(super) fn start_check(
        &mut self,
        subject: Subject,
        client: Option<Arc<orbit::Client>>,
        served: &[Served],
        tests: watch::Receiver<Option<Tested>>,
    ) {
        let destinations = served.iter();
        let destinations =
            destinations.map(|s| (s.destination.name().to_owned(), s.destination.clone()));
        let subject = subject.of_running(client, destinations.collect());
        let Common {
            parts, clock, stop, ..
        } = &self.common;
        let saying = check::said::run(subject, parts.clone(), tests, clock.clone(), stop.clone());
        self.start("check", saying);
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
    pub(super) fn start_commands(
        &mut self,
        served: &[Served],
        backfill: Option<mpsc::Sender<Asked>>,
        last_test: watch::Receiver<Option<Tested>>,
    ) {
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
        let ground = Ground {
            backfill,
            last_test: Some(last_test),
            ..Ground::new(journal.clone(), destinations.collect(), clock.clone())
        };
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
            health,
        } in served
        {
            let deliver = Deliver {
                config,
                journal: self.common.journal.clone(),
                destination,
                assets: assets.current(),
                clock: self.common.clock.clone(),
                metrics: self.common.metrics.clone(),
                health,
            };
            self.start("deliver", deliver::run(deliver, self.common.stop.clone()));
        }
    }
}

fn say_test(
    parts: Parts,
    clock: Clock,
    last_test: watch::Sender<Option<Tested>>,
) -> impl Fn(Option<IpAddr>) + Send + Sync {
    move |from| {
        let line = parts.line();
        tracing::info!("test payload: arrived, verified and in the journal; {line}");
        let at = clock.wall();
        let from = from.map(|address| address.to_canonical());
        last_test.send_replace(Some(Tested { at, from }));
    }
}
