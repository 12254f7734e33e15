//! What a client makes of the certificate that it is shown: whom it believes, and what it remembers.
//!
//! # Invariants
//! - A certificate is checked unless [`Trust::Anything`] was asked for.
//! - Whoever is believed, the handshake's signature is checked: a certificate alone, without its
//!   key, opens nothing.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use crate::http::BuildError;

/// Whose certificates a client believes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The public authorities that are compiled in, and these added ones.
    Authorities(Vec<CertificateDer<'static>>),
    /// The certificates with these SHA-256 hashes, whatever their names, their expiry and who
    /// signed them; and no other.
    Pinned(Vec<[u8; 32]>),
    /// Anyone: the user said `--verify false`.
    Anything,
}

/// A server's certificate that did not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// SHA-256 of the certificate, in hex.
    pub sha256: String,
    /// Why it was refused.
    pub reason: String,
    /// Whether only pinned certificates are believed.
    pub pinned: bool,
}

/// What a client remembers of the certificates that it was shown, for whoever names them.
#[derive(Clone, Debug, Default)]
pub(in crate::http) struct Seen(Arc<Mutex<Last>>);

#[derive(Debug, Default)]
struct Last {
    shown: Option<String>,
    refused: Option<RefusedCertificate>,
}

impl Seen {
    /// SHA-256 of the last certificate, believed or not.
    pub(in crate::http) fn shown(&self) -> Option<String> {
        self.last().shown.clone()
    }

    /// What was last refused, once.
    pub(in crate::http) fn take_refused(&self) -> Option<RefusedCertificate> {
        self.last().refused.take()
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Judges a server's certificate by [`Trust`], and remembers it.
#[derive(Debug)]
pub(super) struct Verifier {
    judge: Judge,
    provider: Arc<CryptoProvider>,
    seen: Seen,
}

#[derive(Debug)]
enum Judge {
    Authorities(Arc<WebPkiServerVerifier>),
    Pinned(Vec<[u8; 32]>),
    Anything,
}

impl Verifier {
    pub(super) fn new(
        trust: &Trust,
        provider: Arc<CryptoProvider>,
        seen: Seen,
    ) -> Result<Self, BuildError> {
        let judge = match trust {
            Trust::Anything => Judge::Anything,
            Trust::Pinned(pins) => Judge::Pinned(pins.clone()),
            Trust::Authorities(added) => {
                let mut roots = RootCertStore {
                    roots: webpki_roots::TLS_SERVER_ROOTS.into(),
                };
                for certificate in added {
                    roots.add(certificate.clone())?;
                }
                let verifier = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                Judge::Authorities(verifier.build()?)
            }
        };
        Ok(Self {
            judge,
            provider,
            seen,
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let sha256: [u8; 32] = Sha256::digest(end_entity).into();
        let judged = match &self.judge {
            Judge::Authorities(verifier) => verifier
                .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                .map_err(|error| (error.to_string(), error)),
            Judge::Pinned(pins) if !pins.contains(&sha256) => Err((
                "it is not the one that is pinned".to_owned(),
                CertificateError::ApplicationVerificationFailure.into(),
            )),
            Judge::Pinned(_) | Judge::Anything => Ok(ServerCertVerified::assertion()),
        };
        let sha256 = hex::encode(sha256);
        let mut last = self.seen.last();
        last.shown = Some(sha256.clone());
        judged.map_err(|(reason, error)| {
            last.refused = Some(RefusedCertificate {
                sha256,
                reason,
                pinned: matches!(self.judge, Judge::Pinned(_)),
            });
            error
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
