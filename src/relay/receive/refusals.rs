//! What the log says of refused requests: the first of its kind at once and with what to do,
//! then at most one line a minute for each kind. Of sources besides Orbit a kind is one of each
//! source, and all of them together write at most one line a second.
//!
//! # Invariants
//! - Of what a sender sent nothing stands in a line, but the address that a trusted proxy names.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Rejection;
use super::sources::Refused;
use crate::clock::{Clock, later};
use crate::relay::verify::orbit::Refusal;

const AT_MOST_EVERY: Duration = Duration::from_mins(1);

/// Of all sources besides Orbit.
const AT_LEAST_APART: Duration = Duration::from_secs(1);

pub(super) struct Refusals {
    clock: Clock,
    kinds: Mutex<HashMap<&'static str, Kind>>,
    pace: Option<Arc<Pace>>,
}

/// What several share: when the next line may be written.
pub(super) struct Pace(Mutex<Timestamp>);

impl Default for Pace {
    fn default() -> Self {
        Self(Mutex::new(Timestamp::MIN))
    }
}

impl Pace {
    /// Whether a line may be written now; then none may for a while.
    fn allows(&self, now: Timestamp) -> bool {
        let mut next_line_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let allows = now >= *next_line_at;
        if allows {
            *next_line_at = later(now, AT_LEAST_APART);
        }
        allows
    }
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
            pace: None,
        }
    }

    /// Those whose lines keep this pace, whoever else does.
    pub(super) fn paced(clock: Clock, pace: Arc<Pace>) -> Self {
        Self {
            pace: Some(pace),
            ..Self::new(clock)
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

    /// Of a request that came where a source comes in, from this address.
    pub(super) fn note_source(&self, source: &str, from: IpAddr, refused: &Refused) {
        let reason = refused.as_str();
        let Some(unsaid) = self.line_is_due(reason) else {
            return;
        };
        let advice = advice_of_source(refused);
        tracing::warn!(
            source, %from, reason, unsaid,
            "receive: refused at the source {source}: {advice}"
        );
    }

    /// The `when` of a source cannot be judged. Why may quote the event, so it is not said here.
    pub(super) fn note_when(&self, source: &str) {
        let Some(unsaid) = self.line_is_due("when") else {
            return;
        };
        tracing::warn!(
            source,
            unsaid,
            "receive: the `when` of the source {source} cannot be judged; the event is kept; \
             orbit-relay verify says why of a captured request"
        );
    }

    /// How many went unsaid before, if a line may be written now.
    fn line_is_due(&self, reason: &'static str) -> Option<u64> {
        let now = self.clock.steady();
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(reason).or_insert(Kind {
            next_line_at: now,
            unsaid: 0,
        });
        let paced = || self.pace.as_ref().is_none_or(|pace| pace.allows(now));
        if now < kind.next_line_at || !paced() {
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

/// What to do about a request that came where a source comes in.
fn advice_of_source(refused: &Refused) -> String {
    match refused {
        Refused::NotAllowed => {
            "the address is not among those that its `allow` names: add it there if it is the \
             source's; behind a proxy, name that in `trusted_proxies`"
                .into()
        }
        Refused::TooManyUnverified(_) => {
            "answered 429: more than 60 requests a minute from this address are not verified, or \
             came before; those that are new and verified are taken all the same"
                .into()
        }
        Refused::RateLimited(_) => {
            "verified, but more than its `rate_limit` allows: answered 429, the sender should \
             come again"
                .into()
        }
        Refused::Rejected(Rejection::Signature(refusal)) => refusal.explain(),
        Refused::Rejected(rejection) => advice(rejection),
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
    fn all_sources_together_write_at_most_one_line_a_second_and_lose_no_count() {
        let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let pace = Arc::new(Pace::default());
        let of = || Refusals::paced(clock.clone(), Arc::clone(&pace));
        let (stripe, github) = (of(), of());
        assert_eq!(stripe.line_is_due("too_large"), Some(0));
        assert_eq!(stripe.line_is_due("too_slow"), None);
        assert_eq!(github.line_is_due("too_large"), None);
        assert_eq!(github.line_is_due("too_large"), None);
        hand.advance(AT_LEAST_APART);
        assert_eq!(
            stripe.line_is_due("too_large"),
            None,
            "a minute for each kind"
        );
        assert_eq!(github.line_is_due("too_large"), Some(2));
        hand.advance(AT_LEAST_APART);
        assert_eq!(stripe.line_is_due("too_slow"), Some(1));
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

    #[test]
    fn each_refusal_at_a_source_says_what_to_do() {
        let wait = Duration::from_secs(1);
        let refused = [
            Refused::NotAllowed,
            Refused::TooManyUnverified(wait),
            Refused::RateLimited(wait),
            Refused::Rejected(Rejection::Signature(Refusal::WrongSignature)),
        ];
        let lines = refused.map(|refused| advice_of_source(&refused));
        insta::assert_snapshot!(lines.join("\n"), @r"
        the address is not among those that its `allow` names: add it there if it is the source's; behind a proxy, name that in `trusted_proxies`
        answered 429: more than 60 requests a minute from this address are not verified, or came before; those that are new and verified are taken all the same
        verified, but more than its `rate_limit` allows: answered 429, the sender should come again
        the code does not match: it was made with another secret, or the body or a signed header was changed on the way, be it by white space
        ");
    }
}
