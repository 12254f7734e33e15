//! Pictures of screens, for the documents.
//!
//! # Invariants
//! - `docs/images` is written only where `SCREENSHOTS=1` asks for it; else pictures are taken all
//!   the same, into a directory that goes with the test.

use std::path::{Path, PathBuf};

use crate::driver::{Browser, Scheme, Size};

/// Longer pages are cut.
pub(crate) const HIGHEST: u32 = 1_280;

/// Where the pictures of one test go.
pub(crate) struct Album {
    temporary: Option<tempfile::TempDir>,
}

impl Album {
    #[expect(clippy::disallowed_methods, reason = "it is no setting of the relay's")]
    pub(crate) fn new() -> Self {
        match std::env::var("SCREENSHOTS").as_deref() {
            Ok("1") => Self { temporary: None },
            _ => Self::temporary(),
        }
    }

    /// One that goes with the test, whatever is asked for.
    pub(crate) fn temporary() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self {
            temporary: Some(dir),
        }
    }

    /// Takes a picture of the window, `NAME-SCHEME-SIZE.png`, and gives its path. The window looks
    /// so afterwards.
    pub(crate) async fn shoot(
        &self,
        browser: &Browser,
        name: &str,
        scheme: Scheme,
        size: Size,
    ) -> PathBuf {
        browser.look(size, scheme).await;
        let picture = browser.picture(size, HIGHEST).await;
        let path = self
            .folder()
            .join(format!("{name}-{}-{}.png", scheme.name(), size.name()));
        std::fs::write(&path, picture).unwrap();
        path
    }

    /// Takes the pictures that the documents show of a screen: light, dark, and on a phone.
    pub(crate) async fn shoot_all(&self, browser: &Browser, name: &str) {
        for (scheme, size) in [
            (Scheme::Dark, Size::Wide),
            (Scheme::Light, Size::Narrow),
            (Scheme::Light, Size::Wide),
        ] {
            self.shoot(browser, name, scheme, size).await;
        }
    }

    fn folder(&self) -> PathBuf {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/images");
        if let Some(dir) = &self.temporary {
            return dir.path().to_owned();
        }
        std::fs::create_dir_all(&images).unwrap();
        images
    }
}
