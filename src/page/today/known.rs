//! What is known of each part of the relay.
//!
//! # Invariants
//! - Of a part is said what is known of it now, and no more: what nobody asked is not called well.
//! - What is not known speaks against all being well, unless a person switched it off, which is
//!   said, or another part says already why.

use jiff::Timestamp;
use serde::Serialize;

use crate::ops::health;
use crate::reconcile::backfill::Progress;
use crate::reconcile::webhook::Status;
use crate::relay::journal::{Availability, Level};

const NOT_KNOWN: &str = "not known";

/// A part of the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Whether it does what it should; none: that is not known.
    pub(crate) well: Option<bool>,
    /// In a word, as health says it.
    pub(crate) status: &'static str,
    /// Why, or what else is to be said.
    pub(crate) reason: Option<String>,
    /// Whether it speaks against all being well where it is not known.
    #[serde(skip)]
    pub(crate) counts: bool,
    /// Whether nothing comes where it is not well.
    #[serde(skip)]
    pub(crate) vital: bool,
    /// Whether somebody should see to it soon, though it is well.
    #[serde(skip)]
    pub(crate) soon: bool,
    /// Where it is decided.
    #[serde(skip)]
    pub(crate) href: &'static str,
}

impl Part {
    fn of(name: &'static str, part: health::Part, href: &'static str) -> Self {
        Self {
            name,
            well: Some(part.well),
            status: part.status,
            reason: part.reason,
            counts: false,
            vital: false,
            soon: false,
            href,
        }
    }

    fn vital(self) -> Self {
        Self {
            vital: true,
            ..self
        }
    }

    /// Switched off, by a person.
    fn off(self) -> Self {
        Self { well: None, ..self }
    }

    fn not_known(self, reason: Option<&str>, counts: bool) -> Self {
        Self {
            well: None,
            status: NOT_KNOWN,
            reason: reason.map(str::to_owned),
            counts,
            ..self
        }
    }

    /// The word and the reason.
    pub(crate) fn in_words(&self) -> String {
        let status = self.status.replace('_', " ");
        match &self.reason {
            Some(reason) => format!("{status}: {reason}"),
            None => status,
        }
    }

    /// Whether it speaks against all being well since nobody knows.
    pub(crate) fn is_missed(&self) -> bool {
        self.well.is_none() && self.counts
    }
}

/// What is known of all of them.
pub(super) fn parts(of: &health::Parts, has_orbit: bool) -> Vec<Part> {
    let health = of.health();
    let status = of.webhook.borrow().clone();
    let progress = of.backfill.borrow().clone();
    let orbit = orbit(has_orbit, &status, &progress, *of.looked_at.borrow());
    // Why nothing is known of the rest is then said once.
    let is_said = orbit.well == Some(false) || orbit.is_missed();
    let clock = Part::of("Clock", health.clock, "/health");
    let clock = match of.orbit_clock.skew_ms() {
        Some(_) => clock,
        None if has_orbit => clock.not_known(Some("Orbit did not say its time yet"), !is_said),
        None => clock.off(),
    };
    let journal_is_open = *of.journal.borrow() == Availability::Open;
    let room = of.room.borrow().clone();
    let mut journal = Part::of("Journal", health.journal, "/health").vital();
    journal.soon = journal.well == Some(true) && room.level == Level::Filling;
    if journal_is_open && journal.reason.is_none() {
        journal.reason = Some(room.to_string());
    }
    vec![
        Part::of("Events", health.listener, "/setup").vital(),
        journal,
        orbit,
        webhook(health.orbit, &status),
        backfill(health.backfill, &status, &progress, is_said),
        clock,
    ]
}

/// Orbit, by whatever asks it.
fn orbit(
    has_orbit: bool,
    status: &Status,
    progress: &Progress,
    asked_at: Option<Timestamp>,
) -> Part {
    let is = |well, status, reason: &str| {
        let reason = Some(reason.to_owned());
        let part = health::Part {
            well,
            status,
            reason,
        };
        Part::of("Orbit", part, "/setup").vital()
    };
    let answers = |at: Timestamp| is(true, "answers", &format!("last asked {at:.0}"));
    let not_known = |why, counts| is(false, NOT_KNOWN, "").not_known(Some(why), counts);
    match status {
        Status::Failing(why) => is(false, "failing", why),
        _ if !has_orbit => is(true, "not asked", "no host with an API token is set").off(),
        Status::Unknown => not_known("it has not answered yet", true),
        // Nobody looks at a webhook: what is known is what the backfill met.
        Status::ByHand | Status::Off | Status::Polling => match (progress.on, progress.looked_at) {
            (false, _) => is(
                true,
                "not asked",
                "both the care for the webhook and the backfill are switched off",
            )
            .off(),
            _ if progress.failing.is_some() => {
                not_known("only the backfill asks it, and that fails", false)
            }
            (true, None) => not_known("it was not looked through yet", true),
            (true, Some(at)) => answers(at),
        },
        Status::Registered { .. } | Status::Drift { .. } | Status::Deleted => {
            asked_at.map_or_else(|| not_known("it has not answered yet", true), answers)
        }
    }
}

fn webhook(part: health::Part, status: &Status) -> Part {
    let part = Part::of("Webhook", part, "/waiting#webhook").vital();
    match status {
        Status::Failing(_) | Status::Unknown => part.not_known(None, false),
        Status::ByHand | Status::Off | Status::Polling => part.off(),
        Status::Registered { .. } | Status::Drift { .. } | Status::Deleted => part,
    }
}

fn backfill(part: health::Part, status: &Status, progress: &Progress, is_said: bool) -> Part {
    let mut part = Part::of("Backfill", part, "/health");
    // Without a webhook it alone brings events.
    part.vital = *status == Status::Polling;
    match (&progress.failing, progress.looked_at) {
        _ if !progress.on => part.off(),
        (None, None) => part.not_known(Some("Orbit was not looked through yet"), !is_said),
        _ => part,
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::watch;

    use super::*;
    use crate::clock::{Clock, Remote};
    use crate::relay::journal::{Room, Sums};

    fn at() -> Timestamp {
        Timestamp::from_second(1_780_000_000).unwrap()
    }

    /// What is said where our webhook stands so, the backfill so, and Orbit's clock is known or not.
    fn seen(
        has_orbit: bool,
        status: Status,
        backfill: Progress,
        is_clock_known: bool,
    ) -> Vec<Part> {
        fn told<T>(value: T) -> watch::Receiver<T> {
            watch::channel(value).1
        }
        let asked = matches!(status, Status::Registered { .. });
        let skew = told(is_clock_known.then_some(0));
        let of = health::Parts {
            journal: told(Availability::Open),
            secret: told(Err("no secret".to_owned())),
            sources_alone: true,
            webhook: told(status),
            orbit_clock: Remote::new(Clock::manual(at()).0, skew),
            backfill: told(backfill),
            looked_at: told(asked.then(at)),
            destinations: [].into(),
            sums: told(Sums::default()),
            room: told(Room::default()),
        };
        parts(&of, has_orbit)
    }

    /// How Orbit, the webhook, the backfill and the clock stand: the word, `!` where it is ill and
    /// `?` where it is not known and that counts.
    fn said(parts: &[Part]) -> Vec<String> {
        let mark = |part: &Part| match part.well {
            Some(true) => "",
            Some(false) => "!",
            None if part.counts => "?",
            None => "-",
        };
        let parts = parts.iter().skip(2);
        parts.map(|p| format!("{}{}", p.status, mark(p))).collect()
    }

    fn backfill(looked: bool, failing: Option<&str>) -> Progress {
        Progress {
            on: true,
            looked_at: looked.then(at),
            cursor: None,
            failing: failing.map(str::to_owned),
        }
    }

    fn registered() -> Status {
        Status::Registered {
            uuid: "1".to_owned(),
            enabled: true,
            tried: None,
        }
    }

    #[test]
    fn of_orbit_only_what_is_known_is_said() {
        let off = Progress::default;
        let (good, new) = (|| backfill(true, None), || backfill(false, None));
        let ill = || backfill(true, Some("no connection"));
        for (status, progress, clock, expected) in [
            (
                registered(),
                good(),
                true,
                ["answers", "registered", "current", "right"],
            ),
            // Nothing listens there.
            (
                Status::Polling,
                ill(),
                true,
                ["not known-", "polling-", "failing!", "right"],
            ),
            (
                Status::Off,
                ill(),
                false,
                ["not known-", "off-", "failing!", "not known?"],
            ),
            (
                Status::Polling,
                new(),
                false,
                ["not known?", "polling-", "not known-", "not known-"],
            ),
            (
                Status::Polling,
                good(),
                true,
                ["answers", "polling-", "current", "right"],
            ),
            (
                Status::Off,
                off(),
                true,
                ["not asked-", "off-", "off-", "right"],
            ),
            (
                Status::Off,
                off(),
                false,
                ["not asked-", "off-", "off-", "not known?"],
            ),
            (
                Status::Unknown,
                new(),
                false,
                ["not known?", "not known-", "not known-", "not known-"],
            ),
            (
                registered(),
                new(),
                false,
                ["answers", "registered", "not known?", "not known?"],
            ),
            (
                registered(),
                off(),
                true,
                ["answers", "registered", "off-", "right"],
            ),
            (
                Status::Failing("refused".to_owned()),
                new(),
                false,
                ["failing!", "not known-", "not known-", "not known-"],
            ),
        ] {
            let name = format!("{status:?} {progress:?} {clock}");
            assert_eq!(
                said(&seen(true, status, progress, clock)),
                expected,
                "{name}"
            );
        }
        let by_hand = seen(false, Status::ByHand, off(), false);
        assert_eq!(
            said(&by_hand),
            ["not asked-", "by_hand-", "off-", "unknown-"],
            "nobody wants it asked"
        );
        assert!(
            by_hand.iter().skip(2).all(|part| part.reason.is_some()),
            "{by_hand:?}"
        );
    }

    #[test]
    fn without_a_webhook_nothing_comes_where_the_backfill_fails() {
        let is_vital = |status| {
            let parts = seen(true, status, backfill(true, Some("no")), true);
            parts
                .iter()
                .any(|part| part.name == "Backfill" && part.vital)
        };
        assert!(is_vital(Status::Polling));
        assert!(!is_vital(registered()));
    }
}
