//! What Orbit said is kept, what waits spends nothing, what is done is not done twice, and of
//! alerts about the same one makes a ticket.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{Clock, Hand, later};
use crate::event::{ALERT, Event};
use crate::relay::journal::tests::{LEASE, SEND, TO, World, append, event, freezing, postponed};
use crate::relay::journal::{
    Bulk, Claim, DeliveryDetail, Disposition, Ended, Enrichment, Fate, Filter, Kind, NewOrder,
    OrderName, Reader, State, Step, Want, WhileOpen, Worked, WriteError,
};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

async fn manual() -> (World, Hand) {
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_770_000_000).unwrap());
    (
        World::in_dir(tempfile::tempdir().unwrap(), clock).await,
        hand,
    )
}

fn run(text: &str) -> Enrichment {
    Enrichment {
        run: Some(text.into()),
        anomaly: None,
    }
}

fn anomaly(text: &str) -> Enrichment {
    Enrichment {
        run: None,
        anomaly: Some(text.into()),
    }
}

fn detail(world: &World, seq: i64) -> DeliveryDetail {
    let id = format!("{TO}:{seq}").parse().unwrap();
    let mut reader = Reader::open(world.dir.path()).unwrap();
    reader.delivery(&id).unwrap().unwrap()
}

async fn enrichments(world: &World) -> i64 {
    let count = world.journal.write(|store| {
        let sql = "SELECT count(*) FROM enrichment";
        Ok(store.connection().query_row(sql, [], |row| row.get(0))?)
    });
    count.await.unwrap()
}

fn wait(world: &World) -> Step {
    Step::Wait {
        due_at: later(world.clock.steady(), SECOND),
        reason: "Orbit has no anomaly yet".into(),
    }
}

fn park() -> Step {
    Step::Park {
        reason: "no asset".into(),
        map: Some("map-1".into()),
        action: Some("Gauge".into()),
    }
}

#[tokio::test]
async fn what_orbit_said_goes_with_the_event() {
    let world = World::new().await;
    append(&world.journal, 0..3).await;
    let keep = async |said| world.journal.keep_enrichment(said).await.unwrap();
    // Before the first claim, as another destination may have asked.
    keep(vec![(1, run("run")), (2, Enrichment::default())]).await;
    assert_eq!(enrichments(&world).await, 1, "nothing is not kept");
    let claims = world.claim(2).await;
    assert_eq!(claims[0].enrichment, run("run"));
    assert_eq!(claims[1].enrichment, Enrichment::default());
    let both = Enrichment {
        run: Some("another".into()),
        anomaly: Some("anomaly".into()),
    };
    keep(vec![(1, both), (2, anomaly("anomaly"))]).await;
    for claim in &claims {
        world.give_back(claim).await;
    }
    let claims = world.claim(3).await;
    let filled = Enrichment {
        anomaly: Some("anomaly".into()),
        ..run("run")
    };
    assert_eq!(claims[0].enrichment, filled, "what was kept before stays");
    assert_eq!(claims[1].enrichment, anomaly("anomaly"));
    assert_eq!(detail(&world, 1).enrichment, filled);
    world.end(&claims[0], Disposition::Delivered).await;
    let long_after = later(event(0).received_at, 31 * DAY);
    let gone = world.journal.let_go(0, long_after).await.unwrap();
    assert_eq!((gone.gone, enrichments(&world).await), (1, 1));
    keep(vec![(1, run("late"))]).await;
    assert_eq!(enrichments(&world).await, 1, "its event is gone");
}

#[tokio::test]
async fn a_delivery_that_waits_for_orbit_spends_no_try() {
    let (world, hand) = manual().await;
    append(&world.journal, 0..1).await;
    let since = world.clock.steady();
    for round in 0..6_u32 {
        let claim = world.claim(1).await.remove(0);
        assert_eq!((claim.attempt, claim.failures), (1, 0), "{round}");
        assert_eq!(claim.waited, Duration::ZERO);
        let expected = (round > 0).then_some(since);
        assert_eq!(claim.enrich_since, expected, "since the first time");
        if round % 2 == 0 {
            assert_eq!(world.step(&claim, wait(&world)).await, Fate::Settled);
        } else {
            assert_eq!(world.freeze(&claim, None, None).await, SEND);
            let disposition = Disposition::Waiting {
                due_at: later(world.clock.steady(), SECOND),
                reason: "Orbit gave no picture".into(),
            };
            world.end(&claim, disposition).await;
        }
        assert_eq!(world.sums().of(State::Postponed), 1);
        assert!(world.claim(1).await.is_empty(), "not before it is due");
        hand.advance(SECOND);
    }
    let claim = world.claim(1).await.remove(0);
    world.end(&claim, postponed(world.clock.steady())).await;
    let claim = world.claim(1).await.remove(0);
    assert_eq!((claim.attempt, claim.failures), (2, 1), "a try counts");
    let late = world.journal.release(vec![claim.lease]).await;
    assert_eq!(late, Ok(()));
    assert_eq!(world.step(&claim, wait(&world)).await, Fate::Lost);
}

#[tokio::test]
async fn what_waits_for_orbit_is_no_probe_and_is_not_hastened() {
    let (world, hand) = manual().await;
    append(&world.journal, 0..2).await;
    let claims = world.claim(2).await;
    world.step(&claims[0], wait(&world)).await;
    assert!(detail(&world, 1).for_orbit);
    let by_schedule = later(world.clock.steady(), 1000 * SECOND);
    world.end(&claims[1], postponed(by_schedule)).await;
    let probe = async || {
        let want = Want {
            probe: true,
            hasten: true,
            ..world.want(1)
        };
        let claims = world.journal.claim(want).await.unwrap().now;
        let seqs: Vec<_> = claims.iter().map(|claim| claim.lease.seq).collect();
        for claim in claims {
            world.end(&claim, postponed(by_schedule)).await;
        }
        seqs
    };
    assert_eq!(probe().await, [2]);
    assert_eq!(probe().await, [2]);
    hand.advance(SECOND);
    assert_eq!(probe().await, [1], "it is due");
    assert!(!detail(&world, 1).for_orbit);
}

#[tokio::test]
async fn how_long_it_waits_for_orbit_is_known_under_another_clock() {
    let (world, hand) = manual().await;
    append(&world.journal, 0..1).await;
    let claim = world.claim(1).await.remove(0);
    world.step(&claim, wait(&world)).await;
    hand.advance(10 * SECOND);
    let World {
        dir,
        journal,
        mut writer,
        clock,
    } = world;
    let began = clock.wall();
    drop(journal);
    writer.ended().await;
    // The wall clock was set back by a day while the relay was away.
    let set_back = began.checked_sub(DAY).unwrap();
    let (clock, _hand) = Clock::manual(set_back);
    let world = World::in_dir(dir, clock).await;
    let claim = world.claim(1).await.remove(0);
    let since = set_back.checked_sub(10 * SECOND).unwrap();
    assert_eq!(claim.enrich_since, Some(since));
}

#[tokio::test]
async fn parked_without_an_asset_runs_again_when_asked() {
    let world = World::new().await;
    append(&world.journal, 0..20).await;
    let claims = world.claim(20).await;
    for claim in &claims[..18] {
        assert_eq!(world.step(claim, park()).await, Fate::Settled);
    }
    world.end(&claims[18], Disposition::Delivered).await;
    world
        .end(&claims[19], postponed(world.clock.steady()))
        .await;
    let sums = world.sums();
    assert_eq!((sums.of(State::Parked), sums.unmapped), (18, 18));
    let shown = detail(&world, 1);
    assert_eq!((shown.state, shown.unmapped), (State::Parked, true));
    assert_eq!(shown.map.as_deref(), Some("map-1"));
    assert_eq!(shown.delivery.attempts, 0);
    let lines = world.journal.sums().borrow().lines().join("; ");
    assert!(lines.contains("parked: 18 without an asset"), "{lines}");

    let at = world.clock.wall();
    world.journal.pause(at, TO, "me", "", None).await.unwrap();
    let sums = world.sums();
    assert_eq!((sums.of(State::Parked), sums.unmapped), (19, 18));
    world.journal.resume(at, TO, "me", "").await.unwrap();
    let world = world.reopened().await;
    assert_eq!(world.sums().unmapped, 18, "a resume is no asset");
    let claims = world.claim(20).await;
    assert_eq!(claims.len(), 1, "what is parked is not claimed");
    assert_eq!(claims[0].lease.seq, 20);

    assert_eq!(world.journal.unpark_unmapped(TO).await, Ok(18));
    assert_eq!(world.journal.unpark_unmapped(TO).await, Ok(0));
    let sums = world.sums();
    assert_eq!((sums.of(State::Pending), sums.unmapped), (18, 0));
    let again = world.claim(20).await;
    assert_eq!(again.len(), 18);
    assert!(again.iter().all(|claim| claim.attempt == 1));
    world.step(&again[0], park()).await;
    assert_eq!(world.sums().unmapped, 1, "it may be parked again");
    let unknown = world.journal.unpark_unmapped("other").await;
    assert_eq!(unknown, Err(WriteError::NoDestination("other".into())));
}

#[tokio::test]
async fn what_is_parked_without_an_asset_leaves_its_line_and_nobody_waits_for_it() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    let claims = world.claim(2).await;
    assert_eq!(world.freeze(&claims[0], Some("P"), None).await, SEND);
    assert_eq!(
        world.freeze(&claims[1], Some("P"), None).await,
        Fate::Settled
    );
    world.end(&claims[0], postponed(world.clock.steady())).await;
    let first = world.claim(9).await.remove(0);
    assert_eq!(world.step(&first, park()).await, Fate::Settled);
    let second = world.claim(9).await.remove(0);
    assert_eq!(second.lease.seq, 2);
    assert_eq!(world.freeze(&second, Some("P"), None).await, SEND);
}

#[tokio::test]
async fn progress_is_durable_before_the_next_step() {
    let (world, hand) = manual().await;
    append(&world.journal, 0..1).await;
    let claim = world.claim(1).await.remove(0);
    let step = Step::Freeze {
        relay: "{}".into(),
        asset: None,
        line: None,
        once: None,
        message: Some("two requests".into()),
        map: Some("map-1".into()),
        template: Some("template-1".into()),
        action: Some("Gauge".into()),
        while_open: None,
        gates: Some(Vec::new()),
    };
    assert_eq!(world.step(&claim, step).await, SEND);
    let note = async |claim: &Claim, text: &str, message: Option<&str>| {
        let (text, message) = (text.to_owned(), message.map(str::to_owned));
        world.journal.progress(claim.lease, text, message).await
    };
    assert_eq!(note(&claim, "first", None).await, Ok(()));
    let shown = detail(&world, 1);
    assert_eq!(shown.progress.as_deref(), Some("first"), "others read it");
    assert_eq!(shown.message.as_deref(), Some("two requests"));
    let versions = (shown.map.as_deref(), shown.template.as_deref());
    assert_eq!(versions, (Some("map-1"), Some("template-1")));
    assert_eq!(note(&claim, "second", Some("three requests")).await, Ok(()));
    hand.advance(LEASE + SECOND);
    let next = world.claim(1).await.remove(0);
    assert_eq!(next.progress.as_deref(), Some("second"));
    let late = note(&claim, "late", None).await;
    assert_eq!(late, Err(WriteError::LeaseLost(1)));
    // What is frozen again keeps what is not given anew.
    assert_eq!(world.freeze(&next, None, None).await, SEND);
    let world = world.reopened().await;
    let claim = world.claim(1).await.remove(0);
    assert_eq!(claim.progress.as_deref(), Some("second"));
    assert_eq!(claim.message.as_deref(), Some("three requests"));
}

fn alert(n: usize) -> Event {
    Event {
        event_type: ALERT.into(),
        ..event(n)
    }
}

fn about(asset: Option<&str>, action: Option<&str>, skip: bool) -> Step {
    let line = format!("{asset:?} {action:?}");
    let Step::Freeze {
        relay,
        asset: frozen,
        line,
        ..
    } = freezing("{}", asset, Some(&line), None)
    else {
        panic!()
    };
    Step::Freeze {
        relay,
        asset: frozen,
        line,
        once: None,
        message: None,
        map: None,
        template: None,
        action: action.map(str::to_owned),
        while_open: Some(WhileOpen {
            asset: asset.map(str::to_owned),
            action: action.map(str::to_owned),
            skip,
        }),
        gates: Some(Vec::new()),
    }
}

/// The destination took alert `n`, and made a ticket of it.
async fn makes(world: &World, claim: &Claim, asset: Option<&str>, action: Option<&str>) {
    let order = NewOrder {
        adds: false,
        run_event: claim.identity.clone(),
        key: format!("key-{}", claim.lease.seq),
        title: None,
        answer: Some(format!(r#"{{"id":{}}}"#, claim.lease.seq)),
        due_at: None,
        asset: asset.map(str::to_owned),
        action: action.map(str::to_owned),
    };
    let ended = Ended {
        order: Some(Box::new(order)),
        cancels: None,
        answer_event: None,
        ..world.ended(Disposition::Delivered)
    };
    let lost = world.journal.record(vec![(claim.lease, ended)]).await;
    assert_eq!(lost, Ok(Vec::new()));
}

#[tokio::test]
async fn two_alerts_at_once_make_one_ticket() {
    for skip in [true, false] {
        let (pump, gauge) = (Some("PUMP"), Some("Gauge"));
        let world = World::new().await;
        for n in 0..4 {
            world.journal.append(alert(n)).await.unwrap();
        }
        let claims = world.claim(4).await;
        // The second goes first, as one that is sent again may; then the first must wait for it.
        assert_eq!(world.step(&claims[1], about(pump, gauge, skip)).await, SEND);
        for n in [0, 2] {
            let fate = world.step(&claims[n], about(pump, gauge, skip)).await;
            assert_eq!(fate, Fate::Settled);
        }
        let other = world.step(&claims[3], about(pump, Some("Valve"), skip));
        assert_eq!(other.await, SEND, "it is about something else");
        assert_eq!(world.sums().of(State::Postponed), 2);
        // A try that failed may have made the ticket: its turn is not over.
        world.end(&claims[1], postponed(world.clock.steady())).await;
        let claim = world.claim(9).await;
        assert_eq!(claim.len(), 1, "the others wait");
        let claim = &claim[0];
        assert_eq!(world.step(claim, about(pump, gauge, skip)).await, SEND);
        makes(&world, claim, pump, gauge).await;
        let later = world.claim(9).await;
        assert_eq!(later.len(), 2);
        if skip {
            for claim in &later {
                let fate = world.step(claim, about(pump, gauge, skip)).await;
                assert_eq!(fate, Fate::Settled);
                let reason = detail(&world, claim.lease.seq).delivery.reason;
                let expected = "the ticket of number 2 is still open";
                assert_eq!(reason.as_deref(), Some(expected));
            }
            assert_eq!(world.sums().of(State::Skipped), 2);
        } else {
            let open = Fate::Send {
                open: Some(r#"{"id":2}"#.into()),
            };
            let first = world.step(&later[0], about(pump, gauge, skip)).await;
            assert_eq!(first, open);
            let second = world.step(&later[1], about(pump, gauge, skip)).await;
            assert_eq!(second, Fate::Settled, "one at a time");
            world.end(&later[0], Disposition::Delivered).await;
            let second = world.claim(9).await.remove(0);
            assert_eq!(world.step(&second, about(pump, gauge, skip)).await, open);
        }
        assert_eq!(world.sums().orders.open, 1);
    }
}

#[tokio::test]
async fn an_open_ticket_is_about_the_same_where_asset_and_action_are_the_same() {
    let world = World::new().await;
    for n in 0..10 {
        world.journal.append(alert(n)).await.unwrap();
    }
    let claims = world.claim(10).await;
    let tickets = [
        (Some("PUMP"), Some("Gauge")),
        (None, Some("Gauge")),
        (Some("PUMP"), None),
        (None, None),
    ];
    for (claim, (asset, action)) in claims.iter().zip(tickets) {
        makes(&world, claim, asset, action).await;
    }
    let open = |seq: i64| Fate::Send {
        open: Some(format!(r#"{{"id":{seq}}}"#)),
    };
    let cases = [
        (tickets[0], open(1)),
        (tickets[1], open(2)),
        (tickets[2], open(3)),
        (tickets[3], SEND),
        ((Some("VALVE"), Some("Gauge")), SEND),
    ];
    for (claim, ((asset, action), expected)) in claims[4..].iter().zip(cases) {
        let fate = world.step(claim, about(asset, action, false)).await;
        assert_eq!(fate, expected, "{asset:?} {action:?}");
        world.end(claim, Disposition::Delivered).await;
    }
    // One that is closed is none.
    let close = |seq: i64| {
        let key = OrderName::Key(format!("key-{seq}"));
        let at = world.clock.wall();
        world.journal.close_order(TO, key, "hook", at)
    };
    close(1).await.unwrap();
    let last = &claims[9];
    let step = about(Some("PUMP"), Some("Gauge"), false);
    assert_eq!(world.step(last, step).await, SEND);
    makes(&world, last, Some("PUMP"), Some("Gauge")).await;
    // Its own, of when it was sent before, is none either.
    let replay = Bulk {
        kind: Kind::Replay,
        filter: Filter {
            ids: [format!("{TO}:10").parse().unwrap()].into(),
            ..Filter::default()
        },
        as_sent: false,
    };
    let at = world.clock.wall();
    world.journal.begin(at, "me", replay).await.unwrap();
    while world.journal.work(at, false).await.unwrap() == Worked::Step {}
    let again = world.claim(1).await.remove(0);
    let step = about(Some("PUMP"), Some("Gauge"), true);
    assert_eq!(world.step(&again, step).await, SEND);
}
