//! A plant's own system: takes any POST, remembers it, and answers as it is told. It may play
//! several, each at a path of its own.
//!
//! # Invariants
//! - Unless it is told so, it refuses no POST for what is in it, only for a body beyond
//!   [`BODY_BYTES`].
//!
//! # Not here
//! - Care for secrets: what was received is handed out as it came, except on `GET /received`.

mod answer;
mod oauth;
mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use axum::body::Bytes;
use jiff::Timestamp;

pub use answer::Answer;
pub use oauth::{OAuth, TOKEN_PATH};
pub use world::{BODY_BYTES, BackendWorld, KEPT_BYTES, KEPT_POSTS};

use super::identity::{Authority, CertificateError, ClientIdentity, Identity};
use super::serve::{Server, StartError};
use crate::clock::Clock;

/// Where and how a backend listens.
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// The address; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where time stamps come from.
    pub clock: Clock,
    /// Whether it speaks HTTPS, and who is believed then.
    pub tls: Tls,
}

/// Whether a backend speaks HTTPS, with a certificate for `localhost`, `127.0.0.1` and `::1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// It speaks plain HTTP.
    #[default]
    Off,
    /// Its certificate is signed by itself.
    SelfSigned,
    /// Its certificate is signed by an authority made on the spot.
    PrivateAuthority,
    /// As [`Tls::PrivateAuthority`], and clients must show a certificate of the same authority.
    RequireClient,
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
    papers: Papers,
    world: BackendWorld,
}

/// The certificates around one backend.
#[derive(Debug, Default)]
struct Papers {
    identity: Option<Identity>,
    authority_pem: Option<String>,
    client: Option<ClientIdentity>,
}

impl Papers {
    fn make(tls: Tls) -> Result<Self, CertificateError> {
        let name = "simulated plant backend";
        match tls {
            Tls::Off => Ok(Self::default()),
            Tls::SelfSigned => Ok(Self {
                identity: Some(Identity::self_signed(name)?),
                ..Self::default()
            }),
            Tls::PrivateAuthority | Tls::RequireClient => {
                let authority = Authority::new("simulated plant authority")?;
                let identity = authority.server(name)?;
                let (identity, client) = if tls == Tls::RequireClient {
                    let client = authority.client("simulated plant client")?;
                    (identity.demanding_clients_of(&authority), Some(client))
                } else {
                    (identity, None)
                };
                Ok(Self {
                    identity: Some(identity),
                    authority_pem: Some(authority.pem()),
                    client,
                })
            }
        }
    }
}

impl Backend {
    /// Listens.
    pub async fn start(config: BackendConfig) -> Result<Self, StartError> {
        let papers = Papers::make(config.tls)?;
        let world = BackendWorld::new(config.clock);
        let handle = world.clone();
        let server = Server::start(config.listen, papers.identity.as_ref(), move |request| {
            let world = handle.clone();
            async move { world.answer(request).await }
        })
        .await?;
        Ok(Self {
            server,
            papers,
            world,
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Its integration URL.
    pub fn url(&self) -> String {
        self.url_of("/inspections")
    }

    /// Where tokens are asked for, once [`BackendWorld::set_oauth`] has said who gets them.
    pub fn token_url(&self) -> String {
        self.url_of(TOKEN_PATH)
    }

    /// The URL of any path.
    pub fn url_of(&self, path: &str) -> String {
        let scheme = if self.papers.identity.is_some() {
            "https"
        } else {
            "http"
        };
        format!("{scheme}://{}{path}", self.addr())
    }

    /// Its certificate, when it speaks HTTPS.
    pub fn certificate_pem(&self) -> Option<&str> {
        self.papers.identity.as_ref().map(Identity::pem)
    }

    /// The certificate of the authority that signed its own, if one did.
    pub fn authority_pem(&self) -> Option<&str> {
        self.papers.authority_pem.as_deref()
    }

    /// What a client may show, when it demands that.
    pub fn client_identity(&self) -> Option<&ClientIdentity> {
        self.papers.client.as_ref()
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
