//! The contract of the journal, on a real file system. `trouble`: where it cannot be opened or
//! written. `own`: what the relay itself says. `gates`: who is asked first.

mod gates;
mod own;
mod trouble;

use std::path::Path;

use super::*;
use crate::clock::{Clock, later};
use crate::event::{Identity, Origin};

pub(in crate::relay::journal) const LEASE: Duration = Duration::from_mins(1);
pub(in crate::relay::journal) const TO: &str = "integration";

pub(in crate::relay::journal) struct World {
    pub(in crate::relay::journal) dir: tempfile::TempDir,
    pub(in crate::relay::journal) clock: Clock,
    pub(in crate::relay::journal) journal: Journal,
    pub(in crate::relay::journal) writer: Writer,
}

impl World {
    pub(in crate::relay::journal) async fn new() -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), Clock::system()).await
    }

    pub(in crate::relay::journal) async fn in_dir(dir: tempfile::TempDir, clock: Clock) -> Self {
        Self::open(dir, clock, &[TO]).await
    }

    pub(in crate::relay::journal) async fn open(
        dir: tempfile::TempDir,
        clock: Clock,
        destinations: &[&str],
    ) -> Self {
        Self::saying(dir, clock, destinations, &[]).await
    }

    /// Where own events of these kinds are heard.
    pub(in crate::relay::journal) async fn saying(
        dir: tempfile::TempDir,
        clock: Clock,
        destinations: &[&str],
        says: &[Own],
    ) -> Self {
        let (journal, writer) = start(dir.path(), &clock, destinations, says);
        opened(&journal).await;
        Self {
            dir,
            clock,
            journal,
            writer,
        }
    }

    pub(in crate::relay::journal) async fn reopened(self) -> Self {
        self.reopened_for(&[TO]).await
    }

    pub(in crate::relay::journal) async fn reopened_for(self, destinations: &[&str]) -> Self {
        let Self {
            dir,
            clock,
            journal,
            mut writer,
        } = self;
        drop(journal);
        writer.ended().await;
        Self::open(dir, clock, destinations).await
    }

    pub(in crate::relay::journal) async fn claim(&self, limit: usize) -> Vec<Claim> {
        self.claims(limit).await.now
    }

    pub(in crate::relay::journal) async fn claims(&self, limit: usize) -> Claims {
        self.journal.claim(self.want(limit)).await.unwrap()
    }

    pub(in crate::relay::journal) fn want(&self, limit: usize) -> Want {
        Want {
            destination: TO.into(),
            limit,
            replays: limit,
            probe: false,
            in_order: false,
            hasten: false,
            worked: Duration::ZERO,
            now: self.clock.steady(),
            lease: LEASE,
        }
    }

    /// What becomes of a claim that is to be frozen like this.
    pub(in crate::relay::journal) async fn freeze(
        &self,
        claim: &Claim,
        line: Option<&str>,
        once: Option<[u8; 16]>,
    ) -> Fate {
        let step = freezing("frozen", Some("PUMP"), line, once);
        self.step(claim, step).await
    }

    pub(in crate::relay::journal) async fn step(&self, claim: &Claim, step: Step) -> Fate {
        let steps = vec![(claim.lease, step)];
        let at = self.clock.wall();
        self.journal.prepare(steps, at).await.unwrap().remove(0)
    }

    pub(in crate::relay::journal) fn ended(&self, disposition: Disposition) -> Ended {
        Ended {
            disposition,
            answer: None,
            hold_until: None,
            order: None,
            cancels: None,
            answer_event: None,
            at: self.clock.wall(),
        }
    }

    pub(in crate::relay::journal) async fn end(&self, claim: &Claim, disposition: Disposition) {
        let ends = vec![(claim.lease, self.ended(disposition))];
        assert_eq!(self.journal.record(ends).await, Ok(Vec::new()));
    }

    pub(in crate::relay::journal) async fn give_back(&self, claim: &Claim) {
        let leases = vec![claim.lease];
        assert_eq!(self.journal.release(leases).await, Ok(()));
    }

    pub(in crate::relay::journal) fn sums(&self) -> DestinationSums {
        self.sums_of(TO)
    }

    pub(in crate::relay::journal) fn sums_of(&self, destination: &str) -> DestinationSums {
        let sums = self.journal.sums().borrow().clone();
        assert_eq!(sums.mistakes(), [""; 0]);
        let mut read = Reader::open(self.dir.path()).unwrap();
        assert_eq!(read.sums().unwrap(), sums, "memory and tables agree");
        read.recount_hours();
        let mut destinations = sums.destinations.into_iter();
        destinations.find(|d| d.id == destination).unwrap()
    }
}

fn start(dir: &Path, clock: &Clock, destinations: &[&str], says: &[Own]) -> (Journal, Writer) {
    let config = Config {
        data_dir: dir.to_owned(),
        destinations: Some(destinations.iter().map(|d| registered(d)).collect()),
        keep_delivered: Config::KEEP_DELIVERED,
        limit_bytes: Config::LIMIT_BYTES,
        says: says.to_vec(),
    };
    Journal::start(config, clock.clone()).unwrap()
}

pub(in crate::relay::journal) fn registered(id: &str) -> Registered {
    Registered {
        id: id.to_owned(),
        name: id.to_owned(),
    }
}

/// It goes, and no order is open.
pub(in crate::relay::journal) const SEND: Fate = Fate::Send { open: None };

pub(in crate::relay::journal) fn freezing(
    relay: &str,
    asset: Option<&str>,
    line: Option<&str>,
    once: Option<[u8; 16]>,
) -> Step {
    Step::Freeze {
        relay: relay.into(),
        asset: asset.map(str::to_owned),
        line: line.map(str::to_owned),
        once,
        message: None,
        map: None,
        template: None,
        action: None,
        while_open: None,
        gates: Some(Vec::new()),
    }
}

/// Postponed by the schedule, until then.
pub(in crate::relay::journal) fn postponed(due_at: Timestamp) -> Disposition {
    Disposition::Postponed {
        due_at,
        not_before: None,
        reason: "because".into(),
    }
}

async fn opened(journal: &Journal) {
    let mut availability = journal.availability();
    let open = availability.wait_for(|now| *now == Availability::Open);
    tokio::time::timeout(Duration::from_secs(10), open)
        .await
        .unwrap()
        .unwrap();
}

pub(in crate::relay::journal) fn event(n: usize) -> Event {
    Event {
        source: "orbit".into(),
        event_type: "ACTION_COMPLETED".into(),
        identity: Identity::RunEvent(format!("run-event-{n}")),
        origin: Origin::Webhook,
        received_at: Timestamp::from_millisecond(1_770_000_000_000).unwrap(),
        body: format!(r#"{{"type":"ACTION_COMPLETED","n":{n}}}"#).into_bytes(),
    }
}

pub(in crate::relay::journal) async fn append(journal: &Journal, numbers: std::ops::Range<usize>) {
    for n in numbers {
        assert!(matches!(
            journal.append(event(n)).await,
            Ok(Appended::Accepted(_))
        ));
    }
}

#[tokio::test]
async fn an_event_is_kept_with_a_pending_delivery_and_survives_a_restart() {
    let world = World::new().await;
    append(&world.journal, 0..3).await;
    assert_eq!(world.sums().of(State::Pending), 3);
    let world = world.reopened().await;
    assert_eq!(world.sums().of(State::Pending), 3);
    let claims = world.claim(9).await;
    assert_eq!(
        claims.iter().map(|c| c.lease.seq).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(claims[1].body, event(1).body);
    assert_eq!(claims[1].attempt, 1);
}

#[tokio::test]
async fn a_duplicate_is_taken_once_even_in_one_group_and_after_a_restart() {
    let world = World::new().await;
    let appends: Vec<_> = (0..100)
        .map(|_| {
            let journal = world.journal.clone();
            tokio::spawn(async move { journal.append(event(7)).await.unwrap() })
        })
        .collect();
    let mut accepted = 0;
    for append in appends {
        accepted += usize::from(matches!(append.await.unwrap(), Appended::Accepted(_)));
    }
    assert_eq!(accepted, 1);
    let world = world.reopened().await;
    assert_eq!(
        world.journal.append(event(7)).await,
        Ok(Appended::Duplicate)
    );
    assert_eq!(world.journal.sums().borrow().duplicate, 100);
    assert_eq!(world.sums().total(), 1);
}

#[tokio::test]
async fn every_commit_is_synced() {
    let world = World::new().await;
    let answer = world
        .journal
        .write(|store| Ok(store.pragma("synchronous")))
        .await
        .unwrap();
    assert_eq!(answer, "2", "PRAGMA synchronous is FULL");
    let mode = world
        .journal
        .write(|store| Ok(store.pragma("journal_mode")))
        .await
        .unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn each_disposition_gives_its_state_and_the_sums_add_up() {
    let world = World::new().await;
    append(&world.journal, 0..4).await;
    let claims = world.claim(4).await;
    assert_eq!(world.sums().of(State::Sending), 4);
    let due_at = later(world.clock.steady(), Duration::from_hours(1));
    let reason = || "because".to_owned();
    let dispositions = [
        Disposition::Delivered,
        postponed(due_at),
        Disposition::Dead { reason: reason() },
        Disposition::Parked { reason: reason() },
    ];
    for (claim, disposition) in claims.iter().zip(dispositions) {
        let state = disposition.state();
        assert!(State::Sending.may_become(state));
        world.end(claim, disposition).await;
        assert!(world.sums().of(state) > 0, "{state:?}");
    }
    let world = world.reopened().await;
    assert_eq!(world.sums().of(State::Sending), 0);
    assert_eq!(world.sums().of(State::Postponed), 1);
}

#[tokio::test]
async fn an_expired_lease_is_refused_and_its_delivery_is_claimed_again() {
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_770_000_000).unwrap());
    let world = World::in_dir(tempfile::tempdir().unwrap(), clock).await;
    append(&world.journal, 0..1).await;
    let first = world.claim(1).await.remove(0);
    hand.advance(LEASE);
    assert!(
        world.claim(1).await.is_empty(),
        "a lease holds to its last moment"
    );
    hand.advance(Duration::from_millis(1));
    let second = world.claim(1).await.remove(0);
    assert_eq!(second.attempt, 2);
    let late = vec![(first.lease, world.ended(Disposition::Delivered))];
    assert_eq!(world.journal.record(late).await, Ok(vec![first.lease]));
    assert_eq!(world.freeze(&first, None, None).await, Fate::Lost);
    world.end(&second, Disposition::Delivered).await;
    assert_eq!(world.sums().of(State::Delivered), 1);
}

#[tokio::test]
async fn one_lost_lease_does_not_keep_other_ends_from_being_recorded() {
    let world = World::new().await;
    append(&world.journal, 0..3).await;
    let claims = world.claim(3).await;
    world.give_back(&claims[1]).await;
    let ends = claims
        .iter()
        .map(|claim| (claim.lease, world.ended(Disposition::Delivered)));
    let lost = world.journal.record(ends.collect()).await;
    assert_eq!(lost, Ok(vec![claims[1].lease]));
    assert_eq!(world.sums().of(State::Delivered), 2);
    assert_eq!(world.sums().of(State::Pending), 1);
}

#[tokio::test]
async fn a_lease_of_an_earlier_process_is_freed_at_start() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    assert_eq!(world.claim(2).await.len(), 2);
    let world = world.reopened().await;
    assert_eq!(world.sums().of(State::Pending), 2);
    assert_eq!(world.claim(2).await[0].attempt, 2);
}

#[tokio::test]
async fn what_is_frozen_comes_back_at_the_next_try() {
    let world = World::new().await;
    append(&world.journal, 0..1).await;
    let claim = world.claim(1).await.remove(0);
    assert_eq!(claim.frozen, None);
    assert_eq!(world.freeze(&claim, None, None).await, SEND);
    world.give_back(&claim).await;
    assert_eq!(
        world.claim(1).await.remove(0).frozen.as_deref(),
        Some("frozen")
    );
}

#[tokio::test]
async fn a_postponed_delivery_comes_back_when_due_and_next_due_says_when() {
    let (clock, hand) = Clock::manual(Timestamp::from_second(1_770_000_000).unwrap());
    let world = World::in_dir(tempfile::tempdir().unwrap(), clock).await;
    append(&world.journal, 0..1).await;
    let claim = world.claim(1).await.remove(0);
    let due_at = later(world.clock.steady(), Duration::from_secs(10));
    world.end(&claim, postponed(due_at)).await;
    let claims = world.claims(1).await;
    assert!(claims.now.is_empty());
    assert_eq!(claims.next_due, Some(due_at));
    hand.advance(Duration::from_secs(10));
    assert_eq!(world.claim(1).await.len(), 1);
}

#[tokio::test]
async fn due_retries_and_fresh_events_take_turns() {
    let world = World::new().await;
    append(&world.journal, 0..4).await;
    for claim in world.claim(4).await {
        world.give_back(&claim).await;
    }
    append(&world.journal, 4..8).await;
    let claimed: Vec<_> = world.claim(4).await.iter().map(|c| c.lease.seq).collect();
    assert_eq!(
        claimed.iter().filter(|seq| **seq <= 4).count(),
        2,
        "{claimed:?}"
    );
}

#[tokio::test]
async fn a_new_destination_starts_with_now_and_kept_events_wait_to_be_asked_for() {
    let world = World::open(tempfile::tempdir().unwrap(), Clock::system(), &[]).await;
    append(&world.journal, 0..5).await;
    let world = world.reopened().await;
    append(&world.journal, 5..7).await;
    assert_eq!((world.sums().kept, world.sums().of(State::Pending)), (5, 2));
    assert_eq!(world.claim(9).await.len(), 2);
    assert_eq!(world.journal.replay_kept(TO, 3).await, Ok(3));
    assert_eq!((world.sums().kept, world.sums().of(State::Pending)), (2, 3));
    assert_eq!(world.journal.replay_kept(TO, 3).await, Ok(2));
    assert_eq!(world.journal.replay_kept(TO, 3).await, Ok(0));
    let claims = world.claim(9).await;
    assert_eq!(claims.len(), 5);
    assert!(claims.iter().all(|claim| claim.origin == Origin::Replay));
    assert_eq!(world.sums().kept, 0);
}

#[tokio::test]
async fn what_comes_while_a_destination_is_away_is_kept_and_what_it_had_goes_on() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    let world = world.reopened_for(&[]).await;
    append(&world.journal, 2..5).await;
    assert_eq!((world.sums().kept, world.sums().of(State::Parked)), (3, 2));
    assert!(world.sums().removed);
    let world = world.reopened().await;
    append(&world.journal, 5..6).await;
    assert_eq!((world.sums().kept, world.sums().of(State::Pending)), (3, 3));
    let claimed: Vec<_> = world.claim(9).await.iter().map(|c| c.lease.seq).collect();
    assert_eq!(claimed, [1, 2, 6]);
    assert_eq!(world.journal.replay_kept(TO, 100).await, Ok(3));
    assert_eq!(world.claim(9).await.len(), 3);
}

#[tokio::test]
async fn one_kept_event_is_sent_with_an_act_and_the_others_stay_kept() {
    let world = World::open(tempfile::tempdir().unwrap(), Clock::system(), &[]).await;
    append(&world.journal, 0..5).await;
    let world = world.reopened().await;
    append(&world.journal, 5..6).await;
    let at = world.clock.wall();
    let take = |seq| world.journal.take_kept(at, "ann", TO, seq);
    assert_eq!(take(3).await, Ok(true));
    assert_eq!((world.sums().kept, world.sums().of(State::Pending)), (4, 2));
    assert_eq!(take(3).await, Ok(false), "there is a delivery of it now");
    assert_eq!(take(6).await, Ok(false), "it was never kept");
    assert_eq!(take(77).await, Ok(false), "there is no such event");
    let claimed: Vec<_> = world.claim(9).await.iter().map(|c| c.lease.seq).collect();
    assert_eq!(claimed, [3, 6]);
    assert_eq!(world.journal.replay_kept(TO, 9).await, Ok(2));
    assert_eq!(world.journal.replay_kept(TO, 9).await, Ok(2));
    let mut reader = Reader::open(world.dir.path()).unwrap();
    let acts = reader.acts(TO, 9).unwrap();
    let acts: Vec<_> = acts
        .iter()
        .map(|a| (&*a.who, &*a.what, &*a.detail))
        .collect();
    assert_eq!(acts, [("ann", "send", "integration:3")]);
    let id = "integration:3".parse().unwrap();
    let shown = reader.delivery(&id).unwrap().unwrap();
    assert_eq!(shown.act.unwrap().who, "ann");
    let nobody = world.journal.take_kept(at, "ann", "nobody", 1).await;
    assert_eq!(nobody, Err(WriteError::NoDestination("nobody".into())));
}

#[tokio::test]
async fn one_kept_event_above_the_cursor_is_sent_and_the_rest_of_its_range_stays() {
    let world = World::new().await;
    append(&world.journal, 0..1).await;
    let world = world.reopened_for(&[]).await;
    append(&world.journal, 1..4).await;
    let at = world.clock.wall();
    let taken = world.journal.take_kept(at, "ann", TO, 3).await;
    assert_eq!(taken, Ok(false), "it is no longer configured");
    let world = world.reopened().await;
    assert_eq!(world.journal.take_kept(at, "ann", TO, 3).await, Ok(true));
    assert_eq!((world.sums().kept, world.sums().of(State::Pending)), (2, 2));
    let claimed: Vec<_> = world.claim(9).await.iter().map(|c| c.lease.seq).collect();
    assert_eq!(claimed, [1, 3]);
}

#[tokio::test]
async fn a_kept_range_above_the_cursor_takes_nothing_from_what_is_pending_below_it() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    let world = world.reopened_for(&[]).await;
    append(&world.journal, 2..4).await;
    let world = world.reopened().await;
    append(&world.journal, 4..5).await;
    assert_eq!(world.journal.replay_kept(TO, 1).await, Ok(1));
    assert_eq!(world.journal.replay_kept(TO, 9).await, Ok(1));
    assert_eq!((world.sums().kept, world.sums().of(State::Pending)), (0, 5));
    assert_eq!(world.claim(9).await.len(), 5);
    assert_eq!(world.sums().total(), 5);
}

#[tokio::test]
async fn refused_requests_are_added_up() {
    let world = World::new().await;
    let counts: BTreeMap<_, _> = [("too_large".to_owned(), 2)].into();
    world.journal.count_rejected(counts.clone()).await.unwrap();
    world.journal.count_rejected(counts).await.unwrap();
    let world = world.reopened().await;
    let sums = world.journal.sums().borrow().clone();
    assert_eq!(sums.rejected["too_large"], 4);
    assert_eq!(sums.received(), 4);
}
