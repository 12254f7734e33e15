//! The lines between the parts: what one tells, another hears.
//!
//! # Invariants
//! - What is told is a level: who comes late hears how it is, never a queue.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, watch};

use super::check::reach::Tested;
use super::secret::KeysOrWhy;
use super::tasks::Served;
use crate::clock::{Clock, Remote};
use crate::config::Config;
use crate::ops::health::Parts;
use crate::reconcile::backfill;
use crate::reconcile::webhook::{KeyChange, Nudge, Status};
use crate::relay::journal::Journal;

/// The ends at which the parts speak.
pub(super) struct Lines {
    /// Whether only other sources than Orbit are wanted.
    sources_alone: bool,
    /// Which keys are good.
    pub(super) keys: watch::Sender<KeysOrWhy>,
    /// That they are to change.
    pub(super) change_keys: mpsc::Sender<KeyChange>,
    pub(super) key_changes: mpsc::Receiver<KeyChange>,
    /// How our webhook is, and when that was seen.
    pub(super) webhook: watch::Sender<Status>,
    pub(super) looked_at: watch::Sender<Option<Timestamp>>,
    /// That it is to be looked at.
    pub(super) nudge: Nudge,
    /// What Orbit's clock shows, and that it is to be asked.
    pub(super) ahead_ms: watch::Sender<Option<i64>>,
    pub(super) wake_clock: Arc<Notify>,
    /// That a signed event was refused, or Orbit's clock was set: something may be missing.
    pub(super) refused: Arc<Notify>,
    /// The last test payload.
    pub(super) last_test: watch::Sender<Option<Tested>>,
    /// How far Orbit was looked through.
    pub(super) progress: watch::Sender<backfill::Progress>,
}

impl Lines {
    /// Nothing was told yet.
    pub(super) fn new(config: &Config) -> Self {
        let has_orbit = config.orbit.is_some();
        let (change_keys, key_changes) = mpsc::channel(1);
        let progress = backfill::Progress {
            on: has_orbit && config.not_configured.is_none() && config.backfill.on,
            ..backfill::Progress::default()
        };
        Self {
            sources_alone: config.sources_alone,
            keys: watch::Sender::new(Err("the relay was started just now".to_owned())),
            change_keys,
            key_changes,
            webhook: watch::Sender::new(Status::at_start(&config.webhook, has_orbit)),
            looked_at: watch::Sender::new(None),
            nudge: Nudge::default(),
            ahead_ms: watch::Sender::new(None),
            wake_clock: Arc::default(),
            refused: Arc::default(),
            last_test: watch::Sender::new(None),
            progress: watch::Sender::new(progress),
        }
    }

    /// What is heard of the parts by whoever asks how they do.
    pub(super) fn parts(&self, journal: &Journal, served: &[Served], clock: &Clock) -> Parts {
        Parts {
            journal: journal.availability(),
            secret: self.keys.subscribe(),
            sources_alone: self.sources_alone,
            webhook: self.webhook.subscribe(),
            looked_at: self.looked_at.subscribe(),
            orbit_clock: Remote::new(clock.clone(), self.ahead_ms.subscribe()),
            backfill: self.progress.subscribe(),
            destinations: served.iter().map(Served::health).collect(),
            sums: journal.sums(),
            room: journal.room(),
        }
    }
}
