//! What all destinations are through with goes after its time: at start, and then every hour.
//!
//! # Invariants
//! - Small commits with a pause between them: nobody who waits for the journal notices.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::relay::journal::{Availability, Journal, Level, WriteError};

const EVERY: Duration = Duration::from_hours(1);
/// Where there is no room for new events, or the journal could not be asked.
const SOON: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Lets go of what is old, until `stop`.
pub(super) async fn run(journal: Journal, clock: Clock, stop: CancellationToken) {
    let mut availability = journal.availability();
    let rounds = async {
        loop {
            // The writer lives as long as this handle of its journal, so there is no error to see.
            drop(
                availability
                    .wait_for(|now| *now == Availability::Open)
                    .await,
            );
            let went_well = round(&journal, &clock).await.is_ok();
            tokio::select! {
                () = clock.sleep(if went_well { EVERY } else { SOON }) => {}
                () = short_of_room(&journal, &clock) => {}
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = rounds => {}
    }
}

async fn short_of_room(journal: &Journal, clock: &Clock) {
    clock.sleep(SOON).await;
    let mut room = journal.room();
    drop(room.wait_for(|room| room.level == Level::Full).await);
}

/// Once over all that is old.
async fn round(journal: &Journal, clock: &Clock) -> Result<(), WriteError> {
    let mut gone = 0;
    let mut next = Some(0);
    let ended = loop {
        let Some(after) = next else { break Ok(()) };
        match journal.let_go(after, clock.wall()).await {
            Ok(step) => {
                gone += step.gone;
                next = step.next;
            }
            Err(error) => break Err(error),
        }
        tokio::time::sleep(PAUSE).await;
    };
    if gone > 0 {
        tracing::info!(
            "journal: {gone} events that all destinations were through with are gone by age"
        );
    }
    if let Err(error) = &ended {
        tracing::debug!(%error, "journal: what is old stays for now");
    }
    ended
}
