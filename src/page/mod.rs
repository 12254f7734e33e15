//! The page inside Orbit: set up, see, decide.
//!
//! ```text
//! mod      what all screens share, and the routes
//! access   who may do what: accounts, sessions, the set-up code, tokens
//! html     how every screen looks, and what screens are made of
//! read     reading the journal for a screen
//! recent   the log of the last hour
//! live     says to open screens that something changed
//! rest     what is left of a request that was refused
//! failed   what went wrong, as a screen and as JSON
//! files    style, script and pictures of the page itself
//! today, waiting, deliveries, assets, setup, health, acts   the screens
//! api      the same as JSON
//! ```
//!
//! # Invariants
//! - A screen shows what its view says and nothing else; the API answers the same view.
//! - What a person does goes through [`crate::app::control`], as what commands do.
//! - Text from outside is shown as text. No screen asks anything of another host.
//! - Without a session nothing of any event is shown.

pub mod access;
mod acts;
mod api;
mod assets;
mod deliveries;
mod failed;
mod files;
mod health;
mod html;
mod live;
mod read;
mod recent;
mod rest;
mod setup;
mod today;
mod waiting;

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::{Notify, Semaphore, watch};

pub use self::access::Access;
use self::failed::Failed;
pub use self::recent::{Line, Recent};
use crate::app::Handles;
use crate::config::Input;

/// What the page needs of the process; it outlives the parts, which may be built again.
#[derive(Clone)]
pub struct Outside {
    /// Who may do what.
    pub access: Arc<Access>,
    /// Flags and environment: what wins over all that the page saves.
    pub input: Input,
    /// Told when the parts are to be built again, with what was saved.
    pub apply: Arc<Notify>,
    /// The log of the last hour.
    pub log: Arc<Recent>,
}

/// What all screens share.
pub(crate) struct Page {
    app: Handles,
    outside: Outside,
    readers: read::Readers,
    watchers: Arc<Semaphore>,
    /// Photographs that are fetched from Orbit.
    pictures: Semaphore,
    /// Counts of what a bulk act would be done to: each looks at all that may match.
    counting: Semaphore,
    looks: health::Looks,
    saving: setup::Saving,
    /// Told to open screens besides what the parts tell.
    stirred: watch::Sender<()>,
}

impl Page {
    fn new(app: Handles, outside: Outside) -> Self {
        Self {
            readers: read::Readers::new(app.stop.clone()),
            app,
            outside,
            watchers: Arc::new(Semaphore::new(live::WATCHERS)),
            pictures: Semaphore::new(deliveries::picture::AT_ONCE),
            counting: Semaphore::new(1),
            looks: health::Looks::default(),
            saving: setup::Saving::default(),
            stirred: watch::Sender::new(()),
        }
    }

    /// Something changed that screens show and no part tells.
    fn stir(&self) {
        self.stirred.send_replace(());
    }
}

/// The routes of the page.
pub fn router(app: Handles, outside: Outside) -> Router {
    let page = Arc::new(Page::new(app, outside));
    tokio::spawn(page.readers.clone().close());
    let screens = Router::new()
        .merge(today::routes())
        .merge(waiting::routes())
        .merge(deliveries::routes())
        .merge(assets::routes())
        .merge(setup::routes())
        .merge(health::routes())
        .merge(acts::routes())
        .merge(live::routes())
        .merge(access::routes())
        .fallback(async || Failed::not_found().into_response());
    let routes = Router::new()
        .route("/static/{name}", get(files::file))
        .nest("/api/v1", api::routes())
        .merge(screens);
    access::guard(routes, &page).with_state(page)
}

/// Does what blocks on a thread for that.
async fn blocking<T: Send + 'static>(
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failed> {
    let done = crate::app::blocking(what).await;
    done.map_err(|_| Failed::stops())
}

/// A screen, or why there is none.
pub(crate) type Answer = Result<Response, Failed>;
