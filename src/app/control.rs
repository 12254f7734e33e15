//! The socket in the data directory, by which commands ask the running relay for something.
//!
//! One request a connection: a line of JSON there, a line of JSON back.
//!
//! # Invariants
//! - Only the user that the relay runs as can open the socket (mode 0600).

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::relay::journal::Journal;

const SOCKET: &str = "relay.sock";
const DEADLINE: Duration = Duration::from_secs(5);
/// One commit makes no more deliveries than this.
const MOST: u64 = 1000;
const RETRY: Duration = Duration::from_secs(1);
const LONGEST_LINE: u64 = 64 * 1024;

/// What can be asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Make up to `limit` kept events pending.
    ReplayKept {
        /// For this destination.
        destination: String,
        /// At most this many, in one commit.
        limit: u64,
    },
}

/// What is answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How many deliveries it made.
    Made(u64),
    /// Why it could not.
    Failed(String),
}

/// The socket's place.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// Does what is asked.
pub async fn act(journal: &Journal, ask: Ask) -> Answer {
    match ask {
        Ask::ReplayKept { destination, limit } => {
            match journal.replay_kept(&destination, limit.min(MOST)).await {
                Ok(made) => Answer::Made(made),
                Err(error) => Answer::Failed(error.to_string()),
            }
        }
    }
}

/// Asks the running relay.
pub async fn ask(mut stream: UnixStream, ask: &Ask) -> anyhow::Result<Answer> {
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST_LINE))
        .read_line(&mut answer)
        .await?;
    Ok(serde_json::from_str(&answer)?)
}

/// Answers commands until `stop`.
pub(super) async fn run(data_dir: PathBuf, journal: Journal, stop: CancellationToken) {
    let mut availability = journal.availability();
    // The socket goes where the lock is held: only then is a socket that lies there a dead one's.
    let open = availability.wait_for(|now| *now == crate::relay::journal::Availability::Open);
    tokio::select! {
        () = stop.cancelled() => return,
        opened = open => drop(opened),
    }
    let path = path(&data_dir);
    let listener = loop {
        match listen(&path) {
            Ok(listener) => break listener,
            Err(error) => {
                tracing::warn!(%error, "commands cannot reach the relay at {}", path.display());
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY * 60) => {}
        }
    };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let answering = tokio::time::timeout(DEADLINE, answer(stream, &journal, &stop));
                if let Ok(Err(error)) = answering.await {
                    tracing::debug!(%error, "control: a command went away");
                }
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::debug!(%error, "control: the socket is left behind");
    }
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(
    stream: UnixStream,
    journal: &Journal,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(LONGEST_LINE));
    // What was asked is done; what was not asked yet is not waited for.
    tokio::select! {
        biased;
        read = read.read_line(&mut line) => drop(read?),
        () = stop.cancelled() => return Ok(()),
    }
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => act(journal, ask).await,
        Err(error) => Answer::Failed(format!("not understood: {error}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    write.write_all(&line).await?;
    Ok(())
}
