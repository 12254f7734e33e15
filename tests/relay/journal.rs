//! A start, and a data directory or journal that cannot be used and then can: the process stays
//! up, says what is wrong, and recovers by itself.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use orbit_relay::relay::journal::{DATABASE, State};
use orbit_relay::secret::WebhookSecret;
use rusqlite::Connection;
use serde_json::Value;

use crate::world::{Relay, SECRET, Site, TOKEN, inspection, level};

/// Events are answered 503 with when to come again; gives what `/readyz` says.
async fn assert_not_ready(relay: &Relay, n: usize) -> Value {
    let answer = relay.post(inspection(n)).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    let retry_after: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&retry_after));
    assert!(answer.json()["error"].is_string());
    let ready = relay.get("/readyz").await;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert_eq!(
        relay.get("/healthz").await.status,
        200,
        "the process is well"
    );
    let health = ready.json();
    assert_eq!(health["ready"], false);
    health
}

/// Waits until the journal cannot be used; gives the reason that `/readyz` shows.
async fn why_not(relay: &Relay, n: usize) -> String {
    use orbit_relay::relay::journal::Availability;
    let unavailable = |journal: &Availability| matches!(journal, Availability::Unavailable(_));
    level(relay.parts.journal.clone(), "unavailable", unavailable).await;
    let health = assert_not_ready(relay, n).await;
    assert_eq!(health["journal"]["status"], "unavailable");
    health["journal"]["reason"].as_str().unwrap().to_owned()
}

async fn assert_it_works(relay: &Relay, n: usize) {
    relay.ready().await;
    let delivered = relay.parts.sums.borrow().destinations[0].of(State::Delivered);
    relay.accept(inspection(n)).await;
    relay.until_there_are(delivered + 1, State::Delivered).await;
    assert_eq!(relay.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn an_event_that_comes_while_the_relay_starts_is_delivered() {
    let site = Site::new().await;
    let relay = site.start_unready().await;
    let posting = async {
        while relay.post(inspection(1)).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    let posted = tokio::time::timeout(crate::world::BOUND, posting).await;
    posted.expect("it is accepted within the bound");
    let sums = relay.until_there_are(1, State::Delivered).await;
    assert_eq!(sums.destinations[0].kept, 0);
    relay.finish().await;
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written_is_named_and_used_as_soon_as_it_can() {
    let site = Site::new().await;
    let blocked = site.path("blocked");
    std::fs::write(&blocked, "a file where a directory should be").unwrap();
    let data_dir = blocked.join("data").display().to_string();
    let site = site.flag("data-dir", &data_dir);
    let relay = site.start_unready().await;
    let why = why_not(&relay, 1).await;
    let uid = std::fs::metadata("/proc/self").unwrap().uid();
    assert!(why.contains(&data_dir), "{why}");
    assert!(why.contains(&format!("uid {uid};")), "{why}");

    std::fs::remove_file(&blocked).unwrap();
    std::fs::create_dir(&blocked).unwrap();
    assert_it_works(&relay, 1).await;
    let sums = relay.finish().await;
    assert_eq!(sums.rejected, [("not_ready".to_owned(), 1)].into());
}

#[tokio::test]
async fn a_corrupt_journal_is_named_and_left_alone_and_a_replaced_one_is_used() {
    let header = b"SQLite format 3\0".as_slice();
    let rows = [
        b"no journal at all".repeat(1_000),
        [header, &[0xab; 8_000]].concat(),
    ];
    for garbage in rows {
        let site = Site::new().await;
        let file = site.data_dir().join(DATABASE);
        std::fs::create_dir(site.data_dir()).unwrap();
        std::fs::write(&file, &garbage).unwrap();
        let relay = site.start_unready().await;
        let why = why_not(&relay, 1).await;
        assert!(why.contains(&file.display().to_string()), "{why}");
        assert_eq!(std::fs::read(&file).unwrap(), garbage, "it is evidence");

        std::fs::remove_file(&file).unwrap();
        assert_it_works(&relay, 1).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_journal_of_a_newer_version_is_left_alone() {
    let site = Site::new().await;
    let relay = site.start().await;
    assert_it_works(&relay, 1).await;
    relay.finish().await;

    let set_version = |version: i64| {
        let connection = Connection::open(site.data_dir().join(DATABASE)).unwrap();
        let pragma = connection.pragma_update(None, "user_version", version);
        pragma.unwrap();
    };
    set_version(99);
    let before = std::fs::read(site.data_dir().join(DATABASE)).unwrap();
    let relay = site.start_unready().await;
    let why = why_not(&relay, 2).await;
    assert!(why.contains("version 99"), "{why}");
    let after = std::fs::read(site.data_dir().join(DATABASE)).unwrap();
    assert!(before == after, "not a byte is changed");

    set_version(6);
    assert_it_works(&relay, 2).await;
    let sums = relay.finish().await;
    assert_eq!(sums.accepted, 2);
}

#[tokio::test]
async fn a_second_relay_waits_for_the_first_to_end() {
    let site = Site::new().await;
    let first = site.start().await;
    assert_it_works(&first, 1).await;
    let second = site.start_unready().await;
    let why = why_not(&second, 2).await;
    assert!(why.contains("another orbit-relay"), "{why}");
    assert_it_works(&first, 2).await;
    first.stop().await;
    assert_it_works(&second, 3).await;
    second.finish().await;
}

#[tokio::test]
async fn without_configuration_events_are_503_and_what_is_missing_is_named() {
    let none = Site::new().await.without_flag("hostname");
    let none = none.without_variable("ORBIT_API_TOKEN");
    let no_token = Site::new().await.without_variable("ORBIT_API_TOKEN");
    let placeholder = Site::new().await.variable("WEBHOOK_SECRET", "YOUR_SECRET");
    let rows = [
        (
            none.without_variable("WEBHOOK_SECRET"),
            "ORBIT_HOSTNAME and ORBIT_API_TOKEN",
        ),
        (
            no_token.without_variable("WEBHOOK_SECRET"),
            "set ORBIT_API_TOKEN",
        ),
        (
            placeholder,
            "WEBHOOK_SECRET still holds the placeholder YOUR_SECRET",
        ),
    ];
    for (site, missing) in rows {
        let relay = site.start_unready().await;
        let said = |secret: &Result<_, String>| {
            secret
                .as_ref()
                .is_err_and(|why| why.contains("not configured"))
        };
        drop(level(relay.parts.secret.clone(), "not configured", said).await);
        let health = assert_not_ready(&relay, 1).await;
        assert_eq!(health["listener"]["status"], "not_ready");
        let why = health["listener"]["reason"].as_str().unwrap();
        assert!(why.contains(missing), "{why}");
        assert_eq!(site.robots.request_count(), 0);
        let opened = |journal: &_| *journal == orbit_relay::relay::journal::Availability::Open;
        level(relay.parts.journal.clone(), "open", opened).await;
        relay.finish().await;
    }
}

#[tokio::test]
async fn a_secret_is_made_at_first_start_and_kept_for_the_next() {
    let site = Site::new().await.without_variable("WEBHOOK_SECRET");
    let relay = site.start().await;
    relay.registered().await;
    let file = site.data_dir().join("webhook-secret");
    let made = WebhookSecret::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_ne!(made.expose_hex(), SECRET);
    let of_file = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(of_file & 0o777, 0o600);
    let of_dir = std::fs::metadata(site.data_dir())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(
        of_dir & 0o777,
        0o700,
        "the journal is nobody else's to read"
    );
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    relay.until_there_are(1, State::Delivered).await;
    relay.finish().await;

    let relay = site.start().await;
    relay.registered().await;
    let of_orbit = &site.robots.webhooks()[0].secret;
    assert_eq!(of_orbit.expose_hex(), made.expose_hex());
    assert_eq!(site.inspect().await.posts[0].status, Some(200));
    relay.until_there_are(2, State::Delivered).await;
    relay.finish().await;
    assert!(!std::fs::read_to_string(&file).unwrap().contains(TOKEN));
}

#[tokio::test]
async fn a_command_that_says_nothing_does_not_hold_up_the_end() {
    let site = Site::new().await;
    let relay = site.start().await;
    let socket = orbit_relay::app::control::path(&site.data_dir());
    let connecting = async {
        loop {
            match tokio::net::UnixStream::connect(&socket).await {
                Ok(stream) => break stream,
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
            }
        }
    };
    let silent = tokio::time::timeout(crate::world::BOUND, connecting)
        .await
        .unwrap();
    relay.finish().await;
    drop(silent);
}
