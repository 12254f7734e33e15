//! kill -9 under load, again and again on one data directory.

use std::time::Duration;

use orbit_relay::sim::backend::{Answer, Backend};
use orbit_relay::sim::random::Random;
use tokio_util::sync::CancellationToken;

use crate::process::load::{Ledger, check_drained};
use crate::process::{Home, Process, Relay, plant};

/// As many rounds share one data directory; then a new one is begun, so that the plant can
/// remember every post.
const ROUNDS_EACH: u64 = 5;
/// A kill may leave unrecorded what was under way, and what was on its way into the journal.
const AGAIN_PER_KILL: usize = 4 + 512;

/// When the relay is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    UnderLoad,
    PlantFails,
    ManyWait,
    WhileStarting,
    TwiceInARow,
}

const MOMENTS: [Moment; 5] = [
    Moment::UnderLoad,
    Moment::PlantFails,
    Moment::ManyWait,
    Moment::WhileStarting,
    Moment::TwiceInARow,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let rounds = number("CRASH_ROUNDS").unwrap_or(ROUNDS_EACH);
    let seed = number("CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("CRASH_SEED={seed} CRASH_ROUNDS={rounds}");
    let mut random = Random::new(seed);
    let mut left = rounds;
    while left > 0 {
        let here = left.min(ROUNDS_EACH);
        Scene::begin().await.play(here, &mut random).await;
        left -= here;
    }
}

#[expect(clippy::disallowed_methods, reason = "asked for by whoever runs it")]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

struct Scene {
    home: Home,
    plant: Backend,
    ledger: Ledger,
    kills: usize,
}

impl Scene {
    async fn begin() -> Self {
        Self {
            home: Home::new(),
            plant: plant().await,
            ledger: Ledger::default(),
            kills: 0,
        }
    }

    async fn play(mut self, rounds: u64, random: &mut Random) {
        let first = random.below(5);
        let moments = MOMENTS.iter().cycle().skip(usize::try_from(first).unwrap());
        for (round, moment) in (0..rounds).zip(moments) {
            eprintln!("round {round}: {moment:?}");
            self.round(*moment, random).await;
        }
        self.end().await;
    }

    async fn round(&mut self, moment: Moment, random: &mut Random) {
        let answer = match moment {
            Moment::PlantFails => Answer::Status(500),
            Moment::ManyWait => Answer::Hang,
            _ => Answer::Ok,
        };
        self.plant.world().set_answer(answer);
        if matches!(moment, Moment::WhileStarting) {
            self.kill_while_starting(random, 120).await;
        }
        self.kill_under_load(moment, random).await;
        if matches!(moment, Moment::TwiceInARow) {
            self.kill_while_starting(random, 40).await;
        }
    }

    async fn kill_under_load(&mut self, moment: Moment, random: &mut Random) {
        // One that has only just begun answers 503 at first: that is load, too.
        let relay = match moment {
            Moment::WhileStarting => Relay::start(self.command()).await,
            _ => Relay::ready(self.command()).await,
        };
        let (ledger, at, seed) = (self.ledger.clone(), relay.at, random.number());
        let load = tokio::spawn(async move {
            let never = CancellationToken::new();
            ledger.post_until(&never, at, seed, 150).await;
        });
        // The moment is what is tried here, not a wait for anything.
        let moment = Duration::from_millis(u64::from(30 + random.below(500)));
        tokio::time::sleep(moment).await;
        relay.process.kill().await;
        self.kills += 1;
        load.await.unwrap();
    }

    /// Kills a relay that opens the journal which the last one left.
    async fn kill_while_starting(&mut self, random: &mut Random, within_ms: u32) {
        let starting = Process::start(self.command());
        tokio::time::sleep(Duration::from_millis(random.below(within_ms).into())).await;
        starting.kill().await;
        self.kills += 1;
    }

    async fn end(self) {
        let world = self.plant.world();
        world.set_answer(Answer::Ok);
        let acknowledged = self.ledger.acknowledged();
        let mut relay = Relay::ready(self.command()).await;
        self.ledger.post_unanswered_again(&relay).await;
        self.ledger.wait_for_all(&relay, &world).await;
        assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());

        let again = self.ledger.check(&world);
        assert!(
            again <= AGAIN_PER_KILL * self.kills,
            "{again} came again after {} kills",
            self.kills
        );
        let accepted = check_drained(&self.home.status().await);
        assert_eq!(accepted, u64::try_from(self.ledger.sent()).unwrap());
        eprintln!(
            "{} kills, {acknowledged} of {accepted} acknowledged, {again} came again",
            self.kills
        );
    }

    fn command(&self) -> std::process::Command {
        self.home.relay_to(&self.plant.url())
    }
}
