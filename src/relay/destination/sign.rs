//! How a body is signed.
//!
//! # Invariants
//! - What is signed are the bytes that are sent, or the URL that is asked.
//! - A secret is read at each signature, and stands in no error.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{EagerHash, Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use sha1::Sha1;
use sha2::Sha256;
use url::Url;

use crate::relay::verify::standard::{KeyError, webhook_key};
use crate::secret::{Secret, Source, SourceError};

/// How a body is signed.
#[derive(Clone, Debug)]
pub enum Sign {
    /// Standard Webhooks, with every secret that is live.
    StandardWebhooks(Vec<Source>),
    /// One header over the body.
    Hmac {
        /// The header.
        header: HeaderName,
        /// The hash.
        algorithm: Algorithm,
        /// How the code is written.
        encoding: Encoding,
        /// What stands before it, such as `sha256=`.
        prefix: String,
        /// The key.
        secret: Source,
    },
    /// As Fiix wants it: who asks and when stand in the URL, and the code is over the URL.
    Fiix {
        /// The application.
        app_key: String,
        /// Who uses it.
        access_key: String,
        /// The key.
        secret: Source,
    },
}

/// The hash of an HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-1, for receivers that know nothing better.
    Sha1,
}

/// How a code is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Hexadecimal digits, lower case.
    Hex,
    /// Base64 with padding.
    Base64,
}

/// Why a body cannot be signed. The secret itself is not kept.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignError {
    /// There is no secret now.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It is not what Standard Webhooks wants.
    #[error(transparent)]
    Secret(#[from] KeyError),
    /// No header can be made of it.
    #[error("the prefix has a character that cannot stand in an HTTP header")]
    Header,
}

impl Sign {
    /// Its secrets, as they are now.
    pub(super) fn secrets(&self) -> Result<Vec<Secret>, SourceError> {
        match self {
            Self::StandardWebhooks(sources) => sources.iter().map(Source::current).collect(),
            Self::Hmac { secret, .. } | Self::Fiix { secret, .. } => Ok(vec![secret.current()?]),
        }
    }

    /// Whether the URL is signed, so that a request without a body is too.
    pub(super) fn is_of_the_url(&self) -> bool {
        matches!(self, Self::Fiix { .. })
    }

    /// The headers that it sets.
    pub(super) fn names(&self) -> Vec<HeaderName> {
        match self {
            Self::StandardWebhooks(_) => ["webhook-timestamp", "webhook-signature"]
                .map(HeaderName::from_static)
                .into(),
            Self::Hmac { header, .. } => vec![header.clone()],
            Self::Fiix { .. } => vec![AUTHORIZATION],
        }
    }

    /// Writes into the URL what of the signature stands there.
    pub(super) fn address(&self, url: &mut Url, at: Timestamp) {
        if let Self::Fiix {
            app_key,
            access_key,
            ..
        } = self
        {
            url.query_pairs_mut()
                .append_pair("service", "cmms")
                .append_pair("timestamp", &at.as_millisecond().to_string())
                .append_pair("appKey", app_key)
                .append_pair("accessKey", access_key)
                .append_pair("signatureMethod", "HmacSHA256")
                .append_pair("signatureVersion", "1");
        }
    }

    /// The headers that sign this body, or this URL, with these secrets.
    pub(super) fn headers(
        &self,
        secrets: &[Secret],
        key: &str,
        at: Timestamp,
        url: &Url,
        body: &[u8],
    ) -> Result<Vec<(HeaderName, HeaderValue)>, SignError> {
        match self {
            Self::StandardWebhooks(_) => {
                let at = at.as_second().to_string();
                let signatures = secrets
                    .iter()
                    .map(|secret| {
                        let code = code::<Sha256>(
                            &webhook_key(secret)?,
                            &[key.as_bytes(), b".", at.as_bytes(), b".", body],
                        )?;
                        Ok(format!("v1,{}", STANDARD.encode(code)))
                    })
                    .collect::<Result<Vec<_>, SignError>>()?;
                Ok(vec![
                    (HeaderName::from_static("webhook-timestamp"), value(&at)?),
                    (
                        HeaderName::from_static("webhook-signature"),
                        value(&signatures.join(" "))?,
                    ),
                ])
            }
            Self::Hmac {
                header,
                algorithm,
                encoding,
                prefix,
                ..
            } => secrets
                .iter()
                .map(|secret| {
                    let secret = secret.expose().as_bytes();
                    let code = match algorithm {
                        Algorithm::Sha256 => code::<Sha256>(secret, &[body])?,
                        Algorithm::Sha1 => code::<Sha1>(secret, &[body])?,
                    };
                    let code = match encoding {
                        Encoding::Hex => hex::encode(code),
                        Encoding::Base64 => STANDARD.encode(code),
                    };
                    Ok((header.clone(), value(&format!("{prefix}{code}"))?))
                })
                .collect(),
            Self::Fiix { .. } => secrets
                .iter()
                .map(|secret| {
                    let url = url.as_str();
                    let url = url.split_once("://").map_or(url, |(_, rest)| rest);
                    let code = code::<Sha256>(secret.expose().as_bytes(), &[url.as_bytes()])?;
                    Ok((AUTHORIZATION, value(&hex::encode(code))?))
                })
                .collect(),
        }
    }
}

fn code<H: EagerHash>(key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>, SignError>
where
    Hmac<H>: KeyInit + Mac,
{
    let mut mac = <Hmac<H> as KeyInit>::new_from_slice(key).map_err(|_| KeyError::Form)?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

fn value(text: &str) -> Result<HeaderValue, SignError> {
    HeaderValue::try_from(text).map_err(|_| SignError::Header)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Source {
        Source::Given(Secret::new(text.to_owned()))
    }

    fn signed(sign: &Sign, key: &str, at: i64, body: &str) -> Vec<(String, String)> {
        let at = Timestamp::from_second(at).unwrap();
        let secrets = sign.secrets().unwrap();
        let mut url = "https://plant.macmms.com/api/".parse().unwrap();
        sign.address(&mut url, at);
        let headers = sign.headers(&secrets, key, at, &url, body.as_bytes());
        let headers = headers.unwrap();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect()
    }

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn standard_webhooks_signs_as_its_example_does() {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let sign = Sign::StandardWebhooks(vec![given(secret)]);
        let headers = signed(
            &sign,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(
            headers,
            [
                ("webhook-timestamp".to_owned(), "1614265330".to_owned()),
                ("webhook-signature".to_owned(), signature.to_owned()),
            ]
        );
    }

    #[test]
    fn every_live_secret_signs_and_a_space_parts_the_signatures() {
        let (old, new) = (
            &*format!("whsec_{}", STANDARD.encode([1; 24])),
            &*STANDARD.encode([2; 32]),
        );
        let one = |secret| {
            let sign = Sign::StandardWebhooks(vec![given(secret)]);
            signed(&sign, "k", 7, "{}").pop().unwrap().1
        };
        let sign = Sign::StandardWebhooks(vec![given(old), given(new)]);
        let both = signed(&sign, "k", 7, "{}").pop().unwrap().1;
        assert_eq!(both, format!("{} {}", one(old), one(new)));
        assert_ne!(one(old), one(new));
    }

    /// RFC 2202 and RFC 4231, second cases.
    #[test]
    fn a_plain_hmac_is_that_of_the_standards_in_either_writing() {
        let hmac = |algorithm, encoding, prefix: &str| {
            let sign = Sign::Hmac {
                header: HeaderName::from_static("x-servo-signature"),
                algorithm,
                encoding,
                prefix: prefix.to_owned(),
                secret: given("Jefe"),
            };
            let body = "what do ya want for nothing?";
            let (name, value) = signed(&sign, "k", 7, body).pop().unwrap();
            assert_eq!(name, "x-servo-signature");
            value
        };
        assert_eq!(
            hmac(Algorithm::Sha256, Encoding::Hex, "sha256="),
            "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hmac(Algorithm::Sha1, Encoding::Hex, ""),
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"
        );
        assert_eq!(
            hmac(Algorithm::Sha1, Encoding::Base64, "sha1="),
            "sha1=7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
    }

    /// The URL is written as in Fiix's guide; the code is what `openssl dgst -sha256 -hmac` gives.
    #[test]
    fn fiix_is_asked_with_who_and_when_in_the_url_and_the_url_is_signed_without_its_scheme() {
        let sign = Sign::Fiix {
            app_key: "macmmsackp3f".into(),
            access_key: "a&b".into(),
            secret: given("Jefe"),
        };
        let mut url: Url = "https://plant.macmms.com/api/".parse().unwrap();
        sign.address(
            &mut url,
            Timestamp::from_millisecond(1_394_817_690_123).unwrap(),
        );
        assert_eq!(
            url.as_str(),
            "https://plant.macmms.com/api/?service=cmms&timestamp=1394817690123\
             &appKey=macmmsackp3f&accessKey=a%26b&signatureMethod=HmacSHA256&signatureVersion=1"
        );
        let signature = signed(&sign, "k", 1_394_817_690, "ignored");
        let code = "525f219b5485aa9bd712636d654c0a317ad4b63cd5a25daf6cb32e09514a172f";
        assert_eq!(signature, [("authorization".to_owned(), code.to_owned())]);
        let later = signed(&sign, "k", 1_394_817_691, "ignored");
        assert_ne!(signature, later);
    }
}
