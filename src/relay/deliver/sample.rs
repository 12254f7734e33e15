//! Samples that a person had made for one destination: that one gets it whatever it takes, and the
//! others do not.
//!
//! # Invariants
//! - Pure. Only a sample is looked at: what a source sends names no destination.

use crate::event::{Members, Origin};
use crate::relay::journal::Claim;

/// Whether the claim's event is a sample for its destination alone.
pub(super) fn is_for_it(claim: &Claim) -> bool {
    whose(claim).is_some_and(|named| named == claim.destination_id)
}

/// Why the claim's destination does not get its event: what `otherwise` says, unless it is a sample
/// for one destination.
pub(super) fn unwanted(
    claim: &Claim,
    otherwise: impl FnOnce() -> Option<String>,
) -> Option<String> {
    match whose(claim) {
        None => otherwise(),
        Some(named) if named == claim.destination_id => None,
        Some(_) => Some("a sample for another destination".to_owned()),
    }
}

/// Which destination a sample is for; none: it is none, or for all that take it.
fn whose(claim: &Claim) -> Option<String> {
    if claim.origin != Origin::Sample {
        return None;
    }
    named(str::from_utf8(&claim.body).ok()?)
}

/// The destination that a sample names, by its id.
fn named(body: &str) -> Option<String> {
    let sample = Members::parse(body).ok()?.raw("sample")?;
    Members::parse(sample).ok()?.text("destination")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_names_a_destination_or_none() {
        for (body, expected) in [
            (r#"{"sample":{"destination":"cmms"}}"#, Some("cmms")),
            (r#"{"type":"X","sample":{}}"#, None),
            (r#"{"sample":{"destination":""}}"#, None),
            (r#"{"sample":{"destination":1}}"#, None),
            (r#"{"sample":"cmms"}"#, None),
            (r#"{"data":{"sample":{"destination":"cmms"}}}"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(named(body).as_deref(), expected, "{body}");
        }
    }
}
