//! `deliveries replay`: asks the running relay through its socket, or acts on the journal itself
//! where none runs.
//!
//! # Invariants
//! - Small commits: killed half-way, no event is skipped and none is sent twice for it.

use std::path::Path;
use std::process::ExitCode;

use clap::ArgMatches;
use tokio::net::UnixStream;

use super::{FAILED, Outcome, complain, print, runtime};
use crate::app::control::{self, Answer, Ask};
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::relay::journal::{self, Availability, Journal};

/// How many deliveries one commit makes.
const STEP: u64 = 500;

pub(super) fn replay(input: &Input, matches: &ArgMatches) -> Outcome {
    let data_dir = Config::data_dir(input)?;
    let destination = matches
        .get_one::<String>("destination")
        .map_or("integration", String::as_str);
    runtime()?.block_on(async {
        let mut asker = Asker::find(&data_dir).await?;
        let mut made = 0;
        loop {
            let ask = Ask::ReplayKept {
                destination: destination.to_owned(),
                limit: STEP,
            };
            match asker.ask(ask).await? {
                Answer::Made(0) => break,
                Answer::Made(n) => made += n,
                Answer::Failed(why) => {
                    complain(&format!("error: {why}"));
                    asker.close().await;
                    return Ok(ExitCode::from(FAILED));
                }
            }
        }
        asker.close().await;
        print(&format!(
            "{made} kept events are now pending for {destination}"
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Who acts: the running relay, or this process on the journal.
enum Asker {
    Relay(std::path::PathBuf),
    Journal(Journal, journal::Writer),
}

impl Asker {
    async fn find(data_dir: &Path) -> anyhow::Result<Self> {
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

    async fn ask(&mut self, ask: Ask) -> anyhow::Result<Answer> {
        match self {
            Self::Relay(path) => control::ask(UnixStream::connect(path).await?, &ask).await,
            Self::Journal(journal, _) => Ok(control::act(journal, ask).await),
        }
    }

    async fn close(self) {
        if let Self::Journal(journal, mut writer) = self {
            drop(journal);
            writer.ended().await;
        }
    }
}
