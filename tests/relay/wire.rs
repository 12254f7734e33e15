//! HTTP by hand, so that a test can send what no client library would.
//!
//! # Invariants
//! - Every exchange has a bound.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longer than any deadline of the relay that a test waits for.
const BOUND: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            (found == name).then(|| value.trim())
        })
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self {
            status,
            head: head.to_lowercase(),
            body: body.to_owned(),
        })
    }
}

/// The head of a request whose connection ends with the answer.
pub(crate) fn head(method: &str, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: relay\r\nconnection: close\r\n");
    for (name, value) in headers {
        write!(head, "{name}: {value}\r\n").expect("a String takes any text");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// A whole request.
pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let length = body.len().to_string();
    let mut all = headers.to_vec();
    all.push(("content-length", &length));
    let mut bytes = head(method, path, &all);
    bytes.extend_from_slice(body);
    bytes
}

/// Sends these bytes and reads until the connection ends; none when no answer came.
pub(crate) async fn try_send(to: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let stream = TcpStream::connect(to).await.ok()?;
    finish(stream, bytes).await
}

/// Sends these bytes and reads the answer.
pub(crate) async fn send(to: SocketAddr, bytes: &[u8]) -> Answer {
    try_send(to, bytes).await.expect("there is an answer")
}

/// Sends the rest of a request and reads the answer. A peer that answers before it has read all
/// breaks the writing off; its answer is read all the same.
pub(crate) async fn finish(stream: impl AsyncRead + AsyncWrite, bytes: &[u8]) -> Option<Answer> {
    let (mut read, mut write) = tokio::io::split(stream);
    let mut answer = Vec::new();
    let exchange = async {
        let (_, _) = tokio::join!(write.write_all(bytes), read.read_to_end(&mut answer));
    };
    tokio::time::timeout(BOUND, exchange).await.ok()?;
    Answer::parse(&answer)
}
