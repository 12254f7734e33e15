//! What is sent: the request of a try, and all that is added to it.
//!
//! # Invariants
//! - The relay's own headers are set last: nothing that is configured takes their place.
//! - A step goes to the destination's origin or nowhere, so that credentials go nowhere else.
//! - GET carries no idempotency key, no webhook id and no signature of a body: it has none.

use reqwest::Method;
use reqwest::header::{
    ACCEPT, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue,
    USER_AGENT,
};

use super::auth::AuthError;
use super::blot::Secrets;
use super::cookies::Cookies;
use super::exchange::Attempt;
use super::keys::Keys;
use super::outcome::Outcome;
use super::request::{Request, Sent, StepRequest, What};
use super::{AGENT, Config, Header, Shared, SignError, Success};
use crate::relay::transform::expression::Expression;
use crate::secret::Secret;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Why a request cannot be put together.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    #[error("the credentials cannot be sent: {0}")]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("the key cannot stand in a header")]
    Key(#[from] InvalidHeaderValue),
    #[error("the body cannot be sent twice")]
    Body,
}

/// Why a request is never sent. Nothing of the URL is kept but its origin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NeverSent {
    #[error(
        "the step goes to {0}, which is not where the destination is: its credentials would go \
         there too; correct the `url` of the step, or make it a destination of its own"
    )]
    Origin(String),
    #[error("the URL of the step holds a user or a password: give them as `auth`")]
    User,
    #[error("the content type of the step cannot stand in a header")]
    ContentType,
    #[error("a destination at an http:// or https:// URL takes requests, and no MQTT message")]
    Message,
    #[error("a destination at an mqtt:// or mqtts:// URL takes messages, and no HTTP requests")]
    Request,
}

impl From<NeverSent> for Outcome {
    fn from(why: NeverSent) -> Self {
        Self::Dead {
            reason: why.to_string(),
        }
    }
}

/// What a try is for.
pub(super) enum Purpose<'a> {
    /// To bring an event, or to do a step of that.
    Deliver(Delivery<'a>),
    /// To learn whether this holds of the answer.
    Ask(&'a Expression),
    /// To learn whether it answers at all.
    Look,
}

/// What is added to a request that brings something, and what is wanted of its answer.
pub(super) struct Delivery<'a> {
    key: String,
    /// Which try it is.
    number: u32,
    content_type: Option<HeaderValue>,
    accept: Option<HeaderValue>,
    headers: &'a [Header],
    secrets: &'a [Secret],
    pub(super) cookies: Cookies,
    pub(super) success: &'a Success,
    /// Whether the answer is wanted as it came.
    pub(super) keeps: bool,
}

impl Delivery<'_> {
    /// Adds what of the request no answer may show.
    pub(super) fn hide(&self, secrets: &mut Secrets) {
        for secret in self.secrets {
            secrets.add(secret.expose());
        }
        for Header { value, .. } in self.headers {
            if value.is_sensitive()
                && let Ok(value) = value.to_str()
            {
                secrets.add_if_telling(value);
            }
        }
    }
}

impl Shared {
    pub(super) async fn send(&self, request: Request) -> Sent {
        let Request {
            key,
            attempt,
            at,
            what,
            cookies,
        } = request;
        let mut delivery = Delivery {
            key,
            number: attempt,
            content_type: Some(JSON),
            accept: None,
            headers: &[],
            secrets: &[],
            cookies,
            success: &self.config.success,
            keeps: false,
        };
        if let Some(broker) = &self.broker {
            return match what {
                What::Message(message) => broker.send(self, message, at).await,
                _ => Sent::unanswered(NeverSent::Request.into()),
            };
        }
        let mut post = reqwest::Request::new(Method::POST, self.config.url.clone());
        let step;
        match what {
            What::Event(body) => *post.body_mut() = Some(body.into()),
            What::Attached(parts) => {
                // Made by us, of a key and of plain characters.
                delivery.content_type = HeaderValue::try_from(parts.content_type).ok();
                *post.body_mut() = Some(parts.bytes.into());
            }
            What::Step(mut given) => {
                let body = given.body.take();
                step = given;
                post = match of_step(&self.config, &step, &mut delivery) {
                    Ok(request) => request,
                    Err(why) => return Sent::unanswered(why.into()),
                };
                *post.body_mut() = body.map(Into::into);
            }
            What::Message(_) => return Sent::unanswered(NeverSent::Message.into()),
        }
        let purpose = Purpose::Deliver(delivery);
        self.attempt(purpose, post, at).run().await.sent
    }
}

/// The request of a step without its body, whose rest goes into `delivery`.
fn of_step<'a>(
    config: &Config,
    step: &'a StepRequest,
    delivery: &mut Delivery<'a>,
) -> Result<reqwest::Request, NeverSent> {
    let origin = step.url.origin();
    if origin != config.url.origin() {
        return Err(NeverSent::Origin(origin.ascii_serialization()));
    }
    if !step.url.username().is_empty() || step.url.password().is_some() {
        return Err(NeverSent::User);
    }
    let content_type = step.content_type.as_deref().map(HeaderValue::try_from);
    delivery.content_type = content_type
        .transpose()
        .map_err(|_| NeverSent::ContentType)?;
    delivery.accept = Some(JSON);
    delivery.headers = &step.headers;
    delivery.secrets = &step.secrets;
    delivery.keeps = step.keeps;
    if let Some(success) = &step.success {
        delivery.success = success;
    }
    Ok(reqwest::Request::new(step.method.into(), step.url.clone()))
}

impl Attempt<'_> {
    /// The request with all that is added to it.
    pub(super) fn compose(
        &self,
        keys: &Keys,
        shown: Option<&Secret>,
    ) -> Result<reqwest::Request, ComposeError> {
        let config = &self.shared.config;
        // The body is shared, not copied.
        let mut request = self.request.try_clone().ok_or(ComposeError::Body)?;
        if let Some(sign) = &config.sign {
            sign.address(request.url_mut(), self.deadline.wall());
        }
        let signature = self.signature(&request, keys)?;
        let credentials = match shown {
            Some(shown) => config.auth.header(shown.expose())?,
            None => None,
        };
        let gets = request.method() == Method::GET;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        match &self.purpose {
            Purpose::Deliver(delivery) => {
                delivery.describe(config, headers);
                headers.extend(credentials.filter(|(name, _)| !delivery.has(name)));
                if !gets {
                    delivery.name(headers)?;
                }
            }
            Purpose::Ask(_) | Purpose::Look => {
                headers.insert(ACCEPT, JSON);
                own_of_destination(config, headers);
                headers.extend(credentials);
            }
        }
        headers.extend(signature);
        Ok(request)
    }

    fn signature(
        &self,
        request: &reqwest::Request,
        keys: &Keys,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
        let Some(sign) = &self.shared.config.sign else {
            return Ok(Vec::new());
        };
        let brings = match &self.purpose {
            Purpose::Deliver(delivery) if request.method() != Method::GET => Some(delivery),
            _ => None,
        };
        if brings.is_none() && !sign.is_of_the_url() {
            return Ok(Vec::new());
        }
        let body = request.body().and_then(reqwest::Body::as_bytes);
        sign.headers(
            &keys.signing,
            brings.map_or("", |delivery| &delivery.key),
            self.deadline.wall(),
            request.url(),
            body.unwrap_or_default(),
        )
    }
}

impl Delivery<'_> {
    fn has(&self, name: &HeaderName) -> bool {
        self.headers.iter().any(|header| header.name == name)
    }

    /// What the destination and the step say of the request.
    fn describe(&self, config: &Config, headers: &mut HeaderMap) {
        headers.extend(self.accept.clone().map(|kind| (ACCEPT, kind)));
        headers.extend(self.content_type.clone().map(|kind| (CONTENT_TYPE, kind)));
        own_of_destination(config, headers);
        if let Some(cookies) = self.cookies.header() {
            headers.insert(COOKIE, cookies);
        }
        for Header { name, value } in self.headers {
            headers.insert(name, value.clone());
        }
    }

    /// What the receiver knows it by.
    fn name(&self, headers: &mut HeaderMap) -> Result<(), InvalidHeaderValue> {
        let key = HeaderValue::try_from(&self.key)?;
        headers.insert(HeaderName::from_static("idempotency-key"), key.clone());
        headers.insert(HeaderName::from_static("webhook-id"), key);
        headers.insert(HeaderName::from_static("relay-attempt"), self.number.into());
        Ok(())
    }
}

fn own_of_destination(config: &Config, headers: &mut HeaderMap) {
    for Header { name, value } in &config.headers {
        headers.insert(name, value.clone());
    }
}
