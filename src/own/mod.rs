//! What the relay itself has to say, as events of the source `relay`.

/// A kind of event that the relay itself makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Own {
    /// An event was taken.
    Received,
    /// A delivery is about to be made for the first time.
    BeforeDeliver,
    /// A delivery has ended.
    AfterDeliver,
    /// A delivery was given up.
    Dead,
    /// A destination was paused.
    Paused,
    /// A destination was resumed.
    Resumed,
    /// Our webhook in Orbit was not as it should be.
    Drift,
    /// Backfill found what the webhook missed.
    Found,
    /// An action has no asset.
    Unmapped,
}

/// What the answers of a destination are called, with its name behind it.
pub const ANSWER: &str = "answer:";

impl Own {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Received,
        Self::BeforeDeliver,
        Self::AfterDeliver,
        Self::Dead,
        Self::Paused,
        Self::Resumed,
        Self::Drift,
        Self::Found,
        Self::Unmapped,
    ];

    /// The type of its events.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "event.received",
            Self::BeforeDeliver => "before:deliver",
            Self::AfterDeliver => "after:deliver",
            Self::Dead => "delivery.dead",
            Self::Paused => "destination.paused",
            Self::Resumed => "destination.resumed",
            Self::Drift => "webhook.drift",
            Self::Found => "backfill.found",
            Self::Unmapped => "asset.unmapped",
        }
    }
}

/// STANDIN
pub fn sample(event_type: &str, at: jiff::Timestamp) -> Option<crate::event::Event> {
    let known = event_type.starts_with(ANSWER) && event_type != ANSWER
        || Own::ALL.iter().any(|kind| kind.as_str() == event_type);
    known.then(|| crate::event::Event {
        source: "relay".into(),
        event_type: event_type.into(),
        identity: crate::event::Identity::Envelope("x".into()),
        origin: crate::event::Origin::Sample,
        received_at: at,
        body: format!(r#"{{"type":"{event_type}","uuid":"x","time":"{at}","data":{{}}}}"#)
            .into_bytes(),
    })
}
/// STANDIN
pub fn schema(_event_type: &str) -> Option<&'static str> {
    Some(r#"{"type":"object","properties":{"type":{}},"required":["type"]}"#)
}
