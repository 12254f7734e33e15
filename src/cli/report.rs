//! `check --report FILE`: one plain text to be attached to a bug report.
//!
//! # Invariants
//! - Only its owner can read it (mode 0600).

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

use crate::app::check::Findings;
use crate::app::check::answers::Answered;
use crate::app::check::report::Report;
use crate::config::Config;

pub(super) fn write(
    path: &Path,
    config: &Config,
    findings: &Findings,
    answers: &[Answered],
) -> anyhow::Result<()> {
    let cannot = || format!("the report {} cannot be written", path.display());
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)
        .with_context(cannot)?;
    // One that was there before has the mode that it had.
    let report = Report {
        data_dir: &config.data_dir,
        settings: &config.shown_settings(),
        sources: &config.shown_sources,
        destinations: &config.shown_destinations,
        findings: Some(findings),
        answers,
    };
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(report.text().as_bytes()))
        .with_context(cannot)
}
