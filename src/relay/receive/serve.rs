//! Connections: how many at once, with TLS or without, how long they may take, and how they end.
//!
//! # Invariants
//! - No more than [`CONNECTIONS`] are served; for a further one the one that has waited longest
//!   for a request makes room.
//! - A handshake that is not over within [`HANDSHAKE_DEADLINE`], and a head that is not there
//!   within [`HEAD_DEADLINE`], end their connection.
//! - A connection in its handshake waits for its request like any other, and makes room.
//! - With TLS nothing is said in plain HTTP.
//! - After the stop signal nothing is accepted, what is under way is finished, and a connection
//!   on which no request has begun ends within [`LAST_HEAD`], twice that if it was in its handshake.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::idle::{Idle, Place};
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::http::ServerTls;

/// Whose address a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// As many connections as one listener keeps open.
pub const CONNECTIONS: usize = 256;
/// How long a TLS handshake may take.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How often the files of the certificate are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// How long a request's head may take, and how long a connection may stay idle. Longer than
/// Node's own agent keeps one, so that Orbit never writes into a connection that closes.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// After the stop signal a first request's head may still arrive for so long.
const LAST_HEAD: Duration = Duration::from_secs(1);
/// The most that a request's head may take.
const LARGEST_HEAD: usize = 128 * 1024;
/// How long a connection may wait for its request while another waits for its place.
const PATIENCE: Duration = Duration::from_secs(1);
/// After an accept that failed, as it does when no descriptors are left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router`, over TLS if there is any, until `stop` is cancelled and the last request is
/// answered.
pub async fn serve(
    listener: TcpListener,
    tls: Option<ServerTls>,
    router: Router,
    stop: CancellationToken,
) {
    let tls = tls.map(Arc::new);
    tokio::select! {
        () = take(listener, tls.as_ref(), router, stop) => {}
        () = keep_fresh(tls.as_ref()) => {}
    }
}

async fn take(
    listener: TcpListener,
    tls: Option<&Arc<ServerTls>>,
    router: Router,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let idle = Idle::default();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places, &idle) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            continue;
        };
        // Without it an answer may wait for the peer's acknowledgement; a failure only costs time.
        stream.set_nodelay(true).ok();
        let tls = tls.map(|tls| TlsAcceptor::from(tls.current()));
        let router = router.clone();
        let stop = stop.clone();
        let place = idle.place();
        let peer = stream.peer_addr().ok().map(|peer| Peer(peer.ip()));
        connections.spawn(async move {
            let conversation = async {
                match tls {
                    None => connection(stream, peer, router, &place, stop).await,
                    // In a box, so that it takes no memory where there is no TLS.
                    Some(tls) => Box::pin(secured(stream, peer, tls, router, &place, stop)).await,
                }
            };
            tokio::select! {
                () = place.make_room.cancelled() => {}
                () = conversation => {}
            }
            place.leave();
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// Has the files of the certificate read again when they change.
async fn keep_fresh(tls: Option<&Arc<ServerTls>>) {
    let Some(tls) = tls else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(LOOK).await;
        let tls = Arc::clone(tls);
        // Files may be slow; connections do not wait for them.
        match tokio::task::spawn_blocking(move || tls.look()).await {
            Ok(None) => {}
            Ok(Some(Ok(()))) => tracing::info!("receive: its certificate was read again"),
            Ok(Some(Err(error))) => tracing::warn!(
                %error,
                "receive: its certificate has changed and cannot be used; the one of before stays in use"
            ),
            Err(error) => tracing::error!(%error, "receive: its certificate is not looked at"),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    idle: &Idle,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    match listener.accept().await {
        Ok((stream, _)) => {
            let permit = permit(places, idle).await?;
            Some((stream, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "receive: accept failed");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

async fn permit(places: &Arc<Semaphore>, idle: &Idle) -> Option<OwnedSemaphorePermit> {
    loop {
        if places.available_permits() == 0 {
            idle.make_room(PATIENCE);
        }
        let free = Arc::clone(places).acquire_owned();
        if let Ok(permit) = tokio::time::timeout(PATIENCE / 4, free).await {
            return permit.ok();
        }
    }
}

async fn secured(
    stream: TcpStream,
    peer: Option<Peer>,
    tls: TlsAcceptor,
    router: Router,
    place: &Place,
    stop: CancellationToken,
) {
    let too_late = async {
        let stopped = tokio::time::timeout(HANDSHAKE_DEADLINE, stop.cancelled());
        if stopped.await.is_ok() {
            tokio::time::sleep(LAST_HEAD).await;
        }
    };
    let error = tokio::select! {
        greeted = tls.accept(stream) => match greeted {
            Ok(stream) => return connection(stream, peer, router, place, stop.clone()).await,
            Err(error) => error,
        },
        () = too_late => std::io::ErrorKind::TimedOut.into(),
    };
    tracing::debug!(%error, "receive: a TLS handshake failed");
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Option<Peer>,
    router: Router,
    place: &Place,
    stop: CancellationToken,
) {
    let router = TowerToHyperService::new(router);
    let began = AtomicBool::new(false);
    let service = service_fn(|mut request: axum::http::Request<_>| {
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        began.store(true, Ordering::Relaxed);
        let busy = place.busy();
        let answer = router.call(request);
        async move {
            let answer = answer.await;
            drop(busy);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            // The graceful end waits for a first request, however long that takes to come.
            let wait = tokio::time::timeout(LAST_HEAD, connection.as_mut()).await;
            match wait {
                Ok(ended) => ended,
                Err(_) if began.load(Ordering::Relaxed) => connection.await,
                Err(_) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "receive: a connection ended early");
    }
}
