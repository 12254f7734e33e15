//! Does the bulk acts that people asked for, step by step, beside all else.
//!
//! # Invariants
//! - One step at a time, with a pause after each, so that events and tries come in between.
//! - What an earlier process left undone is gone on with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::relay::journal::{Journal, Worked};

/// Between two steps.
const PAUSE: Duration = Duration::from_millis(10);
/// While there is enough to send, or the journal is not available.
const WAIT: Duration = Duration::from_secs(1);
/// While there is nothing to do; whoever begins something says so at once.
const IDLE: Duration = Duration::from_mins(1);

pub(super) async fn run(
    journal: Journal,
    clock: Clock,
    begun: Arc<Notify>,
    stop: CancellationToken,
) {
    loop {
        let wait = match journal.work(clock.wall(), true).await {
            Ok(Worked::Step) => PAUSE,
            Ok(Worked::Nothing) => IDLE,
            Ok(Worked::Waits(destination)) => {
                tracing::debug!(destination, "jobs: enough replayed deliveries wait already");
                WAIT
            }
            Err(_) => WAIT,
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = begun.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
