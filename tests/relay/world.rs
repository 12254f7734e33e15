//! The harness: a simulated Orbit, a simulated plant, and the real relay between them.
//!
//! # Invariants
//! - Every wait is on a level and has a bound.
//! - [`Relay::finish`] holds at the end of a test: drained, nothing under a lease, the sums add
//!   up, and as many requests are counted as the test has sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ipnet::IpNet;
use jiff::Timestamp;
use orbit_relay::app::assets::Assets;
use orbit_relay::app::control::{self, Ask};
use orbit_relay::app::{App, Exit, Listeners, Pages};
use orbit_relay::clock::{Clock, Hand};
use orbit_relay::config::{Config, Input, Level, Text};
use orbit_relay::event::{ALERT, COMPLETED, Envelope, Event, ORBIT, Origin};
use orbit_relay::ops::health::Parts;
use orbit_relay::page::{self, Access, Outside, Recent, access};
use orbit_relay::reconcile::webhook::{Nudge, Report, Status, Told, Wish};
use orbit_relay::relay::deliver::{self, Health};
use orbit_relay::relay::destination;
use orbit_relay::relay::journal::{
    self, Availability, DeliveryRow, DestinationSums, EventRow, EventsPage, Journal, Reader,
    Registered, State, Sums,
};
use orbit_relay::relay::receive::Source;
use orbit_relay::secret::{Secret, WebhookSecret};
use orbit_relay::sim::backend::{Answer as PlantAnswer, Backend, BackendConfig, BackendWorld, Tls};
use orbit_relay::sim::javascript::sign;
use orbit_relay::sim::orbit::{Inspection, Orbit, OrbitConfig, World};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpSocket, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::wire::{self, Answer};

/// What the relay is told to sign with, unless a test says otherwise.
pub(crate) const SECRET: &str = "5ec7e7aa00112233445566778899aabbccddeeff00112233445566778899aabb";
/// What Orbit accepts.
pub(crate) const TOKEN: &str = "token-of-the-simulated-orbit";
/// A level that does not come within this does not come.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// A manual clock is moved by this at a time.
const STEP: Duration = Duration::from_secs(10);

/// All that surrounds a relay, and how the next relay is to be started.
pub(crate) struct Site {
    dir: TempDir,
    pub(crate) orbit: Orbit,
    plant: Mutex<Option<Backend>>,
    plant_at: SocketAddr,
    pub(crate) robots: World,
    pub(crate) clock: Clock,
    hand: Option<Hand>,
    destinations: Vec<deliver::Config>,
    sources: Vec<Source>,
    trusted_proxies: Vec<IpNet>,
    tune: fn(&mut Config),
    has_page: bool,
    /// What the page shows of the log.
    pub(crate) log: Arc<Recent>,
    flags: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    file: Option<(Level, String)>,
    sent: Arc<AtomicU64>,
}

impl Site {
    /// Orbit and a plant, in fair weather; the relay trusts Orbit's certificate and knows a secret.
    pub(crate) async fn new() -> Self {
        Self::build(Clock::system(), None, Tls::Off).await
    }

    /// As [`Site::new`], with a clock that stands still until the test moves it.
    pub(crate) async fn with_a_manual_clock() -> Self {
        Self::with_a_clock_at(Clock::system().wall()).await
    }

    /// As [`Site::with_a_manual_clock`], which begins there.
    pub(crate) async fn with_a_clock_at(start: Timestamp) -> Self {
        let (clock, hand) = Clock::manual(start);
        Self::build(clock, Some(hand), Tls::Off).await
    }

    /// As [`Site::new`], with a plant that speaks HTTPS.
    pub(crate) async fn with_a_plant_behind_tls() -> Self {
        Self::build(Clock::system(), None, Tls::SelfSigned).await
    }

    async fn build(clock: Clock, hand: Option<Hand>, tls: Tls) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listen = any_port();
        let orbit = OrbitConfig {
            listen,
            token: Secret::new(TOKEN.to_owned()),
            seed: 7,
            clock: clock.clone(),
        };
        let orbit = Orbit::start(orbit).await.unwrap();
        let plant = BackendConfig {
            listen,
            clock: clock.clone(),
            tls,
        };
        let plant = Backend::start(plant).await.unwrap();
        let certificate = dir.path().join("orbit.pem");
        std::fs::write(&certificate, orbit.certificate_pem()).unwrap();
        let assets = dir.path().join("assets.csv");
        std::fs::write(&assets, orbit_relay::sim::asset_map_csv()).unwrap();
        let flags = [
            ("hostname", orbit.addr().to_string()),
            ("verify", certificate.display().to_string()),
            ("webhook-host", "127.0.0.1".to_owned()),
            ("data-dir", dir.path().join("data").display().to_string()),
            ("asset-map", assets.display().to_string()),
            ("integration-url", plant.url()),
            // What a body holds of pictures is the affair of pictures.rs.
            ("images", "none".to_owned()),
        ];
        let environment = [("ORBIT_API_TOKEN", TOKEN), ("WEBHOOK_SECRET", SECRET)];
        Self {
            dir,
            robots: orbit.world(),
            orbit,
            plant_at: plant.addr(),
            plant: Mutex::new(Some(plant)),
            clock,
            hand,
            destinations: Vec::new(),
            sources: Vec::new(),
            trusted_proxies: Vec::new(),
            tune: |_| {},
            has_page: false,
            log: Arc::default(),
            flags: flags.map(|(n, v)| (n.to_owned(), v)).into(),
            environment: environment
                .map(|(n, v)| (n.to_owned(), v.to_owned()))
                .into(),
            file: None,
            sent: Arc::default(),
        }
    }

    /// The next relay gets this flag.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The next relay does not get this flag.
    pub(crate) fn without_flag(mut self, name: &str) -> Self {
        self.flags.remove(name);
        self
    }

    /// The next relay has this destination instead of, or besides, the integration URL.
    pub(crate) fn destination(mut self, config: deliver::Config) -> Self {
        self.flags.remove("integration-url");
        self.destinations.push(config);
        self
    }

    /// The next relay has this source besides Orbit.
    pub(crate) fn source(mut self, source: Source) -> Self {
        self.sources.push(source);
        self
    }

    /// The next relay believes these proxies.
    pub(crate) fn trusting(mut self, proxies: &[&str]) -> Self {
        let proxies = proxies.iter().map(|proxy| proxy.parse::<IpNet>().unwrap());
        self.trusted_proxies.extend(proxies);
        self
    }

    /// The next relay has this configuration file, and the destinations in it only.
    pub(crate) fn configured(mut self, file: &str) -> Self {
        self.flags.remove("integration-url");
        self.file = Some((Level::ConfigDir, file.to_owned()));
        self
    }

    /// As [`Site::configured`], by what was saved on the page.
    #[allow(dead_code, reason = "the tests of the page share this harness")]
    pub(crate) fn saved(mut self, file: &str) -> Self {
        self.flags.remove("integration-url");
        std::fs::create_dir_all(self.data_dir().join("page")).unwrap();
        std::fs::write(self.data_dir().join("page/relay.toml"), file).unwrap();
        self.file = Some((Level::Page, file.to_owned()));
        self
    }

    /// The next relay's configuration is changed like this.
    pub(crate) fn tuned(mut self, tune: fn(&mut Config)) -> Self {
        self.tune = tune;
        self
    }

    /// The next relay has the page.
    #[allow(dead_code, reason = "the tests of the page share this harness")]
    pub(crate) fn with_the_page(mut self) -> Self {
        self.has_page = true;
        self
    }

    /// The next relay has no destination but those that are given to it from now on.
    pub(crate) fn without_destinations(mut self) -> Self {
        self.destinations.clear();
        self
    }

    /// A destination of this name, at this path of the plant, that takes every inspection.
    pub(crate) fn at(&self, name: &str) -> deliver::Config {
        let plant = self.plant.lock().unwrap();
        let url = plant.as_ref().unwrap().url_of(&format!("/{name}"));
        let destination = destination::Config::new(name, url.parse().unwrap());
        deliver::Config::new(destination, [COMPLETED, ALERT].map(str::to_owned).into())
    }

    /// So many inspections are waiting when the next relay starts.
    pub(crate) async fn waiting(&self, numbers: std::ops::Range<usize>) {
        let registered = self.destinations.iter().map(|d| Registered {
            id: d.destination.id.clone(),
            name: d.destination.name.clone(),
        });
        let config = journal::Config {
            data_dir: self.data_dir(),
            destinations: Some(registered.collect()),
            keep_delivered: journal::Config::KEEP_DELIVERED,
            limit_bytes: journal::Config::LIMIT_BYTES,
            says: Vec::new(),
        };
        let (journal, mut writer) = Journal::start(config, self.clock.clone()).unwrap();
        let open = |now: &Availability| *now == Availability::Open;
        level(journal.availability(), "journal open", open).await;
        self.count(numbers.len());
        let mut appending = tokio::task::JoinSet::new();
        for n in numbers {
            let body = inspection(n).into_bytes();
            let identity = Envelope::parse(&body).unwrap().identity(&body);
            let event = Event {
                source: ORBIT.into(),
                event_type: COMPLETED.into(),
                identity,
                origin: Origin::Webhook,
                received_at: self.clock.wall(),
                body,
            };
            let journal = journal.clone();
            appending.spawn(async move { journal.append(event).await.unwrap() });
            if appending.len() >= 1_000 {
                appending.join_next().await;
            }
        }
        appending.join_all().await;
        drop(journal);
        writer.ended().await;
    }

    /// The next relay finds this in its environment.
    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The next relay does not find this in its environment.
    pub(crate) fn without_variable(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// A file of this site's own.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the relay keeps its journal.
    pub(crate) fn data_dir(&self) -> PathBuf {
        PathBuf::from(&self.flags["data-dir"])
    }

    /// The asset map's file.
    pub(crate) fn write_assets(&self, csv: &str) {
        std::fs::write(self.path("assets.csv"), csv).unwrap();
    }

    /// The hand of the manual clock.
    pub(crate) fn hand(&self) -> &Hand {
        self.hand
            .as_ref()
            .expect("the site was made with a manual clock")
    }

    /// The plant's system, while it is up.
    pub(crate) fn plant(&self) -> BackendWorld {
        let plant = self.plant.lock().unwrap();
        plant.as_ref().expect("the plant's system is up").world()
    }

    /// The integration URL.
    pub(crate) fn plant_url(&self) -> String {
        let plant = self.plant.lock().unwrap();
        plant.as_ref().expect("the plant's system is up").url()
    }

    /// The certificate of a plant behind TLS, in PEM form.
    pub(crate) fn plant_certificate(&self) -> String {
        let plant = self.plant.lock().unwrap();
        let plant = plant.as_ref().expect("the plant's system is up");
        plant.certificate_pem().expect("it speaks HTTPS").to_owned()
    }

    /// The plant's system ends: connections are refused. Nobody else gets its port meanwhile.
    pub(crate) async fn stop_plant(&self) -> TcpSocket {
        let plant = self.plant.lock().unwrap().take();
        plant.expect("the plant's system is up").stop().await;
        let held = TcpSocket::new_v4().unwrap();
        held.set_reuseaddr(true).unwrap();
        held.bind(self.plant_at).unwrap();
        held
    }

    /// The plant's system is there again, at the same address, and has forgotten everything.
    pub(crate) async fn start_plant(&self, held: TcpSocket) {
        let plant = BackendConfig {
            listen: self.plant_at,
            clock: self.clock.clone(),
            tls: Tls::Off,
        };
        let plant = Backend::start(plant).await.unwrap();
        *self.plant.lock().unwrap() = Some(plant);
        drop(held);
    }

    /// A robot finishes an inspection, and Orbit tells the relay.
    pub(crate) async fn inspect(&self) -> Inspection {
        let inspection = self.robots.inspect().await;
        self.count(inspection.posts.len());
        inspection
    }

    /// So many more requests went to the relay by other ways than [`Relay::post`].
    pub(crate) fn count(&self, requests: usize) {
        let requests = u64::try_from(requests).unwrap();
        self.sent.fetch_add(requests, Ordering::Relaxed);
    }

    /// Starts a relay, and waits until it can accept events.
    pub(crate) async fn start(&self) -> Relay {
        self.start_at(TcpListener::bind(any_port()).await.unwrap())
            .await
    }

    /// As [`Site::start`]; the relay takes events here.
    pub(crate) async fn start_at(&self, webhook: TcpListener) -> Relay {
        let relay = self.start_unready_at(webhook).await;
        relay.ready().await;
        relay
    }

    /// Starts a relay that may have something in its way.
    pub(crate) async fn start_unready(&self) -> Relay {
        self.start_unready_at(TcpListener::bind(any_port()).await.unwrap())
            .await
    }

    /// Starts a relay where one was that has ended.
    #[allow(dead_code, reason = "the tests of the page share this harness")]
    pub(crate) async fn start_again_at(&self, events: SocketAddr, ops: SocketAddr) -> Relay {
        let listeners = Listeners {
            webhook: TcpListener::bind(events).await.unwrap(),
            ops: TcpListener::bind(ops).await.unwrap(),
        };
        let relay = self.start_with(listeners);
        relay.ready().await;
        relay
    }

    async fn start_unready_at(&self, webhook: TcpListener) -> Relay {
        let ops = TcpListener::bind(any_port()).await.unwrap();
        self.start_with(Listeners { webhook, ops })
    }

    fn start_with(&self, listeners: Listeners) -> Relay {
        let events = listeners.webhook.local_addr().unwrap();
        let ops = listeners.ops.local_addr().unwrap();
        let mut flags = self.flags.clone();
        flags.insert("webhook-port".to_owned(), events.port().to_string());
        flags.insert("ops-bind".to_owned(), ops.to_string());
        let input = Input {
            flags,
            environment: self.environment.clone(),
            file: self.file.as_ref().map(|(level, file)| Text {
                level: *level,
                path: "relay.toml".into(),
                bytes: file.clone().into_bytes(),
            }),
            ..Input::default()
        };
        let mut config = Config::load(&input).unwrap();
        config.destinations.extend(self.destinations.clone());
        config.sources.extend(self.sources.clone());
        config.trusted_proxies.extend(&self.trusted_proxies);
        // With a clock that stands still nobody may wait for his turn.
        config.backfill.interval = Duration::ZERO;
        // Tests count what Orbit and the plant are asked.
        config.check_at_start = false;
        (self.tune)(&mut config);
        let (stop, hard) = (CancellationToken::new(), CancellationToken::new());
        let pages = self.has_page.then(|| {
            let access = Access::new(self.clock.clone());
            access.open(&config.data_dir, access::Config::of(&config));
            let outside = Outside {
                access: Arc::new(access),
                input,
                apply: Arc::default(),
                log: Arc::clone(&self.log),
            };
            let pages: Pages = Box::new(|handles| page::router(handles, outside));
            pages
        });
        let clock = self.clock.clone();
        let app = App::build(config, listeners, clock, stop.clone(), pages).unwrap();
        Relay {
            events,
            ops,
            parts: app.parts.clone(),
            journal: app.journal(),
            assets: Arc::clone(&app.assets),
            nudge: app.nudge.clone(),
            stop,
            running: tokio::spawn(app.run(hard)),
            data_dir: self.data_dir(),
            clock: self.clock.clone(),
            sent: Arc::clone(&self.sent),
        }
    }
}

/// A running relay.
pub(crate) struct Relay {
    pub(crate) events: SocketAddr,
    pub(crate) ops: SocketAddr,
    pub(crate) parts: Parts,
    journal: Journal,
    pub(crate) assets: Arc<Assets>,
    pub(crate) nudge: Nudge,
    stop: CancellationToken,
    running: JoinHandle<Exit>,
    data_dir: PathBuf,
    pub(crate) clock: Clock,
    sent: Arc<AtomicU64>,
}

impl Relay {
    /// The signature of a body, now by Orbit's clock, with the secret that the site gave.
    pub(crate) fn sign(&self, body: &[u8]) -> String {
        let now = self.parts.orbit_clock.now();
        sign(&secret(), now.as_millisecond(), body)
    }

    /// A signed event, as Orbit sends it.
    pub(crate) async fn post(&self, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        self.post_with(&[("Orbit-Signature", &self.sign(body))], body)
            .await
    }

    /// A signed event that is answered 200.
    pub(crate) async fn accept(&self, body: impl AsRef<[u8]>) {
        let answer = self.post(body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// An event with these headers.
    pub(crate) async fn post_with(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.sent.fetch_add(1, Ordering::Relaxed);
        wire::send(self.events, &wire::request("POST", "/", headers, body)).await
    }

    /// The journal that the relay writes.
    pub(crate) fn journal_handle(&self) -> &Journal {
        &self.journal
    }

    /// A person resumes a destination that is paused.
    pub(crate) async fn resume(&self, id: &str) {
        let at = self.clock.wall();
        let resumed = self.journal.resume(at, id, "me", "mended").await;
        assert_eq!(resumed, Ok(true), "{id} was paused");
    }

    /// Waits until events can be accepted.
    pub(crate) async fn ready(&self) {
        let open = |journal: &Availability| *journal == Availability::Open;
        level(self.parts.journal.clone(), "journal open", open).await;
        let known = |secret: &Result<_, _>| secret.is_ok();
        drop(level(self.parts.secret.clone(), "a secret", known).await);
    }

    /// How the destination that needs no file does.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.parts.destinations["integration"].clone()
    }

    /// A page of the ops port.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        wire::send(self.ops, &wire::head("GET", path, &[])).await
    }

    /// One line of `/metrics`, by all that stands before its value; 0 when it is not there.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.body;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until the sums are as wanted.
    pub(crate) async fn until(&self, what: &str, wanted: impl FnMut(&Sums) -> bool) -> Sums {
        level(self.parts.sums.clone(), what, wanted).await
    }

    /// Waits until the only destination has so many deliveries in this state.
    pub(crate) async fn until_there_are(&self, n: u64, state: State) -> Sums {
        let what = format!("{n} {}", state.as_str());
        self.until(&what, |sums| sums.destinations[0].of(state) == n)
            .await
    }

    /// Waits until this destination is as wanted.
    pub(crate) async fn until_at(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&DestinationSums) -> bool,
    ) -> DestinationSums {
        let sums = self
            .until(what, |sums| sums_at(sums, name).is_some_and(&wanted))
            .await;
        sums_at(&sums, name).unwrap().clone()
    }

    /// Waits until so many deliveries of this destination are in this state.
    pub(crate) async fn until_there_are_at(&self, name: &str, n: u64, state: State) {
        let what = format!("{name}: {n} {}", state.as_str());
        self.until_at(name, &what, |d| d.of(state) == n).await;
    }

    /// Lets time pass in steps, with a moment for the relay after each, until this is so; gives
    /// how much time passed.
    pub(crate) async fn let_pass(
        &self,
        hand: &Hand,
        step: Duration,
        longest: Duration,
        there: impl Fn(&Sums) -> bool,
    ) -> Duration {
        let mut passed = Duration::ZERO;
        let passing = async {
            while !there(&self.parts.sums.borrow()) {
                // A slow machine may need longer, but not more of this time.
                if passed < longest {
                    hand.advance(step);
                    passed += step;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let there = tokio::time::timeout(BOUND * 3, passing).await;
        assert!(there.is_ok(), "{:?}", self.parts.sums.borrow());
        passed
    }

    /// Waits until our webhook is in Orbit; gives its uuid and whether it is enabled.
    pub(crate) async fn registered(&self) -> (String, bool) {
        let registered = |status: &Status| matches!(status, Status::Registered { .. });
        match level(self.parts.webhook.clone(), "registered", registered).await {
            Status::Registered { uuid, enabled, .. } => (uuid, enabled),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until Orbit could not be asked; gives the reason.
    pub(crate) async fn not_registered(&self) -> String {
        let failing = |status: &Status| matches!(status, Status::Failing(_));
        match level(self.parts.webhook.clone(), "failing", failing).await {
            Status::Failing(why) => why,
            other => panic!("{other:?}"),
        }
    }

    /// A person asks about our webhook, as the commands do; gives what is told, or why not.
    pub(crate) async fn webhook(&self, wish: Wish) -> Result<Told, String> {
        let ask = Ask::Webhook {
            wish,
            who: "me".to_owned(),
        };
        let connecting = async {
            loop {
                match UnixStream::connect(control::path(&self.data_dir)).await {
                    Ok(stream) => break stream,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let stream = tokio::time::timeout(BOUND, connecting).await.unwrap();
        match control::ask(stream, &ask).await.unwrap() {
            control::Answer::Webhook(told) => Ok(told),
            control::Answer::Failed(why) => Err(why),
            other => panic!("{other:?}"),
        }
    }

    /// What `webhook status` shows.
    pub(crate) async fn webhook_status(&self) -> Report {
        match self.webhook(Wish::Status).await {
            Ok(Told::Status(report)) => *report,
            other => panic!("{other:?}"),
        }
    }

    /// What became of something that a person asked for, one text.
    pub(crate) async fn webhook_done(&self, wish: Wish) -> String {
        match self.webhook(wish).await {
            Ok(Told::Done(lines)) => lines.join("\n"),
            other => panic!("{other:?}"),
        }
    }

    /// Lets a minute pass, until the relay has looked at its webhook and set right what it may.
    pub(crate) async fn look(&self, hand: &Hand) {
        self.look_after(hand, Duration::from_secs(61)).await;
    }

    /// As [`Relay::look`], after another time.
    pub(crate) async fn look_after(&self, hand: &Hand, after: Duration) {
        hand.advance(after);
        let now = self.clock.wall();
        let looked = |at: &Option<Timestamp>| at.is_some_and(|at| at >= now);
        level(self.parts.looked_at.clone(), "Orbit looked at", looked).await;
        // It is answered when the look has ended.
        self.webhook_status().await;
    }

    /// Tells the relay to stop, and does not wait for that.
    pub(crate) fn tell_to_stop(&self) {
        self.stop.cancel();
    }

    /// Lets time pass until the next try has ended.
    pub(crate) async fn next_try(&self, hand: &Hand) {
        let before = self.attempts();
        self.pass_time(hand, "another try", || self.attempts() > before)
            .await;
        let at_rest = |sums: &Sums| sums.destinations[0].of(State::Sending) == 0;
        self.until("nothing under way", at_rest).await;
    }

    /// Lets time pass until so many deliveries are in this state.
    pub(crate) async fn pass_time_until_there_are(&self, hand: &Hand, n: u64, state: State) {
        let what = format!("{n} {}", state.as_str());
        let there = || self.parts.sums.borrow().destinations[0].of(state) == n;
        self.pass_time(hand, &what, there).await;
    }

    /// In steps much shorter than a lease, and none while something is being sent, so that no
    /// lease runs out that would not in real time.
    async fn pass_time(&self, hand: &Hand, what: &str, there: impl Fn() -> bool) {
        let passing = async {
            while !there() {
                let sending = self.parts.sums.borrow().destinations[0].of(State::Sending);
                if sending == 0 {
                    hand.advance(STEP);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let passed = tokio::time::timeout(BOUND, passing).await;
        assert!(passed.is_ok(), "{what}: {:?}", self.parts.sums.borrow());
    }

    fn attempts(&self) -> u64 {
        let events = self.journal();
        let deliveries = events.iter().flat_map(|event| &event.deliveries);
        deliveries
            .map(|delivery| u64::from(delivery.attempts))
            .sum()
    }

    /// The events on record, oldest first.
    pub(crate) fn journal(&self) -> Vec<EventRow> {
        let mut reader = Reader::open(&self.data_dir).unwrap();
        let mut page = EventsPage {
            limit: 10_000,
            ascending: true,
            ..EventsPage::default()
        };
        let mut all = Vec::new();
        loop {
            let rows = reader.events(&page).unwrap();
            let Some(last) = rows.last() else { break all };
            page.after = Some(last.seq);
            all.extend(rows);
        }
    }

    /// The delivery of the event with this `data.uuid`.
    pub(crate) fn delivery(&self, uuid: &str) -> DeliveryRow {
        let mut reader = Reader::open(&self.data_dir).unwrap();
        let rows = reader.find(uuid).unwrap();
        assert_eq!(rows.len(), 1, "one event is known by {uuid}");
        rows[0].deliveries[0].clone()
    }

    /// Ends the relay wherever it is: nothing is finished, nothing given back.
    pub(crate) async fn kill(self) {
        self.running.abort();
        drop(self.journal);
        let ended = self.running.await;
        assert!(ended.is_err_and(|ended| ended.is_cancelled()));
    }

    /// Stops the relay, however it ends.
    pub(crate) async fn stop(self) -> Exit {
        self.stop.cancel();
        drop(self.journal);
        let running = tokio::time::timeout(BOUND, self.running);
        running.await.expect("it ends within the bound").unwrap()
    }

    /// As [`Relay::finish`], after so many notices of its own since it was started.
    pub(crate) async fn finish_with_notices(self, notices: u64) -> Sums {
        self.sent.fetch_add(notices, Ordering::Relaxed);
        self.finish().await
    }

    /// Stops the relay and holds it to its promises; gives the last sums.
    pub(crate) async fn finish(self) -> Sums {
        let (data_dir, sent) = (self.data_dir.clone(), Arc::clone(&self.sent));
        assert_eq!(self.stop().await, Exit::Drained);
        let sums = sums_at_rest(&data_dir);
        assert_eq!(sums.mistakes(), [""; 0]);
        for destination in &sums.destinations {
            let left = destination.of(State::Sending);
            assert_eq!(left, 0, "nothing is left under a lease: {destination:?}");
        }
        let sent = sent.load(Ordering::Relaxed);
        let requests = sums.received() - sums.backfilled;
        assert_eq!(requests, sent, "each request counts once: {sums:?}");
        sums
    }
}

/// The sums of one destination.
pub(crate) fn sums_at<'a>(sums: &'a Sums, name: &str) -> Option<&'a DestinationSums> {
    sums.destinations.iter().find(|d| d.name == name)
}

/// The sums as a stopped relay left them.
pub(crate) fn sums_at_rest(data_dir: &Path) -> Sums {
    Reader::open(data_dir).unwrap().sums().unwrap()
}

/// How often Orbit was asked for its webhooks, or to change one.
pub(crate) fn asked_about_webhooks(site: &Site) -> usize {
    let requests = site.robots.requests().into_iter();
    requests
        .filter(|seen| seen.path.contains("webhooks"))
        .count()
}

/// Waits until a level is as wanted, within the bound.
pub(crate) async fn level<T: Clone + std::fmt::Debug>(
    mut level: watch::Receiver<T>,
    what: &str,
    wanted: impl FnMut(&T) -> bool,
) -> T {
    let reached = tokio::time::timeout(BOUND, level.wait_for(wanted)).await;
    match reached.map(|seen| seen.map(|seen| seen.clone())) {
        Ok(Ok(seen)) => seen,
        Ok(Err(ended)) => panic!("{what}: the relay has ended: {ended}"),
        Err(late) => panic!(
            "{what}: not within {BOUND:?}: {late}; {:?}",
            *level.borrow()
        ),
    }
}

/// Waits until the plant has accepted so many posts.
pub(crate) async fn accepted(plant: &BackendWorld, count: u64) {
    let accepted = tokio::time::timeout(BOUND, plant.wait_for(count));
    let accepted = accepted.await;
    assert!(accepted.is_ok(), "{count} accepted: {:?}", plant.tally());
}

/// Waits until so many posts came to the plant, however they were answered.
pub(crate) async fn attempted(plant: &BackendWorld, count: u64) {
    let attempted = plant.wait_until(|tally| tally.attempts >= count);
    let attempted = tokio::time::timeout(BOUND, attempted).await;
    assert!(attempted.is_ok(), "{count} attempts: {:?}", plant.tally());
}

/// The secret that the site gives the relay.
pub(crate) fn secret() -> WebhookSecret {
    WebhookSecret::parse(SECRET).unwrap()
}

/// A loopback port that is free.
pub(crate) fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The uuid of the inspection number `n`.
pub(crate) fn uuid(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// An inspection of a pump that the asset map knows as `P-101`.
pub(crate) fn inspection(n: usize) -> String {
    let (message, event) = (uuid(n + 500_000), uuid(n));
    format!(
        r#"{{"uuid":"{message}","type":"ACTION_COMPLETED","time":"2026-02-03T09:14:07.118Z","data":{{"uuid":"{event}","actionName":"P-101 motor DE","error":0}}}}"#
    )
}

/// A sample of what Orbit sends, as it lies in `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    std::fs::read(path.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

/// What the plant answers from now on.
pub(crate) fn answer(site: &Site, answer: PlantAnswer) {
    site.plant().set_answer(answer);
}

/// Whether a text is a time as RFC 3339 writes it.
pub(crate) fn is_a_time(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok()
}
