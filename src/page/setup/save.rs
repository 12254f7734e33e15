//! A change is checked, kept as an act, written, and then taken by the relay.
//!
//! # Invariants
//! - Nothing is written that a start could not use.
//! - What is done is kept before it is done, and once more if it failed; no secret is in it.
//! - What was begun is done to its end, though the browser goes away.
//! - One change at a time: what is read, checked and written is one.

use std::sync::Arc;

use super::super::{Failed, Page};
use crate::app::App;
use crate::app::ports::try_ports;
use crate::config::saved::{Checked, Fault, Saved, WriteError};

/// The place of whoever saves.
#[derive(Debug, Default)]
pub(in super::super) struct Saving(pub(super) tokio::sync::Mutex<()>);

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
    let (page, who, detail) = (Arc::clone(page), who.to_owned(), detail.to_owned());
    // To its end, though whoever asked goes away meanwhile.
    let saving = tokio::spawn(async move { save_whole(&page, &who, &detail, change).await });
    saving.await.unwrap_or_else(|_| Err(stops().into()))
}

async fn save_whole(
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
        let checked = checked.map_err(NotSaved::Refused)?;
        try_ports(&checked.config, shared.app.shown.listens).map_err(|error| {
            NotSaved::Refused(vec![Fault::setting(error.setting, &error.to_string())])
        })?;
        Ok(Some(checked))
    };
    let Some(checked) = blocking(checking).await?? else {
        return Ok(false);
    };
    let (journal, clock) = (&page.app.ground.journal, &page.app.clock);
    let act = journal.keep_act(clock.wall(), who, "configure", None, detail);
    act.await.map_err(Failed::from)?;
    if let Err(error) = blocking(move || checked.write()).await? {
        let why = format!("{detail}: {error}");
        let act = journal.keep_act(clock.wall(), who, "configure failed", None, &why);
        if let Err(error) = act.await {
            tracing::warn!(%error, "page: that nothing was saved is not among the acts");
        }
        return Err(not_written(&error).into());
    }
    tracing::info!(who, "page: saved: {detail}");
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
    let done = tokio::task::spawn_blocking(what).await;
    done.map_err(|_| stops())
}

fn stops() -> Failed {
    Failed::unavailable("The relay stops.", "Come again in a moment.")
}
