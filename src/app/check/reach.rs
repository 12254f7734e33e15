//! Whether Orbit can call us: no API makes it, so a person presses the test button, and this waits.
//!
//! # Invariants
//! - While this process holds the port itself, everything is answered 503: nothing is acknowledged
//!   that is not kept.
//! - Only what verifies counts as a test payload.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::routing::any;
use axum::{Extension, Router};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, UnixStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::webhooks::is_there;
use super::{Row, Seen, Subject, ways};
use crate::app::control::{self, Answer, Ask};
use crate::clock::{Clock, later};
use crate::event::{Envelope, TEST};
use crate::http::{ServerFiles, ServerTls};
use crate::relay::receive::serve::{self, Peer};
use crate::relay::verify::orbit;
use crate::secret::WebhookSecret;

pub(super) const NAME: &str = "Orbit reaches us";
/// How often the running relay is asked.
const ASK: Duration = Duration::from_millis(500);
/// How to press the button.
pub const PRESS: &str = "in Orbit: Settings → Developer Features → Webhooks → the relay's webhook \
    → send a test payload";

/// A test payload that came, verified.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Tested {
    /// When it came.
    pub at: Timestamp,
    /// Whose address it came from, where that is known.
    pub from: Option<IpAddr>,
}

/// Whether Orbit can call us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// It did, while this waited.
    Tested(Tested),
    /// Nothing came.
    Nothing {
        /// For so long was waited.
        waited: Duration,
        /// Something came that did not verify, for this reason.
        refused: Option<&'static str>,
    },
    /// It was not waited for.
    NotWaited {
        /// Why.
        why: String,
        /// The last one that came earlier.
        last: Option<Tested>,
    },
}

/// Who takes the test payload.
#[derive(Debug)]
pub enum Taker {
    /// The relay that runs; it is asked.
    Relay(std::path::PathBuf),
    /// This process.
    Alone {
        /// Where it listens.
        listen: SocketAddr,
        /// Its certificate, if it has one.
        tls: Option<ServerFiles>,
        /// What Orbit signs with.
        secret: WebhookSecret,
        /// How old a signature may be.
        max_age: Duration,
        /// By how many milliseconds Orbit's clock is ahead of ours.
        skew_ms: i64,
    },
}

/// Whether it is worth waiting: Orbit has a webhook with our URL, or cannot be asked for it.
pub fn is_worth_it(subject: &Subject, seen: &Seen) -> bool {
    let by_hand = subject.orbit.as_ref().is_none_or(|orbit| !orbit.has_token);
    by_hand || is_there(&subject.webhook, seen)
}

/// Waits until a test payload comes; gives its body where this process took it.
pub async fn wait(
    taker: Taker,
    wait: Duration,
    clock: &Clock,
) -> anyhow::Result<(Reach, Option<Vec<u8>>)> {
    let began = clock.wall();
    let nothing = |refused| {
        let nothing = Reach::Nothing {
            waited: wait,
            refused,
        };
        Ok((nothing, None))
    };
    match taker {
        Taker::Relay(data_dir) => {
            let until = later(clock.steady(), wait);
            while clock.steady() < until {
                if let Some(tested) = last(&data_dir).await?.filter(|last| last.at >= began) {
                    return Ok((Reach::Tested(tested), None));
                }
                clock.sleep(ASK).await;
            }
            nothing(None)
        }
        Taker::Alone {
            listen,
            tls,
            secret,
            max_age,
            skew_ms,
        } => {
            let listener = TcpListener::bind(listen).await?;
            let tls = tls.map(ServerTls::build).transpose()?;
            let (heard, mut came) = watch::channel(Heard::default());
            let door = Door {
                secret,
                max_age,
                skew_ms,
                clock: clock.clone(),
                heard,
            };
            let router = Router::new()
                .fallback(any(refuse))
                .with_state(Arc::new(door));
            let stop = CancellationToken::new();
            let serving = serve::serve(listener, tls, router, stop.clone());
            let hearing = async {
                let tested = came.wait_for(|heard| heard.tested.is_some()).await;
                let tested = tested.ok().and_then(|heard| heard.tested.clone());
                // The answer goes out before the port is given up.
                clock.sleep(ASK).await;
                tested
            };
            let tested = tokio::select! {
                () = serving => None,
                tested = hearing => tested,
                () = clock.sleep(wait) => None,
            };
            match tested {
                Some((tested, body)) => Ok((Reach::Tested(tested), Some(body))),
                None => nothing(came.borrow().refused),
            }
        }
    }
}

/// The last test payload that the running relay took since its start.
pub async fn last(data_dir: &std::path::Path) -> anyhow::Result<Option<Tested>> {
    let stream = UnixStream::connect(control::path(data_dir)).await?;
    match control::ask(stream, &Ask::LastTest).await? {
        Answer::LastTest(last) => Ok(last),
        Answer::Failed(why) => anyhow::bail!(why),
        other => anyhow::bail!("unexpected answer: {other:?}"),
    }
}

/// What stands at the port while no relay does.
struct Door {
    secret: WebhookSecret,
    max_age: Duration,
    skew_ms: i64,
    clock: Clock,
    heard: watch::Sender<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    tested: Option<(Tested, Vec<u8>)>,
    refused: Option<&'static str>,
}

async fn refuse(
    State(door): State<Arc<Door>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let at = door.clock.wall();
    let by_orbit = crate::clock::shifted(at, door.skew_ms);
    let signatures = headers.get_all(orbit::HEADER);
    let signatures = signatures.iter().map(HeaderValue::as_bytes);
    let verified = orbit::Signature::read(signatures)
        .and_then(|signature| signature.verify(&body, &door.secret, by_orbit, door.max_age));
    match verified {
        Ok(_) => {
            let envelope = Envelope::parse(&body);
            if envelope.is_ok_and(|envelope| envelope.event_type() == TEST) {
                let from = peer.map(|Extension(Peer(address))| address.to_canonical());
                let tested = Some((Tested { at, from }, body.to_vec()));
                door.heard.send_modify(|heard| heard.tested = tested);
            }
        }
        Err(refusal) => {
            let refused = Some(refusal.as_str());
            door.heard.send_modify(|heard| heard.refused = refused);
        }
    }
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "{\"error\":\"a check is under way, events cannot be kept now\"}\n",
    )
}

impl Reach {
    /// What it means.
    pub fn row(&self, subject: &Subject) -> Row {
        let url = subject.address().map(|now| now.url).unwrap_or_default();
        let next = ways::next(subject).map(|next| format!("; as the next address to try, {next}"));
        let next = next.unwrap_or_default();
        match self {
            Self::Tested(tested) => Row::good(
                NAME,
                format!("a test payload came, verified, {}", tested.way()),
            ),
            Self::Nothing {
                refused: Some(why), ..
            } => Row::bad(
                NAME,
                format!("something came, but does not verify ({why})"),
                "have the webhook in Orbit and the relay know the same secret: start the relay, \
                 which sets it, or correct WEBHOOK_SECRET",
            ),
            Self::Nothing { waited, .. } => Row::bad(
                NAME,
                format!("no test payload within {} s", waited.as_secs()),
                format!(
                    "press the button ({PRESS}) while this waits; if it was pressed, Orbit cannot \
                     call {url}: look at --webhook-host, at a firewall, and at the message that \
                     Orbit shows{next}"
                ),
            ),
            Self::NotWaited {
                last: Some(last), ..
            } => Row::good(
                NAME,
                format!(
                    "the last test payload came at {:.0}, {}",
                    last.at,
                    last.way()
                ),
            ),
            Self::NotWaited { why, last: None } => Row::unknown(NAME, why).advising(format!(
                "press the button ({PRESS}): the relay's log says when it comes, and so does `check --wait 2m`"
            )),
        }
    }

    /// Whether Orbit's call came by way of loopback.
    pub(super) fn loopback(&self) -> String {
        let tested = match self {
            Self::Tested(tested)
            | Self::NotWaited {
                last: Some(tested), ..
            } => Some(tested),
            _ => None,
        };
        match tested.and_then(|tested| tested.from) {
            Some(from) if from.is_loopback() => "yes: the test payload came from there".to_owned(),
            Some(from) => format!("the test payload came from {from}"),
            None => "not known: no test payload has come that this could be seen of".to_owned(),
        }
    }
}

impl Tested {
    fn way(&self) -> String {
        match self.from {
            Some(from) if from.is_loopback() => format!("from {from} (loopback)"),
            Some(from) => format!("from {from} (not loopback)"),
            None => "from an address that was not noted".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::check::Verdict;
    use crate::config::{Config, Input};

    #[test]
    fn whether_orbit_reached_us_and_from_where() {
        let (config, _) = Config::as_far_as_it_goes(&Input::default());
        let subject = Subject::of(&config, None);
        let from = |address: &str| Tested {
            at: Timestamp::UNIX_EPOCH,
            from: address.parse().ok(),
        };
        let nothing = |refused| Reach::Nothing {
            waited: Duration::from_secs(9),
            refused,
        };
        let not_waited = |last| Reach::NotWaited {
            why: "not asked".into(),
            last,
        };
        for (reach, verdict, says, loopback) in [
            (
                Reach::Tested(from("127.0.0.1")),
                Verdict::Good,
                "(loopback)",
                "yes",
            ),
            (
                Reach::Tested(from("10.0.0.1")),
                Verdict::Good,
                "(not loopback)",
                "the test payload came from 10.0.0.1",
            ),
            (nothing(None), Verdict::Bad, "within 9 s", "not known"),
            (
                nothing(Some("wrong_signature")),
                Verdict::Bad,
                "(wrong_signature)",
                "not known",
            ),
            (not_waited(None), Verdict::Unknown, "not asked", "not known"),
            (
                not_waited(Some(from("x"))),
                Verdict::Good,
                "not noted",
                "not known",
            ),
        ] {
            let row = reach.row(&subject);
            assert_eq!(row.verdict, verdict, "{row:?}");
            assert!(row.what.contains(says), "{row:?}");
            assert_eq!(row.advice.is_some(), verdict != Verdict::Good, "{row:?}");
            assert!(
                reach.loopback().starts_with(loopback),
                "{}",
                reach.loopback()
            );
        }
    }
}
