//! The configuration file, and `config check`.

use serde_json::Value;

use crate::process::{Home, Relay, SECRET, end};

const FILE: &str = r#"
webhook_port = 21601
webhook_host = "localhost"
max_age = "7m"
webhook_secret = { env = "HOOK_SECRET" }

[[destination]]
name = "cmms"
url = "https://me:canary@cmms.example/api?key=canary"
retry = { give_up_after = "never" }
"#;

#[tokio::test]
async fn config_check_shows_every_value_and_where_it_came_from_and_starts_nothing() {
    let home = Home::new();
    home.write("relay.toml", FILE);
    home.write(".env", format!("HOOK_SECRET={SECRET}\nLOG_LEVEL=debug\n"));
    let mut command = home.command(&["config", "check", "--max-age", "9m"]);
    command.env("RELAY_CONFIG", "relay.toml");
    command.env("FORWARD_TEST", "true");
    let ended = end(command).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
    for line in [
        "config = relay.toml (from RELAY_CONFIG)",
        "webhook-port = 21601 (from relay.toml:2)",
        "max-age = 9m (from --max-age)",
        "forward-test = true (from FORWARD_TEST)",
        "log-level = debug (from LOG_LEVEL in .env, line 2)",
        "bind = 0.0.0.0 (from default)",
        "asset-map = (not set) (from default)",
        "webhook-secret = *** (from $HOOK_SECRET, relay.toml:5)",
        "destination cmms",
        "  url = https://cmms.example/api?*** (from relay.toml:9)",
        "  auth.password = *** (from relay.toml:9)",
        "  retry.give_up_after = never (from relay.toml:10)",
        "  retry.then_every = 30m (from default)",
    ] {
        assert!(
            ended.out.lines().any(|shown| shown == line),
            "{line}\n{}",
            ended.out
        );
    }
    assert!(!ended.out.contains("canary") && !ended.out.contains(SECRET));
    assert!(!home.path().join("data").exists(), "nothing was started");
}

#[tokio::test]
async fn config_check_speaks_json() {
    let home = Home::new();
    home.write("relay.toml", FILE);
    let mut command = home.command(&["config", "check", "--json", "--config", "relay.toml"]);
    command.env("HOOK_SECRET", SECRET);
    let ended = end(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let shown: Value = serde_json::from_str(&ended.out).unwrap();
    let settings = shown["settings"].as_array().unwrap();
    let port = settings.iter().find(|s| s["name"] == "webhook-port");
    assert_eq!(port.unwrap()["from"], "relay.toml:2");
    assert_eq!(shown["destinations"][0]["name"], "cmms");
    assert_eq!(shown["warnings"], serde_json::json!([]));
    assert!(!ended.out.contains("canary"));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_exit_2_with_one_line_for_each_problem() {
    let home = Home::new();
    let text = "hostnme = \"x\"\n[[destination]]\nname = \"cmms\"\nretrry = {}\n\
                auth = { type = \"bearer\", token = { env = \"CMMS_TOKEN\" } }\n";
    home.write("relay.toml", text);
    for arguments in [
        &["--config", "relay.toml"][..],
        &["run", "--config", "relay.toml"],
        &["config", "check", "--config", "relay.toml"],
        &["config", "check", "--json", "--config", "relay.toml"],
    ] {
        let ended = end(home.command(arguments)).await;
        assert_eq!((ended.code, &*ended.out), (Some(2), ""), "{ended:?}");
        insta::assert_snapshot!("a_file_that_cannot_be_used", ended.err);
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_exit_2_and_named() {
    let home = Home::new();
    let ended = end(home.command(&["--config", "no.toml"])).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let start = "error: --config: no.toml cannot be read: ";
    assert!(ended.err.starts_with(start), "{ended:?}");
}

#[tokio::test]
async fn the_relay_runs_with_a_file_and_commands_find_its_journal_by_it() {
    let home = Home::new();
    let data = home.path().join("elsewhere");
    home.write(
        "relay.toml",
        format!(
            "data_dir = {data:?}\nwebhook_secret = \"{SECRET}\"\nbind = \"127.0.0.1\"\n\
             webhook_port = 0\nops_bind = \"127.0.0.1:0\"\n\n[[destination]]\nname = \"cmms\"\n\
             url = \"http://127.0.0.1:1/\"\n"
        ),
    );
    let mut relay = Relay::ready(home.command(&["--config", "relay.toml"])).await;
    relay
        .process
        .line("setting webhook-secret = *** (from relay.toml:2)")
        .await;
    assert_eq!(relay.stop().await, Some(0));
    let ended = end(home.command(&["status", "--config", "relay.toml"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("cmms"), "{ended:?}");
}

/// The example with every line that is commented out taken in, as `config check` sees it.
#[tokio::test]
async fn each_line_of_the_example_that_is_commented_out_can_be_used() {
    let home = Home::new();
    let made = rcgen::generate_simple_self_signed(["relay".to_owned()]).unwrap();
    for name in ["plant-ca.pem", "relay.pem", "orbit-client.pem"] {
        home.write(name, made.cert.pem());
    }
    for name in ["relay.key", "orbit-client.key"] {
        home.write(name, made.signing_key.serialize_pem());
    }
    home.write("webhook-secret", SECRET);
    home.write("archive-password", "x");
    home.write("work-orders-auth", "X-Relay-Key: x");
    home.write("assets.csv", include_str!("../../examples/assets.csv"));
    let example = include_str!("../../examples/relay.toml");
    let lines = example.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    home.write("relay.toml", text.replace("/config/", ""));
    let mut command = home.command(&["config", "check", "--config", "relay.toml"]);
    let names = example.split("env = \"").skip(1);
    for (name, _) in names.filter_map(|rest| rest.split_once('"')) {
        let value = match name {
            "TEAMS_URL" => "https://teams.example/hook",
            "INTEGRATION_LOGIN" => "Bearer x",
            name if name.contains("SIGNING") || name.contains("CLOSED") => {
                "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"
            }
            _ => "a-secret-of-the-plant",
        };
        command.env(name, value);
    }
    let ended = end(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let warnings: Vec<_> = ended.err.lines().collect();
    let known = warnings
        .iter()
        .all(|line| line.contains("inspection.severity") || line.contains("the source bench"));
    assert!(known, "{ended:?}");
    for line in [
        "source bench",
        "destination integration",
        "  auth.user = relay (from relay.toml:",
        "  url = https://teams.example/*** (from $TEAMS_URL, relay.toml:",
        "  tls.client_key_file = relay.key (from relay.toml:",
    ] {
        assert!(ended.out.contains(line), "{line}\n{}", ended.out);
    }
}
