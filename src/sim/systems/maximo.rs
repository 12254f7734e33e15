//! Maximo: service requests and work orders behind the JSON API of its object structures.
//!
//! # Invariants
//! - Without `lean=1` the names of a body are of another form, so Maximo knows none of them.
//! - A name that an object structure does not have is dropped without a word when it is written,
//!   and refused when it is asked for.
//! - What is too long for its column is refused, never cut.
//!
//! # Not here
//! - Rights, workflow, domains: any status may be set by a test.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::base::{Asked, Reply, System, Ticket, Tickets};

/// Columns that are refused when more characters are given. Lengths of a database as delivered.
const LONGEST: [(&str, usize); 4] = [
    ("description", 100),
    ("externalrecid", 20),
    ("assetnum", 25),
    ("siteid", 8),
];

/// Maximo, with what it knows of the plant.
#[derive(Debug)]
pub struct Maximo {
    /// The assets of the site, by number.
    pub assets: BTreeSet<String>,
    /// The one site.
    pub site: String,
    /// Service requests, by ticket number.
    pub requests: Tickets,
    /// Work orders, by number.
    pub orders: Tickets,
    /// Whether a session is begun with each answer, and a request that brings its cookie is
    /// refused, as one installation was seen to do.
    pub sessions: bool,
    /// What stands in `Location` and `href` before the path; by default what the request names.
    /// Behind a proxy it is often another.
    pub public_origin: Option<String>,
}

/// One of the two object structures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Structure {
    name: &'static str,
    class: &'static str,
    number: &'static str,
    columns: &'static [&'static str],
    first_status: &'static str,
    first_number: u64,
}

const REQUESTS: Structure = Structure {
    name: "mxapisr",
    class: "SR",
    number: "ticketid",
    columns: &[
        "ticketid",
        "description",
        "description_longdescription",
        "assetnum",
        "location",
        "siteid",
        "reportedby",
        "reportedpriority",
        "externalrecid",
        "status",
    ],
    first_status: "NEW",
    first_number: 1001,
};

const ORDERS: Structure = Structure {
    name: "mxapiwodetail",
    class: "WORKORDER",
    number: "wonum",
    columns: &[
        "wonum",
        "description",
        "description_longdescription",
        "assetnum",
        "location",
        "siteid",
        "reportedby",
        "wopriority",
        "worktype",
        "externalrecid",
        "status",
    ],
    first_status: "WAPPR",
    first_number: 5001,
};

impl Maximo {
    /// A Maximo with one site, `BEDFORD`, and these assets.
    pub fn new<'a>(assets: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            assets: assets.into_iter().map(str::to_owned).collect(),
            site: "BEDFORD".to_owned(),
            requests: Tickets::default(),
            orders: Tickets::default(),
            sessions: false,
            public_origin: None,
        }
    }

    /// Gives a service request or a work order this status; those that end it close it. False
    /// where there is none of this number.
    pub fn set_status(&mut self, number: &str, status: &str) -> bool {
        let found = self.requests.get_mut(number);
        let Some(ticket) = found.or_else(|| self.orders.get_mut(number)) else {
            return false;
        };
        ticket.fields.insert("status".to_owned(), json!(status));
        ticket.open = !["RESOLVED", "CLOSED", "COMP", "CLOSE", "CAN"].contains(&status);
        true
    }

    fn tickets(&mut self, structure: Structure) -> &mut Tickets {
        if structure == REQUESTS {
            &mut self.requests
        } else {
            &mut self.orders
        }
    }

    fn href(&self, asked: &Asked, structure: Structure, number: &str) -> String {
        let asked_for = || format!("http://{}", asked.header("host"));
        let origin = self.public_origin.clone().unwrap_or_else(asked_for);
        let id = record_id(structure, number);
        format!("{origin}/maximo/api/os/{}/{id}", structure.name)
    }

    fn route(&mut self, asked: &Asked) -> Reply {
        let segments = asked.segments();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let ["maximo", "api", "os", structure, rest @ ..] = &*segments else {
            return failure(404, "BMXAA8732E", "the path is not known");
        };
        let name = structure.to_ascii_lowercase();
        let Some(structure) = [REQUESTS, ORDERS].into_iter().find(|s| s.name == name) else {
            let text = format!("the object structure {structure} was not found");
            return failure(404, "BMXAA8733E", &text);
        };
        match (&*asked.method, rest) {
            ("GET", []) => self.query(asked, structure),
            ("POST", []) => self.create(asked, structure),
            ("GET", [id]) => match self.number_of(structure, id) {
                Some(number) => self.read(asked, structure, &number),
                None => not_found(id),
            },
            ("POST", [id]) => match self.number_of(structure, id) {
                Some(number) => self.change(asked, structure, &number),
                None => not_found(id),
            },
            ("POST", [id, "doclinks"]) => match self.number_of(structure, id) {
                Some(number) => self.attach(asked, structure, &number),
                None => not_found(id),
            },
            _ => failure(405, "BMXAA8734E", "the method is not allowed here"),
        }
    }

    fn number_of(&mut self, structure: Structure, id: &str) -> Option<String> {
        let mut tickets = self.tickets(structure).all();
        let ticket = tickets.find(|ticket| record_id(structure, &ticket.id) == id)?;
        Some(ticket.id.clone())
    }

    fn query(&mut self, asked: &Asked, structure: Structure) -> Reply {
        if !is_lean(asked) {
            return failure(400, "BMXAA8744E", "the names lack their namespace");
        }
        let Some(wanted) = conditions(asked.parameter("oslc.where").unwrap_or_default()) else {
            return failure(400, "BMXAA8744E", "oslc.where could not be read");
        };
        let known = |name: &str| structure.columns.contains(&name);
        if let Some((name, _)) = wanted.iter().find(|(name, _)| !known(name)) {
            let text = format!("the property {name} is not in {}", structure.name);
            return failure(400, "BMXAA8745E", &text);
        }
        let size = asked.parameter("oslc.pageSize");
        let size = size.and_then(|size| size.parse().ok()).unwrap_or(100);
        let fits = |ticket: &&Ticket| {
            wanted
                .iter()
                .all(|(name, value)| ticket.text(name) == value)
        };
        let tickets = self.tickets(structure).all();
        let found: Vec<_> = tickets.filter(fits).take(size).cloned().collect();
        let members: Vec<_> = found
            .iter()
            .map(|ticket| self.shown(asked, structure, ticket))
            .collect();
        Reply::json(200, &json!({"member": members, "responseInfo": {}}))
    }

    fn read(&mut self, asked: &Asked, structure: Structure, number: &str) -> Reply {
        let ticket = self.tickets(structure).get(number).cloned();
        match ticket {
            Some(ticket) => Reply::json(200, &self.shown(asked, structure, &ticket)),
            None => not_found(number),
        }
    }

    /// What `oslc.select` or the header `properties` asks for, and where it is.
    fn shown(&self, asked: &Asked, structure: Structure, ticket: &Ticket) -> Value {
        let header = asked.header("properties");
        let select = asked.parameter("oslc.select").unwrap_or(header);
        let names: Vec<_> = select.split(',').map(str::trim).collect();
        let all = names.contains(&"*");
        let mut shown: Map<String, Value> = ticket
            .fields
            .iter()
            .filter(|(name, _)| all || names.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        let href = self.href(asked, structure, &ticket.id);
        shown.insert("href".to_owned(), json!(href));
        Value::Object(shown)
    }

    fn create(&mut self, asked: &Asked, structure: Structure) -> Reply {
        let Some(body) = asked.object() else {
            return failure(400, "BMXAA8727E", "the body is no JSON object");
        };
        let mut fields = Map::new();
        for (name, value) in body {
            // Without `lean=1` each name needs a prefix, and what has none is not seen.
            if is_lean(asked) && structure.columns.contains(&name.as_str()) {
                fields.insert(name, value);
            }
        }
        if let Some(reply) = self.refusal(&fields) {
            return reply;
        }
        let number = structure.first_number + self.tickets(structure).made();
        let number = number.to_string();
        fields.insert(structure.number.to_owned(), json!(number));
        fields.insert("status".to_owned(), json!(structure.first_status));
        self.tickets(structure).open(&number, fields);
        let location = self.href(asked, structure, &number);
        if asked.header("properties").is_empty() {
            return Reply::empty(201).with("location", &location);
        }
        let Some(ticket) = self.tickets(structure).get(&number).cloned() else {
            return not_found(&number);
        };
        Reply::json(201, &self.shown(asked, structure, &ticket)).with("location", &location)
    }

    fn refusal(&self, fields: &Map<String, Value>) -> Option<Reply> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("");
        for (name, most) in LONGEST {
            let given = text(name);
            if given.chars().count() > most {
                let text = format!(
                    "The value specified {given} exceeds the maximum length of {most} for {name}."
                );
                return Some(failure(400, "BMXAA4049E", &text));
            }
        }
        if text("siteid").is_empty() {
            let text = "Site is required.";
            return Some(failure(400, "BMXAA4195E", text));
        }
        if text("siteid") != self.site {
            let text = format!("{} is not a valid site.", text("siteid"));
            return Some(failure(400, "BMXAA4153E", &text));
        }
        let asset = text("assetnum");
        if !asset.is_empty() && !self.assets.contains(asset) {
            let text = format!("{asset} is not a valid asset.");
            return Some(failure(400, "BMXAA4153E", &text));
        }
        None
    }

    /// A note. With `patchtype: MERGE` it is added, otherwise it takes the place of all others.
    fn change(&mut self, asked: &Asked, structure: Structure, number: &str) -> Reply {
        if asked.header("x-method-override") != "PATCH" {
            return failure(400, "BMXAA8728E", "oslc#create_on_updateuri");
        }
        let Some(body) = asked.object().filter(|_| is_lean(asked)) else {
            return Reply::empty(204);
        };
        let notes = body.get("worklog").and_then(Value::as_array);
        let mut texts = Vec::new();
        for note in notes.into_iter().flatten() {
            let text = |name: &str| note.get(name).and_then(Value::as_str).unwrap_or("");
            if text("description").chars().count() > 100 {
                let text = "The value specified exceeds the maximum length for description.";
                return failure(400, "BMXAA4049E", text);
            }
            let (short, long) = (text("description"), text("description_longdescription"));
            texts.push(format!("{short}\n{long}"));
        }
        let merged = asked.header("patchtype") == "MERGE";
        let Some(ticket) = self.tickets(structure).get_mut(number) else {
            return not_found(number);
        };
        if !merged && notes.is_some() {
            ticket.notes.clear();
        }
        ticket.notes.append(&mut texts);
        Reply::empty(204)
    }

    fn attach(&mut self, asked: &Asked, structure: Structure, number: &str) -> Reply {
        let (name, meta) = (asked.header("slug"), asked.header("x-document-meta"));
        if name.is_empty() || asked.body.is_empty() {
            return failure(
                400,
                "BMXAA8741E",
                "the attachment has no name or no content",
            );
        }
        if !meta.split_once('/').is_some_and(|(kind, _)| kind == "FILE") {
            let text = "x-document-meta must be FILE and a folder, as in FILE/Attachments";
            return failure(400, "BMXAA8742E", text);
        }
        let kind = asked.header("content-type");
        let tickets = self.tickets(structure);
        tickets.attach(number, name, kind, &asked.body);
        let count = tickets.get(number).map_or(0, |t| t.attachments.len());
        let record = self.href(asked, structure, number);
        Reply::empty(201).with("location", &format!("{record}/doclinks/{count}"))
    }
}

impl System for Maximo {
    fn answer(&mut self, asked: &Asked, _: Timestamp) -> Reply {
        if self.sessions && asked.cookie("JSESSIONID").is_some() {
            return failure(401, "BMXAA0021E", "the session has no user");
        }
        let reply = self.route(asked);
        if self.sessions {
            let cookie = "JSESSIONID=0000sim:-1; Path=/; HttpOnly";
            return reply.with("set-cookie", cookie);
        }
        reply
    }

    fn refuse(&self, _: &Asked) -> Reply {
        failure(401, "BMXAA7901E", "You cannot log in at this time.")
    }
}

fn is_lean(asked: &Asked) -> bool {
    matches!(asked.parameter("lean"), Some("1" | "true"))
}

/// Records are known by their class and number, encoded.
fn record_id(structure: Structure, number: &str) -> String {
    use base64::Engine as _;
    let key = format!("{}/{number}", structure.class);
    let id = base64::engine::general_purpose::STANDARD.encode(key);
    format!("_{}", id.replace('=', "-"))
}

/// `a="x" and b="y"`. Of anything else Maximo's own reader is not simulated: none.
fn conditions(clause: &str) -> Option<Vec<(String, String)>> {
    if clause.is_empty() {
        return Some(Vec::new());
    }
    clause
        .split(" and ")
        .map(|condition| {
            let (name, value) = condition.split_once('=')?;
            let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
            let plain = !value.contains('"') && !value.contains('%');
            plain.then(|| (name.trim().to_owned(), value.to_owned()))
        })
        .collect()
}

fn not_found(id: &str) -> Reply {
    let text = format!(
        "The OSLC resource with the ID {id} was not found as it does not exist in the system."
    );
    failure(404, "BMXAA8727E", &text)
}

fn failure(status: u16, code: &str, text: &str) -> Reply {
    Reply::json(
        status,
        &json!({"Error": {
            "extendedError": {"moreInfo": {"href": format!("/maximo/api/error/messages/{code}")}},
            "reasonCode": code,
            "message": format!("{code} - {text}"),
            "statusCode": status.to_string(),
        }}),
    )
}
