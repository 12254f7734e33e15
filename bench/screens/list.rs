//! What is asked for: every screen, the searches that cost most, and what a program asks for.
//!
//! # Invariants
//! - The measure of the machine stands first.
//! - What is asked for changes nothing.

use std::path::Path;

use jiff::Timestamp;
use orbit_relay::relay::journal::{EventsPage, Reader};
use url::form_urlencoded::Serializer;

use super::{fill, plant};

/// What is asked for beside the screens, as a measure of the machine.
const TRIVIAL: &str = "/healthz";
/// Where the API's calls begin.
pub(super) const API: &str = "/api/v1/";

/// What is asked for, each with its name.
pub(super) type Screens = Vec<(&'static str, String)>;

/// All of it.
pub(super) fn all(data_dir: &Path, now: Timestamp) -> anyhow::Result<Screens> {
    let newest = EventsPage {
        limit: 1,
        ..EventsPage::default()
    };
    let events = Reader::open(data_dir)?.events(&newest)?;
    let last = events.first().map_or(1, |event| event.seq);
    let mut all = vec![("/healthz", TRIVIAL.to_owned())];
    all.extend(screens(last));
    all.extend(searches(now, last));
    all.extend(calls(last));
    Ok(all)
}

fn asked(path: &str, pairs: &[(&str, &str)]) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}?{query}")
}

fn screens(last: i64) -> Screens {
    let [.., asset] = plant::names();
    let [cmms, _] = fill::DESTINATIONS;
    let of_asset = |days| asked("/assets/one", &[("asset", &*asset), ("days", days)]);
    let bulk = |act| {
        let which = [("act", act), ("state", "dead"), ("destination", cmms)];
        asked("/deliveries/bulk", &which)
    };
    vec![
        ("Today", "/".to_owned()),
        ("Waiting for you", "/waiting".to_owned()),
        ("Deliveries", "/deliveries".to_owned()),
        ("a delivery", format!("/deliveries/{cmms}:{}", last / 2)),
        (
            "a delivery that waits",
            format!("/deliveries/{cmms}:{last}"),
        ),
        ("replay all dead ones of one?", bulk("replay")),
        ("Assets", "/assets".to_owned()),
        ("… with 01 in the name", asked("/assets", &[("q", "01")])),
        ("an asset, a week", of_asset("7")),
        ("an asset, 90 days", of_asset("90")),
        ("an asset, all", of_asset("all")),
        ("asset map", "/assets/map".to_owned()),
        ("… a row", "/assets/map/row".to_owned()),
        ("… upload", "/assets/map/upload".to_owned()),
        ("… history", "/assets/map/history".to_owned()),
        ("… as a file", "/assets/map/file".to_owned()),
        ("Setup", "/setup".to_owned()),
        ("… Orbit", "/setup/orbit".to_owned()),
        ("… webhook", "/setup/webhook".to_owned()),
        ("… destinations", "/setup/destinations".to_owned()),
        ("… a destination", format!("/setup/destinations/{cmms}")),
        ("… export", "/setup/export.toml".to_owned()),
        ("… import", "/setup/import".to_owned()),
        ("Health", "/health".to_owned()),
        ("… log", "/health/log".to_owned()),
        ("Account", "/account".to_owned()),
        ("Accounts", "/accounts".to_owned()),
        ("Acts", "/acts".to_owned()),
    ]
}

fn searches(now: Timestamp, last: i64) -> Screens {
    let [robot, mission, action, asset] = plant::names();
    let [cmms, chat] = fill::DESTINATIONS;
    let ago = |days: i64| {
        let hours = jiff::SignedDuration::from_hours(24 * days);
        let at = now.checked_sub(hours).unwrap_or(now);
        format!("{at:.0}").trim_end_matches('Z').to_owned()
    };
    let found = |pairs: &[(&str, &str)]| asked("/deliveries", pairs);
    let (robot, asset) = (("robot", &*robot), ("asset", &*asset));
    let state = |state| ("state", state);
    let text = |text| ("text", text);
    let far = format!("{chat}:{}", last / 2);
    let (a_month_ago, a_day_on) = (ago(31), ago(30));
    vec![
        ("… far down", found(&[("before", &far)])),
        ("… text pump", found(&[text("pump")])),
        ("… text p", found(&[text("p")])),
        ("… text bearing spot-3", found(&[text("bearing spot-3")])),
        ("… text that nothing has", found(&[text("turbine")])),
        ("… text, half a uuid", found(&[text("9554-4a53")])),
        ("… asset", found(&[asset])),
        ("… action", found(&[("action", &action)])),
        ("… mission", found(&[("mission", &mission)])),
        ("… robot", found(&[robot])),
        (
            "… robot and mission",
            found(&[robot, ("mission", &mission)]),
        ),
        ("… destination", found(&[("destination", chat)])),
        ("… dead", found(&[state("dead")])),
        ("… dead, asset", found(&[state("dead"), asset])),
        ("… dead, text pump", found(&[state("dead"), text("pump")])),
        (
            "… dead, text that nothing has",
            found(&[state("dead"), text("turbine")]),
        ),
        ("… postponed, asset", found(&[state("postponed"), asset])),
        ("… parked, robot", found(&[state("parked"), robot])),
        ("… parked, asset", found(&[state("parked"), asset])),
        ("… pending, robot", found(&[state("pending"), robot])),
        ("… delivered", found(&[state("delivered")])),
        ("… skipped, robot", found(&[state("skipped"), robot])),
        (
            "… skipped, destination that skips none",
            found(&[state("skipped"), ("destination", cmms)]),
        ),
        ("… discarded", found(&[state("discarded")])),
        ("… discarded, robot", found(&[state("discarded"), robot])),
        (
            "… discarded, text p",
            found(&[state("discarded"), text("p")]),
        ),
        (
            "… a day a month ago",
            found(&[("since", &a_month_ago), ("until", &a_day_on)]),
        ),
        (
            "… a day a month ago, text pump",
            found(&[("since", &a_month_ago), ("until", &a_day_on), text("pump")]),
        ),
        (
            "… dead, a week a month ago, robot",
            found(&[
                state("dead"),
                ("since", &ago(37)),
                ("until", &a_day_on),
                robot,
            ]),
        ),
    ]
}

fn calls(last: i64) -> Screens {
    let [.., asset] = plant::names();
    let [cmms, _] = fill::DESTINATIONS;
    let call = |path: &str| format!("{API}{path}");
    vec![
        ("API: today", call("today")),
        ("API: waiting", call("waiting")),
        ("API: deliveries", call("deliveries")),
        (
            "API: deliveries, dead, asset",
            asked(&call("deliveries"), &[("state", "dead"), ("asset", &asset)]),
        ),
        (
            "API: a delivery",
            call(&format!("deliveries/{cmms}:{}", last / 2)),
        ),
        ("API: assets", call("assets")),
        (
            "API: an asset, all",
            asked(&call(&format!("assets/{asset}")), &[("days", "all")]),
        ),
        ("API: map", call("map")),
        ("API: map, rows", call("map/rows")),
        ("API: acts", call("acts")),
        ("API: health", call("health")),
        ("API: log", call("log")),
        ("API: report", call("report")),
        ("API: setup", call("setup")),
        ("API: settings", call("settings")),
        ("API: destinations", call("destinations")),
        ("API: accounts", call("accounts")),
        ("API: tokens", call("tokens")),
        ("API: webhook", call("webhook")),
    ]
}
