//! Asks one destination how its open orders are.
//!
//! # Invariants
//! - At most [`AT_ONCE`] questions are under way, and no more go out than the destination's rate
//!   allows together with its posts.
//! - Nothing is asked while the destination is paused, down, or asked for time.
//! - A question changes nothing but what the journal has of its own order.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, later};
use crate::relay::deliver::{Limiter, Poll};
use crate::relay::destination::{Asked, Destination};
use crate::relay::journal::{
    Availability, Closing, DestinationSums, Journal, OpenOrder, OrderName, Sums, WriteError,
};
use crate::retry::{self, Schedule};

/// So many questions are under way at once.
const AT_ONCE: usize = 2;
/// What is new, or no longer paused, is seen within so long.
const LOOK: Duration = Duration::from_secs(5);
/// After the journal could not be asked or told.
const JOURNAL_PAUSE: Duration = Duration::from_secs(1);
/// Where questions fail, or there is nothing to be found, they are no further apart.
const LONGEST: Duration = Duration::from_hours(1);

/// What is needed to ask one destination.
pub(in crate::app) struct Polls {
    pub(in crate::app) poll: Poll,
    pub(in crate::app) journal: Journal,
    pub(in crate::app) destination: Destination,
    pub(in crate::app) limiter: Limiter,
    pub(in crate::app) clock: Clock,
}

/// What becomes of an order that is still open.
#[derive(Debug, PartialEq, Eq)]
struct PutOff {
    /// When it is asked for again; none: not before the next start.
    wait: Option<Duration>,
    /// Why it could not be asked for.
    why: Option<String>,
}

/// Asks until `stop`. Questions under way are given up then, and asked again at the next start.
pub(in crate::app) async fn run(polls: Polls, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = polls.ask_for_ever() => {}
    }
}

impl Polls {
    async fn ask_for_ever(self) {
        let mut availability = self.journal.availability();
        // The writer lives as long as this handle of its journal, so there is no error to see.
        let open = |now: &Availability| *now == Availability::Open;
        drop(availability.wait_for(open).await);
        // What it is polled with may be another since the last start.
        while let Err(error) = self.journal.wake_orders(self.destination.id()).await {
            tracing::debug!(%error, "orders: the journal cannot be asked");
            tokio::time::sleep(JOURNAL_PAUSE).await;
        }
        let mut sums = self.journal.sums();
        let mut asking = JoinSet::new();
        let mut asked = HashMap::new();
        loop {
            let id = self.destination.id();
            drop(
                sums.wait_for(|sums| of(sums, id).is_some_and(|d| d.orders.open > 0))
                    .await,
            );
            let now = self.clock.steady();
            let mut wake_at = later(now, LOOK);
            if of(&sums.borrow(), id).is_some_and(|d| may_be_asked(d, now)) {
                match self.start(now, &mut asking, &mut asked).await {
                    Ok(next) => wake_at = next.map_or(wake_at, |next| wake_at.min(next)),
                    Err(error) => {
                        tracing::debug!(%error, "orders: the journal cannot be asked");
                        tokio::time::sleep(JOURNAL_PAUSE).await;
                    }
                }
            }
            tokio::select! {
                Some(answered) = asking.join_next() => {
                    if let Some((no, answer)) = ended(answered)
                        && let Some(order) = asked.remove(&no)
                    {
                        self.conclude(&order, answer).await;
                    }
                }
                () = self.clock.sleep_until(wake_at) => {}
            }
        }
    }

    /// Starts as many questions as may be under way; gives when there is more to do.
    async fn start(
        &self,
        now: Timestamp,
        asking: &mut JoinSet<(i64, Result<Asked, String>)>,
        asked: &mut HashMap<i64, OpenOrder>,
    ) -> Result<Option<Timestamp>, WriteError> {
        if asked.len() >= AT_ONCE {
            return Ok(None);
        }
        // Those that are under way are due too.
        let due = self
            .journal
            .due_orders(self.destination.id(), now, 2 * AT_ONCE);
        let due = due.await?;
        for order in due.now {
            if asked.len() >= AT_ONCE {
                break;
            }
            if asked.contains_key(&order.no) {
                continue;
            }
            let no = order.no;
            match url(&self.poll, &order) {
                Err(why) => drop(asking.spawn(async move { (no, Err(why)) })),
                Ok(url) => {
                    if let Err(at) = self.limiter.take(now) {
                        return Ok(Some(at));
                    }
                    let (to, when) = (self.destination.clone(), self.poll.when.clone());
                    let at = self.clock.wall();
                    asking.spawn(async move { (no, Ok(to.ask(url, &when, at).await)) });
                }
            }
            asked.insert(no, order);
        }
        Ok(due.next_due)
    }

    async fn conclude(&self, order: &OpenOrder, answer: Result<Asked, String>) {
        let (destination, event) = (self.destination.name(), &order.run_event);
        let recorded = match put_off(&self.poll, order, answer, retry::chance()) {
            None => {
                let name = OrderName::No(order.no);
                let at = self.clock.wall();
                let id = self.destination.id();
                let closing = self.journal.close_order(id, name, "poll", at).await;
                if closing == Ok(Closing::Now) {
                    tracing::info!(destination, event, "order closed: its system was asked");
                }
                closing.map(drop)
            }
            Some(PutOff { wait, why }) => {
                if let Some(reason) = why.as_ref().filter(|why| order.why.as_ref() != Some(*why)) {
                    tracing::warn!(destination, event, %reason, "an order cannot be asked for");
                }
                let due_at = wait.map(|wait| later(self.clock.steady(), wait));
                self.journal.put_off_order(order.no, due_at, why).await
            }
        };
        if let Err(error) = recorded {
            tracing::debug!(%error, "orders: the journal takes nothing; it is asked again");
            tokio::time::sleep(JOURNAL_PAUSE).await;
        }
    }
}

/// A question never panics by its own doing; if one does, this part ends with it, and the process.
/// None: it was cancelled, as all are at the end.
fn ended<T>(answered: Result<T, JoinError>) -> Option<T> {
    match answered.map_err(JoinError::try_into_panic) {
        Ok(answer) => Some(answer),
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => None,
    }
}

fn of<'a>(sums: &'a Sums, id: &str) -> Option<&'a DestinationSums> {
    sums.destinations.iter().find(|d| d.id == id)
}

fn may_be_asked(destination: &DestinationSums, now: Timestamp) -> bool {
    let held = destination.held_until.is_some_and(|until| until > now);
    destination.paused.is_none() && destination.down.is_none() && !held
}

/// Where an order is asked for.
fn url(poll: &Poll, order: &OpenOrder) -> Result<url::Url, String> {
    let answer = order.answer.as_deref().unwrap_or_default();
    let answer: serde_json::Value = serde_json::from_str(answer)
        .map_err(|_| "what was answered to the alert is no JSON of at most 64 KiB".to_owned())?;
    let url = poll.url.fill(&answer);
    url.map_err(|error| format!("no URL can be made of what was answered to the alert: {error}"))
}

/// What becomes of an order; none: it is closed.
fn put_off(
    poll: &Poll,
    order: &OpenOrder,
    answer: Result<Asked, String>,
    chance: f64,
) -> Option<PutOff> {
    let longest = LONGEST.max(poll.every);
    let (wait, why) = match answer {
        Ok(Asked::Holds) => return None,
        Ok(Asked::HoldsNot) => (Some(poll.every), None),
        Ok(Asked::Missing(why)) => (Some(longest), Some(format!("it is not there: {why}"))),
        Ok(Asked::Failed {
            reason,
            retry_after,
        }) => {
            let backoff = Schedule {
                first: poll.every,
                longest,
                jitter: 0.2,
            };
            let wait = backoff.delay(order.tries.saturating_add(1), chance);
            (
                Some(wait.max(retry_after.unwrap_or_default())),
                Some(reason),
            )
        }
        Err(why) => (None, Some(why)),
    };
    Some(PutOff { wait, why })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::transform::address::Address;
    use crate::relay::transform::expression::Expression;

    const MINUTE: Duration = Duration::from_mins(1);

    fn poll() -> Poll {
        Poll {
            url: Address::parse("http://cmms.example/{{ answer.id }}").unwrap(),
            when: Expression::parse("response.json.closed").unwrap(),
            every: 5 * MINUTE,
        }
    }

    fn order(tries: u32, answer: Option<&str>) -> OpenOrder {
        OpenOrder {
            no: 1,
            run_event: "r".into(),
            answer: answer.map(str::to_owned),
            tries,
            why: None,
        }
    }

    fn wait(tries: u32, answer: Asked) -> Option<Duration> {
        put_off(&poll(), &order(tries, None), Ok(answer), 0.0)?.wait
    }

    #[test]
    fn an_open_order_is_asked_for_at_its_pace_and_after_failures_ever_later_up_to_an_hour() {
        let failed = |retry_after| Asked::Failed {
            reason: "answered 500".into(),
            retry_after,
        };
        assert_eq!(wait(9, Asked::HoldsNot), Some(5 * MINUTE));
        let waits = [0, 1, 2, 3, 4, 40].map(|tries| wait(tries, failed(None)).unwrap() / 60);
        assert_eq!(waits.map(|wait| wait.as_secs()), [5, 10, 20, 40, 60, 60]);
        let asked_for = Some(Duration::from_hours(2));
        assert_eq!(wait(0, failed(asked_for)), asked_for);
        let missing = Asked::Missing("answered 404".into());
        assert_eq!(wait(0, missing), Some(60 * MINUTE));
        assert_eq!(
            put_off(&poll(), &order(0, None), Ok(Asked::Holds), 0.0),
            None
        );
    }

    #[tokio::test]
    #[should_panic(expected = "a fault in a question")]
    async fn a_question_that_panics_takes_its_part_with_it() {
        let asking = tokio::spawn(async { panic!("a fault in a question") });
        ended::<()>(asking.await);
    }

    #[tokio::test]
    async fn a_question_that_is_cancelled_is_no_answer() {
        let asking = tokio::spawn(std::future::pending::<()>());
        asking.abort();
        assert_eq!(ended(asking.await), None);
    }

    #[test]
    fn an_answer_that_gives_no_url_is_not_asked_for() {
        let url = |answer| url(&poll(), &order(0, answer)).map(|url| url.to_string());
        assert_eq!(
            url(Some(r#"{"id":"W/1"}"#)).unwrap(),
            "http://cmms.example/W%2F1"
        );
        for answer in [None, Some("canary"), Some("{}"), Some(r#"{"id":".."}"#)] {
            let why = url(answer).unwrap_err();
            assert!(!why.contains("canary"), "{why}");
            let put_off = put_off(&poll(), &order(0, answer), Err(why), 0.0).unwrap();
            assert_eq!(put_off.wait, None);
        }
    }
}
