//! One plain text to be attached to a bug report: the table, the sums, the configuration.
//!
//! # Invariants
//! - No secret is in it: settings as they are shown, users left out, forms instead of contents.

use std::path::Path;

use super::Findings;
use super::answers::Answered;
use crate::clock::Clock;
use crate::config::{Shown, ShownDestination, ShownSource};
use crate::relay::journal::Reader;

/// What a report is made of.
#[derive(Debug)]
pub struct Report<'a> {
    /// The journal's place.
    pub data_dir: &'a Path,
    /// Every setting.
    pub settings: &'a [Shown],
    /// Every source besides Orbit.
    pub sources: &'a [ShownSource],
    /// Every destination.
    pub destinations: &'a [ShownDestination],
    /// The table, if there is one.
    pub findings: Option<&'a Findings>,
    /// What this Orbit does, as far as it was asked.
    pub answers: &'a [Answered],
}

impl Report<'_> {
    /// The text.
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("orbit-relay {} check", env!("CARGO_PKG_VERSION")),
            format!("at {:.0}", Clock::system().wall()),
            system(),
            String::new(),
        ];
        match self.findings {
            Some(findings) => lines.extend(findings.lines()),
            None => lines.push("nothing was looked at".to_owned()),
        }
        if !self.answers.is_empty() {
            lines.push("\nWhat this Orbit does".to_owned());
        }
        let answers = self.answers.iter();
        lines.extend(answers.map(|Answered { question, answer }| format!("{question}: {answer}")));
        lines.push("\nSums".to_owned());
        let sums = Reader::open(self.data_dir).and_then(|mut reader| reader.sums());
        match sums {
            Ok(sums) => lines.extend(sums.lines()),
            Err(error) => lines.push(error.to_string()),
        }
        lines.push("\nSettings".to_owned());
        lines.extend(self.settings.iter().map(Shown::to_string));
        for source in self.sources {
            lines.push(format!("\nSource {}", source.name));
            lines.extend(source.keys.iter().map(Shown::to_string));
        }
        for destination in self.destinations {
            lines.push(format!("\nDestination {}", destination.name));
            lines.extend(destination.keys.iter().map(key));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// A report travels further than a terminal: who the user is stays here.
fn key(shown: &Shown) -> String {
    if shown.name == "auth.user" {
        format!("{} = *** (from {})", shown.name, shown.origin)
    } else {
        shown.to_string()
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
