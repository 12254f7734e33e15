//! How a try ended: one pure function over the answer, and one over the error.
//!
//! # Invariants
//! - Pure; every status and every error has an outcome, tabled in the test.
//! - An answer is a success if its status is one of the destination's, 2xx unless it says
//!   otherwise, and its `when` holds. A redirect is never followed and never success.
//! - A reason shows of the answer only what [`Answer::shown`] holds, and of a redirect's target
//!   neither path nor query: they may hold secrets.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, LOCATION};
use serde::Serialize;
use url::Url;

use super::retry_after::retry_after;
use super::{INTEGRATION, Success, verdict};
use crate::http::ExchangeError;
use crate::relay::transform::expression::Expression;

/// So much of an answer stands in a reason.
const EXCERPT_CHARS: usize = 200;

/// How a try ended, as the destination sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took the event.
    Delivered,
    /// Not now; the destination or the network is in the way.
    Postponed {
        /// Why.
        reason: String,
        /// The destination asked not to be called again before so long.
        retry_after: Option<Duration>,
    },
    /// Not before a person has set something right: the destination is to be paused.
    Parked {
        /// Why.
        reason: String,
        /// What a person must set right.
        trouble: Trouble,
    },
    /// Never: it refuses this event.
    Dead {
        /// Why.
        reason: String,
    },
}

/// What a person must set right before the destination takes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It refuses the credentials.
    Credentials,
    /// It is gone for good.
    Gone,
}

/// An answer, as far as it came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    /// What came of the body.
    pub(super) body: Vec<u8>,
    /// Why that is not all of it.
    pub(super) missing: Option<String>,
    /// The beginning of the body as text, without known secrets.
    pub(super) shown: String,
}

/// Who answered, and what is wanted of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    pub(super) url: &'a Url,
    pub(super) success: &'a Success,
    /// Whether credentials were shown.
    pub(super) with_auth: bool,
    /// Whether it decides if the event goes to others.
    pub(super) decides: bool,
}

impl Success {
    /// Whether this status may be a success.
    pub(super) fn has(&self, status: u16) -> bool {
        // A redirect says that the event is to go elsewhere.
        !(300..400).contains(&status)
            && match &self.status {
                None => (200..300).contains(&status),
                Some(list) => list.contains(&status),
            }
    }
}

impl Outcome {
    pub(super) fn postponed(reason: String) -> Self {
        Self::Postponed {
            reason,
            retry_after: None,
        }
    }

    /// Whether the credentials were refused.
    pub(super) fn refuses_credentials(&self) -> bool {
        let trouble = Trouble::Credentials;
        matches!(self, Self::Parked { trouble: is, .. } if *is == trouble)
    }
}

/// The outcome of an answer that came at `now`.
pub(super) fn of_answer(answer: &Answer, wanted: &Wanted<'_>, now: Timestamp) -> Outcome {
    let status = answer.status;
    let postponed = |reason: String| Outcome::Postponed {
        reason,
        retry_after: retry_after(&answer.headers, now),
    };
    let unsuccessful = match judge(answer, wanted.success) {
        Verdict::Success => {
            let cut = answer.missing.as_ref();
            // It means to cancel: without its reason it would let the event go.
            let cut = cut.filter(|_| wanted.decides && verdict::is_cancel(&answer.headers));
            return cut.map_or(Outcome::Delivered, |why| {
                postponed(format!(
                    "answered {status}, but why it cancels did not come whole ({why})"
                ))
            });
        }
        Verdict::Unknown(why) => return postponed(format!("answered {status}, but {why}")),
        Verdict::NoSuccess => status,
    };
    match unsuccessful {
        200..=299 => postponed(format!(
            "answered {status}, but not as its success rule wants{}",
            excerpt(&answer.shown)
        )),
        300..=399 => postponed(format!(
            "answered {status}, a redirect to {}: it is not followed, set the URL that it points to",
            target(&answer.headers, wanted.url)
        )),
        401 | 403 => Outcome::Parked {
            reason: refused(answer, wanted),
            trouble: Trouble::Credentials,
        },
        407 => postponed("answered 407: the proxy wants other credentials".into()),
        408 | 425 | 429 | 500..=599 => postponed(format!("answered {status}")),
        410 => Outcome::Parked {
            reason: "answered 410: the destination is gone for good, as it says".into(),
            trouble: Trouble::Gone,
        },
        413 => Outcome::Dead {
            reason: "answered 413: the body is too large for it".into(),
        },
        400..=499 => Outcome::Dead {
            reason: format!("answered {status}"),
        },
        _ => postponed(format!("answered {status}, which is no status of HTTP")),
    }
}

/// The outcome of an exchange that gave no answer.
pub(super) fn of_error(error: &ExchangeError) -> Outcome {
    Outcome::postponed(error.to_string())
}

enum Verdict {
    Success,
    NoSuccess,
    /// It may be a success, but that cannot be told.
    Unknown(String),
}

fn judge(answer: &Answer, success: &Success) -> Verdict {
    if !success.has(answer.status) {
        return Verdict::NoSuccess;
    }
    let Some(when) = &success.when else {
        return Verdict::Success;
    };
    if let Some(why) = &answer.missing {
        return Verdict::Unknown(format!(
            "its success rule cannot be judged: the body did not come whole ({why})"
        ));
    }
    match when.holds(&Names::of(answer)) {
        Ok(true) => Verdict::Success,
        Ok(false) => Verdict::NoSuccess,
        Err(error) => Verdict::Unknown(format!("its success rule cannot be judged: {error}")),
    }
}

/// Whether this holds of an answer that came whole; or why that cannot be told.
pub(super) fn holds(answer: &Answer, when: &Expression) -> Result<bool, String> {
    if let Some(why) = &answer.missing {
        return Err(format!(
            "`when` cannot be judged: the body did not come whole ({why})"
        ));
    }
    let held = when.holds(&Names::of(answer));
    held.map_err(|error| format!("`when` cannot be judged: {error}"))
}

/// What a success rule sees.
#[derive(Serialize)]
struct Names<'a> {
    response: Response<'a>,
}

/// What a success rule may ask of an answer: the members of [`Response`].
pub const RESPONSE_MEMBERS: [&str; 4] = ["status", "headers", "text", "json"];

#[derive(Serialize)]
struct Response<'a> {
    status: u16,
    headers: BTreeMap<&'a str, String>,
    text: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<serde_json::Value>,
}

impl<'a> Names<'a> {
    fn of(answer: &'a Answer) -> Self {
        let mut headers: BTreeMap<&str, String> = BTreeMap::new();
        for (name, value) in &answer.headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.as_str())
                .and_modify(|all| *all = format!("{all}, {value}"))
                .or_insert_with(|| value.into_owned());
        }
        Self {
            response: Response {
                status: answer.status,
                headers,
                text: String::from_utf8_lossy(&answer.body),
                json: serde_json::from_slice(&answer.body).ok(),
            },
        }
    }
}

/// Where a redirect points.
fn target(headers: &HeaderMap, url: &Url) -> String {
    let location = headers.get(LOCATION).and_then(|to| to.to_str().ok());
    let location = location.and_then(|to| url.join(to).ok());
    location.map_or("nowhere".into(), |to| to.origin().ascii_serialization())
}

fn refused(answer: &Answer, wanted: &Wanted<'_>) -> String {
    let Wanted { id, name, .. } = wanted;
    let status = answer.status;
    let csrf = answer.headers.get("x-csrf-token");
    if csrf.is_some_and(|token| token.as_bytes().eq_ignore_ascii_case(b"required")) {
        return format!(
            "answered {status}: destination {name} wants a CSRF token (x-csrf-token: Required); \
             take one in a step with `fresh = true`, and send it and the cookies of that step"
        );
    }
    let setting = match (*id == INTEGRATION, wanted.with_auth) {
        (true, true) => "see INTEGRATION_AUTH",
        (true, false) => "it wants some, set INTEGRATION_AUTH",
        (false, true) => "see its `auth`",
        (false, false) => "it wants some, set its `auth`",
    };
    format!("answered {status}: the credentials of destination {name} are refused; {setting}")
}

/// The first part of an answer, on one line.
fn excerpt(shown: &str) -> String {
    let words: Vec<_> = shown.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(EXCERPT_CHARS) {
        _ if line.is_empty() => String::new(),
        None => format!(": {line}"),
        Some((end, _)) => format!(": {}…", line.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use reqwest::header::RETRY_AFTER;

    use super::*;

    fn answer(status: u16) -> Answer {
        let mut headers = HeaderMap::new();
        let elsewhere = "https://elsewhere.example:8443/path?token=canary";
        headers.insert(LOCATION, elsewhere.parse().unwrap());
        headers.insert(RETRY_AFTER, "7".parse().unwrap());
        Answer {
            status,
            headers,
            body: br#"{"error_code":40301,"text":"no such\n asset"}"#.to_vec(),
            missing: None,
            shown: "{ no such\n asset }".into(),
        }
    }

    fn of(answer: &Answer, status: Option<Vec<u16>>, when: Option<&str>) -> Outcome {
        let when = when.map(|when| Expression::parse(when).unwrap());
        let success = Success { status, when };
        let wanted = Wanted {
            id: "cmms",
            name: "cmms",
            url: &"https://plant.example/in".parse().unwrap(),
            success: &success,
            with_auth: true,
            decides: false,
        };
        of_answer(answer, &wanted, Timestamp::UNIX_EPOCH)
    }

    fn postponed(reason: &str) -> Outcome {
        Outcome::Postponed {
            reason: reason.to_owned(),
            retry_after: Some(Duration::from_secs(7)),
        }
    }

    fn expected(status: u16) -> Outcome {
        let dead = |reason: String| Outcome::Dead { reason };
        let parked = |reason: String, trouble| Outcome::Parked { reason, trouble };
        match status {
            200..=299 => Outcome::Delivered,
            300..=399 => postponed(&format!(
                "answered {status}, a redirect to https://elsewhere.example:8443: it is not \
                 followed, set the URL that it points to"
            )),
            401 | 403 => parked(
                format!(
                    "answered {status}: the credentials of destination cmms are refused; see its \
                     `auth`"
                ),
                Trouble::Credentials,
            ),
            407 => postponed("answered 407: the proxy wants other credentials"),
            408 | 425 | 429 | 500..=599 => postponed(&format!("answered {status}")),
            410 => parked(
                "answered 410: the destination is gone for good, as it says".into(),
                Trouble::Gone,
            ),
            413 => dead("answered 413: the body is too large for it".into()),
            400..=499 => dead(format!("answered {status}")),
            _ => postponed(&format!("answered {status}, which is no status of HTTP")),
        }
    }

    #[test]
    fn every_status_has_its_outcome() {
        for status in 100..=999 {
            assert_eq!(of(&answer(status), None, None), expected(status));
        }
    }

    #[test]
    fn a_csrf_token_that_is_wanted_is_named_and_parks_as_refused_credentials_do() {
        let mut wants = answer(403);
        wants
            .headers
            .insert("x-csrf-token", "Required".parse().unwrap());
        let outcome = of(&wants, None, None);
        assert!(outcome.refuses_credentials());
        let Outcome::Parked { reason, .. } = outcome else {
            panic!("it is parked");
        };
        assert!(reason.contains("`fresh = true`"), "{reason}");
        wants.headers.insert("x-csrf-token", "abc".parse().unwrap());
        assert_eq!(of(&wants, None, None), expected(403));
    }

    #[test]
    fn a_rule_counts_only_for_the_statuses_that_may_be_a_success() {
        for status in 100..=999 {
            if !(200..300).contains(&status) {
                let judged = of(&answer(status), None, Some("true"));
                assert_eq!(judged, expected(status));
            }
        }
    }

    #[test]
    fn every_error_is_postponed() {
        let certificate = crate::http::RefusedCertificate {
            sha256: "00".into(),
            reason: "x".into(),
            pinned: false,
        };
        let guarded = crate::http::Guarded {
            host: "metadata.example".into(),
            address: "169.254.169.254".parse().unwrap(),
        };
        for error in [
            ExchangeError::Timeout(Duration::from_secs(30)),
            ExchangeError::Certificate(certificate),
            ExchangeError::Guarded(guarded),
            ExchangeError::Connect {
                to: "plant.example:443".into(),
                reason: "refused".into(),
            },
            ExchangeError::Exchange("reset".into()),
        ] {
            let reason = error.to_string();
            assert_eq!(of_error(&error), Outcome::postponed(reason));
        }
    }

    #[test]
    fn a_status_list_takes_the_place_of_2xx_but_no_redirect_is_ever_a_success() {
        let list = || Some(vec![200, 302, 409]);
        assert_eq!(of(&answer(200), list(), None), Outcome::Delivered);
        assert_eq!(of(&answer(409), list(), None), Outcome::Delivered);
        assert_eq!(of(&answer(302), list(), None), expected(302));
        assert_eq!(of(&answer(404), list(), None), expected(404));
        let reason = "answered 202, but not as its success rule wants: { no such asset }";
        assert_eq!(of(&answer(202), list(), None), postponed(reason));
    }

    #[test]
    fn a_2xx_of_which_the_rule_does_not_hold_is_postponed_with_the_first_part_of_the_answer() {
        let when = "response.json.error_code is not defined or response.json.error_code == 200";
        let reason = "answered 200, but not as its success rule wants: { no such asset }";
        assert_eq!(of(&answer(200), None, Some(when)), postponed(reason));
        let mut long = answer(200);
        long.shown = "ä ".repeat(150);
        let Outcome::Postponed { reason, .. } = of(&long, None, Some(when)) else {
            panic!("it is postponed");
        };
        assert!(
            reason.ends_with(&format!("wants: {}…", "ä ".repeat(100))),
            "{reason}"
        );
        let mut good = answer(200);
        for body in [r#"{"error_code":200}"#, "{}", "no json", ""] {
            good.body = body.into();
            assert_eq!(of(&good, None, Some(when)), Outcome::Delivered, "{body}");
        }
    }

    #[test]
    fn a_rule_sees_status_headers_text_and_json() {
        for (when, holds) in [
            ("response.status == 200", true),
            ("response.headers['retry-after'] == '7'", true),
            ("response.headers.location", true),
            ("response.headers.missing is defined", false),
            ("'no such' in response.text", true),
            ("response.json.text is defined", true),
            ("response.json is not defined", false),
        ] {
            let delivered = of(&answer(200), None, Some(when)) == Outcome::Delivered;
            assert_eq!(delivered, holds, "{when}");
        }
    }

    #[test]
    fn a_rule_that_cannot_be_judged_postpones_and_a_body_that_it_does_not_need_may_be_missing() {
        let mut broken = answer(200);
        broken.missing = Some("reset".into());
        let reason = "answered 200, but its success rule cannot be judged: the body did not come \
                      whole (reset)";
        assert_eq!(of(&broken, None, Some("true")), postponed(reason));
        assert_eq!(of(&broken, None, None), Outcome::Delivered);
        broken.status = 404;
        assert_eq!(of(&broken, None, Some("true")), expected(404));

        let outcome = of(
            &answer(200),
            None,
            Some("response.status + response.json > 1"),
        );
        let Outcome::Postponed { reason, .. } = outcome else {
            panic!("it is postponed");
        };
        assert!(
            reason.contains("cannot be judged: the expression"),
            "{reason}"
        );
    }

    #[test]
    fn a_refusal_names_the_setting_that_holds_the_credentials() {
        for (id, with_auth, expected) in [
            ("cmms", true, "see its `auth`"),
            ("cmms", false, "set its `auth`"),
            (INTEGRATION, true, "see INTEGRATION_AUTH"),
            (INTEGRATION, false, "set INTEGRATION_AUTH"),
        ] {
            let wanted = Wanted {
                id,
                name: id,
                url: &"https://plant.example/in".parse().unwrap(),
                success: &Success::default(),
                with_auth,
                decides: false,
            };
            let reason = refused(&answer(401), &wanted);
            assert!(reason.ends_with(expected), "{reason}");
        }
    }
}
