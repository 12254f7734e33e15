//! `ServiceNow`: the Table API and the Attachment API.
//!
//! # Invariants
//! - A condition on a field that a table does not have is passed over, so more rows come than
//!   were asked for.
//! - Text that is too long for its field is cut without a word; a reference to nothing is emptied.
//! - All values that are answered are texts.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::base::{Asked, Reply, System, Ticket, Tickets};

const TABLES: [&str; 3] = ["incident", "wm_order", "sn_si_incident"];

/// The fields of its tables, and how many characters they hold.
const FIELDS: [(&str, usize); 14] = [
    ("short_description", 160),
    ("description", 4_000),
    ("urgency", 1),
    ("impact", 1),
    ("cmdb_ci", 32),
    ("correlation_id", 100),
    ("correlation_display", 100),
    ("category", 40),
    ("assignment_group", 32),
    ("caller_id", 32),
    ("opened_at", 40),
    ("state", 2),
    ("active", 5),
    ("number", 40),
];

/// An instance, with what it knows of the plant.
#[derive(Debug)]
pub struct ServiceNow {
    /// The ids of its configuration items.
    pub items: BTreeSet<String>,
    /// The records of all tables, by id; `sys_class_name` says which.
    pub records: Tickets,
    /// Whether a table has a field `correlation_id`. Without it, a query by it finds everything.
    pub has_correlation_id: bool,
}

impl ServiceNow {
    /// An instance that knows these configuration items, by their ids.
    pub fn new<'a>(items: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            items: items.into_iter().map(str::to_owned).collect(),
            records: Tickets::default(),
            has_correlation_id: true,
        }
    }

    /// Closes a record. False where there is none of this id.
    pub fn close(&mut self, id: &str) -> bool {
        let Some(record) = self.records.get_mut(id) else {
            return false;
        };
        record.fields.insert("state".to_owned(), json!("7"));
        record.fields.insert("active".to_owned(), json!("false"));
        record.open = false;
        true
    }

    fn has(&self, field: &str) -> bool {
        let known = FIELDS.iter().any(|(name, _)| *name == field);
        known && (field != "correlation_id" || self.has_correlation_id)
    }

    fn query(&self, asked: &Asked, table: &str) -> Reply {
        let query = asked.parameter("sysparm_query").unwrap_or_default();
        let wanted: Vec<_> = query
            .split('^')
            .filter_map(|condition| condition.split_once('='))
            .filter(|(field, _)| self.has(field))
            .collect();
        let fits = |record: &&Ticket| {
            record.text("sys_class_name") == table
                && wanted
                    .iter()
                    .all(|(name, value)| record.text(name) == *value)
        };
        let limit = asked.parameter("sysparm_limit");
        let limit = limit.and_then(|limit| limit.parse().ok()).unwrap_or(10_000);
        let found = self.records.all().filter(fits).take(limit);
        let rows: Vec<_> = found.map(|record| shown(asked, record)).collect();
        Reply::json(200, &json!({"result": rows}))
    }

    fn create(&mut self, asked: &Asked, table: &str) -> Reply {
        let Some(body) = asked.object() else {
            return failure(
                400,
                "Exception while reading request",
                "The payload is not valid JSON",
            );
        };
        let made = self.records.made() + 1;
        let id = format!("{made:032x}");
        let mut fields = self.taken(&body);
        let number = format!("INC{made:07}");
        for (name, value) in [
            ("sys_id", id.as_str()),
            ("sys_class_name", table),
            ("number", &number),
            ("state", "1"),
            ("active", "true"),
        ] {
            fields.insert(name.to_owned(), json!(value));
        }
        self.records.open(&id, fields);
        let location = format!("{}/{id}", asked.path);
        match self.records.get(&id) {
            Some(record) => Reply::json(201, &json!({"result": shown(asked, record)}))
                .with("location", &location),
            None => no_record(),
        }
    }

    /// What is kept of a body.
    fn taken(&self, body: &Map<String, Value>) -> Map<String, Value> {
        let mut fields = Map::new();
        for (name, most) in FIELDS {
            let text = match body.get(name) {
                Some(Value::String(text)) => text.clone(),
                None | Some(Value::Null) => continue,
                Some(other) => other.to_string(),
            };
            let unknown = name == "cmdb_ci" && !self.items.contains(&text);
            let kept: String = text.chars().take(if unknown { 0 } else { most }).collect();
            if self.has(name) {
                fields.insert(name.to_owned(), json!(kept));
            }
        }
        fields
    }

    fn change(&mut self, asked: &Asked, table: &str, id: &str) -> Reply {
        let Some(body) = asked.object() else {
            return failure(
                400,
                "Exception while reading request",
                "The payload is not valid JSON",
            );
        };
        let mut changed = self.taken(&body);
        let record = self.records.get_mut(id);
        let Some(record) = record.filter(|record| record.text("sys_class_name") == table) else {
            return no_record();
        };
        if let Some(note) = body.get("work_notes").and_then(Value::as_str) {
            record.notes.push(note.to_owned());
        }
        record.fields.append(&mut changed);
        Reply::json(200, &json!({"result": shown(asked, record)}))
    }

    fn attach(&mut self, asked: &Asked) -> Reply {
        let given = |name: &str| asked.parameter(name).unwrap_or_default();
        let (table, id, name) = (
            given("table_name"),
            given("table_sys_id"),
            given("file_name"),
        );
        if table.is_empty() || name.is_empty() || asked.body.is_empty() {
            return failure(400, "Invalid request", "a parameter or the file is missing");
        }
        let known = self.records.get(id);
        if known.is_none_or(|record| record.text("sys_class_name") != table) {
            let detail = "Record doesn't exist or ACL restricts the record retrieval";
            return failure(404, "Invalid table_sys_id", detail);
        }
        let content_type = asked.header("content-type");
        self.records.attach(id, name, content_type, &asked.body);
        let size = asked.body.len().to_string();
        let result = json!({"table_sys_id": id, "file_name": name, "size_bytes": size});
        Reply::json(201, &json!({"result": result}))
    }
}

impl System for ServiceNow {
    fn answer(&mut self, asked: &Asked, _: Timestamp) -> Reply {
        let path = asked.segments();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let table = match &*path {
            ["api", "now", "table", table, ..] => *table,
            ["api", "now", "attachment", "file"] if asked.method == "POST" => {
                return self.attach(asked);
            }
            _ => return failure(400, "Requested URI does not represent any resource", ""),
        };
        if !TABLES.contains(&table) {
            return failure(400, &format!("Invalid table {table}"), "");
        }
        match (&*asked.method, path.get(4)) {
            ("GET", None) => self.query(asked, table),
            ("POST", None) => self.create(asked, table),
            ("GET", Some(id)) => match self.records.get(id) {
                Some(record) if record.text("sys_class_name") == table => {
                    Reply::json(200, &json!({"result": shown(asked, record)}))
                }
                _ => no_record(),
            },
            ("PATCH", Some(id)) => self.change(asked, table, id),
            _ => failure(405, "Method not supported", ""),
        }
    }

    fn refuse(&self, _: &Asked) -> Reply {
        let detail = "Required to provide Auth information";
        failure(401, "User Not Authenticated", detail)
            .with("www-authenticate", "BASIC realm=\"Service-now\"")
    }
}

fn shown(asked: &Asked, record: &Ticket) -> Value {
    let fields = asked.parameter("sysparm_fields");
    let wanted = |name: &str| fields.is_none_or(|fields| fields.split(',').any(|f| f == name));
    let shown: Map<String, Value> = record
        .fields
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(shown)
}

fn no_record() -> Reply {
    let detail = "Record doesn't exist or ACL restricts the record retrieval";
    failure(404, "No Record found", detail)
}

fn failure(status: u16, message: &str, detail: &str) -> Reply {
    Reply::json(
        status,
        &json!({"error": {"message": message, "detail": detail}, "status": "failure"}),
    )
}
