//! The HTTP client of one destination, made anew when the files of its certificates change.
//!
//! # Invariants
//! - Files are looked at when the client is used.
//! - While what stands in them cannot be used, the client of before stays, and the log says so
//!   once for each change.

use std::error::Error;

use super::{Config, Tls};
use crate::http::{self, FromFiles, Stamps};

#[derive(Debug)]
pub(super) struct Clients(FromFiles<http::Client>);

impl Clients {
    pub(super) fn build(config: &Config) -> Result<Self, http::BuildError> {
        let Tls {
            ca_file,
            client_cert_file,
            client_key_file,
        } = &config.tls;
        let files = [ca_file, client_cert_file, client_key_file];
        let files = files.into_iter().flatten().cloned().collect();
        FromFiles::make(files, || client(config)).map(Self)
    }

    /// The client to be used now.
    pub(super) fn current(&self, config: &Config) -> http::Client {
        match self.0.look(|| client(config)) {
            None => {}
            Some(Ok(())) => tracing::info!(
                destination = config.name,
                "destination: its certificates were read again"
            ),
            Some(Err(error)) => tracing::warn!(
                destination = config.name,
                error = chain(&error),
                "destination: its certificates have changed and cannot be used; those of before stay in use"
            ),
        }
        self.0.current()
    }

    /// The files that the client in use was made of.
    pub(super) fn made_of(&self) -> Stamps {
        self.0.made_of()
    }

    /// The files as they are now.
    pub(super) fn files_now(&self) -> Stamps {
        self.0.stamps()
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

fn client(config: &Config) -> Result<http::Client, http::BuildError> {
    let Tls {
        ca_file,
        client_cert_file,
        client_key_file,
    } = &config.tls;
    let added = match ca_file {
        None => Vec::new(),
        Some(file) => http::read_certificates(file)?,
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
