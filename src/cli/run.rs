//! `run`: the relay itself.
//!
//! # Invariants
//! - A port that is taken is exit 1; a malformed configuration is exit 2 where no folder of it is
//!   watched; a configuration that changed is exit 5, once all is drained; all else keeps it up.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::signals::Signals;
use super::taken::{self, Taken};
use super::{CHANGED, FAILED, Outcome, Usage, log, runtime};
use crate::app::waiting::{answer, set_right};
use crate::app::watch::{Load, Watch};
use crate::app::{App, Exit, Listeners};
use crate::clock::Clock;
use crate::config::{Config, Input, Shown};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let mut input = super::without_files(matches)?;
    // Before anything is read: what changes meanwhile is then seen.
    let watch = input.config_dir().map(Watch::begin);
    let bare = input.clone();
    let read = input.read_files().map_err(anyhow::Error::from);
    let loaded = read.and_then(|()| load(&input));
    let watched = watch.map(|watch| Watched { watch, bare });
    match (loaded, watched) {
        (Ok(config), watched) => {
            log::start(&config.log);
            block_on(serve(config, &input, watched))
        }
        // Who sees nothing but a log must not be left with a program that ends again and again.
        (Err(error), Some(watched)) => {
            let (config, _) = Config::as_far_as_it_goes(&input);
            log::start(&config.log);
            block_on(wait(&config, &super::lines(&error), watched))
        }
        (Err(error), None) => Err(error),
    }
}

/// A file that is being read, from a disk that hangs for instance, does not hold up the end.
fn block_on(what: impl Future<Output = Outcome>) -> Outcome {
    let runtime = runtime()?;
    let outcome = runtime.block_on(what);
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

/// The configuration as a start takes it.
fn load(input: &Input) -> anyhow::Result<Config> {
    let config = Config::load(input)?;
    // Here a bad file is still the user's affair and not the process's.
    App::try_parts(&config).map_err(|e| Usage(format!("{e:#}")))?;
    Ok(config)
}

fn can_be_listened_on(address: SocketAddr) -> anyhow::Result<()> {
    let listener = std::net::TcpListener::bind(address);
    listener.with_context(|| format!("cannot listen on {address}"))?;
    Ok(())
}

/// The folder of the configuration, and what it is read with again.
struct Watched {
    watch: Watch,
    /// Flags and environment.
    bare: Input,
}

impl Watched {
    /// Whether a start would succeed now, at these ports or at others that are free; with a line
    /// for each thing that is wrong.
    fn again(&self, ports: [u16; 2]) -> Load {
        let bare = self.bare.clone();
        Arc::new(move || {
            let mut input = bare.clone();
            let read = input.read_files().map_err(anyhow::Error::from);
            let loaded = read.and_then(|()| load(&input));
            let usable = loaded.and_then(|config| {
                let others = [config.listen, config.ops_listen].into_iter();
                others
                    .filter(|address| !ports.contains(&address.port()))
                    .try_for_each(can_be_listened_on)
            });
            usable.map_err(|error| super::lines(&error))
        })
    }

    /// Ends when the relay must be started again.
    async fn changed(self, map: Option<&Path>, again: Load) -> String {
        let clock = Clock::system();
        self.watch.until_changed(&clock, map, again).await
    }
}

/// Listens where the relay would.
async fn listen(config: &Config) -> anyhow::Result<Listeners> {
    let webhook = TcpListener::bind(config.listen).await.with_context(|| {
        format!(
            "cannot listen on {} (--bind, --webhook-port)",
            config.listen
        )
    })?;
    let ops = TcpListener::bind(config.ops_listen)
        .await
        .with_context(|| format!("cannot listen on {} (--ops-bind)", config.ops_listen))?;
    Ok(Listeners { webhook, ops })
}

/// Says what is wrong until it is set right, or until a signal ends it.
async fn wait(config: &Config, wrong: &[String], watched: Watched) -> Outcome {
    let signals = Signals::listen()?;
    for problem in wrong {
        tracing::error!("config: {problem}");
    }
    tracing::error!(
        "config: it cannot be used: events are answered 503 until it is set right, for instance in \
         {}",
        watched.watch.dir().display()
    );
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    let again = watched.again([config.listen.port(), config.ops_listen.port()]);
    let answering = async {
        match listen(config).await {
            Ok(listeners) => answer(listeners, wrong, &stop).await,
            Err(error) => {
                tracing::error!("config: {error:#}");
                stop.cancelled().await;
            }
        }
    };
    let why = tokio::select! {
        why = watched.changed(None, Arc::clone(&again)) => why,
        () = set_right(again) => "what was wrong was set right".to_owned(),
        () = answering => return Ok(ExitCode::SUCCESS),
        () = signals.watch(stop.clone(), hard, Arc::new(|| {})) => return Ok(ExitCode::from(FAILED)),
    };
    tracing::info!("config: {why}: to be started again");
    Ok(ExitCode::from(CHANGED))
}

async fn serve(mut config: Config, input: &Input, watched: Option<Watched>) -> Outcome {
    let signals = Signals::listen()?;
    let listeners = listen(&config).await?;
    let (webhook_at, ops_at) = (listeners.webhook.local_addr()?, listeners.ops.local_addr()?);
    if config.listen.port() == 0 {
        // Setting a port fails only where the URL has no host, and ours has one.
        for url in &mut config.webhook.urls {
            url.set_port(Some(webhook_at.port())).ok();
        }
    }
    // Not before the ports are ours: a second relay that is started by mistake changes nothing.
    match taken::take(input, &config.data_dir) {
        Taken::Nothing => {}
        Taken::Settings => tracing::info!("settings of the package taken into the data directory"),
        Taken::Not(why) => config.warnings.push(why),
    }
    announce(&config, &webhook_at.to_string(), &ops_at.to_string());
    let ports = [webhook_at.port(), ops_at.port()];
    let mut has_changed = false;
    let stop = CancellationToken::new();
    let hard = CancellationToken::new();
    let app = App::build(config, listeners, Clock::system(), stop.clone(), None)?;
    let (assets, nudge) = (Arc::clone(&app.assets), app.nudge.clone());
    let hung_up = Arc::clone(&assets);
    let on_hangup = move || {
        hung_up.reload();
        nudge.look();
    };
    let changed = async {
        match watched {
            Some(watched) => {
                let again = watched.again(ports);
                watched.changed(Some(assets.path()), again).await
            }
            None => std::future::pending().await,
        }
    };
    let (running, signals) = (
        app.run(hard.clone()),
        signals.watch(stop.clone(), hard, Arc::new(on_hangup)),
    );
    tokio::pin!(running, signals);
    let first = tokio::select! {
        exit = &mut running => Some(exit),
        () = &mut signals => Some(Exit::Died),
        why = changed => {
            // A signal to stop may have come just before.
            if !stop.is_cancelled() {
                tracing::info!("config: {why}: finishing what is under way, to be started again");
                stop.cancel();
                has_changed = true;
            }
            None
        }
    };
    let exit = if let Some(exit) = first {
        exit
    } else {
        tokio::select! {
            exit = running => exit,
            () = signals => Exit::Died,
        }
    };
    Ok(match exit {
        Exit::Drained | Exit::Cut if has_changed => {
            tracing::info!("stopped, to be started again with the new configuration");
            ExitCode::from(CHANGED)
        }
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
    let (set, defaults): (Vec<_>, Vec<_>) = config
        .shown
        .iter()
        .partition(|setting| setting.origin != "default");
    for Shown {
        name,
        value,
        origin,
    } in set
    {
        tracing::info!("setting {name} = {value} (from {origin})");
    }
    for Shown {
        name,
        value,
        origin,
    } in defaults
    {
        tracing::debug!("setting {name} = {value} (from {origin})");
    }
    for source in &config.sources {
        tracing::info!(
            "source {}: {} ({})",
            source.name,
            source.path,
            source.scheme.name()
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
