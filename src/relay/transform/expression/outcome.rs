//! What an expression came to, as JSON, within bounds.
//!
//! # Invariants
//! - Pure. Never more than [`MOST_NODES`] values, [`MOST_BYTES`] of text, [`DEEPEST`] levels.
//! - A number that is none, or infinite, is refused.

use std::borrow::Cow;

use minijinja::Value;
use minijinja::value::ValueKind;

use super::scope::Node;
use crate::relay::transform::json::Json;

/// No more values make up a body.
const MOST_NODES: usize = 10_000;
/// No more text makes up a body: 1 MiB.
const MOST_BYTES: usize = 1024 * 1024;
/// A body nests no deeper.
pub(crate) const DEEPEST: usize = 64;

/// What may still be written.
pub(crate) struct Budget {
    nodes: usize,
    bytes: usize,
}

impl Budget {
    pub(crate) fn new() -> Self {
        Self {
            nodes: MOST_NODES,
            bytes: MOST_BYTES,
        }
    }

    /// Takes one value with so many bytes of text off.
    pub(crate) fn spend(&mut self, bytes: usize, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("it nests deeper than {DEEPEST} levels"));
        }
        let left = (self.nodes.checked_sub(1)).zip(self.bytes.checked_sub(bytes));
        let Some((nodes, bytes)) = left else {
            return Err(format!(
                "with it the whole has more than {MOST_NODES} values, or more than 1 MiB of text"
            ));
        };
        (self.nodes, self.bytes) = (nodes, bytes);
        Ok(())
    }

    /// Takes a whole tree off.
    pub(crate) fn spend_all(&mut self, json: &Json, depth: usize) -> Result<(), String> {
        match json {
            Json::Null | Json::Bool(_) => self.spend(5, depth),
            Json::Number(text) => self.spend(text.len(), depth),
            Json::String(text) => self.spend(text.len() + 2, depth),
            Json::Array(items) => {
                self.spend(2, depth)?;
                let mut items = items.iter();
                items.try_for_each(|item| self.spend_all(item, depth + 1))
            }
            Json::Object(members) => {
                self.spend(2, depth)?;
                members.iter().try_for_each(|(name, of)| {
                    self.bytes = self.bytes.saturating_sub(name.len() + 3);
                    self.spend_all(of, depth + 1)
                })
            }
        }
    }
}

/// The JSON of a value. The value itself is defined.
pub(crate) fn json(value: &Value, budget: &mut Budget, depth: usize) -> Result<Json, String> {
    if let Some(node) = value.downcast_object_ref::<Node>() {
        budget.spend_all(node.json(), depth)?;
        return Ok(node.json().clone());
    }
    let json = match value.kind() {
        ValueKind::None => Json::Null,
        ValueKind::Bool => Json::Bool(value.is_true()),
        ValueKind::Number => Json::Number(digits(value)?.into()),
        ValueKind::String => Json::from(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            budget.spend(2, depth)?;
            let items = value.try_iter().map_err(|error| super::reason(&error))?;
            let items = items.map(|item| json(&item, budget, depth + 1));
            return Ok(Json::Array(items.collect::<Result<_, _>>()?));
        }
        ValueKind::Map => {
            budget.spend(2, depth)?;
            let names = value.try_iter().map_err(|error| super::reason(&error))?;
            let members = names.map(|name| {
                let of = value.get_item(&name).unwrap_or_default();
                let name = json(&name, budget, depth + 1)?;
                let name = text(&name).ok_or("a name in it is no text")?.into_owned();
                Ok((name, json(&of, budget, depth + 1)?))
            });
            return Ok(Json::Object(members.collect::<Result<_, String>>()?));
        }
        ValueKind::Undefined => return Err("something in it is not there".to_owned()),
        _ => return Err("it gives nothing that JSON knows".to_owned()),
    };
    budget.spend_all(&json, depth)?;
    Ok(json)
}

/// A plain value as text.
pub(crate) fn text(json: &Json) -> Option<Cow<'_, str>> {
    match json {
        Json::String(text) => Some(text.into()),
        Json::Number(digits) => Some((&**digits).into()),
        Json::Bool(flag) => Some(if *flag { "true" } else { "false" }.into()),
        _ => None,
    }
}

fn digits(value: &Value) -> Result<String, String> {
    if value.is_integer() {
        return Ok(value.to_string());
    }
    let float = f64::try_from(value.clone()).ok();
    let Some(float) = float.filter(|float| float.is_finite()) else {
        return Err("the number that it gives is not finite".to_owned());
    };
    // Floats that are whole are written without a fraction, very large and small ones with an
    // exponent; both are JSON.
    Ok(if (1e-7..1e17).contains(&float.abs()) || float == 0.0 {
        float.to_string()
    } else {
        format!("{float:e}")
    })
}
