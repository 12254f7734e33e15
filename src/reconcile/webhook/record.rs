//! What the journal remembers of our webhook.
//!
//! # Invariants
//! - What an earlier version wrote is still read.

use serde::{Deserialize, Serialize};

/// So many of our webhooks are remembered; older ones are strangers.
const MOST: usize = 32;

/// The note `webhook`.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Record {
    /// Our webhook's id in Orbit; empty when it was deleted.
    pub uuid: String,
    /// What Orbit was to call.
    pub url: String,
    /// What `--enabled` said.
    pub enabled: bool,
    /// Which secret Orbit was given.
    pub secret_fingerprint: String,
    /// Every webhook that was made or taken over as ours, the newest last.
    #[serde(default)]
    pub made: Vec<String>,
    /// A person deleted it: it is not made again until `--enabled` changes or a person says so.
    #[serde(default)]
    pub deleted: bool,
    /// It was disabled because the relay stopped, not by an administrator.
    #[serde(default)]
    pub disabled_on_exit: bool,
}

impl Record {
    /// Reads the note; one that cannot be read is none.
    pub(super) fn read(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok()
    }

    /// Whether this webhook is, or was, ours.
    pub(super) fn owns(&self, uuid: &str) -> bool {
        self.uuid == uuid || self.made.iter().any(|made| made == uuid)
    }

    /// The ids that are ours: those of before, and this one.
    pub(super) fn made_with(before: Option<&Self>, uuid: &str) -> Vec<String> {
        let mut made = before.map_or_else(Vec::new, |record| {
            let mut made = record.made.clone();
            if !record.uuid.is_empty() && !made.contains(&record.uuid) {
                made.push(record.uuid.clone());
            }
            made
        });
        made.retain(|known| known != uuid);
        made.push(uuid.to_owned());
        made.drain(..made.len().saturating_sub(MOST));
        made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_of_an_earlier_version_is_read() {
        let old = r#"{"uuid":"u","url":"http://x","enabled":true,"secret_fingerprint":"f"}"#;
        let record = Record::read(old).unwrap();
        assert!(record.owns("u") && !record.owns("o") && !record.deleted);
        assert_eq!(Record::made_with(Some(&record), "v"), ["u", "v"]);
        assert!(Record::read("nonsense").is_none());
    }

    #[test]
    fn the_record_does_not_grow_without_end() {
        let mut record = Record::default();
        for n in 0..100 {
            record.made = Record::made_with(Some(&record), &n.to_string());
        }
        assert_eq!(record.made.len(), MOST);
        assert!(record.owns("99") && !record.owns("0"));
    }
}
