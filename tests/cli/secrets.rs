//! Canaries in every secret, the log at its most talkative, and much that goes wrong: no canary
//! is seen anywhere but where it was meant to go.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::backend::{Answer, Backend};
use orbit_relay::sim::orbit::{Orbit, OrbitConfig, Weather};
use orbit_relay::sim::random::Random;

use crate::process::load::event;
use crate::process::{Home, PATIENCE, Relay, Web, end, plant};

const SECRET: &str = "ca9a41ca9a42ca9a43ca9a44ca9a45ca9a46ca9a47ca9a48ca9a49ca9a4aca9a";
const TOKEN: &str = "canary-token-5d1f";
const USER: &str = "canary-user";
const PASSWORD: &str = "canary-password-77";
const KEY: &str = "canary-api-key-42";
const QUERY: &str = "canary-query-9c";
const LOCATION: &str = "canary-location-3b";

/// Every form in which a canary could turn up.
fn forms() -> Vec<(String, Vec<u8>)> {
    let key = hex::decode(SECRET).unwrap();
    let mut forms = vec![
        ("the webhook secret".to_owned(), SECRET.into()),
        ("… in capitals".to_owned(), SECRET.to_uppercase().into()),
        ("… as base64".to_owned(), STANDARD.encode(&key).into()),
        (
            "… as text in base64".to_owned(),
            STANDARD.encode(SECRET).into(),
        ),
        ("… as bytes".to_owned(), key),
    ];
    let pair = format!("{USER}:{PASSWORD}");
    for text in [TOKEN, USER, PASSWORD, KEY, QUERY, LOCATION, &pair] {
        forms.push((text.to_owned(), text.into()));
        forms.push((format!("{text} in hex"), hex::encode(text).into()));
        let unpadded = STANDARD.encode(text).trim_end_matches('=').to_owned();
        forms.push((format!("{text} in base64"), unpadded.into()));
    }
    forms
}

fn holds_no_canary(place: &str, bytes: &[u8]) {
    for (name, form) in forms() {
        let found = bytes.windows(form.len()).any(|window| window == form);
        assert!(!found, "{name} in {place}");
    }
}

async fn orbit() -> Orbit {
    let config = OrbitConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: Secret::new(TOKEN.to_owned()),
        seed: 1,
        clock: Clock::system(),
    };
    Orbit::start(config).await.unwrap()
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| {
            (
                entry.path().display().to_string(),
                std::fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}

struct Stage {
    home: Home,
    orbit: Orbit,
    plant: Backend,
    random: Random,
    accepted: u64,
}

impl Stage {
    async fn set() -> Self {
        Self {
            home: Home::new(),
            orbit: orbit().await,
            plant: plant().await,
            random: Random::new(1),
            accepted: 0,
        }
    }

    /// A talkative relay; the plant's address has this before its host.
    fn command(&self, credentials: &str) -> std::process::Command {
        let url = format!("http://{credentials}{}/in?key={QUERY}", self.plant.addr());
        let mut command = self.home.relay();
        command.args([
            "--hostname",
            &self.orbit.addr().to_string(),
            "--verify",
            "false",
        ]);
        command.args(["--webhook-host", "127.0.0.1", "--log-level", "trace"]);
        command.env("WEBHOOK_SECRET", SECRET);
        command.env("ORBIT_API_TOKEN", TOKEN);
        command.env("INTEGRATION_URL", url);
        command
    }

    async fn post(&mut self, relay: &Relay) {
        let uuid = self.random.uuid();
        let body = event(&mut self.random, &uuid, 0);
        let posted = Web::new().post_event(relay.at, SECRET, &body).await;
        assert_eq!(posted.unwrap().status, 200, "{}", relay.process.text());
    }

    /// Good events, bad ones, and a plant in each of its moods.
    async fn play(&mut self, relay: &mut Relay) {
        let world = self.plant.world();
        let signature = format!("t=1,v1={SECRET}");
        for bad in ["canary", "t=1,v1=canary", &signature] {
            let url = format!("http://{}/", relay.at);
            let headers = [("orbit-signature", bad)];
            let refused = Web::new().post(&url, &headers, "{}").await.unwrap();
            assert_eq!(refused.status, 401);
        }
        let not_an_event = Web::new().post_event(relay.at, SECRET, b"[]").await;
        assert_eq!(not_an_event.unwrap().status, 400);
        let elsewhere = format!("http://{USER}:{PASSWORD}@127.0.0.1:1/?token={LOCATION}");
        let moods = [
            Answer::Redirect(302, elsewhere),
            Answer::Reset,
            Answer::Html500,
            Answer::Status(401),
        ];
        for mood in moods {
            let before = world.tally().attempts;
            world.set_answer(mood);
            self.post(relay).await;
            let tried = world.wait_until(|tally| tally.attempts > before);
            tokio::time::timeout(PATIENCE, tried).await.unwrap();
        }
        relay.process.lines("postponed", 3).await;
        relay.process.line("PAUSED").await;
        world.set_answer(Answer::Ok);
        let resume = ["destinations", "resume", "integration"];
        assert_eq!(self.home.ask(&resume).await.code, Some(0));
        self.accepted += 4;
        let delivered = world.wait_for(self.accepted);
        tokio::time::timeout(PATIENCE, delivered).await.unwrap();
    }

    async fn look_everywhere(&self, relay: &mut Relay) {
        for path in ["/metrics", "/readyz", "/healthz"] {
            holds_no_canary(path, relay.get_ops(path).await.body.as_bytes());
        }
        for command in [
            &["status"][..],
            &["status", "--json"],
            &["events", "list"],
            &["events", "list", "--json"],
            &["events", "show", "1"],
            &["events", "show", "1", "--json"],
            &["deliveries", "list", "--json"],
            &["deliveries", "show", "integration:1"],
            &["deliveries", "show", "integration:1", "--json"],
            &["destinations", "list", "--json"],
            &["destinations", "show", "integration"],
            &["destinations", "test", "integration"],
        ] {
            let ended = self.home.ask(command).await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            holds_no_canary(&command.join(" "), format!("{ended:?}").as_bytes());
        }
        for (name, bytes) in files(self.home.data()) {
            holds_no_canary(&name, &bytes);
        }
        assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
        for (name, bytes) in files(self.home.data()) {
            holds_no_canary(&name, &bytes);
        }
        let log = relay.process.text();
        assert!(log.contains("setting log-level = trace"), "it talks: {log}");
        holds_no_canary("the log", log.as_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_seen_where_it_does_not_belong() {
    let mut stage = Stage::set().await;
    let mut command = stage.command("");
    command.env("INTEGRATION_AUTH", format!("X-Api-Key: {KEY}"));
    let mut relay = Relay::ready(command).await;
    relay.process.line("webhook: made in Orbit").await;
    stage.play(&mut relay).await;
    // They went where they are meant to go.
    let webhooks = stage.orbit.world().webhooks();
    assert_eq!(webhooks[0].secret.expose_hex(), SECRET);
    let posts = stage.plant.world().received();
    assert!(posts.iter().all(|post| post.headers["x-api-key"] == KEY));
    assert!(posts.iter().all(|post| post.path.contains(QUERY)));
    stage.look_everywhere(&mut relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_and_password_of_the_integration_url_are_never_seen() {
    let mut stage = Stage::set().await;
    let credentials = format!("{USER}:{PASSWORD}@");
    let mut relay = Relay::ready(stage.command(&credentials)).await;
    stage.play(&mut relay).await;
    let expected = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
    let posts = stage.plant.world().received();
    assert!(
        posts
            .iter()
            .all(|post| post.headers["authorization"] == expected)
    );
    stage.look_everywhere(&mut relay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_in_the_table_the_answers_or_the_report_of_check() {
    let stage = Stage::set().await;
    let world = stage.orbit.world();
    world.inspect().await;
    let port = crate::orbit::free_port();
    for (name, url) in [
        ("ours", format!("http://127.0.0.1:{port}")),
        (
            "rival",
            format!("http://{USER}:{PASSWORD}@10.9.9.9:21605/{LOCATION}?{QUERY}"),
        ),
    ] {
        world.add_webhook(crate::check::webhook(name, &url, SECRET));
    }
    let fair = Weather::default();
    let refusing = Weather {
        status: Some(401),
        ..Weather::default()
    };
    let moods = [Answer::Ok, Answer::Status(401), Answer::Reset];
    let key = format!("X-Api-Key: {KEY}");
    let credentials = format!("{USER}:{PASSWORD}@");
    for (weather, mood, before, auth) in [
        (&fair, &moods[0], "", Some(&key)),
        (&fair, &moods[1], &*credentials, None),
        (&refusing, &moods[2], &*credentials, None),
    ] {
        world.set_weather(weather.clone());
        stage.plant.world().set_answer(mood.clone());
        let url = format!("http://{before}{}/in?key={QUERY}", stage.plant.addr());
        for output in [&["--report", "report.txt"][..], &["--json"]] {
            let mut command = stage.home.command(&["check", "--verify", "false"]);
            command.args(["--hostname", &stage.orbit.addr().to_string()]);
            command.args(["--webhook-host", "127.0.0.1", "--webhook-port", &port]);
            command.args(["--bind", "127.0.0.1", "--ops-bind", "127.0.0.1:0"]);
            command.args(output);
            command.env("WEBHOOK_SECRET", SECRET);
            command.env("ORBIT_API_TOKEN", TOKEN);
            command.env("INTEGRATION_URL", &url);
            if let Some(auth) = auth {
                command.env("INTEGRATION_AUTH", auth);
            }
            let ended = end(command).await;
            assert_eq!(ended.code, Some(4), "{ended:?}");
            assert!(ended.out.contains("destination integration"), "{ended:?}");
            holds_no_canary("check", format!("{ended:?}").as_bytes());
        }
        let report = std::fs::read(stage.home.path().join("report.txt")).unwrap();
        assert!(report.len() > 1000);
        holds_no_canary("the report", &report);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_seen_when_orbit_refuses_or_is_gone() {
    let elsewhere = orbit_relay::sim::orbit::Redirect {
        status: 302,
        location: format!("https://{USER}:{PASSWORD}@127.0.0.1:1/{LOCATION}"),
    };
    for weather in [
        Weather {
            status: Some(401),
            ..Weather::default()
        },
        Weather {
            status: Some(500),
            ..Weather::default()
        },
        Weather {
            down: true,
            ..Weather::default()
        },
        Weather {
            nonsense: true,
            ..Weather::default()
        },
        Weather {
            redirect: Some(elsewhere),
            ..Weather::default()
        },
    ] {
        let mut stage = Stage::set().await;
        stage.orbit.world().set_weather(weather);
        let mut relay = Relay::ready(stage.command("")).await;
        relay.process.line("webhook: Orbit cannot be asked").await;
        stage.post(&relay).await;
        stage.look_everywhere(&mut relay).await;
    }
}

#[tokio::test]
async fn no_secret_is_seen_when_the_program_fails_to_start() {
    let stage = Stage::set().await;
    let credentials = format!("{USER}:{PASSWORD}@");
    let taken = stage.plant.addr().to_string();
    for flags in [
        ["--ops-bind", &*taken],
        ["--ops-bind", "x"],
        ["--asset-map", "/no/such"],
    ] {
        let mut command = stage.command(&credentials);
        command.args(flags);
        let ended = end(command).await;
        assert_ne!(ended.code, Some(0), "{ended:?}");
        holds_no_canary("its end", format!("{ended:?}").as_bytes());
    }
}
