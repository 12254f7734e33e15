//! Our webhook in Orbit, in a person's hands, beside a running relay and without one.

use std::process::Command;

use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};
use serde_json::Value;

use crate::process::{Ended, Home, Relay, end};

const TOKEN: &str = "token-of-a-person";

async fn orbit() -> Orbit {
    let config = OrbitConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        token: Secret::new(TOKEN.to_owned()),
        seed: 3,
        clock: Clock::system(),
    };
    Orbit::start(config).await.unwrap()
}

/// What the relay and its commands are told of Orbit.
fn to(orbit: &Orbit, mut command: Command) -> Command {
    command.args(["--hostname", &orbit.addr().to_string(), "--verify", "false"]);
    command.args(["--webhook-host", "127.0.0.1"]);
    command.env("ORBIT_API_TOKEN", TOKEN);
    command
}

/// `webhook …` where no relay runs: with all that the relay would need.
async fn alone(home: &Home, orbit: &Orbit, arguments: &[&str]) -> Ended {
    let mut command = home.command(arguments);
    command.arg("--data-dir").arg(home.data());
    command.args(["--webhook-port", "21655"]);
    end(to(orbit, command)).await
}

fn done(ended: &Ended) -> &str {
    assert_eq!((ended.code, &*ended.err), (Some(0), ""), "{ended:?}");
    &ended.out
}

async fn registered(orbit: &Orbit, relay: &mut Relay) -> String {
    relay.process.line("webhook: made in Orbit").await;
    orbit.world().webhooks()[0].uuid.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_running_relay_does_what_is_asked_of_its_webhook() {
    let (home, orbit) = (Home::new(), orbit().await);
    let mut relay = Relay::ready(to(&orbit, home.relay())).await;
    let uuid = registered(&orbit, &mut relay).await;
    let robots = orbit.world();

    let shown = home.ask(&["webhook", "status"]).await;
    let shown = done(&shown);
    for part in [
        "registered (manage = repair)",
        "wanted: http://127.0.0.1:",
        &format!("on record: {uuid}"),
        "secret whole",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let listed = home.ask(&["webhook", "list", "--json"]).await;
    let listed: Value = serde_json::from_str(done(&listed)).unwrap();
    assert_eq!(listed["uuid"], uuid.as_str());
    assert_eq!(
        (&listed["relation"], &listed["secret"]),
        (&"ours".into(), &"whole".into())
    );

    robots.edit_webhook(&uuid, |w| w.enabled = false);
    let json = home.ask(&["webhook", "status", "--json"]).await;
    let report: Value = serde_json::from_str(done(&json)).unwrap();
    assert_eq!(report["status"], "disabled");
    let synced = home.ask(&["webhook", "sync"]).await;
    assert_eq!(done(&synced), format!("set right {uuid}: enabled\n"));
    assert!(robots.webhooks()[0].enabled);

    let old = robots.webhooks()[0].secret.expose_hex();
    let rotated = home.ask(&["webhook", "rotate-secret"]).await;
    assert!(done(&rotated).contains("set right"), "{rotated:?}");
    let new = robots.webhooks()[0].secret.expose_hex();
    assert_ne!(old, new);
    let again = home.ask(&["webhook", "rotate-secret"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");

    let unasked = home.ask(&["webhook", "delete"]).await;
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.err.contains("--yes"), "{unasked:?}");
    assert_eq!(robots.webhooks().len(), 1);
    let deleted = home.ask(&["webhook", "delete", "--yes"]).await;
    assert!(done(&deleted).contains(&format!("deleted {uuid}")));
    assert_eq!(robots.webhooks().len(), 0);

    let status = home.status().await;
    assert!(status["orbit"]["last_reconcile_at"].is_string(), "{status}");
    assert_eq!(relay.stop().await, Some(0));
    let all = [
        shown,
        &json.out,
        &synced.out,
        &rotated.out,
        &again.err,
        &relay.process.text(),
    ]
    .join("\n");
    for secret in [&*old, &*new, TOKEN] {
        assert!(!all.contains(secret), "{all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_no_relay_runs_the_command_does_it_itself() {
    let (home, orbit) = (Home::new(), orbit().await);
    let robots = orbit.world();
    let nothing = alone(&home, &orbit, &["webhook", "status"]).await;
    assert_eq!(nothing.code, Some(1), "{nothing:?}");
    assert!(nothing.err.contains("holds no journal"), "{nothing:?}");

    let mut relay = Relay::ready(to(&orbit, home.relay())).await;
    let uuid = registered(&orbit, &mut relay).await;
    assert_eq!(relay.stop().await, Some(0));

    let differs = alone(&home, &orbit, &["webhook", "status"]).await;
    assert!(
        done(&differs).contains("differs in: address"),
        "{differs:?}"
    );
    let synced = alone(&home, &orbit, &["webhook", "sync"]).await;
    assert_eq!(done(&synced), format!("set right {uuid}: address\n"));
    assert_eq!(robots.webhooks()[0].url, "http://127.0.0.1:21655");

    let old = robots.webhooks()[0].secret.expose_hex();
    let rotated = alone(&home, &orbit, &["webhook", "rotate-secret"]).await;
    done(&rotated);
    let new = robots.webhooks()[0].secret.expose_hex();
    let kept = std::fs::read_to_string(home.data().join("webhook-secret")).unwrap();
    assert_ne!(old, new);
    assert_eq!(kept.trim(), new);

    let deleted = alone(&home, &orbit, &["webhook", "delete", "--yes"]).await;
    done(&deleted);
    let listed = alone(&home, &orbit, &["webhook", "list"]).await;
    assert_eq!(done(&listed), "Orbit has no webhooks\n");

    // To look at it makes no secret.
    std::fs::remove_file(home.data().join("webhook-secret")).unwrap();
    for look in ["list", "status"] {
        done(&alone(&home, &orbit, &["webhook", look]).await);
        assert!(!home.data().join("webhook-secret").exists(), "{look}");
    }

    let without = home.ask(&["webhook", "list"]).await;
    assert_eq!(without.code, Some(1), "{without:?}");
    assert!(without.err.contains("ORBIT_API_TOKEN"), "{without:?}");
    let mut relay = Relay::ready(to(&orbit, home.relay())).await;
    relay.process.line("webhook: deleted by a person").await;
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(robots.webhooks().len(), 0);
}
