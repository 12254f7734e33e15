//! What is left of a request that was too large, and so refused before all of it was read.
//!
//! # Invariants
//! - It is read before the answer, and nothing of it is kept: a sender that is cut off while it
//!   sends hears no answer, and a proxy says 502 in its place.
//! - It is bounded in bytes and in time.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::Request;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt as _};

/// Whoever sends more is cut off.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Whoever sends longer, too.
const LONGEST: Duration = Duration::from_secs(30);

/// The body of a request, which is read on after whoever read it has let go.
#[derive(Clone)]
pub(super) struct Rest(Arc<Mutex<BodyDataStream>>);

impl Rest {
    /// The same request, and what will be left of it.
    pub(super) fn of(request: Request) -> (Self, Request) {
        let (parts, body) = request.into_parts();
        let rest = Self(Arc::new(Mutex::new(body.into_data_stream())));
        let body = Body::from_stream(rest.clone());
        (rest, Request::from_parts(parts, body))
    }

    /// Reads it to its end.
    pub(super) async fn read(mut self) {
        let reading = async {
            let mut most = MOST_BYTES;
            while let Some(Ok(bytes)) = self.next().await {
                let Some(fewer) = most.checked_sub(bytes.len()) else {
                    return;
                };
                most = fewer;
            }
        };
        timeout(LONGEST, reading).await.ok();
    }
}

impl Stream for Rest {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Pin::new(&mut *body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(pieces: usize) -> Request {
        let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
        let pieces = std::iter::repeat_n(piece, pieces).map(Ok::<_, axum::Error>);
        Request::new(Body::from_stream(tokio_stream::iter(pieces)))
    }

    #[tokio::test]
    async fn what_was_not_read_is_read_to_its_end_and_within_its_bound() {
        for (pieces, left) in [(0, 0), (3, 0), (64, 0), (70, 5)] {
            let (rest, request) = Rest::of(sent(pieces));
            drop(request);
            let mut after = rest.clone();
            rest.read().await;
            let mut found = 0;
            while after.next().await.is_some() {
                found += 1;
            }
            assert_eq!(found, left, "{pieces} pieces");
        }
    }

    #[tokio::test]
    async fn a_body_comes_through_as_it_was_sent() {
        let (_rest, request) = Rest::of(Request::new(Body::from("a body")));
        let body = axum::body::to_bytes(request.into_body(), 100).await;
        assert_eq!(body.unwrap(), "a body");
    }
}
