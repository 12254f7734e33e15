//! What cannot be used is said on standard error, by name and without a secret.

use std::net::TcpListener;

use crate::process::{Ended, Home, SECRET, end};

/// Exit code 2, one line of complaint, nothing else.
fn is_refused(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.out, "", "{ended:?}");
    let complaint = ended.err.trim_end();
    assert!(complaint.starts_with("error: "), "{complaint}");
    assert!(!complaint.contains("canary"), "{complaint}");
    complaint
}

#[tokio::test]
async fn a_flag_that_is_not_known_is_exit_2() {
    for flag in ["--nonsense", "--integration-auth=canary", "--api-token=x"] {
        let home = Home::new();
        let ended = end(home.command(&[flag])).await;
        let (name, _) = flag.split_once('=').unwrap_or((flag, ""));
        assert!(is_refused(&ended).contains(name), "{ended:?}");
    }
    let home = Home::new();
    let ended = end(home.command(&["statsu"])).await;
    assert!(is_refused(&ended).contains("status"), "{ended:?}");
}

#[tokio::test]
async fn help_and_version_are_exit_0() {
    for arguments in [&["--help"][..], &["--version"], &["simulate", "--help"]] {
        let home = Home::new();
        let ended = end(home.command(arguments)).await;
        assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
        assert!(!ended.out.is_empty());
    }
}

#[tokio::test]
async fn schema_event_prints_a_json_schema() {
    let home = Home::new();
    let ended = end(home.command(&["schema", "event"])).await;
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
    let schema: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    let draft = "https://json-schema.org/draft/2020-12/schema";
    assert_eq!(schema["$schema"], draft);
    assert_eq!(
        schema["properties"]["inspection"]["anyOf"][0]["$ref"],
        "#/$defs/inspection"
    );
}

#[tokio::test]
async fn a_setting_that_cannot_be_used_is_exit_2_and_named() {
    for (variable, value) in [
        ("ORBIT_HOSTNAME", "https://orbit.example"),
        ("ORBIT_VERIFY", "/no/such.pem"),
        ("ORBIT_VERIFY", "sha256:0g"),
        ("ORBIT_CERT", "/no/such.pem"),
        ("TLS_CERT", "/no/such.pem"),
        ("TLS_KEY", "/no/such.pem"),
        ("ORBIT_API_TOKEN", "canary with spaces"),
        ("API_TOKEN_FILE", "/no/such/token"),
        ("WEBHOOK_HOST", "http://relay.example"),
        ("WEBHOOK_PORT", "70000"),
        ("BIND", "everywhere"),
        ("OPS_BIND", "22101"),
        ("PAYLOAD_TYPES", ","),
        ("FORWARD_TEST", "perhaps"),
        ("WEBHOOK_ENABLED", "yes"),
        ("WEBHOOK_VALIDATE_TLS_CERT", "1"),
        ("MAX_AGE", "soon"),
        ("ASSET_MAP", "/no/such.csv"),
        ("INTEGRATION_URL", "ftp://me:canary@plant.example"),
        ("BACKEND_URL", "canary"),
        ("INTEGRATION_AUTH", "canary"),
        ("INTEGRATION_AUTH_FILE", "/no/such/auth"),
        ("INTEGRATION_CA", "/no/such.pem"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("WEBHOOK_SECRET", "canary"),
        (
            "SECRET",
            "canaryzzcanaryzzcanaryzzcanaryzzcanaryzzcanaryzzcanaryzzcanaryzz",
        ),
        ("WEBHOOK_SECRET_FILE", "/no/such/secret"),
    ] {
        let home = Home::new();
        let mut command = home.command(&[]);
        command.env(variable, value);
        let ended = end(command).await;
        let complaint = is_refused(&ended);
        let named = complaint.contains(variable)
            || (variable == "ASSET_MAP" && complaint.contains("asset map /no/such.csv"));
        assert!(named, "{variable}: {complaint}");
    }
}

#[tokio::test]
async fn a_flag_that_cannot_be_used_is_exit_2_and_named() {
    for (flag, value) in [
        ("--max-age", "soon"),
        ("--webhook-port", "x"),
        ("--bind", "x"),
    ] {
        let home = Home::new();
        let ended = end(home.command(&[flag, value])).await;
        assert!(is_refused(&ended).contains(flag), "{ended:?}");
    }
}

#[tokio::test]
async fn two_ways_to_authenticate_are_refused() {
    let home = Home::new();
    let mut command = home.relay_to("http://me:canary@127.0.0.1:1/");
    command.env("INTEGRATION_AUTH", "Bearer canary");
    let ended = end(command).await;
    assert!(is_refused(&ended).contains("INTEGRATION_AUTH"), "{ended:?}");
}

#[tokio::test]
async fn a_port_that_is_taken_is_exit_1_and_said_in_a_sentence() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let home = Home::new();
    let port = address.port().to_string();
    let mut webhook = home.command(&["--bind", "127.0.0.1", "--webhook-port", &port]);
    webhook.args(["--ops-bind", "127.0.0.1:0"]);
    let mut ops = home.command(&["--bind", "127.0.0.1", "--webhook-port", "0"]);
    ops.args(["--ops-bind", &address.to_string()]);
    for (mut command, flags) in [(webhook, "(--bind, --webhook-port)"), (ops, "(--ops-bind)")] {
        command.env("WEBHOOK_SECRET", SECRET);
        let ended = end(command).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let sentence = format!("error: cannot listen on {address} {flags}: ");
        assert!(ended.err.starts_with(&sentence), "{ended:?}");
    }
}

#[tokio::test]
async fn a_bad_asset_map_is_exit_2_with_its_lines() {
    for (csv, lines) in [
        (&b"action_name,asset_id\nA,P-1\n,P-2\n"[..], &["line 3"][..]),
        (
            b"action_name,asset_id\nA,P-1\nA,P-2\n",
            &["line 2", "line 3"],
        ),
        (
            b"action_name,asset_id\nA,P-1\nK\xfchlung,P-2\n",
            &["line 3", "save as CSV UTF-8"],
        ),
        (b"action_name\nA\n", &["asset_id"]),
    ] {
        let home = Home::new();
        let file = home.write("assets.csv", csv);
        let mut command = home.relay();
        command.arg("--asset-map").arg(&file);
        let ended = end(command).await;
        let complaint = is_refused(&ended);
        for line in lines {
            assert!(complaint.contains(line), "{line}: {complaint}");
        }
    }
}

#[tokio::test]
async fn commands_that_read_say_where_there_is_no_journal() {
    for command in [
        &["status"][..],
        &["events", "list"],
        &["events", "show", "1"],
        &["deliveries", "replay", "--kept"],
        &["assets", "unmapped"],
    ] {
        let home = Home::new();
        let ended = home.ask(command).await;
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("holds no journal"), "{ended:?}");
        assert!(!home.data().exists(), "looking makes nothing");
    }
}
