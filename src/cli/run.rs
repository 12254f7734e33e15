//! `run`: the relay itself.
//!
//! # Invariants
//! - A port that is taken is exit 1; a malformed configuration is exit 2 where no folder of it is
//!   watched; a configuration that changed is exit 5, once all is drained; all else keeps it up.
//! - What the page saves is taken in this process, once all is drained; the sockets stay open. A
//!   signal ends it then too, though files cannot be read.
//! - What the page saved keeps nobody from starting: where it cannot be used any more, it is left
//!   out and that is said, so that the page is there to set it right.

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
use crate::app::ports::try_ports;
use crate::app::waiting::{answer, set_right};
use crate::app::watch::{Load, Watch};
use crate::app::{App, Exit, Listeners};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, Input, Shown};
use crate::page::{self, Access, Outside, Recent};

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let begun = Begun::read(super::without_files(matches)?);
    let recent = Arc::<Recent>::default();
    match &begun.loaded {
        Ok(config) => log::start(&config.log, &recent),
        // Who sees nothing but a log must not be left with a program that ends again and again.
        Err(_) if begun.watch.is_some() => {
            let (config, _) = Config::as_far_as_it_goes(&begun.input);
            log::start(&config.log, &recent);
        }
        Err(_) => {}
    }
    block_on(keep_running(begun, recent))
}

/// A start: what was read, and what it is read with again.
struct Begun {
    /// Flags and environment.
    bare: Input,
    /// With the files.
    input: Input,
    watch: Option<Watch>,
    loaded: anyhow::Result<Config>,
}

impl Begun {
    fn read(bare: Input) -> Self {
        // Before anything is read: what changes meanwhile is then seen.
        let watch = bare.config_dir().map(Watch::begin);
        let (input, loaded) = read(&bare);
        Self {
            bare,
            input,
            watch,
            loaded,
        }
    }
}

/// Runs the relay, and runs it anew each time that the page has saved another configuration.
async fn keep_running(mut begun: Begun, recent: Arc<Recent>) -> Outcome {
    let mut signals = Signals::listen()?;
    let mut ports = Ports::default();
    let outside = Outside {
        access: Arc::new(Access::new(Clock::system())),
        input: begun.bare.clone(),
        apply: Arc::default(),
        log: recent,
    };
    loop {
        let Begun {
            bare,
            input,
            watch,
            loaded,
        } = begun;
        let watched = watch.map(|watch| Watched {
            watch,
            bare: bare.clone(),
        });
        let ended = match (loaded, watched) {
            (Ok(config), watched) => {
                serve(config, &input, &mut ports, watched, &mut signals, &outside).await?
            }
            (Err(error), Some(watched)) => {
                let (config, _) = Config::as_far_as_it_goes(&input);
                let wrong = super::lines(&error);
                Some(wait(&config, &wrong, &mut ports, watched, &mut signals).await?)
            }
            (Err(error), None) => return Err(error),
        };
        match ended {
            Some(code) => return Ok(code),
            // What it reads may be on a disk that hangs.
            None => match signals.or_told(move || Begun::read(bare)).await? {
                Some(read) => begun = read,
                None => return Ok(ExitCode::SUCCESS),
            },
        }
    }
}

/// The sockets, kept from one run to the next: who connects in between waits a moment.
#[derive(Default)]
struct Ports {
    webhook: Option<(SocketAddr, std::net::TcpListener)>,
    ops: Option<(SocketAddr, std::net::TcpListener)>,
}

impl Ports {
    /// Listens where the relay would.
    async fn listen(&mut self, config: &Config) -> anyhow::Result<Listeners> {
        let webhook = of(&mut self.webhook, config.listen)
            .await
            .with_context(|| {
                format!(
                    "cannot listen on {} (--bind, --webhook-port)",
                    config.listen
                )
            })?;
        let ops = of(&mut self.ops, config.ops_listen).await;
        let ops =
            ops.with_context(|| format!("cannot listen on {} (--ops-bind)", config.ops_listen))?;
        Ok(Listeners { webhook, ops })
    }
}

/// The socket that is kept, if it is at this address, else a new one.
async fn of(
    kept: &mut Option<(SocketAddr, std::net::TcpListener)>,
    address: SocketAddr,
) -> std::io::Result<TcpListener> {
    if let Some((at, listener)) = kept
        && *at == address
    {
        return TcpListener::from_std(listener.try_clone()?);
    }
    // The one of before may hold this very port.
    *kept = None;
    let listener = TcpListener::bind(address).await?.into_std()?;
    let ours = TcpListener::from_std(listener.try_clone()?);
    *kept = Some((address, listener));
    ours
}

/// A file that is being read, from a disk that hangs for instance, does not hold up the end.
fn block_on(what: impl Future<Output = Outcome>) -> Outcome {
    let runtime = runtime()?;
    let outcome = runtime.block_on(what);
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

/// Reads the files and what they say; without what the page saved where it is that which cannot be
/// used.
fn read(bare: &Input) -> (Input, anyhow::Result<Config>) {
    let with = |files: fn(&mut Input) -> Result<(), ConfigError>| {
        let mut input = bare.clone();
        let read = files(&mut input).map_err(anyhow::Error::from);
        let loaded = read.and_then(|()| load(&input));
        (input, loaded)
    };
    let (input, wrong) = match with(Input::read_files) {
        (input, Ok(config)) => return (input, Ok(config)),
        (input, Err(wrong)) => (input, wrong),
    };
    for without in [Input::read_all_but_saved, Input::read_above_page] {
        if let (input, Ok(mut config)) = with(without) {
            let wrong = super::lines(&wrong).join("; ");
            config.warnings.push(format!(
                "what the page saved cannot be used and is left out; set it right there, on the \
                 screen Setup: {wrong}"
            ));
            return (input, Ok(config));
        }
    }
    (input, Err(wrong))
}

/// The configuration as a start takes it.
fn load(input: &Input) -> anyhow::Result<Config> {
    let config = Config::load(input)?;
    // Here a bad file is still the user's affair and not the process's.
    App::try_parts(&config).map_err(|e| Usage(format!("{e:#}")))?;
    Ok(config)
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
    fn again(&self, ours: [SocketAddr; 2]) -> Load {
        let bare = self.bare.clone();
        Arc::new(move || {
            let (_, loaded) = read(&bare);
            let usable = loaded.and_then(|config| Ok(try_ports(&config, ours)?));
            usable.map_err(|error| super::lines(&error))
        })
    }

    /// Ends when the relay must be started again.
    async fn changed(self, map: Option<&Path>, again: Load) -> String {
        let clock = Clock::system();
        self.watch.until_changed(&clock, map, again).await
    }
}

/// Says what is wrong until it is set right, or until a signal ends it.
async fn wait(
    config: &Config,
    wrong: &[String],
    ports: &mut Ports,
    watched: Watched,
    signals: &mut Signals,
) -> Outcome {
    for problem in wrong {
        tracing::error!("config: {problem}");
    }
    tracing::error!(
        "config: it cannot be used: events are answered 503 until it is set right, for instance in \
         {}",
        watched.watch.dir().display()
    );
    let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
    let again = watched.again([config.listen, config.ops_listen]);
    let answering = async {
        match ports.listen(config).await {
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

/// Runs the relay until it is to end; none where it is to be run anew.
async fn serve(
    mut config: Config,
    input: &Input,
    ports: &mut Ports,
    watched: Option<Watched>,
    signals: &mut Signals,
    outside: &Outside,
) -> anyhow::Result<Option<ExitCode>> {
    let listeners = ports.listen(&config).await?;
    let (webhook_at, ops_at) = (listeners.webhook.local_addr()?, listeners.ops.local_addr()?);
    if config.listen.port() == 0 {
        // Setting a port fails only where the URL has no host, and ours has one.
        for url in &mut config.webhook.urls {
            url.set_port(Some(webhook_at.port())).ok();
        }
    }
    let taken = [webhook_at, ops_at];
    if !open(&mut config, input, taken, signals, outside).await? {
        return Ok(Some(ExitCode::SUCCESS));
    }
    let mut again = None;
    // What a signal says is apart from what the page says: the first signal to stop is the first,
    // though the parts are drained already.
    let (told, hard) = (CancellationToken::new(), CancellationToken::new());
    let stop = told.child_token();
    let of_page = outside.clone();
    let pages = Box::new(move |handles| page::router(handles, of_page));
    let app = App::build(
        config,
        listeners,
        Clock::system(),
        stop.clone(),
        Some(pages),
    )?;
    let (assets, nudge) = (Arc::clone(&app.assets), app.nudge.clone());
    let goes_on = app.goes_on.clone();
    let hung_up = Arc::clone(&assets);
    let on_hangup = move || {
        hung_up.reload();
        nudge.look();
    };
    let changed = async {
        match watched {
            Some(watched) => {
                let again = watched.again(taken);
                watched.changed(Some(assets.path()), again).await
            }
            None => std::future::pending().await,
        }
    };
    let (running, signals) = (
        app.run(hard.clone()),
        signals.watch(told.clone(), hard.clone(), Arc::new(on_hangup)),
    );
    tokio::pin!(running, signals);
    let first = tokio::select! {
        exit = &mut running => Some(exit),
        () = &mut signals => Some(Exit::Died),
        () = stop.cancelled() => None,
        why = changed => {
            // A signal to stop may have come just before.
            if !stop.is_cancelled() {
                tracing::info!("config: {why}: finishing what is under way, to be started again");
                stop.cancel();
                again = Some(Again::Process);
            }
            None
        }
        () = outside.apply.notified() => {
            if !stop.is_cancelled() {
                tracing::info!("config: saved on the page: finishing what is under way, to go on with it");
                goes_on.cancel();
                stop.cancel();
                again = Some(Again::Parts);
            }
            None
        }
    };
    if again != Some(Again::Parts) {
        // What comes now goes to whoever is started next.
        *ports = Ports::default();
    }
    let exit = if let Some(exit) = first {
        exit
    } else {
        tokio::select! {
            exit = running => exit,
            () = signals => Exit::Died,
        }
    };
    Ok(match (exit, again) {
        (Exit::Died, _) => Some(ExitCode::from(FAILED)),
        // A signal may have come meanwhile.
        (Exit::Drained | Exit::Cut, Some(Again::Parts)) if !told.is_cancelled() => None,
        (Exit::Drained | Exit::Cut, Some(Again::Process)) => {
            tracing::info!("stopped, to be started again with the new configuration");
            Some(ExitCode::from(CHANGED))
        }
        (Exit::Drained, _) => {
            tracing::info!("stopped");
            Some(ExitCode::SUCCESS)
        }
        (Exit::Cut, _) => {
            tracing::warn!("stopped before all was finished; the rest is in the journal");
            Some(ExitCode::SUCCESS)
        }
    })
}

/// Takes what a package brings, says what counts, and opens the accounts; not where a signal to stop
/// comes first.
async fn open(
    config: &mut Config,
    input: &Input,
    [webhook_at, ops_at]: [SocketAddr; 2],
    signals: &mut Signals,
    outside: &Outside,
) -> anyhow::Result<bool> {
    // Not before the ports are ours: a second relay that is started by mistake changes nothing.
    let (input, data_dir) = (input.clone(), config.data_dir.clone());
    match signals
        .or_told(move || taken::take(&input, &data_dir))
        .await?
    {
        Some(Taken::Nothing) => {}
        Some(Taken::Settings) => {
            tracing::info!("settings of the package taken into the data directory");
        }
        Some(Taken::Not(why)) => config.warnings.push(why),
        None => return Ok(false),
    }
    announce(config, &webhook_at.to_string(), &ops_at.to_string());
    let (access, data_dir) = (Arc::clone(&outside.access), config.data_dir.clone());
    let of_page = page::access::Config::of(config);
    let opening = move || access.open(&data_dir, of_page);
    Ok(signals.or_told(opening).await?.is_some())
}

/// What is begun anew.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// The parts, in this process: the page has saved something.
    Parts,
    /// The process, by whoever started it.
    Process,
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
