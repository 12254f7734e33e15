//! The JSON API: what it answers is what its document says, and it does what the screens do.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use orbit_relay::relay::journal::State;
use orbit_relay::sim::backend::Answer as Plant;
use serde_json::{Value, json};

use crate::schema;
use crate::visitor::Visitor;
use crate::wire::{self, Answer};
use crate::world::{Relay, Site};

const CMMS: &str = "cmms";
const HOSTILE: [&str; 5] = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "\u{202e}txt.exe\u{2066}",
    "a/b?c=d&e#f%00;../..",
    "🦀👩‍👩‍👧‍👦",
];

/// A program with a token.
struct Program {
    at: SocketAddr,
    token: String,
}

impl Program {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let token = format!("Bearer {}", self.token);
        let mut all = vec![("authorization", &*token)];
        all.extend(headers);
        let path = format!("/api/v1{path}");
        let request = wire::request(&method.to_uppercase(), &path, &all, body.as_bytes());
        wire::send(self.at, &request).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let kind = [("content-type", "application/json")];
        self.ask(method, path, &kind, &body.to_string()).await
    }

    async fn document(&self) -> Value {
        self.get("/openapi.json").await.json()
    }
}

fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    let said = answer.json();
    assert!(
        said["error"].as_str().is_some_and(|text| !text.is_empty()),
        "{answer:?}"
    );
    assert!(
        said["advice"].as_str().is_some_and(|text| !text.is_empty()),
        "{answer:?}"
    );
}

async fn program(ann: &Visitor, relay: &Relay, role: &str) -> Program {
    Program {
        at: relay.ops,
        token: ann.token(role, role).await,
    }
}

/// A relay that has delivered, has given up, and has heard hostile names.
async fn filled() -> (Site, Relay, Visitor) {
    let site = Site::new().await.with_the_page();
    let site = site.without_flag("asset-map");
    let cmms = site.at(CMMS);
    let site = site.destination(cmms);
    let relay = site.start().await;
    relay.registered().await;
    for (n, name) in HOSTILE.iter().enumerate() {
        let id = format!("00000000-0000-4000-8000-{n:012}");
        let long = name.repeat(200);
        let body = json!({
            "uuid": id, "type": "ACTION_COMPLETED_WITH_ALERT", "time": "2026-02-03T09:14:07.118Z",
            "data": {
                "uuid": id, "actionName": name, "missionName": name, "robotNickname": name,
                "title": long, "error": 0, "assetId": name,
                "dataCaptures": [{"channelName": name, "dataUrl": "/api/v0/data/9.jpg",
                    "keyResults": [{"name": name, "value": "81.50", "units": name}]}],
            },
        });
        let answer = relay.post(body.to_string()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    relay.until_there_are_at(CMMS, 5, State::Delivered).await;
    site.plant().set_answer(Plant::Status(422));
    site.inspect().await;
    relay.until_there_are_at(CMMS, 1, State::Dead).await;
    site.plant().set_answer(Plant::Status(200));
    let ann = Visitor::at_first(&relay, &site).await;
    (site, relay, ann)
}

/// Paths that are there, for what stands in braces.
fn real(path: &str, known: &Value) -> Option<String> {
    let in_path = |text: &str| text.replace(' ', "%20");
    let name = match path {
        _ if path.starts_with("/settings/") => "verify".to_owned(),
        // What was saved just now is tried once it counts.
        "/destinations/{name}/preview" => CMMS.to_owned(),
        _ if path.starts_with("/destinations/") => "other".to_owned(),
        _ if path.starts_with("/presets/") => "generic".to_owned(),
        _ if path.starts_with("/assets/") => "PUMP-101".to_owned(),
        _ => String::new(),
    };
    let path = path
        .replace("{name}", &in_path(&name))
        .replace("{id}", known["id"].as_str()?)
        .replace("{at}", &known["at"].to_string())
        .replace("{seq}", "1");
    Some(path)
}

#[tokio::test]
async fn every_answer_to_get_is_as_the_document_says() {
    let (site, relay, ann) = filled().await;
    let program = program(&ann, &relay, "configure").await;
    let document = program.document().await;
    let row = json!({"cells": {"asset_id": "PUMP-101", "action_name": HOSTILE[0]}});
    for asset in ["PUMP-101", "PUMP-102"] {
        let mut row = row.clone();
        row["cells"]["asset_id"] = asset.into();
        row["cells"]["action_name"] = format!("{} {asset}", HOSTILE[0]).into();
        assert_eq!(program.send("post", "/map/rows", &row).await.status, 200);
    }
    let other = json!({"url": "http://127.0.0.1:9/x", "preset": "generic"});
    let saved = program.send("put", "/destinations/other", &other).await;
    assert_eq!(saved.json(), json!({"changed": true}), "{saved:?}");
    let list = program.get("/deliveries").await.json();
    assert_eq!(list["deliveries"].as_array().unwrap().len(), 6, "{list}");
    let history = program.get("/map/history").await.json();
    let known = json!({"id": list["deliveries"][0]["id"], "at": history["entries"][0]["at"]});
    let mut asked = 0;
    for (path, item) in document["paths"].as_object().unwrap() {
        let Some(operation) = item.get("get") else {
            continue;
        };
        // The simulated Orbit has no photograph of these.
        let expected = if path.contains("/picture") { 404 } else { 200 };
        let path = real(path, &known).unwrap();
        let answer = program.get(&path).await;
        assert_eq!(answer.status, expected, "{path}: {answer:?}");
        let mut response = &operation["responses"][answer.status.to_string()];
        if let Some(target) = response["$ref"].as_str() {
            response = document.pointer(target.trim_start_matches('#')).unwrap();
        }
        let kind = answer.header("content-type").unwrap();
        let kind = kind.split(';').next().unwrap();
        let content = &response["content"][kind];
        assert!(content.is_object(), "{path}: {kind} is not in the document");
        if kind == "application/json" {
            let found = schema::wrong(&document, &content["schema"], &answer.json());
            assert!(found.is_empty(), "{path}: {found:#?}");
        }
        asked += 1;
    }
    assert!(asked > 25, "{asked}");
    for delivery in list["deliveries"].as_array().unwrap() {
        let path = format!("/deliveries/{}", delivery["id"].as_str().unwrap());
        let story = program.get(&path).await;
        let shape = json!({"$ref": "#/components/schemas/Story"});
        let found = schema::wrong(&document, &shape, &story.json());
        assert!(
            story.status == 200 && found.is_empty(),
            "{path}: {found:#?}"
        );
    }
    relay.stop().await;
    drop(site);
}

#[tokio::test]
async fn who_may_do_what_is_as_the_document_says_and_nobody_may_without_a_token() {
    let (site, relay, ann) = filled().await;
    let roles = ["see", "decide", "configure"];
    let mut programs = Vec::new();
    let first = program(&ann, &relay, "configure").await;
    for role in roles {
        let wish = json!({"name": role.repeat(2), "role": role});
        let made = first.send("post", "/tokens", &wish).await;
        assert_eq!(made.status, 201, "{made:?}");
        let token = made.json()["token"].as_str().unwrap().to_owned();
        programs.push(Program {
            at: relay.ops,
            token,
        });
    }
    let document = programs[0].document().await;
    let stranger = Program {
        at: relay.ops,
        token: "orbit-relay-none".to_owned(),
    };
    let mut least_seen = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let path = path.replace(['{', '}'], "");
            refused(&stranger.ask(method, &path, &[], "").await, 401);
            let description = operation["description"].as_str().unwrap();
            let least = description
                .rsplit("Role: ")
                .next()
                .unwrap()
                .trim_end_matches('.');
            let least = roles.iter().position(|role| *role == least).unwrap();
            least_seen.insert(least);
            for program in &programs[..least] {
                refused(&program.ask(method, &path, &[], "").await, 403);
            }
            if method == "get" {
                let answer = programs[least].ask(method, &path, &[], "").await;
                assert_ne!(answer.status, 403, "{path}");
            }
        }
    }
    assert_eq!(least_seen.len(), 3);
    relay.stop().await;
    drop(site);
}

#[tokio::test]
async fn what_is_not_known_is_refused_by_its_name_as_json() {
    let (site, relay, ann) = filled().await;
    let program = program(&ann, &relay, "configure").await;
    let named = |answer: Answer, status: u16, name: &str| {
        refused(&answer, status);
        assert!(answer.body.contains(name), "{name}: {answer:?}");
    };
    named(program.get("/today?colour=red").await, 400, "colour");
    named(program.get("/deliveries?text=a&text=b").await, 400, "text");
    named(program.get("/deliveries?state=gone").await, 400, "state");
    named(program.get("/acts?before=x").await, 400, "before");
    named(program.get("/assets?page=-1").await, 400, "page");
    refused(&program.get("/nothing").await, 404);
    refused(&program.get("/deliveries/nonsense").await, 404);
    refused(&program.get("/deliveries/%ff").await, 404);
    refused(&program.get("/destinations/none").await, 404);
    refused(&program.ask("PATCH", "/today", &[], "").await, 405);
    refused(&program.ask("TRACE", "/today", &[], "").await, 405);
    let tokens = json!({"name": "a", "role": "see", "canary-9f": 1});
    named(
        program.send("post", "/tokens", &tokens).await,
        422,
        "canary-9f",
    );
    let filter = json!({"act": "replay", "filter": {"colour": "red"}});
    named(
        program.send("post", "/deliveries/bulk", &filter).await,
        422,
        "colour",
    );
    let long = json!({"act": "replay", "filter": {"text": "x".repeat(501)}});
    refused(&program.send("post", "/deliveries/count", &long).await, 422);
    let all = json!({"act": "replay", "filter": {}});
    refused(&program.send("post", "/deliveries/bulk", &all).await, 422);
    let kind = [("content-type", "application/json")];
    refused(&program.ask("POST", "/tokens", &kind, "{").await, 400);
    refused(&program.ask("POST", "/tokens", &[], "{}").await, 415);
    let long = format!("\"{}\"", "x".repeat(70_000));
    refused(&program.ask("POST", "/tokens", &kind, &long).await, 413);
    let list = json!({"value": ["canary-77"]});
    let secret = program.send("put", "/settings/api-token", &list).await;
    refused(&secret, 422);
    assert!(!secret.body.contains("canary"), "{secret:?}");
    relay.stop().await;
    drop(site);
}

#[tokio::test]
async fn a_dead_delivery_is_sent_again_and_the_act_has_the_tokens_name() {
    let (site, relay, ann) = filled().await;
    let program = program(&ann, &relay, "decide").await;
    let list = program.get("/deliveries?state=dead").await.json();
    let id = list["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let order = json!({"act": "replay", "filter": {"states": ["dead"]}});
    let counted = program.send("post", "/deliveries/count", &order).await;
    assert_eq!(counted.json()["total"], 1, "{counted:?}");
    let mut other = order.clone();
    other["count"] = 2.into();
    let refusal = program.send("post", "/deliveries/bulk", &other).await;
    refused(&refusal, 409);
    let acts = program.get("/acts?what=replay").await.json();
    assert_eq!(acts["found"], json!([]), "nothing was done");
    let preview = program.get("/destinations/cmms/preview?event=sample").await;
    assert_eq!(
        preview.json()["preview"]["destination"],
        CMMS,
        "{preview:?}"
    );
    refused(
        &program
            .get("/destinations/cmms/preview?event=nothing")
            .await,
        409,
    );
    refused(&program.get("/destinations/nowhere/preview").await, 404);
    refused(&program.get("/presets/nothing").await, 404);
    let mut same = order;
    same["count"] = 1.into();
    let begun = program.send("post", "/deliveries/bulk", &same).await;
    assert_eq!(begun.json(), json!({"begun": 1}), "{begun:?}");
    relay.until_there_are_at(CMMS, 6, State::Delivered).await;
    let acts = program.get("/acts?what=replay").await.json();
    assert_eq!(acts["found"][0]["who"], "token decide", "{acts}");
    let again = program
        .send("post", &format!("/deliveries/{id}/discard"), &json!({}))
        .await;
    refused(&again, 422);
    relay.stop().await;
    drop(site);
}

#[tokio::test]
async fn the_asset_map_is_put_only_in_the_place_of_the_version_that_was_seen() {
    let (site, relay, ann) = filled().await;
    let program = program(&ann, &relay, "configure").await;
    let csv = "action_name,asset_id\nP-101 motor DE,PUMP-101\n";
    let put = async |version: Option<&str>, csv: &str| {
        let mut headers = vec![("content-type", "text/csv")];
        headers.extend(version.map(|version| ("if-match", version)));
        program.ask("PUT", "/map", &headers, csv).await
    };
    refused(&put(None, csv).await, 400);
    refused(&put(Some("\"other\""), csv).await, 412);
    let tag = program.get("/map").await.header("etag").unwrap().to_owned();
    let mistaken = put(Some(&tag), "action_name\nx\n").await;
    refused(&mistaken, 422);
    let applied = put(Some(&tag), csv).await;
    assert_eq!(applied.json()["rows"], 1, "{applied:?}");
    assert_eq!(program.get("/map").await.body, csv);
    refused(&put(Some(&tag), csv).await, 412);
    let version = json!({"version": applied.json()["version"]});
    let undone = program.send("post", "/map/undo", &version).await;
    assert_eq!(undone.json()["rows"], 0, "{undone:?}");
    refused(&program.send("post", "/map/undo", &version).await, 409);
    relay.stop().await;
    drop(site);
}

#[tokio::test]
async fn a_secret_is_written_and_never_read_and_a_token_is_seen_once() {
    let (site, relay, ann) = filled().await;
    let program = program(&ann, &relay, "configure").await;
    let made = program
        .send("post", "/tokens", &json!({"name": "other", "role": "see"}))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let account = json!({"name": "bob", "role": "decide", "password": "canary horse battery"});
    let added = program.send("post", "/accounts", &account).await;
    assert_eq!(added.status, 201, "{added:?}");
    let changed = program
        .send("put", "/accounts/bob", &json!({"role": "see"}))
        .await;
    assert_eq!(changed.json(), json!({"changed": true}), "{changed:?}");
    let cmms = json!({"url": "http://127.0.0.1:9/x", "preset": "generic",
        "auth": {"type": "bearer", "token": "canary-51b7"}});
    let saved = program.send("put", "/destinations/other", &cmms).await;
    assert_eq!(saved.json(), json!({"changed": true}), "{saved:?}");
    let other = program.get("/destinations/other").await.json();
    assert_eq!(
        other["keys"]["auth"]["token"],
        json!({"kept": true}),
        "{other}"
    );
    for path in [
        "/tokens",
        "/accounts",
        "/acts",
        "/destinations",
        "/settings",
        "/export",
        "/log",
    ] {
        let answer = program.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert!(!answer.body.contains("canary"), "{path}: {answer:?}");
        assert!(!answer.body.contains(&token), "{path}: {answer:?}");
    }
    let gone = program.ask("DELETE", "/tokens/other", &[], "").await;
    assert_eq!(gone.json(), json!({"changed": true}), "{gone:?}");
    refused(&program.ask("DELETE", "/tokens/other", &[], "").await, 404);
    relay.stop().await;
    drop(site);
}
