//! A plant's own system: takes any POST, remembers it, and answers as it is told.
//!
//! # Invariants
//! - It never refuses a POST for what is in it, only for a body beyond [`BODY_BYTES`].
//!
//! # Not here
//! - Care for secrets: what was received is handed out as it came, except on `GET /received`.

mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Bytes;
use jiff::Timestamp;

pub use world::{BODY_BYTES, BackendWorld, KEPT_BYTES, KEPT_POSTS};

use super::serve::{Identity, Server, StartError};
use crate::clock::Clock;

/// Where and how a backend listens.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// The address; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where time stamps come from.
    pub clock: Clock,
    /// Whether it speaks HTTPS, with a certificate of its own making.
    pub tls: bool,
}

/// How a POST is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// With 200.
    #[default]
    Ok,
    /// With this status.
    Status(u16),
    /// With this status and a `Retry-After` of so many seconds.
    RetryAfter(u16, u32),
    /// With this status and a `Location`.
    Redirect(u16, String),
    /// With 500 and a page of HTML.
    Html500,
    /// Never.
    Hang,
    /// With 200, and a body that comes one byte a second.
    Drip,
    /// By closing the connection.
    Reset,
    /// With 200 when the `Authorization` header is this, and with 401 otherwise.
    RequireAuth(String),
}

/// One POST that came.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its path and query.
    pub path: String,
    /// Its headers, names in lower case; of several of one name the last.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: Bytes,
    /// When it came.
    pub at: Timestamp,
    /// With which status it was answered, if at all.
    pub answered: Option<u16>,
}

impl Received {
    /// The idempotency key; empty when there is none.
    pub fn key(&self) -> &str {
        self.headers
            .get("idempotency-key")
            .map_or("", String::as_str)
    }

    /// Whether the answer was a 2xx.
    pub fn accepted(&self) -> bool {
        self.answered.is_some_and(|s| (200..300).contains(&s))
    }
}

/// How many posts came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub attempts: u64,
    /// Those that were answered with a 2xx.
    pub accepted: u64,
}

/// A running backend. Dropping it stops it.
#[derive(Debug)]
pub struct Backend {
    server: Server,
    identity: Option<Identity>,
    world: BackendWorld,
}

impl Backend {
    /// Listens.
    pub async fn start(config: BackendConfig) -> Result<Self, StartError> {
        let identity = if config.tls {
            Some(Identity::self_signed("simulated plant backend")?)
        } else {
            None
        };
        let world = BackendWorld::new(config.clock);
        let handle = world.clone();
        let server = Server::start(config.listen, identity.as_ref(), move |request| {
            let world = handle.clone();
            async move { world.answer(request).await }
        })
        .await?;
        Ok(Self {
            server,
            identity,
            world,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Its integration URL.
    pub fn url(&self) -> String {
        let scheme = if self.identity.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}/inspections", self.addr())
    }

    /// Its certificate, when it speaks HTTPS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.identity.as_ref().map(Identity::pem)
    }

    /// The handle to read and edit it.
    pub fn world(&self) -> BackendWorld {
        self.world.clone()
    }

    /// Closes every connection and frees the port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
