//! One try of one delivery.
//!
//! # Invariants
//! - A try ends when its lease does, at the latest.

use std::sync::Arc;
use std::time::Duration;

use super::cargo::{Cargo, Pictured, Post, short_key};
use super::config::Images;
use super::model::of_orbit;
use super::own::is_notice;
use super::pictures::{self, Waits};
use super::prepare::Ready;
use super::standing::Tried;
use super::{Shared, steps};
use crate::clock::until;
use crate::event::{ALERT, Envelope};
use crate::orbit::media::Form;
use crate::relay::destination::outcome::Outcome;
use crate::relay::destination::{Multipart, Picture, Request, Sent, What};
use crate::relay::transform::json::Json;
use crate::relay::transform::{self, pictures as marks};

/// A try that has ended.
pub(super) struct Done {
    pub(super) ready: Ready,
    pub(super) ended: Tries,
    pub(super) took: Duration,
}

/// How it ended.
pub(super) enum Tries {
    /// The destination was tried.
    Sent {
        sent: Box<Sent>,
        /// What the steps took.
        taken: Option<Taken>,
    },
    /// It was not: Orbit does not give a picture, for this reason.
    Waits(String),
    /// Its lease is nearly over: the rest of its requests goes on with the next try.
    GoesOn,
    /// Some of its requests were taken, and the others never will be, for this reason.
    Partly {
        reason: String,
        /// Whether the destination answered in this try.
        answered: bool,
        answer: Option<String>,
        taken: Taken,
    },
    /// The event cannot be sent, for this reason: no fault of the destination.
    Cannot(String),
}

/// What is known of a ticket.
pub(super) struct Taken {
    pub(super) ticket: Json,
    /// Whether it was there before.
    pub(super) adds: bool,
}

/// Sends once.
pub(super) async fn send(shared: Arc<Shared>, mut ready: Ready) -> Done {
    let clock = &shared.clock;
    let began = clock.steady();
    let cargo = std::mem::replace(&mut ready.cargo, Cargo::Body(Post::default()));
    let rest = until(began, ready.claim.lease.until);
    let ended = tokio::time::timeout(rest, bring(&shared, &ready, cargo))
        .await
        .unwrap_or_else(|_| {
            let reason = "no answer before the lease ended".to_owned();
            Tries::sent(Sent::unanswered(Outcome::Postponed {
                reason,
                retry_after: None,
            }))
        });
    let took = until(began, clock.steady());
    Done { ready, ended, took }
}

async fn bring(shared: &Shared, ready: &Ready, cargo: Cargo) -> Tries {
    let what = match cargo {
        Cargo::Body(post) => post.into_what(),
        Cargo::Steps(run) => return steps::run(shared, ready, *run).await,
        Cargo::Pictured(pictured) => match with_pictures(shared, ready, &pictured).await {
            // What is reserved is held until the answer is there.
            Ok((what, held)) => {
                let sent = exchange(shared, ready, what).await;
                drop(held);
                return Tries::sent(sent);
            }
            Err(tries) => return tries,
        },
    };
    Tries::sent(exchange(shared, ready, what).await)
}

async fn exchange(shared: &Shared, ready: &Ready, what: What) -> Sent {
    let (key, at) = (ready.key.clone(), shared.clock.wall());
    let request = Request::new(key, ready.claim.attempt, at, what);
    shared.destination.send(request).await
}

/// The event with its pictures, in it or beside it.
async fn with_pictures(
    shared: &Shared,
    ready: &Ready,
    pictured: &Pictured,
) -> Result<(What, crate::relay::enrich::Reservation), Tries> {
    let beside = shared.config.message.images == Images::Attach;
    let form = if beside { Form::Raw } else { Form::Base64 };
    let captures = &pictured.captures;
    let limit = shared.config.message.images_limit;
    let gathered = pictures::fetch(shared, &ready.claim, captures, |_| true, form, limit).await;
    let mut gathered = gathered.map_err(|Waits(why)| Tries::Waits(why))?;
    if beside {
        for shown in &mut gathered.shown {
            if matches!(shown, marks::Shown::Embedded { .. }) {
                *shown = marks::Shown::Absent;
            }
        }
    }
    let key = short_key(&ready.key);
    let body = text(pictured, &gathered.shown, key).map_err(Tries::Cannot)?;
    let what = if beside {
        let parts = gathered.fetched.iter().map(|(_, fetched)| Picture {
            name: &fetched.name,
            media_type: &fetched.media_type,
            bytes: &fetched.bytes,
        });
        let parts: Vec<_> = parts.collect();
        What::Attached(Multipart::new(&ready.key, body.as_bytes(), &parts))
    } else {
        let fetched = gathered.fetched.into_iter();
        let fetched: Vec<_> = fetched
            .map(|(index, fetched)| (index, fetched.bytes))
            .collect();
        let post = Post {
            body: marks::fill(&body, key, fetched, form.length(limit)),
            topic: pictured.topic.clone(),
        };
        post.into_what()
    };
    Ok((what, gathered.reservation))
}

/// The event form with what is shown of each capture.
fn text(pictured: &Pictured, shown: &[marks::Shown], key: &str) -> Result<String, String> {
    let mut body = Vec::with_capacity(pictured.event.len() + pictured.relay.len() + 256);
    let envelope = Envelope::parse(&pictured.event).map_err(|error| error.to_string())?;
    let data = marks::with_pictures(&envelope, shown, key);
    transform::write_body(&mut body, &envelope, data.as_deref(), &pictured.relay)
        .map_err(|error| error.to_string())?;
    String::from_utf8(body).map_err(|error| error.to_string())
}

impl Tries {
    pub(super) fn sent(sent: Sent) -> Self {
        Self::Sent {
            sent: Box::new(sent),
            taken: None,
        }
    }
}

impl Done {
    pub(super) fn tried(&self) -> Tried {
        let claim = &self.ready.claim;
        Tried {
            seq: claim.lease.seq,
            failures: claim.failures,
            waited: claim.waited,
            alert: of_orbit(claim) && claim.event_type == ALERT
                || is_notice(&claim.source, &claim.event_type),
        }
    }
}
