//! One step as it is configured: what request is made of an event and of what earlier steps took,
//! and what is taken of its answer.
//!
//! ```text
//! mod    the step
//! check  what can be known to be wrong with it
//! ```
//!
//! # Invariants
//! - Pure. What is frozen ([`Rendered`]) holds no secret: `secrets` and what fresh steps take may
//!   stand only in headers and in fresh steps, the latter in `when` too, and [`Step::check`] says
//!   so otherwise.
//! - The destination's own URL may be a secret: of what is frozen, it is left out.
//! - A URL is of the destination's origin, or there is none; what fills a gap of a path is one value.
//! - No error holds a value.

mod check;

use reqwest::header::HeaderName;
use url::Url;

use super::auth::AuthError;
use super::request::{Answered, Method, StepRequest};
use super::{Header, Success};
use crate::relay::transform::expression::{Expression, ExpressionError};
use crate::relay::transform::json::Json;
use crate::relay::transform::template::{Gapped, Scope, Template, TemplateError};
use crate::secret::Secret;

/// Nothing longer is taken of an answer, in bytes.
const LONGEST_TAKEN: usize = 16 * 1024;
/// What a fresh step takes is a secret from this length on.
const TELLING: usize = 8;

/// One request of the way in which a destination is told of an event; or one for each item.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it is called: a-z, 0-9, `_`, `-`.
    pub name: String,
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// It is left out where this does not hold.
    pub when: Option<Expression>,
    /// It is done for each item of this list.
    pub for_each: Option<Each>,
    /// Its own headers.
    pub headers: Vec<(HeaderName, Gapped)>,
    /// Its body.
    pub body: StepBody,
    /// What the body is, where it is not what follows from it.
    pub content_type: Option<String>,
    /// What is taken of the answer, and what that is called.
    pub take: Vec<(String, Take)>,
    /// Which answers are a success, where that is another rule than the destination's.
    pub success: Option<Success>,
    /// Whether it is done anew in each try (a login, a CSRF token), and nothing of it is kept.
    pub fresh: bool,
}

/// Where a step goes.
#[derive(Clone, Debug)]
pub enum Target {
    /// Behind the path of the destination's URL, without its query. An empty one is that URL as it
    /// is.
    Path(Gapped),
    /// A URL. Where it begins with a gap, that holds a URL of the destination's.
    Url {
        /// The gap that it begins with.
        head: Option<Gapped>,
        /// The rest, each gap one value.
        rest: Gapped,
        /// What stands before the first gap.
        fixed: String,
    },
}

/// A list that a step is done for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Each {
    /// `readings`.
    Readings,
    /// `captures`.
    Captures,
}

/// The body of a step.
#[derive(Clone, Debug)]
pub enum StepBody {
    /// None.
    None,
    /// A tree of JSON.
    Json(Template),
    /// Plain text.
    Text(Gapped),
    /// The bytes of the picture that `item` is.
    Capture,
}

/// What is taken of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Take {
    /// What a JSON pointer leads to.
    Json(String),
    /// A header.
    Header(HeaderName),
    /// A cookie that it sets.
    Cookie(String),
}

/// What a step sends, as it is frozen. Marks of pictures still stand in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// What stands behind the destination's URL, which may be a secret and is not kept: nothing, a
    /// path or a query. Or a URL that an answer gave.
    pub url: String,
    /// The body; none where there is none, or it is a picture.
    pub body: Option<String>,
}

/// One time that a step is done.
#[derive(Clone, Debug)]
pub struct Round {
    /// The step's name, and behind a `/` the place of the item.
    pub name: String,
    /// What its templates see.
    pub scope: Scope,
}

/// Why a step has no request.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A template has no value.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// `when` has no value.
    #[error("`when`: {0}")]
    When(#[from] ExpressionError),
    /// What comes out is no URL.
    #[error("what comes out as the URL of step {0} is none")]
    NoUrl(String),
    /// What comes out leads elsewhere.
    #[error(
        "the URL of step {step} leads to {origin}, which is not where the destination is: its \
         credentials would go there too"
    )]
    Elsewhere {
        /// The step.
        step: String,
        /// Where it leads.
        origin: String,
    },
    /// A header cannot be sent.
    #[error("header {name} of step {step}: {why}")]
    Header {
        /// The step.
        step: String,
        /// The header.
        name: String,
        /// Why.
        why: AuthError,
    },
}

/// What is wrong with a step as it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The key, such as `headers.slug`.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

/// Why a text says nothing that can be taken of an answer.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("write `json:/a/b` (a JSON pointer), `header:location`, or `cookie:NAME`")]
pub struct TakeError;

impl Target {
    /// Reads a path with gaps; `at` and `known` are [`Gapped::parse`]'s.
    pub fn path(at: &str, text: &str, known: &[&str]) -> Result<Self, TemplateError> {
        Gapped::parse(at, text.trim(), known).map(Self::Path)
    }

    /// Reads a URL with gaps.
    pub fn url(at: &str, text: &str, known: &[&str]) -> Result<Self, TemplateError> {
        let text = text.trim();
        let fixed = text.split("{{").next().unwrap_or_default().to_owned();
        let (head, rest) = if fixed.is_empty() {
            let (head, rest) = first_gap(at, text, known)?;
            (Some(head), rest)
        } else {
            (None, text)
        };
        let rest = Gapped::parse(at, rest, known)?;
        Ok(Self::Url { head, rest, fixed })
    }
}

/// The gap that a text begins with, and the rest. A gap may hold `}}` in a text of its own, so it
/// ends where it first can be read.
fn first_gap<'a>(
    at: &str,
    text: &'a str,
    known: &[&str],
) -> Result<(Gapped, &'a str), TemplateError> {
    let ends = text.match_indices("}}");
    for (end, sign) in ends {
        let (gap, rest) = text.split_at_checked(end + sign.len()).unwrap_or_default();
        if let Ok(gap) = Gapped::parse(at, gap, known) {
            return Ok((gap, rest));
        }
    }
    Gapped::parse(at, text, known).map(|whole| (whole, ""))
}

impl Take {
    /// Reads `json:/a/b`, `header:name` or `cookie:NAME`.
    pub fn parse(text: &str) -> Result<Self, TakeError> {
        let (kind, what) = text.trim().split_once(':').ok_or(TakeError)?;
        match kind {
            "json" if what.is_empty() || what.starts_with('/') => Ok(Self::Json(what.to_owned())),
            "header" => HeaderName::try_from(what)
                .map(Self::Header)
                .map_err(|_| TakeError),
            "cookie" if !what.is_empty() => Ok(Self::Cookie(what.to_owned())),
            _ => Err(TakeError),
        }
    }

    /// As it is written.
    pub fn text(&self) -> String {
        match self {
            Self::Json(pointer) => format!("json:{pointer}"),
            Self::Header(name) => format!("header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
        }
    }

    /// What an answer holds of it. Null is nothing.
    pub fn take(&self, answered: &Answered) -> Option<Json> {
        let taken = match self {
            Self::Json(pointer) => {
                let body = Json::parse(&answered.body).ok()?;
                body.pointer(pointer)?.clone()
            }
            Self::Header(name) => answered.header(name)?.into(),
            Self::Cookie(name) => answered.cookie(name)?.into(),
        };
        let fits = taken.to_string().len() <= LONGEST_TAKEN;
        (fits && !taken.is_null()).then_some(taken)
    }
}

impl Step {
    /// A step that posts nothing there yet.
    pub fn new(name: &str, target: Target) -> Self {
        Self {
            name: name.to_owned(),
            method: Method::Post,
            target,
            when: None,
            for_each: None,
            headers: Vec::new(),
            body: StepBody::None,
            content_type: None,
            take: Vec::new(),
            success: None,
            fresh: false,
        }
    }

    /// The times that it is done: once, or for each item; not at all where `when` does not hold.
    pub fn rounds(&self, scope: &Scope) -> Result<Vec<Round>, StepError> {
        let list = match self.for_each {
            None => {
                let once = Round {
                    name: self.name.clone(),
                    scope: scope.clone(),
                };
                return Ok(if self.applies(scope)? {
                    vec![once]
                } else {
                    Vec::new()
                });
            }
            Some(Each::Readings) => "readings",
            Some(Each::Captures) => "captures",
        };
        let items = scope.get(list).map(Json::items).unwrap_or_default();
        let mut rounds = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let scope = scope.with("item", item.clone());
            if self.applies(&scope)? {
                let name = format!("{}/{place}", self.name);
                rounds.push(Round { name, scope });
            }
        }
        Ok(rounds)
    }

    fn applies(&self, scope: &Scope) -> Result<bool, StepError> {
        match &self.when {
            None => Ok(true),
            Some(when) => Ok(when.holds_in(scope)?),
        }
    }

    /// What is frozen of a request: where it goes, and its body.
    pub fn render(
        &self,
        base: &Url,
        scope: &Scope,
        drop_null: bool,
    ) -> Result<Rendered, StepError> {
        let body = match &self.body {
            StepBody::None | StepBody::Capture => None,
            StepBody::Json(template) => Some(template.render(scope, drop_null)?.to_string()),
            StepBody::Text(text) => Some(text.render(scope)?),
        };
        Ok(Rendered {
            url: self.place(base, scope)?,
            body,
        })
    }

    /// The request to the destination with the URL `base`: what was frozen, and headers rendered
    /// anew. `bytes` is the body where the frozen one is not sent as it is: a picture,
    /// or a body with pictures.
    pub fn request(
        &self,
        base: &Url,
        rendered: &Rendered,
        bytes: Option<Vec<u8>>,
        scope: &Scope,
        secrets: Vec<Secret>,
    ) -> Result<StepRequest, StepError> {
        let url = self.url(base, &rendered.url)?;
        let mut headers = Vec::new();
        for (name, value) in &self.headers {
            let text = value.fill_header(scope)?;
            let is_secret = value.names().any(|name| root(&name) == "secrets");
            let header = Header::of_step(name.clone(), &text, is_secret);
            headers.push(header.map_err(|why| StepError::Header {
                step: self.name.clone(),
                name: name.to_string(),
                why,
            })?);
        }
        Ok(StepRequest {
            method: self.method,
            url,
            headers,
            content_type: self.content_type(scope),
            body: bytes.or_else(|| rendered.body.clone().map(String::into_bytes)),
            success: self.success.clone(),
            keeps: !self.take.is_empty(),
            secrets,
        })
    }

    fn content_type(&self, scope: &Scope) -> Option<String> {
        let own = match &self.body {
            StepBody::None => None,
            StepBody::Json(_) => Some("application/json"),
            StepBody::Text(_) => Some("text/plain; charset=utf-8"),
            StepBody::Capture => {
                let item = scope.get("item").and_then(|item| item.get("type"));
                let media_type = item.and_then(Json::as_str);
                Some(media_type.unwrap_or("application/octet-stream"))
            }
        };
        self.content_type.clone().or_else(|| own.map(str::to_owned))
    }

    /// Where it goes, as it is kept.
    fn place(&self, base: &Url, scope: &Scope) -> Result<String, StepError> {
        match &self.target {
            Target::Path(path) => {
                let path = path.fill_url(scope)?;
                let slash = if path.is_empty() || path.starts_with(['/', '?']) {
                    ""
                } else {
                    "/"
                };
                let place = format!("{slash}{path}");
                self.url(base, &place)?;
                Ok(place)
            }
            Target::Url { head, rest, .. } => {
                let head = head.as_ref().map(|head| head.render(scope)).transpose()?;
                if head.as_ref().is_some_and(|head| head.trim().is_empty()) {
                    return Err(StepError::NoUrl(self.name.clone()));
                }
                let text = format!("{}{}", head.unwrap_or_default(), rest.fill_url(scope)?);
                let url = base.join(&text);
                let url = url.map_err(|_| StepError::NoUrl(self.name.clone()))?;
                self.url(base, url.as_str()).map(Into::into)
            }
        }
    }

    /// The URL of what was kept, if it is one of the destination's.
    fn url(&self, base: &Url, place: &str) -> Result<Url, StepError> {
        let no_url = || StepError::NoUrl(self.name.clone());
        if place.is_empty() {
            return Ok(base.clone());
        }
        let url = if place.starts_with(['/', '?']) {
            let origin = base.origin().ascii_serialization();
            let path = behind(base.path(), place);
            Url::parse(&format!("{origin}{path}"))
        } else {
            Url::parse(place)
        };
        let url = url.map_err(|_| no_url())?;
        // What stands behind `#` would never be sent.
        if url.fragment().is_some() {
            return Err(no_url());
        }
        let is_ours =
            url.origin() == base.origin() && url.username().is_empty() && url.password().is_none();
        if !is_ours {
            return Err(StepError::Elsewhere {
                step: self.name.clone(),
                origin: url.origin().ascii_serialization(),
            });
        }
        Ok(url)
    }

    /// What it takes of an answer, as an object: what later steps see as `steps.NAME`. What is not
    /// there, or null, is left out.
    pub fn taken(&self, answered: &Answered) -> Json {
        let all = self.take.iter().filter_map(|(name, take)| {
            let taken = take.take(answered)?;
            Some((name.clone(), taken))
        });
        Json::Object(all.collect())
    }
}

/// A path behind that of the destination, with one slash between. A query alone follows as it is.
fn behind(base: &str, path: &str) -> String {
    let base = base.trim_end_matches('/');
    let rest = path.trim_start_matches('/');
    if path.starts_with('?') {
        format!("{base}{path}")
    } else {
        format!("{base}/{rest}")
    }
}

/// What of that which a fresh step took no later answer may show: every text, however deep.
pub fn secrets_of(taken: &Json) -> Vec<Secret> {
    match taken {
        Json::String(text) if text.len() >= TELLING => vec![Secret::new(text.clone())],
        Json::Array(items) => items.iter().flat_map(secrets_of).collect(),
        Json::Object(members) => members.iter().flat_map(|(_, of)| secrets_of(of)).collect(),
        _ => Vec::new(),
    }
}

/// The first part of a dotted name.
fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
