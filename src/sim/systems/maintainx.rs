//! `MaintainX`: work orders.
//!
//! # Invariants
//! - A priority is one of four words, and ids are numbers.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::base::{Asked, Reply, System, Tickets};

const PRIORITIES: [&str; 4] = ["NONE", "LOW", "MEDIUM", "HIGH"];

/// A `MaintainX` organization. Who may call is
/// [`SystemWorld::require`](super::base::SystemWorld::require), with `Bearer` and a key.
#[derive(Debug, Default)]
pub struct MaintainX {
    work_orders: Tickets,
}

impl MaintainX {
    /// Its work orders.
    pub fn work_orders(&self) -> &Tickets {
        &self.work_orders
    }

    /// Someone completes a work order; false where there is none.
    pub fn complete(&mut self, id: &str) -> bool {
        let Some(order) = self.work_orders.get_mut(id) else {
            return false;
        };
        order.open = false;
        order.fields.insert("status".to_owned(), "DONE".into());
        true
    }

    fn create(&mut self, asked: &Asked) -> Reply {
        let Some(mut order) = asked.object() else {
            return refused("the body is no JSON object");
        };
        if let Err(why) = check(&order) {
            return refused(why);
        }
        let number = 12_345 + self.work_orders.made();
        order.insert("id".to_owned(), number.into());
        order.insert("status".to_owned(), "OPEN".into());
        self.work_orders.open(&number.to_string(), order);
        Reply::json(201, &json!({"id": number}))
    }
}

impl System for MaintainX {
    fn answer(&mut self, asked: &Asked, _: Timestamp) -> Reply {
        let segments = asked.segments();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (asked.method.as_str(), segments.as_slice()) {
            ("POST", ["v1", "workorders"]) => self.create(asked),
            ("GET", ["v1", "workorders", id]) => match self.work_orders.get(id) {
                Some(order) => Reply::json(200, &json!({"workOrder": order.fields})),
                None => Reply::json(404, &json!({"errors": [{"error": "not found"}]})),
            },
            _ => Reply::json(404, &json!({"errors": [{"error": "not found"}]})),
        }
    }

    fn refuse(&self, _: &Asked) -> Reply {
        Reply::json(401, &json!({"errors": [{"error": "Invalid token"}]}))
    }
}

fn check(order: &Map<String, Value>) -> Result<(), &'static str> {
    let text = |name: &str| order.get(name).and_then(Value::as_str);
    if text("title").is_none_or(str::is_empty) {
        return Err("title must be a string that is not empty");
    }
    if order.contains_key("priority")
        && text("priority").is_none_or(|word| !PRIORITIES.contains(&word))
    {
        return Err("priority must be one of NONE, LOW, MEDIUM, HIGH");
    }
    for id in ["assetId", "locationId"] {
        if order.get(id).is_some_and(|id| !id.is_u64()) {
            return Err("assetId and locationId must be numbers");
        }
    }
    Ok(())
}

fn refused(why: &str) -> Reply {
    Reply::json(400, &json!({"errors": [{"error": why}]}))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::super::probe::{Answered, Probe, sent};
    use super::*;
    use crate::clock::Clock;

    async fn probe() -> Probe<MaintainX> {
        let probe = Probe::of(MaintainX::default(), Clock::system()).await;
        probe.running.world().require("authorization", "Bearer key");
        probe
    }

    async fn create(probe: &Probe<MaintainX>, order: &Value) -> Answered {
        let request = probe.ask(Method::POST, "/v1/workorders").json(order);
        sent(request.bearer_auth("key")).await
    }

    fn order() -> Value {
        json!({"title": "Leak detected", "description": "58.2 dB", "priority": "HIGH",
               "assetId": 8901, "locationId": 2345})
    }

    #[tokio::test]
    async fn a_work_order_is_made_and_says_when_it_is_done() {
        let probe = probe().await;
        let made = create(&probe, &order()).await;
        assert_eq!(made.status, 201);
        let id = made.json()["id"].to_string();
        let status = async || {
            let request = probe.ask(Method::GET, &format!("/v1/workorders/{id}"));
            let answer = sent(request.bearer_auth("key")).await;
            answer.json()["workOrder"]["status"].clone()
        };
        assert_eq!(status().await, "OPEN");
        assert!(probe.running.world().with(|world| world.complete(&id)));
        assert_eq!(status().await, "DONE");
    }

    #[tokio::test]
    async fn other_words_for_the_priority_and_ids_that_are_text_are_refused() {
        let probe = probe().await;
        for (member, wrong) in [
            ("priority", json!("high")),
            ("priority", json!("URGENT")),
            ("priority", json!(3)),
            ("assetId", json!("8901")),
            ("locationId", json!("2345")),
            ("title", json!("")),
        ] {
            let mut body = order();
            body[member] = wrong;
            assert_eq!(create(&probe, &body).await.status, 400, "{member}");
        }
        let made = probe
            .running
            .world()
            .with(|world| world.work_orders().made());
        assert_eq!(made, 0);
    }

    #[tokio::test]
    async fn without_the_key_nothing_is_done() {
        let probe = probe().await;
        assert_eq!(probe.post("/v1/workorders", &order()).await.status, 401);
        assert_eq!(probe.get("/v1/workorders/12345").await.status, 401);
    }
}
