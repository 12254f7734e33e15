//! The signatures of accepted events, while they are young enough to be shown again.
//!
//! The journal knows each event by what it says; this knows a message by its signature. So one that
//! is sent again is a duplicate even where it has no id and its white space was changed.
//!
//! # Invariants
//! - No more than [`KEPT`] are remembered; of more, and after a restart, the journal's own keys
//!   tell what was there before.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::until;
use crate::relay::verify::orbit::Proof;

/// Ten minutes of 27 events a second, in about a MiB.
const KEPT: usize = 16_384;

/// What was accepted lately.
#[derive(Debug, Default)]
pub(super) struct Replays(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    proofs: HashSet<Proof>,
    /// In order of arrival.
    since: VecDeque<(Timestamp, Proof)>,
}

impl Replays {
    /// Whether a message with this signature was accepted.
    pub(super) fn knows(&self, proof: Proof) -> bool {
        self.lock().proofs.contains(&proof)
    }

    /// One was accepted `now`. What is older than `window` is forgotten: its time has passed.
    pub(super) fn remember(&self, proof: Proof, now: Timestamp, window: Duration) {
        let mut seen = self.lock();
        while let Some((at, oldest)) = seen.since.front().copied()
            && (seen.since.len() >= KEPT || until(at, now) > window)
        {
            seen.since.pop_front();
            seen.proofs.remove(&oldest);
        }
        if seen.proofs.insert(proof) {
            seen.since.push_back((now, proof));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_mins(10);

    fn proof(n: usize) -> Proof {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        Proof(bytes)
    }

    #[test]
    fn what_was_accepted_is_known_for_the_window_and_memory_is_bounded() {
        let replays = Replays::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        replays.remember(proof(1), at(0), WINDOW);
        assert!(replays.knows(proof(1)) && !replays.knows(proof(2)));
        replays.remember(proof(2), at(600), WINDOW);
        assert!(replays.knows(proof(1)));
        replays.remember(proof(3), at(601), WINDOW);
        assert!(!replays.knows(proof(1)) && replays.knows(proof(2)));
        for n in 10..KEPT + 20 {
            replays.remember(proof(n), at(602), WINDOW);
        }
        assert_eq!(replays.lock().proofs.len(), KEPT);
        assert!(!replays.knows(proof(10)) && replays.knows(proof(KEPT + 19)));
    }
}
