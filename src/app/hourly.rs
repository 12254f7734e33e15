//! What is kept is said at start, the sums once an hour; every few seconds the refused requests go
//! to the journal.
//!
//! # Invariants
//! - Refused requests cost no row: they are counted in memory and added up in one write.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, later};
use crate::metrics::Metrics;
use crate::relay::journal::{Availability, DestinationSums, Journal, Sums};

const FLUSH: Duration = Duration::from_secs(5);
const SAY: Duration = Duration::from_hours(1);

pub(super) async fn run(
    journal: Journal,
    metrics: Metrics,
    destinations: Vec<String>,
    data_dir: PathBuf,
    clock: Clock,
    stop: CancellationToken,
) {
    let mut availability = journal.availability();
    tokio::select! {
        () = stop.cancelled() => {}
        open = availability.wait_for(|now| *now == Availability::Open) => drop(open),
    }
    say_kept(&journal.sums().borrow(), &destinations, &data_dir);
    let mut say_at = later(clock.steady(), SAY);
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = clock.sleep(FLUSH) => false,
        };
        flush(&journal, &metrics).await;
        if stopping {
            return;
        }
        if clock.steady() >= say_at {
            say_at = later(clock.steady(), SAY);
            say(&journal.sums().borrow());
        }
    }
}

/// Adds the refused requests to the journal's counts.
pub(super) async fn flush(journal: &Journal, metrics: &Metrics) {
    let rejected = metrics.take_rejected();
    if !rejected.is_empty() && journal.count_rejected(rejected.clone()).await.is_err() {
        metrics.give_back_rejected(rejected);
    }
}

/// How many events came before their destination was configured, and how to send them.
fn say_kept(sums: &Sums, configured: &[String], data_dir: &Path) {
    let data_dir = data_dir.display();
    for DestinationSums { id, kept, .. } in &sums.destinations {
        if *kept > 0 && configured.contains(id) {
            tracing::info!(
                "{kept} events came before the destination `{id}` was configured and are kept; \
                 to send them too: orbit-relay deliveries replay --kept --destination {id} \
                 --data-dir {data_dir}"
            );
        }
    }
}

/// The sums as `status` shows them, in one line.
fn say(sums: &Sums) {
    let last_event = sums
        .last_event_at
        .map_or("never".to_owned(), |at| at.to_string());
    tracing::info!(
        "{}; the last event came at {last_event}",
        sums.lines().join("; ")
    );
}
