//! Anomalies: what Orbit makes of an alert.
//!
//! # Invariants
//! - An anomaly is closed by its uuid, never by the bulk command, which closes all of an element.
//! - Answers are read liberally: what cannot be understood is left out.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::client::{CallError, Client, segment};

/// So many anomalies of one run event are asked for: there is one.
const MOST: usize = 100;

/// An anomaly as Orbit has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Anomaly {
    /// Its id.
    pub uuid: String,
    /// The run event that it is about.
    #[serde(default)]
    pub run_event_uuid: Option<String>,
    /// `open` or `closed`.
    #[serde(default)]
    pub status: Option<String>,
    /// When Orbit made it.
    #[serde(default, deserialize_with = "time")]
    created_at: Option<Timestamp>,
}

impl Anomaly {
    /// Whether there is nothing left to close.
    pub fn is_closed(&self) -> bool {
        let status = self.status.as_deref();
        status.is_some_and(|status| status.eq_ignore_ascii_case("closed"))
    }
}

impl Client {
    /// The anomalies of a run event.
    pub async fn anomalies_of(&self, run_event: &str) -> Result<Vec<Anomaly>, CallError> {
        let own = self.own_anomalies(run_event).await?;
        Ok(own.into_iter().map(|(anomaly, _)| anomaly).collect())
    }

    /// The anomaly of a run event as the text that Orbit has of it: the newest that is not closed,
    /// otherwise the newest; none where Orbit has none.
    pub async fn anomaly_of(&self, run_event: &str) -> Result<Option<Box<RawValue>>, CallError> {
        let own = self.own_anomalies(run_event).await?;
        Ok(the_one(own))
    }

    /// One anomaly.
    pub async fn anomaly(&self, uuid: &str) -> Result<Option<Anomaly>, CallError> {
        let mut found = self.anomalies("uuid", uuid).await?.into_iter();
        let found = found.find(|(anomaly, _)| anomaly.uuid == uuid);
        Ok(found.map(|(anomaly, _)| anomaly))
    }

    /// Closes one anomaly.
    pub async fn close_anomaly(&self, uuid: &str) -> Result<(), CallError> {
        let path = format!("api/v0/anomalies/{}", segment(uuid)?);
        self.patch(&path, &json!({"status": "closed"})).await
    }

    async fn own_anomalies(&self, run_event: &str) -> Result<Vec<Found>, CallError> {
        let found = self.anomalies("runEventUuid", run_event).await?;
        let all = found.len();
        let of = |(anomaly, _): &Found| anomaly.run_event_uuid.as_deref() == Some(run_event);
        let own: Vec<_> = found.into_iter().filter(of).collect();
        // An Orbit that does not know the filter lists others', and ours may be further behind.
        if own.is_empty() && all > 0 {
            return Err(CallError::Nonsense);
        }
        Ok(own)
    }

    async fn anomalies(&self, name: &str, value: &str) -> Result<Vec<Found>, CallError> {
        let query = [(name, value.to_owned()), ("limit", MOST.to_string())];
        let page = self.page("anomalies", &query).await?;
        let entries = page.resources.into_iter();
        let read = |text: Box<RawValue>| Some((serde_json::from_str(text.get()).ok()?, text));
        Ok(entries.filter_map(read).collect())
    }
}

/// An anomaly, and its text.
type Found = (Anomaly, Box<RawValue>);

/// The newest that is not closed, otherwise the newest.
fn the_one(own: Vec<Found>) -> Option<Box<RawValue>> {
    let rank = |(anomaly, _): &Found| (!anomaly.is_closed(), anomaly.created_at);
    own.into_iter().max_by_key(rank).map(|(_, text)| text)
}

/// A time; anything else is unknown.
fn time<'de, D: serde::Deserializer<'de>>(json: D) -> Result<Option<Timestamp>, D::Error> {
    let json = serde_json::Value::deserialize(json)?;
    Ok(json.as_str().and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_anomaly_is_read_liberally() {
        let read = |text: &str| serde_json::from_str::<Anomaly>(text);
        let anomaly = read(r#"{"uuid":"a","runEventUuid":"r","status":"closed","later":[1]}"#);
        assert!(anomaly.unwrap().is_closed());
        assert!(!read(r#"{"uuid":"a"}"#).unwrap().is_closed());
        assert!(read(r#"{"status":"open"}"#).is_err());
        assert!(read(r#"{"uuid":"a","createdAt":7}"#).is_ok());
    }

    #[test]
    fn of_several_the_newest_that_is_not_closed_counts_and_otherwise_the_newest() {
        let first = |rows: &[&str]| {
            let read = |row: &&str| {
                let text = RawValue::from_string((*row).to_owned()).unwrap();
                (serde_json::from_str(row).unwrap(), text)
            };
            the_one(rows.iter().map(read).collect()).map(|text| text.get().to_owned())
        };
        let open = r#"{"uuid":"a","status":"open","createdAt":"2026-02-03T09:19:59.2Z"}"#;
        let newer = r#"{"uuid":"b","createdAt":"2026-02-03T09:19:59.31+00:00"}"#;
        let closed = r#"{"uuid":"c","status":"closed","createdAt":"2026-03-01T00:00:00Z"}"#;
        let old = r#"{"uuid":"d","status":"closed"}"#;
        assert_eq!(first(&[open, newer, closed]).as_deref(), Some(newer));
        assert_eq!(first(&[closed, newer, open]).as_deref(), Some(newer));
        assert_eq!(first(&[closed, old]).as_deref(), Some(closed));
        assert_eq!(first(&[]), None);
    }
}
