//! A body of several parts (`multipart/form-data`, RFC 7578): the event and its pictures.
//!
//! # Invariants
//! - Pure: the same key, event and pictures give the same bytes at every try.
//! - The boundary stands in no part.
//! - Nothing that a file name or type holds ends its header.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// A body, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multipart {
    /// `multipart/form-data` with the boundary.
    pub content_type: String,
    /// The body.
    pub bytes: Vec<u8>,
}

/// A picture that goes along.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// Its file name.
    pub name: &'a str,
    /// Its media type.
    pub media_type: &'a str,
    /// The picture.
    pub bytes: &'a [u8],
}

impl Multipart {
    /// The part `event` (`application/json`), and one part `capture` for each picture.
    pub fn new(key: &str, event: &[u8], pictures: &[Picture<'_>]) -> Self {
        let boundary = boundary(key, event, pictures);
        let mut bytes = Vec::new();
        let mut part = |head: &str, body: &[u8]| {
            let head = format!("--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n");
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(body);
            bytes.extend_from_slice(b"\r\n");
        };
        part("name=\"event\"\r\nContent-Type: application/json", event);
        for picture in pictures {
            let head = format!(
                "name=\"capture\"; filename=\"{}\"\r\nContent-Type: {}",
                file_name(picture.name),
                media_type(picture.media_type)
            );
            part(&head, picture.bytes);
        }
        bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        Self {
            content_type: format!("multipart/form-data; boundary={boundary}"),
            bytes,
        }
    }
}

/// Made of the key; again, of itself, until it stands in no part.
fn boundary(key: &str, event: &[u8], pictures: &[Picture<'_>]) -> String {
    let mut hash = Sha256::digest(key);
    loop {
        let hex = hex::encode(hash);
        let boundary = format!("orbit-relay-{}", hex.get(..32).unwrap_or(&hex));
        let stands_in = |part: &[u8]| {
            let mut windows = part.windows(boundary.len());
            windows.any(|window| window == boundary.as_bytes())
        };
        if !stands_in(event) && !pictures.iter().any(|picture| stands_in(picture.bytes)) {
            return boundary;
        }
        hash = Sha256::digest(hash);
    }
}

/// As browsers write it: quotes and ends of lines with a percent sign, the rest as it is. Other
/// control characters, which no parser expects, are left out; so is a path.
fn file_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let mut safe = String::new();
    for c in name.chars() {
        match c {
            // A String takes every write.
            '"' | '\r' | '\n' => drop(write!(safe, "%{:02X}", u32::from(c))),
            c if c.is_control() => {}
            c => safe.push(c),
        }
    }
    if safe.is_empty() {
        "capture".to_owned()
    } else {
        safe
    }
}

/// `type/subtype` of plain characters, or else just bytes.
fn media_type(text: &str) -> &str {
    let plain = |part: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !part.is_empty() && part.bytes().all(fits)
    };
    match text.split_once('/') {
        Some((kind, sort)) if plain(kind) && plain(sort) => text,
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture<'a>(name: &'a str, media_type: &'a str, bytes: &'a [u8]) -> Picture<'a> {
        Picture {
            name,
            media_type,
            bytes,
        }
    }

    #[test]
    fn the_event_and_each_picture_are_parts_with_name_and_type() {
        let pictures = [
            picture("gauge.jpg", "image/jpeg", b"\xff\xd8jpg"),
            picture("Kühlung 2.png", "image/png", b"png"),
        ];
        let Multipart {
            content_type,
            bytes,
        } = Multipart::new("key", b"{\"a\":1}", &pictures);
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .unwrap();
        let expected = [
            format!(
                "--{boundary}\r\nContent-Disposition: form-data; name=\"event\"\r\n\
                 Content-Type: application/json\r\n\r\n{{\"a\":1}}\r\n--{boundary}\r\n\
                 Content-Disposition: form-data; name=\"capture\"; filename=\"gauge.jpg\"\r\n\
                 Content-Type: image/jpeg\r\n\r\n"
            )
            .as_bytes(),
            b"\xff\xd8jpg",
            format!(
                "\r\n--{boundary}\r\nContent-Disposition: form-data; name=\"capture\"; \
                 filename=\"Kühlung 2.png\"\r\nContent-Type: image/png\r\n\r\npng\r\n\
                 --{boundary}--\r\n"
            )
            .as_bytes(),
        ]
        .concat();
        assert_eq!(bytes, expected);
    }

    #[test]
    fn the_same_key_gives_the_same_bytes_and_another_key_another_boundary() {
        let pictures = [picture("a", "image/png", b"x")];
        let one = Multipart::new("k", b"{}", &pictures);
        assert_eq!(one, Multipart::new("k", b"{}", &pictures));
        assert_ne!(
            one.content_type,
            Multipart::new("l", b"{}", &pictures).content_type
        );
    }

    #[test]
    fn a_boundary_that_stands_in_a_part_is_not_used() {
        let first = boundary("k", b"", &[]);
        let inside = format!("x{first}y");
        let pictures = [picture("a", "image/png", inside.as_bytes())];
        assert_ne!(boundary("k", b"", &pictures), first);
        assert_ne!(boundary("k", inside.as_bytes(), &[]), first);
    }

    #[test]
    fn no_file_name_or_type_breaks_out_of_its_header() {
        for (name, safe) in [
            ("a\"; x=\"b.jpg", "a%22; x=%22b.jpg"),
            ("a\r\nX: y", "a%0D%0AX: y"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.png", "y.png"),
            ("a\u{0}\u{7f}b", "ab"),
            ("", "capture"),
            ("dir/", "capture"),
        ] {
            assert_eq!(file_name(name), safe);
        }
        for odd in ["", "image", "image/", "image/png\r\nX: y", "a b/c", "a/b/c"] {
            assert_eq!(media_type(odd), "application/octet-stream", "{odd:?}");
        }
        assert_eq!(media_type("image/svg+xml"), "image/svg+xml");
    }
}
