//! What else Orbit knows of claimed events, as far as it is used: asked for once, and kept.
//!
//! # Invariants
//! - What Orbit answered is in the journal before anything is made of it.
//! - An event waits for Orbit's answers no longer than the destination says, counted from when
//!   it first waited.
//! - One claim waits for Orbit for [`PATIENCE`] at most.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{Shared, unwrap};
use crate::clock::{later, until};
use crate::event::{ALERT, Envelope};
use crate::relay::enrich::{Answer, Answers, Needs};
use crate::relay::journal::{Claim, Enrichment, WriteError};
use crate::relay::transform;

/// What has not been answered by then is asked for again later.
const PATIENCE: Duration = Duration::from_secs(10);
/// When it is asked for again; an alert is more urgent.
const AGAIN: Duration = Duration::from_secs(30);
const ALERT_AGAIN: Duration = Duration::from_secs(5);
/// For so long Orbit's answers are waited for, where the destination does not say.
const WAIT: Duration = Duration::from_mins(10);
const ALERT_WAIT: Duration = Duration::from_mins(2);
/// What is kept of an answer that says that there is nothing.
const NOTHING: &str = "null";
/// The word for what is not known as a whole.
const PARTIAL: &str = "partial";

/// What is known of one event besides itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Learnt {
    pub(super) known: Enrichment,
    /// Whether anything was asked for at all.
    asked: bool,
    /// Why something is not known that was asked for.
    pub(super) missing: Option<String>,
}

impl Learnt {
    /// The word for what is known.
    pub(super) fn word(&self) -> Option<&'static str> {
        let word = match self.missing {
            None => "complete",
            Some(_) => PARTIAL,
        };
        self.asked.then_some(word)
    }
}

/// Asks for what these claims lack, and keeps it.
pub(super) async fn learn(
    shared: &Shared,
    claims: &[(&Claim, Needs)],
) -> Result<Vec<Learnt>, WriteError> {
    let mut all = Vec::with_capacity(claims.len());
    let mut asks = JoinSet::new();
    for (place, (claim, needs)) in claims.iter().enumerate() {
        let known = claim.enrichment.clone();
        let lacks = Needs {
            run: needs.run && known.run.is_none(),
            anomaly: needs.anomaly && known.anomaly.is_none(),
        };
        if lacks.run || lacks.anomaly {
            let ask = ask(shared, claim, lacks);
            asks.spawn(async move { (place, ask.await) });
        }
        all.push(frozen(claim).unwrap_or(Learnt {
            known,
            asked: needs.run || needs.anomaly,
            missing: None,
        }));
    }
    if asks.is_empty() {
        return Ok(all);
    }
    let mut answered: Vec<_> = claims.iter().map(|_| None).collect();
    let gather = async {
        while let Some(ended) = asks.join_next().await {
            let (place, answers) = unwrap(ended);
            if let Some(slot) = answered.get_mut(place) {
                *slot = Some(answers);
            }
        }
    };
    // What is late is asked for again: its event waits.
    tokio::time::timeout(PATIENCE, gather).await.ok();
    let mut kept = Vec::new();
    for (((claim, needs), learnt), answers) in claims.iter().zip(&mut all).zip(answered) {
        let Some(answers) = answers else {
            let known = &learnt.known;
            if needs.run && known.run.is_none() || needs.anomaly && known.anomaly.is_none() {
                learnt.missing = Some("Orbit did not answer in time".to_owned());
            }
            continue;
        };
        let new = take(learnt, answers);
        if new != Enrichment::default() {
            kept.push((claim.lease.seq, new));
        }
    }
    if !kept.is_empty() {
        shared.journal.keep_enrichment(kept).await?;
    }
    Ok(all)
}

/// What was known when the delivery was frozen: a later try sees no other.
fn frozen(claim: &Claim) -> Option<Learnt> {
    let relay = claim.frozen.as_deref()?;
    let word = transform::enrichment_of(relay);
    Some(Learnt {
        known: claim.enrichment.clone(),
        asked: word.is_some(),
        missing: (word.as_deref() == Some(PARTIAL)).then(String::new),
    })
}

fn ask(
    shared: &Shared,
    claim: &Claim,
    lacks: Needs,
) -> impl Future<Output = Answers> + Send + 'static {
    let enrich = Arc::clone(&shared.enrich);
    let envelope = Envelope::of(&claim.event_type, &claim.body).ok();
    let run = envelope.as_ref().and_then(|event| event.data("runUuid"));
    let run_event = envelope.as_ref().and_then(|event| event.data("uuid"));
    let is_alert = claim.event_type == ALERT;
    async move {
        let (run, run_event) = (run.as_deref(), run_event.as_deref());
        enrich.ask(lacks, run, run_event, is_alert).await
    }
}

/// Takes in what is new, and gives it.
fn take(learnt: &mut Learnt, answers: Answers) -> Enrichment {
    let mut new = Enrichment::default();
    let Answers { run, anomaly } = answers;
    for (answer, slot) in [(run, &mut new.run), (anomaly, &mut new.anomaly)] {
        match answer {
            Answer::Known(text) => *slot = Some(text),
            Answer::Absent => *slot = Some(NOTHING.to_owned()),
            Answer::Unanswered(why) => {
                learnt.missing.get_or_insert(why);
            }
            Answer::NotAsked => {}
        }
    }
    let known = &mut learnt.known;
    for (slot, new) in [
        (&mut known.run, &new.run),
        (&mut known.anomaly, &new.anomaly),
    ] {
        if let Some(new) = new {
            *slot = Some(new.clone());
        }
    }
    new
}

/// When Orbit is asked again, if the event is still to wait for it.
pub(super) fn again_at(shared: &Shared, claim: &Claim) -> Option<Timestamp> {
    let now = shared.clock.steady();
    let alert = claim.event_type == ALERT;
    let (wait, again) = if alert {
        (ALERT_WAIT, ALERT_AGAIN)
    } else {
        (WAIT, AGAIN)
    };
    let wait = shared.config.enrich_wait.unwrap_or(wait);
    let waited = claim
        .enrich_since
        .map_or(Duration::ZERO, |since| until(since, now));
    let rest = wait.saturating_sub(waited);
    (!rest.is_zero()).then(|| later(now, again.min(rest)))
}
