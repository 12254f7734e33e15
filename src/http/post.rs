//! One post that a person asks for, and what it is answered.
//!
//! # Invariants
//! - No redirect is followed; the deadline is the client's; no more of an answer is read than was
//!   asked for.

use reqwest::Method;
use url::Url;

use super::{Client, ExchangeError};

/// What a post was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// What the status is called; empty where it has no name.
    pub called: &'static str,
    /// The body, or its beginning.
    pub body: Vec<u8>,
    /// Whether there was more of it.
    pub cut: bool,
}

impl Answered {
    /// Whether the post was taken.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    /// Posts once, and reads at most `limit` bytes of the answer.
    pub async fn post(
        &self,
        url: Url,
        headers: &[(String, String)],
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Answered, ExchangeError> {
        let mut request = self.request(Method::POST, url).body(body);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request
            .build()
            .map_err(|error| self.explain(error, self.timeout))?;
        let mut answer = self.send(request).await?;
        let mut body = Vec::new();
        let cut = self.read(&mut answer, &mut body, limit).await?;
        Ok(Answered {
            status: answer.status().as_u16(),
            called: answer.status().canonical_reason().unwrap_or_default(),
            body,
            cut,
        })
    }
}
