//! What a `when` says: an expression that is true or false of an event or of an answer.
//!
//! # Invariants
//! - Pure, and bounded: by its length, by fuel, and by what it may use. What makes long texts of
//!   short ones in a single step, which fuel does not count, is left out.
//! - A name that is not there is undefined, and so is what hangs below it.
//! - No value stands in an error, but for the names of units and zones.

mod dates;
pub(crate) mod filters;
pub(crate) mod outcome;
mod scope;
mod units;

pub(crate) use scope::Node;
pub use scope::Scope;

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::Serde;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

/// About as many steps as an evaluation may take.
const FUEL: u64 = 50_000;
/// No expression is longer.
pub(super) const LONGEST: usize = 4096;
/// A step of these may take for ever.
const LEFT_OUT: [&str; 6] = ["format", "indent", "center", "pprint", "batch", "slice"];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    for filter in LEFT_OUT {
        environment.remove_filter(filter);
    }
    filters::add(&mut environment);
    dates::add(&mut environment);
    environment
});

/// An expression that was read.
#[derive(Clone)]
pub struct Expression {
    text: String,
    compiled: Arc<minijinja::Expression<'static, 'static>>,
}

/// Why a text is no expression, or why it has no value here.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the expression `{text}`: {reason}")]
pub struct ExpressionError {
    text: String,
    reason: String,
}

impl Expression {
    /// Reads an expression.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        if text.len() > LONGEST {
            return Err(ExpressionError {
                text: text.chars().take(40).collect(),
                reason: format!("it has more than {LONGEST} bytes"),
            });
        }
        let compiled = ENVIRONMENT
            .compile_expression_owned(text.to_owned())
            .map_err(|e| refused(text, &e))?;
        Ok(Self {
            text: text.to_owned(),
            compiled: Arc::new(compiled),
        })
    }

    /// Whether it is true of what `names` holds: an object, whose members are the names.
    pub fn holds(&self, names: &impl Serialize) -> Result<bool, ExpressionError> {
        let value = self
            .compiled
            .eval(Value::from(Serde(names)))
            .map_err(|e| refused(&self.text, &e))?;
        Ok(value.is_true())
    }

    /// Whether it is true of what a scope holds.
    pub fn holds_in(&self, scope: &Scope) -> Result<bool, ExpressionError> {
        let value = self.value(scope).map_err(|e| refused(&self.text, &e))?;
        Ok(value.is_true())
    }

    /// What it comes to.
    pub(super) fn value(&self, scope: &Scope) -> Result<Value, minijinja::Error> {
        self.compiled.eval(scope.context())
    }

    /// The names that it begins at: such as `inspection`.
    pub(super) fn roots(&self) -> impl Iterator<Item = String> {
        self.compiled.undeclared_variables(false).into_iter()
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names that it asks for, with what it asks of them: such as `inspection.severity`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.compiled.undeclared_variables(true).into_iter()
    }
}

impl ExpressionError {
    /// What is wrong, without the text.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({:?})", self.text)
    }
}

fn refused(text: &str, error: &minijinja::Error) -> ExpressionError {
    ExpressionError {
        text: text.to_owned(),
        reason: reason(error),
    }
}

pub(super) fn reason(error: &minijinja::Error) -> String {
    match error.detail() {
        // It goes on with the values.
        Some(detail) if detail.starts_with("unable to calculate") => {
            "it divides by zero, or the number that it gives is too large".to_owned()
        }
        Some(detail) if error.kind() == ErrorKind::InvalidOperation => detail.to_owned(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(text: &str, names: &serde_json::Value) -> bool {
        Expression::parse(text).unwrap().holds(names).unwrap()
    }

    #[test]
    fn an_unknown_severity_is_treated_as_the_highest() {
        let when = "inspection.severity in (none, 0) or inspection.severity >= 3";
        for (severity, expected) in [
            (json!(null), true),
            (json!(0), true),
            (json!(1), false),
            (json!(3), true),
        ] {
            let names = json!({"inspection": {"severity": severity}});
            assert_eq!(holds(when, &names), expected, "{names}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_defined() {
        let when = "response.json.error_code is not defined or response.json.error_code == 200";
        assert!(holds(when, &json!({"response": {}})));
        assert!(holds(
            when,
            &json!({"response": {"json": {"error_code": 200}}})
        ));
        assert!(!holds(
            when,
            &json!({"response": {"json": {"error_code": 40301}}})
        ));
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_text() {
        let error = Expression::parse("inspection.severity >=").unwrap_err();
        assert!(
            error.to_string().contains("inspection.severity >="),
            "{error}"
        );
    }

    #[test]
    fn what_fuel_does_not_bound_is_left_out() {
        for text in [
            "'%1000000000s'|format('x')",
            "'a'|replace('','a'*100000)",
            "'x'|indent(1000000000)",
            "'x'|center(1000000000)",
        ] {
            let read = Expression::parse(text);
            let held = read.and_then(|expression| expression.holds(&json!({})));
            assert!(held.is_err(), "{text}");
        }
        assert!(Expression::parse(&"true or ".repeat(1_000)).is_err());
    }

    #[test]
    fn the_names_that_it_asks_for_are_known() {
        let when = Expression::parse("event.data.x == inspection.severity").unwrap();
        let mut names: Vec<_> = when.names().collect();
        names.sort_unstable();
        assert_eq!(names, ["event.data.x", "inspection.severity"]);
    }
}
