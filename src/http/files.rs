//! What is made of files, and made anew when they change.
//!
//! # Invariants
//! - Files are looked at when somebody asks for that, at most once in [`PAUSE`].
//! - While what stands in them cannot be used, what was made before stays; each change is told
//!   once.
//! - Whoever wants what was made never waits for a file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// Files are not looked at more often.
const PAUSE: Duration = Duration::from_secs(1);

/// A hash of what stands in each file; one that cannot be read has none. The time of a change
/// would not do: a file system's clock may tick too slowly for two changes.
pub type Stamps = Vec<Option<[u8; 32]>>;

/// Something that was made of files.
#[derive(Debug)]
pub struct FromFiles<T> {
    files: Vec<PathBuf>,
    made: Mutex<Made<T>>,
    looked: Mutex<Looked>,
}

#[derive(Debug)]
struct Made<T> {
    value: T,
    of: Stamps,
}

/// The last look: when it was, and what stood in the files.
#[derive(Debug)]
struct Looked {
    at: Instant,
    saw: Stamps,
}

impl<T: Clone> FromFiles<T> {
    /// Makes it for the first time.
    pub fn make<E>(files: Vec<PathBuf>, make: impl FnOnce() -> Result<T, E>) -> Result<Self, E> {
        // Before they are read: a change in between is then seen the next time.
        let saw = stamps(&files);
        let value = make()?;
        let of = saw.clone();
        let at = Instant::now();
        Ok(Self {
            files,
            made: Mutex::new(Made { value, of }),
            looked: Mutex::new(Looked { at, saw }),
        })
    }

    /// What was made last.
    pub fn current(&self) -> T {
        self.made().value.clone()
    }

    /// The files that it was made of, as they were then.
    pub fn made_of(&self) -> Stamps {
        self.made().of.clone()
    }

    /// The files as they are now.
    pub fn stamps(&self) -> Stamps {
        stamps(&self.files)
    }

    /// Looks at the files, unless that was done just now, and makes it anew if they have changed
    /// since the last look. None where there was nothing to make.
    pub fn look<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Option<Result<(), E>> {
        self.look_at(Instant::now(), make)
    }

    fn look_at<E>(
        &self,
        now: Instant,
        make: impl FnOnce() -> Result<T, E>,
    ) -> Option<Result<(), E>> {
        let mut looked = match self.looked.try_lock() {
            Ok(looked) => looked,
            Err(TryLockError::Poisoned(looked)) => looked.into_inner(),
            // Somebody else is looking.
            Err(TryLockError::WouldBlock) => return None,
        };
        if self.files.is_empty() || now.duration_since(looked.at) < PAUSE {
            return None;
        }
        looked.at = now;
        let stamps = self.stamps();
        if stamps == looked.saw {
            return None;
        }
        looked.saw.clone_from(&stamps);
        Some(make().map(|value| *self.made() = Made { value, of: stamps }))
    }

    fn made(&self) -> MutexGuard<'_, Made<T>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamps(files: &[impl AsRef<Path>]) -> Stamps {
    let stamp = |path: &_| Some(Sha256::digest(std::fs::read(path).ok()?).into());
    files.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_cannot_be_used_leave_what_was_made_of_those_before_and_are_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        let read = || std::fs::read_to_string(&path).unwrap().parse::<u8>();
        let write = |text: &str| std::fs::write(&path, text).unwrap();
        write("1");
        let number = FromFiles::make(vec![path.clone()], read).unwrap();
        let start = Instant::now();
        let look = |n| number.look_at(start + PAUSE * n, read);
        write("2");
        assert!(number.look(read).is_none(), "it was looked at just now");
        assert_eq!(number.current(), 1);
        assert!(look(1).unwrap().is_ok());
        assert_eq!(number.current(), 2);
        let made_of = number.made_of();
        write("x");
        assert!(look(2).unwrap().is_err());
        assert!(look(3).is_none(), "it is told once");
        assert_eq!((number.current(), number.made_of()), (2, made_of));
        write("2");
        assert!(look(4).unwrap().is_ok(), "it can be used again");
        assert_eq!(number.made_of(), number.stamps());
    }
}
