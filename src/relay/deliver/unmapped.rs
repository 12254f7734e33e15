//! What is said of an action that finds no asset: once for each action and map, with a line to
//! paste into the asset map; in the log, and as an event of the relay.
//!
//! # Invariants
//! - Bounded: beyond [`REMEMBERED`] names nothing more is said until the map changes.
//! - Nothing waits for it: an event that cannot be kept is in the log only.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;

use crate::event::Event;
use crate::own::{self, Own};
use crate::relay::assets::{AssetMap, Subject};
use crate::relay::journal::Journal;

const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Said(Mutex<Actions>);

#[derive(Debug, Default)]
struct Actions {
    map: Weak<AssetMap>,
    names: HashSet<String>,
    /// Said in the log, and not yet as an event.
    news: Vec<Event>,
}

impl Said {
    pub(super) fn note(&self, map: &Arc<AssetMap>, subject: &Subject, at: Timestamp) {
        let Some(action) = &subject.action_name else {
            return;
        };
        if !self.is_new(map, action) {
            return;
        }
        let suggestion = map.suggestion(subject);
        let line = one_line(&suggestion);
        tracing::warn!(
            "no asset for the action {action:?}; to map it, add to the asset map: {line}"
        );
        let event = own::unmapped(
            own::Unmapped {
                action,
                mission: subject.mission_name.as_deref(),
                robot: subject.robot.as_deref(),
                map: Some(map.version()),
                suggestion: &suggestion,
            },
            at,
        );
        self.actions().news.push(event);
    }

    /// Whether there is something to tell.
    pub(super) fn has_news(&self) -> bool {
        !self.actions().news.is_empty()
    }

    /// Tells those who hear of it.
    pub(super) async fn tell(&self, journal: &Journal) {
        let news = std::mem::take(&mut self.actions().news);
        for event in news.into_iter().filter(|_| journal.says(Own::Unmapped)) {
            if let Err(error) = journal.say(event, None).await {
                tracing::debug!(%error, "deliver: an unmapped action is in the log only");
            }
        }
    }

    fn actions(&self) -> MutexGuard<'_, Actions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_new(&self, map: &Arc<AssetMap>, action: &str) -> bool {
        let mut said = self.actions();
        if said.map.as_ptr() != Arc::as_ptr(map) {
            *said = Actions {
                map: Arc::downgrade(map),
                names: HashSet::new(),
                news: std::mem::take(&mut said.news),
            };
        }
        said.names.len() < REMEMBERED && said.names.insert(action.to_owned())
    }
}

/// A log line is one line, and holds nothing that moves a terminal's cursor.
fn one_line(text: &str) -> String {
    text.replace('\n', " ⏎ ")
        .replace(char::is_control, "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_said_once_for_each_map() {
        let unmapped = Said::default();
        let map = Arc::new(AssetMap::empty());
        assert!(unmapped.is_new(&map, "a"));
        assert!(!unmapped.is_new(&map, "a"));
        assert!(unmapped.is_new(&map, "b"));
        assert!(unmapped.is_new(&Arc::new(AssetMap::empty()), "a"));
    }

    #[test]
    fn a_suggestion_takes_one_line_of_the_log() {
        assert_eq!(one_line("a\nb\u{1b}[2J"), "a ⏎ b\u{fffd}[2J");
    }
}
