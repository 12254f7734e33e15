//! The schema allows every model, refuses others, and names what the page names.

use std::collections::BTreeSet;

use super::super::super::json::Json;
use super::super::SCHEMA;
use super::models;

const PAGE: &str = include_str!("../../../../../docs/event-model.md");

/// All that the schema uses: what is not among these is not checked.
const KEYWORDS: [&str; 17] = [
    "$schema",
    "$id",
    "$defs",
    "$ref",
    "title",
    "description",
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "anyOf",
    "enum",
    "minimum",
    "maximum",
    "maxItems",
    "maxLength",
];

fn schema() -> Json {
    Json::parse(SCHEMA.as_bytes()).unwrap()
}

/// Where a value is not as the schema has it.
pub(super) fn wrong(value: &Json) -> Vec<String> {
    let schema = schema();
    let mut found = Vec::new();
    check(&schema, &schema, value, "", &mut found);
    found
}

fn check(root: &Json, schema: &Json, value: &Json, at: &str, found: &mut Vec<String>) {
    if let Some(target) = schema.get("$ref").and_then(Json::as_str) {
        let target = root
            .pointer(target.trim_start_matches('#'))
            .expect("the target is there");
        return check(root, target, value, at, found);
    }
    if let Some(choices) = schema.get("anyOf") {
        let fits = |choice: &Json| {
            let mut found = Vec::new();
            check(root, choice, value, at, &mut found);
            found
        };
        let tried: Vec<_> = choices.items().iter().map(fits).collect();
        if !tried.iter().any(Vec::is_empty) {
            found.extend(tried.into_iter().flatten());
        }
    }
    let types = schema.get("type").map_or(vec![], |is| match is {
        Json::Array(types) => types.iter().filter_map(Json::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    });
    if !types.is_empty() && !types.iter().any(|is| is_of(value, is)) {
        found.push(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(allowed) = schema.get("enum")
        && !allowed.items().contains(value)
    {
        found.push(format!("{at}: {value} is not in {allowed}"));
    }
    let limit = |name: &str| schema.get(name).and_then(Json::as_f64);
    let number = value.as_f64();
    let low = limit("minimum").is_some_and(|least| number.is_some_and(|is| is < least));
    let high = limit("maximum").is_some_and(|most| number.is_some_and(|is| is > most));
    let longest = schema.get("maxLength").or_else(|| schema.get("maxItems"));
    let longest = longest
        .and_then(Json::as_i64)
        .and_then(|most| usize::try_from(most).ok());
    let length = value
        .as_str()
        .map_or(value.items().len(), |text| text.chars().count());
    if low || high || longest.is_some_and(|most| length > most) {
        found.push(format!("{at}: {value} is out of bounds"));
    }
    for item in value.items() {
        if let Some(items) = schema.get("items") {
            check(root, items, item, &format!("{at}[]"), found);
        }
    }
    if let Json::Object(members) = value {
        check_members(root, schema, members, at, found);
    }
}

fn check_members(
    root: &Json,
    schema: &Json,
    members: &[(String, Json)],
    at: &str,
    found: &mut Vec<String>,
) {
    for name in schema.get("required").map_or(&[][..], Json::items) {
        let name = name.as_str().unwrap();
        if !members.iter().any(|(is, _)| is == name) {
            found.push(format!("{at}: there is no {name}"));
        }
    }
    for (name, member) in members {
        let at = format!("{at}.{name}");
        let known = schema.get("properties").and_then(|known| known.get(name));
        match (known, schema.get("additionalProperties")) {
            (Some(known), _) => check(root, known, member, &at, found),
            (None, Some(Json::Bool(false))) => found.push(format!("{at} is not known")),
            (None, Some(others)) => check(root, others, member, &at, found),
            (None, None) => {}
        }
    }
}

fn is_of(value: &Json, name: &str) -> bool {
    match value {
        Json::Null => name == "null",
        Json::Bool(_) => name == "boolean",
        Json::Number(_) => name == "number" || name == "integer" && value.as_i64().is_some(),
        Json::String(_) => name == "string",
        Json::Array(_) => name == "array",
        Json::Object(_) => name == "object",
    }
}

/// The keywords of a schema, and the paths of its members.
fn walk(schema: &Json, at: &str, keywords: &mut BTreeSet<String>, paths: &mut BTreeSet<String>) {
    let Json::Object(members) = schema else {
        return;
    };
    keywords.extend(members.iter().map(|(name, _)| name.clone()));
    for (name, of) in members {
        match (&**name, of) {
            ("properties" | "$defs", Json::Object(named)) => {
                for (part, of) in named {
                    // Where a definition stands is its name: `capture` is `captures[]` in the page.
                    let path = match (&**name, &**part) {
                        ("$defs", "reading" | "capture") => format!("{part}s[]"),
                        _ if at.is_empty() => part.clone(),
                        _ => format!("{at}.{part}"),
                    };
                    if name == "properties" {
                        paths.insert(path.clone());
                    }
                    walk(of, &path, keywords, paths);
                }
            }
            ("items" | "additionalProperties", _) => walk(of, at, keywords, paths),
            ("anyOf", _) => of
                .items()
                .iter()
                .for_each(|of| walk(of, at, keywords, paths)),
            _ => {}
        }
    }
}

#[test]
fn the_schema_allows_the_model_of_every_sample() {
    for (name, model) in models() {
        assert_eq!(wrong(&model), [""; 0], "{name}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_model() {
    let (_, model) = models().swap_remove(0);
    let Json::Object(members) = model else {
        panic!("no object");
    };
    for (place, (name, _)) in members.iter().enumerate() {
        let mut fewer = members.clone();
        fewer.remove(place);
        assert_eq!(
            wrong(&Json::Object(fewer)),
            [format!(": there is no {name}")]
        );
    }
    let mut more = members.clone();
    more.push(("extra".to_owned(), Json::Null));
    assert_eq!(wrong(&Json::Object(more)), [".extra is not known"]);
    let text = Json::Object(members).to_string();
    for (good, bad) in [
        (r#""alert":true"#, r#""alert":1"#),
        (
            r#""severity":3,"severity_word""#,
            r#""severity":5,"severity_word""#,
        ),
        (r#""severity_word":"error""#, r#""severity_word":"bad""#),
        (r#""capture":0"#, r#""capture":0.5"#),
        (r#""number":58.2"#, r#""number":"58.2""#),
        (r#""kind":"image""#, r#""kind":"picture""#),
        (r#""row":null"#, r#""row":0"#),
    ] {
        let bad = text.replacen(good, bad, 1);
        assert_ne!(bad, text, "{good}");
        assert!(
            !wrong(&Json::parse(bad.as_bytes()).unwrap()).is_empty(),
            "{good}"
        );
    }
}

#[test]
fn schema_and_page_name_the_same_members() {
    let (mut keywords, mut paths) = (BTreeSet::new(), BTreeSet::new());
    walk(&schema(), "", &mut keywords, &mut paths);
    let unchecked: Vec<_> = keywords
        .iter()
        .filter(|name| !KEYWORDS.contains(&&***name))
        .collect();
    assert_eq!(unchecked, Vec::<&String>::new());
    let rows = PAGE
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let named: BTreeSet<String> = rows.map(|(path, _)| path.to_owned()).collect();
    assert_eq!(named, paths);
}
