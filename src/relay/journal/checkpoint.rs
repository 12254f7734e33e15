//! Copies the write-ahead log into the database beside the writer, so that commits do not wait
//! for it.
//!
//! # Invariants
//! - Never on the path of a commit, except for the little that is left when the log has grown to
//!   [`LONGEST_LOG`]: only the writer can finish it and begin the log anew.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

/// The log is copied each time it has grown by about this many bytes.
const EVERY: u64 = 8 * 1024 * 1024;
/// At about this many bytes the log begins anew. A longer log makes opening after a crash slower.
const LONGEST_LOG: u64 = 128 * 1024 * 1024;
/// At this many where there is no room for more.
const SHORT_LOG: u64 = 16 * 1024 * 1024;

/// The thread that copies, and how far the log has grown.
pub(super) struct Checkpointer {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    since_copied: u64,
    since_begun: u64,
}

impl Checkpointer {
    pub(super) fn start(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "cache_size", -64)?;
        let (wake, woken) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn(move || run(&connection, &woken));
        // Without the thread the writer finishes each log by itself: slower, and as safe.
        let thread = thread.inspect_err(|error| {
            tracing::warn!(%error, "journal: no thread for checkpoints");
        });
        Ok(Self {
            wake: Some(wake),
            thread: thread.ok(),
            since_copied: 0,
            since_begun: 0,
        })
    }

    /// To be told of each commit; `writer` finishes the log when it is long, or earlier where
    /// there is little room.
    pub(super) fn grown(&mut self, bytes: u64, writer: &Connection, little_room: bool) {
        self.since_copied += bytes;
        self.since_begun += bytes;
        let longest = if little_room { SHORT_LOG } else { LONGEST_LOG };
        if self.since_begun >= longest {
            self.since_begun = 0;
            self.since_copied = 0;
            copy(writer);
        } else if self.since_copied >= EVERY
            && let Some(wake) = &self.wake
            && wake.try_send(()).is_ok()
        {
            self.since_copied = 0;
        }
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.wake = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("journal: the thread for checkpoints died");
        }
    }
}

fn run(connection: &Connection, woken: &Receiver<()>) {
    while let Ok(()) = woken.recv() {
        copy(connection);
    }
}

/// What cannot be copied now stays in the log, which is as durable; the next time takes it.
fn copy(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
        tracing::debug!(%error, "journal: checkpoint put off");
    }
}
