//! The demo, and the two halves of the simulator with a relay between them.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

use orbit_relay::sim::asset_map_csv;

use crate::process::{Home, PATIENCE, Process, Relay, Web, end};

#[tokio::test]
async fn the_demo_ends_by_itself_and_shows_received_asset_delivered() {
    let home = Home::new();
    let ended = end(home.command(&["demo", "--events", "2", "--seed", "1"])).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines = ended.out.lines();
    let shown: Vec<_> = lines.filter(|line| line.contains(" received ")).collect();
    assert_eq!(shown.len(), 2, "{ended:?}");
    for line in shown {
        assert_eq!(line.matches(" → ").count(), 2, "{line}");
        assert!(line.contains("→ delivered in "), "{line}");
    }
    assert!(ended.out.contains("delivered 2"), "the sums: {}", ended.out);
    let page = ended
        .out
        .lines()
        .find(|line| line.starts_with("page: http://127.0.0.1:"));
    let (_, code) = page.unwrap().split_once(", set-up code ").unwrap();
    assert_eq!(code.len(), "XXXX-XXXX".len(), "{ended:?}");
}

#[tokio::test]
async fn the_demo_is_the_same_again_for_the_same_seed() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let home = Home::new();
        let ended = end(home.command(&["demo", "--events", "1", "--seed", "3"])).await;
        let line = ended.out.lines().find(|line| line.contains(" received "));
        let (_, line) = line.unwrap().split_once(" received ").unwrap();
        let (what, _) = line.rsplit_once(" → ").unwrap();
        seen.push(what.to_owned());
    }
    assert_eq!(seen[0], seen[1]);
}

/// A port that Orbit's own hosts let through, and that nobody is given by chance.
pub(crate) fn free_port() -> String {
    // Tests run at the same time: each begins to look where no other does.
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let given = GIVEN.fetch_add(7, Ordering::Relaxed);
    let first = 21_100 + u16::try_from((std::process::id() + given) % 800).unwrap();
    let mut ports = (first..22_000).chain(21_002..first);
    let port = ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    port.unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_flags_of_the_official_example_work_against_the_simulator() {
    let home = Home::new();
    let any = "127.0.0.1:0";
    let mut orbit = Process::start(home.command(&[
        "simulate", "orbit", "--listen", any, "--every", "0", "--seed", "1",
    ]));
    let mut plant = Process::start(home.command(&["simulate", "backend", "--listen", any]));
    let line = orbit.line("Orbit (simulated) at https://").await;
    let (_, at) = line.split_once("https://").unwrap();
    let (orbit_at, _) = at.split_once(',').unwrap();
    let line = plant.line("plant (simulated) at ").await;
    let (_, url) = line.split_once(" at ").unwrap();
    let (plant_url, _) = url.split_once(',').unwrap();

    let port = free_port();
    let assets = home.write("assets.csv", asset_map_csv());
    let mut command = home.command(&["--hostname", orbit_at, "--verify", "False"]);
    command.args(["--webhook-host", "127.0.0.1", "--webhook-port", &port]);
    // What the example does not have: nothing but loopback and this directory is touched.
    command.args(["--bind", "127.0.0.1", "--ops-bind", any, "--asset-map"]);
    command.arg(assets);
    command.env("ORBIT_API_TOKEN", "demo-token");
    command.env("INTEGRATION_URL", plant_url);
    let mut relay = Relay::ready(command).await;
    let made = relay.process.line("webhook: made in Orbit").await;
    assert!(made.contains(&format!("http://127.0.0.1:{port}")), "{made}");
    assert!(home.data().join("webhook-secret").exists());

    let web = Web::new();
    let asked = |what: &'static str| {
        let (web, url) = (web.clone(), format!("https://{orbit_at}/sim/{what}"));
        async move { web.post(&url, &[], "").await.unwrap() }
    };
    let inspected = asked("inspect").await;
    assert!(inspected.body.contains("\"status\":200"), "{inspected:?}");
    let posted = plant.line("\"relay\":{").await;
    assert!(posted.contains("\"asset\":{\"id\":"), "{posted}");
    relay.process.line(" delivered seq=").await;

    let pressed = asked("test-payload").await;
    assert!(pressed.body.contains("\"status\":200"), "{pressed:?}");
    let said = relay
        .process
        .line("test payload: arrived, verified and in the journal")
        .await;
    assert!(
        said.contains("webhook: registered; destination integration: working"),
        "{said}"
    );

    assert_eq!(relay.stop().await, Some(0));
    for mut simulator in [orbit, plant] {
        simulator.signal("TERM");
        assert_eq!(simulator.ended(PATIENCE).await, Some(0));
    }
}

#[tokio::test]
async fn the_simulator_listens_on_loopback_only() {
    for half in ["orbit", "backend"] {
        let home = Home::new();
        let ended = end(home.command(&["simulate", half, "--listen", "0.0.0.0:0"])).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains("loopback"), "{ended:?}");
    }
}
