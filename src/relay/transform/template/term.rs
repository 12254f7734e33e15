//! One expression of a template.
//!
//! # Invariants
//! - Pure, and bounded as an expression is.
//! - A path gives the very member: its numbers keep their digits.
//! - What is not there is told from what is null, and both are named; no value stands in an error.

use super::TemplateError;
use super::words::{Word, Words, check, listed};
use crate::relay::transform::expression::outcome::{Budget, NOT_THERE, json};
use crate::relay::transform::expression::{Expression, Node, Scope, reason};
use crate::relay::transform::json::Json;

/// An expression, and whether what it names may be left out.
#[derive(Clone, Debug)]
pub(super) struct Term {
    text: Box<str>,
    expression: Expression,
    path: Option<Path>,
    optional: bool,
}

/// What an expression came to.
pub(super) enum Found {
    Value(Json),
    /// It is null, or not there, and may be left out.
    LeftOut,
    /// It is not there; the reason.
    Missing(String),
}

#[derive(Clone, Debug)]
struct Path {
    root: Box<str>,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Name(Box<str>),
    Index(i64),
}

impl Term {
    /// Reads what stands in a gap. The reason, where it is none.
    pub(super) fn parse(text: &str, known: &[&str]) -> Result<Self, String> {
        let text = text.trim();
        let (inner, optional) = match text.strip_suffix("optional").map(str::trim_end) {
            Some(before) if before.ends_with('|') => (before.trim_end_matches('|').trim(), true),
            _ => (text, false),
        };
        if inner.is_empty() {
            return Err("nothing stands in it".to_owned());
        }
        check(inner)?;
        let expression = Expression::parse(inner).map_err(|error| error.reason().to_owned())?;
        let mut roots: Vec<_> = expression.roots().collect();
        roots.sort_unstable();
        if let Some(root) = roots.iter().find(|root| !known.contains(&&***root)) {
            return Err(format!(
                "no `{root}` is known here; there {}",
                listed(known)
            ));
        }
        Ok(Self {
            path: Path::parse(inner).filter(|path| known.contains(&&*path.root)),
            text: text.into(),
            expression,
            optional,
        })
    }

    /// As it is written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// What it asks for: `readings.value` for `readings[0].value`.
    pub(super) fn names(&self) -> Vec<String> {
        match &self.path {
            Some(path) => vec![path.name()],
            None => self.expression.names().collect(),
        }
    }

    /// Its path, where it is no more than that.
    pub(super) fn path_name(&self) -> Option<String> {
        self.path.as_ref().map(Path::name)
    }

    /// What it comes to. An error says why it comes to nothing.
    pub(super) fn find(
        &self,
        scope: &Scope,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Found, String> {
        if let Some(path) = &self.path {
            return match path.follow(scope) {
                Ok(node) if self.optional && node.json().is_null() => Ok(Found::LeftOut),
                Ok(node) => {
                    budget.spend_all(node.json(), depth)?;
                    Ok(Found::Value(node.json().clone()))
                }
                Err(what) => Ok(self.missing(what)),
            };
        }
        match self.expression.value(scope) {
            Ok(value) if value.is_undefined() => {
                let what = self.what_is_missing(scope);
                Ok(self.missing(what.unwrap_or_else(|| {
                    "it gives nothing: what is looked up is not in the table".to_owned()
                })))
            }
            Ok(value) if value.is_none() && self.optional => Ok(Found::LeftOut),
            Ok(value) => match json(&value, budget, depth) {
                Err(reason) if reason == NOT_THERE => {
                    Ok(self.missing(self.what_is_missing(scope).unwrap_or(reason)))
                }
                other => other.map(Found::Value),
            },
            Err(error) => match self.what_is_missing(scope) {
                Some(_) if self.optional => Ok(Found::LeftOut),
                Some(what) => Err(format!("{} ({what})", reason(&error))),
                None => Err(reason(&error)),
            },
        }
    }

    /// Why it comes to nothing, if it fails; that it is not there is no failure.
    pub(super) fn error(&self, at: &str, scope: &Scope) -> Option<TemplateError> {
        let found = self.find(scope, &mut Budget::new(), 0);
        Some(TemplateError::of(at, self, found.err()?))
    }

    /// The list that it comes to, item by item, without a copy where it is a path.
    pub(super) fn list(&self, scope: &Scope) -> Result<Option<Vec<Node>>, String> {
        let node = match &self.path {
            Some(path) => match path.follow(scope) {
                Ok(node) if !node.json().is_null() => node,
                Ok(_) | Err(_) if self.optional => return Ok(None),
                Ok(_) => return Err(TemplateError::missing("it is null")),
                Err(what) => return Err(TemplateError::missing(&what)),
            },
            None => match self.find(scope, &mut Budget::new(), 0)? {
                Found::Value(json) => Node::of(json),
                Found::LeftOut => return Ok(None),
                Found::Missing(what) => return Err(TemplateError::missing(&what)),
            },
        };
        let Json::Array(items) = node.json() else {
            return Err("`for_each` needs a list, and this is none".to_owned());
        };
        let places = (0..).take(items.len());
        Ok(Some(places.filter_map(|place| node.item(place)).collect()))
    }

    /// Whether it is true; what is not there is not.
    pub(super) fn holds(&self, scope: &Scope) -> Result<bool, String> {
        let value = self.expression.value(scope);
        Ok(value.map_err(|error| reason(&error))?.is_true())
    }

    fn missing(&self, what: String) -> Found {
        if self.optional {
            Found::LeftOut
        } else {
            Found::Missing(what)
        }
    }

    /// The first of its names that is not there, or null.
    fn what_is_missing(&self, scope: &Scope) -> Option<String> {
        let mut names: Vec<_> = self.expression.names().collect();
        names.sort_unstable();
        names.iter().find_map(|name| {
            let found = Path::parse(name)?.follow(scope);
            match found {
                Ok(node) => node.json().is_null().then(|| format!("`{name}` is null")),
                Err(what) => Some(what),
            }
        })
    }
}

impl Path {
    fn parse(text: &str) -> Option<Self> {
        let mut words = Words::of(text).map(|(word, _)| word);
        let Word::Name(root) = words.next()? else {
            return None;
        };
        let mut steps = Vec::new();
        while let Some(word) = words.next() {
            let step = match (word, words.next()?) {
                (Word::Sign('.'), Word::Name(name)) => Step::Name(name.into()),
                (Word::Sign('['), inside) => {
                    let step = match inside {
                        Word::Text(name) if !name.contains('\\') => Step::Name(name.into()),
                        Word::Number(digits) => Step::Index(digits.parse().ok()?),
                        Word::Sign('-') => match words.next()? {
                            Word::Number(digits) => {
                                Step::Index(digits.parse::<i64>().ok()?.checked_neg()?)
                            }
                            _ => return None,
                        },
                        _ => return None,
                    };
                    (words.next()? == Word::Sign(']')).then_some(step)?
                }
                _ => return None,
            };
            steps.push(step);
        }
        Some(Self {
            root: root.into(),
            steps,
        })
    }

    /// What it leads to; otherwise what is missing.
    fn follow(&self, scope: &Scope) -> Result<Node, String> {
        let Some(root) = scope.node(&self.root) else {
            return Err(format!("`{}` is not there", self.root));
        };
        let mut here = root.clone();
        for (place, step) in self.steps.iter().enumerate() {
            let next = match step {
                Step::Name(name) => here.member(name),
                Step::Index(index) => here.item(*index),
            };
            let Some(next) = next else {
                return Err(if here.json().is_null() {
                    format!("`{}` is null", self.until(place))
                } else {
                    format!("`{}` is not there", self.until(place + 1))
                });
            };
            here = next;
        }
        Ok(here)
    }

    fn until(&self, steps: usize) -> String {
        let steps = self.steps.iter().take(steps).map(|step| match step {
            Step::Name(name) => format!(".{name}"),
            Step::Index(index) => format!("[{index}]"),
        });
        std::iter::once(self.root.to_string())
            .chain(steps)
            .collect()
    }

    /// Its names, without what counts.
    fn name(&self) -> String {
        let names = self.steps.iter().filter_map(|step| match step {
            Step::Name(name) => Some(&**name),
            Step::Index(_) => None,
        });
        let names: Vec<_> = std::iter::once(&*self.root).chain(names).collect();
        names.join(".")
    }
}
