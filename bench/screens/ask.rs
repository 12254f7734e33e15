//! Asks for every screen, and says how long each lets wait for its first byte.
//!
//! # Invariants
//! - Whatever is not answered with 200 ends it.
//! - The time goes from before the connection until the first byte of the answer; the answer is read
//!   to its end.
//! - Screens take turns: what one leaves in a cache is there for the next round as in use.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use jiff::Timestamp;
use orbit_relay::clock::{Clock, until};
use orbit_relay::relay::journal::{EventsPage, Reader};
use url::form_urlencoded::Serializer;

use super::{fill, plant};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Also the password of the account.
const NAME: &str = "engineer-of-the-plant";
/// What is asked for beside the screens, as a measure of the machine.
const TRIVIAL: &str = "/healthz";

/// Makes an account, asks, and prints a table.
pub(super) fn ask(port: u16, data_dir: &Path, times: u32) -> anyhow::Result<()> {
    let mut asking = Asking {
        port,
        cookie: String::new(),
        clock: Clock::system(),
    };
    asking.enter(data_dir)?;
    let screens = screens(data_dir, asking.clock.wall())?;
    let mut taken: Vec<Vec<f64>> = screens.iter().map(|_| Vec::new()).collect();
    let mut bytes = vec![0; screens.len()];
    for _ in 0..times {
        let places = taken.iter_mut().zip(&mut bytes);
        for ((name, path), (taken, bytes)) in screens.iter().zip(places) {
            let answer = asking
                .get(path)
                .with_context(|| format!("{name}: {path}"))?;
            ensure!(answer.status == 200, "{name}: {path}: {}", answer.status);
            taken.push(1000.0 * answer.first_byte.as_secs_f64());
            *bytes = answer.text.len();
        }
    }
    print(&screens, taken, &bytes)
}

fn print(screens: &[(&str, String)], taken: Vec<Vec<f64>>, bytes: &[usize]) -> anyhow::Result<()> {
    let mut table = String::from(
        "| screen | median ms | worst ms | first ms | ÷ /healthz | bytes |\n|---|---|---|---|---|---|\n",
    );
    let mut trivial = None;
    for (((name, _), taken), bytes) in screens.iter().zip(taken).zip(bytes) {
        let first = taken.first().copied().unwrap_or_default();
        let mut sorted = taken;
        sorted.sort_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let worst = sorted.last().copied().unwrap_or_default();
        let ratio = median / *trivial.get_or_insert(median);
        writeln!(
            table,
            "| {name} | {median:.1} | {worst:.1} | {first:.1} | {ratio:.0} | {bytes} |"
        )?;
    }
    std::io::stdout().write_all(table.as_bytes())?;
    Ok(())
}

/// What is asked for, the measure first.
fn screens(data_dir: &Path, now: Timestamp) -> anyhow::Result<Vec<(&'static str, String)>> {
    let [robot, mission, action, asset] = plant::names();
    let newest = EventsPage {
        limit: 1,
        ..EventsPage::default()
    };
    let events = Reader::open(data_dir)?.events(&newest)?;
    let last = events.first().map_or(1, |event| event.seq);
    let [cmms, chat] = fill::DESTINATIONS;
    let ago = |days: i64| {
        let hours = jiff::SignedDuration::from_hours(24 * days);
        let at = now.checked_sub(hours).unwrap_or(now);
        format!("{at:.0}").trim_end_matches('Z').to_owned()
    };
    let found = |pairs: &[(&str, &str)]| {
        let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
        format!("/deliveries?{query}")
    };
    let of_asset = |days: &str| {
        let pairs = [("asset", &*asset), ("days", days)];
        let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
        format!("/assets/one?{query}")
    };
    let dead = ("state", "dead");
    Ok(vec![
        ("/healthz", TRIVIAL.to_owned()),
        ("Today", "/".to_owned()),
        ("Waiting for you", "/waiting".to_owned()),
        ("Deliveries", "/deliveries".to_owned()),
        ("… text pump", found(&[("text", "pump")])),
        (
            "… text bearing spot-3",
            found(&[("text", "bearing spot-3")]),
        ),
        ("… text that nothing has", found(&[("text", "turbine")])),
        ("… asset", found(&[("asset", &asset)])),
        ("… action", found(&[("action", &action)])),
        ("… mission", found(&[("mission", &mission)])),
        ("… robot", found(&[("robot", &robot)])),
        (
            "… robot and mission",
            found(&[("robot", &robot), ("mission", &mission)]),
        ),
        ("… destination", found(&[("destination", chat)])),
        ("… dead", found(&[dead])),
        ("… dead, asset", found(&[dead, ("asset", &asset)])),
        ("… dead, text pump", found(&[dead, ("text", "pump")])),
        (
            "… postponed, asset",
            found(&[("state", "postponed"), ("asset", &asset)]),
        ),
        (
            "… parked, robot",
            found(&[("state", "parked"), ("robot", &robot)]),
        ),
        (
            "… skipped, robot",
            found(&[("state", "skipped"), ("robot", &robot)]),
        ),
        (
            "… skipped, destination that skips none",
            found(&[("state", "skipped"), ("destination", cmms)]),
        ),
        ("… discarded", found(&[("state", "discarded")])),
        (
            "… a day a month ago",
            found(&[("since", &ago(31)), ("until", &ago(30))]),
        ),
        (
            "… dead, a week a month ago, robot",
            found(&[
                dead,
                ("since", &ago(37)),
                ("until", &ago(30)),
                ("robot", &robot),
            ]),
        ),
        ("a delivery", format!("/deliveries/{cmms}:{}", last / 2)),
        ("Assets", "/assets".to_owned()),
        ("an asset, a week", of_asset("7")),
        ("an asset, 90 days", of_asset("90")),
        ("an asset, all", of_asset("all")),
        ("asset map", "/assets/map".to_owned()),
        ("Setup", "/setup".to_owned()),
        ("… Orbit", "/setup/orbit".to_owned()),
        ("… webhook", "/setup/webhook".to_owned()),
        ("… destinations", "/setup/destinations".to_owned()),
        ("… a destination", format!("/setup/destinations/{cmms}")),
        ("Health", "/health".to_owned()),
        ("… log", "/health/log".to_owned()),
        ("Account", "/account".to_owned()),
        ("Accounts", "/accounts".to_owned()),
        ("Acts", "/acts".to_owned()),
    ])
}

struct Answer {
    status: u16,
    text: String,
    first_byte: Duration,
}

struct Asking {
    port: u16,
    cookie: String,
    clock: Clock,
}

impl Asking {
    /// The first account, by the set-up code.
    fn enter(&mut self, data_dir: &Path) -> anyhow::Result<()> {
        let code = std::fs::read_to_string(data_dir.join("page/setup-code"))?;
        let form = self.get("/setup-code")?;
        let csrf = form.text.split_once("csrf=").map(|(_, behind)| behind);
        let csrf = csrf.and_then(|behind| behind.split('"').next());
        let path = format!("/setup-code?csrf={}", csrf.context("no form")?);
        let fields = [
            ("code", code.trim()),
            ("name", "ann"),
            ("password", NAME),
            ("again", NAME),
        ];
        let body = Serializer::new(String::new()).extend_pairs(fields).finish();
        let answer = self.send("POST", &path, &body)?;
        ensure!(answer.status == 303, "the first account: {}", answer.status);
        Ok(())
    }

    fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, "")
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\
             cookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            self.port,
            self.cookie,
            body.len(),
        );
        let began = self.clock.steady();
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        stream.write_all(request.as_bytes())?;
        let mut bytes = vec![0; 1];
        stream.read_exact(&mut bytes)?;
        let first_byte = until(began, self.clock.steady());
        stream.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            bail!("no answer");
        };
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        for line in head.lines().skip(1) {
            let Some((name, value)) = line.split_once(": ") else {
                continue;
            };
            if name.eq_ignore_ascii_case("set-cookie")
                && let Some(pair) = value.split(';').next()
            {
                self.cookie = format!("{}; {pair}", self.cookie)
                    .trim_start_matches("; ")
                    .to_owned();
            }
        }
        Ok(Answer {
            status: status.context("no status")?,
            text: rest.to_owned(),
            first_byte,
        })
    }
}
