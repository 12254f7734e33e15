//! The ends of tries on their way into the journal, and into the log when they are there.
//!
//! One call is under way at a time; what ends meanwhile goes with the next, in one commit.
//!
//! # Invariants
//! - An end that cannot be recorded is tried again until it is, or until its lease went to another.
//! - An end waits for no more than the call before it and [`GATHER`].

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::task::JoinSet;

use super::attempt::Done;
use super::{JOURNAL_PAUSE, Shared, unwrap};
use crate::clock::until;
use crate::relay::journal::{Claim, Disposition, Ended, Lease};

/// From one call to the next, so that a commit is worth its fsync where a destination is fast. A
/// kill within it makes the relay send again, with the same key, what was sent in it.
const GATHER: Duration = Duration::from_millis(5);

/// The ends of one destination's tries.
pub(super) struct Recorder {
    shared: Arc<Shared>,
    waiting: Vec<(Done, Ended)>,
    /// At most one; dropping it ends it.
    call: JoinSet<()>,
    /// How many ends are in that call.
    called: usize,
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            waiting: Vec::new(),
            call: JoinSet::new(),
            called: 0,
        }
    }

    /// How many ends are not recorded yet.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.called
    }

    pub(super) fn add(&mut self, done: Done, ended: Ended) {
        self.waiting.push((done, ended));
        self.go_on();
    }

    /// The end of the call under way; never, if there is none.
    pub(super) async fn recorded(&mut self) {
        match self.call.join_next().await {
            Some(recorded) => unwrap(recorded),
            None => std::future::pending().await,
        }
        self.called = 0;
        self.go_on();
    }

    /// Waits until all is recorded.
    pub(super) async fn finish(&mut self) {
        while !self.call.is_empty() {
            self.recorded().await;
        }
    }

    fn go_on(&mut self) {
        if self.call.is_empty() && !self.waiting.is_empty() {
            let ends = std::mem::take(&mut self.waiting);
            self.called = ends.len();
            self.call.spawn(record(Arc::clone(&self.shared), ends));
        }
    }
}

async fn record(shared: Arc<Shared>, ends: Vec<(Done, Ended)>) {
    let leased = ends
        .iter()
        .map(|(done, ended)| (done.ready.claim.lease, ended.clone()));
    let leased: Vec<(Lease, Ended)> = leased.collect();
    let mut waits = None;
    let lost = loop {
        if let Ok(lost) = shared.journal.record(leased.clone()).await {
            break lost;
        }
        waits.get_or_insert_with(|| Unrecorded::new(&shared));
        tokio::time::sleep(JOURNAL_PAUSE).await;
    };
    drop(waits);
    for (done, ended) in &ends {
        let lease = done.ready.claim.lease;
        if lost.contains(&lease) {
            tracing::warn!(seq = lease.seq, "deliver: a try's end came too late");
        } else {
            say(&shared, done, &ended.disposition);
        }
    }
    // Where deliveries wait for one another, each end lets another go.
    if !shared.config.in_order() {
        tokio::time::sleep(GATHER).await;
    }
}

/// Gives back what was claimed and not tried.
pub(super) async fn give_back(shared: Arc<Shared>, leases: Vec<Lease>) {
    while let Err(error) = shared.journal.release(leases.clone()).await {
        tracing::debug!(%error, "deliver: not given back yet");
        tokio::time::sleep(JOURNAL_PAUSE).await;
    }
}

/// One line for one try; the further failures of an event are the circuit's affair.
fn say(shared: &Shared, done: &Done, disposition: &Disposition) {
    let Claim {
        lease,
        event_type,
        identity,
        attempt,
        failures,
        received_at,
        ..
    } = &done.ready.claim;
    let destination = shared.destination.name();
    let took_ms = u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX);
    let seq = lease.seq;
    let (action, asset) = (done.ready.action.as_deref(), done.ready.asset.as_deref());
    let word = match disposition {
        Disposition::Delivered => {
            let since_receipt = until(*received_at, shared.clock.wall());
            shared.metrics.observe_delivery(destination, since_receipt);
            tracing::info!(
                seq,
                event = identity,
                event_type,
                action,
                asset,
                destination,
                attempt,
                took_ms,
                "delivered"
            );
            "delivered"
        }
        Disposition::Dead { reason } => {
            tracing::error!(
                seq, event = identity, event_type, action, asset, destination, attempt,
                took_ms, %reason, "dead: given up; it is kept"
            );
            "dead"
        }
        Disposition::Parked { reason } => {
            tracing::warn!(
                seq, event = identity, event_type, action, asset, destination, attempt,
                took_ms, %reason, "parked: it waits until the destination is resumed"
            );
            "parked"
        }
        // No fault of the destination: no try is counted.
        Disposition::Waiting { reason, .. } => {
            tracing::debug!(seq, event = identity, destination, %reason, "waits for Orbit");
            return;
        }
        Disposition::Postponed { reason, .. } if *failures == 0 => {
            tracing::warn!(
                seq, event = identity, event_type, action, asset, destination, attempt,
                took_ms, %reason, "postponed"
            );
            "postponed"
        }
        Disposition::Postponed { reason, .. } => {
            tracing::debug!(
                seq, event = identity, destination, attempt, took_ms, %reason, "postponed"
            );
            "postponed"
        }
    };
    shared.metrics.count_attempt(destination, word, done.took);
}

/// Says that ends wait for the journal, for as long as it lives.
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
