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

impl Signals {
    /// What is done on a thread that may wait for a disk; nothing where a signal to stop comes
    /// first. One to load files again is for those that are there afterwards.
    pub(super) async fn or_told<T: Send + 'static>(
        &mut self,
        what: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<Option<T>> {
        let done = crate::app::blocking(what);
        tokio::select! {
            done = done => return Ok(Some(done?)),
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        tracing::info!("told to stop while files are read");
        Ok(None)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_cannot_be_read_to_its_end_does_not_hold_up_the_end() {
        let mut signals = Signals::listen().unwrap();
        assert_eq!(signals.or_told(|| 7).await.unwrap(), Some(7));
        let (free, read) = std::sync::mpsc::channel::<()>();
        let kill = format!("kill -TERM {}", std::process::id());
        let told = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(told.unwrap().success());
        let bound = std::time::Duration::from_secs(20);
        let reading = signals.or_told(move || read.recv().is_err());
        let ended = tokio::time::timeout(bound, reading).await;
        assert_eq!(ended.unwrap().unwrap(), None);
        drop(free);
    }
}
