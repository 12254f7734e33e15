//! One realistic event of each type that the relay makes, for whoever tries something out.
//!
//! # Invariants
//! - Made by the same functions as what happens, so it has the same form.

use jiff::{SignedDuration, Timestamp};

use super::{
    ANSWER, About, Delivery, End, Found, Own, Pause, Unmapped, after, answer, before, dead, drift,
    found, paused, received, resumed, unmapped,
};
use crate::event::{ALERT, COMPLETED, Event, ORBIT, Origin};

const EVENT: About<'static> = About {
    number: 42,
    source: ORBIT,
    event_type: ALERT,
    id: "9fbd9635-9554-4a53-9c33-20bb97ca63be",
    origin: "webhook",
};

fn delivery(destination: &str) -> Delivery<'_> {
    Delivery {
        event: EVENT,
        destination,
        destination_id: destination,
        delivery: Some("2ce3125f6d3c881abc041ade476ebc53d1344ac6f7bc4c6553e45313930ce745"),
        asset: Some("PUMP-7"),
        attempts: 1,
    }
}

/// A sample of an event of the relay's own, of this time; none where the relay makes none of the
/// type.
pub fn sample(event_type: &str, at: Timestamp) -> Option<Event> {
    let cmms = delivery("cmms");
    let event = if let Some(name) = event_type.strip_prefix(ANSWER) {
        let said = r#"{"answer":{"id":"WO-1234","status":"open"},"taken":{"ticket":"WO-1234"}}"#;
        answer(&delivery(name), said, at)
    } else {
        let took = End {
            dead: false,
            reason: None,
            answer: Some(r#"{"id":"WO-1234"}"#),
        };
        let refused = End {
            dead: true,
            reason: Some("answered 422"),
            answer: Some(r#"{"error":"unknown asset"}"#),
        };
        match Own::of_type(event_type)? {
            Own::Received => received(
                About {
                    event_type: COMPLETED,
                    ..EVENT
                },
                at,
            ),
            Own::BeforeDeliver => before(&cmms, at),
            Own::AfterDeliver => after(&cmms, took, at),
            Own::Dead => dead(&cmms, refused, at),
            Own::Paused => paused(pause("relay", "answered 401"), at),
            Own::Resumed => resumed(pause("ada", "a new token is set"), at),
            Own::Drift => drift(
                Some("5f0c6f0e-7f1c-4f55-9d3c-0a6d3f0c8f11"),
                &["events", "TLS flag"],
                true,
                at,
            ),
            Own::Found => found(
                Found {
                    count: 3,
                    first: at - SignedDuration::from_hours(2),
                    last: at - SignedDuration::from_hours(1),
                    number: 42,
                },
                at,
            ),
            Own::Unmapped => unmapped(
                Unmapped {
                    action: "Pump 7 gauge",
                    mission: Some("Morning round"),
                    robot: Some("spot-3"),
                    map: Some("3f2a9c01"),
                    suggestion: "Pump 7 gauge,",
                },
                at,
            ),
        }
    };
    Some(Event {
        origin: Origin::Sample,
        ..event
    })
}

fn pause<'a>(by: &'a str, why: &'a str) -> Pause<'a> {
    Pause {
        destination: "cmms",
        destination_id: "cmms",
        by,
        why,
        act: 1,
    }
}
