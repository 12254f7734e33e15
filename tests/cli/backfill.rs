//! `backfill`: beside a running relay and without one.

use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};

use crate::process::load::check_drained;
use crate::process::{Ended, Home, Relay, end, plant};

const TOKEN: &str = "token-of-the-simulated-orbit";

async fn orbit() -> Orbit {
    let config = OrbitConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        token: Secret::new(TOKEN.to_owned()),
        seed: 7,
        clock: Clock::system(),
    };
    Orbit::start(config).await.unwrap()
}

async fn ask(home: &Home, orbit: &Orbit, flags: &[&str]) -> Ended {
    let mut command = home.command(&["backfill", "--hostname", &orbit.addr().to_string()]);
    command.args(["--verify", "false", "--backfill-rate", "1000/s"]);
    command.args(flags).arg("--data-dir").arg(home.data());
    command.env("ORBIT_API_TOKEN", TOKEN);
    end(command).await
}

fn said(ended: &Ended) -> &str {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.out.lines().next().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backfill_takes_what_is_missing_beside_a_running_relay_and_without_one() {
    let (home, plant, orbit) = (Home::new(), plant().await, orbit().await);
    for _ in 0..30 {
        orbit.world().inspect().await;
    }
    let alerts = orbit.world().run_events().into_iter();
    let alerts = alerts.filter(|(_, alert)| *alert).count();
    let all = format!("30 inspections were missing, {alerts} of them alerts");

    let mut command = home.relay_to(&plant.url());
    command.args(["--hostname", &orbit.addr().to_string(), "--verify", "false"]);
    command.args(["--webhook-host", "127.0.0.1", "--backfill", "false"]);
    command.args(["--backfill-rate", "1000/s"]);
    command.env("ORBIT_API_TOKEN", TOKEN);
    let mut relay = Relay::ready(command).await;
    let dry = ask(&home, &orbit, &["--since", "1d", "--dry-run"]).await;
    assert_eq!(said(&dry), format!("{all}; nothing was taken (--dry-run)"));
    assert_eq!(dry.out.lines().count(), 22, "{dry:?}");
    assert!(dry.out.ends_with("and 10 more\n"), "{dry:?}");
    assert_eq!(home.status().await["accepted"], 0);
    let done = ask(&home, &orbit, &["--since", "1d"]).await;
    assert_eq!(said(&done), format!("{all}; they are here now"));
    plant.world().wait_for(30).await;
    assert_eq!(relay.stop().await, Some(0));

    for _ in 0..3 {
        orbit.world().inspect().await;
    }
    let done = ask(&home, &orbit, &["--since", "1d", "--json"]).await;
    let found: serde_json::Value = serde_json::from_str(said(&done)).unwrap();
    let count = |name: &str| found[name].as_u64().unwrap();
    assert_eq!(count("alerts") + count("completed"), 3);
    let again = ask(&home, &orbit, &["--since", "1d"]).await;
    assert_eq!(said(&again), "0 inspections were missing, 0 of them alerts");
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    plant.world().wait_for(33).await;
    assert_eq!(relay.stop().await, Some(0));
    assert_eq!(check_drained(&home.status().await), 33);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_backfill_cannot_do_is_said() {
    let (home, plant, orbit) = (Home::new(), plant().await, orbit().await);
    let no_journal = ask(&home, &orbit, &["--since", "1d"]).await;
    assert_eq!(no_journal.code, Some(1), "{no_journal:?}");
    assert!(no_journal.err.contains("no journal"), "{no_journal:?}");
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    let no_orbit = ask(&home, &orbit, &["--since", "1d"]).await;
    assert_eq!(no_orbit.code, Some(1), "{no_orbit:?}");
    assert!(no_orbit.err.contains("ORBIT_API_TOKEN"), "{no_orbit:?}");
    assert_eq!(relay.stop().await, Some(0));
    for (flags, why) in [
        (&["--since", "soon"][..], "--since soon: write a time"),
        (&["--since", "1d", "--until", "2d"], "--until is not after"),
        (&[], "--since"),
    ] {
        let ended = ask(&home, &orbit, flags).await;
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(ended.err.contains(why), "{ended:?}");
    }
    orbit
        .world()
        .change_weather(|weather| weather.status = Some(401));
    let refused = ask(&home, &orbit, &["--since", "1d"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("Orbit answered 401"), "{refused:?}");
}
