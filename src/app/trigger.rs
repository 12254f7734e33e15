//! A sample event, made for a person who wants to see how one travels.
//!
//! # Invariants
//! - It says that it is one, in its body and by its origin; each is another event.
//! - It goes the way of any event, from the journal on.

use jiff::Timestamp;
use uuid::Uuid;

use super::control::{Answer, Ground};
use crate::event::{Envelope, Event, Identity, ORBIT, Origin};
use crate::orbit::sample;
use crate::own;
use crate::relay::journal::Appended;
use crate::relay::transform::json::Json;

/// What stands before the texts that people read.
const MARK: &str = "SAMPLE: ";
/// The members of `data` that are such texts.
const TEXTS: [&str; 4] = ["title", "text", "reason", "why"];

/// Makes one and keeps it, for one destination or for all that take it.
pub(super) async fn make(
    ground: &Ground,
    event_type: &str,
    destination: Option<&str>,
    who: &str,
) -> Answer {
    if let Some(id) = destination
        && !ground.destinations.contains_key(id)
    {
        return Answer::Failed(format!("the destination `{id}` is not configured"));
    }
    let at = ground.clock.wall();
    let mut chance = [0; 16];
    if getrandom::fill(&mut chance).is_err() {
        return Answer::Failed("the system gives no random numbers".to_owned());
    }
    let chance = u128::from_be_bytes(chance);
    let Some(event) = event(event_type, destination, chance, at) else {
        return Answer::Failed(format!("there is no sample of `{event_type}`"));
    };
    tracing::info!(who, destination, "a sample of {event_type} was asked for");
    let kept = async {
        let journal = &ground.journal;
        let act = journal.keep_act(at, who, "trigger", destination, event_type);
        act.await?;
        journal.append(event).await
    };
    match kept.await {
        Ok(Appended::Accepted(seq)) => Answer::Triggered(seq),
        Ok(Appended::Duplicate) => Answer::Failed("the sample was there already".to_owned()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

/// The sample; none of what is neither Orbit's nor the relay's own.
fn event(
    event_type: &str,
    destination: Option<&str>,
    chance: u128,
    at: Timestamp,
) -> Option<Event> {
    if let Some(body) = sample::sample(event_type, chance, at) {
        let body = Json::parse(body.as_bytes()).ok()?;
        let body = marked(body, destination)?.into_bytes();
        return Some(Event {
            source: ORBIT.to_owned(),
            event_type: event_type.to_owned(),
            identity: Envelope::parse(&body).ok()?.identity(&body),
            origin: Origin::Sample,
            received_at: at,
            body,
        });
    }
    let own = own::sample(event_type, at).filter(|_| event_type != own::ANSWER)?;
    // The same cause gives the same id, and each sample is another event.
    let uuid = Uuid::new_v5(&Uuid::from_u128(chance), event_type.as_bytes()).to_string();
    let body = anew(&own.body, &uuid)?;
    Some(Event {
        identity: Identity::Envelope(uuid),
        origin: Origin::Sample,
        body: marked(body, destination)?.into_bytes(),
        ..own
    })
}

/// One of the relay's own samples, with an id of its own, and with what says to people that it is
/// one.
fn anew(body: &[u8], uuid: &str) -> Option<Json> {
    let mut body = Json::parse(body).ok()?;
    set(&mut body, "uuid", Json::String(uuid.to_owned()))?;
    let Json::Object(members) = &mut body else {
        return None;
    };
    let data = members.iter_mut().find(|(name, _)| name == "data");
    if let Some((_, Json::Object(data))) = data {
        for (name, member) in data {
            if let Json::String(text) = member
                && TEXTS.contains(&&**name)
            {
                text.insert_str(0, MARK);
            }
        }
    }
    Some(body)
}

/// With the mark of a sample, which says whom it is for.
fn marked(mut body: Json, destination: Option<&str>) -> Option<String> {
    let named = destination.map(|id| ("destination".to_owned(), Json::String(id.to_owned())));
    set(
        &mut body,
        "sample",
        Json::Object(named.into_iter().collect()),
    )?;
    let mut text = String::new();
    body.write(&mut text);
    Some(text)
}

fn set(object: &mut Json, name: &str, value: Json) -> Option<()> {
    let Json::Object(members) = object else {
        return None;
    };
    match members.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value,
        None => members.push((name.to_owned(), value)),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::own::{ANSWER, Own};

    fn at() -> Timestamp {
        "2026-02-03T09:14:07Z".parse().unwrap()
    }

    #[test]
    fn each_type_of_orbit_and_of_the_relay_has_a_sample_that_says_so() {
        let answer = format!("{ANSWER}cmms");
        let own = Own::ALL.map(Own::as_str);
        for event_type in sample::TYPES.iter().chain(&own).chain([&&*answer]) {
            let made = event(event_type, Some("chat"), 1, at()).unwrap();
            let body: serde_json::Value = serde_json::from_slice(&made.body).unwrap();
            assert_eq!(body["type"], **event_type);
            assert_eq!(body["sample"]["destination"], "chat", "{event_type}");
            assert_eq!((made.origin, made.received_at), (Origin::Sample, at()));
            let of_orbit = sample::TYPES.contains(event_type);
            assert_eq!(made.source == ORBIT, of_orbit, "{event_type}");
            let other = event(event_type, Some("chat"), 2, at()).unwrap();
            assert_ne!(made.dedupe_key(), other.dedupe_key(), "{event_type}");
        }
        for none in ["", "answer:", "RELAY_NOTICE", "order.status"] {
            assert!(event(none, None, 1, at()).is_none(), "{none}");
        }
    }

    #[test]
    fn one_of_the_relays_own_has_an_id_of_its_own_and_its_texts_say_sample() {
        let body =
            r#"{"type":"x","uuid":"old","data":{"text":"it is down","reason":"x","n":1.50}}"#;
        let body = marked(anew(body.as_bytes(), "new").unwrap(), None).unwrap();
        insta::assert_snapshot!(body, @r#"{"type":"x","uuid":"new","data":{"text":"SAMPLE: it is down","reason":"SAMPLE: x","n":1.50},"sample":{}}"#);
    }
}
