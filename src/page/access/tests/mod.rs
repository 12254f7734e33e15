//! Access as a browser meets it: a running relay, its page on loopback, and browsers with cookies.
//!
//! # Invariants
//! - Every wait has a bound. Time passes when a test says so.

mod browser;
mod login;
mod others;
mod sessions;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::browser::Browser;
use super::{Access, Config};
use crate::app::{App, Exit, Listeners};
use crate::clock::{Clock, Hand};
use crate::config::{self, Input};
use crate::page::{Outside, router};
use crate::relay::journal::{Act, ActsPage, Availability, Journal, Reader};

const BOUND: Duration = Duration::from_secs(20);
/// Ann's, who is there first.
const PASSWORD: &str = "canary horse battery";

/// A relay with a page.
struct Site {
    dir: TempDir,
    hand: Hand,
    access: Arc<Access>,
    journal: Journal,
    at: SocketAddr,
    stop: CancellationToken,
    running: JoinHandle<Exit>,
}

impl Site {
    async fn new() -> Self {
        Self::with(Config::default()).await
    }

    async fn with(of_page: Config) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::at(dir, of_page).await
    }

    async fn at(dir: TempDir, of_page: Config) -> Self {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let (clock, hand) = Clock::manual(start);
        let input = Input {
            flags: [("data-dir".to_owned(), dir.path().display().to_string())].into(),
            ..Input::default()
        };
        let config = config::Config::load(&input).unwrap();
        let listen = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listeners = Listeners {
            webhook: listen().await,
            ops: listen().await,
        };
        let at = listeners.ops.local_addr().unwrap();
        let access = Arc::new(Access::new(clock.clone()));
        access.open(dir.path(), of_page);
        let outside = Outside {
            access: Arc::clone(&access),
            input,
            apply: Arc::default(),
            log: Arc::default(),
        };
        let journal = Arc::new(Mutex::new(None));
        let found = Arc::clone(&journal);
        let pages = Box::new(move |handles: crate::app::Handles| {
            *found.lock().unwrap() = Some(handles.ground.journal.clone());
            router(handles, outside)
        });
        let stop = CancellationToken::new();
        let app = App::build(config, listeners, clock, stop.clone(), Some(pages)).unwrap();
        let running = tokio::spawn(app.run(CancellationToken::new()));
        let journal = journal.lock().unwrap().take().unwrap();
        let mut availability = journal.availability();
        let open = availability.wait_for(|now| *now == Availability::Open);
        tokio::time::timeout(BOUND, open).await.unwrap().unwrap();
        Self {
            dir,
            hand,
            access,
            journal,
            at,
            stop,
            running,
        }
    }

    /// A browser that has been nowhere.
    fn browser(&self) -> Browser {
        Browser::new(self.at)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("page").join(name)
    }

    fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Ann makes the first account, and is logged in.
    async fn ann(&self) -> Browser {
        let mut browser = self.browser();
        let code = self.file("setup-code");
        let form = [
            ("code", code.trim()),
            ("name", "Ann"),
            ("password", PASSWORD),
            ("again", PASSWORD),
        ];
        let answer = browser.fill("/setup-code", "/setup-code", &form).await;
        assert_eq!(answer.goes_to(), "/", "{}", answer.body);
        browser
    }

    /// Ann gives somebody an account.
    async fn add(&self, ann: &mut Browser, name: &str, role: &str) {
        let form = [("name", name), ("role", role), ("password", PASSWORD)];
        let answer = ann.fill("/accounts", "/accounts", &form).await;
        assert_eq!(answer.goes_to(), "/accounts", "{}", answer.body);
    }

    /// Somebody who is logged in.
    async fn logged_in(&self, name: &str, password: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.log_in(name, password).await;
        assert_eq!(answer.goes_to(), "/", "{}", answer.body);
        browser
    }

    /// What was done, the newest first.
    fn acts(&self) -> Vec<Act> {
        let mut reader = Reader::open(self.dir.path()).unwrap();
        let page = ActsPage {
            before: None,
            who: None,
            what: None,
            limit: 100,
        };
        reader.acts_page(&page).unwrap()
    }

    async fn finish(self) -> TempDir {
        self.stop.cancel();
        let ended = tokio::time::timeout(BOUND, self.running).await;
        ended.unwrap().unwrap();
        self.dir
    }
}
