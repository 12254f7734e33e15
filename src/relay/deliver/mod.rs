//! Step 7 of the path: claim → map → freeze → send → record.
//!
//! ```text
//! mod      the loop of one destination: when to claim, how much, when to stop
//! attempt  one try of one delivery
//! circuit  whether the destination is tried at all (pure)
//! unmapped what is said, once, of an action that finds no asset
//! ```
//!
//! # Invariants
//! - The key and the body of a delivery are the same at every try; what changes is a header.
//! - A destination's trouble is its own: each has a loop, a circuit and a limit of its own.
//! - While the end of a try cannot be recorded, nothing more is claimed.
//!
//! # Not here
//! What an answer means: `destination::outcome`. What a state may become: `journal::state`.

mod attempt;
mod circuit;
mod unmapped;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::attempt::{Attempt, Ended};
use self::circuit::{Circuit, Gate};
use self::unmapped::Unmapped;
use crate::clock::{Clock, later};
use crate::metrics::Metrics;
use crate::relay::assets::AssetMap;
use crate::relay::destination::{self, Destination};
use crate::relay::journal::{Journal, State};
use crate::relay::transform::expression::Expression;
use crate::retry;

/// How many posts of one destination are under way at once, unless it says otherwise.
pub const IN_FLIGHT: usize = 4;
/// Wake-ups may be missed; this is how late due work goes out then.
const POLL: Duration = Duration::from_secs(1);
/// After the journal could not give anything.
const JOURNAL_PAUSE: Duration = Duration::from_millis(500);

/// What one destination gets, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is posted.
    pub destination: destination::Config,
    /// The event types that it takes.
    pub events: Vec<String>,
    /// And only those of which this holds.
    pub when: Option<Expression>,
    /// Whether a completed event and its alert are one.
    pub once_per: OncePer,
    /// Which deliveries wait for one another.
    pub order_by: OrderBy,
    /// How many posts are under way at once.
    pub max_in_flight: usize,
    /// No more posts than this.
    pub rate_limit: Option<Rate>,
    /// When a post is tried again, and when it is given up.
    pub retry: retry::Plan,
}

/// What there is one delivery of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OncePer {
    /// An event: a completed event and its alert are two.
    Event,
    /// An inspection: a completed event and its alert are one.
    Inspection,
}

/// Which deliveries wait for one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// None.
    None,
    /// Those of one asset: one at a time, in order of arrival.
    Asset,
}

/// So many in so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So many.
    pub count: u32,
    /// In so long.
    pub per: Duration,
}

impl Config {
    /// A destination that is posted to like this, with the defaults for all else.
    pub fn new(destination: destination::Config, events: Vec<String>) -> Self {
        Self {
            destination,
            events,
            when: None,
            once_per: OncePer::Event,
            order_by: OrderBy::None,
            max_in_flight: IN_FLIGHT,
            rate_limit: None,
            retry: retry::Plan::default(),
        }
    }
}

/// What the loop of one destination needs.
#[derive(Debug)]
pub struct Deliver {
    /// What it gets, and how.
    pub config: Config,
    /// Where deliveries come from.
    pub journal: Journal,
    /// Where they go.
    pub destination: Destination,
    /// Which asset an event is about.
    pub assets: watch::Receiver<Arc<AssetMap>>,
    /// Time.
    pub clock: Clock,
    /// Counts.
    pub metrics: Metrics,
    /// Told how the destination does.
    pub health: watch::Sender<Health>,
}

/// How a destination does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing was sent yet.
    Untried,
    /// The last try reached it.
    Working,
    /// The last try failed, for this reason.
    Failing(String),
    /// It is down: only probes are sent.
    Down(String),
}

/// The loop of one destination.
struct Worker {
    shared: Arc<Shared>,
    health: watch::Sender<Health>,
    circuit: Circuit,
    sends: JoinSet<Ended>,
}

/// What a claim leaves to wait for.
struct Found {
    /// Whether a new event is to wake the loop.
    hungry: bool,
    /// When to look again in any case.
    wake_at: jiff::Timestamp,
}

/// What all tries of one destination share.
struct Shared {
    config: Config,
    journal: Journal,
    destination: Destination,
    assets: watch::Receiver<Arc<AssetMap>>,
    clock: Clock,
    metrics: Metrics,
    unmapped: Unmapped,
    /// Tries whose end waits for the journal.
    unrecorded: AtomicUsize,
}

/// Delivers until `stop`, then lets the sends under way end.
pub async fn run(deliver: Deliver, stop: CancellationToken) {
    let Deliver {
        config,
        journal,
        destination,
        assets,
        clock,
        metrics,
        health,
    } = deliver;
    let unmapped = Unmapped::default();
    let unrecorded = AtomicUsize::new(0);
    let shared = Shared {
        config,
        journal,
        destination,
        assets,
        clock,
        metrics,
        unmapped,
        unrecorded,
    };
    let worker = Worker {
        shared: Arc::new(shared),
        health,
        circuit: Circuit::default(),
        sends: JoinSet::new(),
    };
    worker.run(stop).await;
}

impl Worker {
    async fn run(mut self, stop: CancellationToken) {
        let clock = self.shared.clock.clone();
        let mut sums = self.shared.journal.sums();
        let id = self.shared.destination.id().to_owned();
        while !stop.is_cancelled() {
            let now = clock.steady();
            let free = self.free(now);
            let Found { hungry, wake_at } = self.claim(free).await;
            let waiting = self.sends.len();
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ended) = self.sends.join_next(), if waiting > 0 => self.note(ended),
                () = clock.sleep_until(wake_at) => {}
                _ = sums.wait_for(|sums| has_pending(sums, &id)), if hungry => {}
            }
        }
        while let Some(ended) = self.sends.join_next().await {
            self.note(ended);
        }
    }

    /// How many deliveries may be claimed now.
    fn free(&self, now: jiff::Timestamp) -> usize {
        if self
            .shared
            .unrecorded
            .load(std::sync::atomic::Ordering::Acquire)
            > 0
        {
            return 0;
        }
        match self.circuit.gate(now) {
            Gate::Closed => self
                .shared
                .config
                .max_in_flight
                .saturating_sub(self.sends.len()),
            Gate::Probe => usize::from(self.sends.is_empty()),
            Gate::Open(_) => 0,
        }
    }

    /// Claims and starts up to `free` deliveries; says when to look again.
    async fn claim(&mut self, free: usize) -> Found {
        let now = self.shared.clock.steady();
        let poll = later(now, POLL);
        if free == 0 {
            let wake_at = match self.circuit.gate(now) {
                Gate::Open(until) => until.min(poll),
                Gate::Closed | Gate::Probe => poll,
            };
            return Found {
                hungry: false,
                wake_at,
            };
        }
        let id = self.shared.destination.id();
        let claims = match self.shared.journal.claim(id, free, now).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::debug!(%error, destination = id, "deliver: nothing claimed");
                // What the sums say now would wake it at once, for nothing.
                return Found {
                    hungry: false,
                    wake_at: later(now, JOURNAL_PAUSE),
                };
            }
        };
        let claimed = claims.now.len();
        for claim in claims.now {
            let attempt = Attempt {
                shared: Arc::clone(&self.shared),
                claim,
            };
            self.sends.spawn(attempt.run());
        }
        let hungry = claimed < free;
        let due = claims.next_due.filter(|_| hungry);
        Found {
            hungry,
            wake_at: due.map_or(poll, |due| due.min(poll)),
        }
    }

    fn note(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            // A try never panics by its own doing; if it does, the task that waits for this one
            // must not go on as if nothing had happened.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        let destination = self.shared.destination.id();
        let now = self.shared.clock.steady();
        match ended {
            Ended::Reached => {
                if self.circuit.succeeded() {
                    tracing::info!(destination, "deliver: the destination works again");
                }
                self.say(Health::Working);
            }
            Ended::Failed { seq, reason } => {
                if self.circuit.failed(seq, now, retry::chance()) {
                    let sums = self.shared.journal.sums().borrow().clone();
                    let waiting = sums.destinations.iter().find(|d| d.id == destination);
                    let waiting =
                        waiting.map_or(0, |d| d.of(State::Pending) + d.of(State::Postponed));
                    tracing::warn!(
                        destination, %reason, waiting,
                        "deliver: the destination is down; events wait, a probe goes out at most \
                         a minute apart"
                    );
                }
                self.say(if self.circuit.is_open() {
                    Health::Down(reason)
                } else {
                    Health::Failing(reason)
                });
            }
            Ended::Untried => {}
        }
    }

    fn say(&self, now: Health) {
        self.health.send_if_modified(|before| {
            let changed = *before != now;
            *before = now;
            changed
        });
    }
}

fn has_pending(sums: &crate::relay::journal::Sums, id: &str) -> bool {
    sums.destinations
        .iter()
        .any(|d| d.id == id && d.of(State::Pending) > 0)
}
