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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::journal::tests::{World, append, event};

    #[tokio::test]
    async fn a_walk_sees_every_event_once_in_pages_of_limited_bytes() {
        let world = World::new().await;
        append(&world.journal, 0..700).await;
        for n in 700..705 {
            let mut large = event(n);
            large.body.resize(1_800_000, b' ');
            world.journal.append(large).await.unwrap();
        }
        let mut reader = Reader::open(world.dir.path()).unwrap();
        let (mut before, mut pages, mut seen) = (None, Vec::new(), Vec::new());
        loop {
            let page = reader.walk(before).unwrap();
            let Some(last) = page.last() else {
                break;
            };
            before = Some(last.seq);
            pages.push(page.len());
            seen.extend(page.iter().map(|event| event.seq));
        }
        assert_eq!(pages, [3, 500, 202]);
        assert!(seen.into_iter().eq((1..=705).rev()));
    }
}
