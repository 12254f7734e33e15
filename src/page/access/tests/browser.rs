//! A browser, as far as access goes: it keeps cookies, sends forms, and says where they come from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::form_urlencoded::Serializer;

use super::BOUND;
use crate::clock::Hand;

const MINUTE: Duration = Duration::from_mins(1);

#[derive(Clone)]
pub(super) struct Browser {
    at: SocketAddr,
    pub(super) cookies: BTreeMap<String, String>,
    /// What it sends with every request.
    pub(super) headers: Vec<(&'static str, String)>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

/// An open screen's ear.
pub(super) struct Listening {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Listening {
    /// Until this was heard, or nothing more comes; gives which. Minutes pass meanwhile.
    async fn until(&mut self, wanted: &[u8], hand: Option<&Hand>) -> bool {
        let hearing = async {
            while !self.heard.windows(wanted.len()).any(|part| part == wanted) {
                let read = self.stream.read_buf(&mut self.heard);
                match tokio::time::timeout(Duration::from_millis(20), read).await {
                    Ok(Ok(0)) => return false,
                    Ok(read) => drop(read.unwrap()),
                    Err(_) => hand.into_iter().for_each(|hand| hand.advance(MINUTE)),
                }
            }
            true
        };
        tokio::time::timeout(BOUND, hearing).await.unwrap()
    }

    /// Whether it is told of a change, and does not end.
    pub(super) async fn goes_on(&mut self, hand: &Hand) -> bool {
        self.until(b"event: changed", Some(hand)).await
    }

    /// Whether it ends.
    pub(super) async fn ends(&mut self, hand: &Hand) -> bool {
        !self.until(b"no such word", Some(hand)).await
    }
}

impl Answer {
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).collect()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// Where it sends the browser.
    #[track_caller]
    pub(super) fn goes_to(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.body);
        self.header("location").unwrap()
    }

    /// The address of the form that is sent there, with its code.
    #[track_caller]
    pub(super) fn form(&self, action: &str) -> String {
        let start = format!("action=\"{action}?csrf=");
        let (_, rest) = self.body.split_once(&start).unwrap_or_else(|| {
            panic!("{}: no form for {action} in {}", self.status, self.body);
        });
        let (code, _) = rest.split_once('"').unwrap();
        format!("{action}?csrf={code}")
    }
}

impl Browser {
    pub(super) fn new(at: SocketAddr) -> Self {
        Self {
            at,
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    /// It is the same page, at another port.
    pub(super) fn move_to(&mut self, at: SocketAddr) {
        self.at = at;
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, None).await
    }

    pub(super) async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Answer {
        let mut body = Serializer::new(String::new());
        body.extend_pairs(form);
        self.ask("POST", path, Some(body.finish())).await
    }

    /// Loads a screen and sends its form.
    pub(super) async fn fill(&mut self, at: &str, to: &str, form: &[(&str, &str)]) -> Answer {
        let action = self.get(at).await.form(to);
        self.post(&action, form).await
    }

    pub(super) async fn log_in(&mut self, name: &str, password: &str) -> Answer {
        let form = [("name", name), ("password", password)];
        self.fill("/login", "/login", &form).await
    }

    /// Listens to what open screens are told.
    pub(super) async fn listen(&self) -> Listening {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        let asking = self.head("GET", "/live");
        stream.write_all(asking.as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        let heard = Vec::new();
        let mut listening = Listening { stream, heard };
        assert!(listening.until(b"\r\n\r\n", None).await);
        assert!(listening.heard.starts_with(b"HTTP/1.1 200 "));
        listening
    }

    pub(super) async fn ask(&mut self, method: &str, path: &str, body: Option<String>) -> Answer {
        use std::fmt::Write as _;

        let mut head = self.head(method, path);
        let body = body.unwrap_or_default();
        let form = "Content-Type: application/x-www-form-urlencoded";
        write!(
            head,
            "{form}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let exchange = async {
            let mut stream = TcpStream::connect(self.at).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            String::from_utf8(bytes).unwrap()
        };
        let text = tokio::time::timeout(BOUND, exchange).await.unwrap();
        let answer = read(&text);
        self.keep(&answer);
        answer
    }

    /// What stands at the beginning of every request.
    fn head(&self, method: &str, path: &str) -> String {
        use std::fmt::Write as _;

        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: hub.example:22001\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter().map(|(k, v)| format!("{k}={v}"));
            let pairs = pairs.collect::<Vec<_>>().join("; ");
            write!(head, "Cookie: theirs=1; {pairs}\r\n").unwrap();
        }
        head
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            let (pair, attributes) = line.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn read(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_ascii_lowercase(), value.to_owned())
    });
    Answer {
        status: status.parse().unwrap(),
        headers: headers.collect(),
        body: body.to_owned(),
    }
}
