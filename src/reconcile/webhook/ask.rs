//! What a person can ask of the reconciler, and what is answered.
//!
//! # Invariants
//! - No secret is in an answer.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::plan::{Relation, ShownSecret};
use super::record::Record;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// How our webhook is, against how it should be.
    Status,
    /// Every webhook in Orbit.
    List,
    /// Set it right now; enable it, and make it again if it was deleted.
    Sync,
    /// Delete it, and do not make it again.
    Delete,
    /// A new secret.
    RotateSecret,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// How it is.
    Status(Box<Report>),
    /// What Orbit has.
    List(Vec<Listed>),
    /// What was done, a line for each thing.
    Done(Vec<String>),
}

/// How our webhook is, against how it should be.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Report {
    /// In one word: `registered`, `disabled`, `drift`, `missing`, `deleted`, `off`, `polling`.
    pub status: String,
    /// Who takes care of it: `repair`, `observe` or `off`.
    pub manage: String,
    /// What Orbit is to call; none where nothing is to be registered.
    pub url: Option<String>,
    /// What it is to call for.
    pub events: Vec<String>,
    /// Whether it is to call.
    pub enabled: bool,
    /// Whether it is to check our certificate.
    pub validate_tls_cert: bool,
    /// Ours, as Orbit has it.
    pub ours: Option<Listed>,
    /// What is not as it should be, in words.
    pub differences: Vec<String>,
    /// Others with our address, by their ids.
    pub twins: Vec<String>,
    /// What is remembered of ours.
    pub record: Option<Record>,
    /// Whether the secret before this one is still accepted.
    pub rotating: bool,
}

/// A webhook in Orbit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Listed {
    /// Its id.
    pub uuid: String,
    /// What people see.
    pub name: Option<String>,
    /// What Orbit calls.
    pub url: Option<String>,
    /// Whether it calls.
    pub enabled: Option<bool>,
    /// Whether it checks the certificate there.
    pub validate_tls_cert: Option<bool>,
    /// What it calls for.
    pub events: Option<Vec<String>>,
    /// Whether it is put away.
    pub archived: bool,
    /// How much of its secret Orbit shows.
    pub secret: ShownSecret,
    /// What it is to us.
    pub relation: Relation,
}

/// One question, and where its answer goes.
#[derive(Debug)]
pub struct Asked {
    pub(super) wish: Wish,
    pub(super) who: String,
    pub(super) reply: oneshot::Sender<Result<Told, String>>,
}

/// By which the reconciler is asked.
#[derive(Clone, Debug)]
pub struct Desk(mpsc::Sender<Asked>);

/// How many may wait to be answered.
const WAITING: usize = 8;

/// A desk, and what comes over it.
pub fn desk() -> (Desk, mpsc::Receiver<Asked>) {
    let (send, receive) = mpsc::channel(WAITING);
    (Desk(send), receive)
}

impl Desk {
    /// Asks, and waits for the answer.
    pub async fn ask(&self, wish: Wish, who: &str) -> Result<Told, String> {
        let ended = |_| "the relay stops".to_owned();
        let (reply, answer) = oneshot::channel();
        let asked = Asked {
            wish,
            who: who.to_owned(),
            reply,
        };
        self.0
            .send(asked)
            .await
            .map_err(|_| "the relay stops".to_owned())?;
        answer.await.map_err(ended)?
    }
}
