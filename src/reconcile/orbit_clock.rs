//! Learns what Orbit's clock shows, so that signatures and times of Orbit's are judged by it.
//!
//! # Invariants
//! - What was learnt is compared with the steady clock: a wall clock of ours that is set changes
//!   nothing.
//! - A difference beyond [`SKEWED_MS`] is said when it appears, when it changes, and when it is
//!   over.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Remote, shifted, until};
use crate::orbit::{CallError, Client};
use crate::relay::journal::{Availability, Journal};

/// The journal's note.
pub const NOTE: &str = "orbit-clock";
/// Orbit's clock is said to be wrong, or ours, when they differ by more.
pub const SKEWED_MS: i64 = 30_000;
const EVERY: Duration = Duration::from_mins(1);
/// Strangers can cause it to be woken.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// A clock that is further off is not believed.
const BELIEVED: Duration = Duration::from_hours(7 * 24);
/// An answer that took longer tells little about the time.
const LONGEST: Duration = Duration::from_secs(10);
/// By more than that no clock drifts in a minute: it was set.
const MOVED_MS: u64 = 60_000;
/// A smaller change is no news.
const LEAST_CHANGE_MS: u64 = 1000;

/// What the journal remembers.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Noted {
    /// By how many milliseconds Orbit's clock is ahead of our wall clock.
    pub skew_ms: i64,
    /// When that was learnt, on our wall clock.
    pub at: Timestamp,
}

/// What is known of Orbit's clock, and how it is asked.
#[derive(Debug)]
pub struct OrbitClock {
    client: Arc<Client>,
    journal: Journal,
    clock: Clock,
    /// By how many milliseconds Orbit's clock is ahead of our steady clock.
    ahead_ms: watch::Sender<Option<i64>>,
    before: Mutex<Before>,
    /// Told that it was set.
    moved: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Before {
    /// The least that it was since that was taken into account.
    lowest_ms: Option<i64>,
    /// What this process learnt last.
    learnt: Option<i64>,
    disbelieved: bool,
    noted: Option<Noted>,
    said: Option<i64>,
}

/// The difference of two clocks in words, where it is worth any.
pub fn in_words(skew_ms: i64) -> Option<String> {
    if skew_ms.unsigned_abs() <= SKEWED_MS.unsigned_abs() {
        return None;
    }
    let seconds = skew_ms.unsigned_abs() / 1000;
    let size = match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    };
    let direction = if skew_ms > 0 { "ahead of" } else { "behind" };
    Some(format!("Orbit's clock is {size} {direction} ours"))
}

/// Keeps the difference known until `stop`. Whoever sees a time that cannot be wakes it to look.
pub async fn run(orbit_clock: Arc<OrbitClock>, wake: Arc<Notify>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => return,
        () = orbit_clock.recall() => {}
    }
    loop {
        if let Err(error) = orbit_clock.look().await {
            tracing::debug!(%error, "Orbit's clock: not learnt now");
        }
        let clock = &orbit_clock.clock;
        let woken = async {
            clock.sleep(AT_MOST_EVERY).await;
            wake.notified().await;
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = woken => {}
            () = clock.sleep(EVERY) => {}
        }
    }
}

impl OrbitClock {
    /// Nothing is known yet.
    pub fn new(
        client: Arc<Client>,
        journal: Journal,
        clock: Clock,
        ahead_ms: watch::Sender<Option<i64>>,
        moved: Arc<Notify>,
    ) -> Self {
        Self {
            client,
            journal,
            clock,
            ahead_ms,
            before: Mutex::default(),
            moved,
        }
    }

    /// What Orbit's clock shows now, as far as it is known.
    pub fn remote(&self) -> Remote {
        Remote::new(self.clock.clone(), self.ahead_ms.subscribe())
    }

    /// By how many milliseconds Orbit's clock is ahead of our steady clock, once that is known.
    pub fn ahead_ms(&self) -> Option<i64> {
        *self.ahead_ms.borrow()
    }

    /// The least that the difference to our steady clock was since it was forgotten: a clock that is
    /// set to and fro leaves times behind that are before those of the last look.
    pub fn lowest_ms(&self) -> Option<i64> {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.lowest_ms
    }

    /// That was taken into account, and is kept.
    pub fn forget_lowest(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.lowest_ms = before.learnt;
    }

    /// Asks Orbit; tells whether its time is known now. An answer that took too long says nothing.
    pub async fn look(&self) -> Result<bool, CallError> {
        let before = self.clock.steady();
        let shown_ms = self.client.system_time_ms().await?;
        let took = until(before, self.clock.steady());
        if took > LONGEST {
            return Ok(false);
        }
        let half_ms = i64::try_from(took.as_millis() / 2).unwrap_or(0);
        let ahead_ms = shown_ms
            .saturating_sub(before.as_millisecond())
            .saturating_sub(half_ms);
        let now = self.noted(ahead_ms);
        if !self.believes(ahead_ms, now.skew_ms) {
            self.disbelieve(now.skew_ms);
            return Ok(false);
        }
        self.ahead_ms.send_replace(Some(ahead_ms));
        let note = {
            let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
            let lowest_ms = before.lowest_ms.unwrap_or(ahead_ms);
            before.lowest_ms = Some(lowest_ms.min(ahead_ms));
            if before
                .learnt
                .replace(ahead_ms)
                .is_some_and(|last| last.abs_diff(ahead_ms) > MOVED_MS)
            {
                self.moved.notify_one();
            }
            before.disbelieved = false;
            say(&mut before.said, now.skew_ms);
            let noted = before.noted.as_ref();
            let changed = noted.is_none_or(|noted| noted.differs_from(&now));
            changed.then(|| before.noted.insert(now).clone())
        };
        // What cannot be kept now is learnt again by the next process.
        if let Some(note) = note.and_then(|note| serde_json::to_string(&note).ok()) {
            drop(self.journal.set_note(NOTE, note).await);
        }
        Ok(true)
    }

    /// What was learnt by this process is compared with; our wall clock, which may be the one that is
    /// wrong, only before.
    fn believes(&self, ahead_ms: i64, skew_ms: i64) -> bool {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let off = before
            .learnt
            .map_or(skew_ms.unsigned_abs(), |known| known.abs_diff(ahead_ms));
        u128::from(off) <= BELIEVED.as_millis()
    }

    /// Whether what Orbit's clock shows cannot be.
    pub fn is_disbelieved(&self) -> bool {
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        before.disbelieved
    }

    /// A clock that is off by more than that is none: by it old messages would be new.
    fn disbelieve(&self, skew_ms: i64) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        // What this process knows of it holds on: it is more likely than what it shows now.
        if before.learnt.is_none() {
            self.ahead_ms.send_replace(None);
        }
        if !std::mem::replace(&mut before.disbelieved, true) {
            tracing::error!(
                skew_ms,
                "Orbit's clock is more than 7 days from what was expected and is not believed: \
                 events may be refused, and nothing is looked for in Orbit; set the clock that is \
                 wrong (NTP)"
            );
        }
    }

    /// What an earlier process learnt counts until Orbit is asked.
    async fn recall(&self) {
        let mut availability = self.journal.availability();
        // It ends only with the journal, and then the note is not found either.
        drop(
            availability
                .wait_for(|now| *now == Availability::Open)
                .await,
        );
        let note = self.journal.note(NOTE).await.ok().flatten();
        let Some(noted) = note.and_then(|note| serde_json::from_str::<Noted>(&note).ok()) else {
            return;
        };
        let now_ms = shifted(self.clock.wall(), noted.skew_ms).as_millisecond();
        let ahead_ms = now_ms - self.clock.steady().as_millisecond();
        self.ahead_ms.send_if_modified(|known| {
            let unknown = known.is_none();
            if unknown {
                *known = Some(ahead_ms);
            }
            unknown
        });
    }

    fn noted(&self, ahead_ms: i64) -> Noted {
        let ahead = watch::channel(Some(ahead_ms)).1;
        let orbit = Remote::new(self.clock.clone(), ahead);
        Noted {
            skew_ms: orbit.skew_ms().unwrap_or(0),
            at: self.clock.wall(),
        }
    }
}

impl Noted {
    fn differs_from(&self, now: &Self) -> bool {
        self.skew_ms.abs_diff(now.skew_ms) > LEAST_CHANGE_MS
    }
}

fn say(said: &mut Option<i64>, skew_ms: i64) {
    match (in_words(skew_ms), *said) {
        (Some(words), before)
            if before.is_none_or(|before| before.abs_diff(skew_ms) > SKEWED_MS.unsigned_abs()) =>
        {
            tracing::warn!(
                skew_ms,
                "{words}: signatures are judged by Orbit's clock, so events are accepted all the \
                 same; set the clock that is wrong (NTP)"
            );
            *said = Some(skew_ms);
        }
        (None, Some(_)) => {
            tracing::info!(skew_ms, "Orbit's clock and ours agree again");
            *said = None;
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skew_is_said_with_size_and_direction_and_only_beyond_30_seconds() {
        for (ms, words) in [
            (0, None),
            (30_000, None),
            (-30_000, None),
            (30_001, Some("Orbit's clock is 30 s ahead of ours")),
            (-90_000, Some("Orbit's clock is 90 s behind ours")),
            (600_000, Some("Orbit's clock is 10 min ahead of ours")),
            (-7_200_000, Some("Orbit's clock is 2 h behind ours")),
            (
                i64::MIN,
                Some("Orbit's clock is 106751991167 days behind ours"),
            ),
        ] {
            assert_eq!(in_words(ms).as_deref(), words, "{ms}");
        }
    }
}
