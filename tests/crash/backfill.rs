//! kill -9 in the middle of a backfill, again and again.

use std::process::Command;
use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::backend::Backend;
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};
use orbit_relay::sim::random::Random;

use crate::process::load::check_drained;
use crate::process::{Home, PATIENCE, Process, Relay, end, plant};

const TOKEN: &str = "token-of-the-simulated-orbit";
const INSPECTIONS: u64 = 400;
const MOST_KILLS: usize = 60;

async fn orbit_with_inspections() -> Orbit {
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
    orbit
}

/// Lets it ask Orbit as fast as Orbit answers.
fn of_orbit(mut command: Command, orbit: &Orbit) -> Command {
    command.args(["--backfill-rate", "1000000/s", "--verify", "false"]);
    command.args(["--hostname", &orbit.addr().to_string()]);
    command.env("ORBIT_API_TOKEN", TOKEN);
    command
}

/// Kills it again and again until all is here; gives how often that was in the middle.
async fn kill_until_all_is_here(home: &Home, command: impl Fn() -> Command) -> usize {
    let seed = u64::from(std::process::id());
    eprintln!("seed {seed}");
    let mut random = Random::new(seed);
    let mut in_the_middle = 0;
    let mut before = 0;
    for _ in 0..MOST_KILLS {
        let running = Process::start(command());
        // The moment is what is tried here, not a wait for anything.
        let moment = Duration::from_millis(u64::from(100 + random.below(500)));
        tokio::time::sleep(moment).await;
        running.kill().await;
        let found = home.status().await["backfilled"].as_u64().unwrap();
        assert!(found >= before, "what was found stays");
        before = found;
        if found == INSPECTIONS {
            break;
        }
        in_the_middle += usize::from(found > 0);
    }
    in_the_middle
}

/// Everything was delivered; how often each was is the affair of another test.
async fn assert_all_delivered(home: &Home, plant: &Backend, mut relay: Relay) {
    let world = plant.world();
    let all = || u64::try_from(world.deliveries_by_key().len()).unwrap() == INSPECTIONS;
    let delivered = world.wait_until(|_| all());
    tokio::time::timeout(PATIENCE, delivered).await.unwrap();
    assert_eq!(relay.stop().await, Some(0));
    let status = home.status().await;
    assert_eq!(check_drained(&status), INSPECTIONS);
    assert_eq!(status["backfilled"], INSPECTIONS);
    assert_eq!(world.deliveries_by_key().len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_backfill_loses_and_doubles_nothing() {
    let (home, plant, orbit) = (Home::new(), plant().await, orbit_with_inspections().await);
    let mut relay = Relay::ready(home.relay_to(&plant.url())).await;
    assert_eq!(relay.stop().await, Some(0));
    let backfill = || {
        let mut command = home.command(&["backfill", "--since", "1d", "--json"]);
        command.arg("--data-dir").arg(home.data());
        of_orbit(command, &orbit)
    };
    let in_the_middle = kill_until_all_is_here(&home, backfill).await;
    assert!(in_the_middle > 0, "a kill has fallen into a walk");
    let ended = end(backfill()).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let relay = Relay::ready(home.relay_to(&plant.url())).await;
    assert_all_delivered(&home, &plant, relay).await;
    let by_key = plant.world().deliveries_by_key();
    assert!(by_key.values().all(|times| *times == 1), "{by_key:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_a_relay_that_looks_through_orbit_goes_on_where_it_was() {
    let (home, plant, orbit) = (Home::new(), plant().await, orbit_with_inspections().await);
    let polling = || {
        let mut command = home.relay_to(&plant.url());
        command.args(["--webhook-host", "none", "--backfill-first", "1d"]);
        of_orbit(command, &orbit)
    };
    let mut relay = Relay::start(polling()).await;
    relay.process.line("events at http").await;
    relay.process.kill().await;
    let in_the_middle = kill_until_all_is_here(&home, polling).await;
    assert!(in_the_middle > 0, "a kill has fallen into a look");
    let relay = Relay::ready(polling()).await;
    assert_all_delivered(&home, &plant, relay).await;
}
