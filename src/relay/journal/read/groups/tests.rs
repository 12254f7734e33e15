//! What stands together, what is said to be left out, and that nothing else is read.

use super::*;
use crate::clock::Clock;
use crate::event::Event;
use crate::relay::journal::tests::{TO, World, append, event, freezing};
use crate::relay::journal::{Appended, Asked, Claim, Disposition, Fate, Step};

const OTHER: &str = "historian";
const START: i64 = 1_770_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(START + second).unwrap()
}

async fn world(destinations: &[&str]) -> World {
    let (clock, _hand) = Clock::manual(at(0));
    World::open(tempfile::tempdir().unwrap(), clock, destinations).await
}

fn reader(world: &World) -> Reader {
    Reader::open(world.dir.path()).unwrap()
}

async fn claim(world: &World, to: &str, limit: usize) -> Vec<Claim> {
    let mut want = world.want(limit);
    want.destination = to.to_owned();
    world.journal.claim(want).await.unwrap().now
}

/// Ends a claim for this reason, so many seconds after the start.
async fn end(world: &World, claim: &Claim, disposition: Disposition, second: i64) {
    let mut ended = world.ended(disposition);
    ended.at = at(second);
    let lost = world.journal.record(vec![(claim.lease, ended)]).await;
    assert_eq!(lost, Ok(Vec::new()));
}

fn dead(reason: &str) -> Disposition {
    Disposition::Dead {
        reason: reason.to_owned(),
    }
}

/// What is to be sent, unless the guard gave no answer.
fn asking_the_guard() -> Step {
    let mut step = freezing("{}", None, None, None);
    if let Step::Freeze { gates, .. } = &mut step {
        *gates = Some(vec![Asked {
            gate: "guard".into(),
            limit: std::time::Duration::from_mins(1),
            passes: false,
        }]);
    }
    step
}

/// An inspection, a second after the one before.
fn inspection(n: i64, action: Option<&str>, robot: &str, element: &str) -> Event {
    let action = action.map_or(String::new(), |name| format!(r#""actionName":"{name}","#));
    let mut event = event(usize::try_from(n).unwrap());
    event.received_at = at(n);
    event.body = format!(
        r#"{{"type":"ACTION_COMPLETED","data":{{{action}"robotNickname":"{robot}",
            "elementId":"{element}"}}}}"#
    )
    .into_bytes();
    event
}

/// Keeps the inspections, and parks all that a destination has for want of an asset.
async fn unmapped(world: &World, of: &[(Option<&str>, &str, &str)], to: &[&str]) {
    for (action, robot, element) in of {
        let n = reader(world).last_number().unwrap() + 1;
        let event = inspection(n, *action, robot, element);
        assert_eq!(world.journal.append(event).await, Ok(Appended::Accepted(n)));
    }
    for to in to {
        for claim in claim(world, to, 500).await {
            let envelope = Envelope::parse(&claim.body).unwrap();
            let step = Step::Park {
                reason: "no asset".into(),
                map: None,
                action: envelope.data("actionName"),
            };
            assert_eq!(world.step(&claim, step).await, Fate::Settled);
        }
    }
}

#[tokio::test]
async fn what_died_of_the_same_is_one_group_with_its_times_and_its_newest() {
    let world = world(&[TO, OTHER]).await;
    append(&world.journal, 0..5).await;
    let claims = claim(&world, TO, 5).await;
    for (n, reason) in [
        (2, "answered 422: asset A-1"),
        (0, "answered 422: asset A-2"),
        (1, "answered 413"),
        (3, "answered 422: asset B-77"),
    ] {
        let second = 10 * i64::try_from(n).unwrap();
        end(&world, &claims[n], dead(reason), second).await;
    }
    end(&world, &claims[4], Disposition::Delivered, 0).await;
    let of_other = claim(&world, OTHER, 1).await.remove(0);
    end(&world, &of_other, dead("answered 413"), 99).await;
    let found = reader(&world).dead_groups(9).unwrap();
    assert_eq!((found.left_out, found.more), (0, false));
    let seen = |group: &DeadGroup| {
        let (first, last) = (group.first.as_second(), group.last.as_second());
        let newest = group.newest.to_string();
        (
            group.reason.clone(),
            group.count,
            first - START,
            last - START,
            newest,
        )
    };
    let expected = [
        (
            "answered 422: asset …".to_owned(),
            3,
            0,
            30,
            format!("{TO}:4"),
        ),
        ("answered 413".to_owned(), 1, 99, 99, format!("{OTHER}:1")),
        ("answered 413".to_owned(), 1, 10, 10, format!("{TO}:2")),
    ];
    assert_eq!(found.groups.iter().map(seen).collect::<Vec<_>>(), expected);
    let first = reader(&world).dead_groups(1).unwrap();
    assert_eq!(
        (first.groups.len(), first.left_out, first.more),
        (1, 2, false)
    );
}

#[tokio::test]
async fn only_the_newest_are_looked_at_and_that_is_said() {
    let world = world(&[TO, OTHER]).await;
    append(&world.journal, 0..70).await;
    for claim in claim(&world, TO, 70).await {
        let reason = if claim.lease.seq <= 10 { "old" } else { "new" };
        end(&world, &claim, dead(reason), 0).await;
    }
    let found = reader(&world).dead_groups(9).unwrap();
    assert!(found.more);
    assert_eq!((found.groups.len(), found.groups[0].count), (1, 60));
    // Where another destination has some too, each has its share.
    let one = claim(&world, OTHER, 1).await.remove(0);
    end(&world, &one, dead("new"), 0).await;
    let found = reader(&world).dead_groups(9).unwrap();
    let counts = found.groups.iter().map(|group| group.count);
    assert_eq!(counts.collect::<Vec<_>>(), [30, 1]);
}

#[tokio::test]
async fn what_is_parked_says_whether_it_is_itself_or_its_destination() {
    let world = world(&[TO, OTHER, "gone", "guard"]).await;
    append(&world.journal, 0..5).await;
    for claim in claim(&world, "guard", 9).await {
        let reason = format!("answered 422: number {}", claim.lease.seq);
        end(&world, &claim, dead(&reason), 1).await;
    }
    let claims = claim(&world, TO, 4).await;
    for (claim, second) in claims.iter().zip([5, 7, 6]) {
        let steps = vec![(claim.lease, asking_the_guard())];
        let fates = world.journal.prepare(steps, at(second)).await;
        assert_eq!(fates, Ok(vec![Fate::Settled]));
    }
    let paused = world.journal.pause(at(3), OTHER, "anna", "works", None);
    assert_eq!(paused.await, Ok(true));
    let world = world.reopened_for(&[TO, OTHER, "guard"]).await;
    let found = reader(&world).parked_groups(9).unwrap();
    assert_eq!((found.left_out, found.more), (0, false));
    let seen = |group: &HeldGroup| (group.name.clone(), group.held.clone(), group.count);
    let expected = [
        (
            OTHER.to_owned(),
            Held::Paused {
                at: at(3),
                by: "anna".into(),
                why: "works".into(),
            },
            5,
        ),
        ("gone".to_owned(), Held::Removed, 5),
        (
            TO.to_owned(),
            Held::Reason {
                reason: "the gate guard gave no answer: answered 422: number …".into(),
                first: at(5),
                last: at(7),
                newest: format!("{TO}:3").parse().unwrap(),
            },
            3,
        ),
    ];
    assert_eq!(found.groups.iter().map(seen).collect::<Vec<_>>(), expected);
    for destination in world.journal.sums().borrow().destinations.clone() {
        let mine = found
            .groups
            .iter()
            .filter(|g| g.destination == destination.id);
        let parked: u64 = mine.map(|group| group.count).sum();
        assert_eq!(parked, destination.of(State::Parked), "{}", destination.id);
    }
}

#[tokio::test]
async fn events_without_an_asset_are_grouped_by_action_and_counted_once_for_all_destinations() {
    let world = world(&[TO, OTHER]).await;
    let gauge = (Some("Gauge"), "spot-1", "e1");
    let of = [
        gauge,
        (Some("Pump"), "spot-1", "e2"),
        (Some("Gauge"), "spot-2", "e1"),
    ];
    unmapped(&world, &of, &[TO, OTHER]).await;
    unmapped(&world, &[(None, "spot-3", "e9")], &[OTHER]).await;
    let found = reader(&world)
        .unmapped_groups(&AssetMap::empty(), 9)
        .unwrap();
    assert_eq!((found.left_out, found.more), (0, false));
    let of = &found.groups[0];
    assert_eq!(of.subject.action_name.as_deref(), Some("Gauge"));
    assert_eq!(of.subject.robot.as_deref(), Some("spot-2"), "of the newest");
    assert_eq!((of.events, of.deliveries, of.newest), (2, 4, 3));
    assert_eq!((of.first, of.last), (at(1), at(3)));
    assert_eq!(of.destinations.len(), 2);
    assert_eq!(of.line, "Gauge,ASSET-ID-HERE");
    let rest: Vec<_> = found.groups[1..]
        .iter()
        .map(|g| (g.newest, &*g.line))
        .collect();
    assert_eq!(rest, [(4, ",ASSET-ID-HERE"), (2, "Pump,ASSET-ID-HERE")]);
    assert!(found.groups[1].destinations.contains(OTHER));
    let first = reader(&world)
        .unmapped_groups(&AssetMap::empty(), 1)
        .unwrap();
    assert_eq!((first.groups.len(), first.left_out), (1, 2));
}

#[tokio::test]
async fn where_the_map_goes_by_something_else_so_do_the_groups() {
    let world = world(&[TO]).await;
    let of = [
        (Some("Gauge"), "spot-1", "e1"),
        (Some("Gauge"), "spot-1", "e2"),
        (Some("Pump"), "spot-2", "e1"),
    ];
    unmapped(&world, &of, &[TO]).await;
    let map = AssetMap::parse(b"element_id,asset_id\nx,y\n").unwrap();
    let found = reader(&world).unmapped_groups(&map, 9).unwrap();
    let lines = found
        .groups
        .iter()
        .map(|group| (&*group.line, group.events));
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [("e1,ASSET-ID-HERE", 2), ("e2,ASSET-ID-HERE", 1)]
    );
}

#[tokio::test]
async fn every_list_is_read_by_its_index() {
    let world = world(&[TO]).await;
    let reader = reader(&world);
    let plan = |sql: &str| {
        let mut statement = reader
            .0
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(3));
        rows.unwrap()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
            .join("; ")
    };
    for (lane, index) in [
        (Lane::Dead, "delivery_dead"),
        (Lane::Held, "delivery_held"),
        (Lane::Unmapped, "delivery_unmapped"),
    ] {
        for sql in [lane.sql(), lane.has_any()] {
            let sql = sql.replace("?1", "1").replace("?2", "9");
            let plan = plan(&sql);
            assert!(plan.contains(index), "{plan}");
            assert!(!plan.contains("SCAN") && !plan.contains("TEMP"), "{plan}");
        }
    }
}
