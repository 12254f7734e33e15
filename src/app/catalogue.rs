//! Keeps the catalogue: says of each event what it is about, as it comes, and of all of them anew
//! where the asset map has changed.
//!
//! # Invariants
//! - What is new goes first while it comes faster than it is written; else it takes turns with what
//!   is looked at anew, so that neither waits for ever.
//! - Small commits with a pause after each: nobody who waits for the journal notices.
//! - What is in the catalogue is as the events and the map are once there is nothing more to do,
//!   whatever was cut off before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::relay::assets::AssetMap;
use crate::relay::deliver;
use crate::relay::journal::{
    About, Availability, Journal, Level, Mark, ReadError, Reader, Said, Sums, WriteError,
};

/// One commit has so many events at most.
const STEP: u32 = 100;
/// And so many of those that Orbit said more of: a page of these is written as a whole.
const STEP_AGAIN: u32 = 10;
/// No event is added to a commit that has so many readings.
const STEP_READINGS: usize = 2_000;
/// After a commit, while there is more to do.
const PAUSE: Duration = Duration::from_millis(20);
/// What comes within so long is written together.
const GATHER: Duration = Duration::from_millis(250);
/// It is looked so often whether there is anything to do, whoever says so or not.
const POLL: Duration = Duration::from_secs(10);
/// After what went wrong.
const TROUBLE: Duration = Duration::from_secs(5);

/// What the catalogue is made by.
pub(super) struct Catalogue {
    pub(super) journal: Journal,
    pub(super) data_dir: PathBuf,
    pub(super) assets: watch::Receiver<Arc<AssetMap>>,
    pub(super) clock: Clock,
}

/// What one step is to write.
#[derive(Debug)]
struct Step {
    rows: Vec<About>,
    mark: Mark,
    again: Option<i64>,
    /// What the next step looks at first.
    next: Turn,
}

/// What a step looks at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// What came.
    New,
    /// What Orbit said more of, and what an earlier map had.
    Old,
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the reader died")]
    Died(#[from] tokio::task::JoinError),
}

/// Catalogues until `stop`.
pub(super) async fn run(catalogue: Catalogue, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = catalogue.follow() => {}
    }
}

impl Catalogue {
    async fn follow(mut self) {
        let mut availability = self.journal.availability();
        let mut sums = self.journal.sums();
        let room = self.journal.room();
        let mut reader = None;
        let mut is_in_trouble = false;
        let mut turn = Turn::New;
        let mut accepted = 0;
        loop {
            // The writer lives as long as this handle of its journal, so there is no error to see.
            drop(
                availability
                    .wait_for(|now| *now == Availability::Open)
                    .await,
            );
            // Where room gets short, what is left is for events.
            if room.borrow().level != Level::Enough {
                self.clock.sleep(TROUBLE).await;
                continue;
            }
            // What comes from then on is looked at by the next such step.
            if turn == Turn::New {
                accepted = sums.borrow_and_update().accepted;
            }
            let map = Arc::clone(&self.assets.borrow_and_update());
            match self.step(&mut reader, map, turn).await {
                Ok(Some(next)) => {
                    is_in_trouble = false;
                    turn = next;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Ok(None) => is_in_trouble = false,
                Err(error) => {
                    if !std::mem::replace(&mut is_in_trouble, true) {
                        tracing::warn!(%error, "catalogue: new events are not found yet; it is tried again");
                    }
                    reader = None;
                    self.clock.sleep(TROUBLE).await;
                    continue;
                }
            }
            turn = Turn::New;
            tokio::select! {
                () = until_more(&mut sums, accepted) => tokio::time::sleep(GATHER).await,
                () = until_changed(&mut self.assets) => {}
                () = self.clock.sleep(POLL) => {}
            }
        }
    }

    /// One small step; gives what the next one looks at first, none where there is nothing to do.
    async fn step(
        &self,
        reader: &mut Option<Reader>,
        map: Arc<AssetMap>,
        turn: Turn,
    ) -> Result<Option<Turn>, Trouble> {
        let (opened, data_dir) = (reader.take(), self.data_dir.clone());
        let looking = tokio::task::spawn_blocking(move || look(opened, &data_dir, &map, turn));
        let (opened, step) = looking.await??;
        *reader = Some(opened);
        let Some(step) = step else { return Ok(None) };
        self.journal
            .catalogue(step.rows, step.mark, step.again)
            .await?;
        Ok(Some(step.next))
    }
}

/// What is to be written next; none where nothing is.
fn look(
    reader: Option<Reader>,
    data_dir: &Path,
    map: &AssetMap,
    turn: Turn,
) -> Result<(Reader, Option<Step>), ReadError> {
    let mut reader = match reader {
        Some(reader) => reader,
        None => Reader::open(data_dir)?,
    };
    let before = reader.catalogue_mark()?;
    let mark = before.clone().with_map(map.version());
    let mut step = match turn {
        Turn::New => new(&mut reader, map, &mark)?,
        Turn::Old => None,
    };
    if step.is_none() {
        step = old(&mut reader, map, &mark)?;
    }
    let is_other_map = mark != before;
    let step = step.or_else(|| is_other_map.then(|| Step::of(Vec::new(), mark, Turn::New)));
    Ok((reader, step))
}

/// What came.
fn new(reader: &mut Reader, map: &AssetMap, mark: &Mark) -> Result<Option<Step>, ReadError> {
    let (events, is_full) = reader.to_catalogue(mark.upto, i64::MAX, STEP)?;
    if events.is_empty() {
        return Ok(None);
    }
    let (rows, looked) = abouts(map, &events);
    let mut mark = mark.clone();
    for (event, _) in looked {
        mark.passes(event.seq, event.received_at);
    }
    let is_all = looked.len() == events.len() && !is_full;
    let next = if is_all { Turn::Old } else { Turn::New };
    Ok(Some(Step::of(rows, mark, next)))
}

/// What is to be looked at anew.
fn old(reader: &mut Reader, map: &AssetMap, mark: &Mark) -> Result<Option<Step>, ReadError> {
    let (said, again) = reader.to_catalogue_again(STEP_AGAIN)?;
    if again.is_some() {
        let about = |(event, known): &Said| deliver::about(map, event, known);
        let rows = said.iter().filter_map(about).collect();
        let step = Step::of(rows, mark.clone(), Turn::New);
        return Ok(Some(Step { again, ..step }));
    }
    if !mark.is_behind() {
        return Ok(None);
    }
    let mut mark = mark.clone();
    let (events, _) = reader.to_catalogue(mark.anew, mark.anew_upto, STEP)?;
    let (rows, looked) = abouts(map, &events);
    mark.anew = looked.last().map_or(mark.anew_upto, |(event, _)| event.seq);
    Ok(Some(Step::of(rows, mark, Turn::New)))
}

/// What the first of these are about, as many as one commit has; and these.
fn abouts<'e>(map: &AssetMap, events: &'e [Said]) -> (Vec<About>, &'e [Said]) {
    let (mut rows, mut looked, mut readings) = (Vec::new(), 0, 0);
    for (event, known) in events {
        if readings >= STEP_READINGS {
            break;
        }
        if let Some(about) = deliver::about(map, event, known) {
            readings += about.readings.len();
            rows.push(about);
        }
        looked += 1;
    }
    (rows, events.get(..looked).unwrap_or_default())
}

impl Step {
    fn of(rows: Vec<About>, mark: Mark, next: Turn) -> Self {
        Self {
            rows,
            mark,
            again: None,
            next,
        }
    }
}

/// Until more events were taken than these.
async fn until_more(sums: &mut watch::Receiver<Sums>, accepted: u64) {
    drop(sums.wait_for(|sums| sums.accepted != accepted).await);
}

/// Until there is another asset map; never, where there will be none.
async fn until_changed(maps: &mut watch::Receiver<Arc<AssetMap>>) {
    if maps.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::event::{ALERT, Event, Identity, ORBIT, Origin, RELAY};
    use crate::relay::journal::{Config, Enrichment, Registered, Search, Writer};

    const BOUND: Duration = Duration::from_mins(1);

    struct World {
        dir: tempfile::TempDir,
        journal: Journal,
        _writer: Writer,
        maps: watch::Sender<Arc<AssetMap>>,
        stop: CancellationToken,
        running: Option<JoinHandle<()>>,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let config = Config {
                data_dir: dir.path().to_owned(),
                destinations: Some(vec![Registered {
                    id: "cmms".into(),
                    name: "cmms".into(),
                }]),
                keep_delivered: Config::KEEP_DELIVERED,
                limit_bytes: Config::LIMIT_BYTES,
                says: Vec::new(),
            };
            let (journal, writer) = Journal::start(config, Clock::system()).unwrap();
            let mut world = Self {
                dir,
                journal,
                _writer: writer,
                maps: watch::Sender::new(map("P-1")),
                stop: CancellationToken::new(),
                running: None,
            };
            world.start();
            world
        }

        fn start(&mut self) {
            self.stop = CancellationToken::new();
            let catalogue = Catalogue {
                journal: self.journal.clone(),
                data_dir: self.dir.path().to_owned(),
                assets: self.maps.subscribe(),
                clock: Clock::system(),
            };
            self.running = Some(tokio::spawn(run(catalogue, self.stop.clone())));
        }

        async fn stop(&mut self) {
            self.stop.cancel();
            let running = self.running.take().unwrap();
            tokio::time::timeout(BOUND, running).await.unwrap().unwrap();
        }

        async fn append(&self, numbers: std::ops::Range<usize>) {
            for n in numbers {
                self.came(n, ORBIT, Origin::Webhook).await;
            }
        }

        /// Orbit said this of the first event's run.
        async fn orbit_said(&self, run: &str) {
            let said = Enrichment {
                run: Some(run.into()),
                anomaly: None,
            };
            let keeping = self.journal.keep_enrichment(vec![(1, said)]);
            keeping.await.unwrap();
        }

        async fn came(&self, n: usize, source: &str, origin: Origin) {
            let body = br#"{"type":"X","data":{"actionName":"Pump"}}"#.to_vec();
            self.came_with(n, source, origin, body).await;
        }

        async fn came_with(&self, n: usize, source: &str, origin: Origin, body: Vec<u8>) {
            let event = Event {
                source: source.into(),
                event_type: ALERT.into(),
                identity: Identity::RunEvent(n.to_string()),
                origin,
                received_at: Timestamp::from_second(1_770_000_000).unwrap(),
                body,
            };
            // Until the journal is open.
            let mut availability = self.journal.availability();
            let open = availability.wait_for(|now| *now == Availability::Open);
            drop(tokio::time::timeout(BOUND, open).await.unwrap().unwrap());
            self.journal.append(event).await.unwrap();
        }

        /// Until the catalogue is as this wants it.
        async fn until(&self, is: impl Fn(&mut Reader) -> bool) {
            let reached = async {
                loop {
                    // A commit each time: nothing runs hot.
                    self.journal.note("catalogue").await.unwrap();
                    let mut reader = Reader::open(self.dir.path()).unwrap();
                    let is_behind = reader.catalogue_mark().unwrap().is_behind();
                    if !is_behind && is(&mut reader) {
                        return;
                    }
                }
            };
            tokio::time::timeout(BOUND, reached).await.unwrap();
        }

        /// Until so many events, no more and no less, are about this asset.
        async fn until_there_are(&self, n: u64, asset: &str) {
            self.until(|reader| {
                let seen = reader.assets_seen(9).unwrap();
                matches!(&seen[..], [one] if one.asset == asset && one.n == n)
            })
            .await;
        }
    }

    fn map(asset: &str) -> Arc<AssetMap> {
        let csv = format!("action_name,asset_id\nPump,{asset}\n");
        Arc::new(AssetMap::parse(csv.as_bytes()).unwrap())
    }

    #[tokio::test]
    async fn what_comes_is_catalogued_and_all_of_it_anew_where_the_map_changed() {
        let mut world = World::new();
        world.append(0..250).await;
        world.until_there_are(250, "P-1").await;
        world.maps.send_replace(map("P-2"));
        world.until_there_are(250, "P-2").await;
        world.append(250..251).await;
        world.until_there_are(251, "P-2").await;

        // What was cut off is gone on with, and so is what changed while it did not run.
        world.stop().await;
        world.append(251..260).await;
        world.maps.send_replace(map("P-3"));
        world.start();
        world.until_there_are(260, "P-3").await;
        world.stop().await;
    }

    #[tokio::test]
    async fn the_relays_own_and_samples_are_passed_over() {
        let mut world = World::new();
        world.came(1, RELAY, Origin::Relay).await;
        world.came(2, ORBIT, Origin::Sample).await;
        world.came(3, "github", Origin::Webhook).await;
        let mark = |reader: &mut Reader| reader.catalogue_mark().unwrap().upto == 3;
        world.until(mark).await;
        let mut reader = Reader::open(world.dir.path()).unwrap();
        let found = reader.search(&Search::default(), 9).unwrap().deliveries;
        let actions: Vec<_> = found.into_iter().filter_map(|hit| hit.action).collect();
        assert_eq!(actions, [ALERT]);
        assert_eq!(reader.assets_seen(9).unwrap(), []);
        world.stop().await;
    }

    #[tokio::test]
    async fn what_orbit_says_later_is_catalogued_too() {
        let mut world = World::new();
        world.append(0..1).await;
        world.until_there_are(1, "P-1").await;
        world.orbit_said(r#"{"robotNickname":"spot-7"}"#).await;
        // What comes next wakes it.
        world.append(1..2).await;
        world
            .until(|reader| {
                let routes = reader.routes().unwrap();
                matches!(&routes[..], [route] if route.robot == "spot-7")
            })
            .await;
        world.stop().await;
    }

    #[tokio::test]
    async fn what_is_looked_at_anew_takes_turns_with_what_comes() {
        let mut world = World::new();
        world.append(0..250).await;
        world.until_there_are(250, "P-1").await;
        world.stop().await;
        world.append(250..365).await;
        world.orbit_said("{}").await;
        let map = map("P-2");
        let mut turn = Turn::New;
        let mut numbers = Vec::new();
        // Something comes between two steps, as under a steady load.
        for n in 365..371 {
            let (_, step) = look(None, world.dir.path(), &map, turn).unwrap();
            let step = step.unwrap();
            turn = step.next;
            let (first, last) = (step.rows.first(), step.rows.last());
            numbers.push((first.unwrap().seq, last.unwrap().seq));
            let written = world.journal.catalogue(step.rows, step.mark, step.again);
            written.await.unwrap();
            world.append(n..n + 1).await;
        }
        let mine = [
            (251, 350),
            (351, 366),
            (1, 1),
            (367, 368),
            (1, 100),
            (369, 370),
        ];
        assert_eq!(numbers, mine);
        assert_eq!(turn, Turn::Old);
        let (_, step) = look(None, world.dir.path(), &map, Turn::Old).unwrap();
        assert_eq!(step.unwrap().mark.anew, 200);
    }

    #[tokio::test]
    async fn what_does_not_fit_into_a_page_by_its_bytes_is_catalogued_next() {
        let mut world = World::new();
        world.append(0..1).await;
        world.until_there_are(1, "P-1").await;
        world.stop().await;
        for n in 1..5 {
            let body = format!(
                r#"{{"data":{{"actionName":"Pump","x":"{}"}}}}"#,
                "x".repeat(1_900_000)
            );
            world
                .came_with(n, ORBIT, Origin::Webhook, body.into_bytes())
                .await;
        }
        let (_, step) = look(None, world.dir.path(), &map("P-1"), Turn::New).unwrap();
        let step = step.unwrap();
        assert_eq!((step.mark.upto, step.next), (4, Turn::New));
        world.start();
        world.until_there_are(5, "P-1").await;
        world.stop().await;
    }
}
