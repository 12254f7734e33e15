//! The one place that builds HTTP clients: time-outs, TLS, and errors that hold no URL.
//!
//! # Invariants
//! - A client never follows a redirect, never uses a proxy, and has a deadline for every exchange.
//! - An error of this module never holds a URL, a header or a body: they may hold secrets.
//! - A certificate is checked unless [`Trust::Anything`] was asked for.

use std::error::Error as _;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};

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

/// What requests go through on their way.
#[derive(Clone)]
pub struct Proxy {
    /// Its URL, which may hold user and password.
    pub url: url::Url,
    /// Hosts that are reached without it, as `NO_PROXY` lists them.
    pub except: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What one kind of client needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose certificates it believes.
    pub trust: Trust,
    /// The certificate that it shows, if any.
    pub certificate: Option<ClientCertificate>,
    /// The deadline of one whole exchange.
    pub timeout: Duration,
}

/// A client, and what it last had to refuse.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
    refused: Refused,
}

type Refused = Arc<Mutex<Option<RefusedCertificate>>>;

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

/// A client that could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file of certificates cannot be used.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// A certificate or key does not fit.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] rustls::Error),
    /// The certificate authorities cannot be used.
    #[error("the certificate authorities cannot be used")]
    Authorities(#[from] rustls::client::VerifierBuilderError),
    /// The HTTP client refused its settings.
    #[error("the HTTP client cannot be built")]
    Client(#[source] reqwest::Error),
}

/// An exchange that gave no usable answer. The text names no URL.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ExchangeError {
    /// The whole exchange took longer than its deadline.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Timeout(Duration),
    /// The server's certificate did not verify.
    #[error("the certificate with SHA-256 {} does not verify ({})", .0.sha256, .0.reason)]
    Certificate(RefusedCertificate),
    /// Nobody answers there, or the name does not resolve.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// The connection broke, or what came was not HTTP.
    #[error("the exchange failed: {0}")]
    Exchange(String),
}

impl Client {
    /// Builds a client.
    pub fn build(config: &Config) -> Result<Self, BuildError> {
        let provider = Arc::new(ring::default_provider());
        let refused = Refused::default();
        let verifier: Arc<dyn ServerCertVerifier> = match &config.trust {
            Trust::Anything => Arc::new(AcceptAnything(Arc::clone(&provider))),
            Trust::Authorities(added) => {
                let mut roots = RootCertStore {
                    roots: webpki_roots::TLS_SERVER_ROOTS.into(),
                };
                for certificate in added {
                    roots.add(certificate.clone())?;
                }
                let inner = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                )
                .build()?;
                Arc::new(Remembering {
                    inner,
                    refused: Arc::clone(&refused),
                })
            }
        };
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let tls = match config.certificate.clone() {
            None => tls.with_no_client_auth(),
            Some(ClientCertificate { chain, key }) => tls.with_client_auth_cert(chain, key)?,
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the one place that builds clients"
        )]
        let inner = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(config.timeout)
            .connect_timeout(config.timeout.min(Duration::from_secs(10)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(BuildError::Client)?;
        Ok(Self { inner, refused })
    }

    /// Starts a request.
    pub fn request(&self, method: reqwest::Method, url: url::Url) -> reqwest::RequestBuilder {
        self.inner.request(method, url)
    }

    /// What went wrong, without the URL.
    pub fn explain(&self, error: reqwest::Error, timeout: Duration) -> ExchangeError {
        let error = error.without_url();
        if error.is_timeout() {
            return ExchangeError::Timeout(timeout);
        }
        let certificate = self
            .refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(certificate) = certificate
            && error.is_connect()
        {
            return ExchangeError::Certificate(certificate);
        }
        let mut text = String::new();
        let mut cause = error.source();
        while let Some(inner) = cause {
            let inner_text = inner.to_string();
            if !text.ends_with(&inner_text) {
                text = if text.is_empty() {
                    inner_text
                } else {
                    format!("{text}: {inner_text}")
                };
            }
            cause = inner.source();
        }
        // rustls names pages for its users, not for ours.
        if let Some((before, _)) = text.split_once(": https://docs.rs/") {
            text = before.to_owned();
        }
        if text.is_empty() {
            text = error.to_string();
        }
        if error.is_connect() {
            ExchangeError::Connect(text)
        } else {
            ExchangeError::Exchange(text)
        }
    }
}

/// Reads at most `limit` bytes of an answer's body; the flag says whether there was more.
pub async fn read_limited(
    answer: &mut reqwest::Response,
    limit: usize,
) -> Result<(Vec<u8>, bool), reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        let room = limit - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if chunk.len() > room {
            return Ok((body, true));
        }
    }
    Ok((body, false))
}

/// Whether only a mistake or an attack sends posts there: link-local and cloud-metadata addresses.
pub fn is_guarded(address: std::net::IpAddr) -> bool {
    match address.to_canonical() {
        std::net::IpAddr::V4(v4) => {
            v4.is_link_local() || matches!(v4.octets(), [100, 100, 100, 200] | [168, 63, 129, 16])
        }
        std::net::IpAddr::V6(v6) => {
            v6.is_unicast_link_local() || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
    }
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
