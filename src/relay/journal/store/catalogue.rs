//! The catalogue's tables: what events are about.
//!
//! # Invariants
//! - An event has one entry at most, and a subject is there while an entry has it; its counts are
//!   those of its entries.
//! - What is written twice is there once. A route counts each event once, in order, whatever is
//!   looked at anew.
//! - What is kept of an event here goes with it.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Store, StoreError};
use crate::relay::journal::WriteError;
use crate::relay::journal::catalogue::{
    About, Field, Heard, Mark, NOTE, WORD, bare, heard, kept, words,
};

/// What tells one subject from another, as it is kept; an empty text stands for none.
#[derive(Debug, PartialEq, Eq)]
struct Subject {
    robot: String,
    mission: String,
    action: String,
    asset: String,
    /// The other assets, a line each.
    others: String,
}

/// An event's row.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    subject: i64,
    alert: bool,
    at: i64,
}

/// A reading's asset, time and name.
type Place = (String, i64, String);

/// What is kept of a reading at its place.
#[derive(Debug, PartialEq)]
struct Kept {
    value: Option<f64>,
    text: Option<String>,
    unit: Option<String>,
    alert: bool,
}

/// Of what is written for an event, or taken out with it, about; and for each of its readings.
const ENTRY_BYTES: u64 = 512;
const READING_BYTES: u64 = 128;

impl Store {
    /// Whatever goes wrong here concerns no other call of its group.
    pub(in crate::relay::journal) fn catalogue(
        &mut self,
        rows: &[About],
        mark: &Mark,
        again: Option<i64>,
    ) -> Result<(), StoreError> {
        self.apart(|store| store.catalogue_all(rows, mark, again))
    }

    /// All that `act` writes, or nothing of it: what fails is refused, and the transaction goes on.
    /// `act` changes the tables alone, and no sums in memory.
    fn apart<T>(
        &mut self,
        act: impl FnOnce(&mut Self) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connection
            .prepare_cached("SAVEPOINT catalogue")?
            .execute([])?;
        let result = act(self);
        let undone = match &result {
            Ok(_) => Ok(()),
            Err(_) => self.connection.execute_batch("ROLLBACK TO catalogue"),
        };
        let left = undone.and_then(|()| self.connection.execute_batch("RELEASE catalogue"));
        match (result, left) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => Err(error.into()),
            (Err(StoreError::Sqlite(error)), Ok(())) => Err(StoreError::Refused(
                WriteError::Unavailable(format!("the catalogue's tables: {error}")),
            )),
            // The transaction went with it.
            (Err(error), _) => Err(error),
        }
    }

    fn catalogue_all(
        &mut self,
        rows: &[About],
        mark: &Mark,
        again: Option<i64>,
    ) -> Result<(), StoreError> {
        for about in rows {
            let identity: Option<String> = self
                .connection
                .prepare_cached("SELECT identity FROM event WHERE seq = ?1")?
                .query_row([about.seq], |row| row.get(0))
                .optional()?;
            if let Some(identity) = identity {
                self.enter(about, &identity)?;
                self.written += bytes_of(about.readings.len());
            }
        }
        if let Some(again) = again {
            self.connection
                .prepare_cached("DELETE FROM catalogue_again WHERE no <= ?1")?
                .execute([again])?;
        }
        let mark = serde_json::to_string(mark)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.set_note(NOTE, &mark)
    }

    fn enter(&self, about: &About, identity: &str) -> Result<(), StoreError> {
        let (seq, at) = (about.seq, about.at.as_millisecond());
        let before = self.entry(seq)?;
        let subject = self.subject(&Subject::of(about))?;
        let entry = Entry {
            subject,
            alert: about.alert,
            at,
        };
        if before.as_ref() != Some(&entry) {
            self.connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO entry (seq, at, subject, alert) VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![seq, at, subject, about.alert])?;
            self.connection
                .prepare_cached(
                    "UPDATE subject SET n = n + 1, alerts = alerts + ?2, last_at = max(last_at, ?3)
                     WHERE no = ?1",
                )?
                .execute(params![subject, about.alert, at])?;
            // Only then: the last entry of a subject takes the subject with it.
            if let Some(before) = before {
                self.leave(&before)?;
            }
        }
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO known_by (identity, seq) VALUES (?1, ?2)")?
            .execute(params![bare(identity), seq])?;
        self.enter_readings(about)?;
        self.enter_route(about)
    }

    /// Nothing is written where nothing changed, as when the asset map is saved.
    fn enter_readings(&self, about: &About) -> Result<(), StoreError> {
        let wanted = Kept::all(about);
        if self.readings(about.seq)? == wanted {
            return Ok(());
        }
        self.connection
            .prepare_cached("DELETE FROM reading WHERE seq = ?1")?
            .execute([about.seq])?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO reading (asset, at, seq, name, value, text, unit, alert)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        for ((asset, at, name), kept) in &wanted {
            let Kept {
                value,
                text,
                unit,
                alert,
            } = kept;
            insert.execute(params![
                asset, at, about.seq, name, value, text, unit, alert
            ])?;
        }
        Ok(())
    }

    fn readings(&self, seq: i64) -> Result<BTreeMap<Place, Kept>, StoreError> {
        let mut statement = self.connection.prepare_cached(READINGS_OF)?;
        let rows = statement.query_map([seq], |row| {
            let kept = Kept {
                value: row.get(3)?,
                text: row.get(4)?,
                unit: row.get(5)?,
                alert: row.get(6)?,
            };
            Ok(((row.get(0)?, row.get(1)?, row.get(2)?), kept))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn enter_route(&self, about: &About) -> Result<(), StoreError> {
        let Some(robot) = about.robot.as_deref().map(kept).filter(|r| !r.is_empty()) else {
            return Ok(());
        };
        let mission = about.mission.as_deref().map(kept).unwrap_or_default();
        let before = self
            .connection
            .prepare_cached(
                "SELECT n, first_at, last_at, week, gap, gap_before, last_seq FROM route
                 WHERE robot = ?1 AND mission = ?2",
            )?
            .query_row([&robot, &mission], |row| {
                let heard = Heard {
                    n: row.get(0)?,
                    first_at: row.get(1)?,
                    last_at: row.get(2)?,
                    week: row.get(3)?,
                    gap: row.get(4)?,
                    gap_before: row.get(5)?,
                };
                Ok((heard, row.get::<_, i64>(6)?))
            })
            .optional()?;
        if before.is_some_and(|(_, last_seq)| about.seq <= last_seq) {
            return Ok(());
        }
        let heard = heard(before.map(|(heard, _)| heard), about.at.as_millisecond());
        self.connection
            .prepare_cached(
                "INSERT OR REPLACE INTO route
                 (robot, mission, n, first_at, last_at, last_seq, week, gap, gap_before)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                robot,
                mission,
                heard.n,
                heard.first_at,
                heard.last_at,
                about.seq,
                heard.week,
                heard.gap,
                heard.gap_before,
            ])?;
        Ok(())
    }

    /// The number of a subject; it is made where it is not there.
    fn subject(&self, subject: &Subject) -> Result<i64, StoreError> {
        let Subject {
            robot,
            mission,
            action,
            asset,
            others,
        } = subject;
        let found = self
            .connection
            .prepare_cached(
                "SELECT no FROM subject WHERE action = ?1 AND robot = ?2 AND mission = ?3
                 AND asset = ?4 AND others = ?5",
            )?
            .query_row([action, robot, mission, asset, others], |row| row.get(0))
            .optional()?;
        if let Some(no) = found {
            return Ok(no);
        }
        self.connection
            .prepare_cached(
                "INSERT INTO subject (action, robot, mission, asset, others, n, alerts, last_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)",
            )?
            .execute(params![action, robot, mission, asset, others, i64::MIN])?;
        let no = self.connection.last_insert_rowid();
        // What was left of an earlier subject with this number is none of this one's.
        self.remove_terms(no)?;
        let mut insert = self.connection.prepare_cached(
            "INSERT OR IGNORE INTO term (kind, text, subject) VALUES (?1, ?2, ?3)",
        )?;
        for (kind, text) in subject.terms() {
            insert.execute(params![kind, text, no])?;
        }
        Ok(no)
    }

    fn entry(&self, seq: i64) -> Result<Option<Entry>, StoreError> {
        let entry = self
            .connection
            .prepare_cached("SELECT subject, alert, at FROM entry WHERE seq = ?1")?
            .query_row([seq], |row| {
                Ok(Entry {
                    subject: row.get(0)?,
                    alert: row.get(1)?,
                    at: row.get(2)?,
                })
            })
            .optional()?;
        Ok(entry)
    }

    /// An entry that was this subject's no longer is; a subject that has none goes.
    fn leave(&self, entry: &Entry) -> Result<(), StoreError> {
        let no = entry.subject;
        // Its newest entry is nearly always the latest: then no other is looked at.
        self.connection
            .prepare_cached(
                "UPDATE subject SET n = n - 1, alerts = alerts - ?2, last_at = CASE
                 WHEN last_at > ?3 THEN last_at
                 WHEN last_at <= (SELECT at FROM entry WHERE subject = ?1 ORDER BY seq DESC LIMIT 1)
                     THEN last_at
                 ELSE coalesce((SELECT max(at) FROM entry WHERE subject = ?1), last_at)
                 END WHERE no = ?1",
            )?
            .execute(params![no, entry.alert, entry.at])?;
        let gone = self
            .connection
            .prepare_cached("DELETE FROM subject WHERE no = ?1 AND n <= 0")?
            .execute([no])?;
        if gone > 0 {
            self.remove_terms(no)?;
        }
        Ok(())
    }

    /// By its number: what its words are may have changed since they were written.
    fn remove_terms(&self, subject: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM term WHERE subject = ?1")?
            .execute([subject])?;
        Ok(())
    }

    /// An event goes, and what is known of it.
    /// Gives about how many bytes that are.
    pub(super) fn take_out(&mut self, seq: i64) -> Result<u64, StoreError> {
        let bytes = self.apart(|store| store.take_all_out(seq))?;
        self.written += bytes;
        Ok(bytes)
    }

    fn take_all_out(&self, seq: i64) -> Result<u64, StoreError> {
        let Some(entry) = self.entry(seq)? else {
            return Ok(0);
        };
        self.connection
            .prepare_cached("DELETE FROM entry WHERE seq = ?1")?
            .execute([seq])?;
        self.leave(&entry)?;
        let identity: String = self
            .connection
            .prepare_cached("SELECT identity FROM event WHERE seq = ?1")?
            .query_row([seq], |row| row.get(0))?;
        self.connection
            .prepare_cached("DELETE FROM known_by WHERE identity = ?1 AND seq = ?2")?
            .execute(params![bare(&identity), seq])?;
        let readings = self
            .connection
            .prepare_cached("DELETE FROM reading WHERE seq = ?1")?
            .execute([seq])?;
        Ok(bytes_of(readings))
    }

    /// Who was not heard of since then is no longer missed.
    pub(super) fn let_routes_go(&self, before: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM route WHERE last_at < ?1")?
            .execute([before])?;
        Ok(())
    }

    /// Orbit said more of an event: it is looked at again. The last such row is as new as what was
    /// said last, so that nothing is missed that comes while it is looked at.
    pub(super) fn catalogue_again(&self, seq: i64) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("INSERT INTO catalogue_again (seq) VALUES (?1)")?
            .execute([seq])?;
        Ok(())
    }
}

const READINGS_OF: &str = "SELECT asset, at, name, value, text, unit, alert FROM reading
    WHERE seq = ?1";

fn bytes_of(readings: usize) -> u64 {
    let readings = u64::try_from(readings).unwrap_or(u64::MAX);
    ENTRY_BYTES.saturating_add(READING_BYTES.saturating_mul(readings))
}

impl Kept {
    /// The readings of an event; of two at one place the last.
    fn all(about: &About) -> BTreeMap<Place, Self> {
        let short = |text: &Option<String>| text.as_deref().map(kept);
        let all = about.readings.iter().map(|reading| {
            let at = reading.at.as_millisecond();
            let place = (kept(&reading.asset), at, kept(&reading.name));
            let one = Self {
                // As the database keeps it: what is no number is nothing.
                value: reading.value.filter(|value| !value.is_nan()),
                text: short(&reading.text),
                unit: short(&reading.unit),
                alert: about.alert,
            };
            (place, one)
        });
        all.collect()
    }
}

impl Subject {
    fn of(about: &About) -> Self {
        let text = |text: &Option<String>| text.as_deref().map(kept).unwrap_or_default();
        let mut assets = about.assets.iter().map(|asset| kept(asset));
        let asset = assets.next().unwrap_or_default();
        let others: Vec<String> = assets.filter(|other| !other.is_empty()).collect();
        Self {
            robot: text(&about.robot),
            mission: text(&about.mission),
            action: text(&about.action),
            asset,
            others: others.join("\n"),
        }
    }

    /// What it is found by.
    fn terms(&self) -> BTreeSet<(&'static str, String)> {
        let texts = [
            (Field::Robot, &*self.robot),
            (Field::Mission, &*self.mission),
            (Field::Action, &*self.action),
            (Field::Asset, &*self.asset),
        ];
        let others = self.others.lines().map(|other| (Field::Asset, other));
        let texts = texts.into_iter().chain(others);
        let texts = texts.filter(|(_, text)| !text.is_empty());
        texts
            .flat_map(|(field, text)| {
                let words = words(text).into_iter().map(|word| (WORD, word));
                words.chain([(field.as_str(), text.to_owned())])
            })
            .collect()
    }
}

/// The mark that was written last.
pub(in crate::relay::journal) fn mark(connection: &Connection) -> rusqlite::Result<Mark> {
    let note = super::note(connection, NOTE)?;
    let mark = note.and_then(|note| serde_json::from_str(&note).ok());
    Ok(mark.unwrap_or_default())
}
