//! `sources list`.

use serde_json::{Value, json};

use crate::process::{Home, end};

const FILE: &str = r#"
trusted_proxies = ["10.0.0.1"]

[[source]]
name = "shop"
scheme = "stripe"
secret = { env = "SHOP_SECRET" }
events = ["invoice.*"]
when = "event.livemode"
allow = ["10.0.0.0/24", "192.168.1.1"]
rate_limit = { per_minute = 60, burst = 10 }

[[source]]
name = "doors"
path = "/doors"
scheme = "none"
insecure = true

[[source]]
name = "lims"
scheme = "hmac"
secret = { env = "SHOP_SECRET" }
header = "X-Sign"
signed = "{header:X-Order}"
body_unsigned = "accept"

[[destination]]
name = "chat"
url = "http://127.0.0.1:1/"
sources = ["shop", "relay"]
events = ["invoice.*", "delivery.dead"]
answer_as = "event"
"#;

#[tokio::test]
async fn sources_list_says_who_sends_where_and_what_is_taken_and_no_secret() {
    let home = Home::new();
    home.write("relay.toml", FILE);
    let list = async |arguments: &[&str]| {
        let mut command = home.command(&["sources", "list", "--config", "relay.toml"]);
        command.args(arguments).env("SHOP_SECRET", "canary");
        let ended = end(command).await;
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
        assert!(!ended.out.contains("canary"), "{ended:?}");
        ended.out
    };
    insta::assert_snapshot!(list(&[]).await);
    let lines = list(&["--json"]).await;
    let all: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = all.iter().map(|source| source["name"].clone()).collect();
    assert_eq!(names, ["orbit", "shop", "doors", "lims", "relay"]);
    assert_eq!(
        all[1],
        json!({
            "name": "shop",
            "paths": ["/hooks/shop"],
            "scheme": "stripe",
            "events": ["invoice.*"],
            "when": "event.livemode",
            "allow": ["10.0.0.0/24", "192.168.1.1/32"],
            "rate_limit": {"per_minute": 60, "burst": 10},
            "max_age": "5m",
            "body_unsigned": false,
            "insecure": false,
        })
    );
    let told = |name: &str| {
        let told = |key| all.iter().find(|one| one["name"] == name).unwrap()[key].clone();
        ["max_age", "body_unsigned", "insecure"].map(told)
    };
    assert_eq!(told("orbit"), [json!("5m"), json!(false), json!(false)]);
    assert_eq!(told("lims"), [Value::Null, json!(true), json!(false)]);
    assert_eq!(told("doors"), [Value::Null, json!(false), json!(true)]);
    assert_eq!(told("relay"), [Value::Null, json!(false), json!(false)]);
    assert!(!home.path().join("data").exists(), "nothing was started");
}

#[tokio::test]
async fn sources_list_without_a_configuration_file_says_that_none_was_read() {
    let ended = end(Home::new().command(&["sources", "list"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let said = "no configuration file was read (--config FILE)";
    assert!(ended.out.contains(said), "{ended:?}");
}

#[tokio::test]
async fn config_check_shows_sources_and_warns_of_one_that_believes_everybody() {
    let home = Home::new();
    home.write("relay.toml", FILE);
    let mut command = home.command(&["config", "check", "--config", "relay.toml"]);
    command.env("SHOP_SECRET", "canary");
    let ended = end(command).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.out.contains("canary"), "{ended:?}");
    for line in [
        "trusted-proxies = 10.0.0.1 (from relay.toml:2)",
        "source shop",
        "  secret = *** (from $SHOP_SECRET, relay.toml:7)",
        "  allow = 10.0.0.0/24, 192.168.1.1 (from relay.toml:10)",
        "  path = /hooks/shop (from default)",
        "destination chat",
        "  sources = shop, relay (from relay.toml:30)",
    ] {
        assert!(
            ended.out.lines().any(|shown| shown == line),
            "{line}\n{}",
            ended.out
        );
    }
    let warning = "warning: relay.toml:16: nothing that comes to the source doors is signed";
    assert!(ended.err.contains(warning), "{ended:?}");
    let mut command = home.command(&["config", "check", "--json", "--config", "relay.toml"]);
    command.env("SHOP_SECRET", "canary");
    let shown: Value = serde_json::from_str(&end(command).await.out).unwrap();
    assert_eq!(shown["sources"][1]["name"], "doors");
}
