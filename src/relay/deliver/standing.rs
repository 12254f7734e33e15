//! How a destination stands, and what the end of one try means for the delivery and for it.
//!
//! # Invariants
//! - Pure: time and chance are arguments.
//! - An alert is never given up for its age, and nothing is given up for time in which the
//!   destination did not work.
//! - Five different events that are refused in a row are not the events' fault: the destination is
//!   paused, and all five wait again.

use std::time::Duration;

use jiff::Timestamp;

use super::circuit::{Circuit, Way};
use crate::clock::later;
use crate::relay::destination::outcome::{Outcome, Trouble};
use crate::relay::journal::Disposition;
use crate::retry::Plan;

/// As many different events refused in a row pause the destination.
const PAUSES_AFTER: usize = 5;

/// One destination, as its tries have shown it.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    circuit: Circuit,
    refused: Vec<i64>,
    pausing: bool,
}

/// The delivery that was tried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tried {
    /// The event's number.
    pub(super) seq: i64,
    /// How many tries failed before this one.
    pub(super) failures: u32,
    /// How long it has waited while the destination worked.
    pub(super) waited: Duration,
    /// Whether it is an alert.
    pub(super) alert: bool,
}

/// What the end of a try means.
#[derive(Debug)]
pub(super) struct Verdict {
    /// For the delivery.
    pub(super) disposition: Disposition,
    /// Nothing goes to the destination before then.
    pub(super) hold_until: Option<Timestamp>,
    /// The destination is to be paused.
    pub(super) pause: Option<Pause>,
    /// What changed about the circuit.
    pub(super) turned: Option<Turned>,
}

/// Why a destination is to be paused.
#[derive(Debug)]
pub(super) struct Pause {
    pub(super) why: String,
    pub(super) trouble: &'static str,
    /// Events that were given up too early.
    pub(super) revive: Vec<i64>,
}

/// What changed about the circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    Down,
    Up,
}

impl Standing {
    /// As an earlier process left it: a destination that was down is tried with one event.
    pub(super) fn new(down: bool, now: Timestamp) -> Self {
        Self {
            circuit: if down {
                Circuit::open(now)
            } else {
                Circuit::default()
            },
            ..Self::default()
        }
    }

    pub(super) fn way(&self, now: Timestamp) -> Way {
        self.circuit.way(now)
    }

    pub(super) fn is_down(&self) -> bool {
        self.circuit.is_open()
    }

    /// Whether it works as far as is known: what an event's age is measured by.
    pub(super) fn works(&self) -> bool {
        !self.is_down() && !self.pausing
    }

    /// A person, or new credentials, ended a pause.
    pub(super) fn resumed(&mut self) {
        *self = Self::default();
    }

    /// The pause could not be kept: the next refusal asks for it again, for these too.
    pub(super) fn not_paused(&mut self, refused: Vec<i64>) {
        self.pausing = false;
        self.refused = refused;
    }

    pub(super) fn conclude(
        &mut self,
        tried: Tried,
        outcome: Outcome,
        plan: &Plan,
        now: Timestamp,
        chance: f64,
    ) -> Verdict {
        match outcome {
            Outcome::Delivered => {
                self.refused.clear();
                let closed = self.circuit.succeeded();
                verdict(Disposition::Delivered).turned(closed.then_some(Turned::Up))
            }
            Outcome::Postponed {
                reason,
                retry_after,
            } => {
                let opened = self.circuit.failed(tried.seq, now, chance);
                let not_before = retry_after.map(|wait| later(now, wait));
                Verdict {
                    hold_until: not_before,
                    ..verdict(postponed(tried, reason, not_before, plan, now, chance))
                }
                .turned(opened.then_some(Turned::Down))
            }
            Outcome::Parked { reason, trouble } => {
                let trouble = match trouble {
                    Trouble::Credentials => "credentials",
                    Trouble::Gone => "gone",
                };
                self.pause(reason, trouble, Vec::new())
            }
            Outcome::Dead { reason } => self.refuse(tried.seq, reason, now),
        }
    }

    fn refuse(&mut self, seq: i64, reason: String, now: Timestamp) -> Verdict {
        self.circuit.refused(now);
        if self.pausing {
            return verdict(Disposition::Parked { reason });
        }
        if !self.refused.contains(&seq) {
            self.refused.push(seq);
        }
        if self.refused.len() < PAUSES_AFTER {
            return verdict(Disposition::Dead { reason });
        }
        let why = format!(
            "it refused {PAUSES_AFTER} different events in a row, the last with: {reason}; is its \
             URL right?"
        );
        let mut revive = std::mem::take(&mut self.refused);
        revive.retain(|refused| *refused != seq);
        self.pause(why, "refused", revive)
    }

    fn pause(&mut self, why: String, trouble: &'static str, revive: Vec<i64>) -> Verdict {
        let reason = why.clone();
        let first = !std::mem::replace(&mut self.pausing, true);
        Verdict {
            pause: first.then_some(Pause {
                why,
                trouble,
                revive,
            }),
            ..verdict(Disposition::Parked { reason })
        }
    }
}

impl Verdict {
    fn turned(self, turned: Option<Turned>) -> Self {
        Self { turned, ..self }
    }
}

fn verdict(disposition: Disposition) -> Verdict {
    Verdict {
        disposition,
        hold_until: None,
        pause: None,
        turned: None,
    }
}

fn postponed(
    tried: Tried,
    reason: String,
    not_before: Option<Timestamp>,
    plan: &Plan,
    now: Timestamp,
    chance: f64,
) -> Disposition {
    let failures = tried.failures.saturating_add(1);
    match plan.give_up_after {
        Some(limit) if !tried.alert && tried.waited >= limit => Disposition::Dead {
            reason: format!(
                "given up after {failures} tries, older than give_up_after ({} h in which the \
                 destination worked); the last: {reason}",
                limit.as_secs_f64() / 3600.0
            ),
        },
        _ => {
            let planned = later(now, plan.delay(failures, chance));
            Disposition::Postponed {
                due_at: not_before.map_or(planned, |asked| asked.max(planned)),
                not_before,
                reason,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn tried(seq: i64) -> Tried {
        Tried {
            seq,
            failures: 0,
            waited: Duration::ZERO,
            alert: false,
        }
    }

    fn end(standing: &mut Standing, tried: Tried, outcome: Outcome) -> Verdict {
        standing.conclude(tried, outcome, &Plan::default(), NOW, 0.0)
    }

    fn refused() -> Outcome {
        Outcome::Dead {
            reason: "answered 404".into(),
        }
    }

    fn failed() -> Outcome {
        Outcome::Postponed {
            reason: "answered 500".into(),
            retry_after: None,
        }
    }

    #[test]
    fn the_fifth_different_event_refused_in_a_row_pauses_and_all_five_wait_again() {
        let mut standing = Standing::default();
        for seq in [1, 2, 2, 3, 4] {
            let verdict = end(&mut standing, tried(seq), refused());
            assert!(matches!(verdict.disposition, Disposition::Dead { .. }));
            assert!(verdict.pause.is_none());
        }
        let verdict = end(&mut standing, tried(5), refused());
        assert!(matches!(verdict.disposition, Disposition::Parked { .. }));
        assert_eq!(verdict.pause.unwrap().revive, [1, 2, 3, 4]);
        let straggler = end(&mut standing, tried(6), refused());
        assert!(matches!(straggler.disposition, Disposition::Parked { .. }));
        assert!(straggler.pause.is_none(), "it is paused already");
    }

    #[test]
    fn a_success_between_refusals_starts_the_count_anew() {
        let mut standing = Standing::default();
        for seq in 1..20 {
            let outcome = if seq % 5 == 0 {
                Outcome::Delivered
            } else {
                refused()
            };
            assert!(end(&mut standing, tried(seq), outcome).pause.is_none());
        }
    }

    #[test]
    fn what_the_destination_asked_for_is_never_undercut() {
        let mut standing = Standing::default();
        let outcome = Outcome::Postponed {
            reason: "answered 429".into(),
            retry_after: Some(Duration::from_hours(2)),
        };
        let verdict = end(&mut standing, tried(1), outcome);
        let asked = later(NOW, Duration::from_hours(2));
        assert_eq!(verdict.hold_until, Some(asked));
        let Disposition::Postponed {
            due_at, not_before, ..
        } = verdict.disposition
        else {
            panic!("{verdict:?}");
        };
        assert_eq!((due_at, not_before), (asked, Some(asked)));
    }

    #[test]
    fn an_event_is_given_up_for_its_age_and_an_alert_never() {
        let old = Tried {
            waited: Duration::from_hours(76),
            failures: 9,
            ..tried(1)
        };
        let verdict = end(&mut Standing::default(), old, failed());
        let Disposition::Dead { reason } = verdict.disposition else {
            panic!("{verdict:?}");
        };
        let expected = "given up after 10 tries, older than give_up_after (75 h in which the \
                        destination worked); the last: answered 500";
        assert_eq!(reason, expected);
        let alert = Tried { alert: true, ..old };
        let verdict = end(&mut Standing::default(), alert, failed());
        assert!(matches!(verdict.disposition, Disposition::Postponed { .. }));
    }

    #[test]
    fn refused_credentials_pause_at_once() {
        let outcome = Outcome::Parked {
            reason: "answered 401".into(),
            trouble: Trouble::Credentials,
        };
        let mut standing = Standing::default();
        let verdict = end(&mut standing, tried(1), outcome);
        assert_eq!(verdict.pause.unwrap().trouble, "credentials");
        standing.resumed();
        assert!(standing.works());
    }
}
