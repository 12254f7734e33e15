//! Posts standard input once, signed as Standard Webhooks has it, for the official library to
//! check: `post URL SECRET…`.
//!
//! # Invariants
//! - What goes out is what a destination of the relay sends.

use std::io::Read as _;

use anyhow::Context as _;
use orbit_relay::clock::Clock;
use orbit_relay::relay::destination::outcome::Outcome;
use orbit_relay::relay::destination::{Config, Destination, Request, Sign, What};
use orbit_relay::secret::{Secret, Source};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("usage: post URL SECRET…")?;
    let mut config = Config::new("oracle", url.parse()?);
    let secrets = arguments.map(|secret| Source::Given(Secret::new(secret)));
    config.sign = Some(Sign::StandardWebhooks(secrets.collect()));
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    let request = Request::new(
        "oracle-key".into(),
        1,
        Clock::system().wall(),
        What::Event(body),
    );
    let sent = Destination::build(config)?.send(request).await;
    anyhow::ensure!(sent.outcome == Outcome::Delivered, "{sent:?}");
    Ok(())
}
