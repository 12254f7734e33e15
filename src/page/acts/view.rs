//! What the list of acts shows.
//!
//! # Invariants
//! - Bounded: [`PAGE`] acts.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use url::form_urlencoded;

use super::super::{Failed, Page};
use crate::relay::journal::{Act, ActsPage};

/// So many acts stand on one page.
const PAGE: u32 = 100;
/// No field takes more characters.
pub(super) const LONGEST: usize = 200;

/// Which acts are wanted; what is not given does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Wanted {
    /// Of this person.
    pub(crate) who: Option<String>,
    /// Of this kind.
    pub(crate) what: Option<String>,
    /// Only those before this one, by its number.
    pub(crate) before: Option<i64>,
}

/// Who did what.
#[derive(Debug, Serialize)]
pub(crate) struct Acts {
    pub(crate) wanted: Wanted,
    /// The newest first.
    pub(crate) acts: Vec<ActRow>,
    /// Where to go on; none at the end.
    pub(crate) more: Option<i64>,
}

/// One act.
#[derive(Debug, Serialize)]
pub(crate) struct ActRow {
    pub(crate) no: i64,
    pub(crate) at: Timestamp,
    pub(crate) who: String,
    pub(crate) what: String,
    /// To which destination, if to one.
    pub(crate) destination: Option<String>,
    /// Why, or to what.
    pub(crate) detail: String,
}

impl Wanted {
    /// Reads the query of an address; what cannot be meant is left out.
    pub(crate) fn parse(query: &str) -> Self {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.trim();
            let text = || Some(value.chars().take(LONGEST).collect());
            match &*name {
                _ if value.is_empty() => {}
                "who" => wanted.who = text(),
                "what" => wanted.what = text(),
                "before" => wanted.before = value.parse().ok(),
                _ => {}
            }
        }
        wanted
    }

    /// The address of the page that goes on before this act, or of the first.
    pub(crate) fn address(&self, before: Option<i64>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, text) in [("who", &self.who), ("what", &self.what)] {
            if let Some(text) = text {
                query.append_pair(name, text);
            }
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        format!("/acts?{}", query.finish())
    }
}

/// The acts that an address wants.
pub(crate) async fn acts(page: &Arc<Page>, query: &str) -> Result<Acts, Failed> {
    let wanted = Wanted::parse(query);
    page.read(move |reader| {
        let mut found = reader.acts_page(&ActsPage {
            before: wanted.before,
            who: wanted.who.clone(),
            what: wanted.what.clone(),
            // One more says whether there is more.
            limit: PAGE + 1,
        })?;
        let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
        let is_more = found.len() > most;
        found.truncate(most);
        Ok(Acts {
            wanted,
            more: found.last().map(|act| act.no).filter(|_| is_more),
            acts: found.into_iter().map(row).collect(),
        })
    })
    .await
}

fn row(act: Act) -> ActRow {
    let name = act.destination_name.filter(|name| !name.is_empty());
    ActRow {
        no: act.no,
        at: act.at,
        who: act.who,
        what: act.what,
        destination: name.or(act.destination),
        detail: act.detail,
    }
}
