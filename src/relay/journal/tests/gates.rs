//! Gates: who is asked first, for how long, and what becomes of what waits.

use proptest::prelude::*;

use super::*;
use crate::clock::Hand;
use crate::relay::journal::{Asked, Bulk, Filter, Kind, Worked};

const GUARD: &str = "guard";
const SECOND: &str = "second";
const LIMIT: Duration = Duration::from_mins(5);
const MS: Duration = Duration::from_millis(1);

async fn manual(destinations: &[&str]) -> (World, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_770_000_000).unwrap());
    let world = World::open(tempfile::tempdir().unwrap(), clock, destinations).await;
    (world, hand)
}

fn asked(gate: &str, passes: bool) -> Asked {
    Asked {
        gate: gate.to_owned(),
        limit: LIMIT,
        passes,
    }
}

fn asking(line: Option<&str>, asked: Vec<Asked>) -> Step {
    match freezing("{}", Some("PUMP"), line, None) {
        Step::Freeze {
            relay, asset, line, ..
        } => Step::Freeze {
            relay,
            asset,
            line,
            once: None,
            message: None,
            map: None,
            template: None,
            action: None,
            while_open: None,
            gates: Some(asked),
        },
        other => other,
    }
}

/// What a gate may have made of its event.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Row {
    None,
    Paused,
    Pending,
    Sending,
    Postponed,
    Parked,
    Delivered,
    Cancels,
    Dead,
    Buried,
    Skipped,
    Discarded,
}

const ROWS: [Row; 12] = [
    Row::None,
    Row::Paused,
    Row::Pending,
    Row::Sending,
    Row::Postponed,
    Row::Parked,
    Row::Delivered,
    Row::Cancels,
    Row::Dead,
    Row::Buried,
    Row::Skipped,
    Row::Discarded,
];

async fn claim_of(world: &World, destination: &str) -> Option<Claim> {
    let want = Want {
        destination: destination.into(),
        ..world.want(1)
    };
    let mut claims = world.journal.claim(want).await.unwrap().now;
    claims.pop()
}

async fn bulk(world: &World, kind: Kind, destination: &str) {
    let at = world.clock.wall();
    let filter = Filter {
        destination: Some(destination.into()),
        states: kind.takes().iter().copied().collect(),
        ..Filter::default()
    };
    let bulk = Bulk {
        kind,
        filter,
        as_sent: false,
    };
    assert_eq!(world.journal.begin(at, "ada", bulk).await.unwrap().len(), 1);
    while world.journal.work(at, false).await.unwrap() == Worked::Step {}
}

/// Makes of the gate's event what the row says.
async fn make(world: &World, gate: &str, row: Row) {
    let reason = || "answered 500".to_owned();
    let at = world.clock.wall();
    match row {
        Row::None => return,
        Row::Paused => {
            world
                .journal
                .pause(at, gate, "ada", "", None)
                .await
                .unwrap();
            return;
        }
        Row::Discarded => return bulk(world, Kind::Discard, gate).await,
        _ => {}
    }
    let claim = claim_of(world, gate).await.unwrap();
    let step = match row {
        Row::Skipped => Step::Skip { reason: reason() },
        Row::Buried => Step::Bury { reason: reason() },
        Row::Parked => Step::Park {
            reason: reason(),
            map: None,
            action: None,
        },
        Row::Pending => return world.give_back(&claim).await,
        Row::Sending => return,
        _ => freezing("{}", None, None, None),
    };
    world.step(&claim, step).await;
    let due_at = later(world.clock.steady(), Duration::from_hours(100));
    let disposition = match row {
        Row::Delivered | Row::Cancels => Disposition::Delivered,
        Row::Postponed => postponed(due_at),
        Row::Dead => Disposition::Dead { reason: reason() },
        _ => return,
    };
    let ended = Ended {
        cancels: (row == Row::Cancels).then(|| "a drill".to_owned()),
        ..world.ended(disposition)
    };
    let lost = world.journal.record(vec![(claim.lease, ended)]).await;
    assert_eq!(lost, Ok(Vec::new()));
}

/// Where a delivery stands, and why.
fn stands(world: &World, seq: i64) -> (State, Option<String>, Option<String>) {
    world.sums();
    let mut reader = Reader::open(world.dir.path()).unwrap();
    let id = format!("{TO}:{seq}").parse().unwrap();
    let detail = reader.delivery(&id).unwrap().unwrap();
    (detail.state, detail.delivery.reason, detail.gate)
}

/// What comes of asking once, and delivers what goes; the claim is the first try each time.
async fn ask(world: &World, asked: Vec<Asked>) -> Fate {
    let claim = world.claim(1).await.remove(0);
    assert_eq!((claim.attempt, claim.failures), (1, 0));
    let fate = world.step(&claim, asking(None, asked)).await;
    if fate == SEND {
        world.end(&claim, Disposition::Delivered).await;
    }
    fate
}

fn waits(gate: &str) -> (State, Option<String>, Option<String>) {
    let reason = Some(format!("waits for the gate {gate}"));
    (State::Postponed, reason, Some(gate.to_owned()))
}

/// What a gate that gave no answer comes to.
fn unanswered(fate: &Fate, world: &World, passes: bool, why: &str) {
    if passes {
        assert_eq!(*fate, SEND);
    } else {
        let reason = Some(format!("the gate {GUARD} gave no answer: {why}"));
        assert_eq!(stands(world, 1), (State::Parked, reason, None));
        assert_eq!(world.sums().unmapped, 0);
    }
}

#[tokio::test]
async fn what_a_gate_made_of_an_event_decides_and_the_limit_where_it_made_nothing_yet() {
    for row in ROWS {
        for passes in [true, false] {
            let (world, hand) = manual(&[GUARD, TO]).await;
            append(&world.journal, 0..1).await;
            make(&world, GUARD, row).await;
            let gates = || vec![asked(GUARD, passes)];
            let fate = ask(&world, gates()).await;
            match row {
                Row::Delivered | Row::Skipped | Row::Discarded => assert_eq!(fate, SEND, "{row:?}"),
                Row::Cancels => {
                    let reason = Some("cancelled by the gate guard: a drill".to_owned());
                    assert_eq!(stands(&world, 1), (State::Skipped, reason, None));
                }
                Row::Dead | Row::Buried => unanswered(&fate, &world, passes, "answered 500"),
                _ => {
                    assert_eq!(fate, Fate::Settled, "{row:?}");
                    assert_eq!(stands(&world, 1), waits(GUARD), "{row:?}");
                    hand.advance(LIMIT.checked_sub(MS).unwrap());
                    for (probe, hasten) in [(false, false), (true, false), (true, true)] {
                        let want = Want {
                            probe,
                            hasten,
                            ..world.want(1)
                        };
                        let claims = world.journal.claim(want).await.unwrap();
                        assert!(claims.now.is_empty(), "{row:?}");
                    }
                    hand.advance(MS);
                    let fate = ask(&world, gates()).await;
                    unanswered(&fate, &world, passes, "not within 5m");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_waits_is_let_go_in_the_commit_in_which_the_gate_ends() {
    for row in [
        Row::Delivered,
        Row::Cancels,
        Row::Dead,
        Row::Buried,
        Row::Skipped,
        Row::Discarded,
    ] {
        let (world, _hand) = manual(&[GUARD, TO]).await;
        append(&world.journal, 0..1).await;
        assert_eq!(ask(&world, vec![asked(GUARD, true)]).await, Fate::Settled);
        let mut gates = world.journal.released();
        gates.mark_unchanged();
        assert!(world.claim(1).await.is_empty());
        assert!(!gates.has_changed().unwrap());
        make(&world, GUARD, row).await;
        assert!(gates.has_changed().unwrap(), "{row:?}");
        let fate = ask(&world, vec![asked(GUARD, true)]).await;
        let goes = row != Row::Cancels;
        assert_eq!(fate == SEND, goes, "{row:?}");
        assert_eq!(stands(&world, 1).2, None);
    }
}

#[tokio::test]
async fn what_a_gate_gave_no_answer_about_is_counted_with_why_but_for_samples() {
    let (world, hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..1).await;
    let sample = Event {
        origin: Origin::Sample,
        ..event(1)
    };
    world.journal.append(sample).await.unwrap();
    for _ in 0..2 {
        ask(&world, vec![asked(GUARD, false)]).await;
    }
    hand.advance(LIMIT);
    for _ in 0..2 {
        ask(&world, vec![asked(GUARD, false)]).await;
    }
    let world = world.reopened_for(&[GUARD, TO]).await;
    let sums = world.journal.sums().borrow().clone();
    let of = |name: &str| sums.destinations.iter().find(|d| d.name == name).unwrap();
    assert_eq!(of(TO).of(State::Parked), 2);
    let why = "the gate guard gave no answer: not within 5m";
    assert_eq!(
        (of(TO).unanswered, of(TO).unanswered_why.as_deref()),
        (1, Some(why))
    );
    assert_eq!(of(GUARD).unanswered, 0);
}

#[tokio::test]
async fn a_commit_that_fails_lets_nobody_go() {
    let (world, _hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..1).await;
    ask(&world, vec![asked(GUARD, true)]).await;
    let claim = claim_of(&world, GUARD).await.unwrap();
    let ended = world.ended(Disposition::Delivered);
    let now = world.clock.steady();
    let failed = world.journal.write(move |store| {
        store.record(&[(claim.lease, ended)], now)?;
        Err::<(), _>(StoreError::Sqlite(rusqlite::Error::InvalidQuery))
    });
    assert!(failed.await.is_err());
    assert!(world.claim(1).await.is_empty());
    assert_eq!(stands(&world, 1), waits(GUARD));
}

#[tokio::test]
async fn of_two_gates_either_may_cancel_and_both_are_waited_for() {
    let both = || vec![asked(GUARD, true), asked(SECOND, true)];
    for (first, second, goes) in [
        (Row::None, Row::Cancels, Some(false)),
        (Row::Cancels, Row::None, Some(false)),
        (Row::Delivered, Row::Delivered, Some(true)),
        (Row::None, Row::Delivered, None),
        (Row::Delivered, Row::None, None),
        (Row::None, Row::None, None),
    ] {
        let (world, _hand) = manual(&[GUARD, SECOND, TO]).await;
        append(&world.journal, 0..1).await;
        make(&world, GUARD, first).await;
        make(&world, SECOND, second).await;
        let fate = ask(&world, both()).await;
        if let Some(goes) = goes {
            assert_eq!(fate == SEND, goes, "{first:?} {second:?}");
            continue;
        }
        assert_eq!(stands(&world, 1).0, State::Postponed);
        for (gate, row) in [(GUARD, first), (SECOND, second)] {
            if row == Row::None {
                make(&world, gate, Row::Delivered).await;
                let fate = ask(&world, both()).await;
                let last = gate == SECOND || second != Row::None;
                assert_eq!(fate == SEND, last, "{gate} {first:?} {second:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_a_gate_cancelled_stays_so_when_the_gate_is_gone() {
    let (world, _hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..1).await;
    make(&world, GUARD, Row::Cancels).await;
    let world = world.reopened_for(&[TO]).await;
    assert_eq!(ask(&world, Vec::new()).await, Fate::Settled);
    assert_eq!(stands(&world, 1).0, State::Skipped);
}

#[tokio::test]
async fn a_cancel_lets_those_go_too_that_wait_for_another_gate() {
    let (world, _hand) = manual(&[GUARD, SECOND, TO]).await;
    append(&world.journal, 0..1).await;
    let both = || vec![asked(GUARD, false), asked(SECOND, false)];
    assert_eq!(ask(&world, both()).await, Fate::Settled);
    assert_eq!(stands(&world, 1), waits(GUARD));
    make(&world, SECOND, Row::Cancels).await;
    assert_eq!(ask(&world, both()).await, Fate::Settled);
    assert_eq!(stands(&world, 1).0, State::Skipped);
}

#[tokio::test]
async fn the_gate_whose_limit_comes_first_is_waited_for_first() {
    let (world, hand) = manual(&[GUARD, SECOND, TO]).await;
    append(&world.journal, 0..1).await;
    let gates = || {
        let short = Asked {
            limit: Duration::from_mins(1),
            passes: false,
            ..asked(SECOND, false)
        };
        vec![asked(GUARD, true), short]
    };
    ask(&world, gates()).await;
    assert_eq!(stands(&world, 1), waits(SECOND));
    hand.advance(Duration::from_mins(1));
    ask(&world, gates()).await;
    let reason = Some("the gate second gave no answer: not within 1m".to_owned());
    assert_eq!(stands(&world, 1), (State::Parked, reason, None));
}

#[tokio::test]
async fn a_gate_holds_neither_what_came_before_it_nor_anything_once_it_is_gone() {
    let (world, _hand) = manual(&[TO]).await;
    append(&world.journal, 0..1).await;
    let world = world.reopened_for(&[GUARD, TO]).await;
    assert_eq!(
        ask(&world, vec![asked(GUARD, false)]).await,
        SEND,
        "it came before"
    );
    append(&world.journal, 1..3).await;
    let gates = || vec![asked(GUARD, false)];
    assert_eq!(ask(&world, gates()).await, Fate::Settled);
    let world = world.reopened_for(&[TO]).await;
    assert_eq!(ask(&world, gates()).await, SEND, "it is let go, and goes");
    assert_eq!(ask(&world, gates()).await, SEND, "a gate that is gone");
    assert_eq!(ask_one(&world, "unknown").await, SEND);
    // What came while it was away is not its either.
    append(&world.journal, 4..5).await;
    let world = world.reopened_for(&[GUARD, TO]).await;
    assert_eq!(ask(&world, gates()).await, SEND);
}

async fn ask_one(world: &World, gate: &str) -> Fate {
    append(&world.journal, 3..4).await;
    ask(world, vec![asked(gate, false)]).await
}

#[tokio::test]
async fn a_restart_goes_on_waiting_from_when_it_began() {
    let (world, hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..1).await;
    let gates = || vec![asked(GUARD, true)];
    ask(&world, gates()).await;
    hand.advance(Duration::from_mins(2));
    let world = world.reopened_for(&[GUARD, TO]).await;
    // It is asked about again at once: gates may have changed.
    assert_eq!(ask(&world, gates()).await, Fate::Settled);
    assert_eq!(stands(&world, 1), waits(GUARD));
    let World {
        dir,
        journal,
        mut writer,
        ..
    } = world;
    drop(journal);
    writer.ended().await;
    // The next process begins with a clock that is an hour ahead of the steady one before.
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_770_000_000 - 3600).unwrap());
    let world = World::open(dir, clock, &[GUARD, TO]).await;
    assert_eq!(ask(&world, gates()).await, Fate::Settled);
    hand.advance(Duration::from_mins(3).checked_sub(MS).unwrap());
    assert!(world.claim(1).await.is_empty());
    hand.advance(MS);
    assert_eq!(ask(&world, gates()).await, SEND);
    let world = world.reopened_for(&[GUARD, TO]).await;
    make(&world, GUARD, Row::Delivered).await;
}

#[tokio::test]
async fn neither_a_replay_nor_what_was_frozen_is_asked_about() {
    let (world, _hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..1).await;
    make(&world, GUARD, Row::Cancels).await;
    ask(&world, vec![asked(GUARD, false)]).await;
    assert_eq!(stands(&world, 1).0, State::Skipped);
    bulk(&world, Kind::Replay, TO).await;
    assert_eq!(
        ask(&world, vec![asked(GUARD, false)]).await,
        SEND,
        "a person wants it"
    );
    append(&world.journal, 1..2).await;
    let claim = world.claim(1).await.remove(0);
    assert_eq!(world.step(&claim, asking(None, Vec::new())).await, SEND);
    let now = world.clock.steady();
    world.end(&claim, postponed(now)).await;
    let claim = world.claim(1).await.remove(0);
    let step = asking(None, vec![asked(GUARD, false)]);
    assert_eq!(world.step(&claim, step).await, SEND, "it was frozen");
}

#[tokio::test]
async fn what_a_gate_left_parked_goes_when_a_person_asks_and_not_by_a_new_asset_map() {
    let (world, _hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..1).await;
    make(&world, GUARD, Row::Dead).await;
    ask(&world, vec![asked(GUARD, false)]).await;
    assert_eq!(world.journal.unpark_unmapped(TO).await, Ok(0));
    assert_eq!(stands(&world, 1).0, State::Parked);
    bulk(&world, Kind::Replay, TO).await;
    assert_eq!(ask(&world, vec![asked(GUARD, false)]).await, SEND);
}

#[tokio::test]
async fn what_waits_for_a_gate_keeps_its_place_in_its_line() {
    let (world, _hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..2).await;
    let claims = world.claim(2).await;
    let step = || asking(Some("PUMP"), vec![asked(GUARD, true)]);
    assert_eq!(world.step(&claims[0], step()).await, Fate::Settled);
    let alone = asking(Some("PUMP"), Vec::new());
    assert_eq!(world.step(&claims[1], alone).await, Fate::Settled);
    let reason = stands(&world, 2).1;
    assert_eq!(
        reason.as_deref(),
        Some("waits for number 1, which goes first")
    );
    make(&world, GUARD, Row::Cancels).await;
    let claim = world.claim(1).await.remove(0);
    assert_eq!(claim.lease.seq, 1);
    assert_eq!(world.step(&claim, step()).await, Fate::Settled);
    assert_eq!(world.claim(1).await.remove(0).lease.seq, 2);
}

#[tokio::test]
async fn what_waits_can_be_discarded_and_a_lost_lease_is_not_asked_about() {
    let (world, _hand) = manual(&[GUARD, TO]).await;
    append(&world.journal, 0..2).await;
    ask(&world, vec![asked(GUARD, true)]).await;
    bulk(&world, Kind::Discard, TO).await;
    assert_eq!(stands(&world, 1).0, State::Discarded);
    append(&world.journal, 2..3).await;
    let claim = world.claim(1).await.remove(0);
    world.give_back(&claim).await;
    let step = asking(None, vec![asked(GUARD, true)]);
    assert_eq!(world.step(&claim, step).await, Fate::Lost);
    make(&world, GUARD, Row::Delivered).await;
    world.sums();
}

#[derive(Clone, Debug)]
enum Op {
    Append,
    Gate(Row),
    Ask(bool),
    Advance(u64),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    let ends = [
        Row::Delivered,
        Row::Cancels,
        Row::Dead,
        Row::Skipped,
        Row::Pending,
    ];
    prop_oneof![
        2 => Just(Op::Append),
        3 => prop::sample::select(ends.to_vec()).prop_map(Op::Gate),
        4 => any::<bool>().prop_map(Op::Ask),
        1 => (0u64..4).prop_map(Op::Advance),
        1 => Just(Op::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens, sums add up, and at the end nothing waits for a gate that has ended.
    #[test]
    fn nothing_is_left_waiting_for_a_gate_that_has_ended(
        ops in prop::collection::vec(op(), 1..40)
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mut world, hand) = manual(&[GUARD, TO]).await;
            let mut n = 0;
            for op in ops {
                match op {
                    Op::Append => {
                        append(&world.journal, n..n + 1).await;
                        n += 1;
                    }
                    Op::Gate(row) => {
                        let gate = world.sums_of(GUARD);
                        if gate.of(State::Pending) > 0 {
                            make(&world, GUARD, row).await;
                        }
                    }
                    Op::Ask(passes) => {
                        if let Some(claim) = world.claim(1).await.pop() {
                            let step = asking(None, vec![asked(GUARD, passes)]);
                            if world.step(&claim, step).await == SEND {
                                world.end(&claim, Disposition::Delivered).await;
                            }
                        }
                    }
                    Op::Advance(minutes) => hand.advance(Duration::from_mins(minutes)),
                    Op::Reopen => world = world.reopened_for(&[GUARD, TO]).await,
                }
                world.sums();
            }
            while world.sums_of(GUARD).of(State::Pending) > 0 {
                make(&world, GUARD, Row::Delivered).await;
            }
            while let Some(claim) = world.claim(1).await.pop() {
                let step = asking(None, vec![asked(GUARD, true)]);
                if world.step(&claim, step).await == SEND {
                    world.end(&claim, Disposition::Delivered).await;
                }
            }
            let sums = world.sums();
            assert_eq!(sums.of(State::Postponed) + sums.of(State::Pending), 0, "{sums:?}");
        });
    }
}
