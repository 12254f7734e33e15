//! HTTP as the load generators speak it: to a loopback address, on connections that stay open, and
//! no more is read of an answer than is needed.
//!
//! # Invariants
//! - Nothing but a loopback address is contacted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context as _, bail, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::{Host, Url};

/// An answer that is longer than this is not one to an event.
const ANSWER_LIMIT: usize = 64 * 1024;

/// Where the events go.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
}

impl Target {
    /// Takes `http` to a loopback address, and nothing else.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let url = Url::parse(url).with_context(|| format!("--url {url}"))?;
        ensure!(url.scheme() == "http", "--url: only http is spoken here");
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip),
            Some(Host::Domain("localhost")) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => bail!("--url: only a loopback address is loaded"),
        };
        ensure!(
            ip.is_loopback(),
            "--url: only a loopback address is loaded, {ip} is none"
        );
        let port = url.port_or_known_default().context("--url has no port")?;
        Ok(Self {
            address: SocketAddr::new(ip, port),
            path: url.path().to_owned(),
        })
    }
}

/// Sends one request and reads its answer; opens the connection where there is none.
pub(crate) async fn exchange(
    connection: &mut Option<TcpStream>,
    address: SocketAddr,
    request: &[u8],
    answer: &mut Vec<u8>,
) -> anyhow::Result<u16> {
    let stream = if let Some(stream) = connection {
        stream
    } else {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        connection.insert(stream)
    };
    stream.write_all(request).await.context("send")?;
    answer.clear();
    loop {
        let read = stream.read_buf(answer).await.context("receive")?;
        ensure!(read > 0, "the connection ended before the answer did");
        if let Some(head) = Head::parse(answer)?
            && answer.len() >= head.answer_bytes
        {
            if head.closes {
                *connection = None;
            }
            return Ok(head.status);
        }
        ensure!(answer.len() < ANSWER_LIMIT, "the answer is too long");
    }
}

/// What is read of an answer.
struct Head {
    status: u16,
    /// Head and body together.
    answer_bytes: usize,
    closes: bool,
}

impl Head {
    /// `None` while the head is not complete.
    fn parse(answer: &[u8]) -> anyhow::Result<Option<Self>> {
        let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = std::str::from_utf8(answer.get(..end).unwrap_or_default())?;
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok())
            .context("the answer has no HTTP/1.1 status line")?;
        let (mut body_bytes, mut closes) = (None, false);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            if name.eq_ignore_ascii_case("content-length") {
                body_bytes = Some(value.trim().parse::<usize>()?);
            } else if name.eq_ignore_ascii_case("connection") {
                closes = value.trim().eq_ignore_ascii_case("close");
            }
        }
        let body_bytes = body_bytes.context("the answer has no content-length")?;
        Ok(Some(Self {
            status,
            answer_bytes: end.saturating_add(4).saturating_add(body_bytes),
            closes,
        }))
    }
}

/// The value below which `percent` of the sorted values lie: 0 when there are none.
pub(crate) fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}
