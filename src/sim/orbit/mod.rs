//! A simulated Orbit: a [`World`] that tests edit, served over HTTPS.
//!
//! It is as strict as a real one may be (token, CSRF token, encoded paths) and as unhelpful:
//! a webhook is posted once and never again.
//!
//! # Invariants
//! - The certificate is self-signed, for `localhost`, `127.0.0.1` and `::1`, and new at each start.
//! - Same seed, same order of calls: same run events. A restart with the same seed begins again
//!   with the same ids, so that a relay which remembers them takes them for duplicates.
//!
//! # Not here
//! - Anything of Orbit's that needs a robot: dispatch, site walks, teleoperation.

mod api;
mod records;
mod weather;
mod web_view;
mod webhook;
mod world;

use std::net::SocketAddr;

pub use records::{KEPT_EVENTS, LARGEST_PAGE};
pub use weather::{MediaWeather, Redirect, Weather};
pub use web_view::{WebView, WebViewConfig};
pub use webhook::Webhook;
pub use world::{Inspection, KEPT_REQUESTS, POST_TIMEOUT, Post, Seen, World};

use super::identity::Identity;
use super::serve::{Server, StartError};
use crate::clock::Clock;
use crate::secret::Secret;

/// Where a simulated Orbit listens and what makes it this one.
#[derive(Clone, Debug)]
pub struct OrbitConfig {
    /// The address; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// The API token that it accepts.
    pub token: Secret,
    /// What its robots do follows from this.
    pub seed: u64,
    /// Where its time comes from.
    pub clock: Clock,
}

/// A running simulated Orbit. Dropping it stops it.
#[derive(Debug)]
pub struct Orbit {
    server: Server,
    identity: Identity,
    world: World,
}

impl Orbit {
    /// Makes a certificate and listens.
    pub async fn start(config: OrbitConfig) -> Result<Self, StartError> {
        let identity = Identity::self_signed("simulated Orbit")?;
        let world = World::new(config.token, config.seed, config.clock)?;
        let handle = world.clone();
        let server = Server::start(config.listen, Some(&identity), move |request| {
            api::answer(handle.clone(), request)
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

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("https://{}", self.addr())
    }

    /// Its certificate, for whoever wants to trust it.
    pub fn certificate_pem(&self) -> &str {
        self.identity.pem()
    }

    /// SHA-256 of the certificate, in hex.
    pub fn certificate_sha256(&self) -> String {
        self.identity.sha256()
    }

    /// The handle to read and edit its world.
    pub fn world(&self) -> World {
        self.world.clone()
    }

    /// Shows an extension's page as a custom web view. Orbit's own page `/web-view` has it in a
    /// frame from now on.
    pub async fn show(&self, config: WebViewConfig) -> Result<WebView, StartError> {
        let server = Server::start(
            config.listen,
            Some(&self.identity),
            move |request| async move { Ok(web_view::pass_on(config, request).await) },
        );
        let server = server.await?;
        self.world.state().web_view = Some(server.addr().port());
        Ok(WebView { server })
    }

    /// Closes every connection and frees the port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
