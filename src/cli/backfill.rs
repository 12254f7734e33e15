//! `backfill`: looks through what Orbit stored in a time, and takes what is not here.
//!
//! # Invariants
//! - Nothing is taken twice, so it can be asked for again at any time.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::ArgMatches;
use tokio::sync::watch;

use super::asker::Asker;
use super::{Outcome, Usage, choose, complain, print, runtime};
use crate::app::control::{Answer, Ask, NO_ORBIT};
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::orbit;
use crate::reconcile::backfill::{Backfill, Found, Order};
use crate::reconcile::orbit_clock::OrbitClock;
use crate::reconcile::webhook::Nudge;
use crate::relay::journal::Journal;

pub(super) fn run(input: &Input, matches: &ArgMatches) -> Outcome {
    let now = Clock::system().wall();
    let since = choose::when(matches, "since", now)?;
    let order = Order {
        since: since.context("--since is required")?,
        until: choose::when(matches, "until", now)?,
        dry_run: matches.get_flag("dry-run"),
    };
    if order.until.is_some_and(|until| until <= order.since) {
        return Err(Usage("--until is not after --since".into()).into());
    }
    complain("asking Orbit, at the rate that backfill may have (backfill-rate)");
    let found = runtime()?.block_on(ask(input, &order))?;
    if matches.get_flag("json") {
        print(&serde_json::to_string(&found)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let what_became = if order.dry_run {
        "; nothing was taken (--dry-run)"
    } else if found == Found::default() {
        ""
    } else {
        "; they are here now"
    };
    print(&format!("{found}{what_became}"))?;
    for run_event in &found.first {
        print(&format!("  {run_event}"))?;
    }
    let listed = u64::try_from(found.first.len()).unwrap_or(u64::MAX);
    let more = (found.alerts + found.completed).saturating_sub(listed);
    if more > 0 {
        print(&format!("  and {more} more"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The running relay does it; where none runs, this process does, on the journal itself.
async fn ask(input: &Input, order: &Order) -> anyhow::Result<Found> {
    let asker = Asker::find(&Config::data_dir(input)?).await?;
    let found = match &asker {
        Asker::Relay(_) => {
            let ask = Ask::Backfill {
                since: order.since,
                until: order.until,
                dry_run: order.dry_run,
                who: super::who(input),
            };
            match asker.ask(ask).await? {
                Answer::Found(found) => Ok(found),
                Answer::Failed(why) => Err(anyhow::anyhow!(why)),
                other => Err(anyhow::anyhow!("unexpected answer: {other:?}")),
            }
        }
        Asker::Journal(ground, _) => alone(input, &ground.journal, order).await,
    };
    asker.close().await;
    found
}

async fn alone(input: &Input, journal: &Journal, order: &Order) -> anyhow::Result<Found> {
    let config = Config::load(input)?;
    let orbit = config.orbit.ok_or_else(|| Usage(NO_ORBIT.to_owned()))?;
    let client = Arc::new(orbit::Client::build(orbit)?);
    let clock = Clock::system();
    let orbit_clock = OrbitClock::new(
        Arc::clone(&client),
        journal.clone(),
        clock.clone(),
        watch::Sender::new(None),
        Arc::default(),
    );
    let mut backfill = Backfill::new(
        config.backfill,
        client,
        journal.clone(),
        clock,
        Arc::new(orbit_clock),
        watch::Sender::default(),
        Nudge::default(),
    );
    let found = backfill.carry_out(order).await;
    found.map_err(|why| anyhow::anyhow!(why))
}
