//! Which deliveries a screen shows: what stands in its address.
//!
//! # Invariants
//! - Pure. The same address finds the same, so it may be passed on.
//! - What is wrong is said at its field, and then nothing is searched for.

use std::collections::BTreeSet;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use url::form_urlencoded;

use crate::relay::journal::{DeliveryId, Filter, State};

/// No field takes more characters.
pub(super) const LONGEST: usize = 500;
/// The longest address that is read.
const LONGEST_QUERY: usize = 16 * 1024;

/// Which deliveries are wanted; what is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Wanted {
    /// With this text.
    pub(crate) text: Option<String>,
    /// About this asset.
    pub(crate) asset: Option<String>,
    /// About this action.
    pub(crate) action: Option<String>,
    /// On this mission.
    pub(crate) mission: Option<String>,
    /// By this robot.
    pub(crate) robot: Option<String>,
    /// For this destination, by its id.
    pub(crate) destination: Option<String>,
    /// In one of these states.
    pub(crate) states: BTreeSet<State>,
    /// Received then or later.
    pub(crate) since: Option<Timestamp>,
    /// Received before then.
    pub(crate) until: Option<Timestamp>,
    /// Only what stands behind this one.
    pub(crate) before: Option<DeliveryId>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// The field's name in the address.
    pub(crate) field: &'static str,
    /// What is wrong, and what to write.
    pub(crate) what: String,
}

impl Wanted {
    /// Reads the query of an address. What is empty is not given; what nobody knows is left out.
    pub(crate) fn parse(query: &str, now: Timestamp) -> (Self, Vec<Problem>) {
        let (mut wanted, mut problems) = (Self::default(), Vec::new());
        if query.len() > LONGEST_QUERY {
            let what = "The address is too long: begin again.".to_owned();
            problems.push(Problem {
                field: "text",
                what,
            });
            return (wanted, problems);
        }
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            if !value.is_empty()
                && let Err(problem) = wanted.set(&name, value, now)
            {
                problems.push(problem);
            }
        }
        if let (Some(since), Some(until)) = (wanted.since, wanted.until)
            && since >= until
        {
            let what = "The end lies before the beginning.".to_owned();
            problems.push(Problem {
                field: "until",
                what,
            });
        }
        (wanted, problems)
    }

    fn set(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), Problem> {
        let slot = match name {
            "text" => ("text", &mut self.text),
            "asset" => ("asset", &mut self.asset),
            "action" => ("action", &mut self.action),
            "mission" => ("mission", &mut self.mission),
            "robot" => ("robot", &mut self.robot),
            "destination" => ("destination", &mut self.destination),
            "state" => return self.add_state(value),
            "since" => return time("since", value, now).map(|at| self.since = Some(at)),
            "until" => return time("until", value, now).map(|at| self.until = Some(at)),
            "before" => {
                let id = value.parse().map_err(|_| Problem {
                    field: "text",
                    what: "Where to go on is not understood: begin again.".to_owned(),
                });
                return id.map(|id| self.before = Some(id));
            }
            _ => return Ok(()),
        };
        let (field, slot) = slot;
        if value.chars().count() > LONGEST {
            let what = format!("Write at most {LONGEST} characters.");
            return Err(Problem { field, what });
        }
        *slot = Some(value.to_owned());
        Ok(())
    }

    fn add_state(&mut self, words: &str) -> Result<(), Problem> {
        for word in words.split(',') {
            let Some(state) = State::from_word(word.trim()) else {
                let what = "There is no such state.".to_owned();
                return Err(Problem {
                    field: "state",
                    what,
                });
            };
            self.states.insert(state);
        }
        Ok(())
    }

    /// The query of an address that wants the same, from its beginning.
    pub(crate) fn query(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let texts = [
            ("text", &self.text),
            ("asset", &self.asset),
            ("action", &self.action),
            ("mission", &self.mission),
            ("robot", &self.robot),
            ("destination", &self.destination),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                query.append_pair(name, text);
            }
        }
        for state in &self.states {
            query.append_pair("state", state.as_str());
        }
        for (name, at) in [("since", self.since), ("until", self.until)] {
            if let Some(at) = at {
                query.append_pair(name, &at.to_string());
            }
        }
        query.finish()
    }

    /// The address of the page that goes on behind this one.
    pub(crate) fn on_from(&self, before: &DeliveryId) -> String {
        let mut query = form_urlencoded::Serializer::new(self.query());
        query.append_pair("before", &before.to_string());
        format!("/deliveries?{}", query.finish())
    }

    /// Whether nothing is given.
    pub(crate) fn is_empty(&self) -> bool {
        let anywhere = Self {
            before: None,
            ..self.clone()
        };
        anywhere == Self::default()
    }

    /// The filter of a bulk act; none where it would not mean exactly what the list shows: the
    /// list goes by the catalogue, a filter by events and deliveries themselves.
    pub(crate) fn filter(&self) -> Option<Filter> {
        let others = [
            &self.text,
            &self.asset,
            &self.action,
            &self.mission,
            &self.robot,
        ];
        if others.into_iter().any(Option::is_some) {
            return None;
        }
        Some(Filter {
            destination: self.destination.clone(),
            states: self.states.clone(),
            since: self.since,
            until: self.until,
            ..Filter::default()
        })
    }
}

/// As a field of a date and a time shows it: UTC.
pub(super) fn shown(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// A time as fields and people write it; without a zone it is UTC.
fn time(field: &'static str, text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let utc = |at: DateTime| {
        let at = at.to_zoned(TimeZone::UTC);
        at.ok().map(|at| at.timestamp())
    };
    // Only a whole date: a `DateTime` may be read of it too, and is then its beginning.
    let read = text.parse::<Timestamp>().ok();
    let read = read.or_else(|| text.parse::<DateTime>().ok().and_then(utc));
    let read = read.or_else(|| text.parse::<Date>().ok().and_then(|at| utc(at.into())));
    read.or_else(|| so_long_ago(text, now)).ok_or_else(|| {
        let what =
            "Write a date and a time such as 2026-02-03T09:14 (UTC), or 24h for so long ago.";
        Problem {
            field,
            what: what.to_owned(),
        }
    })
}

fn so_long_ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let hours: i64 = match unit {
        "h" => 1,
        "d" => 24,
        "w" => 168,
        _ => return None,
    };
    let hours = digits.parse::<i32>().ok()?.checked_abs().map(i64::from)? * hours;
    now.checked_sub(SignedDuration::from_hours(hours)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-02-03T12:00:00Z".parse().unwrap()
    }

    fn parsed(query: &str) -> Wanted {
        let (wanted, problems) = Wanted::parse(query, now());
        assert_eq!(problems, [], "{query}");
        wanted
    }

    #[test]
    fn an_address_says_the_same_when_it_is_passed_on() {
        let query = "text=a%26b%3D%22%E2%80%AE&asset=P-1&action=x&mission=m&robot=r\
            &destination=cmms&state=dead&state=parked,pending\
            &since=2026-02-01T10%3A00&until=1h&nobody=knows&csrf=1&empty=";
        let wanted = parsed(query);
        assert_eq!(wanted.text.as_deref(), Some("a&b=\"\u{202e}"));
        assert_eq!(
            wanted.states,
            [State::Dead, State::Parked, State::Pending].into()
        );
        assert_eq!(wanted.since, "2026-02-01T10:00:00Z".parse().ok());
        assert_eq!(wanted.until, "2026-02-03T11:00:00Z".parse().ok());
        assert_eq!(parsed(&wanted.query()), wanted);
        let before = "cmms:12".parse().unwrap();
        let on = wanted.on_from(&before);
        let on = parsed(on.strip_prefix("/deliveries?").unwrap());
        assert_eq!(on.before, Some(before));
        assert_eq!(on.query(), wanted.query(), "a place is no part of it");
    }

    #[test]
    fn empty_fields_want_nothing_in_particular() {
        let wanted = parsed("text=&asset=+&state=&since=&until=");
        assert!(wanted.is_empty());
        assert_eq!(wanted.query(), "");
        assert!(parsed("before=a:1").is_empty());
        assert!(!parsed("state=dead").is_empty());
    }

    #[test]
    fn what_is_wrong_is_said_at_its_field() {
        let long = "x".repeat(LONGEST + 1);
        let huge = "x".repeat(LONGEST_QUERY + 1);
        for (query, field) in [
            ("state=gone".to_owned(), "state"),
            ("since=yesterday".to_owned(), "since"),
            ("until=99999999999h".to_owned(), "until"),
            ("until=2147483647w".to_owned(), "until"),
            ("since=2026-02-02&until=2026-02-01".to_owned(), "until"),
            (format!("action={long}"), "action"),
            ("before=nonsense".to_owned(), "text"),
            (huge, "text"),
        ] {
            let (_, problems) = Wanted::parse(&query, now());
            let fields: Vec<_> = problems.iter().map(|problem| problem.field).collect();
            assert_eq!(fields, [field], "{query:.60}");
        }
    }

    #[test]
    fn a_bulk_act_is_offered_only_where_its_filter_means_what_the_list_shows() {
        let query = "destination=d&state=dead&since=2d&until=1h";
        let filter = parsed(query).filter().unwrap();
        assert_eq!(
            filter.to_string(),
            "destination d; state dead; since 2026-02-01T12:00:00Z; until 2026-02-03T11:00:00Z"
        );
        for no in ["text=x", "asset=x", "action=x", "mission=x", "robot=x"] {
            let no = format!("{query}&{no}");
            assert_eq!(parsed(&no).filter(), None, "{no}");
        }
    }
}
