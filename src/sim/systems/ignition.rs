//! Ignition: a Python resource of the `WebDev` module, whose script keeps what is posted.
//!
//! # Invariants
//! - The script sees an object only where the content type is JSON; for other types it fails.
//! - The script keeps one inspection per key, and says whether it had it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::base::{Asked, Reply, System};

/// Inspections beyond this number push out the one with the lowest key.
pub const KEPT_INSPECTIONS: usize = 10_000;

/// A gateway with one resource.
#[derive(Debug)]
pub struct Ignition {
    /// The project and the path of the resource.
    pub resource: String,
    /// What was posted, by `key`.
    pub inspections: BTreeMap<String, Value>,
    /// Whether the script fails.
    pub script_fails: bool,
}

impl Ignition {
    /// A gateway with the resource `inspections` in this project.
    pub fn new(project: &str) -> Self {
        Self {
            resource: format!("{project}/inspections"),
            inspections: BTreeMap::new(),
            script_fails: false,
        }
    }

    /// What `doPost` does.
    fn script(&mut self, asked: &Asked) -> Reply {
        let is_json = asked.header("content-type").starts_with("application/json");
        let Some(body) = asked.json().filter(|_| is_json && !self.script_fails) else {
            let page = "<html><body><h2>HTTP ERROR 500</h2>Traceback (most recent call last)\
                </body></html>";
            return Reply::text(500, "text/html", page);
        };
        let key = body.get("key").and_then(Value::as_str).unwrap_or_default();
        let had = self.inspections.insert(key.to_owned(), body.clone());
        if self.inspections.len() > KEPT_INSPECTIONS {
            self.inspections.pop_first();
        }
        Reply::json(200, &json!({"stored": true, "duplicate": had.is_some()}))
    }
}

impl System for Ignition {
    fn answer(&mut self, asked: &Asked, _: Timestamp) -> Reply {
        let path = asked.segments().join("/");
        if path.strip_prefix("system/webdev/") != Some(&self.resource) {
            return Reply::text(404, "text/html", "<html><body>Not Found</body></html>");
        }
        if asked.method == "POST" {
            self.script(asked)
        } else {
            Reply::text(405, "text/html", "<html><body>no such method</body></html>")
        }
    }

    fn refuse(&self, _: &Asked) -> Reply {
        Reply::text(401, "text/html", "<html><body>Unauthorized</body></html>")
            .with("www-authenticate", "Basic realm=\"Ignition\"")
    }
}
