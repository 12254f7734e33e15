//! Answers, and bodies that are slow, large or cut off.
//!
//! # Invariants
//! - JSON goes out as JavaScript would write it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::{Frame, SizeHint};
use serde::Serialize;
use tokio::time::Interval;

use super::javascript::stringify;

/// An answer in JSON.
pub(crate) fn respond<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let (status, body) = match stringify(value) {
        Ok(body) => (status, body),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, Vec::new()),
    };
    with_type(status, "application/json", body)
}

/// An answer of any type.
pub(crate) fn with_type(
    status: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Adds a header, unless its value cannot be one.
pub(crate) fn with_header(
    mut response: Response<Body>,
    name: HeaderName,
    value: &str,
) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
    response
}

/// One byte a second, without end.
#[derive(Debug)]
pub(crate) struct Drip(Interval);

impl Default for Drip {
    fn default() -> Self {
        Self(tokio::time::interval(Duration::from_secs(1)))
    }
}

impl hyper::body::Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.0.poll_tick(context));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
    }
}

/// So many bytes, as fast as they are read. Their number is not declared.
#[derive(Debug)]
pub(crate) struct Flood {
    chunks_left: u32,
}

const CHUNK: &[u8] = &[b'x'; 64 << 10];
const CHUNKS_PER_MIB: u32 = 16;

impl Flood {
    /// A body of so many MiB.
    pub(crate) fn of_mib(mib: u32) -> Self {
        Self {
            chunks_left: mib.saturating_mul(CHUNKS_PER_MIB),
        }
    }
}

impl hyper::body::Body for Flood {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.chunks_left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.chunks_left = left;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(CHUNK)))))
    }
}

/// So many bytes that begin as a JPEG does.
#[derive(Debug)]
pub(crate) struct Filler {
    sent: u64,
    bytes: u64,
    declared: bool,
}

const JPEG: &[u8] = &[0xff, 0xd8, 0xff];

impl Filler {
    /// A body of so many bytes, which says so before or does not.
    pub(crate) fn of(bytes: u64, declared: bool) -> Self {
        Self {
            sent: 0,
            bytes,
            declared,
        }
    }
}

impl hyper::body::Body for Filler {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let left = self.bytes - self.sent;
        if left == 0 {
            return Poll::Ready(None);
        }
        let whole = if self.sent == 0 { JPEG } else { CHUNK };
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let part = whole.get(..left).unwrap_or(whole);
        self.sent += u64::try_from(part.len()).unwrap_or(0);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(part)))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.declared {
            SizeHint::with_exact(self.bytes - self.sent)
        } else {
            SizeHint::default()
        }
    }
}

/// Declares more than it gives, and then the connection is closed.
#[derive(Debug, Default)]
pub(crate) enum BrokenOff {
    /// Nothing has been given yet.
    #[default]
    Whole,
    /// The beginning has been given. The server gets one turn to send it.
    Begun,
    /// There is no more.
    Cut,
}

const BEGINNING: &[u8] = br#"{"accepted":"#;
const DECLARED_BYTES: u64 = 1_000;

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the body is cut off, as it was to be")]
pub(crate) struct CutOff;

impl hyper::body::Body for BrokenOff {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        match *self {
            Self::Whole => {
                *self = Self::Begun;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(BEGINNING)))))
            }
            Self::Begun => {
                *self = Self::Cut;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Cut => Poll::Ready(Some(Err(CutOff))),
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(DECLARED_BYTES)
    }
}
