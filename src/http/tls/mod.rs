//! Certificates: whose a client believes, which one a client or a listener shows, and the files
//! that hold them.
//!
//! ```text
//! mod     the settings of a client, and PEM files
//! trust   what a client makes of the certificate that it is shown
//! server  the certificate of a listener, read again when its files change
//! ```
//!
//! # Invariants
//! - An error names the file, and nothing that stands in it.

mod server;
mod trust;

use std::path::Path;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub use self::server::{ServerFiles, ServerTls};
pub(super) use self::trust::Seen;
use self::trust::Verifier;
pub use self::trust::{RefusedCertificate, Trust};
use super::BuildError;

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

/// A PEM file that could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct PemError {
    path: String,
    reason: String,
}

/// The settings of a client; what it is shown is put into `seen`.
pub(super) fn config(
    trust: &Trust,
    certificate: Option<ClientCertificate>,
    seen: &Seen,
) -> Result<ClientConfig, BuildError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(trust, Arc::clone(&provider), seen.clone())?;
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(match certificate {
        None => tls.with_no_client_auth(),
        Some(ClientCertificate { chain, key }) => tls.with_client_auth_cert(chain, key)?,
    })
}

/// Reads the certificates of a file: those of authorities, or a chain.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| PemError::new(path, e.to_string()))?;
    if certificates.is_empty() {
        return Err(PemError::new(path, "holds no certificate in PEM form"));
    }
    Ok(certificates)
}

/// Reads a client certificate with its key: two files, or one that holds both.
pub fn read_client_certificate(
    certificate: &Path,
    key: Option<&Path>,
) -> Result<ClientCertificate, PemError> {
    let chain = read_certificates(certificate)?;
    let key = read_key(key.unwrap_or(certificate))?;
    Ok(ClientCertificate { chain, key })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|e| PemError::new(path, format!("no unencrypted private key in PEM form: {e}")))
}

impl PemError {
    fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.display().to_string(),
            reason: reason.into(),
        }
    }
}
