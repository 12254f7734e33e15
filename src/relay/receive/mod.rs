//! Step 1 of the path: the HTTP edge. It answers 200 only after the journal's commit.
//!
//! ```text
//! mod      the routes, and what each outcome is answered and counted as
//! serve    connections: how many, how long, and how they end
//! source   what is known of a source besides Orbit
//! sources  what becomes of a request of such a source
//! caller   who calls, also behind proxies, and whether he may
//! allowance how many requests a source may make, and an address that is not verified
//! idle     which connection makes room when all places are taken
//! budget   the memory that bodies in flight may take
//! replays  messages that were accepted before
//! refusals what the log says of refused requests, and how often
//! closed   a destination's system says that an order is closed
//! work_orders Orbit asks for work orders
//! ```
//!
//! # Invariants
//! - Nothing unverified reaches the journal or, at length, the log.
//! - Every request that brings an event or tries to is counted once.
//! - Orbit is asked only by those who show what `/work-orders` or `/hooks/closed` want; no event of
//!   the webhook waits for it.
//! - An answer never carries an internal cause.
//!
//! # Not here
//! Deliver is never called: receive and deliver meet in the journal.

mod allowance;
mod budget;
mod caller;
mod closed;
mod idle;
mod refusals;
mod replays;
pub mod serve;
mod source;
mod sources;
mod work_orders;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, HOST, RETRY_AFTER};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body_util::BodyExt as _;
use ipnet::IpNet;
use tokio::sync::watch;

use self::budget::{Budget, Held, Refused};
pub use self::closed::Closes;
use self::refusals::Refusals;
use self::replays::Replays;
use self::serve::Peer;
pub use self::source::{RateLimit, Source};
pub use self::sources::{holds, not_an_object};
pub use self::work_orders::WorkOrdersAuth;
use crate::clock::{Clock, Remote};
use crate::event::{Envelope, Event, ORBIT, Origin, TEST};
use crate::metrics::Metrics;
use crate::orbit::Client;
use crate::relay::journal::{Appended, Journal, WriteError};
use crate::relay::verify::{Keys, orbit};

/// The largest body that is taken: a run event with hundreds of captures has far less.
pub const LARGEST_BODY: usize = 8 * 1024 * 1024;
/// How long a sender may take for its body.
const BODY_DEADLINE: Duration = Duration::from_secs(10);
/// How long a sender may go on sending what is refused.
const DISCARD_DEADLINE: Duration = Duration::from_secs(2);
/// How long the journal may take. Where a sender is told 503 and the commit comes after all, the
/// event is a duplicate when it comes again.
const COMMIT_DEADLINE: Duration = Duration::from_secs(10);
/// When a sender that got 503 should come again, in seconds.
const COME_AGAIN: &str = "5";
const NOT_VERIFIED: &str = "not verified";

/// What the edge needs.
pub struct Receive {
    /// Where events go.
    pub journal: Journal,
    /// The keys they are checked with, or why there are none.
    pub keys: watch::Receiver<Result<Keys, String>>,
    /// How old or early a signature may be, by Orbit's clock.
    pub max_age: Duration,
    /// Orbit's clock, as far as it is known.
    pub orbit_clock: Remote,
    /// Time.
    pub clock: Clock,
    /// Counts.
    pub metrics: Metrics,
    /// Told of each signature of the right form that did not verify.
    pub on_unverified: Box<dyn Fn(orbit::Refusal) + Send + Sync>,
    /// Told of each signed request that verified and did not come before, and which host it names.
    pub on_verified: Box<dyn Fn(&str) + Send + Sync>,
    /// Told of each test payload that verified, after it was kept, and whose address it came from.
    pub on_test: Box<dyn Fn(Option<IpAddr>) + Send + Sync>,
    /// Whether the log names each accepted event: nobody else does while there is no destination.
    pub say_accepted: bool,
    /// The destinations whose systems say when orders are closed.
    pub closes: Vec<Closes>,
    /// What Orbit's work-order integration shows; none: there is nothing for it.
    pub work_orders: Option<WorkOrdersAuth>,
    /// Orbit's API, where there is a token for it.
    pub api: Option<Arc<Client>>,
    /// The sources besides Orbit.
    pub sources: Vec<Source>,
    /// The proxies whose word counts on who calls.
    pub trusted_proxies: Vec<IpNet>,
}

struct Edge {
    receive: Receive,
    budget: Budget,
    refusals: Refusals,
    replays: Replays,
}

/// How a request ended that brought an event or tried to.
enum Outcome {
    Accepted,
    Duplicate,
    Rejected(Rejection),
}

/// Why a request was refused.
enum Rejection {
    Signature(orbit::Refusal),
    NotAnEvent(String),
    TooLarge,
    TooSlow,
    Broken,
    NoMemory,
    Full(String),
    NotReady(String),
    /// Of a request for a work order.
    WrongHeader,
    /// Orbit was to be asked, and cannot be.
    OrbitAway,
    /// Of a request for a work order: nothing says which run event it is about.
    NoRunEvent(&'static str),
}

/// The routes of the webhook port.
pub fn router(receive: Receive) -> Router {
    let refusals = Refusals::new(receive.clock.clone());
    let edge = Arc::new(Edge {
        receive,
        budget: Budget::default(),
        refusals,
        replays: Replays::default(),
    });
    let mut routes = sources::add(Router::new(), &edge);
    if !edge.receive.closes.is_empty() {
        routes = routes.route("/hooks/closed/{destination}", post(closed::take));
    }
    if edge.receive.work_orders.is_some() {
        routes = routes
            .route(
                "/work-orders",
                get(work_orders::test).post(work_orders::take),
            )
            .route("/work-orders/{id}", get(work_orders::show));
    }
    routes
        .route("/", post(take))
        .route("/hooks/orbit", post(take))
        .route("/ping", get(async || "PONG"))
        .fallback(elsewhere)
        .method_not_allowed_fallback(async || {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "events come by POST")
        })
        .with_state(edge)
}

/// A person who made the webhook by hand may have typed any path: what is signed is an event
/// wherever it comes.
async fn elsewhere(
    edge: State<Arc<Edge>>,
    method: Method,
    uri: Uri,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    if method == Method::POST && headers.contains_key(orbit::HEADER) {
        take(edge, uri, peer, headers, body).await
    } else {
        refuse(StatusCode::NOT_FOUND, "no such path")
    }
}

async fn take(
    State(edge): State<Arc<Edge>>,
    uri: Uri,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let peer = peer.map(|Extension(Peer(address))| address);
    let caller = Caller {
        peer,
        host: host(&uri, &headers),
    };
    let outcome = edge.take(caller, &headers, body).await;
    let metrics = &edge.receive.metrics;
    match &outcome {
        Outcome::Accepted => metrics.count_taken("accepted"),
        Outcome::Duplicate => metrics.count_taken("duplicate"),
        Outcome::Rejected(rejection) => {
            metrics.count_rejected(rejection.as_str());
            edge.refusals.note(rejection);
        }
    }
    outcome.into_response()
}

/// How a request came.
#[derive(Clone, Copy)]
struct Caller<'a> {
    /// Whose address it came from.
    peer: Option<IpAddr>,
    /// What it calls us; empty where it does not say.
    host: &'a str,
}

/// What a request calls us: a whole URL in its first line counts before the header.
fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let named = || headers.get(HOST)?.to_str().ok();
    let authority = uri.authority().map(Authority::as_str);
    authority.or_else(named).unwrap_or_default()
}

impl Edge {
    async fn take(&self, caller: Caller<'_>, headers: &HeaderMap, mut body: Body) -> Outcome {
        match self.try_take(caller, headers, &mut body).await {
            Ok(Appended::Accepted(_)) => Outcome::Accepted,
            Ok(Appended::Duplicate) => Outcome::Duplicate,
            Err(rejection) => {
                discard(body).await;
                Outcome::Rejected(rejection)
            }
        }
    }

    async fn try_take(
        &self,
        caller: Caller<'_>,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Appended, Rejection> {
        let received_at = self.receive.clock.wall();
        let keys = self
            .receive
            .keys
            .borrow()
            .clone()
            .map_err(Rejection::NotReady)?;
        let signatures = headers.get_all(orbit::HEADER);
        let signatures = signatures.iter().map(axum::http::HeaderValue::as_bytes);
        // Who shows no signature at all is refused before its body takes any memory.
        let signature = orbit::Signature::read(signatures).map_err(Rejection::Signature)?;
        let mut held = self.budget.hold(self.receive.metrics.clone());
        let body = read(headers, body, &mut held, LARGEST_BODY).await?;
        let now = self.receive.orbit_clock.now();
        let max_age = self.receive.max_age;
        let proof = keys
            .verify(&signature, &body, now, max_age)
            .map_err(|refusal| {
                (self.receive.on_unverified)(refusal);
                Rejection::Signature(refusal)
            })?;
        if self.replays.knows(proof) {
            return self.count_replay().await;
        }
        (self.receive.on_verified)(caller.host);
        let envelope = Envelope::parse(&body).map_err(|e| Rejection::NotAnEvent(e.to_string()))?;
        let event_type = envelope.event_type().to_owned();
        let identity = envelope.identity(&body);
        let is_test = event_type == TEST;
        let source = ORBIT.to_owned();
        let origin = Origin::Webhook;
        let say = self.receive.say_accepted && !is_test;
        let action = say.then(|| envelope.data("actionName")).flatten();
        let said = say.then(|| (event_type.clone(), identity.text()));
        let event = Event {
            source,
            event_type,
            identity,
            origin,
            received_at,
            body,
        };
        let appended = self.keep(event).await?;
        if let (Some((event_type, identity)), Appended::Accepted(seq)) = (said, appended) {
            tracing::info!(
                seq,
                event = identity,
                event_type,
                action,
                "kept, not forwarded"
            );
        }
        let now = self.receive.clock.steady();
        // It may be signed as early as it may be late.
        self.replays.remember(proof, now, max_age * 2);
        // Whoever presses the button again may send the same body, but signs anew.
        if is_test {
            (self.receive.on_test)(caller.peer);
        }
        Ok(appended)
    }

    /// The very message was accepted before: nothing changes but its count.
    async fn count_replay(&self) -> Result<Appended, Rejection> {
        let counted = self.receive.journal.count_duplicate();
        tokio::time::timeout(COMMIT_DEADLINE, counted)
            .await
            .map_err(|_| Rejection::NotReady("the journal is slow".into()))?
            .map(|()| Appended::Duplicate)
            .map_err(|error| Rejection::NotReady(error.to_string()))
    }

    async fn keep(&self, event: Event) -> Result<Appended, Rejection> {
        tokio::time::timeout(COMMIT_DEADLINE, self.receive.journal.append(event))
            .await
            .map_err(|_| Rejection::NotReady("the journal is slow".into()))?
            .map_err(|error| match error {
                WriteError::Full(why) => Rejection::Full(why),
                error => Rejection::NotReady(error.to_string()),
            })
    }
}

/// Reads what is left of a refused body and keeps nothing of it: a sender that is cut off while it
/// sends may never see the answer.
async fn discard(mut body: Body) {
    let mut left = LARGEST_BODY;
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, axum::body::Bytes::len);
            left = left.saturating_sub(bytes);
            if left == 0 {
                return;
            }
        }
    };
    // One that takes longer is cut off after all.
    tokio::time::timeout(DISCARD_DEADLINE, reading).await.ok();
}

/// Reads a body within the limit, the deadline and the budget. Nothing is cut short.
async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    held: &mut Held,
    largest: usize,
) -> Result<Vec<u8>, Rejection> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(0);
    if announced > largest {
        return Err(Rejection::TooLarge);
    }
    held.reserve(announced)
        .map_err(|Refused| Rejection::NoMemory)?;
    // One that grows would leave copies of itself behind.
    let mut bytes = Vec::with_capacity(announced);
    let reading = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Rejection::Broken)?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if bytes.len() + data.len() > largest {
                return Err(Rejection::TooLarge);
            }
            held.reserve(bytes.len() + data.len())
                .map_err(|Refused| Rejection::NoMemory)?;
            held.note(data.len());
            bytes.extend_from_slice(&data);
        }
        Ok(())
    };
    tokio::time::timeout(BODY_DEADLINE, reading)
        .await
        .map_err(|_| Rejection::TooSlow)??;
    Ok(bytes)
}

impl Rejection {
    /// The word in metrics and sums.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Signature(refusal) => refusal.as_str(),
            Self::NotAnEvent(_) => "not_an_event",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Broken => "broken_off",
            Self::NoMemory => "no_memory",
            Self::Full(_) => "journal_full",
            Self::NotReady(_) => "not_ready",
            Self::WrongHeader => "wrong_header",
            Self::OrbitAway => "orbit_away",
            Self::NoRunEvent(_) => "no_run_event",
        }
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        match self {
            Self::Accepted => answer(StatusCode::OK, "status", "accepted"),
            Self::Duplicate => answer(StatusCode::OK, "status", "duplicate"),
            Self::Rejected(rejection) => match rejection {
                Rejection::Signature(_) => refuse(StatusCode::UNAUTHORIZED, NOT_VERIFIED),
                Rejection::NotAnEvent(_) => refuse(
                    StatusCode::BAD_REQUEST,
                    "an event is a JSON object with a `type` that is a string",
                ),
                Rejection::TooLarge => {
                    refuse(StatusCode::PAYLOAD_TOO_LARGE, "a body has at most 8 MiB")
                }
                Rejection::TooSlow => refuse(
                    StatusCode::REQUEST_TIMEOUT,
                    "the body took longer than 10 s",
                ),
                Rejection::Broken => refuse(StatusCode::BAD_REQUEST, "the body broke off"),
                Rejection::NoMemory => come_again("too many large bodies at once"),
                Rejection::WrongHeader => refuse(
                    StatusCode::UNAUTHORIZED,
                    "the header is not the one that orbit-relay expects",
                ),
                Rejection::OrbitAway => {
                    come_again("Orbit's API does not answer the relay: its log says why")
                }
                Rejection::NoRunEvent(why) => refuse(StatusCode::BAD_REQUEST, why),
                Rejection::Full(_) | Rejection::NotReady(_) => {
                    come_again("events cannot be kept now")
                }
            },
        }
    }
}

fn come_again(why: &'static str) -> Response {
    let mut response = refuse(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(
        RETRY_AFTER,
        axum::http::HeaderValue::from_static(COME_AGAIN),
    );
    response
}

fn refuse(status: StatusCode, why: &'static str) -> Response {
    answer(status, "error", why)
}

fn answer(status: StatusCode, name: &'static str, text: &'static str) -> Response {
    let json = [(axum::http::header::CONTENT_TYPE, "application/json")];
    (status, json, format!("{{\"{name}\":\"{text}\"}}\n")).into_response()
}
