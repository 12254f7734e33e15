//! The cookies of one attempt: what earlier answers set, later requests carry.
//!
//! # Invariants
//! - All requests of an attempt go to one origin, so a cookie goes to nobody but who set it; its
//!   path and domain are not looked at.
//! - Bounded: at most [`MOST`] cookies, of [`LONGEST`] bytes each; what is more is left out.
//! - `Debug` shows no value.

use std::fmt;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderValue, SET_COOKIE};

/// So many cookies are kept.
const MOST: usize = 50;
/// No cookie is longer, name and value together.
const LONGEST: usize = 4096;

/// Cookies by their names, in the order in which they came.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Cookies(Vec<(String, String)>);

impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.iter().map(|(name, _)| (name, "***"));
        f.debug_map().entries(names).finish()
    }
}

impl Cookies {
    /// The value of a cookie.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.0.iter();
        all.find_map(|(known, value)| (known == name).then_some(&**value))
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, value)| &**value)
    }

    /// Takes what an answer that came at `now` sets; forgets what it takes back.
    pub(super) fn learn(&mut self, headers: &HeaderMap, now: Timestamp) {
        for header in headers.get_all(SET_COOKIE) {
            let Ok(text) = header.to_str() else { continue };
            let Some((name, value)) = pair(text) else {
                continue;
            };
            self.0.retain(|(known, _)| known != name);
            if !is_over(text, now)
                && self.0.len() < MOST
                && name.len().saturating_add(value.len()) <= LONGEST
            {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The header that carries them; none where there are none.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        if self.0.is_empty() {
            return None;
        }
        let pairs = self.0.iter().map(|(name, value)| format!("{name}={value}"));
        let mut header = HeaderValue::try_from(pairs.collect::<Vec<_>>().join("; ")).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

/// Name and value of a `Set-Cookie`.
pub(super) fn pair(text: &str) -> Option<(&str, &str)> {
    let pair = text.split(';').next().unwrap_or_default();
    let (name, value) = pair.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then_some((name, value.trim()))
}

/// Whether a `Set-Cookie` takes its cookie back. `Max-Age` counts before `Expires` (RFC 6265).
fn is_over(text: &str, now: Timestamp) -> bool {
    let attribute = |wanted: &str| {
        let mut all = text.split(';').skip(1);
        all.find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case(wanted)
                .then(|| value.trim())
        })
    };
    if let Some(seconds) = attribute("max-age").and_then(|text| text.parse::<i64>().ok()) {
        return seconds <= 0;
    }
    let expires = attribute("expires").and_then(|text| httpdate::parse_http_date(text).ok());
    let expires = expires.and_then(|date| Timestamp::try_from(date).ok());
    expires.is_some_and(|end| end <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(answers: &[&str]) -> Cookies {
        let mut cookies = Cookies::default();
        for answer in answers {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, answer.parse().unwrap());
            cookies.learn(&headers, "2026-02-03T09:14:07Z".parse().unwrap());
        }
        cookies
    }

    fn sent(answers: &[&str]) -> Option<String> {
        let header = after(answers).header()?;
        assert!(header.is_sensitive());
        Some(header.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_set_is_sent_and_the_last_value_of_a_name_counts() {
        let header = sent(&[
            "SAP_SESSIONID=abc%3d; path=/; HttpOnly; secure",
            "JSESSIONID=1",
            " JSESSIONID = 2==; Expires=Wed, 04 Feb 2026 00:00:00 GMT",
            "no cookie",
            "=x",
        ]);
        assert_eq!(
            header.as_deref(),
            Some("SAP_SESSIONID=abc%3d; JSESSIONID=2==")
        );
        assert_eq!(sent(&[]), None);
    }

    #[test]
    fn what_is_taken_back_is_sent_no_more() {
        for taken_back in [
            "a=; Max-Age=0",
            "a=x; max-age=-1; Expires=Wed, 04 Feb 2099 00:00:00 GMT",
            "a=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert_eq!(sent(&["a=1", taken_back]), None, "{taken_back}");
        }
        let kept = "a=2; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        assert_eq!(sent(&["a=1", kept]).as_deref(), Some("a=2"));
    }

    #[test]
    fn they_are_bounded_and_shown_by_name_only() {
        let many: Vec<_> = (0..200).map(|n| format!("name{n}=canary")).collect();
        let many: Vec<_> = many.iter().map(|text| &**text).collect();
        assert_eq!(after(&many).0.len(), MOST);
        assert_eq!(sent(&[&format!("a={}", "x".repeat(LONGEST))]), None);
        let shown = format!("{:?}", after(&["SESSION=canary"]));
        assert_eq!(shown, r#"{"SESSION": "***"}"#);
    }
}
