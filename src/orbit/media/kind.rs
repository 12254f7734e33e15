//! What a file is: by its first bytes, what the server says, and its name, in this order.
//!
//! # Invariants
//! - Pure. A media type that comes out is one: `type/subtype`, lower case, no parameters.

/// So many first bytes are looked at.
pub(super) const HEAD_BYTES: usize = 16;

/// What is said where nothing is known.
const UNKNOWN: &str = "application/octet-stream";

/// Longer ones are nonsense.
const LONGEST_BYTES: usize = 127;

/// The media type of a file.
pub(super) fn media_type(head: &[u8], content_type: Option<&str>, name: &str) -> String {
    let said = content_type.and_then(plain);
    let found = by_first_bytes(head).map(str::to_owned);
    let found = found.or_else(|| said.filter(|said| said != UNKNOWN));
    found.unwrap_or_else(|| by_name(name).unwrap_or(UNKNOWN).to_owned())
}

/// `image/jpeg` of `Image/JPEG; q=1`.
pub(super) fn plain(content_type: &str) -> Option<String> {
    let essence = content_type.split(';').next()?.trim().to_ascii_lowercase();
    let (kind, sub) = essence.split_once('/')?;
    let is_token = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
        !text.is_empty() && text.bytes().all(plain)
    };
    (is_token(kind) && is_token(sub) && essence.len() <= LONGEST_BYTES).then_some(essence)
}

/// The media type of a picture that every browser shows, by its first bytes alone.
pub fn picture(bytes: &[u8]) -> Option<&'static str> {
    let of_browsers = ["image/jpeg", "image/png", "image/gif", "image/webp"];
    by_first_bytes(bytes).filter(|found| of_browsers.contains(found))
}

fn by_first_bytes(head: &[u8]) -> Option<&'static str> {
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Some(match head {
        [0xff, 0xd8, 0xff, ..] => "image/jpeg",
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => "image/png",
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => "image/gif",
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => "image/webp",
        // Two letters alone are a word: a bitmap has four zeros after its length.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => "image/bmp",
        [b'I', b'I', 42, 0, ..] | [b'M', b'M', 0, 42, ..] => "image/tiff",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "video/mp4",
        [0x1a, 0x45, 0xdf, 0xa3, ..] => "video/webm",
        [b'%', b'P', b'D', b'F', b'-', ..] => "application/pdf",
        [b'P', b'K', 3, 4, ..] => "application/zip",
        [b'P', b'5', byte, ..] if byte.is_ascii_whitespace() => "image/x-portable-graymap",
        _ if matches!(first, Some(b'{' | b'[')) => "application/json",
        _ => return None,
    })
}

fn by_name(name: &str) -> Option<&'static str> {
    let (_, extension) = name.rsplit_once('.')?;
    Some(match extension.to_ascii_lowercase().as_str() {
        "jpg" | "jpeg" => "image/jpeg",
        "png" => "image/png",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "bmp" => "image/bmp",
        "tif" | "tiff" => "image/tiff",
        "pgm" => "image/x-portable-graymap",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "wav" => "audio/wav",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "json" => "application/json",
        "csv" => "text/csv",
        "txt" => "text/plain",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_say_it_before_the_header_and_the_name() {
        for (head, expected) in [
            (&b"\xff\xd8\xff\xe0"[..], "image/jpeg"),
            (b"\x89PNG\r\n\x1a\n\0\0", "image/png"),
            (b"GIF89a\x01", "image/gif"),
            (b"RIFF\x10\0\0\0WEBPVP8 ", "image/webp"),
            (b"BM\x46\0\0\0\0\0\0\0\x36", "image/bmp"),
            (b"II*\0\x08", "image/tiff"),
            (b"MM\0*\0", "image/tiff"),
            (b"\0\0\0\x20ftypisom", "video/mp4"),
            (b"\x1aE\xdf\xa3\x01", "video/webm"),
            (b"%PDF-1.7", "application/pdf"),
            (b"PK\x03\x04\x14", "application/zip"),
            (b"{\"a\":1}", "application/json"),
            (b" \r\n[1]", "application/json"),
            (b"P5\n640 512", "image/x-portable-graymap"),
        ] {
            assert_eq!(media_type(head, Some("text/x"), "x.csv"), expected);
        }
    }

    #[test]
    fn a_picture_is_what_its_first_bytes_say_and_nothing_that_holds_script() {
        assert_eq!(picture(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(picture(b"RIFF\x10\0\0\0WEBPVP8 "), Some("image/webp"));
        for none in [
            &b""[..],
            b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>",
            b"<!doctype html>",
            b"%PDF-1.7",
            b"P5\n640 512",
            b"\xff\xd8",
        ] {
            assert_eq!(picture(none), None, "{none:?}");
        }
    }

    #[test]
    fn the_header_says_it_before_the_name_and_the_name_before_nothing() {
        for (head, header, name, expected) in [
            (
                &b"a;b"[..],
                Some("Text/CSV; charset=utf-8"),
                "x.jpg",
                "text/csv",
            ),
            (b"BMW;1", None, "cars.csv", "text/csv"),
            (
                b"P50;1",
                Some("application/octet-stream"),
                "x.PGM",
                "image/x-portable-graymap",
            ),
            (b"", Some("nonsense"), "a.b.jpeg", "image/jpeg"),
            (
                b"\x0b\x72",
                Some("a/b c"),
                "x.raw",
                "application/octet-stream",
            ),
            (b"\x0b\x72", Some("/"), "raw", "application/octet-stream"),
            (b"RIFF\x10\0\0\0WAVE", None, "x.wav", "audio/wav"),
        ] {
            assert_eq!(media_type(head, header, name), expected, "{name}");
        }
        let long = format!("a/{}", "b".repeat(LONGEST_BYTES));
        assert_eq!(media_type(b"", Some(&long), ""), UNKNOWN);
    }
}
