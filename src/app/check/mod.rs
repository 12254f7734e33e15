//! Is all as it should be, and if not, what is to be done? The one table for the command, for the
//! log at start, and for the log after a test payload.
//!
//! ```text
//! mod          rows, and the order in which they are asked for
//! subject      what is looked at: the configuration, or the parts of a running relay
//! place        configuration, data directory, ports, asset map
//! orbit        asks Orbit; what its answers mean (pure)
//! webhooks     our webhook, and others beside it (pure)
//! ways         where else Orbit may be, and by which address it may call us
//! destinations what destinations answered (pure)
//! reach        whether Orbit can call us: the test payload
//! answers      what nobody outside can know of a real Orbit (pure)
//! said         the table in the log
//! ```
//!
//! # Invariants
//! - Nothing is made or changed: not in Orbit, not at a destination, not in the journal.
//! - Every row that is bad says what to do.
//! - No secret and no URL with one is in a row.

pub mod answers;
mod destinations;
mod orbit;
mod place;
pub mod reach;
pub mod said;
mod subject;
mod ways;
mod webhooks;

use std::fmt;

use serde::Serialize;

pub use self::orbit::Seen;
pub use self::subject::{Ports, Subject};
use crate::clock::Clock;

/// No row says more.
const ROW_CHARS: usize = 1000;

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is.
    Good,
    /// It is not.
    Bad,
    /// It was not asked, or cannot be known from here.
    Unknown,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Unknown => "–",
        })
    }
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What was looked at.
    pub name: String,
    /// Whether it is as it should be.
    pub verdict: Verdict,
    /// What was seen.
    pub what: String,
    /// What to do, in one sentence.
    pub advice: Option<String>,
}

impl Row {
    fn good(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(name.into(), Verdict::Good, &what.into(), None)
    }

    fn bad(name: impl Into<String>, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(
            name.into(),
            Verdict::Bad,
            &what.into(),
            Some(&advice.into()),
        )
    }

    fn unknown(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(name.into(), Verdict::Unknown, &what.into(), None)
    }

    fn advising(self, advice: impl Into<String>) -> Self {
        Self {
            advice: Some(advice.into()),
            ..self
        }
    }

    fn new(name: String, verdict: Verdict, what: &str, advice: Option<&str>) -> Self {
        Self {
            name,
            verdict,
            what: plain(what),
            advice: advice.map(plain),
        }
    }
}

/// One line of bounded length, whatever a server has said.
fn plain(text: &str) -> String {
    line_of(text, ROW_CHARS)
}

fn line_of(text: &str, longest: usize) -> String {
    let text = text.trim().chars().take(longest);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// What was seen, all in all.
#[derive(Debug)]
pub struct Findings {
    /// The table.
    pub rows: Vec<Row>,
    /// What Orbit said.
    pub orbit: Seen,
}

impl Findings {
    /// How many rows are like this.
    pub fn count(&self, verdict: Verdict) -> usize {
        let rows = self.rows.iter();
        rows.filter(|row| row.verdict == verdict).count()
    }

    /// The table, names in one column, what to do below what is wrong.
    pub fn lines(&self) -> Vec<String> {
        let length = |row: &Row| row.name.chars().count();
        let width = self.rows.iter().map(length).max().unwrap_or_default();
        let mut lines = Vec::new();
        for Row {
            name,
            verdict,
            what,
            advice,
        } in &self.rows
        {
            lines.push(format!("{verdict} {name:width$}  {what}"));
            lines.extend(advice.as_ref().map(|advice| format!("    → {advice}")));
        }
        lines.push(self.sum());
        lines
    }

    /// How many of each.
    pub fn sum(&self) -> String {
        let [good, bad, unknown] =
            [Verdict::Good, Verdict::Bad, Verdict::Unknown].map(|verdict| self.count(verdict));
        format!("{good} ✓, {bad} ✗, {unknown} –")
    }
}

/// Looks at everything but whether Orbit can call us, which takes a person.
pub async fn look(subject: &Subject, clock: &Clock) -> Findings {
    let mut rows = place::rows(subject).await;
    let looks = destinations::begin(&subject.destinations, clock.wall());
    let mut seen = match &subject.orbit {
        Some(orbit) => orbit::look(orbit, subject.answer_questions, clock).await,
        None => Seen::default(),
    };
    if !orbit::is_reached(&seen) {
        seen.elsewhere = Some(ways::find_orbit(subject).await);
    }
    let pinged = ways::ping(subject).await;
    rows.extend(orbit::rows(subject, &seen));
    rows.extend(webhooks::rows(&subject.wanted_webhook(), &seen));
    rows.push(ways::row(subject, &pinged));
    rows.extend(place::rows_of_the_rest(subject, &seen));
    rows.extend(destinations::end(&subject.destinations, looks).await);
    Findings { rows, orbit: seen }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_its_names_in_one_column_and_what_to_do_below_what_is_wrong() {
        let findings = Findings {
            rows: vec![
                Row::good("short", "fine"),
                Row::bad("a longer name", "two\nlines", "mend it"),
                Row::unknown("x", "not asked"),
            ],
            orbit: Seen::default(),
        };
        insta::assert_snapshot!(findings.lines().join("\n"), @r"
        ✓ short          fine
        ✗ a longer name  two lines
            → mend it
        – x              not asked
        1 ✓, 1 ✗, 1 –
        ");
    }
}
