//! The contract of filters and of bulk acts, on the store itself: a test drops it where a kill
//! would. `filter`: what a filter lists.

mod filter;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::clock::Clock;
use crate::event::{Event, Identity, Origin};
use crate::relay::journal::open::Opened;
use crate::relay::journal::store::Store;
use crate::relay::journal::tests::{SEND, freezing, registered};
use crate::relay::journal::{
    Config, DeliveriesPage, DeliveryId, Disposition, Ended, Reader, State, Step, Stopped, Sums,
    Want,
};

const TO: [&str; 2] = ["cmms", "chat"];

struct World {
    dir: tempfile::TempDir,
    open: Option<Opened>,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_770_000_000).unwrap()
}

fn want(to: &str, limit: usize) -> Want {
    Want {
        destination: to.to_owned(),
        limit,
        replays: limit,
        probe: false,
        in_order: false,
        hasten: false,
        worked: Duration::ZERO,
        now: now(),
        lease: Duration::from_mins(1),
    }
}

impl World {
    fn new() -> Self {
        Self::of(&TO)
    }

    fn of(destinations: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut world = Self { dir, open: None };
        world.reopen(destinations);
        world
    }

    /// As after a kill: what was not committed is gone.
    fn reopen(&mut self, destinations: &[&str]) {
        self.open = None;
        let config = Config {
            data_dir: self.dir.path().to_owned(),
            destinations: Some(destinations.iter().map(|d| registered(d)).collect()),
            keep_delivered: Config::KEEP_DELIVERED,
            limit_bytes: Config::LIMIT_BYTES,
            says: Vec::new(),
        };
        self.open = Some(Opened::open(&config, &Clock::manual(now()).0, false).unwrap());
    }

    fn store(&mut self) -> &mut Store {
        &mut self.open.as_mut().unwrap().store
    }

    fn commit<T>(&mut self, act: impl FnOnce(&mut Store) -> T) -> T {
        let store = self.store();
        store.begin().unwrap();
        let value = act(store);
        store.commit().unwrap();
        value
    }

    fn append(&mut self, count: i64) {
        self.commit(|store| {
            for _ in 0..count {
                store.append(&event(next_number(store))).unwrap();
            }
        });
    }

    /// Claims all that can be claimed for a destination and ends each as `end` says, if it says.
    fn end(&mut self, to: &str, end: impl Fn(i64) -> Option<Disposition>) {
        self.commit(|store| {
            for claim in store.claim(&want(to, 10_000)).unwrap().now {
                let asset = (claim.lease.seq % 2 == 0).then_some("PUMP-101");
                let step = freezing("{}", asset, None, None);
                let fates = store.prepare(&[(claim.lease, step)], now(), now()).unwrap();
                assert_eq!(fates, [SEND]);
                if let Some(disposition) = end(claim.lease.seq) {
                    let ended = Ended {
                        disposition,
                        answer: None,
                        hold_until: None,
                        order: None,
                        cancels: None,
                        answer_event: None,
                        at: now(),
                    };
                    store.record(&[(claim.lease, ended)], now()).unwrap();
                }
            }
        });
    }

    fn reader(&self) -> Reader {
        Reader::open(self.dir.path()).unwrap()
    }

    fn listed(&self, filter: &Filter) -> Vec<String> {
        let page = DeliveriesPage {
            filter: filter.clone(),
            before: None,
            limit: 10_000,
        };
        let listed = self.reader().deliveries(&page).unwrap();
        let counted = self.reader().count(filter, 3).unwrap();
        assert_eq!(counted.total(), u64::try_from(listed.len()).unwrap());
        listed.into_iter().map(|d| d.id.to_string()).collect()
    }

    fn begin(&mut self, bulk: &Bulk) -> Vec<i64> {
        self.commit(|store| store.begin_bulk(now(), "anna", bulk).unwrap())
    }

    /// Works until nothing is left; gives how many deliveries each job changed.
    fn work_off(&mut self, jobs: &[i64]) -> u64 {
        while self.commit(|store| store.work(now(), false).unwrap()) == Worked::Step {}
        self.done(jobs)
    }

    fn done(&self, jobs: &[i64]) -> u64 {
        let jobs = jobs
            .iter()
            .map(|no| self.reader().job(*no).unwrap().unwrap());
        jobs.map(|job| job.done).sum()
    }

    fn sums(&mut self) -> Sums {
        let sums = self.reader().sums().unwrap();
        assert_eq!(sums.mistakes(), [""; 0]);
        self.reader().recount_hours();
        sums
    }

    fn of_state(&mut self, to: &str, state: State) -> u64 {
        let sums = self.sums();
        let of = sums.destinations.iter().find(|d| d.id == to);
        of.unwrap().of(state)
    }
}

/// The next event's number: what the store has, plus one.
fn next_number(store: &Store) -> i64 {
    store
        .connection()
        .query_row("SELECT coalesce(max(seq), 0) + 1 FROM event", [], |row| {
            row.get(0)
        })
        .unwrap()
}

/// Event `n`: every third is an alert, and each came a second after the one before.
fn event(n: i64) -> Event {
    let event_type = if n % 3 == 0 { "ALERT" } else { "COMPLETED" };
    Event {
        source: "orbit".into(),
        event_type: event_type.into(),
        identity: Identity::RunEvent(format!("run-event-{n}")),
        origin: Origin::Webhook,
        received_at: Timestamp::from_second(1_000_000 + n).unwrap(),
        body: format!(r#"{{"type":"{event_type}","data":{{"text":"Kühlung {n}!"}}}}"#).into_bytes(),
    }
}

fn dead() -> Disposition {
    Disposition::Dead {
        reason: "422 because".into(),
    }
}

fn parked() -> Disposition {
    Disposition::Parked {
        reason: "401".into(),
    }
}

fn postponed() -> Disposition {
    Disposition::Postponed {
        due_at: crate::clock::later(now(), Duration::from_mins(1)),
        not_before: None,
        reason: "503 busy".into(),
    }
}

/// Of six events to `cmms`: 1 delivered, 2 dead, 3 postponed, 4 sending, 5 and 6 without a row.
fn mixed() -> World {
    let mut world = World::new();
    world.append(4);
    world.end("cmms", |seq| match seq {
        1 => Some(Disposition::Delivered),
        2 => Some(dead()),
        3 => Some(postponed()),
        _ => None,
    });
    world.append(2);
    world
}

fn states(states: &[State]) -> Filter {
    Filter {
        destination: Some("cmms".into()),
        states: states.iter().copied().collect(),
        ..Filter::default()
    }
}

fn bulk(kind: Kind, filter: Filter) -> Bulk {
    Bulk {
        kind,
        filter,
        as_sent: false,
    }
}

#[test]
fn a_replay_takes_what_is_dead_unless_it_is_told_otherwise() {
    let mut world = mixed();
    let jobs = world.begin(&bulk(Kind::Replay, states(&[])));
    assert_eq!(world.work_off(&jobs), 1);
    let detail = world.reader().delivery(&"cmms:2".parse().unwrap());
    let detail = detail.unwrap().unwrap();
    assert_eq!(detail.delivery.state, State::Pending);
    assert!(detail.replayed && detail.relay.is_none() && detail.delivery.attempts == 1);
    assert_eq!(detail.act.unwrap().who, "anna");

    let named = Filter {
        ids: ["cmms:1".parse().unwrap()].into(),
        ..Filter::default()
    };
    let mut as_sent = bulk(Kind::Replay, named);
    as_sent.as_sent = true;
    let jobs = world.begin(&as_sent);
    assert_eq!(world.work_off(&jobs), 1);
    let detail = world.reader().delivery(&"cmms:1".parse().unwrap());
    assert_eq!(detail.unwrap().unwrap().relay.as_deref(), Some("{}"));
    world.sums();
}

/// What is told of a delivery: its state, and what is kept of its requests.
fn kept(world: &World, id: &str) -> (State, bool, Option<String>, Option<String>) {
    let detail = world.reader().delivery(&id.parse().unwrap());
    let detail = detail.unwrap().unwrap();
    (
        detail.state,
        detail.unmapped,
        detail.message,
        detail.progress,
    )
}

#[test]
fn a_replay_of_what_failed_keeps_its_progress() {
    let some = |text: &str| Some(text.to_owned());
    for (as_sent, message) in [(false, None), (true, some("requests"))] {
        let mut world = World::of(&["cmms"]);
        world.append(3);
        world.commit(|store| {
            for claim in store.claim(&want("cmms", 3)).unwrap().now {
                let lease = claim.lease;
                let waits = Step::Wait {
                    due_at: now(),
                    reason: "x".into(),
                };
                store.prepare(&[(lease, waits)], now(), now()).unwrap();
            }
            for claim in store.claim(&want("cmms", 3)).unwrap().now {
                let lease = claim.lease;
                store.progress(lease, "done", Some("requests")).unwrap();
                let disposition = match lease.seq {
                    1 => Disposition::Delivered,
                    2 => dead(),
                    _ => {
                        let step = Step::Park {
                            reason: "no asset".into(),
                            map: Some("map-1".into()),
                            action: None,
                        };
                        store.prepare(&[(lease, step)], now(), now()).unwrap();
                        continue;
                    }
                };
                let ended = Ended {
                    disposition,
                    answer: None,
                    hold_until: None,
                    order: None,
                    cancels: None,
                    answer_event: None,
                    at: now(),
                };
                store.record(&[(lease, ended)], now()).unwrap();
            }
        });
        assert_eq!(
            kept(&world, "cmms:3"),
            (State::Parked, true, some("requests"), some("done"))
        );
        let mut replay = bulk(
            Kind::Replay,
            states(&[State::Dead, State::Delivered, State::Parked]),
        );
        replay.as_sent = as_sent;
        let jobs = world.begin(&replay);
        assert_eq!(world.work_off(&jobs), 3);
        assert_eq!(world.sums().destinations[0].unmapped, 0);
        for (id, progress) in [
            ("cmms:1", None),
            ("cmms:2", some("done")),
            ("cmms:3", some("done")),
        ] {
            let expected = (State::Pending, false, message.clone(), progress);
            assert_eq!(kept(&world, id), expected, "{id} {as_sent}");
        }
        let claims = world.commit(|store| store.claim(&want("cmms", 3)).unwrap().now);
        let since: Vec<_> = claims.iter().map(|claim| claim.enrich_since).collect();
        assert_eq!(since, [None, Some(now()), Some(now())]);
    }
}

#[test]
fn a_replay_of_what_is_parked_leaves_what_only_waits_for_its_destination() {
    let mut world = World::of(&["cmms"]);
    world.append(12);
    world.commit(|store| {
        for claim in store.claim(&want("cmms", 10)).unwrap().now {
            let step = Step::Park {
                reason: "no asset".into(),
                map: None,
                action: None,
            };
            let steps = [(claim.lease, step)];
            store.prepare(&steps, now(), now()).unwrap();
        }
        store.pause(now(), "cmms", "anna", "", None).unwrap();
    });
    let parked = states(&[State::Parked]);
    assert_eq!(world.listed(&parked).len(), 12, "as they are shown");
    let mut replay = bulk(Kind::Replay, parked.clone());
    replay.filter.event_type = Some("ALERT".into());
    assert_eq!(world.listed(&replay.effective()).len(), 3);
    let jobs = world.begin(&replay);
    assert_eq!(world.work_off(&jobs), 3);
    assert_eq!(world.sums().destinations[0].unmapped, 7);
    let named = Filter {
        ids: ["cmms:1", "cmms:11"].map(|id| id.parse().unwrap()).into(),
        ..Filter::default()
    };
    let jobs = world.begin(&bulk(Kind::Replay, named));
    assert_eq!(world.work_off(&jobs), 1);
    let jobs = world.begin(&bulk(Kind::Discard, parked));
    assert_eq!(world.work_off(&jobs), 12);
    let sums = world.sums();
    assert_eq!(sums.destinations[0].unmapped, 0);
    assert_eq!(sums.destinations[0].of(State::Discarded), 12);
}

#[test]
fn a_discard_gives_a_row_to_what_has_none_and_leaves_what_is_under_way() {
    let mut world = mixed();
    world.append(40);
    let mut filter = states(&[]);
    filter.event_type = Some("ALERT".into());
    let matching = world.listed(&filter).len();
    let jobs = world.begin(&bulk(Kind::Discard, filter));
    assert_eq!(jobs.len(), 1);
    let done = world.work_off(&jobs);
    assert_eq!(usize::try_from(done).unwrap(), matching);
    assert_eq!(world.of_state("cmms", State::Discarded), done);
    let jobs = world.begin(&bulk(Kind::Discard, states(&[])));
    world.work_off(&jobs);
    assert_eq!(world.of_state("cmms", State::Sending), 1);
    assert_eq!(world.of_state("cmms", State::Delivered), 1);
    assert_eq!(world.of_state("cmms", State::Discarded), 44);
    assert_eq!(world.of_state("chat", State::Pending), 46);
}

#[test]
fn a_bulk_act_leaves_what_came_after_it_was_asked_for() {
    let mut world = mixed();
    let jobs = world.begin(&bulk(Kind::Discard, states(&[State::Pending])));
    world.append(5);
    assert_eq!(world.work_off(&jobs), 2);
    assert_eq!(world.of_state("cmms", State::Pending), 5);
}

#[test]
fn a_job_that_concerns_nothing_is_not_begun() {
    let mut world = World::of(&["cmms"]);
    assert_eq!(world.begin(&bulk(Kind::Replay, states(&[]))), [0; 0]);
    world.append(3);
    assert_eq!(world.begin(&bulk(Kind::Replay, states(&[]))), [0; 0]);
    assert_eq!(
        world.commit(|s| s.work(now(), true).unwrap()),
        Worked::Nothing
    );
}

#[test]
fn a_paced_replay_waits_for_what_it_made_and_leaves_other_destinations_alone() {
    let mut world = World::new();
    world.append(40);
    world.end("cmms", |_| Some(dead()));
    world.end("chat", |_| Some(dead()));
    let mut all = states(&[]);
    all.destination = None;
    let jobs = world.begin(&bulk(Kind::Replay, all));
    assert_eq!(jobs.len(), 2);
    let mut worked = Worked::Step;
    while worked == Worked::Step {
        worked = world.commit(|store| store.work(now(), true).unwrap());
    }
    assert_eq!(worked, Worked::Waits("chat".into()));
    for to in TO {
        let waiting = world.of_state(to, State::Pending);
        assert!((20..27).contains(&waiting), "{to} {waiting}");
    }
    world.end("cmms", |_| Some(Disposition::Delivered));
    assert_eq!(
        world.commit(|store| store.work(now(), true).unwrap()),
        Worked::Step
    );
    world.commit(|store| store.pause(now(), "chat", "anna", "", None).unwrap());
    while world.commit(|store| store.work(now(), true).unwrap()) == Worked::Step {}
    assert_eq!(world.done(&jobs), 80);
}

#[test]
fn what_waits_for_a_discarded_delivery_is_let_go() {
    let mut world = mixed();
    world.commit(|store| {
        let sql = "UPDATE delivery SET waits_for = 2 WHERE destination = 1 AND seq = 3";
        store.connection().execute(sql, []).unwrap();
    });
    let id: DeliveryId = "cmms:3".parse().unwrap();
    let waits = |world: &World| world.reader().delivery(&id).unwrap().unwrap().waits_for;
    assert_eq!(waits(&world), Some(2));
    let jobs = world.begin(&bulk(Kind::Discard, states(&[State::Dead])));
    assert_eq!(world.work_off(&jobs), 1);
    assert_eq!(waits(&world), None);
}

#[test]
fn a_pause_by_a_person_is_not_replaced_by_the_relay() {
    let mut world = World::new();
    let mut pause = |who: &str, trouble| {
        world.commit(|s| s.pause(now(), "cmms", who, "because", trouble).unwrap())
    };
    assert!(pause("relay", Some("refused")));
    assert!(pause("anna", None));
    assert!(!pause("relay", Some("refused")));
    let sums = world.sums();
    assert_eq!(sums.destinations[0].paused.as_ref().unwrap().by, "anna");
}

#[test]
fn a_pause_keeps_what_its_own_transaction_moved_before_it() {
    let mut world = World::new();
    world.append(3);
    world.commit(|store| {
        assert_eq!(store.claim(&want("cmms", 2)).unwrap().now.len(), 2);
        store.pause(now(), "cmms", "anna", "", None).unwrap();
    });
    assert_eq!(world.of_state("cmms", State::Sending), 2);
    assert_eq!(world.of_state("cmms", State::Parked), 1);
}

/// What happens between two steps of a job.
#[derive(Clone, Copy, Debug)]
enum Between {
    Nothing,
    /// Killed in the middle of a step, before its commit.
    Killed,
    /// Killed after it.
    KilledAfter,
    /// What was replayed is tried, and dies again.
    DiesAgain,
}

fn between() -> impl Strategy<Value = Between> {
    prop_oneof![
        3 => Just(Between::Nothing),
        2 => Just(Between::Killed),
        2 => Just(Between::KilledAfter),
        2 => Just(Between::DiesAgain),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_job_cut_short_anywhere_comes_to_each_delivery_exactly_once(
        ends in prop::collection::vec(0..5u8, 1..60),
        fresh in 0..20i64,
        discard: bool,
        narrow: bool,
        happens in prop::collection::vec(between(), 1..30),
    ) {
        let mut world = World::of(&["cmms"]);
        world.append(i64::try_from(ends.len()).unwrap());
        world.end("cmms", |seq| match ends[usize::try_from(seq - 1).unwrap()] {
            0 => Some(Disposition::Delivered),
            1 => Some(postponed()),
            2 => Some(parked()),
            _ => Some(dead()),
        });
        world.append(fresh);
        let kind = if discard { Kind::Discard } else { Kind::Replay };
        let mut filter = states(&[]);
        if narrow {
            filter.event_type = Some("ALERT".into());
        }
        let bulk = bulk(kind, filter);
        let matching: BTreeSet<_> = world.listed(&bulk.effective()).into_iter().collect();
        let jobs = world.begin(&bulk);
        let mut happens = happens.into_iter().cycle();
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 200, "it comes to an end");
            let next = if steps < 100 { happens.next() } else { None };
            if let Some(Between::Killed) = next {
                let store = world.store();
                store.begin().unwrap();
                store.work(now(), false).unwrap();
                world.reopen(&["cmms"]);
                continue;
            }
            if world.commit(|store| store.work(now(), false).unwrap()) == Worked::Nothing {
                break;
            }
            match next {
                Some(Between::KilledAfter) => world.reopen(&["cmms"]),
                Some(Between::DiesAgain) if !discard => world.end("cmms", |seq| {
                    let again = matching.contains(&format!("cmms:{seq}"));
                    Some(if again { dead() } else { parked() })
                }),
                _ => {}
            }
            world.sums();
        }
        prop_assert_eq!(world.done(&jobs), u64::try_from(matching.len()).unwrap());
        let touched: BTreeMap<String, i64> = world
            .store()
            .connection()
            .prepare("SELECT 'cmms:' || seq, act FROM delivery WHERE act IS NOT NULL")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        prop_assert_eq!(touched.keys().cloned().collect::<BTreeSet<_>>(), matching);
    }
}
