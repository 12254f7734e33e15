//! SAP S/4HANA: maintenance notifications and their attachments, as `OData` version 2.
//!
//! # Invariants
//! - Nothing is changed without the token of the session whose cookie the request brings.
//! - Answers are XML unless JSON is asked for.
//! - What a field cannot hold is refused: lengths, dates that are not `/Date(ms)/`, names that the
//!   service does not have.
//! - The external reference number is kept in upper case, and found in upper case only.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::base::{Asked, Reply, System, Ticket, Tickets};

/// The cookie that holds a session.
pub const SESSION_COOKIE: &str = "SAP_SESSIONID_S4H_100";

const MOST_SESSIONS: usize = 1_000;
const NOTIFICATIONS: &str = "API_MAINTNOTIFICATION";
const ATTACHMENTS: &str = "API_CV_ATTACHMENT_SRV";

/// Texts that may be given when a notification is made, and how long they may be.
const TEXTS: [(&str, usize); 11] = [
    ("NotificationText", 40),
    ("NotificationType", 2),
    ("MaintNotifLongTextForEdit", 1333),
    ("TechnicalObject", 40),
    ("TechObjIsEquipOrFuncnlLoc", 20),
    ("TechnicalObjectLabel", 40),
    ("MaintPriority", 1),
    ("MaintNotifExtReferenceNumber", 20),
    ("ReportedByUser", 12),
    ("MaintenancePlanningPlant", 4),
    ("MainWorkCenter", 8),
];
const DATES: [&str; 2] = ["MalfunctionStartDate", "NotificationCreationDate"];
const TIMES: [&str; 2] = ["MalfunctionStartTime", "NotificationCreationTime"];

/// S/4HANA, with what it knows of the plant.
#[derive(Debug)]
pub struct Sap {
    /// Its pieces of equipment.
    pub equipment: BTreeSet<String>,
    /// Its functional locations.
    pub locations: BTreeSet<String>,
    /// The notifications.
    pub notifications: Tickets,
    /// A session is over after so many changes; none: never.
    pub changes_of_a_session: Option<u32>,
    /// The token of each session, and how many changes it saw.
    sessions: BTreeMap<String, (String, u32)>,
    begun: u64,
}

impl Sap {
    /// A system that knows this equipment.
    pub fn new<'a>(equipment: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            equipment: equipment.into_iter().map(str::to_owned).collect(),
            locations: BTreeSet::new(),
            notifications: Tickets::default(),
            changes_of_a_session: None,
            sessions: BTreeMap::new(),
            begun: 0,
        }
    }

    /// From now on no session is known any more.
    pub fn expire_sessions(&mut self) {
        self.sessions.clear();
    }

    /// How many sessions were begun.
    pub fn sessions_begun(&self) -> u64 {
        self.begun
    }

    /// Completes a notification. False where there is none of this number.
    pub fn complete(&mut self, number: &str) -> bool {
        let Some(notification) = self.notifications.get_mut(number) else {
            return false;
        };
        let phase = "NotifProcessingPhase".to_owned();
        notification.fields.insert(phase, json!("4"));
        notification.open = false;
        true
    }

    /// Begins a session, and tells its token.
    fn with_token(&mut self, reply: Reply) -> Reply {
        self.begun += 1;
        let (session, token) = (
            format!("session-{}", self.begun),
            format!("token-{}", self.begun),
        );
        if self.sessions.len() >= MOST_SESSIONS {
            self.sessions.pop_first();
        }
        self.sessions.insert(session.clone(), (token.clone(), 0));
        reply
            .with("x-csrf-token", &token)
            .with(
                "set-cookie",
                &format!("{SESSION_COOKIE}={session}; path=/; HttpOnly"),
            )
            .with("set-cookie", "sap-usercontext=sap-client=100; path=/")
    }

    /// Whether the session is there and the token its own; it has seen one change more then.
    fn token_is_right(&mut self, asked: &Asked) -> bool {
        let session = asked.cookie(SESSION_COOKIE);
        let known = session.and_then(|session| self.sessions.get_mut(session));
        let Some((token, changes)) = known else {
            return false;
        };
        let most = self.changes_of_a_session;
        if *token != asked.header("x-csrf-token") || most.is_some_and(|most| *changes >= most) {
            return false;
        }
        *changes += 1;
        true
    }

    fn read(&self, asked: &Asked, service: &str, resource: &str) -> Reply {
        match (service, resource) {
            (NOTIFICATIONS, "") => shown(
                asked,
                200,
                &json!({"EntitySets": ["MaintenanceNotification"]}),
            ),
            (ATTACHMENTS, "") => {
                shown(asked, 200, &json!({"EntitySets": ["AttachmentContentSet"]}))
            }
            (NOTIFICATIONS, "MaintenanceNotification") => self.list(asked),
            (NOTIFICATIONS, _) => {
                let number = resource
                    .strip_prefix("MaintenanceNotification('")
                    .and_then(|rest| rest.strip_suffix("')"));
                let found = number.and_then(|number| self.notifications.get(number));
                match found {
                    Some(found) => shown(asked, 200, &Value::Object(found.fields.clone())),
                    None => failure(404, "Resource not found"),
                }
            }
            _ => failure(404, "Resource not found"),
        }
    }

    fn list(&self, asked: &Asked) -> Reply {
        let wanted = match asked.parameter("$filter").map(equality) {
            None => None,
            Some(None) => return failure(400, "Invalid filter"),
            Some(Some((name, _))) if !is_known(&name) => {
                return failure(400, &format!("Property {name} is invalid"));
            }
            Some(wanted) => wanted,
        };
        let fits = |ticket: &&Ticket| {
            let wanted = wanted.as_ref();
            wanted.is_none_or(|(name, value)| ticket.text(name) == value)
        };
        let most = asked.parameter("$top").and_then(|top| top.parse().ok());
        let found = self.notifications.all().filter(fits);
        let results: Vec<_> = found
            .take(most.unwrap_or(100))
            .map(|ticket| Value::Object(ticket.fields.clone()))
            .collect();
        shown(asked, 200, &json!({"results": results}))
    }

    fn create(&mut self, asked: &Asked) -> Reply {
        let Some(mut fields) = asked.object() else {
            return failure(400, "Error while parsing the request body");
        };
        if let Some(reply) = self.refusal(&fields) {
            return reply;
        }
        for name in ["TechnicalObject", "MaintNotifExtReferenceNumber"] {
            if let Some(Value::String(text)) = fields.get_mut(name) {
                *text = text.to_uppercase();
            }
        }
        let number = (10_000_001 + self.notifications.made()).to_string();
        fields.insert("MaintenanceNotification".to_owned(), json!(number));
        fields.insert("NotifProcessingPhase".to_owned(), json!("1"));
        self.notifications.open(&number, fields.clone());
        let entity = format!("{}('{number}')", asked.path);
        shown(asked, 201, &Value::Object(fields)).with("location", &entity)
    }

    fn refusal(&self, fields: &Map<String, Value>) -> Option<Reply> {
        for (name, value) in fields {
            if let Some(text) = wrong(name, value) {
                return Some(failure(400, &text));
            }
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("");
        for name in ["NotificationType", "NotificationText"] {
            if text(name).is_empty() {
                return Some(failure(400, &format!("Enter a value for {name}")));
            }
        }
        let object = text("TechnicalObject").to_uppercase();
        let known = match text("TechObjIsEquipOrFuncnlLoc") {
            _ if object.is_empty() => true,
            "EAMS_EQUI" => self.equipment.contains(&object),
            "EAMS_FL" => self.locations.contains(&object),
            other => {
                return Some(failure(
                    400,
                    &format!("{other} is no technical object type"),
                ));
            }
        };
        (!known).then(|| failure(400, &format!("Technical object {object} does not exist")))
    }

    fn attach(&mut self, asked: &Asked) -> Reply {
        let kind = asked.header("businessobjecttypename");
        if !["BUS2038", "PMQMEL"].contains(&kind) {
            return failure(400, "BusinessObjectTypeName is missing or not known");
        }
        let name = asked.header("slug");
        if name.is_empty() || asked.body.is_empty() {
            return failure(400, "Slug or content is missing");
        }
        let number = asked.header("linkedsapobjectkey").trim_start_matches('0');
        let content_type = asked.header("content-type");
        if !(self.notifications).attach(number, name, content_type, &asked.body) {
            return failure(400, "LinkedSAPObjectKey does not exist");
        }
        shown(
            asked,
            201,
            &json!({"FileName": name, "LinkedSAPObjectKey": number}),
        )
    }
}

impl System for Sap {
    fn answer(&mut self, asked: &Asked, _: Timestamp) -> Reply {
        let path = asked.segments();
        let path: Vec<_> = path.iter().map(String::as_str).collect();
        let ["sap", "opu", "odata", "sap", service, rest @ ..] = &*path else {
            return failure(404, "No service found");
        };
        let resource = rest.join("/");
        if ["GET", "HEAD"].contains(&&*asked.method) {
            let reply = self.read(asked, service, &resource);
            return if asked.header("x-csrf-token").eq_ignore_ascii_case("fetch") {
                self.with_token(reply)
            } else {
                reply
            };
        }
        if !self.token_is_right(asked) {
            return Reply::text(403, "text/plain", "CSRF token validation failed")
                .with("x-csrf-token", "Required");
        }
        match (&*asked.method, *service, &*resource) {
            ("POST", NOTIFICATIONS, "MaintenanceNotification") => self.create(asked),
            ("POST", ATTACHMENTS, "AttachmentContentSet") => self.attach(asked),
            _ => failure(404, "Resource not found"),
        }
    }

    fn refuse(&self, _: &Asked) -> Reply {
        let page = "<html><body><h1>Anmeldung fehlgeschlagen / Logon failed</h1></body></html>";
        Reply::text(401, "text/html", page).with("www-authenticate", "Basic realm=\"SAP\"")
    }
}

fn is_known(name: &str) -> bool {
    TEXTS.iter().any(|(text, _)| *text == name)
        || ["MaintenanceNotification", "NotifProcessingPhase"].contains(&name)
}

/// What is wrong with a member, if anything.
fn wrong(name: &str, value: &Value) -> Option<String> {
    let invalid = || Some(format!("Property {name} has an invalid value"));
    let Some(text) = value.as_str() else {
        let known = is_known(name) || DATES.contains(&name) || TIMES.contains(&name);
        return if known {
            invalid()
        } else {
            Some(format!("Property {name} is invalid"))
        };
    };
    if DATES.contains(&name) {
        let ms = text
            .strip_prefix("/Date(")
            .and_then(|t| t.strip_suffix(")/"));
        return match ms.map(str::parse::<i64>) {
            Some(Ok(_)) => None,
            _ => invalid(),
        };
    }
    if TIMES.contains(&name) {
        return if is_time(text) { None } else { invalid() };
    }
    match TEXTS.iter().find(|(known, _)| *known == name) {
        None => Some(format!("Property {name} is invalid")),
        Some((_, most)) if text.chars().count() > *most => Some(format!(
            "Property {name} has a value that is longer than {most}"
        )),
        Some(_) => None,
    }
}

/// As in `PT09H31M12S`.
fn is_time(text: &str) -> bool {
    let mut rest = text.strip_prefix("PT").unwrap_or_default();
    for end in ['H', 'M', 'S'] {
        let Some((number, after)) = rest.split_once(end) else {
            return false;
        };
        if number.parse::<u8>().is_err() {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// `Name eq 'value'`.
fn equality(filter: &str) -> Option<(String, String)> {
    let (name, value) = filter.split_once(" eq ")?;
    let value = value.trim().strip_prefix('\'')?.strip_suffix('\'')?;
    Some((name.trim().to_owned(), value.to_owned()))
}

/// The answer in JSON where that is asked for, and in XML otherwise.
fn shown(asked: &Asked, status: u16, value: &Value) -> Reply {
    let asks = asked.header("accept").contains("application/json")
        || asked.parameter("$format") == Some("json");
    if asks {
        Reply::json(status, &json!({"d": value}))
    } else {
        let page = "<?xml version=\"1.0\" encoding=\"utf-8\"?><entry/>";
        Reply::text(status, "application/atom+xml", page)
    }
}

fn failure(status: u16, text: &str) -> Reply {
    Reply::json(
        status,
        &json!({"error": {"code": "SY/530", "message": {"lang": "en", "value": text}}}),
    )
}
