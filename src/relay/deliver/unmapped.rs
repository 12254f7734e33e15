//! What is said of an action that finds no asset: once for each action and map, with a line to
//! paste into the asset map.
//!
//! # Invariants
//! - Bounded: beyond [`REMEMBERED`] names nothing more is said until the map changes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::relay::assets::{AssetMap, Subject};

const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Said(Mutex<Actions>);

#[derive(Debug, Default)]
struct Actions {
    map: Weak<AssetMap>,
    actions: HashSet<String>,
}

impl Said {
    pub(super) fn note(&self, map: &Arc<AssetMap>, subject: &Subject) {
        let Some(action) = &subject.action_name else {
            return;
        };
        if self.is_new(map, action) {
            let line = one_line(&map.suggestion(subject));
            tracing::warn!(
                "no asset for the action {action:?}; to map it, add to the asset map: {line}"
            );
        }
    }

    fn is_new(&self, map: &Arc<AssetMap>, action: &str) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.map.as_ptr() != Arc::as_ptr(map) {
            *said = Actions {
                map: Arc::downgrade(map),
                actions: HashSet::new(),
            };
        }
        said.actions.len() < REMEMBERED && said.actions.insert(action.to_owned())
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
