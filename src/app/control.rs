//! The socket in the data directory, by which commands ask the running relay for something.
//!
//! One request a connection: a line of JSON there, a line of JSON back.
//!
//! # Invariants
//! - Only the user that the relay runs as can open the socket (mode 0600).

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::check::reach::Tested;
use super::trial::{self, Trial};
use super::trigger;
use crate::clock::Clock;
use crate::reconcile::backfill::{Asked, Found, Order};
use crate::reconcile::webhook::{Desk, Told, Wish};
use crate::relay::destination::Destination;
use crate::relay::journal::{Bulk, DeliveryId, Filter, Journal, Kind, WriteError};

const SOCKET: &str = "relay.sock";
const DEADLINE: Duration = Duration::from_secs(5);
/// One commit makes no more deliveries than this.
const MOST: u64 = 1000;
const RETRY: Duration = Duration::from_secs(1);
/// For an act of several exchanges with Orbit, behind a look that is under way.
const ORBIT_DEADLINE: Duration = Duration::from_mins(2);
/// So many commands are answered at once, and so many of them may be tests, which take as long as
/// the destination does.
const AT_ONCE: usize = 8;
const TESTS_AT_ONCE: usize = 2;
const LONGEST_LINE: u64 = 64 * 1024;
/// Why Orbit cannot be asked.
pub const NO_ORBIT: &str = "no Orbit host with an API token is set: ORBIT_HOSTNAME, \
    ORBIT_API_TOKEN";
const NOT_UNDERSTOOD: &str = "not understood";
const OTHER_VERSION: &str = "the running relay and this command are of different versions of \
    orbit-relay; use the program that the relay runs from";

/// What can be asked.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Make up to `limit` kept events pending.
    ReplayKept {
        /// For this destination.
        destination: String,
        /// At most this many, in one commit.
        limit: u64,
        /// Who asks; none, to go on with what was asked for.
        who: Option<String>,
    },
    /// Begin a bulk act on deliveries.
    Begin {
        /// Who asks.
        who: String,
        /// For what.
        bulk: Box<Bulk>,
    },
    /// Send one event to one destination: again, or what is kept for it.
    Send {
        /// Which one, by its id.
        destination: String,
        /// The event's number.
        seq: i64,
        /// Who asks.
        who: String,
    },
    /// Stop sending to a destination.
    Pause {
        /// Which one, by its id.
        destination: String,
        /// Who asks.
        who: String,
        /// Why.
        why: String,
    },
    /// Something about our webhook in Orbit.
    Webhook {
        /// What.
        wish: Wish,
        /// Who asks.
        who: String,
    },
    /// Post once to a destination, to see how it answers.
    Test {
        /// Which one, by its id.
        destination: String,
        /// Who asks.
        who: String,
    },
    /// Make a sample event.
    Trigger {
        /// Of this type.
        event_type: String,
        /// For this destination alone, by its id.
        destination: Option<String>,
        /// Who asks.
        who: String,
    },
    /// Look through what Orbit stored in a time.
    Backfill {
        /// From then on.
        since: Timestamp,
        /// And before then.
        until: Option<Timestamp>,
        /// Only say what is missing.
        dry_run: bool,
        /// Who asks.
        who: String,
    },
    /// When the last test payload came.
    LastTest,
    /// Send to it again.
    Resume {
        /// Which one, by its id.
        destination: String,
        /// Who asks.
        who: String,
        /// Why.
        why: String,
    },
}

/// What is answered.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// How many deliveries it made.
    Made(u64),
    /// Whether the event is now pending for the destination.
    Sent(bool),
    /// The bulk act's jobs, one for each destination that it concerns.
    Begun(Vec<i64>),
    /// Whether anything changed.
    Changed(bool),
    /// How the destination answered.
    Tested(Trial),
    /// The sample's number.
    Triggered(i64),
    /// What Orbit has that was not here.
    Found(Found),
    /// What is told of our webhook.
    Webhook(Told),
    /// The last test payload since the start, if one came.
    LastTest(Option<Tested>),
    /// Why it could not.
    Failed(String),
}

/// The socket's place.
pub fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(SOCKET)
}

/// What acts have an effect on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The journal.
    pub journal: Journal,
    /// The configured destinations, by id.
    pub destinations: BTreeMap<String, Destination>,
    /// Time.
    pub clock: Clock,
    /// Places for tests.
    pub tests: Arc<Semaphore>,
    /// What looks through Orbit, where there is one.
    pub backfill: Option<mpsc::Sender<Asked>>,
    /// Who takes care of our webhook; nobody without an Orbit and a token.
    pub webhook: Option<Desk>,
    /// The last test payload, where a relay takes any.
    pub last_test: Option<watch::Receiver<Option<Tested>>>,
    /// Told that a bulk act was begun.
    pub begun: Arc<Notify>,
}

impl Ground {
    /// With nothing under way.
    pub fn new(
        journal: Journal,
        destinations: BTreeMap<String, Destination>,
        clock: Clock,
    ) -> Self {
        Self {
            journal,
            destinations,
            clock,
            tests: Arc::new(Semaphore::new(TESTS_AT_ONCE)),
            backfill: None,
            webhook: None,
            last_test: None,
            begun: Arc::default(),
        }
    }
}

/// Does what is asked, and waits for it no longer than it may last, or until `stop`.
pub async fn act_within(ground: &Ground, ask: Ask, stop: &CancellationToken) -> Answer {
    match ask {
        // Its deadline is the destination's, or Orbit's.
        Ask::Test { .. } | Ask::Backfill { .. } | Ask::Webhook { .. } => tokio::select! {
            answer = act(ground, ask) => answer,
            () = stop.cancelled() => Answer::Failed("the relay stops".to_owned()),
        },
        _ => tokio::time::timeout(DEADLINE, act(ground, ask))
            .await
            .unwrap_or_else(|_| Answer::Failed("it took too long: look again".to_owned())),
    }
}

/// Does what is asked.
pub async fn act(ground: &Ground, ask: Ask) -> Answer {
    let (journal, at) = (&ground.journal, ground.clock.wall());
    let answered = match ask {
        Ask::Webhook { wish, who } => return on_webhook(ground, wish, &who).await,
        Ask::Test { destination, who } => match ground.destinations.get(&destination) {
            None => {
                let why = format!("the destination `{destination}` is not configured");
                return Answer::Failed(why);
            }
            Some(tested) => {
                let Ok(_place) = ground.tests.try_acquire() else {
                    let why = format!("{TESTS_AT_ONCE} tests are under way: wait for their end");
                    return Answer::Failed(why);
                };
                tracing::info!(who, "a test of `{destination}` was asked for");
                let kept = journal
                    .keep_act(at, &who, "test", Some(&destination), "")
                    .await;
                let chance = getrandom::u64().unwrap_or_default();
                match kept {
                    Ok(()) => Ok(Answer::Tested(
                        trial::send(tested, &ground.clock, chance).await,
                    )),
                    Err(error) => Err(error),
                }
            }
        },
        Ask::Trigger {
            event_type,
            destination,
            who,
        } => return trigger::make(ground, &event_type, destination.as_deref(), &who).await,
        Ask::Backfill {
            since,
            until,
            dry_run,
            who,
        } => {
            let order = Order {
                since,
                until,
                dry_run,
            };
            backfill(ground, at, order, &who).await
        }
        Ask::LastTest => {
            let last = ground.last_test.as_ref();
            Ok(Answer::LastTest(last.and_then(|last| *last.borrow())))
        }
        Ask::ReplayKept {
            destination,
            limit,
            who,
        } => replay_kept(journal, at, &destination, limit.min(MOST), who).await,
        Ask::Begin { who, bulk } => {
            let (kind, filter) = (bulk.kind.as_str(), bulk.effective());
            tracing::info!(who, "{kind} of deliveries was asked for: {filter}");
            let _wake = WakeAtTheEnd(&ground.begun);
            journal.begin(at, &who, *bulk).await.map(Answer::Begun)
        }
        Ask::Send {
            destination,
            seq,
            who,
        } => return send(ground, at, destination, seq, &who).await,
        Ask::Pause {
            destination,
            who,
            why,
        } => {
            tracing::info!(who, why, "pause of `{destination}` was asked for");
            let paused = journal.pause(at, &destination, &who, &why, None).await;
            paused.map(Answer::Changed)
        }
        Ask::Resume {
            destination,
            who,
            why,
        } => {
            tracing::info!(who, why, "resume of `{destination}` was asked for");
            let resumed = journal.resume(at, &destination, &who, &why).await;
            resumed.map(Answer::Changed)
        }
    };
    answered.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

/// Also where nobody waits any longer: what was too late to be answered may have been done.
struct WakeAtTheEnd<'a>(&'a Notify);

impl Drop for WakeAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// It takes as long as it takes: what is found is kept as it is found.
async fn backfill(
    ground: &Ground,
    at: Timestamp,
    order: Order,
    who: &str,
) -> Result<Answer, WriteError> {
    let Some(backfill) = &ground.backfill else {
        return Ok(Answer::Failed(NO_ORBIT.to_owned()));
    };
    let until = order.until.map(|until| format!(" until {until}"));
    let detail = format!("since {}{}", order.since, until.unwrap_or_default());
    if !order.dry_run {
        let kept = ground.journal.keep_act(at, who, "backfill", None, &detail);
        kept.await?;
    }
    let (answer, answered) = oneshot::channel();
    if backfill.send((order, answer)).await.is_err() {
        return Ok(Answer::Failed("the relay stops".to_owned()));
    }
    Ok(match answered.await {
        Ok(Ok(found)) => Answer::Found(found),
        Ok(Err(why)) => Answer::Failed(why),
        Err(_) => Answer::Failed("the relay stops".to_owned()),
    })
}

async fn on_webhook(ground: &Ground, wish: Wish, who: &str) -> Answer {
    let Some(desk) = &ground.webhook else {
        return Answer::Failed(NO_ORBIT.to_owned());
    };
    match tokio::time::timeout(ORBIT_DEADLINE, desk.ask(wish, who)).await {
        Ok(Ok(told)) => Answer::Webhook(told),
        Ok(Err(why)) => Answer::Failed(why),
        Err(_) => Answer::Failed(format!(
            "Orbit did not answer within {} s; it may be done all the same",
            ORBIT_DEADLINE.as_secs()
        )),
    }
}

/// What is kept for the destination becomes its delivery; what it has a delivery of is replayed.
async fn send(ground: &Ground, at: Timestamp, destination: String, seq: i64, who: &str) -> Answer {
    if !ground.destinations.contains_key(&destination) {
        let why = format!("the destination `{destination}` is not configured");
        return Answer::Failed(why);
    }
    tracing::info!(who, seq, "event sent to `{destination}` was asked for");
    match ground.journal.take_kept(at, who, &destination, seq).await {
        Ok(false) => {}
        Ok(true) => return Answer::Sent(true),
        Err(error) => return Answer::Failed(error.to_string()),
    }
    let bulk = Bulk {
        kind: Kind::Replay,
        filter: Filter {
            ids: [DeliveryId { destination, seq }].into(),
            ..Filter::default()
        },
        as_sent: false,
    };
    let _wake = WakeAtTheEnd(&ground.begun);
    match ground.journal.begin(at, who, bulk).await {
        Ok(jobs) => Answer::Sent(!jobs.is_empty()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

async fn replay_kept(
    journal: &Journal,
    at: Timestamp,
    destination: &str,
    limit: u64,
    who: Option<String>,
) -> Result<Answer, WriteError> {
    if let Some(who) = who {
        let kept = journal.keep_act(at, &who, "replay", Some(destination), "kept events");
        kept.await?;
    }
    journal
        .replay_kept(destination, limit)
        .await
        .map(Answer::Made)
}

/// Asks the running relay.
pub async fn ask(mut stream: UnixStream, ask: &Ask) -> anyhow::Result<Answer> {
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    anyhow::ensure!(
        u64::try_from(line.len()).is_ok_and(|length| length <= LONGEST_LINE),
        "that is too much for one request: name fewer deliveries at once"
    );
    stream.write_all(&line).await?;
    let mut answer = String::new();
    BufReader::new(stream.take(LONGEST_LINE))
        .read_line(&mut answer)
        .await?;
    anyhow::ensure!(
        !answer.is_empty(),
        "the relay did not answer within {} s; it may have done it all the same",
        DEADLINE.as_secs()
    );
    match serde_json::from_str(&answer) {
        Ok(Answer::Failed(why)) if why.starts_with(NOT_UNDERSTOOD) => {
            anyhow::bail!("{OTHER_VERSION} ({why})")
        }
        Ok(answer) => Ok(answer),
        Err(_) => anyhow::bail!("{OTHER_VERSION}"),
    }
}

/// Answers commands until `stop`.
pub(super) async fn run(data_dir: PathBuf, ground: Ground, stop: CancellationToken) {
    let mut availability = ground.journal.availability();
    // The socket goes where the lock is held: only then is a socket that lies there a dead one's.
    let open = availability.wait_for(|now| *now == crate::relay::journal::Availability::Open);
    tokio::select! {
        () = stop.cancelled() => return,
        opened = open => drop(opened),
    }
    let path = path(&data_dir);
    let listener = loop {
        match listen(&path) {
            Ok(listener) => break listener,
            Err(error) => {
                tracing::warn!(%error, "commands cannot reach the relay at {}", path.display());
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY * 60) => {}
        }
    };
    let mut answering = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = answering.join_next() => continue,
            accepted = listener.accept(), if answering.len() < AT_ONCE => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (ground, stop) = (ground.clone(), stop.clone());
                answering.spawn(async move {
                    if let Err(error) = answer(stream, &ground, &stop).await {
                        tracing::debug!(%error, "control: a command went away");
                    }
                });
            }
            Err(_) => tokio::time::sleep(RETRY).await,
        }
    }
    while answering.join_next().await.is_some() {}
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::debug!(%error, "control: the socket is left behind");
    }
}

fn listen(path: &Path) -> std::io::Result<UnixListener> {
    if path.exists() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer(
    stream: UnixStream,
    ground: &Ground,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(LONGEST_LINE));
    // What was asked is done; what was not asked yet is not waited for.
    tokio::select! {
        biased;
        read = tokio::time::timeout(DEADLINE, read.read_line(&mut line)) => drop(read??),
        () = stop.cancelled() => return Ok(()),
    }
    let answer = match serde_json::from_str(&line) {
        Ok(ask) => act_within(ground, ask, stop).await,
        Err(error) => Answer::Failed(format!("{NOT_UNDERSTOOD}: {error}")),
    };
    let mut line = serde_json::to_vec(&answer)?;
    line.push(b'\n');
    tokio::time::timeout(DEADLINE, write.write_all(&line)).await??;
    Ok(())
}
