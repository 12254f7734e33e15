//! The asset map's file: loaded at start, when it has changed, and when a person asks for it.
//!
//! # Invariants
//! - A bad file at start is an error; a bad or missing file later keeps the map that is in use, and
//!   is said once for each change.
//! - Where none is configured the map is the one that the page keeps; while that file is not there,
//!   the map is empty.
//! - A change is read once size and time stood still for [`STILL`]; one that goes on meanwhile is
//!   not taken. So a file that is being written is not read half-way.
//! - One reader at a time: an older file never takes the place of a newer one.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::watch::{Mark, mark};
use crate::clock::{Clock, until};
use crate::relay::assets::AssetMap;

/// How often the file is looked at.
const EVERY: Duration = Duration::from_millis(500);
/// So long it must have looked the same.
const STILL: Duration = Duration::from_secs(2);

const NOT_THERE: Seen = Seen::Not(ErrorKind::NotFound);

/// Where the page keeps the asset map.
pub fn kept(data_dir: &Path) -> PathBuf {
    data_dir.join("page").join("assets.csv")
}

/// The asset map in use, and where it came from.
#[derive(Debug)]
pub struct Assets {
    path: PathBuf,
    is_kept: bool,
    current: watch::Sender<Arc<AssetMap>>,
    stand: Mutex<Stand>,
}

/// How the file looks, and since when.
#[derive(Debug)]
struct Stand {
    /// When it was read.
    read: Seen,
    /// At the last look.
    last: Seen,
    since: Timestamp,
    /// Whether it could not be used when it was read.
    trouble: bool,
}

/// What one look at the file saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    There(Mark),
    Not(ErrorKind),
}

impl Assets {
    /// Loads the map: of the file that is configured, else the one that the page keeps.
    pub fn load(configured: Option<PathBuf>, data_dir: &Path) -> anyhow::Result<Self> {
        let kept = kept(data_dir);
        let path = configured.unwrap_or_else(|| kept.clone());
        let is_kept = path == kept;
        // Before it is read: what changes meanwhile is then seen.
        let seen = Seen::look(&path);
        let map = read_of(&path, is_kept)?;
        if seen != NOT_THERE {
            say(&map, &path);
        }
        let stand = Stand {
            read: seen,
            last: seen,
            since: Timestamp::UNIX_EPOCH,
            trouble: false,
        };
        Ok(Self {
            path,
            is_kept,
            current: watch::Sender::new(Arc::new(map)),
            stand: Mutex::new(stand),
        })
    }

    /// Whether the file can be loaded.
    pub fn check(path: Option<&Path>) -> anyhow::Result<()> {
        path.map_or(Ok(()), |path| read(path).map(drop))
    }

    /// How many rows the file has, if it can be loaded.
    pub fn rows(path: &Path) -> anyhow::Result<usize> {
        read(path).map(|map| map.len())
    }

    /// The map that a file holds; without one it is empty.
    pub fn map(path: Option<&Path>) -> anyhow::Result<AssetMap> {
        path.map_or_else(|| Ok(AssetMap::empty()), read)
    }

    /// The file, which may not be there yet where the page keeps it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is the one that the page keeps.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// The map in use.
    pub fn current(&self) -> watch::Receiver<Arc<AssetMap>> {
        self.current.subscribe()
    }

    /// Reads the file again, since a person asks for it.
    pub fn reload(&self) {
        let path = &self.path;
        let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Seen::look(path);
        (stand.read, stand.last) = (seen, seen);
        match read_of(path, self.is_kept) {
            Ok(map) => {
                stand.trouble = false;
                self.publish(map, path);
            }
            Err(error) => {
                stand.trouble = true;
                complain(&error, path, seen);
            }
        }
    }

    /// Reads the file whenever it has changed, until the stop.
    pub async fn watch(self: Arc<Self>, clock: Clock, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = clock.sleep(EVERY) => {}
            }
            let (assets, now) = (Arc::clone(&self), clock.steady());
            let looked = tokio::task::spawn_blocking(move || assets.look(now)).await;
            if let Err(error) = looked {
                tracing::error!(%error, "asset map: the file is not looked at; it is tried again");
            }
        }
    }

    /// Looks at the file, and reads it if it has changed and stands still.
    fn look(&self, now: Timestamp) {
        let path = &self.path;
        let mut stand = self.stand.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = Seen::look(path);
        if !stand.is_still(seen, now) {
            return;
        }
        let map = read_of(path, self.is_kept);
        if Seen::look(path) != seen {
            // It is looked at again, and read once it stands still.
            return;
        }
        stand.read = seen;
        match map {
            Ok(map) => {
                let is_new = map.version() != self.current.borrow().version();
                if is_new || stand.trouble {
                    self.publish(map, path);
                }
                stand.trouble = false;
            }
            Err(error) => {
                stand.trouble = true;
                complain(&error, path, seen);
            }
        }
    }

    fn publish(&self, map: AssetMap, path: &Path) {
        let map = Arc::new(map);
        self.current.send_replace(Arc::clone(&map));
        // Who reads that it is loaded may go by it.
        say(&map, path);
    }
}

impl Stand {
    /// Whether it has changed since it was read, and not lately.
    fn is_still(&mut self, seen: Seen, now: Timestamp) -> bool {
        if seen != self.last {
            (self.last, self.since) = (seen, now);
        }
        self.last != self.read && until(self.since, now) >= STILL
    }
}

impl Seen {
    fn look(path: &Path) -> Self {
        match std::fs::metadata(path) {
            Ok(metadata) => Self::There(mark(&metadata)),
            Err(error) => Self::Not(error.kind()),
        }
    }
}

fn say(map: &AssetMap, path: &Path) {
    let (rows, version, path) = (map.len(), map.version(), path.display());
    tracing::info!("asset map: {rows} rows from {path}, version {version}");
}

fn complain(error: &anyhow::Error, path: &Path, seen: Seen) {
    if seen == NOT_THERE {
        let path = path.display();
        tracing::error!(
            "asset map: the old one stays in use until the next start: {path} is not there"
        );
    } else {
        tracing::error!(
            "asset map: the old one stays in use until the next start, which this file would stop: {error:#}"
        );
    }
}

fn read_of(path: &Path, is_kept: bool) -> anyhow::Result<AssetMap> {
    // A data directory that cannot be one is the journal's affair, which waits for it.
    let none = [NOT_THERE, Seen::Not(ErrorKind::NotADirectory)];
    if is_kept && none.contains(&Seen::look(path)) {
        return Ok(AssetMap::empty());
    }
    read(path)
}

fn read(path: &Path) -> anyhow::Result<AssetMap> {
    // A pipe would hold the reader up.
    let is_other = std::fs::metadata(path).is_ok_and(|other| !other.is_file());
    anyhow::ensure!(!is_other, "asset map {}: it is no file", path.display());
    let bytes = std::fs::read(path).with_context(|| format!("asset map {}", path.display()))?;
    AssetMap::parse(&bytes).with_context(|| format!("asset map {}", path.display()))
}

#[cfg(test)]
mod tests {
    use crate::clock::Hand;

    use super::*;

    /// A map's file, and a clock that stands still.
    struct World {
        dir: tempfile::TempDir,
        assets: Arc<Assets>,
        maps: watch::Receiver<Arc<AssetMap>>,
        clock: Clock,
        hand: Hand,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("assets.csv");
            std::fs::write(&path, "robot,asset_id\nr,P1\n").unwrap();
            let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
            let assets = Arc::new(Assets::load(Some(path), dir.path()).unwrap());
            let maps = assets.current();
            Self {
                dir,
                assets,
                maps,
                clock,
                hand,
            }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("assets.csv")
        }

        fn write(&self, rows: &str) {
            std::fs::write(self.path(), format!("robot,asset_id\n{rows}")).unwrap();
        }

        /// So many looks; how many rows the map has if there came one.
        fn looks(&mut self, count: u32) -> Option<usize> {
            for _ in 0..count {
                self.hand.advance(EVERY);
                self.assets.look(self.clock.steady());
            }
            let is_new = self.maps.has_changed().unwrap();
            is_new.then(|| self.maps.borrow_and_update().len())
        }

        fn is_in_trouble(&self) -> bool {
            self.assets.stand.lock().unwrap().trouble
        }
    }

    #[test]
    fn a_change_is_read_once_it_stood_still_for_two_seconds_and_then_once() {
        let mut world = World::new();
        assert_eq!(world.looks(10), None);
        for part in ["r,P1\n", "r,P1\ns,P2\n", "r,P1\ns,P2\nt,P3\n"] {
            world.write(part);
            assert_eq!(world.looks(4), None, "it may still be written");
        }
        assert_eq!(world.looks(1), Some(3));
        assert_eq!(world.looks(10), None);
    }

    #[test]
    fn a_file_that_was_only_touched_or_written_alike_is_no_new_map() {
        let mut world = World::new();
        world.write("r,P1\n");
        assert_eq!(world.looks(10), None);
    }

    #[test]
    fn a_bad_file_keeps_the_old_map_and_each_change_is_read_once() {
        let mut world = World::new();
        world.write("r,P1\n,P2\n");
        assert_eq!(world.looks(10), None);
        assert!(world.is_in_trouble());
        let read = world.assets.stand.lock().unwrap().read;
        assert_eq!(read, Seen::look(&world.path()), "it is not read again");
        assert_eq!(world.maps.borrow().len(), 1);
        world.write("r,P1\ns,P2\n");
        assert_eq!(world.looks(5), Some(2));
        assert!(!world.is_in_trouble());
    }

    #[test]
    fn a_missing_file_keeps_the_old_map_and_one_that_comes_back_is_read() {
        let mut world = World::new();
        std::fs::remove_file(world.path()).unwrap();
        assert_eq!(world.looks(4), None);
        assert!(!world.is_in_trouble(), "it may be about to be replaced");
        assert_eq!(world.looks(10), None);
        assert!(world.is_in_trouble());
        assert_eq!(world.maps.borrow().len(), 1);
        world.write("s,P2\nt,P3\n");
        assert_eq!(world.looks(5), Some(2));
    }

    #[test]
    fn a_file_that_a_person_had_read_is_not_read_again() {
        let mut world = World::new();
        world.write("r,P1\ns,P2\n");
        world.assets.reload();
        assert_eq!(world.looks(1), Some(2));
        assert_eq!(world.looks(10), None);
    }

    #[test]
    fn without_a_configured_map_the_one_that_the_page_keeps_counts_as_soon_as_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = kept(dir.path());
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let assets = Arc::new(Assets::load(None, dir.path()).unwrap());
        let maps = assets.current();
        assert!(assets.is_kept() && maps.borrow().is_empty());
        let mut world = World {
            dir,
            assets,
            maps,
            clock,
            hand,
        };
        assert_eq!(world.looks(10), None);
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "robot,asset_id\nr,P1\n").unwrap();
        world.assets.reload();
        assert_eq!(world.looks(1), Some(1), "a person asked for it");
        std::fs::write(&path, "robot,asset_id\nr,P1\ns,P2\n").unwrap();
        assert_eq!(world.looks(6), Some(2), "it is seen to change");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(world.looks(6), Some(0), "without it there is no row");
        assert_eq!(world.maps.borrow().version(), "none");
        std::fs::write(&path, "asset_id\nP1\n").unwrap();
        let bad = Assets::load(Some(path), world.dir.path());
        assert!(bad.is_err(), "a bad one is an error at start");
    }

    #[tokio::test]
    async fn the_watch_goes_by_the_clock_and_ends_with_the_stop() {
        let mut world = World::new();
        let stop = CancellationToken::new();
        let watch = Arc::clone(&world.assets).watch(world.clock.clone(), stop.clone());
        let watch = tokio::spawn(watch);
        world.write("r,P1\ns,P2\n");
        let changed = async {
            // Each look needs time of its own to be made.
            while !world.maps.has_changed().unwrap() {
                world.hand.advance(EVERY);
                tokio::task::yield_now().await;
            }
        };
        let bound = Duration::from_secs(30);
        tokio::time::timeout(bound, changed).await.unwrap();
        assert_eq!(world.maps.borrow_and_update().len(), 2);
        stop.cancel();
        tokio::time::timeout(bound, watch).await.unwrap().unwrap();
    }
}
