//! What Orbit has of an inspection, fetched for one try.
//!
//! # Invariants
//! - What one try holds of pictures is reserved from a budget that all destinations share, before
//!   the first byte comes.
//! - A picture that Orbit does not give holds its event up no longer than the destination says;
//!   then the event goes without it, and says so.

use tokio::time::{Instant, timeout_at};

use super::config::PICTURES;
use super::{Shared, learn};
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
    images_limit: u64,
) -> Result<Pictures, Waits> {
    let message = &shared.config.message;
    let end = Instant::now() + PICTURES;
    let all: Vec<_> = captures
        .iter()
        .map(|capture| wanted(capture.index))
        .collect();
    let count = all.iter().filter(|wanted| **wanted).count();
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    let most = message.image_limit.saturating_mul(count).min(images_limit);
    // While a body is put together, one picture stands there twice.
    let most = most.saturating_add(message.image_limit.min(most));
    let reserve = shared.enrich.budget().reserve(form.length(most));
    let mut pictures = Pictures {
        fetched: Vec::new(),
        shown: Vec::with_capacity(captures.len()),
        reservation: timeout_at(end, reserve)
            .await
            .map_err(|_| Waits("the pictures of others take all memory for them".to_owned()))?,
    };
    let (mut left, mut largest) = (images_limit, 0);
    for (capture, wanted) in captures.iter().zip(all) {
        let (Some(url), true) = (&capture.data_url, wanted) else {
            pictures.shown.push(Shown::Absent);
            continue;
        };
        let limit = message.image_limit.min(left);
        let coming = timeout_at(end, shared.enrich.capture(url, limit, form)).await;
        let late = || CaptureError::Unanswered("Orbit did not give it in time".to_owned());
        match coming.unwrap_or_else(|_| Err(late())) {
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
                let destination = shared.destination.name();
                tracing::warn!(
                    seq, capture = index, destination, reason = %error,
                    "deliver: sent without a picture"
                );
                pictures.shown.push(Shown::Linked {
                    url: shared.enrich.url_of(url),
                    note: Some(error.to_string()),
                });
            }
        }
    }
    let held = images_limit - left + largest;
    pictures.reservation.shrink_to(form.length(held));
    Ok(pictures)
}

/// A picture that is not there yet may be a moment later: it is looked for once more.
fn waits(shared: &Shared, claim: &Claim, error: &CaptureError) -> bool {
    let late = matches!(error, CaptureError::Missing(_)) && claim.enrich_since.is_none();
    (error.may_pass() || late) && learn::again_at(shared, claim).is_some()
}
