//! What came of the requests of a load generator.
//!
//! # Invariants
//! - A report is one line of JSON; times are of the measured window only.

use std::collections::BTreeMap;
use std::time::Duration;

use super::wire::percentile;

/// What came of it.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) statuses: BTreeMap<u16, u64>,
    pub(crate) errors: u64,
    pub(crate) last_error: Option<String>,
    /// Of those within the measured window, in order once the load is over.
    pub(crate) latencies_us: Vec<u32>,
}

impl Tally {
    pub(crate) fn error(&mut self, error: String) {
        self.errors += 1;
        self.last_error = Some(error);
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.errors += other.errors;
        self.last_error = other.last_error.or(self.last_error.take());
        self.latencies_us.extend(other.latencies_us);
    }

    pub(crate) fn report(&self, measured: Duration) -> serde_json::Value {
        let requests = self.latencies_us.len();
        let rate = f64::from(u32::try_from(requests).unwrap_or(u32::MAX)) / measured.as_secs_f64();
        let at = |percent| f64::from(percentile(&self.latencies_us, percent)) / 1e3;
        serde_json::json!({
            "requests": requests,
            "seconds": measured.as_secs_f64(),
            "rate_per_s": rate.round(),
            "p50_ms": at(50),
            "p99_ms": at(99),
            "max_ms": at(100),
            "statuses": self.statuses,
            "errors": self.errors,
            "last_error": self.last_error,
        })
    }
}
