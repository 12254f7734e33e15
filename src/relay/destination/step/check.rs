//! What can be known to be wrong with a step before it is ever done.
//!
//! # Invariants
//! - Pure. All that is wrong is told at once, each with its key.

use reqwest::header::HeaderValue;
use url::Url;

use super::{Each, Problem, Step, StepBody, Target};
use crate::relay::destination::Method;
use crate::relay::transform::expression::Expression;
use crate::relay::transform::template::{Gapped, Scope, TemplateError};

/// What a name of a step, or of what it takes, is made of.
fn is_name(text: &str, also: char) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == also;
    !text.is_empty() && text.len() <= 64 && text.chars().all(fits)
}

impl Step {
    /// What is wrong with it, among `earlier` steps and at a destination with this URL. Names that
    /// nobody knows were refused when its templates were read.
    pub fn check(&self, base: &Url, earlier: &[Self]) -> Vec<Problem> {
        let mut problems = Vec::new();
        self.check_names(earlier, &mut problems);
        self.check_form(base, &mut problems);
        self.check_frozen(earlier, &mut problems);
        self.check_steps(earlier, &mut problems);
        problems
    }

    /// The names that it asks for, with what it asks of them: such as `inspection.severity`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let frozen = self.frozen_names().into_iter().map(|(_, name)| name);
        let headers = self.headers.iter().flat_map(|(_, value)| value.names());
        frozen.chain(headers)
    }

    fn check_names(&self, earlier: &[Self], problems: &mut Vec<Problem>) {
        if !is_name(&self.name, '-') {
            let what = "a step's name has 1 to 64 of a-z, 0-9, _ and -";
            problems.push(Problem::new("name", what));
        }
        if earlier.iter().any(|step| step.name == self.name) {
            problems.push(Problem::new("name", "another step has this name"));
        }
        for (place, (name, _)) in self.take.iter().enumerate() {
            let key = format!("take.{name}");
            if !is_name(name, '_') {
                let what = "what is taken is called by 1 to 64 of a-z, 0-9 and _";
                problems.push(Problem::new(&key, what));
            }
            if self.take.iter().take(place).any(|(other, _)| other == name) {
                problems.push(Problem::new(&key, "it is taken twice"));
            }
        }
    }

    fn check_form(&self, base: &Url, problems: &mut Vec<Problem>) {
        let mut refuse = |key: &str, what: &str| problems.push(Problem::new(key, what));
        if self.method == Method::Get && !matches!(self.body, StepBody::None) {
            refuse(
                "method",
                "GET has no body: leave the body out, or use another method",
            );
        }
        if matches!(self.body, StepBody::Capture) && self.for_each != Some(Each::Captures) {
            refuse(
                "capture",
                "it is the picture of `item`: add for_each = \"captures\"",
            );
        }
        if self.method == Method::Get && self.for_each.is_some() {
            refuse(
                "method",
                "a GET is done anew in each try, and so not for each of many: leave out `for_each`",
            );
        }
        if self.fresh && self.for_each.is_some() {
            refuse(
                "fresh",
                "a fresh step is done once in each try: leave out `for_each`",
            );
        }
        if let Some(kind) = &self.content_type
            && HeaderValue::try_from(kind).is_err()
        {
            refuse(
                "content_type",
                "it has a character that cannot stand in a header",
            );
        }
        if let Target::Url {
            head: None, fixed, ..
        } = &self.target
        {
            let path = fixed.split_once("://").map(|(_, rest)| rest.contains('/'));
            let origin = Url::parse(fixed).map(|url| url.origin()).ok();
            if path != Some(true) || origin.is_none_or(|origin| origin != base.origin()) {
                let what = format!(
                    "a step goes to where the destination is, {}: write a URL of that, or begin \
                     with a gap that holds one",
                    base.origin().ascii_serialization()
                );
                refuse("url", &what);
            }
        }
    }

    /// What is journalled holds no secret.
    fn check_frozen(&self, earlier: &[Self], problems: &mut Vec<Problem>) {
        if self.fresh {
            return;
        }
        for (key, name) in self.frozen_names() {
            let mut parts = name.split('.');
            match (parts.next(), parts.next()) {
                (Some("secrets"), _) => problems.push(Problem::new(
                    key,
                    "`secrets` may stand only in headers and in steps with `fresh = true`: the \
                     rest is kept in the journal",
                )),
                // What a `when` comes to is not kept.
                (Some("steps"), Some(step))
                    if key != "when"
                        && earlier
                            .iter()
                            .any(|other| other.name == step && other.fresh) =>
                {
                    let what = format!(
                        "what the fresh step {step} takes may stand only in headers, in `when` \
                         and in other fresh steps: the rest is kept in the journal"
                    );
                    problems.push(Problem::new(key, &what));
                }
                _ => {}
            }
        }
    }

    /// What other steps take is taken before.
    fn check_steps(&self, earlier: &[Self], problems: &mut Vec<Problem>) {
        let in_headers = self.headers.iter().flat_map(|(header, value)| {
            let key = format!("headers.{header}");
            value.names().map(move |name| (key.clone(), name))
        });
        let frozen = self.frozen_names().into_iter();
        let all = frozen.map(|(key, name)| (key.to_owned(), name));
        for (key, name) in all.chain(in_headers) {
            let mut parts = name.split('.');
            let (Some("steps"), Some(step)) = (parts.next(), parts.next()) else {
                continue;
            };
            let Some(other) = earlier.iter().find(|other| other.name == step) else {
                let what = format!("no step called {step} stands before this one");
                problems.push(Problem::new(&key, &what));
                continue;
            };
            if let Some(taken) = parts.next()
                && !other.take.iter().any(|(name, _)| name == taken)
            {
                let what = format!("step {step} takes no {taken}: add it to its `take`");
                problems.push(Problem::new(&key, &what));
            }
        }
    }

    /// The names in what is frozen, each with its key.
    fn frozen_names(&self) -> Vec<(&'static str, String)> {
        let target = self.target.names().into_iter();
        let mut names: Vec<_> = target.map(|name| (self.target.key(), name)).collect();
        match &self.body {
            StepBody::Json(body) => names.extend(body.names().map(|name| ("body", name))),
            StepBody::Text(text) => names.extend(text.names().map(|name| ("text", name))),
            StepBody::None | StepBody::Capture => {}
        }
        let when = self.when.iter().flat_map(Expression::names);
        names.extend(when.map(|name| ("when", name)));
        names
    }
}

impl Target {
    fn key(&self) -> &'static str {
        match self {
            Self::Path(_) => "path",
            Self::Url { .. } => "url",
        }
    }

    /// What goes wrong here, of every gap by itself.
    pub fn errors(&self, scope: &Scope) -> Vec<TemplateError> {
        match self {
            Self::Path(path) => path.errors(scope),
            Self::Url { head, rest, .. } => {
                let head = head.iter().flat_map(|head| head.errors(scope));
                head.chain(rest.errors(scope)).collect()
            }
        }
    }

    /// The names that it asks for, with what it asks of them.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Path(path) => path.names().collect(),
            Self::Url { head, rest, .. } => {
                let head = head.iter().flat_map(Gapped::names);
                head.chain(rest.names()).collect()
            }
        }
    }
}

impl Problem {
    fn new(key: &str, what: &str) -> Self {
        Self {
            key: key.to_owned(),
            what: what.to_owned(),
        }
    }
}
