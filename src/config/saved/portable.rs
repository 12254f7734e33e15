//! What was saved as one text, and back: without secrets, which are named.
//!
//! # Invariants
//! - No secret is in an export: a secret stands there as `{ kept = true }`.
//! - An import is a candidate like any other: it is checked before it is written.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::places::{is_kept, may_hold_secret};
use super::write::{STRAYS, same_host};
use super::{About, FILES, Fault, Keys, LARGEST, SECRETS, Saved, is_named};
use crate::config::settings::{Kind, SETTINGS};

/// The form of the text.
const VERSION: u64 = 1;

/// A secret that an import names and does not bring.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needed {
    /// By which it is given: `api-token`, or `cmms: auth.token`.
    pub name: String,
}

/// What an import came to.
#[derive(Debug)]
pub enum Import {
    /// A candidate.
    Ready(Box<Saved>),
    /// These secrets are to be given first.
    Needs(Vec<Needed>),
}

impl Saved {
    /// All that was saved, without secrets.
    pub fn export(&self) -> String {
        let kept = || json!({ "kept": true });
        let settings = self.settings().into_iter().map(|(name, value)| {
            let value =
                value.map_or_else(|| self.certificate(name).unwrap_or_else(kept), Json::from);
            (name.to_owned(), value)
        });
        let destinations = self.destinations.iter().zip(self.destinations());
        let destinations = destinations.map(|(table, mut shown)| {
            // An authority's certificate is no secret.
            if let (Some(tls), Some(Json::Object(shown))) = (table.get("tls"), shown.get_mut("tls"))
            {
                for (key, value) in shown.iter_mut() {
                    let file = tls.get(key).and_then(Json::as_str);
                    if let Some(text) = file.and_then(|file| self.public(file)) {
                        *value = text.into();
                    }
                }
            }
            Json::Object(shown)
        });
        let mut all = self.file.clone();
        all.insert("version".to_owned(), VERSION.into());
        all.insert("settings".to_owned(), Json::Object(settings.collect()));
        all.insert("destination".to_owned(), destinations.collect());
        let text = toml::to_string(&all).unwrap_or_default();
        format!(
            "# Configuration of orbit-relay, as its page saved it. Secrets are not in it: they \
             stand as\n# {{ kept = true }}, and are asked for where they are not there \
             already.\n\n{text}"
        )
    }

    /// Makes a candidate that is what the text says, in the place of all that was saved. Secrets
    /// are taken from those that are given, by their names, or else from what is saved at the same
    /// place for the same address.
    pub fn import(
        &self,
        text: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<Import, Vec<Fault>> {
        let elsewhere = |what: &str| vec![Fault::elsewhere(what)];
        if u64::try_from(text.len()).is_ok_and(|length| length > LARGEST) {
            return Err(elsewhere("it is larger than 1 MiB"));
        }
        let mut all: Keys = toml::from_str(text)
            .map_err(|_| elsewhere("this is not TOML: give the text of an export"))?;
        if all.remove("version").and_then(|version| version.as_u64()) != Some(VERSION) {
            return Err(elsewhere(
                "it has no `version = 1`: give the text of an export",
            ));
        }
        let not_so = || elsewhere("`settings` or [[destination]] is not as an export has it");
        let settings: Keys = match all.remove("settings") {
            None => Map::new(),
            Some(settings) => serde_json::from_value(settings).map_err(|_| not_so())?,
        };
        let destinations: Vec<Keys> = match all.remove("destination") {
            None => Vec::new(),
            Some(tables) => serde_json::from_value(tables).map_err(|_| not_so())?,
        };
        // Each of them could name files of this machine.
        if let Some(key) = all.keys().find(|key| !PLAIN.contains(&key.as_str())) {
            let what = format!("`{key}` cannot be imported; only settings and destinations can");
            return Err(elsewhere(&what));
        }
        let mut import = Importing {
            given,
            needed: Vec::new(),
            faults: Vec::new(),
        };
        let mut candidate = self.clone();
        candidate.file = all;
        candidate.variables.clear();
        candidate.destinations.clear();
        let stays = |secret: &str| {
            let mut all = STRAYS.iter().filter(|(name, ..)| *name == secret);
            all.all(|(_, address, _)| {
                let given = settings.get(*address);
                given.is_some_and(is_kept)
                    || same_host(
                        self.value(address).as_deref(),
                        given.and_then(text_of).as_deref(),
                    )
            })
        };
        for (name, value) in &settings {
            import.setting(self, &mut candidate, name, value, stays(name));
        }
        for keys in destinations {
            import.destination(self, &mut candidate, keys);
        }
        if !import.needed.is_empty() {
            import.needed.sort_unstable();
            import.needed.dedup();
            return Ok(Import::Needs(import.needed));
        }
        if import.faults.is_empty() {
            Ok(Import::Ready(Box::new(candidate)))
        } else {
            Err(import.faults)
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        let setting = SETTINGS.iter().find(|setting| setting.name == name)?;
        self.setting(setting)
    }

    /// The text of a certificate that a setting names, where no key is in it.
    fn certificate(&self, name: &str) -> Option<Json> {
        if !FILES.contains(&name) {
            return None;
        }
        self.public(&self.value(name)?).map(Json::from)
    }

    fn public(&self, file: &str) -> Option<String> {
        let text = self.text_of(file.starts_with(SECRETS).then_some(file)?)?;
        (!text.contains("PRIVATE KEY")).then_some(text)
    }
}

/// What may stand in an import beside settings and destinations.
const PLAIN: [&str; 2] = ["notify", "expect_every"];

/// An import that is under way.
struct Importing<'a> {
    given: &'a BTreeMap<String, String>,
    needed: Vec<Needed>,
    faults: Vec<Fault>,
}

impl Importing<'_> {
    fn setting(
        &mut self,
        saved: &Saved,
        candidate: &mut Saved,
        name: &str,
        value: &Json,
        stays: bool,
    ) {
        if !is_kept(value) {
            let set = match text_of(value) {
                Some(text) => candidate.set(name, &text),
                None => Err(Fault::elsewhere(&format!("`{name}`: write a text"))),
            };
            return self.faults.extend(set.err());
        }
        if let Some(text) = self.given.get(name).filter(|text| !text.trim().is_empty()) {
            return self.faults.extend(candidate.set(name, text).err());
        }
        let setting = SETTINGS.iter().find(|setting| setting.name == name);
        let kept = setting.filter(|_| stays).and_then(|setting| {
            let mut variables = saved.variables.iter();
            variables.find(|(variable, _)| {
                let bare = variable.strip_suffix("_FILE").unwrap_or(variable);
                setting.variables.contains(&bare)
            })
        });
        match (setting, kept) {
            (Some(_), Some((variable, value))) => {
                candidate.variables.insert(variable.clone(), value.clone());
            }
            (Some(setting), None) if can_be_given(setting.name, setting.kind) => self.need(name),
            _ => self.faults.push(Fault::elsewhere(&format!(
                "`{name}` is not a secret that can be given"
            ))),
        }
    }

    fn destination(&mut self, saved: &Saved, candidate: &mut Saved, mut keys: Keys) {
        let name = keys.get("name").and_then(Json::as_str).unwrap_or_default();
        let name = name.to_owned();
        for (key, value) in &mut keys {
            self.fill(&format!("{name}: {key}"), key == "url", value);
        }
        if candidate.table(&name).is_some() {
            return self
                .faults
                .push(Fault::key(&name, "name", "it is there twice"));
        }
        // Beside the one that is saved it is taken, so that its secrets are found.
        let old = saved
            .destinations
            .iter()
            .find(|table| is_named(table, &name));
        candidate.destinations.extend(old.cloned());
        let Err(faults) = candidate.put(old.map(|_| &*name), keys) else {
            return;
        };
        for fault in faults {
            match &fault.about {
                About::Key { key, .. } if fault.needs_secret => {
                    self.need(&format!("{name}: {key}"));
                }
                _ => self.faults.push(fault),
            }
        }
    }

    /// Puts what was given in the place of what is not there.
    fn fill(&self, name: &str, is_url: bool, value: &mut Json) {
        if is_kept(value) {
            if let Some(text) = self.given.get(name).filter(|text| !text.trim().is_empty()) {
                *value = if is_url && !may_hold_secret(text) {
                    json!({ "secret": text })
                } else {
                    text.as_str().into()
                };
            }
            return;
        }
        match value {
            Json::Object(keys) => {
                for (key, value) in keys {
                    self.fill(&format!("{name}.{key}"), false, value);
                }
            }
            Json::Array(items) => {
                for (number, value) in items.iter_mut().enumerate() {
                    self.fill(&format!("{name}.{number}"), false, value);
                }
            }
            _ => {}
        }
    }

    fn need(&mut self, name: &str) {
        self.needed.push(Needed {
            name: name.to_owned(),
        });
    }
}

fn can_be_given(name: &str, kind: Kind) -> bool {
    kind == Kind::Secret || FILES.contains(&name) || name == "integration-url"
}

fn text_of(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(_) | Json::Number(_) => Some(value.to_string()),
        _ => None,
    }
}
