//! A change of the accounts is kept as an act, and written.
//!
//! # Invariants
//! - What was begun is done to its end, though the browser goes away.
//! - What is done is kept before it is done, and once more if it failed.
//! - The file is written only while it is the one that was known.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::OwnedMutexGuard;

use super::accounts::Book;
use super::file::{self, Mark};
use super::{ACCOUNTS, Known, LOCK, Refused, Standing, locked};
use crate::clock::Clock;
use crate::relay::journal::Journal;

/// What an act is called that was begun and not done; its detail says which, and why.
const FAILED: &str = "account failed";

/// What is kept of a change, before it is done.
pub(super) struct Act {
    pub(super) journal: Journal,
    pub(super) who: String,
    pub(super) what: &'static str,
    pub(super) detail: String,
}

/// The accounts as they are to be, and what is needed to write them.
pub(super) struct Writing {
    pub(super) dir: PathBuf,
    pub(super) clock: Clock,
    pub(super) known: Arc<Mutex<Known>>,
    /// Of the file that is to be replaced.
    pub(super) mark: Option<Mark>,
    pub(super) book: Book,
    pub(super) act: Option<Act>,
    /// Nobody else reads or writes meanwhile.
    pub(super) turn: OwnedMutexGuard<()>,
}

impl Writing {
    /// Keeps the act and writes the accounts, in a task of its own.
    pub(super) async fn finish(self) -> Result<(), Refused> {
        let done = tokio::spawn(self.done()).await;
        done.unwrap_or_else(|_| Err(Refused::Unavailable("the relay stops".to_owned())))
    }

    async fn done(self) -> Result<(), Refused> {
        let Self {
            dir,
            clock,
            known,
            mark,
            book,
            act,
            turn: _turn,
        } = self;
        if let Some(act) = &act {
            act.keep(&clock).await?;
        }
        let path = dir.join(ACCOUNTS);
        let written = tokio::task::spawn_blocking(move || write(&dir, book, mark.as_ref()));
        let (book, mark) = match written.await.unwrap_or_else(|e| Err(e.into())) {
            Ok(written) => written,
            Err(error) => {
                tracing::warn!(%error, "page: the accounts cannot be written");
                let what = format!("{} cannot be written: {error}", path.display());
                if let Some(act) = act {
                    act.keep_failed(&clock, &what).await;
                }
                return Err(Refused::Unavailable(what));
            }
        };
        *locked(&known) = Known {
            standing: Standing::Ready(Arc::new(book)),
            mark,
            looked: clock.steady(),
        };
        Ok(())
    }
}

fn write(
    dir: &std::path::Path,
    book: Book,
    mark: Option<&Mark>,
) -> std::io::Result<(Book, Option<Mark>)> {
    let path = dir.join(ACCOUNTS);
    let _lock = file::lock(&dir.join(LOCK))?;
    if file::mark(&path)?.as_ref() != mark {
        return Err(std::io::Error::other(
            "it was changed meanwhile: look again",
        ));
    }
    book.write(&path)?;
    Ok((book, file::mark(&path)?))
}

impl Act {
    async fn keep(&self, clock: &Clock) -> Result<(), Refused> {
        let at = clock.wall();
        let kept = self
            .journal
            .keep_act(at, &self.who, self.what, None, &self.detail);
        kept.await
            .map_err(|error| Refused::Unavailable(error.to_string()))
    }

    async fn keep_failed(&self, clock: &Clock, why: &str) {
        let detail = format!("{}: {}: {why}", self.what, self.detail);
        let kept = self
            .journal
            .keep_act(clock.wall(), &self.who, FAILED, None, &detail);
        if let Err(error) = kept.await {
            tracing::warn!(%error, "page: that the accounts stayed is not among the acts");
        }
    }
}
