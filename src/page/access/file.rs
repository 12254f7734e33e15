//! Files that only the relay may read, written whole.
//!
//! # Invariants
//! - What is written has mode 0600 from its first byte, and is on the disk before it has its name.
//! - Nothing is read without an end.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Which file it is: one that was written anew has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    inode: u64,
    modified: (i64, i64),
    length: u64,
}

/// Which file lies there, if there is one.
pub(super) fn mark(path: &Path) -> std::io::Result<Option<Mark>> {
    Ok(there(std::fs::metadata(path))?.map(|found| Mark {
        inode: found.ino(),
        modified: (found.mtime(), found.mtime_nsec()),
        length: found.len(),
    }))
}

/// What it holds, if there is one.
pub(super) fn read(path: &Path, longest: u64) -> std::io::Result<Option<Vec<u8>>> {
    let Some(found) = there(std::fs::metadata(path))? else {
        return Ok(None);
    };
    if !found.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    let Some(file) = there(File::open(path))? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(longest + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > longest) {
        return Err(std::io::Error::other(format!(
            "it is longer than {longest} bytes"
        )));
    }
    Ok(Some(bytes))
}

/// Writes it, as a whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("new");
    // One that was left behind may have other rights.
    there(std::fs::remove_file(&unfinished))?;
    let written = write_new(&unfinished, bytes).and_then(|()| std::fs::rename(&unfinished, path));
    if let Err(error) = written {
        // Half of it is good for nothing, and the disk may be full.
        std::fs::remove_file(&unfinished).ok();
        return Err(error);
    }
    sync_dir(path)
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes it, where it is there.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match there(std::fs::remove_file(path))? {
        Some(()) => sync_dir(path),
        None => Ok(()),
    }
}

/// Makes a directory that nobody else may look into.
pub(super) fn make_dir(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

/// Keeps others out, a command for instance, until what is returned is dropped.
pub(super) fn lock(path: &Path) -> std::io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.lock()?;
    Ok(file)
}

fn there<T>(found: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn sync_dir(path: &Path) -> std::io::Result<()> {
    path.parent()
        .map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_take_its_place_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("accounts.json");
        // A full folder in its place cannot be replaced.
        std::fs::create_dir_all(path.join("x")).unwrap();
        assert!(write(&path, b"{}").is_err());
        assert!(!path.with_extension("new").exists());
    }
}
