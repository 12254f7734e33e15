//! Whose certificate a client believes, which one it shows, and the files that hold them.
//!
//! # Invariants
//! - A certificate is checked unless [`Trust::Anything`] was asked for.
//! - An error names the file, and nothing that stands in it.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

use super::BuildError;

/// Whose certificates a client believes.
#[derive(Clone, Debug)]
pub enum Trust {
    /// The public authorities that are compiled in, and these added ones.
    Authorities(Vec<CertificateDer<'static>>),
    /// Anyone: the user said `--verify false`.
    Anything,
}

/// The certificate that a client shows of itself.
#[derive(Debug)]
pub struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Clone for ClientCertificate {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
        }
    }
}

/// A server's certificate that did not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCertificate {
    /// SHA-256 of the certificate, in hex.
    pub sha256: String,
    /// Why it was refused.
    pub reason: String,
}

/// A PEM file that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct PemError {
    path: String,
    reason: String,
}

/// What a client last refused.
pub(super) type Refused = Arc<Mutex<Option<RefusedCertificate>>>;

/// The settings of a client; what it refuses is put into `refused`.
pub(super) fn config(
    trust: &Trust,
    certificate: Option<ClientCertificate>,
    refused: &Refused,
) -> Result<ClientConfig, BuildError> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anything => Arc::new(AcceptAnything(Arc::clone(&provider))),
        Trust::Authorities(added) => {
            let mut roots = RootCertStore {
                roots: webpki_roots::TLS_SERVER_ROOTS.into(),
            };
            for certificate in added {
                roots.add(certificate.clone())?;
            }
            let inner =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                    .build()?;
            Arc::new(Remembering {
                inner,
                refused: Arc::clone(refused),
            })
        }
    };
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(match certificate {
        None => tls.with_no_client_auth(),
        Some(ClientCertificate { chain, key }) => tls.with_client_auth_cert(chain, key)?,
    })
}

/// Reads the certificates of a CA bundle.
pub fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let fail = |reason: String| PemError {
        path: path.display().to_string(),
        reason,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| fail(e.to_string()))?;
    if certificates.is_empty() {
        return Err(fail("holds no certificate in PEM form".into()));
    }
    Ok(certificates)
}

/// Reads a client certificate with its key: two files, or one that holds both.
pub fn read_client_certificate(
    certificate: &Path,
    key: Option<&Path>,
) -> Result<ClientCertificate, PemError> {
    let chain = read_authorities(certificate)?;
    let key_path = key.unwrap_or(certificate);
    let key = PrivateKeyDer::from_pem_file(key_path).map_err(|e| PemError {
        path: key_path.display().to_string(),
        reason: format!("no unencrypted private key in PEM form: {e}"),
    })?;
    Ok(ClientCertificate { chain, key })
}

/// Checks as usual, and remembers what it refused so that the log can name it.
#[derive(Debug)]
struct Remembering {
    inner: Arc<WebPkiServerVerifier>,
    refused: Refused,
}

impl ServerCertVerifier for Remembering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let checked = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        if let Err(reason) = &checked {
            let refused = RefusedCertificate {
                sha256: hex::encode(Sha256::digest(end_entity)),
                reason: reason.to_string(),
            };
            *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
        }
        checked
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Believes any certificate; the handshake itself is still checked.
#[derive(Debug)]
struct AcceptAnything(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
