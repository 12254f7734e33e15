//! When an hour begins, and what is counted in it.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::clock::Clock;
use crate::relay::journal::tests::{TO, World, append, event};
use crate::relay::journal::{Appended, Claim, Day, Disposition, Reader};

const OTHER: &str = "historian";
/// 2026-02-02 02:40 UTC: the time of the events that other tests append.
const START: i64 = 1_770_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(START + 60 * minutes).unwrap()
}

fn reader(world: &World) -> Reader {
    Reader::open(world.dir.path()).unwrap()
}

fn day(world: &World, now: Timestamp) -> Day {
    let day = reader(world).day(now).unwrap();
    assert_eq!(day.mistakes(), [""; 0]);
    world.sums();
    day
}

/// An event for each of these minutes.
async fn append_at(world: &World, minutes: &[i64]) {
    for minute in minutes {
        let number = reader(world).last_number().unwrap();
        let mut event = event(usize::try_from(number).unwrap());
        event.received_at = at(*minute);
        let appended = world.journal.append(event).await;
        assert_eq!(appended, Ok(Appended::Accepted(number + 1)));
    }
}

/// The hours and how many events each has.
fn hours(world: &World) -> Vec<(String, u64)> {
    let hours = reader(world).hours(Timestamp::MIN).unwrap().into_iter();
    hours
        .map(|hour| (hour.at.strftime("%H:%M").to_string(), hour.accepted))
        .collect()
}

fn named(hours: &[(&str, u64)]) -> Vec<(String, u64)> {
    let hours = hours.iter();
    hours.map(|(at, n)| ((*at).to_owned(), *n)).collect()
}

async fn world() -> World {
    let (clock, _hand) = Clock::manual(at(0));
    World::open(tempfile::tempdir().unwrap(), clock, &[TO, OTHER]).await
}

async fn claimed(world: &World, limit: usize) -> Vec<Claim> {
    world.claim(limit).await
}

#[tokio::test]
async fn an_hour_begins_with_the_first_event_in_it_and_empty_ones_have_no_row() {
    let world = world().await;
    append_at(&world, &[0, 19, 20, 79, 320]).await;
    let expected = named(&[("02:00", 2), ("03:00", 2), ("08:00", 1)]);
    assert_eq!(hours(&world), expected);
    let world = world.reopened_for(&[TO, OTHER]).await;
    append_at(&world, &[321]).await;
    assert_eq!(hours(&world).last().unwrap().1, 2, "it goes on");
}

#[tokio::test]
async fn what_is_kept_a_little_late_counts_in_the_hour_that_is_under_way() {
    let world = world().await;
    append_at(&world, &[20, 19, 21, 18, 11]).await;
    assert_eq!(hours(&world), named(&[("03:00", 5)]));
}

#[tokio::test]
async fn a_clock_that_is_set_back_comes_to_an_hour_again_and_nothing_is_lost() {
    let world = world().await;
    append_at(&world, &[0, 61, 1, 62, 500_000, 63]).await;
    let all: u64 = hours(&world).iter().map(|(_, n)| n).sum();
    assert_eq!(all, 6);
    let expected = named(&[("02:00", 2), ("03:00", 3)]);
    assert_eq!(hours(&world)[..2], expected);
    assert_eq!(
        day(&world, at(63)).accepted,
        6,
        "also what came under a wrong clock"
    );
}

#[tokio::test]
async fn requests_are_counted_since_a_time_of_the_wall_clock() {
    let (clock, hand) = Clock::manual(at(0));
    hand.set_wall(at(90));
    let world = World::open(tempfile::tempdir().unwrap(), clock, &[TO]).await;
    assert_eq!(day(&world, at(100)).requests_since, at(90));
}

#[tokio::test]
async fn the_last_day_is_24_whole_hours_and_the_one_under_way() {
    let world = world().await;
    append_at(&world, &[0, 20, 60, 24 * 60, 24 * 60 + 20]).await;
    let before = day(&world, at(24 * 60));
    assert_eq!(
        (before.since.to_string(), before.accepted),
        ("2026-02-02T02:00:00Z".into(), 5)
    );
    let after = day(&world, at(24 * 60 + 20));
    assert_eq!(
        (after.since.to_string(), after.accepted),
        ("2026-02-02T03:00:00Z".into(), 4)
    );
    assert_eq!(after.requests_since, after.since);
    assert_eq!(day(&world, at(100_000)).accepted, 0);
}

#[tokio::test]
async fn each_hour_follows_what_becomes_of_its_own_events() {
    let world = world().await;
    append_at(&world, &[0, 1, 20, 21, 22]).await;
    let claims = claimed(&world, 4).await;
    let reason = || "because".to_owned();
    world.end(&claims[0], Disposition::Delivered).await;
    world
        .end(&claims[1], Disposition::Dead { reason: reason() })
        .await;
    world.end(&claims[2], Disposition::Delivered).await;
    let found = reader(&world).hours(at(0)).unwrap();
    let states = |n: usize| -> Vec<(&str, u64)> {
        let states = found[n].states.iter().filter(|(_, n)| **n > 0);
        states.map(|(state, n)| (state.as_str(), *n)).collect()
    };
    assert_eq!(states(0), [("pending", 2), ("delivered", 1), ("dead", 1)]);
    assert_eq!(
        states(1),
        [("pending", 4), ("sending", 1), ("delivered", 1)]
    );
    let day = day(&world, at(22));
    let of = &day.destinations[0];
    assert_eq!((of.id.as_str(), of.of(State::Delivered)), (TO, 2));
    assert_eq!((of.waiting(), of.needs_you()), (2, 1));
    assert_eq!(day.destinations[1].of(State::Pending), 5, "without a row");
}

#[tokio::test]
async fn what_waits_for_a_paused_destination_is_parked_in_the_day_too() {
    let world = world().await;
    append_at(&world, &[0, 1]).await;
    let paused = world.journal.pause(at(1), TO, "anna", "works", None);
    assert_eq!(paused.await, Ok(true));
    let day = day(&world, at(1));
    assert_eq!(
        (
            day.destinations[0].needs_you(),
            day.destinations[1].waiting()
        ),
        (2, 2)
    );
    let found = reader(&world).hours(at(0)).unwrap();
    assert_eq!(found[0].states[&State::Parked], 2);
}

#[tokio::test]
async fn requests_that_bring_nothing_new_count_in_their_hour() {
    let (clock, hand) = Clock::manual(at(0));
    let world = World::in_dir(tempfile::tempdir().unwrap(), clock).await;
    append(&world.journal, 0..1).await;
    for _ in 0..2 {
        let again = world.journal.append(event(0)).await;
        assert_eq!(again, Ok(Appended::Duplicate));
    }
    hand.advance(Duration::from_hours(2));
    world.journal.count_duplicate().await.unwrap();
    let rejected: BTreeMap<String, u64> = [("signature".to_owned(), 3)].into();
    world
        .journal
        .count_rejected(rejected.clone())
        .await
        .unwrap();
    let found = reader(&world).hours(at(0)).unwrap();
    let counts = found.iter().map(|h| (h.accepted, h.duplicate, h.rejected));
    assert_eq!(counts.collect::<Vec<_>>(), [(1, 2, 0), (0, 1, 3)]);
    let day = day(&world, at(120));
    assert_eq!((day.duplicate, day.received()), (3, 7));
    assert_eq!(day.rejected, rejected);
}

#[tokio::test]
async fn hours_that_are_too_many_go_with_their_sums() {
    let world = world().await;
    let minutes: Vec<i64> = (0..40).map(|n| n * 60).collect();
    append_at(&world, &minutes).await;
    claimed(&world, 40).await;
    assert_eq!(hours(&world).len(), MOST);
    let rows = world
        .journal
        .write(|store| {
            let sql = "SELECT count(DISTINCT hour) FROM hour_sum";
            Ok(store
                .connection()
                .query_row(sql, [], |row| row.get::<_, i64>(0))?)
        })
        .await;
    assert_eq!(rows, Ok(30));
    assert_eq!(day(&world, at(39 * 60)).accepted, 25);
}

#[tokio::test]
async fn a_rolled_back_hour_was_never_there() {
    let world = world().await;
    append_at(&world, &[0]).await;
    let mut event = event(1);
    event.received_at = at(60);
    let failed = world.journal.write(move |store| -> Result<(), StoreError> {
        store.append(&event)?;
        Err(rusqlite::Error::InvalidQuery.into())
    });
    assert!(failed.await.is_err());
    assert_eq!(hours(&world), named(&[("02:00", 1)]));
    append_at(&world, &[61]).await;
    assert_eq!(hours(&world), named(&[("02:00", 1), ("03:00", 1)]));
    world.sums();
}

/// Takes the hours out again, as a journal of an earlier version has none.
async fn without_hours(world: World) -> World {
    let cleared = world.journal.write(|store| {
        store.connection().execute_batch(
            "DELETE FROM hour_sum; DELETE FROM hour_event; DELETE FROM hour;
             DELETE FROM note WHERE name = 'hours';",
        )?;
        Ok(())
    });
    cleared.await.unwrap();
    world.reopened_for(&[TO, OTHER]).await
}

#[tokio::test]
async fn a_journal_of_an_earlier_version_has_its_last_days_counted() {
    let world = world().await;
    append_at(&world, &[0, 20, 21, 80, 200]).await;
    let claims = claimed(&world, 4).await;
    world.end(&claims[0], Disposition::Delivered).await;
    world.give_back(&claims[1]).await;
    world
        .end(&claims[2], Disposition::Dead { reason: "x".into() })
        .await;
    let (before, found) = (day(&world, at(200)), hours(&world));
    let world = without_hours(world).await;
    assert_eq!(hours(&world), found);
    let mut after = day(&world, at(200));
    assert_eq!(
        after.requests_since,
        at(0),
        "requests are counted from now on"
    );
    // What was being tried is pending after a restart.
    let states = &mut after.destinations[0].states;
    assert_eq!(states[&State::Pending], 3);
    assert_eq!(before.destinations[0].waiting(), 3);
    assert_eq!((after.accepted, after.since), (5, before.since));
}

#[tokio::test]
async fn what_is_older_than_what_is_gone_by_age_is_not_counted() {
    let world = world().await;
    append_at(&world, &[0, 20, 90, 150]).await;
    let mut claims = claimed(&world, 4).await;
    world.end(&claims.remove(1), Disposition::Delivered).await;
    let world = without_hours(world).await;
    world
        .journal
        .write(|store| {
            let sql = "DELETE FROM delivery WHERE seq = 2; DELETE FROM event WHERE seq = 2;
                DELETE FROM hour_sum; DELETE FROM hour; DELETE FROM note WHERE name = 'hours'";
            Ok(store.connection().execute_batch(sql)?)
        })
        .await
        .unwrap();
    let world = world.reopened_for(&[TO, OTHER]).await;
    assert_eq!(hours(&world), named(&[("04:00", 1), ("05:00", 1)]));
    let day = reader(&world).day(at(150)).unwrap();
    assert_eq!(day.mistakes(), [""; 0]);
    assert_eq!(
        (day.since, day.accepted),
        (at(90), 2),
        "and it is said since when"
    );
}

#[tokio::test]
async fn what_was_kept_and_asked_for_adds_up_by_the_hour() {
    let (clock, _hand) = Clock::manual(at(0));
    let world = World::open(tempfile::tempdir().unwrap(), clock, &[TO]).await;
    append_at(&world, &[0, 20, 80]).await;
    for claim in claimed(&world, 2).await {
        world.end(&claim, Disposition::Delivered).await;
    }
    let world = world.reopened_for(&[TO, OTHER]).await;
    append_at(&world, &[81]).await;
    let keep = jiff::SignedDuration::from_hours(24 * 30);
    world.journal.let_go(0, at(10) + keep).await.unwrap();
    assert_eq!(day(&world, at(81)).destinations[1].kept, 3);
    assert_eq!(world.journal.replay_kept(OTHER, 9).await, Ok(2));
    let of = day(&world, at(81)).destinations.remove(1);
    assert_eq!((of.kept, of.expired, of.of(State::Pending)), (0, 1, 3));
}
