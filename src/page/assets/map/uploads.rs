//! Files that were uploaded and wait to be confirmed.
//!
//! # Invariants
//! - At most [`MOST`] wait, each for at most [`LASTS`]; the oldest goes first.
//! - A name is made here, never taken from outside.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use super::keep;
use crate::clock::until;

const MOST: usize = 10;
const LASTS: Duration = Duration::from_hours(1);

/// The place where they wait.
#[derive(Clone, Debug)]
pub(super) struct Uploads(PathBuf);

impl Uploads {
    pub(super) fn of(data_dir: &Path) -> Self {
        Self(data_dir.join("page").join("uploads"))
    }

    /// Keeps a file; its name.
    pub(super) fn keep(&self, now: Timestamp, bytes: &[u8]) -> io::Result<String> {
        self.tidy(now, MOST - 1)?;
        let chance = getrandom::u64().map_err(io::Error::other)?;
        let name = format!("{}-{chance:016x}", now.as_millisecond().max(0));
        keep::write(&self.place(&name), bytes)?;
        Ok(name)
    }

    /// What waits under a name; none if nothing does any more.
    pub(super) fn get(&self, now: Timestamp, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.tidy(now, MOST)?;
        if made_at(name).is_none() {
            return Ok(None);
        }
        match keep::read(&self.place(name)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Lets one go.
    pub(super) fn drop(&self, name: &str) -> io::Result<()> {
        if made_at(name).is_none() {
            return Ok(());
        }
        match fs::remove_file(self.place(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Lets go what is too old, and all but the newest `most`.
    fn tidy(&self, now: Timestamp, most: usize) -> io::Result<()> {
        let listed = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        let mut names = Vec::new();
        for file in listed {
            let name = file?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".csv"));
            if let Some((at, name)) = name.and_then(|name| Some((made_at(name)?, name))) {
                names.push((at, name.to_owned()));
            }
        }
        names.sort_unstable();
        let many = names.len().saturating_sub(most);
        for (n, (at, name)) in names.iter().enumerate() {
            // One from the future is of a clock that was wrong.
            let is_old = until(*at, now) > LASTS || until(now, *at) > LASTS;
            if n < many || is_old {
                self.drop(name)?;
            }
        }
        Ok(())
    }

    fn place(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.csv"))
    }
}

/// When a file was kept, by its name; none where that is no name of ours.
fn made_at(name: &str) -> Option<Timestamp> {
    let (at, chance) = name.split_once('-')?;
    let is_ours = chance.len() == 16
        && chance.bytes().all(|b| b.is_ascii_hexdigit())
        && at.len() <= 15
        && at.bytes().all(|b| b.is_ascii_digit());
    let at = at.parse().ok().filter(|_| is_ours)?;
    Timestamp::from_millisecond(at).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::later;

    #[test]
    fn ten_files_wait_for_an_hour_and_the_oldest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::of(dir.path());
        let start = Timestamp::from_second(1_770_000_000).unwrap();
        let minute = |n: u64| later(start, Duration::from_mins(n));
        let names: Vec<String> = (0..11)
            .map(|n| uploads.keep(minute(n), b"x").unwrap())
            .collect();
        let waits = |n: usize, at| uploads.get(at, &names[n]).unwrap().is_some();
        assert!(!waits(0, minute(10)), "the eleventh took its place");
        assert!(waits(1, minute(10)));
        assert!(waits(1, minute(61)));
        assert!(!waits(1, minute(62)), "an hour is over");
        assert!(waits(10, minute(62)));
        uploads.drop(&names[10]).unwrap();
        uploads.drop(&names[10]).unwrap();
        assert!(!waits(10, minute(62)));
        let left = fs::read_dir(&uploads.0).unwrap().count();
        assert_eq!(left, 8);
    }

    #[test]
    fn only_names_that_were_made_here_are_looked_for() {
        let dir = tempfile::tempdir().unwrap();
        let uploads = Uploads::of(dir.path());
        fs::create_dir_all(&uploads.0).unwrap();
        fs::write(dir.path().join("page").join("accounts.csv"), "x").unwrap();
        for name in [
            "../accounts",
            "",
            "1-",
            "-0123456789abcdef",
            "1-0123456789abcde/",
            "é-x",
        ] {
            assert_eq!(
                uploads.get(Timestamp::UNIX_EPOCH, name).unwrap(),
                None,
                "{name}"
            );
            uploads.drop(name).unwrap();
        }
        assert!(dir.path().join("page").join("accounts.csv").exists());
    }
}
