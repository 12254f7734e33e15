//! How long the journal keeps what was delivered, and how much it takes.

use std::collections::BTreeSet;
use std::time::Duration;

use orbit_relay::relay::journal::{Level, Paused, State};

use crate::world::{Relay, Site, inspection, level, uuid};

const TO: &str = "integration";

/// An inspection that takes two pages of the journal.
fn large(n: usize) -> String {
    let filler = format!(r#""filler":"{}","error":0"#, "x".repeat(4000));
    inspection(n).replace(r#""error":0"#, &filler)
}

async fn pause(relay: &Relay) {
    let paused = Paused {
        at: relay.clock.wall(),
        by: "me".into(),
        why: "a test".into(),
        trouble: None,
    };
    let journal = relay.journal_handle();
    journal.pause_and_revive(TO, paused, vec![]).await.unwrap();
}

async fn resume(relay: &Relay) {
    let at = relay.clock.wall();
    let journal = relay.journal_handle();
    assert!(journal.resume(at, TO, "me", "mended").await.unwrap());
}

/// Posts until one is refused; gives how many were taken, and the words for the journal meanwhile.
async fn post_until_full(relay: &Relay) -> (usize, BTreeSet<String>) {
    let mut words = BTreeSet::new();
    for n in 1..1000 {
        let answer = relay.post(large(n)).await;
        let ready = relay.get("/readyz").await;
        let word = ready.json()["journal"]["status"].clone();
        words.insert(word.as_str().unwrap().to_owned());
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some());
            assert_eq!(ready.status, 503);
            let reason = ready.json()["journal"]["reason"].clone();
            assert!(
                reason.as_str().unwrap().contains("of the 1 MiB"),
                "{reason}"
            );
            return (n - 1, words);
        }
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    panic!("it is never full");
}

#[tokio::test]
async fn a_full_journal_takes_nothing_new_while_what_waits_goes_on_until_there_is_room() {
    let site = Site::with_a_manual_clock().await;
    let site = site.tuned(|config| config.journal_limit = 1 << 20);
    let relay = site.start().await;
    pause(&relay).await;
    let (taken, words) = post_until_full(&relay).await;
    let all = ["filling", "full", "open"].map(str::to_owned);
    assert_eq!(words, all.into());
    relay.accept(large(1)).await;
    let waiting = u64::try_from(taken).unwrap();
    relay.until_there_are(waiting, State::Parked).await;
    let limit = relay.metric("orbit_relay_journal_limit_bytes").await;
    assert!(relay.metric("orbit_relay_journal_bytes").await >= limit);
    let metric = format!(r#"orbit_relay_destination_paused{{destination="{TO}"}}"#);
    assert!(relay.metric(&metric).await > 0.5);

    resume(&relay).await;
    relay.until_there_are(waiting, State::Delivered).await;
    assert_eq!(
        relay.post(large(2000)).await.status,
        503,
        "it is full still"
    );

    site.hand().advance(Duration::from_hours(31 * 24));
    let room = relay.journal_handle().room();
    level(room, "room", |room| room.level == Level::Enough).await;
    relay.accept(large(2000)).await;
    relay.until_there_are(waiting + 1, State::Delivered).await;
    assert_eq!(relay.get("/readyz").await.status, 200);
    assert!(
        relay.journal().len() < 10,
        "what was delivered long ago is gone"
    );
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, [("journal_full".to_owned(), 2)].into());
}

#[tokio::test]
async fn what_was_delivered_goes_after_its_time_and_is_still_a_duplicate() {
    let site = Site::with_a_manual_clock().await;
    let site = site.tuned(|config| config.keep_delivered = Duration::from_hours(24));
    let relay = site.start().await;
    for n in 0..10 {
        relay.accept(inspection(n)).await;
    }
    relay.until_there_are(10, State::Delivered).await;
    site.hand().advance(Duration::from_hours(12));
    relay.accept(inspection(10)).await;
    relay.until_there_are(11, State::Delivered).await;
    site.hand().advance(Duration::from_hours(14));
    let gone = async {
        while relay.journal().len() > 1 {
            site.hand().advance(Duration::from_mins(1));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let gone = tokio::time::timeout(crate::world::BOUND, gone).await;
    gone.expect("it is gone within the bound");
    assert_eq!(relay.delivery(&uuid(10)).state, State::Delivered);
    relay.accept(inspection(3)).await;
    let sums = relay.finish().await;
    assert_eq!((sums.accepted, sums.duplicate), (11, 1));
    assert_eq!(sums.destinations[0].of(State::Delivered), 11);
}
