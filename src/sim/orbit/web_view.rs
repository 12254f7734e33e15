//! An extension's page as a custom web view: HTTPS with Orbit's certificate in front of the
//! extension's plain HTTP, in a frame of a page of Orbit's.
//!
//! ```text
//! browser ── https://ORBIT/web-view ──▶ Orbit          a page with a frame
//!    └────── https://localhost:PORT/ ─▶ WebView ──▶ http://EXTENSION/
//! ```
//!
//! # Invariants
//! - Nobody is asked who he is: nothing says that Orbit does.
//! - Bodies pass as they come, so that live events are live; what was not asked for any more is
//!   not read on.
//!
//! # Not here
//! - Upgrades (WebSocket): the relay has none.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::sim::reply::{with_header, with_type};
use crate::sim::serve::Server;

/// For the extension to take the connection, and to begin its answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// How an extension is shown.
#[derive(Clone, Copy, Debug)]
pub struct WebViewConfig {
    /// Where browsers find it; port 0 takes any that is free.
    pub listen: SocketAddr,
    /// Where the extension serves its page, in plain HTTP.
    pub extension: SocketAddr,
    /// Whether `X-Forwarded-For` and `X-Forwarded-Proto` are added.
    pub says_for_whom: bool,
}

/// A web view that is shown. Dropping it ends it.
#[derive(Debug)]
pub struct WebView {
    pub(super) server: Server,
}

impl WebView {
    /// Where browsers find the extension's page itself, without the frame.
    pub fn url(&self) -> String {
        url_at(self.server.addr().port())
    }
}

/// By name, so that a browser at `https://127.0.0.1` has a frame of another site, and one at
/// `https://localhost` has a frame of the same.
fn url_at(port: u16) -> String {
    format!("https://localhost:{port}/")
}

/// Orbit's page with the extension's in a frame.
pub(super) fn framed(port: u16) -> Response<Body> {
    let page = format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Orbit (simulated)</title><link rel=\"icon\" href=\"data:,\"><style>\
         html, body {{ height: 100%; margin: 0 }} iframe {{ width: 100%; height: 100%; border: 0; \
         display: block }}</style></head>\
         <body><iframe src=\"{}\" title=\"Extension\"></iframe></body></html>",
        url_at(port)
    );
    with_type(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// Hands one request on to the extension, and its answer back.
pub(super) async fn pass_on(config: WebViewConfig, mut request: Request<Body>) -> Response<Body> {
    without_hops(request.headers_mut());
    if config.says_for_whom {
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", HeaderValue::from_static("127.0.0.1"));
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
    }
    match timeout(PATIENCE, ask(config.extension, request)).await {
        Ok(Ok(mut answer)) => {
            without_hops(answer.headers_mut());
            answer
        }
        Ok(Err(why)) => bad_gateway(&why),
        Err(_) => bad_gateway("it does not answer"),
    }
}

fn bad_gateway(why: &str) -> Response<Body> {
    let text = format!("the extension cannot be shown: {why}");
    let answer = with_type(StatusCode::BAD_GATEWAY, "text/plain; charset=utf-8", text);
    with_header(answer, header::CACHE_CONTROL, "no-store")
}

async fn ask(extension: SocketAddr, request: Request<Body>) -> Result<Response<Body>, String> {
    let stream = TcpStream::connect(extension).await;
    let stream = stream.map_err(|e| e.to_string())?;
    // Small writes do not wait for each other; a peer that is gone has no use for that.
    stream.set_nodelay(true).ok();
    let begun = http1::handshake(TokioIo::new(stream)).await;
    let (mut send, connection) = begun.map_err(|e| e.to_string())?;
    // It ends with the answer's body, also when nobody reads that any more.
    tokio::spawn(connection);
    let answer = send.send_request(request).await;
    Ok(answer.map_err(|e| e.to_string())?.map(Body::new))
}

/// What is said between neighbours is not passed on.
fn without_hops(headers: &mut HeaderMap) {
    const HOPS: [HeaderName; 5] = [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
    ];
    for name in HOPS {
        headers.remove(name);
    }
}
