//! What a delivery was made of: the row of the asset map, what Orbit said, the requests that are
//! frozen, and what of them is done.
//!
//! # Invariants
//! - Which row it was is said only where the map is the one that the asset is from.
//! - What cannot be read of another version's journal is left out, and stops nothing.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::relay::assets::AssetMap;
use crate::relay::deliver::preview;
use crate::relay::journal::DeliveryDetail;
use crate::relay::transform::json::Json;

/// All of it, for programs as for people.
#[derive(Serialize)]
pub struct Learnt {
    /// The version of the asset map.
    map: Option<String>,
    /// The row, in words; none where the map is another one by now.
    why: Option<String>,
    /// The row's line in that map.
    line: Option<u64>,
    /// What Orbit said of the event, if it was asked.
    run: Option<Box<RawValue>>,
    anomaly: Option<Box<RawValue>>,
    /// The version of the template.
    template: Option<String>,
    /// By their names: what stands behind the destination's URL, and the body.
    requests: Option<Box<RawValue>>,
    /// `done`: what is done, with what was taken of the answer. `open`: the ticket that it adds to.
    progress: Option<Box<RawValue>>,
    #[serde(skip)]
    is_other_map: bool,
}

impl Learnt {
    /// Of a delivery, by the map of now.
    pub fn of(detail: &DeliveryDetail, map: Option<&AssetMap>) -> Self {
        let known = &detail.enrichment;
        let json = |text: &Option<String>| text.clone().and_then(|t| RawValue::from_string(t).ok());
        let same = map.filter(|map| detail.map.as_deref() == Some(map.version()));
        let row =
            same.and_then(|map| preview::row(map, &detail.event.source, &detail.event.body, known));
        Self {
            map: detail.map.clone(),
            why: row.map(|row| row.why),
            line: detail.relay.as_deref().and_then(line),
            run: json(&known.run),
            anomaly: json(&known.anomaly),
            template: detail.template.clone(),
            requests: json(&detail.message),
            progress: json(&detail.progress),
            is_other_map: detail.map.is_some() && same.is_none(),
        }
    }

    /// Behind the line of the asset.
    pub fn row(&self) -> String {
        match (&self.why, &self.map) {
            (Some(why), Some(map)) => format!(" ({why}; map {map})"),
            (None, Some(map)) => {
                let line = self.line.map(|line| format!("line {line} of "));
                let other = if self.is_other_map {
                    ", which is not the one of now"
                } else {
                    ""
                };
                format!(" ({}map {map}{other})", line.unwrap_or_default())
            }
            (_, None) => String::new(),
        }
    }

    /// What Orbit said.
    pub fn of_orbit(&self) -> Vec<String> {
        let said = [("run", &self.run), ("anomaly", &self.anomaly)];
        let said = said.into_iter().filter_map(|(what, said)| {
            Some(match said.as_ref()?.get() {
                "null" => format!("Orbit has no {what} of it"),
                said => format!("Orbit said of its {what}: {said}"),
            })
        });
        said.collect()
    }

    /// Whether a template made requests of it.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// What of the requests is done, and the requests.
    pub fn requests(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(template) = &self.template {
            lines.push(format!("template: version {template}"));
        }
        let progress = tree(self.progress.as_deref());
        if let Some(open) = progress.get("open") {
            lines.push(format!("it adds to a ticket that is open: {open}"));
        }
        for (name, taken) in members(progress.get("done")) {
            lines.push(match members(Some(taken)) {
                [] => format!("done: {name}"),
                _ => format!("done: {name}, which gave {taken}"),
            });
        }
        let requests = tree(self.requests.as_deref());
        for (name, request) in members(Some(&requests)) {
            let text = |member| request.get(member).and_then(Json::as_str);
            let url = text("url").filter(|url| !url.is_empty());
            lines.push(format!(
                "frozen: {name}, to {}",
                url.unwrap_or("the destination's URL")
            ));
            lines.extend(text("body").map(str::to_owned));
        }
        if self.has_template() && members(Some(&requests)).is_empty() {
            lines.push("no request was frozen yet".to_owned());
        }
        lines
    }
}

/// The line of the row, as it is frozen.
fn line(relay: &str) -> Option<u64> {
    let relay = Json::parse(relay.as_bytes()).ok()?;
    let line = relay.get("asset")?.get("row")?;
    line.to_string().parse().ok()
}

fn tree(text: Option<&RawValue>) -> Json {
    let json = text.and_then(|text| Json::parse(text.get().as_bytes()).ok());
    json.unwrap_or(Json::Null)
}

fn members(json: Option<&Json>) -> &[(String, Json)] {
    match json {
        Some(Json::Object(members)) => members,
        _ => &[],
    }
}
