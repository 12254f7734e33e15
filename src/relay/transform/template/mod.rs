//! Bodies: a tree of JSON whose texts may be expressions.
//!
//! ```text
//! mod    the tree
//! gaps   texts with gaps: headers, URLs, topics, plain bodies
//! term   one expression
//! words  what an expression is made of
//! ```
//!
//! # Invariants
//! - Pure, and bounded: by the fuel of each expression, and by the size and depth of what comes
//!   out.
//! - JSON is built, never put together from pieces of text: no value gets out of its place.
//! - Members keep their order. What a path gives keeps its type and its digits.
//! - An error names the place, the expression and what is missing; no value stands in it.

mod gaps;
mod term;
mod words;

pub use gaps::Gapped;

pub use super::expression::Scope;

use gaps::Part;
use term::{Found, Term};

use super::expression::outcome::{Budget, DEEPEST};
use super::json::Json;

/// No table has more items.
const MOST_ITEMS: usize = 1_000;

/// A body that was read.
#[derive(Clone, Debug)]
pub struct Template {
    at: String,
    tree: Tree,
}

/// Why a tree is no template, or why it gives no body here.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{at}: `{expression}`: {reason}")]
pub struct TemplateError {
    /// The place: `body.Readings[2].value`.
    pub at: String,
    /// What stands there.
    pub expression: String,
    /// What is wrong with it.
    pub reason: String,
}

#[derive(Clone, Debug)]
enum Tree {
    Plain(Json),
    Value(Term),
    Text(Vec<Part>),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
    Each(Box<Each>),
}

/// A table: one value for each item of a list.
#[derive(Clone, Debug)]
struct Each {
    over: Term,
    when: Option<Term>,
    value: Tree,
}

impl TemplateError {
    fn of(at: &str, term: &Term, reason: String) -> Self {
        Self {
            at: at.to_owned(),
            expression: term.text().to_owned(),
            reason,
        }
    }

    fn missing(what: &str) -> String {
        format!("{what}; write `| optional` behind it if it may be left out")
    }
}

impl Template {
    /// Reads a tree. `at` is its place in errors, such as `body`; `known` the names that it may
    /// use besides `item` and `index`, which tables have.
    pub fn parse(at: &str, tree: &Json, known: &[&str]) -> Result<Self, TemplateError> {
        Ok(Self {
            at: at.to_owned(),
            tree: Tree::parse(at, tree, known, 0)?,
        })
    }

    /// The body. With `drop_null` members that are null are left out, at any depth; items of
    /// lists stay, for their place may mean something.
    pub fn render(&self, scope: &Scope, drop_null: bool) -> Result<Json, TemplateError> {
        let mut budget = Budget::new();
        let body = self.tree.render(&self.at, scope, &mut budget, 0)?;
        let body = body.ok_or_else(|| TemplateError {
            at: self.at.clone(),
            expression: self.tree.shown(),
            reason: "nothing is left of the whole".to_owned(),
        })?;
        Ok(if drop_null { without_null(body) } else { body })
    }

    /// What goes wrong here, of every expression by itself: one that fails hides no other.
    pub fn errors(&self, scope: &Scope) -> Vec<TemplateError> {
        let mut errors = Vec::new();
        self.tree.errors(&self.at, scope, &mut errors);
        errors
    }

    /// The names that it asks for, with what it asks of them: `inspection.severity`. What a table
    /// asks of its `item` is asked of the list: `readings.value`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let mut names = Vec::new();
        self.tree.names(&mut names);
        names.sort_unstable();
        names.dedup();
        names.into_iter()
    }
}

impl Tree {
    fn parse(at: &str, json: &Json, known: &[&str], depth: usize) -> Result<Self, TemplateError> {
        if depth > DEEPEST {
            return Err(refuse(
                at,
                "",
                format!("it nests deeper than {DEEPEST} levels"),
            ));
        }
        match json {
            Json::String(text) => {
                let mut parts = gaps::parts(at, text, known)?;
                Ok(match parts.pop() {
                    Some(Part::Gap(term)) if parts.is_empty() => Self::Value(term),
                    Some(Part::Fixed(text)) if parts.is_empty() => Self::Plain(text.into()),
                    None => Self::Plain("".into()),
                    Some(last) => {
                        parts.push(last);
                        Self::Text(parts)
                    }
                })
            }
            Json::Array(items) => {
                let items = items.iter().enumerate().map(|(place, item)| {
                    Self::parse(&format!("{at}[{place}]"), item, known, depth + 1)
                });
                Ok(Self::Array(items.collect::<Result<_, _>>()?))
            }
            Json::Object(members) if json.get("for_each").is_some() => {
                Each::parse(at, members, known, depth).map(|each| Self::Each(Box::new(each)))
            }
            Json::Object(members) => {
                let members = members.iter().map(|(name, of)| {
                    let at = format!("{at}.{name}");
                    if ["{{", "{%", "{#"].iter().any(|sign| name.contains(sign)) {
                        return Err(refuse(&at, name, "the name of a member is fixed".into()));
                    }
                    Ok((name.clone(), Self::parse(&at, of, known, depth + 1)?))
                });
                Ok(Self::Object(members.collect::<Result<_, _>>()?))
            }
            plain => Ok(Self::Plain(plain.clone())),
        }
    }

    /// Nothing where it is left out.
    fn render(
        &self,
        at: &str,
        scope: &Scope,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Option<Json>, TemplateError> {
        let over = |reason| refuse(at, &self.shown(), reason);
        Ok(Some(match self {
            Self::Plain(json) => {
                budget.spend_all(json, depth).map_err(over)?;
                json.clone()
            }
            Self::Value(term) => match term.find(scope, budget, depth).map_err(over)? {
                Found::Value(json) => json,
                Found::LeftOut => return Ok(None),
                Found::Missing(what) => return Err(over(TemplateError::missing(&what))),
            },
            Self::Text(parts) => {
                // What fills the gaps is counted where it is found.
                budget.spend(gaps::fixed(parts), depth).map_err(over)?;
                let filled = gaps::fill(parts, scope, budget, |value, text| {
                    text.push_str(value);
                    Ok(())
                });
                let text = filled.map_err(|(term, reason)| TemplateError::of(at, term, reason))?;
                Json::from(text)
            }
            Self::Array(items) => {
                budget.spend(2, depth).map_err(over)?;
                let mut rendered = Vec::new();
                for (place, item) in items.iter().enumerate() {
                    let at = format!("{at}[{place}]");
                    rendered.extend(item.render(&at, scope, budget, depth + 1)?);
                }
                Json::Array(rendered)
            }
            Self::Object(members) => {
                budget.spend(2, depth).map_err(over)?;
                let mut rendered = Vec::new();
                for (name, of) in members {
                    let at = format!("{at}.{name}");
                    let of = of.render(&at, scope, budget, depth + 1)?;
                    rendered.extend(of.map(|of| (name.clone(), of)));
                }
                Json::Object(rendered)
            }
            Self::Each(each) => return each.render(at, scope, budget, depth),
        }))
    }

    fn errors(&self, at: &str, scope: &Scope, errors: &mut Vec<TemplateError>) {
        match self {
            Self::Plain(_) => {}
            Self::Value(term) => errors.extend(term.error(at, scope)),
            Self::Text(parts) => errors.extend(gaps::errors(parts, at, scope)),
            Self::Array(items) => {
                for (place, item) in items.iter().enumerate() {
                    item.errors(&format!("{at}[{place}]"), scope, errors);
                }
            }
            Self::Object(members) => {
                for (name, of) in members {
                    of.errors(&format!("{at}.{name}"), scope, errors);
                }
            }
            Self::Each(each) => each.errors(at, scope, errors),
        }
    }

    fn names(&self, names: &mut Vec<String>) {
        match self {
            Self::Plain(_) => {}
            Self::Value(term) => names.extend(term.names()),
            Self::Text(parts) => names.extend(parts.iter().flat_map(|part| match part {
                Part::Gap(term) => term.names(),
                Part::Fixed(_) => Vec::new(),
            })),
            Self::Array(items) => items.iter().for_each(|item| item.names(names)),
            Self::Object(members) => members.iter().for_each(|(_, of)| of.names(names)),
            Self::Each(each) => each.names(names),
        }
    }

    /// What stands there, for errors.
    fn shown(&self) -> String {
        match self {
            Self::Value(term) => term.text().to_owned(),
            Self::Each(each) => each.over.text().to_owned(),
            _ => "…".to_owned(),
        }
    }
}

impl Each {
    fn parse(
        at: &str,
        members: &[(String, Json)],
        known: &[&str],
        depth: usize,
    ) -> Result<Self, TemplateError> {
        let inside: Vec<_> = known.iter().copied().chain(["item", "index"]).collect();
        let (mut over, mut when, mut value) = (None, None, None);
        for (name, of) in members {
            let at = format!("{at}.{name}");
            match name.as_str() {
                "for_each" => over = Some(expression(&at, of, known)?),
                "when" => when = Some(expression(&at, of, &inside)?),
                "value" => value = Some(Tree::parse(&at, of, &inside, depth + 1)?),
                _ => {
                    let reason = "a table has `for_each`, `value` and, if need be, `when`";
                    return Err(refuse(&at, name, reason.to_owned()));
                }
            }
        }
        let (Some(over), Some(value)) = (over, value) else {
            let reason = "a table needs a `value`: what is made of each item";
            return Err(refuse(at, "for_each", reason.to_owned()));
        };
        Ok(Self { over, when, value })
    }

    fn render(
        &self,
        at: &str,
        scope: &Scope,
        budget: &mut Budget,
        depth: usize,
    ) -> Result<Option<Json>, TemplateError> {
        let over = |reason| TemplateError::of(at, &self.over, reason);
        budget.spend(2, depth).map_err(over)?;
        let Some(items) = self.over.list(scope).map_err(over)? else {
            return Ok(None);
        };
        if items.len() > MOST_ITEMS {
            return Err(over(format!("the list has more than {MOST_ITEMS} items")));
        }
        let mut rendered = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let at = format!("{at}[{index}]");
            let scope = scope.with_node("item", item).with("index", index.into());
            if let Some(when) = &self.when {
                let holds = when.holds(&scope);
                if !holds.map_err(|reason| TemplateError::of(&at, when, reason))? {
                    continue;
                }
            }
            rendered.extend(self.value.render(&at, &scope, budget, depth + 1)?);
        }
        Ok(Some(Json::Array(rendered)))
    }

    /// Of the first item, which stands for all.
    fn errors(&self, at: &str, scope: &Scope, errors: &mut Vec<TemplateError>) {
        let first = match self.over.list(scope) {
            Ok(items) => items.unwrap_or_default().into_iter().next(),
            Err(reason) => {
                errors.push(TemplateError::of(at, &self.over, reason));
                None
            }
        };
        let Some(item) = first else { return };
        let scope = scope.with_node("item", item).with("index", 0_usize.into());
        if let Some(when) = &self.when {
            let held = when.holds(&scope).err();
            errors.extend(held.map(|reason| TemplateError::of(at, when, reason)));
        }
        self.value.errors(&format!("{at}[0]"), &scope, errors);
    }

    fn names(&self, names: &mut Vec<String>) {
        names.extend(self.over.names());
        let mut inside = Vec::new();
        self.value.names(&mut inside);
        inside.extend(self.when.iter().flat_map(Term::names));
        let list = self.over.path_name();
        names.extend(inside.into_iter().filter_map(|name| {
            let (root, rest) = name.split_once('.').unwrap_or((&name, ""));
            match (root, &list) {
                ("index", _) | ("item", None) => None,
                ("item", Some(list)) if rest.is_empty() => Some(list.clone()),
                ("item", Some(list)) => Some(format!("{list}.{rest}")),
                _ => Some(name),
            }
        }));
    }
}

/// An expression, alone or as `{{ … }}`.
fn expression(at: &str, json: &Json, known: &[&str]) -> Result<Term, TemplateError> {
    let Some(text) = json.as_str().map(str::trim) else {
        return Err(refuse(at, &json.to_string(), "this is no text".to_owned()));
    };
    let inside = text
        .strip_prefix("{{")
        .and_then(|text| text.strip_suffix("}}"));
    let text = inside.unwrap_or(text);
    Term::parse(text, known).map_err(|reason| refuse(at, text.trim(), reason))
}

fn refuse(at: &str, expression: &str, reason: String) -> TemplateError {
    TemplateError {
        at: at.to_owned(),
        expression: expression.to_owned(),
        reason,
    }
}

fn without_null(json: Json) -> Json {
    match json {
        Json::Object(members) => {
            let members = members.into_iter().filter(|(_, of)| !of.is_null());
            Json::Object(members.map(|(name, of)| (name, without_null(of))).collect())
        }
        Json::Array(items) => items.into_iter().map(without_null).collect(),
        plain => plain,
    }
}

#[cfg(test)]
mod tests;
