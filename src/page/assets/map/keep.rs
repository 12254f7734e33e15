//! The map's file that the page keeps, and its earlier versions.
//!
//! # Invariants
//! - A file is there whole or not at all, with what is in it on the disk, and only for the relay's
//!   own user.
//! - Each version lies in the history before it is put in place.
//! - At most [`MOST`] versions and [`MOST_BYTES`] are kept, and always the last two.
//!
//! # Not here
//! Who may change it, and whether what is put there is a map.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::app::assets;

/// No map that the page keeps is larger.
pub(in crate::page) const LARGEST: usize = 8 * 1024 * 1024;
/// No map that it shows is larger.
const LARGEST_SHOWN: u64 = 64 * 1024 * 1024;
const MOST: usize = 100;
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Where the map and its history lie.
#[derive(Clone, Debug)]
pub(super) struct Keep {
    path: PathBuf,
    history: PathBuf,
}

/// An earlier version, or the one that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it was put in place, in milliseconds since 1970; no two have the same.
    pub(super) at: i64,
    /// What tells it from others; `none` where there was no file.
    pub(super) version: String,
    bytes: u64,
}

impl Keep {
    pub(super) fn of(data_dir: &Path) -> Self {
        let path = assets::kept(data_dir);
        Self {
            history: path.with_extension(""),
            path,
        }
    }

    /// What is in the file; empty where there is none.
    pub(super) fn current(&self) -> io::Result<Vec<u8>> {
        match read(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    /// The versions, the newest first.
    pub(super) fn entries(&self) -> io::Result<Vec<Entry>> {
        let listed = match fs::read_dir(&self.history) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            listed => listed?,
        };
        let mut entries = Vec::new();
        for file in listed {
            let file = file?;
            let name = file.file_name();
            if let Some((at, version)) = name.to_str().and_then(parts) {
                entries.push(Entry {
                    at,
                    version: version.to_owned(),
                    bytes: file.metadata().map_or(0, |metadata| metadata.len()),
                });
            }
        }
        entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.at));
        Ok(entries)
    }

    /// A version of the history.
    pub(super) fn entry(&self, at: i64) -> io::Result<Option<(Entry, Vec<u8>)>> {
        let entries = self.entries()?;
        let Some(entry) = entries.into_iter().find(|entry| entry.at == at) else {
            return Ok(None);
        };
        let bytes = read(&self.place(&entry))?;
        Ok(Some((entry, bytes)))
    }

    /// Lays a version into the history, not before `now`; older ones may go.
    pub(super) fn remember(&self, now: i64, version: &str, bytes: &[u8]) -> io::Result<Entry> {
        folder(&self.history)?;
        let entries = self.entries()?;
        let last = entries.first().map_or(i64::MIN, |entry| entry.at);
        let entry = Entry {
            at: now.max(last.saturating_add(1)),
            version: version.to_owned(),
            bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
        };
        write(&self.place(&entry), bytes)?;
        let mut kept = 0_u64;
        for (n, old) in std::iter::once(&entry).chain(&entries).enumerate() {
            kept = kept.saturating_add(old.bytes);
            if n >= 2 && (n >= MOST || kept > MOST_BYTES) {
                fs::remove_file(self.place(old))?;
            }
        }
        Ok(entry)
    }

    /// Takes back what was laid into the history and is not put in place.
    pub(super) fn forget(&self, entry: &Entry) -> io::Result<()> {
        fs::remove_file(self.place(entry))
    }

    /// Puts a version in place; nothing is no file.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<()> {
        if !bytes.is_empty() {
            return write(&self.path, bytes);
        }
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => sync_folder(&self.path),
        }
    }

    fn place(&self, entry: &Entry) -> PathBuf {
        let Entry { at, version, .. } = entry;
        self.history.join(format!("{at}-{version}.csv"))
    }
}

/// What is in a file that may be shown.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe would hold the reader up.
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() > LARGEST_SHOWN {
        return Err(io::Error::other("it is no file, or too large to be shown"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(LARGEST_SHOWN)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Makes a folder that only the relay's own user may look into.
pub(super) fn folder(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

/// Writes a file beside its place and moves it there once it is on the disk.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    path.parent().map_or(Ok(()), folder)?;
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&beside, path)?;
    sync_folder(path)
}

fn sync_folder(of: &Path) -> io::Result<()> {
    of.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// The time and the version in a file's name.
fn parts(name: &str) -> Option<(i64, &str)> {
    let (at, version) = name.strip_suffix(".csv")?.split_once('-')?;
    let is_word = !version.is_empty() && version.bytes().all(|b| b.is_ascii_alphanumeric());
    Some((at.parse().ok()?, version)).filter(|_| is_word)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn versions(keep: &Keep) -> Vec<(i64, String)> {
        let entries = keep.entries().unwrap().into_iter();
        entries.map(|entry| (entry.at, entry.version)).collect()
    }

    #[test]
    fn a_version_lies_in_the_history_and_is_put_in_place_for_the_relays_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::of(dir.path());
        assert_eq!(keep.current().unwrap(), b"");
        let entry = keep.remember(5, "abc", b"x").unwrap();
        keep.put(b"x").unwrap();
        assert_eq!(keep.current().unwrap(), b"x");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&assets::kept(dir.path())), 0o600);
        assert_eq!(mode(&keep.place(&entry)), 0o600);
        assert_eq!(mode(&keep.history), 0o700);
        let again = keep.remember(5, "def", b"").unwrap();
        assert_eq!(again.at, 6, "no two have the same time");
        keep.put(b"").unwrap();
        keep.put(b"").unwrap();
        assert!(!assets::kept(dir.path()).exists());
        assert_eq!(
            versions(&keep),
            [(6, "def".to_owned()), (5, "abc".to_owned())]
        );
        assert_eq!(keep.entry(5).unwrap(), Some((entry, b"x".to_vec())));
        assert_eq!(keep.entry(7).unwrap(), None);
        keep.forget(&again).unwrap();
        assert_eq!(versions(&keep), [(5, "abc".to_owned())]);
    }

    #[test]
    fn the_last_hundred_versions_are_kept_and_fewer_large_ones() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::of(dir.path());
        for n in 0..103 {
            keep.remember(n, "a", b"x").unwrap();
        }
        let kept = versions(&keep);
        assert_eq!((kept.len(), kept[0].0, kept[99].0), (100, 102, 3));
        let large = vec![b'x'; LARGEST];
        for n in 0..10 {
            keep.remember(200 + n, "b", &large).unwrap();
        }
        assert_eq!(versions(&keep).len(), 8, "64 MiB");
        fs::write(keep.history.join("notes.txt"), "x").unwrap();
        fs::write(keep.history.join("1-..%2f.csv"), "x").unwrap();
        assert_eq!(versions(&keep).len(), 8, "what is not ours is no version");
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let keep = Keep::of(dir.path());
        fs::create_dir_all(assets::kept(dir.path())).unwrap();
        assert!(keep.current().is_err());
    }
}
