//! What is wrong with the configuration: every problem at once, each with its place.
//!
//! # Invariants
//! - One problem is one line of text.
//! - No secret is in it: who notes a problem says what is accepted, and shows only what cannot be
//!   a secret.

use std::fmt;

use super::dotenv::DotenvError;

/// Where a value came from, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    place: String,
    /// The line of the configuration file; 0 for what came from elsewhere.
    line: usize,
    /// The variable or file that holds the value, where the place only names it.
    holder: Option<String>,
    /// Where in what the page saved, if it stands there.
    saved: Option<SavedIn>,
}

/// A line of what the page saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SavedIn {
    /// Of its `.env`.
    Dotenv(usize),
    /// Of its configuration file.
    File(usize),
}

/// What the page saved, as an origin in words.
pub(super) const SAVED: &str = "saved on the page";

impl Origin {
    /// Not from the file.
    pub(super) fn outside(place: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            line: 0,
            holder: None,
            saved: None,
        }
    }

    /// From this line of the file.
    pub(super) fn in_file(file: &str, line: usize) -> Self {
        Self {
            place: format!("{file}:{line}"),
            line,
            holder: None,
            saved: None,
        }
    }

    /// The same place, which the page wrote.
    pub(super) fn saved(self, saved: SavedIn) -> Self {
        let saved = Some(saved);
        Self { saved, ..self }
    }

    /// Where it stands in what the page saved.
    pub(super) fn saved_in(&self) -> Option<SavedIn> {
        self.saved
    }

    /// The same place, which names another one that holds the value.
    pub(super) fn by_way_of(self, holder: String) -> Self {
        Self {
            holder: Some(holder),
            ..self
        }
    }

    /// Whether it is a place in the configuration file.
    pub(super) fn is_in_file(&self) -> bool {
        self.line > 0
    }

    /// What holds the value, where the place only names it.
    pub(super) fn holder(&self) -> Option<&str> {
        self.holder.as_deref()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holder {
            // Nobody who set it there has seen a file.
            _ if self.saved.is_some() => f.write_str(SAVED),
            None => f.write_str(&self.place),
            Some(holder) => write!(f, "{holder}, {}", self.place),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    origin: Origin,
    what: String,
}

impl Problem {
    pub(super) fn new(origin: &Origin, what: impl fmt::Display) -> Self {
        let what = what.to_string();
        Self {
            origin: origin.clone(),
            what: what.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }

    /// Where it is.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is wrong, without where.
    pub(super) fn what(&self) -> &str {
        &self.what
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin.place, self.what)
    }
}

/// All that is wrong: first what does not stand in the file, then the file's lines in order.
#[derive(Clone, Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn note(&mut self, origin: &Origin, what: impl fmt::Display) {
        self.0.push(Problem::new(origin, what));
    }

    pub(super) fn add(&mut self, others: impl IntoIterator<Item = Problem>) {
        self.0.extend(others);
    }

    /// The value, or none where there is a problem, which is kept.
    pub(super) fn of<T>(&mut self, read: Result<Option<T>, Problem>) -> Option<T> {
        read.unwrap_or_else(|problem| {
            self.0.push(problem);
            None
        })
    }

    /// An error, if anything is wrong.
    pub(super) fn into_result(mut self) -> Result<(), ConfigError> {
        if self.0.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|problem| problem.origin.line);
        // What several destinations have in common, such as a proxy, is said once.
        self.0.dedup();
        Err(ConfigError::Wrong(self))
    }

    /// Each problem, one line each.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.0.iter().enumerate() {
            let end = if n == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

/// Why there is no configuration. No secret is in it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A line of `.env` cannot be read.
    #[error("{path}: {error}")]
    Dotenv {
        /// The file.
        path: String,
        /// What is wrong.
        error: DotenvError,
    },
    /// Values that cannot be used.
    #[error("{0}")]
    Wrong(Problems),
}

impl ConfigError {
    pub(super) fn dotenv(path: &std::path::Path, error: DotenvError) -> Self {
        Self::Dotenv {
            path: path.display().to_string(),
            error,
        }
    }
}
