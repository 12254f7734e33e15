//! The package's manifest: what Orbit reads first.
//!
//! # Invariants
//! - Pure: rows are made of what was read.

use serde_json::Value;

use super::archive;
use super::contents::{Contents, MANIFEST};
use crate::table::Row;

/// The extension that is the relay itself.
const RELAY: &str = "orbit-relay";

/// Reads it, and says what is wrong with it; besides, the folders that an upgrade keeps.
pub(super) fn look(contents: &Contents) -> (Vec<String>, Vec<Row>) {
    match read(contents) {
        Ok(value) => {
            let mut rows = vec![
                Row::good(MANIFEST, "can be read"),
                name(&value, contents.is_static()),
                version(&value),
                target(&value),
                date(&value),
                icon(&value, contents),
                images(&value, contents),
            ];
            let (folders, row) = saved(&value, contents);
            rows.extend(row);
            (folders, rows)
        }
        Err(row) => (Vec::new(), vec![row]),
    }
}

fn read(contents: &Contents) -> Result<Value, Row> {
    let refused = |what: String, advice: &str| Err(Row::bad(MANIFEST, what, advice));
    let Some(text) = contents.texts.get(MANIFEST) else {
        let advice = "pack it; Orbit installs nothing without it";
        return refused("is not there".to_owned(), advice);
    };
    match serde_json::from_slice::<Value>(text) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => refused("is no JSON object".to_owned(), "write { … }"),
        Err(error) => refused(format!("is no JSON: {error}"), "mend that line"),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    let text = value.get(key).and_then(Value::as_str);
    text.filter(|text| !text.is_empty())
}

/// A text that must be there, and of which there may be something to say.
fn field(value: &Value, key: &str, advice: &str, wrong: impl Fn(&str) -> &'static str) -> Row {
    let Some(text) = text(value, key) else {
        return Row::bad(key, "is not there", advice);
    };
    let shown = archive::shown(text.as_bytes());
    match wrong(text) {
        "" => Row::good(key, shown),
        why => Row::bad(key, format!("{shown} {why}"), advice),
    }
}

fn name(value: &Value, is_static: bool) -> Row {
    let usual = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let advice = "write orbit-relay; for a package of settings a name of its own, such as \
                  orbit-relay-config";
    field(value, "extension_name", advice, |name| {
        if !name.bytes().all(usual) {
            "has other characters than letters, digits and `-`; with an underscore extensions are \
             known not to run"
        } else if is_static && name == RELAY {
            "takes the place of the relay itself"
        } else if !is_static && name != RELAY {
            "is not the relay's name, so that its folder is another"
        } else {
            ""
        }
    })
}

fn version(value: &Value) -> Row {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    field(value, "version", "write X.Y.Z, three numbers", |text| {
        let is_one = text.split('.').count() == 3 && text.split('.').all(digits);
        if is_one { "" } else { "is not X.Y.Z" }
    })
}

fn target(value: &Value) -> Row {
    let advice = "write \"orbit\"; without it a robot is meant";
    field(value, "installation_target", advice, |text| match text {
        "orbit" => "",
        _ => "is not Orbit",
    })
}

fn date(value: &Value) -> Row {
    let advice = "write it like 2026-11-22 or 2026-11-22T09:30:00+00:00";
    field(value, "date", advice, |text| {
        // With brackets it would be one of RFC 9557, which others do not know.
        let is_iso = !text.contains('[')
            && (text.parse::<jiff::civil::Date>().is_ok()
                || text.parse::<jiff::Timestamp>().is_ok());
        if is_iso { "" } else { "is no ISO 8601 date" }
    })
}

fn icon(value: &Value, contents: &Contents) -> Row {
    const KEY: &str = "icon";
    let Some(name) = text(value, KEY) else {
        return Row::unknown(KEY, "none; Orbit shows its own");
    };
    let shown = archive::shown(name.as_bytes());
    if contents.files.contains_key(name) {
        Row::good(KEY, shown)
    } else {
        Row::bad(
            KEY,
            format!("{shown} is not in the package"),
            "pack it, or name another",
        )
    }
}

fn images(value: &Value, contents: &Contents) -> Row {
    const KEY: &str = "images";
    let Some(mut named) = names(value, KEY) else {
        return Row::bad(KEY, "is no list of names", "write [\"orbit-relay.tar.gz\"]");
    };
    named.sort_unstable();
    if named.is_empty() && contents.is_static() {
        return Row::unknown(KEY, "none: the package has settings only");
    }
    let there: Vec<_> = contents.images.keys().cloned().collect();
    let quoted = |all: &[String]| match all {
        [] => "none".to_owned(),
        all => archive::shown(all.join(", ").as_bytes()),
    };
    if named == there {
        return Row::good(KEY, quoted(&named));
    }
    let (named, there) = (quoted(&named), quoted(&there));
    let what = format!("names {named}; in the package: {there}");
    let advice = "list exactly the image archives that are packed: NAME.tar, .tar.gz or .tgz";
    Row::bad(KEY, what, advice)
}

/// A list of names; an empty one if there is none.
fn names(value: &Value, key: &str) -> Option<Vec<String>> {
    let Some(list) = value.get(key) else {
        return Some(Vec::new());
    };
    let names = list.as_array()?.iter();
    names.map(|name| name.as_str().map(str::to_owned)).collect()
}

/// The folders that an upgrade keeps, and a row if the list is wrong.
fn saved(value: &Value, contents: &Contents) -> (Vec<String>, Option<Row>) {
    const KEY: &str = "directories_to_save";
    let advice = "pack that folder, empty, and list it without `/` before it and without `..`; or \
                  leave the list out";
    let bad = |what: String| (Vec::new(), Some(Row::bad(KEY, what, advice)));
    let Some(names) = names(value, KEY) else {
        return bad("is no list of names".to_owned());
    };
    let names = names
        .iter()
        .map(|name| name.trim_end_matches('/').to_owned());
    let names: Vec<_> = names.collect();
    // What is there has no `..` in its name, and is not absolute.
    match names.iter().find(|name| !contents.folders.contains(*name)) {
        Some(name) => {
            let shown = archive::shown(name.as_bytes());
            bad(format!("`{shown}` is no folder of the package"))
        }
        None => (names, None),
    }
}
