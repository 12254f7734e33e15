//! What a person may do to destinations and deliveries, as calls of the journal.
//!
//! # Invariants
//! - Each call is one small commit, however many deliveries are concerned.

use jiff::Timestamp;

use super::{Journal, WriteError};

impl Journal {
    /// Stops claims for a destination, by its id; `at` is the wall clock. `trouble` says what the
    /// relay found and waits to see mended; none when a person asked. False if nothing changed.
    pub async fn pause(
        &self,
        at: Timestamp,
        destination: &str,
        who: &str,
        why: &str,
        trouble: Option<&str>,
    ) -> Result<bool, WriteError> {
        let (destination, who, why) = (destination.to_owned(), who.to_owned(), why.to_owned());
        let trouble = trouble.map(str::to_owned);
        self.write(move |store| store.pause(at, &destination, &who, &why, trouble.as_deref()))
            .await
    }

    /// Ends a pause. False if there was none.
    pub async fn resume(
        &self,
        at: Timestamp,
        destination: &str,
        who: &str,
        why: &str,
    ) -> Result<bool, WriteError> {
        let (destination, who, why) = (destination.to_owned(), who.to_owned(), why.to_owned());
        self.write(move |store| store.resume(at, &destination, &who, &why))
            .await
    }
}
