//! What the page saves is taken by the process that runs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use orbit_relay::http::{self, Trust};
use orbit_relay::sim::random::Random;
use reqwest::Method;
use tokio_util::sync::CancellationToken;
use url::form_urlencoded;

use crate::markup;
use crate::process::load::event;
use crate::process::{Home, PATIENCE, Relay, SECRET, Web, plant};

const GOES_ON: &str = "saved on the page: finishing what is under way, to go on with it";
const BEGINS: &str = "orbit-relay 0";

/// Somebody with a browser without script.
struct Visitor {
    web: http::Client,
    origin: String,
    cookies: RefCell<BTreeMap<String, String>>,
}

impl Visitor {
    /// Who makes the first account of a relay.
    async fn at_first(relay: &Relay, data: &Path) -> Self {
        let config = http::Config {
            trust: Trust::Anything,
            certificate: None,
            timeout: PATIENCE,
        };
        let ann = Self {
            web: http::Client::build(&config).unwrap(),
            origin: format!("http://{}", relay.ops),
            cookies: RefCell::default(),
        };
        let code = std::fs::read_to_string(data.join("page/setup-code")).unwrap();
        let fields = [
            ("code", code.trim()),
            ("name", "ann"),
            ("password", "what only ann knows"),
            ("again", "what only ann knows"),
        ];
        ann.fill("/setup-code", "/setup-code", &fields).await;
        ann
    }

    /// Opens a screen, fills in the form there of this action, and sends it.
    async fn fill(&self, path: &str, action: &str, fields: &[(&str, &str)]) {
        let (status, screen) = self.ask(Method::GET, path, String::new()).await;
        assert_eq!(status, 200, "{path}: {screen}");
        let forms = markup::forms(&screen);
        let mut forms = forms.into_iter();
        let form = forms.find(|form| form.action.split('?').next() == Some(action));
        let form = form.unwrap_or_else(|| panic!("no form for {action}: {screen}"));
        let mut all = form.fields;
        for (name, value) in fields {
            all.retain(|(known, _)| known != name);
            all.push(((*name).to_owned(), (*value).to_owned()));
        }
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&all)
            .finish();
        let (status, said) = self.ask(Method::POST, &form.action, body).await;
        assert_eq!(status, 303, "{action}: {said}");
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> (u16, String) {
        let cookies: Vec<_> = {
            let cookies = self.cookies.borrow();
            let pairs = cookies.iter();
            pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        let url = format!("{}{path}", self.origin).parse().unwrap();
        let request = self.web.request(method, url).body(body);
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("origin", &self.origin)
            .header("sec-fetch-site", "same-origin")
            .header("cookie", cookies.join("; "));
        let answer = request.send().await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (pair, _) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.borrow_mut();
            cookies.insert(name.to_owned(), value.to_owned());
        }
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

async fn relay(home: &Home) -> Relay {
    let mut command = home.relay();
    command.env("WEBHOOK_SECRET", SECRET);
    Relay::ready(command).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_page_saves_is_taken_by_the_same_process_and_the_webhook_port_stays_open() {
    let (home, plant) = (Home::new(), plant().await);
    let mut relay = relay(&home).await;
    let ann = Visitor::at_first(&relay, home.data()).await;
    let pid = relay.process.pid();
    let (stop, at) = (CancellationToken::new(), relay.at);
    let sending = {
        let stop = stop.clone();
        tokio::spawn(async move {
            let mut random = Random::new(1);
            let mut answers = BTreeMap::<String, usize>::new();
            while !stop.is_cancelled() {
                let uuid = random.uuid();
                let body = event(&mut random, &uuid, 300);
                // Each time over a new connection.
                let said = match Web::new().post_event(at, SECRET, &body).await {
                    Ok(answer) => answer.status.to_string(),
                    Err(error) if error.is_connect() => format!("not connected: {error:?}"),
                    // Cut off in the moment in which it was connected: sent again, then.
                    Err(_) => "none".to_owned(),
                };
                *answers.entry(said).or_default() += 1;
            }
            answers
        })
    };
    let fields = [("name", "cmms"), ("url", &*plant.url())];
    ann.fill("/setup/add", "/setup/destinations", &fields).await;
    relay.process.line(GOES_ON).await;
    relay.process.lines(BEGINS, 2).await;
    // What comes from here on is for the new destination.
    plant.world().wait_for(20).await;
    stop.cancel();
    let answers = sending.await.unwrap();
    // Until the journal is open again it is 503, as at each start: the sender comes again.
    let mut said = answers.keys().map(String::as_str);
    let refused = said.find(|said| !["200", "503", "none"].contains(said));
    assert_eq!(refused, None, "{answers:?}: {}", relay.process.text());
    assert!(relay.process.is_alive() && relay.process.pid() == pid);
    let (status, screen) = ann
        .ask(Method::GET, "/setup/destinations", String::new())
        .await;
    assert!(
        status == 200 && screen.contains("cmms"),
        "the session goes on: {screen}"
    );
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_right_after_a_save_ends_it_with_0_and_what_was_saved_counts_next_time() {
    let home = Home::new();
    let mut relay = relay(&home).await;
    let ann = Visitor::at_first(&relay, home.data()).await;
    ann.fill("/setup/webhook", "/setup/webhook", &[("manage", "observe")])
        .await;
    assert_eq!(relay.stop().await, Some(0), "{}", relay.process.text());
    let mut relay = self::relay(&home).await;
    let line = relay.process.line("setting manage = ").await;
    assert!(line.contains("observe") && line.contains("page"), "{line}");
    assert_eq!(relay.stop().await, Some(0));
}
