//! `orders`: the orders that destinations made of alerts, and what Orbit was told of them.
//!
//! # Invariants
//! - What is shown is what the journal holds, beside a running relay and without one.

use std::process::ExitCode;

use clap::ArgMatches;
use serde::Serialize;

use super::{Outcome, print};
use crate::config::{Config, Input};
use crate::relay::journal::{OrderRow, Reader};

/// One order, for programs.
#[derive(Serialize)]
struct OrderJson<'a> {
    destination: &'a str,
    run_event: &'a str,
    seq: i64,
    title: Option<&'a str>,
    asset: Option<&'a str>,
    action: Option<&'a str>,
    state: &'static str,
    taken_at: String,
    poll_why: Option<&'a str>,
    closed_at: Option<String>,
    closed_by: Option<&'a str>,
    orbit_closed_at: Option<String>,
    orbit_why: Option<&'a str>,
}

impl<'a> OrderJson<'a> {
    fn new(order: &'a OrderRow) -> Self {
        Self {
            destination: &order.destination,
            run_event: &order.run_event,
            seq: order.seq,
            title: order.title.as_deref(),
            asset: order.asset.as_deref(),
            action: order.action.as_deref(),
            state: state(order),
            taken_at: order.taken_at.to_string(),
            poll_why: order.poll_why.as_deref(),
            closed_at: order.closed_at.map(|at| at.to_string()),
            closed_by: order.closed_by.as_deref(),
            orbit_closed_at: order.orbit_closed_at.map(|at| at.to_string()),
            orbit_why: order.orbit_why.as_deref(),
        }
    }
}

pub(super) fn list(input: &Input, matches: &ArgMatches) -> Outcome {
    let limit = matches.get_one::<u32>("limit").copied().unwrap_or(20);
    let orders = Reader::open(&Config::data_dir(input)?)?.orders(limit)?;
    let json = matches.get_flag("json");
    if orders.is_empty() && !json {
        print("no orders")?;
    }
    for order in &orders {
        if json {
            print(&serde_json::to_string(&OrderJson::new(order))?)?;
        } else {
            for line in lines(order) {
                print(&line)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The words of the metric.
fn state(order: &OrderRow) -> &'static str {
    match (order.closed_at, order.orbit_closed_at) {
        (None, _) => "open",
        (Some(_), None) => "closed",
        (Some(_), Some(_)) => "told",
    }
}

fn lines(order: &OrderRow) -> Vec<String> {
    let OrderRow {
        destination,
        run_event,
        seq,
        ..
    } = order;
    let title = order.title.as_deref().unwrap_or("(no name)");
    let mut lines = vec![format!(
        "{destination}:{seq} {}: {title} ({run_event}), taken {:.0}",
        state(order),
        order.taken_at
    )];
    if let Some(why) = &order.poll_why {
        lines.push(format!("  it cannot be asked for: {why}"));
    }
    if let (Some(at), Some(by)) = (order.closed_at, &order.closed_by) {
        lines.push(format!("  closed {at:.0}, known by {by}"));
    }
    match (order.orbit_closed_at, &order.orbit_why) {
        (Some(at), None) => lines.push(format!("  its anomaly in Orbit is closed since {at:.0}")),
        (Some(_), Some(why)) => lines.push(format!("  nothing to close: {why}")),
        (None, Some(why)) => lines.push(format!("  Orbit cannot be told: {why}")),
        (None, None) => {}
    }
    lines
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_order_says_how_far_it_is_and_why_not_further() {
        let at = Timestamp::from_second(1_770_000_000).unwrap();
        let open = OrderRow {
            destination: "cmms".into(),
            run_event: "r-1".into(),
            seq: 7,
            title: Some("P-101 motor DE".into()),
            asset: Some("PUMP-101".into()),
            action: Some("P-101 motor DE".into()),
            taken_at: at,
            poll_why: Some("it is not there: answered 404".into()),
            closed_at: None,
            closed_by: None,
            orbit_closed_at: None,
            orbit_why: None,
        };
        let closed = OrderRow {
            poll_why: None,
            closed_at: Some(at),
            closed_by: Some("hook".into()),
            orbit_why: Some("Orbit answered 503".into()),
            ..open.clone()
        };
        let told = OrderRow {
            orbit_closed_at: Some(at),
            orbit_why: None,
            ..closed.clone()
        };
        let all: Vec<_> = [open, closed, told].iter().flat_map(lines).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
