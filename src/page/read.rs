//! Reading the journal for a screen.
//!
//! # Invariants
//! - Reading holds up no task: it is done on a thread for what blocks, and only so many at once.

use std::sync::Arc;

use super::{Failed, Page};
use crate::relay::journal::{ReadError, Reader};

impl Page {
    /// Reads the journal.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        what: impl FnOnce(&mut Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Failed> {
        let busy = || Failed::unavailable("The relay stops.", "Come again in a moment.");
        let place = Arc::clone(&self.readers).acquire_owned().await;
        let place = place.map_err(|_| busy())?;
        let data_dir = self.app.data_dir.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            what(&mut Reader::open(&data_dir)?)
        });
        Ok(reading.await.map_err(|_| busy())??)
    }
}
