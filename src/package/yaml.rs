//! A YAML document as a tree, of bounded size whatever its aliases say.
//!
//! # Invariants
//! - A tree with all its aliases written out has at most [`NODES`] nodes and [`DEPTH`] levels, so
//!   that whoever walks through it ends soon.
//! - Texts stay texts: what is a number or a truth is decided by who asks.
//! - No text of the document is in an error.

use std::collections::HashMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle};

const NODES: usize = 20_000;
const DEPTH: usize = 50;

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(super) struct YamlError {
    line: usize,
    what: String,
}

/// A node of the tree.
#[derive(Debug)]
pub(super) enum Node {
    /// A text, and whether it stands there without quotes.
    Text(String, bool),
    List(Vec<Rc<Node>>),
    Map(Vec<(String, Rc<Node>)>),
}

impl Node {
    /// What stands below this key.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|(name, _)| name == key);
        found
            .map(|(_, node)| &**node)
            .filter(|node| !node.is_null())
    }

    /// What stands below these keys, one below the other.
    pub(super) fn at(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text, _) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Text(text, true) if ["", "~", "null", "Null", "NULL"].contains(&&**text))
    }

    pub(super) fn is_true(&self) -> bool {
        self.text()
            .is_some_and(|text| ["true", "yes", "on", "1"].contains(&&*text.to_ascii_lowercase()))
    }

    /// The nodes of a list; none of anything else.
    pub(super) fn items(&self) -> impl Iterator<Item = &Self> {
        let items = match self {
            Self::List(items) => items.as_slice(),
            _ => &[],
        };
        items.iter().map(|node| &**node)
    }

    /// The keys of a map; none of anything else.
    pub(super) fn entries(&self) -> &[(String, Rc<Self>)] {
        match self {
            Self::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// A node that is not at its end yet.
struct Open {
    anchor: usize,
    line: usize,
    size: usize,
    node: Node,
    /// The key whose value comes next.
    key: Option<String>,
    merged: Vec<Rc<Node>>,
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: HashMap<usize, (Rc<Node>, usize)>,
    root: Option<Rc<Node>>,
    nodes: usize,
}

/// Reads one document.
pub(super) fn read(text: &str) -> Result<Rc<Node>, YamlError> {
    let mut tree = Tree::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| YamlError {
            line: error.marker().line(),
            what: error.info().to_owned(),
        })?;
        let line = span.start.line();
        tree.take(event, line)
            .map_err(|what| YamlError { line, what })?;
    }
    tree.root.ok_or_else(|| YamlError {
        line: 1,
        what: "there is no document".to_owned(),
    })
}

impl Tree {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), String> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err("a second document begins".to_owned())
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let node = Node::Text(text.into_owned(), plain);
                self.add(Rc::new(node), 1, 1, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Node::List(Vec::new()), anchor, line),
            Event::MappingStart(anchor, _) => self.open(Node::Map(Vec::new()), anchor, line),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor);
                let known = known.ok_or("an alias stands inside of what it names")?;
                let (node, size) = (Rc::clone(&known.0), known.1);
                self.add(node, size, size, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, node: Node, anchor: usize, line: usize) -> Result<(), String> {
        if self.open.len() >= DEPTH {
            return Err(format!("it is more than {DEPTH} levels deep"));
        }
        self.open.push(Open {
            anchor,
            line,
            size: 1,
            node,
            key: None,
            merged: Vec::new(),
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(mut open) = self.open.pop() else {
            return Ok(());
        };
        for merged in std::mem::take(&mut open.merged) {
            let Node::Map(entries) = &mut open.node else {
                continue;
            };
            for (key, value) in merged.entries() {
                if !entries.iter().any(|(known, _)| known == key) {
                    entries.push((key.clone(), Rc::clone(value)));
                }
            }
        }
        let within = format!("what begins at line {}", open.line);
        self.add(Rc::new(open.node), open.size, 1, open.anchor)
            .map_err(|what| format!("{what}, in {within}"))
    }

    /// Puts a node that is whole where it belongs. `new` of its nodes were not counted yet: of
    /// one that an alias brings, all.
    fn add(
        &mut self,
        node: Rc<Node>,
        size: usize,
        new: usize,
        anchor: usize,
    ) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(new);
        if self.nodes > NODES {
            return Err(format!("with its aliases it has more than {NODES} nodes"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (Rc::clone(&node), size));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.size = open.size.saturating_add(size);
        match (&mut open.node, open.key.take()) {
            (Node::List(items), _) => items.push(node),
            (Node::Map(entries), Some(key)) => {
                if key == "<<" {
                    // One map, or a list of them, of which the first counts most.
                    match &*node {
                        Node::List(items) => open.merged.extend(items.iter().map(Rc::clone)),
                        _ => open.merged.push(node),
                    }
                } else if entries.iter().any(|(known, _)| *known == key) {
                    return Err("a key stands there twice".to_owned());
                } else {
                    entries.push((key, node));
                }
            }
            (Node::Map(_), None) => match &*node {
                Node::Text(key, _) => open.key = Some(key.clone()),
                _ => return Err("a key is no text".to_owned()),
            },
            (Node::Text(..), _) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_aliases_and_merge_keys_are_read_as_compose_reads_them() {
        let text =
            "base: &b {restart: always, image: x}\nz:\n  <<: *b\n  image: y\nlist: [*b, ~]\n";
        let tree = read(text).unwrap();
        assert_eq!(tree.at(&["z", "restart"]).unwrap().text(), Some("always"));
        assert_eq!(tree.at(&["z", "image"]).unwrap().text(), Some("y"));
        let list: Vec<_> = tree.get("list").unwrap().items().collect();
        assert_eq!(list[0].get("image").unwrap().text(), Some("x"));
        assert!(list[1].is_null());
    }

    #[test]
    fn a_bomb_of_aliases_ends_at_once() {
        let bomb = |first: &str, next: fn(usize) -> String| {
            let lines = (1..60).map(next);
            std::iter::once(first.to_owned())
                .chain(lines)
                .collect::<String>()
        };
        let laughs = bomb("a0: &a0 [x, x, x, x, x, x, x, x, x]\n", |n| {
            let names = vec![format!("*a{}", n - 1); 9].join(", ");
            format!("a{n}: &a{n} [{names}]\n")
        });
        assert!(read(&laughs).unwrap_err().what.contains("20000 nodes"));
        let merges = bomb("a0: &a0 {k0: x}\n", |n| {
            let last = n - 1;
            format!("a{n}: &a{n} {{<<: [*a{last}, *a{last}], k{n}: *a{last}}}\n")
        });
        assert!(read(&merges).is_err());
        // One long text, named again and again, is in memory once.
        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(500_000),
            vec!["*a"; 10_000].join(",")
        );
        assert!(read(&long).is_ok());
    }

    #[test]
    fn deep_and_endless_documents_are_refused() {
        for text in [
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(100_000),
            "? ".repeat(100_000),
            "a: &a [*a]".to_owned(),
            "x".repeat(100_000) + ": [",
            "&a ".repeat(10_000),
            "!t ".repeat(10_000),
            "a: 1\na: 2".to_owned(),
            "a: 1\n---\nb: 2\n".to_owned(),
            "[a]: b".to_owned(),
            String::new(),
            "\0".to_owned(),
        ] {
            assert!(read(&text).is_err(), "{}", &text[..text.len().min(20)]);
        }
    }
}
