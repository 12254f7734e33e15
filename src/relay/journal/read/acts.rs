//! The acts, a page at a time.
//!
//! # Invariants
//! - A page is read by an index, whoever and whatever is asked for.

use rusqlite::params;

use super::{ACTS, Act, ReadError, Reader, act};

/// Which acts to list, the newest first.
#[derive(Clone, Debug, Default)]
pub struct ActsPage {
    /// Only those with a smaller number.
    pub before: Option<i64>,
    /// Only those of this person.
    pub who: Option<String>,
    /// Only those of this kind.
    pub what: Option<String>,
    /// At most this many.
    pub limit: u32,
}

impl Reader {
    /// A page of acts, the newest first.
    pub fn acts_page(&mut self, page: &ActsPage) -> Result<Vec<Act>, ReadError> {
        let sql = page.sql();
        let mut statement = self.0.prepare_cached(&sql)?;
        let before = page.before.unwrap_or(i64::MAX);
        let values = params![before, page.limit, page.who, page.what];
        let acts = statement.query_map(values, act)?;
        Ok(acts.collect::<Result<_, _>>()?)
    }
}

impl ActsPage {
    /// What is not asked for is not in it, so that an index serves what is.
    fn sql(&self) -> String {
        let who = match self.who {
            Some(_) => "a.who = ?3",
            None => "?3 IS NULL",
        };
        let what = match self.what {
            // A name says more than a kind.
            Some(_) if self.who.is_some() => "+a.what = ?4",
            Some(_) => "a.what = ?4",
            None => "?4 IS NULL",
        };
        format!("{ACTS} WHERE a.no < ?1 AND {who} AND {what} ORDER BY a.no DESC LIMIT ?2")
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::relay::journal::tests::{TO, World};

    #[tokio::test]
    async fn acts_come_in_pages_and_by_who_and_what() {
        let world = World::new().await;
        for (n, who) in ["anna", "bert", "anna", "anna"].into_iter().enumerate() {
            let what = if n == 2 { "test" } else { "map" };
            let to = (n == 2).then_some(TO);
            let kept = world
                .journal
                .keep_act(Timestamp::UNIX_EPOCH, who, what, to, "why");
            kept.await.unwrap();
        }
        let page = |page: ActsPage| -> Vec<i64> {
            let acts = Reader::open(world.dir.path())
                .unwrap()
                .acts_page(&page)
                .unwrap();
            acts.into_iter().map(|act| act.no).collect()
        };
        let (who, what) = (Some("anna".to_owned()), Some("map".to_owned()));
        let all = ActsPage {
            limit: 9,
            ..ActsPage::default()
        };
        let of = |who: &Option<String>, what: &Option<String>| ActsPage {
            who: who.clone(),
            what: what.clone(),
            ..all.clone()
        };
        assert_eq!(page(all.clone()), [4, 3, 2, 1]);
        let (before, limit) = (Some(4), 2);
        assert_eq!(
            page(ActsPage {
                before,
                limit,
                ..all.clone()
            }),
            [3, 2]
        );
        assert_eq!(page(of(&who, &None)), [4, 3, 1]);
        assert_eq!(page(of(&None, &what)), [4, 2, 1]);
        assert_eq!(page(of(&who, &what)), [4, 1]);
        let test = Reader::open(world.dir.path())
            .unwrap()
            .acts_page(&all)
            .unwrap()
            .remove(1);
        assert_eq!(test.destination_name.as_deref(), Some(TO));
    }

    #[tokio::test]
    async fn acts_are_read_by_an_index() {
        let world = World::new().await;
        let reader = Reader::open(world.dir.path()).unwrap();
        let plan = |sql: &str| {
            let sql = format!("EXPLAIN QUERY PLAN {sql}");
            let mut statement = reader.0.prepare(&sql).unwrap();
            let rows = statement.query_map([], |row| row.get::<_, String>(3));
            rows.unwrap()
                .map(Result::unwrap)
                .collect::<Vec<_>>()
                .join("; ")
        };
        for (who, what, how) in [
            (false, false, "SEARCH a USING INTEGER PRIMARY KEY"),
            (true, false, "SEARCH a USING INDEX act_who"),
            (false, true, "SEARCH a USING INDEX act_what"),
            (true, true, "SEARCH a USING INDEX act_who"),
        ] {
            let page = ActsPage {
                who: who.then(String::new),
                what: what.then(String::new),
                ..ActsPage::default()
            };
            let sql = page
                .sql()
                .replace("?3 IS NULL", "1")
                .replace("?4 IS NULL", "1");
            let sql = ["?1", "?2", "?3", "?4"]
                .iter()
                .fold(sql, |sql, value| sql.replace(value, "9"));
            let plan = plan(&sql);
            assert!(plan.starts_with(how) && !plan.contains("TEMP"), "{plan}");
        }
    }
}
