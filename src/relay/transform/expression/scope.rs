//! What expressions see: names, each with a JSON value.
//!
//! # Invariants
//! - Pure. Nothing of a value is copied before an expression asks for it, and then only that part.
//! - What an expression hands on unchanged, a list or an object, is the very JSON.

use std::fmt;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr};

use crate::relay::transform::json::Json;

/// Names, each with its value. A later one hides an earlier one of the same name.
#[derive(Clone)]
pub struct Scope {
    names: Vec<(Arc<str>, Node)>,
}

/// A value inside a tree, by the places that lead to it.
#[derive(Clone)]
pub(crate) struct Node {
    root: Arc<Json>,
    places: Vec<usize>,
}

static NOTHING: Json = Json::Null;

impl Scope {
    /// The members of an object.
    pub fn new(model: Arc<Json>) -> Self {
        let members = match &*model {
            Json::Object(members) => members.as_slice(),
            _ => &[],
        };
        let node = |place| Node {
            root: model.clone(),
            places: vec![place],
        };
        let names = members.iter().enumerate();
        Self {
            names: names
                .map(|(place, (name, _))| (name.as_str().into(), node(place)))
                .collect(),
        }
    }

    /// The same with one name more.
    #[must_use]
    pub fn with(&self, name: &str, value: Json) -> Self {
        self.with_node(name, Node::of(value))
    }

    pub(crate) fn with_node(&self, name: &str, node: Node) -> Self {
        let mut names = self.names.clone();
        names.push((name.into(), node));
        Self { names }
    }

    /// What a name stands for.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.node(name).map(Node::json)
    }

    pub(crate) fn node(&self, name: &str) -> Option<&Node> {
        let mut last_first = self.names.iter().rev();
        last_first.find(|(is, _)| **is == *name).map(|(_, of)| of)
    }

    pub(super) fn context(&self) -> Value {
        Value::from_object(self.clone())
    }
}

/// Values may be secrets, and long.
impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.names.iter().map(|(name, _)| name))
            .finish()
    }
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.node(key).map(Node::value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.names.iter();
        Enumerator::Values(names.map(|(name, _)| Value::from(&**name)).collect())
    }
}

impl Node {
    /// A whole tree.
    pub(crate) fn of(json: Json) -> Self {
        Self {
            root: Arc::new(json),
            places: Vec::new(),
        }
    }

    pub(crate) fn json(&self) -> &Json {
        let mut here = &*self.root;
        for place in &self.places {
            here = match here {
                Json::Array(items) => items.get(*place),
                Json::Object(members) => members.get(*place).map(|(_, of)| of),
                _ => None,
            }
            .unwrap_or(&NOTHING);
        }
        here
    }

    /// The member of an object; of several of one name the last.
    pub(crate) fn member(&self, name: &str) -> Option<Self> {
        match self.json() {
            Json::Object(members) => {
                let place = members.iter().rposition(|(is, _)| is == name)?;
                Some(self.below(place))
            }
            _ => None,
        }
    }

    /// The item of a list; below zero from its end.
    pub(crate) fn item(&self, index: i64) -> Option<Self> {
        let items = self.json().items().len();
        let place = match usize::try_from(index) {
            Ok(place) => place,
            Err(_) => items.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
        };
        (place < items).then(|| self.below(place))
    }

    fn below(&self, place: usize) -> Self {
        let mut places = Vec::with_capacity(self.places.len() + 1);
        places.extend_from_slice(&self.places);
        places.push(place);
        Self {
            root: self.root.clone(),
            places,
        }
    }

    fn value(&self) -> Value {
        match self.json() {
            Json::Array(_) | Json::Object(_) => Value::from_object(self.clone()),
            Json::Number(text) => number(text).unwrap_or_default(),
            plain => plain.to_value(),
        }
    }
}

/// A number to calculate with. One beyond all floats is infinite: it compares as it should, and
/// never leaves.
pub(super) fn number(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    if let Ok(whole) = text.parse::<i128>() {
        return Some(Value::from(whole));
    }
    text.parse::<f64>().ok().map(Value::from)
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.json() {
            Json::Array(_) => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let found = match key.as_str() {
            Some(name) => self.member(name),
            None => self.item(key.as_i64()?),
        };
        found.map(|node| node.value())
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.member(key).map(|node| node.value())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.json() {
            Json::Array(items) => Enumerator::Seq(items.len()),
            Json::Object(members) => {
                let members = members.iter();
                Enumerator::Values(members.map(|(name, _)| name.as_str().into()).collect())
            }
            _ => Enumerator::Empty,
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        Some(match self.json() {
            Json::Object(members) => members.len(),
            other => other.items().len(),
        })
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.json(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        Scope::new(Arc::new(Json::parse(text.as_bytes()).unwrap()))
    }

    #[test]
    fn a_later_name_hides_an_earlier_one() {
        let outer = scope(r#"{"a":1,"item":{"x":1}}"#);
        let inner = outer.with("item", Json::from(2_i64));
        assert_eq!(inner.get("item"), Some(&Json::from(2_i64)));
        assert_eq!(outer.get("item").unwrap().to_string(), r#"{"x":1}"#);
        assert_eq!(inner.get("a"), outer.get("a"));
        assert_eq!(inner.get("b"), None);
    }

    #[test]
    fn lists_are_counted_from_both_ends() {
        let list = scope(r#"{"a":[1,2,3]}"#).node("a").unwrap().clone();
        let at = |index| list.item(index).map(|node| node.json().to_string());
        assert_eq!(at(0).as_deref(), Some("1"));
        assert_eq!(at(-1).as_deref(), Some("3"));
        assert_eq!((at(3), at(-4), at(i64::MIN)), (None, None, None));
    }

    #[test]
    fn what_a_scope_holds_is_not_shown() {
        let shown = format!("{:?}", scope(r#"{"secrets":{"password":"canary"}}"#));
        assert_eq!(shown, r#"{"secrets"}"#);
    }
}
