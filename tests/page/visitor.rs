//! A client as a browser without script: it keeps cookies, and fills in forms as they stand.
//!
//! # Invariants
//! - It sends what a browser sends: `Origin` and `Sec-Fetch-Site` with a form, cookies by name.
//! - Every exchange has a bound.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use orbit_relay::http::{self, Trust};
use reqwest::Method;
use url::form_urlencoded;

use crate::first::{NAME, PASSWORD, setup_code};
use crate::markup::{self, Form, Tag};
use crate::world::{Relay, Site};

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// Names in lower case, in order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Where it was asked.
    pub(crate) path: String,
}

impl Seen {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(found, _)| found == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// All tags of the HTML.
    pub(crate) fn tags(&self) -> Vec<Tag> {
        markup::tags(&self.body)
    }

    /// The form whose action begins so.
    pub(crate) fn form(&self, action: &str) -> Form {
        let forms = markup::forms(&self.body);
        let found = forms.iter().find(|form| form.action.starts_with(action));
        found
            .unwrap_or_else(|| panic!("no form for {action}: {forms:#?}: {}", self.body))
            .clone()
    }

    /// Fails unless the status is this.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:#?}");
        self
    }
}

/// Between the parts of a form with a file.
const EDGE: &str = "edge-of-a-part-that-is-in-no-test";

/// A file in a form.
pub(crate) struct File<'a> {
    pub(crate) field: &'a str,
    pub(crate) name: &'a str,
    pub(crate) content: &'a [u8],
}

/// Somebody with a browser.
pub(crate) struct Visitor {
    web: http::Client,
    origin: String,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Visitor {
    /// One who knows where the page is, and nothing else.
    pub(crate) fn new(ops: SocketAddr) -> Self {
        let config = http::Config {
            trust: Trust::Anything,
            certificate: None,
            timeout: Duration::from_secs(30),
        };
        Self {
            web: http::Client::build(&config).unwrap(),
            origin: format!("http://{ops}"),
            cookies: RefCell::default(),
        }
    }

    /// Who has just made the first account: logged in, with the role configure.
    pub(crate) async fn at_first(relay: &Relay, site: &Site) -> Self {
        let ann = Self::new(relay.ops);
        let code = setup_code(&site.data_dir());
        let fields = [
            ("code", &*code),
            ("name", NAME),
            ("password", PASSWORD),
            ("again", PASSWORD),
        ];
        let form = ann.see("/").await.is(200).form("/setup-code");
        ann.send(&form, &fields).await.is(303);
        assert!(ann.cookie("orbit_relay").is_some(), "there is a session");
        ann
    }

    /// Fills in the login; gives what comes of it, without going on.
    pub(crate) async fn log_in(&self, name: &str, password: &str) -> Seen {
        let form = self.see("/login").await.is(200).form("/login");
        let fields = [("name", name), ("password", password)];
        self.send(&form, &fields).await
    }

    /// Makes an API token of this role.
    pub(crate) async fn token(&self, name: &str, role: &str) -> String {
        let form = self.see("/accounts").await.is(200);
        let form = form.form("/accounts/tokens");
        let seen = self.send(&form, &[("name", name), ("role", role)]).await;
        let seen = seen.is(201);
        let tags = seen.tags();
        let code = tags.iter().find(|tag| tag.name == "code");
        code.unwrap_or_else(|| panic!("no token: {seen:?}"))
            .text
            .clone()
    }

    /// A cookie that he was given.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.borrow().get(name).cloned()
    }

    /// He has this cookie from now on.
    pub(crate) fn put_cookie(&self, name: &str, value: &str) {
        let mut cookies = self.cookies.borrow_mut();
        cookies.insert(name.to_owned(), value.to_owned());
    }

    /// Asks for a page, and goes nowhere else.
    pub(crate) async fn get(&self, path: &str) -> Seen {
        self.ask(Method::GET, path, &[], Vec::new()).await
    }

    /// Asks for a page, and goes where he is sent, a few times.
    pub(crate) async fn see(&self, path: &str) -> Seen {
        let seen = self.get(path).await;
        self.follow(seen).await
    }

    /// Goes where an answer sends him.
    pub(crate) async fn follow(&self, mut seen: Seen) -> Seen {
        for _ in 0..5 {
            let Some(to) = seen.header("location").map(str::to_owned) else {
                return seen;
            };
            seen = self.get(&to).await;
        }
        panic!("sent round and round: {seen:?}")
    }

    /// Opens a page, sends the form there whose action begins so with these fields filled in, and
    /// goes where that sends him.
    pub(crate) async fn submit(&self, path: &str, action: &str, fields: &[(&str, &str)]) -> Seen {
        let form = self.see(path).await.is(200).form(action);
        let seen = self.send(&form, fields).await;
        self.follow(seen).await
    }

    /// Sends a form with these fields filled in; a field that is not in it is refused by the test.
    pub(crate) async fn send(&self, form: &Form, fields: &[(&str, &str)]) -> Seen {
        let all = filled(form, fields);
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&all)
            .finish();
        let kind = "application/x-www-form-urlencoded";
        self.post(&form.action, kind, body.into_bytes()).await
    }

    /// Sends a form that brings a file along.
    pub(crate) async fn upload(
        &self,
        form: &Form,
        fields: &[(&str, &str)],
        file: File<'_>,
    ) -> Seen {
        assert!(form.is_multipart, "{form:?}");
        let fields = filled(form, fields).into_iter().map(|(name, value)| {
            format!(
                "--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            )
        });
        let head = format!(
            "--{EDGE}\r\nContent-Disposition: form-data; name=\"{}\"; filename=\"{}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n",
            file.field, file.name
        );
        let body = fields.chain([head]).collect::<Vec<_>>().concat();
        let end = format!("\r\n--{EDGE}--\r\n");
        let body = [body.as_bytes(), file.content, end.as_bytes()].concat();
        let kind = format!("multipart/form-data; boundary={EDGE}");
        self.post(&form.action, &kind, body).await
    }

    /// Posts anything as a form of the page's own would be.
    pub(crate) async fn post(&self, path: &str, kind: &str, body: Vec<u8>) -> Seen {
        let origin = self.origin.clone();
        let headers = [
            ("content-type", kind),
            ("origin", &origin),
            ("sec-fetch-site", "same-origin"),
        ];
        self.ask(Method::POST, path, &headers, body).await
    }

    /// Asks anything.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Seen {
        let url = format!("{}{path}", self.origin).parse().unwrap();
        let mut request = self.web.request(method, url).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let cookies = self.cookie_header();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies);
        }
        let answer = request.send().await.unwrap();
        let text = |value: &reqwest::header::HeaderValue| {
            String::from_utf8_lossy(value.as_bytes()).into_owned()
        };
        let headers = answer.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), text(value)));
        let headers: Vec<_> = headers.collect();
        self.keep(&headers);
        Seen {
            status: answer.status().as_u16(),
            headers,
            body: answer.text().await.unwrap(),
            path: path.to_owned(),
        }
    }

    /// The first piece of an answer that has no end, after this was done.
    pub(crate) async fn first_piece(&self, path: &str, done: impl Future<Output = ()>) -> String {
        let url = format!("{}{path}", self.origin).parse().unwrap();
        let request = self.web.request(Method::GET, url);
        let request = request.header("cookie", self.cookie_header());
        let mut answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        done.await;
        let piece = answer.chunk().await.unwrap().unwrap();
        String::from_utf8(piece.to_vec()).unwrap()
    }

    fn cookie_header(&self) -> String {
        let cookies = self.cookies.borrow();
        let pairs = cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// A cookie that is over at once is forgotten. One that may not go over plain HTTP is not kept
    /// there, as browsers do it.
    fn keep(&self, headers: &[(String, String)]) {
        let mut cookies = self.cookies.borrow_mut();
        for (_, cookie) in headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (pair, rest) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').unwrap();
            let rest = rest.to_lowercase();
            if rest.split(';').any(|word| word.trim() == "secure") {
                continue;
            }
            if rest.split(';').any(|word| word.trim() == "max-age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

/// What a form sends when these fields of it are filled in.
fn filled(form: &Form, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let mut all = form.fields.clone();
    for (name, value) in fields {
        all.retain(|(known, _)| known != name);
        all.push(((*name).to_owned(), (*value).to_owned()));
    }
    all
}

/// A server that answers a form with what it was sent, and knows whom it gave a cookie.
async fn toy() -> SocketAddr {
    use axum::Router;
    use axum::body::Bytes;
    use axum::http::{HeaderMap, StatusCode};
    use axum::response::Redirect;
    use axum::routing::{get, post};

    const FORMS: &str = "<form method=\"post\" action=\"/in?csrf=1\"><input name=\"a\" \
        value=\"b\"><input name=\"c\"></form><form method=\"post\" action=\"/up\" \
        enctype=\"multipart/form-data\"><input type=\"file\" name=\"f\"></form>";
    let echo = async |headers: HeaderMap, body: Bytes| {
        let of = |name: &str| {
            headers
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        let names = ["content-type", "origin", "sec-fetch-site", "cookie"];
        let body = String::from_utf8_lossy(&body).into_owned();
        format!("{}\n{body}", names.map(of).join("\n"))
    };
    let out = async || ([("set-cookie", "who=; Path=/; Max-Age=0")], StatusCode::OK);
    let enter = async || {
        let cookie = [("set-cookie", "who=ann; HttpOnly; Path=/")];
        (cookie, Redirect::to("/echo"))
    };
    let pages = Router::new()
        .route("/", get(async || FORMS))
        .route("/in", post(enter))
        .route("/echo", get(echo).post(echo))
        .route("/up", post(echo))
        .route("/out", get(out));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, pages).await });
    at
}

#[tokio::test]
async fn a_visitor_sends_forms_as_a_browser_and_keeps_cookies_until_they_are_over() {
    let at = toy().await;
    let visitor = Visitor::new(at);
    let seen = visitor.submit("/", "/in", &[("c", "d & e")]).await.is(200);
    assert_eq!((&*seen.path, &*seen.body), ("/echo", "\n\n\nwho=ann\n"));
    assert_eq!(visitor.cookie("who").as_deref(), Some("ann"));
    let mut form = visitor.get("/").await.form("/in");
    form.action = "/echo".to_owned();
    let seen = visitor.send(&form, &[("c", "d & e")]).await;
    let said = format!(
        "application/x-www-form-urlencoded\nhttp://{at}\nsame-origin\nwho=ann\na=b&c=d+%26+e"
    );
    assert_eq!(seen.body, said);
    let form = visitor.get("/").await.form("/up");
    let file = File {
        field: "f",
        name: "assets.csv",
        content: b"a,b\n",
    };
    let seen = visitor.upload(&form, &[("x", "y")], file).await;
    assert!(seen.body.contains("name=\"x\"\r\n\r\ny\r\n"), "{seen:?}");
    let part = "name=\"f\"; filename=\"assets.csv\"\r\nContent-Type: application/octet-stream\r\n\
                \r\na,b\n\r\n";
    assert!(seen.body.contains(part), "{seen:?}");
    visitor.get("/out").await.is(200);
    assert_eq!(visitor.cookie("who"), None);
    visitor.put_cookie("who", "eve");
    let seen = visitor.get("/echo").await;
    assert!(seen.body.contains("who=eve"), "{seen:?}");
}
