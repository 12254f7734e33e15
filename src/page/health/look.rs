//! The table of `check`: when it was looked at, and looking again.
//!
//! # Invariants
//! - It is looked at by one at a time, however many ask.

use std::sync::{Arc, Mutex, PoisonError};

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
    place: Arc<Semaphore>,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            last: Mutex::default(),
            place: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Looks {
    pub(crate) fn last(&self) -> Option<Arc<Looked>> {
        self.last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn is_looking(&self) -> bool {
        self.place.available_permits() == 0
    }
}

/// Begins to look, unless somebody does, or what was seen is younger than this.
pub(in super::super) fn begin(page: &Arc<Page>, younger: SignedDuration) {
    let now = page.app.clock.wall();
    let last = page.looks.last();
    if last.is_some_and(|last| now.duration_since(last.at) < younger) {
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
        if let Some(findings) = findings {
            let at = app.clock.wall();
            let looked = Arc::new(Looked { at, findings });
            *page
                .looks
                .last
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(looked);
        }
        drop(place);
        page.stir();
    });
}
