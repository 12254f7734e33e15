//! The log of the last hour, for whoever has no other way to it.
//!
//! # Invariants
//! - It holds what the log holds, no more: no secret is in either.
//! - Its size is bounded, whatever is logged: what is older goes first.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// Nothing older is shown.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// All lines together are no longer.
const MOST_BYTES: usize = 1024 * 1024;
/// No line is longer: an answer that was quoted may be.
const LONGEST_LINE: usize = 4 * 1024;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was written.
    pub at: Timestamp,
    /// How important it is.
    pub level: tracing::Level,
    /// What it says.
    pub text: String,
}

/// The last lines.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Recent {
    /// One line more.
    pub fn add(&self, mut line: Line) {
        line.text
            .truncate(line.text.floor_char_boundary(LONGEST_LINE));
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += line.text.len();
        let now = line.at;
        kept.lines.push_back(line);
        while kept.bytes > MOST_BYTES || kept.lines.front().is_some_and(|l| is_old(l, now)) {
            let Some(gone) = kept.lines.pop_front() else {
                return;
            };
            kept.bytes -= gone.text.len();
        }
    }

    /// The lines of the last hour, the oldest first.
    pub(crate) fn lines(&self, now: Timestamp) -> Vec<Line> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = kept.lines.iter();
        lines.filter(|line| !is_old(line, now)).cloned().collect()
    }
}

fn is_old(line: &Line, now: Timestamp) -> bool {
    now.duration_since(line.at) > HOUR
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: Timestamp, text: &str) -> Line {
        Line {
            at,
            level: tracing::Level::INFO,
            text: text.to_owned(),
        }
    }

    #[test]
    fn it_holds_an_hour_and_no_more_than_its_bytes() {
        let recent = Recent::default();
        let start = Timestamp::UNIX_EPOCH;
        recent.add(line(start, "first"));
        let later = start + SignedDuration::from_mins(59);
        recent.add(line(later, "second"));
        let texts =
            |now| -> Vec<String> { recent.lines(now).into_iter().map(|l| l.text).collect() };
        assert_eq!(texts(later), ["first", "second"]);
        assert_eq!(texts(start + SignedDuration::from_mins(61)), ["second"]);
        for _ in 0..2000 {
            recent.add(line(later, &"é".repeat(4000)));
        }
        let kept: usize = texts(later).iter().map(String::len).sum();
        assert!(kept <= MOST_BYTES && kept > MOST_BYTES / 2, "{kept}");
        assert!(texts(later).iter().all(|text| text.len() <= LONGEST_LINE));
    }
}
