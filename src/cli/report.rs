//! `check --report FILE`: one plain text to be attached to a bug report.
//!
//! # Invariants
//! - No secret is in it: settings as `config check` shows them, users left out, forms instead of
//!   contents.
//! - Only its owner can read it (mode 0600).

use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

use super::config_check::line;
use crate::app::check::Findings;
use crate::app::check::answers::Answered;
use crate::clock::Clock;
use crate::config::{Config, Shown};
use crate::relay::journal::Reader;

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
    file.set_permissions(std::fs::Permissions::from_mode(0o600))
        .and_then(|()| file.write_all(text(config, findings, answers).as_bytes()))
        .with_context(cannot)
}

fn text(config: &Config, findings: &Findings, answers: &[Answered]) -> String {
    let mut lines = vec![
        format!("orbit-relay {} check", env!("CARGO_PKG_VERSION")),
        format!("at {:.0}", Clock::system().wall()),
        system(),
        String::new(),
    ];
    lines.extend(findings.lines());
    lines.push("\nWhat this Orbit does".to_owned());
    let answers = answers.iter();
    lines.extend(answers.map(|Answered { question, answer }| format!("{question}: {answer}")));
    lines.push("\nSums".to_owned());
    let sums = Reader::open(&config.data_dir).and_then(|mut reader| reader.sums());
    match sums {
        Ok(sums) => lines.extend(sums.lines()),
        Err(error) => lines.push(error.to_string()),
    }
    lines.push("\nSettings".to_owned());
    lines.extend(config.shown_settings().iter().map(line));
    for source in &config.shown_sources {
        lines.push(format!("\nSource {}", source.name));
        lines.extend(source.keys.iter().map(line));
    }
    for destination in &config.shown_destinations {
        lines.push(format!("\nDestination {}", destination.name));
        lines.extend(destination.keys.iter().map(key));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A report travels further than a terminal: who the user is stays here.
fn key(shown: &Shown) -> String {
    if shown.name == "auth.user" {
        format!("{} = *** (from {})", shown.name, shown.origin)
    } else {
        line(shown)
    }
}

/// The operating system, as far as it says what it is.
fn system() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let release = read("/etc/os-release");
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.unwrap_or("unknown").trim_matches('"');
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "on {name}, kernel {}, {}",
        kernel.trim(),
        std::env::consts::ARCH
    )
}
