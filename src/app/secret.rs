//! The webhook secret: the one that was given, or one made at first start and kept with mode 0600.
//!
//! # Invariants
//! - A secret is used only after its file was written and synced, so that it survives a crash.
//! - Trouble is published as a reason and tried again; it never ends the process.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::relay::journal::Availability;
use crate::secret::WebhookSecret;

const FILE: &str = "webhook-secret";
const RETRY: Duration = Duration::from_secs(1);

/// Where the secret is to come from.
pub(super) struct Wanted {
    pub(super) given: Option<WebhookSecret>,
    pub(super) not_configured: Option<String>,
    pub(super) data_dir: PathBuf,
}

/// Publishes the secret as soon as there is one.
pub(super) async fn keep(
    wanted: Wanted,
    publish: watch::Sender<Result<WebhookSecret, String>>,
    clock: Clock,
    mut journal: watch::Receiver<Availability>,
    stop: CancellationToken,
) {
    // The journal makes the data directory, and says what is wrong with it.
    let settled = journal.wait_for(|journal| *journal != Availability::Opening);
    tokio::select! {
        () = stop.cancelled() => return,
        settled = settled => drop(settled),
    }
    loop {
        let found = find(&wanted);
        let done = found.is_ok() || wanted.not_configured.is_some();
        let why = found.as_ref().err().cloned();
        let before = publish.send_replace(found);
        if let Some(why) = why
            && before.err().as_ref() != Some(&why)
        {
            tracing::error!("events are answered 503: {why}");
        }
        if done {
            stop.cancelled().await;
            return;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(RETRY) => {}
        }
    }
}

/// The secret that an earlier start has made and kept, if there is one that can be used.
pub fn kept(data_dir: &Path) -> Option<WebhookSecret> {
    let text = std::fs::read_to_string(data_dir.join(FILE)).ok()?;
    WebhookSecret::parse(&text).ok()
}

fn find(wanted: &Wanted) -> Result<WebhookSecret, String> {
    if let Some(why) = &wanted.not_configured {
        return Err(why.clone());
    }
    if let Some(given) = &wanted.given {
        return Ok(given.clone());
    }
    let path = wanted.data_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => WebhookSecret::parse(&text).map_err(|e| format!("{}: {e}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make(&path).map_err(|e| format!("{} cannot be written: {e}", path.display()))
        }
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn make(path: &Path) -> std::io::Result<WebhookSecret> {
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(std::io::Error::other)?;
    let secret = WebhookSecret::from_bytes(key);
    let unfinished = path.with_extension("new");
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    writeln!(file, "{}", secret.expose_hex())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    if let Some(dir) = path.parent() {
        std::fs::File::open(dir)?.sync_all()?;
    }
    tracing::info!(
        "a webhook secret was made and is kept in {}",
        path.display()
    );
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn wanted(dir: &Path) -> Wanted {
        Wanted {
            given: None,
            not_configured: None,
            data_dir: dir.to_owned(),
        }
    }

    #[test]
    fn a_secret_is_made_once_and_kept_with_mode_0600() {
        let dir = tempfile::tempdir().unwrap();
        let made = find(&wanted(dir.path())).unwrap();
        let permissions = std::fs::metadata(dir.path().join(FILE))
            .unwrap()
            .permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        let again = find(&wanted(dir.path())).unwrap();
        assert_eq!(made.expose_hex(), again.expose_hex());
    }

    #[test]
    fn a_damaged_secret_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "canary").unwrap();
        let why = find(&wanted(dir.path())).unwrap_err();
        assert!(why.contains(FILE) && !why.contains("canary"), "{why}");
    }
}
