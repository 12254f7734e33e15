//! Claims about templates.
//!
//! # Invariants
//! - What `docs/templates.md` shows is what comes out: each of its rows is taken from there.

use std::sync::Arc;

use insta::assert_snapshot;
use proptest::prelude::*;

use super::*;
use crate::relay::transform::expression::filters::{FILTERS, TESTS};

const KNOWN: [&str; 12] = [
    "event",
    "inspection",
    "readings",
    "captures",
    "asset",
    "assets",
    "key",
    "short_key",
    "orbit_link",
    "delivery",
    "settings",
    "secrets",
];

const MODEL: &str = r#"{
  "event": {"data": {"big": 1e400, "exact": 55.43461227416992, "small": 0.00005,
    "odd": 9007199254740993, "z": {"b": 1.50, "a": null}, "a-b": "dash", "list": [1, 2.0, 3]}},
  "inspection": {"action": "P-101 motor DE", "severity": 3, "title": null, "alert": true,
    "summary": "P-101 motor DE: 61.4 °C, severity error, seen by spot-4",
    "time": "2026-07-23T06:00:00.5Z", "tags": ["hot", "pump"]},
  "readings": [
    {"name": "Temperature", "unit": "°C", "number": 61.40, "text": null, "id": "ir/Temperature"},
    {"name": "State", "unit": null, "number": null, "text": "open", "id": "vision/State"},
    {"name": "Pressure", "unit": "bar", "number": 6.2, "text": "6.2", "id": "gauge/Pressure"}],
  "captures": [{"index": 0, "name": "a b.jpg", "url": "https://orbit/a%20b.jpg"}],
  "asset": {"id": "PUMP-101", "attributes": {"plant": "1000"}},
  "assets": [], "key": "ab", "short_key": "0123456789abcdef", "orbit_link": null,
  "settings": {"site_id": "BEDFORD"}, "secrets": {"password": "canary"}
}"#;

fn scope() -> Scope {
    of(MODEL)
}

fn of(model: &str) -> Scope {
    Scope::new(Arc::new(Json::parse(model.as_bytes()).unwrap()))
}

fn parse(tree: &str) -> Result<Template, TemplateError> {
    let tree = Json::parse(tree.as_bytes()).unwrap();
    Template::parse("body", &tree, &KNOWN)
}

fn render(tree: &str) -> Result<String, String> {
    let template = parse(tree).map_err(|error| error.to_string())?;
    let body = template.render(&scope(), false);
    body.map(|body| body.to_string())
        .map_err(|error| error.to_string())
}

/// What `{{ expression }}` alone gives.
fn leaf(expression: &str) -> Result<String, String> {
    let tree = Json::object([("x", format!("{{{{ {expression} }}}}").into())]);
    let given = render(&tree.to_string())?;
    Ok(given
        .trim_start_matches(r#"{"x":"#)
        .strip_suffix('}')
        .unwrap()
        .to_owned())
}

#[test]
fn the_example_of_sap_is_typed_json() {
    let template = r#"{
        "NotificationType": "M1",
        "NotificationText": "{{ inspection.summary | shorten(40) }}",
        "TechnicalObject": "{{ asset.id }}",
        "Priority": "{{ {0:'1',1:'4',2:'3',3:'2',4:'1'}[inspection.severity] }}",
        "Readings": {"for_each": "readings", "when": "item.number is not none",
                     "value": {"name": "{{ item.name }}", "value": "{{ item.number }}"}}
    }"#;
    assert_snapshot!(render(template).unwrap(), @r#"{"NotificationType":"M1","NotificationText":"P-101 motor DE: 61.4 °C, severity error…","TechnicalObject":"PUMP-101","Priority":"2","Readings":[{"name":"Temperature","value":61.40},{"name":"Pressure","value":6.2}]}"#);
}

#[test]
fn a_whole_expression_keeps_its_type_and_a_path_its_digits() {
    for (expression, expected) in [
        ("event.data.big", "1e400"),
        ("event.data.exact", "55.43461227416992"),
        ("event.data.small", "0.00005"),
        ("event.data.odd", "9007199254740993"),
        ("event.data.big | optional", "1e400"),
        ("event.data.z", r#"{"b":1.50,"a":null}"#),
        ("event['data'].z.b", "1.50"),
        ("event.data['a-b']", r#""dash""#),
        ("readings[0].number", "61.40"),
        ("readings[-1].number", "6.2"),
        ("(readings | last).id", r#""gauge/Pressure""#),
        ("inspection.alert", "true"),
        ("inspection.title", "null"),
        ("inspection.tags", r#"["hot","pump"]"#),
        ("event.data.z if inspection.alert", r#"{"b":1.50,"a":null}"#),
        ("event.data.list", "[1,2.0,3]"),
        ("event.data.odd + 1", "9007199254740994"),
        ("9223372036854775807 + 1", "9223372036854775808"),
        ("event.data.exact + 0", "55.43461227416992"),
        ("event.data.small + 0", "0.00005"),
        ("readings[0].number | round", "61"),
        ("7 / 2", "3.5"),
        ("event.data.big > 5", "true"),
        ("inspection.severity > 2", "true"),
        ("['a', 1, none]", r#"["a",1,null]"#),
        ("{0:'1',1:'4'}[1]", r#""4""#),
        ("{'a':{'b':1}}['a']['b']", "1"),
        ("inspection.tags | map('upper')", r#"["HOT","PUMP"]"#),
        ("'{{ }}'", r#""{{ }}""#),
    ] {
        assert_eq!(leaf(expression).as_deref(), Ok(expected), "{expression}");
    }
}

#[test]
fn a_text_with_gaps_is_text() {
    for (text, expected) in [
        ("Alert on {{ asset.id }}!", "Alert on PUMP-101!"),
        ("{{ asset.id }}{{ key }}", "PUMP-101ab"),
        ("{{ readings[0].number }} °C", "61.40 °C"),
        (
            "is {{ inspection.alert }}, {{ event.data.big }}",
            "is true, 1e400",
        ),
        ("a{{ inspection.title | optional }}b", "ab"),
        ("a{{ asset.nothing | optional }}b", "ab"),
        ("{ }} {", "{ }} {"),
        ("", ""),
    ] {
        let expected = Json::from(expected).to_string();
        assert_eq!(
            render(&Json::from(text).to_string()),
            Ok(expected),
            "{text}"
        );
    }
}

#[test]
fn plain_leaves_stay_and_members_keep_their_order() {
    let tree = r#"{"z":1.50,"a":[true,null,1e400,"x"],"m":{}}"#;
    assert_eq!(render(tree).unwrap(), tree);
}

#[test]
fn what_is_optional_and_not_there_or_null_is_left_out() {
    let tree = r#"{"a":"{{ asset.none | optional }}","b":"{{ inspection.title|optional }}",
        "c":["{{ asset.x.y | optional }}",2],"d":{"for_each":"event.rows | optional","value":1},
        "e":"{{ {0:'1'}[inspection.severity] | optional }}",
        "f":"{{ asset.none | shorten(3) | upper | optional }}",
        "g":"{{ asset.none + 1 | optional }}"}"#;
    assert_eq!(render(tree).unwrap(), r#"{"c":[2]}"#);
}

#[test]
fn null_members_are_left_out_where_asked_and_null_items_never() {
    let tree =
        r#"{"a":null,"b":"{{ event.data.z }}","c":[null,{"d":null}],"e":"{{ orbit_link }}"}"#;
    let body = parse(tree).unwrap().render(&scope(), true).unwrap();
    assert_eq!(body.to_string(), r#"{"b":{"b":1.50},"c":[null,{}]}"#);
}

#[test]
fn a_table_has_a_value_for_each_item() {
    for (table, expected) in [
        (
            r#"{"for_each":"readings","value":"{{ item.id }}"}"#,
            r#"["ir/Temperature","vision/State","gauge/Pressure"]"#,
        ),
        (
            r#"{"for_each":"{{ readings }}","when":"item.number > 10","value":["{{ index }}"]}"#,
            "[[0]]",
        ),
        (
            r#"{"for_each":"readings","when":"{{ index > 0 and item.unit }}","value":"{{ index }}"}"#,
            "[2]",
        ),
        (r#"{"for_each":"assets","value":1}"#, "[]"),
        (
            r#"{"for_each":"readings | selectattr('unit')","value":"{{ item.number }}"}"#,
            "[61.40,6.2]",
        ),
        (
            r#"{"for_each":"event.data.list","value":{"v":"{{ item }}","u":"{{ readings[index].unit | optional }}"}}"#,
            r#"[{"v":1,"u":"°C"},{"v":2.0},{"v":3,"u":"bar"}]"#,
        ),
        (
            r#"{"for_each":"readings","value":"{{ item.text | optional }}"}"#,
            r#"["open","6.2"]"#,
        ),
        (
            r#"{"for_each":"captures","value":{"for_each":"readings","when":"index == 0","value":"{{ item.name }}"}}"#,
            r#"[["Temperature"]]"#,
        ),
    ] {
        assert_eq!(render(table).as_deref(), Ok(expected), "{table}");
    }
}

#[test]
fn what_is_not_there_is_named_with_its_place() {
    let errors = [
        r#"{"a":{"for_each":"readings","value":{"value":"{{ item.none }}"}}}"#,
        r#"{"Readings":[1,2,{"value":"{{ orbit_link.x }}"}]}"#,
        r#"{"a":"on {{ inspection.title }}"}"#,
        r#"{"a":"{{ {0:'1'}[inspection.severity] }}"}"#,
        r#"{"a":"{{ {0:'1'}[asset.severity] }}"}"#,
        r#"{"a":"{{ asset.none | shorten(3) }}"}"#,
        r#"{"a":"{{ captures[1].url }}"}"#,
        r#"{"a":"{{ asset.none + 1 }}"}"#,
        r#"{"a":"x {{ inspection.tags }}"}"#,
        r#"{"a":"{{ event.data.big + 0 }}"}"#,
        r#"{"a":"{{ 1 / 0 }}"}"#,
        r#"{"a":"{{ [asset.none] }}"}"#,
        r#"{"for_each":"asset.rows","value":1}"#,
        r#"{"for_each":"asset","value":1}"#,
        r#"{"for_each":"orbit_link","value":1}"#,
        r#""{{ orbit_link | optional }}""#,
        r#"{"a":"{{ readings[2] | to_unit('°C') }}"}"#,
        r#"{"a":"{{ asset.id | convert('C','F') }}"}"#,
        r#"{"a":"{{ 100000000000000000000000000000 * 100000000000000000000 }}"}"#,
    ]
    .map(|tree| render(tree).unwrap_err());
    assert_snapshot!(errors.join("\n"), @r#"
    body.a[0].value: `item.none`: `item.none` is not there; write `| optional` behind it if it may be left out
    body.Readings[2].value: `orbit_link.x`: `orbit_link` is null; write `| optional` behind it if it may be left out
    body.a: `inspection.title`: it is null; write `| optional` behind it if it may be left out
    body.a: `{0:'1'}[inspection.severity]`: it gives nothing: what is looked up is not in the table; write `| optional` behind it if it may be left out
    body.a: `{0:'1'}[asset.severity]`: `asset.severity` is not there; write `| optional` behind it if it may be left out
    body.a: `asset.none | shorten(3)`: `asset.none` is not there; write `| optional` behind it if it may be left out
    body.a: `captures[1].url`: `captures[1]` is not there; write `| optional` behind it if it may be left out
    body.a: `asset.none + 1`: tried to use + operator on unsupported types undefined and number (`asset.none` is not there)
    body.a: `inspection.tags`: a list or an object is no text: write `| json` or `| join(', ')`
    body.a: `event.data.big + 0`: the number that it gives is not finite
    body.a: `1 / 0`: it divides by zero, or the number that it gives is too large
    body.a: `[asset.none]`: `asset.none` is not there; write `| optional` behind it if it may be left out
    body: `asset.rows`: `asset.rows` is not there; write `| optional` behind it if it may be left out
    body: `asset`: `for_each` needs a list, and this is none
    body: `orbit_link`: it is null; write `| optional` behind it if it may be left out
    body: `orbit_link | optional`: nothing is left of the whole
    body.a: `readings[2] | to_unit('°C')`: no way is known from `bar` to `°C`
    body.a: `asset.id | convert('C','F')`: only a number has a unit: write `| number` before it
    body.a: `100000000000000000000000000000 * 100000000000000000000`: it divides by zero, or the number that it gives is too large
    "#);
}

#[test]
fn what_is_wrong_with_a_template_is_said_when_it_is_read() {
    let errors = [
        r#"{"a":"{% if x %}y{% endif %}"}"#,
        r#"{"a":"{{ asset.id }} {# note #}"}"#,
        r#"{"a":["{{ nowhere.x }}"]}"#,
        r#"{"a":"{{ item.x }}"}"#,
        r#"{"a":"{{ key | nonsense }}"}"#,
        r#"{"a":"{{ key is nonsense }}"}"#,
        r#"{"a":"{{ range(3) }}"}"#,
        r#"{"a":"{{ key ~ asset.id }}"}"#,
        r#"{"a":"{{ key"}"#,
        r#"{"a":"{{ }}"}"#,
        r#"{"a":"{{ key + }}"}"#,
        r#"{"a":"{{ (key | optional) or 1 }}"}"#,
        r#"{"{{ key }}":1}"#,
        r#"{"a":{"for_each":"readings"}}"#,
        r#"{"a":{"for_each":"readings","value":1,"x":2}}"#,
        r#"{"a":{"for_each":3,"value":1}}"#,
        r#"{"a":{"for_each":"readings","when":"item >","value":1}}"#,
    ]
    .map(|tree| render(tree).unwrap_err());
    assert_snapshot!(errors.join("\n"), @r#"
    body.a: `{%`: only {{ … }} may stand in a text, no {% … %} and no {# … #}; `for_each`, `when` and `x if y else z` do their work
    body.a: `{#`: only {{ … }} may stand in a text, no {% … %} and no {# … #}; `for_each`, `when` and `x if y else z` do their work
    body.a[0]: `nowhere.x`: no `nowhere` is known here; there are `event`, `inspection`, `readings`, `captures`, `asset`, `assets`, `key`, `short_key`, `orbit_link`, `delivery`, `settings`, `secrets`
    body.a: `item.x`: no `item` is known here; there are `event`, `inspection`, `readings`, `captures`, `asset`, `assets`, `key`, `short_key`, `orbit_link`, `delivery`, `settings`, `secrets`
    body.a: `key | nonsense`: no filter `nonsense` is known; there are `abs`, `convert`, `default`, `dictsort`, `epoch`, `epoch_ms`, `first`, `groupby`, `items`, `join`, `join_lines`, `json`, `last`, `length`, `list`, `local`, `lower`, `map`, `max`, `min`, `number`, `odata_date`, `odata_time`, `reject`, `rejectattr`, `replace`, `reverse`, `rfc3339`, `round`, `select`, `selectattr`, `short_key`, `shorten`, `sort`, `split`, `sum`, `text`, `to_unit`, `trim`, `unique`, `upper`
    body.a: `key is nonsense`: no test `nonsense` is known; there are `boolean`, `defined`, `divisibleby`, `endingwith`, `even`, `false`, `float`, `in`, `integer`, `iterable`, `mapping`, `none`, `number`, `odd`, `sequence`, `startingwith`, `string`, `true`, `undefined`
    body.a: `range(3)`: there are no functions, so no `range(…)`; filters are written `value | filter`
    body.a: `key ~ asset.id`: `~` is not for templates, it makes `None` of null: write `[a, b] | join(' ')`, or `{{ a }} {{ b }}`
    body.a: `key`: no }} ends this gap
    body.a: ``: nothing stands in it
    body.a: `key +`: syntax error: unexpected end of input, expected expression
    body.a: `(key | optional) or 1`: `| optional` stands last, outside of all brackets
    body.{{ key }}: `{{ key }}`: the name of a member is fixed
    body.a: `for_each`: a table needs a `value`: what is made of each item
    body.a.x: `x`: a table has `for_each`, `value` and, if need be, `when`
    body.a.for_each: `3`: this is no text
    body.a.when: `item >`: syntax error: unexpected end of input, expected expression
    "#);
    let long = format!(r#"{{"a":"{{{{ {} true }}}}"}}"#, "true or ".repeat(1_000));
    assert!(render(&long).unwrap_err().contains("more than 4096 bytes"));
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    assert!(render(&deep).unwrap_err().contains("deeper than 64 levels"));
}

#[test]
fn what_comes_out_is_bounded() {
    let items = |count: usize| {
        let list: Json = (0..count).collect();
        of(&format!(r#"{{"event":{list}}}"#))
    };
    let table = parse(r#"{"for_each":"event","value":{"a":"{{ item }}"}}"#).unwrap();
    assert!(table.render(&items(1_000), false).is_ok());
    let error = table.render(&items(1_001), false).unwrap_err();
    assert_eq!(error.reason, "the list has more than 1000 items");

    let whole = parse(r#"["{{ event }}"]"#).unwrap();
    assert!(whole.render(&items(9_990), false).is_ok());
    let error = whole.render(&items(10_000), false).unwrap_err();
    let reason = "with it the whole has more than 10000 values, or more than 1 MiB of text";
    assert_eq!((&*error.at, &*error.reason), ("body[0]", reason));

    let long = of(&format!(r#"{{"event":"{}"}}"#, "x".repeat(600_000)));
    let once = parse(r#"{"a":"{{ event }}"}"#).unwrap();
    assert!(once.render(&long, false).is_ok());
    for twice in [
        r#"{"a":"{{ event }}","b":"{{ event }}"}"#,
        r#"{"a":"{{ event }} {{ event }}"}"#,
        r#"{"a":"{{ [event, event] }}"}"#,
    ] {
        let error = parse(twice).unwrap().render(&long, false).unwrap_err();
        assert_eq!(error.reason, reason, "{twice}");
    }

    let deep = format!(r#"{{"event":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    let error = whole.render(&of(&deep), false).unwrap_err();
    assert_eq!(error.reason, "it nests deeper than 64 levels");
}

#[test]
fn a_template_that_would_take_for_ever_is_ended() {
    let long: Json = (0..100_000_usize).collect();
    let scope = of(&format!(
        r#"{{"event":{long},"key":"{}"}}"#,
        "a".repeat(60_000)
    ));
    for expression in [
        "event | map('json') | join(',')",
        "event | join('----------')",
        "key | replace('a', 'aaaaaaaaaaaaaaaaaaaaaaaaaaaa')",
        "event * 1000000 | json",
        "event * 1000 | list | length",
        "[key, key] | join",
    ] {
        let tree = Json::from(format!("{{{{ {expression} }}}}"));
        let template = Template::parse("body", &tree, &KNOWN);
        let rendered = template.and_then(|template| template.render(&scope, false));
        assert!(rendered.is_err(), "{expression}");
    }
}

#[test]
fn no_value_stands_in_an_error() {
    for expression in [
        "secrets.password.x",
        "secrets.password + 1",
        "secrets.password * 3.5",
        "secrets.password | round",
        "secrets.password | abs",
        "secrets.password | sum",
        "secrets.password | to_unit('C')",
        "secrets.password | convert('C', 'F')",
        "secrets.password | sort | map('nonsense')",
        "secrets.password | groupby('x')",
        "secrets | dictsort(by='x')",
        "{0: 1}[secrets.password]",
        "secrets.password[secrets.password]",
        "secrets.password | selectattr(secrets.password)",
        "-secrets.password",
        "secrets.password < 1 or 1 / 0",
        "secrets.password ** 2",
        "secrets.password | replace('', 'x')",
        "key | shorten(secrets.password)",
        "key | map(secrets.password)",
        "secrets.password | epoch",
        "secrets.password | local('Europe/Berlin')",
    ] {
        if let Err(error) = leaf(expression) {
            assert!(!error.contains("canary"), "{expression}: {error}");
        }
    }
}

#[test]
fn what_a_template_asks_for_is_known() {
    let names: Vec<_> = parse(
        r#"{"a":"{{ asset.attributes.plant }} {{ captures[0].data }}","b":["{{ key | upper }}"],
            "c":{"for_each":"readings","when":"item.unit","value":["{{ item.number }}","{{ index }}",
                 "{{ inspection.robot }}"]},
            "d":{"for_each":"event.rows | reverse","value":"{{ item }}"}}"#,
    )
    .unwrap()
    .names()
    .collect();
    assert_eq!(
        names,
        [
            "asset.attributes.plant",
            "captures.data",
            "event.rows",
            "inspection.robot",
            "key",
            "readings",
            "readings.number",
            "readings.unit"
        ]
    );
    let header = Gapped::parse("headers.slug", "{{ captures[0].name }}", &KNOWN).unwrap();
    assert_eq!(header.names().collect::<Vec<_>>(), ["captures.name"]);
}

fn gapped(text: &str) -> Gapped {
    Gapped::parse("text", text, &["x", "y"]).unwrap()
}

#[test]
fn what_fills_a_gap_stays_in_its_place() {
    let with = |x: &str| of("{}").with("x", x.into());
    let url = |x: &str| gapped("/a/{{ x }}/b?c={{ x }}").fill_url(&with(x)).ok();
    assert_eq!(
        url("é /?#").as_deref(),
        Some("/a/%C3%A9%20%2F%3F%23/b?c=%C3%A9%20%2F%3F%23")
    );
    for refused in ["", ".", "..", "...", &"x".repeat(1_025)] {
        assert_eq!(url(refused), None, "{refused}");
    }
    let optional = gapped("/a/{{ y | optional }}").fill_url(&with("x"));
    assert_snapshot!(optional.unwrap_err(), @"text: `y | optional`: it is empty, longer than 1 KiB, or only dots: no part of a URL");

    let topic = |x: &str| gapped("plant/{{ x }}/value").fill_topic(&with(x)).ok();
    assert_eq!(
        topic("a/b+c#d\0e\n").as_deref(),
        Some("plant/a_b_c_d_e_/value")
    );
    assert_eq!(topic(""), None);

    let header = |x: &str| gapped("name={{ x }}").fill_header(&with(x)).ok();
    assert_eq!(header("a b.jpg\"").as_deref(), Some("name=a b.jpg\""));
    for refused in ["a\r\nHost: evil", "\0", "\u{85}", "\t", "\u{7f}"] {
        assert_eq!(header(refused), None, "{refused:?}");
    }
    assert_eq!(
        gapped("{{ x }}\n").render(&with("\"\\\0")).as_deref(),
        Ok("\"\\\0\n")
    );
}

/// Any JSON: every kind, every number that JSON can write.
fn any_json() -> impl Strategy<Value = Json> {
    let number = prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<i128>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        Just("1e400".to_owned()),
        Just("-0".to_owned()),
        Just("0.00005".to_owned()),
    ];
    let plain = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        number.prop_map(|n| Json::Number(n.into())),
        any::<String>().prop_map(Json::from),
    ];
    let name = prop_oneof!["(id|number|unit|name|severity|x)", any::<String>(),];
    plain.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec((name.clone(), inner), 0..4).prop_map(Json::Object),
        ]
    })
}

const TREES: [&str; 6] = [
    r#"{"a":"{{ event }}","b":"{{ asset.id | optional }}","c":"x{{ key | optional }}"}"#,
    r#"{"a":{"for_each":"readings | optional","value":{"n":"{{ item.number | optional }}","i":"{{ index }}"}}}"#,
    r#"{"a":"{{ asset.name | shorten(7) | upper | optional }}","b":"{{ readings | json | optional }}"}"#,
    r#"{"a":"{{ asset | to_unit('°F') | optional }}","b":"{{ {0:'1',1:'2'}[inspection.severity] | optional }}"}"#,
    r#"{"a":"{{ readings | sort | first | number | default(event) | optional }}"}"#,
    r#"{"a":"{{ [event, asset, {'k': key}] | optional }}","b":"{{ asset | items | list | optional }}"}"#,
];

proptest! {
    #[test]
    fn whatever_the_model_the_body_is_json(
        values in prop::collection::vec(any_json(), 6),
        drop_null: bool,
    ) {
        let names = ["event", "asset", "readings", "inspection", "key", "captures"];
        let members = names.iter().map(|name| (*name).to_owned()).zip(values);
        let scope = Scope::new(Arc::new(Json::Object(members.collect())));
        for tree in TREES {
            if let Ok(body) = parse(tree).unwrap().render(&scope, drop_null) {
                let text = body.to_string();
                prop_assert_eq!(Json::parse(text.as_bytes()).unwrap(), body);
            }
        }
    }

    #[test]
    fn no_text_gets_out_of_its_place(text: String) {
        let scope = of("{}").with("x", text.as_str().into());
        let tree = Json::object([("a", "<{{ x }}>".into()), ("b", "{{ x }}".into())]);
        let body = Template::parse("body", &tree, &["x"]).unwrap().render(&scope, false).unwrap();
        let read: serde_json::Value = serde_json::from_str(&body.to_string()).unwrap();
        prop_assert_eq!(&read, &serde_json::json!({"a": format!("<{text}>"), "b": text}));
        if let Ok(header) = gapped("a{{ x }}").fill_header(&scope) {
            prop_assert!(!header.contains(['\r', '\n', '\0']));
        }
        if let Ok(topic) = gapped("a/{{ x }}/b").fill_topic(&scope) {
            prop_assert_eq!(topic.split('/').count(), 3);
            prop_assert!(!topic.contains(['+', '#', '\0']));
        }
    }

    #[test]
    fn a_path_gives_what_is_there(value in any_json()) {
        let scope = of("{}").with("x", Json::object([("y", Json::Array(vec![value.clone()]))]));
        let tree = Json::from("{{ x.y[0] }}");
        let body = Template::parse("body", &tree, &["x"]).unwrap().render(&scope, false).unwrap();
        prop_assert_eq!(body, value);
    }

    #[test]
    fn no_text_as_a_template_panics(text in r#"[{}%#|'"\\. a-c0-9()\[\]:~*+-]{0,40}"#) {
        let scope = of(r#"{"a":1,"b":[2],"c":null}"#);
        if let Ok(template) = Template::parse("body", &text.as_str().into(), &["a", "b", "c"])
            && let Ok(body) = template.render(&scope, false)
        {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&body.to_string()).is_ok());
        }
    }
}

/// A tree as the tables of the page write it: inline TOML, of which only names and `=` differ.
fn tree_of(template: &str) -> Json {
    if !template.starts_with(['{', '[']) || template.starts_with("{{") {
        return template.into();
    }
    let mut text = String::new();
    let mut pieces = template.split(" = ").peekable();
    while let Some(piece) = pieces.next() {
        let name = piece.rfind([' ', '{']).map_or(0, |at| at + 1);
        let (before, name) = piece.split_at(name);
        let pieces = match pieces.peek() {
            Some(_) => [before, "\"", name, "\": "],
            None => [before, name, "", ""],
        };
        text.extend(pieces);
    }
    Json::parse(text.as_bytes()).unwrap()
}

#[test]
fn the_page_of_templates_tells_the_truth() {
    let page = include_str!("../../../../docs/templates.md");
    let (_, model) = page.split_once("```json\n").unwrap();
    let scope = of(model.split_once("```").unwrap().0);
    let mut shown = String::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let row = row.replace(r"\|", "\u{0}");
        let cells: Vec<_> = row
            .split('|')
            .map(|cell| cell.replace('\u{0}', "|"))
            .collect();
        let template = cells[1].trim().trim_matches('`');
        let gives = cells[2].trim();
        let whole = Json::object([("x", tree_of(template))]);
        let rendered = Template::parse("body", &whole, &KNOWN)
            .and_then(|template| template.render(&scope, false));
        let rendered = match rendered {
            Ok(body) => match body.get("x") {
                Some(x) => format!("`{x}`"),
                None => "left out".to_owned(),
            },
            Err(error) => format!("error: {}", error.reason),
        };
        assert_eq!(rendered, gives, "{template}");
        shown += template;
    }
    for filter in FILTERS {
        let is_listed = page.contains(&format!("`{filter}`"));
        assert!(
            is_listed || shown.contains(&format!("| {filter}")),
            "{filter}"
        );
    }
}

#[test]
fn each_filter_and_test_that_may_be_used_is_there() {
    for filter in FILTERS {
        let error = leaf(&format!("1 | {filter}")).err().unwrap_or_default();
        assert!(!error.contains("unknown filter"), "{error}");
    }
    for test in TESTS {
        let error = leaf(&format!("1 is {test}")).err().unwrap_or_default();
        assert!(!error.contains("unknown test"), "{error}");
    }
}
