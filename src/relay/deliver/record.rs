//! The end of a try on its way into the journal.
//!
//! # Invariants
//! - An end that cannot be recorded is tried again until it is, or until its lease went to another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{JOURNAL_PAUSE, Shared};
use crate::relay::journal::{Ended, Lease, WriteError};

pub(super) async fn record(shared: Arc<Shared>, lease: Lease, ended: Ended) {
    let mut waits = None;
    loop {
        match shared.journal.record(lease, ended.clone()).await {
            Ok(()) => return,
            Err(error @ (WriteError::LeaseLost(_) | WriteError::NoDestination(_))) => {
                tracing::warn!(%error, seq = lease.seq, "deliver: a try's end came too late");
                return;
            }
            Err(WriteError::Unavailable(_) | WriteError::Full(_) | WriteError::Behind) => {
                waits.get_or_insert_with(|| Unrecorded::new(&shared));
                tokio::time::sleep(JOURNAL_PAUSE).await;
            }
        }
    }
}

/// Counts a try whose end waits for the journal, for as long as it lives.
struct Unrecorded<'a>(&'a Shared);

impl<'a> Unrecorded<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.unrecorded.fetch_add(1, Ordering::AcqRel);
        Self(shared)
    }
}

impl Drop for Unrecorded<'_> {
    fn drop(&mut self) {
        self.0.unrecorded.fetch_sub(1, Ordering::AcqRel);
    }
}
