//! Keeps our webhook in Orbit as it should be: made, found again, repaired.
//!
//! ```text
//! mod     the loop: at start, every minute, when it is nudged or asked, and at the end
//! plan    what is to be done (pure)
//! address which of our addresses Orbit is given (pure)
//! look    looks at Orbit, and does it
//! answer  does what a person asks
//! leave   what Orbit is told when the relay stops
//! record  what the journal remembers of ours
//! ask     what a person can ask, and what is answered
//! drift   what becomes an event
//! say     what the log says, and how often
//! search  whether another address is to be tried
//! ```
//!
//! # Invariants
//! - Ours is the one on record. Where that is not there it is, at first contact, one that has our
//!   address, whoever made it, the one with our URL before others; later only one that has our
//!   secret, as far as Orbit shows it. All others are never touched, nor is what has a loopback
//!   address of another machine.
//! - At first contact everything is set; afterwards `enabled` only when `--enabled` itself
//!   changed, so that an administrator who disables it is respected.
//! - Of several addresses another is tried only after an inspection that the one before did not
//!   bring, and none once a signed request came that names it as its host.
//! - With `manage = "observe"` nothing is changed in Orbit but what a person asks for; with `off`
//!   Orbit is not asked at all but for lists.
//! - What strangers send makes it look at Orbit at most every 5 s.

mod address;
mod answer;
mod ask;
mod drift;
mod leave;
mod look;
mod plan;
mod record;
mod say;
mod search;

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use self::address::Sought;
pub use self::address::{Address, Machine, NOTE as NOTE_ADDRESS};
pub use self::ask::{Asked, Desk, Listed, Report, Told, Wish, desk};
pub use self::look::NOTE_RECONCILED;
pub use self::plan::{Relation, ShownSecret};
pub use self::record::Record;
use self::say::Said;
use self::search::Search;
use crate::clock::{Clock, Remote, later};
use crate::orbit::{CallError, Client};
use crate::relay::journal::Journal;
use crate::relay::verify::Keys;
use crate::relay::verify::orbit::Refusal;
use crate::retry::{Schedule, chance};
use crate::secret::WebhookSecret;

/// How often a webhook that is right is looked at again.
const EVERY: Duration = Duration::from_mins(1);
/// A token does not become valid by asking often.
const EVERY_REFUSED: Duration = Duration::from_mins(5);
/// However often it is nudged, Orbit is not asked more often than this.
const AT_MOST_EVERY: Duration = Duration::from_secs(5);
/// What is under way when the relay stops, and telling Orbit that it stops, may take so long.
const FAREWELL: Duration = Duration::from_secs(3);

/// How the webhook should be.
#[derive(Clone, Debug)]
pub struct Config {
    /// What Orbit may call, in the order in which it is tried; nothing where Orbit cannot reach us
    /// and is polled.
    pub urls: Vec<Url>,
    /// Whose machine Orbit runs on.
    pub machine: Machine,
    /// What it is to call for.
    pub events: Vec<String>,
    /// Whether it is to call.
    pub enabled: bool,
    /// Whether it is to check our certificate.
    pub validate_tls_cert: bool,
    /// What the relay does about what is not as it should be.
    pub manage: Manage,
    /// What becomes of it when the relay stops.
    pub on_exit: OnExit,
}

/// What the relay does about a webhook that is not as it should be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manage {
    /// Sets it right.
    #[default]
    Repair,
    /// Says so.
    Observe,
    /// Nothing: it does not look.
    Off,
}

/// What becomes of our webhook when the relay is asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnExit {
    /// Nothing.
    #[default]
    Keep,
    /// It is disabled until the next start.
    Disable,
    /// It is deleted, and made anew at the next start.
    Delete,
}

impl Manage {
    /// The word in the configuration and in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Observe => "observe",
            Self::Off => "off",
        }
    }
}

/// How it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// There is no token: a person takes care of the webhook.
    ByHand,
    /// `manage = "off"`: a person takes care of it, though there is a token.
    Off,
    /// No webhook is wanted: Orbit is polled.
    Polling,
    /// Orbit was not asked yet.
    Unknown,
    /// Orbit has it as it should be; an administrator may have disabled it.
    Registered {
        /// Its id in Orbit.
        uuid: String,
        /// Whether Orbit calls it.
        enabled: bool,
        /// Which of several addresses is tried; none once one is proven.
        tried: Option<Address>,
    },
    /// It is not as it should be, and is only observed.
    Drift {
        /// What differs, in words.
        what: Vec<String>,
    },
    /// A person deleted it.
    Deleted,
    /// Orbit could not be asked, for this reason.
    Failing(String),
}

impl Status {
    /// How it is before Orbit was asked.
    pub fn at_start(config: &Config, has_orbit: bool) -> Self {
        match (has_orbit, config.manage) {
            (false, _) => Self::ByHand,
            (true, _) if config.urls.is_empty() => Self::Polling,
            (true, Manage::Off) => Self::Off,
            (true, Manage::Repair | Manage::Observe) => Self::Unknown,
        }
    }
}

impl Status {
    /// Whether Orbit calls us, as far as can be known: where a person takes care of it, it does.
    pub fn calls_us(&self) -> bool {
        match self {
            Self::ByHand
            | Self::Off
            | Self::Registered {
                enabled: true,
                tried: None,
                ..
            } => true,
            Self::Polling
            | Self::Unknown
            | Self::Registered { .. }
            | Self::Drift { .. }
            | Self::Deleted
            | Self::Failing(_) => false,
        }
    }
}

/// What the reconciler asks of whoever keeps the secret.
#[derive(Debug)]
pub enum KeyChange {
    /// Make a new one; the one before stays accepted for a time.
    Rotate(oneshot::Sender<Result<(), String>>),
    /// Use this one, which Orbit signs with; the one before stays accepted for a time.
    Adopt(WebhookSecret, oneshot::Sender<Result<(), String>>),
    /// Orbit has the current one: the one before needs to be accepted no longer than a while.
    InOrbit,
}

/// By which the reconciler is told to look at Orbit now.
#[derive(Clone, Debug, Default)]
pub struct Nudge(Arc<Nudged>);

#[derive(Debug, Default)]
struct Nudged {
    wake: Notify,
    /// Somebody wants it looked at.
    asked: AtomicBool,
    /// An event did not verify.
    unverified: AtomicBool,
    /// And was signed with another secret.
    wrong_secret: AtomicBool,
    /// The address that is tried, and whether a signed request came by it.
    sought: Mutex<Option<Sought>>,
    /// When Orbit stored the latest inspection that did not come, on its clock, in milliseconds
    /// since 1970; 0 where there is none.
    missed_ms: AtomicI64,
}

impl Nudge {
    /// A person or a part of the relay wants Orbit to be looked at.
    pub fn look(&self) {
        self.0.asked.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
    }

    /// A signed request of Orbit came, which names this host.
    pub fn came(&self, host: &str) {
        let mut sought = self.0.sought();
        // This is on the path of every event: what came already is not looked at again.
        if let Some(sought) = sought.as_mut().filter(|sought| !sought.came)
            && sought.is_at(host)
        {
            sought.came = true;
            self.0.wake.notify_one();
        }
    }

    /// An inspection that Orbit stored then, on its clock, did not come.
    pub fn missed(&self, at: Timestamp) {
        let ms = at.as_millisecond();
        self.0.missed_ms.fetch_max(ms, Ordering::Relaxed);
        self.0.wake.notify_one();
    }

    /// An event did not verify. Strangers can cause this.
    pub fn unverified(&self, refusal: Refusal) {
        match refusal {
            Refusal::WrongSignature => self.0.wrong_secret.store(true, Ordering::Relaxed),
            Refusal::TooOld(_) | Refusal::FromTheFuture(_) => {}
            // Orbit's scheme has none of the last four.
            Refusal::NoSignature
            | Refusal::SeveralSignatures
            | Refusal::Malformed
            | Refusal::NoTimestamp
            | Refusal::WrongToken
            | Refusal::BodyUnsigned
            | Refusal::WrongDigest => return,
        }
        self.0.unverified.store(true, Ordering::Relaxed);
        self.0.wake.notify_one();
    }
}

impl Nudged {
    fn sought(&self) -> MutexGuard<'_, Option<Sought>> {
        // Nothing that panics is done with it.
        self.sought.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_come(&self) -> bool {
        self.sought().as_ref().is_some_and(|sought| sought.came)
    }
}

/// What the reconciler needs.
pub struct Reconcile {
    /// How the webhook should be.
    pub config: Config,
    /// Orbit.
    pub client: Arc<Client>,
    /// Where the record is kept.
    pub journal: Journal,
    /// The keys that events are checked with, once there are any.
    pub keys: watch::Receiver<Result<Keys, String>>,
    /// Who changes them.
    pub changes: mpsc::Sender<KeyChange>,
    /// Told to look.
    pub nudge: Nudge,
    /// Time.
    pub clock: Clock,
    /// Orbit's time.
    pub orbit_clock: Remote,
    /// Told how it is.
    pub status: watch::Sender<Status>,
    /// Told when Orbit was last asked, and answered.
    pub looked_at: watch::Sender<Option<Timestamp>>,
}

/// What the loop remembers.
#[derive(Debug, Default)]
struct Turn {
    /// When Orbit was asked last, however that ended; on the steady clock.
    last_at: Option<Timestamp>,
    /// When it is asked next.
    next_at: Option<Timestamp>,
    failures: u32,
    /// Events were signed with another secret since Orbit was last given ours.
    wrong_secret: bool,
    /// When Orbit was given ours for that, on the steady clock.
    rewritten_at: Option<Timestamp>,
    search: Search,
    said: Said,
}

/// Keeps the webhook right until `stop`, and answers what is asked. When the stop was asked for,
/// which `asked_to_stop` tells, Orbit is told so, if it is to be.
pub async fn run(
    reconcile: Reconcile,
    asks: mpsc::Receiver<Asked>,
    stop: CancellationToken,
    asked_to_stop: oneshot::Receiver<()>,
) {
    let late = async {
        stop.cancelled().await;
        tokio::time::sleep(FAREWELL).await;
    };
    let all = async {
        reconcile.keep_right(asks, &stop).await;
        if asked_to_stop.await.is_ok() {
            reconcile.leave().await;
        }
    };
    // A call that hangs may neither hold up the end nor the port that is still open.
    tokio::select! {
        () = all => {}
        () = late => tracing::warn!("webhook: Orbit did not answer while the relay stopped"),
    }
}

impl Reconcile {
    async fn keep_right(&self, mut asks: mpsc::Receiver<Asked>, stop: &CancellationToken) {
        let mut turn = Turn::default();
        let mut asking = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                asked = asks.recv(), if asking => match asked {
                    Some(asked) => self.answer(asked, &mut turn).await,
                    None => asking = false,
                },
                () = self.due(&turn) => self.look(&mut turn).await,
            }
        }
    }

    /// Waits until Orbit is to be looked at.
    async fn due(&self, turn: &Turn) {
        if self.config.urls.is_empty() || self.config.manage == Manage::Off {
            return std::future::pending().await;
        }
        let mut keys = self.keys.clone();
        if keys.wait_for(Result::is_ok).await.is_err() {
            return std::future::pending().await;
        }
        let Some(next_at) = turn.next_at else {
            return;
        };
        tokio::select! {
            () = self.clock.sleep_until(next_at) => {}
            () = self.nudged(turn) => {}
        }
    }

    async fn nudged(&self, turn: &Turn) {
        let nudged = &self.nudge.0;
        loop {
            let asked = nudged.asked.load(Ordering::Relaxed);
            let unverified = nudged.unverified.load(Ordering::Relaxed);
            let news = turn.search.is_on()
                && (nudged.has_come() || nudged.missed_ms.load(Ordering::Relaxed) > 0);
            // While Orbit gives no answer, what strangers send does not make it asked more often.
            if asked || ((unverified || news) && turn.failures == 0) {
                let since = turn.last_at.unwrap_or(Timestamp::MIN);
                return self.clock.sleep_until(later(since, AT_MOST_EVERY)).await;
            }
            nudged.wake.notified().await;
        }
    }

    /// Looks at Orbit by itself, and sets right what it may.
    async fn look(&self, turn: &mut Turn) {
        let looked = self.set_right(turn, false).await;
        self.note(turn, looked.map(|done| done.status));
    }

    /// What became of asking Orbit, for everybody who wants to know, and when it is asked again.
    fn note(&self, turn: &mut Turn, looked: Result<Status, look::LookError>) {
        let now = self.clock.steady();
        turn.last_at = Some(now);
        let (status, wait) = match looked {
            Ok(status) => {
                turn.failures = 0;
                (status, EVERY)
            }
            Err(error) => {
                turn.failures = turn.failures.saturating_add(1);
                turn.search.interrupt();
                let wait = match &error {
                    look::LookError::Orbit(CallError::Unauthorized(_)) => EVERY_REFUSED,
                    look::LookError::Orbit(CallError::Busy {
                        retry_after: Some(wait),
                    }) => (*wait).clamp(AT_MOST_EVERY, EVERY_REFUSED),
                    _ => Schedule::SECOND_TO_MINUTE.delay(turn.failures, chance()),
                };
                turn.said.refused(&error, now);
                (Status::Failing(look::advice(&error)), wait)
            }
        };
        turn.next_at = Some(later(now, wait));
        let wants_enabled = self.config.enabled;
        turn.said.repeat(&status, wants_enabled, now);
        self.status.send_if_modified(|before| {
            let changed = *before != status;
            if changed {
                say::change(before, &status);
                *before = status;
            }
            changed
        });
    }
}
