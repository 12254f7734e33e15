//! Orbit's certificate, pinned by its hash: that one is believed, and no other.

use std::sync::Arc;
use std::time::Duration;

use orbit_relay::http::{Client, Config, ExchangeError, RefusedCertificate, Trust};
use orbit_relay::orbit;
use orbit_relay::secret::Secret;
use rcgen::{CertificateParams, KeyPair};
use reqwest::Method;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::https::sha256;
use crate::way::{authority, serve, server};
use crate::world::{Site, TOKEN, inspection};

fn client(trust: Trust) -> Client {
    Client::build(&Config {
        trust,
        certificate: None,
        timeout: Duration::from_secs(10),
    })
    .unwrap()
}

async fn get(client: &Client, at: std::net::SocketAddr) -> Result<u16, ExchangeError> {
    let url = format!("https://{at}/").parse().unwrap();
    let request = client.request(Method::GET, url).build().unwrap();
    let answer = client.send(request).await?;
    Ok(answer.status().as_u16())
}

/// The hash of the certificate that is shown there.
async fn shown(at: std::net::SocketAddr) -> String {
    let client = client(Trust::Anything);
    assert_eq!(client.shown_certificate(), None, "before it was shown one");
    assert_eq!(get(&client, at).await, Ok(200));
    client.shown_certificate().unwrap()
}

fn pinned(sha256: &[&str]) -> Client {
    let pin = |text: &&str| {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).unwrap();
        bytes
    };
    client(Trust::Pinned(sha256.iter().map(pin).collect()))
}

#[tokio::test]
async fn a_pinned_certificate_is_believed_whatever_its_name_and_expiry_and_another_never() {
    let authority = authority();
    let mut shown_there = Vec::new();
    for (name, year) in [("plant.example", 2_010), ("127.0.0.1", 2_100)] {
        let at = server(&authority, name, year).await;
        shown_there.push((at, shown(at).await));
    }
    let [(odd_at, odd), (good_at, good)] = &shown_there[..] else {
        panic!("{shown_there:?}");
    };
    let known = client(Trust::Authorities(vec![authority.der().clone()]));
    assert_eq!(get(&known, *good_at).await, Ok(200));
    assert_eq!(known.shown_certificate().as_ref(), Some(good), "believed");
    assert!(get(&known, *odd_at).await.is_err());
    assert_eq!(known.shown_certificate().as_ref(), Some(odd), "refused");

    let one = pinned(&[odd]);
    assert_eq!(get(&one, *odd_at).await, Ok(200));
    let refused = RefusedCertificate {
        sha256: good.clone(),
        reason: "it is not the one that is pinned".into(),
        pinned: true,
    };
    assert_eq!(
        get(&one, *good_at).await,
        Err(ExchangeError::Certificate(refused)),
        "an authority that others believe has signed it"
    );
    assert_eq!(one.shown_certificate().as_ref(), Some(good));
    let both = pinned(&[odd, good]);
    assert_eq!(get(&both, *odd_at).await, Ok(200));
    assert_eq!(get(&both, *good_at).await, Ok(200));
}

/// Shows a certificate whose key it has not got.
#[derive(Debug)]
struct Thief(Arc<CertifiedKey>);

impl ResolvesServerCert for Thief {
    fn resolve(&self, _client_hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

#[tokio::test]
async fn a_pinned_certificate_without_its_key_is_refused() {
    let (real, own) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate: CertificateDer<'_> = params.self_signed(&real).unwrap().der().clone();
    let provider = Arc::new(ring::default_provider());
    for (key, opens) in [(real, true), (own, false)] {
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let key = provider.key_provider.load_private_key(key.into()).unwrap();
        let shows = CertifiedKey::new(vec![certificate.clone()], key);
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_cert_resolver(Arc::new(Thief(Arc::new(shows.clone()))));
            let at = serve(tls).await;
            let got = get(&pinned(&[&sha256(&certificate)]), at).await;
            assert_eq!(got.is_ok(), opens, "{version:?}: {got:?}");
        }
    }
}

#[tokio::test]
async fn orbit_is_believed_by_its_pinned_certificate_and_a_changed_one_is_refused_with_advice() {
    let site = Site::new().await;
    let (shown, other) = (site.orbit.certificate_sha256(), "0a".repeat(32));
    let both = format!("sha256:{other},SHA256:{}", shown.to_uppercase());
    let site = site.flag("verify", &both);
    let relay = site.start().await;
    relay.registered().await;
    relay.finish().await;

    let asked = site.robots.request_count();
    let site = site.flag("verify", &format!("sha256:{other}"));
    let relay = site.start().await;
    let why = relay.not_registered().await;
    for part in [
        format!("the certificate with SHA-256 {shown} does not verify"),
        "somebody renewed it, or stands in between".to_owned(),
        format!("Compare it with the one in Orbit before you pin it: ORBIT_VERIFY=sha256:{shown}"),
    ] {
        assert!(why.contains(&part), "{part}: {why}");
    }
    relay.accept(inspection(1)).await;
    assert_eq!(site.robots.request_count(), asked, "nothing was said to it");
    relay.finish().await;
}

#[tokio::test]
async fn the_client_of_orbit_tells_what_certificate_it_was_shown_believed_or_not() {
    let site = Site::new().await;
    let shown = Some(site.orbit.certificate_sha256());
    for (trust, believed) in [
        (Trust::Anything, true),
        (Trust::Authorities(Vec::new()), false),
        (Trust::Pinned(vec![[0; 32]]), false),
    ] {
        let client = orbit::Client::build(orbit::Config {
            host: site.orbit.addr().to_string(),
            token: Secret::new(TOKEN.to_owned()),
            trust,
            certificate: None,
        })
        .unwrap();
        assert_eq!(client.shown_certificate(), None);
        assert_eq!(client.authenticate().await.is_ok(), believed);
        assert_eq!(client.shown_certificate(), shown);
    }
}
