//! Presets, what a destination would get, and what is kept of what it got.

use orbit_relay::sim::backend::Answer;
use serde_json::{Value, json};

use crate::process::{Home, Relay, SECRET, end, plant};

const ALERT: &[u8] = include_bytes!("../fixtures/visual-alert.json");
const ASSETS: &str = "action_name,asset_id\nDoor 7*,DOOR-07\n";
const MAXIMO: &str = r#"
hostname = "orbit.plant.example"
[[destination]]
name = "maximo"
preset = "maximo-service-request"
url = "https://maximo.plant.example"
auth = { type = "header", name = "apikey", value = { env = "MAXIMO_API_KEY" } }
settings = { site_id = "BEDFORD" }
"#;

/// `template test` with this file and map.
fn tests(home: &Home, arguments: &[&str]) -> std::process::Command {
    home.write("alert.json", ALERT);
    home.write("relay.toml", MAXIMO);
    home.write("assets.csv", ASSETS);
    let mut command = home.command(&["template", "test", "--destination", "maximo"]);
    command.args(["--config", "relay.toml", "--asset-map", "assets.csv"]);
    command.args(arguments).env("MAXIMO_API_KEY", "canary");
    command
}

#[tokio::test]
async fn every_preset_is_listed_with_what_it_makes_and_can_be_printed() {
    let home = Home::new();
    let listed = end(home.command(&["presets", "list"])).await;
    assert_eq!((listed.code, &*listed.err), (Some(0), ""), "{listed:?}");
    insta::assert_snapshot!(listed.out);
    for line in listed.out.lines() {
        let (name, _) = line.split_once(' ').unwrap();
        let shown = end(home.command(&["presets", "show", name])).await;
        assert_eq!((shown.code, &*shown.err), (Some(0), ""), "{shown:?}");
        assert!(shown.out.contains("[destination"), "{shown:?}");
    }
    let other = end(home.command(&["presets", "show", "maximo"])).await;
    assert_eq!(other.code, Some(2));
    assert!(other.err.contains("presets list"), "{other:?}");
}

#[tokio::test]
async fn template_test_shows_the_requests_without_secrets_and_sends_none() {
    let home = Home::new();
    let tested = end(tests(&home, &["--event", "alert.json"])).await;
    assert_eq!((tested.code, &*tested.err), (Some(0), ""), "{tested:?}");
    assert!(!tested.out.contains("canary"), "{tested:?}");
    insta::assert_snapshot!(tested.out);
    assert!(!home.data().exists(), "looking makes nothing");

    let json = end(tests(&home, &["--event", "alert.json", "--json"])).await;
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        (&json["asset"], &json["verdict"]),
        (&json!("DOOR-07"), &json!("sent"))
    );
    assert_eq!(json["requests"][0]["method"], "GET");
}

#[tokio::test]
async fn template_test_says_what_is_skipped_and_what_would_wait_for_an_asset() {
    let home = Home::new();
    let text = String::from_utf8(ALERT.to_vec()).unwrap();
    home.write("other.json", text.replace("Door 7", "Gate 9"));
    let completed = text.replace("_WITH_ALERT", "");
    home.write("completed.json", completed);
    let parked = end(tests(&home, &["--event", "other.json"])).await.out;
    assert!(parked.contains("asset: none is known"), "{parked}");
    assert!(parked.contains("it would be parked"), "{parked}");
    let skipped = end(tests(&home, &["--event", "completed.json"])).await.out;
    assert!(
        skipped.contains("ACTION_COMPLETED is not among the event types"),
        "{skipped}"
    );
    for (event, said) in [
        ("nothing.json", "there is no file nothing.json"),
        (".", "directory"),
    ] {
        let wrong = end(tests(&home, &["--event", event])).await;
        assert_eq!((wrong.code, &*wrong.out), (Some(2), ""), "{wrong:?}");
        assert!(wrong.err.contains(said), "{wrong:?}");
    }
    home.write("no.json", "[]");
    let wrong = end(tests(&home, &["--event", "no.json"])).await;
    assert_eq!((wrong.code, &*wrong.out), (Some(1), ""), "{wrong:?}");
    let mut command = home.command(&["template", "test", "--destination", "cmms"]);
    command.args(["--event", "alert.json", "--config", "relay.toml"]);
    command.env("MAXIMO_API_KEY", "canary");
    let wrong = end(command).await;
    assert_eq!(wrong.code, Some(2), "{wrong:?}");
    assert!(wrong.err.contains("configured: maximo"), "{wrong:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_says_which_row_what_is_done_and_what_is_frozen() {
    let (home, plant) = (Home::new(), plant().await);
    let answer = r#"{"id":4711,"token":"canary-of-a-login"}"#.to_owned();
    plant.world().set_answer(Answer::Body(200, answer));
    home.write("assets.csv", ASSETS);
    let file = format!(
        r#"
asset_map = "assets.csv"
[[destination]]
name = "cmms"
url = "{}"
secrets = {{ password = {{ env = "PASSWORD" }} }}
[[destination.step]]
name = "login"
fresh = true
body = {{ password = "{{{{ secrets.password }}}}" }}
take = {{ token = "json:/token" }}
[[destination.step]]
name = "create"
headers = {{ X-Token = "{{{{ steps.login.token }}}}" }}
body = {{ asset = "{{{{ asset.id }}}}", title = "{{{{ inspection.action }}}}" }}
take = {{ id = "json:/id" }}
[[destination.step]]
name = "note"
path = "/{{{{ steps.create.id }}}}/notes"
text = "{{{{ short_key }}}}"
"#,
        plant.url()
    );
    home.write("relay.toml", file);
    let mut command = home.relay();
    command.args(["--config", "relay.toml"]);
    command.env("WEBHOOK_SECRET", SECRET);
    command.env("PASSWORD", "canary");
    let mut relay = Relay::ready(command).await;
    assert_eq!(relay.post(ALERT).await.status, 200);
    relay.process.line(" delivered seq=").await;

    let ask = async |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.arg("--data-dir").arg(home.data());
        command
            .args(["--config", "relay.toml"])
            .env("PASSWORD", "canary");
        let ended = end(command).await;
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
        assert!(!ended.out.contains("canary"), "{ended:?}");
        ended.out
    };
    let explained = ask(&["deliveries", "explain", "cmms:1"]).await;
    for part in [
        "cmms:1: delivered",
        "asset: \"DOOR-07\", found in the asset map by action_name (line 2: action_name \"Door 7*\"; map ",
        "template: version ",
        "done: create, which gave {\"id\":4711}",
        "done: note",
        "frozen: create, to the destination's URL",
        "{\"asset\":\"DOOR-07\",\"title\":\"Door 7 closed?\"}",
        "frozen: note, to /4711/notes",
    ] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    assert!(!explained.contains("login"), "{explained}");
    let json = ask(&["deliveries", "show", "cmms:1", "--json"]).await;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["progress"]["done"]["create"]["id"], 4711);
    assert_eq!(json["requests"]["note"]["url"], "/4711/notes");
    assert_eq!(
        (&json["body"], json["template"].is_string()),
        (&Value::Null, true)
    );

    // An event of the journal is tried like a file.
    let tested = ask(&["template", "test", "--destination", "cmms", "--event", "1"]).await;
    assert!(
        tested.contains("x-token: steps.login.token") || tested.contains("x-token: ***"),
        "{tested}"
    );
    assert!(tested.contains("/steps.create.id/notes"), "{tested}");

    // Another map says nothing of the row.
    home.write("assets.csv", "action_name,asset_id\nx,Y\n");
    let explained = ask(&["deliveries", "explain", "cmms:1"]).await;
    assert!(
        explained.contains("(line 2 of map ")
            && explained.contains(", which is not the one of now)"),
        "{explained}"
    );
    assert_eq!(relay.stop().await, Some(0));
}
