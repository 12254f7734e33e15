//! What the screen Health says.
//!
//! # Invariants
//! - Nothing is asked of anybody for it: it is what is known.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::{Line, Page};
use crate::ops::health;
use crate::reconcile::orbit_clock;
use crate::table::{Row, Verdict};

/// No more lines of the log are shown.
const LINES: usize = 500;

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct View {
    /// How each part does, as `/readyz` says it.
    pub(crate) parts: health::Health,
    /// The table of `check`, if it was looked at.
    pub(crate) check: Option<Check>,
    /// Whether it is being looked at.
    pub(crate) is_looking: bool,
    /// Versions, room and the like.
    pub(crate) facts: Vec<Fact>,
    /// What the configuration should be known for.
    pub(crate) warnings: Vec<String>,
}

/// The table of `check`.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    pub(crate) at: Timestamp,
    pub(crate) rows: Vec<Row>,
    pub(crate) good: usize,
    pub(crate) bad: usize,
    pub(crate) unknown: usize,
}

/// Something by its name.
#[derive(Debug, Serialize)]
pub(crate) struct Fact {
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

pub(crate) fn view(page: &Page) -> View {
    let app = &page.app;
    let looked = page.looks.last();
    let mut facts = vec![
        fact("orbit-relay", env!("CARGO_PKG_VERSION")),
        fact("Journal", &app.parts.room.borrow().to_string()),
    ];
    let version = looked
        .as_ref()
        .and_then(|looked| looked.findings.orbit.version.as_ref());
    if let Some(Ok(version)) = version {
        let known = |text: &Option<String>| text.clone().unwrap_or("not said".to_owned());
        let (is, serial) = (known(&version.version), known(&version.serial));
        facts.push(fact("Orbit", &format!("{is}, serial {serial}")));
    }
    let clock = match app.parts.orbit_clock.skew_ms() {
        None => "Orbit's clock is not known".to_owned(),
        Some(skew) => {
            orbit_clock::in_words(skew).unwrap_or_else(|| "within 30 s of Orbit's".to_owned())
        }
    };
    facts.push(fact("Clock", &clock));
    facts.push(fact("Data directory", &app.data_dir.display().to_string()));
    View {
        parts: app.parts.health(),
        check: looked.map(|looked| Check {
            at: looked.at,
            rows: looked.findings.rows.clone(),
            good: looked.findings.count(Verdict::Good),
            bad: looked.findings.count(Verdict::Bad),
            unknown: looked.findings.count(Verdict::Unknown),
        }),
        is_looking: page.looks.is_looking(),
        facts,
        warnings: app.shown.warnings.clone(),
    }
}

fn fact(name: &'static str, value: &str) -> Fact {
    Fact {
        name,
        value: value.to_owned(),
    }
}

/// Which lines of the log are wanted.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct LogQuery {
    /// Of this importance or more.
    #[serde(default)]
    pub(crate) level: Least,
    /// With this text; upper and lower case are the same.
    #[serde(default)]
    pub(crate) text: String,
}

/// The least important line that is shown.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Least {
    Error,
    Warn,
    Info,
    #[default]
    #[serde(other)]
    All,
}

impl Least {
    pub(crate) const ALL: [(Self, &'static str, &'static str); 4] = [
        (Self::All, "all", "all lines"),
        (Self::Info, "info", "info and worse"),
        (Self::Warn, "warn", "warnings and errors"),
        (Self::Error, "error", "errors"),
    ];

    fn takes(self, level: tracing::Level) -> bool {
        match self {
            Self::Error => level <= tracing::Level::ERROR,
            Self::Warn => level <= tracing::Level::WARN,
            Self::Info => level <= tracing::Level::INFO,
            Self::All => true,
        }
    }
}

/// The log of the last hour.
#[derive(Debug, Serialize)]
pub(crate) struct Log {
    /// The newest first.
    pub(crate) lines: Vec<LogLine>,
    /// How many lines the filter takes.
    pub(crate) found: usize,
}

/// One line.
#[derive(Debug, Serialize)]
pub(crate) struct LogLine {
    pub(crate) at: Timestamp,
    pub(crate) level: &'static str,
    pub(crate) text: String,
}

pub(crate) fn log(page: &Page, query: &LogQuery) -> Log {
    let lines = page.outside.log.lines(page.app.clock.wall());
    filtered(lines, query)
}

fn filtered(lines: Vec<Line>, query: &LogQuery) -> Log {
    let wanted = query.text.to_lowercase();
    let mut lines: Vec<_> = lines
        .into_iter()
        .filter(|line| query.level.takes(line.level))
        .filter(|line| wanted.is_empty() || line.text.to_lowercase().contains(&wanted))
        .collect();
    let found = lines.len();
    lines.reverse();
    lines.truncate(LINES);
    let lines = lines.into_iter().map(|line| LogLine {
        at: line.at,
        level: line.level.as_str(),
        text: line.text,
    });
    Log {
        lines: lines.collect(),
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_filtered_by_importance_and_text_the_newest_first() {
        let line = |second, level, text: &str| Line {
            at: Timestamp::from_second(second).unwrap(),
            level,
            text: text.to_owned(),
        };
        let lines = vec![
            line(1, tracing::Level::INFO, "Received a"),
            line(2, tracing::Level::WARN, "slow"),
            line(3, tracing::Level::ERROR, "received nothing"),
            line(4, tracing::Level::DEBUG, "detail"),
        ];
        let texts = |level, text: &str| -> Vec<String> {
            let query = LogQuery {
                level,
                text: text.to_owned(),
            };
            let log = filtered(lines.clone(), &query);
            assert_eq!(log.found, log.lines.len());
            log.lines.into_iter().map(|line| line.text).collect()
        };
        assert_eq!(texts(Least::All, "").len(), 4);
        assert_eq!(texts(Least::Warn, ""), ["received nothing", "slow"]);
        assert_eq!(
            texts(Least::All, "RECEIVED"),
            ["received nothing", "Received a"]
        );
        assert_eq!(texts(Least::Error, "slow"), [""; 0]);
        let many = (0..2000)
            .map(|n| line(n, tracing::Level::INFO, "x"))
            .collect();
        let log = filtered(many, &LogQuery::default());
        assert_eq!((log.found, log.lines.len()), (2000, LINES));
    }
}
