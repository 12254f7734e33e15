//! Connections: how many at once, how long they may take, and how they end.
//!
//! # Invariants
//! - No more than [`CONNECTIONS`] are served; for a further one the one that has waited longest
//!   for a request makes room.
//! - A head that is not there within [`HEAD_DEADLINE`] ends its connection.
//! - After the stop signal nothing is accepted, what is under way is finished, and a connection
//!   on which no request has begun ends within [`LAST_HEAD`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::idle::{Idle, Place};
use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// As many connections as one listener keeps open.
pub const CONNECTIONS: usize = 256;
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

/// Serves `router` until `stop` is cancelled and the last request is answered.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
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
        let router = router.clone();
        let stop = stop.clone();
        let place = idle.place();
        connections.spawn(async move {
            tokio::select! {
                () = place.make_room.cancelled() => {}
                () = connection(stream, router, &place, stop) => {}
            }
            place.leave();
            drop(permit);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
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

async fn connection(stream: TcpStream, router: Router, place: &Place, stop: CancellationToken) {
    // Without it an answer may wait for the peer's acknowledgement; a failure only costs time.
    stream.set_nodelay(true).ok();
    let router = TowerToHyperService::new(router);
    let began = AtomicBool::new(false);
    let service = service_fn(|request| {
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
