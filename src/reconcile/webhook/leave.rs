//! What Orbit is told when the relay stops.
//!
//! # Invariants
//! - That a stop disables our webhook is on record before Orbit is told.
//! - One that an administrator disabled stays theirs.

use super::look::{Found, LookError, NOTE};
use super::plan::NAME;
use super::record::Record;
use super::{Manage, OnExit, Reconcile};

impl Reconcile {
    /// Tells Orbit that the relay stops, if it is to be told.
    pub(super) async fn leave(&self) {
        let managed = !self.config.urls.is_empty() && self.config.manage == Manage::Repair;
        let left = match self.config.on_exit {
            OnExit::Keep => return,
            _ if !managed => return,
            OnExit::Disable => self.disable_on_exit().await,
            OnExit::Delete => self.delete_on_exit().await,
        };
        if let Err(error) = left {
            tracing::warn!("webhook: Orbit could not be told that the relay stops: {error}");
        }
    }

    async fn disable_on_exit(&self) -> Result<(), LookError> {
        let keys = self.current_keys()?;
        let found = self.find().await?;
        let url = found.url();
        let Found {
            webhooks, record, ..
        } = found;
        let (Some(url), Some(mut record)) = (url, record) else {
            return Ok(());
        };
        let ours = webhooks.iter().find(|w| w.uuid == record.uuid);
        // One that an administrator disabled stays theirs.
        let Some(ours) = ours.filter(|w| w.enabled != Some(false) && w.archived != Some(true))
        else {
            return Ok(());
        };
        record.disabled_on_exit = true;
        self.remember(&record).await?;
        let name = ours.name.clone().unwrap_or_else(|| NAME.to_owned());
        let wanted = self.wanted(name, &url, false, &keys.current);
        self.client.update_webhook(&ours.uuid, &wanted).await?;
        let uuid = &ours.uuid;
        tracing::info!(uuid, "webhook: disabled in Orbit until the next start");
        Ok(())
    }

    async fn delete_on_exit(&self) -> Result<(), LookError> {
        let note = self.journal.note(NOTE).await?;
        let Some(mut record) = note.and_then(|note| Record::read(&note)) else {
            return Ok(());
        };
        if record.uuid.is_empty() {
            return Ok(());
        }
        let uuid = std::mem::take(&mut record.uuid);
        self.delete_one(&uuid).await?;
        record.made.retain(|made| *made != uuid);
        self.remember(&record).await?;
        tracing::info!(uuid, "webhook: deleted in Orbit until the next start");
        Ok(())
    }
}
