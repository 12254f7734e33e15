//! What a destination would get of an event: for its screen and for the API.
//!
//! # Invariants
//! - Nothing is sent; no secret is shown.

use std::sync::Arc;

use super::super::{Failed, Page, blocking};
use crate::app::preview::{self, Preview};
use crate::orbit::client;

/// What is shown of a preview.
#[derive(Debug)]
pub(in super::super) struct Tried {
    /// What was tried, in words.
    pub(in super::super) of: String,
    /// The number that was asked for.
    pub(super) event: String,
    /// What it would get, or why that cannot be said.
    pub(in super::super) preview: Result<Preview, String>,
}

/// What the destination would get of the event that was asked for, the latest, or a sample.
pub(in super::super) async fn tried(
    page: &Arc<Page>,
    name: &str,
    event: &str,
) -> Result<Tried, Failed> {
    let asked = event.trim().to_owned();
    let wanted = asked.clone();
    let found = page.read(move |reader| match &*wanted {
        "sample" => Ok(None),
        "" | "latest" => preview::latest(reader),
        wanted => {
            let Some(event) = reader.find(wanted)?.pop() else {
                return Ok(None);
            };
            let seq = event.seq;
            Ok(Some((seq, preview::kept(reader, event)?)))
        }
    });
    let app = &page.app;
    let (of, came) = match found.await? {
        Some((seq, came)) => (format!("event {seq} of the journal"), Some(came)),
        None if !["", "latest", "sample"].contains(&&*asked) => (format!("event {asked}"), None),
        None => ("a sample".to_owned(), preview::sample(app.clock.wall())),
    };
    let (shown, name) = (Arc::clone(&app.shown), name.to_owned());
    let map = Arc::clone(&app.assets.current().borrow());
    // A template may take its time.
    let preview = blocking(move || {
        let mut configs = shown.configs.iter();
        let to = configs.find(|config| config.destination.name == name);
        let orbit = shown.orbit_host.as_deref().and_then(client::base_url);
        match (to, came) {
            (Some(to), Some(came)) => preview::at(to, &map, &came, orbit.as_ref()),
            (None, _) => Err("it is being applied: look again in a moment".to_owned()),
            (_, None) => Err("there is no such event in the journal".to_owned()),
        }
    });
    let preview = preview.await?;
    Ok(Tried {
        of,
        event: asked,
        preview,
    })
}
