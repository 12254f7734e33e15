//! The parts of a relay, and what each is started with.
//!
//! # Invariants
//! - Every part has a name for the log, and ends when it is told to stop.

use std::future::Future;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ipnet::IpNet;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::assets::Assets;
use super::catalogue::{self, Catalogue};
use super::check::reach::Tested;
use super::check::{self, Subject};
use super::control::{self, Ground};
use super::notices::{self, Notices};
use super::orders::polls::{self, Polls};
use super::orders::tells::{self, Tells};
use super::secret::{self, KeysOrWhy, Wanted};
use super::{hourly, jobs, retention};
use crate::clock::{Clock, Remote};
use crate::http::{BuildError, ServerTls};
use crate::metrics::Metrics;
use crate::ops;
use crate::ops::health::Parts;
use crate::orbit;
use crate::reconcile::backfill::{self, Backfill, Signals};
use crate::reconcile::orbit_clock::{self, OrbitClock};
use crate::reconcile::webhook::{self, Asked, Desk, KeyChange, Nudge, Reconcile};
use crate::relay::deliver::{self, Deliver, Health, Limiter};
use crate::relay::destination::Destination;
use crate::relay::enrich::Enrich;
use crate::relay::journal::Journal;
use crate::relay::receive::{self, Closes, Receive, WorkOrdersAuth, serve};
use crate::relay::verify::orbit::Refusal;

/// A destination that is configured, and how it does.
pub(super) struct Served {
    config: deliver::Config,
    destination: Destination,
    limiter: Limiter,
    health: watch::Sender<Health>,
}

impl Served {
    pub(super) fn build(mut config: deliver::Config) -> Result<Self, BuildError> {
        let polled = config.on_closed.as_ref();
        let is_asked = polled.is_some_and(|closed| closed.poll.is_some());
        config.destination.keeps_answers = is_asked || config.answer_as_event;
        config.destination.is_gate = config.gate.is_some();
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

    pub(super) fn named(&self) -> (String, Destination) {
        let destination = self.destination.clone();
        (destination.name().to_owned(), destination)
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
    pub(super) orbit_clock: Remote,
    /// Wakes whoever learns Orbit's clock.
    pub(super) clock_wake: Arc<Notify>,
    /// Told that a signed event was refused.
    pub(super) refused: Arc<Notify>,
    pub(super) wanted: Wanted,
    pub(super) publish: watch::Sender<KeysOrWhy>,
    pub(super) changes: mpsc::Receiver<KeyChange>,
    pub(super) nudge: Nudge,
    /// No new connection for events is taken from then on.
    pub(super) closing: CancellationToken,
    pub(super) say_accepted: bool,
    pub(super) closes: Vec<Closes>,
    pub(super) work_orders: Option<WorkOrdersAuth>,
    pub(super) api: Option<Arc<orbit::Client>>,
    pub(super) sources: Vec<receive::Source>,
    pub(super) trusted_proxies: Vec<IpNet>,
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

    /// What takes events.
    pub(super) fn start_intake(&mut self, listener: TcpListener, intake: Intake) {
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
            orbit_clock,
            clock_wake,
            refused,
            wanted,
            publish,
            changes,
            nudge,
            closing,
            say_accepted,
            closes,
            work_orders,
            api,
            sources,
            trusted_proxies,
            last_test,
        } = intake;
        let verified = nudge.clone();
        let receive = Receive {
            journal: journal.clone(),
            orbit_clock,
            keys: publish.subscribe(),
            max_age: wanted.max_age,
            clock: clock.clone(),
            metrics: metrics.clone(),
            on_unverified: Box::new(move |refusal| {
                nudge.unverified(refusal);
                refused.notify_one();
                if let Refusal::TooOld(_) | Refusal::FromTheFuture(_) = refusal {
                    clock_wake.notify_one();
                }
            }),
            on_verified: Box::new(move |host| verified.came(host)),
            on_test: Box::new(say_test(parts.clone(), clock.clone(), last_test)),
            say_accepted,
            closes,
            work_orders,
            api,
            sources,
            trusted_proxies,
        };
        let events = receive::router(receive);
        let availability = journal.availability();
        let keep = secret::keep(wanted, publish, changes, clock, availability, stop.clone());
        self.start("secret", keep);
        let events = serve::serve(listener, tls, events, closing);
        self.start("receive", events);
    }

    /// What shows how the relay does: health, metrics, and the page where there is one.
    pub(super) fn start_ops(&mut self, listener: TcpListener, page: Option<Router>) {
        let Common {
            metrics,
            clock,
            parts,
            stop,
            ..
        } = &self.common;
        let ops = ops::router(parts.clone(), metrics.clone(), clock.clone(), page);
        let serving = serve::serve(listener, None, ops, stop.clone());
        self.start("ops", serving);
    }

    /// What learns Orbit's clock.
    pub(super) fn start_orbit_clock(
        &mut self,
        client: &Arc<orbit::Client>,
        ahead_ms: watch::Sender<Option<i64>>,
        (wake, moved): (Arc<Notify>, Arc<Notify>),
    ) -> Arc<OrbitClock> {
        let Common { journal, clock, .. } = &self.common;
        let (journal, clock) = (journal.clone(), clock.clone());
        let learnt = OrbitClock::new(Arc::clone(client), journal, clock, ahead_ms, moved);
        let learnt = Arc::new(learnt);
        let learning = orbit_clock::run(Arc::clone(&learnt), wake, self.common.stop.clone());
        self.start("orbit clock", learning);
        learnt
    }

    /// What finds what the webhook missed; gives where it can be asked to.
    pub(super) fn start_backfill(
        &mut self,
        config: backfill::Config,
        client: &Arc<orbit::Client>,
        orbit_clock: Arc<OrbitClock>,
        (progress, refused, nudge): (watch::Sender<backfill::Progress>, Arc<Notify>, Nudge),
    ) -> mpsc::Sender<backfill::Asked> {
        let Common {
            journal,
            clock,
            parts,
            stop,
            ..
        } = &self.common;
        let (ask, asked) = mpsc::channel(1);
        let signals = Signals {
            refused,
            webhook: parts.webhook.clone(),
            journal: journal.availability(),
            asked,
        };
        let (client, journal, clock) = (Arc::clone(client), journal.clone(), clock.clone());
        let backfill = Backfill::new(config, client, journal, clock, orbit_clock, progress, nudge);
        self.start("backfill", backfill.run(signals, stop.clone()));
        ask
    }

    /// What keeps our webhook in Orbit as it should be. The port for events closes when it has
    /// ended.
    pub(super) fn start_reconcile(
        &mut self,
        reconcile: Reconcile,
        asks: mpsc::Receiver<Asked>,
        asked_to_stop: oneshot::Receiver<()>,
        closing: CancellationToken,
    ) {
        let stop = self.common.stop.clone();
        self.start("webhook", async move {
            let _closing = closing.drop_guard();
            webhook::run(reconcile, asks, stop, asked_to_stop).await;
        });
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

    /// What says in the log whether all is as it should be.
    pub(super) fn start_check(&mut self, subject: Subject, tests: watch::Receiver<Option<Tested>>) {
        let Common {
            journal,
            parts,
            clock,
            stop,
            ..
        } = &self.common;
        let (parts, journal) = (parts.clone(), journal.clone());
        let saying = check::said::run(subject, parts, tests, journal, clock.clone(), stop.clone());
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
        if served.iter().any(|s| s.config.hears_notices()) {
            self.start("notices", notices::run(notices, stop));
        }
    }

    /// What says of events what they are about.
    pub(super) fn start_catalogue(&mut self, assets: &Arc<Assets>) {
        let catalogue = Catalogue {
            journal: self.common.journal.clone(),
            data_dir: self.common.data_dir.clone(),
            assets: assets.current(),
            clock: self.common.clock.clone(),
        };
        self.start(
            "catalogue",
            catalogue::run(catalogue, self.common.stop.clone()),
        );
    }

    /// What does as people ask.
    pub(super) fn start_commands(
        &mut self,
        served: &[Served],
        webhook: Option<Desk>,
        backfill: Option<mpsc::Sender<backfill::Asked>>,
        last_test: watch::Receiver<Option<Tested>>,
    ) -> Ground {
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
            webhook,
            last_test: Some(last_test),
            ..Ground::new(journal.clone(), destinations.collect(), clock.clone())
        };
        let jobs = jobs::run(
            journal.clone(),
            clock.clone(),
            Arc::clone(&ground.begun),
            stop.clone(),
        );
        let control = control::run(data_dir.clone(), ground.clone(), stop.clone());
        self.start("jobs", jobs);
        self.start("control", control);
        ground
    }

    /// The asset map's file is read when it changes.
    fn start_assets(&mut self, assets: &Arc<Assets>) {
        let (clock, stop) = (self.common.clock.clone(), self.common.stop.clone());
        self.start("asset map", Arc::clone(assets).watch(clock, stop));
    }

    /// One loop for each destination, and who watches the asset map for all of them.
    pub(super) fn start_deliveries(
        &mut self,
        served: Vec<Served>,
        assets: &Arc<Assets>,
        enrich: Enrich,
    ) {
        let enrich = Arc::new(enrich);
        let configs = served.iter().map(|served| &served.config);
        let gates = configs.filter(|config| config.gate.is_some()).cloned();
        let gates: Arc<[deliver::Config]> = gates.collect();
        self.start_assets(assets);
        for Served {
            config,
            destination,
            limiter,
            health,
        } in served
        {
            let deliver = Deliver {
                config,
                gates: Arc::clone(&gates),
                journal: self.common.journal.clone(),
                destination,
                enrich: Arc::clone(&enrich),
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
