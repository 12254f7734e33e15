//! Serves HTTP on a socket, with or without TLS, until it is stopped.
//!
//! An answer may also be none: the connection is then closed, as a server does that dies.
//!
//! # Invariants
//! - When `stop` returns, the port is free and no connection is left.
//! - At most [`CONNECTIONS`] connections are open; more wait in the listener's queue.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Enough for a load test on one machine, and a bound all the same.
const CONNECTIONS: usize = 1_024;

/// What a handler gives when there is to be no answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped without an answer")]
pub(crate) struct Dropped;

/// Why a simulator does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// No certificate could be made.
    #[error("cannot make a self-signed certificate")]
    Certificate(#[from] rcgen::Error),
    /// The certificate was made but cannot be used.
    #[error("cannot use the self-signed certificate")]
    Tls(#[from] rustls::Error),
    /// The client that sends webhooks could not be built.
    #[error("cannot build the client that sends webhooks")]
    Client(#[from] crate::http::BuildError),
}

/// A certificate for this machine's loopback names, signed by itself.
#[derive(Debug)]
pub(crate) struct Identity {
    pem: String,
    der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Makes a new one.
    pub(crate) fn self_signed(name: &str) -> Result<Self, StartError> {
        let key = rcgen::KeyPair::generate()?;
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = rcgen::CertificateParams::new(names)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        // Python's strict check wants it.
        params.use_authority_key_identifier_extension = true;
        let certificate = params.self_signed(&key)?;
        Ok(Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// The certificate, for whoever wants to trust it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate, in hex.
    pub(crate) fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.der))
    }

    fn acceptor(&self) -> Result<TlsAcceptor, rustls::Error> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], self.key.clone_key())?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A running server. Dropping it stops it too, without waiting.
#[derive(Debug)]
pub(crate) struct Server {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Listens, and answers each request with what `answer` makes of it.
    pub(crate) async fn start<A, F>(
        listen: SocketAddr,
        identity: Option<&Identity>,
        answer: A,
    ) -> Result<Self, StartError>
    where
        A: Fn(Request<Body>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
    {
        let acceptor = identity.map(Identity::acceptor).transpose()?;
        let fail = |e| StartError::Listen(listen, e);
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let addr = listener.local_addr().map_err(fail)?;
        let task = tokio::spawn(accept(listener, acceptor, answer));
        Ok(Self { addr, task })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Ends every connection and frees the port.
    pub(crate) async fn stop(mut self) {
        self.task.abort();
        // Ended by the abort above, which is what was asked for.
        drop((&mut self.task).await);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept<A, F>(listener: TcpListener, acceptor: Option<TlsAcceptor>, answer: A)
where
    A: Fn(Request<Body>) -> F + Clone + Send + 'static,
    F: Future<Output = Result<Response<Body>, Dropped>> + Send + 'static,
{
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Dropped with this task, and every connection with it.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: give connections time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        connections.spawn(async move {
            greet(stream, acceptor, answer).await;
            drop(place);
        });
    }
}

/// A peer that breaks off, or does not trust the certificate, is no event for a simulator.
async fn greet<A, F>(stream: TcpStream, acceptor: Option<TlsAcceptor>, answer: A)
where
    A: Fn(Request<Body>) -> F,
    F: Future<Output = Result<Response<Body>, Dropped>>,
{
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match acceptor {
        None => converse(stream, answer).await,
        Some(acceptor) => {
            let handshake = acceptor.accept(stream);
            let handshake = tokio::time::timeout(Duration::from_secs(10), handshake).await;
            if let Ok(Ok(stream)) = handshake {
                converse(stream, answer).await;
            }
        }
    }
}

async fn converse<S, A, F>(stream: S, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin,
    A: Fn(Request<Body>) -> F,
    F: Future<Output = Result<Response<Body>, Dropped>>,
{
    let service =
        service_fn(move |request: Request<hyper::body::Incoming>| answer(request.map(Body::new)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(30))
        .serve_connection(TokioIo::new(stream), service);
    // An error here is a peer that went away, or a connection that was to be dropped.
    drop(connection.await);
}
