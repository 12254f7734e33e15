//! What a plant can answer, path by path, and whom it believes.
//!
//! # Invariants
//! - As in the parent.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, RequestBuilder, StatusCode, header};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::clock::Clock;
use crate::http::{self, ClientCertificate, Trust};
use crate::sim::ClientIdentity;
use crate::sim::backend::{Answer, Backend, BackendConfig, BackendWorld, Tally, Tls};

pub(super) const TEN: Duration = Duration::from_secs(10);

pub(super) async fn start(tls: Tls) -> Backend {
    start_with(tls, Clock::system()).await
}

async fn start_with(tls: Tls, clock: Clock) -> Backend {
    let listen = "127.0.0.1:0".parse().unwrap();
    Backend::start(BackendConfig { listen, clock, tls })
        .await
        .unwrap()
}

/// A client that believes this certificate, if any, and shows that one, if any.
fn client(trust: Option<&str>, shown: Option<&ClientIdentity>) -> http::Client {
    let trusted = trust.map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap());
    let config = http::Config {
        trust: Trust::Authorities(trusted.into_iter().collect()),
        certificate: shown.map(certificate),
        timeout: TEN,
    };
    http::Client::build(&config).unwrap()
}

fn certificate(identity: &ClientIdentity) -> ClientCertificate {
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("client.pem"), dir.path().join("client.key"));
    std::fs::write(&certificate, &identity.certificate_pem).unwrap();
    std::fs::write(&key, &identity.key_pem).unwrap();
    http::read_client_certificate(&certificate, Some(&key)).unwrap()
}

pub(super) struct Plant {
    pub(super) backend: Backend,
    pub(super) world: BackendWorld,
    client: http::Client,
}

impl Plant {
    async fn start() -> Self {
        Self::with_clock(Clock::system()).await
    }

    pub(super) async fn with_clock(clock: Clock) -> Self {
        let backend = start_with(Tls::Off, clock).await;
        Self {
            world: backend.world(),
            client: client(None, None),
            backend,
        }
    }

    pub(super) fn post(&self, path: &str, body: &str) -> RequestBuilder {
        let url = format!("http://{}{path}", self.backend.addr());
        let request = self.client.request(Method::POST, url.parse().unwrap());
        request.body(body.to_owned())
    }

    async fn status(&self, path: &str, body: &str) -> u16 {
        let answer = self.post(path, body).send().await.unwrap();
        answer.status().as_u16()
    }
}

#[tokio::test]
async fn each_path_has_its_own_answer_and_its_own_count() {
    let plant = Plant::start().await;
    let world = &plant.world;
    world.set_answer(Answer::Status(503));
    world.set_answer_at("/a", Answer::Ok);
    world.set_answer_at("/b", Answer::Status(404));
    for (path, expected) in [("/a", 200), ("/a?x=1", 200), ("/b", 404), ("/a/b", 503)] {
        assert_eq!(plant.status(path, path).await, expected, "{path}");
    }
    let bodies: Vec<_> = world
        .received_at("/a")
        .iter()
        .map(|post| post.body.clone())
        .collect();
    assert_eq!(bodies, ["/a", "/a?x=1"]);
    let tally = |attempts, accepted| Tally { attempts, accepted };
    assert_eq!(world.tally_at("/a"), tally(2, 2));
    assert_eq!(world.tally_at("/b"), tally(1, 0));
    assert_eq!(world.tally_at("/never"), Tally::default());
    assert_eq!(world.tally(), tally(4, 2));
    let waiting = world.wait_until_at("/b", |tally| tally.attempts == 2);
    let (waited, status) = tokio::join!(
        tokio::time::timeout(TEN, waiting),
        plant.status("/b", "again")
    );
    assert_eq!((waited, status), (Ok(()), 404));
}

#[tokio::test]
async fn an_answer_has_the_body_that_was_given() {
    let plant = Plant::start().await;
    for (status, body, content_type) in [
        (200, r#"{"error_code":40301}"#, "application/json"),
        (400, "no such asset", "text/plain; charset=utf-8"),
    ] {
        plant.world.set_answer(Answer::Body(status, body.into()));
        let answer = plant.post("/", "").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], content_type);
        assert_eq!(answer.text().await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_retry_after_may_be_a_date() {
    let plant = Plant::start().await;
    let date: Timestamp = "2026-02-03T09:14:07.9Z".parse().unwrap();
    plant.world.set_answer(Answer::RetryAfterDate(503, date));
    let answer = plant.post("/", "").send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 503);
    let expected = "Tue, 03 Feb 2026 09:14:07 GMT";
    assert_eq!(answer.headers()[header::RETRY_AFTER], expected);
}

#[tokio::test]
async fn a_body_that_breaks_off_has_a_status_and_a_beginning() {
    let plant = Plant::start().await;
    plant.world.set_answer(Answer::BreakOff);
    let mut answer = plant.post("/", "").send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CONTENT_LENGTH], "1000");
    assert_eq!(answer.chunk().await.unwrap().unwrap(), r#"{"accepted":"#);
    let error = answer.chunk().await.unwrap_err();
    assert!(!error.is_timeout(), "{error:?}");
}

#[tokio::test]
async fn a_large_body_comes_whole_and_without_a_declared_length() {
    let plant = Plant::start().await;
    plant.world.set_answer(Answer::Large(3));
    let answer = plant.post("/", "").send().await.unwrap();
    assert_eq!(answer.content_length(), None);
    assert_eq!(answer.bytes().await.unwrap().len(), 3 << 20);
}

#[tokio::test]
async fn a_slow_answer_comes_and_not_before_its_time() {
    let plant = Plant::start().await;
    plant
        .world
        .set_answer(Answer::Slow(Duration::from_millis(300)));
    let early = plant.post("/", "").timeout(Duration::from_millis(100));
    assert!(early.send().await.unwrap_err().is_timeout());
    assert_eq!(plant.status("/", "").await, 200);
}

#[tokio::test]
async fn a_header_may_be_required_with_a_status_of_choice() {
    let plant = Plant::start().await;
    let require = Answer::RequireHeader("X-Api-Key".into(), "k".into(), 403);
    plant.world.set_answer(require);
    assert_eq!(plant.status("/", "").await, 403);
    for (key, expected) in [("K", 403), ("k", 200)] {
        let request = plant.post("/", "").header("X-API-KEY", key);
        assert_eq!(request.send().await.unwrap().status().as_u16(), expected);
    }
}

#[tokio::test]
async fn a_script_is_followed_to_its_end_and_stays_there() {
    let plant = Plant::start().await;
    let script = vec![
        Answer::Status(500),
        Answer::RetryAfter(429, 1),
        Answer::Status(202),
    ];
    plant.world.set_answer_at("/a", Answer::Script(script));
    plant.world.set_answer(Answer::Script(vec![]));
    for expected in [500, 429, 202, 202] {
        assert_eq!(plant.status("/a", "").await, expected);
        assert_eq!(plant.status("/b", "").await, 200);
    }
}

#[tokio::test]
async fn only_a_post_that_holds_the_poison_is_refused() {
    let plant = Plant::start().await;
    let twice = vec![Answer::Status(422), Answer::Status(400)];
    plant.world.set_answer(Answer::Poison {
        containing: "P-101".into(),
        answer: Box::new(Answer::Script(twice)),
    });
    for (body, expected) in [
        ("", 200),
        ("P-10", 200),
        ("a P-101 b", 422),
        ("P-102", 200),
        ("P-101", 400),
    ] {
        assert_eq!(plant.status("/", body).await, expected, "{body}");
    }
}

#[tokio::test]
async fn a_certificate_of_a_private_authority_is_believed_by_those_who_know_it() {
    let backend = start(Tls::PrivateAuthority).await;
    let authority = backend.authority_pem().unwrap();
    assert_ne!(backend.certificate_pem().unwrap(), authority);
    assert_eq!(backend.client_identity(), None);
    let address = backend.addr();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("https://{host}:{}/inspections", address.port());
        let post = |client: http::Client| client.request(Method::POST, url.parse().unwrap());
        let answer = post(client(Some(authority), None)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert!(post(client(None, None)).send().await.is_err());
        let other = start(Tls::PrivateAuthority).await;
        let other = client(other.authority_pem(), None);
        assert!(post(other).send().await.is_err());
    }
    assert_eq!(backend.world().tally().attempts, 2);
}

#[tokio::test]
async fn a_client_without_a_certificate_of_the_plants_authority_is_refused() {
    let (backend, other) = (
        start(Tls::RequireClient).await,
        start(Tls::RequireClient).await,
    );
    let own = backend.client_identity().unwrap();
    let foreign = other.client_identity().unwrap();
    for (shown, welcome) in [(None, false), (Some(foreign), false), (Some(own), true)] {
        let client = client(backend.authority_pem(), shown);
        let post = client.request(Method::POST, backend.url().parse().unwrap());
        let answer = post.send().await;
        assert_eq!(answer.is_ok(), welcome, "{answer:?}");
    }
    assert_eq!(backend.world().tally().attempts, 1);
}
