//! Which events are sought, and how they are found in the catalogue, the newest first.
//!
//! # Invariants
//! - [`Sought::fits`] alone says what fits; how it is found never changes what is found, but that
//!   the beginning of an identity counts only where at most [`KNOWN`] events have it.
//! - Bounded: what begins like many things is not gathered but met on the way, and a look on the way
//!   ends after [`SKIMMED`] events.

use std::collections::{BTreeSet, BinaryHeap, HashMap};

use rusqlite::{Connection, OptionalExtension as _, Rows, Statement, params};

use super::Search;
use crate::relay::journal::Field;
use crate::relay::journal::catalogue::{WORD, bare, kept, words};

/// The events of so many subjects are found side by side.
const FEW: usize = if cfg!(test) { 4 } else { 200 };
/// So many subjects are gathered for one word.
const GATHERED: usize = if cfg!(test) { 9 } else { 5_000 };
/// And of so many it is looked whether they fit.
const JUDGED: usize = if cfg!(test) { 9 } else { 300 };
/// Events of so many at most are few.
const FEW_EVENTS: i64 = if cfg!(test) { 20 } else { 200 };
/// So many events are looked at on the way.
const SKIMMED: usize = if cfg!(test) { 40 } else { 50_000 };
/// The beginning of an identity counts where so many events have it at most.
const KNOWN: usize = 1_000;
/// And where it has so many characters.
const SHORTEST: usize = 4;

/// What of a search the catalogue answers.
pub(super) struct Sought {
    exact: Vec<(Field, String)>,
    /// The words of the text, where there is one; a text without words fits nothing.
    words: Option<Vec<String>>,
    /// Events that are known by the text, the newest first.
    known: Vec<i64>,
    /// All subjects that fit, where they are few.
    few: Option<Vec<i64>>,
    /// How many events these have.
    events: i64,
}

/// A subject, as it is judged.
struct Subject {
    action: String,
    robot: String,
    mission: String,
    assets: Vec<String>,
    events: i64,
}

impl Sought {
    /// None where the search says nothing about what events are about.
    pub(super) fn of(connection: &Connection, search: &Search) -> rusqlite::Result<Option<Self>> {
        let exact = [
            (Field::Asset, &search.asset),
            (Field::Action, &search.action),
            (Field::Mission, &search.mission),
            (Field::Robot, &search.robot),
        ];
        let exact = exact.into_iter();
        let exact = exact.filter_map(|(field, text)| Some((field, kept(text.as_ref()?))));
        let exact: Vec<_> = exact.filter(|(_, text)| !text.is_empty()).collect();
        let text = search
            .text
            .as_deref()
            .filter(|text| !text.trim().is_empty());
        if exact.is_empty() && text.is_none() {
            return Ok(None);
        }
        let mut sought = Self {
            exact,
            words: text.map(words),
            known: Vec::new(),
            few: None,
            events: 0,
        };
        sought.gather(connection)?;
        if let Some(text) = text {
            let known = known_by(connection, &bare(text))?;
            for seq in known {
                if sought.fits_but_for_the_text(connection, seq)? {
                    sought.known.push(seq);
                }
            }
            sought.known.sort_unstable_by(|a, b| b.cmp(a));
            sought.known.dedup();
        }
        Ok(Some(sought))
    }

    /// Whether all that fits is so little that nothing is quicker.
    pub(super) fn is_of_few_events(&self) -> bool {
        self.few.is_some() && self.events <= FEW_EVENTS
    }

    /// Whether a subject fits, by its words and its names.
    fn fits(&self, subject: &Subject) -> bool {
        let by_words = |wanted: &Vec<String>| {
            let has: BTreeSet<String> = subject.texts().flat_map(words).collect();
            let begins = |word: &String| {
                let mut behind = has.range(word.clone()..);
                behind
                    .next()
                    .is_some_and(|next| next.starts_with(word.as_str()))
            };
            !wanted.is_empty() && wanted.iter().all(begins)
        };
        self.has_names(subject) && self.words.as_ref().is_none_or(by_words)
    }

    fn has_names(&self, subject: &Subject) -> bool {
        self.exact.iter().all(|(field, text)| match field {
            Field::Robot => subject.robot == *text,
            Field::Mission => subject.mission == *text,
            Field::Action => subject.action == *text,
            Field::Asset => subject.assets.contains(text),
        })
    }

    fn fits_but_for_the_text(&self, connection: &Connection, seq: i64) -> rusqlite::Result<bool> {
        let Some(no) = subject_of(connection, seq)? else {
            return Ok(false);
        };
        Ok(Subject::read(connection, no)?.is_some_and(|subject| self.has_names(&subject)))
    }

    /// Finds all subjects that fit, unless they are many.
    fn gather(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut lists = Vec::new();
        for (field, text) in &self.exact {
            let (from, to) = (text.clone(), format!("{text}\0"));
            lists.extend(subjects(connection, field.as_str(), &from, &to)?);
        }
        for word in self.words.iter().flatten() {
            lists.extend(subjects(connection, WORD, word, &behind(word))?);
        }
        lists.sort_by_key(BTreeSet::len);
        let mut lists = lists.into_iter();
        let mut all = match lists.next() {
            _ if self.words.as_ref().is_some_and(Vec::is_empty) => BTreeSet::new(),
            Some(first) => first,
            None => return Ok(()),
        };
        for other in lists {
            all.retain(|no| other.contains(no));
        }
        if all.len() > JUDGED {
            return Ok(());
        }
        let (mut few, mut events) = (Vec::new(), 0);
        for no in all {
            if let Some(subject) = Subject::read(connection, no)?
                && self.fits(&subject)
            {
                few.push(no);
                events += subject.events;
            }
        }
        if few.len() <= FEW {
            (self.few, self.events) = (Some(few), events);
        }
        Ok(())
    }

    /// What the stream reads from.
    pub(super) fn statements<'c>(
        &self,
        connection: &'c Connection,
    ) -> rusqlite::Result<Vec<Statement<'c>>> {
        match &self.few {
            Some(few) => few.iter().map(|_| connection.prepare(OF_SUBJECT)).collect(),
            None => Ok(vec![connection.prepare(ON_THE_WAY)?]),
        }
    }

    pub(super) fn judge(&self) -> Judge<'_> {
        Judge {
            sought: self,
            known: HashMap::new(),
        }
    }
}

impl Subject {
    fn read(connection: &Connection, no: i64) -> rusqlite::Result<Option<Self>> {
        let subject = connection.prepare_cached(SUBJECT)?.query_row([no], |row| {
            let (asset, others): (String, String) = (row.get(3)?, row.get(4)?);
            let assets = std::iter::once(&*asset).chain(others.lines());
            let assets = assets.filter(|asset| !asset.is_empty());
            Ok(Self {
                action: row.get(0)?,
                robot: row.get(1)?,
                mission: row.get(2)?,
                assets: assets.map(str::to_owned).collect(),
                events: row.get(5)?,
            })
        });
        subject.optional()
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let names = [&*self.action, &*self.robot, &*self.mission];
        names
            .into_iter()
            .chain(self.assets.iter().map(|asset| &**asset))
    }
}

/// Says of each event whether it is sought; of a subject that was judged before it knows.
pub(super) struct Judge<'s> {
    sought: &'s Sought,
    known: HashMap<i64, bool>,
}

impl Judge<'_> {
    pub(super) fn wants_event(
        &mut self,
        connection: &Connection,
        seq: i64,
    ) -> rusqlite::Result<bool> {
        if self.sought.known.contains(&seq) {
            return Ok(true);
        }
        match subject_of(connection, seq)? {
            Some(no) => self.wants(connection, no),
            None => Ok(false),
        }
    }

    fn wants(&mut self, connection: &Connection, no: i64) -> rusqlite::Result<bool> {
        if let Some(known) = self.known.get(&no) {
            return Ok(*known);
        }
        let subject = Subject::read(connection, no)?;
        let wants = subject.is_some_and(|subject| self.sought.fits(&subject));
        self.known.insert(no, wants);
        Ok(wants)
    }
}

/// The sought events, the newest first.
pub(super) struct Stream<'s> {
    sought: &'s Sought,
    judge: Judge<'s>,
    cursors: Vec<Rows<'s>>,
    /// The next event of each cursor, and of what is known by the text.
    next: BinaryHeap<(i64, usize)>,
    known: std::slice::Iter<'s, i64>,
    range: (i64, i64),
    last: Option<i64>,
    skimmed: usize,
    stopped_at: Option<i64>,
}

impl<'s> Stream<'s> {
    /// In this range, by the sought's own statements.
    pub(super) fn open(
        sought: &'s Sought,
        statements: &'s mut [Statement<'_>],
        (from, to): (i64, i64),
    ) -> rusqlite::Result<Self> {
        let cursors = if let Some(few) = &sought.few {
            let all = statements.iter_mut().zip(few);
            all.map(|(statement, no)| statement.query(params![no, from, to]))
                .collect::<Result<Vec<_>, _>>()?
        } else {
            let all = statements.iter_mut();
            all.map(|statement| statement.query([from, to]))
                .collect::<Result<Vec<_>, _>>()?
        };
        Ok(Self {
            sought,
            judge: sought.judge(),
            cursors,
            next: BinaryHeap::new(),
            known: sought.known.iter(),
            range: (from, to),
            last: None,
            skimmed: 0,
            stopped_at: None,
        })
    }

    /// The next event; none at the end, or where it was looked at enough.
    pub(super) fn next(&mut self, connection: &Connection) -> rusqlite::Result<Option<i64>> {
        if self.last.is_none() {
            for place in 0..=self.cursors.len() {
                self.fill(connection, place)?;
            }
        }
        while let Some((seq, place)) = self.next.pop() {
            self.fill(connection, place)?;
            if self.stopped_at.is_some_and(|at| seq < at) {
                return Ok(None);
            }
            if self.last.replace(seq) != Some(seq) {
                return Ok(Some(seq));
            }
        }
        Ok(None)
    }

    /// The last event that was looked at, where it was not looked to the end.
    pub(super) fn stopped_at(&self) -> Option<i64> {
        self.stopped_at
    }

    fn fill(&mut self, connection: &Connection, place: usize) -> rusqlite::Result<()> {
        let Some(rows) = self.cursors.get_mut(place) else {
            let (from, to) = self.range;
            let next = self.known.find(|seq| (from..=to).contains(*seq));
            self.next.extend(next.map(|seq| (*seq, place)));
            return Ok(());
        };
        let are_all_sought = self.sought.few.is_some();
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            if are_all_sought || self.judge.wants(connection, row.get(1)?)? {
                self.next.push((seq, place));
                return Ok(());
            }
            self.skimmed += 1;
            if self.skimmed >= SKIMMED {
                self.stopped_at = Some(seq);
                return Ok(());
            }
        }
        Ok(())
    }
}

const OF_SUBJECT: &str = "SELECT seq FROM entry WHERE subject = ?1 AND seq BETWEEN ?2 AND ?3
    ORDER BY seq DESC";

const ON_THE_WAY: &str =
    "SELECT seq, subject FROM entry WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq DESC";

const SUBJECT: &str = "SELECT action, robot, mission, asset, others, n FROM subject WHERE no = ?1";

const SUBJECTS: &str =
    "SELECT subject FROM term WHERE kind = ?1 AND text >= ?2 AND text < ?3 LIMIT ?4";

const SUBJECT_OF: &str = "SELECT subject FROM entry WHERE seq = ?1";

const KNOWN_BY: &str = "SELECT seq FROM known_by WHERE identity >= ?1 AND identity < ?2 LIMIT ?3";

/// The subjects of the terms from one to before another; none where they are too many.
fn subjects(
    connection: &Connection,
    kind: &str,
    from: &str,
    to: &str,
) -> rusqlite::Result<Option<BTreeSet<i64>>> {
    let limit = i64::try_from(GATHERED + 1).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(SUBJECTS)?;
    let rows = statement.query_map(params![kind, from, to, limit], |row| row.get(0))?;
    let rows: Vec<i64> = rows.collect::<Result<_, _>>()?;
    Ok((rows.len() <= GATHERED).then(|| rows.into_iter().collect()))
}

/// The events that are known by this, or by what begins so.
fn known_by(connection: &Connection, identity: &str) -> rusqlite::Result<Vec<i64>> {
    let limit = i64::try_from(KNOWN + 1).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(KNOWN_BY)?;
    let mut find = |to: String| -> rusqlite::Result<Vec<i64>> {
        let rows = statement.query_map(params![identity, to, limit], |row| row.get(0))?;
        rows.collect()
    };
    if identity.is_empty() {
        return Ok(Vec::new());
    }
    if identity.chars().nth(SHORTEST - 1).is_some() {
        let all = find(behind(identity))?;
        if all.len() <= KNOWN {
            return Ok(all);
        }
    }
    find(format!("{identity}\0"))
}

fn subject_of(connection: &Connection, seq: i64) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached(SUBJECT_OF)?;
    statement.query_row([seq], |row| row.get(0)).optional()
}

/// What comes behind all that begins like this.
fn behind(text: &str) -> String {
    format!("{text}{}", char::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::journal::catalogue::tests::assert_by_index;

    #[test]
    fn what_is_sought_is_read_by_indexes() {
        for sql in [
            OF_SUBJECT, ON_THE_WAY, SUBJECT, SUBJECTS, SUBJECT_OF, KNOWN_BY,
        ] {
            assert_by_index(sql);
        }
    }
}
