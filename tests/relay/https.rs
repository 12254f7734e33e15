//! The webhook port with TLS: what arrives, renewals, and strangers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use orbit_relay::http::{Client, Config, Trust};
use orbit_relay::relay::journal::State;
use rcgen::KeyPair;
use reqwest::Method;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore, SupportedProtocolVersion};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::wire::{self, Answer};
use crate::world::{BOUND, Relay, Site, inspection};

/// A certificate of the relay's, signed by itself.
struct Pair {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Pair {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        Self {
            certificate: made.cert,
            key: made.signing_key,
        }
    }

    fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// Writes certificate and key, one after the other.
    fn write(&self, certificate: &Path, key: &Path) {
        std::fs::write(certificate, self.certificate.pem()).unwrap();
        std::fs::write(key, self.key.serialize_pem()).unwrap();
    }
}

/// The next relay of this site speaks HTTPS, to an Orbit that takes any certificate.
async fn secured(pair: &Pair) -> Site {
    let site = Site::new().await;
    let (certificate, key) = (site.path("relay.pem"), site.path("relay.key"));
    pair.write(&certificate, &key);
    site.flag("tls-cert", certificate.to_str().unwrap())
        .flag("tls-key", key.to_str().unwrap())
        .flag("validate-tls-cert", "false")
}

/// A connection to a relay that shows this certificate.
async fn connect(
    to: SocketAddr,
    shows: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(shows).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(to).await.unwrap();
    let name = to.ip().into();
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
}

/// A signed event over this connection.
async fn post(site: &Site, relay: &Relay, stream: TlsStream<TcpStream>, body: &str) -> Answer {
    let signature = relay.sign(body.as_bytes());
    let headers = [("Orbit-Signature", signature.as_str())];
    site.count(1);
    let request = wire::request("POST", "/", &headers, body.as_bytes());
    wire::finish(stream, &request)
        .await
        .expect("there is an answer")
}

#[tokio::test]
async fn an_inspection_arrives_by_https_and_the_webhook_is_registered_so() {
    let pair = Pair::new();
    let site = secured(&pair).await;
    let relay = site.start().await;
    relay.registered().await;
    let url = site.robots.webhooks()[0].url.clone();
    assert_eq!(url, format!("https://{}", relay.events));
    let inspected = site.inspect().await;
    let statuses: Vec<_> = inspected.posts.iter().map(|post| post.status).collect();
    assert!(
        !statuses.is_empty() && statuses.iter().all(|s| *s == Some(200)),
        "{inspected:?}"
    );
    let arrived = u64::try_from(statuses.len()).unwrap();
    relay.until_there_are(arrived, State::Delivered).await;
    relay.finish().await;
}

#[tokio::test]
async fn an_orbit_that_checks_certificates_refuses_one_that_signs_itself() {
    let site = secured(&Pair::new())
        .await
        .flag("validate-tls-cert", "true");
    let relay = site.start().await;
    relay.registered().await;
    let inspected = site.robots.inspect().await;
    assert!(!inspected.posts.is_empty());
    for post in inspected.posts {
        let problem = post.problem.expect("nothing was sent");
        assert!(problem.contains("does not verify"), "{problem}");
    }
    relay.finish().await;
}

#[tokio::test]
async fn tls_1_2_and_1_3_are_spoken_and_http_1_1_alone() {
    let pair = Pair::new();
    let site = secured(&pair).await;
    // One file may hold both.
    let both = site.path("relay.pem");
    std::fs::write(&both, pair.certificate.pem() + &pair.key.serialize_pem()).unwrap();
    let site = site.without_flag("tls-key");
    let relay = site.start().await;
    let versions = [
        (&rustls::version::TLS12, ProtocolVersion::TLSv1_2),
        (&rustls::version::TLS13, ProtocolVersion::TLSv1_3),
    ];
    for (n, (version, spoken)) in versions.into_iter().enumerate() {
        let alpn = ["h2", "http/1.1"];
        let stream = connect(relay.events, pair.der(), &[version], &alpn).await;
        let stream = stream.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.protocol_version(), Some(spoken));
        assert_eq!(session.alpn_protocol(), Some(&b"http/1.1"[..]));
        let answer = post(&site, &relay, stream, &inspection(n)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let other = connect(relay.events, pair.der(), &[version], &["h2"]).await;
        assert!(other.is_err(), "nothing else is spoken");
    }
    relay.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_renewed_under_load_and_nothing_is_refused() {
    const SENDERS: usize = 4;
    let (old, new) = (Pair::new(), Pair::new());
    let site = secured(&old).await;
    let relay = Arc::new(site.start().await);
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (relay, next, new) = (Arc::clone(&relay), Arc::clone(&next), new.der());
        senders.spawn(async move {
            let mut seen = BTreeSet::new();
            let new = sha256(&new);
            while !seen.contains(&new) {
                // A client of its own is a connection of its own; it stays open for some posts.
                let client = Client::build(&Config {
                    trust: Trust::Anything,
                    certificate: None,
                    timeout: Duration::from_secs(10),
                });
                let client = client.unwrap();
                for _ in 0..3 {
                    let body = inspection(next.fetch_add(1, Ordering::Relaxed));
                    let url = format!("https://{}/", relay.events).parse().unwrap();
                    let request = client.request(Method::POST, url);
                    let request = request
                        .header("Orbit-Signature", relay.sign(body.as_bytes()))
                        .body(body);
                    let answer = client.send(request.build().unwrap()).await.unwrap();
                    assert_eq!(answer.status(), 200);
                }
                seen.extend(client.shown_certificate());
            }
            seen
        });
    }
    let under_way = async {
        while next.load(Ordering::Relaxed) < 10 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BOUND, under_way).await.unwrap();
    new.write(&site.path("relay.pem"), &site.path("relay.key"));
    let all = tokio::time::timeout(BOUND, senders.join_all()).await;
    let both = BTreeSet::from([&old, &new].map(|pair| sha256(&pair.der())));
    for seen in all.expect("the new one is shown within the bound") {
        assert_eq!(seen, both, "the one, then the other");
    }
    let sent = next.load(Ordering::Relaxed);
    site.count(sent);
    let relay = Arc::into_inner(relay).expect("all senders have ended");
    let sums = relay.finish().await;
    assert_eq!(sums.accepted, u64::try_from(sent).unwrap());
}

/// A certificate's SHA-256, in hex.
pub(crate) fn sha256(certificate: &CertificateDer<'_>) -> String {
    hex::encode(Sha256::digest(certificate))
}

#[tokio::test]
async fn three_hundred_half_handshakes_keep_no_event_out() {
    let pair = Pair::new();
    let site = secured(&pair).await;
    let relay = site.start().await;
    let mut strangers = Vec::new();
    for n in 0..300 {
        let mut stranger = TcpStream::connect(relay.events).await.unwrap();
        // Nothing at all, or the beginning of a greeting that says it is longer.
        let half: &[u8] = if n % 2 == 0 {
            b""
        } else {
            b"\x16\x03\x01\x02\x00\x01\x00"
        };
        stranger.write_all(half).await.unwrap();
        strangers.push(stranger);
    }
    let body = inspection(1);
    let arrives = async {
        let stream = connect(relay.events, pair.der(), rustls::ALL_VERSIONS, &[]).await;
        post(&site, &relay, stream.unwrap(), &body).await
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), arrives).await;
    let answer = answer.expect("long before their time is over");
    assert_eq!(answer.status, 200, "{answer:?}");
    relay.finish().await;
    drop(strangers);
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off_after_ten_seconds() {
    let site = secured(&Pair::new()).await;
    let relay = site.start().await;
    let mut stranger = TcpStream::connect(relay.events).await.unwrap();
    stranger.write_all(b"\x16\x03\x01\x02\x00").await.unwrap();
    let bound = Duration::from_secs(15);
    let cut_off = tokio::time::timeout(bound, wire::finish(stranger, b"")).await;
    assert_eq!(cut_off.expect("within the deadline and a bit"), None);
    relay.finish().await;
}

#[tokio::test]
async fn plain_http_to_the_tls_port_is_never_answered_with_200() {
    let site = secured(&Pair::new()).await;
    let relay = site.start().await;
    let body = inspection(1).into_bytes();
    let signature = relay.sign(&body);
    let headers = [("Orbit-Signature", signature.as_str())];
    let request = wire::request("POST", "/", &headers, &body);
    assert_eq!(wire::try_send(relay.events, &request).await, None);
    let sums = relay.finish().await;
    assert_eq!(sums.accepted, 0);
}
