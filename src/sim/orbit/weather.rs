//! What can be wrong with an Orbit, each a switch of its own.
//!
//! # Invariants
//! - The default is fair weather: everything works.
//! - What lies under `/sim/` has no weather.

use serde::{Deserialize, Serialize};

/// The state of the simulated Orbit, of its network and of its clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches, any of which a test turns"
)]
pub struct Weather {
    /// Connections are closed without an answer.
    pub down: bool,
    /// Every answer has this status.
    pub status: Option<u16>,
    /// Such an answer carries `Retry-After` with so many seconds.
    pub retry_after_s: Option<u32>,
    /// Connections are closed without an answer where the path begins with one of these.
    pub down_under: Vec<String>,
    /// Every answer comes this much later, in real time.
    pub delay_ms: u64,
    /// Every answer is 200 with a page of HTML, as a captive portal gives it.
    pub nonsense: bool,
    /// Every answer is a redirect.
    pub redirect: Option<Redirect>,
    /// Creating a webhook answers with an array that holds it.
    pub create_answers_array: bool,
    /// Creating a webhook answers with all there are, the new one's URL with a slash at its end.
    pub create_answers_all: bool,
    /// A webhook is made, and the connection closed without an answer.
    pub lose_create_answers: bool,
    /// Reading webhooks gives stars for secrets.
    pub mask_secrets: bool,
    /// `GET /` sets no `x-csrf-token` cookie.
    pub no_csrf_cookie: bool,
    /// Webhooks are lost on their way out.
    pub lose_webhooks: bool,
    /// One webhook in so many is lost, by chance; 0 loses none.
    pub lose_one_in: u32,
    /// Findings are judged after the upload: first comes the inspection without one.
    pub judge_later: bool,
    /// No page of a list has more entries; 0 leaves it at the usual.
    pub largest_page: usize,
    /// Lists say a total that is not so.
    pub wrong_totals: bool,
    /// Lists begin at their beginning, whatever offset is asked for.
    pub ignore_offset: bool,
    /// Lists of anomalies hold those of other run events too.
    pub ignore_filters: bool,
    /// Every so many-th list is an empty page of a total that is not; 0 for none.
    pub empty_page_every: u64,
    /// Every so many-th list breaks off in the middle; 0 for none.
    pub break_off_every: u64,
    /// Every so many-th list is refused with 429; 0 for none.
    pub busy_every: u64,
    /// An anomaly is listed only when Orbit has had its inspection for so long, in milliseconds of
    /// Orbit's clock.
    pub anomalies_after_ms: u64,
    /// What is wrong with pictures and other files only.
    pub media: MediaWeather,
    /// An inspection with a finding sends both of its types, not just the alert.
    pub both_for_alert: bool,
    /// Each alert is sent twice, the second time in another envelope.
    pub alerts_twice: bool,
    /// Orbit's clock is this far ahead of the one that it was given, in milliseconds.
    pub skew_ms: i64,
}

/// What can be wrong with what lies under `/daq/download/`, for those who have the token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MediaWeather {
    /// Every answer has this status.
    pub status: Option<u16>,
    /// Every answer is a redirect.
    pub redirect: Option<Redirect>,
    /// Every answer comes this much later, in real time.
    pub delay_ms: u64,
    /// Every file comes at one byte a second, without end.
    pub drips: bool,
    /// Every file breaks off in the middle.
    pub breaks_off: bool,
    /// Every file is a page of HTML, as it is shown to who has to log in.
    pub login_page: bool,
}

/// Where a redirect points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// 301, 302, 307 or 308.
    pub status: u16,
    /// The URL without its path: the path asked for is added to it.
    pub location: String,
}
