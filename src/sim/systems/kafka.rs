//! The REST interface of a Kafka cluster, version 3: takes one record a request.
//!
//! # Invariants
//! - HTTP 200 says that the request was understood; whether the record was taken, its
//!   `error_code` says.

use std::collections::{BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::base::{Asked, Reply, System};

/// Records beyond this number push out the oldest.
pub const KEPT_RECORDS: usize = 10_000;

/// A cluster with topics.
#[derive(Debug)]
pub struct Kafka {
    topics: BTreeSet<String>,
    records: VecDeque<Record>,
    produced: u64,
    refusals: VecDeque<(u32, String)>,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its topic.
    pub topic: String,
    /// Its key; none where none was given.
    pub key: Option<String>,
    /// Its value.
    pub value: Value,
    /// Its place in the topic.
    pub offset: u64,
}

impl Kafka {
    /// A cluster with these topics.
    pub fn with_topics(topics: &[&str]) -> Self {
        Self {
            topics: topics.iter().map(|&topic| topic.to_owned()).collect(),
            records: VecDeque::new(),
            produced: 0,
            refusals: VecDeque::new(),
        }
    }

    /// The next record is not taken: HTTP 200 with this `error_code`.
    pub fn refuse_next(&mut self, error_code: u32, message: &str) {
        self.refusals.push_back((error_code, message.to_owned()));
    }

    /// The latest records, oldest first.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }

    /// How many records were ever taken.
    pub fn produced(&self) -> u64 {
        self.produced
    }

    fn produce(&mut self, cluster: &str, topic: &str, asked: &Asked, now: Timestamp) -> Reply {
        if !self.topics.contains(topic) {
            return error(
                404,
                40403,
                "This server does not host this topic-partition.",
            );
        }
        if !asked.header("content-type").starts_with("application/json") {
            return error(415, 415, "HTTP 415 Unsupported Media Type");
        }
        let Some(request) = asked.object() else {
            return error(400, 400, "Unexpected end-of-input in a record.");
        };
        let (key, value) = match (key(&request), value(&request)) {
            (Ok(key), Ok(value)) => (key, value),
            (Err(why), _) | (_, Err(why)) => return error(400, 400, why),
        };
        if let Some((code, message)) = self.refusals.pop_front() {
            return error(200, code, &message);
        }
        let offset = self.produced;
        self.produced += 1;
        let report = json!({
            "error_code": 200, "cluster_id": cluster, "topic_name": topic,
            "partition_id": 0, "offset": offset, "timestamp": now.to_string(),
            "value": {"type": "JSON", "size": value.to_string().len()},
        });
        self.records.push_back(Record {
            topic: topic.to_owned(),
            key,
            value,
            offset,
        });
        while self.records.len() > KEPT_RECORDS {
            self.records.pop_front();
        }
        Reply::json(200, &report)
    }
}

impl System for Kafka {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        // A broker of Confluent serves it below `/kafka`, a REST proxy of its own does not.
        let below = segments.strip_prefix(&["kafka"]).unwrap_or(&segments);
        match below {
            ["v3", "clusters", cluster, "topics", topic, "records"] if asked.method == "POST" => {
                self.produce(cluster, topic, asked, now)
            }
            _ => error(404, 404, "HTTP 404 Not Found"),
        }
    }

    fn refuse(&self, _: &Asked) -> Reply {
        error(401, 401, "Unauthorized")
    }
}

fn key(request: &Map<String, Value>) -> Result<Option<String>, &'static str> {
    let Some(key) = request.get("key").filter(|key| !key.is_null()) else {
        return Ok(None);
    };
    match (typed(key), key.get("data")) {
        ("STRING", Some(Value::String(data))) => Ok(Some(data.clone())),
        ("STRING", None | Some(Value::Null)) => Ok(None),
        _ => Err("Bad Request: the key is no STRING with text as its data."),
    }
}

fn value(request: &Map<String, Value>) -> Result<Value, &'static str> {
    let value = request.get("value").unwrap_or(&Value::Null);
    match (typed(value), value.get("data")) {
        ("JSON", Some(data)) => Ok(data.clone()),
        _ => Err("Bad Request: the value is no JSON with data."),
    }
}

fn typed(part: &Value) -> &str {
    part.get("type").and_then(Value::as_str).unwrap_or("")
}

fn error(status: u16, code: u32, message: &str) -> Reply {
    Reply::json(status, &json!({"error_code": code, "message": message}))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::super::probe::{Probe, sent};
    use super::*;
    use crate::clock::Clock;

    const PATH: &str = "/kafka/v3/clusters/lkc-1/topics/inspections/records";

    async fn probe() -> Probe<Kafka> {
        Probe::of(Kafka::with_topics(&["inspections"]), Clock::system()).await
    }

    fn record() -> Value {
        json!({
            "key": {"type": "STRING", "data": "PUMP-101"},
            "value": {"type": "JSON", "data": {"key": "0f0f", "severity": 3}},
        })
    }

    #[tokio::test]
    async fn a_record_is_taken_under_its_key() {
        let probe = probe().await;
        for path in [PATH, PATH.trim_start_matches("/kafka")] {
            let answer = probe.post(path, &record()).await;
            assert_eq!(
                (answer.status, &answer.json()["error_code"]),
                (200, &json!(200))
            );
        }
        let records = probe.running.world().with(|kafka| {
            let records = kafka.records().cloned();
            records.collect::<Vec<_>>()
        });
        assert_eq!(records.len(), 2);
        assert_eq!(records[0].key.as_deref(), Some("PUMP-101"));
        assert_eq!(records[1].offset, 1);
        assert_eq!(records[1].value, json!({"key": "0f0f", "severity": 3}));
    }

    #[tokio::test]
    async fn a_record_may_be_refused_behind_http_200() {
        let probe = probe().await;
        let world = probe.running.world();
        world.with(|kafka| kafka.refuse_next(50003, "Broker not available."));
        let answer = probe.post(PATH, &record()).await;
        assert_eq!(
            (answer.status, &answer.json()["error_code"]),
            (200, &json!(50003))
        );
        assert_eq!(world.with(|kafka| kafka.produced()), 0);
        assert_eq!(probe.post(PATH, &record()).await.json()["error_code"], 200);
    }

    #[tokio::test]
    async fn a_topic_that_is_not_there_and_a_record_of_another_form_are_refused() {
        let probe = probe().await;
        let elsewhere = PATH.replace("inspections", "other");
        let answer = probe.post(&elsewhere, &record()).await;
        assert_eq!(
            (answer.status, &answer.json()["error_code"]),
            (404, &json!(40403))
        );
        let other = json!({"records": [{"value": {"severity": 3}}]});
        assert_eq!(probe.post(PATH, &other).await.status, 400);
        let number = json!({"key": {"type": "STRING", "data": 7}, "value": record()["value"]});
        assert_eq!(probe.post(PATH, &number).await.status, 400);
        let v2 = probe.ask(Method::POST, PATH).body(record().to_string());
        let v2 = v2.header("content-type", "application/vnd.kafka.json.v2+json");
        assert_eq!(sent(v2).await.status, 415);
        assert_eq!(probe.running.world().with(|kafka| kafka.produced()), 0);
    }
}
