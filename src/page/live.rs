//! Says to open screens that something changed: they then ask for themselves again.
//!
//! # Invariants
//! - No event and no name is in what is sent: only that something changed.
//! - At most one message in [`PAUSE`] to each screen, and it comes within that of the change; at
//!   least one in [`ANYWAY`].
//! - It ends with the session: whoever is logged out is told nothing more. It is no use of one.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::access::See;
use super::{Failed, Page};

/// Where screens listen.
pub(super) const PATH: &str = "/live";
/// So many screens are told.
pub(super) const WATCHERS: usize = 64;
const PAUSE: Duration = Duration::from_millis(700);
/// Who is silent shows only as time goes on: so often screens are told though nothing happened.
const ANYWAY: Duration = Duration::from_mins(1);
/// Proxies close what is silent.
const ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new().route(PATH, get(live))
}

async fn live(State(page): State<Arc<Page>>, See(person): See) -> Response {
    let Ok(place) = Arc::clone(&page.watchers).try_acquire_owned() else {
        let advice = "This screen shows what was when it was loaded.";
        return Failed::unavailable("Too many screens are open.", advice).into_response();
    };
    let (tell, told) = mpsc::channel::<Result<Event, Infallible>>(1);
    tokio::spawn(async move {
        let _place = place;
        let parts = &page.app.parts;
        let (mut sums, mut webhook) = (parts.sums.clone(), parts.webhook.clone());
        let mut tested = page.app.ground.last_test.clone();
        let mut assets = page.app.assets.current();
        let mut stirred = page.stirred.subscribe();
        loop {
            let tested = async {
                match &mut tested {
                    Some(tested) => drop(tested.changed().await),
                    None => std::future::pending().await,
                }
            };
            // A sender that is gone is the relay's end, which is also told.
            tokio::select! {
                () = page.app.stop.cancelled() => return,
                () = tell.closed() => return,
                _ = sums.changed() => {}
                _ = webhook.changed() => {}
                _ = assets.changed() => {}
                _ = stirred.changed() => {}
                () = tested => {}
                () = page.app.clock.sleep(ANYWAY) => {}
            }
            if !page.outside.access.still_knows(&person).await {
                return;
            }
            if tell
                .send(Ok(Event::default().event("changed").data("now")))
                .await
                .is_err()
            {
                return;
            }
            tokio::select! {
                () = page.app.stop.cancelled() => return,
                () = page.app.clock.sleep(PAUSE) => {}
            }
        }
    });
    let alive = KeepAlive::new().interval(ALIVE);
    Sse::new(ReceiverStream::new(told))
        .keep_alive(alive)
        .into_response()
}
