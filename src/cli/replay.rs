//! `deliveries replay --kept`: what came while its destination was not configured.
//!
//! # Invariants
//! - Small commits: killed half-way, no event is skipped and none is sent twice for it.

use std::process::ExitCode;

use clap::ArgMatches;

use super::asker::Asker;
use super::{FAILED, Outcome, complain, print, runtime};
use crate::app::control::{Answer, Ask};
use crate::config::{Config, Input};

/// How many deliveries one commit makes.
const STEP: u64 = 500;

pub(super) fn kept(input: &Input, matches: &ArgMatches) -> Outcome {
    let data_dir = Config::data_dir(input)?;
    let destination = matches
        .get_one::<String>("destination")
        .map_or("integration", String::as_str);
    runtime()?.block_on(async {
        let asker = Asker::find(&data_dir).await?;
        let mut made = 0;
        let mut who = Some(super::who(input));
        loop {
            let ask = Ask::ReplayKept {
                destination: destination.to_owned(),
                limit: STEP,
                who: who.take(),
            };
            match asker.ask(ask).await? {
                Answer::Made(0) => break,
                Answer::Made(n) => made += n,
                Answer::Failed(why) => {
                    complain(&format!("error: {why}"));
                    asker.close().await;
                    return Ok(ExitCode::from(FAILED));
                }
                other => anyhow::bail!("an answer to something else: {other:?}"),
            }
        }
        asker.close().await;
        print(&format!(
            "{made} kept events are now pending for {destination}"
        ))?;
        Ok(ExitCode::SUCCESS)
    })
}
