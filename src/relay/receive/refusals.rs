//! What the log says of refused requests: the first of its kind at once and with what to do,
//! then at most one line a minute for each kind.
//!
//! # Invariants
//! - Nothing that a sender sent stands in a line.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Rejection;
use crate::clock::{Clock, later};
use crate::relay::verify::orbit::Refusal;

const AT_MOST_EVERY: Duration = Duration::from_mins(1);

pub(super) struct Refusals {
    clock: Clock,
    kinds: Mutex<HashMap<&'static str, Kind>>,
}

struct Kind {
    next_line_at: Timestamp,
    unsaid: u64,
}

impl Refusals {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            kinds: Mutex::default(),
        }
    }

    pub(super) fn note(&self, rejection: &Rejection) {
        let reason = rejection.as_str();
        let Some(unsaid) = self.line_is_due(reason) else {
            return;
        };
        let advice = advice(rejection);
        tracing::warn!(reason, unsaid, "receive: refused: {advice}");
    }

    /// Of a request that says that an order is closed: all of them are one kind.
    pub(super) fn note_closed(&self, reason: &str, why: &str) {
        let Some(unsaid) = self.line_is_due("/hooks/closed") else {
            return;
        };
        tracing::warn!(reason, unsaid, "receive: refused at /hooks/closed: {why}");
    }

    /// How many went unsaid before, if a line may be written now.
    fn line_is_due(&self, reason: &'static str) -> Option<u64> {
        let now = self.clock.steady();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(reason).or_insert(Kind {
            next_line_at: now,
            unsaid: 0,
        });
        if now < kind.next_line_at {
            kind.unsaid += 1;
            return None;
        }
        kind.next_line_at = later(now, AT_MOST_EVERY);
        Some(std::mem::take(&mut kind.unsaid))
    }
}

fn advice(rejection: &Rejection) -> String {
    match rejection {
        Rejection::Signature(refusal) => match refusal {
            Refusal::NoSignature => "no Orbit-Signature header: this is not from Orbit".into(),
            Refusal::SeveralSignatures => {
                "several Orbit-Signature headers: this is not from Orbit, or a proxy doubles it"
                    .into()
            }
            Refusal::Malformed => {
                "the Orbit-Signature header has not the form t=…,v1=…: this is not from Orbit, or \
                 a proxy changed it"
                    .into()
            }
            Refusal::WrongSignature => {
                "signed with another secret, or changed on the way: compare the webhook's secret \
                 in Orbit (Settings → Developer Features → Webhooks) with WEBHOOK_SECRET or the \
                 file webhook-secret in the data directory"
                    .into()
            }
            Refusal::TooOld(off) => format!(
                "signed with the right secret, but {} s ago by Orbit's own clock: sent again, \
                 or long on its way; --max-age says how old it may be",
                off.as_secs()
            ),
            Refusal::FromTheFuture(off) => format!(
                "signed with the right secret, but {} s ahead of Orbit's own clock: sent by \
                 somebody else, or that clock was just set; it is learnt anew within a minute",
                off.as_secs()
            ),
            Refusal::NoTimestamp
            | Refusal::WrongToken
            | Refusal::BodyUnsigned
            | Refusal::WrongDigest => refusal.explain(),
        },
        Rejection::NotAnEvent(why) => format!("verified, but {why}"),
        Rejection::WrongHeader => {
            "at /work-orders, the header is not there or not as WORK_ORDERS_AUTH says: compare it \
             with the work-order settings in Orbit"
                .into()
        }
        Rejection::OrbitAway => {
            "answered 503, the sender should come again: Orbit's API cannot be asked".into()
        }
        Rejection::NoRunEvent(why) => format!("at /work-orders: {why}"),
        Rejection::TooLarge => "the body has more than 8 MiB".into(),
        Rejection::TooSlow => "the body took longer than 10 s".into(),
        Rejection::Broken => "the body broke off".into(),
        Rejection::NoMemory => "more large bodies at once than 32 MiB of memory hold".into(),
        Rejection::Full(why) => {
            format!("answered 503, the sender should come again: the journal is full: {why}")
        }
        Rejection::NotReady(why) => format!("answered 503, the sender should come again: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_kind_is_said_at_once_and_then_once_a_minute() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let refusals = Refusals::new(clock);
        assert_eq!(refusals.line_is_due("too_large"), Some(0));
        assert_eq!(refusals.line_is_due("too_large"), None);
        assert_eq!(refusals.line_is_due("too_slow"), Some(0));
        hand.advance(AT_MOST_EVERY);
        assert_eq!(refusals.line_is_due("too_large"), Some(1));
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        let off = Duration::from_mins(10);
        let refusals = [
            Refusal::NoSignature,
            Refusal::SeveralSignatures,
            Refusal::Malformed,
            Refusal::WrongSignature,
            Refusal::TooOld(off),
            Refusal::FromTheFuture(off),
        ];
        let lines = refusals.map(|refusal| advice(&Rejection::Signature(refusal)));
        insta::assert_snapshot!(lines.join("\n"));
    }
}
