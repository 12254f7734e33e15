//! The memory that request bodies in flight may take, so that senders who have not shown who
//! they are cannot fill it.
//!
//! 32 MiB in all: half is shared out in small parts, one to each connection, so that large bodies
//! never keep an ordinary event (a few KiB) out; the other half is for what goes beyond that.
//!
//! # Invariants
//! - What was held is given back when its holder is dropped, however the request ends.
//! - A body whose length is announced gets all that it needs or nothing, so that of many large
//!   ones some come through; one without a length gets it as it arrives.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::serve::CONNECTIONS;
use crate::metrics::Metrics;

const SHARED: usize = 16 * 1024 * 1024;
const EACH: usize = 16 * 1024 * 1024 / CONNECTIONS;

/// What is left of the shared half.
#[derive(Debug)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(SHARED)))
    }
}

/// What one body holds of it.
pub(super) struct Held {
    left: Arc<AtomicUsize>,
    reserved: usize,
    arrived: usize,
    metrics: Metrics,
}

/// The budget is spent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Budget {
    pub(super) fn hold(&self, metrics: Metrics) -> Held {
        Held {
            left: Arc::clone(&self.0),
            reserved: 0,
            arrived: 0,
            metrics,
        }
    }
}

impl Held {
    /// Makes sure of room for `bytes` in all, or takes nothing.
    pub(super) fn reserve(&mut self, bytes: usize) -> Result<(), Refused> {
        let wanted = shared_part(bytes).saturating_sub(shared_part(self.reserved));
        if wanted > 0 {
            let taken = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(wanted)
                });
            taken.map_err(|_| Refused)?;
        }
        self.reserved = self.reserved.max(bytes);
        Ok(())
    }

    /// Counts bytes that arrived.
    pub(super) fn note(&mut self, bytes: usize) {
        self.arrived += bytes;
        self.metrics.add_body_bytes(signed(bytes));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.left
            .fetch_add(shared_part(self.reserved), Ordering::Relaxed);
        self.metrics.add_body_bytes(-signed(self.arrived));
    }
}

fn shared_part(bytes: usize) -> usize {
    bytes.saturating_sub(EACH)
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(budget: &Budget) -> Held {
        budget.hold(Metrics::new().unwrap())
    }

    #[test]
    fn large_bodies_share_16_mib_and_give_them_back() {
        let budget = Budget::default();
        let (mut first, mut second) = (hold(&budget), hold(&budget));
        first.reserve(SHARED).unwrap();
        assert_eq!(second.reserve(2 * EACH + 1), Err(Refused));
        drop(first);
        second.reserve(SHARED).unwrap();
    }

    #[test]
    fn a_small_body_passes_while_the_shared_half_is_spent() {
        let budget = Budget::default();
        let mut large = hold(&budget);
        large.reserve(SHARED + EACH).unwrap();
        let mut small = hold(&budget);
        small.reserve(EACH).unwrap();
        assert_eq!(small.reserve(EACH + 1), Err(Refused));
    }

    #[test]
    fn what_is_reserved_is_not_reserved_again_as_it_arrives() {
        let budget = Budget::default();
        let mut body = hold(&budget);
        body.reserve(SHARED + EACH).unwrap();
        for part in 1..=8 {
            body.reserve(part * SHARED / 8).unwrap();
            body.note(SHARED / 8);
        }
        drop(body);
        assert_eq!(budget.0.load(Ordering::Relaxed), SHARED);
    }
}
