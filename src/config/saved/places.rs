//! Where a secret stands in a destination, and what is made of it: a file, and its name.
//!
//! # Invariants
//! - Of a text that is given at a place for secrets nothing is left in the keys.
//! - `{"kept": true}` stands for what is saved at the same place of the same destination, and only
//!   while it goes to the same address, by the same way.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use url::Url;

use super::{Fault, Keys, LONGEST_SECRET, SECRETS, Saved, has_password};
use crate::secret::Secret;

/// What may stand at a place.
enum Place {
    /// Anything that is no secret.
    Plain,
    /// A secret.
    Secret,
    /// The text of a PEM file.
    Pem,
    /// An address, which is a secret where it holds more than one.
    Url,
}

fn place(path: &[&str]) -> Place {
    match path {
        ["url" | "proxy"] => Place::Url,
        ["auth", "token" | "password" | "value" | "client_secret"]
        | ["sign" | "on_closed", "secret"]
        | ["sign", "secrets", _]
        | ["secrets" | "headers", _] => Place::Secret,
        ["tls", "ca_file" | "client_cert_file" | "client_key_file"] => Place::Pem,
        _ => Place::Plain,
    }
}

/// Where secrets are sent, or through what. A step's URL is refused where it is not of the
/// destination's own host.
const ADDRESSES: [&[&str]; 4] = [URL, &["auth", "token_url"], &["proxy"], POLL];
const URL: &[&str] = &["url"];
const POLL: &[&str] = &["on_closed", "poll"];

/// The keys with `{"kept": true}` for each file.
pub(super) fn hidden(keys: &Keys) -> Keys {
    let hide = |(key, value): (&String, &Json)| (key.clone(), hide(value));
    keys.iter().map(hide).collect()
}

fn hide(value: &Json) -> Json {
    match value {
        Json::String(text) if text.starts_with(SECRETS) => json!({ "kept": true }),
        Json::Object(keys) if keys.len() == 1 && keys.contains_key("file") => {
            json!({ "kept": true })
        }
        Json::Object(keys) => Json::Object(hidden(keys)),
        Json::Array(items) => Json::Array(items.iter().map(hide).collect()),
        other => other.clone(),
    }
}

/// Takes the keys that somebody gave.
pub(super) struct Take<'a> {
    saved: &'a Saved,
    destination: &'a str,
    before: Option<&'a Keys>,
    /// Whether it goes where it went before.
    same_address: bool,
    files: BTreeMap<String, Secret>,
    faults: Vec<Fault>,
}

impl<'a> Take<'a> {
    pub(super) fn of(
        saved: &'a Saved,
        destination: &'a str,
        before: Option<&'a Keys>,
        given: &Keys,
    ) -> Self {
        let same_address = before.is_some_and(|before| {
            let mut all = ADDRESSES.iter();
            all.all(|path| saved.goes_there(path, before, given))
        });
        Self {
            saved,
            destination,
            before,
            same_address,
            files: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// What is to be saved of them.
    pub(super) fn keys(&mut self, keys: Keys) -> Keys {
        let mut taken = Keys::new();
        for (key, value) in keys {
            if let Some(value) = self.value(&[&key], value) {
                taken.insert(key, value);
            }
        }
        taken
    }

    /// The new files, and what is wrong.
    pub(super) fn done(self) -> (BTreeMap<String, Secret>, Vec<Fault>) {
        (self.files, self.faults)
    }

    fn value(&mut self, path: &[&str], value: Json) -> Option<Json> {
        if value.is_null() {
            return None;
        }
        if is_kept(&value) {
            return self.kept(path);
        }
        match (place(path), value) {
            (Place::Secret, Json::String(text)) => self.file(path, &text),
            (Place::Secret, _) => self.fault(path, "write a text"),
            (Place::Pem, Json::String(text)) if text.contains("-----BEGIN") => {
                let file = self.file(path, &text)?;
                file.get("file").cloned()
            }
            (Place::Pem, _) => self.fault(
                path,
                "no file can be named here: paste its text, from -----BEGIN on",
            ),
            (Place::Url, Json::String(text)) => {
                let text = text.trim();
                if may_hold_secret(text) {
                    return self.file(path, text);
                }
                Some(text.into())
            }
            (Place::Url, Json::Object(keys)) => match keys.get("secret").and_then(Json::as_str) {
                Some(text) => self.file(path, text),
                None => self.fault(path, "write a text, or { \"secret\": \"…\" }"),
            },
            (_, Json::Object(keys)) => {
                let mut taken = Keys::new();
                for (key, value) in keys {
                    if let Some(value) = self.value(&beneath(path, &key), value) {
                        taken.insert(key, value);
                    }
                }
                Some(Json::Object(taken))
            }
            (_, Json::Array(items)) => {
                let items = (0..).zip(items).filter_map(|(number, item): (usize, _)| {
                    self.value(&beneath(path, &number.to_string()), item)
                });
                Some(Json::Array(items.collect()))
            }
            (_, Json::String(text)) if has_password(&text) => {
                self.fault(path, "leave user and password out of the URL")
            }
            (_, Json::String(text)) if text.starts_with(SECRETS) => {
                self.fault(path, "this is the name of a file that is kept here")
            }
            (_, value) => Some(value),
        }
    }

    /// A secret's text goes into a file of its own.
    fn file(&mut self, path: &[&str], text: &str) -> Option<Json> {
        let text = text.trim();
        if text.is_empty() {
            return self.fault(path, "it is empty");
        }
        if text.len() > LONGEST_SECRET {
            return self.fault(path, "it is longer than 64 KiB");
        }
        let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let of: String = path.join(".").chars().map(plain).take(60).collect();
        let of = format!("{}.{of}", self.destination);
        let name = self.saved.free_name(&of, &self.files);
        let text = Secret::new(format!("{text}\n"));
        self.files.insert(name.clone(), text);
        Some(json!({ "file": name }))
    }

    /// What is saved there already.
    fn kept(&mut self, path: &[&str]) -> Option<Json> {
        let before = self.before.and_then(|before| at(before, path));
        let file = before.filter(|before| is_file(before)).cloned();
        if file.is_none() {
            return self.again(path, "nothing is saved here yet: give it");
        }
        if !self.same_address {
            return self.again(
                path,
                "it would go to another address, or by another way (url, auth.token_url, proxy, \
                 on_closed.poll): give this again",
            );
        }
        file
    }

    fn again(&mut self, path: &[&str], what: &str) -> Option<Json> {
        let fault = Fault::key(self.destination, &path.join("."), what);
        self.faults.push(fault.again());
        None
    }

    fn fault(&mut self, path: &[&str], what: &str) -> Option<Json> {
        let fault = Fault::key(self.destination, &path.join("."), what);
        self.faults.push(fault);
        None
    }
}

impl Saved {
    /// Whether what is given at this place goes where what is saved goes.
    fn goes_there(&self, path: &[&str], before: &Keys, given: &Keys) -> bool {
        let (was, is) = (at(before, path), at(given, path));
        let Some(is) = is.filter(|is| !is.is_null()) else {
            // Nobody is asked any more.
            return was.is_none() || path == POLL;
        };
        if is_kept(is) || was == Some(is) {
            return true;
        }
        let url = at(before, URL).filter(|_| path == POLL);
        let there = self.address(is);
        let mut known = was.into_iter().chain(url);
        there.is_some() && known.any(|known| self.address(known) == there)
    }

    /// Scheme, host and port of an address that is given or kept.
    fn address(&self, value: &Json) -> Option<(String, Option<String>, Option<u16>)> {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Object(keys) => match (keys.get("secret"), keys.get("file")) {
                (Some(Json::String(text)), _) => text.clone(),
                (None, Some(Json::String(file))) => self.text_of(file)?,
                _ => return None,
            },
            _ => return None,
        };
        // No gap may stand before the path.
        let fixed = text.split("{{").next()?;
        let url = Url::parse(fixed.trim()).ok()?;
        let port = url.port_or_known_default();
        Some((
            url.scheme().to_owned(),
            url.host_str().map(str::to_owned),
            port,
        ))
    }

    /// What stands in a file of ours.
    pub(super) fn text_of(&self, file: &str) -> Option<String> {
        if let Some(text) = self.new.get(file) {
            return Some(text.expose().to_owned());
        }
        std::fs::read_to_string(self.dir.join(file)).ok()
    }
}

/// Whether this is one of our files, as it stands in the keys.
fn is_file(value: &Json) -> bool {
    let file = value.as_str().or_else(|| value.get("file")?.as_str());
    file.is_some_and(|file| file.starts_with(SECRETS))
}

pub(super) fn is_kept(value: &Json) -> bool {
    value.get("kept").and_then(Json::as_bool) == Some(true)
}

fn beneath<'a>(path: &[&'a str], key: &'a str) -> Vec<&'a str> {
    path.iter().copied().chain([key]).collect()
}

fn at<'a>(keys: &'a Keys, path: &[&str]) -> Option<&'a Json> {
    let (first, rest) = path.split_first()?;
    let first = keys.get(*first)?;
    rest.iter().try_fold(first, |value, name| match value {
        Json::Array(items) => items.get(name.parse::<usize>().ok()?),
        value => value.get(*name),
    })
}

/// Whether a URL has more than an address and a path.
pub(super) fn may_hold_secret(text: &str) -> bool {
    has_password(text) || Url::parse(text).is_ok_and(|url| url.query().is_some())
}
