//! `preset`: the keys that a destination does not give, and the settings that it then has to.
//!
//! # Invariants
//! - A preset's problems are shown as problems of the destination that uses it.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::reader::{Document, Item, Origins, Table};
use crate::config::nearest;
use crate::relay::destination::presets::{self, Preset};
use crate::relay::transform::json::Json;

/// The keys of a preset's file.
const KEYS: &[&str] = &["about", "settings", "secrets", "destination"];
/// The keys of a setting that a preset declares.
const SETTING: &[&str] = &["about", "example", "default"];

/// What a preset says of itself.
#[derive(Debug, Default)]
pub(in crate::config) struct Declared {
    /// What it makes, in a line.
    pub(in crate::config) about: String,
    /// Its settings, each with its default; one without a default must be given.
    pub(in crate::config) settings: Vec<Setting>,
    /// Its secrets, which must be given, each with what it is.
    pub(in crate::config) secrets: BTreeMap<String, String>,
}

/// A setting that a preset declares.
#[derive(Debug)]
pub(in crate::config) struct Setting {
    pub(in crate::config) name: String,
    pub(in crate::config) about: String,
    pub(in crate::config) default: Option<Json>,
    pub(in crate::config) example: Option<String>,
}

/// The preset that is asked for.
pub(super) fn find(item: &Item<'_, '_>) -> Option<&'static Preset> {
    item.parsed("a preset's name", |name| {
        presets::find(name).ok_or_else(|| {
            let names = presets::ALL.iter().map(|preset| preset.name);
            let instead = nearest::instead(name, names);
            format!(
                "no preset is called {}; {instead}; orbit-relay presets list shows them",
                nearest::shown(name)
            )
        })
    })
}

/// A preset's file. Its text is part of the program, and a test reads each.
pub(super) fn open(preset: &'static Preset) -> Result<Document<'static>, String> {
    let name = format!("preset {}", preset.name);
    Document::parse(&name, preset.text.as_bytes()).map_err(|problems| {
        let problems = problems.iter().map(ToString::to_string);
        problems.collect::<Vec<_>>().join("; ")
    })
}

/// What the file says of itself; and its table `destination`.
pub(super) fn read<'d>(
    document: &'d Document<'static>,
    origins: &'d std::cell::RefCell<Origins>,
) -> (Declared, Option<Table<'d, 'static>>) {
    let root = document.table(origins);
    root.refuse_unknown(KEYS, &[]);
    let about = root.take("about");
    let declared = Declared {
        about: about
            .and_then(|about| about.text("a line"))
            .unwrap_or_default()
            .to_owned(),
        settings: settings(&root),
        secrets: secrets(&root),
    };
    let table = root.take("destination");
    (
        declared,
        table.and_then(|table| table.free_table("a table")),
    )
}

/// What all presets say of themselves.
pub(in crate::config) fn all() -> Vec<(&'static Preset, Declared)> {
    let read = |preset| {
        let origins = std::cell::RefCell::default();
        let declared = open(preset).map(|document| read(&document, &origins).0);
        (preset, declared.unwrap_or_default())
    };
    presets::ALL.iter().map(read).collect()
}

fn settings(root: &Table<'_, '_>) -> Vec<Setting> {
    let Some(table) = root
        .take("settings")
        .and_then(|item| item.free_table("a table"))
    else {
        return Vec::new();
    };
    let all = table.all().map(|(name, item)| {
        let setting = item.table("a table", SETTING);
        let take = |key| setting.as_ref().and_then(|setting| setting.take(key));
        Setting {
            name: name.to_owned(),
            about: about(take("about")),
            default: take("default").and_then(|item| item.json()),
            example: take("example").and_then(|item| item.value.as_str().map(str::to_owned)),
        }
    });
    all.collect()
}

fn secrets(root: &Table<'_, '_>) -> BTreeMap<String, String> {
    let table = root.take("secrets");
    let table = table.and_then(|item| item.free_table("a table"));
    let secrets = table.iter().flat_map(Table::all).map(|(name, item)| {
        let table = item.free_table("a table");
        let said = table.and_then(|table| table.take("about"));
        (name.to_owned(), about(said))
    });
    secrets.collect()
}

fn about(said: Option<Item<'_, '_>>) -> String {
    let said = said.and_then(|said| said.value.as_str().map(str::to_owned));
    said.unwrap_or_default()
}

/// The settings that templates see: those that are given, above the preset's.
pub(super) fn given(table: &Table<'_, '_>, declared: Option<&Declared>) -> Json {
    let item = table.take("settings");
    let given = item.as_ref().and_then(|item| item.free_table("a table"));
    let mut settings: Vec<(String, Json)> = Vec::new();
    for (name, item) in given.iter().flat_map(Table::all) {
        let known = declared.is_none_or(|declared| {
            let mut names = declared
                .settings
                .iter()
                .map(|setting| setting.name.as_str());
            let known = names.any(|known| known == name);
            if !known {
                let names = declared
                    .settings
                    .iter()
                    .map(|setting| setting.name.as_str());
                let instead = nearest::instead(name, names);
                item.refuse(format!("the preset has no such setting; {instead}"));
            }
            known
        });
        match (&item.value, item.json()) {
            (DeValue::Array(_) | DeValue::Table(_), _) => {
                item.wrong_plain_type("a text, a number, true or false");
            }
            (_, Some(value)) if known => settings.push((name.to_owned(), value)),
            _ => {}
        }
    }
    for setting in declared.iter().flat_map(|declared| &declared.settings) {
        if settings.iter().any(|(name, _)| *name == setting.name) {
            continue;
        }
        match (&setting.default, &setting.example) {
            (Some(default), _) => settings.push((setting.name.clone(), default.clone())),
            (None, example) => {
                let example = example.as_deref().unwrap_or("…");
                let (name, words) = (&setting.name, table.words());
                let given = format!("{name} = \"{example}\"");
                match &item {
                    Some(item) => item.refuse(format!("there is no `{name}`, such as {given}")),
                    None => table.refuse(format!(
                        "{words} needs the setting `{name}`: settings = {{ {given} }}"
                    )),
                }
            }
        }
    }
    settings.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Json::Object(settings)
}
