//! The HTTP client of one destination, made anew when the files of its certificates change.
//!
//! # Invariants
//! - Files are looked at when the client is used, at most once a second.
//! - While what stands in them cannot be used, the client of before stays, and the log says so
//!   once for each change.

use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::Instant;

use super::{Config, Tls};
use crate::http;

/// Files are not looked at more often.
const PAUSE: Duration = Duration::from_secs(1);

/// A hash of what stands in each file. The time of a change would not do: a file system's clock
/// may tick too slowly for two changes.
pub(super) type Stamps = Vec<Option<[u8; 32]>>;

#[derive(Debug)]
pub(super) struct Clients(Mutex<State>);

#[derive(Debug)]
struct State {
    client: http::Client,
    /// The files as they were when `client` was made.
    made_of: Stamps,
    /// The files as they were when they were last read.
    seen: Stamps,
    looked_at: Instant,
}

impl Clients {
    pub(super) fn build(config: &Config) -> Result<Self, http::BuildError> {
        // Before they are read: a change in between is then seen the next time.
        let stamps = stamps(&config.tls);
        Ok(Self(Mutex::new(State {
            client: client(config)?,
            made_of: stamps.clone(),
            seen: stamps,
            looked_at: Instant::now(),
        })))
    }

    /// The client to be used now.
    pub(super) fn current(&self, config: &Config) -> http::Client {
        let mut state = self.state();
        if state.looked_at.elapsed() >= PAUSE && !state.seen.is_empty() {
            state.look(config);
        }
        state.client.clone()
    }

    /// The files that the client in use was made of.
    pub(super) fn made_of(&self) -> Stamps {
        self.state().made_of.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn look(&mut self, config: &Config) {
        self.looked_at = Instant::now();
        let stamps = stamps(&config.tls);
        if stamps == self.seen {
            return;
        }
        self.seen.clone_from(&stamps);
        match client(config) {
            Ok(client) => {
                self.client = client;
                self.made_of = stamps;
                tracing::info!(
                    destination = config.name,
                    "destination: its certificates were read again"
                );
            }
            Err(error) => tracing::warn!(
                destination = config.name,
                error = chain(&error),
                "destination: its certificates have changed and cannot be used; those of before stay in use"
            ),
        }
    }
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// What stands in the files now; one that cannot be read has no hash.
pub(super) fn stamps(tls: &Tls) -> Stamps {
    let files = [&tls.ca_file, &tls.client_cert_file, &tls.client_key_file];
    let stamp = |path| Some(Sha256::digest(std::fs::read(path).ok()?).into());
    files.into_iter().flatten().map(stamp).collect()
}

fn client(config: &Config) -> Result<http::Client, http::BuildError> {
    let Tls {
        ca_file,
        client_cert_file,
        client_key_file,
    } = &config.tls;
    let added = match ca_file {
        None => Vec::new(),
        Some(file) => http::read_authorities(file)?,
    };
    let certificate = match client_cert_file {
        None => None,
        Some(file) => Some(http::read_client_certificate(
            file,
            client_key_file.as_deref(),
        )?),
    };
    let route = http::Route {
        proxy: config.proxy.clone(),
        allow_addresses: config.allow_addresses.clone(),
    };
    let config = http::Config {
        trust: http::Trust::Authorities(added),
        certificate,
        timeout: config.timeout,
    };
    http::Client::routed(&config, &route)
}
