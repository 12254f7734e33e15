//! What came to the backend, and what it is told to answer.
//!
//! # Invariants
//! - A post is on record before its answer goes out.
//! - A HEAD is answered as a POST would be, as far as its headers decide; it is no post.
//! - A request for a token is no post: neither the tallies nor the list of posts hold it.
//! - A path with an answer of its own is not met by the answer for all.
//! - Accepted posts are counted by idempotency key for as long as the backend lives; of the posts
//!   themselves the latest are kept, bounded by number and by bytes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};

use super::answer::Reaction;
use super::oauth::TokenEndpoint;
use super::{Answer, OAuth, Received, Tally};
use crate::clock::Clock;
use crate::sim::reply::respond;
use crate::sim::serve::Dropped;

/// The largest body that is taken: an event with its pictures in it.
pub const BODY_BYTES: usize = 16 << 20;

/// Posts beyond this number push out the oldest.
pub const KEPT_POSTS: usize = 10_000;

/// So do posts whose bodies come to more than this.
pub const KEPT_BYTES: usize = 64 << 20;

const KEPT_TOKEN_REQUESTS: usize = 1_000;
const KEPT_GETS: usize = 1_000;

/// What the backend knows and how it behaves: a handle that tests read and edit.
#[derive(Clone, Debug)]
pub struct BackendWorld(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    state: Mutex<State>,
    tally: watch::Sender<Tally>,
    news: broadcast::Sender<Arc<Received>>,
}

#[derive(Debug, Default)]
struct State {
    answer: Answer,
    answers_at: BTreeMap<String, Answer>,
    tallies_at: BTreeMap<String, Tally>,
    gets_at: BTreeMap<String, Answer>,
    gets: VecDeque<Arc<Received>>,
    tokens: TokenEndpoint,
    token_requests: VecDeque<Arc<Received>>,
    received: VecDeque<Arc<Received>>,
    received_bytes: usize,
    accepted_by_key: BTreeMap<String, u64>,
}

impl BackendWorld {
    pub(super) fn new(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            state: Mutex::default(),
            tally: watch::Sender::default(),
            news: broadcast::Sender::new(1_024),
        }))
    }

    /// How POSTs are answered from now on, but for those to a path with an answer of its own.
    pub fn set_answer(&self, answer: Answer) {
        self.state().answer = answer;
    }

    /// How POSTs to this path, which is without a query, are answered from now on.
    pub fn set_answer_at(&self, path: &str, answer: Answer) {
        self.state().answers_at.insert(path.to_owned(), answer);
    }

    /// How GETs of this path, which is without a query, are answered from now on.
    pub fn set_get_at(&self, path: &str, answer: Answer) {
        self.state().gets_at.insert(path.to_owned(), answer);
    }

    /// The latest GETs of paths that have an answer, oldest first.
    pub fn gets(&self) -> Vec<Arc<Received>> {
        self.state().gets.iter().cloned().collect()
    }

    /// Who gets tokens at [`TOKEN_PATH`](super::TOKEN_PATH) from now on. With none, that path is
    /// as any other.
    pub fn set_oauth(&self, client: Option<OAuth>) {
        self.state().tokens.client = client;
    }

    /// How requests for a token are answered from now on: [`Answer::Ok`] and [`Answer::Slow`]
    /// give tokens, all others do not.
    pub fn set_oauth_answer(&self, answer: Answer) {
        self.state().tokens.answer = answer;
    }

    /// No token that was given is valid any more.
    pub fn revoke_tokens(&self) {
        self.state().tokens.revoke();
    }

    /// How many tokens were given.
    pub fn tokens_issued(&self) -> u64 {
        self.state().tokens.issued
    }

    /// The latest requests for a token, oldest first. They are not among the posts.
    pub fn token_requests(&self) -> Vec<Arc<Received>> {
        self.state().token_requests.iter().cloned().collect()
    }

    /// The latest posts, oldest first.
    pub fn received(&self) -> Vec<Arc<Received>> {
        self.state().received.iter().cloned().collect()
    }

    /// The latest posts to this path, with whatever query, oldest first.
    pub fn received_at(&self, path: &str) -> Vec<Arc<Received>> {
        let mut received = self.received();
        received.retain(|post| without_query(&post.path) == path);
        received
    }

    /// How often each idempotency key was accepted. Posts without one count under the empty key.
    pub fn deliveries_by_key(&self) -> BTreeMap<String, u64> {
        self.state().accepted_by_key.clone()
    }

    /// How many posts came.
    pub fn tally(&self) -> Tally {
        *self.0.tally.borrow()
    }

    /// How many posts came to this path, with whatever query.
    pub fn tally_at(&self, path: &str) -> Tally {
        let tally = self.state().tallies_at.get(path).copied();
        tally.unwrap_or_default()
    }

    /// Waits until `count` posts were accepted. The caller bounds the wait.
    pub async fn wait_for(&self, count: u64) {
        self.wait_until(|tally| tally.accepted >= count).await;
    }

    /// Waits until the tally is as wanted, which is looked at anew after each request for a token
    /// too. The caller bounds the wait.
    pub async fn wait_until(&self, wanted: impl Fn(Tally) -> bool) {
        let mut tally = self.0.tally.subscribe();
        // The sender lives as long as this handle, so there is no error to see.
        drop(tally.wait_for(|tally| wanted(*tally)).await);
    }

    /// Waits until the tally of this path is as wanted. The caller bounds the wait.
    pub async fn wait_until_at(&self, path: &str, wanted: impl Fn(Tally) -> bool) {
        self.wait_until(|_| wanted(self.tally_at(path))).await;
    }

    /// Every post from now on, accepted or not. A reader that falls behind by 1,024 misses some.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Received>> {
        self.0.news.subscribe()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Dropped> {
        match *request.method() {
            Method::GET if request.uri().path().trim_end_matches('/') == "/received" => {
                Ok(respond(StatusCode::OK, &self.list()))
            }
            Method::POST => self.take(request).await,
            Method::GET if self.state().gets_at.contains_key(request.uri().path()) => {
                self.give(request.into_parts().0).await
            }
            Method::HEAD => perform(self.glance(&request)).await,
            _ => Ok(respond(
                StatusCode::METHOD_NOT_ALLOWED,
                &json!({"error": "POST anywhere, or GET /received"}),
            )),
        }
    }

    /// What is asked for nothing is on record nowhere, and moves no script on.
    fn glance(&self, request: &Request<Body>) -> Reaction {
        let state = self.state();
        let path = request.uri().path();
        let answer = state.answers_at.get(path).unwrap_or(&state.answer);
        let token_is_valid = state
            .tokens
            .accepts(request.headers(), self.0.clock.steady());
        answer.react(request.headers(), token_is_valid)
    }

    async fn take(&self, request: Request<Body>) -> Result<Response<Body>, Dropped> {
        let (head, body) = request.into_parts();
        let Ok(body) = axum::body::to_bytes(body, BODY_BYTES).await else {
            let problem = json!({"error": "the body is cut off, or larger than 16 MiB"});
            return Ok(respond(StatusCode::PAYLOAD_TOO_LARGE, &problem));
        };
        let now = self.0.clock.steady();
        let (reaction, asks_for_token) = {
            let mut state = self.state();
            if state.tokens.is_at(head.uri.path()) {
                (state.tokens.react(&head.headers, &body, now), true)
            } else {
                let token_is_valid = state.tokens.accepts(&head.headers, now);
                let answer = state.answer_to(head.uri.path(), &body);
                (answer.react(&head.headers, token_is_valid), false)
            }
        };
        let received = Received {
            path: head.uri.to_string(),
            headers: by_name(&head.headers),
            body,
            at: self.0.clock.wall(),
            answered: reaction.status(),
        };
        if asks_for_token {
            self.record_token_request(received);
        } else {
            self.record(received);
        }
        perform(reaction).await
    }

    /// A GET counts in no tally: those are of posts.
    async fn give(&self, head: Parts) -> Result<Response<Body>, Dropped> {
        let (path, headers) = (head.uri.path(), &head.headers);
        let now = self.0.clock.steady();
        let reaction = {
            let mut state = self.state();
            let token_is_valid = state.tokens.accepts(headers, now);
            let answer = state.gets_at.get_mut(path).map(|answer| answer.next(b""));
            let reaction = answer.unwrap_or_default().react(headers, token_is_valid);
            state.gets.push_back(Arc::new(Received {
                path: head.uri.to_string(),
                headers: by_name(headers),
                body: axum::body::Bytes::new(),
                at: self.0.clock.wall(),
                answered: reaction.status(),
            }));
            if state.gets.len() > KEPT_GETS {
                state.gets.pop_front();
            }
            reaction
        };
        perform(reaction).await
    }

    fn record(&self, received: Received) {
        let received = Arc::new(received);
        let accepted = received.accepted();
        let count = |tally: &mut Tally| {
            tally.attempts += 1;
            tally.accepted += u64::from(accepted);
        };
        {
            let mut state = self.state();
            let path = without_query(&received.path).to_owned();
            count(state.tallies_at.entry(path).or_default());
            if accepted {
                let count = state.accepted_by_key.entry(received.key().to_owned());
                *count.or_default() += 1;
            }
            state.received_bytes += received.body.len();
            state.received.push_back(Arc::clone(&received));
            while state.received.len() > KEPT_POSTS || state.received_bytes > KEPT_BYTES {
                let Some(oldest) = state.received.pop_front() else {
                    break;
                };
                state.received_bytes -= oldest.body.len();
            }
        }
        // After the lock is free: whoever waits for a tally reads the state.
        self.0.tally.send_modify(count);
        // Nobody may be listening.
        self.0.news.send(received).ok();
    }

    fn record_token_request(&self, received: Received) {
        {
            let mut state = self.state();
            state.token_requests.push_back(Arc::new(received));
            if state.token_requests.len() > KEPT_TOKEN_REQUESTS {
                state.token_requests.pop_front();
            }
        }
        self.0.tally.send_modify(|_| {});
    }

    fn list(&self) -> Value {
        let show = |post: &Arc<Received>| {
            let mut headers = post.headers.clone();
            if let Some(authorization) = headers.get_mut("authorization") {
                "***".clone_into(authorization);
            }
            let body = serde_json::from_slice(&post.body)
                .unwrap_or_else(|_| json!(String::from_utf8_lossy(&post.body)));
            json!({
                "at": post.at, "path": post.path, "headers": headers,
                "answered": post.answered, "body": body,
            })
        };
        let latest = self
            .state()
            .received
            .iter()
            .rev()
            .take(100)
            .cloned()
            .collect::<Vec<_>>();
        let tally = self.tally();
        json!({
            "attempts": tally.attempts, "accepted": tally.accepted,
            "latest": latest.iter().map(show).collect::<Vec<_>>(),
        })
    }
}

impl State {
    /// The answer to the next POST to this path.
    fn answer_to(&mut self, path: &str, body: &[u8]) -> Answer {
        let own = self.answers_at.get_mut(path);
        own.unwrap_or(&mut self.answer).next(body)
    }
}

async fn perform(reaction: Reaction) -> Result<Response<Body>, Dropped> {
    match reaction {
        Reaction::Respond(after, response) => {
            tokio::time::sleep(after).await;
            Ok(response)
        }
        Reaction::Hang => std::future::pending().await,
        Reaction::Reset => Err(Dropped),
    }
}

fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}

fn by_name(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
    headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), text(value)))
        .collect()
}
