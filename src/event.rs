//! What flows: an event, what its envelope says, and the keys that are made of it.
//!
//! An event's raw bytes are the truth. The envelope is read without ever building a value of
//! them, so depth, big numbers and member order survive.
//!
//! # Invariants
//! - Of a member that appears twice the last one counts.
//! - A dedupe key is made of signed material only, where anything is signed; of every key each part
//!   is preceded by its length. The idempotency key of an event whose id or type is not signed has
//!   them as its source says them.
//! - Reading an envelope never panics and never recurses, whatever the bytes are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use wildmatch::WildMatch;

/// The source that is always there.
pub const ORBIT: &str = "orbit";

/// The source of what the relay itself has to say.
pub const RELAY: &str = "relay";

/// The type of what the relay itself has to say.
pub const NOTICE: &str = "RELAY_NOTICE";

/// What stands for the type in a key where a completed event and its alert are one.
pub const INSPECTION: &str = "inspection";

/// The type of an inspection that was finished.
pub const COMPLETED: &str = "ACTION_COMPLETED";

/// The type of an inspection that found something.
pub const ALERT: &str = "ACTION_COMPLETED_WITH_ALERT";

/// The type of what the test button of Orbit's webhook page sends.
pub const TEST: &str = "TEST";

const LONGEST_ID: usize = 256;

/// What the envelopes' ids are made in that the relay makes itself.
const NAMESPACE: Uuid = Uuid::from_u128(0x6f62_9d3e_58c1_4b0a_9a77_0d1c_52e8_f4b6);

/// What a source sent, with what its envelope says.
#[derive(Clone, Debug)]
pub struct Event {
    /// Who sent it.
    pub source: String,
    /// The envelope's `type`.
    pub event_type: String,
    /// What it is known by.
    pub identity: Identity,
    /// How it came here.
    pub origin: Origin,
    /// When it came here.
    pub received_at: Timestamp,
    /// The bytes as they were received.
    pub body: Vec<u8>,
}

/// How an event came to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The source called the webhook.
    Webhook,
    /// The relay found it at the source.
    Backfill,
    /// A person asked for it again.
    Replay,
    /// The relay itself has something to say.
    Relay,
    /// The source asked the relay for a work order.
    WorkOrder,
    /// A person had a sample made: nothing happened.
    Sample,
}

impl Origin {
    /// The word in bodies, logs and the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Backfill => "backfill",
            Self::Replay => "replay",
            Self::Relay => RELAY,
            Self::WorkOrder => "work_order",
            Self::Sample => "sample",
        }
    }
}

/// What an event is known by: the first of these that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// `data.uuid`: the run event. Backfill knows it too.
    RunEvent(String),
    /// The envelope's `uuid`.
    Envelope(String),
    /// What another source calls it, where that is signed or nothing is.
    Id(String),
    /// What another source calls it, where this or its type is not signed while the body is.
    Unsigned {
        /// What it is called.
        id: String,
        /// What is signed of it, and what it is known by: the SHA-256 of the body, in hex, or `id:`
        /// and the id.
        signed: String,
    },
    /// None of these is there: the SHA-256 of the body, in hex.
    Body(String),
}

impl Identity {
    /// The text that lists, logs and keys show. Only a run event's is bare.
    pub fn text(&self) -> String {
        match self {
            Self::RunEvent(uuid) => uuid.clone(),
            Self::Envelope(uuid) => format!("envelope:{uuid}"),
            Self::Id(id) | Self::Unsigned { id, .. } => format!("id:{id}"),
            Self::Body(hash) => format!("sha256:{hash}"),
        }
    }

    /// The key that the journal admits once, of an event of this source and type.
    pub fn dedupe_key(&self, source: &str, event_type: &str) -> DedupeKey {
        let digest = match self {
            // Who shows an old body, or an old id, under new names brings nothing new.
            Self::Unsigned { signed, .. } => digest_of(&[self.tag(), source, signed]),
            _ => digest_of(&[self.tag(), source, event_type, &self.text()]),
        };
        let mut key = [0; 16];
        key.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
        DedupeKey(key)
    }

    fn tag(&self) -> &'static str {
        match self {
            Self::RunEvent(_) => "run-event",
            Self::Envelope(_) => "envelope",
            Self::Id(_) => "id",
            Self::Unsigned { .. } => "unsigned",
            Self::Body(_) => "body",
        }
    }
}

/// Events of one source, by their types.
#[derive(Clone, Debug, PartialEq)]
pub struct Takes {
    /// The source.
    pub source: String,
    /// The types.
    pub types: Vec<Glob>,
}

impl Takes {
    /// Those of this source.
    pub fn new(source: &str, types: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let types = types.into_iter();
        Self {
            source: source.to_owned(),
            types: types.map(|text| Glob::new(text.as_ref())).collect(),
        }
    }

    /// Whether an event of this source and type is one of them.
    pub fn takes(&self, source: &str, event_type: &str) -> bool {
        self.source == source && self.types.iter().any(|glob| glob.matches(event_type))
    }
}

/// A type in which `*` stands for any text, and `?` for one character.
#[derive(Clone, Debug, PartialEq)]
pub struct Glob {
    text: String,
    pattern: WildMatch,
}

impl Glob {
    /// The glob of this text.
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            pattern: WildMatch::new(text),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it fits.
    pub fn matches(&self, event_type: &str) -> bool {
        self.pattern.matches(event_type)
    }
}

/// Two events with the same dedupe key are one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DedupeKey(pub [u8; 16]);

impl DedupeKey {
    /// What Orbit's alert about a run event is known by.
    pub fn of_alert(run_event: &str) -> Self {
        Identity::RunEvent(run_event.to_owned()).dedupe_key(ORBIT, ALERT)
    }
}

impl Event {
    /// The event of a run event that Orbit has on record, as its webhook would have it but for the
    /// envelope; none where `data` has no id. A run event that says when it was gives the same
    /// bytes each time.
    pub fn of_run_event(
        data: &str,
        event_type: &str,
        origin: Origin,
        received_at: Timestamp,
    ) -> Option<Self> {
        let members = Members::parse(data).ok()?;
        members.text("uuid")?;
        let time = ["createdAt", "time"].map(|name| members.raw(name));
        let time = time.into_iter().flatten().next();
        let now = format!("\"{received_at}\"");
        let time = time.unwrap_or(&now);
        let quoted = serde_json::Value::from(event_type);
        let body = |uuid: &str| {
            let body =
                format!(r#"{{"uuid":"{uuid}","type":{quoted},"time":{time},"data":{data}}}"#);
            body.into_bytes()
        };
        // The identity is read as that of a webhook is, so that both have the same key.
        let draft = body("");
        let identity = Envelope::parse(&draft).ok()?.identity(&draft);
        let key = identity.dedupe_key(ORBIT, event_type);
        Some(Self {
            source: ORBIT.to_owned(),
            event_type: event_type.to_owned(),
            identity,
            origin,
            received_at,
            body: body(&Uuid::new_v5(&NAMESPACE, &key.0).to_string()),
        })
    }

    /// The key that the journal admits once.
    pub fn dedupe_key(&self) -> DedupeKey {
        self.identity.dedupe_key(&self.source, &self.event_type)
    }

    /// The key that every attempt to bring this event to `destination_id` carries: 64 hex digits.
    pub fn idempotency_key(&self, destination_id: &str) -> String {
        idempotency_key(
            &self.source,
            &self.event_type,
            &self.identity.text(),
            destination_id,
        )
    }
}

/// SHA-256, in hex, over source, event type, identity and destination id.
pub fn idempotency_key(
    source: &str,
    event_type: &str,
    identity: &str,
    destination: &str,
) -> String {
    hex::encode(digest_of(&[source, event_type, identity, destination]))
}

/// The same for one part of what a delivery brings, such as one reading.
pub fn part_key(
    source: &str,
    event_type: &str,
    identity: &str,
    destination: &str,
    part: &str,
) -> String {
    hex::encode(digest_of(&[
        source,
        event_type,
        identity,
        destination,
        part,
    ]))
}

/// What the events of one inspection have in common for a destination that wants one of them: the
/// first half of the key that they share.
pub fn inspection_key(source: &str, identity: &str, destination: &str) -> [u8; 16] {
    let digest = digest_of(&[source, INSPECTION, identity, destination]);
    let mut key = [0; 16];
    key.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
    key
}

/// Each part is preceded by its length as eight bytes, big-endian, so no two lists collide.
fn digest_of(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        hash.update(length.to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// The members of one JSON object, in order, each as the text that was sent.
#[derive(Debug)]
pub struct Members<'a>(Vec<(Text<'a>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// Reads the top level of a JSON object.
    pub fn parse(json: &'a str) -> Result<Self, serde_json::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    members.push(entry);
                }
                Ok(Members(members))
            }
        }
        let mut json = serde_json::Deserializer::from_str(json);
        let members = json.deserialize_map(Object)?;
        json.end()?;
        Ok(members)
    }

    /// The raw text of a member; of several, the last.
    pub fn raw(&self, name: &str) -> Option<&'a str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key.0 == name)
            .map(|(_, value)| value.get())
    }

    /// A member that is a string, not empty.
    pub fn text(&self, name: &str) -> Option<String> {
        let text: Text = serde_json::from_str(self.raw(name)?).ok()?;
        Some(text.0.into_owned()).filter(|text| !text.is_empty())
    }

    /// Each name once, with the raw text of its last value, in order of first appearance.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        let mut last: HashMap<&str, &'a str> = self
            .0
            .iter()
            .map(|(name, value)| (&*name.0, value.get()))
            .collect();
        self.0
            .iter()
            .filter_map(move |(name, _)| last.remove_entry(&*name.0))
    }
}

/// A JSON string in which a lone surrogate, which JavaScript may send, reads as U+FFFD.
#[derive(Debug)]
struct Text<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> Visitor<'de> for Bytes {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON string")
            }

            fn visit_borrowed_bytes<E: serde::de::Error>(
                self,
                bytes: &'de [u8],
            ) -> Result<Self::Value, E> {
                Ok(Text(String::from_utf8_lossy(bytes)))
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Text(String::from_utf8_lossy(bytes).into_owned().into()))
            }
        }
        json.deserialize_bytes(Bytes)
    }
}

/// Why bytes are no event.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// The bytes are not UTF-8, or not JSON, or not an object.
    #[error("the body is not a JSON object")]
    NotAnObject(#[source] serde_json::Error),
    /// There is no `type`, or it is not a string.
    #[error("the JSON object has no `type` that is a string")]
    NoType,
}

/// What the relay reads of an Orbit event: the envelope, and the top level of `data`.
#[derive(Debug)]
pub struct Envelope<'a> {
    event_type: String,
    members: Members<'a>,
    data: Option<Members<'a>>,
}

impl<'a> Envelope<'a> {
    /// Reads a body. Any JSON object with a `type` will do.
    pub fn parse(body: &'a [u8]) -> Result<Self, EnvelopeError> {
        let members = members_of(body)?;
        let event_type = members
            .raw("type")
            .and_then(|raw| serde_json::from_str::<Text>(raw).ok())
            .ok_or(EnvelopeError::NoType)?
            .0
            .into_owned();
        Ok(Self::with(event_type, members))
    }

    /// Reads the body of an event whose type is known, as other sources say it elsewhere. Any JSON
    /// object will do.
    pub fn of(event_type: &str, body: &'a [u8]) -> Result<Self, EnvelopeError> {
        Ok(Self::with(event_type.to_owned(), members_of(body)?))
    }

    fn with(event_type: String, members: Members<'a>) -> Self {
        let data = members.raw("data").and_then(|raw| Members::parse(raw).ok());
        Self {
            event_type,
            members,
            data,
        }
    }

    /// The event's type.
    pub fn event_type(&self) -> &str {
        &self.event_type
    }

    /// All top-level members.
    pub fn members(&self) -> &Members<'a> {
        &self.members
    }

    /// What the event is known by. A test payload goes by its envelope.
    pub fn identity(&self, body: &[u8]) -> Identity {
        if self.event_type != TEST
            && let Some(uuid) = self.data("uuid")
        {
            return Identity::RunEvent(shortened(uuid));
        }
        match self.members.text("uuid") {
            Some(uuid) => Identity::Envelope(shortened(uuid)),
            None => Identity::Body(hex::encode(Sha256::digest(body))),
        }
    }

    /// A member of `data` that is a string, not empty.
    pub fn data(&self, name: &str) -> Option<String> {
        self.data.as_ref()?.text(name)
    }
}

fn members_of(body: &[u8]) -> Result<Members<'_>, EnvelopeError> {
    let json = std::str::from_utf8(body)
        .map_err(|e| EnvelopeError::NotAnObject(serde_json::Error::custom(e)))?;
    Members::parse(json).map_err(EnvelopeError::NotAnObject)
}

/// A uuid has 36 characters. An id that is far longer is known by its hash, which fits every log
/// line.
pub fn shortened(id: String) -> String {
    if id.len() <= LONGEST_ID {
        id
    } else {
        hex::encode(Sha256::digest(id))
    }
}

/// What a JSON pointer (RFC 6901) leads to: the text of a string that is not empty, of a number as
/// it was sent, or of `true` and `false`. Nothing else, and nothing in what is no JSON, is text.
pub fn text_at(json: &str, pointer: &str) -> Option<String> {
    let mut found: &RawValue = serde_json::from_str(json).ok()?;
    if !pointer.is_empty() {
        for step in pointer.strip_prefix('/')?.split('/') {
            let name = step.replace("~1", "/").replace("~0", "~");
            found = child(found.get(), &name)?;
        }
    }
    let raw = found.get();
    let text = match raw.as_bytes().first()? {
        b'{' | b'[' | b'n' => return None,
        b'"' => serde_json::from_str::<Text>(raw).ok()?.0.into_owned(),
        _ => raw.to_owned(),
    };
    Some(text).filter(|text| !text.is_empty())
}

/// A member of a JSON object, or what stands at this place of an array. Only the wanted one is kept.
fn child<'a>(json: &'a str, name: &str) -> Option<&'a RawValue> {
    struct Child<'n>(&'n str);
    impl<'de> Visitor<'de> for Child<'_> {
        type Value = Option<&'de RawValue>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object or array")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(Text(name)) = map.next_key()? {
                if name == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            // RFC 6901: digits without a leading zero.
            let plain = self.0 == "0" || !self.0.starts_with(['0', '+']);
            let index = self.0.parse().ok().filter(|_| plain);
            let mut found = None;
            let mut at = 0_usize;
            while let Some(value) = seq.next_element()? {
                if Some(at) == index {
                    found = Some(value);
                }
                at = at.saturating_add(1);
            }
            Ok(found)
        }
    }
    let mut json = serde_json::Deserializer::from_str(json);
    json.deserialize_any(Child(name)).ok()?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Envelope<'_> {
        Envelope::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn any_object_with_a_type_is_an_event() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        let bodies = [
            r#"{"type":"X"}"#.to_owned(),
            r#"{"type":"X","data":null}"#.to_owned(),
            r#"{"type":"X","data":"text"}"#.to_owned(),
            format!(r#"{{"type":"X","data":{{"deep":{deep}}}}}"#),
            r#"{"type":"X","data":{"n":[0.00005,1e21,9007199254740993,1e400,-0]}}"#.to_owned(),
            "{\"type\":\"X\",\"data\":{\"text\":\"Kühlung \u{2028} 점검\"}}".to_owned(),
            r#"{"type":"X","data":{"actionName":"\ud800"}}"#.to_owned(),
        ];
        for body in bodies {
            assert_eq!(parse(&body).event_type(), "X");
        }
    }

    #[test]
    fn anything_else_is_not_an_event() {
        for body in [
            "",
            "[1]",
            "1",
            "{",
            r#"{"type":1}"#,
            r#"{"uuid":"x"}"#,
            r#"{"type":"X"} x"#,
        ] {
            assert!(Envelope::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Envelope::parse(b"{\"type\":\"\xff\"}").is_err());
    }

    #[test]
    fn where_the_type_is_known_any_object_is_an_event() {
        let envelope = Envelope::of("issues.opened", br#"{"action":"opened"}"#).unwrap();
        assert_eq!(envelope.event_type(), "issues.opened");
        assert_eq!(envelope.members().text("action").unwrap(), "opened");
        assert!(Envelope::of("issues.opened", b"[1]").is_err());
    }

    #[test]
    fn the_last_duplicate_wins() {
        let envelope = parse(r#"{"type":"A","x":1,"type":"B","x":2}"#);
        assert_eq!(envelope.event_type(), "B");
        let members: Vec<_> = envelope.members().iter().collect();
        assert_eq!(members, [("type", r#""B""#), ("x", "2")]);
    }

    #[test]
    fn an_event_is_known_by_its_run_event_then_its_envelope_then_its_bytes() {
        let body = r#"{"type":"X","uuid":"e","data":{"uuid":"r"}}"#;
        assert_eq!(parse(body).identity(b""), Identity::RunEvent("r".into()));
        for data in ["{}", "null", r#"{"uuid":7}"#, r#"{"uuid":""}"#] {
            let body = format!(r#"{{"type":"X","uuid":"e","data":{data}}}"#);
            assert_eq!(parse(&body).identity(b""), Identity::Envelope("e".into()));
        }
        let hash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(
            parse(r#"{"type":"X"}"#).identity(b""),
            Identity::Body(hash.into())
        );
    }

    #[test]
    fn a_test_payload_goes_by_its_envelope() {
        let body = r#"{"type":"TEST","uuid":"e","data":{"uuid":"r"}}"#;
        assert_eq!(parse(body).identity(b""), Identity::Envelope("e".into()));
    }

    fn event(event_type: &str, identity: Identity) -> Event {
        Event {
            source: ORBIT.into(),
            event_type: event_type.into(),
            identity,
            origin: Origin::Webhook,
            received_at: Timestamp::UNIX_EPOCH,
            body: Vec::new(),
        }
    }

    #[test]
    fn a_completed_event_and_its_alert_have_different_keys() {
        let run_event = Identity::RunEvent("r".into());
        let completed = event("ACTION_COMPLETED", run_event.clone());
        let alert = event("ACTION_COMPLETED_WITH_ALERT", run_event);
        assert_ne!(completed.dedupe_key(), alert.dedupe_key());
        assert_eq!(DedupeKey::of_alert("r"), alert.dedupe_key());
        assert_ne!(completed.idempotency_key("d"), alert.idempotency_key("d"));
    }

    #[test]
    fn keys_are_length_prefixed_and_tagged() {
        assert_ne!(digest_of(&["ab", "c"]), digest_of(&["a", "bc"]));
        assert_ne!(
            event("X", Identity::RunEvent("envelope:u".into())).dedupe_key(),
            event("X", Identity::Envelope("u".into())).dedupe_key()
        );
    }

    #[test]
    fn the_idempotency_key_never_changes_between_versions() {
        assert_eq!(
            event("ACTION_COMPLETED", Identity::RunEvent("r".into()))
                .idempotency_key("integration"),
            "3118d57c46d09c89305069f2d999a51eceb99b96b7e7111779fa99b0e2f81434"
        );
    }

    fn key(source: &str, event_type: &str, identity: &Identity) -> DedupeKey {
        identity.dedupe_key(source, event_type)
    }

    #[test]
    fn a_signed_id_is_one_event_of_its_source_and_type() {
        let id = Identity::Id("evt_1".into());
        assert_eq!(id.text(), "id:evt_1");
        assert_eq!(key("a", "X", &id), key("a", "X", &id.clone()));
        for other in [
            key("b", "X", &id),
            key("a", "Y", &id),
            key("a", "X", &Identity::Id("evt_2".into())),
            key("a", "X", &Identity::Envelope("evt_1".into())),
            key("a", "X", &Identity::RunEvent("id:evt_1".into())),
        ] {
            assert_ne!(key("a", "X", &id), other);
        }
    }

    #[test]
    fn under_an_unsigned_id_the_same_body_is_the_same_event() {
        let unsigned = |id: &str, signed: &str| Identity::Unsigned {
            id: id.into(),
            signed: signed.into(),
        };
        let first = unsigned("1", "aa");
        assert_eq!(first.text(), "id:1");
        assert_eq!(key("a", "X", &first), key("a", "X", &unsigned("2", "aa")));
        assert_eq!(key("a", "X", &first), key("a", "Y", &first));
        assert_ne!(key("a", "X", &first), key("b", "X", &first));
        assert_ne!(key("a", "X", &first), key("a", "X", &unsigned("1", "bb")));
        for other in [Identity::Id("1".into()), Identity::Body("aa".into())] {
            assert_ne!(key("a", "X", &first), key("a", "X", &other));
        }
    }

    #[test]
    fn a_long_id_is_known_by_its_hash() {
        let id = "x".repeat(256);
        assert_eq!(shortened(id.clone()), id);
        let hash = hex::encode(Sha256::digest("x".repeat(257)));
        assert_eq!(shortened("x".repeat(257)), hash);
    }

    #[test]
    fn a_pointer_leads_to_text() {
        let json = r#" {"id":"a","id":"b","n":-0,"big":9007199254740993,"far":1e400,"yes":true,
            "no":false,"nil":null,"empty":"","of":{"":{"~1/":"odd"}},"list":[[],{"x":"y"}],
            "esc\u0061ped":"\ud800 \u00fc","00":"zero"} "#;
        for (pointer, text) in [
            ("/id", Some("b")),
            ("/n", Some("-0")),
            ("/big", Some("9007199254740993")),
            ("/far", Some("1e400")),
            ("/yes", Some("true")),
            ("/no", Some("false")),
            ("/nil", None),
            ("/empty", None),
            ("/of", None),
            ("/list", None),
            ("", None),
            ("/of//~01~1", Some("odd")),
            ("/of//~1", None),
            ("/list/1/x", Some("y")),
            ("/list/01/x", None),
            ("/list/+1/x", None),
            ("/list/-/x", None),
            ("/list/2/x", None),
            ("/list/99999999999999999999/x", None),
            ("/00", Some("zero")),
            ("/escaped", Some("\u{fffd}\u{fffd}\u{fffd} ü")),
            ("/id/0", None),
            ("/id/", None),
            ("id", None),
            ("/nothing", None),
        ] {
            assert_eq!(text_at(json, pointer).as_deref(), text, "{pointer}");
        }
        assert_eq!(text_at(" \"x\"", "").as_deref(), Some("x"));
    }

    #[test]
    fn nothing_is_found_in_what_is_no_json() {
        for json in ["", "{", r#"{"a":1} x"#, r#"{"a":1,}"#, r#"{"a":1"#, "a=1"] {
            assert_eq!(text_at(json, "/a"), None, "{json}");
        }
    }

    #[test]
    fn neither_depth_nor_a_long_pointer_is_too_much() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        let json = format!(r#"{{"deep":{deep},"a":"b"}}"#);
        assert_eq!(text_at(&json, "/a").as_deref(), Some("b"));
        assert_eq!(
            text_at(&json, &("/deep".to_owned() + &"/0".repeat(50))),
            None
        );
    }

    /// All JSON values of some depth.
    fn value() -> impl Strategy<Value = serde_json::Value> {
        let name = "[a~/0]{0,2}";
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            ".{0,4}".prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
                prop::collection::btree_map(name, inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_pointer_finds_what_serde_json_finds(value in value(), pointer in "(/([a~/0]|~0|~1|[0-3]){0,3}){0,4}") {
            let found = match value.pointer(&pointer) {
                Some(serde_json::Value::String(text)) => Some(text.clone()),
                Some(scalar @ (serde_json::Value::Bool(_) | serde_json::Value::Number(_))) => {
                    Some(scalar.to_string())
                }
                _ => None,
            };
            let found = found.filter(|text| !text.is_empty());
            prop_assert_eq!(text_at(&value.to_string(), &pointer), found);
        }

        #[test]
        fn no_text_and_no_pointer_panic(json: String, pointer: String) {
            text_at(&json, &pointer);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            if let Ok(envelope) = Envelope::parse(&bytes) {
                envelope.identity(&bytes);
            }
        }
    }
}
