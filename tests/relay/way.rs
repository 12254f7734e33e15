//! The way to a destination: certificates on both sides, proxies, and addresses that are refused.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use orbit_relay::http::Proxy as Through;
use orbit_relay::relay::destination::outcome::Outcome;
use orbit_relay::relay::destination::{Config, Destination};
use orbit_relay::sim::backend::{Backend, Tls};
use orbit_relay::sim::proxy::Proxy;
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::destination::{config, plant, plant_with, postponed, send, send_with};
use crate::world::{BOUND, any_port};

fn write(folder: &TempDir, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn trusting(folder: &TempDir, plant: &Backend) -> Config {
    let mut config = config(plant);
    let authority = plant.authority_pem().unwrap();
    config.tls.ca_file = Some(write(folder, "ca.pem", authority));
    config
}

#[tokio::test]
async fn a_certificate_of_an_authority_is_believed_only_where_its_file_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let (plant, other) = tokio::join!(
        plant_with(Tls::PrivateAuthority),
        plant_with(Tls::PrivateAuthority)
    );
    let known = trusting(&folder, &plant);
    assert_eq!(send_with(known.clone()).await.outcome, Outcome::Delivered);
    let mut of_another = known;
    of_another.url = other.url().parse().unwrap();
    for config in [config(&plant), of_another] {
        let sent = send_with(config).await;
        assert!(postponed(&sent).contains("does not verify"), "{sent:?}");
    }
    assert_eq!(other.world().tally().attempts, 0, "nothing was said to it");
    plant.stop().await;
    other.stop().await;
}

/// An authority that nobody knows.
pub(crate) fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server with a certificate for these names, valid until the end of this year; answers 200.
pub(crate) async fn server(
    authority: &CertifiedIssuer<'_, KeyPair>,
    name: &str,
    year: i32,
) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(year, 12, 31);
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    serve(tls).await
}

/// A server that answers 200.
pub(crate) async fn serve(tls: ServerConfig) -> SocketAddr {
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                let mut request = [0; 4_096];
                let read = stream.read(&mut request).await.unwrap();
                assert!(read > 0);
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.ok();
            }
        }
    });
    at
}

#[tokio::test]
async fn a_certificate_that_has_expired_or_is_for_another_host_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let authority = authority();
    let pem = write(&folder, "ca.pem", &authority.pem());
    for (name, year, problem) in [
        ("127.0.0.1", 2_100, None),
        ("127.0.0.1", 2_010, Some("expired")),
        ("127.0.0.2", 2_100, Some("not valid for name")),
        ("plant.example", 2_100, Some("not valid for name")),
    ] {
        let at = server(&authority, name, year).await;
        let mut config = Config::new("cmms", format!("https://{at}/").parse().unwrap());
        config.tls.ca_file = Some(pem.clone());
        let sent = send_with(config).await;
        match problem {
            None => assert_eq!(sent.outcome, Outcome::Delivered),
            Some(problem) => {
                assert!(
                    postponed(&sent).contains(problem),
                    "{name} {year}: {sent:?}"
                );
                assert!(postponed(&sent).contains("does not verify"));
            }
        }
    }
}

fn showing(mut config: Config, folder: &TempDir, of: &Backend) -> Config {
    let identity = of.client_identity().unwrap();
    let cert = write(folder, "client.pem", &identity.certificate_pem);
    config.tls.client_cert_file = Some(cert);
    config.tls.client_key_file = Some(write(folder, "client.key", &identity.key_pem));
    config
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_none_or_another_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (plant, other) = tokio::join!(
        plant_with(Tls::RequireClient),
        plant_with(Tls::RequireClient)
    );
    let bare = trusting(&folder, &plant);
    let known = showing(bare.clone(), &folder, &plant);
    assert_eq!(send_with(known.clone()).await.outcome, Outcome::Delivered);
    let both_in_one = {
        let identity = plant.client_identity().unwrap();
        let text = format!("{}{}", identity.certificate_pem, identity.key_pem);
        let mut config = bare.clone();
        config.tls.client_cert_file = Some(write(&folder, "both.pem", &text));
        config
    };
    assert_eq!(send_with(both_in_one).await.outcome, Outcome::Delivered);
    for config in [bare.clone(), showing(bare, &folder, &other)] {
        let sent = send_with(config).await;
        assert!(!postponed(&sent).is_empty());
        assert_eq!(sent.answer, None);
    }
    assert_eq!(plant.world().tally().attempts, 2);
    plant.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_certificate_or_key_that_cannot_be_used_stops_the_start_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (plant, other) = tokio::join!(
        plant_with(Tls::RequireClient),
        plant_with(Tls::RequireClient)
    );
    let mut no_file = config(&plant);
    no_file.tls.ca_file = Some("/nowhere/ca.pem".into());
    let mut not_pem = config(&plant);
    not_pem.tls.ca_file = Some(write(&folder, "bad.pem", "canary"));
    for (config, name) in [(no_file, "/nowhere/ca.pem"), (not_pem, "bad.pem")] {
        let error = Destination::build(config).unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("canary"), "{error}");
    }
    let mut pair = showing(trusting(&folder, &plant), &folder, &plant);
    let key = &other.client_identity().unwrap().key_pem;
    pair.tls.client_key_file = Some(write(&folder, "other.key", key));
    assert!(
        Destination::build(pair).is_err(),
        "key and certificate differ"
    );
    plant.stop().await;
    other.stop().await;
}

/// Sends until the outcome is as wanted: files are looked at once a second.
async fn until(destination: &Destination, wanted: impl Fn(&Outcome) -> bool) {
    let reached = async {
        while !wanted(&send(destination).await.outcome) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(BOUND, reached).await.unwrap();
}

fn replace(path: &Path, text: &str) {
    let next = path.with_extension("next");
    std::fs::write(&next, text).unwrap();
    std::fs::rename(next, path).unwrap();
}

#[tokio::test]
async fn certificates_are_read_again_when_their_files_change_and_bad_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plant = plant_with(Tls::PrivateAuthority).await;
    let other = plant_with(Tls::PrivateAuthority).await;
    let mut config = trusting(&folder, &other);
    config.url = plant.url().parse().unwrap();
    let file = config.tls.ca_file.clone().unwrap();
    let destination = Destination::build(config).unwrap();
    assert!(postponed(&send(&destination).await).contains("does not verify"));
    replace(&file, plant.authority_pem().unwrap());
    until(&destination, |outcome| *outcome == Outcome::Delivered).await;

    replace(&file, "no certificate at all");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(send(&destination).await.outcome, Outcome::Delivered);
    replace(&file, other.authority_pem().unwrap());
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Postponed { .. });
    until(&destination, refused).await;
    plant.stop().await;
    other.stop().await;
}

fn through(config: &mut Config, url: &str, except: &str) {
    config.proxy = Some(Through {
        url: url.parse().unwrap(),
        except: except.to_owned(),
    });
}

#[tokio::test]
async fn plain_posts_go_through_the_proxy_and_https_by_a_tunnel_and_names_are_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(any_port()).await.unwrap();
    let plain = plant().await;
    let mut config = config(&plain);
    let port = plain.addr().port();
    config.url = format!("http://plant.invalid:{port}/in").parse().unwrap();
    through(&mut config, &proxy.url(), "");
    assert_eq!(send_with(config.clone()).await.outcome, Outcome::Delivered);
    let url = config.url.to_string();
    assert_eq!(proxy.world().targets(), std::slice::from_ref(&url));

    let secure = plant_with(Tls::PrivateAuthority).await;
    let mut config = trusting(&folder, &secure);
    through(&mut config, &proxy.url(), "");
    assert_eq!(send_with(config.clone()).await.outcome, Outcome::Delivered);
    assert_eq!(proxy.world().targets(), [url, secure.addr().to_string()]);
    // The tunnel does not make up for a certificate.
    config.tls.ca_file = None;
    assert!(postponed(&send_with(config).await).contains("does not verify"));
    for plant in [plain, secure] {
        plant.stop().await;
    }
    proxy.stop().await;
}

#[tokio::test]
async fn hosts_that_are_excepted_are_reached_without_the_proxy() {
    let proxy = Proxy::start(any_port()).await.unwrap();
    let plant = plant().await;
    for except in ["127.0.0.1", "127.0.0.0/8", "*", "plant.example, 127.0.0.1"] {
        let mut config = config(&plant);
        through(&mut config, &proxy.url(), except);
        assert_eq!(send_with(config).await.outcome, Outcome::Delivered);
        assert_eq!(proxy.world().connections(), 0, "{except}");
    }
    let mut config = config(&plant);
    through(&mut config, &proxy.url(), "plant.example,10.0.0.0/8");
    assert_eq!(send_with(config).await.outcome, Outcome::Delivered);
    assert_eq!(proxy.world().connections(), 1);
    plant.stop().await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_proxy_gets_user_and_password_and_its_refusal_postpones_without_showing_them() {
    let folder = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(any_port()).await.unwrap();
    let (plain, secure) = tokio::join!(plant(), plant_with(Tls::PrivateAuthority));
    let url = format!("http://me:can%40ary@{}", proxy.addr());
    for mut config in [config(&plain), trusting(&folder, &secure)] {
        through(&mut config, &url, "");
        // me:can@ary
        let expected = Some("Basic bWU6Y2FuQGFyeQ==".to_owned());
        proxy.world().require_authorization(expected);
        assert_eq!(send_with(config.clone()).await.outcome, Outcome::Delivered);
        proxy
            .world()
            .require_authorization(Some("Basic other".into()));
        let sent = send_with(config.clone()).await;
        assert!(postponed(&sent).contains("proxy"), "{sent:?}");
        let shown = format!("{sent:?} {config:?}");
        assert!(!shown.contains("ary") && !shown.contains("bWU6"), "{shown}");
    }
    plain.stop().await;
    secure.stop().await;
    proxy.stop().await;
}

#[tokio::test]
async fn a_proxy_that_is_no_http_proxy_stops_the_start() {
    let mut config = Config::new("cmms", "http://127.0.0.1:9/".parse().unwrap());
    through(&mut config, "socks5://me:canary@127.0.0.1:1080", "");
    let error = Destination::build(config).unwrap_err().to_string();
    assert_eq!(
        error,
        "a proxy is given as http://HOST:PORT or https://HOST:PORT"
    );
}

#[tokio::test]
async fn a_guarded_address_is_refused_also_through_a_proxy_and_let_through_where_it_is_named() {
    let proxy = Proxy::start(any_port()).await.unwrap();
    for url in ["http://169.254.169.254/latest", "https://[fe80::1]/"] {
        let mut config = Config::new("cmms", url.parse().unwrap());
        config.timeout = Duration::from_millis(300);
        for proxied in [false, true] {
            if proxied {
                through(&mut config, &proxy.url(), "");
            }
            let sent = send_with(config.clone()).await;
            let reason = postponed(&sent);
            assert!(reason.contains("`allow_addresses`"), "{reason}");
        }
    }
    assert_eq!(proxy.world().connections(), 0);
    let mut config = Config::new("cmms", "http://169.254.169.254/".parse().unwrap());
    config.allow_addresses = vec!["169.254.169.254".parse().unwrap()];
    through(&mut config, &proxy.url(), "");
    send_with(config).await;
    assert_eq!(proxy.world().connections(), 1);
    proxy.stop().await;
}
