//! `simulate orbit` and `simulate backend`: the two halves of the demo, each alone.
//!
//! # Invariants
//! - They listen on loopback only: they have no protection against strangers.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use tokio::sync::broadcast::error::RecvError;

use super::signals::until_stopped;
use super::{Outcome, Usage, print, runtime};
use crate::clock::Clock;
use crate::secret::Secret;
use crate::sim::backend::{Answer, Backend, BackendConfig, Tls};
use crate::sim::orbit::{Orbit, OrbitConfig};

pub(super) fn orbit(matches: &ArgMatches) -> Outcome {
    let token = matches
        .get_one::<String>("token")
        .cloned()
        .unwrap_or_default();
    let every = Duration::from_secs(matches.get_one("every").copied().unwrap_or(2));
    let config = OrbitConfig {
        listen: listen(matches)?,
        token: Secret::new(token.clone()),
        seed: seed(matches)?,
        clock: Clock::system(),
    };
    let seed = config.seed;
    runtime()?.block_on(async {
        let orbit = Orbit::start(config).await?;
        write_certificate(matches, orbit.certificate_pem())?;
        let (url, addr) = (orbit.url(), orbit.addr());
        let url = url.trim_end_matches('/');
        print(&format!(
            "Orbit (simulated) at {url}, token {token}, seed {seed}"
        ))?;
        print(&format!(
            "its certificate's SHA-256 is {}",
            orbit.certificate_sha256()
        ))?;
        print(&format!(
            "point a relay at it: ORBIT_API_TOKEN={token} orbit-relay --hostname {addr} \
             --verify false --webhook-host 127.0.0.1"
        ))?;
        print(&format!(
            "press the test button:  curl -k -X POST {url}/sim/test-payload"
        ))?;
        print(&format!(
            "one more inspection:    curl -k -X POST {url}/sim/inspect"
        ))?;
        let world = orbit.world();
        let walking = async {
            if every.is_zero() {
                std::future::pending::<()>().await;
            }
            world
                .keep_inspecting(every, |inspection| {
                    let answers: Vec<_> = inspection.posts.iter().map(describe).collect();
                    let answers = if answers.is_empty() {
                        "no webhook".into()
                    } else {
                        answers.join(", ")
                    };
                    let (kind, action) = (inspection.event_type, inspection.action_name);
                    // Printing fails only where nobody reads.
                    print(&format!("{kind} {action:?}: {answers}")).ok();
                })
                .await;
        };
        until_stopped(walking).await?;
        orbit.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn backend(matches: &ArgMatches) -> Outcome {
    let config = BackendConfig {
        listen: listen(matches)?,
        clock: Clock::system(),
        tls: if matches.get_flag("tls") {
            Tls::SelfSigned
        } else {
            Tls::Off
        },
    };
    runtime()?.block_on(async {
        let backend = Backend::start(config).await?;
        if let Some(certificate) = backend.certificate_pem() {
            write_certificate(matches, certificate)?;
        }
        let status = matches.get_one::<u16>("answer").copied().unwrap_or(200);
        backend.world().set_answer(Answer::Status(status));
        let url = backend.url();
        print(&format!("plant (simulated) at {url}, answers {status}"))?;
        print(&format!(
            "point a relay at it: INTEGRATION_URL={url} orbit-relay …"
        ))?;
        let mut posts = backend.world().subscribe();
        let watching = async {
            loop {
                match posts.recv().await {
                    Ok(post) => {
                        let header = |name| post.headers.get(name).map_or("none", String::as_str);
                        let (key, attempt) = (header("idempotency-key"), header("relay-attempt"));
                        let answered = post.answered.map_or("nothing".into(), |s| s.to_string());
                        let body = String::from_utf8_lossy(&post.body);
                        // Printing fails only where nobody reads.
                        print(&format!(
                            "answered {answered}, attempt {attempt}, key {key}: {body}"
                        ))
                        .ok();
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
        };
        until_stopped(watching).await?;
        backend.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The seed that was given, or one by chance.
pub(super) fn seed(matches: &ArgMatches) -> anyhow::Result<u64> {
    match matches.get_one::<u64>("seed") {
        Some(seed) => Ok(*seed),
        None => Ok(u64::from(getrandom::u32()?)),
    }
}

fn listen(matches: &ArgMatches) -> Result<SocketAddr, Usage> {
    let listen = matches.get_one::<SocketAddr>("listen").copied();
    listen
        .filter(|listen| listen.ip().is_loopback())
        .ok_or_else(|| {
            Usage("--listen: the simulator has no protection: give a loopback address".into())
        })
}

fn write_certificate(matches: &ArgMatches, pem: &str) -> anyhow::Result<()> {
    match matches.get_one::<PathBuf>("certificate-out") {
        None => Ok(()),
        Some(path) => std::fs::write(path, pem).with_context(|| path.display().to_string()),
    }
}

fn describe(post: &crate::sim::orbit::Post) -> String {
    match (post.status, &post.problem) {
        (Some(status), _) => status.to_string(),
        (None, Some(problem)) => problem.clone(),
        (None, None) => "not sent".to_owned(),
    }
}
