//! Anomalies: what Orbit makes of an alert.
//!
//! # Invariants
//! - An anomaly is closed by its uuid, never by the bulk command, which closes all of an element.
//! - Answers are read liberally: what cannot be understood is left out.

use serde::Deserialize;
use serde_json::json;

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
        let found = self.anomalies("runEventUuid", run_event).await?;
        let all = found.len();
        let of = |anomaly: &Anomaly| anomaly.run_event_uuid.as_deref() == Some(run_event);
        let own: Vec<_> = found.into_iter().filter(of).collect();
        // An Orbit that does not know the filter lists others', and ours may be further behind.
        if own.is_empty() && all > 0 {
            return Err(CallError::Nonsense);
        }
        Ok(own)
    }

    /// One anomaly.
    pub async fn anomaly(&self, uuid: &str) -> Result<Option<Anomaly>, CallError> {
        let found = self.anomalies("uuid", uuid).await?;
        Ok(found.into_iter().find(|anomaly| anomaly.uuid == uuid))
    }

    /// Closes one anomaly.
    pub async fn close_anomaly(&self, uuid: &str) -> Result<(), CallError> {
        let path = format!("api/v0/anomalies/{}", segment(uuid)?);
        self.patch(&path, &json!({"status": "closed"})).await
    }

    async fn anomalies(&self, name: &str, value: &str) -> Result<Vec<Anomaly>, CallError> {
        let query = [(name, value.to_owned()), ("limit", MOST.to_string())];
        let page = self.page("anomalies", &query).await?;
        let entries = page.resources.iter();
        Ok(entries
            .filter_map(|entry| serde_json::from_str(entry.get()).ok())
            .collect())
    }
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
    }
}
