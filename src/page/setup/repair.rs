//! The webhook is set right in Orbit, from whichever screen, and by the API.
//!
//! # Invariants
//! - All of them say the same of it.

use axum::http::StatusCode;

use super::super::html::parts;
use super::super::{Failed, Page};
use crate::app::control::{self, Answer, Ask};
use crate::reconcile::webhook::{Told, Wish};

/// Sets our webhook right, in the name of `who`; a line for each thing that was done.
pub(in super::super) async fn set_right(page: &Page, who: &str) -> Result<Vec<String>, Failed> {
    let ask = Ask::Webhook {
        wish: Wish::Sync,
        who: who.to_owned(),
    };
    match control::act_within(&page.app.ground, ask, &page.app.stop).await {
        Answer::Webhook(Told::Done(lines)) => Ok(lines),
        Answer::Failed(why) => Err(Failed {
            status: StatusCode::CONFLICT,
            what: format!("It was not set right: {}", parts::shortened(&why, 500)),
            advice: "Nothing was changed, or it is not known: look again.".to_owned(),
        }),
        _ => Err(Failed::unavailable(
            "The relay answered something else.",
            "Health says how the webhook is.",
        )),
    }
}

/// Sets it right, and says what came of it.
pub(in super::super) async fn said(page: &Page, who: &str) -> Result<String, Failed> {
    let done = set_right(page, who).await?;
    Ok(format!(
        "The webhook: {}",
        parts::shortened(&done.join("; "), 500)
    ))
}
