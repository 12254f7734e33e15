//! `/events/{seq}/picture`: a photograph of an inspection, as Orbit has it.
//!
//! # Invariants
//! - Nothing is asked but the configured Orbit, and only for what the event of that number names.
//! - What is answered is a picture by its own first bytes, whatever Orbit or its name says.
//! - Bounded: [`MOST_BYTES`], [`AT_ONCE`], [`WITHIN`]. Nothing is stored.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse as _;
use serde::Deserialize;
use tokio::time::timeout;

use super::super::access::See;
use super::super::{Answer, Failed, Page};
use crate::event::{Envelope, ORBIT, Origin};
use crate::orbit::media::{self, Form, MediaUrl, Wanted};
use crate::relay::journal::EventRow;
use crate::relay::transform::pictures::captures;

/// No larger picture is shown.
const MOST_BYTES: u64 = 5_000_000;
/// So many are fetched at once.
pub(crate) const AT_ONCE: usize = 2;
/// How long Orbit may take, and as long again its turn.
const WITHIN: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
pub(super) struct Which {
    /// The first is 1.
    n: Option<usize>,
}

pub(super) async fn picture(
    State(page): State<Arc<Page>>,
    See(_): See,
    Path(seq): Path<i64>,
    which: Result<Query<Which>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let Ok(Query(Which { n })) = which else {
        return Err(Failed::not_found());
    };
    of_event(&page, seq, n.unwrap_or(1)).await
}

/// The photograph with this number of an event.
pub(crate) async fn of_event(page: &Arc<Page>, seq: i64, n: usize) -> Answer {
    let event = page.read(move |reader| reader.event(seq)).await?;
    let data_url = event.and_then(|event| data_url(&event, n));
    let (Some(data_url), Some(orbit)) = (data_url, &page.app.orbit) else {
        return Err(Failed::not_found());
    };
    let Ok(url) = MediaUrl::parse(orbit.base(), &data_url) else {
        return Err(Failed::not_found());
    };
    let busy = || {
        let what = "Other photographs take too long to come from Orbit.";
        Failed::unavailable(what, "Load it again in a moment.")
    };
    let turn = timeout(WITHIN, page.pictures.acquire()).await;
    let _turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
    let wanted = Wanted {
        limit: MOST_BYTES,
        form: Form::Raw,
        within: WITHIN,
    };
    let fetched = orbit.media(&url, &wanted).await.map_err(|error| {
        tracing::debug!(seq, %error, "page: Orbit gave no photograph");
        Failed::not_found()
    })?;
    let Some(media_type) = media::picture(&fetched.bytes) else {
        return Err(Failed::not_found());
    };
    let head = [
        (CONTENT_TYPE, media_type),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
    ];
    Ok((head, fetched.bytes).into_response())
}

/// Where Orbit has the capture with this number.
fn data_url(event: &EventRow, n: usize) -> Option<String> {
    // A sample names photographs that nobody took.
    if event.source != ORBIT || event.origin == Origin::Sample.as_str() {
        return None;
    }
    let envelope = Envelope::of(&event.event_type, &event.body).ok()?;
    let index = n.checked_sub(1)?;
    let mut all = captures(&envelope).into_iter();
    all.find(|capture| capture.index == index)?.data_url
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn only_what_an_event_of_orbit_names_is_asked_for() {
        let body = br#"{"type":"ACTION_COMPLETED","data":{"dataCaptures":
            [{"dataUrl":"/a.jpg"},{"keyResults":[]}]}}"#;
        let event = EventRow {
            seq: 1,
            source: ORBIT.into(),
            event_type: "ACTION_COMPLETED".into(),
            identity: "r".into(),
            origin: "webhook".into(),
            received_at: Timestamp::UNIX_EPOCH,
            body: body.to_vec(),
            deliveries: Vec::new(),
        };
        assert_eq!(data_url(&event, 1).as_deref(), Some("/a.jpg"));
        for none in [0, 2, 3, usize::MAX] {
            assert_eq!(data_url(&event, none), None, "{none}");
        }
        let other = EventRow {
            source: "up42".into(),
            ..event.clone()
        };
        assert_eq!(data_url(&other, 1), None);
        let sample = EventRow {
            origin: Origin::Sample.as_str().into(),
            ..event.clone()
        };
        assert_eq!(data_url(&sample, 1), None);
        let broken = EventRow {
            body: b"\xff".to_vec(),
            ..event
        };
        assert_eq!(data_url(&broken, 1), None);
    }
}
