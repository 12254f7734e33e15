//! What Orbit says of events, what was done of a delivery's requests, and what waits for an asset,
//! as calls.
//!
//! # Invariants
//! - Each commit is small, however many deliveries are concerned.

use super::{Enrichment, Journal, Lease, WriteError};

impl Journal {
    /// Keeps what Orbit said of events, each by its place in the order of arrival. What was kept
    /// before stays; what was not known then is filled in.
    pub async fn keep_enrichment(&self, said: Vec<(i64, Enrichment)>) -> Result<(), WriteError> {
        self.write(move |store| store.keep_enrichment(&said)).await
    }

    /// Notes what of a claimed delivery's requests is done, so that it is not done twice; and the
    /// requests themselves, if they are to be other ones from now on.
    pub async fn progress(
        &self,
        lease: Lease,
        progress: String,
        message: Option<String>,
    ) -> Result<(), WriteError> {
        self.write(move |store| store.progress(lease, &progress, message.as_deref()))
            .await
    }

    /// Makes all deliveries pending that were parked because they had no asset, each once; gives
    /// how many. Between its steps others may write.
    pub async fn unpark_unmapped(&self, destination: &str) -> Result<u64, WriteError> {
        let (mut all, mut after) = (0, Some(0));
        while let Some(seq) = after {
            let destination = destination.to_owned();
            let step = self.write(move |store| store.unpark_unmapped(&destination, seq));
            let (unparked, next) = step.await?;
            all += unparked;
            after = next;
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests;
