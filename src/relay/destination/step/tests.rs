//! What request a step makes, what it takes, and what is refused of it.

use std::sync::Arc;

use proptest::prelude::*;
use reqwest::header::HeaderMap;

use super::*;
use crate::relay::destination::header_name;

const KNOWN: [&str; 8] = [
    "readings",
    "captures",
    "asset",
    "short_key",
    "settings",
    "steps",
    "item",
    "secrets",
];

fn base() -> Url {
    "https://cmms.example:8443/maximo/?oslc=1".parse().unwrap()
}

fn scope(json: &str) -> Scope {
    Scope::new(Arc::new(Json::parse(json.as_bytes()).unwrap()))
}

fn gapped(text: &str) -> Gapped {
    Gapped::parse("x", text, &KNOWN).unwrap()
}

fn to_path(text: &str) -> Step {
    Step::new("create", Target::path("path", text, &KNOWN).unwrap())
}

fn to_url(text: &str) -> Step {
    Step::new("attach", Target::url("url", text, &KNOWN).unwrap())
}

fn url(step: &Step, json: &str) -> Result<String, StepError> {
    let rendered = step.render(&base(), &scope(json), true);
    let rendered = rendered?;
    let request = step.request(&base(), &rendered, None, &scope(json), Vec::new())?;
    Ok(request.url.into())
}

fn answered(headers: &[(&'static str, &str)], body: &str) -> Answered {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(*name, value.parse().unwrap());
    }
    Answered {
        status: 201,
        headers: map,
        body: body.into(),
        missing: None,
    }
}

#[test]
fn a_path_stands_behind_that_of_the_destination_without_its_query_and_none_is_its_url() {
    for (path, expected) in [
        (
            "/api/os/sr?x={{ short_key }}",
            "/maximo/api/os/sr?x=a%2Fb%20c",
        ),
        ("api/{{ short_key }}/y", "/maximo/api/a%2Fb%20c/y"),
        ("?x=1", "/maximo?x=1"),
        ("", "/maximo/?oslc=1"),
        ("/", "/maximo/"),
        ("//elsewhere.example/x", "/maximo/elsewhere.example/x"),
    ] {
        let url = url(&to_path(path), r#"{"short_key":"a/b c"}"#).unwrap();
        assert_eq!(
            url,
            format!("https://cmms.example:8443{expected}"),
            "{path}"
        );
    }
}

#[test]
fn a_url_that_was_taken_is_used_as_it_is_if_it_is_the_destinations() {
    let step = to_url("{{ steps.create.href }}/doclinks?key={{ short_key }}");
    let filled = |href: &str| {
        let json = format!(r#"{{"steps":{{"create":{{"href":{href:?}}}}},"short_key":"a&b"}}"#);
        url(&step, &json)
    };
    for href in [
        "https://cmms.example:8443/maximo/sr/7",
        "/maximo/sr/7",
        "sr/7",
    ] {
        let expected = "https://cmms.example:8443/maximo/sr/7/doclinks?key=a%26b";
        assert_eq!(filled(href).unwrap(), expected, "{href}");
    }
    for href in [
        "https://elsewhere.example/canary",
        "//elsewhere.example/canary",
        "http://cmms.example:8443/canary",
        "https://cmms.example/canary",
        "https://me:canary@cmms.example:8443/sr",
        "https://cmms.example:8443@elsewhere.example/canary",
        "\\\\elsewhere.example\\canary",
        "javascript:canary",
        "https://cmms.example:8443/sr#canary",
        "",
        " ",
    ] {
        let error = filled(href).unwrap_err().to_string();
        assert!(!error.contains("canary"), "{href}: {error}");
    }
}

#[test]
fn a_url_that_is_written_out_is_the_destinations_or_is_refused() {
    let problems = |text: &str| to_url(text).check(&base(), &[]);
    for good in [
        "https://cmms.example:8443/other/{{ short_key }}",
        "{{ settings.href }}/x",
        "{{ settings.href if 1 else '}}' }}",
    ] {
        assert_eq!(problems(good), [], "{good}");
    }
    for bad in [
        "https://elsewhere.example/x",
        "https://cmms.example:8443",
        "https://cmms.example:{{ settings.port }}/x",
        "https://cmms.example:8443{{ settings.path }}",
        "/api/x",
    ] {
        let problems = problems(bad);
        assert_eq!(problems.len(), 1, "{bad}: {problems:?}");
        assert_eq!(problems[0].key, "url");
    }
}

#[test]
fn a_body_is_rendered_and_a_picture_and_the_event_are_given() {
    let mut step = to_path("/sr");
    let json = r#"{"short_key":"k","item":{"type":"image/jpeg"}}"#;
    let of = |step: &Step, bytes: Option<&str>| {
        let rendered = step.render(&base(), &scope(json), true).unwrap();
        let bytes = bytes.map(|bytes| bytes.as_bytes().to_vec());
        let request = step.request(&base(), &rendered, bytes, &scope(json), Vec::new());
        let request = request.unwrap();
        let body = request.body.map(|body| String::from_utf8(body).unwrap());
        (rendered.body, request.content_type, body)
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(of(&step, None), (None, None, None));
    let tree = Json::parse(br#"{"a":"{{ short_key }}"}"#).unwrap();
    step.body = StepBody::Json(Template::parse("body", &tree, &KNOWN).unwrap());
    let (json_type, body) = (some("application/json"), some(r#"{"a":"k"}"#));
    assert_eq!(
        of(&step, None),
        (body.clone(), json_type.clone(), body.clone())
    );
    assert_eq!(of(&step, Some("with")), (body, json_type, some("with")));
    step.body = StepBody::Text(gapped("key {{ short_key }}"));
    let (frozen, content_type, _) = of(&step, None);
    assert_eq!(frozen, some("key k"));
    assert_eq!(content_type, some("text/plain; charset=utf-8"));
    step.body = StepBody::Capture;
    assert_eq!(
        of(&step, Some("jpg")),
        (None, some("image/jpeg"), some("jpg"))
    );
    step.content_type = some("application/octet-stream");
    assert_eq!(of(&step, Some("jpg")).1, some("application/octet-stream"));
}

#[test]
fn a_header_is_filled_anew_and_is_a_secret_where_it_is_made_of_secrets() {
    let mut step = to_path("/sr");
    step.headers = vec![
        (header_name("slug").unwrap(), gapped("{{ item.name }}")),
        (header_name("x-key").unwrap(), gapped("k {{ secrets.key }}")),
    ];
    let json = r#"{"item":{"name":"a.jpg"},"secrets":{"key":"canary"}}"#;
    let rendered = step.render(&base(), &scope(json), true).unwrap();
    assert!(!format!("{rendered:?}").contains("canary"));
    let request = step.request(&base(), &rendered, None, &scope(json), Vec::new());
    let headers = request.unwrap().headers;
    let sent: Vec<_> = headers
        .iter()
        .map(|Header { name, value }| (name.as_str(), value.to_str().unwrap()))
        .collect();
    assert_eq!(sent, [("slug", "a.jpg"), ("x-key", "k canary")]);
    let secret: Vec<_> = headers.iter().map(|h| h.value.is_sensitive()).collect();
    assert_eq!(secret, [false, true]);
    let broken = scope(r#"{"item":{"name":"a\r\nX: y"},"secrets":{"key":"k"}}"#);
    assert!(
        step.request(&base(), &rendered, None, &broken, Vec::new())
            .is_err()
    );
}

#[test]
fn a_step_is_done_once_or_for_each_item_where_its_when_holds() {
    let json = r#"{"captures":[{"is_image":true},{"is_image":false},{"is_image":true}]}"#;
    let names = |step: &Step| {
        let rounds = step.rounds(&scope(json)).unwrap().into_iter();
        rounds.map(|round| round.name).collect::<Vec<_>>()
    };
    let mut step = to_path("/sr");
    assert_eq!(names(&step), ["create"]);
    step.when = Some(Expression::parse("steps.find.id").unwrap());
    assert!(names(&step).is_empty());
    step.for_each = Some(Each::Captures);
    step.when = Some(Expression::parse("item.is_image").unwrap());
    assert_eq!(names(&step), ["create/0", "create/2"]);
    step.for_each = Some(Each::Readings);
    assert!(names(&step).is_empty(), "there are none");
}

#[test]
fn what_is_taken_is_what_the_answer_holds_and_null_is_nothing() {
    let mut step = to_path("/sr");
    for (name, text) in [
        ("id", "json:/d/results/0/id"),
        ("number", "json:/number"),
        ("none", "json:/none"),
        ("missing", "json:/missing"),
        ("href", "header:Location"),
        ("no_header", "header:x-none"),
        ("token", "cookie:SID"),
        ("no_cookie", "cookie:OTHER"),
    ] {
        step.take
            .push((name.to_owned(), Take::parse(text).unwrap()));
    }
    let headers = [
        ("location", "/sr/7"),
        ("set-cookie", "SID=session-1; path=/"),
    ];
    let body = r#"{"d":{"results":[{"id":"7"}]},"number":10000000000000000001,"none":null}"#;
    let taken = step.taken(&answered(&headers, body));
    assert_eq!(
        taken.to_string(),
        r#"{"id":"7","number":10000000000000000001,"href":"/sr/7","token":"session-1"}"#
    );
    let secrets = secrets_of(&taken);
    assert_eq!(
        secrets.len(),
        1,
        "a short text would be blotted out everywhere"
    );
    assert_eq!(secrets[0].expose(), "session-1");
    assert_eq!(step.taken(&answered(&[], "<html>")).to_string(), "{}");
    let long = format!("{:?}", "x".repeat(LONGEST_TAKEN));
    assert_eq!(Take::Json(String::new()).take(&answered(&[], &long)), None);
}

#[test]
fn what_can_be_taken_is_read_and_written_alike() {
    for text in [
        "json:",
        "json:/a/0/b~1c",
        "header:location",
        "cookie:SAP_SESSIONID",
    ] {
        assert_eq!(Take::parse(text).unwrap().text(), text);
    }
    for text in [
        "",
        "json",
        "json:a",
        "header:",
        "header:a b",
        "cookie:",
        "xml:/a",
        "/a",
    ] {
        assert_eq!(Take::parse(text), Err(TakeError), "{text}");
    }
}

fn keys(problems: &[Problem]) -> Vec<&str> {
    problems.iter().map(|problem| &*problem.key).collect()
}

#[test]
fn a_secret_may_stand_only_in_headers_and_in_fresh_steps() {
    let mut login = to_path("/login?user={{ secrets.user }}");
    login.name = "login".into();
    login.fresh = true;
    login.take = vec![("token".into(), Take::Cookie("SID".into()))];
    login.body = StepBody::Text(gapped("{{ secrets.password }}"));
    assert_eq!(login.check(&base(), &[]), []);
    let mut step = to_path("/sr?key={{ secrets.key }}");
    step.body = StepBody::Text(gapped("{{ steps.login.token }}"));
    step.when = Some(Expression::parse("secrets.key == '1'").unwrap());
    let token = gapped("{{ steps.login.token }} {{ secrets.key }}");
    step.headers = vec![(header_name("x-token").unwrap(), token)];
    let earlier = [login.clone()];
    assert_eq!(
        keys(&step.check(&base(), &earlier)),
        ["path", "text", "when"]
    );
    login.fresh = false;
    assert_eq!(keys(&login.check(&base(), &[])), ["path", "text"]);
}

#[test]
fn a_step_sees_what_steps_before_it_take() {
    let mut find = to_path("/find");
    find.name = "find".into();
    find.method = Method::Get;
    find.take = vec![("id".into(), Take::Json("/id".into()))];
    let mut step = to_path("/sr/{{ steps.find.id }}");
    step.when = Some(Expression::parse("not steps.find.id").unwrap());
    assert_eq!(step.check(&base(), std::slice::from_ref(&find)), []);
    assert_eq!(keys(&step.check(&base(), &[])), ["path", "when"]);
    find.take = vec![("number".into(), Take::Json("/id".into()))];
    let problems = step.check(&base(), &[find]);
    assert_eq!(
        problems[0].what,
        "step find takes no id: add it to its `take`"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_with_its_key() {
    let refused = |change: fn(&mut Step), key: &str| {
        let mut step = to_path("/sr");
        assert_eq!(step.check(&base(), &[]), []);
        change(&mut step);
        assert_eq!(keys(&step.check(&base(), &[])), [key]);
    };
    refused(|step| step.name = "Create it".into(), "name");
    refused(
        |step| step.content_type = Some("a\nb".into()),
        "content_type",
    );
    refused(|step| step.body = StepBody::Capture, "capture");
    let get = |step: &mut Step| {
        step.method = Method::Get;
        step.body = StepBody::Text(gapped("x"));
    };
    refused(get, "method");
    let fresh = |step: &mut Step| {
        step.fresh = true;
        step.for_each = Some(Each::Readings);
    };
    refused(fresh, "fresh");
    let twice = |step: &mut Step| {
        let id = || ("id".to_owned(), Take::Json("/id".into()));
        step.take = vec![id(), id()];
    };
    refused(twice, "take.id");
    let step = to_path("/sr");
    assert_eq!(
        keys(&step.check(&base(), std::slice::from_ref(&step))),
        ["name"]
    );
}

proptest! {
    #[test]
    fn no_value_leads_away_from_the_destination(value: String) {
        let json = Json::object([
            ("short_key", value.clone().into()),
            ("steps", Json::object([("create", Json::object([("href", value.into())]))])),
        ]);
        let scope = Scope::new(Arc::new(json));
        let path = to_path("/a/{{ short_key }}/b?c={{ short_key }}");
        if let Ok(rendered) = path.render(&base(), &scope, true) {
            let request = path.request(&base(), &rendered, None, &scope, Vec::new());
            let url = request.unwrap().url;
            prop_assert_eq!(url.origin(), base().origin());
            prop_assert_eq!(url.path_segments().unwrap().count(), 4);
            prop_assert_eq!(url.query_pairs().count(), 1);
        }
        if let Ok(rendered) = to_url("{{ steps.create.href }}/x").render(&base(), &scope, true) {
            prop_assert_eq!(Url::parse(&rendered.url).unwrap().origin(), base().origin());
        }
    }
}
