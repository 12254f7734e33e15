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
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use self::mark::NOTE;
use self::mark::{Mark, Now};
use self::orbit::Lists;
use self::pages::NotAsAsked;
pub use self::round::Found;
use self::round::{Keep, Window};
use super::orbit_clock::OrbitClock;
use super::webhook::{self, Nudge};
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
/// What was refused is looked for so much later, and what came just before the start: as soon as
/// it is no longer left to the webhook.
const SOON: Duration = Duration::from_secs(35);
/// Why nothing can be found.
const BLIND: &str = "Orbit's clock shows a time before the install, so what it stores now is not \
    looked for: set it right, or orbit-relay backfill --since TIME";
/// So often in a row something else than the time is no Orbit.
const ODD_TIMES: u32 = 2;
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
    /// Told of what our webhook did not bring.
    nudge: Nudge,
    swept_at: Option<Timestamp>,
    /// Run events that anomalies name and Orbit has no more.
    gone: HashSet<String>,
    /// Why late alerts could not be looked for.
    sweep_failing: Option<String>,
    /// By how many milliseconds Orbit's clock was ahead of our steady clock at the last look.
    ahead_ms: Option<i64>,
    /// When this process made the first install, on the steady clock.
    installed_at: Option<Timestamp>,
    /// How often in a row Orbit told something else than its time.
    odd_times: u32,
    /// Found and not said yet, and when something was last said.
    unsaid: Found,
    said_at: Option<Timestamp>,
}

/// What moves it to look.
pub struct Signals {
    /// Our webhook's state: when it is right again, something may have been missed.
    pub webhook: watch::Receiver<webhook::Status>,
    /// The journal could not keep what came: when it can again, something may have been missed.
    pub journal: watch::Receiver<Availability>,
    /// A signed event was refused, or Orbit's clock was set.
    pub refused: Arc<Notify>,
    /// What people ask for.
    pub asked: mpsc::Receiver<Asked>,
}

#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Orbit(#[from] CallError),
    #[error(transparent)]
    Order(#[from] NotAsAsked),
    #[error(
        "its clock is more than 7 days from what was expected: set the clock that is wrong, or \
         orbit-relay backfill --since TIME"
    )]
    Clock,
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
        nudge: Nudge,
    ) -> Self {
        let lists = Lists::new(client, clock.clone(), config.interval);
        Self {
            config,
            journal,
            clock,
            orbit_clock,
            lists,
            progress,
            nudge,
            swept_at: None,
            gone: HashSet::new(),
            sweep_failing: None,
            ahead_ms: None,
            installed_at: None,
            odd_times: 0,
            unsaid: Found::default(),
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
        let mut is_first = true;
        let mut was_right = signals.webhook.borrow_and_update().calls_us();
        let mut journal = signals.journal.clone();
        // It ends only with the journal, and so does all that is done here.
        drop(journal.wait_for(|now| *now == Availability::Open).await);
        self.install().await;
        let mut due_at = self.clock.steady();
        loop {
            let ready = tokio::select! {
                biased;
                Some((order, mut answer)) = signals.asked.recv() => {
                    tokio::select! {
                        // Nobody listens any more; what was found is kept.
                        () = answer.closed() => {}
                        done = self.carry_out(&order) => drop(answer.send(done)),
                    }
                    false
                }
                Ok(()) = signals.webhook.changed() => {
                    let is_right = signals.webhook.borrow_and_update().calls_us();
                    // It was not, or Orbit did not answer: something may have been missed.
                    let again = is_right && !was_right;
                    if was_right && !is_right {
                        let soon = later(self.clock.steady(), EVERY_WITHOUT_WEBHOOK);
                        due_at = due_at.min(soon);
                    }
                    was_right = is_right;
                    is_first |= again;
                    again
                }
                () = signals.refused.notified() => {
                    due_at = due_at.min(later(self.clock.steady(), SOON));
                    false
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
                    let first = was_right && std::mem::take(&mut is_first);
                    if self.config.polling || !was_right {
                        EVERY_WITHOUT_WEBHOOK
                    } else if first {
                        SOON
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

    /// The first install is when the journal was first there, whatever Orbit did then.
    async fn install(&mut self) {
        let note = self.journal.note(NOTE).await;
        if note == Ok(None) {
            self.installed_at = Some(self.clock.steady());
            let mark = Mark::of_a_first_install(self.clock.wall());
            // What cannot be written now is written by the first look.
            drop(self.journal.set_note(NOTE, mark.text()).await);
        }
    }

    /// One look by itself, from where the last one came to.
    async fn look(&mut self) -> Result<(), RoundError> {
        let mut found = Found::default();
        let looked = self.look_through(&mut found).await;
        // Also what a look found that was cut short.
        self.say(found);
        looked
    }

    async fn look_through(&mut self, found: &mut Found) -> Result<(), RoundError> {
        let fresh = self.learn_time().await?;
        if self.orbit_clock.is_disbelieved() {
            return Err(RoundError::Clock);
        }
        let began_at = self.clock.wall();
        let mut mark = self.mark(began_at).await?;
        let orbit = self.orbit_clock.remote();
        let ahead_ms = self.orbit_clock.ahead_ms();
        let lowest_ms = self.orbit_clock.lowest_ms();
        let now = Now {
            at: orbit.now(),
            skew_ms: orbit.skew_ms(),
            fresh,
            set_back_ms: self
                .ahead_ms
                .zip(lowest_ms)
                .map(|(before, lowest)| before.saturating_sub(lowest)),
            was_lower_ms: ahead_ms
                .zip(lowest_ms)
                .map_or(0, |(now, lowest)| now.saturating_sub(lowest)),
            installed_at: self.installed_at.map(|at| {
                let since = until(at, self.clock.steady());
                orbit.now().checked_sub(since).unwrap_or(Timestamp::MIN)
            }),
        };
        let begin = mark.begin(self.config.first, now);
        self.journal.set_note(NOTE, mark.text()).await?;
        if fresh {
            self.ahead_ms = ahead_ms;
            self.orbit_clock.forget_lowest();
        }
        if let Some(set_back) = begin.set_back_too_far {
            tracing::warn!(
                "backfill: Orbit's clock was set back by {} h: what it stored since then with a \
                 time before the install is not looked for; orbit-relay backfill --since TIME does",
                set_back.as_secs() / 3600
            );
        }
        let waits_for_webhook = now.skew_ms.is_some() && !self.config.polling;
        let window = Window {
            from: begin.from,
            until: None,
            unsettled_at: waits_for_webhook.then_some(now.at),
        };
        let mut keep = Keep::Following(&mut mark);
        let brought = self.bring(&window, &mut keep, found).await;
        // One with a time that is yet to come was stored by a clock that was ahead.
        if let Some(at) = found.last_missed_at.filter(|at| *at <= now.at) {
            self.nudge.missed(at);
        }
        brought?;
        mark.ended(began_at);
        self.journal.set_note(NOTE, mark.text()).await?;
        let raised_in = Window {
            from: mark.floor(),
            ..window
        };
        self.sweep_sometimes(now.at, &raised_in, found).await;
        let failing = begin.blind.then(|| BLIND.to_owned());
        let failing = failing.or_else(|| self.sweep_failing.clone());
        self.progress.send_modify(|progress| {
            if progress.failing.is_some() && failing.is_none() {
                tracing::info!("backfill: Orbit can be looked through again");
            }
            progress.failing.clone_from(&failing);
            progress.looked_at = Some(began_at);
            progress.cursor = mark.cursor();
        });
        Ok(())
    }

    /// Late alerts have their own turn: where they cannot be had, all else is.
    async fn sweep_sometimes(
        &mut self,
        orbit_now: Timestamp,
        raised_in: &Window,
        found: &mut Found,
    ) {
        let now = self.clock.steady();
        let due = self.swept_at.is_none_or(|at| until(at, now) >= SWEEP_EVERY);
        if !due {
            return;
        }
        self.swept_at = Some(now);
        let swept = self.sweep(orbit_now, raised_in, found).await;
        let why = swept
            .err()
            .map(|error| format!("late alerts cannot be looked for: {error}"));
        if let Some(why) = why
            .as_ref()
            .filter(|why| self.sweep_failing.as_ref() != Some(why))
        {
            tracing::error!("backfill: {why}; it is tried again");
        }
        self.sweep_failing = why;
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
        let window = Window {
            from: since,
            until,
            unsettled_at: None,
        };
        let mut keep = if dry_run { Keep::dry() } else { Keep::All };
        let mut found = Found::default();
        let brought = self.bring(&window, &mut keep, &mut found).await;
        brought.map_err(|error| format!("{error}; until then {found}"))?;
        tracing::info!(dry_run, "backfill from {since}: {found}");
        Ok(found)
    }

    /// Whether Orbit's time was learnt just now. One that does not tell its time is taken to have
    /// ours.
    async fn learn_time(&mut self) -> Result<bool, RoundError> {
        let looked = self.orbit_clock.look().await;
        self.odd_times = match looked {
            Ok(_) => 0,
            // It says nothing of whether Orbit tells its time.
            Err(CallError::Http(_)) => self.odd_times,
            Err(_) => self.odd_times.saturating_add(1),
        };
        match looked {
            Ok(fresh) => Ok(fresh),
            Err(CallError::Unauthorized(_) | CallError::Status(404 | 405 | 501)) => Ok(false),
            Err(error @ CallError::Http(_)) => Err(error.into()),
            // One page of a portal is no Orbit; one that goes on is an odd one.
            Err(_) if self.odd_times > ODD_TIMES => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    async fn mark(&self, now: Timestamp) -> Result<Mark, WriteError> {
        let note = self.journal.note(NOTE).await?;
        let mark = note.as_deref().and_then(Mark::read);
        if mark.is_none() && note.is_some() {
            tracing::error!(
                "backfill: how far it was cannot be read; it begins with now: for what was missed \
                 before, orbit-relay backfill --since TIME"
            );
        }
        Ok(mark.unwrap_or_else(|| Mark::of_a_first_install(now)))
    }

    fn fail(&self, error: &RoundError) {
        let why = match error {
            RoundError::Journal(error) => error.to_string(),
            error => format!("Orbit cannot be looked through: {error}"),
        };
        self.progress.send_if_modified(|progress| {
            if progress.failing.as_ref() == Some(&why) {
                return false;
            }
            tracing::error!("backfill: {why}; it is tried again");
            progress.failing = Some(why);
            true
        });
    }

    /// What was missed is one warning with a number, and then at most one an hour.
    fn say(&mut self, found: Found) {
        self.unsaid.add(found);
        let now = self.clock.steady();
        if self.said_at.is_some_and(|at| until(at, now) < SAY) {
            return;
        }
        let Found {
            missed, unreadable, ..
        } = self.unsaid;
        if unreadable > 0 {
            tracing::warn!(
                "backfill: {unreadable} times an entry of Orbit's lists had no uuid or no time and \
                 was left out"
            );
        }
        let missed = if self.config.polling { 0 } else { missed };
        if missed > 0 {
            tracing::warn!(
                missed,
                "backfill: {missed} inspections were missed by the webhook and are here now"
            );
        }
        if missed + unreadable > 0 {
            self.unsaid = Found::default();
            self.said_at = Some(now);
        }
    }
}
