//! `verify`: captured requests, as they are in files.

use orbit_relay::clock::Clock;
use orbit_relay::relay::verify::Scheme;
use orbit_relay::relay::verify::scheme::Draft;
use orbit_relay::secret::Secret;

use crate::process::{Ended, Home, SECRET, end, sign};

const CANARY: &str = "canary-secret-52ab";
const FILE: &str = r#"
[[source]]
name = "pay"
scheme = "stripe"
secret = [{ env = "NEXT" }, { env = "CANARY" }]
events = ["charge.*"]

[[source]]
name = "git"
scheme = "github"
secret = { env = "CANARY" }
"#;
const BODY: &str = r#"{"id":"evt_1","type":"charge.refunded"}"#;

async fn verify(home: &Home, source: &str, more: &[&str]) -> Ended {
    home.write("relay.toml", FILE);
    let mut command = home.command(&["verify", "--source", source]);
    command.args(["--headers", "headers.txt", "--body", "body.json"]);
    command.args(["--config", "relay.toml"]).args(more);
    command.arg("--data-dir").arg(home.data());
    command.env("CANARY", CANARY).env("NEXT", "canary-next");
    command.env("WEBHOOK_SECRET", SECRET);
    let ended = end(command).await;
    assert!(!ended.out.contains("canary"), "{ended:?}");
    assert!(!ended.out.contains(SECRET), "{ended:?}");
    ended
}

/// Writes the headers as `curl -v` does.
fn capture(home: &Home, headers: &[(String, String)], body: &str) {
    let lines = headers.iter();
    let lines: Vec<_> = lines
        .map(|(name, value)| format!("> {name}: {value}\r\n"))
        .collect();
    let lines = lines.concat();
    let text = format!("* Connected\n> POST /hooks/pay HTTP/1.1\r\n{lines}> \r\n");
    home.write("headers.txt", text);
    home.write("body.json", body);
}

fn stripe(at: &str) -> Vec<(String, String)> {
    let draft = Draft {
        id: "evt_1",
        event_type: "charge.refunded",
        at: at.parse().unwrap(),
        body: BODY.as_bytes(),
    };
    let secret = Secret::new(CANARY.to_owned());
    Scheme::Stripe.sign(&secret, &draft).unwrap()
}

#[tokio::test]
async fn a_captured_request_is_judged_as_of_a_time_and_its_mistakes_are_named() {
    let home = Home::new();
    capture(&home, &stripe("2026-02-03T09:14:07Z"), BODY);
    let then = ["--at", "2026-02-03T09:15:00Z"];
    let good = verify(&home, "pay", &then).await;
    assert_eq!((good.code, &*good.err), (Some(0), ""), "{good:?}");
    insta::assert_snapshot!(good.out, @r#"
    Stripe-Signature: there
    code: it matches, with secret 2 of 2
    time: it was signed 53 s before, at 2026-02-03T09:14:07Z: within 5 min
    type: "charge.refunded"
    known by: "id:evt_1"
    events: it is taken
    it verifies
    "#);
    let now = verify(&home, "pay", &[]).await;
    assert_eq!(now.code, Some(4), "{now:?}");
    let until = "the relay would have taken it until 2026-02-03T09:19:07Z";
    assert!(now.out.contains(until), "{now:?}");

    home.write("body.json", format!("{BODY}\n"));
    let newline = verify(&home, "pay", &then).await;
    assert_eq!(newline.code, Some(4), "{newline:?}");
    assert!(newline.out.contains("newline at its end"), "{newline:?}");

    home.write("body.json", BODY);
    let other = verify(&home, "git", &then).await;
    assert_eq!(other.code, Some(4), "{other:?}");
    for part in [
        "X-Hub-Signature-256: missing",
        "it verifies as the source `pay`",
    ] {
        assert!(other.out.contains(part), "{part}: {other:?}");
    }
}

#[tokio::test]
async fn a_request_of_orbit_is_judged_too() {
    let home = Home::new();
    let body = r#"{"type":"TEST","uuid":"u-1"}"#;
    let signature = sign(SECRET, body.as_bytes());
    let headers = [("orbit-signature".to_owned(), signature)];
    capture(&home, &headers, body);
    let at = Clock::system().wall().to_string();
    let good = verify(&home, "orbit", &["--at", &at]).await;
    assert_eq!((good.code, &*good.err), (Some(0), ""), "{good:?}");
    for part in [
        "Orbit-Signature: there",
        "with the webhook secret that is given",
        "type: \"TEST\"",
    ] {
        assert!(good.out.contains(part), "{part}: {good:?}");
    }
    home.write("body.json", r#"{"type":"TEST","uuid":"u-2"}"#);
    let wrong = verify(&home, "orbit", &["--at", &at]).await;
    assert_eq!(wrong.code, Some(4), "{wrong:?}");
    assert!(
        wrong.out.contains("none of the usual mistakes"),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn files_that_cannot_be_used_are_exit_2_with_the_line() {
    let home = Home::new();
    let none = verify(&home, "pay", &[]).await;
    assert_eq!(none.code, Some(2), "{none:?}");
    assert!(none.err.contains("headers.txt"), "{none:?}");
    home.write("headers.txt", "Host: a\nrubbish\n");
    home.write("body.json", BODY);
    let rubbish = verify(&home, "pay", &[]).await;
    assert_eq!(rubbish.code, Some(2), "{rubbish:?}");
    assert!(rubbish.err.contains("headers.txt: line 2: "), "{rubbish:?}");
    let unknown = verify(&home, "payy", &[]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.err.contains("is it `pay`?"), "{unknown:?}");
}
