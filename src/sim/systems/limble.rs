//! Limble: tasks.
//!
//! # Invariants
//! - `due` is a number of seconds, and a task is made without `statusID`: both are refused
//!   otherwise.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::base::{Asked, Reply, System, Ticket, Tickets};

/// A Limble account. Who may call is [`SystemWorld::require`](super::base::SystemWorld::require),
/// with what [`basic`](super::base::basic) makes of client id and secret.
#[derive(Debug)]
pub struct Limble {
    tasks: Tickets,
    finds_meta1: bool,
}

impl Default for Limble {
    fn default() -> Self {
        Self {
            tasks: Tickets::default(),
            finds_meta1: true,
        }
    }
}

impl Limble {
    /// Its tasks.
    pub fn tasks(&self) -> &Tickets {
        &self.tasks
    }

    /// Whether `meta1` in a query is looked at; if not, it is ignored and other tasks come back.
    pub fn finds_meta1(&mut self, finds: bool) {
        self.finds_meta1 = finds;
    }

    /// Someone completes a task; false where there is none.
    pub fn complete(&mut self, id: &str, at: Timestamp) -> bool {
        let Some(task) = self.tasks.get_mut(id) else {
            return false;
        };
        task.open = false;
        let completed = at.as_second().into();
        task.fields.insert("dateCompleted".to_owned(), completed);
        true
    }

    fn create(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        let Some(mut task) = asked.object() else {
            return refused("The body is no JSON object.");
        };
        if let Err(why) = check(&task) {
            return refused(why);
        }
        let number = 9_001 + self.tasks.made();
        task.insert("taskID".to_owned(), number.into());
        task.insert("createdDate".to_owned(), now.as_second().into());
        task.insert("dateCompleted".to_owned(), Value::Null);
        self.tasks.open(&number.to_string(), task);
        Reply::json(201, &json!({"taskID": number}))
    }

    fn list(&self, asked: &Asked) -> Reply {
        let limit = asked
            .parameter("limit")
            .and_then(|limit| limit.parse().ok());
        let ids: Option<Vec<&str>> = asked.parameter("tasks").map(|ids| ids.split(',').collect());
        let meta1 = asked.parameter("meta1").filter(|_| self.finds_meta1);
        let wanted = |task: &&Ticket| {
            ids.as_ref()
                .is_none_or(|ids| ids.contains(&task.id.as_str()))
                && meta1.is_none_or(|meta1| task.text("meta1") == meta1)
        };
        let found = self.tasks.all().filter(wanted).take(limit.unwrap_or(100));
        let found: Vec<&Map<String, Value>> = found.map(|task| &task.fields).collect();
        Reply::json(200, &json!(found))
    }

    fn change(&mut self, id: &str, asked: &Asked) -> Reply {
        let (Some(task), Some(changes)) = (self.tasks.get_mut(id), asked.object()) else {
            return refused("There is no such task, or nothing to change.");
        };
        task.fields.extend(changes);
        Reply::empty(204)
    }
}

impl System for Limble {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (asked.method.as_str(), segments.as_slice()) {
            ("POST", ["v2", "tasks"]) => self.create(asked, now),
            ("GET", ["v2", "tasks"]) => self.list(asked),
            ("PATCH", ["v2", "tasks", id]) => self.change(id, asked),
            _ => Reply::json(404, &json!({"message": "Not found"})),
        }
    }
}

fn check(task: &Map<String, Value>) -> Result<(), &'static str> {
    let number = |name: &str| task.get(name).is_some_and(Value::is_u64);
    let name = task.get("name").and_then(Value::as_str);
    if name.is_none_or(str::is_empty) {
        return Err("name must be a string that is not empty");
    }
    if !number("locationID") {
        return Err("locationID must be a number");
    }
    if !number("type") {
        return Err("type must be a number");
    }
    if task.contains_key("assetID") && !number("assetID") {
        return Err("assetID must be a number");
    }
    if !number("due") {
        return Err("due must be a number");
    }
    if task.contains_key("statusID") {
        return Err("statusID is not allowed");
    }
    Ok(())
}

fn refused(why: &str) -> Reply {
    Reply::json(400, &json!({"message": why}))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::super::base::basic;
    use super::super::probe::{Answered, Probe, sent};
    use super::*;
    use crate::clock::Clock;

    async fn probe() -> Probe<Limble> {
        let probe = Probe::of(Limble::default(), Clock::system()).await;
        let world = probe.running.world();
        world.require("authorization", &basic("client", "secret"));
        probe
    }

    async fn create(probe: &Probe<Limble>, task: &Value) -> Answered {
        let request = probe.ask(Method::POST, "/v2/tasks").json(task);
        sent(request.basic_auth("client", Some("secret"))).await
    }

    async fn list(probe: &Probe<Limble>, query: &str) -> Value {
        let request = probe.ask(Method::GET, &format!("/v2/tasks?{query}"));
        let answer = sent(request.basic_auth("client", Some("secret"))).await;
        assert_eq!(answer.status, 200);
        answer.json()
    }

    fn task() -> Value {
        json!({
            "name": "Leak detected", "description": "58.2 dB", "locationID": 77, "assetID": 4201,
            "type": 2, "due": 1_770_700_000, "meta1": "0123456789abcdef",
        })
    }

    #[tokio::test]
    async fn a_task_is_made_and_found_by_its_meta1() {
        let probe = probe().await;
        assert_eq!(
            list(&probe, "meta1=0123456789abcdef&limit=1").await,
            json!([])
        );
        let made = create(&probe, &task()).await;
        assert_eq!(made.status, 201);
        let found = list(&probe, "meta1=0123456789abcdef&limit=1").await;
        assert_eq!(found[0]["taskID"], made.json()["taskID"]);
    }

    #[tokio::test]
    async fn a_due_that_is_text_and_a_status_are_refused() {
        let probe = probe().await;
        let mut text = task();
        text["due"] = json!("2026-02-10T00:00:00Z");
        let refused = create(&probe, &text).await;
        assert_eq!(
            (refused.status, refused.json()["message"].as_str()),
            (400, Some("due must be a number"))
        );
        let mut status = task();
        status["statusID"] = json!(1);
        assert_eq!(create(&probe, &status).await.status, 400);
        assert_eq!(
            probe.running.world().with(|limble| limble.tasks().made()),
            0
        );
    }

    #[tokio::test]
    async fn a_query_that_is_ignored_brings_other_tasks() {
        let probe = probe().await;
        create(&probe, &task()).await;
        let world = probe.running.world();
        world.with(|limble| limble.finds_meta1(false));
        let found = list(&probe, "meta1=ffffffffffffffff&limit=1").await;
        assert_eq!(found[0]["meta1"], "0123456789abcdef");
    }

    #[tokio::test]
    async fn a_task_that_is_completed_says_when() {
        let probe = probe().await;
        let id = create(&probe, &task()).await.json()["taskID"].to_string();
        let query = format!("tasks={id}&limit=1");
        assert_eq!(list(&probe, &query).await[0]["dateCompleted"], Value::Null);
        let at = "2026-02-04T10:00:00Z".parse().unwrap();
        assert!(
            probe
                .running
                .world()
                .with(|limble| limble.complete(&id, at))
        );
        assert_eq!(
            list(&probe, &query).await[0]["dateCompleted"],
            1_770_199_200
        );
    }

    #[tokio::test]
    async fn without_the_credentials_nothing_is_done() {
        let probe = probe().await;
        assert_eq!(probe.post("/v2/tasks", &task()).await.status, 401);
        assert_eq!(
            probe.running.world().with(|limble| limble.tasks().made()),
            0
        );
    }
}
