//! Makes the journal: events of the last 90 days, and what became of them at two destinations.
//!
//! It goes through the journal that the relay itself uses, under a clock that runs faster. What it
//! leaves behind is what a relay leaves that was stopped.
//!
//! # Invariants
//! - The last events wait: at one destination for tomorrow, at the other they were never tried.

use std::path::Path;
use std::time::Duration;

use anyhow::{bail, ensure};
use jiff::Timestamp;
use orbit_relay::clock::{Clock, Hand, later};
use orbit_relay::relay::journal::{
    Appended, Availability, Claim, Config, DATABASE, Disposition, Ended, Fate, Journal, Lease,
    Registered, Step, Want,
};
use tokio::task::JoinSet;

use super::plant::{self, About};

/// The destinations: the one takes all, the other no more than every third that is no alert.
pub(super) const DESTINATIONS: [&str; 2] = ["cmms", "chat"];
/// So many events come at once.
const STEP: u32 = 512;
/// From the first event to the last.
const SPAN: Duration = Duration::from_hours(90 * 24);
/// Longer than any run, under either clock.
const LEASE: Duration = Duration::from_hours(365 * 24);
/// Of so many events one waits.
const WAIT: u32 = 250;

/// Makes it, and the asset map of the page.
pub(super) fn fill(data_dir: &Path, events: u32) -> anyhow::Result<()> {
    ensure!(
        !data_dir.join(DATABASE).exists(),
        "{} holds a journal already",
        data_dir.display()
    );
    std::fs::create_dir_all(data_dir.join("page"))?;
    std::fs::write(data_dir.join("page/assets.csv"), plant::map())?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(all(data_dir, events))
}

async fn all(data_dir: &Path, events: u32) -> anyhow::Result<()> {
    let now = Clock::system().wall();
    let start = now.checked_sub(jiff::SignedDuration::try_from(SPAN)?)?;
    let (clock, hand) = Clock::manual(start);
    let registered = |name: &str| Registered {
        id: name.to_owned(),
        name: name.to_owned(),
    };
    let config = Config {
        data_dir: data_dir.to_owned(),
        destinations: Some(DESTINATIONS.map(registered).to_vec()),
        keep_delivered: SPAN * 4,
        limit_bytes: u64::MAX,
        says: Vec::new(),
    };
    let (journal, mut writer) = Journal::start(config, clock.clone())?;
    let mut availability = journal.availability();
    let found = availability
        .wait_for(|now| *now != Availability::Opening)
        .await?
        .clone();
    ensure!(found == Availability::Open, "the journal: {found:?}");
    let filling = Filling {
        journal,
        clock,
        hand,
        step: SPAN / events.max(1),
        waiting: events - events / WAIT,
    };
    let mut from = 0;
    while from < events {
        let to = from.saturating_add(STEP).min(events);
        filling.come(from..to).await?;
        filling.go(from, to).await?;
        from = to;
    }
    drop(filling);
    writer.ended().await;
    Ok(())
}

struct Filling {
    journal: Journal,
    clock: Clock,
    hand: Hand,
    /// Between two events.
    step: Duration,
    /// From this event on they wait.
    waiting: u32,
}

impl Filling {
    async fn come(&self, numbers: std::ops::Range<u32>) -> anyhow::Result<()> {
        let mut under_way = JoinSet::new();
        for n in numbers {
            self.hand.advance(self.step);
            let event = About::of(n).event(self.clock.wall());
            let journal = self.journal.clone();
            under_way.spawn(async move { journal.append(event).await });
            // One after another, so that their numbers are those of the journal.
            tokio::task::yield_now().await;
        }
        while let Some(appended) = under_way.join_next().await {
            if appended?? == Appended::Duplicate {
                bail!("an event was there already");
            }
        }
        Ok(())
    }

    async fn go(&self, from: u32, to: u32) -> anyhow::Result<()> {
        for destination in DESTINATIONS {
            let left = if destination == "chat" {
                self.waiting.max(from)
            } else {
                to
            };
            let mut most = usize::try_from(left.min(to) - from)?;
            while most > 0 {
                let claims = self.journal.claim(self.want(destination, most)).await?;
                ensure!(!claims.now.is_empty(), "{destination}: nothing is claimed");
                most -= claims.now.len();
                self.end(destination, claims.now).await?;
            }
        }
        Ok(())
    }

    fn want(&self, destination: &str, limit: usize) -> Want {
        Want {
            destination: destination.to_owned(),
            limit,
            replays: 0,
            probe: false,
            in_order: false,
            hasten: false,
            worked: Duration::ZERO,
            now: self.clock.steady(),
            lease: LEASE,
        }
    }

    async fn end(&self, destination: &str, claims: Vec<Claim>) -> anyhow::Result<()> {
        let number = |lease: &Lease| u32::try_from(lease.seq - 1).unwrap_or(0);
        let steps = claims.iter().map(|claim| {
            let about = About::of(number(&claim.lease));
            (claim.lease, step(destination, &about, claim))
        });
        let at = self.clock.wall();
        let fates = self.journal.prepare(steps.collect(), at).await?;
        let sent = claims.iter().zip(fates);
        let sent = sent.filter(|(_, fate)| matches!(fate, Fate::Send { .. }));
        let ends = sent.map(|(claim, _)| {
            let ended = self.ended(number(&claim.lease), at);
            (claim.lease, ended)
        });
        self.journal.record(ends.collect()).await?;
        Ok(())
    }

    fn ended(&self, n: u32, at: Timestamp) -> Ended {
        let disposition = if n >= self.waiting {
            Disposition::Postponed {
                due_at: later(self.clock.steady(), Duration::from_hours(24)),
                not_before: None,
                reason: "cannot connect: Connection refused (os error 111)".to_owned(),
            }
        } else if n % 100 == 41 {
            let reason = match n / 100 % 4 {
                0 => format!("answered 400: equipment {n} is not known"),
                1 => "answered 422: the field `priority` is missing".to_owned(),
                2 => format!("answered 413: {} bytes are too many", 10_000_000 + n),
                _ => "cannot connect for 72 h: Connection refused (os error 111)".to_owned(),
            };
            Disposition::Dead { reason }
        } else {
            Disposition::Delivered
        };
        Ended {
            disposition,
            answer: Some(format!(r#"{{"status":"accepted","ticket":"WO-{n}"}}"#)),
            hold_until: None,
            order: None,
            cancels: None,
            answer_event: None,
            at,
        }
    }
}

/// What becomes of one before it is sent.
fn step(destination: &str, about: &About, claim: &Claim) -> Step {
    let Some(asset) = about.asset() else {
        return Step::Park {
            reason: "no asset: the asset map has no row for it".to_owned(),
            map: Some("0".to_owned()),
            action: Some(about.action()),
        };
    };
    if destination == "chat" && !about.is_alert() && claim.lease.seq % 3 != 0 {
        return Step::Skip {
            reason: "not wanted: `events` has only alerts".to_owned(),
        };
    }
    let relay = serde_json::json!({
        "asset": {"id": asset, "area": "Hall 1"},
        "deliveryId": format!("{destination}:{}", claim.lease.seq),
        "receivedAt": claim.received_at,
    });
    Step::Freeze {
        relay: relay.to_string(),
        asset: Some(asset),
        line: None,
        once: None,
        message: None,
        map: Some("0".to_owned()),
        template: None,
        action: Some(about.action()),
        while_open: None,
        gates: None,
    }
}
