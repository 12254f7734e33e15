//! Fiix: signed requests, and objects of classes that are found and added.
//!
//! # Invariants
//! - Nothing is looked at whose signature over the whole URL, without its scheme, is wrong.
//! - What is not done is answered with 200 and a member `error`.
//! - A `timestamp` is good for [`SKEW`]: a signature is made for one try.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use super::base::{Asked, Reply, System, Ticket, Tickets};

/// How far a request's `timestamp` may be from now. Nothing is published about that; a request
/// that is signed once and sent again later shall not go unnoticed.
pub const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// Links beyond this number are refused.
pub const MOST_LINKS: usize = 10_000;

/// A Fiix tenant.
#[derive(Debug)]
pub struct Fiix {
    app_key: String,
    access_key: String,
    secret: String,
    assets: BTreeMap<String, u64>,
    work_orders: Tickets,
    links: Vec<(String, u64)>,
    own_codes: bool,
}

impl Fiix {
    /// A tenant with these keys, and assets by code and id.
    pub fn new(app_key: &str, access_key: &str, secret: &str, assets: &[(&str, u64)]) -> Self {
        let assets = assets.iter().map(|&(code, id)| (code.to_owned(), id));
        Self {
            app_key: app_key.to_owned(),
            access_key: access_key.to_owned(),
            secret: secret.to_owned(),
            assets: assets.collect(),
            work_orders: Tickets::default(),
            links: Vec::new(),
            own_codes: false,
        }
    }

    /// Its work orders.
    pub fn work_orders(&self) -> &Tickets {
        &self.work_orders
    }

    /// Which work order is about which asset, by their ids.
    pub fn links(&self) -> &[(String, u64)] {
        &self.links
    }

    /// Whether it gives work orders a code of its own, whatever they come with.
    pub fn give_own_codes(&mut self, give: bool) {
        self.own_codes = give;
    }

    fn authentic(&self, asked: &Asked, now: Timestamp) -> Result<(), &'static str> {
        for (name, expected) in [
            ("service", "cmms"),
            ("signatureMethod", "HmacSHA256"),
            ("signatureVersion", "1"),
            ("appKey", self.app_key.as_str()),
            ("accessKey", self.access_key.as_str()),
        ] {
            if asked.parameter(name) != Some(expected) {
                return Err("a parameter of the URL is missing or wrong");
            }
        }
        let at = asked.parameter("timestamp").and_then(|ms| ms.parse().ok());
        let at = at.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        if at.is_none_or(|at| now.duration_since(at).abs() > SKEW) {
            return Err("timestamp is not now in milliseconds");
        }
        let signed = format!("{}{}", asked.header("host"), asked.target);
        match signature(&self.secret, &signed) {
            Some(good) if asked.header("authorization") == good => Ok(()),
            _ => Err("the signature is wrong"),
        }
    }

    fn act(&mut self, request: &Map<String, Value>) -> Result<Value, &'static str> {
        let text = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or("");
        if !request.get("clientVersion").is_some_and(Value::is_object) {
            return Err("clientVersion is missing");
        }
        match (text("_maCn"), text("className")) {
            ("FindRequest", class @ ("Asset" | "WorkOrder")) => self.find(class, request),
            ("AddRequest", class @ ("WorkOrder" | "WorkOrderAsset")) => {
                let object = request.get("object").and_then(Value::as_object);
                let object = object.ok_or("there is no object")?;
                if object.get("className").and_then(Value::as_str) != Some(class) {
                    return Err("the className of the object is another");
                }
                if class == "WorkOrder" {
                    self.add_work_order(object)
                } else {
                    self.add_link(object)
                }
            }
            _ => Err("no such request, or no such class"),
        }
    }

    fn find(&self, class: &str, request: &Map<String, Value>) -> Result<Value, &'static str> {
        let filter = request.get("filters").and_then(|filters| filters.get(0));
        let filter = filter.ok_or("there is no filter")?;
        if filter.get("ql").and_then(Value::as_str) != Some("strCode = ?") {
            return Err("the ql of the filter is not understood");
        }
        let code = filter.pointer("/parameters/0").and_then(Value::as_str);
        let code = code.ok_or("a filter with ? has no parameter")?;
        let objects: Vec<Value> = if class == "Asset" {
            let id = self.assets.get(code);
            id.map(|id| json!({"className": "Asset", "id": id, "strCode": code}))
                .into_iter()
                .collect()
        } else {
            let coded = |order: &&Ticket| order.text("strCode") == code;
            let found = self.work_orders.all().filter(coded);
            found.map(|order| order.fields.clone().into()).collect()
        };
        Ok(json!({"_maCn": "FindResponse", "totalObjects": objects.len(), "objects": objects}))
    }

    fn add_work_order(&mut self, object: &Map<String, Value>) -> Result<Value, &'static str> {
        for id in ["intSiteID", "intWorkOrderStatusID"] {
            if !object.get(id).is_some_and(Value::is_u64) {
                return Err("intSiteID and intWorkOrderStatusID must be numbers");
            }
        }
        for id in ["intPriorityID", "intMaintenanceTypeID"] {
            if object.get(id).is_some_and(|id| !id.is_u64()) {
                return Err("an id is no number");
            }
        }
        let number = 5_001 + self.work_orders.made();
        let mut order = object.clone();
        order.insert("id".to_owned(), number.into());
        if self.own_codes || !order.contains_key("strCode") {
            order.insert("strCode".to_owned(), number.to_string().into());
        }
        self.work_orders.open(&number.to_string(), order.clone());
        Ok(json!({"_maCn": "AddResponse", "count": 1, "object": order}))
    }

    fn add_link(&mut self, object: &Map<String, Value>) -> Result<Value, &'static str> {
        let number = |name: &str| object.get(name).and_then(Value::as_u64);
        let ids = number("intWorkOrderID").zip(number("intAssetID"));
        let (order, asset) = ids.ok_or("an id is no number")?;
        let order = order.to_string();
        if self.work_orders.get(&order).is_none() || !self.assets.values().any(|id| *id == asset) {
            return Err("there is no such work order, or no such asset");
        }
        if self.links.len() >= MOST_LINKS {
            return Err("there are too many links");
        }
        self.links.push((order, asset));
        Ok(json!({"_maCn": "AddResponse", "count": 1, "object": {"id": self.links.len()}}))
    }
}

impl System for Fiix {
    fn answer(&mut self, asked: &Asked, now: Timestamp) -> Reply {
        if asked.method != "POST" || !matches!(asked.path.as_str(), "/api" | "/api/") {
            return Reply::empty(404);
        }
        let done = self.authentic(asked, now).and_then(|()| {
            if !asked.header("content-type").starts_with("text/plain") {
                return Err("the content type is not text/plain");
            }
            self.act(&asked.object().ok_or("the body is no JSON object")?)
        });
        let body = done.unwrap_or_else(
            |why| json!({"_maCn": "ErrorResponse", "error": {"code": 0, "message": why}}),
        );
        // In the real one's own answers too, JSON goes as text.
        Reply::text(200, "text/plain;charset=utf-8", body.to_string())
    }
}

/// What stands in `Authorization` for a URL without its scheme.
pub fn signature(secret: &str, url: &str) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(url.as_bytes());
    Some(hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use reqwest::Method;

    use super::super::probe::{Answered, Probe, sent};
    use super::*;
    use crate::clock::Clock;

    async fn probe() -> Probe<Fiix> {
        let fiix = Fiix::new("app", "access", "s3cret", &[("PUMP-101", 71)]);
        Probe::of(fiix, Clock::system()).await
    }

    fn query(at: Timestamp) -> String {
        let at = at.as_millisecond();
        format!(
            "/api/?service=cmms&timestamp={at}&appKey=app&accessKey=access\
             &signatureMethod=HmacSHA256&signatureVersion=1"
        )
    }

    async fn ask(probe: &Probe<Fiix>, body: &Value) -> Answered {
        let target = query(Clock::system().wall());
        let url = format!("{}{target}", probe.running.addr());
        let request = probe.ask(Method::POST, &target).body(body.to_string());
        let request = request.header("content-type", "text/plain");
        sent(request.header("authorization", signature("s3cret", &url).unwrap())).await
    }

    fn request(kind: &str, class: &str, more: &[(&str, Value)]) -> Value {
        let mut request = json!({
            "_maCn": kind, "className": class, "fields": "id, strCode",
            "clientVersion": {"major": 2, "minor": 8, "patch": 1},
        });
        for (name, value) in more {
            request[*name] = value.clone();
        }
        request
    }

    fn find(class: &str, code: &str) -> Value {
        let filters = json!([{"ql": "strCode = ?", "parameters": [code]}]);
        request("FindRequest", class, &[("filters", filters)])
    }

    fn add(class: &str, mut object: Value) -> Value {
        object["className"] = class.into();
        request("AddRequest", class, &[("object", object)])
    }

    fn order() -> Value {
        let order = json!({"strCode": "0123456789abcdef", "strDescription": "Leak detected",
                           "intSiteID": 12, "intWorkOrderStatusID": 34});
        add("WorkOrder", order)
    }

    fn made(probe: &Probe<Fiix>) -> u64 {
        let world = probe.running.world();
        world.with(|fiix| fiix.work_orders().made())
    }

    #[tokio::test]
    async fn a_work_order_is_added_linked_and_found_by_its_code() {
        let probe = probe().await;
        let code = find("WorkOrder", "0123456789abcdef");
        assert_eq!(ask(&probe, &code).await.json()["objects"], json!([]));
        let asset = ask(&probe, &find("Asset", "PUMP-101")).await.json();
        let added = ask(&probe, &order()).await.json();
        let link = json!({"intWorkOrderID": added["object"]["id"],
                          "intAssetID": asset["objects"][0]["id"]});
        let linked = ask(&probe, &add("WorkOrderAsset", link)).await;
        assert_eq!((linked.status, linked.json().get("error")), (200, None));
        let found = ask(&probe, &code).await.json();
        assert_eq!(found["objects"][0]["id"], added["object"]["id"]);
        let links = probe.running.world().with(|fiix| fiix.links().to_vec());
        assert_eq!(links, [("5001".to_owned(), 71)]);
    }

    #[tokio::test]
    async fn the_signature_is_over_the_whole_url_without_its_scheme() {
        let probe = probe().await;
        let target = query(Clock::system().wall());
        let host = probe.running.addr();
        let old = query("2026-02-03T09:20:00Z".parse().unwrap());
        for (target, signed, secret) in [
            (&target, format!("http://{host}{target}"), "s3cret"),
            (&target, format!("{host}/api/"), "s3cret"),
            (&target, format!("{host}{target}"), "wrong"),
            (&old, format!("{host}{old}"), "s3cret"),
        ] {
            let request = probe.ask(Method::POST, target).body(order().to_string());
            let request = request.header("content-type", "text/plain");
            let code = signature(secret, &signed).unwrap();
            let answer = sent(request.header("authorization", code)).await;
            assert_eq!(answer.status, 200);
            assert!(answer.json()["error"].is_object(), "{signed}");
        }
        assert_eq!(made(&probe), 0);
    }

    #[tokio::test]
    async fn another_content_type_than_text_is_an_error() {
        let probe = probe().await;
        let target = query(Clock::system().wall());
        let url = format!("{}{target}", probe.running.addr());
        let request = probe.ask(Method::POST, &target).json(&order());
        let code = signature("s3cret", &url).unwrap();
        let answer = sent(request.header("authorization", code)).await;
        assert!(answer.json()["error"].is_object());
        assert_eq!(made(&probe), 0);
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_request_is_an_error_behind_http_200() {
        let probe = probe().await;
        let text = json!({"intSiteID": "12", "intWorkOrderStatusID": 34});
        let nobody = json!({"intWorkOrderID": 9, "intAssetID": 71});
        for body in [
            add("WorkOrder", text),
            add("WorkOrderAsset", nobody),
            request("FindRequest", "WorkOrder", &[]),
            request("RemoveRequest", "WorkOrder", &[]),
            json!({"_maCn": "AddRequest"}),
            json!([]),
        ] {
            let answer = ask(&probe, &body).await;
            assert_eq!(answer.status, 200);
            assert!(answer.json()["error"].is_object(), "{body}");
        }
        assert_eq!(made(&probe), 0);
    }

    #[tokio::test]
    async fn a_tenant_may_give_codes_of_its_own() {
        let probe = probe().await;
        let world = probe.running.world();
        world.with(|fiix| fiix.give_own_codes(true));
        let added = ask(&probe, &order()).await.json();
        assert_eq!(added["object"]["strCode"], "5001");
        let found = ask(&probe, &find("WorkOrder", "0123456789abcdef"))
            .await
            .json();
        assert_eq!(found["objects"], json!([]));
    }
}
