//! Why a request is refused, whatever its scheme.
//!
//! # Invariants
//! - A word for each, which metrics and sums count by; it never changes.
//! - What explains one holds nothing of the request and no secret.

use std::time::Duration;

/// Why a request is refused. The sender is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no signature.
    NoSignature,
    /// There are several, or several of another header that there may be one of.
    SeveralSignatures,
    /// It, or another header that it needs, does not have the form of the scheme.
    Malformed,
    /// The scheme signs a time, and there is none.
    NoTimestamp,
    /// The code does not match.
    WrongSignature,
    /// The static secret is another one.
    WrongToken,
    /// The code matches, and does not cover the body.
    BodyUnsigned,
    /// The code matches, and the digest that it covers is that of another body.
    WrongDigest,
    /// The code matches, but the message is older than the window by this much.
    TooOld(Duration),
    /// The code matches, but the message is from later than the window by this much.
    FromTheFuture(Duration),
}

impl Refusal {
    /// The word in metrics and sums.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSignature => "no_signature",
            Self::SeveralSignatures => "several_signatures",
            Self::Malformed => "malformed_signature",
            Self::NoTimestamp => "no_timestamp",
            Self::WrongSignature => "wrong_signature",
            Self::WrongToken => "wrong_token",
            Self::BodyUnsigned => "body_unsigned",
            Self::WrongDigest => "wrong_digest",
            Self::TooOld(_) => "too_old",
            Self::FromTheFuture(_) => "from_the_future",
        }
    }

    /// What it means and what to look at, for the person who has the request at hand.
    pub fn explain(&self) -> String {
        match self {
            Self::NoSignature => "there is no signature: the header is missing or empty, so \
                somebody else sent this, the sender has no secret yet, or a proxy took it away"
                .into(),
            Self::SeveralSignatures => "a header is there several times, and only one can be \
                meant: somebody else sent this, or a proxy doubles it"
                .into(),
            Self::Malformed => "a header does not have the form of this scheme: another scheme \
                signs this, or a proxy or a copy cut it short"
                .into(),
            Self::NoTimestamp => "the header with the time is missing or empty, and it is part of \
                what is signed: somebody else sent this, or a proxy took it away"
                .into(),
            Self::WrongSignature => "the code does not match: it was made with another secret, or \
                the body or a signed header was changed on the way, be it by white space"
                .into(),
            Self::WrongToken => "the credential is another one than the secret: compare it with \
                what the sender is told"
                .into(),
            Self::BodyUnsigned => {
                "the code matches but does not cover the body, which anybody may \
                have changed: have the sender sign a digest header too, or take that with \
                body_unsigned = \"accept\""
                    .into()
            }
            Self::WrongDigest => "the code matches and covers a digest of another body: the body \
                was changed on the way, or its digest is of a kind that is not known"
                .into(),
            Self::TooOld(age) => format!(
                "the code matches, but it was signed {} s ago: sent again, long on its way, or a \
                 clock is wrong; max_age says how old it may be",
                age.as_secs()
            ),
            Self::FromTheFuture(ahead) => format!(
                "the code matches, but it was signed {} s ahead of now: a clock is wrong, here or \
                 at the sender",
                ahead.as_secs()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_refusal_has_its_own_word_and_its_own_explanation() {
        let off = Duration::from_secs(301);
        let all = [
            Refusal::NoSignature,
            Refusal::SeveralSignatures,
            Refusal::Malformed,
            Refusal::NoTimestamp,
            Refusal::WrongSignature,
            Refusal::WrongToken,
            Refusal::BodyUnsigned,
            Refusal::WrongDigest,
            Refusal::TooOld(off),
            Refusal::FromTheFuture(off),
        ];
        let words: BTreeSet<_> = all.iter().map(|refusal| refusal.as_str()).collect();
        let explained: BTreeSet<_> = all.iter().map(Refusal::explain).collect();
        assert_eq!((words.len(), explained.len()), (all.len(), all.len()));
        for text in explained {
            assert!(text.len() > 60 && !text.contains("  "), "{text}");
        }
        assert!(Refusal::TooOld(off).explain().contains("301 s ago"));
    }
}
