//! The filters that expressions have besides those of minijinja.
//!
//! # Invariants
//! - Pure, and bounded: what a filter writes has at most [`LONGEST`] bytes, or is no longer than
//!   what it was given.
//! - What is not there, or null, goes through as it is: no filter makes a text of it.

use minijinja::{Environment, Error, ErrorKind, Value};
use sha2::{Digest as _, Sha256};

use super::outcome::{self, Budget};
use super::{scope, units};

/// No filter makes a longer text of several: 64 KiB.
const LONGEST: usize = 64 * 1024;
/// No text is split into more.
const MOST_PIECES: usize = 1_000;

/// The filters that templates may use: these and some of minijinja's.
pub(crate) const FILTERS: [&str; 41] = [
    "abs",
    "convert",
    "default",
    "dictsort",
    "epoch",
    "epoch_ms",
    "first",
    "groupby",
    "items",
    "join",
    "join_lines",
    "json",
    "last",
    "length",
    "list",
    "local",
    "lower",
    "map",
    "max",
    "min",
    "number",
    "odata_date",
    "odata_time",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "rfc3339",
    "round",
    "select",
    "selectattr",
    "short_key",
    "shorten",
    "sort",
    "split",
    "sum",
    "text",
    "to_unit",
    "trim",
    "unique",
    "upper",
];
/// The tests (`is …`) that templates may use.
pub(crate) const TESTS: [&str; 19] = [
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "false",
    "float",
    "in",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("default", default);
    environment.add_filter("upper", |value: &Value| texts(value, str::to_uppercase));
    environment.add_filter("lower", |value: &Value| texts(value, str::to_lowercase));
    environment.add_filter("trim", |value: &Value| texts(value, |t| t.trim().into()));
    environment.add_filter("shorten", shorten);
    environment.add_filter("short_key", |value: &Value| texts(value, short_key));
    environment.add_filter("number", number);
    environment.add_filter("text", |value: &Value| texts(value, str::to_owned));
    environment.add_filter("to_unit", to_unit);
    environment.add_filter("convert", convert);
    environment.add_filter("json", json);
    environment.add_filter("join", join);
    environment.add_filter("join_lines", |value: &Value| join(value, Some("\n")));
    environment.add_filter("replace", replace);
    environment.add_filter("split", split);
}

pub(super) fn refuse(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

pub(super) fn is_missing(value: &Value) -> bool {
    value.is_undefined() || value.is_none()
}

/// Applies to the text of a plain value.
pub(super) fn of_text(
    value: &Value,
    then: impl FnOnce(&str) -> Result<Value, Error>,
) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    if let Some(text) = value.as_str() {
        return then(text);
    }
    let json = outcome::json(value, &mut Budget::new(), 0).map_err(refuse)?;
    let text = outcome::text(&json)
        .ok_or_else(|| refuse("it is made of a list or an object: write `| json` before it"))?;
    then(&text)
}

fn texts(value: &Value, then: impl FnOnce(&str) -> String) -> Result<Value, Error> {
    of_text(value, |text| Ok(Value::from(then(text))))
}

fn default(value: &Value, other: Value) -> Value {
    if is_missing(value) {
        other
    } else {
        value.clone()
    }
}

/// At most `most` characters (Unicode scalar values), the last `…` where something was cut off.
fn shorten(value: &Value, most: usize) -> Result<Value, Error> {
    texts(value, |text| {
        if text.chars().nth(most).is_none() {
            return text.to_owned();
        }
        let Some(kept) = most.checked_sub(1) else {
            return String::new();
        };
        text.chars().take(kept).chain(['…']).collect()
    })
}

/// 16 characters that stand for any text.
fn short_key(text: &str) -> String {
    let mut key = hex::encode(Sha256::digest(text));
    key.truncate(16);
    key
}

fn number(value: &Value) -> Value {
    match value.as_str().map(str::trim) {
        Some(text) => {
            // `inf`, `nan` and `infinity` are floats to Rust.
            let number = (text.ends_with(|c: char| c.is_ascii_digit() || c == '.'))
                .then(|| scope::number(text))
                .flatten();
            number.unwrap_or_default()
        }
        None if value.is_number() || value.is_none() => value.clone(),
        None => Value::UNDEFINED,
    }
}

fn to_unit(value: &Value, to: &str) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    let member = |name| value.get_attr(name).unwrap_or_default();
    let (number, unit) = (member("number"), member("unit"));
    if is_missing(&number) {
        return Ok(number);
    }
    let from = unit
        .as_str()
        .ok_or_else(|| refuse("`to_unit` is for a reading with a unit, such as `item`"))?;
    convert(&number, from, to)
}

fn convert(value: &Value, from: &str, to: &str) -> Result<Value, Error> {
    if is_missing(value) {
        return Ok(value.clone());
    }
    if !value.is_number() {
        return Err(refuse(
            "only a number has a unit: write `| number` before it",
        ));
    }
    if from.trim() == to.trim() {
        return Ok(value.clone());
    }
    let number = f64::try_from(value.clone())?;
    units::convert(number, from, to)
        .map(Value::from)
        .map_err(refuse)
}

fn json(value: &Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Ok(value.clone());
    }
    let json = outcome::json(value, &mut Budget::new(), 0).map_err(refuse)?;
    bounded(json.to_string())
}

/// The texts of a list with `between` between them; what is not there, or null, is passed over.
fn join(value: &Value, between: Option<&str>) -> Result<Value, Error> {
    if is_missing(value) || value.as_str().is_some() {
        return Ok(value.clone());
    }
    let mut joined: Option<String> = None;
    for item in value.try_iter()?.checked() {
        let text = of_text(&item?, |text| Ok(Value::from(text)))?;
        let Some(text) = text.as_str() else {
            continue;
        };
        joined = Some(match joined {
            Some(before) => before + between.unwrap_or_default() + text,
            None => text.to_owned(),
        });
        if joined.as_ref().is_some_and(|text| text.len() > LONGEST) {
            return Err(too_long());
        }
    }
    Ok(Value::from(joined.unwrap_or_default()))
}

fn replace(value: &Value, from: &str, to: &str) -> Result<Value, Error> {
    if from.is_empty() {
        return Err(refuse("`replace` is told to replace nothing"));
    }
    of_text(value, |text| {
        let longer = to.len().saturating_sub(from.len());
        let grown = text.matches(from).count().saturating_mul(longer);
        if grown > LONGEST {
            return Err(too_long());
        }
        Ok(Value::from(text.replace(from, to)))
    })
}

/// The pieces of a text between these signs.
fn split(value: &Value, sign: &str) -> Result<Value, Error> {
    if sign.is_empty() {
        return Err(refuse("`split` is told to split at nothing"));
    }
    of_text(value, |text| {
        if text.matches(sign).count() >= MOST_PIECES {
            return Err(refuse(format!("it has more than {MOST_PIECES} pieces")));
        }
        Ok(text.split(sign).map(Value::from).collect())
    })
}

fn bounded(text: String) -> Result<Value, Error> {
    if text.len() > LONGEST {
        return Err(too_long());
    }
    Ok(Value::from(text))
}

fn too_long() -> Error {
    refuse("the text that it makes has more than 64 KiB")
}
