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
    async fn a_sleeper_wakes_when_the_hand_reaches_its_time() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let due = later(clock.steady(), Duration::from_secs(10));
        let waiting = tokio::spawn(async move { clock.sleep_until(due).await });
        hand.advance(Duration::from_secs(10));
        waiting.await.unwrap();
    }
}
