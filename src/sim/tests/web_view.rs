//! An extension's page as a custom web view, as a browser meets it.
//!
//! # Invariants
//! - As in the parent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{Request, Response, StatusCode};
use hyper::body::Frame;
use reqwest::Method;

use super::Site;
use super::backend::TEN;
use crate::sim::orbit::{WebView, WebViewConfig};
use crate::sim::reply::with_type;
use crate::sim::serve::{Dropped, Server};

fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn shown(site: &Site, extension: SocketAddr, says_for_whom: bool) -> WebView {
    let config = WebViewConfig {
        listen: any_port(),
        extension,
        says_for_whom,
    };
    site.orbit.show(config).await.unwrap()
}

/// Answers with what came: the request line, its headers by name, its body.
async fn echo(request: Request<Body>) -> Result<Response<Body>, Dropped> {
    let (head, body) = request.into_parts();
    let mut lines = vec![format!("{} {}", head.method, head.uri)];
    let headers = head.headers.iter();
    lines.extend(headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())));
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    lines.push(String::from_utf8(body.to_vec()).unwrap());
    Ok(with_type(StatusCode::OK, "text/plain", lines.join("\n")))
}

async fn posted(site: &Site, view: &WebView) -> String {
    let url = format!("{}a/b?c=d", view.url()).parse().unwrap();
    let request = site.client.request(Method::POST, url).body("the body");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    answer.text().await.unwrap()
}

#[tokio::test]
async fn a_web_view_passes_host_path_and_body_and_says_for_whom() {
    let site = Site::start().await;
    let extension = Server::start(any_port(), None, echo).await.unwrap();
    let view = shown(&site, extension.addr(), true).await;
    let host = view.url().replace("https://", "host: ").replace('/', "");
    let came = posted(&site, &view).await;
    let wanted = [
        "POST /a/b?c=d",
        &host,
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: https",
        "the body",
    ];
    for line in wanted {
        assert!(came.lines().any(|came| came == line), "{line}: {came}");
    }
}

#[tokio::test]
async fn a_web_view_may_keep_silent_for_whom_it_asks() {
    let site = Site::start().await;
    let extension = Server::start(any_port(), None, echo).await.unwrap();
    let view = shown(&site, extension.addr(), false).await;
    let came = posted(&site, &view).await;
    assert!(!came.contains("x-forwarded"), "{came}");
}

/// Gives one piece, and then nothing for ever.
struct Begun(Option<Bytes>);

impl hyper::body::Body for Begun {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.0.take() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn a_web_view_hands_on_each_piece_of_an_answer_as_it_comes() {
    let site = Site::start().await;
    let lives = |_| async {
        let piece = Bytes::from_static(b"data: one\n\n");
        let body = Body::new(Begun(Some(piece)));
        Ok(with_type(StatusCode::OK, "text/event-stream", body))
    };
    let extension = Server::start(any_port(), None, lives).await.unwrap();
    let view = shown(&site, extension.addr(), true).await;
    let url = view.url().parse().unwrap();
    let reading = async {
        let answer = site.client.request(Method::GET, url).send().await;
        answer.unwrap().chunk().await.unwrap().unwrap()
    };
    let piece = tokio::time::timeout(TEN, reading).await.unwrap();
    assert_eq!(&*piece, b"data: one\n\n");
}

#[tokio::test]
async fn orbit_has_the_page_in_a_frame_and_says_when_the_extension_is_down() {
    let site = Site::start().await;
    let nobody = Server::start(any_port(), None, echo).await.unwrap();
    let gone = nobody.addr();
    nobody.stop().await;
    assert_eq!(site.get("/web-view").await.0, StatusCode::NOT_FOUND);
    let view = shown(&site, gone, true).await;
    let url = format!("{}/web-view", site.orbit.url()).parse().unwrap();
    let page = site.client.request(Method::GET, url).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(&format!("<iframe src=\"{}\"", view.url())));
    let url = view.url().parse().unwrap();
    let answer = site.client.request(Method::GET, url).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::BAD_GATEWAY);
    let text = answer.text().await.unwrap();
    assert!(text.contains("the extension cannot be shown"), "{text}");
}
