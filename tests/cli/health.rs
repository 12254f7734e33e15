//! `health`, against running relays and against none.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;

use crate::process::{Ended, Home, Relay, SECRET, end};

async fn ask(home: &Home, at: &str, arguments: &[&str]) -> Ended {
    let mut command = home.command(&["health"]);
    command.args(arguments).env("OPS_BIND", at);
    end(command).await
}

#[tokio::test]
async fn health_of_a_relay_that_is_not_configured_says_what_is_missing_and_where_to_set_it() {
    let home = Home::new();
    let dir = home.path().join("config");
    let mut command = home.relay();
    command.env("CONFIG_DIR", &dir);
    let mut relay = Relay::start(command).await;
    let line = relay.process.line("events are answered 503").await;
    relay.until_ready(503).await;
    let ended = ask(&home, &relay.ops.to_string(), &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let mut lines = ended.out.lines();
    assert_eq!(lines.next(), Some("not_ready"));
    let listener = lines.find(|line| line.starts_with("listener: ")).unwrap();
    for said in [&*line, listener] {
        for part in [
            "ORBIT_HOSTNAME and ORBIT_API_TOKEN, or WEBHOOK_SECRET",
            "docker-compose.yml",
            &format!(
                "{}/.env, whose change starts the relay again",
                dir.display()
            ),
            &format!("{}/.env", home.data().display()),
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_eq!(relay.stop().await, Some(0));
}

#[tokio::test]
async fn health_is_0_while_events_can_be_accepted_and_needs_no_other_setting_to_be_right() {
    let home = Home::new();
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let relay = Relay::ready(command).await;
    home.write(".env", "WEBHOOK_SECRET='open\n");
    let at = relay.ops.to_string();
    let ended = ask(&home, &at, &["--config", "nowhere.toml"]).await;
    assert_eq!((ended.code, &*ended.out), (Some(0), "ready\n"), "{ended:?}");
    let mut command = home.command(&["health"]);
    let secret = std::ffi::OsStr::from_bytes(b"\xff");
    command.env("OPS_BIND", &at).env("WEBHOOK_SECRET", secret);
    assert_eq!(end(command).await.code, Some(0));
    let ended = ask(&home, &at, &["--json"]).await;
    let health: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(
        (ended.code, &health["journal"]["well"]),
        (Some(0), &true.into())
    );
}

#[tokio::test]
async fn health_finds_where_to_ask_in_config_dir() {
    let home = Home::new();
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    let relay = Relay::ready(command).await;
    home.write(
        "relay.toml",
        format!("ops_bind = \"0.0.0.0:{}\"\n", relay.ops.port()),
    );
    let mut command = home.command(&["health"]);
    command.env("CONFIG_DIR", home.path());
    let ended = end(command).await;
    assert_eq!((ended.code, &*ended.out), (Some(0), "ready\n"), "{ended:?}");
}

#[tokio::test]
async fn no_answer_and_the_answer_of_something_else_are_1_with_a_sentence() {
    let home = Home::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let other = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 1024];
        let _read = stream.read(&mut request).unwrap();
        let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let ended = ask(&home, &at, &[]).await;
    other.join().unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = format!("error: what answers at http://{at}/readyz is no orbit-relay");
    assert!(ended.err.starts_with(&said), "{ended:?}");
    // The listener is gone.
    let ended = ask(&home, &at, &[]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = format!("error: the relay does not answer at http://{at}/readyz: ");
    assert!(ended.err.starts_with(&said), "{ended:?}");
}
