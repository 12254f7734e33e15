//! A table of what was looked at: a row each, whether it is as it should be, and what to do if
//! not.
//!
//! # Invariants
//! - A row that is bad says what to do.
//! - A row is one line of bounded length, whatever somebody else's text is in it.

use std::fmt;

use serde::Serialize;

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
    /// It is as it should be.
    pub fn good(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(name.into(), Verdict::Good, &what.into(), None)
    }

    /// It is not, and what to do.
    pub fn bad(
        name: impl Into<String>,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self::new(
            name.into(),
            Verdict::Bad,
            &what.into(),
            Some(&advice.into()),
        )
    }

    /// It was not asked, or cannot be known from here.
    pub fn unknown(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self::new(name.into(), Verdict::Unknown, &what.into(), None)
    }

    /// Says besides what to do.
    #[must_use]
    pub fn advising(self, advice: impl Into<String>) -> Self {
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

/// No longer than that, and one line.
pub(crate) fn line_of(text: &str, longest: usize) -> String {
    let text = text.trim().chars().take(longest);
    text.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// How many rows are like this.
pub fn count(rows: &[Row], verdict: Verdict) -> usize {
    rows.iter().filter(|row| row.verdict == verdict).count()
}

/// The table, names in one column, what to do below what is wrong.
pub fn lines(rows: &[Row]) -> Vec<String> {
    let length = |row: &Row| row.name.chars().count();
    let width = rows.iter().map(length).max().unwrap_or_default();
    let mut lines = Vec::new();
    for Row {
        name,
        verdict,
        what,
        advice,
    } in rows
    {
        lines.push(format!("{verdict} {name:width$}  {what}"));
        lines.extend(advice.as_ref().map(|advice| format!("    → {advice}")));
    }
    lines.push(sum(rows));
    lines
}

/// How many of each.
pub fn sum(rows: &[Row]) -> String {
    let [good, bad, unknown] =
        [Verdict::Good, Verdict::Bad, Verdict::Unknown].map(|verdict| count(rows, verdict));
    format!("{good} ✓, {bad} ✗, {unknown} –")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_its_names_in_one_column_and_what_to_do_below_what_is_wrong() {
        let rows = [
            Row::good("short", "fine"),
            Row::bad("a longer name", "two\nlines", "mend it"),
            Row::unknown("x", "not asked"),
        ];
        insta::assert_snapshot!(lines(&rows).join("\n"), @r"
        ✓ short          fine
        ✗ a longer name  two lines
            → mend it
        – x              not asked
        1 ✓, 1 ✗, 1 –
        ");
    }
}
