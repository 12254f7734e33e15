//! Whether our webhook is to be put at another of our addresses.
//!
//! # Invariants
//! - Against an address speaks only an inspection that Orbit stored while our webhook was right and
//!   enabled there, and that did not come though nothing hindered it here.
//! - Only a signed request that names an address as its host speaks for it: another may have been
//!   on its way by the address before, or come by a webhook that a person made.
//! - Where the search is stands on record before Orbit is told.

use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;

use super::address::{Address, NOTE, Sought};
use super::look::{Found, LookError};
use super::{Nudged, Reconcile, Status, Turn};
use crate::clock::{later, until};

/// Orbit's clock is not known better than this.
const CLOCKS_DIFFER: Duration = Duration::from_secs(2);
/// Once all were tried in vain, Orbit is not given another one more often than this.
const IN_VAIN: Duration = Duration::from_mins(10);

/// What is known of the address that is tried.
#[derive(Debug, Default)]
pub(super) struct Search {
    is_on: bool,
    /// A signed request of Orbit came by it.
    came: bool,
    /// When Orbit stored the latest inspection that did not come, on its clock.
    missed_at: Option<Timestamp>,
    /// Since when our webhook is right in Orbit, on the steady clock.
    right_since: Option<Timestamp>,
    /// How often another one was tried.
    moves: usize,
}

impl Search {
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// What was missed until now has another reason.
    pub(super) fn interrupt(&mut self) {
        self.missed_at = None;
        self.right_since = None;
    }

    /// Takes what was heard. What was refused did reach us.
    pub(super) fn hear(&mut self, nudged: &Nudged, refused: bool) {
        if let Some(sought) = &mut *nudged.sought() {
            self.came |= std::mem::take(&mut sought.came);
        }
        let missed_ms = nudged.missed_ms.swap(0, Ordering::Relaxed);
        let missed_at = Timestamp::from_millisecond(missed_ms).ok();
        self.missed_at = self.missed_at.max(missed_at.filter(|_| missed_ms > 0));
        if refused {
            self.interrupt();
        }
    }
}

impl Reconcile {
    /// Decides which address Orbit is to have, and keeps that on record.
    pub(super) async fn search(
        &self,
        turn: &mut Turn,
        found: &mut Found,
        observe: bool,
    ) -> Result<(), LookError> {
        let search = &mut turn.search;
        let came = std::mem::take(&mut search.came);
        let missed_at = search.missed_at.take();
        let Some(address) = found.address.as_mut().filter(|now| now.of.len() > 1) else {
            return Ok(());
        };
        let on_record = found.record.as_ref().map(|record| &record.uuid);
        let mut ours = found
            .webhooks
            .iter()
            .filter(|w| w.archived != Some(true) && on_record.is_none_or(|uuid| *uuid == w.uuid));
        let is_there = address.parsed().is_some_and(|url| {
            ours.any(|w| {
                // What Orbit leaves out is not compared.
                let is_at = w.url.is_none() || self.config.is_at(w, &url);
                is_at && w.enabled != Some(false)
            })
        });
        if !address.proven && is_there && came {
            address.proven = true;
            tracing::info!(
                url = address.url,
                "webhook: a signed request of Orbit came by this address; it stays"
            );
        } else if !address.proven && is_there && self.speaks_against(search, missed_at, address) {
            let (next, unused) = (address.next(), &address.url);
            search.moves += 1;
            search.interrupt();
            if observe {
                // It stands until a person does something, and is not said for each inspection.
                search.moves = search.moves.max(address.of.len());
                tracing::warn!(
                    url = next.url,
                    "webhook: Orbit stored an inspection and did not bring it to {unused}; with \
                     manage = observe it is not changed: have the webhook call this url instead"
                );
            } else {
                tracing::warn!(
                    url = next.url,
                    "webhook: Orbit stored an inspection and did not bring it to {unused}; this \
                     url is tried now, {}",
                    next.place()
                );
                *address = next;
            }
        }
        if found.noted.as_ref() != Some(address)
            && let Ok(note) = serde_json::to_string(address)
        {
            self.journal.set_note(NOTE, note).await?;
        }
        self.listen_for(address);
        Ok(())
    }

    /// From now on what comes by this address is noticed, while it is not proven.
    fn listen_for(&self, address: &Address) {
        let mut sought = self.nudge.0.sought();
        let url = address.parsed().filter(|_| address.is_searched());
        // What came meanwhile by the same one counts.
        if sought.as_ref().map(|sought| &sought.url) != url.as_ref() {
            *sought = url.map(|url| Sought::new(url, self.config.clone()));
        }
    }

    fn speaks_against(
        &self,
        search: &Search,
        missed_at: Option<Timestamp>,
        address: &Address,
    ) -> bool {
        let Some((right_since, missed_at)) = search.right_since.zip(missed_at) else {
            return false;
        };
        let ago = until(right_since, self.clock.steady());
        let by_orbit = self.orbit_clock.now().checked_sub(ago);
        let wait = if search.moves < address.of.len() {
            CLOCKS_DIFFER
        } else {
            IN_VAIN
        };
        by_orbit.is_ok_and(|since| missed_at > later(since, wait))
    }

    /// What is known of the address after a look that ended; `untouched`: nothing was changed.
    pub(super) fn searched(
        &self,
        turn: &mut Turn,
        status: &mut Status,
        address: Option<Address>,
        untouched: bool,
    ) {
        let search = &mut turn.search;
        let address = address.filter(Address::is_searched);
        search.is_on = address.is_some();
        if !untouched {
            // What was missed meanwhile may have been sent to what was there before.
            search.hear(&self.nudge.0, false);
            search.interrupt();
        }
        match status {
            Status::Registered { enabled, tried, .. } => {
                *tried = address;
                if *enabled {
                    search.right_since.get_or_insert(self.clock.steady());
                } else {
                    search.interrupt();
                }
            }
            _ => search.interrupt(),
        }
    }
}
