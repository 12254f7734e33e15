//! A signed request of which only the fresh bytes are written anew, so that it costs little.
//!
//! # Invariants
//! - No two requests carry the same event, within one run or across runs.

use std::ops::Range;

use anyhow::Context as _;
use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use orbit_relay::secret::WebhookSecret;
use sha2::Sha256;

use super::Target;

/// Stands in the template wherever a uuid is fresh in each event.
const UUID: &str = "00000000-0000-4000-8000-000000000000";

/// Stands in the template wherever a time is fresh in each event.
const TIME: &str = "0000-00-00T00:00:00.000Z";

/// One thermal inspection with two captures.
const EVENT: &str = concat!(
    r#"{"uuid":"00000000-0000-4000-8000-000000000000","type":"ACTION_COMPLETED","#,
    r#""time":"0000-00-00T00:00:00.000Z","data":{"uuid":"00000000-0000-4000-8000-000000000000","#,
    r#""runUuid":"7d0c41f2-5be6-4f0e-9c35-1f6a20b8e417","time":"0000-00-00T00:00:00.000Z","#,
    r#""createdAt":"0000-00-00T00:00:00.000Z","actionName":"P-204 bearing NDE","#,
    r#""actionUuid":"3a9be017-88d4-46a1-b7f3-02c5d94e6a58","missionName":"Compressor hall, early","#,
    r#""eventType":"daq","error":0,"#,
    r#""metadataFileUrl":"/daq/download/spot-12/2026-05-11T061940Z/P-204 bearing NDE/metadata.json","#,
    r#""actionRunArchiveFileUrl":"/daq/download/spot-12/2026-05-11T061940Z/P-204 bearing NDE/archive.zip","#,
    r#""dataCaptures":[{"time":"2026-05-11T06:19:40.274095+00:00","#,
    r#""uuid":"00000000-0000-4000-8000-000000000000","#,
    r#""dataUrl":"/daq/download/spot-12/2026-05-11T061940Z/P-204 bearing NDE/P-204 bearing NDE spot-cam-ir.jpg","#,
    r#""createdAt":"2026-05-11T06:19:51.6+00:00","keyResults":[{"name":"Region 1 Max","units":"C","value":58.9},"#,
    r#"{"name":"Region 2 Max","units":"C","value":31}],"channelName":"spot-cam-ir"},"#,
    r#"{"time":"2026-05-11T06:19:40+00:00","uuid":"00000000-0000-4000-8000-000000000000","#,
    r#""dataUrl":"/daq/download/spot-12/2026-05-11T061940Z/P-204 bearing NDE/P-204 bearing NDE spot-cam-ptz.jpg","#,
    r#""createdAt":"2026-05-11T06:19:51.6+00:00","keyResults":null,"channelName":"spot-cam-ptz"}]}}"#,
);

/// A request in one buffer, of which only the fresh bytes are written anew.
pub(crate) struct Post {
    request: Vec<u8>,
    body: Range<usize>,
    t: Range<usize>,
    v1: Range<usize>,
    uuids: Vec<Range<usize>>,
    times: Vec<Range<usize>>,
    keyed: Hmac<Sha256>,
    random: Random,
}

impl Post {
    pub(crate) fn new(target: &Target, secret: &WebhookSecret) -> anyhow::Result<Self> {
        // Thirteen digits hold milliseconds until the year 2286.
        let (t, v1) = ("0".repeat(13), "f".repeat(64));
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nOrbit-Signature: t={t},v1={v1}\r\n\r\n",
            target.path,
            target.address,
            EVENT.len(),
        );
        let request = format!("{head}{EVENT}");
        let every = |mark: &str| {
            request
                .match_indices(mark)
                .map(|(at, found)| at..at + found.len())
                .collect::<Vec<_>>()
        };
        let after = |name: &str, length: usize| {
            let start = request.find(name).context("the template has a signature")? + name.len();
            anyhow::Ok(start..start + length)
        };
        Ok(Self {
            t: after("Orbit-Signature: t=", t.len())?,
            v1: after(",v1=", v1.len())?,
            uuids: every(UUID),
            times: every(TIME),
            body: head.len()..request.len(),
            request: request.into_bytes(),
            keyed: secret.mac(),
            random: Random(getrandom::u64()?),
        })
    }

    /// Makes it the request of a new event that is sent now.
    pub(crate) fn renew(&mut self, now: Timestamp) -> &[u8] {
        for at in &self.uuids {
            let bits = (u128::from(self.random.next()) << 64) | u128::from(self.random.next());
            let uuid = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
            let mut text = [0; 36];
            put(
                &mut self.request,
                at,
                uuid.hyphenated().encode_lower(&mut text),
            );
        }
        let time = format!("{now:.3}");
        for at in &self.times {
            put(&mut self.request, at, &time);
        }
        let t = now.as_millisecond().to_string();
        put(&mut self.request, &self.t, &t);

        let mut mac = self.keyed.clone();
        mac.update(t.as_bytes());
        mac.update(b".");
        mac.update(self.request.get(self.body.clone()).unwrap_or_default());
        let mut v1 = [0; 64];
        if hex::encode_to_slice(mac.finalize().into_bytes(), &mut v1).is_ok() {
            put(
                &mut self.request,
                &self.v1,
                std::str::from_utf8(&v1).unwrap_or_default(),
            );
        }
        &self.request
    }
}

/// Overwrites a place of the template with a text of the same length.
fn put(request: &mut [u8], at: &Range<usize>, text: &str) {
    if let Some(place) = request.get_mut(at.clone()) {
        place.copy_from_slice(text.as_bytes());
    }
}

/// Numbers that differ from one another, for uuids: `SplitMix64`, seeded by the system.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
