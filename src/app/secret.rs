//! The webhook secret: the one that was given, or one made at first start and kept with mode 0600;
//! and how it changes while the relay runs.
//!
//! # Invariants
//! - A secret is used only after its file was written and synced, so that it survives a crash.
//! - A change writes the old secret beside the new one first: whatever is cut off, the next start
//!   knows every secret that Orbit may be signing with.
//! - The end of an old secret is by Orbit's clock, as the times that Orbit signs are.
//! - Trouble is published as a reason and tried again; it never ends the process.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Remote, later, until};
use crate::config::Config;
use crate::ops::health::Parts;
use crate::reconcile::webhook::KeyChange;
use crate::relay::journal::Availability;
use crate::relay::verify::{Keys, Previous};
use crate::secret::WebhookSecret;

const FILE: &str = "webhook-secret";
/// The one before it, while it is still accepted.
const PREVIOUS: &str = "webhook-secret.previous";
const RETRY: Duration = Duration::from_secs(1);
/// How long after Orbit got the new secret one that was signed with the old may still be taken,
/// where no event comes that would tell.
const GRACE: Duration = Duration::from_mins(10);
/// How often it is looked how far off that end is: Orbit's clock may be set meanwhile.
const LOOK: Duration = Duration::from_mins(1);

/// Where the secret is to come from, and how long a signature is good, by whose clock.
pub(super) struct Wanted {
    pub(super) given: Option<WebhookSecret>,
    pub(super) not_configured: Option<String>,
    /// Whether that is meant so: other sources are there, and nothing of Orbit.
    pub(super) sources_alone: bool,
    pub(super) data_dir: PathBuf,
    pub(super) max_age: Duration,
    pub(super) orbit_clock: Remote,
}

impl Wanted {
    /// What the configuration says, which keeps no secret.
    pub(super) fn of(config: &mut Config, parts: &Parts) -> Self {
        Self {
            given: config.secret.take(),
            not_configured: config.not_configured.take(),
            sources_alone: config.sources_alone,
            data_dir: config.data_dir.clone(),
            max_age: config.max_age,
            orbit_clock: parts.orbit_clock.clone(),
        }
    }
}

/// The keys that are accepted, or why there are none.
pub(super) type KeysOrWhy = Result<Keys, String>;

/// Publishes the keys as soon as there are any, and changes them as the reconciler asks.
pub(super) async fn keep(
    wanted: Wanted,
    publish: watch::Sender<KeysOrWhy>,
    mut changes: mpsc::Receiver<KeyChange>,
    clock: Clock,
    mut journal: watch::Receiver<Availability>,
    stop: CancellationToken,
) {
    let wanted = Arc::new(wanted);
    // The journal makes the data directory, and says what is wrong with it.
    let settled = journal.wait_for(|journal| *journal != Availability::Opening);
    tokio::select! {
        () = stop.cancelled() => return,
        settled = settled => drop(settled),
    }
    loop {
        let found = aside(&wanted, find).await.and_then(|found| found);
        let done = found.is_ok() || wanted.not_configured.is_some();
        let why = found.as_ref().err().cloned();
        let before = publish.send_replace(found);
        if let Some(why) = why
            && before.err().as_ref() != Some(&why)
        {
            if wanted.sources_alone {
                tracing::info!("the sources work; Orbit's events are answered 503: {why}");
            } else {
                tracing::error!("Orbit's events are answered 503: {why}");
            }
        }
        if done {
            break;
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.sleep(RETRY) => {}
        }
    }
    loop {
        let now = publish.borrow().clone().ok();
        let previous = now.as_ref().and_then(|keys| keys.previous.clone());
        tokio::select! {
            () = stop.cancelled() => return,
            Some(change) = changes.recv() => carry_out(&wanted, change, &publish).await,
            () = ended(previous, &wanted, &clock) => {
                if let Some(keys) = now {
                    forget(&wanted, keys, &publish).await;
                }
            }
        }
    }
}

/// The keys as [`keep`] would find them, for whoever only looks: nothing is made, nor changed.
pub(super) fn peek(wanted: &Wanted) -> KeysOrWhy {
    let kept = read(&wanted.data_dir.join(FILE));
    let current = match (&wanted.given, &kept) {
        (Some(given), _) => given.clone(),
        (None, Ok(Some(kept))) => kept.clone(),
        (None, Err(why)) => return Err(why.clone()),
        // One that nobody has yet: the start would make another.
        (None, Ok(None)) => random().map_err(|e| format!("no random numbers: {e}"))?,
    };
    let previous = read(&wanted.data_dir.join(PREVIOUS)).ok().flatten();
    let known = [kept.ok().flatten(), previous].into_iter().flatten();
    let mut others = known.filter(|key| key.fingerprint() != current.fingerprint());
    Ok(Keys {
        previous: others.next().map(Previous::new),
        ..Keys::one(current, wanted.given.is_some())
    })
}

/// Does what waits for the disk where it holds up nobody.
async fn aside<T: Send + 'static>(
    wanted: &Arc<Wanted>,
    work: impl FnOnce(&Wanted) -> T + Send + 'static,
) -> Result<T, String> {
    let wanted = Arc::clone(wanted);
    let done = tokio::task::spawn_blocking(move || work(&wanted)).await;
    done.map_err(|error| format!("the webhook secret could not be seen to: {error}"))
}

/// Waits until nothing can come any more that the previous key would be accepted for.
async fn ended(previous: Option<Previous>, wanted: &Wanted, clock: &Clock) {
    let Some(previous) = previous else {
        return std::future::pending().await;
    };
    let mut ending = previous.ending();
    loop {
        let end = *ending.borrow_and_update();
        let end = end.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let gone = async {
            let Some(end) = end else {
                return std::future::pending().await;
            };
            let end = later(end, wanted.max_age);
            loop {
                let left = until(wanted.orbit_clock.now(), end);
                if left.is_zero() {
                    return;
                }
                clock.sleep(left.min(LOOK)).await;
            }
        };
        tokio::select! {
            () = gone => return,
            Ok(()) = ending.changed() => {}
        }
    }
}

async fn forget(wanted: &Arc<Wanted>, keys: Keys, publish: &watch::Sender<KeysOrWhy>) {
    let removed = aside(wanted, |wanted| remove(&wanted.data_dir.join(PREVIOUS))).await;
    if let Err(error) = removed.and_then(|removed| removed.map_err(|e| e.to_string())) {
        // It is refused all the same; the next start accepts it once more and tries again.
        tracing::warn!(
            error,
            "the file {PREVIOUS} in the data directory cannot be removed"
        );
    }
    publish.send_modify(|now| {
        *now = Ok(Keys {
            previous: None,
            ..keys
        });
    });
    tracing::info!("webhook secret: the one before is gone");
}

async fn carry_out(wanted: &Arc<Wanted>, change: KeyChange, publish: &watch::Sender<KeysOrWhy>) {
    let now = publish.borrow().clone();
    let (changed, reply) = match change {
        KeyChange::InOrbit => {
            if let Ok(Keys {
                previous: Some(previous),
                ..
            }) = now
            {
                previous.end_at(later(wanted.orbit_clock.now(), GRACE).as_millisecond());
            }
            return;
        }
        KeyChange::Rotate(reply) => (aside(wanted, |wanted| rotate(wanted, now)).await, reply),
        KeyChange::Adopt(secret, reply) => {
            let adopted = aside(wanted, |wanted| adopt(wanted, now, secret)).await;
            (adopted, reply)
        }
    };
    let changed = changed.and_then(|changed| changed);
    let answer = changed.map(|keys| publish.send_modify(|now| *now = Ok(keys)));
    // Whoever asked may be gone; what was done is done.
    reply.send(answer).ok();
}

fn rotate(wanted: &Wanted, now: KeysOrWhy) -> KeysOrWhy {
    let now = now?;
    if now.given {
        return Err(
            "the webhook secret was given (WEBHOOK_SECRET): change it there and start the relay \
             again, which then gives it to Orbit"
                .to_owned(),
        );
    }
    if let Some(previous) = &now.previous {
        let when = previous
            .until_ms()
            .and_then(|ms| Timestamp::from_millisecond(ms).ok())
            .map_or("Orbit has not taken it yet".to_owned(), |end| {
                let left = until(wanted.orbit_clock.now(), later(end, wanted.max_age));
                format!("it ends in {left:.0?}")
            });
        return Err(format!(
            "the secret was changed just now and the one before is still known; {when}"
        ));
    }
    let secret = random().map_err(|e| format!("no random numbers: {e}"))?;
    replace(wanted, now, secret)
}

fn adopt(wanted: &Wanted, now: KeysOrWhy, secret: WebhookSecret) -> KeysOrWhy {
    let now = now?;
    if now.given {
        return Err("the webhook secret was given: it is not taken from Orbit".to_owned());
    }
    replace(wanted, now, secret)
}

/// First the old secret, then the new one, each durable before what follows.
fn replace(wanted: &Wanted, now: Keys, secret: WebhookSecret) -> KeysOrWhy {
    let dir = &wanted.data_dir;
    let cannot = |name: &str, error: &std::io::Error| {
        format!("{} cannot be written: {error}", dir.join(name).display())
    };
    write(&dir.join(PREVIOUS), &now.current).map_err(|e| cannot(PREVIOUS, &e))?;
    write(&dir.join(FILE), &secret).map_err(|e| cannot(FILE, &e))?;
    Ok(Keys {
        previous: Some(Previous::new(now.current)),
        ..Keys::one(secret, false)
    })
}

/// The secret that an earlier start has made and kept, if there is one that can be used.
pub fn kept(data_dir: &Path) -> Option<WebhookSecret> {
    let text = std::fs::read_to_string(data_dir.join(FILE)).ok()?;
    WebhookSecret::parse(&text).ok()
}

/// The secrets that Orbit may sign with, each with what people call it, the one to sign with first:
/// for whoever only looks. None where none was given and none made.
pub fn known(
    given: Option<&WebhookSecret>,
    data_dir: &Path,
) -> Result<Vec<(String, WebhookSecret)>, String> {
    let mut all: Vec<(String, WebhookSecret)> = Vec::new();
    let given = given.map(|secret| {
        (
            "the webhook secret that is given".to_owned(),
            secret.clone(),
        )
    });
    all.extend(given);
    for (name, called) in [
        (FILE, "the webhook secret in"),
        (PREVIOUS, "the webhook secret of before, in"),
    ] {
        let path = data_dir.join(name);
        let secret = read(&path)?;
        let is_new = |secret: &WebhookSecret| {
            let mut known = all.iter();
            !known.any(|(_, known)| known.fingerprint() == secret.fingerprint())
        };
        let secret = secret.filter(is_new);
        all.extend(secret.map(|secret| (format!("{called} {}", path.display()), secret)));
    }
    Ok(all)
}

fn find(wanted: &Wanted) -> KeysOrWhy {
    if let Some(why) = &wanted.not_configured {
        return Err(why.clone());
    }
    let path = wanted.data_dir.join(FILE);
    let current = match &wanted.given {
        Some(given) => {
            put_aside(wanted, given);
            given.clone()
        }
        None => match read(&path)? {
            Some(current) => current,
            None => {
                make(&path).map_err(|e| format!("{} cannot be written: {e}", path.display()))?
            }
        },
    };
    let path = wanted.data_dir.join(PREVIOUS);
    let previous = read(&path).unwrap_or_else(|why| {
        tracing::warn!("the webhook secret before this one is not known: {why}");
        None
    });
    let previous = previous.filter(|previous| {
        let another = previous.fingerprint() != current.fingerprint();
        // A change that was cut off between its two files did not take place.
        if !another && let Err(error) = remove(&path) {
            tracing::warn!(%error, "the file {PREVIOUS} in the data directory cannot be removed");
        }
        another
    });
    Ok(Keys {
        previous: previous.map(Previous::new),
        ..Keys::one(current, wanted.given.is_some())
    })
}

/// Where a secret is given and another was used before, Orbit still signs with that one until it
/// is told: from now on it is the one before, and in the place of what was that.
fn put_aside(wanted: &Wanted, given: &WebhookSecret) {
    let path = wanted.data_dir.join(FILE);
    let put = match read(&path) {
        Ok(Some(kept)) if kept.fingerprint() != given.fingerprint() => {
            let to = wanted.data_dir.join(PREVIOUS);
            let renamed = std::fs::rename(&path, &to).and_then(|()| sync_dir(&to));
            renamed.map_err(|e| format!("{} cannot be renamed: {e}", path.display()))
        }
        other => other.map(drop),
    };
    if let Err(why) = put {
        tracing::warn!("the webhook secret before this one is not known: {why}");
    }
}

fn read(path: &Path) -> Result<Option<WebhookSecret>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => WebhookSecret::parse(&text)
            .map(Some)
            .map_err(|e| format!("{}: {e}", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
    }
}

fn make(path: &Path) -> std::io::Result<WebhookSecret> {
    let secret = random().map_err(std::io::Error::other)?;
    write(path, &secret)?;
    tracing::info!(
        "a webhook secret was made and is kept in {}",
        path.display()
    );
    Ok(secret)
}

fn random() -> Result<WebhookSecret, getrandom::Error> {
    let mut key = [0; 32];
    getrandom::fill(&mut key)?;
    Ok(WebhookSecret::from_bytes(key))
}

fn write(path: &Path, secret: &WebhookSecret) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    // One that was left behind may have other rights.
    remove(&unfinished)?;
    let mut file = std::fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    writeln!(file, "{}", secret.expose_hex())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    sync_dir(path)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Ok(()) => sync_dir(path),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    path.parent()
        .map_or(Ok(()), |dir| std::fs::File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn wanted(dir: &Path) -> Wanted {
        Wanted {
            given: None,
            not_configured: None,
            sources_alone: false,
            data_dir: dir.to_owned(),
            max_age: Duration::from_mins(5),
            orbit_clock: Remote::new(Clock::system(), watch::channel(None).1),
        }
    }

    #[test]
    fn a_secret_that_is_given_takes_the_place_of_the_one_that_was_made_which_is_still_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = wanted(dir.path());
        let first = find(&wanted).unwrap();
        let made = rotate(&wanted, Ok(first)).unwrap().current;
        let given = WebhookSecret::parse(&"ab".repeat(32)).unwrap();
        let wanted = Wanted {
            given: Some(given.clone()),
            ..wanted
        };
        for start in 1..3 {
            let keys = find(&wanted).unwrap();
            assert!(keys.given && keys.current.expose_hex() == given.expose_hex());
            let previous = keys.previous.unwrap().secret;
            assert_eq!(previous.expose_hex(), made.expose_hex(), "start {start}");
        }
        assert!(!dir.path().join(FILE).exists());
        write(&dir.path().join(PREVIOUS), &given).unwrap();
        assert!(find(&wanted).unwrap().previous.is_none());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_known_secrets_are_the_given_one_and_those_in_files_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let of = |byte| WebhookSecret::from_bytes([byte; 32]);
        let known = |given: Option<&WebhookSecret>| -> Vec<_> {
            let known = known(given, dir.path()).unwrap().into_iter();
            known.map(|(_, secret)| secret.expose_hex()).collect()
        };
        assert!(known(None).is_empty());
        write(&dir.path().join(FILE), &of(1)).unwrap();
        write(&dir.path().join(PREVIOUS), &of(2)).unwrap();
        assert_eq!(known(None), [of(1), of(2)].map(|s| s.expose_hex()));
        assert_eq!(known(Some(&of(2))), [of(2), of(1)].map(|s| s.expose_hex()));
        std::fs::write(dir.path().join(FILE), "canary").unwrap();
        let why = super::known(None, dir.path()).unwrap_err();
        assert!(!why.contains("canary"), "{why}");
    }

    #[test]
    fn whoever_only_looks_makes_no_secret_and_changes_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = wanted(dir.path());
        assert!(peek(&wanted).is_ok());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let made = find(&wanted).unwrap();
        let wanted = Wanted {
            given: Some(WebhookSecret::parse(&"ab".repeat(32)).unwrap()),
            ..wanted
        };
        let previous = peek(&wanted).unwrap().previous.unwrap().secret;
        assert_eq!(previous.expose_hex(), made.current.expose_hex());
        assert!(dir.path().join(FILE).exists());
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
        assert_eq!(made.current.expose_hex(), again.current.expose_hex());
    }

    #[test]
    fn a_damaged_secret_is_named_and_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "canary").unwrap();
        let why = find(&wanted(dir.path())).unwrap_err();
        assert!(why.contains(FILE) && !why.contains("canary"), "{why}");
    }

    #[test]
    fn a_change_keeps_both_secrets_with_mode_0600_over_a_start() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = wanted(dir.path());
        let old = find(&wanted).unwrap();
        let new = rotate(&wanted, Ok(old.clone())).unwrap();
        assert_ne!(new.current.expose_hex(), old.current.expose_hex());
        for name in [FILE, PREVIOUS] {
            let permissions = std::fs::metadata(dir.path().join(name))
                .unwrap()
                .permissions();
            assert_eq!(permissions.mode() & 0o777, 0o600, "{name}");
        }
        let again = find(&wanted).unwrap();
        assert_eq!(again.current.expose_hex(), new.current.expose_hex());
        let previous = again.previous.as_ref().unwrap().secret.expose_hex();
        assert_eq!(previous, old.current.expose_hex());
        let second = rotate(&wanted, Ok(again)).unwrap_err();
        assert!(second.contains("changed just now"), "{second}");
    }

    #[test]
    fn a_rotation_that_was_killed_between_its_two_files_did_not_take_place() {
        let dir = tempfile::tempdir().unwrap();
        let wanted = wanted(dir.path());
        let old = find(&wanted).unwrap();
        write(&dir.path().join(PREVIOUS), &old.current).unwrap();
        std::fs::write(dir.path().join("webhook-secret.new"), "half").unwrap();
        let again = find(&wanted).unwrap();
        assert_eq!(again.current.expose_hex(), old.current.expose_hex());
        assert!(again.previous.is_none() && !dir.path().join(PREVIOUS).exists());
        assert!(
            rotate(&wanted, Ok(again)).is_ok(),
            "it can be asked for anew"
        );
    }

    #[test]
    fn a_secret_that_was_given_is_neither_rotated_nor_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let given = WebhookSecret::parse(&"ab".repeat(32)).unwrap();
        let wanted = Wanted {
            given: Some(given.clone()),
            ..wanted(dir.path())
        };
        let why = rotate(&wanted, find(&wanted)).unwrap_err();
        assert!(why.contains("WEBHOOK_SECRET"), "{why}");
        assert!(adopt(&wanted, find(&wanted), given).is_err());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
