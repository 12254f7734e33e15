//! The forward proxy, as a client that has one configured meets it.
//!
//! # Invariants
//! - As in the parent.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::{Client, StatusCode};
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::backend::{TEN, start};
use crate::sim::backend::{Backend, Tls};
use crate::sim::proxy::Proxy;

async fn proxy() -> Proxy {
    Proxy::start("127.0.0.1:0".parse().unwrap()).await.unwrap()
}

#[expect(
    clippy::disallowed_methods,
    reason = "it shows how the proxy works, not how the relay uses one"
)]
fn client(proxy: reqwest::Proxy, plant: &Backend) -> Client {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = plant.authority_pem() {
        let authority = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        roots.add(authority).unwrap();
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .proxy(proxy)
        .timeout(TEN);
    client.build().unwrap()
}

fn by(proxy: &Proxy) -> reqwest::Proxy {
    reqwest::Proxy::all(proxy.url()).unwrap()
}

/// What is answered to these bytes, until the connection is closed.
async fn wire(to: SocketAddr, request: &str) -> String {
    let exchange = async {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    tokio::time::timeout(TEN, exchange).await.unwrap()
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_is_checked_end_to_end() {
    let (plant, proxy) = (start(Tls::PrivateAuthority).await, proxy().await);
    let client = client(by(&proxy), &plant);
    for _ in 0..2 {
        let answer = client.post(plant.url()).body("{}").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    assert_eq!(plant.world().tally().accepted, 2);
    let world = proxy.world();
    assert_eq!(world.targets(), [plant.addr().to_string()]);
    assert_eq!(world.connections(), 1, "the tunnel is kept");
}

#[tokio::test]
async fn plain_http_arrives_in_origin_form_and_without_what_was_for_the_proxy() {
    let (plant, proxy) = (start(Tls::Off).await, proxy().await);
    let auth = by(&proxy).basic_auth("u", "p");
    let client = client(auth, &plant);
    let url = format!("{}?a=b", plant.url());
    let body = "x".repeat(1 << 20);
    for _ in 0..2 {
        let answer = client.post(&url).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let received = plant.world().received();
    assert_eq!(received[0].path, "/inspections?a=b");
    assert_eq!(received[0].body, body);
    assert_eq!(received[0].headers.get("proxy-authorization"), None);
    assert_eq!(proxy.world().targets(), [url.clone(), url]);
    assert_eq!(proxy.world().connections(), 2);
}

#[tokio::test]
async fn a_proxy_that_wants_a_password_lets_nobody_else_through() {
    let (plant, proxy) = (start(Tls::Off).await, proxy().await);
    let world = proxy.world();
    world.require_authorization(Some("Basic dTpw".to_owned()));
    for (auth, expected) in [
        (by(&proxy), 407),
        (by(&proxy).basic_auth("u", "other"), 407),
        (by(&proxy).basic_auth("u", "p"), 200),
    ] {
        let request = client(auth, &plant).post(plant.url()).body("{}");
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), expected);
    }
    let addr = plant.addr();
    let tunnel = format!("CONNECT {addr} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
    let refused = wire(proxy.addr(), &tunnel).await;
    let start = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=";
    assert!(refused.starts_with(start), "{refused}");
    assert_eq!(plant.world().tally().attempts, 1);
}

#[tokio::test]
async fn a_proxy_may_refuse_everything_and_remembers_what_was_asked_for() {
    let (plant, proxy) = (start(Tls::PrivateAuthority).await, proxy().await);
    proxy.world().refuse(Some(503));
    let client = client(by(&proxy), &plant);
    let request = client.post(plant.url()).body("{}");
    assert!(request.send().await.unwrap_err().is_connect());
    assert_eq!(plant.world().tally().attempts, 0);
    assert_eq!(proxy.world().targets(), [plant.addr().to_string()]);
    proxy.world().refuse(None);
    let request = client.post(plant.url()).body("{}");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn a_proxy_leads_to_loopback_only() {
    let proxy = proxy().await;
    let port = {
        let gone = start(Tls::Off).await;
        let port = gone.addr().port();
        gone.stop().await;
        port
    };
    for (request, expected) in [
        ("CONNECT 192.0.2.1:443".to_owned(), "403"),
        ("CONNECT plant.example:443".to_owned(), "403"),
        ("CONNECT [2001:db8::1]:443".to_owned(), "403"),
        ("POST http://192.0.2.1/".to_owned(), "403"),
        ("POST https://127.0.0.1/".to_owned(), "400"),
        ("POST /".to_owned(), "400"),
        ("CONNECT localhost".to_owned(), "400"),
        (format!("CONNECT localhost:{port}"), "502"),
    ] {
        let answer = wire(proxy.addr(), &format!("{request} HTTP/1.1\r\n\r\n")).await;
        let status = answer.split(' ').nth(1);
        assert_eq!(status, Some(expected), "{request}");
    }
}

#[tokio::test]
async fn a_name_that_only_the_proxy_knows_is_left_to_it() {
    let (plant, proxy) = (start(Tls::Off).await, proxy().await);
    let client = client(by(&proxy), &plant);
    let url = format!("http://plant.invalid:{}/a", plant.addr().port());
    let answer = client.post(url).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let host = format!("plant.invalid:{}", plant.addr().port());
    assert_eq!(plant.world().received()[0].headers["host"], host);
}
