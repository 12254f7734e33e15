//! One act on our webhook by a command, where no relay runs on the data directory.
//!
//! # Invariants
//! - To look makes no secret and changes no file of it.
//! - It is done by the code that the relay does it with, under the journal's lock, so that there
//!   is one writer.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::control::NO_ORBIT;
use super::secret::{self, Wanted};
use crate::clock::{Clock, Remote};
use crate::config::Config;
use crate::orbit;
use crate::reconcile::webhook::{Nudge, Reconcile, Status, Told, Wish};
use crate::relay::journal::Journal;

/// Does it; the journal is open.
pub async fn act(config: Config, journal: Journal, wish: Wish, who: &str) -> anyhow::Result<Told> {
    if let Some(why) = config.not_configured {
        anyhow::bail!(why);
    }
    let Some(orbit) = config.orbit else {
        anyhow::bail!(NO_ORBIT);
    };
    let looks = matches!(wish, Wish::Status | Wish::List);
    if !looks && config.listen.port() == 0 {
        anyhow::bail!("--webhook-port is 0: only a running relay knows its port; start it first");
    }
    let clock = Clock::system();
    let stop = CancellationToken::new();
    let (publish, keys) = watch::channel(Err("the secret is not read yet".to_owned()));
    let (changes_tx, changes) = mpsc::channel(1);
    // No event comes to this process, so nothing ends here.
    let orbit_clock = Remote::new(clock.clone(), watch::channel(None).1);
    let wanted = Wanted {
        given: config.secret,
        not_configured: None,
        sources_alone: false,
        data_dir: config.data_dir,
        max_age: config.max_age,
        orbit_clock: orbit_clock.clone(),
    };
    let reconcile = Reconcile {
        status: watch::Sender::new(Status::at_start(&config.webhook, true)),
        config: config.webhook,
        client: Arc::new(orbit::Client::build(orbit)?),
        journal,
        keys: keys.clone(),
        changes: changes_tx,
        nudge: Nudge::default(),
        clock: clock.clone(),
        orbit_clock,
        looked_at: watch::Sender::new(None),
    };
    let availability = reconcile.journal.availability();
    if looks {
        drop(publish.send_replace(secret::peek(&wanted)));
        let told = reconcile.once(wish, who).await;
        return told.map_err(anyhow::Error::msg);
    }
    let mut read = keys;
    let ask = async {
        // Until the secret is read, or found to be unreadable.
        drop(read.changed().await);
        reconcile.once(wish, who).await
    };
    let keep = secret::keep(wanted, publish, changes, clock, availability, stop);
    tokio::select! {
        told = ask => told.map_err(anyhow::Error::msg),
        () = keep => anyhow::bail!("it ended before it was done"),
    }
}
