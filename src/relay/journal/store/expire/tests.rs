//! What goes, what stays, and that the sums stay true whatever happens.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;
use rusqlite::Connection;

use crate::clock::{Clock, later};
use crate::event::inspection_key;
use crate::relay::journal::read::recount;
use crate::relay::journal::store::{Store, read_sums};
use crate::relay::journal::tests::{LEASE, SEND, TO, World, append, event, registered};
use crate::relay::journal::{
    Appended, Claim, Disposition, Ended, Reader, Registered, State, Step, Sums, Want,
};

const OTHER: &str = "historian";

fn after(days: u64) -> Timestamp {
    later(event(0).received_at, Duration::from_hours(24 * days))
}

/// Lets go of all that is to go then; gives how much that was.
async fn let_go(world: &World, now: Timestamp) -> u64 {
    let (mut gone, mut next) = (0, Some(0));
    while let Some(after) = next {
        let step = world.journal.let_go(after, now).await.unwrap();
        gone += step.gone;
        next = step.next;
    }
    gone
}

async fn deliver(world: &World, limit: usize) {
    for claim in world.claim(limit).await {
        world.end(&claim, Disposition::Delivered).await;
    }
}

#[tokio::test]
async fn what_was_delivered_goes_after_its_time_and_its_dedupe_key_stays() {
    let world = World::new().await;
    append(&world.journal, 0..20).await;
    deliver(&world, 20).await;
    assert_eq!(let_go(&world, after(29)).await, 0);
    assert_eq!(let_go(&world, after(31)).await, 19, "the last one stays");
    assert_eq!(let_go(&world, after(31)).await, 0);
    for world in [world.reopened().await] {
        assert_eq!(world.sums().of(State::Delivered), 20, "it stays counted");
        for n in 0..20 {
            let again = world.journal.append(event(n)).await;
            assert_eq!(again, Ok(Appended::Duplicate));
        }
        let mut reader = Reader::open(world.dir.path()).unwrap();
        assert!(reader.find("run-event-0").unwrap().is_empty());
        assert_eq!(reader.find("run-event-19").unwrap()[0].seq, 20);
        append(&world.journal, 20..21).await;
        assert_eq!(world.claim(1).await[0].lease.seq, 21, "the numbers go on");
    }
}

#[tokio::test]
async fn what_is_not_done_with_never_goes() {
    let world = World::new().await;
    append(&world.journal, 0..6).await;
    let claims = world.claim(4).await;
    let reason = || "because".to_owned();
    for (claim, disposition) in claims.iter().zip([
        Disposition::Delivered,
        Disposition::Dead { reason: reason() },
        crate::relay::journal::tests::postponed(world.clock.steady()),
        Disposition::Parked { reason: reason() },
    ]) {
        world.end(claim, disposition).await;
    }
    let sending = world.claim(1).await;
    assert_eq!(let_go(&world, after(10_000)).await, 1);
    assert_eq!(sending.len(), 1);
    let sums = world.sums();
    assert_eq!((sums.of(State::Dead), sums.of(State::Delivered)), (1, 1));
    deliver(&world, 9).await;
}

#[tokio::test]
async fn an_old_event_behind_many_that_wait_is_reached_step_by_step() {
    let world = World::new().await;
    append(&world.journal, 0..40).await;
    for (n, claim) in world.claim(40).await.iter().enumerate() {
        let end = if n == 30 {
            Disposition::Delivered
        } else {
            Disposition::Dead { reason: "x".into() }
        };
        world.end(claim, end).await;
    }
    let first = world.journal.let_go(0, after(31)).await.unwrap();
    assert_eq!((first.gone, first.next), (0, Some(7)));
    assert_eq!(let_go(&world, after(31)).await, 1);
}

#[tokio::test]
async fn a_new_destination_gets_only_what_is_still_there() {
    let world = World::new().await;
    append(&world.journal, 0..10).await;
    deliver(&world, 8).await;
    assert_eq!(let_go(&world, after(31)).await, 8);
    let world = world.reopened_for(&[TO, OTHER]).await;
    let sums = world.journal.sums().borrow().clone();
    assert_eq!(sums.mistakes(), [""; 0]);
    assert_eq!(
        (sums.destinations[1].kept, sums.destinations[1].expired),
        (2, 8)
    );
    assert_eq!(world.journal.replay_kept(OTHER, 100).await, Ok(2));
    assert_eq!(world.journal.replay_kept(OTHER, 100).await, Ok(0));
    let sums = world.journal.sums().borrow().clone();
    assert_eq!(sums.mistakes(), [""; 0]);
    assert_eq!(
        (sums.destinations[1].kept, sums.destinations[1].expired),
        (0, 8)
    );
}

#[tokio::test]
async fn what_came_to_nothing_and_is_gone_does_not_stand_for_its_inspection() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    let once = Some(inspection_key("orbit", "run-event-0", TO));
    let claims = world.claim(2).await;
    assert_eq!(world.freeze(&claims[0], None, once).await, SEND);
    world.give_back(&claims[0]).await;
    let again = world.claim(1).await.remove(0);
    let reason = "not wanted any more".into();
    let steps = vec![(again.lease, Step::Skip { reason })];
    let at = world.clock.wall();
    world.journal.prepare(steps, at).await.unwrap();
    assert_eq!(let_go(&world, after(31)).await, 1);
    assert_eq!(world.freeze(&claims[1], None, once).await, SEND);
}

#[tokio::test]
async fn the_last_event_of_a_source_outlives_the_notices_after_it() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    for n in 2..5 {
        let notice = crate::event::Event {
            source: crate::event::RELAY.into(),
            ..event(n)
        };
        world.journal.append(notice).await.unwrap();
    }
    deliver(&world, 9).await;
    assert_eq!(let_go(&world, after(31)).await, 3);
    let world = world.reopened().await;
    let last = world.journal.sums().borrow().last_event_at;
    assert_eq!(last, Some(event(0).received_at));
}

/// What happens to a journal.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Appends(usize),
    Tries(usize, usize, End),
    LetsGo(i64),
    ReplaysKept(usize, u64),
    Unparks(usize, i64),
    Reopens([bool; 2]),
}

#[derive(Clone, Copy, Debug)]
enum End {
    Delivered,
    Dead,
    Postponed,
    Released,
    Skipped,
    Parked,
    Waits,
    WaitsForPicture,
}

fn happens() -> impl Strategy<Value = Happens> {
    let end = prop_oneof![
        4 => Just(End::Delivered),
        1 => Just(End::Dead),
        1 => Just(End::Postponed),
        1 => Just(End::Released),
        1 => Just(End::Skipped),
        1 => Just(End::Parked),
        1 => Just(End::Waits),
        1 => Just(End::WaitsForPicture),
    ];
    prop_oneof![
        4 => (1..12usize).prop_map(Happens::Appends),
        5 => (0..2usize, 1..12usize, end).prop_map(|(to, most, end)| Happens::Tries(to, most, end)),
        2 => (0..30i64).prop_map(Happens::LetsGo),
        2 => (0..2usize, 1..9u64).prop_map(|(to, most)| Happens::ReplaysKept(to, most)),
        1 => (0..2usize, 0..20i64).prop_map(|(to, after)| Happens::Unparks(to, after)),
        1 => any::<[bool; 2]>().prop_map(Happens::Reopens),
    ]
}

/// A store on its own, and a clock that shows the number of the next event.
struct Alone {
    dir: tempfile::TempDir,
    store: Option<Store>,
    events: usize,
    clock: Clock,
}

impl Alone {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let connection = Connection::open(dir.path().join("journal.db")).unwrap();
        for migration in [
            include_str!("../../../../../migrations/0001.sql"),
            include_str!("../../../../../migrations/0002.sql"),
            include_str!("../../../../../migrations/0003.sql"),
            include_str!("../../../../../migrations/0004.sql"),
            include_str!("../../../../../migrations/0005.sql"),
            include_str!("../../../../../migrations/0006.sql"),
        ] {
            connection.execute_batch(migration).unwrap();
        }
        let (clock, _hand) = Clock::manual(at(0));
        Self {
            dir,
            store: None,
            events: 0,
            clock,
        }
    }

    fn reopen(&mut self, [first, second]: [bool; 2]) {
        drop(self.store.take());
        let store = open(
            self.dir.path(),
            &self.clock,
            &[(TO, first), (OTHER, second)],
        );
        self.store = Some(store);
    }

    fn commit<T>(&mut self, act: impl FnOnce(&mut Store) -> T) -> T {
        let store = self.store.as_mut().unwrap();
        store.begin().unwrap();
        let value = act(store);
        store.commit().unwrap();
        value
    }

    fn sums(&mut self) -> Sums {
        let store = self.store.as_mut().unwrap();
        let sums = store.memory.sums(&store.connection).unwrap();
        assert_eq!(sums.mistakes(), [""; 0]);
        assert_eq!(
            read_sums(&store.connection).unwrap(),
            sums,
            "as in the tables"
        );
        recount(&store.connection);
        sums
    }

    fn claim(&mut self, to: &str, limit: usize) -> Vec<Claim> {
        let want = Want {
            destination: to.to_owned(),
            limit,
            replays: limit,
            probe: false,
            in_order: false,
            hasten: false,
            worked: Duration::ZERO,
            now: at(0),
            lease: LEASE,
        };
        let known = |store: &Store| store.memory.destinations.iter().any(|d| d.id == to);
        if !known(self.store.as_ref().unwrap()) {
            return Vec::new();
        }
        self.commit(|store| store.claim(&want).unwrap().now)
    }

    fn end(&mut self, claim: &Claim, end: End) {
        let disposition = match end {
            End::Delivered => Disposition::Delivered,
            End::Dead => Disposition::Dead { reason: "x".into() },
            End::Postponed => crate::relay::journal::tests::postponed(at(0)),
            End::Released => {
                self.commit(|store| store.release(&[claim.lease]).unwrap());
                return;
            }
            End::WaitsForPicture => Disposition::Waiting {
                due_at: at(0),
                reason: "x".into(),
            },
            End::Skipped | End::Parked | End::Waits => {
                let reason = "x".into();
                let step = match end {
                    End::Skipped => Step::Skip { reason },
                    End::Parked => Step::Park {
                        reason,
                        map: None,
                        action: None,
                    },
                    _ => Step::Wait {
                        reason,
                        due_at: at(0),
                    },
                };
                let steps = [(claim.lease, step)];
                self.commit(|store| store.prepare(&steps, at(0), at(0)).unwrap());
                return;
            }
        };
        let ended = Ended {
            disposition,
            answer: None,
            hold_until: None,
            order: None,
            cancels: None,
            answer_event: None,
            at: at(0),
        };
        self.commit(|store| store.record(&[(claim.lease, ended)], at(0)).unwrap());
    }

    /// Lets go of all but the `keep` latest; nothing may stay that could go.
    fn let_go(&mut self, keep: i64) {
        let now = i64::try_from(self.events).unwrap();
        let (before, now) = (at(now - keep), at(now));
        let mut next = Some(0);
        while let Some(after) = next {
            next = self.commit(|store| store.let_go(after, before, now).unwrap().next);
        }
        let left: i64 = self
            .store
            .as_ref()
            .unwrap()
            .connection
            .query_row(
                "SELECT count(*) FROM event e WHERE received_at < ?1
                 AND seq < (SELECT max(seq) FROM event)
                 AND EXISTS (SELECT 1 FROM delivery d WHERE d.seq = e.seq)
                 AND NOT EXISTS (SELECT 1 FROM destination t
                     LEFT JOIN delivery d ON d.destination = t.no AND d.seq = e.seq
                     WHERE coalesce(d.state NOT IN ('delivered', 'skipped', 'discarded'),
                         NOT EXISTS (SELECT 1 FROM kept k WHERE k.destination = t.no
                             AND e.seq BETWEEN k.first_seq AND coalesce(k.last_seq, e.seq))))",
                [before.as_millisecond()],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(left, 0, "all that could go is gone");
    }
}

/// When this event came: three in an hour.
fn at(event: i64) -> Timestamp {
    Timestamp::from_second(1_770_000_000 + 1200 * event).unwrap()
}

fn open(dir: &Path, clock: &Clock, destinations: &[(&str, bool)]) -> Store {
    let connection = Connection::open(dir.join("journal.db")).unwrap();
    connection
        .pragma_update(None, "synchronous", "OFF")
        .unwrap();
    connection
        .pragma_update(None, "journal_mode", "MEMORY")
        .unwrap();
    let configured = destinations.iter().filter(|(_, configured)| *configured);
    let registered: Vec<Registered> = configured.map(|(id, _)| registered(id)).collect();
    let mut store = Store::load(connection, &[]).unwrap();
    store.take_over(clock, true, Some(&registered)).unwrap();
    store
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn the_sums_stay_true_and_nothing_that_waits_is_lost(
        history in prop::collection::vec(happens(), 1..60)
    ) {
        let mut alone = Alone::new();
        alone.reopen([true, false]);
        let mut finished = BTreeMap::<&str, u64>::new();
        for happens in history {
            match happens {
                Happens::Appends(n) => {
                    for _ in 0..n {
                        let mut event = event(alone.events);
                        event.received_at = at(i64::try_from(alone.events).unwrap());
                        alone.events += 1;
                        alone.commit(|store| store.append(&event).unwrap());
                    }
                }
                Happens::Tries(to, most, end) => {
                    let to = [TO, OTHER][to];
                    for claim in alone.claim(to, most) {
                        alone.end(&claim, end);
                        if matches!(end, End::Delivered | End::Skipped | End::Dead) {
                            *finished.entry(to).or_default() += 1;
                        }
                    }
                }
                Happens::LetsGo(keep) => alone.let_go(keep),
                Happens::ReplaysKept(to, most) => {
                    let to = [TO, OTHER][to];
                    let waiting = |sums: &Sums| {
                        let of = sums.destinations.iter().find(|d| d.id == to);
                        of.map(|d| (d.waiting(), d.kept, d.expired))
                    };
                    if let Some((before, kept, expired)) = waiting(&alone.sums()) {
                        let made = alone.commit(|store| store.replay_kept(to, most).unwrap());
                        prop_assert_eq!(made == 0, kept == 0);
                        let after = waiting(&alone.sums());
                        prop_assert_eq!(after, Some((before + made, kept - made, expired)));
                    }
                }
                Happens::Unparks(to, after) => {
                    let known = alone.sums().destinations.len();
                    if to < known {
                        let to = [TO, OTHER][to];
                        alone.commit(|store| store.unpark_unmapped(to, after).unwrap());
                    }
                }
                Happens::Reopens(configured) => alone.reopen(configured),
            }
            let sums = alone.sums();
            for destination in &sums.destinations {
                let ended = [State::Delivered, State::Skipped, State::Dead];
                let ended: u64 = ended.into_iter().map(|state| destination.of(state)).sum();
                let known = finished.get(destination.id.as_str()).copied().unwrap_or(0);
                prop_assert_eq!(ended, known);
            }
        }
        alone.reopen([true, true]);
        for to in [TO, OTHER] {
            while alone.commit(|store| store.replay_kept(to, 5).unwrap()) > 0 {}
            while alone.commit(|store| store.unpark_unmapped(to, 0).unwrap()).0 > 0 {}
            loop {
                let claims = alone.claim(to, 10);
                if claims.is_empty() {
                    break;
                }
                for claim in claims {
                    alone.end(&claim, End::Delivered);
                }
            }
        }
        for destination in alone.sums().destinations {
            prop_assert_eq!((destination.waiting(), destination.kept), (0, 0));
        }
    }
}
