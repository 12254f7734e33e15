//! Accounts, sessions and API tokens as they are shown, on a screen and by the API.
//!
//! # Invariants
//! - No hash and no token is in a view.

use jiff::Timestamp;
use serde::Serialize;

use super::hash::Hash;
use super::{Access, Role, Standing, locked};

/// Who may do what.
#[derive(Clone, Debug, Serialize)]
pub(in crate::page) struct Accounts {
    pub(in crate::page) accounts: Vec<Account>,
    pub(in crate::page) tokens: Vec<Token>,
}

/// One account.
#[derive(Clone, Debug, Serialize)]
pub(in crate::page) struct Account {
    pub(in crate::page) name: String,
    pub(in crate::page) role: Role,
    /// Without one only a reverse proxy logs it in.
    pub(in crate::page) has_password: bool,
    pub(in crate::page) sessions: usize,
}

/// One API token.
#[derive(Clone, Debug, Serialize)]
pub(in crate::page) struct Token {
    pub(in crate::page) name: String,
    pub(in crate::page) role: Role,
    pub(in crate::page) made: Timestamp,
    pub(in crate::page) by: String,
}

/// One session of an account.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Session {
    pub(super) begun: Timestamp,
    pub(super) used: Timestamp,
    /// Whether it is the one that asks.
    pub(super) is_this: bool,
}

impl Access {
    /// Who may do what.
    pub(in crate::page) async fn accounts(&self) -> Accounts {
        let Standing::Ready(book) = self.standing().await else {
            return Accounts {
                accounts: Vec::new(),
                tokens: Vec::new(),
            };
        };
        let accounts = book.accounts.iter().map(|account| Account {
            name: account.name.clone(),
            role: account.role,
            has_password: account.password.is_some(),
            sessions: self.sessions_of(&book, &account.name, &[]).len(),
        });
        let tokens = book.tokens.iter().map(|token| Token {
            name: token.name.clone(),
            role: token.role,
            made: token.made,
            by: token.by.clone(),
        });
        let mut all = Accounts {
            accounts: accounts.collect(),
            tokens: tokens.collect(),
        };
        all.accounts
            .sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all.tokens
            .sort_unstable_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The sessions of an account, the one that was used last first.
    pub(super) async fn sessions(&self, name: &str, own: &[Hash]) -> Vec<Session> {
        let Standing::Ready(book) = self.standing().await else {
            return Vec::new();
        };
        self.sessions_of(&book, name, own)
    }

    /// Whether an account has a password.
    pub(super) async fn has_password(&self, name: &str) -> bool {
        let Standing::Ready(book) = self.standing().await else {
            return false;
        };
        book.account(name).is_some_and(|a| a.password.is_some())
    }

    fn sessions_of(&self, book: &super::Book, name: &str, own: &[Hash]) -> Vec<Session> {
        let now = self.clock.wall();
        let used = locked(&self.used);
        let of_account = book.sessions.iter().filter(|s| s.account == name);
        let seen = of_account.map(|s| (s, used.get(&s.id).copied().unwrap_or(s.seen)));
        let living = seen.filter(|(session, seen)| session.lives(*seen, now));
        let mut all: Vec<_> = living
            .map(|(session, seen)| Session {
                begun: session.begun,
                used: seen,
                is_this: own.contains(&session.id),
            })
            .collect();
        all.sort_by_key(|session| std::cmp::Reverse(session.used));
        all
    }
}
