//! `scheme` of a source, and the keys that only some schemes have.
//!
//! # Invariants
//! - What does not stand in a code proves nothing: a `timestamp` that is not signed is refused, and
//!   a body that is not signed unless that is said to be meant.

use super::reader::{Item, Table};
use super::signed;
use crate::config::nearest;
use crate::relay::destination::Header;
use crate::relay::verify::Scheme;
use crate::relay::verify::scheme::{
    Credential, Encoding, Hash, HmacForm, KeyForm, Names, Piece, Place, TokenForm, Unit,
};

/// The schemes, and the keys of each beside those of all sources.
pub(super) const SCHEMES: &[(&str, &[&str])] = &[
    ("stripe", &["secret", "max_age"]),
    ("github", &["secret"]),
    ("slack", &["secret", "max_age"]),
    ("up42", &["secret", "max_age", "body_unsigned"]),
    ("servo", &["secret"]),
    ("standard-webhooks", &["secret", "max_age"]),
    (
        "hmac",
        &[
            "secret",
            "max_age",
            "body_unsigned",
            "header",
            "prefix",
            "algorithm",
            "encoding",
            "key",
            "timestamp",
            "signed",
            "id",
            "type",
        ],
    ),
    ("token", &["secret", "credential", "id", "type"]),
    ("none", &["insecure", "id", "type"]),
];
/// The keys of `timestamp`.
pub(super) const TIMESTAMP: &[&str] = &["header", "unit"];
/// The keys of a place that is a header.
pub(super) const HEADER: &[&str] = &["header"];

/// No pointer is longer.
const LONGEST_POINTER: usize = 256;

/// How the source signs.
pub(super) fn scheme(table: &Table<'_, '_>) -> Option<Scheme> {
    let names: Vec<_> = SCHEMES.iter().map(|of| (of.0, *of)).collect();
    let item = table.require("scheme")?;
    let (word, keys) = item.word(&names)?;
    refuse_useless(table, word, keys);
    let body_unsigned = table
        .take("body_unsigned")
        .and_then(|item| item.word(&[("accept", true)]));
    let body_unsigned = body_unsigned.unwrap_or(false);
    Some(match word {
        "stripe" => Scheme::Stripe,
        "slack" => Scheme::Slack,
        "up42" => Scheme::Up42 { body_unsigned },
        "servo" => Scheme::Servo,
        "standard-webhooks" => Scheme::StandardWebhooks,
        "hmac" => Scheme::Hmac(Box::new(hmac(table, body_unsigned)?)),
        "token" => Scheme::Token(token(table)?),
        "none" => {
            let insecure = table.take("insecure").and_then(|item| item.flag());
            if insecure != Some(true) {
                item.refuse(
                    "nothing is signed then, and whoever reaches the port can make events; if \
                     that is meant, write insecure = true beside it",
                );
            }
            let names = self::names(table)?;
            Scheme::None { names }
        }
        _ => Scheme::Github,
    })
}

/// Says of each key of another scheme that it would do nothing.
fn refuse_useless(table: &Table<'_, '_>, scheme: &str, keys: &[&str]) {
    let mut others: Vec<_> = SCHEMES.iter().flat_map(|(_, keys)| *keys).collect();
    others.sort_unstable();
    others.dedup();
    for key in others.into_iter().filter(|key| !keys.contains(key)) {
        if let Some(item) = table.take(key) {
            item.refuse(format!("the scheme `{scheme}` has no use for it"));
        }
    }
}

fn hmac(table: &Table<'_, '_>, body_unsigned: bool) -> Option<HmacForm> {
    let header = table.require("header").and_then(|item| header(&item));
    let prefix = match table.take("prefix") {
        None => Some(String::new()),
        Some(item) => item.text("a text like \"sha256=\"").map(str::to_owned),
    };
    let hash = word(
        table,
        "algorithm",
        &[
            ("sha256", Hash::Sha256),
            ("sha1", Hash::Sha1),
            ("sha512", Hash::Sha512),
        ],
    );
    let code = word(
        table,
        "encoding",
        &[("hex", Encoding::Hex), ("base64", Encoding::Base64)],
    );
    let key = word(
        table,
        "key",
        &[
            ("text", KeyForm::Text),
            ("hex", KeyForm::Hex),
            ("base64", KeyForm::Base64),
        ],
    );
    let timestamp = match table.take("timestamp") {
        None => Some(None),
        Some(item) => timestamp(&item).map(Some),
    };
    let signed = match table.take("signed") {
        None => Some(vec![Piece::Body]),
        Some(item) => item.parsed("a text like \"{timestamp}.{body}\"", signed::parse),
    };
    let form = HmacForm {
        header: header?,
        prefix: prefix?,
        hash: hash?,
        code: code?,
        key: key?,
        timestamp: timestamp?,
        signed: signed?,
        names: names(table)?,
    };
    judge(table, &form, body_unsigned);
    Some(form)
}

/// Says what of a form proves nothing, or cannot be.
fn judge(table: &Table<'_, '_>, form: &HmacForm, body_unsigned: bool) {
    let has = |piece: &Piece| form.signed.contains(piece);
    let refuse = |key: &str, what: &str| match table.take(key) {
        Some(item) => item.refuse(what),
        None => table.refuse(format!("{}: {what}", table.words())),
    };
    match &form.timestamp {
        None if has(&Piece::Timestamp) => refuse(
            "signed",
            "it has {timestamp}, and there is no `timestamp` that names its header",
        ),
        None if table.take("max_age").is_some() => {
            refuse("max_age", "without a `timestamp` no age is known");
        }
        Some((header, _)) if !has(&Piece::Timestamp) => {
            let named = form.signed.iter().any(
                |piece| matches!(piece, Piece::Header(name) if name.eq_ignore_ascii_case(header)),
            );
            if !named {
                refuse(
                    "timestamp",
                    "a time that is not signed proves nothing: put {timestamp} into `signed`, or \
                     leave it out",
                );
            }
        }
        _ => {}
    }
    let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    let id_in = |name: &str| matches!(&form.names.id, Some(Place::Header(id)) if same(id, name));
    let signs = |name: &str| {
        let by_name = |piece: &Piece| matches!(piece, Piece::Header(of) if same(of, name));
        form.signed.iter().any(by_name) || has(&Piece::Id) && id_in(name)
    };
    let time_in = |name: &str| matches!(&form.timestamp, Some((time, _)) if same(time, name));
    if signs(&form.header) || has(&Piece::Timestamp) && time_in(&form.header) {
        refuse(
            "signed",
            "it has the header of the code itself, which no code can cover",
        );
    }
    if matches!(&form.timestamp, Some((time, _)) if id_in(time)) {
        refuse("id", "that header has the time already: each needs its own");
    }
    if has(&Piece::Id) && form.names.id.is_none() {
        refuse(
            "signed",
            "it has {id}, and there is no `id` that says where that is",
        );
    }
    match (has(&Piece::Body), body_unsigned) {
        (false, false) => refuse(
            "signed",
            "it has no {body}, so anyone who sees a request can put another body in its place; if \
             that is meant, write body_unsigned = \"accept\"",
        ),
        (true, true) => refuse("body_unsigned", "the body is signed: leave it out"),
        _ => {}
    }
}

fn token(table: &Table<'_, '_>) -> Option<TokenForm> {
    let shown = table
        .require("credential")
        .and_then(|item| match item.member("header") {
            Some(_) => {
                let table = item.table(CREDENTIAL, HEADER)?;
                header(&table.require("header")?).map(Credential::Header)
            }
            None => match item.text(CREDENTIAL)? {
                "bearer" => Some(Credential::Bearer),
                "basic" => Some(Credential::Basic),
                other => {
                    let shown = nearest::shown(other);
                    item.refuse(format!("{shown} is none of its words; write {CREDENTIAL}"));
                    None
                }
            },
        });
    let names = names(table);
    Some(TokenForm {
        shown: shown?,
        names: names?,
    })
}

const CREDENTIAL: &str = "\"bearer\", \"basic\" or { header = \"X-Key\" }";
const PLACE: &str = "a JSON pointer like \"/event/id\", or { header = \"X-Id\" }";

fn names(table: &Table<'_, '_>) -> Option<Names> {
    let named = |key: &str| match table.take(key) {
        None => Some(None),
        Some(item) => place(&item).map(Some),
    };
    let (id, event_type) = (named("id"), named("type"));
    Some(Names {
        id: id?,
        event_type: event_type?,
    })
}

fn place(item: &Item<'_, '_>) -> Option<Place> {
    if item.member("header").is_some() {
        let table = item.table(PLACE, HEADER)?;
        return header(&table.require("header")?).map(Place::Header);
    }
    item.parsed(PLACE, |text| {
        // RFC 6901: `~` stands only before 0 and 1.
        let mut escapes = text.split('~').skip(1);
        if text.starts_with('/')
            && text.len() <= LONGEST_POINTER
            && escapes.all(|rest| rest.starts_with(['0', '1']))
        {
            Ok(Place::Pointer(text.to_owned()))
        } else {
            let shown = nearest::quoted(text);
            Err(format!("{shown} is no JSON pointer like \"/event/id\""))
        }
    })
}

fn timestamp(item: &Item<'_, '_>) -> Option<(String, Unit)> {
    let table = item.table("a table like { header = \"X-Timestamp\" }", TIMESTAMP)?;
    let header = table.require("header").and_then(|item| header(&item));
    let unit = word(
        &table,
        "unit",
        &[
            ("s", Unit::Seconds),
            ("ms", Unit::Milliseconds),
            ("rfc3339", Unit::Rfc3339),
        ],
    );
    Some((header?, unit?))
}

/// One of these words; the first is the default.
fn word<T: Copy>(table: &Table<'_, '_>, key: &str, words: &[(&str, T)]) -> Option<T> {
    match table.take(key) {
        Some(item) => item.word(words),
        None => words.first().map(|(_, value)| *value),
    }
}

fn header(item: &Item<'_, '_>) -> Option<String> {
    item.parsed("the name of a header", |name| {
        Header::new(name, "")
            .map(|_| name.to_owned())
            .map_err(|_| format!("{} is no header's name", nearest::shown(name)))
    })
}
