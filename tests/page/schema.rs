//! Whether a value is as a schema of the API's document has it.
//!
//! # Invariants
//! - A keyword that is not known here is a mistake: what it says would not be looked at.

use serde_json::Value;

/// All that is looked at, and what only tells people something.
const KNOWN: [&str; 18] = [
    "$ref",
    "additionalProperties",
    "anyOf",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "pattern",
    "properties",
    "required",
    "title",
    "type",
];

/// Where a value is not as the schema has it.
pub(crate) fn wrong(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "", &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for keyword in schema.as_object().unwrap().keys() {
        assert!(KNOWN.contains(&&**keyword), "{at}: {keyword} is not known");
    }
    if let Some(target) = schema.get("$ref") {
        let target = target.as_str().unwrap().trim_start_matches('#');
        let target = document.pointer(target).expect("the target is there");
        return check(document, target, value, at, found);
    }
    if let Some(choices) = schema.get("anyOf") {
        let mut choices = choices.as_array().unwrap().iter();
        if !choices.any(|choice| wrong(document, choice, value).is_empty()) {
            found.push(format!("{at}: {value} is none of these"));
        }
    }
    let types = match schema.get("type") {
        Some(Value::String(one)) => vec![one.as_str()],
        Some(Value::Array(many)) => many.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => Vec::new(),
    };
    if !types.is_empty() && !types.iter().any(|name| is_of(value, name)) {
        found.push(format!("{at}: {value} is not {types:?}"));
    }
    if let Some(allowed) = schema.get("enum")
        && !allowed.as_array().unwrap().contains(value)
    {
        found.push(format!("{at}: {value} is not in {allowed}"));
    }
    if let (Some("date-time"), Some(text)) = (schema["format"].as_str(), value.as_str())
        && text.parse::<jiff::Timestamp>().is_err()
    {
        found.push(format!("{at}: {text} is no time"));
    }
    let items = value.as_array().map_or(&[][..], Vec::as_slice);
    let count = |name: &str| schema.get(name).and_then(Value::as_u64);
    if count("minItems").is_some_and(|least| number(items.len()) < least)
        || count("maxItems").is_some_and(|most| number(items.len()) > most)
    {
        found.push(format!("{at}: {} items", items.len()));
    }
    if let Some(schema) = schema.get("items") {
        for item in items {
            check(document, schema, item, &format!("{at}[]"), found);
        }
    }
    check_members(document, schema, value, at, found);
}

fn check_members(
    document: &Value,
    schema: &Value,
    value: &Value,
    at: &str,
    found: &mut Vec<String>,
) {
    let Some(members) = value.as_object() else {
        return;
    };
    for name in schema["required"].as_array().map_or(&[][..], Vec::as_slice) {
        if !members.contains_key(name.as_str().unwrap()) {
            found.push(format!("{at}: there is no {name}"));
        }
    }
    for (name, member) in members {
        let at = format!("{at}.{name}");
        let known = schema.get("properties").and_then(|known| known.get(name));
        match (known, schema.get("additionalProperties")) {
            (Some(known), _) => check(document, known, member, &at, found),
            (None, Some(Value::Bool(false))) => found.push(format!("{at} is not known")),
            (None, Some(others)) => check(document, others, member, &at, found),
            (None, None) => {}
        }
    }
}

fn is_of(value: &Value, name: &str) -> bool {
    match value {
        Value::Null => name == "null",
        Value::Bool(_) => name == "boolean",
        Value::Number(number) => name == "number" || name == "integer" && !number.is_f64(),
        Value::String(_) => name == "string",
        Value::Array(_) => name == "array",
        Value::Object(_) => name == "object",
    }
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}
