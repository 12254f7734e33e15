//! Makes an event of what Orbit has on record.
//!
//! # Invariants
//! - Pure. `data` is the run event's own text; the same run event gives the same bytes each time.
//! - The event has the identity that the webhook's own would have.

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::event::{ALERT, COMPLETED, Event, ORBIT, Origin};
use crate::relay::journal::Missing;

/// The event of a run event; none where it has no id.
pub(super) fn missing(
    run_event: &RawValue,
    event_type: &str,
    received_at: Timestamp,
) -> Option<Missing> {
    let event = Event::of_run_event(run_event.get(), event_type, Origin::Backfill, received_at)?;
    let covered_by = (event_type == COMPLETED).then(|| event.identity.dedupe_key(ORBIT, ALERT));
    Some(Missing { event, covered_by })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Identity;

    fn of(text: &str, event_type: &str) -> Option<Missing> {
        let raw: Box<RawValue> = serde_json::from_str(text).unwrap();
        missing(&raw, event_type, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_backfilled_event_has_the_run_events_own_bytes_and_an_id_made_of_its_key() {
        let data = r#"{"uuid":"r","createdAt":"2026-02-03T09:14:06.9Z","n":[1e400,0.00005],"a":"Kühlung \u0041"}"#;
        let found = of(data, COMPLETED).unwrap();
        let again = of(data, COMPLETED).unwrap();
        assert_eq!(found.event.body, again.event.body);
        let body = String::from_utf8(found.event.body.clone()).unwrap();
        insta::assert_snapshot!(body, @r#"{"uuid":"a05be901-d800-5f49-af2e-55420f98ab10","type":"ACTION_COMPLETED","time":"2026-02-03T09:14:06.9Z","data":{"uuid":"r","createdAt":"2026-02-03T09:14:06.9Z","n":[1e400,0.00005],"a":"Kühlung \u0041"}}"#);
        assert!(body.ends_with(&format!(r#""data":{data}}}"#)));
        assert_eq!(found.event.identity, Identity::RunEvent("r".into()));
        assert_eq!(found.event.origin, Origin::Backfill);
        let alert = of(data, ALERT).unwrap();
        assert_ne!(alert.event.body, found.event.body);
    }

    #[test]
    fn a_stored_alert_covers_the_completed_event_and_never_the_reverse() {
        let completed = of(r#"{"uuid":"r"}"#, COMPLETED).unwrap();
        let alert = of(r#"{"uuid":"r"}"#, ALERT).unwrap();
        assert_eq!(completed.covered_by, Some(alert.event.dedupe_key()));
        assert_eq!(alert.covered_by, None);
    }

    #[test]
    fn what_has_no_id_is_no_run_event() {
        for text in ["7", "{}", r#"{"uuid":7}"#, r#"{"uuid":""}"#] {
            assert!(of(text, COMPLETED).is_none(), "{text}");
        }
    }
}
