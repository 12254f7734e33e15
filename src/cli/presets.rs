//! `presets`: what there is for well-known systems, and each as it is.
//!
//! # Invariants
//! - No setting is read.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use super::{Outcome, Usage, print, print_as_it_is};
use crate::config;
use crate::relay::destination::presets;

pub(super) fn command() -> Command {
    Command::new("presets")
        .about("What well-known systems want of a destination")
        .subcommand_required(true)
        .subcommand(Command::new("list").about("List the presets, and what each makes"))
        .subcommand(
            Command::new("show")
                .about("Print a preset: its settings and what it sends")
                .arg(
                    Arg::new("name")
                        .value_name("NAME")
                        .help("Its name")
                        .required(true),
                ),
        )
}

pub(super) fn list() -> Outcome {
    for (name, about) in config::presets() {
        print(&format!("{name:<24} {about}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(matches: &ArgMatches) -> Outcome {
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let Some(preset) = presets::find(name) else {
        let error = format!("no preset `{name}`; orbit-relay presets list shows them");
        return Err(Usage(error).into());
    };
    print_as_it_is(preset.text)?;
    Ok(ExitCode::SUCCESS)
}
