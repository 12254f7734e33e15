//! Style, script and pictures of the page itself, compiled in.
//!
//! # Invariants
//! - A file's path holds the hash of its content, so that it may be kept for ever.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};

use super::Failed;

struct File {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const FILES: [File; 3] = [
    File {
        name: "page.css",
        content_type: "text/css; charset=utf-8",
        text: include_str!("static/page.css"),
    },
    File {
        name: "page.js",
        content_type: "text/javascript; charset=utf-8",
        text: include_str!("static/page.js"),
    },
    File {
        name: "icon.svg",
        content_type: "image/svg+xml",
        text: include_str!("static/icon.svg"),
    },
];

/// Each file, and how its path ends.
static NAMED: LazyLock<Vec<(String, &File)>> = LazyLock::new(|| {
    let named = FILES.iter().map(|file| {
        let hash = hex::encode(Sha256::digest(file.text));
        let hash: String = hash.chars().take(12).collect();
        (format!("{hash}-{}", file.name), file)
    });
    named.collect()
});

/// Where a file is.
pub(super) fn path(name: &str) -> String {
    let named = NAMED.iter().find(|(_, file)| file.name == name);
    named.map_or_else(String::new, |(path, _)| format!("/static/{path}"))
}

pub(super) async fn file(Path(name): Path<String>) -> Response {
    match NAMED.iter().find(|(path, _)| *path == name) {
        Some((_, file)) => {
            let kept = "public, max-age=31536000, immutable";
            let head = [(CONTENT_TYPE, file.content_type), (CACHE_CONTROL, kept)];
            (head, file.text).into_response()
        }
        None => Failed::not_found().into_response(),
    }
}
