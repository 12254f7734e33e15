//! The captures: what the robot took, and where Orbit has it.
//!
//! # Invariants
//! - The index of a capture is its place in the event's `dataCaptures`.
//! - A file name has no separator and nothing that steers, and is at most 100 characters long.

use percent_encoding::percent_decode_str;
use url::Url;

use super::super::json::Json;
use super::super::pictures::mark;
use super::super::times;
use super::texts::{cut, first, plain, text};

/// The model shows no more captures of an event.
pub const MOST_CAPTURES: usize = 256;

/// What each reading repeats of its channel.
const LONGEST_CHANNEL: usize = 256;
const LONGEST_NAME: usize = 100;
const LONGEST_EXTENSION: usize = 10;
const ANY_TYPE: &str = "application/octet-stream";

/// Media types by the name's ending; radiometric images (pgm, raw) are no pictures to look at.
const TYPES: [(&str, &str); 35] = [
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("webp", "image/webp"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("heic", "image/heic"),
    ("mp4", "video/mp4"),
    ("m4v", "video/mp4"),
    ("mov", "video/quicktime"),
    ("avi", "video/x-msvideo"),
    ("mkv", "video/x-matroska"),
    ("webm", "video/webm"),
    ("mpg", "video/mpeg"),
    ("mpeg", "video/mpeg"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("json", "application/json"),
    ("csv", "text/csv"),
    ("txt", "text/plain"),
    ("log", "text/plain"),
    ("xml", "application/xml"),
    ("pdf", "application/pdf"),
    ("zip", "application/zip"),
    ("gz", "application/gzip"),
    ("pgm", ANY_TYPE),
    ("raw", ANY_TYPE),
    ("sorx", ANY_TYPE),
    ("ply", ANY_TYPE),
];

/// One capture of the event.
#[derive(Debug)]
pub(super) struct Capture<'a> {
    pub(super) index: usize,
    pub(super) channel: Option<String>,
    pub(super) time: Option<String>,
    pub(super) key_results: &'a [Json],
    uuid: Option<String>,
    data_url: Option<&'a str>,
}

/// The captures of an event, whatever stands among them.
pub(super) fn read(event: &Json) -> Vec<Capture<'_>> {
    let captures = event
        .get("data")
        .and_then(|data| data.get("dataCaptures"))
        .map_or(&[][..], Json::items);
    let captures = captures.iter().take(MOST_CAPTURES).enumerate();
    let captures = captures.map(|(index, json)| Capture {
        index,
        channel: first(&[json], "channelName", text).map(|name| cut(&name, LONGEST_CHANNEL)),
        time: first(&[json], "time", |time| times::rfc3339(time.as_str()?).ok()),
        key_results: json.get("keyResults").map_or(&[][..], Json::items),
        uuid: first(&[json], "uuid", text),
        data_url: json
            .get("dataUrl")
            .and_then(Json::as_str)
            .filter(|url| !url.trim().is_empty()),
    });
    captures.collect()
}

impl Capture<'_> {
    pub(super) fn to_json(
        &self,
        url_of: &dyn Fn(&str) -> Option<String>,
        short_key: &str,
        asset: Json,
    ) -> Json {
        let url = self.data_url.and_then(url_of);
        let data = url.is_some().then(|| mark(short_key, self.index));
        let name = self.name();
        let media_type = self.data_url.map(|_| type_of(&name));
        let kind = match media_type.and_then(|is| is.split_once('/')) {
            Some((kind @ ("image" | "video" | "audio"), _)) => kind,
            _ => "other",
        };
        Json::object([
            ("index", self.index.into()),
            ("uuid", self.uuid.as_deref().into()),
            ("channel", self.channel.as_deref().into()),
            ("time", self.time.as_deref().into()),
            ("name", name.into()),
            ("url", url.into()),
            ("kind", kind.into()),
            ("is_image", (kind == "image").into()),
            ("type", media_type.into()),
            ("data", data.into()),
            ("asset", asset),
        ])
    }

    /// The file's name at Orbit, else one made of the channel.
    fn name(&self) -> String {
        let segment = self.data_url.map(last_segment).unwrap_or_default();
        let name = clean(&segment);
        // A name that is only an ending says nothing: `.jpg`.
        if name.trim_matches(['.', '_', ' ']).is_empty() || name.starts_with('.') {
            let channel = self.channel.as_deref().map(clean);
            let channel = channel.filter(|name| !name.trim_matches(['.', '_', ' ']).is_empty());
            let channel = channel.unwrap_or_else(|| "capture".to_owned());
            let ending = extension(&name).map(|ending| format!(".{ending}"));
            return shortened(&format!("{channel}{}", ending.unwrap_or_default()));
        }
        shortened(&name)
    }
}

/// What follows the last separator: of a path as it stands, of a whole URL decoded.
fn last_segment(data_url: &str) -> String {
    let whole = Url::parse(data_url)
        .ok()
        .filter(|_| data_url.contains("://"));
    let encoded = whole.as_ref().map(Url::path);
    let segment = encoded.unwrap_or(data_url).rsplit(['/', '\\']).next();
    let segment = segment.unwrap_or_default();
    if encoded.is_some() {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        return decoded.into_owned();
    }
    segment.to_owned()
}

/// A name that any file system and any header takes.
fn clean(name: &str) -> String {
    let name = plain(name);
    let name = name.replace(['/', '\\', ':', '*', '?', '"', '<', '>', '|'], "_");
    name.trim_end_matches(['.', ' ']).to_owned()
}

/// A long name keeps its ending.
fn shortened(name: &str) -> String {
    let ending = extension(name).map(|ending| format!(".{ending}"));
    let Some(ending) = ending else {
        return cut(name, LONGEST_NAME);
    };
    let stem = name.strip_suffix(&ending).unwrap_or(name);
    let most = LONGEST_NAME.saturating_sub(ending.chars().count());
    format!("{}{ending}", cut(stem, most))
}

fn extension(name: &str) -> Option<&str> {
    let (_, ending) = name.rsplit_once('.')?;
    let plain = ending.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain && (1..=LONGEST_EXTENSION).contains(&ending.len())).then_some(ending)
}

fn type_of(name: &str) -> &'static str {
    let ending = extension(name).unwrap_or_default();
    let mut types = TYPES.iter();
    let found = types.find(|(known, _)| known.eq_ignore_ascii_case(ending));
    found.map_or(ANY_TYPE, |(_, media_type)| media_type)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(data_url: &str, channel: &str) -> String {
        let capture = Capture {
            index: 0,
            channel: Some(channel.to_owned()),
            time: None,
            key_results: &[],
            uuid: None,
            data_url: Some(data_url),
        };
        capture.name()
    }

    #[test]
    fn a_files_name_is_the_last_segment_without_what_a_file_system_refuses() {
        for (data_url, expected) in [
            (
                "/daq/a/P-101 motor DE spot-cam-ir.jpg",
                "P-101 motor DE spot-cam-ir.jpg",
            ),
            ("/daq/Kühlung #3 / 점검 50%.jpg", "점검 50%.jpg"),
            ("/daq/Door 7 closed? ptz.jpg", "Door 7 closed_ ptz.jpg"),
            ("/a/b%20c.jpg", "b%20c.jpg"),
            ("https://orbit/a/b%20c.jpg?x=1", "b c.jpg"),
            ("/a/x\r\nSet-Cookie: y.jpg", "x Set-Cookie_ y.jpg"),
            ("/a/\u{202e}gpj.exe", "gpj.exe"),
            ("/a/", "ptz"),
            ("/a/..", "ptz"),
            ("/a/.jpg", "ptz.jpg"),
            ("/a/c:\\d\\e.jpg", "e.jpg"),
        ] {
            assert_eq!(name(data_url, "ptz"), expected, "{data_url}");
        }
        assert_eq!(name("/a/", "../x"), ".._x");
        assert_eq!(name("/a/", " / "), "capture");
        let long = name(&format!("/a/{}.jpeg", "ü".repeat(300)), "ptz");
        assert_eq!(long.chars().count(), 100);
        assert!(long.ends_with("ü….jpeg"), "{long}");
    }

    #[test]
    fn the_type_goes_by_the_name() {
        assert_eq!(type_of("a.JPG"), "image/jpeg");
        assert_eq!(type_of("a.b.mp4"), "video/mp4");
        for other in ["a.raw", "a.pgm", "a", "a.", "jpg", ".x y"] {
            assert_eq!(type_of(other), ANY_TYPE, "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_data_url_gives_a_name_of_a_file(data_url: String, channel: String) {
            let name = name(&data_url, &channel);
            prop_assert!(!name.trim().is_empty() && name.chars().count() <= 100);
            prop_assert!(!name.contains(['/', '\\']) && !name.contains(char::is_control));
            prop_assert!(name != "." && name != "..");
        }
    }
}
