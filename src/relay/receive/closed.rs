//! `POST /hooks/closed/{destination}`: the destination's system says that an order is closed.
//!
//! # Invariants
//! - The journal and Orbit are asked only once the signature is verified.
//! - Who cannot sign learns nothing, not even which destinations there are.
//! - 200 goes out after the commit, also where the order was closed before.
//! - These requests bring no event: they are counted apart.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::{
    COMMIT_DEADLINE, Edge, NOT_VERIFIED, Outcome, Rejection, answer, come_again, discard, read,
    refuse,
};
use crate::relay::journal::{Closing, OrderName};
use crate::relay::verify::standard::{HEADERS, Signature, webhook_key};
use crate::secret::Source;

/// The largest body that is taken.
const LARGEST_BODY: usize = 64 * 1024;
/// No name of an order is longer.
const LONGEST_NAME: usize = 256;

/// A destination whose system says when orders are closed.
#[derive(Clone, Debug)]
pub struct Closes {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// What is signed with.
    pub secret: Source,
}

/// What is said.
#[derive(Deserialize)]
struct Said {
    delivery: Option<String>,
    run_event: Option<String>,
    anomaly: Option<String>,
    status: Option<String>,
}

/// Why a request is refused.
enum Refusal {
    /// As one that brings an event.
    Rejected(Rejection),
    /// No destination of this name says so.
    NoDestination,
    /// The body is not what it should be.
    Wrong(&'static str),
    /// The delivery that may make the order is not over.
    TooEarly,
    /// The destination has no such order.
    NoOrder,
}

pub(super) async fn take(
    State(edge): State<Arc<Edge>>,
    Path(destination): Path<String>,
    headers: HeaderMap,
    mut body: Body,
) -> Response {
    let taken = edge.close(&destination, &headers, &mut body).await;
    let (outcome, response) = match taken {
        Ok(Closing::Now) => ("closed", answer(StatusCode::OK, "status", "closed")),
        Ok(_) => ("known", answer(StatusCode::OK, "status", "closed already")),
        Err(refusal) => {
            discard(body).await;
            refused(&edge, refusal)
        }
    };
    edge.receive.metrics.count_closed(outcome);
    response
}

fn refused(edge: &Edge, refusal: Refusal) -> (&'static str, Response) {
    let (word, status, why) = match refusal {
        Refusal::Rejected(rejection) => {
            let word = rejection.as_str();
            let why = match &rejection {
                Rejection::NotReady(why) => why,
                _ => "compare `on_closed.secret` and the sender's secret and clock",
            };
            edge.refusals.note_closed(word, why);
            let response = match rejection {
                Rejection::TooLarge => refuse(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "a body has at most 64 KiB here",
                ),
                Rejection::NotReady(_) => come_again("nothing can be recorded now"),
                rejection => Outcome::Rejected(rejection).into_response(),
            };
            return (word, response);
        }
        Refusal::NoDestination => {
            let word = "no_destination";
            let why = "no destination of the name in the path has `on_closed.secret`";
            edge.refusals.note_closed(word, why);
            return (word, refuse(StatusCode::UNAUTHORIZED, NOT_VERIFIED));
        }
        Refusal::TooEarly => {
            let why = "the delivery of this order is not over: it may be on record soon";
            return ("too_early", come_again(why));
        }
        Refusal::NoOrder => (
            "unknown",
            StatusCode::NOT_FOUND,
            "no such order is on record for this destination",
        ),
        Refusal::Wrong(why) => ("wrong_body", StatusCode::BAD_REQUEST, why),
    };
    (word, refuse(status, why))
}

impl Edge {
    async fn close(
        &self,
        destination: &str,
        headers: &HeaderMap,
        body: &mut Body,
    ) -> Result<Closing, Refusal> {
        let now = self.receive.clock.wall();
        let values = HEADERS.map(|name| {
            let values = headers.get_all(name).iter();
            values.map(HeaderValue::as_bytes).collect::<Vec<_>>()
        });
        let signature = Signature::read(values.each_ref().map(Vec::as_slice))
            .map_err(|why| Refusal::Rejected(Rejection::Signature(why)))?;
        let mut held = self.budget.hold(self.receive.metrics.clone());
        let body = read(headers, body, &mut held, LARGEST_BODY)
            .await
            .map_err(Refusal::Rejected)?;
        // Only now: until here all destinations are refused alike, known or not.
        let all = &self.receive.closes;
        let closes = all.iter().find(|closes| closes.name == destination);
        let closes = closes.or_else(|| all.iter().find(|closes| closes.id == destination));
        let closes = closes.ok_or(Refusal::NoDestination)?;
        let not_ready = |why: String| Refusal::Rejected(Rejection::NotReady(why));
        let secret = closes.secret.current();
        let secret = secret.map_err(|error| not_ready(error.to_string()))?;
        let key = webhook_key(&secret).map_err(|error| not_ready(error.to_string()))?;
        signature
            .verify(&body, &key, now, self.receive.max_age)
            .map_err(|why| Refusal::Rejected(Rejection::Signature(why)))?;
        let order = self.named(&body).await?;
        let journal = &self.receive.journal;
        let closing = journal.close_order(&closes.id, order.clone(), "hook", now);
        let closing = tokio::time::timeout(COMMIT_DEADLINE, closing)
            .await
            .map_err(|_| not_ready("the journal is slow".into()))?
            .map_err(|error| not_ready(error.to_string()))?;
        match closing {
            Closing::Unknown => return Err(Refusal::NoOrder),
            Closing::TooEarly => return Err(Refusal::TooEarly),
            Closing::Before => {}
            Closing::Now => {
                let (OrderName::Key(order) | OrderName::RunEvent(order)) = order else {
                    return Ok(closing);
                };
                tracing::info!(
                    destination = closes.name,
                    order,
                    "order closed: its system says so"
                );
            }
        }
        Ok(closing)
    }

    /// Which order is meant.
    async fn named(&self, body: &[u8]) -> Result<OrderName, Refusal> {
        const WANTED: &str = "write a JSON object with `delivery` (the Idempotency-Key that the \
                              relay sent), `run_event` or `anomaly` (uuids)";
        let said: Said = serde_json::from_slice(body).map_err(|_| Refusal::Wrong(WANTED))?;
        if said
            .status
            .is_some_and(|status| !status.eq_ignore_ascii_case("closed"))
        {
            return Err(Refusal::Wrong(
                "a `status` other than closed closes nothing: leave it out, or send closed",
            ));
        }
        let fits = |text: &String| (1..=LONGEST_NAME).contains(&text.len());
        match (said.delivery, said.run_event, said.anomaly) {
            (Some(key), None, None) if fits(&key) => Ok(OrderName::Key(key)),
            (None, Some(uuid), None) if fits(&uuid) => Ok(OrderName::RunEvent(uuid)),
            (None, None, Some(uuid)) if fits(&uuid) => {
                let found = self.run_event_of(&uuid).await.map_err(Refusal::Rejected)?;
                found.map(OrderName::RunEvent).ok_or(Refusal::NoOrder)
            }
            _ => Err(Refusal::Wrong(WANTED)),
        }
    }
}
