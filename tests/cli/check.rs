//! `check`: each thing that can be wrong is said once, with what to do; nothing is changed.

use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::secret::{Secret, WebhookSecret};
use orbit_relay::sim::backend::{Answer, Backend, BackendConfig, OAuth, Tls};
use orbit_relay::sim::orbit::{Orbit, OrbitConfig, Webhook};
use serde_json::Value;

use super::orbit::free_port;
use crate::process::{Ended, Home, Process, Relay, SECRET, end, plant};

const TOKEN: &str = "demo-token";

async fn orbit_at(listen: &str) -> Orbit {
    let config = OrbitConfig {
        listen: listen.parse().unwrap(),
        token: Secret::new(TOKEN.to_owned()),
        seed: 1,
        clock: Clock::system(),
    };
    Orbit::start(config).await.unwrap()
}

/// An Orbit with our webhook in it, a plant, and a relay that does not run.
struct Stage {
    home: Home,
    orbit: Orbit,
    plant: Backend,
    port: String,
}

impl Stage {
    async fn set() -> Self {
        let stage = Self {
            home: Home::new(),
            orbit: orbit_at("127.0.0.1:0").await,
            plant: plant().await,
            port: free_port(),
        };
        for _ in 0..2 {
            stage.orbit.world().inspect().await;
        }
        let url = format!("http://127.0.0.1:{}", stage.port);
        stage
            .orbit
            .world()
            .add_webhook(webhook("ours", &url, SECRET));
        stage
    }

    fn pin(&self) -> String {
        format!("sha256:{}", self.orbit.certificate_sha256())
    }

    /// `check`, and the settings that make all of it good.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.home.command(&["check"]);
        self.settings(&mut command);
        command.args(arguments);
        command
    }

    fn settings(&self, command: &mut Command) {
        let any = "127.0.0.1:0";
        command.args(["--webhook-host", "127.0.0.1", "--webhook-port", &self.port]);
        command.args(["--bind", "127.0.0.1", "--ops-bind", any]);
        command.env("ORBIT_HOSTNAME", self.orbit.addr().to_string());
        command.env("DATA_DIR", self.home.data());
        // What the journal may take by default is more than a test's disk may have left.
        command.env("JOURNAL_LIMIT", "64MiB");
        command.env("ORBIT_VERIFY", self.pin());
        command.env("ORBIT_API_TOKEN", TOKEN);
        command.env("WEBHOOK_SECRET", SECRET);
        command.env("INTEGRATION_URL", self.plant.url());
    }

    /// The one row that is bad.
    async fn bad(&self, command: Command) -> Bad {
        let ended = end(command).await;
        assert_eq!(ended.code, Some(4), "{ended:?}");
        let bad: Vec<_> = ended.out.lines().filter(|l| l.starts_with('✗')).collect();
        assert_eq!(bad.len(), 1, "{}", ended.out);
        let mut lines = ended.out.lines().skip_while(|l| !l.starts_with('✗'));
        let row = lines.next().unwrap().to_owned();
        let advice = lines.next().unwrap();
        let advice = advice.strip_prefix("    → ").unwrap().to_owned();
        self.nothing_was_posted();
        Bad { row, advice }
    }

    fn nothing_was_posted(&self) {
        assert_eq!(self.plant.world().tally().attempts, 0);
        let seen = self.orbit.world().requests();
        assert!(seen.iter().all(|seen| seen.method == "GET"), "{seen:?}");
    }
}

struct Bad {
    row: String,
    advice: String,
}

impl Bad {
    fn says(&self, row: &str, advice: &str) {
        assert!(self.row.contains(row), "{}", self.row);
        assert!(self.advice.contains(advice), "{}", self.advice);
    }
}

pub(crate) fn webhook(name: &str, url: &str, secret: &str) -> Webhook {
    Webhook {
        uuid: format!("uuid-of-{name}"),
        name: name.to_owned(),
        url: url.to_owned(),
        enabled: true,
        validate_tls_cert: true,
        events: ["ACTION_COMPLETED", "ACTION_COMPLETED_WITH_ALERT"]
            .map(str::to_owned)
            .into(),
        secret: WebhookSecret::parse(secret).unwrap(),
        archived: false,
        created_at: "2026-01-01T00:00:00.000Z".to_owned(),
    }
}

/// What differs from run to run is taken out.
fn normal(stage: &Stage, text: &str) -> String {
    let pin = stage.orbit.certificate_sha256();
    let mut text = text.replace(&pin, "CERTIFICATE");
    for (what, name) in [
        (stage.home.data().to_str().unwrap(), "DATA"),
        (&*stage.orbit.addr().to_string(), "ORBIT"),
        (&*stage.port, "PORT"),
    ] {
        text = text.replace(what, name);
    }
    let lines = text.lines().map(|line| match line.split_once("it takes") {
        Some((before, _)) => format!("{before}it takes …"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_all_is_good_it_ends_with_0_and_changes_nothing() {
    let stage = Stage::set().await;
    let ended = end(stage.command(&[])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    insta::assert_snapshot!(normal(&stage, &ended.out));
    stage.nothing_was_posted();
    assert!(!stage.home.data().exists(), "no directory is made");
}

#[tokio::test]
async fn before_anything_is_configured_it_says_what_to_set_and_exits_with_4() {
    let home = Home::new();
    let ended = home.ask(&["check", "--ops-bind", "127.0.0.1:0"]).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.out.contains("✗ configuration"), "{}", ended.out);
    assert!(ended.out.contains("set ORBIT_HOSTNAME and ORBIT_API_TOKEN"));
    assert!(!ended.err.contains("panicked"), "{ended:?}");
}

#[tokio::test]
async fn a_configuration_that_cannot_be_used_is_a_row_each_and_the_rest_is_looked_at() {
    let home = Home::new();
    home.write(".env", "MAX_AGE=soon\nBIND=127.0.0.1\n");
    let flags = ["check", "--log-format", "x", "--ops-bind", "127.0.0.1:0"];
    let ended = home.ask(&flags).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    let bad = ended
        .out
        .lines()
        .filter(|l| l.starts_with("✗ configuration"));
    assert!(bad.count() >= 2, "{}", ended.out);
    assert!(ended.out.contains("✓ data directory"), "{}", ended.out);
    home.write(".env", "no line of its kind\n");
    let ended = home.ask(&["check", "--config", "no.toml"]).await;
    assert_eq!(ended.code, Some(4), "{ended:?}");
    assert!(ended.out.contains("✓ data directory"), "{}", ended.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_with_orbit_is_one_row_with_what_to_do() {
    let stage = Stage::set().await;
    let mut command = stage.command(&[]);
    command.env("ORBIT_API_TOKEN", "another");
    let bad = stage.bad(command).await;
    bad.says("token", "make a new token with the ADMIN role");

    let world = stage.orbit.world();
    world.change_weather(|weather| weather.skew_ms = 630_000);
    let bad = stage.bad(stage.command(&[])).await;
    bad.says("Orbit's clock is 10 min ahead of ours", "by NTP");
    world.change_weather(|weather| weather.skew_ms = 0);

    world.edit_webhook("uuid-of-ours", |hook| hook.enabled = false);
    let bad = stage.bad(stage.command(&[])).await;
    bad.says("disabled in Orbit", "enable it in Orbit");
    world.edit_webhook("uuid-of-ours", |hook| hook.enabled = true);

    world.add_webhook(webhook("rival", "http://10.9.9.9:21605/canary", SECRET));
    let bad = stage.bad(stage.command(&[])).await;
    bad.says(
        "“rival” at http://10.9.9.9:21605",
        "two tickets for one alert",
    );
    assert!(!bad.row.contains("canary"), "{}", bad.row);
    world.remove_webhook("uuid-of-rival");

    let mut command = stage.command(&[]);
    command.args(["--hostname", "no-such-orbit.invalid"]);
    let bad = stage.bad(command).await;
    bad.says("does not resolve", "ORBIT_HOSTNAME");
    assert_eq!(end(stage.command(&[])).await.code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_certificate_gives_the_line_that_pins_it_and_a_changed_one_is_refused() {
    let stage = Stage::set().await;
    let mut command = stage.command(&[]);
    command.env("ORBIT_VERIFY", "true");
    let bad = stage.bad(command).await;
    let (_, line) = bad.advice.split_once("ORBIT_VERIFY=").unwrap();
    assert_eq!(line, stage.pin());
    let mut command = stage.command(&[]);
    command.env("ORBIT_VERIFY", line);
    assert_eq!(end(command).await.code, Some(0));
    let mut command = stage.command(&[]);
    command.env("ORBIT_VERIFY", format!("sha256:{}", "0".repeat(64)));
    let bad = stage.bad(command).await;
    bad.says("is refused", "the pinned certificate has changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_of_this_machine_is_one_row_with_what_to_do() {
    let stage = Stage::set().await;
    let stranger = TcpListener::bind(format!("127.0.0.1:{}", stage.port)).unwrap();
    let bad = stage.bad(stage.command(&[])).await;
    bad.says("taken by another program", "--webhook-port");
    drop(stranger);

    // Root may write anywhere, but not in a file.
    let file = stage.home.write("file", "");
    let mut command = stage.command(&[]);
    command.arg("--data-dir").arg(file);
    let bad = stage.bad(command).await;
    bad.says("cannot be written", "--data-dir");

    let assets = stage.home.write("assets.csv", "no,key,column\n");
    let mut command = stage.command(&["--asset-map"]);
    command.arg(assets);
    stage
        .bad(command)
        .await
        .says("asset map", "correct the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_trouble_of_a_destination_is_one_row_and_nothing_is_posted_there() {
    let stage = Stage::set().await;
    stage.plant.world().set_answer(Answer::Status(401));
    let bad = stage.bad(stage.command(&[])).await;
    bad.says(
        "HEAD answered 401: the credentials are refused",
        "INTEGRATION_AUTH",
    );

    let answer = Answer::RequireAuth("Bearer right".to_owned());
    stage.plant.world().set_answer(answer);
    let mut command = stage.command(&[]);
    command.env("INTEGRATION_AUTH", "Bearer right");
    assert_eq!(end(command).await.code, Some(0));

    for (url, says) in [
        (
            "http://no-such-plant.invalid/in",
            "no-such-plant.invalid:80",
        ),
        ("http://127.0.0.1:9/in", "cannot connect to 127.0.0.1:9"),
    ] {
        let mut command = stage.command(&[]);
        command.env("INTEGRATION_URL", url);
        stage.bad(command).await.says(says, "look whether");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_that_knows_no_head_is_asked_for_its_options_and_counts_as_reached() {
    let stage = Stage::set().await;
    stage.plant.world().set_answer(Answer::Status(405));
    let ended = end(stage.command(&[])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let says = "✓ destination integration  reached; OPTIONS answered 405";
    assert!(ended.out.contains(says), "{}", ended.out);
    stage.nothing_was_posted();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_fetched_for_real_and_shown_and_a_refusal_is_said() {
    let stage = Stage::set().await;
    let client = OAuth {
        client_id: "relay".to_owned(),
        client_secret: Secret::new("right".to_owned()),
        expires_in: Duration::from_hours(1),
    };
    stage.plant.world().set_oauth(Some(client));
    stage.plant.world().set_answer(Answer::RequireToken);
    let check = |client_secret: &str| {
        let text = format!(
            "[[destination]]\nname = \"eam\"\nurl = \"{}\"\nauth = {{ type = \"oauth2\", \
             token_url = \"{}\", client_id = \"relay\", client_secret = \"{client_secret}\" }}\n",
            stage.plant.url(),
            stage.plant.token_url(),
        );
        stage.home.write("relay.toml", text);
        let mut command = stage.command(&["--config", "relay.toml"]);
        command.env_remove("INTEGRATION_URL");
        command
    };
    let ended = end(check("right")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let says = "✓ destination eam      HEAD answered 200, with our credentials";
    assert!(ended.out.contains(says), "{}", ended.out);
    assert_eq!(stage.plant.world().tokens_issued(), 1);
    let bad = stage.bad(check("canary")).await;
    bad.says("no credentials to show: the token endpoint", "auth");
    assert!(!bad.row.contains("canary"), "{}", bad.row);
}

/// A destination that shows a certificate of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destination_with_an_unknown_certificate_is_a_row() {
    let mut stage = Stage::set().await;
    let config = BackendConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        clock: Clock::system(),
        tls: Tls::SelfSigned,
    };
    stage.plant = Backend::start(config).await.unwrap();
    let bad = stage.bad(stage.command(&[])).await;
    bad.says("does not verify", "ca_file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_no_relay_runs_it_takes_the_test_payload_itself_and_acknowledges_nothing() {
    let stage = Stage::set().await;
    let mut check = Process::start(stage.command(&["--wait", "60s", "--json"]));
    check.line("waiting 60 s for a test payload").await;
    let world = stage.orbit.world();
    let mut post = None;
    // The port is bound a moment after the line.
    for _ in 0..200 {
        post = world.send_test("uuid-of-ours").await;
        if post.as_ref().is_some_and(|post| post.status.is_some()) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(post.unwrap().status, Some(503), "{}", check.text());
    let line = check.line("\"rows\"").await;
    assert_eq!(
        check.ended(crate::process::PATIENCE).await,
        Some(0),
        "{line}"
    );
    let all: Value = serde_json::from_str(&line).unwrap();
    let rows = all["rows"].as_array().unwrap();
    let reached = rows.iter().find(|row| row["name"] == "Orbit reaches us");
    let reached = reached.unwrap()["what"].as_str().unwrap();
    assert_eq!(
        reached,
        "a test payload came, verified, from 127.0.0.1 (loopback)"
    );
    assert_eq!(
        answer(&all, "was loopback"),
        "yes: the test payload came from there"
    );
    assert!(answer(&all, "last test body").contains("type: string of 4 (TEST)"));
    assert_eq!(answer(&all, "accept offset"), "yes");
    assert!(answer(&all, "limit=1000").starts_with("2 came"), "{all}");
    assert_eq!(answer(&all, "createdAt"), "9999-99-99T99:99:99.999Z");
    assert_eq!(
        answer(&all, "return secrets"),
        "of 1 webhooks 1 whole, 0 masked, 0 without one"
    );
}

fn answer(all: &Value, question: &str) -> String {
    let answers = all["answers"].as_array().unwrap();
    let found = answers
        .iter()
        .find(|a| a["question"].as_str().unwrap().contains(question));
    found.unwrap()["answer"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_a_running_relay_its_port_is_no_strangers_and_it_tells_of_the_test_payload() {
    let stage = Stage::set().await;
    let mut command = stage.home.command(&["run"]);
    stage.settings(&mut command);
    let mut relay = Relay::ready(command).await;
    let said = relay.process.line("check: ✓ webhook port").await;
    assert!(said.contains("this relay listens there"), "{said}");
    relay.process.line("check: ✓ destination integration").await;
    relay.process.line(" –").await;
    let mut check = Process::start(stage.command(&["--wait", "60s"]));
    check.line("waiting 60 s for a test payload").await;
    let posted = stage.orbit.world().send_test("uuid-of-ours").await;
    assert_eq!(posted.unwrap().status, Some(200));
    let code = check.ended(crate::process::PATIENCE).await;
    let text = check.text();
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("is held; the relay on this data directory runs"),
        "{text}"
    );
    assert!(
        text.contains("a test payload came, verified, from 127.0.0.1"),
        "{text}"
    );
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_relay_finds_wrong_at_its_start_is_in_its_log() {
    let stage = Stage::set().await;
    stage.plant.world().set_answer(Answer::Status(403));
    let mut command = stage.home.command(&["run"]);
    stage.settings(&mut command);
    let mut relay = Relay::ready(command).await;
    let said = relay.process.line("check: ✗ destination integration").await;
    assert!(
        said.contains("WARN") && said.contains(" – correct its `auth`"),
        "{said}"
    );
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(stage.plant.world().tally().attempts, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_has_all_of_it_and_only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let stage = Stage::set().await;
    let file = stage.home.write("report.txt", "old");
    let ended: Ended = end(stage.command(&["--report", "report.txt"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let report = std::fs::read_to_string(file).unwrap();
    for part in [
        "orbit-relay 0.",
        "✓ configuration",
        "What this Orbit does",
        "Sums",
        "setting",
        "api-token = ***",
        "Destination integration",
    ] {
        assert!(
            report.to_lowercase().contains(&part.to_lowercase()),
            "{part} in {report}"
        );
    }
    assert!(
        !report.contains(SECRET) && !report.contains(TOKEN),
        "{report}"
    );
}
