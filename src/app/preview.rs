//! What an event would become at a destination: for `template test` and for the page.
//!
//! # Invariants
//! - Nothing is sent, nothing is written, no token is fetched; no secret is shown.

use jiff::Timestamp;
use serde::Serialize;
use url::Url;

use crate::event::{ALERT, COMPLETED};
use crate::orbit::sample;
use crate::relay::assets::{AssetMap, Match};
use crate::relay::deliver;
use crate::relay::deliver::preview::{self, Came, PreviewedRequest, Verdict, verdict};
use crate::relay::journal::{EventRow, ReadError, Reader};

/// What it would become.
#[derive(Debug)]
pub struct Preview {
    /// The row of the asset map that it finds.
    pub row: Option<Match>,
    /// Whether it would be sent.
    pub verdict: Verdict,
    /// The requests that it makes, or would make if it were sent.
    pub requests: Vec<PreviewedRequest>,
}

/// The same for programs.
#[derive(Debug, Serialize)]
pub struct PreviewJson {
    destination: String,
    asset: Option<String>,
    why: Option<String>,
    verdict: &'static str,
    reason: Option<String>,
    requests: Vec<RequestJson>,
}

#[derive(Debug, Serialize)]
struct RequestJson {
    request: String,
    adds: bool,
    when: Option<String>,
    method: &'static str,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
}

/// Tries an event at a destination.
pub fn at(
    to: &deliver::Config,
    map: &AssetMap,
    came: &Came,
    orbit: Option<&Url>,
) -> Result<Preview, String> {
    let verdict = verdict(to, map, came, orbit)?;
    let requests = preview::preview(to, map, came, orbit);
    let requests = match (&verdict, requests) {
        // What is not sent needs no template that fits it.
        (Verdict::Skipped(_) | Verdict::Parked, Err(_)) => Vec::new(),
        (_, requests) => requests?,
    };
    Ok(Preview {
        row: preview::row(map, &came.source, &came.body, &came.enrichment),
        verdict,
        requests,
    })
}

/// An event of the journal, with what is known of it.
pub fn kept(reader: &mut Reader, event: EventRow) -> Result<Came, ReadError> {
    Ok(Came {
        enrichment: reader.enrichment(event.seq)?,
        source: event.source,
        event_type: event.event_type,
        origin: event.origin,
        identity: event.identity,
        received_at: event.received_at,
        body: event.body,
    })
}

/// The latest inspection in the journal.
pub fn latest(reader: &mut Reader) -> Result<Option<(i64, Came)>, ReadError> {
    let (alert, other) = (reader.last_of(ALERT)?, reader.last_of(COMPLETED)?);
    let latest = alert.into_iter().chain(other).max_by_key(|event| event.seq);
    let Some(event) = latest else {
        return Ok(None);
    };
    let seq = event.seq;
    Ok(Some((seq, kept(reader, event)?)))
}

/// An alert as Orbit sends it, made up.
pub fn sample(at: Timestamp) -> Option<Came> {
    let body = sample::sample(ALERT, 0, at)?;
    Came::of(body.into_bytes(), at).ok()
}

impl Preview {
    /// For programs.
    pub fn json(self, destination: &str) -> PreviewJson {
        let (verdict, reason) = match self.verdict {
            Verdict::Sent => ("sent", None),
            Verdict::Skipped(reason) => ("skipped", Some(reason)),
            Verdict::Parked => ("parked", None),
        };
        let (asset, why) = self.row.map(|row| (row.asset_id, row.why)).unzip();
        let requests = self.requests.into_iter().map(|request| RequestJson {
            request: request.round,
            adds: request.adds,
            when: request.when,
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
        });
        PreviewJson {
            destination: destination.to_owned(),
            asset,
            why,
            verdict,
            reason,
            requests: requests.collect(),
        }
    }
}
