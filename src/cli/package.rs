//! `package check`: whether a package for Orbit is as it should be, and what to do if not.
//!
//! # Invariants
//! - Exit 4 if any row is bad; a file that cannot be read is exit 1.
//! - No setting is read: what is in the file alone counts.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;

use super::{Outcome, TROUBLE, Usage, print};
use crate::package;
use crate::table::{self, Verdict};

pub(super) fn check(matches: &ArgMatches) -> Outcome {
    let path = matches.get_one::<PathBuf>("file");
    let path = path.ok_or_else(|| Usage("say which file".into()))?;
    let cannot = || format!("{} cannot be read", path.display());
    let mut file = std::fs::File::open(path).with_context(cannot)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let rows = package::check(&name, &mut file).with_context(cannot)?;
    for line in table::lines(&rows) {
        print(&line)?;
    }
    Ok(match table::count(&rows, Verdict::Bad) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(TROUBLE),
    })
}
