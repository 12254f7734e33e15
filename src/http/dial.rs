//! Connections that speak something else than HTTP: the same guard, certificates and time-outs.
//!
//! # Invariants
//! - They go straight: a proxy of HTTP knows nothing of what they speak.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{CONNECT, Client, ExchangeError, Guarded};

/// A connection, with TLS or without.
pub type Wire = Box<dyn ReadWrite>;

/// What can be read from and written to.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

impl Client {
    /// Connects to a host, unless its address is guarded.
    pub async fn dial(&self, host: &str, port: u16, with_tls: bool) -> Result<Wire, ExchangeError> {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let failed = |reason: String| ExchangeError::Connect {
            to: format!("{host}:{port}"),
            reason,
        };
        let most = self.timeout.min(CONNECT);
        let tcp = match timeout(most, self.connect(host, port)).await {
            Ok(Ok(tcp)) => tcp,
            Ok(Err(DialError::Guarded(guarded))) => return Err(guarded.into()),
            Ok(Err(DialError::Io(error))) => return Err(failed(error.to_string())),
            Err(_) => return Err(failed(format!("no connection within {} s", most.as_secs()))),
        };
        if !with_tls {
            return Ok(Box::new(tcp));
        }
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|error| failed(error.to_string()))?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        match timeout(most, connector.connect(name, tcp)).await {
            Ok(Ok(tls)) => Ok(Box::new(tls)),
            Ok(Err(error)) => Err(match self.seen.take_refused() {
                Some(certificate) => ExchangeError::Certificate(certificate),
                None => failed(error.to_string()),
            }),
            Err(_) => Err(failed(format!("no TLS within {} s", most.as_secs()))),
        }
    }

    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, DialError> {
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
        let addresses = match &self.guard {
            None => addresses,
            Some(guard) => guard.choose(host, addresses)?,
        };
        let tcp = TcpStream::connect(&*addresses).await?;
        // What is written waits for nothing more.
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }
}

#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error(transparent)]
    Guarded(#[from] Guarded),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
