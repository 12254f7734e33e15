//! The filters that write times in other ways.
//!
//! # Invariants
//! - What is not there, or null, goes through as it is.

use minijinja::{Environment, Error, Value};

use super::filters::{of_text, refuse};
use crate::relay::transform::times::{self, TimeError};

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("rfc3339", |value: &Value| apply(value, times::rfc3339));
    environment.add_filter("epoch", |value: &Value| apply(value, times::epoch));
    environment.add_filter("epoch_ms", |value: &Value| apply(value, times::epoch_ms));
    environment.add_filter("odata_date", |value: &Value| {
        apply(value, times::odata_date)
    });
    environment.add_filter("odata_time", |value: &Value| {
        apply(value, times::odata_time)
    });
    environment.add_filter("local", local);
}

fn apply<T: Into<Value>>(
    value: &Value,
    write: impl FnOnce(&str) -> Result<T, TimeError>,
) -> Result<Value, Error> {
    of_text(value, |text| match write(text) {
        Ok(written) => Ok(written.into()),
        // It goes on with the value.
        Err(TimeError::NotATime(_)) => Err(refuse("this is not a time like 2026-02-03T09:14:07Z")),
        Err(error) => Err(refuse(error.to_string())),
    })
}

fn local(value: &Value, zone: &str, format: Option<&str>) -> Result<Value, Error> {
    apply(value, |text| times::local(text, zone, format))
}
