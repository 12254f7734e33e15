//! Work orders: what a destination made of an alert, until Orbit has heard that it is closed.
//!
//! # Invariants
//! - A row is made in the commit that records its delivery as delivered, and holds all that is
//!   needed from then on: it keeps no event.
//! - An order is closed once, and Orbit's being told is recorded once.

use jiff::Timestamp;

use super::{Journal, WriteError};

/// An order that a destination made, to be recorded with its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The run event that the alert was about.
    pub run_event: String,
    /// The idempotency key that the destination got.
    pub key: String,
    /// What people know the action by.
    pub title: Option<String>,
    /// What the destination answered, as far as it is kept.
    pub answer: Option<String>,
    /// When it is polled first (steady clock); none where nothing is polled.
    pub due_at: Option<Timestamp>,
    /// The asset that it is about.
    pub asset: Option<String>,
    /// The action that it is about.
    pub action: Option<String>,
    /// Whether it was added to the order that is open about these two.
    pub adds: bool,
}

/// An order that is open, and due to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOrder {
    /// Its number.
    pub no: i64,
    /// Its run event.
    pub run_event: String,
    /// What the destination answered when it took the alert.
    pub answer: Option<String>,
    /// How many polls failed in a row.
    pub tries: u32,
    /// Why the last one did.
    pub why: Option<String>,
}

/// An order that is closed, and of which Orbit has not heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UntoldOrder {
    /// Its number.
    pub no: i64,
    /// Whose it is.
    pub destination: String,
    /// Its run event.
    pub run_event: String,
    /// When it was closed.
    pub closed_at: Timestamp,
    /// How often Orbit could not be told.
    pub tries: u32,
    /// Why not, the last time.
    pub why: Option<String>,
}

/// What is due, and when there is more.
#[derive(Clone, Debug)]
pub struct Due<T> {
    /// What is due now, the longest waiting first.
    pub now: Vec<T>,
    /// When the next one is (steady clock); none when nothing waits.
    pub next_due: Option<Timestamp>,
}

/// By what somebody calls an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderName {
    /// Its number.
    No(i64),
    /// The idempotency key that the destination got.
    Key(String),
    /// Its run event.
    RunEvent(String),
}

/// What closing an order came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// It is closed now.
    Now,
    /// It was closed already.
    Before,
    /// There is none yet: the delivery that may make it is not over.
    TooEarly,
    /// The destination has no such order.
    Unknown,
}

/// An alert that is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// What people know the action by, where that is still known.
    pub title: Option<String>,
    /// Whether an order of it is closed.
    pub closed: bool,
    /// How far it is: `delivered`, `waiting`, `dead`, `discarded`, `skipped`, `kept`, or `gone` by
    /// age.
    pub state: &'static str,
}

/// How many orders a destination has, by how far they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderSums {
    /// The destination's system has not said that they are closed.
    pub open: u64,
    /// It has, and Orbit has not heard of it.
    pub closed: u64,
    /// Orbit has.
    pub told: u64,
}

impl Journal {
    /// Open orders of a destination that are due.
    pub async fn due_orders(
        &self,
        destination: &str,
        now: Timestamp,
        limit: usize,
    ) -> Result<Due<OpenOrder>, WriteError> {
        let destination = destination.to_owned();
        self.write(move |store| store.due_orders(&destination, now, limit))
            .await
    }

    /// Makes open orders due that could not be polled: what they are polled with may be another.
    pub async fn wake_orders(&self, destination: &str) -> Result<(), WriteError> {
        let destination = destination.to_owned();
        self.write(move |store| store.wake_orders(&destination))
            .await
    }

    /// Puts an open order off until then (steady clock), or for good where there is no time; with
    /// why, if it could not be asked for.
    pub async fn put_off_order(
        &self,
        no: i64,
        due_at: Option<Timestamp>,
        why: Option<String>,
    ) -> Result<(), WriteError> {
        self.write(move |store| store.put_off_order(no, due_at, why.as_deref()))
            .await
    }

    /// Records that an order is closed.
    pub async fn close_order(
        &self,
        destination: &str,
        order: OrderName,
        by: &'static str,
        at: Timestamp,
    ) -> Result<Closing, WriteError> {
        let destination = destination.to_owned();
        self.write(move |store| store.close_order(&destination, &order, by, at))
            .await
    }

    /// Closed orders of which Orbit is to hear now.
    pub async fn untold_orders(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Due<UntoldOrder>, WriteError> {
        self.write(move |store| store.untold_orders(now, limit))
            .await
    }

    /// Orbit has heard of it, or needs not: then with why.
    pub async fn order_is_told(
        &self,
        no: i64,
        at: Timestamp,
        why: Option<String>,
    ) -> Result<(), WriteError> {
        self.write(move |store| store.order_is_told(no, at, why.as_deref()))
            .await
    }

    /// Orbit could not be told: again then (steady clock).
    pub async fn order_is_untold(
        &self,
        no: i64,
        due_at: Timestamp,
        why: String,
    ) -> Result<(), WriteError> {
        self.write(move |store| store.order_is_untold(no, due_at, &why))
            .await
    }

    /// The alert about a run event, if it is on record.
    pub async fn alert(&self, run_event: &str) -> Result<Option<Alert>, WriteError> {
        let run_event = run_event.to_owned();
        self.write(move |store| store.alert(&run_event)).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::{Clock, later};
    use crate::event::{ALERT, Event, Identity};
    use crate::relay::journal::tests::{TO, World, event, freezing};
    use crate::relay::journal::{DATABASE, Disposition, Ended, OrderRow, Reader, State};

    const MINUTE: Duration = Duration::from_mins(1);

    fn alert_event(n: usize) -> Event {
        Event {
            event_type: ALERT.into(),
            body: format!(r#"{{"type":"{ALERT}","data":{{"actionName":"Pump {n}"}}}}"#)
                .into_bytes(),
            ..event(n)
        }
    }

    fn order(world: &World, n: usize) -> NewOrder {
        let Identity::RunEvent(run_event) = event(n).identity else {
            panic!()
        };
        NewOrder {
            run_event,
            key: format!("key-{n}"),
            title: Some(format!("Pump {n}")),
            answer: Some(r#"{"id":1}"#.into()),
            due_at: Some(later(world.clock.steady(), 5 * MINUTE)),
            asset: Some("PUMP".into()),
            action: Some(format!("Pump {n}")),
            adds: false,
        }
    }

    /// So many alerts that the destination took, each with its order.
    async fn taken(world: &World, numbers: std::ops::Range<usize>) {
        for n in numbers {
            take(world, n, order(world, n)).await;
        }
    }

    async fn take(world: &World, n: usize, order: NewOrder) {
        world.journal.append(alert_event(n)).await.unwrap();
        let claim = world.claim(1).await.remove(0);
        world.freeze(&claim, None, None).await;
        let ended = Ended {
            order: Some(Box::new(order)),
            ..world.ended(Disposition::Delivered)
        };
        let lost = world.journal.record(vec![(claim.lease, ended)]).await;
        assert_eq!(lost, Ok(Vec::new()));
    }

    async fn close(world: &World, name: OrderName) -> Closing {
        let at = world.clock.wall();
        let closing = world.journal.close_order(TO, name, "hook", at).await;
        closing.unwrap()
    }

    fn rows(world: &World) -> Vec<OrderRow> {
        Reader::open(world.dir.path()).unwrap().orders(100).unwrap()
    }

    fn sums(world: &World) -> [u64; 3] {
        let OrderSums { open, closed, told } = world.sums().orders;
        [open, closed, told]
    }

    async fn due(world: &World) -> Vec<i64> {
        let now = world.clock.steady();
        let due = world.journal.due_orders(TO, now, 100).await.unwrap();
        due.now.iter().map(|order| order.no).collect()
    }

    fn manual() -> (Clock, crate::clock::Hand) {
        Clock::manual(Timestamp::from_second(1_770_000_000).unwrap())
    }

    #[tokio::test]
    async fn an_order_is_made_with_its_delivery_closed_once_and_told_once() {
        let world = World::new().await;
        taken(&world, 0..3).await;
        assert_eq!(sums(&world), [3, 0, 0]);
        let by_key = OrderName::Key("key-0".into());
        assert_eq!(close(&world, by_key.clone()).await, Closing::Now);
        assert_eq!(close(&world, by_key).await, Closing::Before);
        let by_run_event = OrderName::RunEvent("run-event-1".into());
        assert_eq!(close(&world, by_run_event).await, Closing::Now);
        let unknown = OrderName::Key("key-9".into());
        assert_eq!(close(&world, unknown).await, Closing::Unknown);
        assert_eq!(sums(&world), [1, 2, 0]);
        let world = world.reopened().await;
        let now = world.clock.steady();
        let untold = world.journal.untold_orders(now, 100).await.unwrap().now;
        let events: Vec<_> = untold.iter().map(|order| &*order.run_event).collect();
        assert_eq!(events, ["run-event-0", "run-event-1"]);
        let later = later(now, MINUTE);
        world
            .journal
            .order_is_untold(untold[0].no, later, "503".into())
            .await
            .unwrap();
        for _ in 0..2 {
            world
                .journal
                .order_is_told(untold[1].no, now, None)
                .await
                .unwrap();
        }
        assert_eq!(sums(&world), [1, 1, 1]);
        let left = world.journal.untold_orders(now, 100).await.unwrap();
        assert!(left.now.is_empty());
        assert_eq!(
            left.next_due.map(Timestamp::as_second),
            Some(later.as_second())
        );
        assert_eq!(rows(&world)[2].orbit_why.as_deref(), Some("503"));
    }

    #[tokio::test]
    async fn what_was_added_to_an_order_is_closed_with_it_whichever_is_said_to_be_closed() {
        for named in 0..3 {
            let world = World::new().await;
            for (n, adds) in [(0, false), (1, true), (2, true), (3, false)] {
                let action = Some("the same".to_owned());
                let order = NewOrder {
                    action,
                    adds,
                    ..order(&world, n)
                };
                take(&world, n, order).await;
            }
            taken(&world, 4..5).await;
            let name = OrderName::Key(format!("key-{named}"));
            assert_eq!(close(&world, name.clone()).await, Closing::Now);
            assert_eq!(sums(&world), [2, 3, 0]);
            assert_eq!(close(&world, name).await, Closing::Before);
            let world = world.reopened().await;
            assert_eq!(sums(&world), [2, 3, 0]);
        }
    }

    #[tokio::test]
    async fn an_order_that_is_closed_before_its_delivery_is_recorded_is_too_early_and_not_unknown()
    {
        let world = World::new().await;
        let names = || {
            [
                OrderName::Key("key-0".into()),
                OrderName::RunEvent("run-event-0".into()),
            ]
        };
        world.journal.append(alert_event(0)).await.unwrap();
        let claim = world.claim(1).await.remove(0);
        let relay = r#"{"delivery":"key-0"}"#.to_owned();
        world.step(&claim, freezing(&relay, None, None, None)).await;
        for name in names() {
            assert_eq!(close(&world, name).await, Closing::TooEarly);
        }
        // Its answer was lost.
        let again = Disposition::Postponed {
            reason: "timed out".into(),
            due_at: world.clock.steady(),
            not_before: None,
        };
        world.end(&claim, again).await;
        for name in names() {
            assert_eq!(close(&world, name).await, Closing::TooEarly);
        }
        let another = OrderName::Key("key-1".into());
        assert_eq!(close(&world, another).await, Closing::Unknown);
        let claim = world.claim(1).await.remove(0);
        let dead = Disposition::Dead { reason: "x".into() };
        world.end(&claim, dead).await;
        for name in names() {
            assert_eq!(close(&world, name).await, Closing::Unknown);
        }
    }

    #[tokio::test]
    async fn orders_of_an_asset_are_found_by_it_the_newest_first() {
        let world = World::new().await;
        taken(&world, 0..2).await;
        let other = NewOrder {
            asset: Some("VALVE".into()),
            ..order(&world, 2)
        };
        take(&world, 2, other).await;
        let mut reader = Reader::open(world.dir.path()).unwrap();
        let mut of = |asset: &str, limit| {
            let orders = reader.orders_about(asset, limit).unwrap().into_iter();
            orders.map(|order| order.run_event).collect::<Vec<_>>()
        };
        assert_eq!(of("PUMP", 9), ["run-event-1", "run-event-0"]);
        assert_eq!(of("PUMP", 1), ["run-event-1"]);
        assert_eq!(of("VALVE", 9), ["run-event-2"]);
        assert!(of("pump", 9).is_empty());
    }

    #[tokio::test]
    async fn a_try_whose_lease_is_lost_makes_no_order() {
        let world = World::new().await;
        world.journal.append(alert_event(0)).await.unwrap();
        let claim = world.claim(1).await.remove(0);
        world.give_back(&claim).await;
        let ended = Ended {
            order: Some(Box::new(order(&world, 0))),
            ..world.ended(Disposition::Delivered)
        };
        world
            .journal
            .record(vec![(claim.lease, ended)])
            .await
            .unwrap();
        assert_eq!(rows(&world), []);
    }

    #[tokio::test]
    async fn an_open_order_outlives_its_event_and_one_that_orbit_has_heard_of_goes_by_age() {
        let world = World::new().await;
        taken(&world, 0..3).await;
        assert_eq!(rows(&world)[1].seq, 2);
        let name = OrderName::RunEvent("run-event-1".into());
        close(&world, name).await;
        let now = world.clock.wall();
        let told = world
            .journal
            .untold_orders(world.clock.steady(), 9)
            .await
            .unwrap();
        world
            .journal
            .order_is_told(told.now[0].no, now, None)
            .await
            .unwrap();
        let long_after = later(now, 31 * 24 * 60 * MINUTE);
        let gone = world.journal.let_go(0, long_after).await.unwrap();
        assert_eq!(gone.gone, 2, "all but the last event");
        let left: Vec<_> = rows(&world)
            .iter()
            .map(|row| row.run_event.clone())
            .collect();
        assert_eq!(left, ["run-event-2", "run-event-0"]);
        assert_eq!(sums(&world), [2, 0, 0]);
        let alert = world.journal.alert("run-event-0").await.unwrap().unwrap();
        assert_eq!(
            (alert.state, alert.title.as_deref()),
            ("gone", Some("Pump 0"))
        );
        assert_eq!(
            close(&world, OrderName::Key("key-0".into())).await,
            Closing::Now
        );
    }

    #[tokio::test]
    async fn an_alert_says_how_far_it_is() {
        let world = World::new().await;
        let state = async |n: &str| {
            let alert = world.journal.alert(n).await.unwrap();
            alert.map(|alert| (alert.state, alert.closed))
        };
        assert_eq!(state("run-event-0").await, None);
        world.journal.append(alert_event(0)).await.unwrap();
        assert_eq!(state("run-event-0").await, Some(("waiting", false)));
        let claim = world.claim(1).await.remove(0);
        world
            .end(&claim, Disposition::Dead { reason: "x".into() })
            .await;
        assert_eq!(state("run-event-0").await, Some(("dead", false)));
        taken(&world, 1..2).await;
        assert_eq!(state("run-event-1").await, Some(("delivered", false)));
        close(&world, OrderName::Key("key-1".into())).await;
        assert_eq!(state("run-event-1").await, Some(("delivered", true)));
        // One that was only completed is no alert.
        world.journal.append(event(7)).await.unwrap();
        assert_eq!(state("run-event-7").await, None);
    }

    #[tokio::test]
    async fn what_is_due_stays_due_over_a_restart_under_another_clock() {
        let (clock, hand) = manual();
        let world = World::in_dir(tempfile::tempdir().unwrap(), clock).await;
        taken(&world, 0..1).await;
        assert!(due(&world).await.is_empty());
        hand.advance(5 * MINUTE);
        assert_eq!(due(&world).await, [1]);
        let again = later(world.clock.steady(), 10 * MINUTE);
        let why = Some("answered 500".to_owned());
        world
            .journal
            .put_off_order(1, Some(again), why)
            .await
            .unwrap();
        assert!(due(&world).await.is_empty());
        // The wall clock is set back by a day while the relay is away; two minutes go by.
        let World {
            dir,
            journal,
            mut writer,
            ..
        } = world;
        drop(journal);
        writer.ended().await;
        let (clock, hand) = Clock::manual(Timestamp::from_second(1_770_000_000 - 86_400).unwrap());
        let world = World::in_dir(dir, clock).await;
        assert!(due(&world).await.is_empty());
        hand.advance(10 * MINUTE);
        assert_eq!(due(&world).await, [1]);
        world
            .journal
            .put_off_order(1, None, Some("no URL".into()))
            .await
            .unwrap();
        hand.advance(1000 * MINUTE);
        assert!(due(&world).await.is_empty());
        world.journal.wake_orders(TO).await.unwrap();
        assert_eq!(due(&world).await, [1]);
    }

    #[tokio::test]
    async fn a_journal_of_an_earlier_version_is_brought_up_to_date_with_all_that_it_holds() {
        let migrations = [
            include_str!("../../../migrations/0001.sql"),
            include_str!("../../../migrations/0002.sql"),
            include_str!("../../../migrations/0003.sql"),
            include_str!("../../../migrations/0004.sql"),
            include_str!("../../../migrations/0005.sql"),
        ];
        for version in 1..=migrations.len() {
            let dir = tempfile::tempdir().unwrap();
            let connection = rusqlite::Connection::open(dir.path().join(DATABASE)).unwrap();
            for migration in &migrations[..version] {
                connection.execute_batch(migration).unwrap();
            }
            let held = format!(
                "INSERT INTO destination (no, id, cursor) VALUES (1, '{TO}', 1);
                 INSERT INTO event VALUES (1, 'orbit', '{ALERT}', 'run-event-0', 'webhook', 0, X'7B7D'),
                 (2, 'orbit', '{ALERT}', 'run-event-1', 'webhook', 0, X'7B7D');
                 INSERT INTO delivery (destination, seq, state, attempts, due_at, replayed, relay,
                 changed_at) VALUES (1, 1, 'dead', 3, 0, 0, 'frozen', 0);
                 INSERT INTO delivery_sum VALUES (1, 'dead', 1);
                 INSERT INTO event_sum VALUES ('accepted', 2);
                 PRAGMA user_version = {version};"
            );
            connection.execute_batch(&held).unwrap();
            if version >= 3 {
                let order = "INSERT INTO work_order (destination, run_event, seq, key, taken_at)
                     VALUES (1, 'run-event-9', 1, 'key-9', 0)";
                connection.execute(order, []).unwrap();
            }
            drop(connection);
            let world = World::in_dir(dir, Clock::system()).await;
            let sums = world.sums();
            assert_eq!((sums.of(State::Pending), sums.of(State::Dead)), (1, 1));
            assert_eq!(sums.unmapped, 0);
            let claim = world.claim(1).await.remove(0);
            assert_eq!((claim.message.clone(), claim.enrich_since), (None, None));
            world.give_back(&claim).await;
            let alert = world.journal.alert("run-event-1").await.unwrap().unwrap();
            assert_eq!(alert.state, "waiting");
            let orders = rows(&world);
            assert_eq!(orders.len(), usize::from(version >= 3));
            assert!(orders.iter().all(|order| order.asset.is_none()));
            let mut reader = Reader::open(world.dir.path()).unwrap();
            let dead = reader.delivery(&format!("{TO}:1").parse().unwrap());
            let dead = dead.unwrap().unwrap();
            assert_eq!(
                (dead.relay.as_deref(), dead.unmapped),
                (Some("frozen"), false)
            );
            taken(&world, 2..3).await;
        }
    }
}
