//! SIGTERM and SIGINT stop, a second one stops hard; SIGHUP loads files again.
//!
//! # Invariants
//! - The handlers are in place before the relay starts.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that the relay listens to.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Cancels `stop` at the first signal to stop and `hard` at the second. Never returns.
    pub(super) async fn watch(
        &mut self,
        stop: CancellationToken,
        hard: CancellationToken,
        on_hangup: Arc<dyn Fn() + Send + Sync>,
    ) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => end(&stop, &hard),
                _ = self.interrupt.recv() => end(&stop, &hard),
                _ = self.hangup.recv() => on_hangup(),
            }
        }
    }
}

/// What the work gives; nothing where a signal ends it.
pub(super) async fn until_stopped<T>(work: impl Future<Output = T>) -> std::io::Result<Option<T>> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let watching = signals.watch(stop.clone(), CancellationToken::new(), Arc::new(|| {}));
    Ok(tokio::select! {
        done = work => Some(done),
        () = watching => None,
        () = stop.cancelled() => None,
    })
}

fn end(stop: &CancellationToken, hard: &CancellationToken) {
    if stop.is_cancelled() {
        tracing::warn!("told to stop again: ending at once");
        hard.cancel();
    } else {
        tracing::info!("told to stop: finishing what is under way");
        stop.cancel();
    }
}
