//! What a filter lists, and that it counts the same.

use super::*;

#[test]
fn each_state_lists_its_own_and_what_has_no_row_is_pending() {
    let world = mixed();
    assert_eq!(world.listed(&states(&[State::Delivered])), ["cmms:1"]);
    assert_eq!(world.listed(&states(&[State::Dead])), ["cmms:2"]);
    assert_eq!(world.listed(&states(&[State::Postponed])), ["cmms:3"]);
    assert_eq!(world.listed(&states(&[State::Sending])), ["cmms:4"]);
    assert_eq!(
        world.listed(&states(&[State::Pending])),
        ["cmms:6", "cmms:5"]
    );
    assert_eq!(world.listed(&states(&[State::Parked])), [""; 0]);
    let two = states(&[State::Dead, State::Pending]);
    assert_eq!(world.listed(&two), ["cmms:6", "cmms:5", "cmms:2"]);
    assert_eq!(world.listed(&states(&[])).len(), 6);
    assert_eq!(world.listed(&Filter::default()).len(), 12);
}

#[test]
fn what_waits_for_a_paused_destination_is_shown_as_parked() {
    let mut world = mixed();
    let paused = world.commit(|store| store.pause(now(), "cmms", "anna", "works", None).unwrap());
    assert!(paused);
    let parked = ["cmms:6", "cmms:5", "cmms:3"];
    assert_eq!(world.listed(&states(&[State::Parked])), parked);
    assert_eq!(world.listed(&states(&[State::Pending])), [""; 0]);
    assert_eq!(world.of_state("cmms", State::Parked), 3);
    world.commit(|store| store.resume(now(), "cmms", "anna", "").unwrap());
    assert_eq!(world.listed(&states(&[State::Parked])), [""; 0]);
    let acts = world.reader().acts("cmms", 20).unwrap();
    let acts: Vec<_> = acts
        .iter()
        .map(|a| (&*a.what, &*a.who, &*a.detail))
        .collect();
    assert_eq!(acts, [("resume", "anna", ""), ("pause", "anna", "works")]);
}

#[test]
fn what_a_removed_destination_still_had_is_shown_as_parked_and_what_comes_is_not_its() {
    let mut world = mixed();
    world.reopen(&["chat"]);
    world.append(3);
    // What was under way is given back at a start.
    let parked = ["cmms:6", "cmms:5", "cmms:4", "cmms:3"];
    assert_eq!(world.listed(&states(&[State::Parked])), parked);
    world.reopen(&TO);
    assert_eq!(
        world.listed(&states(&[State::Pending])),
        ["cmms:6", "cmms:5", "cmms:4"]
    );
}

#[test]
fn asset_type_time_text_and_ids_narrow_a_filter() {
    let world = mixed();
    let with = |change: fn(&mut Filter)| {
        let mut filter = states(&[]);
        change(&mut filter);
        world.listed(&filter)
    };
    let asset = with(|f| f.asset = Some("PUMP-101".into()));
    assert_eq!(asset, ["cmms:4", "cmms:2"]);
    assert_eq!(
        with(|f| f.event_type = Some("ALERT".into())),
        ["cmms:6", "cmms:3"]
    );
    let at = |n: i64| Timestamp::from_second(1_000_000 + n).unwrap();
    let mut between = states(&[]);
    (between.since, between.until) = (Some(at(2)), Some(at(4)));
    assert_eq!(world.listed(&between), ["cmms:3", "cmms:2"]);
    assert_eq!(with(|f| f.text = Some("KÜHLUNG 5!".into())), ["cmms:5"]);
    assert_eq!(with(|f| f.text = Some("because".into())), ["cmms:2"]);
    assert_eq!(with(|f| f.text = Some("EVENT-6".into())), ["cmms:6"]);
    let ids =
        ["cmms:2", "chat:6", "cmms:99", "other:1"].map(|id| id.parse::<DeliveryId>().unwrap());
    let ids = Filter {
        ids: ids.into(),
        ..Filter::default()
    };
    assert_eq!(world.listed(&ids), ["chat:6", "cmms:2"]);
}

#[test]
fn pages_follow_each_other_without_a_gap_even_within_one_event() {
    let world = mixed();
    let all = world.listed(&Filter::default());
    assert_eq!(&all[..3], ["cmms:6", "chat:6", "cmms:5"]);
    for limit in 1..5 {
        let mut pages = Vec::new();
        let mut before = None;
        loop {
            let page = DeliveriesPage {
                filter: Filter::default(),
                before: before.clone(),
                limit,
            };
            let page = world.reader().deliveries(&page).unwrap();
            let Some(last) = page.last() else { break };
            before = Some(last.id.clone());
            pages.extend(page.into_iter().map(|d| d.id.to_string()));
        }
        assert_eq!(pages, all);
    }
}

#[test]
fn a_filter_from_another_version_is_refused_rather_than_widened() {
    assert!(serde_json::from_str::<Filter>(r#"{"states":["dead"]}"#).is_ok());
    assert!(serde_json::from_str::<Filter>(r#"{"states":["dead"],"colour":"red"}"#).is_err());
}

#[test]
fn a_group_is_what_stopped_for_its_reason_in_its_time_and_nothing_else() {
    let mut world = World::new();
    world.append(4);
    let dead = |reason: String| Some(Disposition::Dead { reason });
    world.end("cmms", |seq| match seq {
        1 | 2 => dead(format!("answered 422: no asset A-{seq}")),
        3 => dead("answered 500: no asset A-3".to_owned()),
        _ => None,
    });
    let groups = world.reader().dead_groups(10).unwrap().groups;
    let group = groups.iter().find(|group| group.count == 2).unwrap();
    let shown = Filter {
        stopped: Some(Stopped {
            reason: group.reason.clone(),
            first: group.first,
            last: group.last,
        }),
        ..states(&[State::Dead])
    };
    assert_eq!(world.listed(&shown), ["cmms:2", "cmms:1"]);
    for seconds in [-1, 1] {
        let mut other = shown.clone();
        let stopped = other.stopped.as_mut().unwrap();
        let by = jiff::SignedDuration::from_secs(seconds);
        (stopped.first, stopped.last) = (stopped.first + by, stopped.last + by);
        if seconds < 0 {
            stopped.last = stopped.first;
        }
        assert_eq!(world.listed(&other), [""; 0], "{seconds} s aside");
    }
    let jobs = world.begin(&bulk(Kind::Discard, shown));
    assert_eq!(world.work_off(&jobs), 2);
    assert_eq!(world.of_state("cmms", State::Dead), 1);
}
