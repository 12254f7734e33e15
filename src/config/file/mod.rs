//! The configuration file: TOML, of which every problem is found and named by its line.
//!
//! ```text
//! mod          the keys outside any table, which are the settings and a few more
//! source       one `[[source]]`
//! scheme       how it signs
//! signed       the text over which its code is made
//! destination  one `[[destination]]`
//! subscription what it takes, and what it is to others
//! auth         its `auth`, `sign` and `headers`
//! message      what it sends
//! preset       the keys that a preset gives
//! when         its `when`, and that of its success rule
//! secret       a text, `{ env = "NAME" }` or `{ file = "PATH" }`
//! reader       types, unknown keys, lines
//! ```
//!
//! # Invariants
//! - All problems are found, not only the first; only where a line is no TOML the rest is not
//!   judged.
//! - No secret is in a problem. The file that holds the secret of a setting is opened only if that
//!   setting is wanted.

mod auth;
mod destination;
mod message;
mod mqtt;
pub(super) mod preset;
mod reader;
mod scheme;
mod secret;
mod signed;
mod source;
mod subscription;
mod when;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ipnet::IpNet;
use toml::de::DeValue;

pub(super) use self::reader::Origins;
use self::reader::{Document, Item, Table};
pub(super) use self::secret::{Place, missing, read as read_secret};
pub(super) use self::signed::text as signed_text;
use super::describe::Described;
use super::files::Level;
use super::parse;
use super::problem::{Origin, Problems};
use super::resolve::{Input, Variables};
use super::settings::{Kind, SETTINGS, Setting};
use super::sources::DescribedSource;

/// The keys at the top level that are no settings.
const OTHER_KEYS: [&str; 5] = [
    "notify",
    "expect_every",
    "trusted_proxies",
    "source",
    "destination",
];

/// What the file says.
#[derive(Default)]
pub(super) struct File {
    /// The settings that are given.
    pub(super) settings: Given,
    /// The destinations that hear of trouble, each with its place.
    pub(super) notify: Vec<(String, Origin)>,
    /// Silence that is longer than this is trouble.
    pub(super) expect_every: Option<(Duration, Origin)>,
    /// The proxies whose word counts on who calls.
    pub(super) trusted_proxies: Option<(Vec<IpNet>, Origin)>,
    /// The sources besides Orbit.
    pub(super) sources: Vec<DescribedSource>,
    /// The destinations.
    pub(super) destinations: Vec<Described>,
    /// The variables that are named.
    pub(super) variables: BTreeSet<String>,
}

/// The settings that the file gives: how, and where.
pub(super) type Given = BTreeMap<&'static str, (Place, Origin)>;

impl File {
    /// Reads all of the file, if there is one.
    pub(super) fn read(input: &Input, variables: &Variables<'_>, problems: &mut Problems) -> Self {
        let Some(document) = document(input, problems) else {
            return Self::default();
        };
        let origins = RefCell::default();
        let keys = keys();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let root = document.root(&keys, &origins);
        let notify = root.take("notify").and_then(|item| {
            let items = item.items(NOTIFY)?;
            let names = items
                .iter()
                .filter_map(|item| Some((item.parsed(NOTIFY, parse::name)?, item.origin())));
            Some(names.collect())
        });
        let expect_every = root.take("expect_every").and_then(|item| {
            let every = item.parsed("a duration like \"24h\"", parse::duration)?;
            Some((every, item.origin()))
        });
        let trusted_proxies = root
            .take("trusted_proxies")
            .and_then(|item| Some((source::networks(&item)?, item.origin())));
        let mut file = Self {
            settings: given(&root, |_| true),
            notify: notify.unwrap_or_default(),
            expect_every,
            trusted_proxies,
            sources: tables(&root, "source", |item, number| {
                source::read(item, number, &keys, variables)
            }),
            destinations: tables(&root, "destination", |item, number| {
                destination::read(item, number, &keys, variables)
            }),
            variables: BTreeSet::new(),
        };
        let (found, named) = document.into_found();
        problems.add(found);
        file.variables = named;
        file
    }

    /// Reads only the settings that are wanted, and judges nothing else but whether all keys
    /// outside the tables are known: a misspelt one may be the one that is wanted.
    pub(super) fn settings(
        input: &Input,
        wanted: impl Fn(&Setting) -> bool,
        problems: &mut Problems,
    ) -> Given {
        let Some(document) = document(input, problems) else {
            return Given::default();
        };
        let origins = RefCell::default();
        let keys = keys();
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let given = given(&document.root(&keys, &origins), wanted);
        problems.add(document.into_found().0);
        given
    }
}

const NOTIFY: &str = "an array of destinations' names like [\"teams\"]";

fn document<'a>(input: &'a Input, problems: &mut Problems) -> Option<Document<'a>> {
    let file = input.file.as_ref()?;
    let name = file.path.display().to_string();
    let document = match file.level {
        Level::Page => Document::parse_saved(&name, &file.bytes),
        _ => Document::parse(&name, &file.bytes),
    };
    document.map_err(|found| problems.add(found)).ok()
}

/// The key of a setting in the file; the file cannot name itself, nor where it is looked for.
fn key(setting: &Setting) -> Option<String> {
    let elsewhere = ["config", "config-dir", "package-dir"];
    (!elsewhere.contains(&setting.name)).then(|| setting.name.replace('-', "_"))
}

fn keys() -> Vec<String> {
    let others = OTHER_KEYS.map(str::to_owned);
    SETTINGS.iter().filter_map(key).chain(others).collect()
}

fn given(root: &Table<'_, '_>, wanted: impl Fn(&Setting) -> bool) -> Given {
    let settings = SETTINGS.iter().filter(|setting| wanted(setting));
    settings
        .filter_map(|setting| {
            let item = root.take(&key(setting)?)?;
            let place = value(setting, &item)?;
            let origin = root.origin_of(&key(setting)?)?;
            Some((setting.name, (place, origin)))
        })
        .collect()
}

/// A setting's value, in the form in which a variable would hold it.
fn value(setting: &Setting, item: &Item<'_, '_>) -> Option<Place> {
    let text = match (setting.kind, item.value) {
        (Kind::Secret, _) => return secret::place(item),
        (Kind::Switch, DeValue::Boolean(value)) => value.to_string(),
        (Kind::Switch, _) => {
            item.wrong_plain_type("true or false, without quotes");
            return None;
        }
        (Kind::Several, DeValue::Array(_)) => item
            .list("an array of texts", |text| {
                if text.is_empty() || text.contains(|c: char| c == ',' || c.is_whitespace()) {
                    Err("a comma or white space, or nothing, stands in an item of this list")
                } else {
                    Ok(text.to_owned())
                }
            })?
            .join(","),
        (Kind::One, DeValue::Boolean(value)) if setting.name == "verify" => value.to_string(),
        (Kind::One, _) if setting.name == "webhook-port" => {
            item.integer(0, u64::from(u16::MAX))?.to_string()
        }
        (Kind::Several, _) => item.text("a text or an array of texts")?.to_owned(),
        (Kind::One, _) => item.text(&wanted(setting))?.to_owned(),
    };
    Some(Place::Text(crate::secret::Secret::new(text)))
}

/// What may stand where something else does.
fn wanted(setting: &Setting) -> String {
    match setting.default {
        _ if setting.name == "verify" => {
            "true, false, the path of a CA bundle, or sha256:…".to_owned()
        }
        Some(default) => format!("a text like \"{default}\""),
        None => format!("a text, {}", setting.value),
    }
}

/// What `read` makes of each table of this array.
fn tables<'d, 'a, T>(
    root: &Table<'d, 'a>,
    key: &str,
    read: impl Fn(&Item<'d, 'a>, usize) -> Option<T>,
) -> Vec<T> {
    let Some(item) = root.take(key) else {
        return Vec::new();
    };
    let wanted = format!("[[{key}]] with two brackets");
    let DeValue::Array(array) = item.value else {
        item.wrong_type(&wanted);
        return Vec::new();
    };
    if array.is_empty() {
        return Vec::new();
    }
    let items = item.items(&wanted).unwrap_or_default();
    (1..)
        .zip(&items)
        .filter_map(|(number, item)| read(item, number))
        .collect()
}

/// Every table of the file with its keys; the empty name is the top level.
#[cfg(test)]
pub(super) fn all_keys() -> Vec<(String, Vec<String>)> {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    let mut all = vec![
        (String::new(), keys()),
        ("source".to_owned(), owned(source::KEYS)),
        ("rate_limit".to_owned(), owned(source::RATE_LIMIT)),
        ("timestamp".to_owned(), owned(scheme::TIMESTAMP)),
        ("a place".to_owned(), owned(scheme::HEADER)),
        ("destination".to_owned(), owned(destination::KEYS)),
        ("retry".to_owned(), owned(destination::RETRY)),
        ("success".to_owned(), owned(destination::SUCCESS)),
        ("tls".to_owned(), owned(destination::TLS)),
        ("on_closed".to_owned(), owned(destination::ON_CLOSED)),
        ("step".to_owned(), owned(destination::STEP)),
        ("enrich".to_owned(), owned(destination::ENRICH)),
        ("a secret".to_owned(), owned(secret::KEYS)),
    ];
    let kinds = auth::AUTH.iter().chain(auth::SIGN).chain(scheme::SCHEMES);
    for (kind, keys) in kinds {
        all.push(((*kind).to_owned(), owned(keys)));
    }
    all
}

#[cfg(test)]
mod tests;
