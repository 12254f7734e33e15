//! One look through Orbit: its alerts, then all inspections, then anomalies that were raised late.
//!
//! Alerts come first: what is not known as one afterwards is a completed inspection.
//!
//! # Invariants
//! - One event for each run event: the alert where Orbit lists it as one.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::found::missing;
use super::mark::Mark;
use super::orbit::{ALERTS, ANOMALIES, Collection, RUN_EVENTS};
use super::pages::{Brought, Entry, Walk, whole_ms};
use super::{Backfill, NOTE, RoundError, SETTLE};
use crate::clock::until;
use crate::event::{ALERT, COMPLETED, DedupeKey, Members};
use crate::orbit::CallError;
use crate::relay::journal::{Appended, Missing};

/// Late anomalies are looked for so far back.
const SWEEP: Duration = Duration::from_hours(14 * 24);
/// So many run events are remembered that Orbit has no more, and not asked for again.
const MOST_GONE: usize = 10_000;
/// So many are named.
const NAMED: usize = 20;

/// What Orbit stored in this time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) from: Timestamp,
    pub(super) until: Option<Timestamp>,
    /// What was stored about then is left to the webhook. What has a time that is yet to come is
    /// not: it was stored by a clock that was ahead.
    pub(super) unsettled_at: Option<Timestamp>,
}

impl Window {
    fn holds(&self, at: Timestamp) -> bool {
        let is_settled = |now| until(now, at).max(until(at, now)) >= SETTLE;
        at >= whole_ms(self.from)
            && self.until.is_none_or(|until| at < until)
            && self.unsettled_at.is_none_or(is_settled)
    }
}

/// What becomes of what is missing.
#[derive(Debug)]
pub(super) enum Keep<'a> {
    /// It is kept, and with it how far the look has come.
    Following(&'a mut Mark),
    /// It is kept.
    All,
    /// It is only counted; these were.
    Nothing(HashSet<DedupeKey>),
}

impl Keep<'_> {
    pub(super) fn dry() -> Self {
        Self::Nothing(HashSet::new())
    }
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Found {
    /// Alerts that were not here.
    pub alerts: u64,
    /// Inspections without an alert that were not here.
    pub completed: u64,
    /// Of both, those that a webhook should have brought: Orbit stored them after the install.
    pub missed: u64,
    /// Entries that have no id or no time.
    pub unreadable: u64,
    /// The run events of the first of them.
    pub first: Vec<String>,
    /// When Orbit stored the last one that was missed.
    #[serde(skip)]
    pub(super) last_missed_at: Option<Timestamp>,
}

impl Found {
    pub(super) fn add(&mut self, other: Self) {
        self.alerts += other.alerts;
        self.completed += other.completed;
        self.missed += other.missed;
        self.unreadable += other.unreadable;
        self.first.extend(other.first);
        self.first.truncate(NAMED);
    }

    fn count(&mut self, missing: &Missing, is_missed: bool) {
        let of = if missing.event.event_type == ALERT {
            &mut self.alerts
        } else {
            &mut self.completed
        };
        *of += 1;
        self.missed += u64::from(is_missed);
        if self.first.len() < NAMED {
            self.first.push(missing.event.identity.text());
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            alerts, completed, ..
        } = self;
        write!(
            f,
            "{} inspections were missing, {alerts} of them alerts",
            alerts + completed
        )
    }
}

impl Backfill {
    /// Looks through what Orbit stored in a time, and keeps what is missing.
    pub(super) async fn bring(
        &mut self,
        window: &Window,
        keep: &mut Keep<'_>,
        found: &mut Found,
    ) -> Result<(), RoundError> {
        // Nothing can lie in it, and Orbit may not like to be asked.
        if window.until.is_some_and(|until| until <= window.from) {
            return Ok(());
        }
        let wanted = |event_type| self.config.events.iter().any(|wanted| wanted == event_type);
        let (alerts, completed) = (wanted(ALERT), wanted(COMPLETED));
        if alerts {
            self.walk((&ALERTS, ALERT), window, keep, !completed, found)
                .await?;
        }
        if completed {
            self.walk((&RUN_EVENTS, COMPLETED), window, keep, true, found)
                .await?;
        }
        Ok(())
    }

    /// `last`: after this walk nothing of the window is left to be looked at.
    async fn walk(
        &mut self,
        (collection, event_type): (&Collection, &str),
        window: &Window,
        keep: &mut Keep<'_>,
        last: bool,
        found: &mut Found,
    ) -> Result<(), RoundError> {
        let mut walk = Walk::new(collection.member, window.from);
        loop {
            let brought = self.lists.next(&mut walk, collection, window.until).await?;
            let entries = missing_of(&brought, window, event_type, self.clock.wall());
            found.unreadable += count(brought.unreadable);
            say_stuck(&brought);
            match keep {
                Keep::Nothing(counted) => {
                    self.count_missing(entries, counted, found).await?;
                }
                Keep::All => self.keep_missing(entries, None, None, found).await?,
                Keep::Following(mark) => {
                    let since = mark.since();
                    if let Some(entry) = brought.entries.last().filter(|_| last) {
                        mark.advance(entry.at);
                    }
                    let note = mark.text();
                    self.keep_missing(entries, Some(note), since, found).await?;
                }
            }
            if brought.over {
                return Ok(());
            }
        }
    }

    /// Keeps what is missing, and how far the look has come.
    async fn keep_missing(
        &self,
        entries: Vec<(Timestamp, Missing)>,
        note: Option<String>,
        since: Option<Timestamp>,
        found: &mut Found,
    ) -> Result<(), RoundError> {
        if entries.is_empty() {
            return Ok(());
        }
        let missing = entries.iter().map(|(_, missing)| missing.clone()).collect();
        let note = note.map(|note| (NOTE, note));
        let appended = self.journal.append_missing(missing, note).await?;
        for ((at, missing), appended) in entries.iter().zip(appended) {
            if let Appended::Accepted(_) = appended {
                let is_missed = since.is_some_and(|since| *at >= since);
                found.count(missing, is_missed);
                found.last_missed_at = found.last_missed_at.max(is_missed.then_some(*at));
            }
        }
        Ok(())
    }

    async fn count_missing(
        &self,
        entries: Vec<(Timestamp, Missing)>,
        counted: &mut HashSet<DedupeKey>,
        found: &mut Found,
    ) -> Result<(), RoundError> {
        let keys_of = |missing: &Missing| {
            let key = missing.event.dedupe_key();
            [key, missing.covered_by.unwrap_or(key)]
        };
        let keys = entries.iter().flat_map(|(_, missing)| keys_of(missing));
        let known = self.journal.known(keys.collect()).await?;
        for ((_, missing), known) in entries.iter().zip(known.chunks(2)) {
            let keys = keys_of(missing);
            let is_here = known.contains(&true) || keys.iter().any(|key| counted.contains(key));
            if !is_here {
                counted.insert(missing.event.dedupe_key());
                found.count(missing, false);
            }
        }
        Ok(())
    }

    /// Looks for alerts that Orbit raised after their inspection was stored, within a time.
    pub(super) async fn sweep(
        &mut self,
        orbit_now: Timestamp,
        raised_in: &Window,
        found: &mut Found,
    ) -> Result<(), RoundError> {
        if !self.config.events.iter().any(|wanted| wanted == ALERT) {
            return Ok(());
        }
        let from = orbit_now.checked_sub(SWEEP).unwrap_or(Timestamp::MIN);
        let mut walk = Walk::new(ANOMALIES.member, from);
        loop {
            let brought = self.lists.next(&mut walk, &ANOMALIES, None).await?;
            found.unreadable += count(brought.unreadable);
            say_stuck(&brought);
            let raised: Vec<_> = brought
                .entries
                .iter()
                .filter_map(|entry| raised(entry, raised_in))
                .collect();
            let keys = raised
                .iter()
                .map(|(uuid, _)| DedupeKey::of_alert(uuid))
                .collect();
            let known = self.journal.known(keys).await?;
            for ((uuid, at), _) in raised.iter().zip(known).filter(|(_, known)| !known) {
                if self.gone.contains(uuid) {
                    continue;
                }
                let asked = match self.lists.run_event(uuid).await {
                    // One that cannot be had hides no other.
                    Err(RoundError::Orbit(
                        CallError::Status(_) | CallError::Nonsense | CallError::TooLarge,
                    )) => {
                        found.unreadable += 1;
                        None
                    }
                    asked => asked?,
                };
                let Some(run_event) = asked else {
                    tracing::debug!(run_event = uuid, "backfill: an anomaly of no run event");
                    if self.gone.len() < MOST_GONE {
                        self.gone.insert(uuid.clone());
                    }
                    continue;
                };
                let entry = missing(&run_event, ALERT, self.clock.wall());
                let entries = entry.map(|entry| (*at, entry)).into_iter().collect();
                self.keep_missing(entries, None, Some(raised_in.from), found)
                    .await?;
            }
            if brought.over {
                return Ok(());
            }
        }
    }
}

/// The run event that an anomaly is about, and when it was raised, where that is within a time.
fn raised(entry: &Entry, within: &Window) -> Option<(String, Timestamp)> {
    let members = Members::parse(entry.raw.get()).ok()?;
    let created_at = members.text("createdAt").and_then(|at| at.parse().ok());
    let at = created_at.unwrap_or(entry.at);
    Some((members.text("runEventUuid")?, at)).filter(|_| within.holds(at))
}

fn missing_of(
    brought: &Brought,
    window: &Window,
    event_type: &str,
    received_at: Timestamp,
) -> Vec<(Timestamp, Missing)> {
    // Orbit's word is not taken for it: years of old events would go to the plant.
    let entries = brought
        .entries
        .iter()
        .filter(|entry| window.holds(entry.at));
    let missing =
        entries.filter_map(|entry| Some((entry.at, missing(&entry.raw, event_type, received_at)?)));
    missing.collect()
}

fn say_stuck(brought: &Brought) {
    if let Some(at) = brought.stuck_at {
        tracing::error!(
            "backfill: Orbit has more entries of {at} than it lists at once, and does not list the \
             rest: some of them may be missing"
        );
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
