//! kill -9 in the middle of a backfill, again and again.

use std::process::Command;
use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};
use orbit_relay::sim::random::Random;

use crate::process::load::check_drained;
use crate::process::{Home, Process, Relay, end, plant};

const TOKEN: &str = "token-of-the-simulated-orbit";
const INSPECTIONS: u64 = 400;
const KILLS: u64 = 8;

/// `backfill`, as fast as Orbit answers.
fn backfill(home: &Home, orbit: &Orbit) -> Command {
    let mut command = home.command(&["backfill", "--since", "1d", "--json"]);
    command.args(["--backfill-rate", "1000000/s", "--verify", "false"]);
    command.args(["--hostname", &orbit.addr().to_string()]);
    command.env("ORBIT_API_TOKEN", TOKEN);
    command.arg("--data-dir").arg(home.data());
    command
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_backfill_loses_and_doubles_nothing() {
    let (home, plant) = (Home::new(), plant().await);
    let orbit = OrbitConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        token: Secret::new(TOKEN.to_owned()),
        seed: 7,
        clock: Clock::system(),
    };
    let orbit = Orbit::start(orbit).await.unwrap();
    let world = orbit.world();
    world.change_weather(|weather| weather.largest_page = 3);
    for _ in 0..INSPECTIONS {
        world.inspect().await;
    }
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    assert_eq!(relay.stop().await, Some(0));

    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut random = Random::new(seed);
    for _ in 0..KILLS {
        let running = Process::start(backfill(&home, &orbit));
        // The moment is what is tried here, not a wait for anything.
        let moment = Duration::from_millis(random.below(400).into());
        tokio::time::sleep(moment).await;
        running.kill().await;
    }
    let ended = end(backfill(&home, &orbit)).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");

    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    plant.world().wait_for(INSPECTIONS).await;
    assert_eq!(relay.stop().await, Some(0));
    let status = home.status().await;
    assert_eq!(check_drained(&status), INSPECTIONS);
    assert_eq!(status["backfilled"], INSPECTIONS);
    let by_key = plant.world().deliveries_by_key();
    assert_eq!(u64::try_from(by_key.len()).unwrap(), INSPECTIONS);
    assert!(by_key.values().all(|times| *times == 1), "{by_key:?}");
}
