//! Whether a destination is tried at all: its circuit breaker.
//!
//! Failures of three different events in a row open it. While it is open one probe at a time goes
//! out, at most a minute apart; the first success closes it. A probe that is refused shows that
//! somebody answers: the next one goes out soon, with another event.
//!
//! # Invariants
//! - Pure: time and chance are arguments.
//! - An open circuit always lets a probe through within a minute and its jitter.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::later;
use crate::retry::Schedule;

/// As many different events must fail in a row.
const OPENS_AFTER: usize = 3;

/// The state of one destination's circuit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Circuit {
    failed: Vec<i64>,
    failed_probes: u32,
    next_probe_at: Option<Timestamp>,
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Anything.
    Free,
    /// One probe, and nothing else until it is back.
    Probe,
    /// Nothing before then.
    Shut(Timestamp),
}

impl Circuit {
    pub(super) fn way(&self, now: Timestamp) -> Way {
        match self.next_probe_at {
            None => Way::Free,
            Some(at) if at <= now => Way::Probe,
            Some(at) => Way::Shut(at),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.next_probe_at.is_some()
    }

    /// Open from the start, with a probe at once.
    pub(super) fn open(now: Timestamp) -> Self {
        Self {
            failed: Vec::new(),
            failed_probes: 1,
            next_probe_at: Some(now),
        }
    }

    /// The destination took an event. True if that closed the circuit.
    pub(super) fn succeeded(&mut self) -> bool {
        let was_open = self.is_open();
        *self = Self::default();
        was_open
    }

    /// The destination refused an event: it answers, but this was no success.
    pub(super) fn refused(&mut self, now: Timestamp) {
        if self.is_open() {
            self.failed_probes = 1;
            self.next_probe_at = Some(later(now, Schedule::SECOND_TO_MINUTE.first));
        } else {
            self.failed.clear();
        }
    }

    /// The destination failed with this event. True if that opened the circuit.
    pub(super) fn failed(&mut self, seq: i64, now: Timestamp, chance: f64) -> bool {
        if let Some(next_probe_at) = self.next_probe_at {
            if now < next_probe_at {
                // It was sent before the circuit opened: no probe.
                return false;
            }
            self.failed_probes = self.failed_probes.saturating_add(1);
        } else {
            if !self.failed.contains(&seq) {
                self.failed.push(seq);
            }
            if self.failed.len() < OPENS_AFTER {
                return false;
            }
            self.failed_probes = 1;
        }
        let opened = !self.is_open();
        let wait: Duration = Schedule::SECOND_TO_MINUTE.delay(self.failed_probes, chance);
        self.next_probe_at = Some(later(now, wait));
        opened
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn three_different_events_open_it_and_one_event_alone_does_not() {
        let mut circuit = Circuit::default();
        for _ in 0..9 {
            assert!(!circuit.failed(1, NOW, 0.0));
        }
        assert!(!circuit.failed(2, NOW, 0.0));
        assert!(circuit.failed(3, NOW, 0.0));
        assert_eq!(
            circuit.way(NOW),
            Way::Shut(later(NOW, Duration::from_secs(1)))
        );
    }

    #[test]
    fn what_was_under_way_when_it_opened_is_no_probe() {
        let mut circuit = Circuit::default();
        for seq in 1..=9 {
            circuit.failed(seq, NOW, 0.0);
        }
        assert_eq!(circuit.way(later(NOW, Duration::from_secs(1))), Way::Probe);
    }

    #[test]
    fn the_first_success_closes_it() {
        let mut circuit = Circuit::default();
        for seq in 1..=3 {
            circuit.failed(seq, NOW, 0.0);
        }
        assert!(circuit.succeeded());
        assert_eq!(circuit.way(NOW), Way::Free);
        assert!(!circuit.succeeded());
    }

    #[test]
    fn a_refused_probe_keeps_it_open_and_the_next_goes_out_soon() {
        let mut circuit = Circuit::default();
        let mut now = NOW;
        for seq in 1..=20 {
            circuit.failed(seq, now, 0.0);
            now = later(now, Duration::from_mins(2));
        }
        circuit.refused(now);
        let soon = later(now, Duration::from_secs(1));
        assert_eq!(circuit.way(now), Way::Shut(soon));
        assert!(circuit.succeeded());
    }

    proptest! {
        #[test]
        fn whatever_came_before_the_first_success_closes_it(
            ends in prop::collection::vec((0i64..50, 0u8..3, 0u64..100), 0..300)
        ) {
            let (mut circuit, mut now) = (Circuit::default(), NOW);
            for (seq, end, wait) in ends {
                now = later(now, Duration::from_secs(wait));
                match end {
                    0 => drop(circuit.failed(seq, now, 0.5)),
                    1 => circuit.refused(now),
                    _ => {}
                }
                if let Way::Shut(until) = circuit.way(now) {
                    prop_assert!(until <= later(now, Duration::from_secs(72)));
                }
            }
            circuit.succeeded();
            prop_assert_eq!(circuit.way(now), Way::Free);
        }

        #[test]
        fn an_open_circuit_probes_within_a_minute_and_its_jitter(
            failures in 3i64..200, chance in 0.0..1.0
        ) {
            let (mut circuit, mut now) = (Circuit::default(), NOW);
            for seq in 1..=failures {
                circuit.failed(seq, now, chance);
                if let Way::Shut(until) = circuit.way(now) {
                    prop_assert!(until <= later(now, Duration::from_secs(72)));
                    now = until;
                }
            }
            prop_assert_eq!(circuit.way(now), Way::Probe);
        }
    }
}
