//! What Orbit has on record, and how it is asked for.
//!
//! # Invariants
//! - At most [`KEPT_EVENTS`] inspections and as many runs are kept; the oldest go first, with
//!   all that belongs to them.
//! - A page never holds more than [`LARGEST_PAGE`] entries.

use std::collections::{HashMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use url::form_urlencoded;

use crate::sim::model::{Anomaly, Run, RunCapture, RunEvent};
use crate::sim::plant::{Finished, Medium};

/// Half a day of one inspection every two seconds.
pub const KEPT_EVENTS: usize = 20_000;

/// The most that one answer lists.
pub const LARGEST_PAGE: usize = 100;

const DEFAULT_PAGE: usize = 20;

/// Inspections with their captures and anomalies, runs, and what can be downloaded.
#[derive(Debug, Default)]
pub(super) struct Records {
    inspections: VecDeque<Finished>,
    runs: VecDeque<Run>,
    media: HashMap<String, Medium>,
}

/// The parameters of a request.
#[derive(Debug)]
pub(super) struct Query {
    parameters: Vec<(String, String)>,
    paging: Paging,
}

/// A parameter that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("the parameter {0} cannot be understood")]
pub(super) struct QueryError(&'static str);

/// One page of a collection.
#[derive(Debug, Serialize)]
pub(super) struct Page<T> {
    limit: usize,
    offset: usize,
    total: usize,
    resources: Vec<T>,
}

/// What the weather does to pages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Paging {
    /// The most that one page has; 0 for the usual.
    pub(super) largest: usize,
    pub(super) wrong_total: bool,
    pub(super) ignore_offset: bool,
    pub(super) empty: bool,
    /// Anomalies of later inspections are not listed.
    pub(super) anomalies_until: Option<Timestamp>,
    /// Anomalies are listed whatever run event is asked for.
    pub(super) ignore_filters: bool,
}

/// A capture as `/run_captures` lists it: with the run event that it belongs to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListedCapture<'a> {
    run_event_uuid: &'a str,
    #[serde(flatten)]
    capture: &'a RunCapture,
}

impl Records {
    /// Takes in an inspection.
    pub(super) fn add(&mut self, finished: Finished) {
        let same = |run: &&mut Run| run.uuid == finished.run.uuid;
        match self.runs.iter_mut().rev().find(same) {
            Some(run) => *run = finished.run.clone(),
            None => self.runs.push_back(finished.run.clone()),
        }
        self.media.extend(finished.media.iter().cloned());
        self.inspections.push_back(finished);
        if self.runs.len() > KEPT_EVENTS {
            self.runs.pop_front();
        }
        if self.inspections.len() > KEPT_EVENTS
            && let Some(oldest) = self.inspections.pop_front()
        {
            for (path, _) in oldest.media {
                self.media.remove(&path);
            }
        }
    }

    /// What was found after all at an inspection that is on record.
    pub(super) fn raise(&mut self, anomaly: Anomaly) -> Option<&RunEvent> {
        let mut newest_first = self.inspections.iter_mut().rev();
        let found = newest_first.find(|finished| finished.event.uuid == anomaly.run_event_uuid)?;
        found.anomaly = Some(anomaly);
        Some(&found.event)
    }

    /// Each inspection on record, by its run event, and whether something was found.
    pub(super) fn all(&self) -> Vec<(String, bool)> {
        let all = self.inspections.iter();
        all.map(|finished| (finished.event.uuid.clone(), finished.anomaly.is_some()))
            .collect()
    }

    /// How many inspections are on record.
    pub(super) fn len(&self) -> usize {
        self.inspections.len()
    }

    /// Puts something where it can be downloaded. It stays.
    pub(super) fn put_medium(&mut self, path: &str, medium: Medium) {
        self.media.insert(path.to_owned(), medium);
    }

    /// What can be downloaded at a path, which is not percent-encoded.
    pub(super) fn medium(&self, path: &str) -> Option<Medium> {
        self.media.get(path).copied()
    }

    /// One run event.
    pub(super) fn run_event(&self, uuid: &str) -> Option<&RunEvent> {
        let mut newest_first = self.inspections.iter().rev();
        newest_first
            .find(|finished| finished.event.uuid == uuid)
            .map(|finished| &finished.event)
    }

    /// Run events by any of the filters that Orbit has for them.
    pub(super) fn run_events(&self, query: &Query) -> Result<Page<&RunEvent>, QueryError> {
        let mut found = self.inspections(query)?;
        match query.text("orderBy") {
            Some("time") => found.sort_by_key(|finished| finished.time),
            Some("-time") => found.sort_by_key(|finished| std::cmp::Reverse(finished.time)),
            Some("-created_at") => {
                found.sort_by_key(|finished| std::cmp::Reverse(finished.created_at));
            }
            Some("created_at") | None => found.sort_by_key(|finished| finished.created_at),
            Some(_) => return Err(QueryError("orderBy")),
        }
        query.page(found.into_iter().map(|finished| &finished.event))
    }

    /// Captures, by the filters of run events and by `runEventUuid`.
    pub(super) fn captures(&self, query: &Query) -> Result<Page<ListedCapture<'_>>, QueryError> {
        let found = self.inspections(query)?;
        let of = query.list("runEventUuid");
        query.page(
            found
                .into_iter()
                .map(|finished| &finished.event)
                .filter(|event| of.is_empty() || of.contains(&event.uuid.as_str()))
                .flat_map(|event| {
                    let run_event_uuid = event.uuid.as_str();
                    event
                        .data_captures
                        .iter()
                        .map(move |capture| ListedCapture {
                            run_event_uuid,
                            capture,
                        })
                }),
        )
    }

    /// One run.
    pub(super) fn run(&self, uuid: &str) -> Option<&Run> {
        self.runs.iter().rev().find(|run| run.uuid == uuid)
    }

    /// All runs, the latest first.
    pub(super) fn runs(&self, query: &Query) -> Result<Page<&Run>, QueryError> {
        query.page(self.runs.iter().rev())
    }

    /// Anomalies by uuid, run event, status and time.
    pub(super) fn anomalies(&self, query: &Query) -> Result<Page<&Anomaly>, QueryError> {
        let uuids = query.list("uuid");
        let status = query.text("status");
        let mut events = query.list("runEventUuids");
        events.extend(query.list("runEventUuid"));
        if query.paging.ignore_filters {
            events.clear();
        }
        let mut found = self.inspections(query)?;
        if let Some(until) = query.paging.anomalies_until {
            found.retain(|finished| finished.created_at <= until);
        }
        match query.text("orderBy") {
            Some("time") => found.sort_by_key(|finished| finished.time),
            None => {}
            Some(_) => return Err(QueryError("orderBy")),
        }
        query.page(
            found
                .into_iter()
                .filter_map(|finished| finished.anomaly.as_ref())
                .filter(|anomaly| uuids.is_empty() || uuids.contains(&anomaly.uuid.as_str()))
                .filter(|a| events.is_empty() || events.contains(&a.run_event_uuid.as_str()))
                .filter(|anomaly| status.is_none_or(|status| status == anomaly.status)),
        )
    }

    /// The anomaly of a run event.
    pub(super) fn anomaly_of(&self, run_event: &str) -> Option<&Anomaly> {
        let mut newest_first = self.inspections.iter().rev();
        let found = newest_first.find(|finished| finished.event.uuid == run_event);
        found?.anomaly.as_ref()
    }

    /// Sets the status of every anomaly that `which` picks, and gives back those.
    pub(super) fn set_status(
        &mut self,
        which: impl Fn(&Anomaly) -> bool,
        status: &str,
        at: &str,
    ) -> Vec<Anomaly> {
        self.inspections
            .iter_mut()
            .filter_map(|finished| finished.anomaly.as_mut())
            .filter(|anomaly| which(anomaly))
            .map(|anomaly| {
                status.clone_into(&mut anomaly.status);
                at.clone_into(&mut anomaly.status_modified_at);
                anomaly.clone()
            })
            .collect()
    }

    fn inspections(&self, query: &Query) -> Result<Vec<&Finished>, QueryError> {
        let [from, to] = [query.time("startTime")?, query.time("endTime")?];
        let [created_from, created_to] =
            [query.time("startCreatedAt")?, query.time("endCreatedAt")?];
        let alerts_only = query.text("excludeNonAlerts") == Some("true");
        let within = |time: Timestamp, from: Option<Timestamp>, to: Option<Timestamp>| {
            from.is_none_or(|from| time >= from) && to.is_none_or(|to| time < to)
        };
        let found = self.inspections.iter().filter(|finished| {
            let event = &finished.event;
            let is = |name, value: &str| query.text(name).is_none_or(|wanted| wanted == value);
            is("runUuid", &event.run_uuid)
                && is("actionUuid", &event.action_uuid)
                && is("missionName", &event.mission_name)
                && is("elementId", &finished.element_id)
                && is("robotNickname", finished.robot.nickname)
                && is("robotHostname", finished.robot.hostname)
                && is("robotSerial", finished.robot.serial)
                && within(finished.time, from, to)
                && within(finished.created_at, created_from, created_to)
                && (!alerts_only || finished.anomaly.is_some())
        });
        Ok(found.collect())
    }
}

impl Query {
    /// Reads what stands after the question mark.
    pub(super) fn parse(query: Option<&str>, paging: Paging) -> Self {
        let parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        Self {
            parameters: parameters.into_owned().collect(),
            paging,
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.list(name).last().copied()
    }

    /// Values given by repeating the parameter, by commas, or both.
    fn list(&self, name: &str) -> Vec<&str> {
        let named = self.parameters.iter().filter(|(given, _)| given == name);
        match name {
            "missionName" => named.map(|(_, value)| value.as_str()).collect(),
            _ => named.flat_map(|(_, value)| value.split(',')).collect(),
        }
    }

    fn time(&self, name: &'static str) -> Result<Option<Timestamp>, QueryError> {
        let parsed = self.text(name).map(str::parse).transpose();
        parsed.map_err(|_| QueryError(name))
    }

    fn number(&self, name: &'static str, default: usize) -> Result<usize, QueryError> {
        let parsed = self.text(name).map_or(Ok(default), str::parse);
        parsed.map_err(|_| QueryError(name))
    }

    fn page<T>(&self, all: impl Iterator<Item = T>) -> Result<Page<T>, QueryError> {
        let Paging {
            largest,
            wrong_total,
            ignore_offset,
            empty,
            ..
        } = self.paging;
        let largest = if largest == 0 { LARGEST_PAGE } else { largest };
        let limit = self.number("limit", DEFAULT_PAGE)?.min(largest);
        let offset = self.number("offset", 0)?;
        let offset = if ignore_offset { 0 } else { offset };
        let all: Vec<T> = all.collect();
        let wrong = usize::from(wrong_total) * (all.len() % 3 + 1);
        Ok(Page {
            limit,
            offset,
            total: all.len() * 2 * usize::from(wrong_total) + all.len() + wrong,
            resources: if empty {
                Vec::new()
            } else {
                all.into_iter().skip(offset).take(limit).collect()
            },
        })
    }
}

/// The text of a percent-encoded path, or nothing when it is not well encoded.
pub(super) fn decode_path(path: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut pair = [0];
        hex::decode_to_slice([bytes.next()?, bytes.next()?], &mut pair).ok()?;
        decoded.extend(pair);
    }
    String::from_utf8(decoded).ok()
}

/// The string member of a JSON object.
pub(super) fn member<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_only_when_well_encoded() {
        let cases = [
            ("/a%20b%23%3F%25", Some("/a b#?%")),
            ("/K%C3%BChlung/%EC%A0%90%EA%B2%80", Some("/Kühlung/점검")),
            ("/a%2520", Some("/a%20")),
            ("/50%/x", None),
            ("/50%", None),
            ("/%ff", None),
        ];
        for (path, expected) in cases {
            assert_eq!(decode_path(path).as_deref(), expected, "{path}");
        }
    }
}
