//! Opens the journal: the data directory, the lock that keeps a second relay out, the schema.
//!
//! # Invariants
//! - Nothing is written before the lock is held.
//! - A journal of a newer version is never touched.
//! - After opening, no delivery is under a lease of an earlier process.
//! - A journal that is made here can be read by the relay's own user only.

use std::fs::{File, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};

use super::Config;
use super::checkpoint::Checkpointer;
use super::store::{Store, StoreError};
use crate::clock::Clock;

/// The journal's file in the data directory.
pub const DATABASE: &str = "journal.db";
const LOCK: &str = "relay.lock";

/// Marks the file as ours for the `file` command and for a curious person.
const APPLICATION_ID: i32 = 0x6f72_6c79;
const MIGRATIONS: [&str; 6] = [
    include_str!("../../../migrations/0001.sql"),
    include_str!("../../../migrations/0002.sql"),
    include_str!("../../../migrations/0003.sql"),
    include_str!("../../../migrations/0004.sql"),
    include_str!("../../../migrations/0005.sql"),
    include_str!("../../../migrations/0006.sql"),
];
/// The schema that this version writes.
pub(super) const VERSION: i64 = 6;

/// Why the journal cannot be opened now.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be made or written.
    #[error(
        "the data directory {} cannot be written by uid {uid}; make it writable for that uid, \
         or choose another with --data-dir", path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Who we are.
        uid: u32,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another relay works there.
    #[error("another orbit-relay uses the data directory {}; this one waits for it to end", .0.display())]
    Locked(PathBuf),
    /// The file was removed or replaced under the running relay.
    #[error(
        "{} was removed or replaced while the relay ran: put it back, or start the relay again to \
         begin a new journal", .0.display()
    )]
    Vanished(PathBuf),
    /// The journal was written by a later version.
    #[error(
        "the journal has version {found}, this orbit-relay knows {VERSION}: use the newer \
         orbit-relay again, or another data directory"
    )]
    Newer {
        /// The journal's version.
        found: i64,
    },
    /// The file cannot be used.
    #[error("the journal {} cannot be used", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: StoreError,
    },
}

/// An open journal and the lock that goes with it.
pub(super) struct Opened {
    pub(super) store: Store,
    checkpointer: Checkpointer,
    files: [(PathBuf, FileId); 2],
    _lock: File,
}

/// Which file it is, whatever its name: device and inode.
type FileId = (u64, u64);

impl Opened {
    /// `again` after trouble in this process, whose own leases still hold.
    pub(super) fn open(config: &Config, clock: &Clock, again: bool) -> Result<Self, OpenError> {
        let dir = &config.data_dir;
        let lock = lock(dir)?;
        let path = dir.join(DATABASE);
        if again && !path.exists() {
            return Err(OpenError::Vanished(path));
        }
        let database = |source: StoreError| OpenError::Database {
            path: path.clone(),
            source,
        };
        refuse_newer(&path)?;
        let connection = connect(&path).map_err(|e| database(e.into()))?;
        migrate(&connection, &path)?;
        let mut store = Store::load(connection, &config.says).map_err(database)?;
        store
            .take_over(clock, !again, config.destinations.as_deref())
            .map_err(database)?;
        let checkpointer = Checkpointer::start(&path).map_err(|e| database(e.into()))?;
        let files = [path.clone(), dir.join(LOCK)].map(|path| {
            let id = file_id(&path).unwrap_or_default();
            (path, id)
        });
        Ok(Self {
            store,
            checkpointer,
            files,
            _lock: lock,
        })
    }

    /// Whether the names in the data directory still mean the files that are open: what is
    /// written into a file that was removed is gone with this process.
    pub(super) fn check(&self) -> Result<(), OpenError> {
        match self
            .files
            .iter()
            .find(|(path, id)| file_id(path).ok() != Some(*id))
        {
            Some((path, _)) => Err(OpenError::Vanished(path.clone())),
            None => Ok(()),
        }
    }

    /// To be told of each commit, and whether there is little room.
    pub(super) fn committed(&mut self, little_room: bool) {
        let bytes = self.store.take_written();
        self.checkpointer
            .grown(bytes, self.store.connection(), little_room);
    }

    /// `wall` and `steady` are what the clocks show.
    pub(super) fn close(mut self, wall: Timestamp, steady: Timestamp) {
        drop(self.checkpointer);
        let noted = self.store.begin().and_then(|()| {
            self.store.note_clock(wall, steady)?;
            self.store.commit()
        });
        if let Err(error) = noted {
            tracing::debug!(%error, "journal: the clocks are not noted");
        }
        if let Err(error) = self.store.close() {
            tracing::warn!(%error, "journal: closing failed; it is repaired when it is opened");
        }
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let fail = |source| OpenError::Directory {
        path: dir.to_owned(),
        uid: uid(),
        source,
    };
    if !dir.exists() {
        std::fs::create_dir_all(dir).map_err(fail)?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    let mut file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(LOCK))
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(OpenError::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => return Err(fail(source)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(fail)?;
    Ok(file)
}

fn file_id(path: &Path) -> std::io::Result<FileId> {
    let file = std::fs::metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// The user that this process runs as, as the system shows it.
fn uid() -> u32 {
    std::fs::metadata("/proc/self").map_or(u32::MAX, |process| process.uid())
}

/// Looks before anything is written: a connection that may write copies the log when it closes.
fn refuse_newer(path: &Path) -> Result<(), OpenError> {
    if !path.metadata().is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = Connection::open_with_flags(path, flags)
        .and_then(|file| file.pragma_query_value(None, "user_version", |row| row.get(0)));
    let found = match found {
        // Cut off while it was made, before it had a write-ahead log: there is nothing in it yet,
        // and whoever may write rolls it back.
        Err(rusqlite::Error::SqliteFailure(error, _))
            if error.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK =>
        {
            return Ok(());
        }
        found => found.map_err(|e| OpenError::Database {
            path: path.to_owned(),
            source: e.into(),
        })?,
    };
    if found > VERSION {
        Err(OpenError::Newer { found })
    } else {
        Ok(())
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    // What holds the plant's data is for the relay's own user; SQLite's other files follow suit.
    let file = File::options()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path);
    drop(file.map_err(|e| rusqlite::Error::ToSqlConversionFailure(e.into()))?);
    let connection = Connection::open(path)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "cache_size", -10240)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_prepared_statement_cache_capacity(128);
    // What an earlier process or a failed fsync left in the log is made durable before anything
    // is promised on top of it.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(connection)
}

fn migrate(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let database = |e: rusqlite::Error| OpenError::Database {
        path: path.to_owned(),
        source: e.into(),
    };
    let found: i64 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(database)?;
    let done = usize::try_from(found).unwrap_or(0);
    for (step, migration) in (1_i64..).zip(MIGRATIONS).skip(done) {
        let batch = format!(
            "BEGIN IMMEDIATE; {migration} \
             PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {step}; COMMIT;"
        );
        connection.execute_batch(&batch).map_err(database)?;
    }
    Ok(())
}
