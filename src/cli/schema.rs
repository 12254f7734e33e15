//! `schema`: the documented shapes, for programs.
//!
//! # Invariants
//! - No setting is read.

use std::process::ExitCode;

use super::{Outcome, print};
use crate::relay::transform::model;

/// The JSON Schema of what templates and filters see of an event.
pub(super) fn event() -> Outcome {
    print(model::SCHEMA.trim_end())?;
    Ok(ExitCode::SUCCESS)
}
