//! Who does what a command asks for: the running relay, through its socket; where none runs, this
//! process, on the journal itself.
//!
//! # Invariants
//! - Both do it with the same code, and only one of them can: the other has no lock.

use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::app::control::{self, Answer, Ask};
use crate::clock::Clock;
use crate::relay::journal::{self, Availability, Journal};

/// Who acts: the running relay, or this process on the journal.
pub(super) enum Asker {
    /// The relay, by its socket.
    Relay(PathBuf),
    /// This process, which holds the lock.
    Journal(Journal, journal::Writer),
}

impl Asker {
    pub(super) async fn find(data_dir: &Path) -> anyhow::Result<Self> {
        let path = control::path(data_dir);
        if UnixStream::connect(&path).await.is_ok() {
            return Ok(Self::Relay(path));
        }
        // A directory without a journal is a mistyped path: nothing is made there.
        journal::Reader::open(data_dir)?;
        let config = journal::Config {
            data_dir: data_dir.to_owned(),
            destinations: None,
        };
        let (journal, writer) = Journal::start(config, Clock::system())?;
        let mut availability = journal.availability();
        let settled = availability
            .wait_for(|now| *now != Availability::Opening)
            .await?
            .clone();
        match settled {
            Availability::Unavailable(why) => anyhow::bail!(why),
            Availability::Open | Availability::Opening => Ok(Self::Journal(journal, writer)),
        }
    }

    pub(super) async fn ask(&self, ask: Ask) -> anyhow::Result<Answer> {
        match self {
            Self::Relay(path) => control::ask(UnixStream::connect(path).await?, &ask).await,
            Self::Journal(journal, _) => {
                Ok(control::act(journal, Clock::system().wall(), ask).await)
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Journal(journal, mut writer) = self {
            drop(journal);
            writer.ended().await;
        }
    }
}
