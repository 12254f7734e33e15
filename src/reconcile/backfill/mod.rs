//! Finds what Orbit has on record and its webhooks did not bring, and keeps it.
//!
//! ```text
//! mod    when Orbit is looked through: by itself, and when somebody asks
//! round  one look: alerts, then all inspections, then anomalies that were raised late
//! mark   how far it is, and where the next look begins (pure)
//! pages  a walk through a list by time (pure)
//! found  the event of a run event (pure)
//! orbit  questions to Orbit: how often, and again after trouble
//! ```
//!
//! # Invariants
//! - How far a look has come is kept in the same commit as what it found.
//! - The same event is never kept twice, whichever way it came first.
//! - Nothing that Orbit stored before the first install is taken, unless somebody asks.

mod found;
mod mark;
mod orbit;
mod pages;
mod round;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::mark::Mark;
pub use self::mark::NOTE;
use self::orbit::Lists;
use self::pages::NotInOrder;
pub use self::round::Found;
use self::round::{Keep, Window};
use super::orbit_clock::OrbitClock;
use super::webhook;
use crate::clock::{Clock, later, until};
use crate::orbit::{CallError, Client};
use crate::relay::journal::{Availability, Journal, WriteError};
use crate::retry::{Schedule, chance};

/// How often Orbit is looked through while its webhooks come, and while they do not.
const EVERY: Duration = Duration::from_mins(10);
const EVERY_WITHOUT_WEBHOOK: Duration = Duration::from_secs(30);
/// How often anomalies are looked through for late ones.
const SWEEP_EVERY: Duration = Duration::from_mins(10);
/// What is younger may still be on its way as a webhook.
const SETTLE: Duration = Duration::from_secs(30);
/// What was missed is said at most so often.
const SAY: Duration = Duration::from_hours(1);

/// How Orbit is looked through.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whether it is, without being asked to.
    pub on: bool,
    /// Whether a first install takes what is older than itself.
    pub first: First,
    /// The least time between two questions.
    pub interval: Duration,
    /// The event types that are wanted.
    pub events: Vec<String>,
    /// Orbit cannot reach the relay: there is no webhook.
    pub polling: bool,
}

/// Where the first look of an install begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// With the install.
    Now,
    /// So long before it.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whether it goes on by itself.
    pub on: bool,
    /// When Orbit was last looked through to the end, on our wall clock.
    pub looked_at: Option<Timestamp>,
    /// All that Orbit stored before then was looked at, on Orbit's clock.
    pub cursor: Option<Timestamp>,
    /// Why it cannot be looked through.
    pub failing: Option<String>,
}

impl Progress {
    /// How far the journal's note says it is.
    pub fn of_note(note: &str) -> Option<Self> {
        let mark = Mark::read(note)?;
        Some(Self {
            on: true,
            looked_at: mark.looked_at(),
            cursor: mark.cursor(),
            failing: None,
        })
    }
}

/// What a person asks for.
#[derive(Clone, Debug)]
pub struct Order {
    /// What Orbit stored from then on, on Orbit's clock.
    pub since: Timestamp,
    /// And before then.
    pub until: Option<Timestamp>,
    /// Only say what is missing.
    pub dry_run: bool,
}

/// An order, and where its answer goes.
pub type Asked = (Order, oneshot::Sender<Result<Found, String>>);

/// Looks through Orbit.
pub struct Backfill {
    config: Config,
    journal: Journal,
    clock: Clock,
    orbit_clock: Arc<OrbitClock>,
    lists: Lists,
    progress: watch::Sender<Progress>,
    swept_at: Option<Timestamp>,
    /// Run events that anomalies name and Orbit has no more.
    gone: HashSet<String>,
    /// Missed and not said yet, and when something was last said.
    unsaid: u64,
    said_at: Option<Timestamp>,
}

/// What moves it to look.
pub struct Signals {
    /// Our webhook's state: when it is right again, something may have been missed.
    pub webhook: watch::Receiver<webhook::Status>,
    /// The journal could not keep what came: when it can again, something may have been missed.
    pub journal: watch::Receiver<Availability>,
    /// What people ask for.
    pub asked: mpsc::Receiver<Asked>,
}

#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Orbit(#[from] CallError),
    #[error(transparent)]
    Order(#[from] NotInOrder),
    #[error(transparent)]
    Journal(#[from] WriteError),
}

impl Backfill {
    /// Nothing is looked at yet.
    pub fn new(
        config: Config,
        client: Arc<Client>,
        journal: Journal,
        clock: Clock,
        orbit_clock: Arc<OrbitClock>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let lists = Lists::new(client, clock.clone(), config.interval);
        Self {
            config,
            journal,
            clock,
            orbit_clock,
            lists,
            progress,
            swept_at: None,
            gone: HashSet::new(),
            unsaid: 0,
            said_at: None,
        }
    }

    /// Looks now and then, and when it is asked to, until `stop`.
    pub async fn run(mut self, signals: Signals, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.go_on(signals) => {}
        }
    }

    async fn go_on(&mut self, mut signals: Signals) {
        let mut failures = 0;
        let mut was_right = false;
        // It ends only with the journal, and so does all that is done here.
        drop(
            signals
                .journal
                .wait_for(|now| *now == Availability::Open)
                .await,
        );
        let mut due_at = self.clock.steady();
        loop {
            let ready = tokio::select! {
                biased;
                Some((order, answer)) = signals.asked.recv() => {
                    let done = self.carry_out(&order).await;
                    // Whoever asked may be gone.
                    drop(answer.send(done));
                    false
                }
                Ok(()) = signals.webhook.changed() => {
                    let is_right = signals.webhook.borrow_and_update().calls_us();
                    // It was not, or Orbit did not answer: something may have been missed.
                    let again = is_right && !was_right;
                    was_right = is_right;
                    again
                }
                Ok(()) = signals.journal.changed() => {
                    *signals.journal.borrow_and_update() == Availability::Open
                }
                () = self.clock.sleep_until(due_at) => true,
            };
            if !self.config.on {
                due_at = later(self.clock.steady(), EVERY);
                continue;
            }
            if !ready {
                continue;
            }
            let wait = match self.look().await {
                Ok(()) => {
                    failures = 0;
                    if self.config.polling || !was_right {
                        EVERY_WITHOUT_WEBHOOK
                    } else {
                        EVERY
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.fail(&error);
                    Schedule::SECOND_TO_MINUTE.delay(failures, chance())
                }
            };
            due_at = later(self.clock.steady(), wait);
        }
    }

    /// One look by itself, from where the last one came to.
    async fn look(&mut self) -> Result<(), RoundError> {
        self.learn_time().await?;
        let now = self.clock.wall();
        let mut mark = self.mark(now).await?;
        let orbit = self.orbit_clock.remote();
        let skew_ms = orbit.skew_ms();
        let begin = mark.begin(self.config.first, orbit.now(), skew_ms);
        if let Some(lost) = begin.set_back_too_far {
            tracing::warn!(
                "backfill: Orbit's clock was set back by {} h: what it stored since then with an \
                 earlier time is not looked for; orbit-relay backfill --since TIME does",
                lost.as_secs() / 3600
            );
        }
        let settled = (skew_ms.is_some() && !self.config.polling)
            .then(|| orbit.now().checked_sub(SETTLE).ok())
            .flatten();
        let window = Window {
            from: begin.from,
            until: settled,
        };
        self.journal.set_note(NOTE, mark.text()).await?;
        let mut found = self.bring(&window, &mut Keep::Following(&mut mark)).await?;
        let sweep = self
            .swept_at
            .is_none_or(|at| until(at, self.clock.steady()) >= SWEEP_EVERY);
        if sweep {
            let raised_in = Window {
                from: mark.floor(),
                until: settled,
            };
            found.add(self.sweep(orbit.now(), &raised_in).await?);
            self.swept_at = Some(self.clock.steady());
        }
        mark.ended(now);
        self.journal.set_note(NOTE, mark.text()).await?;
        self.say(&found);
        self.progress.send_modify(|progress| {
            if progress.failing.take().is_some() {
                tracing::info!("backfill: Orbit can be looked through again");
            }
            progress.looked_at = Some(now);
            progress.cursor = mark.cursor();
        });
        Ok(())
    }

    /// Does what a person asked for.
    pub async fn carry_out(&mut self, order: &Order) -> Result<Found, String> {
        let Order {
            since,
            until,
            dry_run,
        } = *order;
        tracing::info!(
            dry_run,
            "backfill from {since} was asked for{}",
            until
                .map(|until| format!(" until {until}"))
                .unwrap_or_default()
        );
        let window = Window { from: since, until };
        let mut keep = if dry_run { Keep::dry() } else { Keep::All };
        let found = self.bring(&window, &mut keep).await;
        let found = found.map_err(|error| error.to_string())?;
        tracing::info!(dry_run, "backfill from {since}: {found}");
        Ok(found)
    }

    /// An Orbit that does not tell its time is taken to have ours.
    async fn learn_time(&self) -> Result<(), RoundError> {
        match self.orbit_clock.look().await {
            Ok(())
            | Err(CallError::Status(_) | CallError::Unauthorized(_) | CallError::Nonsense) => {
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn mark(&self, now: Timestamp) -> Result<Mark, WriteError> {
        let note = self.journal.note(NOTE).await?;
        let mark = note.and_then(|note| Mark::read(&note));
        Ok(mark.unwrap_or_else(|| Mark::of_a_first_install(now)))
    }

    fn fail(&self, error: &RoundError) {
        let why = error.to_string();
        self.progress.send_if_modified(|progress| {
            if progress.failing.as_ref() == Some(&why) {
                return false;
            }
            tracing::error!("backfill: Orbit cannot be looked through: {why}; it is tried again");
            progress.failing = Some(why);
            true
        });
    }

    /// What was missed is one warning with a number, and then at most one an hour.
    fn say(&mut self, found: &Found) {
        if found.unreadable > 0 {
            tracing::warn!(
                "backfill: {} entries of Orbit's lists have no uuid or no time and were left out",
                found.unreadable
            );
        }
        if self.config.polling {
            return;
        }
        self.unsaid += found.missed;
        let now = self.clock.steady();
        let may_say = self.said_at.is_none_or(|at| until(at, now) >= SAY);
        if self.unsaid > 0 && may_say {
            tracing::warn!(
                missed = self.unsaid,
                "backfill: {} inspections were missed by the webhook and are here now",
                self.unsaid
            );
            self.unsaid = 0;
            self.said_at = Some(now);
        }
    }
}
