//! How much room the journal has: what it takes, what it may take, what is left of the disk.
//!
//! # Invariants
//! - [`judge`] is pure.
//! - Looking costs commits nothing to speak of: it is done at most every [`EVERY`] or
//!   [`EVERY_GROUPS`], and the disk is asked at most once a second, or once in [`ASK_AFTER`].
//! - The log says once that room gets short, once that there is none, and once that it is over.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::open::DATABASE;
use super::store::Store;
use crate::clock::until;

/// So much of the disk stays free: for what waits to be delivered, and for the log.
const RESERVE: u64 = 64 * 1024 * 1024;
/// From so many hundredths on, room gets short; below so many, that is over.
const SHORT: u64 = 80;
const OVER: u64 = 75;
/// How often is looked, by time and by groups.
const EVERY: Duration = Duration::from_millis(100);
const EVERY_GROUPS: u32 = 16;
/// How often the disk is asked, by time and by what the journal has grown.
const EVERY_DISK: Duration = Duration::from_secs(1);
const ASK_AFTER: u64 = 4 * 1024 * 1024;

/// How much room the journal has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// What it takes, in bytes: its pages, without those that are free to be used again.
    pub used_bytes: u64,
    /// What it may take.
    pub limit_bytes: u64,
    /// What the disk has, where it says that.
    pub disk: Option<Disk>,
    /// Whether that is enough.
    pub level: Level,
}

/// The file system that the journal lies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Bytes that are free for the relay.
    pub free_bytes: u64,
    /// All bytes.
    pub total_bytes: u64,
}

/// Whether there is room for new events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is.
    #[default]
    Enough,
    /// There is, but somebody should see to it.
    Filling,
    /// There is none: only what is there already goes on.
    Full,
}

impl fmt::Display for Room {
    /// The numbers in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (used, limit) = (Bytes(self.used_bytes), Bytes(self.limit_bytes));
        write!(f, "it takes {used} of the {limit} that it may take")?;
        if let Some(disk) = self.disk {
            let (free, reserve) = (Bytes(disk.free_bytes), Bytes(RESERVE));
            write!(
                f,
                "; {free} of the disk are free, of which {reserve} stay free for what waits"
            )?;
        }
        Ok(())
    }
}

impl Room {
    /// How much room a journal in this directory has, looked at from outside. Where there is none
    /// yet it takes nothing.
    pub fn look(data_dir: &Path, limit_bytes: u64) -> Self {
        let used_bytes = std::fs::metadata(data_dir.join(DATABASE)).map_or(0, |file| file.len());
        let disk = ask_disk(data_dir);
        Self {
            used_bytes,
            limit_bytes,
            disk,
            level: judge(Level::Enough, used_bytes, limit_bytes, disk),
        }
    }
}

/// A file system that counts nothing, or cannot be asked, is not judged.
fn ask_disk(data_dir: &Path) -> Option<Disk> {
    let stat = rustix::fs::statvfs(data_dir).ok()?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    (stat.f_blocks > 0).then(|| Disk {
        free_bytes: bytes(stat.f_bavail),
        total_bytes: bytes(stat.f_blocks),
    })
}

/// Bytes as people read them.
struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shift = 0;
        let mut units = ["bytes", "KiB", "MiB", "GiB"].into_iter();
        let mut unit = units.next().unwrap_or_default();
        for larger in units {
            if self.0 >> shift < 1024 {
                break;
            }
            shift += 10;
            unit = larger;
        }
        let whole = self.0 >> shift;
        let tenths = ((self.0 - (whole << shift)) * 10) >> shift;
        if tenths == 0 {
            write!(f, "{whole} {unit}")
        } else {
            write!(f, "{whole}.{tenths} {unit}")
        }
    }
}

/// What the numbers mean, where it was `before`.
fn judge(before: Level, used: u64, limit: u64, disk: Option<Disk>) -> Level {
    let short = if before == Level::Enough { SHORT } else { OVER };
    let is_short =
        |part: u64, whole: u64| u128::from(part) * 100 >= u128::from(whole) * u128::from(short);
    let mut level = if used >= limit {
        Level::Full
    } else if is_short(used, limit) {
        Level::Filling
    } else {
        Level::Enough
    };
    if let Some(disk) = disk {
        // A disk that has more left than the journal may still take is no limit to it.
        let left = disk.free_bytes.saturating_sub(RESERVE);
        let taken = disk.total_bytes.saturating_sub(disk.free_bytes);
        let usable = disk.total_bytes.saturating_sub(RESERVE);
        if disk.free_bytes < RESERVE {
            level = Level::Full;
        } else if left < limit.saturating_sub(used) && is_short(taken, usable) {
            level = level.max(Level::Filling);
        }
    }
    level
}

/// Looks now and then.
pub(super) struct Gauge {
    data_dir: PathBuf,
    room: watch::Sender<Room>,
    looked_at: Timestamp,
    asked_at: Timestamp,
    /// What the journal took then.
    asked_with: u64,
    groups: u32,
    /// The worst that the log has said since there was enough.
    said: Level,
}

impl Gauge {
    pub(super) fn new(data_dir: PathBuf, limit_bytes: u64) -> (Self, watch::Receiver<Room>) {
        let (room, seen) = watch::channel(Room {
            limit_bytes,
            ..Room::default()
        });
        let gauge = Self {
            data_dir,
            room,
            looked_at: Timestamp::MIN,
            asked_at: Timestamp::MIN,
            asked_with: 0,
            groups: 0,
            said: Level::Enough,
        };
        (gauge, seen)
    }

    pub(super) fn level(&self) -> Level {
        self.room.borrow().level
    }

    /// Before each group; `idle` when there is none.
    pub(super) fn look(&mut self, store: &mut Store, now: Timestamp, idle: bool) {
        self.groups += 1;
        if !idle && self.groups < EVERY_GROUPS && until(self.looked_at, now) < EVERY {
            return;
        }
        self.groups = 0;
        self.looked_at = now;
        // Whatever keeps it from being read fails the next commit, and is said there.
        let Ok(used) = store.used_bytes() else { return };
        let before = self.room.borrow().clone();
        let grown = used.saturating_sub(self.asked_with) >= ASK_AFTER;
        let disk = if idle || grown || until(self.asked_at, now) >= EVERY_DISK {
            self.asked_at = now;
            self.asked_with = used;
            ask_disk(&self.data_dir)
        } else {
            before.disk
        };
        let room = Room {
            used_bytes: used,
            limit_bytes: before.limit_bytes,
            disk,
            level: judge(before.level, used, before.limit_bytes, disk),
        };
        store.set_full((room.level == Level::Full).then(|| room.to_string()));
        self.say(&room);
        self.room.send_if_modified(|before| {
            let changed = *before != room;
            *before = room;
            changed
        });
    }

    fn say(&mut self, room: &Room) {
        if room.level == Level::Enough {
            if self.said != Level::Enough {
                tracing::info!("journal: there is room again: {room}");
            }
            self.said = Level::Enough;
        } else if room.level > self.said {
            self.said = room.level;
            if room.level == Level::Full {
                tracing::error!(
                    "journal: full, new events are answered 503 until there is room: {room}"
                );
            } else {
                tracing::warn!("journal: filling; at its limit new events are refused: {room}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const GIB: u64 = 1024 * MIB;

    fn disk(free_mib: u64, total_mib: u64) -> Disk {
        Disk {
            free_bytes: free_mib * MIB,
            total_bytes: total_mib * MIB,
        }
    }

    #[test]
    fn four_fifths_of_what_it_may_take_is_filling_and_all_of_it_is_full() {
        for (used, level) in [
            (0, Level::Enough),
            (799, Level::Enough),
            (800, Level::Filling),
            (999, Level::Filling),
            (1000, Level::Full),
            (u64::MAX, Level::Full),
        ] {
            assert_eq!(judge(Level::Enough, used, 1000, None), level, "{used}");
        }
    }

    #[test]
    fn filling_is_over_only_when_there_is_clearly_more_room() {
        assert_eq!(judge(Level::Filling, 790, 1000, None), Level::Filling);
        assert_eq!(judge(Level::Full, 999, 1000, None), Level::Filling);
        assert_eq!(judge(Level::Full, 740, 1000, None), Level::Enough);
    }

    #[test]
    fn a_disk_counts_where_it_has_less_left_than_the_journal_may_still_take() {
        for (disk, level) in [
            (Some(disk(63, 1000)), Level::Full),
            (Some(disk(63, 1_000_000)), Level::Full),
            (Some(disk(64, 1000)), Level::Filling),
            (Some(disk(200, 1000)), Level::Filling),
            (Some(disk(300, 1000)), Level::Enough),
            // Nine tenths are taken, and yet there is far more than the journal may take.
            (Some(disk(100_000, 1_000_000)), Level::Enough),
        ] {
            assert_eq!(judge(Level::Enough, 0, 4 * GIB, disk), level, "{disk:?}");
        }
    }

    #[test]
    fn numbers_are_said_as_people_read_them() {
        let room = Room {
            used_bytes: 3 * GIB + 512 * MIB,
            limit_bytes: 4 * GIB,
            disk: Some(disk(100, 1000)),
            level: Level::Filling,
        };
        assert_eq!(
            room.to_string(),
            "it takes 3.5 GiB of the 4 GiB that it may take; 100 MiB of the disk are free, of \
             which 64 MiB stay free for what waits"
        );
        assert_eq!(Bytes(1023).to_string(), "1023 bytes");
        assert_eq!(Bytes(5000 * GIB).to_string(), "5000 GiB");
    }
}
