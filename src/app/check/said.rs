//! The table in the log, at start and after each test payload: where a person has only the log
//! page and the test button.
//!
//! # Invariants
//! - It waits no longer than [`START`] for the journal and the first look at the webhook, takes no
//!   longer than [`LONGEST`], and ends nothing when it fails.
//! - After a test payload at most once a minute.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::reach::{Reach, Tested};
use super::{Findings, Row, Subject, Verdict, look};
use crate::clock::{Clock, later};
use crate::ops::health::Parts;
use crate::reconcile::webhook::{self, Address, NOTE_ADDRESS};
use crate::relay::journal::{Availability, Journal};

/// One table takes no longer.
const LONGEST: Duration = Duration::from_mins(2);
/// For so long may the journal and the first look at the webhook be waited for.
const START: Duration = Duration::from_secs(30);
/// No more tables than one in this time.
const PAUSE: Duration = Duration::from_mins(1);

/// Says the table at start, and after each test payload, until `stop`.
pub(in crate::app) async fn run(
    subject: Subject,
    parts: Parts,
    mut tests: watch::Receiver<Option<Tested>>,
    journal: Journal,
    clock: Clock,
    stop: CancellationToken,
) {
    let saying = async {
        settled(&parts, &clock).await;
        loop {
            let tested = *tests.borrow_and_update();
            if let Some(findings) = now(&subject, &parts, tested, &journal, &clock).await {
                say(&findings);
            } else {
                tracing::warn!("check: not ended within {} s", LONGEST.as_secs());
            }
            let next = later(clock.steady(), PAUSE);
            if tests.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
            clock.sleep_until(next).await;
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = saying => {}
    }
}

/// Waits until the relay has done what it does at its start; what hinders that is in the table.
async fn settled(parts: &Parts, clock: &Clock) {
    let (mut journal, mut webhook) = (parts.journal.clone(), parts.webhook.clone());
    let started = async {
        // What ends meanwhile ends the relay.
        drop(journal.wait_for(|now| *now == Availability::Open).await);
        drop(
            webhook
                .wait_for(|now| *now != webhook::Status::Unknown)
                .await,
        );
    };
    tokio::select! {
        () = started => {}
        () = clock.sleep(START) => {}
    }
}

/// The table of the running relay; none where it takes longer than [`LONGEST`].
pub async fn now(
    subject: &Subject,
    parts: &Parts,
    tested: Option<Tested>,
    journal: &Journal,
    clock: &Clock,
) -> Option<Findings> {
    // While one secret takes the place of another, neither is wrong.
    let keys = parts.secret.borrow().as_ref().ok().cloned();
    let keys = keys.filter(|keys| keys.previous.is_none());
    let noted = journal.note(NOTE_ADDRESS).await.ok().flatten();
    let subject = Subject {
        noted: noted.and_then(|note| Address::read(&note)),
        secret: keys.map(|keys| keys.current),
        ..subject.clone()
    };
    let mut findings = tokio::select! {
        findings = look(&subject, clock) => findings,
        () = clock.sleep(LONGEST) => return None,
    };
    let reach = Reach::NotWaited {
        why: "no test payload has come since the start".to_owned(),
        last: tested,
    };
    findings.rows.push(reach.row(&subject));
    Some(findings)
}

fn say(findings: &Findings) {
    for row in &findings.rows {
        let line = line(row);
        match row.verdict {
            Verdict::Bad => tracing::warn!("{line}"),
            Verdict::Good | Verdict::Unknown => tracing::info!("{line}"),
        }
    }
    tracing::info!("check: {}", findings.sum());
}

fn line(row: &Row) -> String {
    let Row {
        name,
        verdict,
        what,
        advice,
    } = row;
    let advice = advice.as_ref().map(|advice| format!(" – {advice}"));
    format!(
        "check: {verdict} {name}: {what}{}",
        advice.unwrap_or_default()
    )
}
