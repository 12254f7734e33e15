//! What else Orbit knows of an inspection: its run, its anomaly, its pictures.
//!
//! ```text
//! members  what of an answer is kept
//! runs     runs that were asked for a moment ago
//! budget   how much memory all pictures together may take
//! ```
//!
//! # Invariants
//! - Nothing here waits without a bound: not for Orbit, not for its turn.
//! - An Orbit that cannot be reached is left alone for a moment, by all.
//! - What Orbit did not answer is told apart from what Orbit has not.
//! - Nothing here says more of a URL than what is wrong with it.
//!
//! # Not here
//! - Nothing is durable: the journal keeps what was answered. Pictures are never kept.

mod budget;
mod members;
mod runs;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use self::budget::{BUDGET_BYTES, Budget, Reservation};
use self::members::{ANOMALY, RUN, kept};
use self::runs::Runs;
use crate::clock::{Clock, later};
use crate::http::ExchangeError;
use crate::orbit::media::{Form, MediaError, MediaUrl, MediaUrlError, TIMEOUT, Wanted};
use crate::orbit::{CallError, Client};

/// So many questions are open at once.
pub const ASKS: usize = 4;
/// So many pictures come in at once.
pub const FETCHES: usize = 3;
/// How long an Orbit that could not be reached is left alone.
pub const REST: Duration = Duration::from_secs(5);
/// An Orbit that asks for more rest than this is asked again all the same.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// Longer ids are nobody's.
const LONGEST_ID: usize = 128;

const UNREACHED: &str = "Orbit did not answer a moment ago";
const BUSY: &str = "Orbit said a moment ago that it is asked too often";
const NOT_YET: &str = "Orbit has no anomaly of this alert yet";

/// How long Orbit is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    /// An answer of the API, its turn included.
    pub ask: Duration,
    /// A picture; its turn is waited for as long again.
    pub fetch: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            ask: Duration::from_secs(5),
            fetch: TIMEOUT,
        }
    }
}

/// What is to be known of an inspection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Its run: robot, operator, mission.
    pub run: bool,
    /// Its anomaly: severity, title, asset.
    pub anomaly: bool,
}

/// What Orbit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This, as a JSON object.
    Known(String),
    /// It has none, and will have none.
    Absent,
    /// It did not say, or has none yet; and why.
    Unanswered(String),
    /// There was nothing to ask, or nobody.
    NotAsked,
}

/// What Orbit says of one inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answers {
    /// Of its run.
    pub run: Answer,
    /// Of its anomaly.
    pub anomaly: Answer,
}

/// A picture or another file.
#[derive(Clone, PartialEq, Eq)]
pub struct Capture {
    /// The file, in the form that was asked for.
    pub bytes: Vec<u8>,
    /// How many bytes the file has.
    pub size: u64,
    /// What it is.
    pub media_type: String,
    /// Its name, as people gave it.
    pub name: String,
}

/// Why a capture is not there.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum CaptureError {
    /// Its `dataUrl` is not one that is asked for.
    #[error("its dataUrl is refused: {0}")]
    Refused(#[from] MediaUrlError),
    /// It is larger than may be.
    #[error("it is larger than the {limit} bytes that may be{}", said(*.bytes))]
    TooLarge {
        /// How many bytes it has, where Orbit said so.
        bytes: Option<u64>,
        /// How many it may have.
        limit: u64,
    },
    /// Orbit has none there.
    #[error("Orbit answered {0}: it is not there")]
    Missing(u16),
    /// The token is refused.
    #[error("Orbit answered {0}: the API token is not valid or has not the right to see pictures")]
    Denied(u16),
    /// Orbit does not understand what it is asked for.
    #[error("Orbit answered {0}")]
    Answered(u16),
    /// Orbit did not give it.
    #[error("{0}")]
    Unanswered(String),
    /// There is nobody to ask.
    #[error("no API token of Orbit is configured, and without one Orbit gives no pictures")]
    NoOrbit,
}

fn said(bytes: Option<u64>) -> String {
    bytes.map_or_else(String::new, |bytes| format!(": it has {bytes}"))
}

/// Asks Orbit, for all destinations.
#[derive(Debug)]
pub struct Enrich {
    client: Option<Arc<Client>>,
    clock: Clock,
    deadlines: Deadlines,
    asks: Semaphore,
    fetches: Semaphore,
    runs: Runs,
    /// Until when nobody asks, and why.
    rest: Mutex<Option<(Timestamp, &'static str)>>,
    budget: Budget,
}

impl Enrich {
    /// Without a client nothing is asked.
    pub fn new(client: Option<Arc<Client>>, clock: Clock, deadlines: Deadlines) -> Self {
        Self {
            client,
            clock,
            deadlines,
            asks: Semaphore::new(ASKS),
            fetches: Semaphore::new(FETCHES),
            runs: Runs::default(),
            rest: Mutex::default(),
            budget: Budget::default(),
        }
    }

    /// The memory that all pictures share. Whoever fetches has reserved before, once for all that
    /// goes into one request.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What Orbit knows of one inspection.
    pub async fn ask(
        &self,
        needs: Needs,
        run: Option<&str>,
        run_event: Option<&str>,
        is_alert: bool,
    ) -> Answers {
        let client = self.client.as_deref();
        let asked = |needed: bool, id| client.filter(|_| needed).zip(id);
        let run = async {
            match asked(needs.run, run) {
                None => Answer::NotAsked,
                Some((_, run)) if !is_id(run) => Answer::Absent,
                Some((client, run)) => self.run(client, run).await,
            }
        };
        let anomaly = async {
            match asked(needs.anomaly, run_event) {
                None => Answer::NotAsked,
                Some((_, run_event)) if !is_id(run_event) => Answer::Absent,
                Some((client, run_event)) => self.anomaly(client, run_event, is_alert).await,
            }
        };
        let (run, anomaly) = tokio::join!(run, anomaly);
        Answers { run, anomaly }
    }

    /// Fetches a picture or another file of an inspection.
    pub async fn capture(
        &self,
        data_url: &str,
        limit: u64,
        form: Form,
    ) -> Result<Capture, CaptureError> {
        let client = self.client.as_deref().ok_or(CaptureError::NoOrbit)?;
        let url = MediaUrl::parse(client.base(), data_url)?;
        self.rested()?;
        let within = self.deadlines.fetch;
        let turn = timeout(within, self.fetches.acquire()).await;
        let turn = turn.map_err(|_| "others take too long to come from Orbit".to_owned())?;
        self.rested()?;
        let wanted = Wanted {
            limit,
            form,
            within,
        };
        let fetched = client.media(&url, &wanted).await;
        drop(turn);
        let media = fetched.map_err(|error| self.refusal(error, limit))?;
        Ok(Capture {
            bytes: media.bytes,
            size: media.size,
            media_type: media.media_type,
            name: url.name().to_owned(),
        })
    }

    async fn run(&self, client: &Client, uuid: &str) -> Answer {
        let ask = async {
            match self.asked(client.run(uuid)).await {
                Err(why) => Answer::Unanswered(why),
                Ok(None) => Answer::Absent,
                Ok(Some(text)) => known(kept(text.get(), RUN, uuid)),
            }
        };
        let wait = self.deadlines.ask;
        self.runs.shared(uuid, &self.clock, wait, ask).await
    }

    async fn anomaly(&self, client: &Client, run_event: &str, is_alert: bool) -> Answer {
        match self.asked(client.anomaly_of(run_event)).await {
            Err(why) => Answer::Unanswered(why),
            // Orbit may make it a moment after it has told of the alert.
            Ok(None) if is_alert => Answer::Unanswered(NOT_YET.to_owned()),
            Ok(None) => Answer::Absent,
            Ok(Some(text)) => known(kept(text.get(), ANOMALY, "")),
        }
    }

    async fn asked<T>(
        &self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, String> {
        self.rested()?;
        let in_turn = async {
            let turn = self.asks.acquire().await;
            // Those before us may have found out that there is no point.
            self.rested()?;
            let answer = call.await;
            drop(turn);
            answer.map_err(|error| {
                self.learn(&error);
                error.to_string()
            })
        };
        match timeout(self.deadlines.ask, in_turn).await {
            Ok(answer) => answer,
            Err(_) => {
                self.leave_alone(REST, UNREACHED);
                let seconds = self.deadlines.ask.as_secs_f32();
                Err(format!("Orbit did not answer within {seconds} s"))
            }
        }
    }

    fn refusal(&self, error: MediaError, limit: u64) -> CaptureError {
        let error = match error {
            MediaError::TooLarge { bytes } => return CaptureError::TooLarge { bytes, limit },
            MediaError::Call(error) => error,
        };
        // A picture that takes its time says nothing of the rest of Orbit.
        if !matches!(&error, CallError::Http(ExchangeError::Timeout(_))) {
            self.learn(&error);
        }
        match error {
            CallError::Unauthorized(status) => CaptureError::Denied(status),
            CallError::Status(status @ (404 | 410)) => CaptureError::Missing(status),
            CallError::Status(status @ 400..=499) if !matches!(status, 408 | 425) => {
                CaptureError::Answered(status)
            }
            CallError::Nonsense => {
                CaptureError::Unanswered("Orbit answered with a page of HTML".to_owned())
            }
            error => CaptureError::Unanswered(error.to_string()),
        }
    }

    /// An Orbit that is not there, or says that it is asked too often, is left alone.
    fn learn(&self, error: &CallError) {
        match error {
            CallError::Http(ExchangeError::Exchange(_)) => {}
            CallError::Http(_) => self.leave_alone(REST, UNREACHED),
            CallError::Busy { retry_after } => {
                let rest = retry_after.unwrap_or(REST).min(LONGEST_REST);
                self.leave_alone(rest, BUSY);
            }
            _ => {}
        }
    }

    fn leave_alone(&self, rest: Duration, why: &'static str) {
        let until = later(self.clock.steady(), rest);
        *self.rest.lock().unwrap_or_else(PoisonError::into_inner) = Some((until, why));
    }

    fn rested(&self) -> Result<(), String> {
        let rest = *self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        match rest {
            Some((until, why)) if self.clock.steady() < until => Err(why.to_owned()),
            _ => Ok(()),
        }
    }
}

impl CaptureError {
    /// Whether it is worth asking again in a moment.
    pub fn may_pass(&self) -> bool {
        match self {
            // A token may be on its way to be changed; a right that is missing stays so.
            Self::Denied(status) => *status == 401,
            Self::Unanswered(_) => true,
            Self::Refused(_)
            | Self::TooLarge { .. }
            | Self::Missing(_)
            | Self::Answered(_)
            | Self::NoOrbit => false,
        }
    }
}

impl From<String> for CaptureError {
    fn from(why: String) -> Self {
        Self::Unanswered(why)
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size, media_type, ..
        } = self;
        write!(f, "Capture({size} bytes of {media_type})")
    }
}

/// An answer that is no object of the API is as good as none.
fn known(kept: Option<String>) -> Answer {
    kept.map_or_else(
        || Answer::Unanswered(CallError::Nonsense.to_string()),
        Answer::Known,
    )
}

/// Whether Orbit could have something of that name. Dots alone would lead to another path.
fn is_id(id: &str) -> bool {
    id.len() <= LONGEST_ID && !id.chars().all(|c| c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_asked_again_and_nothing_else() {
        let enrich = Enrich::new(None, Clock::system(), Deadlines::default());
        let call = |error| enrich.refusal(MediaError::Call(error), 7);
        for (error, may_pass) in [
            (CaptureError::Refused(MediaUrlError::TwoSlashes), false),
            (CaptureError::NoOrbit, false),
            (
                enrich.refusal(MediaError::TooLarge { bytes: Some(8) }, 7),
                false,
            ),
            (call(CallError::Status(404)), false),
            (call(CallError::Status(410)), false),
            (call(CallError::Status(400)), false),
            (call(CallError::Unauthorized(403)), false),
            (call(CallError::Unauthorized(401)), true),
            (call(CallError::Status(408)), true),
            (call(CallError::Status(503)), true),
            (call(CallError::Busy { retry_after: None }), true),
            (call(CallError::Nonsense), true),
            (call(ExchangeError::Exchange("broken".into()).into()), true),
        ] {
            assert_eq!(error.may_pass(), may_pass, "{error}");
        }
    }

    #[tokio::test]
    async fn without_an_orbit_nothing_is_asked() {
        let enrich = Enrich::new(None, Clock::system(), Deadlines::default());
        let needs = Needs {
            run: true,
            anomaly: true,
        };
        let answers = enrich.ask(needs, Some("r"), Some("e"), true).await;
        let nothing = Answers {
            run: Answer::NotAsked,
            anomaly: Answer::NotAsked,
        };
        assert_eq!(answers, nothing);
        let capture = enrich.capture("/daq/x.jpg", 1, Form::Raw).await;
        assert_eq!(capture, Err(CaptureError::NoOrbit));
    }

    #[test]
    fn an_orbit_that_asks_for_rest_gets_it_but_not_without_end() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let enrich = Enrich::new(None, clock, Deadlines::default());
        enrich.learn(&CallError::Status(503));
        assert_eq!(enrich.rested(), Ok(()));
        enrich.learn(&CallError::Busy {
            retry_after: Some(Duration::from_hours(9)),
        });
        assert_eq!(enrich.rested(), Err(BUSY.to_owned()));
        hand.advance(LONGEST_REST);
        assert_eq!(enrich.rested(), Ok(()));
    }
}
