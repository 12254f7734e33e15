//! The certificate of the webhook port: files that cannot be used, renewals that go wrong, and what
//! the log says.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use orbit_relay::http::{Client, Config, Trust};
use rcgen::{CertifiedKey, KeyPair};
use sha2::{Digest as _, Sha256};

use crate::process::{Home, Relay, SECRET, Web, end};

fn pair() -> CertifiedKey<KeyPair> {
    rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap()
}

/// A relay with these files.
fn command(home: &Home, files: &[&str]) -> Command {
    let any = "127.0.0.1:0";
    let mut command = home.command(&["--bind", "127.0.0.1", "--webhook-port", "0"]);
    command
        .args(["--ops-bind", any, "--log-level", "debug"])
        .args(files);
    command.env("WEBHOOK_SECRET", SECRET);
    command
}

/// Puts a file in its place at once, so that nobody sees a half of it.
fn put(home: &Home, name: &str, text: &str) -> PathBuf {
    let new = home.write("new", text);
    let path = home.path().join(name);
    std::fs::rename(new, &path).unwrap();
    path
}

/// SHA-256 of the certificate that a new connection is shown.
async fn shown(at: SocketAddr) -> Option<String> {
    let client = Client::build(&Config {
        trust: Trust::Anything,
        certificate: None,
        timeout: Duration::from_secs(10),
    })
    .unwrap();
    let url = format!("https://{at}/ping").parse().unwrap();
    let request = client.request(reqwest::Method::GET, url).build().unwrap();
    assert_eq!(client.send(request).await.unwrap().status(), 200);
    client.shown_certificate()
}

#[tokio::test]
async fn a_renewal_that_cannot_be_used_keeps_the_old_certificate_and_is_said_once_as_is_its_end() {
    let home = Home::new();
    let (old, new) = (pair(), pair());
    put(&home, "cert.pem", &old.cert.pem());
    put(&home, "key.pem", &old.signing_key.serialize_pem());
    let files = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];
    let mut relay = Relay::ready(command(&home, &files)).await;
    relay.process.line("events at https://127.0.0.1:").await;
    let [of_old, of_new] =
        [&old, &new].map(|pair| Some(hex::encode(Sha256::digest(pair.cert.der()))));
    assert_eq!(shown(relay.at).await, of_old);

    put(&home, "cert.pem", &new.cert.pem());
    let kept = "receive: its certificate has changed and cannot be used; the one of before stays";
    let said = relay.process.line(kept).await;
    let why = "key.pem: the key cannot be used with the certificate in cert.pem: they do not belong together";
    assert!(said.contains(why), "{said}");
    assert_eq!(shown(relay.at).await, of_old, "half-way through a renewal");

    put(&home, "key.pem", &new.signing_key.serialize_pem());
    let again = "receive: its certificate was read again";
    relay.process.line(again).await;
    assert_eq!(shown(relay.at).await, of_new);
    let said = [kept, again].map(|line| relay.process.count(line));
    assert_eq!(said, [1, 1], "{}", relay.process.text());
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn plain_http_to_the_tls_port_is_one_debug_line() {
    let home = Home::new();
    let pair = pair();
    let both = pair.cert.pem() + &pair.signing_key.serialize_pem();
    put(&home, "both.pem", &both);
    let mut relay = Relay::ready(command(&home, &["--tls-cert", "both.pem"])).await;
    let got = Web::new().get(&format!("http://{}/ping", relay.at)).await;
    assert!(got.is_err(), "{got:?}");
    let failed = "receive: a TLS handshake failed";
    assert!(relay.process.line(failed).await.contains("DEBUG"));
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(relay.process.count(failed), 1, "{}", relay.process.text());
}

#[tokio::test]
async fn a_certificate_or_key_that_cannot_be_used_is_exit_2_with_its_file_and_the_cause() {
    let home = Home::new();
    let (one, other) = (pair(), pair());
    put(&home, "cert.pem", &one.cert.pem());
    put(&home, "key.pem", &other.signing_key.serialize_pem());
    put(&home, "noise.pem", "canary");
    for (files, problem) in [
        (
            &["--tls-cert", "no.pem"][..],
            "--tls-cert: no.pem: I/O error: No such file",
        ),
        (
            &["--tls-cert", "noise.pem"],
            "--tls-cert: noise.pem: holds no certificate in PEM form",
        ),
        (
            &["--tls-cert", "cert.pem"],
            "--tls-cert: cert.pem: no unencrypted private key in PEM form",
        ),
        (
            &["--tls-cert", "cert.pem", "--tls-key", "noise.pem"],
            "--tls-key: noise.pem: no unencrypted private key in PEM form",
        ),
        (
            &["--tls-cert", "cert.pem", "--tls-key", "key.pem"],
            "--tls-key: key.pem: the key cannot be used with the certificate in cert.pem: they do \
             not belong together",
        ),
        (
            &["--tls-key", "key.pem"],
            "--tls-key: a key alone is no use; give its certificate with --tls-cert FILE.pem",
        ),
    ] {
        let ended = end(command(&home, files)).await;
        assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{ended:?}");
        assert!(
            ended.err.starts_with(&format!("error: {problem}")),
            "{ended:?}"
        );
        assert!(!ended.err.contains("canary"), "{ended:?}");
    }
}
