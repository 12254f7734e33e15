//! `POST` to the path of a source besides Orbit: who calls, is it really the source, is it too
//! much, is it wanted; then the journal.
//!
//! # Invariants
//! - What is not verified, or was shown before, never uses up the source's rate limit, and what is
//!   new and verified never an address's allowance: nobody can use up another's.
//! - 200 goes out after the commit; of what is refused, ignored or answered nothing is kept.
//! - A `when` that cannot be judged loses nothing: the event is taken.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Router};
use jiff::Timestamp;

use super::allowance::{Allowance, ByAddress};
use super::caller::{Caller, caller, may_call};
use super::refusals::{Pace, Refusals};
use super::replays::Replays;
use super::serve::Peer;
use super::{Edge, LARGEST_BODY, Outcome, Rejection, Source, answer, discard, read, refuse};
use crate::clock::until;
use crate::event::{Event, Identity, Members, Origin};
use crate::relay::journal::Appended;
use crate::relay::transform::expression::{Expression, Scope};
use crate::relay::transform::json::Json;
use crate::relay::verify::orbit::Refusal;
use crate::relay::verify::scheme::{Reply, Verified};
use crate::relay::verify::{Headers, Scheme};
use crate::secret::{self, Secret};

/// A file with a secret is read again after so long, not for each request that anybody makes up.
const SECRETS_HOLD: Duration = Duration::from_secs(1);

const NO_OBJECT: &str = "an event is a JSON object";

/// Where one source comes in.
struct Entrance {
    edge: Arc<Edge>,
    source: Source,
    rate: Option<Allowance>,
    /// Of all sources.
    unverified: Arc<ByAddress>,
    replays: Replays,
    refusals: Refusals,
    secrets: Mutex<Option<Held>>,
}

/// Secrets as they were at a time.
#[derive(Clone)]
struct Held {
    at: Timestamp,
    secrets: Arc<[Secret]>,
    /// Why one of them cannot be read.
    missing: Option<String>,
}

/// What became of a request that was taken.
enum Taken {
    Accepted,
    Duplicate,
    /// It is not among the events that are wanted.
    Ignored,
    /// It brought no event, but a question.
    Answered(Reply),
}

/// Why a request is refused.
pub(super) enum Refused {
    /// As one of Orbit's.
    Rejected(Rejection),
    /// Who calls may not.
    NotAllowed,
    /// It is not verified, and too many of this address were not.
    TooManyUnverified(Duration),
    /// It is verified, and there are too many of this source.
    RateLimited(Duration),
}

/// The same routes, and those of the sources.
pub(super) fn add(mut routes: Router<Arc<Edge>>, edge: &Arc<Edge>) -> Router<Arc<Edge>> {
    let clock = &edge.receive.clock;
    let unverified = Arc::new(ByAddress::new(clock));
    let pace = Arc::new(Pace::default());
    for source in &edge.receive.sources {
        let entrance = Entrance {
            edge: Arc::clone(edge),
            source: source.clone(),
            rate: source.rate_limit.map(|limit| Allowance::new(limit, clock)),
            unverified: Arc::clone(&unverified),
            replays: Replays::default(),
            refusals: Refusals::paced(clock.clone(), Arc::clone(&pace)),
            secrets: Mutex::default(),
        };
        let way_in = post(take).with_state(Arc::new(entrance));
        routes = routes.route(&source.path, way_in);
    }
    routes
}

async fn take(
    State(entrance): State<Arc<Entrance>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    mut body: Body,
) -> Response {
    let Entrance { edge, source, .. } = &*entrance;
    // A peer that is gone already is nobody.
    let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = peer.map_or(nobody, |Extension(Peer(address))| address);
    let caller = caller(peer, &headers, &edge.receive.trusted_proxies);
    let metrics = &edge.receive.metrics;
    match entrance.take(caller, &headers, &mut body).await {
        Ok(taken) => {
            metrics.count_taken(taken.as_str());
            metrics.count_source(&source.name, taken.as_str());
            taken.into_response()
        }
        Err(refused) => {
            discard(body).await;
            metrics.count_rejected(refused.as_str());
            metrics.count_source(&source.name, refused.as_str());
            entrance
                .refusals
                .note_source(&source.name, caller.address(), &refused);
            refused.into_response()
        }
    }
}

impl Entrance {
    async fn take(
        &self,
        caller: Caller,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Taken, Refused> {
        let Self { edge, source, .. } = self;
        let received_at = edge.receive.clock.wall();
        if !may_call(&source.allow, caller) {
            return Err(Refused::NotAllowed);
        }
        let shown = headers.iter();
        let shown = shown.map(|(name, value)| (name.as_str(), value.as_bytes()));
        let shown = Headers(shown.collect());
        // Who does not even have the form is refused before the body takes any memory.
        let form = source.scheme.read(&shown);
        form.map_err(|refusal| self.unverified(caller, refusal))?;
        if let Scheme::Token(_) = source.scheme {
            // Nothing of the body is needed to see who this is.
            self.verify(caller, &shown, b"")?;
        }
        let mut held = edge.budget.hold(edge.receive.metrics.clone());
        let body = read(headers, body, &mut held, LARGEST_BODY).await?;
        let verified = self.verify(caller, &shown, &body)?;
        if verified
            .proof
            .is_some_and(|proof| self.replays.knows(proof))
        {
            // Whoever holds an old request may show it: that is not the source speaking.
            let within = self.unverified.take(caller.address());
            within.map_err(Refused::TooManyUnverified)?;
            edge.count_replay().await?;
            return Ok(Taken::Duplicate);
        }
        let within = self.rate.as_ref().map_or(Ok(()), Allowance::take);
        within.map_err(Refused::RateLimited)?;
        self.judge(verified, body, received_at).await
    }

    fn verify(
        &self,
        caller: Caller,
        shown: &Headers<'_>,
        body: &[u8],
    ) -> Result<Verified, Refused> {
        let Source {
            scheme, max_age, ..
        } = &self.source;
        let held = self.secrets();
        let now = self.edge.receive.clock.wall();
        let verified = scheme.verify(shown, body, &held.secrets, now, *max_age);
        verified.map_err(|refusal| match (refusal, held.missing) {
            // It may be the one that cannot be read.
            (Refusal::WrongSignature | Refusal::WrongToken, Some(why)) => {
                Rejection::NotReady(why).into()
            }
            (refusal, _) => self.unverified(caller, refusal),
        })
    }

    /// What becomes of a request that is verified and not known.
    async fn judge(
        &self,
        verified: Verified,
        body: Vec<u8>,
        received_at: Timestamp,
    ) -> Result<Taken, Refused> {
        let Verified {
            event_type,
            identity,
            proof,
            reply,
        } = verified;
        if let Some(reply) = reply {
            return Ok(Taken::Answered(reply));
        }
        if let Some(why) = not_an_object(&body) {
            return Err(Rejection::NotAnEvent(why.into()).into());
        }
        let event = Event {
            source: self.source.name.clone(),
            event_type,
            identity,
            origin: Origin::Webhook,
            received_at,
            body,
        };
        if !self.wants(&event) {
            let (source, event_type) = (&event.source, &event.event_type);
            tracing::debug!(
                source,
                event_type,
                "receive: ignored, by its `events` or `when`"
            );
            return Ok(Taken::Ignored);
        }
        let appended = self.keep(event).await?;
        if let Some(proof) = proof {
            let now = self.edge.receive.clock.steady();
            // It may be signed as early as it may be late.
            self.replays.remember(proof, now, self.source.max_age * 2);
        }
        Ok(match appended {
            Appended::Accepted(_) => Taken::Accepted,
            Appended::Duplicate => Taken::Duplicate,
        })
    }

    /// The secrets as they are now, or were a moment ago.
    fn secrets(&self) -> Held {
        let now = self.edge.receive.clock.steady();
        let mut held = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = &*held
            && until(held.at, now) < SECRETS_HOLD
        {
            return held.clone();
        }
        let (mut secrets, mut missing) = (Vec::new(), None);
        for read in self.source.secrets.iter().map(secret::Source::current) {
            match read {
                Ok(secret) => secrets.push(secret),
                Err(error) => missing = Some(error.to_string()),
            }
        }
        let now_held = Held {
            at: now,
            secrets: secrets.into(),
            missing,
        };
        *held = Some(now_held.clone());
        now_held
    }

    /// One that is not who it says it is; beyond what its address is allowed, there are too many.
    fn unverified(&self, caller: Caller, refusal: Refusal) -> Refused {
        match self.unverified.take(caller.address()) {
            Ok(()) => Refused::Rejected(Rejection::Signature(refusal)),
            Err(wait) => Refused::TooManyUnverified(wait),
        }
    }

    fn wants(&self, event: &Event) -> bool {
        let Source {
            name, events, when, ..
        } = &self.source;
        if !events.iter().any(|glob| glob.matches(&event.event_type)) {
            return false;
        }
        let Some(when) = when else {
            return true;
        };
        holds(when, event).unwrap_or_else(|_| {
            self.refusals.note_when(name);
            true
        })
    }

    async fn keep(&self, event: Event) -> Result<Appended, Rejection> {
        let said = self
            .edge
            .receive
            .say_accepted
            .then(|| (event.event_type.clone(), event.identity.text()));
        let appended = self.edge.keep(event).await?;
        if let (Some((event_type, event)), Appended::Accepted(seq)) = (said, appended) {
            let source = &self.source.name;
            tracing::info!(seq, source, event, event_type, "kept, not forwarded");
        }
        Ok(appended)
    }
}

/// Why a body is no event of a source, if it is none.
pub fn not_an_object(body: &[u8]) -> Option<&'static str> {
    let text = std::str::from_utf8(body).ok();
    let is_one = text.is_some_and(|text| Members::parse(text).is_ok());
    (!is_one).then_some("the body is not a JSON object")
}

/// Whether a source's `when` is true of an event.
pub fn holds(when: &Expression, event: &Event) -> Result<bool, String> {
    let body = Json::parse(&event.body).map_err(|error| error.to_string())?;
    let id = match &event.identity {
        // It has none: the body's hash stands in its place.
        Identity::Unsigned { id, signed } if id == signed => Json::Null,
        Identity::RunEvent(id)
        | Identity::Envelope(id)
        | Identity::Id(id)
        | Identity::Unsigned { id, .. } => Json::String(id.clone()),
        Identity::Body(_) => Json::Null,
    };
    let names = [
        ("event", body),
        ("type", Json::String(event.event_type.clone())),
        ("id", id),
        ("source", Json::String(event.source.clone())),
    ];
    let scope = Scope::new(Arc::new(Json::object(names)));
    when.holds_in(&scope).map_err(|error| error.to_string())
}

impl From<Rejection> for Refused {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Taken {
    /// The word in metrics.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Ignored => "ignored",
            Self::Answered(_) => "answered",
        }
    }

    fn into_response(self) -> Response {
        match self {
            Self::Answered(Reply::Pong) => answer(StatusCode::OK, "status", "pong"),
            Self::Answered(Reply::Challenge(text)) => {
                ([(CONTENT_TYPE, "text/plain")], text).into_response()
            }
            other => answer(StatusCode::OK, "status", other.as_str()),
        }
    }
}

impl Refused {
    /// The word in metrics, sums and the log.
    pub(super) fn as_str(&self) -> &'static str {
        match self {
            Self::Rejected(rejection) => rejection.as_str(),
            Self::NotAllowed => "not_allowed",
            Self::TooManyUnverified(_) => "too_many_unverified",
            Self::RateLimited(_) => "rate_limited",
        }
    }

    fn into_response(self) -> Response {
        match self {
            Self::Rejected(Rejection::NotAnEvent(_)) => refuse(StatusCode::BAD_REQUEST, NO_OBJECT),
            Self::Rejected(rejection) => Outcome::Rejected(rejection).into_response(),
            Self::NotAllowed => refuse(StatusCode::FORBIDDEN, "not allowed"),
            Self::TooManyUnverified(wait) => too_many("too many requests are not verified", wait),
            Self::RateLimited(wait) => too_many("too many requests", wait),
        }
    }
}

fn too_many(why: &'static str, wait: Duration) -> Response {
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, why);
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    let value = HeaderValue::from(seconds.max(1));
    response.headers_mut().insert(RETRY_AFTER, value);
    response
}
