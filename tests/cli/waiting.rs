//! Not configured, or not there yet: it stays up, answers 503 with the reason, and goes on by
//! itself when the cause is gone.

use crate::process::load::event;
use crate::process::{Home, Relay, SECRET};
use orbit_relay::sim::random::Random;

fn an_event() -> Vec<u8> {
    event(&mut Random::new(1), "uuid-1", 0)
}

async fn refuses_events(relay: &Relay) {
    let answer = relay.post(&an_event()).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds: u32 = answer.headers["retry-after"].parse().unwrap();
    assert!((1..=60).contains(&seconds));
}

#[tokio::test]
async fn nothing_configured_stays_up_and_names_what_is_missing() {
    let home = Home::new();
    let mut relay = Relay::start(home.relay()).await;
    let missing = "set ORBIT_HOSTNAME and ORBIT_API_TOKEN, or WEBHOOK_SECRET";
    relay.process.line(missing).await;
    let ready = relay.until_ready(503).await;
    let reason = ready["listener"]["reason"].as_str().unwrap();
    assert!(reason.contains(missing), "{ready}");
    refuses_events(&relay).await;
    assert_eq!(relay.get_ops("/healthz").await.status, 200);
    assert!(relay.process.is_alive());
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn the_placeholders_of_the_official_example_are_each_named() {
    let home = Home::new();
    home.write(
        ".env",
        "SECRET=YOUR_SECRET\nAPI_TOKEN=YOUR_API_TOKEN\nBACKEND_URL=YOUR_BACKEND_URL\n",
    );
    let mut relay = Relay::start(home.relay()).await;
    let line = relay
        .process
        .line("events are answered 503: not configured")
        .await;
    let ready = relay.until_ready(503).await;
    let reason = ready["listener"]["reason"].as_str().unwrap();
    for (variable, placeholder) in [
        ("SECRET in .env, line 1", "YOUR_SECRET"),
        ("API_TOKEN in .env, line 2", "YOUR_API_TOKEN"),
        ("BACKEND_URL in .env, line 3", "YOUR_BACKEND_URL"),
    ] {
        let named = format!("{variable} still holds the placeholder {placeholder}");
        assert!(
            line.contains(&named) && reason.contains(&named),
            "{line}\n{ready}"
        );
    }
    refuses_events(&relay).await;
}

#[tokio::test]
async fn a_secret_without_a_token_runs_and_says_so() {
    let home = Home::new();
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let mut relay = Relay::start(command).await;
    relay
        .process
        .line("a webhook that was made by hand is used")
        .await;
    relay
        .process
        .line("no INTEGRATION_URL and no [[destination]]: events are kept")
        .await;
    let ready = relay.until_ready(200).await;
    assert_eq!(ready["orbit"]["status"], "by_hand", "{ready}");
    assert_eq!(relay.post(&an_event()).await.status, 200);
    relay.process.line("kept, not forwarded").await;
}

#[tokio::test]
async fn a_second_relay_on_a_data_directory_waits_and_takes_over() {
    let home = Home::new();
    let start = || {
        let mut command = home.relay();
        command.env("WEBHOOK_SECRET", SECRET);
        command
    };
    let mut first = Relay::ready(start()).await;
    let mut second = Relay::start(start()).await;
    second
        .process
        .line("another orbit-relay uses the data directory")
        .await;
    let ready = second.until_ready(503).await;
    let reason = ready["journal"]["reason"].as_str().unwrap();
    assert!(reason.contains("another orbit-relay uses"), "{ready}");
    refuses_events(&second).await;
    assert_eq!(first.post(&an_event()).await.status, 200);

    assert_eq!(first.stop().await, Some(0));
    second.until_ready(200).await;
    let answer = second.post(&an_event()).await;
    assert!(answer.body.contains("duplicate"), "{answer:?}");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_made_is_named_and_tried_again() {
    let home = Home::new();
    let file = home.write("occupied", "");
    let home = Home::with_data(&file.join("data"));
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let mut relay = Relay::start(command).await;
    let line = relay.process.line("cannot be written by uid").await;
    assert!(line.contains(home.data().to_str().unwrap()), "{line}");
    refuses_events(&relay).await;
    std::fs::remove_file(&file).unwrap();
    relay.until_ready(200).await;
    assert_eq!(relay.post(&an_event()).await.status, 200);
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn log_format_json_gives_one_object_a_line() {
    let home = Home::new();
    let mut command = home.relay();
    command
        .args(["--log-format", "json"])
        .env("WEBHOOK_SECRET", SECRET);
    let mut relay = Relay::ready(command).await;
    assert_eq!(relay.post(&an_event()).await.status, 200);
    assert_eq!(relay.stop().await, Some(0));
    let text = relay.process.text();
    assert!(text.lines().count() > 5);
    for line in text.lines() {
        let object: serde_json::Value = serde_json::from_str(line).unwrap();
        for member in ["timestamp", "level", "message"] {
            assert!(object[member].is_string(), "{member}: {line}");
        }
    }
}
