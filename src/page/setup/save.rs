//! A change is checked, kept as an act, written, and then taken by the relay.
//!
//! # Invariants
//! - Nothing is written that a start could not use.
//! - What was done is kept before it is done; no secret is in it.
//! - One change at a time: what is read, checked and written is one.

use std::sync::Arc;

use super::super::{Failed, Page};
use crate::app::App;
use crate::config::saved::{Checked, Fault, Saved, WriteError};

/// The place of whoever saves.
#[derive(Debug, Default)]
pub(in super::super) struct Saving(tokio::sync::Mutex<()>);

/// Why nothing was saved.
#[derive(Debug)]
pub(in super::super) enum NotSaved {
    /// What was given cannot be used.
    Refused(Vec<Fault>),
    /// It could be, and it did not work.
    Failed(Failed),
}

impl From<Failed> for NotSaved {
    fn from(failed: Failed) -> Self {
        Self::Failed(failed)
    }
}

/// Saves what `change` makes of what is saved, in the name of `who`; whether anything is another
/// now. `detail` says what was done.
pub(in super::super) async fn save(
    page: &Arc<Page>,
    who: &str,
    detail: &str,
    change: impl FnOnce(&mut Saved) -> Result<(), Vec<Fault>> + Send + 'static,
) -> Result<bool, NotSaved> {
    let _place = page.saving.0.lock().await;
    let shared = Arc::clone(page);
    let checking = move || -> Result<Option<Checked>, NotSaved> {
        let mut saved = read(&shared)?;
        change(&mut saved).map_err(NotSaved::Refused)?;
        if saved.is_unchanged() {
            return Ok(None);
        }
        let fits = |config: &_| App::try_parts(config).map_err(|error| format!("{error:#}"));
        let checked = saved.check(&shared.outside.input, fits);
        checked.map(Some).map_err(NotSaved::Refused)
    };
    let Some(checked) = blocking(checking).await?? else {
        return Ok(false);
    };
    let (app, at) = (&page.app, page.app.clock.wall());
    let act = app
        .ground
        .journal
        .keep_act(at, who, "configure", None, detail);
    act.await.map_err(Failed::from)?;
    tracing::info!(who, "page: saved: {detail}");
    let written = blocking(move || checked.write()).await?;
    written.map_err(|error| not_written(&error))?;
    page.outside.apply.notify_one();
    Ok(true)
}

/// What is saved now.
pub(super) fn read(page: &Page) -> Result<Saved, Failed> {
    Saved::read(&page.app.data_dir).map_err(|error| {
        let advice = "Whoever looks after this machine can; nothing is overwritten meanwhile.";
        Failed::unavailable(error.to_string(), advice)
    })
}

fn not_written(error: &WriteError) -> Failed {
    let advice = match error {
        WriteError::Changed => "Nothing of this was saved.",
        WriteError::Failed { .. } => "All is as it was. Health says how the disk does.",
    };
    Failed::unavailable(error.to_string(), advice)
}

/// Does what blocks on a thread for that.
pub(super) async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    let stops = |_| Failed::unavailable("The relay stops.", "Come again in a moment.");
    tokio::task::spawn_blocking(what).await.map_err(stops)
}
