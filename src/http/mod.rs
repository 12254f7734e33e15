//! The one place that builds HTTP clients: time-outs, TLS, and errors that hold no URL; and the
//! one place for certificates.
//!
//! ```text
//! mod    clients, and what went wrong with an exchange
//! tls    certificates, of clients and of the listener
//! files  what is made of files, and made anew when they change
//! guard  addresses to which nothing is sent
//! dial   connections that speak something else
//! post   one post that a person asks for
//! ```
//!
//! # Invariants
//! - A client never follows a redirect, and has a deadline for every exchange. It uses a proxy only
//!   if its route has one; the environment has no say here.
//! - An error of this module never holds a URL, a header or a body: they may hold secrets.

mod dial;
mod files;
mod guard;
mod post;
mod tls;

use std::error::Error as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use self::dial::{ReadWrite, Wire};
pub use self::files::{FromFiles, Stamps};
use self::guard::Guard;
pub use self::guard::{Guarded, is_guarded};
pub use self::post::Answered;
use self::tls::Seen;
pub use self::tls::{
    ClientCertificate, PemError, RefusedCertificate, ServerFiles, ServerTls, Trust,
    read_certificates, read_client_certificate,
};

/// No connection takes longer to be made, whatever the deadline.
const CONNECT: Duration = Duration::from_secs(10);

/// What requests go through on their way.
#[derive(Clone)]
pub struct Proxy {
    /// Its URL, which may hold user and password.
    pub url: Url,
    /// Hosts that are reached without it, as `NO_PROXY` lists them.
    pub except: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What one kind of client needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose certificates it believes.
    pub trust: Trust,
    /// The certificate that it shows, if any.
    pub certificate: Option<ClientCertificate>,
    /// The deadline of one whole exchange.
    pub timeout: Duration,
}

/// How a client reaches what an administrator has configured.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// What requests go through.
    pub proxy: Option<Proxy>,
    /// Guarded addresses that are no mistake here.
    pub allow_addresses: Vec<IpAddr>,
}

/// A client, and the certificates that it was last shown.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    seen: Seen,
    timeout: Duration,
    guard: Option<Guard>,
    proxy: Option<Url>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is inside shows a proxy's user and password.
        f.write_str("Client")
    }
}

/// A client that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of certificates cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate or key does not fit.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] rustls::Error),
    /// The certificate authorities cannot be used.
    #[error("the certificate authorities cannot be used")]
    Authorities(#[from] rustls::client::VerifierBuilderError),
    /// The proxy speaks something else than HTTP.
    #[error("a proxy is given as http://HOST:PORT or https://HOST:PORT")]
    Proxy,
    /// The HTTP client refused its settings.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// An exchange that gave no usable answer. The text names no URL.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExchangeError {
    /// The whole exchange took longer than its deadline.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The server's certificate did not verify.
    #[error("the certificate with SHA-256 {} does not verify ({})", .0.sha256, .0.reason)]
    Certificate(RefusedCertificate),
    /// The address is guarded, and not allowed.
    #[error(transparent)]
    Guarded(#[from] Guarded),
    /// Nobody answers there, or the name does not resolve.
    #[error("cannot connect to {to}: {reason}")]
    Connect {
        /// Host and port, and the proxy on the way there.
        to: String,
        /// What the system said.
        reason: String,
    },
    /// The connection broke, or what came was not HTTP.
    #[error("the exchange failed: {0}")]
    Exchange(String),
}

impl Client {
    /// Builds a client that goes straight to any address.
    pub fn build(config: &Config) -> Result<Self, BuildError> {
        Self::assemble(config, None, None)
    }

    /// Builds a client that goes this way, and to no guarded address but those allowed.
    pub fn routed(config: &Config, route: &Route) -> Result<Self, BuildError> {
        let guard = Guard::new(is_guarded, &route.allow_addresses);
        Self::assemble(config, Some(guard), route.proxy.as_ref())
    }

    fn assemble(
        config: &Config,
        guard: Option<Guard>,
        proxy: Option<&Proxy>,
    ) -> Result<Self, BuildError> {
        let seen = Seen::default();
        let tls = tls::config(&config.trust, config.certificate.clone(), &seen)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that builds clients"
        )]
        let builder = reqwest::Client::builder();
        let mut builder = builder
            .tls_backend_preconfigured(tls.clone())
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(CONNECT))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        if let Some(guard) = guard.clone() {
            builder = builder.dns_resolver(Arc::new(guard));
        }
        // The list below takes `*` for names only.
        let proxy = proxy.filter(|proxy| !proxy.except.split(',').any(|host| host.trim() == "*"));
        if let Some(Proxy { url, except }) = proxy {
            // Another one would be left out without a word.
            if !matches!(url.scheme(), "http" | "https") {
                return Err(BuildError::Proxy);
            }
            let proxy = reqwest::Proxy::all(url.clone())
                .map_err(|error| BuildError::Client(error.without_url()))?;
            builder = builder.proxy(proxy.no_proxy(reqwest::NoProxy::from_string(except)));
        }
        let inner = builder
            .build()
            .map_err(|error| BuildError::Client(error.without_url()))?;
        Ok(Self {
            inner,
            tls: Arc::new(tls),
            seen,
            timeout: config.timeout,
            guard,
            proxy: proxy.map(|proxy| proxy.url.clone()),
        })
    }

    /// Starts a request.
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.inner.request(method, url)
    }

    /// Sends a request, unless it or its proxy has a guarded address.
    pub async fn send(
        &self,
        request: reqwest::Request,
    ) -> Result<reqwest::Response, ExchangeError> {
        if let Some(guard) = &self.guard {
            guard.check(request.url())?;
            self.proxy.as_ref().map_or(Ok(()), |url| guard.check(url))?;
        }
        let sent = self.inner.execute(request).await;
        sent.map_err(|error| self.explain(error, self.timeout))
    }

    /// Reads an answer's body until `body` has `limit` bytes; tells whether there was more. What
    /// came before an error stays in `body`.
    pub async fn read(
        &self,
        answer: &mut reqwest::Response,
        body: &mut Vec<u8>,
        limit: usize,
    ) -> Result<bool, ExchangeError> {
        let read = read_into(answer, body, limit).await;
        read.map_err(|error| self.explain(error, self.timeout))
    }

    /// SHA-256, in hex, of the last certificate that a server has shown, believed or not.
    pub fn shown_certificate(&self) -> Option<String> {
        self.seen.shown()
    }

    /// What went wrong, without the URL.
    pub fn explain(&self, error: reqwest::Error, timeout: Duration) -> ExchangeError {
        let to = self.to(error.url());
        let error = error.without_url();
        if error.is_timeout() && error.is_connect() && timeout > CONNECT {
            let reason = format!("no connection within {} s", CONNECT.as_secs());
            return ExchangeError::Connect { to, reason };
        }
        if error.is_timeout() {
            return ExchangeError::Timeout(timeout);
        }
        if let Some(certificate) = self.seen.take_refused()
            && error.is_connect()
        {
            return ExchangeError::Certificate(certificate);
        }
        let mut text = String::new();
        let mut cause = error.source();
        while let Some(inner) = cause {
            if let Some(guarded) = inner.downcast_ref::<Guarded>() {
                return ExchangeError::Guarded(guarded.clone());
            }
            let inner_text = inner.to_string();
            // The client's own words for "cannot connect" say nothing more.
            if !text.ends_with(&inner_text) && !inner_text.starts_with("client error (Connect)") {
                text = if text.is_empty() {
                    inner_text
                } else {
                    format!("{text}: {inner_text}")
                };
            }
            cause = inner.source();
        }
        // rustls names pages for its users, not for ours.
        if let Some((before, _)) = text.split_once(": https://docs.rs/") {
            text = before.to_owned();
        }
        if text.is_empty() {
            text = error.to_string();
        }
        if error.is_connect() {
            ExchangeError::Connect { to, reason: text }
        } else {
            ExchangeError::Exchange(text)
        }
    }
}

impl Client {
    fn to(&self, url: Option<&Url>) -> String {
        let there = url.map_or_else(|| "it".to_owned(), address);
        match &self.proxy {
            None => there,
            Some(proxy) => format!("{there} (by way of the proxy {})", address(proxy)),
        }
    }
}

/// Host and port: all of a URL that holds no secret.
fn address(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// Reads at most `limit` bytes of an answer's body; the flag says whether there was more.
pub async fn read_limited(
    answer: &mut reqwest::Response,
    limit: usize,
) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    let more = read_into(answer, &mut body, limit).await?;
    Ok((body, more))
}

async fn read_into(
    answer: &mut reqwest::Response,
    body: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, reqwest::Error> {
    while let Some(chunk) = answer.chunk().await? {
        let room = limit.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_that_gives_a_guarded_address_is_refused_and_the_error_says_both() {
        let config = Config {
            trust: Trust::Authorities(Vec::new()),
            certificate: None,
            timeout: Duration::from_secs(5),
        };
        // As if loopback were guarded: no name is known to give one that is.
        let refusal = async |allowed: &[IpAddr]| {
            let guard = Guard::new(|address| address.is_loopback(), allowed);
            let client = Client::assemble(&config, Some(guard), None).unwrap();
            let url = "http://localhost:9/canary".parse().unwrap();
            let request = reqwest::Request::new(reqwest::Method::POST, url);
            client.send(request).await.unwrap_err()
        };
        let error = refusal(&[]).await;
        assert!(matches!(error, ExchangeError::Guarded(_)), "{error:?}");
        assert!(error.to_string().starts_with("localhost is at "), "{error}");
        let loopback = ["127.0.0.1", "::1"].map(|address| address.parse().unwrap());
        let error = refusal(&loopback).await;
        assert!(matches!(error, ExchangeError::Connect { .. }), "{error:?}");
    }
}
