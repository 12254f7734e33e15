//! What Orbit has of an inspection, fetched for one try.
//!
//! # Invariants
//! - What one try holds of pictures is reserved from a budget that all destinations share, before
//!   the first byte comes.
//! - A picture that Orbit does not give holds its event up no longer than the destination says;
//!   then the event goes without it, and says so.

use super::Shared;
use super::learn;
use crate::orbit::media::Form;
use crate::relay::enrich::{Capture as Fetched, CaptureError, Reservation};
use crate::relay::journal::Claim;
use crate::relay::transform::pictures::{Capture, Shown};

/// The pictures of one try, and what is said of each capture.
pub(super) struct Pictures {
    pub(super) fetched: Vec<(usize, Fetched)>,
    /// For each capture of the event.
    pub(super) shown: Vec<Shown>,
    pub(super) reservation: Reservation,
}

/// Orbit does not give a picture now, and the event waits for it; why.
#[derive(Debug)]
pub(super) struct Waits(pub(super) String);

/// Fetches the captures that are wanted.
pub(super) async fn fetch(
    shared: &Shared,
    claim: &Claim,
    captures: &[Capture],
    wanted: impl Fn(usize) -> bool,
    form: Form,
) -> Result<Pictures, Waits> {
    let message = &shared.config.message;
    let all: Vec<_> = captures
        .iter()
        .map(|capture| wanted(capture.index))
        .collect();
    let count = all.iter().filter(|wanted| **wanted).count();
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let most = message
        .image_limit
        .saturating_mul(count)
        .min(message.images_limit);
    // While a body is put together, one picture stands there twice.
    let most = most.saturating_add(message.image_limit.min(most));
    let mut pictures = Pictures {
        fetched: Vec::new(),
        shown: Vec::with_capacity(captures.len()),
        reservation: shared.enrich.budget().reserve(of_form(most, form)).await,
    };
    let (mut left, mut largest) = (message.images_limit, 0);
    for (capture, wanted) in captures.iter().zip(all) {
        let (Some(url), true) = (&capture.data_url, wanted) else {
            pictures.shown.push(Shown::Absent);
            continue;
        };
        let limit = message.image_limit.min(left);
        match shared.enrich.capture(url, limit, form).await {
            Ok(fetched) => {
                left = left.saturating_sub(fetched.size);
                largest = fetched.size.max(largest);
                pictures.shown.push(Shown::Embedded {
                    media_type: fetched.media_type.clone(),
                });
                pictures.fetched.push((capture.index, fetched));
            }
            Err(error) if waits(shared, claim, &error) => {
                let number = capture.index + 1;
                return Err(Waits(format!("capture {number}: {error}")));
            }
            Err(error) => {
                let seq = claim.lease.seq;
                let index = capture.index;
                tracing::warn!(seq, capture = index, reason = %error, "deliver: sent without a picture");
                pictures.shown.push(Shown::Linked {
                    url: shared.enrich.url_of(url),
                    note: Some(error.to_string()),
                });
            }
        }
    }
    let held = message.images_limit - left + largest;
    pictures.reservation.shrink_to(of_form(held, form));
    Ok(pictures)
}

/// A picture that is not there yet may be a moment later: it is looked for once more.
fn waits(shared: &Shared, claim: &Claim, error: &CaptureError) -> bool {
    let late = matches!(error, CaptureError::Missing(_)) && claim.enrich_since.is_none();
    (error.may_pass() || late) && learn::again_at(shared, claim).is_some()
}

/// How many bytes so many become.
fn of_form(bytes: u64, form: Form) -> u64 {
    match form {
        Form::Raw => bytes,
        Form::Base64 => bytes.div_ceil(3).saturating_mul(4),
    }
}
