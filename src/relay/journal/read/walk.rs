//! All events, a page at a time, for whoever looks through the journal.
//!
//! # Invariants
//! - A page ends with the event that fills [`PAGE_BYTES`]: memory does not grow with the journal.

use rusqlite::params;

use super::events::{EventRow, SELECT, event};
use super::{ReadError, Reader};

const PAGE_BYTES: usize = 4 * 1024 * 1024;
const PAGE_EVENTS: u32 = 500;

impl Reader {
    /// The events with a smaller number than `before`, the newest first, without their deliveries:
    /// as many as make a page, none at the end.
    pub fn walk(&mut self, before: Option<i64>) -> Result<Vec<EventRow>, ReadError> {
        let sql = format!("{SELECT} WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2");
        let mut statement = self.0.prepare_cached(&sql)?;
        let mut rows = statement.query(params![before.unwrap_or(i64::MAX), PAGE_EVENTS])?;
        let (mut page, mut bytes) = (Vec::new(), 0);
        while bytes < PAGE_BYTES
            && let Some(row) = rows.next()?
        {
            let row = event(row)?;
            bytes += row.body.len();
            page.push(row);
        }
        Ok(page)
    }
}
