//! `/work-orders`: Orbit's own work-order integration uses the relay as its middleman.
//!
//! What Orbit asks for becomes the event that its webhook brings for the same alert: same source,
//! type and identity, so that whichever comes later is a duplicate, and one order is made.
//!
//! # Invariants
//! - Nothing is read before the configured header is there.
//! - 200 goes out after the commit.
//! - Of one run event Orbit is asked only while no alert about it is on record.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use uuid::Uuid;

use super::{
    COMMIT_DEADLINE, Edge, LARGEST_BODY, Outcome, Rejection, answer, come_again, discard, read,
    refuse,
};
use crate::event::{ALERT, Event, Members, Origin};
use crate::relay::journal::{Alert, Appended};
use crate::secret::Secret;

/// How long Orbit may take to say more: it waits for us.
const ORBIT_DEADLINE: Duration = Duration::from_secs(5);
/// No uuid is longer.
const LONGEST_ID: usize = 128;
/// What a template put in that is longer is a picture, and stays out of the event.
const LONGEST_MEMBER: usize = 16 * 1024;
const NO_RUN_EVENT: &str = "no run event: write runEventUuid, run_event_uuid or runEvent, or the \
                            anomaly's uuid, in `anomaly` or at the top level";
const UNKNOWN_ANOMALY: &str = "only an anomaly's uuid is there, and Orbit cannot tell its run \
                               event: write runEventUuid";

/// What Orbit's work-order integration shows.
#[derive(Clone, Debug)]
pub struct WorkOrdersAuth {
    /// The name of a header.
    pub header: String,
    /// Its value.
    pub value: Secret,
}

impl WorkOrdersAuth {
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(self.header.as_str()).iter();
        let given = values.next();
        values.next().is_none() && given.is_some_and(|given| self.value.is(given.as_bytes()))
    }
}

/// What became of a request for a work order.
struct Taken {
    closed: bool,
    appended: Appended,
    run_event: String,
    title: String,
}

/// What Orbit's connection test asks for.
pub(super) async fn test(State(edge): State<Arc<Edge>>, headers: HeaderMap) -> Response {
    match edge.shown(&headers) {
        Ok(()) => answer(
            StatusCode::OK,
            "status",
            "orbit-relay takes work orders here",
        ),
        Err(rejection) => unshown(&edge, rejection),
    }
}

/// Orbit wants a work order.
pub(super) async fn take(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    mut body: Body,
) -> Response {
    let taken = edge.take_order(&headers, &mut body).await;
    let metrics = &edge.receive.metrics;
    match taken {
        Ok(taken) => {
            metrics.count_taken(match taken.appended {
                Appended::Accepted(_) => "accepted",
                Appended::Duplicate => "duplicate",
            });
            let status = status(taken.closed);
            json(&json!({
                "id": taken.run_event, "title": taken.title, "status": status, "url": null,
            }))
        }
        Err(rejection) => {
            discard(body).await;
            metrics.count_rejected(rejection.as_str());
            edge.refusals.note(&rejection);
            Outcome::Rejected(rejection).into_response()
        }
    }
}

/// Orbit asks how far an order is.
pub(super) async fn show(
    State(edge): State<Arc<Edge>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(rejection) = edge.shown(&headers) {
        return unshown(&edge, rejection);
    }
    let unknown = || {
        refuse(
            StatusCode::NOT_FOUND,
            "no alert about this run event is on record",
        )
    };
    if !is_id(&id) {
        return unknown();
    }
    let asked = tokio::time::timeout(COMMIT_DEADLINE, edge.receive.journal.alert(&id)).await;
    match asked {
        Ok(Ok(Some(alert))) => {
            let status = status(alert.closed);
            let title = alert.title.unwrap_or_else(untitled);
            json(&json!({"id": id, "title": title, "status": status, "state": alert.state}))
        }
        Ok(Ok(None)) => unknown(),
        Ok(Err(_)) | Err(_) => come_again("the journal cannot be asked now"),
    }
}

/// These requests bring no event, so they are not counted.
fn unshown(edge: &Edge, rejection: Rejection) -> Response {
    edge.refusals.note(&rejection);
    Outcome::Rejected(rejection).into_response()
}

fn json(value: &serde_json::Value) -> Response {
    let json = [(CONTENT_TYPE, "application/json")];
    (StatusCode::OK, json, format!("{value}\n")).into_response()
}

fn status(closed: bool) -> &'static str {
    if closed { "closed" } else { "open" }
}

fn untitled() -> String {
    "Inspection alert".to_owned()
}

impl Edge {
    fn shown(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        let auth = self.receive.work_orders.as_ref();
        let shown = auth.is_some_and(|auth| auth.is_in(headers));
        shown.then_some(()).ok_or(Rejection::WrongHeader)
    }

    async fn take_order(&self, headers: &HeaderMap, body: &mut Body) -> Result<Taken, Rejection> {
        let received_at = self.receive.clock.wall();
        self.shown(headers)?;
        let mut held = self.budget.hold(self.receive.metrics.clone());
        let body = read(headers, body, &mut held, LARGEST_BODY).await?;
        let text = str::from_utf8(&body).map_err(|e| Rejection::NotAnEvent(e.to_string()))?;
        let asked = Asked::read(text).map_err(|e| Rejection::NotAnEvent(e.to_string()))?;
        let run_event = match (asked.run_event(), asked.anomaly_uuid()) {
            (Some(run_event), _) => run_event,
            (None, Some(anomaly)) => {
                let found = self.run_event_of(&anomaly).await?;
                found.ok_or(Rejection::NoRunEvent(UNKNOWN_ANOMALY))?
            }
            (None, None) => return Err(Rejection::NoRunEvent(NO_RUN_EVENT)),
        };
        let on_record = self.on_record(&run_event).await?;
        let from_orbit = match on_record {
            // The journal finds the same, and counts it.
            Some(_) => None,
            None => self.fetched(&run_event).await?,
        };
        let data = from_orbit.unwrap_or_else(|| asked.data(&run_event));
        let closed = on_record.as_ref().is_some_and(|alert| alert.closed);
        let title = asked.title();
        let title = title.or_else(|| on_record.and_then(|alert| alert.title));
        let title = title.or_else(|| Members::parse(&data).ok()?.text("actionName"));
        let event = Event::of_run_event(&data, ALERT, Origin::WorkOrder, received_at)
            .ok_or(Rejection::NoRunEvent(NO_RUN_EVENT))?;
        let appended = self.keep(event).await?;
        if let Appended::Accepted(seq) = appended {
            tracing::info!(seq, event = run_event, "kept: Orbit asked for a work order");
        }
        Ok(Taken {
            closed,
            appended,
            run_event,
            title: title.unwrap_or_else(untitled),
        })
    }

    async fn on_record(&self, run_event: &str) -> Result<Option<Alert>, Rejection> {
        let asked = self.receive.journal.alert(run_event);
        tokio::time::timeout(COMMIT_DEADLINE, asked)
            .await
            .map_err(|_| Rejection::NotReady("the journal is slow".into()))?
            .map_err(|error| Rejection::NotReady(error.to_string()))
    }

    /// The run event as Orbit has it, if it has it and may be asked.
    async fn fetched(&self, run_event: &str) -> Result<Option<String>, Rejection> {
        let Some(api) = &self.receive.api else {
            return Ok(None);
        };
        let asked = tokio::time::timeout(ORBIT_DEADLINE, api.run_event(run_event)).await;
        let why = match asked {
            Ok(Ok(Some(text))) => {
                let members = Members::parse(text.get()).ok();
                let uuid = members.and_then(|members| members.text("uuid"));
                // By another uuid it would be another event than the webhook's.
                let is_it = uuid.is_some_and(|uuid| uuid == run_event);
                return Ok(is_it.then(|| text.get().to_owned()));
            }
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within 5 s".to_owned(),
        };
        tracing::warn!(
            reason = why,
            "work order: Orbit cannot be asked for the run event"
        );
        Err(Rejection::OrbitAway)
    }

    /// The run event of an anomaly, as Orbit knows it; none where it cannot be known.
    pub(super) async fn run_event_of(&self, anomaly: &str) -> Result<Option<String>, Rejection> {
        let Some(api) = &self.receive.api else {
            return Ok(None);
        };
        let asked = tokio::time::timeout(ORBIT_DEADLINE, api.anomaly(anomaly)).await;
        let why = match asked {
            Ok(Ok(found)) => {
                let run_event = found.and_then(|anomaly| anomaly.run_event_uuid);
                return Ok(run_event.filter(|uuid| is_id(uuid)));
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within 5 s".to_owned(),
        };
        tracing::warn!(
            reason = why,
            "Orbit cannot be asked for an anomaly's run event"
        );
        Err(Rejection::OrbitAway)
    }
}

/// What an administrator's template made: the anomaly's members, wherever they stand.
struct Asked<'a> {
    top: Members<'a>,
    anomaly: Option<Members<'a>>,
}

impl<'a> Asked<'a> {
    fn read(text: &'a str) -> Result<Self, serde_json::Error> {
        let top = Members::parse(text)?;
        let anomaly = top.raw("anomaly").and_then(|raw| Members::parse(raw).ok());
        Ok(Self { top, anomaly })
    }

    /// The first of these members, in the anomaly or at the top.
    fn text(&self, names: &[&str]) -> Option<String> {
        let places = self.anomaly.iter().chain([&self.top]);
        let mut found = places.flat_map(|members| names.iter().map(|name| members.text(name)));
        found.find_map(|text| text)
    }

    fn run_event(&self) -> Option<String> {
        let places = || self.anomaly.iter().chain([&self.top]);
        let named = self.text(&["runEventUuid", "run_event_uuid", "runEvent", "run_event"]);
        let object = || {
            places().find_map(|members| {
                let raw = members.raw("runEvent").or(members.raw("run_event"))?;
                Members::parse(raw).ok()?.text("uuid")
            })
        };
        let named = named.or_else(object).filter(|uuid| is_id(uuid));
        // Another way to write it would be another event than the webhook's.
        named.map(|uuid| Uuid::try_parse(&uuid).map_or(uuid, |uuid| uuid.to_string()))
    }

    fn anomaly_uuid(&self) -> Option<String> {
        let named = self.text(&["anomalyUuid", "anomaly_uuid"]);
        let places = [self.anomaly.as_ref(), Some(&self.top)];
        // `"anomaly": "<uuid>"` is one too.
        let uuid = named.or_else(|| self.top.text("anomaly")).or_else(|| {
            places
                .into_iter()
                .flatten()
                .find_map(|members| members.text("uuid"))
        });
        uuid.filter(|uuid| is_id(uuid))
    }

    fn title(&self) -> Option<String> {
        self.text(&["title", "name", "actionName"])
            .map(|title| title.chars().take(200).collect())
    }

    /// A run event made of what is known of the anomaly: its members as the text that was sent.
    fn data(&self, run_event: &str) -> String {
        let members = self.anomaly.as_ref().unwrap_or(&self.top);
        let mut data = vec![format!("\"uuid\":{}", json!(run_event))];
        if let Some(name) = self.text(&["actionName", "name"]) {
            data.push(format!("\"actionName\":{}", json!(name)));
        }
        for (name, raw) in members.iter() {
            if !["uuid", "actionName"].contains(&name) && raw.len() <= LONGEST_MEMBER {
                data.push(format!("{}:{raw}", json!(name)));
            }
        }
        format!("{{{}}}", data.join(","))
    }
}

fn is_id(text: &str) -> bool {
    let usual = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(usual)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Envelope;

    const RUN_EVENT: &str = "2d4de979-b560-415c-bcf3-5b6db5f3ba40";

    fn run_event(text: &str) -> Option<String> {
        Asked::read(text).unwrap().run_event()
    }

    #[test]
    fn the_run_event_is_found_wherever_a_template_puts_it() {
        for text in [
            r#"{"runEventUuid":"R"}"#,
            r#"{"run_event_uuid":"R"}"#,
            r#"{"runEvent":"R"}"#,
            r#"{"runEvent":{"uuid":"R"}}"#,
            r#"{"anomaly":{"uuid":"a","runEventUuid":"R","name":"x"},"user":"me"}"#,
            r#"{"anomaly":{"run_event":{"uuid":"R"}},"images":["…"]}"#,
            r#"{"anomaly":"a","runEventUuid":"R"}"#,
        ] {
            let text = text.replace("\"R\"", &format!("\"{RUN_EVENT}\""));
            assert_eq!(run_event(&text).as_deref(), Some(RUN_EVENT), "{text}");
        }
        for text in [
            "{}",
            r#"{"runEventUuid":""}"#,
            r#"{"runEventUuid":"../x"}"#,
            r#"{"anomaly":7}"#,
        ] {
            assert_eq!(run_event(text), None, "{text}");
        }
    }

    #[test]
    fn an_anomaly_is_known_by_its_uuid() {
        for text in [
            r#"{"anomaly":{"uuid":"a-1"}}"#,
            r#"{"anomaly":"a-1"}"#,
            r#"{"uuid":"a-1"}"#,
            r#"{"anomalyUuid":"a-1","uuid":"message"}"#,
        ] {
            let asked = Asked::read(text).unwrap();
            assert_eq!(asked.anomaly_uuid().as_deref(), Some("a-1"), "{text}");
        }
    }

    #[test]
    fn what_becomes_of_it_is_the_webhooks_event_with_the_text_that_was_sent() {
        let text = format!(
            r#"{{"anomaly":{{"uuid":"a","runEventUuid":"{RUN_EVENT}","name":"Pump \"1\"","n":1e400,"picture":"{}"}}}}"#,
            "x".repeat(LONGEST_MEMBER)
        );
        let asked = Asked::read(&text).unwrap();
        let (data, at) = (asked.data(RUN_EVENT), jiff::Timestamp::UNIX_EPOCH);
        let event = Event::of_run_event(&data, ALERT, Origin::WorkOrder, at).unwrap();
        let envelope = Envelope::parse(&event.body).unwrap();
        assert_eq!(envelope.identity(&event.body), event.identity);
        assert_eq!(envelope.event_type(), ALERT);
        insta::assert_snapshot!(String::from_utf8(event.body.clone()).unwrap(), @r#"{"uuid":"60a3bfb4-3c1e-5c7e-a634-835fcb26788e","type":"ACTION_COMPLETED_WITH_ALERT","time":"1970-01-01T00:00:00Z","data":{"uuid":"2d4de979-b560-415c-bcf3-5b6db5f3ba40","actionName":"Pump \"1\"","runEventUuid":"2d4de979-b560-415c-bcf3-5b6db5f3ba40","name":"Pump \"1\"","n":1e400}}"#);
    }
}
