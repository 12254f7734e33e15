//! What a destination takes, and what of its answers others may take.
//!
//! # Invariants
//! - Pure.
//! - A destination never hears of itself, but in a notice.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Config;
use super::attempt::Taken;
use crate::event::{Envelope, NOTICE, RELAY};
use crate::relay::destination::outcome::Outcome;

/// Whether it is what the relay says of trouble.
pub(super) fn is_notice(source: &str, event_type: &str) -> bool {
    source == RELAY && event_type == NOTICE
}

/// Why the destination does not take this event, whatever its filter says.
pub(super) fn unwanted(config: &Config, source: &str, envelope: &Envelope<'_>) -> Option<String> {
    let event_type = envelope.event_type();
    let wanted = config.takes(source, event_type);
    if is_notice(source, event_type) {
        let why =
            "a notice of the relay is for those that `notify` names or whose `events` take it";
        return (!wanted).then(|| why.to_owned());
    }
    if !wanted {
        let knows = config.takes.iter().any(|takes| takes.source == source);
        return Some(if knows {
            format!("{event_type} is not among the event types")
        } else {
            format!("{source} is not among the sources")
        });
    }
    let about = envelope.data("destination_id").filter(|_| source == RELAY);
    let itself = about.is_some_and(|about| about == config.destination.id);
    itself.then(|| "about this destination itself".to_owned())
}

#[derive(Serialize)]
struct Answered<'a> {
    answer: Option<Answer<'a>>,
    taken: Box<RawValue>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Answer<'a> {
    /// As it came: numbers with their digits, members in order.
    Json(&'a RawValue),
    Text(&'a str),
}

/// What the destination answered when it took an event, where that is an event of the relay.
pub(super) fn answered(
    config: &Config,
    outcome: &Outcome,
    whole: Option<&str>,
    taken: Option<&Taken>,
) -> Option<String> {
    if !config.answer_as_event || *outcome != Outcome::Delivered {
        return None;
    }
    let answer =
        whole.map(|text| serde_json::from_str(text).map_or(Answer::Text(text), Answer::Json));
    let taken = taken.map_or_else(|| "{}".to_owned(), |taken| taken.ticket.to_string());
    let taken = RawValue::from_string(taken).ok()?;
    serde_json::to_string(&Answered { answer, taken }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ORBIT, Takes};
    use crate::relay::destination;
    use crate::relay::transform::json::Json;

    fn config(takes: Vec<Takes>) -> Config {
        let url = "https://cmms.example/".parse().unwrap();
        let destination = destination::Config::new("cmms", url);
        Config {
            takes,
            answer_as_event: true,
            ..Config::new(destination, Vec::new())
        }
    }

    fn why(takes: Vec<Takes>, source: &str, event_type: &str, body: &str) -> Option<String> {
        let envelope = Envelope::of(event_type, body.as_bytes()).unwrap();
        unwanted(&config(takes), source, &envelope)
    }

    #[test]
    fn a_destination_takes_what_it_names_by_source_and_type() {
        let takes = vec![
            Takes::new(ORBIT, ["ACTION_*"]),
            Takes::new("github", ["issues.opened"]),
        ];
        let why = |source, event_type| why(takes.clone(), source, event_type, "{}");
        assert_eq!(why(ORBIT, "ACTION_COMPLETED"), None);
        assert_eq!(why("github", "issues.opened"), None);
        let not_the_type = "issues.closed is not among the event types";
        assert_eq!(why("github", "issues.closed").unwrap(), not_the_type);
        let not_the_source = "stripe is not among the sources";
        assert_eq!(why("stripe", "ACTION_COMPLETED").unwrap(), not_the_source);
        assert!(why(RELAY, NOTICE).unwrap().contains("`notify`"));
    }

    #[test]
    fn a_destination_never_hears_of_itself_but_in_a_notice() {
        let all = || vec![Takes::new(RELAY, ["*"]), Takes::new("github", ["*"])];
        let of = |id| format!(r#"{{"data":{{"destination_id":"{id}"}}}}"#);
        for event_type in ["after:deliver", "answer:cmms", "destination.paused"] {
            let why = |id| why(all(), RELAY, event_type, &of(id));
            assert_eq!(why("cmms").unwrap(), "about this destination itself");
            assert_eq!(why("chat"), None);
        }
        assert_eq!(why(all(), RELAY, NOTICE, &of("cmms")), None);
        // What others say is not about the relay.
        assert_eq!(why(all(), "github", "push", &of("cmms")), None);
    }

    fn event(outcome: &Outcome, whole: Option<&str>, taken: Option<&str>) -> Option<String> {
        let taken = taken.map(|ticket| Taken {
            ticket: Json::parse(ticket.as_bytes()).unwrap(),
            adds: false,
        });
        answered(&config(Vec::new()), outcome, whole, taken.as_ref())
    }

    #[test]
    fn an_answer_is_json_as_it_came_or_text_with_what_was_taken_of_it() {
        let of = |whole, taken| event(&Outcome::Delivered, whole, taken).unwrap();
        assert_eq!(
            of(
                Some(r#"{"b":1.50,"a":9007199254740993}"#),
                Some(r#"{"id":"7"}"#)
            ),
            r#"{"answer":{"b":1.50,"a":9007199254740993},"taken":{"id":"7"}}"#
        );
        assert_eq!(
            of(Some("ok \"x\""), None),
            r#"{"answer":"ok \"x\"","taken":{}}"#
        );
        assert_eq!(
            of(Some(r#"{"cut"#), None),
            r#"{"answer":"{\"cut","taken":{}}"#
        );
        assert_eq!(
            of(None, Some(r#"{"id":"7"}"#)),
            r#"{"answer":null,"taken":{"id":"7"}}"#
        );
    }

    #[test]
    fn only_what_was_taken_is_told_and_only_where_it_is_asked_for() {
        let reason = "no".to_owned();
        assert_eq!(event(&Outcome::Dead { reason }, Some("{}"), None), None);
        let quiet = Config {
            answer_as_event: false,
            ..config(Vec::new())
        };
        assert_eq!(
            answered(&quiet, &Outcome::Delivered, Some("{}"), None),
            None
        );
    }
}
