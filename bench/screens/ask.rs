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
use orbit_relay::clock::{Clock, until};
use url::form_urlencoded::Serializer;

use super::list::{self, API};

/// No answer takes longer.
const PATIENCE: Duration = Duration::from_mins(1);
/// Also the password of the account.
const NAME: &str = "engineer-of-the-plant";

/// Makes an account, asks, and prints a table.
pub(super) fn ask(port: u16, data_dir: &Path, times: u32) -> anyhow::Result<()> {
    let mut asking = Asking {
        port,
        cookie: String::new(),
        token: String::new(),
        clock: Clock::system(),
    };
    asking.enter(data_dir)?;
    asking.take_token()?;
    let screens = list::all(data_dir, asking.clock.wall())?;
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

struct Answer {
    status: u16,
    text: String,
    first_byte: Duration,
}

struct Asking {
    port: u16,
    cookie: String,
    /// For the API.
    token: String,
    clock: Clock,
}

impl Asking {
    /// The first account, by the set-up code.
    fn enter(&mut self, data_dir: &Path) -> anyhow::Result<()> {
        let code = std::fs::read_to_string(data_dir.join("page/setup-code"))?;
        let form = self.get("/setup-code")?;
        let path = format!("/setup-code?csrf={}", between(&form.text, "csrf=", "\"")?);
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

    /// An API token, as the page shows it once.
    fn take_token(&mut self) -> anyhow::Result<()> {
        let form = self.get("/accounts")?;
        let csrf = between(&form.text, "/accounts/tokens?csrf=", "\"")?;
        let path = format!("/accounts/tokens?csrf={csrf}");
        let answer = self.send("POST", &path, "name=bench&role=configure")?;
        ensure!(answer.status == 201, "an API token: {}", answer.status);
        let code = between(&answer.text, "<code", "</code>")?;
        code.rsplit('>')
            .next()
            .unwrap_or_default()
            .clone_into(&mut self.token);
        Ok(())
    }

    fn get(&mut self, path: &str) -> anyhow::Result<Answer> {
        self.send("GET", path, "")
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> anyhow::Result<Answer> {
        let who = if path.starts_with(API) {
            format!("authorization: Bearer {}", self.token)
        } else {
            format!("cookie: {}", self.cookie)
        };
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\
             {who}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\n\r\n{body}",
            self.port,
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
                let both = format!("{}; {pair}", self.cookie);
                both.trim_start_matches("; ").clone_into(&mut self.cookie);
            }
        }
        Ok(Answer {
            status: status.context("no status")?,
            text: rest.to_owned(),
            first_byte,
        })
    }
}

fn between(text: &str, from: &str, to: &str) -> anyhow::Result<String> {
    let (_, behind) = text.split_once(from).context("no form")?;
    Ok(behind.split(to).next().unwrap_or_default().to_owned())
}
