//! A forward proxy, as a plant has one: tunnels by `CONNECT`, and plain requests in absolute form.
//!
//! # Invariants
//! - It connects to loopback only.
//! - What is asked for is on record before anything is done about it.
//! - A connection carries one tunnel or one request, and is closed after it.
//!
//! # Not here
//! - TLS between client and proxy.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::Url;

use super::serve::{Server, StartError};

/// Targets beyond this number push out the oldest.
pub const KEPT_TARGETS: usize = 10_000;

const HEAD_BYTES: usize = 64 << 10;
/// For the head to come and the target to be connected to.
const OPEN_TIME: Duration = Duration::from_secs(30);
/// For a refused client to go.
const LEAVE_TIME: Duration = Duration::from_secs(2);

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    world: ProxyWorld,
}

impl Proxy {
    /// Listens; port 0 takes any that is free.
    pub async fn start(listen: SocketAddr) -> Result<Self, StartError> {
        let world = ProxyWorld::default();
        let handle = world.clone();
        let server = Server::listen(listen, move |client| handle.clone().carry(client)).await?;
        Ok(Self { server, world })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Its address as a URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The handle to read and edit it.
    pub fn world(&self) -> ProxyWorld {
        self.world.clone()
    }

    /// Closes every connection and frees the port.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

/// What came to the proxy, and how it behaves. All handles see the same one.
#[derive(Clone, Debug, Default)]
pub struct ProxyWorld(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    authorization: Option<String>,
    refusal: Option<u16>,
    connections: u64,
    targets: VecDeque<String>,
}

impl ProxyWorld {
    /// From now on the `Proxy-Authorization` header must be this; whoever shows another gets 407.
    pub fn require_authorization(&self, authorization: Option<String>) {
        self.state().authorization = authorization;
    }

    /// From now on everything is refused with this status.
    pub fn refuse(&self, status: Option<u16>) {
        self.state().refusal = status;
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> u64 {
        self.state().connections
    }

    /// The latest targets that were asked for, refused ones too, oldest first: `host:port` of a
    /// tunnel, the whole URL of a plain request.
    pub fn targets(&self) -> Vec<String> {
        self.state().targets.iter().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry(self, mut client: TcpStream) {
        self.state().connections += 1;
        let opened = timeout(OPEN_TIME, self.open(&mut client)).await;
        match opened.unwrap_or(Err(StatusCode::GATEWAY_TIMEOUT)) {
            Ok(mut server) => {
                // An error is a peer that broke off; both are let go then.
                drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
            }
            Err(status) => refuse(client, status).await,
        }
    }

    /// Reads what is asked for, and opens the way.
    async fn open(&self, client: &mut TcpStream) -> Result<TcpStream, StatusCode> {
        let (head, rest) = read_head(client).await?;
        let head = Head::parse(&head).ok_or(StatusCode::BAD_REQUEST)?;
        self.admit(&head)?;
        let failed = |_| StatusCode::BAD_GATEWAY;
        let server = if head.method == "CONNECT" {
            let (host, port) = head
                .target
                .rsplit_once(':')
                .ok_or(StatusCode::BAD_REQUEST)?;
            let port = port.parse().map_err(|_| StatusCode::BAD_REQUEST)?;
            let mut server = connect(host, port).await?;
            let established = b"HTTP/1.1 200 Connection Established\r\n\r\n";
            client.write_all(established).await.map_err(failed)?;
            server.write_all(&rest).await.map_err(failed)?;
            server
        } else {
            let url = Url::parse(head.target).map_err(|_| StatusCode::BAD_REQUEST)?;
            let (Some(host), Some(port), "http") =
                (url.host_str(), url.port_or_known_default(), url.scheme())
            else {
                return Err(StatusCode::BAD_REQUEST);
            };
            let mut server = connect(host, port).await?;
            let request = [head.in_origin_form(&url).into_bytes(), rest].concat();
            server.write_all(&request).await.map_err(failed)?;
            server
        };
        Ok(server)
    }

    fn admit(&self, head: &Head<'_>) -> Result<(), StatusCode> {
        let mut state = self.state();
        state.targets.push_back(head.target.to_owned());
        if state.targets.len() > KEPT_TARGETS {
            state.targets.pop_front();
        }
        if let Some(status) = state.refusal {
            return Err(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        }
        let shown = head.header("proxy-authorization");
        match state.authorization.as_deref() {
            Some(expected) if shown != Some(expected) => {
                Err(StatusCode::PROXY_AUTHENTICATION_REQUIRED)
            }
            _ => Ok(()),
        }
    }
}

/// The beginning of a request.
struct Head<'a> {
    method: &'a str,
    target: &'a str,
    headers: Vec<(&'a str, &'a str)>,
}

impl<'a> Head<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut request = lines.next()?.split(' ');
        let (method, target) = (request.next()?, request.next()?);
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name, value.trim()))
            .collect();
        Some(Self {
            method,
            target,
            headers,
        })
    }

    fn header(&self, wanted: &str) -> Option<&'a str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| *value)
    }

    /// As the server wants it, without what was for the proxy.
    fn in_origin_form(&self, url: &Url) -> String {
        let query = url.query().map(|query| format!("?{query}"));
        let (path, query) = (url.path(), query.unwrap_or_default());
        let for_proxy = |name: &str| {
            FOR_THE_PROXY
                .iter()
                .any(|own| name.eq_ignore_ascii_case(own))
        };
        let mut lines = vec![
            format!("{} {path}{query} HTTP/1.1", self.method),
            "Connection: close".to_owned(),
        ];
        let passed_on = self.headers.iter().filter(|(name, _)| !for_proxy(name));
        lines.extend(passed_on.map(|(name, value)| format!("{name}: {value}")));
        lines.join("\r\n") + "\r\n\r\n"
    }
}

const FOR_THE_PROXY: [&str; 4] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
];

/// The head as text, and what has come behind it.
async fn read_head(client: &mut TcpStream) -> Result<(String, Vec<u8>), StatusCode> {
    let mut read = Vec::new();
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let rest = read.split_off(end + 4);
            read.truncate(end);
            let head = String::from_utf8(read).map_err(|_| StatusCode::BAD_REQUEST)?;
            return Ok((head, rest));
        }
        if read.len() > HEAD_BYTES {
            return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        }
        match client.read_buf(&mut read).await {
            Ok(0) | Err(_) => return Err(StatusCode::BAD_REQUEST),
            Ok(_) => {}
        }
    }
}

/// A name under `.invalid`, which no resolver knows, stands for this machine: so it shows whether
/// a client leaves names to the proxy.
async fn connect(host: &str, port: u16) -> Result<TcpStream, StatusCode> {
    let ip = if host == "localhost" || host.ends_with(".invalid") {
        IpAddr::from([127, 0, 0, 1])
    } else {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host.parse().map_err(|_| StatusCode::FORBIDDEN)?
    };
    if !ip.is_loopback() {
        return Err(StatusCode::FORBIDDEN);
    }
    let failed = |_| StatusCode::BAD_GATEWAY;
    let server = TcpStream::connect((ip, port)).await.map_err(failed)?;
    server.set_nodelay(true).map_err(failed)?;
    Ok(server)
}

async fn refuse(mut client: TcpStream, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or("Refused");
    let challenge = if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        "Proxy-Authenticate: Basic realm=\"simulated proxy\"\r\n"
    } else {
        ""
    };
    let code = status.as_u16();
    let answer = format!(
        "HTTP/1.1 {code} {reason}\r\n{challenge}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let leaving = async {
        client.write_all(answer.as_bytes()).await?;
        client.shutdown().await?;
        // A socket that is closed with something unread takes the answer with it.
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await
    };
    // A client that is gone already needs no answer.
    drop(timeout(LEAVE_TIME, leaving).await);
}
