//! Reading the journal for a screen.
//!
//! # Invariants
//! - Reading holds up no task: it is done on a thread for what blocks, and only so many at once.
//! - What was opened is kept for the next screen: to open it costs more than most screens read. It
//!   is not kept where reading failed, nor where another file is the journal by now.
//! - Nothing is kept open once the relay stops: the last to close the journal puts it in order.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Failed, Page};
use crate::relay::journal::{DATABASE, ReadError, Reader};

/// So many screens read the journal at once.
const AT_ONCE: usize = 4;

/// Those who read, and what they left open.
#[derive(Clone)]
pub(super) struct Readers {
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Opened>>>,
    stop: CancellationToken,
}

/// A reader, and which file it reads.
struct Opened {
    reader: Reader,
    file: Option<File>,
}

/// A file, whatever its name: device and number.
type File = (u64, u64);

impl Readers {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            idle: Arc::default(),
            stop,
        }
    }

    /// Closes what is open once the relay stops.
    pub(super) async fn close(self) {
        self.stop.cancelled().await;
        self.with_idle(std::mem::take);
    }

    fn read<T>(
        &self,
        data_dir: &Path,
        what: impl FnOnce(&mut Reader) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let file = file(data_dir);
        let kept = self.with_idle(Vec::pop).filter(|kept| kept.file == file);
        let mut opened = match kept {
            Some(kept) => kept,
            None => Opened {
                reader: Reader::open(data_dir)?,
                file,
            },
        };
        let read = what(&mut opened.reader)?;
        self.with_idle(|idle| {
            if !self.stop.is_cancelled() {
                idle.push(opened);
            }
        });
        Ok(read)
    }

    fn with_idle<T>(&self, what: impl FnOnce(&mut Vec<Opened>) -> T) -> T {
        what(&mut self.idle.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// None where there is no journal.
fn file(data_dir: &Path) -> Option<File> {
    let found = std::fs::metadata(data_dir.join(DATABASE)).ok()?;
    Some((found.dev(), found.ino()))
}

impl Page {
    /// Reads the journal.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        what: impl FnOnce(&mut Reader) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, Failed> {
        let busy = || Failed::unavailable("The relay stops.", "Come again in a moment.");
        let readers = self.readers.clone();
        let place = Arc::clone(&readers.places).acquire_owned().await;
        let place = place.map_err(|_| busy())?;
        let data_dir = self.app.data_dir.clone();
        let reading = tokio::task::spawn_blocking(move || {
            let _place = place;
            readers.read(&data_dir, what)
        });
        Ok(reading.await.map_err(|_| busy())??)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::relay::journal::{Availability, Config, Journal, Writer};

    async fn journal(dir: &Path) -> (Journal, Writer) {
        let config = Config {
            data_dir: dir.to_owned(),
            destinations: None,
            keep_delivered: Config::KEEP_DELIVERED,
            limit_bytes: Config::LIMIT_BYTES,
            says: Vec::new(),
        };
        let (journal, writer) = Journal::start(config, Clock::system()).unwrap();
        let mut availability = journal.availability();
        let open = availability.wait_for(|now| *now == Availability::Open);
        let bound = std::time::Duration::from_mins(1);
        drop(tokio::time::timeout(bound, open).await.unwrap().unwrap());
        (journal, writer)
    }

    fn read(readers: &Readers, dir: &Path) -> u64 {
        let accepted = |reader: &mut Reader| Ok(reader.sums()?.accepted);
        readers.read(dir, accepted).unwrap()
    }

    fn kept(readers: &Readers) -> usize {
        readers.with_idle(|idle| idle.len())
    }

    #[tokio::test]
    async fn what_was_opened_is_kept_until_the_relay_stops_and_sees_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let (journal, _writer) = journal(dir.path()).await;
        let stop = CancellationToken::new();
        let readers = Readers::new(stop.clone());
        read(&readers, dir.path());
        journal.set_note("test", "new".to_owned()).await.unwrap();
        let note = readers.read(dir.path(), |reader| reader.note("test"));
        assert_eq!(note.unwrap().as_deref(), Some("new"));
        assert_eq!(kept(&readers), 1);

        let closing = tokio::spawn(readers.clone().close());
        stop.cancel();
        closing.await.unwrap();
        assert_eq!(kept(&readers), 0);
        read(&readers, dir.path());
        assert_eq!(kept(&readers), 0);
    }

    #[tokio::test]
    async fn another_file_under_the_same_name_is_opened_anew_and_so_is_one_that_failed() {
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let readers = Readers::new(CancellationToken::new());
        for dir in [&dir, &other] {
            let (journal, mut writer) = journal(dir.path()).await;
            journal
                .set_note("of", dir.path().display().to_string())
                .await
                .unwrap();
            drop(journal);
            writer.ended().await;
        }
        let of = || {
            readers
                .read(dir.path(), |reader| reader.note("of"))
                .unwrap()
        };
        assert_eq!(of(), Some(dir.path().display().to_string()));
        std::fs::rename(other.path().join(DATABASE), dir.path().join(DATABASE)).unwrap();
        assert_eq!(of(), Some(other.path().display().to_string()));

        let failed = |_: &mut Reader| Err::<(), _>(ReadError::Version(0));
        readers.read(dir.path(), failed).unwrap_err();
        assert_eq!(kept(&readers), 0);
    }
}
