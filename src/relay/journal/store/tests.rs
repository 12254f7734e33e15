//! What the delivery engine asks of the journal: turns, lines, pauses, probes, clocks.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, Hand, later};
use crate::relay::journal::tests::{SEND, TO, World, append, postponed};
use crate::relay::journal::{Claim, Disposition, Down, Fate, Paused, State, Want};

const START: i64 = 1_770_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn manual() -> (World, Hand) {
    let (clock, hand) = Clock::manual(at(START));
    (
        World::in_dir(tempfile::tempdir().unwrap(), clock).await,
        hand,
    )
}

fn numbers(claims: &[Claim]) -> Vec<i64> {
    claims.iter().map(|claim| claim.lease.seq).collect()
}

async fn paused(world: &World, refused: &[i64]) {
    let paused = Paused {
        at: world.clock.wall(),
        by: "relay".into(),
        why: "answered 404".into(),
        trouble: Some("refused".into()),
    };
    let pausing = world.journal.pause_and_revive(TO, paused, refused.to_vec());
    pausing.await.unwrap();
}

/// A probe that fails, to be tried again in half an hour and `n` minutes; gives its number.
async fn failed_probe(world: &World, n: u64, in_order: bool) -> i64 {
    let want = Want {
        probe: true,
        in_order,
        ..world.want(1)
    };
    let claim = world.journal.claim(want).await.unwrap().now.remove(0);
    let due_at = later(world.clock.steady(), Duration::from_mins(30 + n));
    world.end(&claim, postponed(due_at)).await;
    claim.lease.seq
}

/// The same journal under the clock of a later process.
async fn under(world: World, clock: Clock) -> World {
    let World {
        dir,
        journal,
        mut writer,
        ..
    } = world;
    drop(journal);
    writer.ended().await;
    World::in_dir(dir, clock).await
}

#[tokio::test]
async fn a_paused_destination_is_one_row_and_what_waits_is_parked() {
    let world = World::new().await;
    append(&world.journal, 0..1000).await;
    let claims = world.claim(2).await;
    world
        .end(&claims[0], Disposition::Dead { reason: "x".into() })
        .await;
    paused(&world, &[1]).await;
    assert_eq!(world.sums().of(State::Dead), 0, "it waits again");
    assert_eq!(world.sums().of(State::Parked), 999);
    assert_eq!(world.sums().of(State::Pending), 0);
    let none = world.claims(9).await;
    assert!(none.now.is_empty() && none.closed);

    let at = world.clock.wall();
    assert_eq!(world.journal.resume(at, TO, "me", "mended").await, Ok(true));
    assert_eq!(
        world.journal.resume(at, TO, "me", "mended").await,
        Ok(false)
    );
    assert_eq!(world.sums().of(State::Pending), 999);
    assert_eq!(world.claim(9).await.len(), 9);
}

#[tokio::test]
async fn a_pause_and_a_circuit_survive_a_restart() {
    let world = World::new().await;
    let down = Down {
        at: world.clock.wall().round(jiff::Unit::Millisecond).unwrap(),
        why: "cannot connect".into(),
    };
    world
        .journal
        .set_down(TO, Some(down.clone()))
        .await
        .unwrap();
    paused(&world, &[]).await;
    let world = world.reopened().await;
    assert_eq!(world.sums().down, Some(down));
    assert_eq!(world.sums().paused.unwrap().trouble.unwrap(), "refused");
}

#[tokio::test]
async fn what_the_destination_asked_for_holds_back_everything_and_survives_a_restart() {
    let (world, hand) = manual().await;
    append(&world.journal, 0..3).await;
    let claim = world.claim(1).await.remove(0);
    let asked = later(world.clock.steady(), Duration::from_hours(2));
    let mut ended = world.ended(Disposition::Postponed {
        due_at: asked,
        not_before: Some(asked),
        reason: "answered 429".into(),
    });
    ended.hold_until = Some(asked);
    let ends = vec![(claim.lease, ended)];
    assert_eq!(world.journal.record(ends).await, Ok(Vec::new()));
    hand.advance(Duration::from_mins(119));
    let (clock, hand) = Clock::manual(world.clock.wall());
    let world = under(world, clock).await;
    let mut want = world.want(9);
    want.hasten = true;
    want.probe = true;
    assert!(world.journal.claim(want).await.unwrap().now.is_empty());
    hand.advance(Duration::from_secs(61));
    assert_eq!(world.claim(9).await.len(), 3);
}

#[tokio::test]
async fn a_probe_takes_turns_over_events_whether_they_are_due_or_not() {
    let (world, _hand) = manual().await;
    append(&world.journal, 0..2).await;
    for claim in world.claim(2).await {
        let due_at = later(world.clock.steady(), Duration::from_mins(30));
        world.end(&claim, postponed(due_at)).await;
    }
    let mut probed = Vec::new();
    for n in 1..=4 {
        probed.push(failed_probe(&world, n, false).await);
    }
    assert_eq!(probed, [1, 2, 1, 2]);
}

#[tokio::test]
async fn when_the_destination_is_back_nobody_waits_out_a_schedule() {
    let (world, _hand) = manual().await;
    append(&world.journal, 0..3).await;
    for claim in world.claim(3).await {
        let due_at = later(world.clock.steady(), Duration::from_mins(30));
        world.end(&claim, postponed(due_at)).await;
    }
    assert!(world.claim(9).await.is_empty());
    let want = Want {
        hasten: true,
        ..world.want(9)
    };
    let claims = world.journal.claim(want).await.unwrap();
    assert_eq!(claims.now.len(), 3);
    assert!(!claims.more_to_hasten);
}

#[tokio::test]
async fn only_time_in_which_the_destination_worked_makes_an_event_old() {
    let (world, hand) = manual().await;
    append(&world.journal, 0..1).await;
    let mut waited = Vec::new();
    for worked in [5, 0, 7, 0] {
        let want = Want {
            worked: Duration::from_mins(worked),
            ..world.want(1)
        };
        let claim = world.journal.claim(want).await.unwrap().now.remove(0);
        waited.push(claim.waited);
        world.end(&claim, postponed(world.clock.steady())).await;
        hand.advance(Duration::from_hours(60));
    }
    assert_eq!(waited, [0, 0, 7, 7].map(Duration::from_mins));
    let world = world.reopened().await;
    assert_eq!(world.claim(1).await[0].waited, Duration::from_mins(7));
}

#[tokio::test]
async fn in_a_line_one_goes_at_a_time_in_order_of_arrival() {
    let world = World::new().await;
    append(&world.journal, 0..4).await;
    let claims = world.claim(4).await;
    let mut fates = Vec::new();
    for (claim, line) in claims.iter().zip(["P", "P", "Q", "P"]) {
        fates.push(world.freeze(claim, Some(line), None).await);
    }
    assert_eq!(fates, [SEND, Fate::Settled, SEND, Fate::Settled]);
    assert!(world.claim(9).await.is_empty(), "they wait");
    world.end(&claims[0], postponed(world.clock.steady())).await;
    let again = world.claim(9).await;
    assert_eq!(numbers(&again), [1], "a postponed one keeps its place");
    world
        .end(&again[0], Disposition::Dead { reason: "x".into() })
        .await;
    let second = world.claim(9).await;
    assert_eq!(numbers(&second), [2], "a dead one leaves it");
    assert_eq!(second[0].attempt, 1, "waiting was no try");
    assert_eq!(world.freeze(&second[0], Some("P"), None).await, SEND);
    world.end(&second[0], Disposition::Delivered).await;
    assert_eq!(numbers(&world.claim(9).await), [4]);
}

#[tokio::test]
async fn of_a_completed_event_and_its_alert_one_is_delivered() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    let claims = world.claim(2).await;
    let once = Some([7; 16]);
    assert_eq!(world.freeze(&claims[0], None, once).await, SEND);
    assert_eq!(world.freeze(&claims[1], None, once).await, Fate::Settled);
    assert_eq!(
        world.sums().of(State::Postponed),
        1,
        "it waits for the first"
    );
    world.end(&claims[0], Disposition::Delivered).await;
    let second = world.claim(9).await.remove(0);
    assert_eq!(world.freeze(&second, None, once).await, Fate::Settled);
    assert_eq!(world.sums().of(State::Skipped), 1);
}

#[tokio::test]
async fn an_alert_goes_out_when_its_completed_event_came_to_nothing() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    let claims = world.claim(2).await;
    let once = Some([7; 16]);
    world.freeze(&claims[0], None, once).await;
    world.freeze(&claims[1], None, once).await;
    world
        .end(&claims[0], Disposition::Dead { reason: "x".into() })
        .await;
    let second = world.claim(9).await.remove(0);
    assert_eq!(world.freeze(&second, None, once).await, SEND);
}

#[tokio::test]
async fn what_was_given_back_was_no_try() {
    let world = World::new().await;
    append(&world.journal, 0..1).await;
    let claim = world.claim(1).await.remove(0);
    world.journal.release(vec![claim.lease]).await.unwrap();
    let again = world.claim(1).await.remove(0);
    assert_eq!(again.attempt, 1);
    world.journal.release(vec![claim.lease]).await.unwrap();
    assert_eq!(
        world.sums().of(State::Sending),
        1,
        "an old lease gives nothing back"
    );
}

#[tokio::test]
async fn a_clock_that_jumps_by_a_day_neither_stalls_a_retry_nor_fires_it() {
    const DAY: i64 = 86_400;
    for jump in [-DAY, DAY] {
        for restart_first in [false, true] {
            let (world, hand) = manual().await;
            append(&world.journal, 0..1).await;
            let claim = world.claim(1).await.remove(0);
            let due_at = later(world.clock.steady(), Duration::from_mins(10));
            world.end(&claim, postponed(due_at)).await;
            let (clock, hand) = if restart_first {
                // It jumped while nobody looked, so only a jump back can be told from time.
                Clock::manual(at(START + jump.min(0)))
            } else {
                hand.set_wall(at(START + jump));
                Clock::manual(world.clock.wall())
            };
            let world = under(world, clock).await;
            hand.advance(Duration::from_mins(9));
            assert!(world.claim(1).await.is_empty(), "{jump} {restart_first}");
            hand.advance(Duration::from_mins(2));
            assert_eq!(world.claim(1).await.len(), 1, "{jump} {restart_first}");
        }
    }
}

#[tokio::test]
async fn what_a_person_asked_for_again_goes_only_where_nothing_else_waits() {
    let world = World::open(tempfile::tempdir().unwrap(), Clock::system(), &[]).await;
    append(&world.journal, 0..3).await;
    let world = world.reopened().await;
    append(&world.journal, 3..5).await;
    assert_eq!(numbers(&world.claim(1).await), [4]);
    world.journal.replay_kept(TO, 9).await.unwrap();
    assert_eq!(numbers(&world.claim(1).await), [5]);
    let want = Want {
        replays: 2,
        ..world.want(9)
    };
    let claims = world.journal.claim(want).await.unwrap().now;
    assert_eq!(numbers(&claims), [1, 2]);
    assert!(claims.iter().all(|claim| claim.replayed));
}

#[tokio::test]
async fn where_the_order_is_kept_a_probe_takes_turns_with_fresh_events_too() {
    let (world, _hand) = manual().await;
    append(&world.journal, 0..2).await;
    for claim in world.claim(2).await {
        let due_at = later(world.clock.steady(), Duration::from_mins(30));
        world.end(&claim, postponed(due_at)).await;
    }
    append(&world.journal, 2..4).await;
    let mut probed = Vec::new();
    for n in 1..=4 {
        probed.push(failed_probe(&world, n, true).await);
    }
    assert!(
        probed.contains(&3),
        "poison holds the circuit open: {probed:?}"
    );
}

#[tokio::test]
async fn the_turns_of_one_destination_are_not_those_of_another() {
    let (clock, _hand) = Clock::manual(Clock::system().wall());
    let world = World::open(tempfile::tempdir().unwrap(), clock, &[TO, "other"]).await;
    append(&world.journal, 0..2).await;
    for claim in world.claim(2).await {
        let due_at = later(world.clock.steady(), Duration::from_mins(30));
        world.end(&claim, postponed(due_at)).await;
    }
    append(&world.journal, 2..9).await;
    let mut probed = Vec::new();
    for n in 1..=4 {
        probed.push(failed_probe(&world, n, false).await);
        let want = Want {
            destination: "other".into(),
            ..world.want(1)
        };
        world.journal.claim(want).await.unwrap();
    }
    let fresh = probed.iter().filter(|seq| **seq > 2).count();
    assert_eq!(fresh, 2, "it takes turns: {probed:?}");
}

#[tokio::test]
async fn what_was_being_tried_when_the_clock_was_set_back_is_a_probe_like_any_other() {
    let (world, hand) = manual().await;
    let began = world.clock.wall();
    append(&world.journal, 0..1).await;
    let claim = world.claim(1).await.remove(0);
    let asked = later(world.clock.steady(), Duration::from_hours(2));
    let mut ended = world.ended(Disposition::Postponed {
        due_at: asked,
        not_before: Some(asked),
        reason: "answered 429".into(),
    });
    ended.hold_until = Some(asked);
    let ends = vec![(claim.lease, ended)];
    assert_eq!(world.journal.record(ends).await, Ok(Vec::new()));
    hand.advance(Duration::from_mins(121));
    assert_eq!(world.claim(1).await.len(), 1);
    let (clock, hand) = Clock::manual(began);
    let world = under(world, clock).await;
    hand.advance(Duration::from_secs(2));
    let want = Want {
        probe: true,
        ..world.want(1)
    };
    let claims = world.journal.claim(want).await.unwrap();
    assert_eq!(claims.now.len(), 1, "{:?}", claims.next_due);
}
