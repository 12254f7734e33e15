//! The signatures of accepted events, while they are young enough to be shown again.
//!
//! Where a signature does not cover the body, it is remembered before anything is made of it, so
//! that of two bodies under one signature only the first counts, whatever becomes of that.
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
    /// Whether it is new.
    pub(super) fn remember(&self, proof: Proof, now: Timestamp, window: Duration) -> bool {
        let mut seen = self.lock();
        while let Some((at, oldest)) = seen.since.front().copied()
            && (seen.since.len() >= KEPT || until(at, now) > window)
        {
            seen.since.pop_front();
            seen.proofs.remove(&oldest);
        }
        let new = seen.proofs.insert(proof);
        if new {
            seen.since.push_back((now, proof));
        }
        new
    }

    /// Remembers one before it is accepted, unless it is known. It is forgotten when what is given
    /// is dropped and was not kept.
    pub(super) fn reserve(
        &self,
        proof: Proof,
        now: Timestamp,
        window: Duration,
    ) -> Option<Reserved<'_>> {
        // What is given forgets it when it goes, so it is made only of one that is new.
        self.remember(proof, now, window).then(|| Reserved {
            replays: self,
            proof: Some(proof),
        })
    }

    fn forget(&self, proof: Proof) {
        let mut seen = self.lock();
        seen.proofs.remove(&proof);
        seen.since.retain(|(_, known)| *known != proof);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that is remembered, and of which it is not yet known whether it is taken.
pub(super) struct Reserved<'a> {
    replays: &'a Replays,
    proof: Option<Proof>,
}

impl Reserved<'_> {
    /// It stays remembered.
    pub(super) fn keep(mut self) {
        self.proof = None;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(proof) = self.proof {
            self.replays.forget(proof);
        }
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
    fn one_that_is_reserved_is_known_at_once_and_forgotten_unless_it_is_kept() {
        let replays = Replays::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        let reserved = replays.reserve(proof(1), at(0), WINDOW).unwrap();
        assert!(replays.knows(proof(1)));
        assert!(replays.reserve(proof(1), at(0), WINDOW).is_none());
        assert!(replays.knows(proof(1)), "the second does not forget it");
        drop(reserved);
        assert!(!replays.knows(proof(1)));
        replays.reserve(proof(1), at(500), WINDOW).unwrap().keep();
        replays.remember(proof(2), at(700), WINDOW);
        assert!(replays.knows(proof(1)), "it counts from when it was kept");
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
