//! The certificate that a listener shows, read again when its files change.
//!
//! # Invariants
//! - While what stands in the files cannot be used, the certificate of before is shown; a key that
//!   does not belong to the certificate, as half-way through a renewal, is such a case.
//! - A new certificate comes with new sessions: nobody goes on with one of the old certificate.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{InconsistentKeys, ServerConfig};

use super::{PemError, read_certificates, read_key};
use crate::http::FromFiles;

/// Where a listener's certificate stands.
#[derive(Clone, Debug)]
pub struct ServerFiles {
    /// The chain, the listener's own certificate first; and the key, where that has no own file.
    pub certificate: PathBuf,
    /// The file of the key.
    pub key: Option<PathBuf>,
}

impl ServerFiles {
    /// Reads them, if they can be used.
    pub fn read(&self) -> Result<Arc<ServerConfig>, PemError> {
        let chain = read_certificates(&self.certificate)?;
        let key_path = self.key.as_ref().unwrap_or(&self.certificate);
        let key = read_key(key_path)?;
        let unusable = |error| {
            let why = match error {
                rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                    "they do not belong together".to_owned()
                }
                error => error.to_string(),
            };
            let certificate = self.certificate.display();
            PemError::new(
                key_path,
                format!("the key cannot be used with the certificate in {certificate}: {why}"),
            )
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// What turns a listener's connections into ones with TLS.
#[derive(Debug)]
pub struct ServerTls {
    files: ServerFiles,
    read: FromFiles<Arc<ServerConfig>>,
}

impl ServerTls {
    /// Reads the files for the first time.
    pub fn build(files: ServerFiles) -> Result<Self, PemError> {
        let paths = [Some(&files.certificate), files.key.as_ref()];
        let paths = paths.into_iter().flatten().cloned().collect();
        let read = FromFiles::make(paths, || files.read())?;
        Ok(Self { files, read })
    }

    /// What a new connection is to be greeted with.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.read.current()
    }

    /// Looks whether the files have changed; says what became of it if they have.
    pub fn look(&self) -> Option<Result<(), PemError>> {
        self.read.look(|| self.files.read())
    }
}
