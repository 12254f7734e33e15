//! A YAML document as a tree of bounded size.
//!
//! # Invariants
//! - Aliases and merge keys are refused, so that no tree is larger than its text; none has more
//!   than [`DEPTH`] levels, and no map more than [`KEYS`] keys.
//! - Texts stay texts: what is a number or a truth is decided by who asks.
//! - No text of the document is in an error.

use saphyr_parser::{Event, Parser, ScalarStyle};

const DEPTH: usize = 50;
const KEYS: usize = 1000;

/// A node of the tree.
#[derive(Debug)]
pub(super) enum Node {
    /// A text; that of a null is empty.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// What stands below this key; a null is nothing.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|(name, _)| name == key);
        let found = found.map(|(_, node)| node);
        found.filter(|node| node.text() != Some(""))
    }

    /// What stands below these keys, one below the other.
    pub(super) fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The nodes of a list; none of anything else.
    pub(super) fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    /// The keys of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }
}

#[derive(Default)]
struct Tree {
    /// Nodes that are not at their end yet, each with the key whose value comes next.
    open: Vec<(Node, Option<String>)>,
    root: Option<Node>,
}

/// Reads one document, or says in which line what is wrong.
pub(super) fn read(text: &str) -> Result<Node, String> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        tree.take(event)
            .map_err(|what| format!("line {}: {what}", span.start.line()))?;
    }
    tree.root.ok_or_else(|| "there is no document".to_owned())
}

const NOT_FOLLOWED: &str =
    "an alias or a merge key, which is not followed; write out what it names";

impl Tree {
    fn take(&mut self, event: Event<'_>) -> Result<(), &'static str> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err("a second document begins"),
            Event::Scalar(text, style, ..) => {
                let is_null =
                    style == ScalarStyle::Plain && ["~", "null", "Null", "NULL"].contains(&&*text);
                let text = if is_null {
                    String::new()
                } else {
                    text.into_owned()
                };
                self.add(Node::Text(text))
            }
            Event::SequenceStart(..) => self.open(Node::List(Vec::new())),
            Event::MappingStart(..) => self.open(Node::Map(Vec::new())),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some((node, _)) => self.add(node),
                None => Ok(()),
            },
            Event::Alias(_) => Err(NOT_FOLLOWED),
            _ => Ok(()),
        }
    }

    fn open(&mut self, node: Node) -> Result<(), &'static str> {
        if self.open.len() >= DEPTH {
            return Err("it has too many levels");
        }
        self.open.push((node, None));
        Ok(())
    }

    /// Puts a node that is whole where it belongs.
    fn add(&mut self, node: Node) -> Result<(), &'static str> {
        let Some((open, key)) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (open, key.take(), node) {
            (Node::List(items), _, node) => items.push(node),
            (Node::Map(entries), Some(known), node) => entries.push((known, node)),
            (Node::Map(_), None, Node::Text(name)) if name == "<<" => return Err(NOT_FOLLOWED),
            (Node::Map(entries), None, Node::Text(name)) => {
                if entries.len() >= KEYS {
                    return Err("a map has too many keys");
                }
                if entries.iter().any(|(known, _)| *known == name) {
                    return Err("a key stands there twice");
                }
                *key = Some(name);
            }
            (Node::Map(_), None, _) => return Err("a key is no text"),
            (Node::Text(_), ..) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_lists_texts_and_nulls_are_read() {
        let tree = read("z:\n  restart: \"no\"\n  image: &a y\nlist: [1, ~]\nnone:\n").unwrap();
        assert_eq!(tree.at(&["z", "restart"]).unwrap().text(), Some("no"));
        assert_eq!(tree.get("list").unwrap().items().len(), 2);
        assert!(tree.get("none").is_none() && tree.at(&["z", "x"]).is_none());
    }

    #[test]
    fn aliases_and_merge_keys_are_refused_so_that_no_bomb_is_unpacked() {
        for text in [
            "a: &a [x]\nb: [*a, *a]\n",
            "a: &a {b: c}\nd: {<<: *a}\n",
            "a: {<<: {b: c}}\n",
            "a: &a [*a]",
        ] {
            assert!(read(text).unwrap_err().contains("not followed"), "{text}");
        }
    }

    #[test]
    fn deep_and_endless_documents_are_refused() {
        for text in [
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(100_000),
            "? ".repeat(100_000),
            "x".repeat(100_000) + ": [",
            "&a ".repeat(10_000),
            "!t ".repeat(10_000),
            "a: 1\na: 2".to_owned(),
            (0..2000).map(|n| n.to_string() + ":\n").collect(),
            "a: 1\n---\nb: 2\n".to_owned(),
            "[a]: b".to_owned(),
            String::new(),
            "\0".to_owned(),
        ] {
            assert!(read(&text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
}
