//! Sources: their keys, and what is wrong with them.

use super::*;
use crate::config::Shown;
use crate::event::Glob;
use crate::relay::receive::Source;
use crate::relay::verify::Scheme;
use crate::relay::verify::scheme::{
    Credential, Hash, HmacForm, KeyForm, Names, Piece, TokenForm, Unit,
};
use crate::relay::verify::scheme::{Encoding as Code, Place as At};

/// One source of the scheme `github` with these keys besides.
pub(super) fn github(keys: &str) -> String {
    format!("[[source]]\nname = \"repo\"\nscheme = \"github\"\nsecret = \"canary\"\n{keys}\n")
}

/// One source with these keys besides its name.
fn named(keys: &str) -> String {
    format!("[[source]]\nname = \"shop\"\n{keys}\n")
}

/// The one source of this file.
fn source(text: &str) -> Source {
    let mut sources = load(text).sources;
    assert_eq!(sources.len(), 1);
    sources.remove(0)
}

/// A destination of this name.
pub(super) fn to(name: &str, keys: &str) -> String {
    format!("[[destination]]\nname = \"{name}\"\nurl = \"http://x.example/\"\n{keys}\n")
}

/// What is said of each of these files.
pub(super) fn said(all: &[String]) -> String {
    let said: Vec<_> = all.iter().map(|text| problems(text)).collect();
    let said = said.join("\n");
    assert!(!said.contains("canary"), "{said}");
    said
}

#[test]
fn a_source_that_says_little_has_the_defaults() {
    let source = source(&github(""));
    assert_eq!((&*source.name, &*source.path), ("repo", "/hooks/repo"));
    assert_eq!(source.scheme, Scheme::Github);
    assert_eq!(source.secrets.len(), 1);
    assert_eq!(source.events.len(), 1);
    assert!(source.events[0].matches("whatever"));
    assert!(source.when.is_none() && source.allow.is_empty() && source.rate_limit.is_none());
    assert_eq!(source.max_age, Duration::from_mins(5));
}

#[test]
fn every_key_of_a_source_is_taken() {
    let config = load_in(
        "trusted_proxies = [\"10.0.0.1\", \"fd00::/8\"]\n\
         [[source]]\nname = \"up42\"\npath = \"/orders\"\nscheme = \"up42\"\n\
         secret = [{ env = \"SET\" }, \"canary\"]\nevents = [\"order.*\", \"order.*\", \"*\"]\n\
         when = \"event.body.status == 'FULFILLED' and type and id and source\"\n\
         allow = [\"10.0.0.0/24\", \"192.168.1.1\"]\n\
         rate_limit = { per_minute = 60, burst = 10 }\nmax_age = \"7m\"\n\
         body_unsigned = \"accept\"\n",
        &[("SET", "canary")],
    );
    let config = config.unwrap();
    let proxies: Vec<_> = config
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["10.0.0.1/32", "fd00::/8"]);
    let source = &config.sources[0];
    assert_eq!(source.path, "/orders");
    let body_unsigned = true;
    assert_eq!(source.scheme, Scheme::Up42 { body_unsigned });
    assert_eq!(source.secrets.len(), 2);
    let events: Vec<_> = source.events.iter().map(Glob::text).collect();
    assert_eq!(events, ["order.*", "*"]);
    assert!(source.when.is_some());
    assert_eq!(source.allow.len(), 2);
    let limit = source.rate_limit.unwrap();
    assert_eq!((limit.per_minute.get(), limit.burst.get()), (60, 10));
    assert_eq!(source.max_age, Duration::from_mins(7));
}

#[test]
fn each_scheme_is_read_with_its_keys() {
    let secret = "secret = \"cafe\"\n";
    let of = |keys: &str| source(&named(&format!("{secret}{keys}"))).scheme;
    assert_eq!(of("scheme = \"stripe\""), Scheme::Stripe);
    assert_eq!(of("scheme = \"slack\""), Scheme::Slack);
    assert_eq!(of("scheme = \"servo\""), Scheme::Servo);
    let signed = format!("scheme = \"standard-webhooks\"\nsecret = \"{SIGNING}\"");
    assert_eq!(source(&named(&signed)).scheme, Scheme::StandardWebhooks);
    let plain = of("scheme = \"hmac\"\nheader = \"X-Sign\"");
    let form = HmacForm {
        header: "X-Sign".to_owned(),
        prefix: String::new(),
        hash: Hash::Sha256,
        code: Code::Hex,
        key: KeyForm::Text,
        timestamp: None,
        signed: vec![Piece::Body],
        names: Names::default(),
    };
    assert_eq!(plain, Scheme::Hmac(Box::new(form)));
    let full = of(
        "scheme = \"hmac\"\nheader = \"X-Sign\"\nprefix = \"v1=\"\nalgorithm = \"sha512\"\n\
         encoding = \"base64\"\nkey = \"hex\"\ntimestamp = { header = \"X-Time\", unit = \"ms\" }\n\
         signed = \"{id}.{timestamp}.{header:X-Where}.{body}\"\nid = \"/a/0/b~1\"\n\
         type = { header = \"X-Kind\" }\nmax_age = \"1m\"",
    );
    let names = Names {
        id: Some(At::Pointer("/a/0/b~1".to_owned())),
        event_type: Some(At::Header("X-Kind".to_owned())),
    };
    let dot = || Piece::Text(".".to_owned());
    let form = HmacForm {
        header: "X-Sign".to_owned(),
        prefix: "v1=".to_owned(),
        hash: Hash::Sha512,
        code: Code::Base64,
        key: KeyForm::Hex,
        timestamp: Some(("X-Time".to_owned(), Unit::Milliseconds)),
        signed: vec![
            Piece::Id,
            dot(),
            Piece::Timestamp,
            dot(),
            Piece::Header("X-Where".to_owned()),
            dot(),
            Piece::Body,
        ],
        names: names.clone(),
    };
    assert_eq!(full, Scheme::Hmac(Box::new(form)));
    let unsigned = "scheme = \"hmac\"\nheader = \"X-Sign\"\nsigned = \"{header:X-Time}\"\n\
                    timestamp = { header = \"x-time\" }\nbody_unsigned = \"accept\"";
    assert!(matches!(of(unsigned), Scheme::Hmac(_)));
    for (text, shown) in [
        ("\"bearer\"", Credential::Bearer),
        (
            "{ header = \"X-Key\" }",
            Credential::Header("X-Key".to_owned()),
        ),
    ] {
        let names = Names::default();
        let read = of(&format!("scheme = \"token\"\ncredential = {text}"));
        assert_eq!(read, Scheme::Token(TokenForm { shown, names }));
    }
    let basic = "scheme = \"token\"\ncredential = \"basic\"\nsecret = \"me:canary\"";
    assert!(matches!(source(&named(basic)).scheme, Scheme::Token(_)));
    let open =
        "scheme = \"none\"\ninsecure = true\nid = \"/a/0/b~1\"\ntype = { header = \"X-Kind\" }";
    let config = load(&named(open));
    assert_eq!(config.sources[0].scheme, Scheme::None { names });
    assert!(config.sources[0].secrets.is_empty());
    let warned = "relay.toml:3: nothing that comes to the source shop is signed";
    let mut warnings = config.warnings.iter();
    assert!(warnings.any(|warning| warning.starts_with(warned)));
}

#[test]
fn what_is_wrong_with_a_source_is_named() {
    let wrong = [
        "",
        "scheme = \"github\"",
        "scheme = \"githup\"\nsecret = \"canary\"",
        "scheme = \"md5\"\nsecret = \"canary\"",
        "scheme = \"none\"",
        "scheme = \"none\"\ninsecure = false",
        "scheme = \"none\"\ninsecure = true\nsecret = \"canary\"",
        "scheme = \"standard-webhooks\"\nsecret = []",
    ];
    let mut all: Vec<_> = wrong.map(named).into();
    let of_github = [
        "insecure = true",
        "max_age = \"5m\"",
        "body_unsigned = \"accept\"",
        "id = \"/id\"",
        "typ = \"/type\"",
        "notify = [\"x\"]",
        "path = \"/\"",
        "path = \"/ping\"",
        "path = \"/work-orders\"",
        "path = \"/hooks/orbit\"",
        "path = \"/hooks/closed/x\"",
        "path = \"hooks/x\"",
        "path = \"/hooks/{x}\"",
        "events = []",
        "events = [\"\"]",
        "events = \"push\"",
        "when = \"inspection.severity\"",
        "when = \"evnt.action == 'opened'\"",
        "when = \"event.action is strange\"",
        "allow = [\"10.0.0.0/33\", \"plant.example\"]",
        "allow = []",
        "rate_limit = { per_minute = 0 }",
        "rate_limit = { burst = 5 }",
        "rate_limit = { per_minute = 60, burst = 0, perminute = 1 }",
        "rate_limit = \"60/m\"",
        "[[source]]\nname = \"repo\"\nscheme = \"servo\"\nsecret = \"canary\"",
        "[[source]]\nname = \"other\"\npath = \"/hooks/repo\"\nscheme = \"servo\"\nsecret = \"canary\"",
        "[[source]]\nname = \"orbit\"\nscheme = \"servo\"\nsecret = \"canary\"",
        "[[source]]\nname = \"relay\"\nscheme = \"servo\"\nsecret = \"canary\"",
        "[[source]]\nname = \"Other One\"\nscheme = \"servo\"\nsecret = { env = \"MISSING\" }",
        "[[source]]\nname = \"two\"\nscheme = \"servo\"\nsecret = [\"canary\", { env = \"MISSING\" }]",
    ];
    all.extend(of_github.map(github));
    all.extend(
        [
            "trusted_proxies = [\"proxy.example\"]",
            "trusted_proxies = \"10.0.0.1\"",
            "[source]\nname = \"x\"",
        ]
        .map(str::to_owned),
    );
    insta::assert_snapshot!(said(&all));
}

#[test]
fn what_is_wrong_with_a_scheme_of_ones_own_is_named() {
    let secret = "secret = \"canary\"\n";
    let hmac = [
        "",
        "header = \"X Sign\"",
        "header = \"X-Sign\"\nalgorithm = \"md5\"",
        "header = \"X-Sign\"\nencoding = \"hx\"",
        "header = \"X-Sign\"\nkey = \"bytes\"",
        "header = \"X-Sign\"\nsigned = \"{timestamp}.{body}\"",
        "header = \"X-Sign\"\nsigned = \"{body}\"\ntimestamp = { header = \"X-Time\" }",
        "header = \"X-Sign\"\ntimestamp = { unit = \"m\" }",
        "header = \"X-Sign\"\nsigned = \"{id}.{body}\"",
        "header = \"X-Sign\"\nsigned = \"{header:X-Id}\"",
        "header = \"X-Sign\"\nsigned = \"{bdy}\"",
        "header = \"X-Sign\"\nsigned = 5",
        "header = \"X-Sign\"\nbody_unsigned = \"accept\"",
        "header = \"X-Sign\"\nbody_unsigned = true",
        "header = \"X-Sign\"\nmax_age = \"5m\"",
        "header = \"X-Sign\"\nid = \"sample/id\"",
        "header = \"X-Sign\"\nid = \"/a~2\"",
        "header = \"X-Sign\"\ntype = { header = \"X Type\" }",
        "header = \"X-Sign\"\ntype = { heder = \"X-Type\" }",
        "header = \"X-Sign\"\ncredential = \"bearer\"",
        "header = \"X-Sign\"\nsigned = \"{header:x-sign}{body}\"",
        "header = \"X-Sign\"\nsigned = \"{id}{body}\"\nid = { header = \"x-sign\" }",
        "header = \"X-Sign\"\nsigned = \"{timestamp}{body}\"\ntimestamp = { header = \"x-sign\" }",
        "header = \"X-Sign\"\nsigned = \"{timestamp}{body}\"\ntimestamp = { header = \"X-Time\" }\nid = { header = \"x-time\" }",
    ];
    let hmac = hmac.map(|keys| named(&format!("scheme = \"hmac\"\n{secret}{keys}")));
    let token = [
        "secret = \"canary\"",
        "secret = \"canary\"\ncredential = \"barer\"",
        "secret = \"canary\"\ncredential = \"basic\"",
        "secret = \"canary\"\ncredential = { header = \"\" }",
        "secret = \"canary\"\ncredential = true",
        "secret = \"can\\u0007ary\"\ncredential = \"bearer\"",
        "secret = \"canary\"\ncredential = \"bearer\"\nheader = \"X-Key\"",
    ];
    let token = token.map(|keys| named(&format!("scheme = \"token\"\n{keys}")));
    let all: Vec<_> = hmac.into_iter().chain(token).collect();
    insta::assert_snapshot!(said(&all));
}

#[test]
fn a_secret_that_can_be_guessed_is_warned_of_and_not_shown() {
    for (secret, expected) in [("fifteen-charact", true), ("sixteen-characte", false)] {
        let text = named(&format!("scheme = \"slack\"\nsecret = \"{secret}\"\n"));
        let warnings = load(&text).warnings.join("\n");
        assert_eq!(warnings.contains("can be guessed"), expected, "{warnings}");
        assert!(!warnings.contains(secret), "{warnings}");
    }
}

#[test]
fn sources_alone_are_meant_where_nothing_of_orbit_is_set() {
    let alone = |text: &str, environment: &[(&str, &str)]| {
        let config = load_in(text, environment).unwrap();
        (config.sources_alone, config.not_configured.is_some())
    };
    let repo = github("");
    assert_eq!(alone(&repo, &[]), (true, true));
    assert_eq!(alone("", &[]), (false, true));
    assert_eq!(
        alone(&repo, &[("ORBIT_HOSTNAME", "orbit.example")]),
        (false, true)
    );
    assert_eq!(
        alone(&repo, &[("ORBIT_API_TOKEN", "abcdef")]),
        (false, true)
    );
}

#[test]
fn each_key_of_a_source_is_shown_with_its_effective_value_and_origin() {
    let text = named(
        "scheme = \"hmac\"\nsecret = [{ env = \"SET\" }, \"canary\"]\nheader = \"X-Sign\"\n\
         timestamp = { header = \"X-Time\" }\nsigned = \"{timestamp}.{body}\"\nid = \"/id\"\n\
         type = { header = \"X-Kind\" }\nallow = [\"10.0.0.7/8\", \"::1\"]\n",
    );
    let config = load_in(&text, &[("SET", "canary")]).unwrap();
    let line = |key: &Shown| format!("{} = {} (from {})", key.name, key.value, key.origin);
    let lines: Vec<_> = config.shown_sources[0].keys.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"));
}
