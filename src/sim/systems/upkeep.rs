//! `UpKeep`: a session that ends, and work orders.
//!
//! # Invariants
//! - A token is good for as long as it was said to be, unless it is revoked before.
//! - What is not done is answered with `success: false`, also where the status is 200.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::base::{Asked, Reply, System, Tickets};
use crate::clock;

/// How long a session lasts.
const SESSION: Duration = Duration::from_hours(1);

/// An `UpKeep` account.
#[derive(Debug)]
pub struct UpKeep {
    email: String,
    password: String,
    sessions: u64,
    session: Option<(String, Timestamp)>,
    stillborn: u32,
    unsuccessful: u32,
    work_orders: Tickets,
}

impl UpKeep {
    /// An account with this user; a session lasts an hour.
    pub fn new(email: &str, password: &str) -> Self {
        Self {
            email: email.to_owned(),
            password: password.to_owned(),
            sessions: 0,
            session: None,
            stillborn: 0,
            unsuccessful: 0,
            work_orders: Tickets::default(),
        }
    }

    /// Its work orders.
    pub fn work_orders(&self) -> &Tickets {
        &self.work_orders
    }

    /// How often someone logged in.
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// The session that is there is over.
    pub fn end_session(&mut self) {
        self.session = None;
    }

    /// So many of the next sessions are over before they are used.
    pub fn end_next_sessions(&mut self, times: u32) {
        self.stillborn = times;
    }

    /// So many of the next work orders are not made: 200 with `success: false`.
    pub fn fail_next(&mut self, times: u32) {
        self.unsuccessful = times;
    }

    fn login(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        let given = asked.object().unwrap_or_default();
        let is = |name: &str, value: &str| given.get(name).and_then(Value::as_str) == Some(value);
        if !is("email", &self.email) || !is("password", &self.password) {
            return failure(401, "Invalid username/password.");
        }
        self.sessions += 1;
        let token = format!("r:session-{}", self.sessions);
        let expires = clock::later(now, SESSION);
        if self.stillborn > 0 {
            self.stillborn -= 1;
            self.session = None;
        } else {
            self.session = Some((token.clone(), expires));
        }
        let result = json!({"sessionToken": token, "expiresAt": expires.to_string()});
        Reply::json(200, &json!({"success": true, "result": result}))
    }

    fn knows(&self, asked: &Asked, now: Timestamp) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|(token, expires)| {
            asked.header("session-token") == token && now < *expires
        })
    }

    fn create(&mut self, asked: &Asked) -> Reply {
        let Some(mut order) = asked.object() else {
            return failure(400, "The body is no JSON object.");
        };
        if let Err(why) = check(&order) {
            return failure(400, why);
        }
        if self.unsuccessful > 0 {
            self.unsuccessful -= 1;
            return failure(200, "Something went wrong.");
        }
        let id = format!("wo{:08}", self.work_orders.made() + 1);
        order.insert("id".to_owned(), id.clone().into());
        order.insert("status".to_owned(), "open".into());
        let result = Value::Object(order.clone());
        self.work_orders.open(&id, order);
        Reply::json(200, &json!({"success": true, "result": result}))
    }
}

impl System for UpKeep {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        match (asked.method.as_str(), asked.path.as_str()) {
            ("POST", "/api/v2/auth") => self.login(asked, now),
            ("POST", "/api/v2/work-orders") if self.knows(asked, now) => self.create(asked),
            ("POST", "/api/v2/work-orders") => failure(401, "Invalid session token."),
            _ => failure(404, "Not found."),
        }
    }
}

fn check(order: &Map<String, Value>) -> Result<(), &'static str> {
    let given = |name: &str| order.get(name).filter(|value| !value.is_null());
    if given("title")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return Err("title is required");
    }
    if given("priority").is_some_and(|priority| priority.as_u64().is_none_or(|it| it > 3)) {
        return Err("priority must be 0, 1, 2 or 3");
    }
    for id in ["asset", "location"] {
        if given(id).is_some_and(|id| !id.is_string()) {
            return Err("asset and location must be ids");
        }
    }
    Ok(())
}

fn failure(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"success": false, "message": message}))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::super::probe::{Answered, Probe, sent};
    use super::*;
    use crate::clock::{Clock, Hand};

    async fn probe() -> (Probe<UpKeep>, Hand) {
        let (clock, hand) = Clock::manual("2026-02-03T09:20:00Z".parse().unwrap());
        let upkeep = UpKeep::new("relay@plant.example", "pass");
        (Probe::of(upkeep, clock).await, hand)
    }

    async fn login(probe: &Probe<UpKeep>) -> String {
        let who = json!({"email": "relay@plant.example", "password": "pass"});
        let answer = probe.post("/api/v2/auth", &who).await;
        assert_eq!(
            (answer.status, &answer.json()["success"]),
            (200, &json!(true))
        );
        let token = answer.json()["result"]["sessionToken"].clone();
        token.as_str().unwrap().to_owned()
    }

    async fn create(probe: &Probe<UpKeep>, token: &str, order: &Value) -> Answered {
        let request = probe.ask(Method::POST, "/api/v2/work-orders").json(order);
        sent(request.header("Session-Token", token)).await
    }

    fn order() -> Value {
        json!({"title": "Leak detected", "description": "58.2 dB", "priority": 3,
               "asset": "O1L94DYjCv"})
    }

    fn made(probe: &Probe<UpKeep>) -> u64 {
        let world = probe.running.world();
        world.with(|upkeep| upkeep.work_orders().made())
    }

    #[tokio::test]
    async fn who_logs_in_may_make_a_work_order() {
        let (probe, _) = probe().await;
        let token = login(&probe).await;
        let answer = create(&probe, &token, &order()).await.json();
        assert_eq!(answer["success"], true);
        assert_eq!(answer["result"]["id"], "wo00000001");
        assert_eq!(made(&probe), 1);
    }

    #[tokio::test]
    async fn a_session_that_is_over_is_401_until_someone_logs_in_again() {
        let (probe, hand) = probe().await;
        let world = probe.running.world();
        let first = login(&probe).await;
        hand.advance(Duration::from_hours(1));
        assert_eq!(create(&probe, &first, &order()).await.status, 401);
        world.with(|upkeep| upkeep.end_next_sessions(1));
        let second = login(&probe).await;
        assert_eq!(create(&probe, &second, &order()).await.status, 401);
        let third = login(&probe).await;
        assert_eq!(create(&probe, &third, &order()).await.status, 200);
        world.with(UpKeep::end_session);
        assert_eq!(create(&probe, &third, &order()).await.status, 401);
        assert_eq!(
            (made(&probe), world.with(|upkeep| upkeep.sessions())),
            (1, 3)
        );
    }

    #[tokio::test]
    async fn a_200_may_say_that_nothing_was_made() {
        let (probe, _) = probe().await;
        let token = login(&probe).await;
        probe.running.world().with(|upkeep| upkeep.fail_next(1));
        let answer = create(&probe, &token, &order()).await;
        assert_eq!(
            (answer.status, &answer.json()["success"]),
            (200, &json!(false))
        );
        assert_eq!(made(&probe), 0);
    }

    #[tokio::test]
    async fn a_wrong_password_and_a_wrong_form_are_refused() {
        let (probe, _) = probe().await;
        let who = json!({"email": "relay@plant.example", "password": "wrong"});
        assert_eq!(probe.post("/api/v2/auth", &who).await.status, 401);
        let token = login(&probe).await;
        for (member, wrong) in [
            ("priority", json!("high")),
            ("priority", json!(4)),
            ("asset", json!(7)),
            ("title", json!(null)),
        ] {
            let mut body = order();
            body[member] = wrong;
            assert_eq!(create(&probe, &token, &body).await.status, 400, "{member}");
        }
        assert_eq!(made(&probe), 0);
    }
}
