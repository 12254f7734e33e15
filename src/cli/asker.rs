//! Who does what a command asks for: the running relay, through its socket; where none runs, this
//! process, on the journal itself, unless only a running relay can do it.
//!
//! # Invariants
//! - Both do it with the same code, and only one of them can: the other has no lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use crate::app::control::{self, Answer, Ask, Ground};
use crate::clock::Clock;
use crate::relay::journal::{self, Availability, Journal};

/// Has the running relay do what nobody else can.
pub(super) async fn ask_running(data_dir: &Path, ask: &Ask) -> anyhow::Result<Answer> {
    let Ok(socket) = UnixStream::connect(control::path(data_dir)).await else {
        anyhow::bail!("no relay runs on {}: start it first", data_dir.display());
    };
    control::ask(socket, ask).await
}

/// Who acts: the running relay, or this process on the journal.
pub(super) enum Asker {
    /// The relay, by its socket.
    Relay(PathBuf),
    /// This process, which holds the lock.
    Journal(Box<Ground>, journal::Writer),
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
            keep_delivered: journal::Config::KEEP_DELIVERED,
            limit_bytes: journal::Config::LIMIT_BYTES,
            says: Vec::new(),
        };
        let (journal, writer) = Journal::start(config, Clock::system())?;
        let mut availability = journal.availability();
        let settled = availability
            .wait_for(|now| *now != Availability::Opening)
            .await?
            .clone();
        match settled {
            Availability::Unavailable(why) => anyhow::bail!(why),
            Availability::Open | Availability::Opening => {
                let ground = Ground::new(journal, BTreeMap::new(), Clock::system());
                Ok(Self::Journal(Box::new(ground), writer))
            }
        }
    }

    pub(super) async fn ask(&self, ask: Ask) -> anyhow::Result<Answer> {
        match self {
            Self::Relay(path) => control::ask(UnixStream::connect(path).await?, &ask).await,
            Self::Journal(ground, _) => Ok(control::act(ground, ask).await),
        }
    }

    pub(super) async fn close(self) {
        if let Self::Journal(ground, mut writer) = self {
            drop(ground);
            writer.ended().await;
        }
    }
}
