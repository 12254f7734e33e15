//! What every simulated system has: a socket, a record of what came, troubles on request, tickets.
//!
//! A system itself is a state and one function from a request to a reply ([`System`]).
//!
//! # Invariants
//! - A request is on record before its answer goes out.
//! - A system answers one request at a time, so it never sees two at once.
//! - What is kept is bounded by number and by bytes: [`KEPT_EXCHANGES`], [`KEPT_TICKETS`],
//!   [`KEPT_BYTES`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};
use tokio::sync::watch;
use url::form_urlencoded;

use crate::clock::Clock;
use crate::sim::serve::{Dropped, Server, StartError};

/// The largest body that is taken.
pub const BODY_BYTES: usize = 32 << 20;

/// Exchanges beyond this number push out the oldest.
pub const KEPT_EXCHANGES: usize = 10_000;

/// So do tickets beyond this number.
pub const KEPT_TICKETS: usize = 10_000;

/// Bodies of exchanges, and attachments of tickets, are kept up to so many bytes each.
pub const KEPT_BYTES: usize = 64 << 20;

/// A system: a state, and what it answers.
pub trait System: Send + 'static {
    /// Does what is asked and answers it.
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Reply;

    /// The answer to a request without the credentials of [`SystemWorld::require`].
    fn refuse(&self, _: &Asked) -> Reply {
        Reply::json(401, &serde_json::json!({"error": "unauthorized"}))
    }
}

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its method.
    pub method: String,
    /// Its path, percent-encoded as it came, without the query.
    pub path: String,
    /// Its path and query, as they came: what some systems sign.
    pub target: String,
    /// Its query, decoded, in its order.
    pub query: Vec<(String, String)>,
    /// Its headers, names in lower case; of several of one name the last.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Bytes,
}

impl Asked {
    /// A header by its name in lower case; empty where it is not given.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// The first parameter of the query with this name.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut query = self.query.iter();
        query
            .find(|(given, _)| given == name)
            .map(|(_, value)| value.as_str())
    }

    /// The segments of the path, decoded. A leading slash makes none.
    pub fn segments(&self) -> Vec<String> {
        let path = self.path.trim_start_matches('/');
        path.split('/')
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect()
    }

    /// Its body as JSON, whatever its content type says.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Its body as a JSON object.
    pub fn object(&self) -> Option<Map<String, Value>> {
        match self.json() {
            Some(Value::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// The value of a cookie that it brings.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.header("cookie")
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value)
    }
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its headers; a name may stand there twice.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Reply {
    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    /// An answer in JSON.
    pub fn json(status: u16, value: &Value) -> Self {
        Self::text(status, "application/json", value.to_string())
    }

    /// An answer of any type.
    pub fn text(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), content_type.to_owned())],
            body: body.into(),
        }
    }

    /// With one header more.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a header or a status cannot hold gives a 500.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) else {
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                continue;
            };
            response.headers_mut().append(name, value);
        }
        response
    }
}

/// One request, and how it was answered.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// What came.
    pub asked: Asked,
    /// The status that went out; none if the answer was lost.
    pub status: Option<u16>,
    /// When it came.
    pub at: Timestamp,
}

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is done, and the connection is closed without an answer.
    LoseAnswer,
    /// It is not done, and the connection is closed without an answer.
    LoseRequest,
    /// It is done, and never answered.
    Hang,
    /// It is not done, and answered with this status.
    Status(u16),
    /// It is not done, and answered with 429 and a `Retry-After` of so many seconds.
    RateLimit(u32),
}

#[derive(Debug)]
struct Planned {
    method: String,
    path_holds: String,
    trouble: Trouble,
    times: u32,
}

/// What a system knows and how it behaves: a handle that tests read and edit.
#[derive(Debug)]
pub struct SystemWorld<S>(Arc<Shared<S>>);

impl<S> Clone for SystemWorld<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<S> {
    clock: Clock,
    state: Mutex<State<S>>,
    answered: watch::Sender<u64>,
}

#[derive(Debug)]
struct State<S> {
    system: S,
    required: Option<(String, String)>,
    troubles: Vec<Planned>,
    exchanges: VecDeque<Arc<Exchange>>,
    exchanged_bytes: usize,
}

impl<S: System> SystemWorld<S> {
    fn new(system: S, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            state: Mutex::new(State {
                system,
                required: None,
                troubles: Vec::new(),
                exchanges: VecDeque::new(),
                exchanged_bytes: 0,
            }),
            answered: watch::Sender::default(),
        }))
    }

    /// Reads or edits the system.
    pub fn with<R>(&self, f: impl FnOnce(&mut S) -> R) -> R {
        f(&mut self.state().system)
    }

    /// From now on each request must bring this header, or is refused. The name in lower case.
    pub fn require(&self, header: &str, value: &str) {
        self.state().required = Some((header.to_owned(), value.to_owned()));
    }

    /// So many of the next requests of this method, whose path and query hold this text, meet
    /// this trouble. Of several troubles the one that was planned first comes first.
    pub fn plan(&self, times: u32, method: &str, path_holds: &str, trouble: Trouble) {
        self.state().troubles.push(Planned {
            method: method.to_owned(),
            path_holds: path_holds.to_owned(),
            trouble,
            times,
        });
    }

    /// The latest exchanges, oldest first.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        self.state().exchanges.iter().cloned().collect()
    }

    /// The latest exchanges of this method whose path holds this text, oldest first.
    pub fn exchanges_of(&self, method: &str, path_holds: &str) -> Vec<Arc<Exchange>> {
        let mut exchanges = self.exchanges();
        exchanges.retain(|exchange| {
            exchange.asked.method == method && exchange.asked.path.contains(path_holds)
        });
        exchanges
    }

    /// Waits until the system is as wanted, which is looked at after each request. The caller
    /// bounds the wait.
    pub async fn wait_until(&self, wanted: impl Fn(&mut S) -> bool) {
        let mut answered = self.0.answered.subscribe();
        // The sender lives as long as this handle, so there is no error to see.
        drop(
            answered
                .wait_for(|_| self.with(|system| wanted(system)))
                .await,
        );
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Dropped> {
        let (head, body) = request.into_parts();
        let whole = axum::body::to_bytes(body, BODY_BYTES).await;
        let too_large = whole.is_err();
        let query = head.uri.query().unwrap_or_default();
        let asked = Asked {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            target: head.uri.to_string(),
            query: form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
            headers: by_name(&head.headers),
            body: whole.unwrap_or_default(),
        };
        let now = self.0.clock.wall();
        let path_and_query = head.uri.to_string();
        let outcome = {
            let mut state = self.state();
            let outcome = if too_large {
                Outcome::Reply(Reply::empty(413))
            } else {
                state.outcome(&asked, &path_and_query, now)
            };
            state.record(Exchange {
                status: outcome.status(),
                asked,
                at: now,
            });
            outcome
        };
        // After the lock is free: whoever waits reads the state.
        self.0.answered.send_modify(|count| *count += 1);
        match outcome {
            Outcome::Reply(reply) => Ok(reply.into_response()),
            Outcome::Lost => Err(Dropped),
            Outcome::Never => std::future::pending().await,
        }
    }
}

enum Outcome {
    Reply(Reply),
    Lost,
    Never,
}

impl Outcome {
    fn status(&self) -> Option<u16> {
        match self {
            Self::Reply(reply) => Some(reply.status),
            Self::Lost | Self::Never => None,
        }
    }
}

impl<S: System> State<S> {
    fn outcome(&mut self, asked: &Asked, path_and_query: &str, now: Timestamp) -> Outcome {
        match self.next_trouble(&asked.method, path_and_query) {
            Some(Trouble::LoseRequest) => Outcome::Lost,
            Some(Trouble::Status(status)) => Outcome::Reply(Reply::empty(status)),
            Some(Trouble::RateLimit(seconds)) => {
                Outcome::Reply(Reply::empty(429).with("retry-after", &seconds.to_string()))
            }
            Some(Trouble::LoseAnswer) => {
                drop(self.reply(asked, now));
                Outcome::Lost
            }
            Some(Trouble::Hang) => {
                drop(self.reply(asked, now));
                Outcome::Never
            }
            None => Outcome::Reply(self.reply(asked, now)),
        }
    }

    fn reply(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        match &self.required {
            Some((name, value)) if asked.header(name) != value => self.system.refuse(asked),
            _ => self.system.answer(asked, now),
        }
    }

    fn next_trouble(&mut self, method: &str, path: &str) -> Option<Trouble> {
        let met = self.troubles.iter().position(|planned| {
            planned.method == method && path.contains(&planned.path_holds) && planned.times > 0
        })?;
        let planned = self.troubles.get_mut(met)?;
        planned.times -= 1;
        let trouble = planned.trouble;
        self.troubles.retain(|planned| planned.times > 0);
        Some(trouble)
    }

    fn record(&mut self, exchange: Exchange) {
        self.exchanged_bytes += exchange.asked.body.len();
        self.exchanges.push_back(Arc::new(exchange));
        while self.exchanges.len() > KEPT_EXCHANGES || self.exchanged_bytes > KEPT_BYTES {
            let Some(oldest) = self.exchanges.pop_front() else {
                break;
            };
            self.exchanged_bytes -= oldest.asked.body.len();
        }
    }
}

/// A running system. Dropping it stops it.
#[derive(Debug)]
pub struct Running<S> {
    server: Server,
    world: SystemWorld<S>,
}

impl<S: System> Running<S> {
    /// Listens with plain HTTP; port 0 takes any that is free.
    pub async fn start(listen: SocketAddr, clock: Clock, system: S) -> Result<Self, StartError> {
        let world = SystemWorld::new(system, clock);
        let handle = world.clone();
        let server = Server::start(listen, None, move |request| {
            let world = handle.clone();
            async move { world.answer(request).await }
        })
        .await?;
        Ok(Self { server, world })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Its root, without a slash at the end: the `url` of a destination with a preset.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The handle to read and edit it.
    pub fn world(&self) -> SystemWorld<S> {
        self.world.clone()
    }

    /// Closes every connection and frees the port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// One ticket, whatever its system calls it.
#[derive(Clone, Debug)]
pub struct Ticket {
    /// By what its system knows it.
    pub id: String,
    /// Its fields as they were given, and as they were changed.
    pub fields: Map<String, Value>,
    /// Whether it is open.
    pub open: bool,
    /// What was added since it was made.
    pub notes: Vec<String>,
    /// The files on it.
    pub attachments: Vec<Attachment>,
}

impl Ticket {
    /// A field as text; empty where it is none.
    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).and_then(Value::as_str).unwrap_or("")
    }
}

/// A file on a ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its name.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// Its bytes; empty once [`KEPT_BYTES`] are kept.
    pub bytes: Bytes,
    /// How many bytes it had.
    pub size: usize,
}

/// The tickets of one system.
#[derive(Debug, Default)]
pub struct Tickets {
    kept: VecDeque<Ticket>,
    made: u64,
    attached_bytes: usize,
}

impl Tickets {
    /// Opens one. Ids are the caller's care.
    pub fn open(&mut self, id: &str, fields: Map<String, Value>) {
        self.made += 1;
        self.kept.push_back(Ticket {
            id: id.to_owned(),
            fields,
            open: true,
            notes: Vec::new(),
            attachments: Vec::new(),
        });
        if self.kept.len() > KEPT_TICKETS
            && let Some(oldest) = self.kept.pop_front()
        {
            let bytes: usize = oldest.attachments.iter().map(|file| file.bytes.len()).sum();
            self.attached_bytes -= bytes;
        }
    }

    /// How many were ever made. The next one's number, for those that count.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// The latest, oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Ticket> {
        self.kept.iter()
    }

    /// One by its id.
    pub fn get(&self, id: &str) -> Option<&Ticket> {
        self.kept.iter().find(|ticket| ticket.id == id)
    }

    /// One by its id, to be changed.
    pub fn get_mut(&mut self, id: &str) -> Option<&mut Ticket> {
        self.kept.iter_mut().find(|ticket| ticket.id == id)
    }

    /// Puts a file on a ticket; false where there is no such ticket.
    pub fn attach(&mut self, id: &str, name: &str, content_type: &str, bytes: &Bytes) -> bool {
        let size = bytes.len();
        let kept = self.attached_bytes + size <= KEPT_BYTES;
        let Some(ticket) = self.get_mut(id) else {
            return false;
        };
        ticket.attachments.push(Attachment {
            name: name.to_owned(),
            content_type: content_type.to_owned(),
            bytes: if kept { bytes.clone() } else { Bytes::new() },
            size,
        });
        if kept {
            self.attached_bytes += size;
        }
        true
    }
}

/// What stands in an `Authorization` header for Basic authentication.
pub fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Basic {pair}")
}

fn by_name(headers: &HeaderMap) -> BTreeMap<String, String> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
    let mut named = BTreeMap::new();
    for (name, value) in headers {
        let value: String = text(value);
        let entry = named.entry(name.as_str().to_owned());
        // A browser sends one line of cookies; a client that sends several means them all.
        entry
            .and_modify(|given: &mut String| {
                if *name == header::COOKIE {
                    given.push_str("; ");
                    given.push_str(&value);
                } else {
                    given.clone_from(&value);
                }
            })
            .or_insert(value.clone());
    }
    named
}
