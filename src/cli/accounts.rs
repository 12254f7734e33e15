//! `accounts`: for whom no account of the page is left that could help.
//!
//! # Invariants
//! - Nothing is removed without --yes, or a yes at the terminal.
//! - Beside a running relay too, which sees it within a second.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::args::place;
use super::{FAILED, Outcome, Usage, bulk, complain, print};
use crate::config::{Config, Input};
use crate::page::access;

pub(super) fn command() -> Command {
    Command::new("accounts")
        .about("See to the accounts of the page")
        .subcommand_required(true)
        .subcommand(
            Command::new("reset")
                .about(
                    "Remove all accounts, sessions and API tokens of the page, and make a new \
                     set-up code: where nobody can log in any more",
                )
                .arg(
                    Arg::new("yes")
                        .long("yes")
                        .help("Do not ask")
                        .action(ArgAction::SetTrue),
                )
                .args(place()),
        )
}

pub(super) fn reset(input: &Input, matches: &ArgMatches) -> Outcome {
    let data_dir = Config::data_dir(input)?;
    if !matches.get_flag("yes") {
        if !std::io::stdin().is_terminal() {
            let why = "reset asks before it does anything, and there is no terminal to ask at: \
                       say --yes";
            return Err(Usage(why.into()).into());
        }
        let question = format!("remove all accounts of {}?", data_dir.display());
        if !bulk::asked(&question)? {
            complain("nothing was done");
            return Ok(ExitCode::from(FAILED));
        }
    }
    anyhow::ensure!(
        data_dir.is_dir(),
        "there is no data directory {} (--data-dir)",
        data_dir.display()
    );
    let code = access::reset(&data_dir).map_err(|error| {
        anyhow::anyhow!(error).context(format!("the accounts of {}", data_dir.display()))
    })?;
    print(&format!(
        "all accounts, sessions and API tokens are removed; open the page and give the set-up \
         code {}",
        code.shown()
    ))?;
    Ok(ExitCode::SUCCESS)
}
