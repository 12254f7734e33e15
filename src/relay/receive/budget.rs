//! The memory that request bodies in flight may take, so that senders who have not shown who
//! they are cannot fill it.
//!
//! 32 MiB in all: half is shared out in small parts, one to each connection, so that large bodies
//! never keep an ordinary event (a few KiB) out; the other half is for what goes beyond that.
//!
//! # Invariants
//! - What was held is given back when its holder is dropped, however the request ends.
//! - Bytes are counted as they arrive, not as they are announced.

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

/// The bytes of one body.
pub(super) struct Held {
    left: Arc<AtomicUsize>,
    bytes: usize,
    metrics: Metrics,
}

/// The budget is spent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused;

impl Budget {
    pub(super) fn hold(&self, metrics: Metrics) -> Held {
        Held {
            left: Arc::clone(&self.0),
            bytes: 0,
            metrics,
        }
    }
}

impl Held {
    /// Takes `more` bytes, or nothing.
    pub(super) fn grow(&mut self, more: usize) -> Result<(), Refused> {
        let wanted = shared_part(self.bytes + more) - shared_part(self.bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(wanted)
            });
        taken.map_err(|_| Refused)?;
        self.bytes += more;
        self.metrics.add_body_bytes(signed(more));
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.left
            .fetch_add(shared_part(self.bytes), Ordering::Relaxed);
        self.metrics.add_body_bytes(-signed(self.bytes));
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
        let mut first = hold(&budget);
        let mut second = hold(&budget);
        first.grow(SHARED).unwrap();
        assert_eq!(second.grow(2 * EACH + 1), Err(Refused));
        drop(first);
        second.grow(SHARED).unwrap();
    }

    #[test]
    fn a_small_body_passes_while_the_shared_half_is_spent() {
        let budget = Budget::default();
        let mut large = hold(&budget);
        large.grow(SHARED + EACH).unwrap();
        let mut small = hold(&budget);
        small.grow(EACH).unwrap();
        assert_eq!(small.grow(1), Err(Refused));
    }
}
