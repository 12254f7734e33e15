//! `presets`: what there is for well-known systems, and the file of one.
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
        .about("Look at the presets: destinations that are made for one system")
        .subcommand_required(true)
        .subcommand(Command::new("list").about("List them, each with what it makes"))
        .subcommand(
            Command::new("show")
                .about("Print one as it stands in a configuration file, to copy from")
                .arg(
                    Arg::new("name")
                        .value_name("NAME")
                        .help("Its name, as in the list")
                        .required(true),
                ),
        )
}

pub(super) fn list() -> Outcome {
    let all = config::presets();
    let widest = all.iter().map(|(preset, _)| preset.name.len()).max();
    let widest = widest.unwrap_or_default();
    for (preset, about) in all {
        print(&format!("{:widest$}  {about}", preset.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn show(matches: &ArgMatches) -> Outcome {
    let name = matches.get_one::<String>("name").map_or("", String::as_str);
    let Some(preset) = presets::find(name) else {
        return Err(Usage(format!(
            "no preset `{name}`; orbit-relay presets list shows them"
        ))
        .into());
    };
    print_as_it_is(preset.text)?;
    Ok(ExitCode::SUCCESS)
}
