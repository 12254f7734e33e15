//! Runs that were asked for a moment ago: a lap of a mission is one run and dozens of inspections.
//!
//! # Invariants
//! - Who asks for a run while somebody else does gets that answer, whatever it is.
//! - At most [`MOST`] runs are kept; the one that was longest not used goes first.
//! - A question that is given up halfway leaves nothing behind, and the next one asks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::time::timeout;

use super::Answer;
use crate::clock::{Clock, later};

const MOST: usize = 256;
/// A run that goes on may end, or get another operator.
const UNDER_WAY: Duration = Duration::from_secs(30);
/// A run that has ended stays as it is.
const ENDED: Duration = Duration::from_hours(1);

/// The runs.
#[derive(Debug, Default)]
pub(super) struct Runs(Mutex<Slots>);

#[derive(Debug, Default)]
struct Slots {
    by_uuid: HashMap<String, (Arc<Slot>, u64)>,
    uses: u64,
}

/// One run; who holds its lock asks for it.
#[derive(Debug, Default)]
struct Slot {
    kept: tokio::sync::Mutex<Option<Kept>>,
    /// How many answers there were.
    answers: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    answer: Answer,
    until: Timestamp,
}

impl Runs {
    /// What is known of a run, or else what `ask` says. Another's question is waited for no longer
    /// than `wait`.
    pub(super) async fn shared(
        &self,
        uuid: &str,
        clock: &Clock,
        wait: Duration,
        ask: impl Future<Output = Answer>,
    ) -> Answer {
        let slot = self.slot(uuid);
        let before = slot.answers.load(Ordering::Acquire);
        let Ok(mut place) = timeout(wait, slot.kept.lock()).await else {
            let why = "Orbit is being asked for the same run and does not answer";
            return Answer::Unanswered(why.to_owned());
        };
        if let Some(kept) = &*place {
            let is_of_now = slot.answers.load(Ordering::Acquire) != before;
            if is_of_now || clock.steady() < kept.until {
                return kept.answer.clone();
            }
        }
        let answer = ask.await;
        *place = Some(Kept {
            until: later(clock.steady(), keeps(&answer)),
            answer: answer.clone(),
        });
        slot.answers.fetch_add(1, Ordering::Release);
        answer
    }

    fn slot(&self, uuid: &str) -> Arc<Slot> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slots.uses += 1;
        let now = slots.uses;
        if let Some((slot, used)) = slots.by_uuid.get_mut(uuid) {
            *used = now;
            return Arc::clone(slot);
        }
        if slots.by_uuid.len() >= MOST {
            let oldest = slots.by_uuid.iter().min_by_key(|(_, (_, used))| *used);
            let oldest = oldest.map(|(uuid, _)| uuid.clone());
            oldest.and_then(|uuid| slots.by_uuid.remove(&uuid));
        }
        let slot = Arc::<Slot>::default();
        let entry = (Arc::clone(&slot), now);
        slots.by_uuid.insert(uuid.to_owned(), entry);
        slot
    }
}

/// For how long an answer is not asked for again.
fn keeps(answer: &Answer) -> Duration {
    match answer {
        Answer::Known(run) if has_ended(run) => ENDED,
        Answer::Known(_) | Answer::Absent => UNDER_WAY,
        Answer::Unanswered(_) | Answer::NotAsked => Duration::ZERO,
    }
}

fn has_ended(run: &str) -> bool {
    let run: Value = serde_json::from_str(run).unwrap_or_default();
    let text = |name| run.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("missionStatus").to_ascii_uppercase().as_str() {
        "RUNNING" | "PAUSED" => false,
        "SUCCESS" | "FAILURE" | "ERROR" | "STOPPED" => true,
        _ => !text("endTime").is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(20);

    fn run(text: &str) -> Answer {
        Answer::Known(text.to_owned())
    }

    /// Asks for a run; tells whether Orbit was asked.
    async fn asks(runs: &Runs, uuid: &str, clock: &Clock, answer: Answer) -> bool {
        let mut asked = false;
        let ask = async {
            asked = true;
            answer
        };
        runs.shared(uuid, clock, WAIT, ask).await;
        asked
    }

    #[tokio::test]
    async fn a_run_that_has_ended_is_known_for_an_hour_and_another_for_half_a_minute() {
        let ended = run(r#"{"missionStatus":"SUCCESS"}"#);
        let (half_a_minute, hour) = (Duration::from_secs(30), Duration::from_hours(1));
        for (answer, known_for) in [
            (
                run(r#"{"missionStatus":"RUNNING","endTime":"2026-02-03T09:00:00Z"}"#),
                half_a_minute,
            ),
            (run(r#"{"endTime":null}"#), half_a_minute),
            (run("{}"), half_a_minute),
            (Answer::Absent, half_a_minute),
            (ended, hour),
            (run(r#"{"endTime":"2026-02-03T09:00:00Z"}"#), hour),
            (Answer::Unanswered(String::new()), Duration::ZERO),
        ] {
            let (clock, hand) = Clock::manual(Timestamp::UNIX_EPOCH);
            let runs = Runs::default();
            assert!(asks(&runs, "r", &clock, answer.clone()).await);
            if let Some(almost) = known_for.checked_sub(Duration::from_millis(1)) {
                hand.advance(almost);
                assert!(
                    !asks(&runs, "r", &clock, answer.clone()).await,
                    "{answer:?}"
                );
                hand.advance(Duration::from_millis(1));
            }
            assert!(asks(&runs, "r", &clock, answer.clone()).await, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn the_run_that_was_longest_not_used_goes_first() {
        let runs = Runs::default();
        let (clock, _hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        for number in 0..MOST {
            asks(&runs, &number.to_string(), &clock, Answer::Absent).await;
        }
        assert!(!asks(&runs, "0", &clock, Answer::Absent).await);
        assert!(asks(&runs, "new", &clock, Answer::Absent).await);
        assert_eq!(runs.0.lock().unwrap().by_uuid.len(), MOST);
        assert!(!asks(&runs, "0", &clock, Answer::Absent).await);
        assert!(asks(&runs, "1", &clock, Answer::Absent).await);
    }

    #[tokio::test]
    async fn who_asks_while_another_does_gets_that_answer_even_where_there_was_none() {
        let runs = Runs::default();
        let (clock, _hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let (open, opened) = tokio::sync::oneshot::channel();
        let first = runs.shared("r", &clock, WAIT, async {
            opened.await.unwrap();
            Answer::Unanswered("first".to_owned())
        });
        let second = runs.shared("r", &clock, WAIT, async { Answer::Absent });
        let opens = async {
            open.send(()).unwrap();
            Answer::NotAsked
        };
        // Polled in this order: the second waits before the first is answered.
        let (first, second, _) = tokio::join!(biased; first, second, opens);
        assert_eq!(first, Answer::Unanswered("first".to_owned()));
        assert_eq!(second, first);
        assert!(asks(&runs, "r", &clock, Answer::Absent).await);
    }

    #[tokio::test]
    async fn a_question_that_is_given_up_halfway_is_asked_by_the_next() {
        let runs = Runs::default();
        let (clock, _hand) = Clock::manual(Timestamp::UNIX_EPOCH);
        let never = runs.shared("r", &clock, WAIT, std::future::pending());
        assert!(timeout(Duration::from_millis(1), never).await.is_err());
        assert!(asks(&runs, "r", &clock, Answer::Absent).await);
        assert!(!asks(&runs, "r", &clock, Answer::Absent).await);
    }
}
