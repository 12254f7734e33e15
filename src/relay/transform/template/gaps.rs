//! Texts with gaps: `Alert on {{ asset.id }}`.
//!
//! # Invariants
//! - Pure. What fills a gap is data: in a URL it is one percent-encoded value, in a topic it adds
//!   no level and no wildcard, in a header no line.
//! - No value stands in an error.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::TemplateError;
use super::term::{Found, Term};
use super::words::end_of_gap;
use crate::relay::transform::expression::Scope;
use crate::relay::transform::expression::outcome::{Budget, text};

/// Unreserved characters (RFC 3986, 2.3) stay; nothing else does.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// No value in a URL that is longer names anything.
const LONGEST_VALUE: usize = 1024;

/// A text with gaps that was read.
#[derive(Clone, Debug)]
pub struct Gapped {
    at: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
pub(super) enum Part {
    Fixed(String),
    Gap(Term),
}

impl Gapped {
    /// Reads one. `at` is its place in errors, `known` the names that it may use.
    pub fn parse(at: &str, text: &str, known: &[&str]) -> Result<Self, TemplateError> {
        Ok(Self {
            at: at.to_owned(),
            parts: parts(at, text, known)?,
        })
    }

    /// The text, with the gaps filled as they come: for a body of plain text.
    pub fn render(&self, scope: &Scope) -> Result<String, TemplateError> {
        self.fill(scope, |value, text| {
            text.push_str(value);
            Ok(())
        })
    }

    /// A URL or a part of one. Each gap is one value.
    pub fn fill_url(&self, scope: &Scope) -> Result<String, TemplateError> {
        self.fill(scope, |value, text| {
            if value.bytes().all(|byte| byte == b'.') || value.len() > LONGEST_VALUE {
                return Err("it is empty, longer than 1 KiB, or only dots: no part of a URL");
            }
            text.extend(utf8_percent_encode(value, ENCODED));
            Ok(())
        })
    }

    /// A topic of MQTT. What would be a level, a wildcard or a control character becomes `_`.
    pub fn fill_topic(&self, scope: &Scope) -> Result<String, TemplateError> {
        self.fill(scope, |value, text| {
            if value.is_empty() {
                return Err("it is empty: no level of a topic");
            }
            text.extend(value.chars().map(|c| match c {
                '/' | '+' | '#' => '_',
                c if c.is_control() => '_',
                c => c,
            }));
            Ok(())
        })
    }

    /// The value of a header.
    pub fn fill_header(&self, scope: &Scope) -> Result<String, TemplateError> {
        self.fill(scope, |value, text| {
            if value.contains(char::is_control) {
                return Err(
                    "it has a line break or another control character: no part of a header",
                );
            }
            text.push_str(value);
            Ok(())
        })
    }

    /// As it is written, but for spaces within gaps.
    pub fn text(&self) -> String {
        let parts = self.parts.iter().map(|part| match part {
            Part::Fixed(text) => text.clone(),
            Part::Gap(term) => format!("{{{{ {} }}}}", term.text()),
        });
        parts.collect()
    }

    /// What stands outside its gaps.
    pub fn fixed(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Fixed(text) => Some(text.as_str()),
            Part::Gap(_) => None,
        })
    }

    /// What goes wrong here, of every gap by itself.
    pub fn errors(&self, scope: &Scope) -> Vec<TemplateError> {
        errors(&self.parts, &self.at, scope).collect()
    }

    /// The names that it asks for, with what it asks of them.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.terms().flat_map(Term::names)
    }

    pub(super) fn terms(&self) -> impl Iterator<Item = &Term> {
        self.parts.iter().filter_map(|part| match part {
            Part::Gap(term) => Some(term),
            Part::Fixed(_) => None,
        })
    }

    fn fill(
        &self,
        scope: &Scope,
        write: impl Fn(&str, &mut String) -> Result<(), &'static str>,
    ) -> Result<String, TemplateError> {
        let mut budget = Budget::new();
        fill(&self.parts, scope, &mut budget, write)
            .map_err(|(term, reason)| TemplateError::of(&self.at, term, reason))
    }
}

/// How many bytes stand outside of gaps.
pub(super) fn fixed(parts: &[Part]) -> usize {
    let lengths = parts.iter().map(|part| match part {
        Part::Fixed(text) => text.len(),
        Part::Gap(_) => 0,
    });
    lengths.sum()
}

/// Fills gaps. An error tells of the expression and the reason.
pub(super) fn fill<'t>(
    parts: &'t [Part],
    scope: &Scope,
    budget: &mut Budget,
    write: impl Fn(&str, &mut String) -> Result<(), &'static str>,
) -> Result<String, (&'t Term, String)> {
    let mut filled = String::new();
    for part in parts {
        let term = match part {
            Part::Fixed(fixed) => {
                filled.push_str(fixed);
                continue;
            }
            Part::Gap(term) => term,
        };
        let refuse = |reason| (term, reason);
        let written = match term.find(scope, budget, 0).map_err(refuse)? {
            Found::LeftOut => write("", &mut filled),
            Found::Missing(what) => return Err(refuse(TemplateError::missing(&what))),
            Found::Value(value) if value.is_null() => {
                return Err(refuse(TemplateError::missing("it is null")));
            }
            Found::Value(value) => match text(&value) {
                Some(value) => write(&value, &mut filled),
                None => Err("a list or an object is no text: write `| json` or `| join(', ')`"),
            },
        };
        written.map_err(|reason| refuse(reason.to_owned()))?;
    }
    Ok(filled)
}

/// What goes wrong with gaps, each by itself.
pub(super) fn errors(
    parts: &[Part],
    at: &str,
    scope: &Scope,
) -> impl Iterator<Item = TemplateError> {
    parts.iter().filter_map(move |part| match part {
        Part::Gap(term) => term.error(at, scope),
        Part::Fixed(_) => None,
    })
}

/// Takes a text apart.
pub(super) fn parts(at: &str, text: &str, known: &[&str]) -> Result<Vec<Part>, TemplateError> {
    let refuse = |expression: &str, reason: String| TemplateError {
        at: at.to_owned(),
        expression: expression.trim().to_owned(),
        reason,
    };
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (fixed, gap) = match rest.split_once("{{") {
            Some((fixed, gap)) => (fixed, Some(gap)),
            None => (rest, None),
        };
        if let Some(sign) = ["{%", "{#"].iter().find(|sign| fixed.contains(**sign)) {
            return Err(refuse(
                sign,
                "only {{ … }} may stand in a text, no {% … %} and no {# … #}; `for_each`, `when` \
                 and `x if y else z` do their work"
                    .to_owned(),
            ));
        }
        if !fixed.is_empty() {
            parts.push(Part::Fixed(fixed.to_owned()));
        }
        let Some(gap) = gap else {
            return Ok(parts);
        };
        let Some((inside, behind)) = end_of_gap(gap).and_then(|end| gap.split_at_checked(end))
        else {
            let shown: String = gap.chars().take(60).collect();
            return Err(refuse(&shown, "no }} ends this gap".to_owned()));
        };
        let term = Term::parse(inside, known).map_err(|reason| refuse(inside, reason))?;
        parts.push(Part::Gap(term));
        rest = behind.strip_prefix("}}").unwrap_or_default();
    }
}
