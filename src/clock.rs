//! Where time comes from: the wall clock for what people read, the steady clock for what waits.
//!
//! The steady clock is the wall clock as it was at start plus the time that has run since. It
//! never jumps while the process lives, so a wall clock that is set by hand or by NTP neither
//! stalls nor fires what is due.
//!
//! # Invariants
//! - No other module reads the system's clocks (`clippy.toml` refuses it).
//! - `steady` never goes back within one process.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;

/// A source of time: the system's, or one that a test moves by hand.
#[derive(Clone, Debug)]
pub struct Clock(Inner);

#[derive(Clone, Debug)]
enum Inner {
    System {
        wall_at_start: Timestamp,
        start: Instant,
    },
    Manual {
        wall: Arc<Mutex<Timestamp>>,
        steady: watch::Receiver<Timestamp>,
    },
}

/// The clock of another machine, learnt from what it said; taken to be ours until then.
#[derive(Clone, Debug)]
pub struct Remote {
    ours: Clock,
    /// By how many milliseconds it is ahead of our steady clock.
    ahead_ms: watch::Receiver<Option<i64>>,
}

impl Remote {
    /// A clock that is ahead of our steady clock by what the channel says.
    pub fn new(ours: Clock, ahead_ms: watch::Receiver<Option<i64>>) -> Self {
        Self { ours, ahead_ms }
    }

    /// What it shows.
    pub fn now(&self) -> Timestamp {
        let ahead_ms = *self.ahead_ms.borrow();
        ahead_ms.map_or_else(
            || self.ours.wall(),
            |ahead_ms| shifted(self.ours.steady(), ahead_ms),
        )
    }

    /// By how many milliseconds it is ahead of our wall clock, once that is known.
    pub fn skew_ms(&self) -> Option<i64> {
        (*self.ahead_ms.borrow())?;
        let now = self.now().as_millisecond();
        Some(now - self.ours.wall().as_millisecond())
    }
}

/// The hand that moves a manual clock.
#[derive(Debug)]
pub struct Hand {
    wall: Arc<Mutex<Timestamp>>,
    steady: watch::Sender<Timestamp>,
}

impl Clock {
    /// The system's clocks.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self(Inner::System {
            wall_at_start: Timestamp::now(),
            start: Instant::now(),
        })
    }

    /// A clock that stands still until its hand moves it.
    pub fn manual(start: Timestamp) -> (Self, Hand) {
        let wall = Arc::new(Mutex::new(start));
        let (sender, steady) = watch::channel(start);
        (
            Self(Inner::Manual {
                wall: Arc::clone(&wall),
                steady,
            }),
            Hand {
                wall,
                steady: sender,
            },
        )
    }

    /// The time that people read. It may jump.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            Inner::System { .. } => Timestamp::now(),
            Inner::Manual { wall, .. } => *wall.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// The time by which things are due. It never jumps while the process lives.
    pub fn steady(&self) -> Timestamp {
        match &self.0 {
            Inner::System {
                wall_at_start,
                start,
            } => later(*wall_at_start, start.elapsed()),
            Inner::Manual { steady, .. } => *steady.borrow(),
        }
    }

    /// Waits for `duration` of steady time.
    pub async fn sleep(&self, duration: Duration) {
        self.sleep_until(later(self.steady(), duration)).await;
    }

    /// Waits until the steady clock shows `due`.
    pub async fn sleep_until(&self, due: Timestamp) {
        match &self.0 {
            Inner::System { .. } => tokio::time::sleep(until(self.steady(), due)).await,
            Inner::Manual { steady, .. } => {
                let mut steady = steady.clone();
                if steady.wait_for(|now| *now >= due).await.is_err() {
                    // The hand is gone, so this time never comes.
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

impl Hand {
    /// Lets time pass on both clocks.
    pub fn advance(&self, by: Duration) {
        {
            let mut wall = self.wall.lock().unwrap_or_else(PoisonError::into_inner);
            *wall = later(*wall, by);
        }
        self.steady
            .send_modify(|steady| *steady = later(*steady, by));
    }

    /// Sets the wall clock, as a person or NTP would; steady time does not move.
    pub fn set_wall(&self, to: Timestamp) {
        *self.wall.lock().unwrap_or_else(PoisonError::into_inner) = to;
    }
}

/// `from` plus `by`, held at the end of representable time.
pub fn later(from: Timestamp, by: Duration) -> Timestamp {
    jiff::SignedDuration::try_from(by)
        .ok()
        .and_then(|by| from.checked_add(by).ok())
        .unwrap_or(Timestamp::MAX)
}

/// `from` plus so many milliseconds, which may be negative, held within representable time.
pub fn shifted(from: Timestamp, by_ms: i64) -> Timestamp {
    let shifted = from.checked_add(jiff::SignedDuration::from_millis(by_ms));
    shifted.unwrap_or(if by_ms < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

/// How long it is from `now` to `due`: zero when that has passed.
pub fn until(now: Timestamp, due: Timestamp) -> Duration {
    due.duration_since(now).try_into().unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn steady_time_ignores_a_wall_clock_that_jumps() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        hand.set_wall(later(Timestamp::UNIX_EPOCH, Duration::from_hours(24)));
        assert_eq!(clock.steady(), Timestamp::UNIX_EPOCH);
        assert_eq!(
            until(clock.steady(), clock.wall()),
            Duration::from_hours(24)
        );
        hand.advance(Duration::from_secs(5));
        assert_eq!(
            until(Timestamp::UNIX_EPOCH, clock.steady()),
            Duration::from_secs(5)
        );
    }

    #[tokio::test]
    async fn the_clock_of_another_machine_goes_on_whatever_becomes_of_our_wall_clock() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let (ahead, ahead_ms) = watch::channel(None);
        let remote = Remote::new(clock.clone(), ahead_ms);
        assert_eq!((remote.now(), remote.skew_ms()), (clock.wall(), None));
        ahead.send_replace(Some(-90_000));
        hand.advance(Duration::from_secs(100));
        hand.set_wall(later(Timestamp::UNIX_EPOCH, Duration::from_hours(1)));
        assert_eq!(remote.now().as_second(), 10);
        assert_eq!(remote.skew_ms(), Some(-3_590_000));
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_hand_reaches_its_time() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let due = later(clock.steady(), Duration::from_secs(10));
        let waiting = tokio::spawn(async move { clock.sleep_until(due).await });
        hand.advance(Duration::from_secs(10));
        waiting.await.unwrap();
    }
}
