//! `health`: whether the relay on this machine is well, for whoever starts containers.
//!
//! # Invariants
//! - Only what says where to ask is read, and nothing else that is wrong with the configuration is
//!   heard of.
//! - It ends within [`PATIENCE`]. Exit 0 while events can be accepted.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{FAILED, Outcome, print};
use crate::config::Config;

const PATIENCE: Duration = Duration::from_secs(5);
/// The answer is not read beyond this: a relay with hundreds of destinations fits.
const MOST: u64 = 1024 * 1024;

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let (mut input, _) = super::as_far_as_readable(matches);
    input.read_for("ops-bind");
    let at = reachable(Config::ops_bind(&input).map_err(anyhow::Error::msg)?);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask(at)).await });
    let answer = answer.unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        Err(format!(
            "the relay did not answer at http://{at}/readyz within {seconds} s"
        ))
    });
    let health = answer.and_then(|answer| {
        read(&answer).ok_or_else(|| {
            format!("what answers at http://{at}/readyz is no orbit-relay; see --ops-bind")
        })
    });
    match health {
        Ok((health, is_ready)) => {
            if matches.get_flag("json") {
                print(&health.to_string())?;
            } else {
                for line in lines(&health) {
                    print(&line)?;
                }
            }
            Ok(if is_ready {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(FAILED)
            })
        }
        Err(why) => Err(anyhow::Error::msg(why)),
    }
}

/// Where a relay that listens there is reached from its own machine.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// One plain question. The client of `http` would read certificates for it every 30 s.
async fn ask(at: SocketAddr) -> Result<Vec<u8>, String> {
    let asked = async {
        let mut stream = TcpStream::connect(at).await?;
        let request = format!("GET /readyz HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(MOST).read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    asked
        .await
        .map_err(|error| format!("the relay does not answer at http://{at}/readyz: {error}"))
}

/// The parts in the answer, and whether events can be accepted.
fn read(answer: &[u8]) -> Option<(Value, bool)> {
    let answer = str::from_utf8(answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.lines().next()?.split(' ').nth(1)?;
    let health: Value = serde_json::from_str(body).ok()?;
    let is_ready = match (status, health.get("status")?.as_str()?) {
        ("200", "ready" | "degraded") => true,
        ("503", "not_ready") => false,
        _ => return None,
    };
    Some((health, is_ready))
}

/// The word, and a line for each part that is not well.
fn lines(health: &Value) -> Vec<String> {
    let text = |part: &Value, name: &str| {
        let text = part.get(name).and_then(Value::as_str);
        // A part is one line, whatever answered.
        let words: Vec<_> = text.unwrap_or_default().split_whitespace().collect();
        words.join(" ")
    };
    let mut lines = vec![text(health, "status")];
    let mut say = |name: &str, part: &Value| {
        if part.get("well") == Some(&Value::Bool(false)) {
            lines.push(format!(
                "{name}: {}: {}",
                text(part, "status"),
                text(part, "reason")
            ));
        }
    };
    for (name, part) in health.as_object().into_iter().flatten() {
        if name == "destinations" {
            for (name, part) in part.as_object().into_iter().flatten() {
                say(&format!("destination {name}"), part);
            }
        } else {
            say(name, part);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_listens_on_every_address_is_asked_on_loopback_of_the_same_family() {
        let asked = |listen: &str| reachable(listen.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:22101"), "127.0.0.1:22101");
        assert_eq!(asked("[::]:22101"), "[::1]:22101");
        assert_eq!(asked("192.0.2.7:1"), "192.0.2.7:1");
    }

    #[test]
    fn only_the_answer_of_a_relay_counts() {
        let answer = |status: &str, body: &str| {
            let answer = format!("HTTP/1.1 {status}\r\nx: y\r\n\r\n{body}\n");
            read(answer.as_bytes()).map(|(_, is_ready)| is_ready)
        };
        assert_eq!(answer("200 OK", r#"{"status":"ready"}"#), Some(true));
        assert_eq!(answer("200 OK", r#"{"status":"degraded"}"#), Some(true));
        let not_ready = r#"{"status":"not_ready"}"#;
        assert_eq!(answer("503 Service Unavailable", not_ready), Some(false));
        assert_eq!(answer("200 OK", not_ready), None);
        assert_eq!(answer("200 OK", "<html>"), None);
        assert_eq!(answer("200 OK", "{}"), None);
        assert_eq!(read(b""), None);
    }

    #[test]
    fn each_part_that_is_not_well_has_a_line_with_its_reason() {
        let health: Value = serde_json::from_str(
            r#"{"status":"degraded","ready":true,"journal":{"well":true,"status":"open"},
                "orbit":{"well":false,"status":"failing","reason":"no token"},
                "clock":{"well":true,"status":"unknown","reason":"nobody knows"},
                "destinations":{"cmms":{"well":false,"status":"down","reason":"no answer"}}}"#,
        )
        .unwrap();
        insta::assert_snapshot!(lines(&health).join("\n"), @r"
        degraded
        destination cmms: down: no answer
        orbit: failing: no token
        ");
    }
}
