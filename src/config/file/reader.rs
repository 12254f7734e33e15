//! Goes through a TOML text key by key: types, unknown keys, and every problem with its line.
//!
//! # Invariants
//! - A text that may be a secret is in no problem: of a wrong type only the type is said.
//! - A key that nobody asked for is a problem; so is one that is written twice.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::nearest::{instead, quoted, shown};
use crate::config::problem::{Origin, Problem, SavedIn};
use crate::config::saved;
use crate::relay::transform::json::Json;

/// Where the keys of one table came from, by their path, such as `auth.token`.
pub(in crate::config) type Origins = BTreeMap<String, Origin>;

/// A file that was read, and what was found wrong with it so far.
pub(super) struct Document<'a> {
    name: String,
    text: &'a str,
    root: DeTable<'a>,
    problems: RefCell<Vec<Problem>>,
    variables: RefCell<BTreeSet<String>>,
    /// Whether the page wrote it.
    saved: bool,
}

impl<'a> Document<'a> {
    /// Reads the text; with a problem for each line that is no TOML. After such a line only the
    /// problems are worth looking at.
    pub(super) fn parse(name: &str, bytes: &'a [u8]) -> Result<Self, Vec<Problem>> {
        Self::parse_of(name, bytes, false)
    }

    /// The same, of what the page wrote.
    pub(super) fn parse_saved(name: &str, bytes: &'a [u8]) -> Result<Self, Vec<Problem>> {
        Self::parse_of(name, bytes, true)
    }

    fn parse_of(name: &str, bytes: &'a [u8], saved: bool) -> Result<Self, Vec<Problem>> {
        let text = str::from_utf8(bytes).map_err(|error| {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let line = 1 + String::from_utf8_lossy(good).matches('\n').count();
            vec![Problem::new(
                &Origin::in_file(name, line),
                "not UTF-8; save the file as UTF-8",
            )]
        })?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (root, errors) = DeTable::parse_recoverable(text);
        let document = Self {
            name: name.to_owned(),
            text,
            root: root.into_inner(),
            problems: RefCell::default(),
            variables: RefCell::default(),
            saved,
        };
        let mut broken = false;
        for error in &errors {
            let span = error.span().unwrap_or_default();
            let message = error.message();
            // After a key that is written twice the rest can still be judged.
            let twice = message.starts_with("duplicate key");
            broken |= !twice;
            let what = match text.get(span.clone()) {
                Some(key) if twice => format!("the key {} is written twice", shown(key)),
                _ => {
                    let key = document.key_on_line_of(span.start);
                    format!("{key}not TOML: {message}")
                }
            };
            document.refuse(span.start, what);
        }
        if broken {
            Err(document.into_found().0)
        } else {
            Ok(document)
        }
    }

    /// The problems, and the variables that the file names.
    pub(super) fn into_found(self) -> (Vec<Problem>, BTreeSet<String>) {
        (self.problems.into_inner(), self.variables.into_inner())
    }

    /// The keys outside any table.
    pub(super) fn root<'d>(
        &'d self,
        keys: &[&str],
        origins: &'d RefCell<Origins>,
    ) -> Table<'d, 'a> {
        let table = self.table(origins);
        table.refuse_unknown(keys, &[]);
        table
    }

    /// The same, where others than the wanted keys are not judged.
    pub(super) fn table<'d>(&'d self, origins: &'d RefCell<Origins>) -> Table<'d, 'a> {
        Table {
            document: self,
            entries: &self.root,
            at: 0,
            owner: String::new(),
            path: String::new(),
            origins,
            beneath: None,
            forgotten: &[],
        }
    }

    /// Takes the problems that were found so far.
    pub(super) fn take_problems(&self) -> Vec<Problem> {
        std::mem::take(&mut *self.problems.borrow_mut())
    }

    pub(super) fn refuse(&self, at: usize, what: impl Display) {
        let problem = Problem::new(&self.origin(at), what);
        self.problems.borrow_mut().push(problem);
    }

    pub(super) fn origin(&self, at: usize) -> Origin {
        let line = self.line(at);
        let origin = Origin::in_file(&self.name, line);
        if self.saved {
            origin.saved(SavedIn::File(line))
        } else {
            origin
        }
    }

    /// The path that the file names; what the page wrote names its files by where they lie beside
    /// it.
    pub(super) fn path(&self, named: &str) -> PathBuf {
        if self.saved && named.starts_with(saved::SECRETS) {
            Path::new(&self.name).with_file_name(named)
        } else {
            PathBuf::from(named)
        }
    }

    /// Remembers that the file names this variable.
    pub(super) fn names(&self, variable: &str) {
        self.variables.borrow_mut().insert(variable.to_owned());
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        1 + before
            .split(|byte| *byte == b'\n')
            .count()
            .saturating_sub(1)
    }

    /// The key before `=` on a line that is no TOML. The rest of it may be a secret.
    fn key_on_line_of(&self, at: usize) -> String {
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let line = self.text.get(start..).unwrap_or_default();
        let line = line.lines().next().unwrap_or_default();
        let key = line.split('=').next().unwrap_or_default().trim();
        // A line of a secret that spans lines hardly looks like this.
        let looks_like_a_key = line.contains('=')
            && !key.is_empty()
            && key.len() <= 24
            && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        if looks_like_a_key {
            format!("`{key}`: ")
        } else {
            String::new()
        }
    }
}

/// A table and where it stands.
pub(super) struct Table<'d, 'a> {
    document: &'d Document<'a>,
    entries: &'d DeTable<'a>,
    at: usize,
    /// Whose keys these are: `[[destination]] "cmms"`; nothing at the top level.
    owner: String,
    /// The path to this table from there, such as `auth`.
    path: String,
    origins: &'d RefCell<Origins>,
    /// What gives the keys that are not here.
    beneath: Option<Box<Table<'d, 'a>>>,
    forgotten: &'static [&'static str],
}

impl<'d, 'a> Table<'d, 'a> {
    /// The value of a key; where it came from is remembered.
    pub(super) fn take(&self, key: &str) -> Option<Item<'d, 'a>> {
        let value = self
            .entries
            .get(key)
            .filter(|_| !self.forgotten.contains(&key));
        let Some(value) = value else {
            return self.beneath.as_ref()?.take(key);
        };
        Some(self.item(key, value))
    }

    /// Whether the key stands here, and not only beneath.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// Gives it another owner, who keeps the account of where its keys came from.
    pub(super) fn belongs_to(&mut self, owner: String, origins: &'d RefCell<Origins>) {
        self.owner = owner;
        self.path = String::new();
        self.origins = origins;
    }

    /// Acts as if these keys were not here.
    pub(super) fn forget(&mut self, keys: &'static [&'static str]) {
        self.forgotten = keys;
    }

    /// The same table, above another one that gives the keys that are not here.
    pub(super) fn above(mut self, beneath: Self) -> Self {
        self.beneath = Some(Box::new(beneath));
        self
    }

    /// The value of a key that must be there.
    pub(super) fn require(&self, key: &str) -> Option<Item<'d, 'a>> {
        let found = self.take(key);
        if found.is_none() {
            self.refuse(format!("{} has no `{key}`", self.words()));
        }
        found
    }

    /// All keys and values, where keys are free.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'d str, Item<'d, 'a>)> {
        let entries = self.entries.iter();
        entries.map(|(key, value)| (key.get_ref().as_ref(), self.item(key.get_ref(), value)))
    }

    /// Where a key that was taken came from.
    pub(super) fn origin_of(&self, key: &str) -> Option<Origin> {
        self.origins.borrow().get(key).cloned()
    }

    /// Says that a key which does not stand here came along with another.
    pub(super) fn comes_with(&self, key: &str, other: &str) {
        let mut origins = self.origins.borrow_mut();
        if let Some(origin) = origins.get(other).cloned() {
            origins.insert(key.to_owned(), origin);
        }
    }

    /// Says that something is wrong with the table itself.
    pub(super) fn refuse(&self, what: impl Display) {
        self.document.refuse(self.at, what);
    }

    /// The table in words, for a problem; nothing for the top level.
    pub(super) fn words(&self) -> String {
        match (self.path.as_str(), self.owner.as_str()) {
            ("", owner) => owner.to_owned(),
            (path, "") => format!("`{path}`"),
            (path, owner) => format!("`{path}` of {owner}"),
        }
    }

    /// Says of each key that is none of these what it should be; `outside` are the keys of the
    /// top level, which do not count there where they are written below a table's head.
    pub(super) fn refuse_unknown(&self, keys: &[&str], outside: &[&str]) {
        for key in self.entries.keys() {
            let (name, at) = (key.get_ref().as_ref(), key.span().start);
            if keys.contains(&name) {
                continue;
            }
            let instead = if outside.contains(&name) {
                "write it above the first [[source]] and [[destination]]".to_owned()
            } else {
                instead(name, keys.iter().copied())
            };
            let of = match self.words() {
                top if top.is_empty() => "at the top level".to_owned(),
                words => format!("in {words}"),
            };
            let what = format!("unknown key {} {of}; {instead}", shown(name));
            self.document.refuse(at, what);
        }
    }

    fn item(&self, key: &str, value: &'d Spanned<DeValue<'a>>) -> Item<'d, 'a> {
        let path = match self.path.as_str() {
            "" => key.to_owned(),
            path => format!("{path}.{key}"),
        };
        let item = Item {
            document: self.document,
            value: value.get_ref(),
            at: value.span().start,
            owner: self.owner.clone(),
            path,
            origins: self.origins,
        };
        item.comes_from(item.origin());
        item
    }
}

/// A value and where it stands.
pub(super) struct Item<'d, 'a> {
    pub(super) document: &'d Document<'a>,
    pub(super) value: &'d DeValue<'a>,
    at: usize,
    owner: String,
    path: String,
    origins: &'d RefCell<Origins>,
}

impl<'d, 'a> Item<'d, 'a> {
    pub(super) fn refuse(&self, what: impl Display) {
        let of = if self.owner.is_empty() { "" } else { " of " };
        let what = format!("`{}`{of}{}: {what}", self.path, self.owner);
        self.document.refuse(self.at, what);
    }

    pub(super) fn origin(&self) -> Origin {
        self.document.origin(self.at)
    }

    /// The value of a key, where this is a table that has it.
    pub(super) fn member(&self, key: &str) -> Option<Self> {
        let DeValue::Table(entries) = self.value else {
            return None;
        };
        let value = entries.get(key)?;
        let path = format!("{}.{key}", self.path);
        Some(Self {
            at: value.span().start,
            value: value.get_ref(),
            path,
            ..self.named("")
        })
    }

    /// The same, with its name in its path: one of several.
    pub(super) fn named(&self, name: &str) -> Self {
        let dot = if name.is_empty() { "" } else { "." };
        Self {
            document: self.document,
            value: self.value,
            at: self.at,
            owner: self.owner.clone(),
            path: format!("{}{dot}{name}", self.path),
            origins: self.origins,
        }
    }

    /// Says where the value really came from.
    pub(super) fn comes_from(&self, origin: Origin) {
        self.origins.borrow_mut().insert(self.path.clone(), origin);
    }

    /// Where the value came from, as far as that was said.
    pub(super) fn came_from(&self) -> Option<Origin> {
        self.origins.borrow().get(&self.path).cloned()
    }

    /// Says that the value has another type. Of a text only that it is one: it may be a secret.
    pub(super) fn wrong_type(&self, wanted: &str) {
        self.wrong(wanted, "a text".to_owned());
    }

    /// The same where no secret can stand.
    pub(super) fn wrong_plain_type(&self, wanted: &str) {
        let text = self.value.as_str().unwrap_or_default();
        self.wrong(wanted, format!("the text {}", quoted(text)));
    }

    fn wrong(&self, wanted: &str, text: String) {
        let found = match self.value {
            DeValue::String(_) => text,
            DeValue::Integer(number) => format!("the integer `{number}`"),
            DeValue::Float(number) => format!("the number `{number}`"),
            DeValue::Boolean(value) => format!("the boolean `{value}`"),
            DeValue::Datetime(time) => format!("the date `{time}`"),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        self.refuse(format!("{found} stands here; write {wanted}"));
    }

    /// A text.
    pub(super) fn text(&self, wanted: &str) -> Option<&'d str> {
        if let DeValue::String(text) = self.value {
            return Some(text.as_ref());
        }
        self.wrong_type(wanted);
        None
    }

    /// A text that `parse` understands.
    pub(super) fn parsed<T, E: Display>(
        &self,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let parsed = parse(self.text(wanted)?);
        parsed.map_err(|error| self.refuse(error)).ok()
    }

    /// One of these words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names = || words.iter().map(|(name, _)| *name);
        let wanted = names().map(|name| format!("\"{name}\""));
        let text = self.text(&wanted.collect::<Vec<_>>().join(" or "))?;
        let found = words.iter().find(|(name, _)| *name == text);
        if found.is_none() {
            let instead = instead(text, names().collect::<Vec<_>>());
            self.refuse(format!("{} is none of its words; {instead}", shown(text)));
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number between these.
    pub(super) fn integer(&self, least: u64, most: u64) -> Option<u64> {
        let wanted = format!("a number from {least} to {most}");
        let DeValue::Integer(number) = self.value else {
            self.wrong_plain_type(&wanted);
            return None;
        };
        let value = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let value = value.filter(|value| (least..=most).contains(value));
        if value.is_none() {
            self.refuse(format!("`{number}` is not {wanted}"));
        }
        value
    }

    /// True or false.
    pub(super) fn flag(&self) -> Option<bool> {
        if let DeValue::Boolean(flag) = self.value {
            return Some(*flag);
        }
        self.wrong_plain_type("true or false, without quotes");
        None
    }

    /// A part of one.
    pub(super) fn fraction(&self) -> Option<f64> {
        let text = match self.value {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) => number.as_str(),
            _ => {
                self.wrong_plain_type("a number from 0 to 1");
                return None;
            }
        };
        let value = text.parse().ok();
        let value = value.filter(|value| (0.0..=1.0).contains(value));
        if value.is_none() {
            self.refuse(format!("`{text}` is not a number from 0 to 1"));
        }
        value
    }

    /// The value as JSON: the keys of a table in the order in which they are written.
    pub(super) fn json(&self) -> Option<Json> {
        json(self.value).map_err(|what| self.refuse(what)).ok()
    }

    /// The items of an array, which has at least one.
    pub(super) fn items(&self, wanted: &str) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.value else {
            self.wrong_type(wanted);
            return None;
        };
        if array.is_empty() {
            self.refuse(format!("the array is empty; write {wanted}"));
            return None;
        }
        let items = array.iter().map(|value| Self {
            document: self.document,
            value: value.get_ref(),
            at: value.span().start,
            owner: self.owner.clone(),
            path: self.path.clone(),
            origins: self.origins,
        });
        Some(items.collect())
    }

    /// Texts that `parse` understands.
    pub(super) fn list<T, E: Display>(
        &self,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.items(wanted)?;
        // All are looked at, so that each that is wrong is named.
        let parsed: Vec<_> = items
            .iter()
            .map(|item| item.parsed(wanted, &parse))
            .collect();
        parsed.into_iter().collect()
    }

    /// A table with these keys and no others.
    pub(super) fn table(&self, wanted: &str, keys: &[&str]) -> Option<Table<'d, 'a>> {
        let table = self.free_table(wanted)?;
        table.refuse_unknown(keys, &[]);
        Some(table)
    }

    /// A table with any keys.
    pub(super) fn free_table(&self, wanted: &str) -> Option<Table<'d, 'a>> {
        let DeValue::Table(entries) = self.value else {
            self.wrong_type(wanted);
            return None;
        };
        Some(Table {
            document: self.document,
            entries,
            at: self.at,
            owner: self.owner.clone(),
            path: self.path.clone(),
            origins: self.origins,
            beneath: None,
            forgotten: &[],
        })
    }

    /// A table that keeps its own account of where its keys came from, and has a name.
    pub(super) fn owned_table(
        &self,
        owner: String,
        origins: &'d RefCell<Origins>,
    ) -> Option<Table<'d, 'a>> {
        let mut table = self.free_table("a table")?;
        table.owner = owner;
        table.path = String::new();
        table.origins = origins;
        Some(table)
    }
}

fn json(value: &DeValue<'_>) -> Result<Json, String> {
    Ok(match value {
        DeValue::String(text) => Json::from(text.as_ref()),
        DeValue::Boolean(flag) => Json::Bool(*flag),
        DeValue::Datetime(time) => Json::String(time.to_string()),
        DeValue::Integer(number) => {
            let value = i64::from_str_radix(number.as_str(), number.radix());
            value
                .map_err(|_| format!("the number {number} is too large"))?
                .into()
        }
        DeValue::Float(number) => {
            let text = number.as_str().replace('_', "");
            let text = text.trim_start_matches('+');
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Json::Number(text.into()),
                _ => return Err(format!("JSON has no number {text}")),
            }
        }
        DeValue::Array(items) => {
            let items: Result<Vec<_>, _> = items.iter().map(|item| json(item.get_ref())).collect();
            Json::Array(items?)
        }
        DeValue::Table(entries) => {
            let mut entries: Vec<_> = entries.iter().collect();
            entries.sort_by_key(|(key, _)| key.span().start);
            let members = entries
                .into_iter()
                .map(|(key, value)| Ok((key.get_ref().to_string(), json(value.get_ref())?)));
            Json::Object(members.collect::<Result<_, String>>()?)
        }
    })
}
