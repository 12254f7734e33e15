//! When a destination asks to be called again.
//!
//! # Invariants
//! - Pure. Never earlier than asked, unless it asks for more than [`LONGEST`]; what is neither
//!   seconds nor a date asks for nothing.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::clock::until;

/// Nobody waits longer because he was asked to.
const LONGEST: Duration = Duration::from_hours(24);

/// How long after `now` an answer with these headers asks to be called again.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter();
    // Of several, the latest is not too early for any.
    values
        .filter_map(|value| read(value.to_str().ok()?, now))
        .max()
}

fn read(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is longer than anybody waits.
        let seconds = text.parse().map_or(LONGEST, Duration::from_secs);
        return Some(seconds.min(LONGEST));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    let wait = Timestamp::try_from(date).map_or(LONGEST, |due| until(now, due));
    let part = u64::from(wait.subsec_nanos() > 0);
    Some(Duration::from_secs(wait.as_secs().saturating_add(part)).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn asked(values: &[&str]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, value.parse().unwrap());
        }
        // 250 ms before 08:49:37.
        retry_after(&headers, "1994-11-06T08:49:36.750Z".parse().unwrap())
    }

    #[test]
    fn seconds_and_all_three_forms_of_a_date_are_read_and_rounded_up() {
        let seconds = |n| Some(Duration::from_secs(n));
        for (value, expected) in [
            ("0", seconds(0)),
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(1)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", seconds(61)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", seconds(61)),
            ("Sun Nov  6 08:50:37 1994", seconds(61)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", seconds(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", seconds(0)),
        ] {
            assert_eq!(asked(&[value]), expected, "{value}");
        }
    }

    #[test]
    fn nobody_waits_longer_than_a_day() {
        for value in [
            "86401",
            "99999999999999999999999999",
            "Tue, 08 Nov 1994 08:49:37 GMT",
            "Fri, 31 Dec 9999 23:59:59 GMT",
        ] {
            assert_eq!(asked(&[value]), Some(LONGEST), "{value}");
        }
    }

    #[test]
    fn what_is_neither_asks_for_nothing() {
        for value in [
            "",
            "soon",
            "-1",
            "1.5",
            "+5",
            "0x10",
            "٣",
            "1994-11-06T08:49:37Z",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
        ] {
            let mut headers = HeaderMap::new();
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            headers.append(RETRY_AFTER, value.clone());
            assert_eq!(
                retry_after(&headers, Timestamp::UNIX_EPOCH),
                None,
                "{value:?}"
            );
        }
        assert_eq!(asked(&[]), None);
    }

    #[test]
    fn of_several_the_latest_counts() {
        let values = ["5", "soon", "Sun, 06 Nov 1994 08:50:37 GMT"];
        assert_eq!(asked(&values), Some(Duration::from_secs(61)));
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd_to_read(text in "\\PC*", now in 0..4_000_000_000_i64) {
            let now = Timestamp::from_second(now).unwrap();
            assert!(read(&text, now).is_none_or(|wait| wait <= LONGEST));
        }
    }
}
