//! Pictures in a body: marks where one is to stand, and what replaces them.
//!
//! A body is frozen with marks, and filled at each try: pictures are never journalled.
//!
//! # Invariants
//! - Pure. A mark is plain text of JSON, and holds a part of the delivery's key: what a sender
//!   writes into one event can at most name pictures of that same event.
//! - Members of a capture that the relay does not set are passed through as they were sent.

use serde_json::value::RawValue;

use crate::event::{Envelope, Members};

/// What no plain text has at its ends.
const EDGE: char = '\u{2063}';

/// The members that a capture gets.
const IMAGE: &str = "inspection_image";
const IMAGE_TYPE: &str = "inspection_image_type";
const IMAGE_URL: &str = "inspection_image_url";
const IMAGE_NOTE: &str = "inspection_image_note";

/// What stands for the picture with this number until the body is sent.
pub fn mark(short_key: &str, index: usize) -> String {
    format!("{EDGE}capture:{short_key}:{index}{EDGE}")
}

/// The pictures that a body wants, each once, in order of first appearance.
pub fn wanted(body: &str, short_key: &str) -> Vec<usize> {
    let mut wanted = Vec::new();
    for part in parts(body, short_key) {
        if let Part::Picture(index) = part
            && !wanted.contains(&index)
        {
            wanted.push(index);
        }
    }
    wanted
}

/// The body with its pictures; nothing stands where there is none, nor behind the first `most`
/// bytes of pictures, however often one is wanted. Each picture is let go as soon as it stands for
/// the last time, so that two copies of one are there at most.
pub fn fill(
    body: &str,
    short_key: &str,
    mut pictures: Vec<(usize, Vec<u8>)>,
    most: u64,
) -> Vec<u8> {
    let mut left = usize::try_from(most).unwrap_or(usize::MAX);
    let length_of = |index: usize| {
        let mut all = pictures.iter();
        all.find(|(is, _)| *is == index)
            .map(|(_, bytes)| bytes.len())
    };
    let mut length = 0;
    let mut parts: Vec<_> = parts(body, short_key).collect();
    parts.retain(|part| {
        let bytes = match part {
            Part::Text(text) => text.len(),
            Part::Picture(index) => match length_of(*index) {
                Some(bytes) if bytes <= left => {
                    left -= bytes;
                    bytes
                }
                _ => return false,
            },
        };
        length += bytes;
        true
    });
    let mut filled = Vec::with_capacity(length);
    for (number, part) in parts.iter().enumerate() {
        let index = match part {
            Part::Text(text) => {
                filled.extend_from_slice(text.as_bytes());
                continue;
            }
            Part::Picture(index) => index,
        };
        let Some(at) = pictures.iter().position(|(is, _)| is == index) else {
            continue;
        };
        if let Some((_, bytes)) = pictures.get(at) {
            filled.extend_from_slice(bytes);
        }
        let mut later = parts.iter().skip(number + 1);
        if !later.any(|part| matches!(part, Part::Picture(other) if other == index)) {
            pictures.swap_remove(at);
        }
    }
    filled
}

enum Part<'a> {
    Text(&'a str),
    Picture(usize),
}

fn parts<'a>(body: &'a str, short_key: &str) -> impl Iterator<Item = Part<'a>> {
    let start = format!("{EDGE}capture:{short_key}:");
    let mut rest = Some(body);
    let mut picture = None;
    std::iter::from_fn(move || {
        if let Some(index) = picture.take() {
            return Some(Part::Picture(index));
        }
        let text = rest.take()?;
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|text| text.find(&start)) {
            let (before, behind) = text.split_at_checked(from + at)?;
            let behind = behind.get(start.len()..)?;
            let found = behind.split_once(EDGE);
            if let Some((number, behind)) = found
                && let Ok(index) = number.parse()
            {
                rest = Some(behind);
                picture = Some(index);
                return Some(Part::Text(before));
            }
            from += at + start.len();
        }
        Some(Part::Text(text))
    })
}

/// A capture of an event, as far as its picture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// Its place among all captures of the event.
    pub index: usize,
    /// Where Orbit has it, as it was sent.
    pub data_url: Option<String>,
}

/// The captures of an event.
pub fn captures(event: &Envelope<'_>) -> Vec<Capture> {
    let data = event.members().raw("data").map(Members::parse);
    let Some(Ok(data)) = data else {
        return Vec::new();
    };
    let items = (0..).zip(items(&data));
    let captures = items.map(|(index, raw)| {
        let members = Members::parse(raw.get()).ok();
        Capture {
            index,
            data_url: members.and_then(|members| members.text("dataUrl")),
        }
    });
    captures.collect()
}

/// What becomes of the picture of one capture in the body that is the event itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It stands there, as a mark until it is filled.
    Embedded {
        /// What it is, such as `image/jpeg`.
        media_type: String,
    },
    /// Its address does, and perhaps why not the picture.
    Linked {
        /// Where Orbit has it.
        url: Option<String>,
        /// Why it is not embedded.
        note: Option<String>,
    },
    /// Nothing.
    Absent,
}

/// The text of an event's `data` with the pictures of its captures; none where it has no captures.
pub fn with_pictures(event: &Envelope<'_>, shown: &[Shown], short_key: &str) -> Option<String> {
    let data = Members::parse(event.members().raw("data")?).ok()?;
    let mut captures = Vec::new();
    for (index, raw) in (0..).zip(items(&data)) {
        let none = Shown::Absent;
        let shown = shown.get(index).unwrap_or(&none);
        captures.push(capture(raw.get(), shown, &mark(short_key, index)));
    }
    if captures.is_empty() {
        return None;
    }
    let mut text = String::from("{");
    for (name, raw) in data.iter() {
        member(&mut text, name, |text| match name {
            "dataCaptures" => {
                text.push('[');
                text.push_str(&captures.join(","));
                text.push(']');
            }
            _ => text.push_str(raw),
        });
    }
    text.push('}');
    Some(text)
}

fn items<'a>(data: &Members<'a>) -> Vec<&'a RawValue> {
    let list = data.raw("dataCaptures").map(serde_json::from_str);
    list.and_then(Result::ok).unwrap_or_default()
}

fn capture(raw: &str, shown: &Shown, mark: &str) -> String {
    let Ok(members) = Members::parse(raw) else {
        return raw.to_owned();
    };
    let own = [IMAGE, IMAGE_TYPE, IMAGE_URL, IMAGE_NOTE];
    let mut text = String::from("{");
    for (name, raw) in members.iter().filter(|(name, _)| !own.contains(name)) {
        member(&mut text, name, |text| text.push_str(raw));
    }
    let mut add = |name, value: &str| member(&mut text, name, |text| *text += &quoted(value));
    match shown {
        Shown::Embedded { media_type } => {
            add(IMAGE, mark);
            add(IMAGE_TYPE, media_type);
        }
        Shown::Linked { url, note } => {
            for (name, value) in [(IMAGE_URL, url), (IMAGE_NOTE, note)] {
                if let Some(value) = value {
                    add(name, value);
                }
            }
        }
        Shown::Absent => {}
    }
    text.push('}');
    text
}

fn member(text: &mut String, name: &str, value: impl FnOnce(&mut String)) {
    if !text.ends_with('{') || text.len() > 1 {
        text.push(',');
    }
    text.push_str(&quoted(name));
    text.push(':');
    value(text);
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "0123456789abcdef";

    #[test]
    fn a_capture_gets_its_picture_behind_what_was_sent() {
        let event = "{\"type\":\"X\",\"data\":{\"uuid\":\"u\",\"dataCaptures\":[\
            {\"dataUrl\":\"/a b\",\"keyResults\":[1e400],\"inspection_image\":\"forged\"},7,{},{}],\"z\":0.10}}";
        let envelope = Envelope::parse(event.as_bytes()).unwrap();
        let captures = captures(&envelope);
        assert_eq!(captures.len(), 4);
        assert_eq!(captures[0].data_url.as_deref(), Some("/a b"));
        let shown = [
            Shown::Embedded {
                media_type: "image/jpeg".into(),
            },
            Shown::Absent,
            Shown::Linked {
                url: Some("https://orbit/x".into()),
                note: Some("too large".into()),
            },
        ];
        let data = with_pictures(&envelope, &shown, KEY).unwrap();
        assert_eq!(wanted(&data, KEY), [0]);
        let filled = fill(&data, KEY, vec![(0, b"QUJD".to_vec())], 9);
        insta::assert_snapshot!(String::from_utf8(filled).unwrap(), @r#"{"uuid":"u","dataCaptures":[{"dataUrl":"/a b","keyResults":[1e400],"inspection_image":"QUJD","inspection_image_type":"image/jpeg"},7,{"inspection_image_url":"https://orbit/x","inspection_image_note":"too large"},{}],"z":0.10}"#);
    }

    #[test]
    fn an_event_without_captures_has_no_pictures() {
        for event in [
            r#"{"type":"X"}"#,
            r#"{"type":"X","data":"test"}"#,
            r#"{"type":"X","data":{"dataCaptures":null}}"#,
            r#"{"type":"X","data":{"dataCaptures":[]}}"#,
        ] {
            let envelope = Envelope::parse(event.as_bytes()).unwrap();
            assert!(captures(&envelope).is_empty());
            assert_eq!(with_pictures(&envelope, &[], KEY), None, "{event}");
        }
    }

    #[test]
    fn what_only_looks_like_a_mark_stays() {
        let other = mark("fedcba9876543210", 0);
        let broken = format!("{EDGE}capture:{KEY}:x{EDGE} {EDGE}capture:{KEY}:1 ");
        let body = format!("{other}{broken}{}{}", mark(KEY, 2), mark(KEY, 2));
        assert_eq!(wanted(&body, KEY), [2]);
        let pictures = vec![(2, b"!".to_vec()), (0, b"?".to_vec())];
        let filled = fill(&body, KEY, pictures, 9);
        assert_eq!(filled, format!("{other}{broken}!!").as_bytes());
    }

    #[test]
    fn a_picture_that_is_wanted_often_makes_no_endless_body() {
        let body = mark(KEY, 0).repeat(1_000) + "end";
        let filled = fill(&body, KEY, vec![(0, b"picture".to_vec())], 20);
        assert_eq!(filled, b"picturepictureend");
    }

    proptest! {
        #[test]
        fn a_body_without_marks_stays_as_it_is(body: String) {
            prop_assert_eq!(fill(&body, KEY, Vec::new(), 9), body.as_bytes());
        }

        #[test]
        fn each_mark_is_filled(texts in proptest::collection::vec(".{0,9}", 1..6)) {
            let marked: Vec<_> = (0..).zip(&texts).map(|(i, t)| format!("{t}{}", mark(KEY, i))).collect();
            let pictures: Vec<_> = (0..texts.len()).map(|i| (i, b"P".to_vec())).collect();
            let expected: String = texts.iter().flat_map(|t| [t, "P"]).collect();
            prop_assert_eq!(fill(&marked.concat(), KEY, pictures, 99), expected.as_bytes());
        }
    }
}
