//! What the relay itself says, in the commit of its cause.

use serde_json::Value;

use super::*;
use crate::event::{COMPLETED, RELAY};
use crate::own::{ANSWER, tests::wrong_body};

const GONE: &str = "gone";

async fn saying(says: &[Own]) -> World {
    let dir = tempfile::tempdir().unwrap();
    World::saying(dir, Clock::system(), &[TO], says).await
}

/// The own events, in order, each as its schema has it: types and `data`.
fn said(world: &World) -> Vec<(String, Value)> {
    let mut reader = Reader::open(world.dir.path()).unwrap();
    let mut events = reader.walk(None).unwrap();
    events.reverse();
    let own = events.into_iter().filter(|event| event.source == RELAY);
    let said = own.map(|event| {
        assert_eq!(wrong_body(&event.event_type, &event.body), [""; 0]);
        assert_eq!(event.origin, "relay");
        let mut body: Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!(
            format!("envelope:{}", body["uuid"].as_str().unwrap()),
            event.identity
        );
        (event.event_type, body["data"].take())
    });
    said.collect()
}

fn types(said: &[(String, Value)]) -> Vec<&str> {
    said.iter().map(|(event_type, _)| &**event_type).collect()
}

fn frozen() -> Step {
    freezing(r#"{"delivery":"key-1"}"#, Some("PUMP"), None, None)
}

fn reason() -> String {
    "answered 422".to_owned()
}

/// Claims past own events, which this destination skips, up to the next one of a source.
async fn next(world: &World) -> Claim {
    loop {
        let claim = world.claim(1).await.remove(0);
        if claim.source != RELAY {
            return claim;
        }
        let reason = "not wanted".to_owned();
        assert_eq!(
            world.step(&claim, Step::Skip { reason }).await,
            Fate::Settled
        );
    }
}

/// Each cause once.
async fn live(world: &World) {
    append(&world.journal, 0..4).await;
    for n in 0..4 {
        let claim = next(world).await;
        let step = match n {
            0 | 1 => frozen(),
            2 => Step::Bury { reason: reason() },
            _ => Step::Skip { reason: reason() },
        };
        world.step(&claim, step).await;
        let ended = match n {
            0 => Disposition::Delivered,
            1 => Disposition::Dead { reason: reason() },
            _ => continue,
        };
        let ended = Ended {
            answer: Some("yes".into()),
            ..world.ended(ended)
        };
        let lost = world.journal.record(vec![(claim.lease, ended)]).await;
        assert_eq!(lost, Ok(Vec::new()));
    }
    let at = world.clock.wall();
    for _ in 0..2 {
        world.journal.resume(at, TO, "ada", "none").await.unwrap();
        world
            .journal
            .pause(at, TO, "relay", "401", Some("gone"))
            .await
            .unwrap();
    }
    world.journal.resume(at, TO, "ada", "mended").await.unwrap();
    let missing = |n: usize| {
        let body = format!(r#"{{"time":"2026-02-0{n}T00:00:00Z"}}"#).into_bytes();
        let event = Event {
            origin: Origin::Backfill,
            body,
            ..event(n)
        };
        Missing {
            event,
            covered_by: None,
        }
    };
    for _ in 0..2 {
        let missing = vec![missing(3), missing(7), missing(5)];
        world.journal.append_missing(missing, None).await.unwrap();
    }
}

#[tokio::test]
async fn each_own_event_is_made_with_its_cause_and_none_that_nobody_hears() {
    for (says, times) in [
        (None, 0),
        (Some(Own::Received), 6),
        (Some(Own::BeforeDeliver), 2),
        (Some(Own::AfterDeliver), 3),
        (Some(Own::Dead), 2),
        (Some(Own::Paused), 2),
        (Some(Own::Resumed), 2),
        (Some(Own::Found), 1),
    ] {
        let world = saying(says.as_slice()).await;
        live(&world).await;
        world.sums();
        let said = said(&world);
        let expected = vec![says.map_or("", Own::as_str); times];
        assert_eq!(types(&said), expected);
        assert_eq!(world.journal.says(Own::Found), says == Some(Own::Found));
    }
}

#[tokio::test]
async fn own_events_say_what_they_are_about() {
    let world = saying(&Own::ALL).await;
    live(&world).await;
    world.sums();
    let said = said(&world);
    let of = |own: Own| -> Vec<&Value> {
        let of = said
            .iter()
            .filter(|(event_type, _)| event_type == own.as_str());
        of.map(|(_, data)| data).collect()
    };
    let about = serde_json::json!({
        "number": 1, "source": "orbit", "type": COMPLETED, "id": "run-event-0", "origin": "webhook",
    });
    assert_eq!(of(Own::Received)[0]["event"], about);
    assert_eq!(of(Own::Received)[4]["event"]["origin"], "backfill");
    let before = serde_json::json!({
        "event": about, "destination": TO, "destination_id": TO, "delivery": "key-1",
        "asset": "PUMP",
    });
    assert_eq!(*of(Own::BeforeDeliver)[0], before);
    let after = of(Own::AfterDeliver);
    let ends = |data: &Value| {
        ["outcome", "attempts", "reason", "answer", "delivery"].map(|name| data[name].clone())
    };
    let json = |text: &str| -> [Value; 5] { serde_json::from_str(text).unwrap() };
    assert_eq!(
        ends(after[0]),
        json(r#"["delivered", 1, null, "yes", "key-1"]"#)
    );
    assert_eq!(
        ends(after[1]),
        json(r#"["dead", 1, "answered 422", "yes", "key-1"]"#)
    );
    assert_eq!(
        ends(after[2]),
        json(r#"["dead", 0, "answered 422", null, null]"#)
    );
    assert_eq!(of(Own::Dead)[0]["event"]["id"], "run-event-1");
    assert_eq!(of(Own::Paused)[0]["why"], "401");
    assert_eq!(of(Own::Resumed)[1]["by"], "ada");
    let found = of(Own::Found)[0];
    assert_eq!(
        (&found["count"], &found["first"]),
        (&2.into(), &"2026-02-05T00:00:00Z".into())
    );
    assert_eq!(found["last"], "2026-02-07T00:00:00Z");
}

#[tokio::test]
async fn what_is_given_back_and_frozen_again_is_said_once_and_a_duplicate_is_not_said() {
    let world = saying(&[Own::Received, Own::BeforeDeliver]).await;
    append(&world.journal, 0..1).await;
    for _ in 0..3 {
        let claim = next(&world).await;
        assert_eq!(world.step(&claim, frozen()).await, SEND);
        world.give_back(&claim).await;
        assert_eq!(
            world.journal.append(event(0)).await,
            Ok(Appended::Duplicate)
        );
    }
    assert_eq!(types(&said(&world)), ["event.received", "before:deliver"]);
    world.sums();
}

#[tokio::test]
async fn a_commit_that_fails_leaves_neither_the_cause_nor_what_was_said_of_it() {
    let world = saying(&Own::ALL).await;
    append(&world.journal, 0..1).await;
    let claim = next(&world).await;
    world.step(&claim, frozen()).await;
    let (before, sums) = (said(&world), world.sums());
    let ended = Ended {
        answer_event: Some(r#"{"answer":1,"taken":{}}"#.into()),
        ..world.ended(Disposition::Dead { reason: reason() })
    };
    let lease = claim.lease;
    let now = world.clock.steady();
    let at = world.clock.wall();
    let failed = world.journal.write(move |store| {
        store.append(&event(9))?;
        store.record(&[(lease, ended)], now)?;
        store.pause(at, TO, "ada", "why", None)?;
        Err::<(), _>(StoreError::Sqlite(rusqlite::Error::InvalidQuery))
    });
    assert!(matches!(failed.await, Err(WriteError::Unavailable(_))));
    world.journal.count_duplicate().await.unwrap();
    assert_eq!(said(&world), before);
    assert_eq!(world.sums(), sums);
    world
        .end(&claim, Disposition::Dead { reason: reason() })
        .await;
    assert_eq!(said(&world).len(), before.len() + 2);
}

#[tokio::test]
async fn nothing_is_said_of_own_events_nor_of_samples() {
    let world = saying(&Own::ALL).await;
    let own = crate::own::drift(None, &["events"], true, world.clock.wall());
    let sample = Event {
        origin: Origin::Sample,
        ..event(1)
    };
    for event in [own, sample] {
        world.journal.append(event).await.unwrap();
    }
    for origin in [Origin::Relay, Origin::Sample] {
        let claim = world.claim(1).await.remove(0);
        assert_eq!(claim.origin, origin);
        assert_eq!(world.step(&claim, frozen()).await, SEND);
        let order = NewOrder {
            run_event: "run-event-1".into(),
            key: "key-1".into(),
            title: None,
            answer: None,
            due_at: None,
            asset: None,
            action: None,
            adds: false,
        };
        let ended = Ended {
            order: (origin == Origin::Sample).then(|| Box::new(order)),
            answer_event: Some(r#"{"answer":"x","taken":null}"#.into()),
            ..world.ended(Disposition::Delivered)
        };
        let lost = world.journal.record(vec![(claim.lease, ended)]).await;
        assert_eq!(lost, Ok(Vec::new()));
    }
    let said = said(&world);
    assert_eq!(
        types(&said),
        ["webhook.drift", "answer:integration"],
        "an answer to an own event"
    );
    assert_eq!(said[1].1["event"]["type"], "webhook.drift");
    assert_eq!(world.sums().orders.open, 0);
    let world = world.reopened().await;
    let sums = world.journal.sums().borrow().clone();
    assert_eq!(sums.last_event_at, None, "nobody sent anything");
}

#[tokio::test]
async fn silence_is_orbits_alone_whatever_other_sources_send() {
    let world = saying(&[]).await;
    append(&world.journal, 0..1).await;
    let last = |world: &World| world.journal.sums().borrow().last_event_at;
    let sent = last(&world).unwrap();
    let of_another = Event {
        source: "github".to_owned(),
        received_at: later(sent, Duration::from_hours(1)),
        ..event(1)
    };
    let appended = world.journal.append(of_another).await;
    assert_eq!(appended, Ok(Appended::Accepted(2)));
    assert_eq!(last(&world), Some(sent));
    let world = world.reopened().await;
    let in_ms = |at: Timestamp| at.as_millisecond();
    assert_eq!(
        last(&world).map(in_ms),
        Some(in_ms(sent)),
        "as the tables have it"
    );
}

#[tokio::test]
async fn what_the_relay_says_twice_is_there_once_and_is_no_duplicate_that_somebody_sent() {
    let world = saying(&[]).await;
    let own = || crate::own::drift(None, &["events"], true, Timestamp::UNIX_EPOCH);
    for value in ["first", "second"] {
        let note = Some(("word", value.to_owned()));
        world.journal.say(own(), note).await.unwrap();
    }
    let note = world.journal.note("word").await.unwrap();
    assert_eq!(note.as_deref(), Some("second"));
    world.sums();
    let sums = world.journal.sums().borrow().clone();
    assert_eq!((sums.accepted, sums.duplicate), (1, 0));
}

#[tokio::test]
async fn what_was_given_up_is_told_of_all_but_notices_and_samples() {
    let world = saying(&[]).await;
    let own = |event_type: &str| Event {
        source: RELAY.to_owned(),
        event_type: event_type.to_owned(),
        origin: Origin::Relay,
        ..event(1)
    };
    let sample = Event {
        origin: Origin::Sample,
        ..event(2)
    };
    let answer = own("answer:cmms");
    let notice = Event {
        identity: event(3).identity,
        ..own(crate::event::NOTICE)
    };
    for (event, told_of) in [(event(0), 1), (answer, 1), (notice, 0), (sample, 0)] {
        world.journal.append(event).await.unwrap();
        let before = world.sums().died;
        let claim = world.claim(1).await.remove(0);
        let event_type = claim.event_type.clone();
        let step = Step::Bury { reason: reason() };
        assert_eq!(world.step(&claim, step).await, Fate::Settled);
        let died = world.sums().died - before;
        assert_eq!(died, told_of, "{event_type}");
    }
}

#[tokio::test]
async fn an_answer_is_an_event_whoever_hears_of_the_rest() {
    let world = saying(&[]).await;
    append(&world.journal, 0..2).await;
    for answer in [Some(r#"{"answer":{"id":7},"taken":{"ticket":"7"}}"#), None] {
        let claim = next(&world).await;
        world.step(&claim, frozen()).await;
        let ended = Ended {
            answer_event: answer.map(str::to_owned),
            ..world.ended(Disposition::Delivered)
        };
        world
            .journal
            .record(vec![(claim.lease, ended)])
            .await
            .unwrap();
    }
    let said = said(&world);
    assert_eq!(types(&said), [format!("{ANSWER}{TO}")]);
    let data = &said[0].1;
    assert_eq!(
        (&data["answer"]["id"], &data["taken"]["ticket"]),
        (&7.into(), &"7".into())
    );
    assert_eq!(
        (&data["delivery"], &data["asset"]),
        (&"key-1".into(), &"PUMP".into())
    );
    world.sums();
}

#[tokio::test]
async fn a_full_journal_keeps_of_own_events_what_is_grave() {
    let world = saying(&Own::ALL).await;
    append(&world.journal, 0..1).await;
    let claim = next(&world).await;
    let before = said(&world).len();
    let (lease, now, at) = (claim.lease, world.clock.steady(), world.clock.wall());
    let ended = Ended {
        answer_event: Some(r#"{"answer":1,"taken":{}}"#.into()),
        ..world.ended(Disposition::Dead { reason: reason() })
    };
    let refused = world.journal.write(move |store| {
        store.set_full(Some(GONE.into()));
        store.prepare(&[(lease, frozen())], at, now)?;
        store.record(&[(lease, ended)], now)?;
        store.pause(at, TO, "ada", "why", None)?;
        store.resume(at, TO, "ada", "why")?;
        let drift = crate::own::drift(None, &["events"], true, at);
        let refused = [event(1), drift].map(|event| store.append(&event).unwrap_err().to_string());
        store.set_full(None);
        Ok(refused)
    });
    let full = WriteError::Full(GONE.into()).to_string();
    assert_eq!(refused.await, Ok([full.clone(), full]));
    let said = said(&world);
    assert_eq!(
        types(&said[before..]),
        ["delivery.dead", "destination.paused", "destination.resumed"]
    );
    world.sums();
}
