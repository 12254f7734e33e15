//! The connections that wait for a request, in the order in which they began to: when all places
//! are taken, the one that has waited longest makes room, so that strangers who only hold
//! connections open keep nobody out.
//!
//! # Invariants
//! - A connection with a request under way is never ended for another, nor is one that has only
//!   just come: its request may be on its way.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// All connections of one listener that wait.
#[derive(Clone, Debug, Default)]
pub(super) struct Idle(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    connections: BTreeMap<u64, (Instant, CancellationToken)>,
}

/// One connection: it waits, but for as long as a [`Busy`] of it lives.
#[derive(Clone, Debug)]
pub(super) struct Place {
    idle: Idle,
    turn: Arc<Mutex<u64>>,
    /// Cancelled when the connection is to make room.
    pub(super) make_room: CancellationToken,
}

/// A request is under way.
pub(super) struct Busy(Place);

impl Idle {
    /// A new connection, which waits for its first request.
    pub(super) fn place(&self) -> Place {
        let place = Place {
            idle: self.clone(),
            turn: Arc::default(),
            make_room: CancellationToken::new(),
        };
        place.wait();
        place
    }

    /// Ends the connection that has waited longest, if it has waited for `patience`.
    pub(super) fn make_room(&self, patience: Duration) {
        if let Some(longest) = self.waiting().connections.first_entry()
            && longest.get().0.elapsed() >= patience
        {
            longest.remove().1.cancel();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// A request has come.
    pub(super) fn busy(&self) -> Busy {
        self.leave();
        Busy(self.clone())
    }

    /// The connection has ended.
    pub(super) fn leave(&self) {
        let turn = *self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.idle.waiting().connections.remove(&turn);
    }

    fn wait(&self) {
        let mut waiting = self.idle.waiting();
        let turn = waiting.next;
        waiting.next += 1;
        waiting
            .connections
            .insert(turn, (Instant::now(), self.make_room.clone()));
        *self.turn.lock().unwrap_or_else(PoisonError::into_inner) = turn;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_that_waited_longest_makes_room_and_a_busy_one_never_does() {
        let idle = Idle::default();
        let (first, second, third) = (idle.place(), idle.place(), idle.place());
        let request = first.busy();
        idle.make_room(Duration::from_mins(1));
        assert!(!second.make_room.is_cancelled(), "it has only just come");
        idle.make_room(Duration::ZERO);
        assert!(!first.make_room.is_cancelled() && second.make_room.is_cancelled());
        drop(request);
        idle.make_room(Duration::ZERO);
        assert!(third.make_room.is_cancelled() && !first.make_room.is_cancelled());
        first.leave();
        idle.make_room(Duration::ZERO);
        assert!(!first.make_room.is_cancelled());
    }
}
