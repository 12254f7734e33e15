//! The values that the relay counts. How they are rendered is the affair of `ops::prometheus`.
//!
//! # Invariants
//! - A label's value comes from a fixed list or from the configuration, never from a sender.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    Gauge, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    core::Collector,
};

/// All values, shared by all parts.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: RequestCounters,
    work_orders: IntGaugeVec,
    attempts: IntCounterVec,
    deliveries: IntGaugeVec,
    kept: IntGaugeVec,
    oldest_undelivered: IntGaugeVec,
    circuit_open: IntGaugeVec,
    paused: IntGaugeVec,
    removed: IntGaugeVec,
    last_event: IntGauge,
    orbit: OrbitGauges,
    journal_bytes: IntGauge,
    journal_limit_bytes: IntGauge,
    disk_free_bytes: IntGauge,
    part_well: IntGaugeVec,
    body_bytes: IntGauge,
    delivery_seconds: HistogramVec,
    attempt_seconds: HistogramVec,
    rejected: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// How one destination stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct DestinationLevels {
    /// Events that wait for a person to ask for them.
    pub kept: u64,
    /// How old the oldest event is that it still waits for; zero when there is none.
    pub oldest_undelivered: Duration,
    /// Whether only probes go out.
    pub circuit_open: bool,
    /// Whether nothing goes out until it is resumed.
    pub paused: bool,
    /// Whether it is no longer configured.
    pub removed: bool,
}

/// How the journal stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct JournalLevels {
    /// What it takes.
    pub bytes: u64,
    /// What it may take.
    pub limit_bytes: u64,
    /// What is free on its disk, where that is known.
    pub disk_free_bytes: Option<u64>,
    /// When the last event of Orbit came, in seconds since 1970.
    pub last_event_at: Option<i64>,
}

/// What is known of Orbit.
#[derive(Clone, Copy, Debug, Default)]
pub struct OrbitLevels {
    /// When it last answered about our webhook, in seconds since 1970.
    pub reconciled_at: Option<i64>,
    /// Events that were found there, ever.
    pub backfilled: u64,
    /// When it was last looked through, in seconds since 1970.
    pub looked_at: Option<i64>,
    /// All that it stored before then was looked at.
    pub cursor: Option<i64>,
    /// By how many milliseconds its clock is ahead of ours.
    pub skew_ms: Option<i64>,
}

impl Metrics {
    /// All values at zero.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(
                &registry,
                IntCounterVec::new(Opts::new(name, help), labels)?,
            )
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntGaugeVec::new(Opts::new(name, help), labels)?)
        };
        let by_destination = |name: &str, help: &str| gauges(name, help, &["destination"]);
        let gauge = |name: &str, help: &str| register(&registry, IntGauge::new(name, help)?);
        let histograms = |name: &str, help: &str, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            register(&registry, HistogramVec::new(options, &["destination"])?)
        };
        build_info(&registry)?;
        Ok(Self {
            requests: RequestCounters::new(&registry)?,
            work_orders: gauges(
                "orbit_relay_work_orders",
                "Orders that destinations made of alerts, by how far they are.",
                &["destination", "state"],
            )?,
            attempts: counters(
                "orbit_relay_delivery_attempts_total",
                "Tries to deliver, since start, by how they ended.",
                &["destination", "outcome"],
            )?,
            deliveries: gauges(
                "orbit_relay_deliveries",
                "Deliveries in the journal by state.",
                &["destination", "state"],
            )?,
            kept: gauges(
                "orbit_relay_events_kept",
                "Events that came while the destination was not configured.",
                &["destination"],
            )?,
            oldest_undelivered: by_destination(
                "orbit_relay_oldest_undelivered_seconds",
                "Age of the oldest event that the destination still waits for.",
            )?,
            circuit_open: by_destination(
                "orbit_relay_circuit_open",
                "1 while the destination is down: only probes go out.",
            )?,
            paused: by_destination(
                "orbit_relay_destination_paused",
                "1 while the destination is paused: nothing goes out.",
            )?,
            removed: by_destination(
                "orbit_relay_destination_removed",
                "1 for a destination that is no longer configured.",
            )?,
            last_event: gauge(
                "orbit_relay_last_event_timestamp_seconds",
                "When the last event of Orbit came, in seconds since 1970; 0 if none.",
            )?,
            orbit: OrbitGauges::new(&registry)?,
            journal_bytes: gauge("orbit_relay_journal_bytes", "Bytes that the journal takes.")?,
            journal_limit_bytes: gauge(
                "orbit_relay_journal_limit_bytes",
                "Bytes that the journal may take.",
            )?,
            disk_free_bytes: gauge(
                "orbit_relay_disk_free_bytes",
                "Bytes that are free on the disk of the journal; 0 if that is not known.",
            )?,
            part_well: gauges(
                "orbit_relay_part_well",
                "1 when the part works, as /readyz says it in words.",
                &["part"],
            )?,
            body_bytes: gauge(
                "orbit_relay_body_bytes",
                "Bytes of request bodies in flight.",
            )?,
            delivery_seconds: histograms(
                "orbit_relay_delivery_seconds",
                "Time from receipt to delivery.",
                &[0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0, 86400.0],
            )?,
            attempt_seconds: histograms(
                "orbit_relay_delivery_attempt_seconds",
                "Time that one try took.",
                &[0.001, 0.002, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0],
            )?,
            rejected: Arc::default(),
            registry,
        })
    }

    /// What to render.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Counts a request that was answered 200.
    pub fn count_taken(&self, outcome: &'static str) {
        self.requests.all.with_label_values(&[outcome, ""]).inc();
    }

    /// Counts a request that was refused.
    pub fn count_rejected(&self, reason: &'static str) {
        let counter = &self.requests.all;
        counter.with_label_values(&["rejected", reason]).inc();
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        *rejected.entry(reason.to_owned()).or_insert(0) += 1;
    }

    /// Counts a request at the path of a source besides Orbit, which is counted as all are.
    pub fn count_source(&self, source: &str, outcome: &'static str) {
        self.requests
            .of_sources
            .with_label_values(&[source, outcome])
            .inc();
    }

    /// Counts a request that said or tried to say that an order is closed.
    pub fn count_closed(&self, outcome: &'static str) {
        self.requests.closed.with_label_values(&[outcome]).inc();
    }

    /// Notes how many orders are so far.
    pub fn set_work_orders(&self, destination: &str, state: &'static str, n: u64) {
        self.work_orders
            .with_label_values(&[destination, state])
            .set(signed(n));
    }

    /// Takes the refused requests that the journal has not counted yet.
    pub fn take_rejected(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut *self.rejected.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Gives back what the journal could not count.
    pub fn give_back_rejected(&self, by_reason: BTreeMap<String, u64>) {
        let mut rejected = self.rejected.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, n) in by_reason {
            *rejected.entry(reason).or_insert(0) += n;
        }
    }

    /// Counts one try, and how long it took.
    pub fn count_attempt(&self, destination: &str, outcome: &'static str, took: Duration) {
        self.attempts
            .with_label_values(&[destination, outcome])
            .inc();
        self.attempt_seconds
            .with_label_values(&[destination])
            .observe(took.as_secs_f64());
    }

    /// Notes how long an event took from receipt to delivery.
    pub fn observe_delivery(&self, destination: &str, took: Duration) {
        self.delivery_seconds
            .with_label_values(&[destination])
            .observe(took.as_secs_f64());
    }

    /// Notes how many deliveries are in a state.
    pub fn set_deliveries(&self, destination: &str, state: &'static str, n: u64) {
        self.deliveries
            .with_label_values(&[destination, state])
            .set(signed(n));
    }

    /// Notes how a destination stands.
    pub fn set_destination(&self, destination: &str, levels: &DestinationLevels) {
        let oldest = levels.oldest_undelivered.as_secs();
        for (gauge, n) in [
            (&self.kept, signed(levels.kept)),
            (&self.oldest_undelivered, signed(oldest)),
            (&self.circuit_open, i64::from(levels.circuit_open)),
            (&self.paused, i64::from(levels.paused)),
            (&self.removed, i64::from(levels.removed)),
        ] {
            gauge.with_label_values(&[destination]).set(n);
        }
    }

    /// Notes how the journal stands.
    pub fn set_journal(&self, levels: &JournalLevels) {
        self.journal_bytes.set(signed(levels.bytes));
        self.journal_limit_bytes.set(signed(levels.limit_bytes));
        self.disk_free_bytes
            .set(levels.disk_free_bytes.map_or(0, signed));
        self.last_event.set(levels.last_event_at.unwrap_or(0));
    }

    /// Notes what is known of Orbit.
    pub fn set_orbit(&self, levels: &OrbitLevels) {
        let gauges = &self.orbit;
        gauges.last_reconcile.set(levels.reconciled_at.unwrap_or(0));
        gauges.backfilled.set(signed(levels.backfilled));
        gauges.looked.set(levels.looked_at.unwrap_or(0));
        gauges.cursor.set(levels.cursor.unwrap_or(0));
        let skew = jiff::SignedDuration::from_millis(levels.skew_ms.unwrap_or(0));
        gauges.skew.set(skew.as_secs_f64());
    }

    /// Notes whether a part works.
    pub fn set_part(&self, part: &'static str, well: bool) {
        self.part_well
            .with_label_values(&[part])
            .set(i64::from(well));
    }

    /// Notes that bytes of a body are held (or, negative, no longer held).
    pub fn add_body_bytes(&self, bytes: i64) {
        self.body_bytes.add(bytes);
    }
}

/// Requests at the webhook port.
#[derive(Clone, Debug)]
struct RequestCounters {
    all: IntCounterVec,
    of_sources: IntCounterVec,
    closed: IntCounterVec,
}

impl RequestCounters {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        Ok(Self {
            all: counters(
                "orbit_relay_requests_total",
                "Requests that brought an event or tried to, since start.",
                &["outcome", "reason"],
            )?,
            of_sources: counters(
                "orbit_relay_source_requests_total",
                "Requests at the paths of other sources than Orbit, since start.",
                &["source", "outcome"],
            )?,
            closed: counters(
                "orbit_relay_closed_requests_total",
                "Requests that said or tried to say that an order is closed, since start.",
                &["outcome"],
            )?,
        })
    }
}

/// What is known of Orbit, as it is rendered.
#[derive(Clone, Debug)]
struct OrbitGauges {
    last_reconcile: IntGauge,
    backfilled: IntGauge,
    looked: IntGauge,
    cursor: IntGauge,
    skew: Gauge,
}

impl OrbitGauges {
    fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(Self {
            last_reconcile: gauge(
                "orbit_relay_last_reconcile_timestamp_seconds",
                "When Orbit was last asked about our webhook and answered, in seconds since 1970; 0 \
                 if it was not since the start.",
            )?,
            backfilled: gauge(
                "orbit_relay_events_backfilled",
                "Accepted events that backfill found in Orbit, ever.",
            )?,
            looked: gauge(
                "orbit_relay_backfill_last_timestamp_seconds",
                "When Orbit was last looked through to the end, in seconds since 1970; 0 if never.",
            )?,
            cursor: gauge(
                "orbit_relay_backfill_cursor_timestamp_seconds",
                "All that Orbit stored before then was looked at, on its clock; 0 if nothing was.",
            )?,
            skew: register(
                registry,
                Gauge::new(
                    "orbit_relay_orbit_clock_skew_seconds",
                    "By how much Orbit's clock is ahead of ours; 0 if that is not known.",
                )?,
            )?,
        })
    }
}

fn build_info(registry: &Registry) -> Result<(), prometheus::Error> {
    let options = Opts::new("orbit_relay_build_info", "Always 1; the version.");
    let build = register(registry, IntGaugeVec::new(options, &["version"])?)?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    Ok(())
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    value: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(value.clone()))?;
    Ok(value)
}
