//! A destination that is an MQTT broker: a real Mosquitto, started for each test.
//!
//! It needs `mosquitto` and its clients (`apt-get install mosquitto mosquitto-clients`), and is run
//! by its name: `cargo test --test mqtt`.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "a broker is another process, and waited for in real time"
)]

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use orbit_relay::app::{App, Exit, Listeners};
use orbit_relay::clock::Clock;
use orbit_relay::config::{Config as RelayConfig, Input, Level, Text};
use orbit_relay::http::{self, ExchangeError, Trust};
use orbit_relay::relay::destination::outcome::{Outcome, Trouble};
use orbit_relay::relay::destination::{
    Auth, Config, Destination, Kind, Looked, Message, MqttConfig, Request, Sent, Tls, What,
};
use orbit_relay::relay::journal::{Availability, State, Sums};
use orbit_relay::relay::transform::template::Gapped;
use orbit_relay::secret::{Source, WebhookSecret};
use orbit_relay::sim::javascript::sign;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const BOUND: Duration = Duration::from_secs(20);

/// A Mosquitto, ended when it is dropped.
struct Broker {
    folder: TempDir,
    port: u16,
    running: Option<Child>,
}

impl Broker {
    /// Starts one with these lines in its configuration.
    fn start(settings: &str) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), settings)
    }

    fn start_in(folder: TempDir, settings: &str) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut text = format!("listener {port} 127.0.0.1\nuser root\npersistence false\n");
        let log = folder.path().join("log");
        writeln!(text, "log_dest file {}\n{settings}", log.display()).unwrap();
        std::fs::write(folder.path().join("broker.conf"), text).unwrap();
        let mut broker = Self {
            folder,
            port,
            running: None,
        };
        broker.run();
        broker
    }

    fn run(&mut self) {
        let child = Command::new("mosquitto")
            .arg("-c")
            .arg(self.path("broker.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.running = Some(child.expect("mosquitto can be run: apt-get install mosquitto"));
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < BOUND, "mosquitto does not listen");
            std::thread::yield_now();
        }
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn config(&self, scheme: &str) -> Config {
        let url = format!("{scheme}://127.0.0.1:{}", self.port);
        let mut config = Config::new("plant", url.parse().unwrap());
        let topic = Gapped::parse("topic", "unused", &[]).unwrap();
        config.kind = Kind::Mqtt(MqttConfig {
            topic,
            retain: true,
        });
        config.timeout = Duration::from_secs(5);
        config
    }

    /// What the broker keeps of a topic, as another client reads it.
    fn kept(&self, topic: &str, arguments: &[&str]) -> String {
        let output = Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-t", topic])
            .args(["-C", "1", "-W", "10", "-F", "%r %q %p", "-q", "1"])
            .args(arguments)
            .output()
            .expect("mosquitto_sub can be run: apt-get install mosquitto-clients");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn publish(destination: &Destination, topic: &str, payload: &str) -> Sent {
    let message = Message {
        topic: topic.to_owned(),
        payload: payload.into(),
    };
    let at = Timestamp::UNIX_EPOCH;
    let request = Request::new("key".into(), 1, at, What::Message(message));
    destination.send(request).await
}

fn postponed(sent: &Sent) -> &str {
    match &sent.outcome {
        Outcome::Postponed { reason, .. } => reason,
        other => panic!("not postponed: {other:?}"),
    }
}

fn parked(sent: &Sent) -> &str {
    match &sent.outcome {
        Outcome::Parked {
            reason,
            trouble: Trouble::Credentials,
        } => reason,
        other => panic!("not parked: {other:?}"),
    }
}

#[tokio::test]
async fn what_the_broker_acknowledged_is_delivered_and_kept_by_it() {
    let broker = Broker::start("allow_anonymous true");
    let destination = Destination::build(broker.config("mqtt")).unwrap();
    for payload in ["6.1", "6.2"] {
        let sent = publish(&destination, "plant/PUMP-101/pressure", payload).await;
        assert_eq!(sent.outcome, Outcome::Delivered);
    }
    let kept = broker.kept("plant/PUMP-101/pressure", &[]);
    assert_eq!(kept, "1 1 6.2", "retained, with QoS 1");
    let large = "x".repeat(200 * 1024);
    let sent = publish(&destination, "plant/large", &large).await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(broker.kept("plant/large", &[]).len(), large.len() + 4);
    let looked = destination.look(Timestamp::UNIX_EPOCH).await;
    assert_eq!(looked, Looked::Connected { with_auth: false });
}

#[tokio::test]
async fn several_at_once_are_all_acknowledged_on_one_connection() {
    let broker = Broker::start("allow_anonymous true");
    let destination = Destination::build(broker.config("mqtt")).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let destination = destination.clone();
        tasks.spawn(async move { publish(&destination, &format!("n/{n}"), "x").await });
    }
    for sent in tasks.join_all().await {
        assert_eq!(sent.outcome, Outcome::Delivered);
    }
    let log = std::fs::read_to_string(broker.path("log")).unwrap();
    assert_eq!(log.matches("as orbit-relay-plant-").count(), 1, "{log}");
}

#[tokio::test]
async fn a_broker_that_comes_back_gets_what_follows_and_while_it_is_away_it_is_put_off() {
    let mut broker = Broker::start("allow_anonymous true");
    let destination = Destination::build(broker.config("mqtt")).unwrap();
    let sent = publish(&destination, "a", "1").await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    broker.stop();
    let sent = publish(&destination, "a", "2").await;
    assert!(
        postponed(&sent).contains("cannot connect to 127.0.0.1"),
        "{sent:?}"
    );
    broker.run();
    let sent = publish(&destination, "a", "3").await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(broker.kept("a", &[]), "1 1 3");
    // The connection is cut while it is kept: the next message is sent over a new one.
    broker.stop();
    broker.run();
    let sent = publish(&destination, "a", "4").await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    assert_eq!(broker.kept("a", &[]), "1 1 4");
}

#[tokio::test]
async fn a_wrong_password_parks_and_the_right_one_in_its_file_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new("mosquitto_passwd")
        .args(["-b", "-c"])
        .arg(folder.path().join("users"))
        .args(["robot", "right-canary"])
        .status();
    assert!(made.unwrap().success());
    let users = folder.path().join("users").display().to_string();
    let settings = format!("allow_anonymous false\npassword_file {users}");
    let broker = Broker::start_in(folder, &settings);
    let mut config = broker.config("mqtt");
    let sent = publish(&Destination::build(config.clone()).unwrap(), "a", "1").await;
    assert!(
        parked(&sent).ends_with("it wants some, set its `auth`"),
        "{sent:?}"
    );

    let file = broker.path("password");
    std::fs::write(&file, "wrong-canary").unwrap();
    config.auth = Auth::Basic {
        user: "robot".into(),
        password: Source::File(file.clone()),
    };
    let destination = Destination::build(config).unwrap();
    let sent = publish(&destination, "a", "1").await;
    assert!(parked(&sent).contains("return code 5"), "{sent:?}");
    assert!(!format!("{sent:?} {destination:?}").contains("canary"));
    assert!(matches!(
        destination.look(Timestamp::UNIX_EPOCH).await,
        Looked::Refused(_)
    ));
    assert!(!destination.credentials_changed());
    std::fs::write(&file, "right-canary").unwrap();
    assert!(destination.credentials_changed());
    let sent = publish(&destination, "a", "2").await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    let user = ["-u", "robot", "-P", "right-canary"];
    assert_eq!(broker.kept("a", &user), "1 1 2");
}

#[tokio::test]
async fn a_private_authority_is_believed_if_it_is_given_and_a_client_certificate_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(path("ca.pem"), authority.pem()).unwrap();
    for name in ["127.0.0.1", "client"] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let shown = |name: &str| path(name).display().to_string();
    let settings = format!(
        "allow_anonymous true\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
        shown("ca.pem"),
        shown("127.0.0.1.pem"),
        shown("127.0.0.1.key")
    );
    let broker = Broker::start_in(folder, &settings);
    let mut config = broker.config("mqtts");
    let stranger = Destination::build(config.clone()).unwrap();
    let sent = publish(&stranger, "a", "1").await;
    assert!(postponed(&sent).contains("does not verify"), "{sent:?}");
    let looked = stranger.look(Timestamp::UNIX_EPOCH).await;
    assert!(matches!(
        looked,
        Looked::Unreached(ExchangeError::Certificate(_))
    ));

    config.tls = Tls {
        ca_file: Some(broker.path("ca.pem")),
        ..Tls::default()
    };
    let sent = publish(&Destination::build(config.clone()).unwrap(), "a", "1").await;
    assert!(!postponed(&sent).is_empty(), "a certificate is wanted");
    config.tls.client_cert_file = Some(broker.path("client.pem"));
    config.tls.client_key_file = Some(broker.path("client.key"));
    let sent = publish(&Destination::build(config).unwrap(), "a", "2").await;
    assert_eq!(sent.outcome, Outcome::Delivered);
    let file = |name: &str| broker.path(name).display().to_string();
    let (ca, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let kept = broker.kept(
        "a",
        &["--cafile", &ca, "--cert", &certificate, "--key", &key],
    );
    assert_eq!(kept, "1 1 2");
}

/// What the relay is told to sign with.
const SECRET: &str = "5ec7e7aa00112233445566778899aabbccddeeff00112233445566778899aabb";
/// An inspection of a pump, with two readings.
const INSPECTION: &str = r#"{"uuid":"0d5b7a52-0001-4c1e-9a10-000000000001","type":"ACTION_COMPLETED","time":"2026-02-03T09:14:07.118Z","data":{"uuid":"9b1f0a11-1111-4a1a-8a1a-000000000001","actionName":"P-101 motor DE","robotNickname":"spot-07","dataCaptures":[{"keyResults":[{"name":"Max/+","units":"C","value":61.40},{"name":"Min","units":"C","value":18.2}],"channelName":"ir"}]}}"#;

/// A relay, and what it takes to see and to end it.
struct Relay {
    events: SocketAddr,
    sums: watch::Receiver<Sums>,
    stop: CancellationToken,
    running: JoinHandle<Exit>,
}

/// A relay whose file has these destinations.
async fn relay(folder: &TempDir, file: String) -> Relay {
    let clock = Clock::system();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let assets = folder.path().join("assets.csv");
    std::fs::write(
        &assets,
        "action_name,asset_id,area\nP-101 motor DE,PUMP-101,Hall 3\n",
    )
    .unwrap();
    let listeners = Listeners {
        webhook: tokio::net::TcpListener::bind(any).await.unwrap(),
        ops: tokio::net::TcpListener::bind(any).await.unwrap(),
    };
    let events = listeners.webhook.local_addr().unwrap();
    let data = folder.path().join("data");
    let flags = [
        ("webhook-port", events.port().to_string()),
        ("ops-bind", listeners.ops.local_addr().unwrap().to_string()),
        ("data-dir", data.display().to_string()),
        ("asset-map", assets.display().to_string()),
    ];
    let input = Input {
        flags: flags.map(|(name, value)| (name.to_owned(), value)).into(),
        environment: [("WEBHOOK_SECRET".to_owned(), SECRET.to_owned())].into(),
        file: Some(Text {
            level: Level::ConfigDir,
            path: "relay.toml".into(),
            bytes: file.into_bytes(),
        }),
        ..Input::default()
    };
    let config = RelayConfig::load(&input).unwrap();
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    let app = App::build(config, listeners, clock, stop.clone(), None).unwrap();
    let (mut journal, mut secret) = (app.parts.journal.clone(), app.parts.secret.clone());
    let sums = app.parts.sums.clone();
    let running = tokio::spawn(app.run(hard));
    let ready = async {
        let open = journal.wait_for(|journal| *journal == Availability::Open);
        open.await.unwrap();
        secret.wait_for(Result::is_ok).await.unwrap();
    };
    tokio::time::timeout(BOUND, ready).await.unwrap();
    Relay {
        events,
        sums,
        stop,
        running,
    }
}

// Whoever waits for the broker here holds up one thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_publishes_the_event_a_body_and_each_reading_where_its_file_says() {
    let broker = Broker::start("allow_anonymous true");
    let folder = tempfile::tempdir().unwrap();
    let port = broker.port;
    let file = format!(
        r#"
[[destination]]
name = "events"
url = "mqtt://127.0.0.1:{port}"
retain = true

[[destination]]
name = "bodies"
url = "mqtt://127.0.0.1:{port}/"
topic = "acme/{{{{ asset.attributes.area }}}}/{{{{ asset.id }}}}/inspection"
retain = true
body = {{ asset = "{{{{ asset.id }}}}", robot = "{{{{ inspection.robot }}}}" }}

[[destination]]
name = "readings"
url = "mqtt://127.0.0.1:{port}"
topic = "acme/{{{{ asset.id }}}}/{{{{ item.name }}}}"
retain = true
for_each = "readings"
body = {{ value = "{{{{ item.value }}}}", unit = "{{{{ item.unit }}}}" }}
"#
    );
    let mut relay = relay(&folder, file).await;
    let client = http::Client::build(&http::Config {
        trust: Trust::Authorities(Vec::new()),
        certificate: None,
        timeout: BOUND,
    });
    let url = format!("http://{}/", relay.events).parse().unwrap();
    let now = Clock::system().wall().as_millisecond();
    let signature = sign(
        &WebhookSecret::parse(SECRET).unwrap(),
        now,
        INSPECTION.as_bytes(),
    );
    let request = client.unwrap().request(Method::POST, url);
    let request = request
        .header("Orbit-Signature", signature)
        .body(INSPECTION);
    assert_eq!(request.send().await.unwrap().status(), 200);

    // Who asks earlier gets it as it comes, which is not as it is kept.
    let all = |sums: &Sums| {
        let mut destinations = sums.destinations.iter();
        sums.destinations.len() == 3 && destinations.all(|d| d.of(State::Delivered) == 1)
    };
    let delivered = tokio::time::timeout(BOUND, relay.sums.wait_for(all)).await;
    drop(delivered.unwrap().unwrap());

    let event = broker.kept("orbit-relay/PUMP-101/inspection", &[]);
    let event = event.strip_prefix("1 1 ").expect("retained, with QoS 1");
    let event: Value = serde_json::from_str(event).unwrap();
    assert_eq!(event["relay"]["asset"]["id"], "PUMP-101");
    let sent: Value = serde_json::from_str(INSPECTION).unwrap();
    assert_eq!(event["data"], sent["data"]);
    let body = broker.kept("acme/Hall 3/PUMP-101/inspection", &[]);
    assert_eq!(body, r#"1 1 {"asset":"PUMP-101","robot":"spot-07"}"#);
    for (topic, reading) in [
        ("acme/PUMP-101/Max__", r#"1 1 {"value":61.40,"unit":"C"}"#),
        ("acme/PUMP-101/Min", r#"1 1 {"value":18.2,"unit":"C"}"#),
    ] {
        assert_eq!(broker.kept(topic, &[]), reading);
    }
    relay.stop.cancel();
    let ended = tokio::time::timeout(BOUND, relay.running).await;
    assert_eq!(ended.unwrap().unwrap(), Exit::Drained);
}
