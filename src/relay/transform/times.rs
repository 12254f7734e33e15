//! Times as sources write them, and as the plant's systems want them.
//!
//! # Invariants
//! - Pure: no clock is read.
//! - A fraction has as many digits as were sent, at most nine; what is beyond is cut, not rounded.
//! - A time without an offset is UTC.

use jiff::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

/// No time is longer.
const LONGEST: usize = 64;
/// No format is longer.
const LONGEST_FORMAT: usize = 200;
/// A timestamp has no finer fraction.
const MOST_DIGITS: usize = 9;

/// Why a text is no time, or cannot be written as one.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum TimeError {
    /// The text is none.
    #[error("`{0}` is not a time; expected one like 2026-02-03T09:14:07.118Z")]
    NotATime(String),
    /// There is no such zone.
    #[error("there is no time zone `{0}`; expected a name like Europe/Berlin")]
    NoZone(String),
    /// The format cannot be followed.
    #[error("the time format `{format}`: {reason}; expected one like %Y-%m-%d %H:%M")]
    Format {
        /// Its beginning.
        format: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// RFC 3339 in UTC, with the fraction that was sent.
pub fn rfc3339(text: &str) -> Result<String, TimeError> {
    let Time { at, digits } = Time::parse(text)?;
    Ok(format!("{at:.digits$}"))
}

/// Seconds since 1970 in UTC; a fraction is cut.
pub fn epoch(text: &str) -> Result<i64, TimeError> {
    Ok(epoch_ms(text)?.div_euclid(1000))
}

/// Milliseconds since 1970 in UTC; what is finer is cut.
pub fn epoch_ms(text: &str) -> Result<i64, TimeError> {
    let at = Time::parse(text)?.at;
    let ms = at.as_nanosecond().div_euclid(1_000_000);
    i64::try_from(ms).map_err(|_| not_a_time(text))
}

/// `/Date(ms)/`, as `OData` 2 has it.
pub fn odata_date(text: &str) -> Result<String, TimeError> {
    Ok(format!("/Date({})/", epoch_ms(text)?))
}

/// The time of day in UTC as `OData` 2 has it: `PT09H14M07S`.
pub fn odata_time(text: &str) -> Result<String, TimeError> {
    let at = Time::parse(text)?.at.to_zoned(TimeZone::UTC);
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    Ok(format!("PT{hour:02}H{minute:02}M{second:02}S"))
}

/// The time in a zone: in a strftime format, else as RFC 3339 with the zone's offset.
pub fn local(text: &str, zone: &str, format: Option<&str>) -> Result<String, TimeError> {
    let Time { at, digits } = Time::parse(text)?;
    let zone = TimeZone::get(zone).map_err(|_| TimeError::NoZone(start_of(zone)))?;
    let Some(format) = format else {
        let offset = zone.to_offset(at);
        return Ok(format!("{:.digits$}", at.display_with_offset(offset)));
    };
    let wrong = |reason: String| TimeError::Format {
        format: start_of(format),
        reason,
    };
    if format.len() > LONGEST_FORMAT {
        return Err(wrong(format!("it has more than {LONGEST_FORMAT} bytes")));
    }
    let local = at.to_zoned(zone);
    let written = BrokenDownTime::from(&local).to_string(format);
    written.map_err(|error| wrong(error.to_string()))
}

/// A point in time, and how finely it was given.
struct Time {
    at: Timestamp,
    digits: usize,
}

impl Time {
    fn parse(text: &str) -> Result<Self, TimeError> {
        Self::read(text).ok_or_else(|| not_a_time(text))
    }

    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.len() > LONGEST || text.contains('[') {
            return None;
        }
        let (date, clock) = text.split_once(['T', 't', ' '])?;
        let clock = clock.replace(' ', "");
        let end = clock.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ','));
        let (clock, offset) = clock.split_at_checked(end.unwrap_or(clock.len()))?;
        let offset = if offset.is_empty() { "Z" } else { offset };
        let (clock, fraction) = match clock.split_once(['.', ',']) {
            Some((_, "")) => return None,
            Some((clock, fraction)) => (clock, fraction),
            None => (clock, ""),
        };
        let digits = fraction.len().min(MOST_DIGITS);
        let point = if digits == 0 { "" } else { "." };
        let fraction = fraction.get(..digits)?;
        let at = format!("{date}T{clock}{point}{fraction}{offset}");
        let at = at.parse().ok()?;
        Some(Self { at, digits })
    }
}

fn not_a_time(text: &str) -> TimeError {
    TimeError::NotATime(start_of(text))
}

fn start_of(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn any_fraction_and_any_offset_is_read_and_the_sent_fraction_is_kept() {
        for (sent, utc) in [
            ("2026-02-03T09:14:07Z", "2026-02-03T09:14:07Z"),
            ("2026-02-03T09:14:07+00:00", "2026-02-03T09:14:07Z"),
            ("2026-02-03T09:14:07+0000", "2026-02-03T09:14:07Z"),
            ("2026-02-03T09:14:07+00", "2026-02-03T09:14:07Z"),
            ("2026-02-03 09:14:07+00", "2026-02-03T09:14:07Z"),
            ("2026-02-03 09:14:07 +01:00", "2026-02-03T08:14:07Z"),
            ("2026-02-03t09:14:07z", "2026-02-03T09:14:07Z"),
            ("2026-02-03T09:14:07", "2026-02-03T09:14:07Z"),
            ("2026-02-03T09:14", "2026-02-03T09:14:00Z"),
            ("2026-02-03T09:14:07.1Z", "2026-02-03T09:14:07.1Z"),
            ("2026-02-03T09:14:07.10Z", "2026-02-03T09:14:07.10Z"),
            ("2026-02-03T09:14:07,118Z", "2026-02-03T09:14:07.118Z"),
            ("2026-02-03T09:14:07.000Z", "2026-02-03T09:14:07.000Z"),
            (
                "2025-07-31T21:38:52.312188+00:00",
                "2025-07-31T21:38:52.312188Z",
            ),
            (
                "2026-02-03T09:14:07.123456789-05:30",
                "2026-02-03T14:44:07.123456789Z",
            ),
            (
                "2026-02-03T09:14:07.99999999999999Z",
                "2026-02-03T09:14:07.999999999Z",
            ),
            ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00Z"),
        ] {
            assert_eq!(rfc3339(sent).as_deref(), Ok(utc), "{sent}");
        }
    }

    #[test]
    fn what_is_no_time_is_said() {
        for text in [
            "",
            " ",
            "2026-02-03",
            "09:14:07Z",
            "2026-02-30T00:00:00Z",
            "2026-02-03T25:00:00Z",
            "2026-02-03T09:14:07.Z",
            "2026-02-03T09:14:07.1.2Z",
            "2026-02-03T09:14:07Z[Europe/Berlin]",
            "2026-02-03T09:14:07+99:00",
            "1770110047",
            "now",
        ] {
            assert!(rfc3339(text).is_err(), "{text}");
        }
        insta::assert_snapshot!(rfc3339("now").unwrap_err(), @"`now` is not a time; expected one like 2026-02-03T09:14:07.118Z");
        let long = format!("2026-02-03T09:14:07.{}Z", "1".repeat(100));
        assert!(rfc3339(&long).is_err());
    }

    #[test]
    fn the_forms_of_one_time() {
        let time = "2026-02-03T09:14:07.118Z";
        assert_eq!(epoch(time), Ok(1_770_110_047));
        assert_eq!(epoch_ms(time), Ok(1_770_110_047_118));
        assert_eq!(odata_date(time).unwrap(), "/Date(1770110047118)/");
        assert_eq!(odata_time(time).unwrap(), "PT09H14M07S");
        assert_eq!(
            local(time, "Europe/Berlin", None).unwrap(),
            "2026-02-03T10:14:07.118+01:00"
        );
        assert_eq!(
            local(time, "America/Chicago", Some("%d.%m.%Y %H:%M:%S %Z")).unwrap(),
            "03.02.2026 03:14:07 CST"
        );
        assert_eq!(local(time, "UTC", Some("")).unwrap(), "");
    }

    #[test]
    fn a_zone_changes_its_offset_with_the_season() {
        let hour = |time| local(time, "Europe/Berlin", Some("%H:%M")).unwrap();
        assert_eq!(hour("2026-03-29T00:59:00Z"), "01:59");
        assert_eq!(hour("2026-03-29T01:00:00Z"), "03:00");
    }

    #[test]
    fn before_1970_the_cut_goes_to_the_past() {
        assert_eq!(epoch("1969-12-31T23:59:59.9Z"), Ok(-1));
        assert_eq!(epoch_ms("1969-12-31T23:59:59.9999Z"), Ok(-1));
    }

    #[test]
    fn a_wrong_zone_or_format_is_said() {
        let time = "2026-02-03T09:14:07Z";
        insta::assert_snapshot!(local(time, "Europe/Berlyn", None).unwrap_err(), @"there is no time zone `Europe/Berlyn`; expected a name like Europe/Berlin");
        for format in ["%", "%!", &"%Y".repeat(200)] {
            let error = local(time, "UTC", Some(format)).unwrap_err();
            assert!(matches!(error, TimeError::Format { .. }), "{format}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text: String, zone: String, format: String) {
            let time = "2026-02-03T09:14:07Z";
            drop(rfc3339(&text).and(local(time, &zone, None)));
            drop(local(time, "Europe/Berlin", Some(&format)));
        }

        #[test]
        fn what_was_written_is_read_as_the_same_time(ns in -60_000_000_000_000_000_i128..4_000_000_000_000_000_000) {
            let at = Timestamp::from_nanosecond(ns).unwrap();
            let text = format!("{at:.9}");
            prop_assert_eq!(rfc3339(&text).unwrap(), text.clone());
            let local = local(&text, "Asia/Seoul", None).unwrap();
            prop_assert_eq!(rfc3339(&local).unwrap(), text);
        }
    }
}
