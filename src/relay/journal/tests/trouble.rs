//! A journal that cannot be opened, or is lost or full, takes nothing and is recovered from.

use super::*;

#[tokio::test]
async fn a_second_relay_on_the_directory_waits_for_the_first_to_end() {
    let world = World::new().await;
    let (second, _writer) = start(world.dir.path(), &Clock::system(), &[TO], &[]);
    let mut availability = second.availability();
    let refused = availability
        .wait_for(|now| matches!(now, Availability::Unavailable(_)))
        .await
        .unwrap();
    let Availability::Unavailable(why) = refused.clone() else {
        panic!()
    };
    drop(refused);
    assert!(why.contains("another orbit-relay"), "{why}");
    assert!(second.append(event(1)).await.is_err());
    let World {
        journal,
        mut writer,
        dir: _dir,
        ..
    } = world;
    drop(journal);
    writer.ended().await;
    opened(&second).await;
    append(&second, 0..1).await;
}

#[tokio::test]
async fn a_newer_journal_is_never_touched_nor_is_its_log() {
    let world = World::new().await;
    append(&world.journal, 0..1).await;
    let connection = rusqlite::Connection::open(world.dir.path().join(DATABASE)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    // As a newer relay that was killed leaves it: what it wrote last stands in the log only.
    let dir = tempfile::tempdir().unwrap();
    let files = [DATABASE.to_owned(), format!("{DATABASE}-wal")].map(|name| {
        std::fs::copy(world.dir.path().join(&name), dir.path().join(&name)).unwrap();
        dir.path().join(name)
    });
    let read = || files.each_ref().map(|path| std::fs::read(path).unwrap());
    let before = read();
    let (journal, mut writer) = start(dir.path(), &Clock::system(), &[TO], &[]);
    let why = journal.append(event(1)).await.unwrap_err().to_string();
    assert!(why.contains("version 99"), "{why}");
    drop(journal);
    writer.ended().await;
    assert!(read() == before);
}

#[tokio::test]
async fn a_damaged_journal_is_named_and_the_relay_recovers_when_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(DATABASE);
    std::fs::write(&path, "this is not a database, it only looks like a file").unwrap();
    let (journal, _writer) = start(dir.path(), &Clock::system(), &[TO], &[]);
    let why = journal.append(event(1)).await.unwrap_err().to_string();
    assert!(why.contains("journal.db"), "{why}");
    std::fs::remove_file(&path).unwrap();
    opened(&journal).await;
    append(&journal, 0..1).await;
}

#[tokio::test]
async fn a_journal_that_is_removed_under_the_relay_takes_nothing_until_it_is_back() {
    let world = World::new().await;
    append(&world.journal, 0..2).await;
    let (path, aside) = (
        world.dir.path().join(DATABASE),
        world.dir.path().join("aside"),
    );
    std::fs::rename(&path, &aside).unwrap();
    for n in 2..4 {
        let why = world
            .journal
            .append(event(n))
            .await
            .unwrap_err()
            .to_string();
        assert!(why.contains("removed or replaced"), "{why}");
    }
    assert!(
        !path.exists(),
        "no new journal is begun beside what was promised"
    );
    std::fs::rename(&aside, &path).unwrap();
    opened(&world.journal).await;
    append(&world.journal, 2..4).await;
    assert_eq!(world.sums().of(State::Pending), 4);
}

#[tokio::test]
async fn a_full_disk_fails_the_whole_group_and_is_recovered_from() {
    let world = World::new().await;
    append(&world.journal, 0..1).await;
    world
        .journal
        .write(|store| store.limit_pages(Some(0)))
        .await
        .unwrap();
    let large = |n| Event {
        body: vec![b'x'; 1 << 20],
        ..event(n)
    };
    let appends: Vec<_> = (1..5)
        .map(|n| {
            let journal = world.journal.clone();
            tokio::spawn(async move { journal.append(large(n)).await })
        })
        .collect();
    for append in appends {
        assert!(matches!(
            append.await.unwrap(),
            Err(WriteError::Unavailable(_))
        ));
    }
    assert!(matches!(
        *world.journal.availability().borrow(),
        Availability::Unavailable(_)
    ));
    assert_eq!(
        world.sums().total(),
        1,
        "nothing of a failed commit is left"
    );
    world
        .journal
        .write(|store| store.limit_pages(None))
        .await
        .ok();
    opened(&world.journal).await;
    append(&world.journal, 1..5).await;
    assert_eq!(world.sums().of(State::Pending), 5);
}

#[tokio::test]
async fn a_journal_that_was_cut_off_while_it_was_made_is_made_anew() {
    let (torn, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = torn.path().join(DATABASE);
    let making = rusqlite::Connection::open(&path).unwrap();
    making
        .execute_batch(
            "PRAGMA cache_size = 1; BEGIN; CREATE TABLE t (x);
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO t SELECT zeroblob(1000) FROM n;",
        )
        .unwrap();
    // What a kill leaves: some pages of the file, and a log that rolls them back.
    for name in [DATABASE.to_owned(), format!("{DATABASE}-journal")] {
        std::fs::copy(torn.path().join(&name), dir.path().join(&name)).unwrap();
    }
    let world = World::in_dir(dir, Clock::system()).await;
    append(&world.journal, 0..1).await;
    assert_eq!(world.sums().of(State::Pending), 1);
}
