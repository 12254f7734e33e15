//! The table of `check`: when it was looked at, and looking again.
//!
//! # Invariants
//! - It is looked at by one at a time, however many ask.
//! - A look that came to nothing counts as one: the screens that it stirs do not begin the next.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use super::super::Page;
use crate::app::check::{Findings, said};

/// A table that is younger is not made again for who only opens the screen.
pub(in super::super) const FRESH: SignedDuration = SignedDuration::from_mins(10);

/// What was seen, and when.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) at: Timestamp,
    pub(crate) findings: Findings,
}

/// The last table, and whether another is being made.
#[derive(Debug)]
pub(crate) struct Looks {
    last: Mutex<Option<Arc<Looked>>>,
    /// When the last look ended, by the steady clock, whatever came of it.
    ended: Mutex<Option<Timestamp>>,
    place: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            ended: Mutex::default(),
            place: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Looks {
    pub(crate) fn last(&self) -> Option<Arc<Looked>> {
        locked(&self.last).clone()
    }

    pub(crate) fn is_looking(&self) -> bool {
        self.place.available_permits() == 0
    }

    /// Whether so much time has passed since the last look.
    fn is_due(&self, now: Timestamp, younger: SignedDuration) -> bool {
        let ended = *locked(&self.ended);
        ended.is_none_or(|ended| now.duration_since(ended) >= younger)
    }

    /// A look ended, with or without a table.
    fn ended(&self, now: Timestamp, looked: Option<Looked>) {
        if let Some(looked) = looked {
            *locked(&self.last) = Some(Arc::new(looked));
        }
        *locked(&self.ended) = Some(now);
    }
}

/// Begins to look, unless somebody does, or what was seen is younger than this.
pub(in super::super) fn begin(page: &Arc<Page>, younger: SignedDuration) {
    if !page.looks.is_due(page.app.clock.steady(), younger) {
        return;
    }
    let Ok(place) = Arc::clone(&page.looks.place).try_acquire_owned() else {
        return;
    };
    let page = Arc::clone(page);
    tokio::spawn(async move {
        let app = &page.app;
        let tested = app
            .ground
            .last_test
            .as_ref()
            .and_then(|last| *last.borrow());
        let (subject, journal) = (&app.subject, &app.ground.journal);
        let looking = said::now(subject, &app.parts, tested, journal, &app.clock);
        let findings = tokio::select! {
            () = app.stop.cancelled() => return,
            findings = looking => findings,
        };
        let at = app.clock.wall();
        let looked = findings.map(|findings| Looked { at, findings });
        page.looks.ended(app.clock.steady(), looked);
        drop(place);
        page.stir();
    });
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_came_to_nothing_is_not_begun_again_at_once() {
        let looks = Looks::default();
        let now = Timestamp::UNIX_EPOCH;
        assert!(looks.is_due(now, FRESH));
        looks.ended(now, None);
        assert!(looks.last().is_none());
        assert!(!looks.is_due(now + SignedDuration::from_mins(9), FRESH));
        assert!(looks.is_due(now + FRESH, FRESH));
        assert!(
            looks.is_due(now, SignedDuration::ZERO),
            "somebody may press"
        );
    }
}
