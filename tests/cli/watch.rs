//! The folder of the configuration while the relay runs.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::process::{Home, PATIENCE, Process, Relay, SECRET, Web, end};

/// A home with a folder that holds a `.env`, an asset map, and a relay that reads them.
struct Watched {
    home: Home,
    dir: PathBuf,
}

impl Watched {
    fn new() -> Self {
        let home = Home::new();
        let dir = home.path().join("config");
        std::fs::create_dir(&dir).unwrap();
        let watched = Self { home, dir };
        watched.write(".env", &format!("WEBHOOK_SECRET={SECRET}\n"));
        watched.write("assets.csv", "action_name,asset_id\nmotor,PUMP-1\n");
        watched
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.join(name), text).unwrap();
    }

    fn command(&self) -> Command {
        let mut command = self.home.relay();
        command.env("CONFIG_DIR", &self.dir);
        command
    }
}

#[tokio::test]
async fn a_change_that_can_be_used_drains_and_ends_with_5() {
    let watched = Watched::new();
    let mut relay = Relay::ready(watched.command()).await;
    watched.write(".env", &format!("WEBHOOK_SECRET={SECRET}\nMAX_AGE=9m\n"));
    relay
        .process
        .line("changed: finishing what is under way")
        .await;
    assert_eq!(relay.process.ended(PATIENCE).await, Some(5));
    relay.process.line("stopped, to be started again").await;
    let mut relay = Relay::ready(watched.command()).await;
    relay.process.line("setting max-age = 9m").await;
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn a_wrong_change_is_said_line_by_line_and_the_relay_goes_on_as_it_was() {
    let watched = Watched::new();
    let mut relay = Relay::ready(watched.command()).await;
    watched.write("relay.toml", "max_age = \"soon\"\nhostnme = \"canary\"\n");
    for problem in [
        "relay.toml:1: `max_age`: ",
        "relay.toml:2: unknown key `hostnme`",
        "cannot be used; the relay goes on as it was",
    ] {
        let line = relay.process.line(problem).await;
        assert!(line.contains("ERROR config: "), "{line}");
    }
    assert_eq!(relay.get_ops("/readyz").await.status, 200);
    std::fs::remove_file(watched.dir.join("relay.toml")).unwrap();
    relay.process.line("is as it was at the start").await;
    watched.write("relay.toml", "max_age = \"8m\"\n");
    assert_eq!(relay.process.ended(PATIENCE).await, Some(5));
}

#[tokio::test]
async fn a_folder_that_is_removed_ends_with_5_so_that_it_is_mounted_again() {
    let watched = Watched::new();
    for file in [".env", "assets.csv"] {
        std::fs::remove_file(watched.dir.join(file)).unwrap();
    }
    // As where Docker made it, since no configuration was installed yet.
    let mut relay = Relay::start(watched.command()).await;
    std::fs::remove_dir(&watched.dir).unwrap();
    relay.process.line("was removed").await;
    assert_eq!(relay.process.ended(PATIENCE).await, Some(5));
    let mut relay = Relay::start(watched.command()).await;
    relay
        .process
        .line("events are answered 503: not configured")
        .await;
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn a_change_to_a_port_that_is_taken_ends_no_relay() {
    let watched = Watched::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut command = watched.home.command(&["--bind", "127.0.0.1"]);
    command.arg("--data-dir").arg(watched.home.data());
    command.env("CONFIG_DIR", &watched.dir);
    let ports = "WEBHOOK_PORT=0\nOPS_BIND=127.0.0.1:0\n";
    watched.write(".env", &format!("WEBHOOK_SECRET={SECRET}\n{ports}"));
    let mut relay = Relay::ready(command).await;
    let ports = format!("WEBHOOK_PORT={port}\nOPS_BIND=127.0.0.1:0\n");
    watched.write(".env", &format!("WEBHOOK_SECRET={SECRET}\n{ports}"));
    let line = relay.process.line("cannot listen on").await;
    assert!(line.contains(&format!("127.0.0.1:{port}")), "{line}");
    let same = format!("WEBHOOK_PORT={port}\nOPS_BIND=127.0.0.1:{port}\n");
    watched.write(".env", &format!("WEBHOOK_SECRET={SECRET}\n{same}"));
    relay.process.line("is the webhook port").await;
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn an_asset_map_that_changes_is_loaded_again_without_an_end() {
    let watched = Watched::new();
    let mut relay = Relay::ready(watched.command()).await;
    relay.process.line("asset map: 1 rows from").await;
    watched.write("assets.csv", "action_name,asset_id\nmotor,PUMP-2\nx,Y\n");
    relay.process.line("asset map: 2 rows from").await;
    watched.write("assets.csv", "action_name,asset_id\n,Y\n");
    relay
        .process
        .line("asset map: the old one stays in use")
        .await;
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn a_certificate_that_is_none_ends_no_relay_and_another_address_of_its_port_may_follow() {
    let watched = Watched::new();
    let mut command = watched.home.command(&["--data-dir"]);
    command.arg(watched.home.data());
    command.env("CONFIG_DIR", &watched.dir);
    let port = free_port();
    let settings = |bind: &str, more: &str| {
        format!(
            "WEBHOOK_SECRET={SECRET}\nWEBHOOK_PORT={port}\nOPS_BIND=127.0.0.1:0\nBIND={bind}\n{more}"
        )
    };
    watched.write(".env", &settings("127.0.0.1", ""));
    let mut relay = Relay::ready(command).await;
    let pem = watched.home.write(
        "ca.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let more = format!(
        "INTEGRATION_URL=https://127.0.0.1:9/\nINTEGRATION_CA={}\n",
        pem.display()
    );
    watched.write(".env", &settings("127.0.0.1", &more));
    relay.process.line("the relay goes on as it was").await;
    watched.write(".env", &settings("127.0.0.2", ""));
    assert_eq!(relay.process.ended(PATIENCE).await, Some(5));
}

#[tokio::test]
async fn a_start_with_a_wrong_configuration_waits_for_a_right_one_and_takes_nothing() {
    let watched = Watched::new();
    watched.write(".env", &format!("WEBHOOK_SECRET={SECRET}\nMAX_AGE=soon\n"));
    // It does not say where it listens: nothing is served there yet.
    let (webhook, ops) = (free_port(), free_port());
    let ops_at = format!("127.0.0.1:{ops}");
    let mut command = watched.home.command(&["--bind", "127.0.0.1"]);
    command.args([
        "--webhook-port",
        &webhook.to_string(),
        "--ops-bind",
        &ops_at,
    ]);
    command.arg("--data-dir").arg(watched.home.data());
    command.env("CONFIG_DIR", &watched.dir);
    let mut relay = Process::start(command);
    relay.line("ERROR config: MAX_AGE in ").await;
    relay
        .line("events are answered 503 until it is set right")
        .await;
    let web = Web::new();
    let url = format!("http://127.0.0.1:{webhook}/");
    // It listens once it has said so.
    let posting = async {
        loop {
            if let Ok(answer) = web.post(&url, &[], "{}").await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let event = tokio::time::timeout(PATIENCE, posting).await.unwrap();
    assert_eq!(event.status, 503);
    let mut health = watched.home.command(&["health"]);
    health.args(["--ops-bind", &ops_at]);
    let health = end(health).await;
    assert_eq!(health.code, Some(1));
    assert!(
        health.out.contains("configuration: wrong: MAX_AGE in "),
        "{health:?}"
    );
    assert!(!watched.home.data().exists(), "nothing was touched");
    watched.write(".env", &format!("WEBHOOK_SECRET={SECRET}\n"));
    assert_eq!(relay.ended(PATIENCE).await, Some(5));
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
