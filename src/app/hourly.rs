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
use crate::relay::journal::{Availability, DestinationSums, Journal, Paused, Sums};

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
    say_destinations(&journal.sums().borrow(), &destinations, &data_dir);
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

/// What a person should know of the destinations at start: what is kept, what was taken out of
/// the configuration, what is paused.
fn say_destinations(sums: &Sums, configured: &[String], data_dir: &Path) {
    let data_dir = data_dir.display();
    let removed = sums.destinations.iter().filter(|d| d.removed);
    for destination in removed.clone() {
        let (name, waiting) = (&destination.name, destination.waiting());
        if waiting > 0 {
            tracing::warn!(
                "the destination `{name}` is no longer configured; {waiting} deliveries wait until \
                 it is brought back, or: orbit-relay deliveries discard --destination {name}"
            );
        }
    }
    let names: Vec<_> = removed.map(|d| format!("id = {:?}", d.id)).collect();
    let renamed = if names.is_empty() {
        String::new()
    } else {
        let names = names.join(" or ");
        format!("; if it only has a new name, give it {names} instead, or they come twice")
    };
    for DestinationSums {
        id, kept, paused, ..
    } in &sums.destinations
    {
        if !configured.contains(id) {
            continue;
        }
        if *kept > 0 {
            tracing::info!(
                "{kept} events came before the destination `{id}` was configured and are kept; \
                 to send them too: orbit-relay deliveries replay --kept --destination {id} \
                 --data-dir {data_dir}{renamed}"
            );
        }
        if let Some(Paused { at, by, why, .. }) = paused {
            tracing::warn!(
                "the destination `{id}` is paused since {at:.0} by {by}: {why}; events wait until: \
                 orbit-relay destinations resume {id}"
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
        "{}; the last event of Orbit came at {last_event}",
        sums.lines().join("; ")
    );
}
