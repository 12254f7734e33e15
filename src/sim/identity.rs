//! Certificates made on the spot: one that signs itself, or an authority and what it signs.
//!
//! # Invariants
//! - All are new at each start, and a server's is for this machine's loopback names.
//! - A server that demands certificates of its clients believes one authority, and no other.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use tokio_rustls::TlsAcceptor;

/// Why a server has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// It could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// It was made but cannot be used.
    #[error("cannot use the certificate that was made")]
    Use(#[from] rustls::Error),
    /// Certificates of clients cannot be checked against the authority.
    #[error("cannot check the certificates of clients")]
    Clients(#[from] VerifierBuilderError),
}

/// What a client shows of itself to a server that demands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Its certificate, in PEM form.
    pub certificate_pem: String,
    /// Its private key, in PEM form.
    pub key_pem: String,
}

/// An authority that nobody knows but those who are told.
#[derive(Debug)]
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes a new one.
    pub(crate) fn new(name: &str) -> Result<Self, CertificateError> {
        let mut params = named(name, [])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    /// Its certificate, for whoever wants to trust it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's certificate, signed by this authority.
    pub(crate) fn server(&self, name: &str) -> Result<Identity, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = named(name, LOOPBACK)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity::new(&certificate, &key))
    }

    /// A client's certificate, signed by this authority.
    pub(crate) fn client(&self, name: &str) -> Result<ClientIdentity, CertificateError> {
        let key = KeyPair::generate()?;
        let mut params = named(name, [])?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(ClientIdentity {
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        })
    }
}

/// A server's certificate and its key.
#[derive(Debug)]
pub(crate) struct Identity {
    pem: String,
    der: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    clients_of: Option<CertificateDer<'static>>,
}

impl Identity {
    /// Makes a new one, signed by itself.
    pub(crate) fn self_signed(name: &str) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let certificate = named(name, LOOPBACK)?.self_signed(&key)?;
        Ok(Self::new(&certificate, &key))
    }

    fn new(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            clients_of: None,
        }
    }

    /// Whoever shows no certificate of this authority's is refused.
    pub(crate) fn demanding_clients_of(mut self, authority: &Authority) -> Self {
        self.clients_of = Some(authority.0.der().clone());
        self
    }

    /// The certificate, for whoever wants to trust it.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the certificate, in hex.
    pub(crate) fn sha256(&self) -> String {
        hex::encode(Sha256::digest(&self.der))
    }

    /// What turns a connection into one with TLS.
    pub(crate) fn acceptor(&self) -> Result<TlsAcceptor, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let config = match &self.clients_of {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone())?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build()?)
            }
        };
        let config = config.with_single_cert(vec![self.der.clone()], self.key.clone_key())?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

fn named<const N: usize>(
    name: &str,
    alternatives: [&str; N],
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(alternatives.map(str::to_owned))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Python's strict check wants it.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}
