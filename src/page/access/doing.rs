//! Logging in, and what is changed of accounts, passwords and API tokens.
//!
//! # Invariants
//! - What costs a hash is asked for at the limits first: the hash wants their leave.
//! - A name that there is not costs as much as a wrong password, and is answered the same.
//! - The log never has a name that was typed, unless there is an account of that name: it may be a
//!   password.

use std::sync::Arc;

use super::accounts::{self, Book, Wrong};
use super::hash::Hash;
use super::limits::{Leave, Of};
use super::sessions::{self, Session};
use super::tokens::Token;
use super::writing::Act;
use super::{ACCOUNTS, Access, CODE, Person, Refused, Role, Standing, file, locked, passwords};
use crate::relay::journal::Journal;
use crate::secret::Secret;

/// The limits' name for names that no account can have.
const NO_NAME: &str = "no name";
/// The same for a name that there is not and for a wrong password.
const NOT_SO: &str = "The name or the password is not right.";

/// A person, and where their acts are kept.
#[derive(Clone, Copy)]
pub(in crate::page) struct Doer<'a> {
    pub(in crate::page) journal: &'a Journal,
    pub(in crate::page) name: &'a str,
}

impl Doer<'_> {
    fn act(&self, what: &'static str, detail: String) -> Act {
        Act {
            journal: self.journal.clone(),
            who: self.name.to_owned(),
            what,
            detail,
        }
    }
}

fn failed(error: impl std::fmt::Display) -> Refused {
    tracing::error!("page: {error}");
    Refused::Unavailable("It could not be done: the log says why.".to_owned())
}

impl Access {
    fn ask(&self, of: Of<'_>) -> Result<Leave, Refused> {
        let now = self.clock.steady();
        locked(&self.limits).ask(of, now).map_err(Refused::Wait)
    }

    fn right(&self, leave: &Leave) {
        locked(&self.limits).right(leave);
    }

    /// Makes the first account, and begins its session.
    pub(super) async fn set_up(
        &self,
        journal: &Journal,
        code: &str,
        name: &str,
        password: &str,
    ) -> Result<Secret, Refused> {
        let name = accounts::name(name).map_err(Refused::Wrong)?;
        let password = passwords::acceptable(password).map_err(Refused::Wrong)?;
        let leave = self.ask(Of::Code)?;
        let expected = self.first_code().await?;
        if !expected.is(code) {
            tracing::warn!("page: a wrong set-up code");
            return Err(Refused::Wrong(
                "This is not the set-up code. It is in the relay's log, and in the file \
                 page/setup-code of its data directory."
                    .to_owned(),
            ));
        }
        let hash = self
            .passwords
            .hash(&leave, password)
            .await
            .map_err(failed)?;
        let (session, token) = Session::new(&name, self.clock.wall()).map_err(failed)?;
        let mut book = Book::new().map_err(failed)?;
        book.add(&name, Role::Configure, Some(hash))
            .map_err(Refused::Wrong)?;
        book.begin(session);

        let turn = Arc::clone(&self.turn).lock_owned().await;
        let known = self.look().await;
        // Somebody may have been faster, or the code another one by now.
        match &known.standing {
            Standing::First(now) if now.is(code) => {}
            _ => return Err(Refused::Wrong("There is an account already.".to_owned())),
        }
        let doer = Doer {
            journal,
            name: &name,
        };
        let act = doer.act(
            "account add",
            format!("{name}, role configure, by set-up code"),
        );
        let writing = self.writing(book, known.mark, Some(act), turn);
        writing.finish().await?;
        let path = self.dir().join(CODE);
        let removed = tokio::task::spawn_blocking(move || file::remove(&path)).await;
        if let Ok(Err(error)) = removed {
            // It is good for nothing while there is an account; a reset makes a new one.
            tracing::warn!(%error, "page: the file {CODE} cannot be removed");
        }
        self.right(&leave);
        tracing::info!("page: the first account is {name}");
        Ok(token)
    }

    async fn first_code(&self) -> Result<super::Code, Refused> {
        match self.standing().await {
            Standing::First(code) => Ok(code),
            Standing::Ready(_) => Err(Refused::Wrong("There is an account already.".to_owned())),
            Standing::Unusable(why) => Err(Refused::Unavailable(why)),
        }
    }

    /// Begins a session.
    pub(super) async fn log_in(&self, name: &str, password: &str) -> Result<Secret, Refused> {
        let book = match self.standing().await {
            Standing::Ready(book) => book,
            Standing::First(_) => return Err(Refused::Wrong(NOT_SO.to_owned())),
            Standing::Unusable(why) => return Err(Refused::Unavailable(why)),
        };
        let name = accounts::name(name).unwrap_or_else(|_| NO_NAME.to_owned());
        let leave = self.ask(Of::Name(&name))?;
        let hash = book.account(&name).and_then(|a| a.password.clone());
        let is = self
            .passwords
            .is(&leave, passwords::given(password), hash.clone());
        if !is.await.map_err(failed)? {
            if book.account(&name).is_some() {
                tracing::warn!("page: a wrong password for the account {name}");
            } else {
                tracing::warn!("page: a login with a name that there is not");
            }
            return Err(Refused::Wrong(NOT_SO.to_owned()));
        }
        let (session, token) = Session::new(&name, self.clock.wall()).map_err(failed)?;
        let begun = self.change(None, |book| {
            // The password may have been changed, or the account removed, meanwhile.
            let still = book.account(&name).and_then(|a| a.password.clone()) == hash;
            still.then_some(()).ok_or_else(|| NOT_SO.to_owned())?;
            book.begin(session);
            Ok(())
        });
        begun.await?;
        self.right(&leave);
        tracing::info!("page: {name} logged in");
        Ok(token)
    }

    /// Ends the sessions of these tokens: at once here, also where that cannot be written.
    pub(super) async fn log_out(&self, tokens: &[Hash]) {
        locked(&self.ended).extend(tokens);
        let written = self.change(None, |book| {
            for id in tokens {
                book.end(id);
            }
            Ok(())
        });
        match written.await {
            Ok(()) => locked(&self.ended).retain(|id| !tokens.contains(id)),
            Err(error) => {
                tracing::warn!(%error, "page: that a session ended is written later");
            }
        }
    }

    /// Ends the sessions of an account but this one.
    pub(super) async fn end_others(&self, name: &str, own: Option<Hash>) -> Result<(), Refused> {
        self.change(None, |book| {
            book.end_others(name, own.as_ref());
            Ok(())
        })
        .await
    }

    /// Gives somebody another password of their own, ends their sessions and begins a new one.
    pub(super) async fn change_own_password(
        &self,
        doer: Doer<'_>,
        old: &str,
        new: &str,
    ) -> Result<Secret, Refused> {
        let new = passwords::acceptable(new).map_err(Refused::Wrong)?;
        let Standing::Ready(book) = self.standing().await else {
            return Err(Refused::Unavailable("Come again in a moment.".to_owned()));
        };
        let leave = self.ask(Of::Session(doer.name))?;
        let hash = book.account(doer.name).and_then(|a| a.password.clone());
        let is = self
            .passwords
            .is(&leave, passwords::given(old), hash.clone());
        if !is.await.map_err(failed)? {
            tracing::warn!("page: a wrong password of {} for a new one", doer.name);
            return Err(Refused::Wrong(
                "The password of now is not right.".to_owned(),
            ));
        }
        self.right(&leave);
        let leave = self.ask(Of::Session(doer.name))?;
        let new = self.passwords.hash(&leave, new).await.map_err(failed)?;
        self.right(&leave);
        let (session, token) = Session::new(doer.name, self.clock.wall()).map_err(failed)?;
        let act = doer.act("account password", format!("{}, their own", doer.name));
        self.change(Some(act), |book| {
            let still = book.account(doer.name).and_then(|a| a.password.clone()) == hash;
            let changed = || "It was changed meanwhile: log in again.".to_owned();
            still.then_some(()).ok_or_else(changed)?;
            book.set_password(doer.name, new)?;
            book.begin(session);
            Ok(())
        })
        .await?;
        Ok(token)
    }

    /// The hash of a password that somebody gives another one.
    async fn hash_by(&self, doer: Doer<'_>, password: &str) -> Result<String, Refused> {
        let password = passwords::acceptable(password).map_err(Refused::Wrong)?;
        let leave = self.ask(Of::Session(doer.name))?;
        let hash = self
            .passwords
            .hash(&leave, password)
            .await
            .map_err(failed)?;
        self.right(&leave);
        Ok(hash)
    }

    /// Adds an account; without a password only a proxy logs it in.
    pub(in crate::page) async fn add(
        &self,
        doer: Doer<'_>,
        name: &str,
        role: Role,
        password: Option<&str>,
    ) -> Result<String, Refused> {
        let name = accounts::name(name).map_err(Refused::Wrong)?;
        let hash = match password {
            Some(password) => Some(self.hash_by(doer, password).await?),
            None => None,
        };
        let without = if hash.is_none() {
            ", without a password"
        } else {
            ""
        };
        let act = doer.act("account add", format!("{name}, role {role}{without}"));
        self.change(Some(act), |book| book.add(&name, role, hash))
            .await?;
        Ok(name)
    }

    /// Gives another account a password.
    pub(in crate::page) async fn set_password(
        &self,
        doer: Doer<'_>,
        name: &str,
        password: &str,
    ) -> Result<(), Refused> {
        let hash = self.hash_by(doer, password).await?;
        self.by(doer, "account password", name.to_owned(), |book| {
            book.set_password(name, hash)
        })
        .await
    }

    /// Gives an account another role.
    pub(in crate::page) async fn set_role(
        &self,
        doer: Doer<'_>,
        name: &str,
        role: Role,
    ) -> Result<(), Refused> {
        let detail = format!("{name}, role {role}");
        self.by(doer, "account role", detail, |book| {
            book.set_role(name, role)
        })
        .await
    }

    /// Removes an account.
    pub(in crate::page) async fn remove(&self, doer: Doer<'_>, name: &str) -> Result<(), Refused> {
        self.by(doer, "account remove", name.to_owned(), |book| {
            book.remove(name)
        })
        .await
    }

    /// Makes an API token, and gives its text, which nobody can see again.
    pub(in crate::page) async fn add_token(
        &self,
        doer: Doer<'_>,
        name: &str,
        role: Role,
    ) -> Result<Secret, Refused> {
        let name = accounts::name(name).map_err(Refused::Wrong)?;
        let detail = format!("{name}, role {role}");
        let (token, text) = Token::new(name, role, doer.name, self.clock.wall()).map_err(failed)?;
        self.by(doer, "token add", detail, |book| book.add_token(token))
            .await?;
        Ok(text)
    }

    /// Removes an API token.
    pub(in crate::page) async fn remove_token(
        &self,
        doer: Doer<'_>,
        name: &str,
    ) -> Result<(), Refused> {
        self.by(doer, "token remove", name.to_owned(), |book| {
            book.remove_token(name)
        })
        .await
    }

    async fn by(
        &self,
        doer: Doer<'_>,
        what: &'static str,
        detail: String,
        change: impl FnOnce(&mut Book) -> Result<(), Wrong>,
    ) -> Result<(), Refused> {
        self.change(Some(doer.act(what, detail)), change).await
    }

    /// Where the accounts are, for whoever has to see to them.
    pub(super) fn accounts_path(&self) -> String {
        self.dir().join(ACCOUNTS).display().to_string()
    }
}

/// The ids of the sessions that a request shows.
pub(super) fn shown_sessions(headers: &axum::http::HeaderMap) -> Vec<Hash> {
    super::cookie::values(headers, super::cookie::SESSION)
        .map(sessions::id)
        .collect()
}

impl Person {
    /// The person, and where acts are kept.
    pub(in crate::page) fn doer<'a>(&'a self, page: &'a super::Page) -> Doer<'a> {
        Doer {
            journal: &page.app.ground.journal,
            name: &self.name,
        }
    }
}
