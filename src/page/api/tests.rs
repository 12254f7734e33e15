//! The document and the table say the same.

use std::collections::BTreeSet;

use axum::routing::MethodFilter;
use serde_json::Value;

use super::table::{calls, document as text};

/// The words that the document has for methods.
const METHODS: [(MethodFilter, &str); 4] = [
    (MethodFilter::GET, "get"),
    (MethodFilter::PUT, "put"),
    (MethodFilter::POST, "post"),
    (MethodFilter::DELETE, "delete"),
];

fn document() -> Value {
    serde_json::from_str(&text()).unwrap()
}

/// Method, path, and the names of the query's parameters.
type Known = BTreeSet<(String, String, BTreeSet<String>)>;

fn documented(document: &Value) -> Known {
    let mut known = Known::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array();
            let parameters = parameters.map_or(&[][..], Vec::as_slice).iter();
            let names = parameters.filter(|parameter| parameter["in"] == "query");
            let names = names.map(|parameter| parameter["name"].as_str().unwrap().to_owned());
            known.insert((method.clone(), path.clone(), names.collect()));
        }
    }
    known
}

#[test]
fn the_document_says_just_what_can_be_called() {
    let called: Known = calls()
        .into_iter()
        .map(|call| {
            let names = call.query.iter().map(|name| (*name).to_owned());
            let mut words = METHODS.into_iter();
            let (_, word) = words.find(|(is, _)| *is == call.method).unwrap();
            (word.to_owned(), call.path.to_owned(), names.collect())
        })
        .collect();
    assert_eq!(documented(&document()), called);
}

#[test]
fn every_call_may_be_refused_and_every_path_member_is_described() {
    let document = document();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            for status in ["400", "401", "403", "503"] {
                let refusal = &operation["responses"][status];
                assert!(refusal.is_object(), "{method} {path}: {status}");
            }
            let members = path.matches('{').count();
            let parameters = operation["parameters"].as_array();
            let parameters = parameters.map_or(&[][..], Vec::as_slice).iter();
            let described = parameters.filter(|parameter| parameter["in"] == "path");
            assert_eq!(described.count(), members, "{method} {path}");
            let has_body = operation["requestBody"].is_object();
            let refuses_bodies = operation["responses"]["415"].is_object();
            assert_eq!(has_body, refuses_bodies, "{method} {path}");
        }
    }
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                found.insert(target.to_owned());
            }
            members
                .values()
                .for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere_and_all_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for target in &found {
        let target = target.trim_start_matches('#');
        assert!(document.pointer(target).is_some(), "{target}");
    }
    for kind in ["schemas", "responses"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let target = format!("#/components/{kind}/{name}");
            assert!(found.contains(&target), "{target} is not used");
        }
    }
}
