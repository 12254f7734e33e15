//! `send`: signed requests to a running relay, and to anything else.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::thread::JoinHandle;

use orbit_relay::secret::WebhookSecret;

use crate::process::{Ended, Home, Relay, SECRET, end};

const CANARY: &str = "canary-secret-71f3";
const KEY: &str = "whsec_Y2FuYXJ5LWtleS1vZi0zMi1ieXRlcy1hbmQtbW9yZSE=";

const FILE: &str = r#"
source = [
  { name = "stripe", scheme = "stripe", secret = { env = "CANARY" } },
  { name = "github", scheme = "github", secret = { env = "CANARY" } },
  { name = "slack", scheme = "slack", secret = { env = "CANARY" } },
  { name = "up42", scheme = "up42", secret = { env = "CANARY" } },
  { name = "servo", scheme = "servo", secret = { env = "CANARY" } },
  { name = "standard", scheme = "standard-webhooks", secret = { env = "KEY" } },
  { name = "lims", scheme = "hmac", secret = { env = "CANARY" }, header = "X-Lims", timestamp = { header = "X-Time" }, signed = "{timestamp}.{body}", id = "/id", type = "/kind" },
  { name = "doors", scheme = "token", secret = { env = "CANARY" }, credential = "bearer", type = { header = "X-Kind" } },
  { name = "picky", scheme = "stripe", secret = { env = "CANARY" }, events = ["charge.*"], when = "event.livemode" },
  { name = "bench", scheme = "none", insecure = true, type = "/kind" },
]
"#;

/// A command with the sources of [`FILE`].
fn of_sources(home: &Home, mut command: std::process::Command) -> std::process::Command {
    home.write("relay.toml", FILE);
    command.args(["--config", "relay.toml"]);
    command.env("CANARY", CANARY).env("KEY", KEY);
    command.env("WEBHOOK_SECRET", SECRET);
    command
}

async fn send(home: &Home, source: &str, event: &str, more: &[&str]) -> Ended {
    let mut command = home.command(&["send", "--source", source, "--event", event]);
    command.args(more);
    let ended = end(of_sources(home, command)).await;
    for secret in [CANARY, KEY, SECRET] {
        let all = format!("{}{}", ended.out, ended.err);
        assert!(!all.contains(secret), "{ended:?}");
    }
    ended
}

/// Answers one request with this, and gives what came.
fn answers(answer: String) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        // All of these are small, and come with a body that ends in `}`.
        while !request.ends_with(b"}") {
            let read = stream.read(&mut buffer).unwrap();
            assert_ne!(read, 0, "it ended too early");
            request.extend_from_slice(&buffer[..read]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    });
    (at, other)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_as_any_source_is_taken_each_time_as_another_event() {
    let home = Home::new();
    let mut relay = Relay::ready(of_sources(&home, home.relay())).await;
    let sources = [
        "stripe", "github", "slack", "up42", "servo", "standard", "lims", "doors", "bench",
    ];
    for source in sources {
        let url = format!("http://{}/hooks/{source}", relay.at);
        let sent = send(&home, source, "order.status", &["--url", &url]).await;
        assert_eq!((sent.code, &*sent.err), (Some(0), ""), "{sent:?}");
        assert!(sent.out.starts_with(&format!("POST {url}\n")), "{sent:?}");
        assert!(sent.out.contains("answered 200 OK"), "{sent:?}");
        assert!(sent.out.contains(r#""accepted""#), "{sent:?}");
    }
    let orbit = format!("http://{}/", relay.at);
    for _ in 0..2 {
        let sent = send(&home, "orbit", "ACTION_COMPLETED", &["--url", &orbit]).await;
        assert_eq!((sent.code, &*sent.err), (Some(0), ""), "{sent:?}");
        assert!(sent.out.contains(r#""accepted""#), "{sent:?}");
    }
    let status = home.status().await;
    assert_eq!(status["accepted"], sources.len() + 2, "{status}");
    let doors = format!("http://{}/hooks/doors", relay.at);
    let sent = send(&home, "doors", "opened", &["--url", &doors]).await;
    assert!(sent.out.contains("Bearer ***"), "{sent:?}");
    assert_eq!(relay.stop().await, Some(0));
    assert!(!relay.process.text().contains(CANARY));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_url_it_goes_to_the_sources_path_at_this_relay_with_tls_as_without() {
    let pair = rcgen::generate_simple_self_signed(["relay.example".to_owned()]).unwrap();
    for tls in [false, true] {
        let home = Home::new();
        let both = pair.cert.pem() + &pair.signing_key.serialize_pem();
        home.write("both.pem", both);
        // The system gives a port that is free now.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port().to_string();
        drop(free);
        let mut flags = vec!["--bind", "127.0.0.1", "--webhook-port", &port];
        if tls {
            flags.extend(["--tls-cert", "both.pem"]);
        }
        let data = home.data().to_str().unwrap().to_owned();
        flags.extend(["--data-dir", &data]);
        let mut command = home.command(&["--ops-bind", "127.0.0.1:0"]);
        command.args(&flags);
        let mut relay = Relay::start(of_sources(&home, command)).await;
        relay.until_ready(200).await;
        let sent = send(&home, "stripe", "charge.refunded", &flags).await;
        assert_eq!((sent.code, &*sent.err), (Some(0), ""), "{sent:?}");
        let scheme = if tls { "https" } else { "http" };
        let url = format!("POST {scheme}://127.0.0.1:{port}/hooks/stripe\n");
        assert!(sent.out.starts_with(&url), "{sent:?}");
        let sent = send(&home, "orbit", "TEST", &flags).await;
        assert_eq!((sent.code, &*sent.err), (Some(0), ""), "{sent:?}");
        assert_eq!(relay.stop().await, Some(0));
    }
}

#[tokio::test]
async fn only_2xx_is_exit_0_no_redirect_is_followed_and_an_echoed_secret_is_not_shown() {
    let home = Home::new();
    let body = format!("you sent {CANARY}");
    let length = body.len();
    let (at, other) = answers(format!(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/{CANARY}\r\ncontent-length: \
         {length}\r\n\r\n{body}"
    ));
    let url = format!("http://{at}/in?code=canary-code-1");
    let sent = send(&home, "doors", "opened", &["--url", &url]).await;
    assert_eq!(sent.code, Some(1), "{sent:?}");
    assert!(sent.out.contains("answered 302 Found"), "{sent:?}");
    assert!(sent.out.contains("you sent ***"), "{sent:?}");
    assert!(!sent.out.contains("canary-code-1"), "{sent:?}");
    let came = other.join().unwrap();
    assert!(came.contains(&format!("Bearer {CANARY}")), "{came}");
    // Nobody is there any more.
    let sent = send(&home, "doors", "opened", &["--url", &url]).await;
    assert_eq!(sent.code, Some(1), "{sent:?}");
    assert!(
        sent.err.contains("gave no answer: cannot connect"),
        "{sent:?}"
    );
}

#[tokio::test]
async fn a_payload_is_sent_as_it_is_and_another_type_in_it_is_said() {
    let home = Home::new();
    let payload = r#"{ "id": "evt_7",  "type": "charge.failed" }"#;
    home.write("payload.json", payload);
    let (at, other) = answers("HTTP/1.1 204 No Content\r\n\r\n".to_owned());
    let url = format!("http://{at}/");
    let arguments = ["--url", &url, "--payload", "payload.json"];
    let sent = send(&home, "stripe", "charge.refunded", &arguments).await;
    assert_eq!(sent.code, Some(0), "{sent:?}");
    assert!(other.join().unwrap().ends_with(payload));
    let note = r#"note: the event's type is "charge.failed", by what stands in the body"#;
    assert!(sent.err.contains(note), "{sent:?}");
}

#[tokio::test]
async fn what_is_answered_200_and_not_kept_is_said() {
    let home = Home::new();
    for (event, livemode, note) in [
        ("order.status", true, "\"order.status\" is not among"),
        (
            "charge.failed",
            false,
            "when: does not hold: event.livemode",
        ),
    ] {
        let payload = format!(r#"{{"id": "evt_7", "type": "{event}", "livemode": {livemode}}}"#);
        home.write("payload.json", &payload);
        let (at, other) = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned());
        let url = format!("http://{at}/");
        let arguments = ["--url", &url, "--payload", "payload.json"];
        let sent = send(&home, "picky", event, &arguments).await;
        assert_eq!(sent.code, Some(0), "a 2xx: {sent:?}");
        assert!(sent.err.contains("note: "), "{sent:?}");
        assert!(sent.err.contains(note), "{sent:?}");
        assert!(sent.err.contains("not kept"), "{sent:?}");
        other.join().unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_exit_2_with_what_is_meant() {
    let home = Home::new();
    for (source, more, says) in [
        ("strip", &[][..], "is it `stripe`?"),
        ("relay", &[], "orbit-relay trigger EVENT"),
        ("stripe", &["--url", "ftp://a/"], "http://"),
        (
            "stripe",
            &["--url", "http://me:canary@a/"],
            "no place there",
        ),
        ("stripe", &["--url", "nowhere"], "--url"),
        ("stripe", &["--payload", "no.json"], "no file no.json"),
        ("stripe", &["--webhook-port", "0"], "--url"),
        ("orbit", &["--url", "http://127.0.0.1:1/"], "--payload FILE"),
    ] {
        let sent = send(&home, source, "x", more).await;
        assert_eq!((sent.code, &*sent.out), (Some(2), ""), "{sent:?}");
        assert!(sent.err.contains(says), "{source} {more:?}: {sent:?}");
        assert!(!sent.err.contains("canary"), "{sent:?}");
    }
}

#[tokio::test]
async fn as_orbit_the_kept_secret_signs_where_none_is_given() {
    let home = Home::new();
    let ask = async || {
        let url = ["--url", "http://127.0.0.1:1/"];
        let mut command = home.command(&["send", "--source", "orbit", "--event", "TEST"]);
        command.args(url).arg("--data-dir").arg(home.data());
        end(command).await
    };
    let none = ask().await;
    assert_eq!(none.code, Some(1), "{none:?}");
    assert!(none.err.contains("there is no webhook secret"), "{none:?}");
    std::fs::create_dir_all(home.data()).unwrap();
    let kept = WebhookSecret::parse(SECRET).unwrap().expose_hex();
    std::fs::write(home.data().join("webhook-secret"), kept).unwrap();
    let signed = ask().await;
    assert!(signed.out.contains("Orbit-Signature: t="), "{signed:?}");
    assert!(!signed.out.contains(SECRET), "{signed:?}");
}
