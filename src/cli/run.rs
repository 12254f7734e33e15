//! `run`: the relay itself.
//!
//! # Invariants
//! - A port that is taken is exit 1; a malformed configuration is exit 2; all else keeps it up.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use super::{FAILED, Outcome, Usage, log, runtime};
use crate::app::{App, Exit, Listeners};
use crate::clock::Clock;
use crate::config::{Config, Input};

pub(super) fn run(input: &Input) -> Outcome {
    let config = Config::load(input)?;
    // Checked here too, where a bad file is still the user's affair and not the process's.
    crate::app::assets::Assets::check(config.asset_map.as_deref())
        .map_err(|e| Usage(format!("{e:#}")))?;
    log::start(config.log);
    runtime()?.block_on(serve(config))
}

async fn serve(mut config: Config) -> Outcome {
    let signals = Signals::listen()?;
    let webhook = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (--bind, --webhook-port)",
            config.listen
        )
    })?;
    let ops = TcpListener::bind(config.ops_listen)
        .await
        .with_context(|| format!("cannot listen on {} (--ops-bind)", config.ops_listen))?;
    let (webhook_at, ops_at) = (webhook.local_addr()?, ops.local_addr()?);
    if config.listen.port() == 0 {
        // Setting a port fails only where the URL has no host, and ours has one.
        for url in &mut config.webhook.urls {
            url.set_port(Some(webhook_at.port())).ok();
        }
    }
    announce(&config, &webhook_at.to_string(), &ops_at.to_string());
    let stop = CancellationToken::new();
    let hard = CancellationToken::new();
    let listeners = Listeners { webhook, ops };
    let app = App::build(config, listeners, Clock::system(), stop.clone())?;
    let (assets, nudge) = (Arc::clone(&app.assets), app.nudge.clone());
    let on_hangup = move || {
        assets.reload();
        nudge.look();
    };
    let exit = tokio::select! {
        exit = app.run(hard.clone()) => exit,
        () = signals.watch(stop, hard, Arc::new(on_hangup)) => Exit::Died,
    };
    Ok(match exit {
        Exit::Drained => {
            tracing::info!("stopped");
            ExitCode::SUCCESS
        }
        Exit::Cut => {
            tracing::warn!("stopped before all was finished; the rest is in the journal");
            ExitCode::SUCCESS
        }
        Exit::Died => ExitCode::from(FAILED),
    })
}

fn announce(config: &Config, webhook_at: &str, ops_at: &str) {
    let version = env!("CARGO_PKG_VERSION");
    let scheme = if config.tls.is_some() {
        "https"
    } else {
        "http"
    };
    tracing::info!(
        "orbit-relay {version}: events at {scheme}://{webhook_at}/, health at http://{ops_at}/readyz"
    );
    for setting in &config.shown {
        tracing::info!(
            "setting {} = {} (from {})",
            setting.name,
            setting.value,
            setting.origin
        );
    }
    for destination in &config.shown_destinations {
        let mut keys = destination.keys.iter();
        let url = keys.find(|key| key.name == "url");
        let url = url.map_or("***", |url| url.value.as_str());
        tracing::info!("destination {}: {url}", destination.name);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let urls = config.webhook.urls.iter();
    let urls: Vec<_> = urls.map(|url| url.as_str().trim_end_matches('/')).collect();
    if let (None, Some(_), [_, ..]) = (&config.orbit, &config.secret, &*urls) {
        tracing::info!(
            "no Orbit host with an API token is set: a webhook that was made by hand is used; in Orbit it must \
             point to {} and have the same secret",
            urls.join(" or ")
        );
    }
    if config.destinations.is_empty() {
        tracing::warn!(
            "no INTEGRATION_URL and no [[destination]]: events are kept and nothing is forwarded"
        );
    }
}
