//! A word to whoever looks at Orbit now and then: look now.
//!
//! # Invariants
//! - A nudge that comes while the other is busy is not lost, and several are one.

use std::sync::Arc;

use tokio::sync::Notify;

/// What is shared by those who give it and the one that takes it.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// Gives it.
    pub fn give(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody gives it.
    pub async fn given(&self) {
        self.0.notified().await;
    }
}
