//! Who may do what: accounts, their sessions and roles, API tokens, and the first visit.
//!
//! ```text
//! guard      stands before every screen: who is it, and was it our own form
//! screens    first visit, login, own account, accounts and API tokens
//! doing      logging in, and what is changed
//! writing    a change is kept as an act, and written
//! accounts   the file of accounts, sessions and tokens
//! sessions   how long a session lives
//! passwords  argon2id
//! tokens     API tokens
//! code       the set-up code
//! limits     how often may be tried                         (pure)
//! csrf       what shows that a form is ours                 (pure)
//! cookie     the session's cookie                           (pure)
//! headers    what a browser may do with an answer           (pure)
//! proxy      whom a reverse proxy names                     (pure)
//! view       accounts, sessions and tokens as they are shown
//! file, hash what they are made of
//! ```
//!
//! # Invariants
//! - Without an account, or with a file of accounts that cannot be read, there is no other screen.
//! - The file may be changed by a command too: it is looked at once a second, and written under a
//!   lock, only as long as it is the one that is known.
//! - What is changed is an act, which is kept before it is done.
//! - Outlives the parts of the relay: whoever is logged in stays so when they are built again.

mod accounts;
mod code;
mod cookie;
mod csrf;
mod doing;
mod file;
mod guard;
mod hash;
mod headers;
mod limits;
mod passwords;
mod proxy;
mod screens;
mod sessions;
mod tokens;
mod view;
mod writing;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;
use jiff::Timestamp;
use tokio::sync::OwnedMutexGuard;

pub use self::accounts::Role;
use self::accounts::{Book, Wrong};
pub use self::code::Code;
use self::file::Mark;
pub(crate) use self::guard::guard;
pub use self::guard::{Configure, Decide, Denied, See};
use self::hash::Hash;
pub use self::headers::Orbit;
use self::limits::Limits;
use self::passwords::Passwords;
pub(super) use self::screens::routes;
use self::sessions::Session;
use self::writing::{Act, Writing};
use super::Page;
use crate::clock::{Clock, until};

const DIR: &str = "page";
const ACCOUNTS: &str = "accounts.json";
const CODE: &str = "setup-code";
const LOCK: &str = "accounts.lock";
/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is tried to keep that sessions are used.
const TOUCH: Duration = Duration::from_mins(1);
/// So many sessions have something to be told.
const MOST_SAID: usize = 1000;
const LONGEST_SAID: usize = 2000;

/// How the page is reached, as the settings say.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Which Orbit it is.
    pub orbit: Orbit,
    /// How browsers reach Orbit besides: origins such as `https://orbit.plant.example`.
    pub orbits: Vec<String>,
    /// The reverse proxies that are believed.
    pub proxies: Vec<IpNet>,
    /// The header in which they name the account.
    pub proxy_header: Option<String>,
}

impl Config {
    /// What the settings say of it.
    pub fn of(config: &crate::config::Config) -> Self {
        let host = config.orbit_host.as_ref().map(|orbit| &orbit.host);
        Self {
            orbit: host.map_or(Orbit::Unknown, |host| Orbit::of(host, config.gateway)),
            orbits: config.page.orbits.clone(),
            proxies: config.page.proxies.clone(),
            proxy_header: config.page.proxy_header.clone(),
        }
    }
}

/// Whoever asks.
#[derive(Clone)]
pub struct Person {
    /// The account's name.
    pub name: String,
    /// What it may do.
    pub role: Role,
    /// What every form of this session brings along.
    pub csrf: String,
    /// What is to be said on the next screen, once.
    pub said: Option<String>,
}

#[cfg(test)]
impl Person {
    /// Somebody who only looks.
    pub(crate) fn for_tests(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::See,
            csrf: "token".to_owned(),
            said: None,
        }
    }
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Person")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Accounts, sessions and what belongs to them.
pub struct Access {
    clock: Clock,
    place: RwLock<Place>,
    known: Arc<Mutex<Known>>,
    /// Whose turn it is to look at the file, or to write it.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// When sessions were last used.
    used: Mutex<HashMap<Hash, Timestamp>>,
    /// Sessions that have ended, which could not be written yet.
    ended: Mutex<HashSet<Hash>>,
    /// When it was last tried to keep that.
    touched: Mutex<Option<Timestamp>>,
    /// What sessions are to be told, by what their forms bring along.
    said: Mutex<HashMap<String, String>>,
    limits: Mutex<Limits>,
    passwords: Passwords,
}

/// Where the accounts are, and how the page is reached.
#[derive(Clone, Default)]
struct Place {
    dir: PathBuf,
    config: Arc<Config>,
}

#[derive(Clone)]
struct Known {
    standing: Standing,
    mark: Option<Mark>,
    looked: Timestamp,
}

/// What may be done at all.
#[derive(Clone)]
enum Standing {
    /// There is no account: whoever gives this code makes the first.
    First(Code),
    /// There are accounts.
    Ready(Arc<Book>),
    /// Nobody knows, and why.
    Unusable(String),
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(in crate::page) enum Refused {
    /// It cannot be, or not so. In words for people.
    #[error("{0}")]
    Wrong(Wrong),
    /// Too many tries.
    #[error("too many tries: the next one is taken in {} s", .0.as_secs().max(1))]
    Wait(Duration),
    /// Nothing can be changed now.
    #[error("{0}")]
    Unavailable(String),
}

/// Removes all accounts, sessions and API tokens, beside a running relay too, and makes a new
/// set-up code.
pub fn reset(data_dir: &Path) -> std::io::Result<Code> {
    let dir = data_dir.join(DIR);
    file::make_dir(&dir)?;
    let _lock = file::lock(&dir.join(LOCK))?;
    // The code first: were it cut off between the two, nobody would be let in by an old one.
    let code = Code::renew(&dir.join(CODE))?;
    file::remove(&dir.join(ACCOUNTS))?;
    Ok(code)
}

impl Access {
    /// Knows nobody before it is opened.
    pub fn new(clock: Clock) -> Self {
        let known = Known {
            standing: Standing::Unusable("the relay is starting".to_owned()),
            mark: None,
            looked: clock.steady(),
        };
        Self {
            clock,
            place: RwLock::default(),
            known: Arc::new(Mutex::new(known)),
            turn: Arc::default(),
            used: Mutex::default(),
            ended: Mutex::default(),
            touched: Mutex::default(),
            said: Mutex::default(),
            limits: Mutex::default(),
            passwords: Passwords::new(),
        }
    }

    /// Reads the accounts; where there are none there is a set-up code, which the log says. Again
    /// each time that the settings may be others.
    pub fn open(&self, data_dir: &Path, config: Config) {
        let dir = data_dir.join(DIR);
        let known = look(&dir, None, self.clock.steady());
        let before = std::mem::replace(&mut *locked(&self.known), known.clone());
        tell(Some(&before.standing), &known.standing);
        let config = Arc::new(config);
        *self.place.write().unwrap_or_else(PoisonError::into_inner) = Place { dir, config };
    }

    fn place(&self) -> Place {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        place.clone()
    }

    fn dir(&self) -> PathBuf {
        self.place().dir
    }

    /// The policy of content.
    fn policy(&self, request: &HeaderMap) -> HeaderValue {
        let config = self.place().config;
        headers::policy(&config.orbit, &config.orbits, request)
    }

    /// How it stands, as of a second ago at most; of longer, where the disk hangs.
    async fn standing(&self) -> Standing {
        let known = locked(&self.known).clone();
        if until(known.looked, self.clock.steady()) < LOOK {
            return known.standing;
        }
        match self.turn.try_lock() {
            Ok(_turn) => self.look().await.standing,
            Err(_) => known.standing,
        }
    }

    /// Looks at the file. For whoever has the turn.
    async fn look(&self) -> Known {
        let (dir, now) = (self.dir(), self.clock.steady());
        let before = locked(&self.known).clone();
        let known = before.clone();
        let looked = tokio::task::spawn_blocking(move || look(&dir, Some(&known), now)).await;
        let Ok(found) = looked else {
            return before;
        };
        tell(Some(&before.standing), &found.standing);
        *locked(&self.known) = found.clone();
        found
    }

    /// Changes the accounts, or leaves all as it was.
    async fn change<T>(
        &self,
        act: Option<Act>,
        change: impl FnOnce(&mut Book) -> Result<T, Wrong>,
    ) -> Result<T, Refused> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let known = self.look().await;
        let mut book = match &known.standing {
            Standing::Ready(book) => Book::clone(book),
            Standing::First(_) => return Err(Refused::Wrong("There is no account.".to_owned())),
            Standing::Unusable(why) => return Err(Refused::Unavailable(why.clone())),
        };
        if let Standing::Ready(known) = &known.standing {
            self.keep_used(&mut book, known);
        }
        let changed = change(&mut book).map_err(Refused::Wrong)?;
        let writing = self.writing(book, known.mark, act, turn);
        writing.finish().await?;
        Ok(changed)
    }

    /// These accounts are to be, where the file is still the one of this mark.
    fn writing(
        &self,
        book: Book,
        mark: Option<Mark>,
        act: Option<Act>,
        turn: OwnedMutexGuard<()>,
    ) -> Writing {
        Writing {
            dir: self.dir(),
            clock: self.clock.clone(),
            known: Arc::clone(&self.known),
            mark,
            book,
            act,
            turn,
        }
    }

    /// The person of a session's token, which is used by that where a person asks.
    async fn person(&self, book: &Book, token: &str, by_itself: bool) -> Option<Person> {
        let (id, now) = (sessions::id(token), self.clock.wall());
        let session = book.session(&id).filter(|of| self.lives(of, now))?;
        let account = book.account(&session.account)?;
        if !by_itself {
            locked(&self.used).insert(id, now);
            if session.is_stale(now) {
                self.touch().await;
            }
        }
        Some(Person {
            name: account.name.clone(),
            role: account.role,
            csrf: csrf::code(book.key(), csrf::Of::Session(id.bytes())),
            said: None,
        })
    }

    fn lives(&self, session: &Session, now: Timestamp) -> bool {
        let used = locked(&self.used).get(&session.id).copied();
        let is_ended = locked(&self.ended).contains(&session.id);
        !is_ended && session.lives(used.unwrap_or(session.seen), now)
    }

    /// Whether that person is still let in, as the same one.
    pub(super) async fn still_knows(&self, person: &Person) -> bool {
        let Standing::Ready(book) = self.standing().await else {
            return false;
        };
        let account = book.account(&person.name);
        if account.is_none_or(|account| account.role != person.role) {
            return false;
        }
        let (key, now) = (book.key(), self.clock.wall());
        let is_of = |of| csrf::code(key, of) == person.csrf;
        let mut sessions = book.sessions.iter();
        is_of(csrf::Of::Proxy(&person.name))
            || sessions.any(|session| {
                session.account == person.name
                    && is_of(csrf::Of::Session(session.id.bytes()))
                    && self.lives(session, now)
            })
    }

    /// Keeps in the file that sessions are used. Where that fails they may end sooner.
    async fn touch(&self) {
        let now = self.clock.steady();
        {
            let mut touched = locked(&self.touched);
            if touched.is_some_and(|last| until(last, now) < TOUCH) {
                return;
            }
            *touched = Some(now);
        }
        if let Err(error) = self.change(None, |_| Ok(())).await {
            tracing::debug!(%error, "page: that sessions are used was not kept");
        }
    }

    /// Takes into the file when sessions were used, and drops those that have ended. What `known`,
    /// the file as it is, does not have any more need not be remembered.
    fn keep_used(&self, book: &mut Book, known: &Book) {
        let mut used = locked(&self.used);
        for session in &mut book.sessions {
            if let Some(used) = used.get(&session.id) {
                session.seen = session.seen.max(*used);
            }
        }
        let mut ended = locked(&self.ended);
        for id in ended.iter() {
            book.end(id);
        }
        ended.retain(|id| known.session(id).is_some());
        book.tidy(self.clock.wall());
        used.retain(|id, _| book.session(id).is_some());
    }

    /// Says something on the person's next screen. A program has none.
    pub(super) fn say(&self, person: &Person, text: &str) {
        if person.csrf.is_empty() {
            return;
        }
        let mut said = locked(&self.said);
        if said.len() >= MOST_SAID && !said.contains_key(&person.csrf) {
            said.clear();
        }
        let all = said.entry(person.csrf.clone()).or_default();
        if !all.is_empty() {
            all.push(' ');
        }
        all.push_str(text);
        *all = all.chars().take(LONGEST_SAID).collect();
    }

    /// What is to be said, once.
    fn said(&self, csrf: &str) -> Option<String> {
        locked(&self.said).remove(csrf)
    }
}

impl Page {
    /// Says something on the person's next screen.
    pub(crate) fn say(&self, person: &Person, text: impl Into<String>) {
        self.outside.access.say(person, &text.into());
    }
}

/// Looks at the file; blocks.
fn look(dir: &Path, before: Option<&Known>, now: Timestamp) -> Known {
    let path = dir.join(ACCOUNTS);
    let unusable = |why: &str| {
        Standing::Unusable(format!(
            "the accounts cannot be read: {}: {why}",
            path.display()
        ))
    };
    let known = |standing, mark| Known {
        standing,
        mark,
        looked: now,
    };
    // Which file it is comes first: one that is written meanwhile is then read again.
    let mark = match file::make_dir(dir).and_then(|()| file::mark(&path)) {
        Ok(mark) => mark,
        Err(error) => return known(unusable(&error.to_string()), None),
    };
    if let Some(before) = before
        && before.mark == mark
        && matches!(before.standing, Standing::Ready(_))
    {
        return known(before.standing.clone(), mark);
    }
    let standing = match Book::read(&path) {
        Ok(Some(book)) => Standing::Ready(Arc::new(book)),
        Ok(None) => match Code::keep(&dir.join(CODE)) {
            Ok(code) => Standing::First(code),
            Err(error) => Standing::Unusable(format!(
                "there is no account, and no set-up code can be made: {}: {error}",
                dir.join(CODE).display()
            )),
        },
        Err(why) => unusable(&why),
    };
    known(standing, mark)
}

/// Says in the log what changed in how it stands.
fn tell(before: Option<&Standing>, now: &Standing) {
    match (before, now) {
        (Some(Standing::First(before)), Standing::First(now)) if before.shown() == now.shown() => {}
        (before, Standing::First(code)) => {
            if let Some(Standing::Ready(_)) = before {
                tracing::warn!("page: all accounts were removed");
            }
            tracing::info!(
                "page: to set it up, open it and give the set-up code {}",
                code.shown()
            );
        }
        (Some(Standing::Unusable(before)), Standing::Unusable(now)) if before == now => {}
        (_, Standing::Unusable(why)) => tracing::error!("page: it answers 503: {why}"),
        (Some(Standing::First(_)) | None, Standing::Ready(_)) => {}
        (Some(_), Standing::Ready(book)) => {
            tracing::debug!("page: {} accounts", book.accounts.len());
        }
    }
}

fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
