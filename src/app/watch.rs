//! Watches the folder of the configuration, which whoever installs an extension replaces.
//!
//! # Invariants
//! - A change is judged once the folder stood still for two looks; so a file that is being written
//!   is not read half-way. One that lost all that it had gets a minute: an installer that removes
//!   the old before it brings the new must not leave the relay without its destinations.
//! - Files that cannot be used change nothing: it is said, and the relay goes on as it was.
//! - The asset map's file is left to those who watch it: what becomes of it is no other
//!   configuration.
//! - A look costs a `stat` for each of at most [`MOST`] files; they are read only after a change.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::clock::Clock;

/// How often the folder is looked at.
const EVERY: Duration = Duration::from_secs(2);
/// So many looks must have seen the same.
const STILL: u32 = 2;
/// And so many that there is nothing any more.
const STILL_EMPTY: u32 = 30;
/// More files are not looked at.
const MOST: usize = 100;
/// No more of a file is compared.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// Loads the configuration as a start would; with a line for each thing that is wrong.
pub type Load = Arc<dyn Fn() -> Result<(), Vec<String>> + Send + Sync>;

/// The folder, and what stood in it when the configuration was read.
#[derive(Debug)]
pub struct Watch {
    dir: PathBuf,
    /// The last state that was judged.
    judged: Seen,
    /// The state at the last look.
    last: Seen,
    /// How many looks have seen it.
    looks: u32,
    /// What the running relay was started with.
    running: BTreeMap<OsString, Stamp>,
    /// The state before it, by content.
    before: BTreeMap<OsString, Stamp>,
}

/// A hash of what stands in a file; none where that cannot be read.
type Stamp = Option<[u8; 32]>;

/// What one look saw.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    /// The folder is not there, or it is one that was removed while it was mounted.
    Gone,
    /// The folder by its inode, and its files.
    There(u64, BTreeMap<OsString, Mark>),
}

/// What changes when a file does: device, inode, size, and when it was written and changed.
pub(super) type Mark = (u64, u64, u64, (i64, i64), (i64, i64));

/// What became of the folder since it was last judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// It was removed. Where it was mounted, one that took its place is not seen before a new start.
    Gone,
    /// Something in it, or another one took its place.
    Files,
}

/// What is to be done about what stands in the files now.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    load: bool,
    is_as_at_start: bool,
}

impl Watch {
    /// Begins with the folder as it is: before the configuration is read, so that no change is
    /// missed in between.
    pub fn begin(dir: PathBuf) -> Self {
        let seen = look(&dir).unwrap_or(Seen::Gone);
        let running = stamps(&dir, &seen);
        Self {
            dir,
            judged: seen.clone(),
            last: seen,
            looks: 0,
            before: running.clone(),
            running,
        }
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Looks until the relay must be started again, and gives why. The asset map in use, if there
    /// is one, may lie here.
    pub async fn until_changed(mut self, clock: &Clock, map: Option<&Path>, load: Load) -> String {
        loop {
            clock.sleep(EVERY).await;
            let dir = self.dir.clone();
            let Ok(seen) = tokio::task::spawn_blocking(move || look(&dir)).await else {
                tracing::error!("config: the folder is not looked at; it is tried again");
                continue;
            };
            match seen.and_then(|seen| self.judge(seen)) {
                None => {}
                Some(Change::Gone) => {
                    return format!("the folder {} was removed", self.dir.display());
                }
                Some(Change::Files) => {
                    let load = Arc::clone(&load);
                    if let Some(why) = self.files_changed(map, load).await {
                        return why;
                    }
                }
            }
        }
    }

    async fn files_changed(&mut self, map: Option<&Path>, load: Load) -> Option<String> {
        let (dir, seen) = (self.dir.clone(), self.judged.clone());
        let now = tokio::task::spawn_blocking(move || stamps(&dir, &seen)).await;
        let now = match now {
            Ok(now) => now,
            Err(error) => {
                tracing::error!(%error, "config: what changed cannot be read");
                return None;
            }
        };
        let map = map.filter(|path| path.parent() == Some(&self.dir));
        let verdict = self.verdict(now, map.and_then(Path::file_name));
        if verdict.is_as_at_start {
            tracing::info!("config: {} is as it was at the start", self.dir.display());
        }
        if !verdict.load {
            return None;
        }
        let problems = match tokio::task::spawn_blocking(move || load()).await {
            Ok(Ok(())) => {
                return Some(format!(
                    "the configuration in {} changed",
                    self.dir.display()
                ));
            }
            Ok(Err(problems)) => problems,
            Err(error) => vec![error.to_string()],
        };
        for problem in problems {
            tracing::error!("config: {problem}");
        }
        let dir = self.dir.display();
        tracing::error!(
            "config: what changed in {dir} cannot be used; the relay goes on as it was"
        );
        None
    }

    /// What became of the folder, once it stood still for long enough.
    fn judge(&mut self, seen: Seen) -> Option<Change> {
        self.looks = if seen == self.last {
            self.looks.saturating_add(1)
        } else {
            1
        };
        self.last = seen;
        let has_lost_all = !self.before.is_empty() && self.last.is_empty();
        let enough = if has_lost_all { STILL_EMPTY } else { STILL };
        if self.looks < enough || self.last == self.judged {
            return None;
        }
        let before = std::mem::replace(&mut self.judged, self.last.clone());
        match (before, &self.judged) {
            (Seen::There(..), Seen::Gone) => Some(Change::Gone),
            _ => Some(Change::Files),
        }
    }

    /// What is to be done where the files hold this now; the map is the asset map's name, where it
    /// lies here.
    fn verdict(
        &mut self,
        now: BTreeMap<OsString, Stamp>,
        map: Option<&std::ffi::OsStr>,
    ) -> Verdict {
        let rest = |stamps: &BTreeMap<OsString, Stamp>| -> BTreeSet<(OsString, Stamp)> {
            let all = stamps
                .iter()
                .filter(|(name, _)| Some(name.as_os_str()) != map);
            all.map(|(name, stamp)| (name.clone(), *stamp)).collect()
        };
        let differs = rest(&self.running) != rest(&now);
        let differed = rest(&self.before) != rest(&self.running);
        self.before = now;
        Verdict {
            load: differs,
            is_as_at_start: differed && !differs,
        }
    }
}

impl Seen {
    fn is_empty(&self) -> bool {
        match self {
            Self::Gone => true,
            Self::There(_, files) => files.is_empty(),
        }
    }
}

/// None where it cannot be seen.
fn look(dir: &Path) -> Option<Seen> {
    let folder = match std::fs::metadata(dir) {
        Ok(folder) => folder,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Seen::Gone),
        Err(_) => return None,
    };
    // A folder that was removed while it is mounted is still there, without a name.
    if folder.nlink() == 0 {
        return Some(Seen::Gone);
    }
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let marks = entries.take(MOST).filter_map(|entry| {
        let metadata = std::fs::metadata(entry.path()).ok()?;
        Some((entry.file_name(), mark(&metadata)))
    });
    Some(Seen::There(folder.ino(), marks.collect()))
}

/// What is to be compared of a file.
pub(super) fn mark(file: &Metadata) -> Mark {
    (
        file.dev(),
        file.ino(),
        file.size(),
        (file.mtime(), file.mtime_nsec()),
        (file.ctime(), file.ctime_nsec()),
    )
}

fn stamps(dir: &Path, seen: &Seen) -> BTreeMap<OsString, Stamp> {
    let Seen::There(_, files) = seen else {
        return BTreeMap::new();
    };
    let names = files.keys();
    names
        .map(|name| (name.clone(), stamp(&dir.join(name))))
        .collect()
}

fn stamp(path: &Path) -> Stamp {
    // What is no file is not opened: a pipe would hold the reader up.
    std::fs::metadata(path).ok().filter(Metadata::is_file)?;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    file.take(MOST_BYTES).read_to_end(&mut bytes).ok()?;
    Some(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks until something is judged; at most so often.
    fn looks(watch: &mut Watch, most: usize) -> Option<Change> {
        (0..most).find_map(|_| {
            let seen = look(&watch.dir).unwrap();
            watch.judge(seen)
        })
    }

    fn verdict(watch: &mut Watch) -> Verdict {
        let now = stamps(&watch.dir, &watch.judged);
        watch.verdict(now, Some("assets.csv".as_ref()))
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("config");
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(".env"), "A=1\n").unwrap();
        std::fs::write(dir.join("assets.csv"), "1").unwrap();
        (parent, dir)
    }

    #[test]
    fn a_change_counts_once_it_stood_still_for_two_looks_and_then_once() {
        let (_parent, dir) = folder();
        let mut watch = Watch::begin(dir.clone());
        assert_eq!(looks(&mut watch, 3), None);
        for half in ["A=22\n", "A=333\n", "A=4444\n"] {
            std::fs::write(dir.join(".env"), half).unwrap();
            assert_eq!(looks(&mut watch, 1), None, "it is being written");
        }
        assert_eq!(looks(&mut watch, 1), Some(Change::Files));
        assert!(verdict(&mut watch).load);
        assert_eq!(looks(&mut watch, 3), None);
    }

    #[test]
    fn the_asset_map_is_no_other_configuration_and_what_was_only_touched_is_nothing() {
        let (_parent, dir) = folder();
        let mut watch = Watch::begin(dir.clone());
        let nothing = Verdict {
            load: false,
            is_as_at_start: false,
        };
        std::fs::write(dir.join("assets.csv"), "22").unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        assert_eq!(verdict(&mut watch), nothing);
        // The same text again, in another file.
        std::fs::write(dir.join("new"), "A=1\n").unwrap();
        std::fs::rename(dir.join("new"), dir.join(".env")).unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        assert_eq!(verdict(&mut watch), nothing);
        std::fs::remove_file(dir.join("assets.csv")).unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        assert_eq!(verdict(&mut watch), nothing, "the old one stays in use");
        std::fs::write(dir.join("assets.csv"), "333").unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        assert_eq!(verdict(&mut watch), nothing);
    }

    #[test]
    fn a_map_that_comes_where_none_is_in_use_is_another_configuration() {
        let (_parent, dir) = folder();
        std::fs::remove_file(dir.join("assets.csv")).unwrap();
        let mut watch = Watch::begin(dir.clone());
        std::fs::write(dir.join("assets.csv"), "1").unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        let now = stamps(&watch.dir, &watch.judged);
        assert!(watch.verdict(now, None).load);
    }

    #[test]
    fn what_is_set_back_is_as_at_the_start() {
        let (_parent, dir) = folder();
        let mut watch = Watch::begin(dir.clone());
        std::fs::write(dir.join(".env"), "A=\"\n").unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        assert!(verdict(&mut watch).load);
        std::fs::write(dir.join(".env"), "A=1\n").unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        let verdict = verdict(&mut watch);
        assert!(verdict.is_as_at_start && !verdict.load, "{verdict:?}");
    }

    #[test]
    fn a_folder_that_was_removed_or_emptied_gets_a_minute_to_come_back() {
        let minute = usize::try_from(STILL_EMPTY).unwrap();
        let (parent, dir) = folder();
        let mut watch = Watch::begin(dir.clone());
        std::fs::rename(&dir, parent.path().join("old")).unwrap();
        assert_eq!(looks(&mut watch, minute - 1), None);
        assert_eq!(looks(&mut watch, 1), Some(Change::Gone));

        let mut watch = Watch::begin(dir.clone());
        assert_eq!(
            looks(&mut watch, minute),
            None,
            "it was not there at the start"
        );
        std::fs::create_dir(&dir).unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files), "it comes");

        std::fs::write(dir.join(".env"), "A=1\n").unwrap();
        let mut watch = Watch::begin(dir.clone());
        std::fs::remove_file(dir.join(".env")).unwrap();
        assert_eq!(
            looks(&mut watch, minute - 1),
            None,
            "it may be brought anew"
        );
        std::fs::write(dir.join(".env"), "A=1\n").unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        assert!(!verdict(&mut watch).load, "it is as it was");
    }

    #[test]
    fn a_folder_that_took_the_place_of_another_is_judged_by_its_files() {
        let (parent, dir) = folder();
        let mut watch = Watch::begin(dir.clone());
        std::fs::rename(&dir, parent.path().join("old")).unwrap();
        std::fs::create_dir(&dir).unwrap();
        std::fs::write(dir.join(".env"), "A=2\n").unwrap();
        assert_eq!(looks(&mut watch, 2), Some(Change::Files));
        assert!(verdict(&mut watch).load);
    }

    #[test]
    fn no_more_than_a_hundred_files_are_looked_at() {
        let (_parent, dir) = folder();
        for n in 0..2 * MOST {
            std::fs::write(dir.join(n.to_string()), "").unwrap();
        }
        assert!(matches!(look(&dir), Some(Seen::There(_, files)) if files.len() == MOST));
    }
}
