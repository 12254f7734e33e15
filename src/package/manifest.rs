//! The package's manifest: what Orbit reads first.
//!
//! # Invariants
//! - Pure: rows are made of what was read.
//! - Of dates, only those are good that every Python takes which may read them.

use serde_json::Value;

use super::archive;
use super::contents::{self, Contents, MANIFEST, Text};
use crate::table::Row;

/// The extension that is the relay itself.
const RELAY: &str = "orbit-relay";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// What others need of the manifest.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) name: String,
    /// Folders that an upgrade keeps.
    pub(super) saved: Vec<String>,
}

/// Reads it, and says what is wrong with it.
pub(super) fn look(contents: &Contents) -> (Option<Manifest>, Vec<Row>) {
    let refused = |what: String, advice: &str| (None, vec![Row::bad(MANIFEST, what, advice)]);
    let value = match contents.texts.get(MANIFEST) {
        None => {
            return refused(
                "is not there".to_owned(),
                "pack it; Orbit installs nothing without it",
            );
        }
        Some(Text::TooLong(most)) => {
            return refused(
                format!("is longer than {}", archive::size(*most)),
                "write a manifest of a few lines",
            );
        }
        Some(Text::Whole(text)) => match serde_json::from_slice::<Value>(text) {
            Ok(value) if value.is_object() => value,
            Ok(_) => return refused("is no JSON object".to_owned(), "write { … }"),
            Err(error) => {
                return refused(format!("is no JSON: {error}"), "mend that line");
            }
        },
    };
    let files = saved(&value, "files_to_save");
    let folders = saved(&value, "directories_to_save");
    let name_of = text(&value, "extension_name");
    let manifest = Manifest {
        name: name_of.unwrap_or_default().to_owned(),
        saved: folders.as_ref().cloned().unwrap_or_default(),
    };
    let mut rows = vec![
        Row::good(MANIFEST, "can be read"),
        name(&value, contents.is_static()),
        version(&value),
        target(&value),
        date(&value),
        description(&value),
        icon(&value, contents),
        images(&value, contents),
    ];
    rows.extend(files.err().into_iter().chain(folders.err()));
    if value.get("udev_rules").is_some() {
        rows.push(Row::unknown("udev_rules", "are ignored on Orbit"));
    }
    (Some(manifest), rows)
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value
        .get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

fn name(value: &Value, is_static: bool) -> Row {
    const KEY: &str = "extension_name";
    let Some(name) = text(value, KEY) else {
        return Row::bad(
            KEY,
            "is not there",
            "name it; Orbit's folder for it has this name",
        );
    };
    let usual = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let lower = name.to_ascii_lowercase();
    let shown = archive::shown(name.as_bytes());
    let bad = |why: &str, advice: &str| Row::bad(KEY, format!("{shown}: {why}"), advice);
    if !name.bytes().all(usual) {
        bad(
            "has other characters than letters, digits and `-`",
            "name it anew",
        )
    } else if name.contains('_') {
        bad(
            "has an underscore, with which extensions are known not to run",
            "write `-` instead",
        )
    } else if ["coreio", "mission_control"]
        .iter()
        .any(|taken| lower.contains(taken))
    {
        bad(
            "is a name of Boston Dynamics' own extensions",
            "name it anew",
        )
    } else if is_static && name == RELAY {
        bad(
            "an extension of this name takes the place of the relay itself",
            "give the package of settings a name of its own, such as orbit-relay-config",
        )
    } else if !is_static && name != RELAY {
        bad(
            "is not the relay's name, so that its folder is another",
            "write orbit-relay",
        )
    } else {
        Row::good(KEY, shown)
    }
}

fn version(value: &Value) -> Row {
    const KEY: &str = "version";
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    match text(value, KEY) {
        None => Row::bad(KEY, "is not there", "write X.Y.Z"),
        Some(text) if text.split('.').count() == 3 && text.split('.').all(digits) => {
            Row::good(KEY, archive::shown(text.as_bytes()))
        }
        Some(text) => Row::bad(
            KEY,
            archive::shown(text.as_bytes()),
            "write X.Y.Z, three numbers",
        ),
    }
}

fn target(value: &Value) -> Row {
    const KEY: &str = "installation_target";
    match text(value, KEY) {
        Some("orbit") => Row::good(KEY, "orbit"),
        None => Row::bad(KEY, "is not there, which means a robot", "write \"orbit\""),
        Some(other) => Row::bad(KEY, archive::shown(other.as_bytes()), "write \"orbit\""),
    }
}

fn date(value: &Value) -> Row {
    const KEY: &str = "date";
    let advice = "write it like 2026-11-22 or 2026-11-22T09:30:00+00:00";
    match text(value, KEY) {
        None => Row::bad(KEY, "is not there", advice),
        Some(date) => {
            let shown = archive::shown(date.as_bytes());
            match iso(date) {
                Ok(()) => Row::good(KEY, shown),
                Err(why) => Row::bad(KEY, format!("{shown}: {why}"), advice),
            }
        }
    }
}

fn description(value: &Value) -> Row {
    const KEY: &str = "description";
    match text(value, KEY) {
        Some(text) => Row::good(KEY, archive::shown(text.as_bytes())),
        None => Row::bad(
            KEY,
            "is not there",
            "say in a line what the extension is for",
        ),
    }
}

fn icon(value: &Value, contents: &Contents) -> Row {
    const KEY: &str = "icon";
    let Some(name) = text(value, KEY) else {
        return Row::unknown(KEY, "none; Orbit shows its own");
    };
    let shown = archive::shown(name.as_bytes());
    match contents.files.get(name) {
        None => Row::bad(
            KEY,
            format!("{shown} is not in the package"),
            "pack it, or name another",
        ),
        Some(file) if is_png(&file.head) => {
            Row::good(KEY, format!("{shown}, {}", archive::size(file.size)))
        }
        Some(_) => Row::bad(KEY, format!("{shown} is no PNG"), "save it as a PNG"),
    }
}

/// The mark, and a header with a width and a height.
fn is_png(head: &[u8]) -> bool {
    let sides = [head.get(16..20), head.get(20..24)];
    head.starts_with(PNG)
        && head.get(12..16) == Some(b"IHDR")
        && sides
            .iter()
            .all(|side| side.is_some_and(|side| side.iter().any(|byte| *byte > 0)))
}

fn images(value: &Value, contents: &Contents) -> Row {
    const KEY: &str = "images";
    let there: Vec<&str> = contents.images.keys().map(String::as_str).collect();
    let list = value.get(KEY);
    let named: Option<Vec<&str>> = match list {
        None => Some(Vec::new()),
        Some(list) => list
            .as_array()
            .and_then(|list| list.iter().map(Value::as_str).collect()),
    };
    let Some(mut named) = named else {
        return Row::bad(KEY, "is no list of names", "write [\"orbit-relay.tar.gz\"]");
    };
    named.sort_unstable();
    if named.is_empty() && contents.is_static() {
        return Row::unknown(KEY, "none: the package has settings only");
    }
    let quoted = |all: &[&str]| match all {
        [] => "none".to_owned(),
        all => archive::shown(all.join(", ").as_bytes()),
    };
    if let Some(name) = named.iter().find(|name| !contents::is_image_archive(name)) {
        return Row::bad(
            KEY,
            format!("{} does not end in .tar, .tar.gz or .tgz", quoted(&[name])),
            "name the archive so, in the manifest and in the package",
        );
    }
    if named == there {
        Row::good(KEY, quoted(&named))
    } else {
        Row::bad(
            KEY,
            format!(
                "names {}; in the package: {}",
                quoted(&named),
                quoted(&there)
            ),
            "list exactly the image archives that are packed",
        )
    }
}

/// What an upgrade keeps.
fn saved(value: &Value, key: &str) -> Result<Vec<String>, Row> {
    let Some(list) = value.get(key) else {
        return Ok(Vec::new());
    };
    let names = list.as_array().and_then(|list| {
        let names = list
            .iter()
            .map(|name| name.as_str().map(|name| name.trim_end_matches('/')));
        names.collect::<Option<Vec<_>>>()
    });
    let Some(names) = names else {
        return Err(Row::bad(
            key,
            "is no list of names",
            "write [\"data\"], or leave it out",
        ));
    };
    let leads_out = |name: &&str| {
        name.is_empty() || name.split('/').any(|part| ["", ".", ".."].contains(&part))
    };
    match names.iter().copied().find(leads_out) {
        Some(name) => Err(Row::bad(
            key,
            format!(
                "`{}` is no path within the extension's folder",
                archive::shown(name.as_bytes())
            ),
            "name it from that folder on, without `/` before it and without `..`",
        )),
        None => Ok(names.into_iter().map(str::to_owned).collect()),
    }
}

/// A date as `datetime.fromisoformat` of every Python takes it: those before 3.11 know neither
/// `Z` nor other fractions than of three or six digits.
fn iso(text: &str) -> Result<(), &'static str> {
    const NONE: &str = "is no ISO 8601 date";
    let (date, rest) = text.split_at_checked(10).ok_or(NONE)?;
    let parts: Vec<_> = date.split('-').collect();
    let lengths = parts.iter().map(|part| part.len());
    if !lengths.eq([4, 2, 2]) {
        return Err(NONE);
    }
    let parts = parts.into_iter().map(digits).collect::<Option<Vec<_>>>();
    let [year, month, day] = parts.ok_or(NONE)?.try_into().map_err(|_| NONE)?;
    let small = |number: i16| i8::try_from(number).map_err(|_| NONE);
    // Python knows no year before 1.
    if year < 1 {
        return Err(NONE);
    }
    jiff::civil::Date::new(year, small(month)?, small(day)?).map_err(|_| NONE)?;
    let mut rest = rest.chars();
    if rest.next().is_none() {
        return Ok(());
    }
    let time = rest.as_str();
    if time.ends_with(['Z', 'z']) {
        return Err("`Z` is refused by Python before 3.11; write +00:00");
    }
    let (time, offset) = match time.find(['+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    if !is_time(time) || !(offset.is_empty() || is_time(offset.get(1..).unwrap_or_default())) {
        return Err(NONE);
    }
    if !offset.is_empty() && !offset.contains(':') {
        return Err(NONE);
    }
    Ok(())
}

/// `HH[:MM[:SS[.fff[fff]]]]`.
fn is_time(text: &str) -> bool {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let parts: Vec<_> = whole.split(':').collect();
    let within = parts
        .iter()
        .zip([24, 60, 60])
        .all(|(part, most)| part.len() == 2 && digits(part).is_some_and(|number| number < most));
    let fraction_fits = fraction.is_none_or(|fraction| {
        parts.len() == 3
            && [3, 6].contains(&fraction.len())
            && fraction.bytes().all(|b| b.is_ascii_digit())
    });
    within && (1..=3).contains(&parts.len()) && fraction_fits
}

fn digits(text: &str) -> Option<i16> {
    let all = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_good_if_every_python_takes_it() {
        for text in [
            "2026-11-22",
            "2026-11-22T09",
            "2026-11-22T09:30",
            "2026-11-22 09:30:05",
            "2026-11-22T09:30:05.123",
            "2026-11-22T09:30:05.123456",
            "2026-11-22T09:30:05+00:00",
            "2026-11-22T09:30:05.123456-05:30",
            "2024-02-29",
        ] {
            assert_eq!(iso(text), Ok(()), "{text}");
        }
        for text in [
            "",
            "2026",
            "20261122",
            "2026-11-22T",
            "2026-11-22T09:30:05Z",
            "2026-11-22T09:30:05.1",
            "2026-11-22T24:00",
            "2026-11-22T09:60",
            "2026-11-22T09:30:05+0000",
            "2026-11-22T09:30:05+",
            "2026-13-01",
            "2026-02-29",
            "0000-01-01",
            "26-11-22-1",
            "2026-1-022",
            "22 Nov 2026",
            "2026-11-2ä",
            "2026-W47-7",
        ] {
            assert!(iso(text).is_err(), "{text}");
        }
    }
}
