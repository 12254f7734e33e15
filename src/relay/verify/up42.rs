//! UP42's scheme: it comes with its own change.
//!
//! # Invariants
//! - Nothing is let through.

use std::time::Duration;

use jiff::Timestamp;

use super::refusal::Refusal;
use super::scheme::{Draft, Headers, SignError, Verified};
use crate::secret::Secret;

pub(super) fn read(_headers: &Headers<'_>) -> Result<(), Refusal> {
    Err(Refusal::Malformed)
}

pub(super) fn verify(
    _headers: &Headers<'_>,
    _body: &[u8],
    _secrets: &[Secret],
    _now: Timestamp,
    _max_age: Duration,
    _body_unsigned: bool,
) -> Result<Verified, Refusal> {
    Err(Refusal::Malformed)
}

pub(super) fn sign(
    _secret: &Secret,
    _draft: &Draft<'_>,
) -> Result<Vec<(String, String)>, SignError> {
    Err(SignError("not there yet".into()))
}
