//! Connections: how many at once, how long they may take, and how they end.
//!
//! # Invariants
//! - No more than [`CONNECTIONS`] are open; further ones wait in the listener's queue.
//! - A head that is not there within [`HEAD_DEADLINE`] ends its connection.
//! - After the stop signal nothing is accepted, what is under way is finished.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// As many connections as one listener keeps open.
pub const CONNECTIONS: usize = 256;
/// How long a request's head may take, and how long a connection may stay idle. Longer than
/// Node's own agent keeps one, so that Orbit never writes into a connection that closes.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// The most that a request's head may take.
const LARGEST_HEAD: usize = 128 * 1024;
/// After an accept that failed, as it does when no descriptors are left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `stop` is cancelled and the last request is answered.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let Some((stream, place)) = accepted else {
            continue;
        };
        let router = router.clone();
        let stop = stop.clone();
        connections.spawn(async move {
            connection(stream, router, stop).await;
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(error) => {
            tracing::warn!(%error, "receive: accept failed");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Without it an answer may wait for the peer's acknowledgement; a failure only costs time.
    stream.set_nodelay(true).ok();
    let service = TowerToHyperService::new(router);
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
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "receive: a connection ended early");
    }
}
