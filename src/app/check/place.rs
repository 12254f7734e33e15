//! What can be looked at without asking anybody: configuration, data directory, room, ports, asset
//! map.
//!
//! # Invariants
//! - What is written to try the data directory is removed again, and no directory is made.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use tokio::net::TcpListener;

use super::{Ports, Row, Seen, Subject};
use crate::app::assets::{self, Assets};
use crate::relay::journal::{Level, Room};

const DATA: &str = "data directory";
pub(super) const ASSET_MAP: &str = "asset map";
const ROOM: &str = "free space";
/// The file that is written and removed.
const PROBE: &str = "check.new";

pub(super) async fn rows(subject: &Subject) -> Vec<Row> {
    let mut rows = configuration(subject);
    let (there, there_yet) = nearest(&subject.data_dir);
    let tried = try_directory(there);
    rows.push(data_directory(&subject.data_dir, there_yet, &tried));
    rows.push(if tried.is_ok() {
        room(&Room::look(there, subject.journal_limit))
    } else {
        Row::unknown(ROOM, "not asked: the data directory cannot be used")
    });
    let listen = [
        ("webhook port", subject.listen, "--bind, --webhook-port"),
        ("ops port", subject.ops_listen, "--ops-bind"),
    ];
    for (name, at, flags) in listen {
        let tried = match subject.ports {
            Ports::Ours => None,
            Ports::HeldByARelay | Ports::Free => Some(TcpListener::bind(at).await.map(drop)),
        };
        rows.push(port(name, at, flags, subject.ports, tried.as_ref()));
    }
    rows.extend(range(subject.listen.port()));
    rows
}

pub(super) fn rows_of_the_rest(subject: &Subject, seen: &Seen) -> Vec<Row> {
    // The page may have made one since the start.
    let kept = assets::kept(&subject.data_dir);
    let kept = kept.is_file().then_some(kept);
    let map = subject.asset_map.clone().or(kept).map(|path| {
        let rows = Assets::rows(&path).map_err(|error| format!("{error:#}"));
        (path.display().to_string(), rows)
    });
    let notices = match subject.hearing {
        0 => Row::unknown(
            "notices",
            "nobody hears of trouble: no destination is named by `notify`",
        ),
        hearing => Row::good(
            "notices",
            format!("destinations that hear of trouble: {hearing}"),
        ),
    };
    vec![asset_map(map), backfill(subject, seen), notices]
}

fn configuration(subject: &Subject) -> Vec<Row> {
    let name = "configuration";
    let mut rows: Vec<_> = subject
        .problems
        .iter()
        .map(|problem| {
            let advice = "correct it: the relay does not start so (`orbit-relay config check`)";
            Row::bad(name, problem, advice)
        })
        .collect();
    rows.extend(subject.not_configured.as_ref().map(|why| {
        if subject.sources_alone {
            let what = format!("the sources alone work; Orbit's events are answered 503: {why}");
            return Row::good(name, &what);
        }
        let advice = "give Orbit's address (ORBIT_HOSTNAME) and a token with the ADMIN role \
            (ORBIT_API_TOKEN); until then events are answered 503";
        Row::bad(name, why, advice)
    }));
    if rows.is_empty() {
        rows.push(Row::good(name, &subject.given));
    }
    let warnings = subject.warnings.iter();
    rows.extend(warnings.map(|warning| Row::unknown(name, warning)));
    rows
}

/// The directory, or the nearest one above that is there; and whether it is there itself.
fn nearest(data_dir: &Path) -> (&Path, bool) {
    let mut above = data_dir.ancestors();
    let there = above.find(|path| path.as_os_str().is_empty() || path.exists());
    match there {
        Some(path) if path.as_os_str().is_empty() => (Path::new("."), false),
        Some(path) => (path, path == data_dir),
        None => (data_dir, true),
    }
}

/// Writes a file and removes it.
fn try_directory(dir: &Path) -> Result<(), String> {
    if !dir.is_dir() {
        return Err("it is no directory".to_owned());
    }
    let path = dir.join(PROBE);
    let write = || {
        let mut file = std::fs::File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(b"written by orbit-relay check\n")?;
        file.sync_all()
    };
    let written = write();
    let removed = std::fs::remove_file(&path);
    let tried: std::io::Result<()> = written.and(removed);
    tried.map_err(|error| error.to_string() + &owner(dir))
}

/// Whose a directory is, and who we are.
fn owner(dir: &Path) -> String {
    let whose = std::fs::metadata(dir);
    let we = std::fs::metadata("/proc/self");
    match (whose, we) {
        (Ok(whose), Ok(we)) => format!(
            "; it belongs to uid {} with mode {:o}, this process has uid {}",
            whose.uid(),
            whose.mode() & 0o7777,
            we.uid()
        ),
        _ => String::new(),
    }
}

fn data_directory(data_dir: &Path, there_yet: bool, tried: &Result<(), String>) -> Row {
    let shown = data_dir.display();
    match tried {
        Ok(()) if there_yet => Row::good(DATA, format!("{shown} can be written")),
        Ok(()) => Row::good(DATA, format!("{shown} is not there yet and can be made")),
        Err(why) => Row::bad(
            DATA,
            format!("{shown} cannot be written: {why}"),
            "give another with --data-dir, or have it belong to the user that the relay runs as \
             (chown -R)",
        ),
    }
}

fn room(room: &Room) -> Row {
    let what = room.to_string();
    match room.level {
        Level::Enough => Row::good(ROOM, what),
        Level::Filling => Row::bad(
            ROOM,
            what,
            "make room on the disk, or let the journal have more (--journal-limit), before it is \
             full",
        ),
        Level::Full => Row::bad(
            ROOM,
            what,
            "make room on the disk, or let the journal have more (--journal-limit): new events \
             are answered 503",
        ),
    }
}

fn port(
    name: &str,
    at: SocketAddr,
    flags: &str,
    ports: Ports,
    tried: Option<&std::io::Result<()>>,
) -> Row {
    match tried {
        None => Row::good(name, format!("{at}: this relay listens there")),
        Some(Ok(())) if ports == Ports::HeldByARelay && at.port() > 0 => Row::unknown(
            name,
            format!("{at} is free, though the relay on this data directory runs"),
        )
        .advising("run `check` with the settings of that relay: it listens elsewhere"),
        Some(Ok(())) => Row::good(name, format!("{at} is free")),
        Some(Err(error)) if error.kind() == std::io::ErrorKind::AddrInUse => {
            if ports == Ports::HeldByARelay {
                let what = format!("{at} is held; the relay on this data directory runs");
                return Row::good(name, what);
            }
            Row::bad(
                name,
                format!("{at} is taken by another program"),
                format!(
                    "if that is the relay itself, run `check` as its user and with its --data-dir; \
                     otherwise end that program, or choose another port ({flags})"
                ),
            )
        }
        Some(Err(error)) => Row::bad(
            name,
            format!("{at}: {error}"),
            format!("choose another address or port ({flags})"),
        ),
    }
}

/// Whether Orbit's own hosts let the port through.
fn range(port: u16) -> Option<Row> {
    let name = "port range";
    match port {
        0 => None,
        21443 | 21001 => {
            let what = format!("{port} is taken on Orbit's own hosts");
            Some(Row::unknown(name, what).advising("choose another from 21000-22000 there"))
        }
        21000..=22000 => Some(Row::good(name, "Orbit's own hosts let 21000-22000 through")),
        _ => {
            let what = format!("{port}: Orbit's own hosts let only 21000-22000 through");
            Some(Row::unknown(name, what).advising(
                "choose one of those if the relay runs on such a host; elsewhere it works",
            ))
        }
    }
}

fn asset_map(map: Option<(String, Result<usize, String>)>) -> Row {
    let name = ASSET_MAP;
    match map {
        None => Row::unknown(name, "none is configured: events go out without an asset"),
        Some((path, Ok(rows))) => Row::good(name, format!("{rows} rows in {path}")),
        Some((_, Err(why))) => Row::bad(
            name,
            why,
            "correct the file: the next start would fail with it",
        ),
    }
}

fn backfill(subject: &Subject, seen: &Seen) -> Row {
    let name = "backfill";
    if !subject.backfill {
        return Row::unknown(name, "off: what the webhook misses is not looked for");
    }
    match &seen.run_events {
        None => Row::unknown(name, "not asked: Orbit cannot be"),
        Some(Ok(_)) => Row::good(
            name,
            "Orbit can be looked through for what the webhook missed",
        ),
        Some(Err(error)) => Row::bad(
            name,
            format!("Orbit cannot be looked through: {error}"),
            "give the token the right to read run events: until then what the webhook misses is \
             not found",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::app::check::Verdict;

    #[test]
    fn a_directory_is_tried_by_writing_and_nothing_is_left_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("not/yet");
        assert_eq!(nearest(&missing), (dir.path(), false));
        assert_eq!(try_directory(dir.path()), Ok(()));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let why = try_directory(&file).unwrap_err();
        let row = data_directory(&file, true, &Err(why));
        assert_eq!(row.verdict, Verdict::Bad);
        assert!(row.what.contains("it is no directory"), "{row:?}");
        assert_eq!(nearest(Path::new("data")), (Path::new("."), false));
    }

    #[test]
    fn a_port_is_free_held_by_our_relay_or_taken() {
        let at = "127.0.0.1:21600".parse().unwrap();
        let taken = || Err(ErrorKind::AddrInUse.into());
        let refused = || Err(ErrorKind::PermissionDenied.into());
        for (ports, tried, verdict) in [
            (Ports::Ours, None, Verdict::Good),
            (Ports::Free, Some(Ok(())), Verdict::Good),
            (Ports::Free, Some(taken()), Verdict::Bad),
            (Ports::HeldByARelay, Some(taken()), Verdict::Good),
            (Ports::HeldByARelay, Some(Ok(())), Verdict::Unknown),
            (Ports::HeldByARelay, Some(refused()), Verdict::Bad),
        ] {
            let row = port("webhook port", at, "--bind", ports, tried.as_ref());
            assert_eq!(row.verdict, verdict, "{row:?}");
            assert_eq!(row.advice.is_some(), verdict != Verdict::Good, "{row:?}");
        }
    }

    #[test]
    fn a_port_outside_of_what_orbit_lets_through_is_said_and_no_error() {
        for (port, verdict) in [
            (0, None),
            (21_600, Some(Verdict::Good)),
            (21_443, Some(Verdict::Unknown)),
            (8_080, Some(Verdict::Unknown)),
        ] {
            assert_eq!(range(port).map(|row| row.verdict), verdict, "{port}");
        }
    }
}
