//! How much memory all pictures together may take, whatever the number of destinations.
//!
//! A request holds its pictures until it is answered. Who makes one reserves for all of them at
//! once, before the first is fetched, and holds the reservation as long as the body lives. Who
//! holds one must not ask for a second: two that did would wait for each other.
//!
//! # Invariants
//! - No more than the budget is reserved at any time, and it is given in the order it was asked
//!   for, so that a large body does not wait behind small ones without end.
//! - What is larger than the whole budget takes the whole budget, alone.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The whole budget.
pub const BUDGET_BYTES: u64 = 48 << 20;

/// It is counted in KiB.
const UNIT: u64 = 1 << 10;

/// The memory that pictures share. All clones share the same.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    all: u32,
}

/// A part of the budget, until it is dropped.
#[derive(Debug)]
pub struct Reservation(Option<OwnedSemaphorePermit>);

impl Default for Budget {
    fn default() -> Self {
        Self::of(BUDGET_BYTES)
    }
}

impl Budget {
    /// A budget of so many bytes.
    pub fn of(bytes: u64) -> Self {
        let all = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        let units = usize::try_from(all).unwrap_or(usize::MAX);
        let units = Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)));
        Self { units, all }
    }

    /// Waits until so many bytes are free, and takes them.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = units.min(self.all);
        // Nobody closes it.
        Reservation(Arc::clone(&self.units).acquire_many_owned(units).await.ok())
    }

    /// How many bytes are taken now.
    pub fn reserved(&self) -> u64 {
        let free = u64::try_from(self.units.available_permits()).unwrap_or(u64::MAX);
        u64::from(self.all).saturating_sub(free) * UNIT
    }
}

impl Reservation {
    /// How many bytes it is.
    pub fn bytes(&self) -> u64 {
        let units = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u64::try_from(units)
            .unwrap_or(u64::MAX)
            .saturating_mul(UNIT)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    #[test]
    fn who_does_not_fit_waits_and_later_ones_wait_behind() {
        let budget = Budget::of(100 << 10);
        let mut context = Context::from_waker(Waker::noop());
        let mut now =
            |reserving: std::pin::Pin<&mut dyn Future<Output = Reservation>>| match reserving
                .poll(&mut context)
            {
                Poll::Ready(reservation) => Some(reservation),
                Poll::Pending => None,
            };
        let first = now(pin!(budget.reserve(60 << 10))).unwrap();
        let (mut large, mut small) = (pin!(budget.reserve(41 << 10)), pin!(budget.reserve(1)));
        assert!(now(large.as_mut()).is_none());
        assert!(now(small.as_mut()).is_none());
        drop(first);
        let large = now(large.as_mut()).unwrap();
        assert_eq!((large.bytes(), budget.reserved()), (41 << 10, 42 << 10));
        let small = now(small.as_mut()).unwrap();
        assert_eq!(small.bytes(), 1 << 10);
        drop((large, small));
        assert_eq!(budget.reserved(), 0);
    }

    #[tokio::test]
    async fn what_is_larger_than_the_budget_takes_the_whole_of_it_and_does_not_wait_for_ever() {
        let budget = Budget::default();
        for bytes in [BUDGET_BYTES, BUDGET_BYTES + 1, u64::MAX] {
            let whole = budget.reserve(bytes).await;
            assert_eq!(whole.bytes(), BUDGET_BYTES);
        }
        assert_eq!(budget.reserve(0).await.bytes(), 0);
    }
}
