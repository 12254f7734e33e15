//! Answers, and a body that comes a byte at a time.
//!
//! # Invariants
//! - JSON goes out as JavaScript would write it.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::body::Frame;
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
