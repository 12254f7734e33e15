//! A destination between its form and its keys.
//!
//! # Invariants
//! - Pure. A secret that somebody typed goes into the keys and into nothing that is shown again.
//! - What has no field of its own stays as it is, under "more keys".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::config::saved::{About, Fault, Keys, from_toml, to_toml};
use crate::config::{PresetFields, preset_fields};

/// The fields of a form, as they were sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Fields(pub(super) Vec<(String, String)>);

impl Fields {
    /// What stands in a field, without white space around it; nothing where it was not sent.
    pub(super) fn get(&self, name: &str) -> &str {
        let mut fields = self.0.iter();
        let found = fields.find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.trim())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(field, _)| field == name)
    }
}

/// What is wrong with which field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The field's name; empty for the form as a whole.
    pub(super) field: String,
    /// What is wrong.
    pub(super) what: String,
}

/// Types of `auth`: the key of who, and the key of the secret.
const AUTH: [(&str, Option<&str>, &str); 4] = [
    ("bearer", None, "token"),
    ("basic", Some("user"), "password"),
    ("header", Some("name"), "value"),
    ("oauth2", Some("client_id"), "client_secret"),
];
/// The keys that have fields of their own.
const OWN: [&str; 3] = ["name", "url", "preset"];
/// The preset that signs in its own way.
const FIIX: &str = "fiix";

/// What the form of a destination shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    /// The name that it was saved under.
    pub(super) old: Option<String>,
    pub(super) name: String,
    pub(super) url: String,
    pub(super) url_secret: bool,
    pub(super) preset: String,
    pub(super) settings: BTreeMap<String, String>,
    /// What is saved and not shown: `url`, `auth`, `sign`, `ca`, and secrets of the preset as
    /// `secrets.NAME`.
    pub(super) kept: BTreeSet<String>,
    pub(super) auth_type: String,
    pub(super) auth_name: String,
    pub(super) token_url: String,
    pub(super) scope: String,
    pub(super) app_key: String,
    pub(super) access_key: String,
    pub(super) more: String,
}

impl Draft {
    /// For a new one.
    pub(super) fn new(preset: &str) -> Self {
        Self {
            preset: preset.to_owned(),
            // These systems know their callers by nothing but the URL.
            url_secret: ["slack", "teams"].contains(&preset),
            ..Self::default()
        }
    }

    /// The preset's own fields.
    pub(super) fn fields(&self) -> PresetFields {
        preset_fields(&self.preset).unwrap_or_default()
    }

    /// Whether something is saved there that is not shown.
    pub(super) fn keeps(&self, what: &str) -> bool {
        self.kept.contains(what)
    }

    fn keep(&mut self, what: &str, value: Option<&Json>) {
        if value.is_some_and(is_kept) {
            self.kept.insert(what.to_owned());
        }
    }

    pub(super) fn signs(&self) -> bool {
        self.preset == FIIX
    }

    /// Of what is saved.
    pub(super) fn of_keys(mut keys: Keys) -> Self {
        let mut draft = Self::default();
        draft.name = text(keys.remove("name").as_ref());
        draft.old = Some(draft.name.clone());
        let url = keys.remove("url");
        draft.url_secret = url.as_ref().is_some_and(is_kept);
        draft.keep("url", url.as_ref());
        if !draft.url_secret {
            draft.url = text(url.as_ref());
        }
        draft.preset = text(keys.remove("preset").as_ref());
        let known = draft.fields();
        for field in &known.settings {
            if let Some(value) = take(&mut keys, "settings", &field.name) {
                draft
                    .settings
                    .insert(field.name.clone(), text(Some(&value)));
            }
        }
        for field in &known.secrets {
            if take(&mut keys, "secrets", &field.name).is_some() {
                draft.kept.insert(format!("secrets.{}", field.name));
            }
        }
        let has_fields = |auth: &Json| {
            let kind = text(auth.get("type"));
            AUTH.iter().any(|(known, ..)| *known == kind)
        };
        if keys.get("auth").is_some_and(has_fields)
            && let Some(Json::Object(auth)) = keys.remove("auth")
        {
            draft.auth_type = text(auth.get("type"));
            let mut kinds = AUTH.iter();
            if let Some((_, who, secret)) = kinds.find(|(kind, ..)| *kind == draft.auth_type) {
                draft.auth_name = text(who.and_then(|who| auth.get(who)));
                draft.keep("auth", auth.get(*secret));
            }
            draft.token_url = text(auth.get("token_url"));
            draft.scope = text(auth.get("scope"));
        }
        if draft.signs()
            && let Some(Json::Object(sign)) = keys.remove("sign")
        {
            draft.app_key = text(sign.get("app_key"));
            draft.access_key = text(sign.get("access_key"));
            draft.keep("sign", sign.get("secret"));
        }
        if let Some(Json::Object(tls)) = keys.get_mut("tls") {
            draft.keep("ca", tls.remove("ca_file").as_ref());
            if tls.is_empty() {
                keys.remove("tls");
            }
        }
        draft.more = to_toml(&keys);
        draft
    }

    /// Of what was sent, to be shown again; what is saved says which secrets are there.
    pub(super) fn of_fields(fields: &Fields, before: Option<Keys>) -> Self {
        let owned = |name: &str| fields.get(name).to_owned();
        let saved = before.map(Self::of_keys).unwrap_or_default();
        let settings = fields.0.iter().filter_map(|(field, value)| {
            let name = field.strip_prefix("settings.")?;
            Some((name.to_owned(), value.trim().to_owned()))
        });
        let url_secret = fields.has("url_secret");
        Self {
            name: owned("name"),
            // A secret is not shown again.
            url: if url_secret {
                String::new()
            } else {
                owned("url")
            },
            url_secret,
            preset: owned("preset"),
            settings: settings.collect(),
            auth_type: owned("auth_type"),
            auth_name: owned("auth_name"),
            token_url: owned("token_url"),
            scope: owned("scope"),
            app_key: owned("app_key"),
            access_key: owned("access_key"),
            more: owned("more"),
            ..saved
        }
    }

    /// The keys that were sent. A secret that was left empty is the one that is saved.
    pub(super) fn keys(fields: &Fields, before: Option<&Keys>) -> Result<Keys, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let kept = || json!({ "kept": true });
        let secret = |field: &str| match fields.get(field) {
            "" => kept(),
            text => text.into(),
        };
        let mut keys = from_toml(fields.get("more")).unwrap_or_else(|what| {
            wrong.push(Wrong::of("more", &what));
            Keys::new()
        });
        let preset = fields.get("preset");
        let known = preset_fields(preset).unwrap_or_default();
        for key in twice(&keys, &known, fields) {
            wrong.push(Wrong::of(
                "more",
                &format!("`{key}` has a field of its own"),
            ));
        }
        keys.insert("name".to_owned(), fields.get("name").into());
        let url = match fields.get("url") {
            "" => kept(),
            url if fields.has("url_secret") => json!({ "secret": url }),
            url => url.into(),
        };
        keys.insert("url".to_owned(), url);
        if !preset.is_empty() {
            keys.insert("preset".to_owned(), preset.into());
        }
        match settings(fields, &known, before) {
            Ok(settings) if settings.is_empty() => {}
            Ok(settings) => put(&mut keys, "settings", settings),
            Err(faults) => wrong.extend(faults),
        }
        let secrets = known.secrets.iter().map(|field| {
            let name = field.name.clone();
            let value = secret(&format!("secrets.{name}"));
            (name, value)
        });
        let secrets: Keys = secrets.collect();
        if !secrets.is_empty() {
            put(&mut keys, "secrets", secrets);
        }
        if let Some(auth) = auth(fields, &secret) {
            keys.insert("auth".to_owned(), auth);
        }
        if preset == FIIX {
            let sign = json!({
                "scheme": FIIX,
                "app_key": fields.get("app_key"),
                "access_key": fields.get("access_key"),
                "secret": secret("sign_secret"),
            });
            keys.insert("sign".to_owned(), sign);
        }
        let ca = match fields.get("ca") {
            "" if fields.has("ca_kept") && !fields.has("ca_remove") => Some(kept()),
            "" => None,
            pem => Some(pem.into()),
        };
        if let Some(ca) = ca {
            let tls = keys.entry("tls").or_insert_with(|| json!({}));
            match tls {
                Json::Object(tls) => drop(tls.insert("ca_file".to_owned(), ca)),
                _ => wrong.push(Wrong::of("more", "`tls` is a table")),
            }
        }
        if wrong.is_empty() {
            Ok(keys)
        } else {
            Err(wrong)
        }
    }
}

/// Takes a key out of a table, and the table with its last key.
fn take(keys: &mut Keys, table: &str, key: &str) -> Option<Json> {
    let of = keys.get_mut(table)?.as_object_mut()?;
    let taken = of.remove(key);
    if of.is_empty() {
        keys.remove(table);
    }
    taken
}

/// Puts keys into a table, beside what is there.
fn put(keys: &mut Keys, table: &str, more: Keys) {
    match keys.get_mut(table) {
        Some(Json::Object(of)) => of.extend(more),
        _ => drop(keys.insert(table.to_owned(), Json::Object(more))),
    }
}

/// Which of these keys have fields of their own.
fn twice(keys: &Keys, known: &PresetFields, fields: &Fields) -> Vec<String> {
    let mut twice: Vec<String> = OWN.iter().map(|key| (*key).to_owned()).collect();
    twice.retain(|key| keys.contains_key(key));
    if keys.contains_key("auth") && !fields.get("auth_type").is_empty() {
        twice.push("auth".to_owned());
    }
    if keys.contains_key("sign") && fields.get("preset") == FIIX {
        twice.push("sign".to_owned());
    }
    for (table, of) in [("settings", &known.settings), ("secrets", &known.secrets)] {
        let Some(given) = keys.get(table) else {
            continue;
        };
        if !given.is_object() {
            twice.push(table.to_owned());
        }
        let both = of.iter().filter(|field| given.get(&field.name).is_some());
        twice.extend(both.map(|field| format!("{table}.{}", field.name)));
    }
    twice
}

fn settings(
    fields: &Fields,
    known: &PresetFields,
    before: Option<&Keys>,
) -> Result<Keys, Vec<Wrong>> {
    let mut settings = Keys::new();
    let mut wrong = Vec::new();
    let before = before.and_then(|before| before.get("settings"));
    for field in &known.settings {
        let of = format!("settings.{}", field.name);
        let given = fields.get(&of);
        if given.is_empty() && !fields.has(&of) && field.default.is_some() {
            continue;
        }
        let same = before
            .and_then(|before| before.get(&field.name))
            .filter(|before| text(Some(before)) == given);
        let value = match (&field.default, same, given) {
            // A number that somebody wrote by hand stays one.
            (_, Some(same), _) => same.clone(),
            (None, _, "") => {
                wrong.push(Wrong::of(&of, "it is needed"));
                continue;
            }
            (Some(Json::Bool(_)), _, flag) => (flag == "true").into(),
            (Some(default), _, given) if text(Some(default)) == given => continue,
            (_, _, given) => given.into(),
        };
        settings.insert(field.name.clone(), value);
    }
    if wrong.is_empty() {
        Ok(settings)
    } else {
        Err(wrong)
    }
}

fn auth(fields: &Fields, secret: &impl Fn(&str) -> Json) -> Option<Json> {
    let kind = fields.get("auth_type");
    let (kind, who, key) = AUTH.iter().find(|(known, ..)| *known == kind)?;
    let mut auth = Keys::new();
    auth.insert("type".to_owned(), (*kind).into());
    if let Some(who) = who {
        auth.insert((*who).to_owned(), fields.get("auth_name").into());
    }
    auth.insert((*key).to_owned(), secret("auth_secret"));
    if *kind == "oauth2" {
        auth.insert("token_url".to_owned(), fields.get("token_url").into());
        if !fields.get("scope").is_empty() {
            auth.insert("scope".to_owned(), fields.get("scope").into());
        }
    }
    Some(Json::Object(auth))
}

impl Wrong {
    fn of(field: &str, what: &str) -> Self {
        Self {
            field: field.to_owned(),
            what: what.to_owned(),
        }
    }

    /// At the field that it is about.
    pub(super) fn of_fault(fault: &Fault) -> Self {
        match &fault.about {
            About::Setting(name) => Self::of(name, &fault.what),
            About::Elsewhere => Self::of("", &fault.what),
            About::Key { key, .. } => Self::of(field_of(key), &fault.what),
        }
    }
}

/// The field of a key of a destination.
fn field_of(key: &str) -> &str {
    match key {
        "name" | "url" | "preset" => key,
        "auth.type" | "auth" => "auth_type",
        "auth.name" | "auth.user" | "auth.client_id" => "auth_name",
        "auth.token" | "auth.password" | "auth.value" | "auth.client_secret" => "auth_secret",
        "auth.token_url" => "token_url",
        "auth.scope" => "scope",
        "sign.app_key" => "app_key",
        "sign.access_key" => "access_key",
        "sign.secret" => "sign_secret",
        "tls.ca_file" => "ca",
        "" | "settings" | "secrets" => "",
        key if key.starts_with("settings.") || key.starts_with("secrets.") => key,
        _ => "more",
    }
}

fn is_kept(value: &Json) -> bool {
    value.get("kept").and_then(Json::as_bool) == Some(true)
}

/// A value as it stands in a field.
pub(super) fn text(value: Option<&Json>) -> String {
    match value {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(given: &[(&str, &str)]) -> Fields {
        let given = given.iter();
        Fields(
            given
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn object(value: Json) -> Keys {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_a_form_says_becomes_the_keys_of_a_destination() {
        let sent = fields(&[
            ("name", "pi"),
            ("url", " https://pi.example/ "),
            ("preset", "pi-web-api"),
            ("settings.units", "false"),
            ("auth_type", "basic"),
            ("auth_name", "relay"),
            ("auth_secret", "s"),
            (
                "more",
                "timeout = \"5s\"\n[tls]\nclient_cert_file = { kept = true }\n",
            ),
            ("ca", "-----BEGIN"),
        ]);
        let expected = object(json!({
            "name": "pi", "url": "https://pi.example/", "preset": "pi-web-api",
            "settings": { "units": false },
            "auth": { "type": "basic", "user": "relay", "password": "s" },
            "timeout": "5s",
            "tls": { "ca_file": "-----BEGIN", "client_cert_file": { "kept": true } },
        }));
        assert_eq!(Draft::keys(&sent, None).unwrap(), expected);
    }

    #[test]
    fn a_form_that_is_sent_back_as_it_was_changes_nothing() {
        for saved in [
            json!({ "name": "a", "url": "http://a/" }),
            json!({ "name": "a", "url": { "kept": true }, "preset": "slack" }),
            json!({
                "name": "a", "url": "http://a/", "auth": { "type": "none" },
                "settings": { "site": 3 }, "secrets": { "key": { "kept": true } },
            }),
            json!({
                "name": "a", "url": "http://a/", "preset": "limble",
                "settings": { "location_id": 12, "type": "2", "due_days": "3" },
                "auth": { "type": "header", "name": "X-Key", "value": { "kept": true } },
                "tls": { "ca_file": { "kept": true } }, "retry": { "then_every": "1h" },
            }),
            json!({
                "name": "a", "url": "http://a/", "preset": "upkeep",
                "secrets": { "email": { "kept": true }, "password": { "kept": true } },
                "auth": {
                    "type": "oauth2", "client_id": "i", "client_secret": { "kept": true },
                    "token_url": "https://a/", "scope": "x y",
                },
            }),
            json!({
                "name": "a", "url": "http://a/", "preset": "fiix",
                "settings": { "site_id": "1", "status_id": "2" },
                "sign": { "scheme": "fiix", "app_key": "k", "access_key": "l", "secret": { "kept": true } },
            }),
        ] {
            let saved = object(saved);
            let draft = Draft::of_keys(saved.clone());
            let mut sent = fields(&[
                ("name", &draft.name),
                ("url", &draft.url),
                ("preset", &draft.preset),
                ("auth_type", &draft.auth_type),
                ("auth_name", &draft.auth_name),
                ("token_url", &draft.token_url),
                ("scope", &draft.scope),
                ("app_key", &draft.app_key),
                ("access_key", &draft.access_key),
                ("more", &draft.more),
                ("auth_secret", ""),
                ("ca", ""),
            ]);
            let settings = draft.settings.iter();
            sent.0
                .extend(settings.map(|(name, value)| (format!("settings.{name}"), value.clone())));
            if draft.keeps("ca") {
                sent.0.push(("ca_kept".to_owned(), "1".to_owned()));
            }
            assert_eq!(Draft::keys(&sent, Some(&saved)).unwrap(), saved);
        }
    }

    #[test]
    fn what_is_missing_or_no_toml_is_said_at_its_field() {
        let sent = fields(&[
            ("name", "a"),
            ("url", "http://a/"),
            ("preset", "ignition"),
            ("more", "name = 1"),
        ]);
        let wrong = Draft::keys(&sent, None).unwrap_err();
        let of: Vec<_> = wrong.iter().map(|wrong| &*wrong.field).collect();
        assert_eq!(of, ["more", "settings.project"]);
        let sent = fields(&[("more", "token = \"canary")]);
        let wrong = Draft::keys(&sent, None).unwrap_err();
        assert!(wrong[0].what.starts_with("not TOML: "), "{wrong:?}");
        assert!(!wrong[0].what.contains("canary"));
    }

    #[test]
    fn a_secret_that_was_typed_is_not_shown_again() {
        let sent = fields(&[
            ("url", "https://hooks.example/canary"),
            ("url_secret", "1"),
            ("auth_secret", "canary"),
            ("secrets.password", "canary"),
            ("sign_secret", "canary"),
        ]);
        let draft = format!("{:?}", Draft::of_fields(&sent, None));
        assert!(!draft.contains("canary"), "{draft}");
    }

    #[test]
    fn every_key_that_can_be_wrong_has_a_field() {
        for (key, field) in [
            ("auth.password", "auth_secret"),
            ("settings.project", "settings.project"),
            ("step.body", "more"),
            ("tls.client_cert_file", "more"),
            ("", ""),
        ] {
            assert_eq!(field_of(key), field);
        }
    }
}
