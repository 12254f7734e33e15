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
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::identity::{CertificateError, Identity};

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
    /// There is no certificate that could be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The client that sends webhooks could not be built.
    #[error("cannot build the client that sends webhooks")]
    Client(#[from] crate::http::BuildError),
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
        Self::listen(listen, move |stream| {
            greet(stream, acceptor.clone(), answer.clone())
        })
        .await
    }

    /// Listens, and leaves each connection to `converse`.
    pub(crate) async fn listen<C, F>(listen: SocketAddr, converse: C) -> Result<Self, StartError>
    where
        C: Fn(TcpStream) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let fail = |e| StartError::Listen(listen, e);
        let listener = TcpListener::bind(listen).await.map_err(fail)?;
        let addr = listener.local_addr().map_err(fail)?;
        let task = tokio::spawn(accept(listener, converse));
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

async fn accept<C, F>(listener: TcpListener, converse: C)
where
    C: Fn(TcpStream) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
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
        // Small writes do not wait for each other; a peer that is gone has no use for that.
        stream.set_nodelay(true).ok();
        let conversation = converse(stream);
        connections.spawn(async move {
            conversation.await;
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
