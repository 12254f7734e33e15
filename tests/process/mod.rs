//! The program as people run it: a process with flags, an environment, signals and a log.
//!
//! ```text
//! mod   homes (a directory of one's own), processes, the relay and what it answers
//! load  signed events, and a ledger of what was sent and acknowledged
//! ```
//!
//! # Invariants
//! - A process inherits no environment, works in a directory of its own, and listens on loopback.
//! - It is killed, by its own handle, when it is dropped.
//! - Every wait is for a level and has a bound; a wait that fails shows the process's log.
#![allow(dead_code, reason = "each test program uses its part")]
#![allow(
    unreachable_pub,
    reason = "a module of several test programs, each a crate"
)]

pub mod load;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::http::{self, Trust};
use orbit_relay::secret::WebhookSecret;
use orbit_relay::sim::backend::{Backend, BackendConfig, Tls};
use orbit_relay::sim::javascript;
use reqwest::Method;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

/// The webhook secret of every relay here that is not told otherwise.
pub const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Long enough for a debug build on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A working directory with a data directory in it.
pub struct Home {
    dir: TempDir,
    data: PathBuf,
}

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self { dir, data }
    }

    /// One whose data directory lies elsewhere.
    pub fn with_data(data: &Path) -> Self {
        Self {
            data: data.to_owned(),
            ..Self::new()
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Writes a file in the working directory.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program with these arguments and nothing in its environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orbit-relay"));
        command.args(arguments);
        self.settle(&mut command);
        command
    }

    /// Clears the environment but for the path, and sets the working directory.
    pub fn settle(&self, command: &mut Command) {
        let path = std::env::vars_os().find(|(name, _)| name == "PATH");
        command.env_clear().envs(path).current_dir(self.path());
    }

    /// A relay on loopback ports that the system chooses, with this home's data directory.
    pub fn relay(&self) -> Command {
        let data = self.data.to_str().unwrap();
        let mut command = self.command(&["--bind", "127.0.0.1", "--webhook-port", "0"]);
        command.args(["--ops-bind", "127.0.0.1:0", "--data-dir", data]);
        command
    }

    /// Such a relay with the secret of [`load::sign`] and an integration URL.
    pub fn relay_to(&self, integration_url: &str) -> Command {
        let mut command = self.relay();
        command.env("WEBHOOK_SECRET", SECRET);
        command.env("INTEGRATION_URL", integration_url);
        command
    }

    /// Runs a command on this home's data directory to its end.
    pub async fn ask(&self, arguments: &[&str]) -> Ended {
        let mut command = self.command(arguments);
        command.arg("--data-dir").arg(&self.data);
        end(command).await
    }

    /// `status --json`.
    pub async fn status(&self) -> Value {
        let ended = self.ask(&["status", "--json"]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        serde_json::from_str(&ended.out).unwrap()
    }
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// None when a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// Runs a command that ends by itself.
pub async fn end(command: Command) -> Ended {
    let mut process = Process::start(command);
    let code = process.ended(PATIENCE).await;
    let (out, err) = {
        let output = process.output.borrow();
        (output.of(Stream::Out), output.of(Stream::Err))
    };
    Ended { code, out, err }
}

/// A process and what it has written so far.
pub struct Process {
    child: Child,
    output: watch::Receiver<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

#[derive(Default)]
struct Output {
    lines: Vec<(Stream, String)>,
    closed: u8,
}

impl Output {
    fn of(&self, stream: Stream) -> String {
        let wanted = self.lines.iter().filter(|(of, _)| *of == stream);
        joined(wanted)
    }
}

fn joined<'a>(lines: impl Iterator<Item = &'a (Stream, String)>) -> String {
    lines.fold(String::new(), |text, (_, line)| text + line + "\n")
}

impl Process {
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (send, output) = watch::channel(Output::default());
        follow(child.stdout.take().unwrap(), Stream::Out, send.clone());
        follow(child.stderr.take().unwrap(), Stream::Err, send);
        Self { child, output }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All that it has written.
    pub fn text(&self) -> String {
        let output = self.output.borrow();
        joined(output.lines.iter())
    }

    /// How many lines hold this.
    pub fn count(&self, what: &str) -> usize {
        let output = self.output.borrow();
        let lines = output.lines.iter();
        lines.filter(|(_, line)| line.contains(what)).count()
    }

    /// Waits for a line that holds this.
    pub async fn line(&mut self, what: &str) -> String {
        self.lines(what, 1).await.remove(0)
    }

    /// Waits for so many lines that hold this.
    pub async fn lines(&mut self, what: &str, count: usize) -> Vec<String> {
        let mut output = self.output.clone();
        let found = |output: &Output| {
            let lines = output.lines.iter().map(|(_, line)| line);
            lines.filter(|line| line.contains(what)).count() >= count || output.closed == 2
        };
        let waited = tokio::time::timeout(PATIENCE, output.wait_for(found)).await;
        drop(waited);
        let output = self.output.borrow();
        let lines = output.lines.iter().map(|(_, line)| line.clone());
        let lines: Vec<_> = lines.filter(|line| line.contains(what)).collect();
        drop(output);
        assert!(
            lines.len() >= count,
            "no line with {what:?} in\n{}",
            self.text()
        );
        lines
    }

    /// Sends a signal, by its name without SIG.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success(), "{kill}");
    }

    /// Waits for its end and all that it wrote; gives its exit code.
    pub async fn ended(&mut self, within: Duration) -> Option<i32> {
        let mut output = self.output.clone();
        let closed = output.wait_for(|output| output.closed == 2);
        let closed = tokio::time::timeout(within, closed).await.is_ok();
        assert!(closed, "it did not end within {within:?}:\n{}", self.text());
        self.child.wait().unwrap().code()
    }

    /// kill -9, and its end.
    pub async fn kill(mut self) {
        self.child.kill().unwrap();
        self.ended(PATIENCE).await;
    }

    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The most memory that it has used, in KiB.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = peak.unwrap().trim().trim_end_matches(" kB");
        number.parse().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn follow(stream: impl Read + Send + 'static, which: Stream, send: watch::Sender<Output>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            send.send_modify(|output| output.lines.push((which, line)));
        }
        send.send_modify(|output| output.closed += 1);
    });
}

/// A relay that has said where it listens.
pub struct Relay {
    pub process: Process,
    /// The webhook port.
    pub at: SocketAddr,
    /// Health and metrics.
    pub ops: SocketAddr,
    web: Web,
}

impl Relay {
    pub async fn start(command: Command) -> Self {
        let mut process = Process::start(command);
        let line = process.line("events at http").await;
        let address = |before: &str| {
            let (_, rest) = line.split_once(before).unwrap();
            let (_, rest) = rest.split_once("://").unwrap();
            let (address, _) = rest.split_once('/').unwrap();
            address.parse().unwrap()
        };
        Self {
            at: address("events at http"),
            ops: address("health at http"),
            process,
            web: Web::new(),
        }
    }

    /// Starts one and waits until it takes events.
    pub async fn ready(command: Command) -> Self {
        let mut relay = Self::start(command).await;
        relay.until_ready(200).await;
        relay
    }

    /// Waits until `/readyz` answers so; gives its JSON.
    pub async fn until_ready(&mut self, status: u16) -> Value {
        let url = format!("http://{}/readyz", self.ops);
        let web = self.web.clone();
        let asking = async {
            loop {
                if let Ok(answer) = web.get(&url).await
                    && answer.status == status
                {
                    return serde_json::from_str(&answer.body).unwrap();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, asking).await;
        answered.unwrap_or_else(|_| panic!("/readyz is never {status}:\n{}", self.process.text()))
    }

    /// Posts an event as Orbit does.
    pub async fn post(&self, body: &[u8]) -> Answer {
        let posted = self.web.post_event(self.at, SECRET, body).await;
        posted.unwrap_or_else(|e| panic!("{e}:\n{}", self.process.text()))
    }

    pub async fn get_ops(&self, path: &str) -> Answer {
        let url = format!("http://{}{path}", self.ops);
        self.web.get(&url).await.unwrap()
    }

    /// SIGTERM, and its end.
    pub async fn stop(&mut self) -> Option<i32> {
        self.process.signal("TERM");
        self.process.ended(Duration::from_secs(10)).await
    }
}

/// What an HTTP server answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// An HTTP client that believes any certificate.
#[derive(Clone)]
pub struct Web(http::Client);

impl Web {
    pub fn new() -> Self {
        Self::patient(Duration::from_secs(20))
    }

    pub fn patient(timeout: Duration) -> Self {
        let config = http::Config {
            trust: Trust::Anything,
            certificate: None,
            timeout,
        };
        Self(http::Client::build(&config).unwrap())
    }

    pub async fn get(&self, url: &str) -> Result<Answer, reqwest::Error> {
        self.exchange(Method::GET, url, &[], Vec::new()).await
    }

    pub async fn post(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer, reqwest::Error> {
        self.exchange(Method::POST, url, headers, body).await
    }

    /// Posts an event signed with this secret.
    pub async fn post_event(
        &self,
        at: SocketAddr,
        secret: &str,
        body: &[u8],
    ) -> Result<Answer, reqwest::Error> {
        let signature = sign(secret, body);
        let headers = [
            ("content-type", "application/json"),
            ("orbit-signature", &signature),
        ];
        let url = format!("http://{at}/");
        self.post(&url, &headers, body.to_vec()).await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.0.request(method, url.parse().unwrap()).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let text = |value: &reqwest::header::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        let status = answer.status().as_u16();
        let headers = answer.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value)));
        Ok(Answer {
            status,
            headers: headers.collect(),
            body: answer.text().await?,
        })
    }
}

/// What Orbit would put into `Orbit-Signature` now.
pub fn sign(secret: &str, body: &[u8]) -> String {
    let secret = WebhookSecret::parse(secret).unwrap();
    let now = Clock::system().wall().as_millisecond();
    javascript::sign(&secret, now, body)
}

/// A simulated plant in this process.
pub async fn plant() -> Backend {
    let config = BackendConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        clock: Clock::system(),
        tls: Tls::Off,
    };
    Backend::start(config).await.unwrap()
}
