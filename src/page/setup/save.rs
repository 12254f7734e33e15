//! A change is checked, kept as an act, written, and then taken by the relay.
//!
//! # Invariants
//! - Nothing is written that a start could not use.
//! - What is done is kept before it is done, and once more if it failed; no secret is in it.
//! - What was begun is done to its end, though the browser goes away.
//! - One change at a time: what is read, checked and written is one.
//! - What somebody else saved since a form was shown is not overwritten by it.

use std::sync::Arc;

use axum::http::StatusCode;

use super::super::{Failed, Page, blocking};
use crate::app::App;
use crate::app::ports::try_ports;
use crate::config::saved::{Checked, Fault, Saved, WriteError, set_aside};

/// The place of whoever saves.
#[derive(Debug, Default)]
pub(in super::super) struct Saving(pub(super) tokio::sync::Mutex<()>);

/// Who saves.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct By<'a> {
    pub(in super::super) who: &'a str,
    /// Which version of what is saved they saw, where they say so.
    pub(in super::super) seen: Option<&'a str>,
}

impl<'a> By<'a> {
    /// Somebody who saves whatever was saved meanwhile.
    pub(in super::super) fn name(who: &'a str) -> Self {
        Self { who, seen: None }
    }
}

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

/// Saves what `change` makes of what is saved; whether anything is another now. `detail` says what
/// was done.
pub(in super::super) async fn save(
    page: &Arc<Page>,
    by: By<'_>,
    detail: &str,
    change: impl FnOnce(&mut Saved) -> Result<(), Vec<Fault>> + Send + 'static,
) -> Result<bool, NotSaved> {
    let (page, who, detail) = (Arc::clone(page), by.who.to_owned(), detail.to_owned());
    let seen = by.seen.map(str::to_owned);
    let change = move |saved: &mut Saved| {
        if seen.is_some_and(|seen| seen != saved.version()) {
            return Err(NotSaved::Failed(changed()));
        }
        change(saved).map_err(NotSaved::Refused)
    };
    // To its end, though whoever asked goes away meanwhile.
    let saving = tokio::spawn(async move { save_whole(&page, &who, &detail, change).await });
    saving.await.unwrap_or_else(|_| Err(Failed::stops().into()))
}

async fn save_whole(
    page: &Arc<Page>,
    who: &str,
    detail: &str,
    change: impl FnOnce(&mut Saved) -> Result<(), NotSaved> + Send + 'static,
) -> Result<bool, NotSaved> {
    let _place = page.saving.0.lock().await;
    let shared = Arc::clone(page);
    let checking = move || -> Result<Option<Checked>, NotSaved> {
        let mut saved = read(&shared)?;
        change(&mut saved)?;
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
    keep_act(page, who, "configure", detail).await?;
    if let Err(error) = blocking(move || checked.write()).await? {
        keep_failed(page, who, &format!("{detail}: {error}")).await;
        return Err(not_written(&error).into());
    }
    tracing::info!(who, "page: saved: {detail}");
    page.outside.apply.notify_one();
    Ok(true)
}

async fn keep_act(page: &Page, who: &str, what: &'static str, detail: &str) -> Result<(), Failed> {
    let (journal, clock) = (&page.app.ground.journal, &page.app.clock);
    let act = journal.keep_act(clock.wall(), who, what, None, detail);
    act.await.map_err(Failed::from)
}

async fn keep_failed(page: &Page, who: &str, why: &str) {
    if let Err(error) = keep_act(page, who, "configure failed", why).await {
        let error = error.what;
        tracing::warn!(%error, "page: that nothing was saved is not among the acts");
    }
}

/// Puts saved files aside that cannot be read, so that setting up begins anew; their new names.
pub(in super::super) async fn anew(page: &Arc<Page>, who: &str) -> Result<Vec<String>, Failed> {
    let (page, who) = (Arc::clone(page), who.to_owned());
    let putting = tokio::spawn(async move { anew_whole(&page, &who).await });
    putting.await.unwrap_or_else(|_| Err(Failed::stops()))
}

async fn anew_whole(page: &Arc<Page>, who: &str) -> Result<Vec<String>, Failed> {
    let _place = page.saving.0.lock().await;
    let shared = Arc::clone(page);
    let Err(wrong) = blocking(move || read(&shared)).await? else {
        return Ok(Vec::new());
    };
    let detail = format!("begun anew: {}", wrong.what);
    keep_act(page, who, "configure", &detail).await?;
    let data_dir = page.app.data_dir.clone();
    let names = match blocking(move || set_aside(&data_dir)).await? {
        Ok(names) => names,
        Err(error) => {
            keep_failed(page, who, &format!("{detail}: {error}")).await;
            let what = format!("It cannot be put aside: {error}");
            return Err(Failed::unavailable(what, "Health says how the disk does."));
        }
    };
    tracing::info!(who, "page: {detail}");
    page.outside.apply.notify_one();
    Ok(names)
}

/// What is saved now.
pub(super) fn read(page: &Page) -> Result<Saved, Failed> {
    Saved::read(&page.app.data_dir).map_err(|error| {
        let advice = "On the screen Setup it can be put aside, to begin anew. Nothing is \
                      overwritten meanwhile.";
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

fn changed() -> Failed {
    Failed {
        status: StatusCode::CONFLICT,
        what: "Somebody else has saved something meanwhile.".to_owned(),
        advice: "Nothing of this was saved. Look at the screen again, then do it once more."
            .to_owned(),
    }
}
