//! Step 7 of the path: claim → learn → map → filter → freeze → send → record.
//!
//! ```text
//! mod       the loop of one destination: when to claim, when to send, when to stop
//! about     what an event is about, for the catalogue (pure)
//! condition what changes how the destination is served: ends of tries, pauses
//! config    what one destination gets, and how
//! own       what a destination takes, and what of its answers others may take (pure)
//! gates     who is asked before a delivery goes (pure)
//! prepare   claim, learn, map, filter, freeze: several deliveries at once
//! learn     what else Orbit knows of them
//! model     which asset an event is about, and what has to be asked for that
//! cargo     what a delivery brings
//! attempt   one try of one delivery
//! requests  the requests of a template: which are frozen, which are done (pure)
//! steps     they are made, one after the other
//! sample    samples that were made for one destination (pure)
//! pictures  what Orbit has of an inspection, fetched for one try
//! record    the ends of tries on their way into the journal
//! standing  what the end of a try means for the delivery and the destination (pure)
//! circuit   whether the destination is tried at all (pure)
//! rate      how many posts go out in a time (pure)
//! preview   the requests that an event would make (pure)
//! retrace   the requests of one delivery, as far as the journal knows them (pure)
//! unmapped  what is said, once, of an action that finds no asset
//! ```
//!
//! # Invariants
//! - The key and the body of a delivery are the same at every try; what changes is a header.
//! - A destination's trouble is its own: each has a loop, a circuit and limits of its own.
//! - While the end of a try cannot be recorded, nothing more is claimed or sent.
//! - At most [`AHEAD`] deliveries are claimed ahead of their turn, and only as far as the
//!   destination is fast; they are given back when it is down, paused, or asks for time.
//!
//! # Not here
//! What an answer means: `destination::outcome`. What a state may become: `journal::state`.

mod about;
mod attempt;
mod cargo;
mod circuit;
mod condition;
mod config;
mod gates;
mod learn;
mod model;
mod own;
mod pictures;
mod prepare;
pub mod preview;
mod rate;
mod record;
mod requests;
pub mod retrace;
mod sample;
mod standing;
mod steps;
mod unmapped;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::about::about;
use self::attempt::Done;
use self::circuit::Way;
pub use self::config::{
    Config, Form, Gate, Health, IN_FLIGHT, Images, Message, OnClosed, OnFailure, OncePer, OrderBy,
    Poll, Rate, Unmapped, WhileOpen,
};
use self::model::Uses;
use self::prepare::{Filled, Ready};
pub use self::rate::Limiter;
use self::record::Recorder;
use self::standing::Standing;
use self::unmapped::Said;
use crate::clock::{Clock, later, until};
use crate::metrics::Metrics;
use crate::relay::assets::AssetMap;
use crate::relay::destination::Destination;
use crate::relay::enrich::Enrich;
use crate::relay::journal::{DestinationSums, Journal, Lease, Sums, Want, WriteError};
use crate::retry;

/// Wake-ups may be missed; this is how late due work goes out then.
const POLL: Duration = Duration::from_secs(1);
/// After the journal could not give anything.
const JOURNAL_PAUSE: Duration = Duration::from_millis(500);
/// As many deliveries may be claimed ahead of their turn: enough for the time that a claim takes,
/// which is a few commits.
const AHEAD: usize = 1024;
/// Nothing more is claimed while the bodies that wait for their turn come to this.
const AHEAD_BYTES: usize = 4 * 1024 * 1024;
/// What was claimed ahead and is gone this soon was too little; after that long, too much.
const SOON: Duration = Duration::from_millis(50);
const LATE: Duration = Duration::from_millis(200);
/// As many ends of tries may be on their way into the journal.
const RECORDING: usize = 512;

/// What the loop of one destination needs.
#[derive(Debug)]
pub struct Deliver {
    /// What it gets, and how.
    pub config: Config,
    /// All destinations that are asked before an event goes to others.
    pub gates: Arc<[Config]>,
    /// Where deliveries come from.
    pub journal: Journal,
    /// Where they go.
    pub destination: Destination,
    /// What else Orbit knows.
    pub enrich: Arc<Enrich>,
    /// Which asset an event is about.
    pub assets: watch::Receiver<Arc<AssetMap>>,
    /// How many requests go out in a time, these and others.
    pub limiter: Limiter,
    /// Time.
    pub clock: Clock,
    /// Counts.
    pub metrics: Metrics,
    /// Told how the destination does.
    pub health: watch::Sender<Health>,
}

/// What all tries of one destination share.
struct Shared {
    config: Config,
    gates: Arc<[Config]>,
    /// What of Orbit's answers is used.
    uses: Uses,
    journal: Journal,
    destination: Destination,
    enrich: Arc<Enrich>,
    assets: watch::Receiver<Arc<AssetMap>>,
    clock: Clock,
    metrics: Metrics,
    unmapped: Said,
    /// Whether ends of tries wait for a journal that takes nothing.
    unrecorded: AtomicUsize,
}

/// The loop of one destination.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, not a state"
)]
struct Worker {
    shared: Arc<Shared>,
    health: watch::Sender<Health>,
    sums: watch::Receiver<Sums>,
    standing: Standing,
    limiter: Limiter,
    /// Claimed, and waiting for a place.
    ready: VecDeque<Ready>,
    filling: Option<JoinHandle<Result<Filled, WriteError>>>,
    sends: JoinSet<Done>,
    recorder: Recorder,
    releases: JoinSet<()>,
    telling: Option<JoinHandle<()>>,
    unparking: Option<JoinHandle<Result<u64, WriteError>>>,
    /// Whether what is parked for want of an asset is to be looked at again.
    unpark: bool,
    /// How many are claimed ahead.
    ahead: usize,
    filled_at: Timestamp,
    /// The journal had no more: look again then, or when something new comes.
    idle_until: Option<Timestamp>,
    hungry: bool,
    /// The destination asked for time.
    hold_until: Timestamp,
    /// Until when it did, as the journal has it.
    held_until: Option<Timestamp>,
    paused: bool,
    hasten: bool,
    worked: Duration,
    worked_at: Timestamp,
}

/// Delivers until `stop`, then lets the sends under way end.
pub async fn run(deliver: Deliver, stop: CancellationToken) {
    let Deliver {
        config,
        gates,
        journal,
        destination,
        enrich,
        assets,
        limiter,
        clock,
        metrics,
        health,
    } = deliver;
    let now = clock.steady();
    let sums = journal.sums();
    let shared = Shared {
        uses: Uses::of(config.names().chain(gates::names(&config, &gates))),
        config,
        gates,
        journal,
        destination,
        enrich,
        assets,
        clock,
        metrics,
        unmapped: Said::default(),
        unrecorded: AtomicUsize::new(0),
    };
    let shared = Arc::new(shared);
    let worker = Worker {
        recorder: Recorder::new(Arc::clone(&shared)),
        shared,
        health,
        sums,
        standing: Standing::default(),
        limiter,
        ready: VecDeque::new(),
        filling: None,
        sends: JoinSet::new(),
        releases: JoinSet::new(),
        telling: None,
        unparking: None,
        // The map may be another one since the relay ran last.
        unpark: true,
        ahead: 0,
        filled_at: now,
        idle_until: None,
        hungry: false,
        hold_until: now,
        held_until: None,
        paused: false,
        hasten: false,
        worked: Duration::ZERO,
        worked_at: now,
    };
    worker.run(stop).await;
}

impl Worker {
    async fn run(mut self, stop: CancellationToken) {
        let clock = self.shared.clock.clone();
        let mut fresh = self.sums.clone();
        let mut maps = self.shared.assets.clone();
        let mut gates = self.shared.journal.released();
        let id = self.shared.destination.id().to_owned();
        tokio::select! {
            () = stop.cancelled() => return,
            () = self.begin() => {}
        }
        while !stop.is_cancelled() {
            let now = clock.steady();
            self.count_work(now);
            self.unpark();
            self.tell();
            self.look_at_pause().await;
            self.send(now);
            self.fill(now);
            let wake_at = self.wake_at(now);
            tokio::select! {
                () = stop.cancelled() => break,
                Some(done) = self.sends.join_next() => self.conclude(unwrap(done)).await,
                () = self.recorder.recorded() => self.let_others_go(),
                Some(released) = self.releases.join_next() => unwrap(released),
                filled = next(&mut self.filling) => self.filled(filled),
                told = next(&mut self.telling) => self.told(told),
                unparked = next(&mut self.unparking) => self.unparked(unwrap(unparked)),
                () = until_changed(&mut maps) => self.unpark = true,
                // What waited for a gate may go. A claim under way may have been too early for it.
                Ok(()) = gates.changed(), if self.filling.is_none() => self.idle_until = None,
                () = clock.sleep_until(wake_at) => {}
                () = until_fresh(&mut fresh, &id), if self.hungry => self.idle_until = None,
            }
        }
        self.end().await;
    }

    /// What an earlier process knew of the destination.
    async fn begin(&mut self) {
        let id = self.shared.destination.id().to_owned();
        // The writer lives as long as this handle of its journal, so there is no error to see.
        drop(self.sums.wait_for(|sums| of(sums, &id).is_some()).await);
        let found = of(&self.sums.borrow(), &id).cloned();
        let Some(found) = found else { return };
        let now = self.shared.clock.steady();
        self.standing = Standing::new(found.down.is_some(), now);
        self.hold_until = found.held_until.unwrap_or(now);
        if let Some(down) = found.down {
            self.say(Health::Down(down.why));
        }
        let trouble = found.paused.and_then(|paused| paused.trouble);
        if trouble.as_deref() == Some("credentials") {
            self.resume("the relay was started anew").await;
        }
    }

    /// Gives back what was not sent, and lets what is under way end.
    async fn end(mut self) {
        if let Some(filling) = self.filling.take()
            && let Ok(Ok(filled)) = filling.await
        {
            self.ready.extend(filled.ready);
            if !filled.unsettled.is_empty() {
                self.release(filled.unsettled);
            }
        }
        self.give_back();
        if let Some(telling) = self.telling.take() {
            unwrap(telling.await);
        }
        self.shared.unmapped.tell(&self.shared.journal).await;
        while let Some(done) = self.sends.join_next().await {
            self.conclude(unwrap(done)).await;
        }
        self.recorder.finish().await;
        while let Some(released) = self.releases.join_next().await {
            unwrap(released);
        }
    }

    /// Time in which the destination works is what an event's age is measured by.
    fn count_work(&mut self, now: Timestamp) {
        if self.standing.works() && !self.paused && self.hold_until <= self.worked_at {
            self.worked += until(self.worked_at, now);
        }
        self.worked_at = now;
    }

    /// Starts as many sends as may be under way.
    fn send(&mut self, now: Timestamp) {
        if self.paused || self.hold_until > now {
            self.give_back();
        }
        let probing = match self.standing.way(now) {
            Way::Free => false,
            Way::Probe => true,
            Way::Shut(_) => return self.give_back(),
        };
        while self.sends.len() < self.places(probing)
            && self.limiter.next_at(now) <= now
            && let Some(ready) = self.ready.pop_front()
        {
            let rest = until(now, ready.claim.lease.until);
            if ready.probe != probing || rest < self.shared.config.longest_try() {
                self.release(vec![ready.claim.lease]);
                continue;
            }
            self.limiter.count(now);
            self.sends
                .spawn(attempt::send(Arc::clone(&self.shared), ready));
        }
    }

    /// How many sends may be under way.
    fn places(&self, probing: bool) -> usize {
        let stuck = self.shared.unrecorded.load(Ordering::Acquire) > 0;
        if stuck || self.recorder.len() >= RECORDING {
            0
        } else if probing {
            1
        } else {
            self.shared.config.max_in_flight
        }
    }

    /// Claims more when little is left.
    fn fill(&mut self, now: Timestamp) {
        let idle = self.idle_until.is_some_and(|until| until > now);
        if self.filling.is_some() || idle || self.ready.len() > self.ahead / 2 {
            return;
        }
        // Whatever comes now, or whatever was due, wakes it for nothing until it may claim.
        self.idle_until = None;
        self.hungry = false;
        // In a line, what is given back goes before what is new.
        let behind = self.shared.config.in_order() && !self.releases.is_empty();
        if self.paused || self.hold_until > now || behind {
            return;
        }
        let way = self.standing.way(now);
        let places = self.places(way == Way::Probe);
        let under_way = self.sends.len() + self.ready.len();
        let bytes: usize = self.ready.iter().map(|ready| ready.cargo.bytes()).sum();
        let limit = match way {
            Way::Shut(_) => 0,
            _ if bytes >= AHEAD_BYTES => 0,
            Way::Probe => usize::from(under_way == 0).min(places),
            Way::Free if places == 0 => 0,
            Way::Free => (places + self.ahead).saturating_sub(under_way),
        };
        if limit == 0 {
            return;
        }
        let want = Want {
            destination: self.shared.destination.id().to_owned(),
            limit,
            replays: places.div_ceil(2).max(self.ahead / 2),
            probe: way == Way::Probe,
            in_order: self.shared.config.in_order(),
            hasten: self.hasten,
            worked: std::mem::take(&mut self.worked),
            now,
            lease: self.shared.config.lease(),
        };
        self.grow(now);
        let filling = prepare::fill(Arc::clone(&self.shared), want);
        self.filling = Some(tokio::spawn(filling));
    }

    /// Claims as far ahead as the destination is fast.
    fn grow(&mut self, now: Timestamp) {
        let lasted = until(self.filled_at, now);
        if lasted.is_zero() || lasted > LATE {
            self.ahead /= 2;
        } else if lasted < SOON {
            self.ahead = (self.ahead * 2 + 4).min(AHEAD);
        }
        self.ahead = self.ahead.min(self.limiter.within(POLL));
    }

    fn filled(&mut self, filled: Result<Result<Filled, WriteError>, JoinError>) {
        self.filling = None;
        let now = self.shared.clock.steady();
        self.filled_at = now;
        match unwrap(filled) {
            Ok(filled) => {
                let Filled {
                    ready,
                    claimed,
                    unsettled,
                    parked_by_old_map,
                    claims,
                } = filled;
                self.unpark |= parked_by_old_map;
                if !unsettled.is_empty() {
                    self.release(unsettled);
                    self.idle_until = Some(later(now, JOURNAL_PAUSE));
                }
                self.ready.extend(ready);
                self.hasten &= claims.more_to_hasten;
                if claimed == 0 {
                    let poll = later(now, POLL);
                    // Something due that could not be claimed is no reason to ask again at once.
                    let due = claims.next_due.filter(|due| *due > now);
                    self.idle_until = Some(due.map_or(poll, |due| due.min(poll)));
                    self.hungry = !claims.closed;
                }
            }
            Err(error) => {
                let destination = self.shared.destination.name();
                tracing::debug!(%error, destination, "deliver: nothing claimed");
                // What the sums say now would wake it at once, for nothing.
                self.idle_until = Some(later(now, JOURNAL_PAUSE));
            }
        }
    }

    /// Tells of actions without an asset, while what was claimed with them goes out.
    fn tell(&mut self) {
        if self.telling.is_none() && self.shared.unmapped.has_news() {
            let shared = Arc::clone(&self.shared);
            let telling = async move { shared.unmapped.tell(&shared.journal).await };
            self.telling = Some(tokio::spawn(telling));
        }
    }

    fn told(&mut self, told: Result<(), JoinError>) {
        self.telling = None;
        unwrap(told);
    }

    /// Where deliveries wait for one another, each end may have let another go.
    fn let_others_go(&mut self) {
        if self.shared.config.in_order() {
            self.idle_until = None;
        }
    }

    /// When to look again in any case.
    fn wake_at(&self, now: Timestamp) -> Timestamp {
        let mut wake_at = later(now, POLL);
        if let Some(idle_until) = self.idle_until.filter(|at| *at > now) {
            wake_at = wake_at.min(idle_until);
        }
        if let Way::Shut(until) = self.standing.way(now) {
            wake_at = wake_at.min(until);
        }
        if self.hold_until > now {
            wake_at = wake_at.min(self.hold_until);
        }
        if !self.ready.is_empty() && self.limiter.next_at(now) > now {
            wake_at = wake_at.min(self.limiter.next_at(now));
        }
        wake_at
    }

    /// What was claimed ahead waits in the journal again.
    fn give_back(&mut self) {
        let leases: Vec<_> = self
            .ready
            .drain(..)
            .map(|ready| ready.claim.lease)
            .collect();
        if !leases.is_empty() {
            self.ahead = 0;
            self.release(leases);
        }
    }

    fn release(&mut self, leases: Vec<Lease>) {
        let shared = Arc::clone(&self.shared);
        self.releases.spawn(record::give_back(shared, leases));
    }

    fn say(&self, now: Health) {
        self.health.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }
}

async fn next<T>(task: &mut Option<JoinHandle<T>>) -> Result<T, JoinError> {
    match task {
        Some(task) => task.await,
        None => std::future::pending().await,
    }
}

/// A task never panics by its own doing; if one does, whoever waits for it must not go on as if
/// nothing had happened.
fn unwrap<T>(ended: Result<T, JoinError>) -> T {
    ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}

fn of<'a>(sums: &'a Sums, id: &str) -> Option<&'a DestinationSums> {
    sums.destinations.iter().find(|d| d.id == id)
}

/// Until there is another asset map; never, where there will be none.
async fn until_changed(maps: &mut watch::Receiver<Arc<AssetMap>>) {
    if maps.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn until_fresh(sums: &mut watch::Receiver<Sums>, id: &str) {
    let fresh = |sums: &Sums| of(sums, id).is_some_and(|d| d.fresh > 0);
    // The writer lives as long as this handle of its journal, so there is no error to see.
    drop(sums.wait_for(fresh).await);
}
