//! PI Web API: values written to streams.
//!
//! # Invariants
//! - A POST without `X-Requested-With` is refused, whatever it says.
//! - At one time a stream holds one value: a later one takes its place, unless `updateOption` says
//!   otherwise.
//! - What a stream cannot hold (its units, a text for a number) is refused.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::base::{Asked, Reply, System};

/// The latest values of a stream are kept, so many of them.
pub const KEPT_VALUES: usize = 10_000;

/// PI Web API with its streams.
#[derive(Debug, Default)]
pub struct Pi {
    /// By `WebId`.
    pub streams: BTreeMap<String, Stream>,
    /// Whether the next writes are answered with 207, each item with this status.
    pub partial: Option<u16>,
    /// How many writes were taken.
    pub written: u64,
}

/// Where values go.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// By their time.
    pub values: BTreeMap<Timestamp, Written>,
    /// The units that can be turned into its own. None: a PI point, which has none.
    pub units: Vec<String>,
    /// Whether it holds text rather than numbers.
    pub is_text: bool,
}

/// A value as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// A number, a text, or null where the reading was lost.
    pub value: Value,
    /// The unit that was given.
    pub unit: Option<String>,
    /// Whether it is good.
    pub good: bool,
}

/// A status, and what is wrong.
type Refusal = (u16, String);

impl Pi {
    /// A server with these streams of numbers, in °C, bar or dB.
    pub fn new<'a>(web_ids: impl IntoIterator<Item = &'a str>) -> Self {
        let units = ["°C", "bar", "dB"].map(str::to_owned);
        let stream = Stream {
            units: units.to_vec(),
            ..Stream::default()
        };
        let streams = web_ids
            .into_iter()
            .map(|id| (id.to_owned(), stream.clone()));
        Self {
            streams: streams.collect(),
            ..Self::default()
        }
    }

    fn write(
        &mut self,
        asked: &Asked,
        web_id: &str,
        item: &Value,
        now: Timestamp,
    ) -> Option<Refusal> {
        let Some(stream) = self.streams.get_mut(web_id) else {
            return Some((404, format!("The WebID {web_id} does not exist.")));
        };
        let at = match item.get("Timestamp") {
            None | Some(Value::Null) => now,
            Some(text) => match text.as_str().unwrap_or_default().parse() {
                Ok(at) => at,
                Err(_) => return Some((400, format!("Timestamp {text} cannot be read."))),
            },
        };
        let written = match stream.reads(item) {
            Ok(written) => written,
            Err(refusal) => return Some(refusal),
        };
        let keep = asked.parameter("updateOption") == Some("NoReplace");
        if !(keep && stream.values.contains_key(&at)) {
            stream.values.insert(at, written);
        }
        if stream.values.len() > KEPT_VALUES {
            stream.values.pop_first();
        }
        self.written += 1;
        None
    }

    /// One value, whose refusal is that of the request.
    fn one(&mut self, asked: &Asked, web_id: &str, now: Timestamp) -> Reply {
        let Some(body) = asked.json().filter(Value::is_object) else {
            return failure(400, "The request body is no value.");
        };
        if let Some(status) = self.partial {
            return several(&[(status, "Partial.".to_owned())]);
        }
        match self.write(asked, web_id, &body, now) {
            None => Reply::empty(202),
            Some((status, text)) => failure(status, &text),
        }
    }

    /// Several values: of each what became of it, unless all are well.
    fn many(&mut self, asked: &Asked, items: &[(String, Value)], now: Timestamp) -> Reply {
        let mut results = Vec::new();
        for (web_id, item) in items {
            let result = match self.partial {
                Some(status) => Some((status, "Partial.".to_owned())),
                None => self.write(asked, web_id, item, now),
            };
            results.push(result.unwrap_or((204, String::new())));
        }
        if results.iter().all(|(status, _)| *status == 204) {
            Reply::empty(202)
        } else {
            several(&results)
        }
    }
}

impl Stream {
    fn reads(&self, item: &Value) -> Result<Written, Refusal> {
        let unit = item.get("UnitsAbbreviation").and_then(Value::as_str);
        if let Some(unit) = unit
            && !self.units.iter().any(|known| known == unit)
        {
            return Err((409, format!("The unit {unit} is not compatible.")));
        }
        let value = item.get("Value").cloned().unwrap_or_default();
        let good = item.get("Good").and_then(Value::as_bool).unwrap_or(true);
        let fits = match &value {
            // A value that is lost cannot be good.
            Value::Null => !good,
            Value::Number(_) => true,
            Value::String(text) => self.is_text || text.parse::<f64>().is_ok(),
            _ => false,
        };
        if !fits {
            return Err((
                400,
                "The value is not of the type of the stream.".to_owned(),
            ));
        }
        Ok(Written {
            value,
            unit: unit.map(str::to_owned),
            good,
        })
    }
}

impl System for Pi {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        let path = asked.segments();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        if asked.method != "POST" {
            return failure(405, "The method is not allowed.");
        }
        if asked.header("x-requested-with").is_empty() {
            return failure(403, "The X-Requested-With header is missing.");
        }
        match &*path {
            ["piwebapi", "streams", web_id, "value"] => self.one(asked, web_id, now),
            ["piwebapi", "streams", web_id, "recorded"] => {
                let Some(Value::Array(items)) = asked.json() else {
                    return failure(400, "The request body is no list of values.");
                };
                if !self.streams.contains_key(*web_id) {
                    return failure(404, &format!("The WebID {web_id} does not exist."));
                }
                let of = |item| ((*web_id).to_owned(), item);
                let items: Vec<_> = items.into_iter().map(of).collect();
                self.many(asked, &items, now)
            }
            ["piwebapi", "streamsets", "recorded"] => {
                match asked.json().as_ref().and_then(listed) {
                    Some(items) => self.many(asked, &items, now),
                    None => failure(400, "The request body is no list of streams."),
                }
            }
            _ => failure(404, "The resource does not exist."),
        }
    }

    fn refuse(&self, _: &Asked) -> Reply {
        failure(401, "Authorization has been denied for this request.")
            .with("www-authenticate", "Basic realm=\"pi\"")
    }
}

/// `[{"WebId", "Items": [..]}]`, flat.
fn listed(body: &Value) -> Option<Vec<(String, Value)>> {
    let mut items = Vec::new();
    for stream in body.as_array()? {
        let web_id = stream.get("WebId")?.as_str()?;
        for item in stream.get("Items")?.as_array()? {
            items.push((web_id.to_owned(), item.clone()));
        }
    }
    Some(items)
}

/// What became of each, in the order of the values.
fn several(results: &[Refusal]) -> Reply {
    let item = |(status, text): &Refusal| json!({"Substatus": status, "Message": text});
    let items: Vec<_> = results.iter().map(item).collect();
    Reply::json(207, &json!({"Items": items, "Links": {}}))
}

fn failure(status: u16, text: &str) -> Reply {
    Reply::json(status, &json!({"Errors": [text]}))
}
