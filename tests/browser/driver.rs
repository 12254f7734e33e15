//! A headless Chromium, driven by chromedriver in the words of the `WebDriver` standard.
//!
//! # Invariants
//! - It reaches this machine only: every other name and address is unknown to it.
//! - It has a directory of its own, and ends with its [`Browser`], also when a test fails.
//! - Every wait is for a level and has a bound; one that fails says what the page shows instead.
//! - An act on an element finds it anew: a page that replaces its live parts breaks no test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orbit_relay::http::{self, Trust};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A level that does not come within this does not come.
pub(crate) const BOUND: Duration = Duration::from_secs(20);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// What `WebDriver` calls the member that holds an element's id.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Keys that have no character, for [`Browser::press`].
pub(crate) mod key {
    pub(crate) const TAB: &str = "\u{e004}";
    pub(crate) const ENTER: &str = "\u{e007}";
}

/// Colours that the person prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Light,
    Dark,
}

impl Scheme {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }
}

/// What the page is looked at with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    /// A desk's screen.
    Wide,
    /// A phone.
    Narrow,
    /// A screen on the wall.
    Wall,
}

impl Size {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
            Self::Wall => "wall",
        }
    }

    /// Width and height.
    pub(crate) fn pixels(self) -> (u32, u32) {
        match self {
            Self::Wide => (1280, 800),
            Self::Narrow => (390, 844),
            Self::Wall => (1920, 1080),
        }
    }
}

/// A line of the browser's console: what scripts say, what could not be loaded or was refused.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    /// `SEVERE` for what went wrong.
    pub(crate) level: String,
    pub(crate) text: String,
}

/// Why the driver did not do something.
#[derive(Clone, Debug)]
struct Refused {
    /// The standard's name for it.
    kind: String,
    text: String,
}

impl Refused {
    /// Whether it may be otherwise when the page has done its part.
    fn passes(&self) -> bool {
        [
            "no such element",
            "no such frame",
            "stale element reference",
            "element click intercepted",
            "element not interactable",
            "invalid element state",
        ]
        .contains(&self.kind.as_str())
    }
}

/// A browser with one window.
pub(crate) struct Browser {
    driver: Child,
    at: SocketAddr,
    session: String,
    web: http::Client,
    asked: Mutex<Vec<String>>,
    // Removed when the browser has ended.
    dir: TempDir,
}

impl Browser {
    /// Starts one: wide, light, in English, in Berlin's time.
    pub(crate) async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is there: apt-get install chromium chromium-driver");
        let at = port_of(driver.stdout.as_mut().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let web = http::Client::build(&http::Config {
            trust: Trust::Anything,
            certificate: None,
            timeout: Duration::from_mins(1),
        });
        let mut browser = Self {
            driver,
            at,
            session: String::new(),
            web: web.unwrap(),
            asked: Mutex::default(),
            dir,
        };
        let wanted = json!({"capabilities": {"alwaysMatch": browser.capabilities()}});
        let begun = browser.call(Method::POST, "/session", &wanted).await;
        let begun = begun.unwrap_or_else(|e| panic!("no browser: {e:?}"));
        browser.session = begun["sessionId"].as_str().unwrap().to_owned();
        browser.look(Size::Wide, Scheme::Light).await;
        let zone = json!({"timezoneId": "Europe/Berlin"});
        browser.cdp("Emulation.setTimezoneOverride", zone).await;
        let english = json!({"locale": "en-GB"});
        browser.cdp("Emulation.setLocaleOverride", english).await;
        browser
    }

    fn capabilities(&self) -> Value {
        let own = format!("--user-data-dir={}", self.own_directory().display());
        let arguments = [
            "--headless=new",
            // As root, and in a container with a small /dev/shm.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--no-first-run",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            own.as_str(),
        ];
        json!({
            "browserName": "chrome",
            // The simulated Orbit's certificate; nobody but this machine can be reached.
            "acceptInsecureCerts": true,
            "timeouts": {"script": 60_000, "pageLoad": 30_000, "implicit": 0},
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        })
    }

    /// What it writes is in there.
    pub(crate) fn own_directory(&self) -> &Path {
        self.dir.path()
    }

    /// Opens a page, and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url})).await;
    }

    /// Loads the page anew.
    pub(crate) async fn reload(&self) {
        self.post("/refresh", &json!({})).await;
    }

    /// Where the window is, whatever its frames show.
    pub(crate) async fn url(&self) -> String {
        text(&self.get("/url").await)
    }

    /// The title of the window's page.
    pub(crate) async fn title(&self) -> String {
        text(&self.get("/title").await)
    }

    /// The HTML as it is now, after all that scripts did.
    pub(crate) async fn html(&self) -> String {
        text(&self.get("/source").await)
    }

    /// All that follows is about the page in this frame.
    pub(crate) async fn enter_frame(&self, css: &str) {
        let enter = async |id: String| {
            let frame = json!({"id": {ELEMENT: id}});
            self.post_or("/frame", &frame).await
        };
        self.soon(css, enter).await;
    }

    /// All that follows is about the window's own page again.
    pub(crate) async fn leave_frames(&self) {
        self.post("/frame", &json!({"id": null})).await;
    }

    /// Waits until there is such an element.
    pub(crate) async fn until_there_is(&self, css: &str) {
        self.soon(css, async |_| Ok(Value::Null)).await;
    }

    /// Waits until there is no such element.
    pub(crate) async fn until_there_is_no(&self, css: &str) {
        self.until(&format!("no {css}"), async || self.count(css).await == 0)
            .await;
    }

    /// How many such elements there are now.
    pub(crate) async fn count(&self, css: &str) -> usize {
        let by = json!({"using": "css selector", "value": css});
        let all = self.post("/elements", &by).await;
        all.as_array().unwrap().len()
    }

    /// Waits until such an element shows this text; gives all that it shows.
    pub(crate) async fn until_text(&self, css: &str, wanted: &str) -> String {
        let there = async || {
            let texts = self.texts(css).await;
            texts.into_iter().find(|text| text.contains(wanted))
        };
        let what = format!("{css} with {wanted:?}");
        self.until_some(&what, there).await
    }

    /// What the first such element shows.
    pub(crate) async fn text(&self, css: &str) -> String {
        let read = async |id: String| self.of_element(&id, "text").await;
        text(&self.soon(css, read).await)
    }

    /// What all such elements show now.
    pub(crate) async fn texts(&self, css: &str) -> Vec<String> {
        let all = "return Array.from(document.querySelectorAll(arguments[0]), e => e.innerText)";
        let all = self.run(all, json!([css])).await;
        serde_json::from_value(all).unwrap()
    }

    /// An attribute of the first such element, if it has it.
    pub(crate) async fn attribute(&self, css: &str, name: &str) -> Option<String> {
        let path = format!("attribute/{name}");
        let read = async |id: String| self.of_element(&id, &path).await;
        self.soon(css, read).await.as_str().map(str::to_owned)
    }

    /// What stands in a field.
    pub(crate) async fn value(&self, css: &str) -> String {
        let read = async |id: String| self.of_element(&id, "property/value").await;
        text(&self.soon(css, read).await)
    }

    /// Whether the first such element can be seen.
    pub(crate) async fn is_shown(&self, css: &str) -> bool {
        let read = async |id: String| self.of_element(&id, "displayed").await;
        self.soon(css, read).await == json!(true)
    }

    /// A click on the first such element; what it opens is loaded when this returns.
    pub(crate) async fn click(&self, css: &str) {
        let click = async |id: String| self.to_element(&id, "click", &json!({})).await;
        self.soon(css, click).await;
    }

    /// A click on the first such element that shows this text.
    pub(crate) async fn click_text(&self, css: &str, wanted: &str) {
        let find = "return Array.from(document.querySelectorAll(arguments[0])) \
                    .find(e => e.innerText.includes(arguments[1])) ?? null";
        let clicked = async || {
            let found = self.run(find, json!([css, wanted])).await;
            let id = found.get(ELEMENT)?;
            let clicked = self.to_element(id.as_str()?, "click", &json!({})).await;
            done_or_passing(clicked)
        };
        let what = format!("a click on {css} with {wanted:?}");
        self.until_some(&what, clicked).await;
    }

    /// Clears a field and types this into it.
    pub(crate) async fn write(&self, css: &str, words: &str) {
        let write = async |id: String| {
            self.to_element(&id, "clear", &json!({})).await?;
            let keys = json!({"text": words});
            self.to_element(&id, "value", &keys).await
        };
        self.soon(css, write).await;
    }

    /// Picks the option of a list that has this text.
    pub(crate) async fn pick(&self, css: &str, option: &str) {
        self.click_text(&format!("{css} option"), option).await;
    }

    /// Gives a file to a field for files.
    pub(crate) async fn upload(&self, css: &str, file: &Path) {
        let path = file.to_str().unwrap();
        let give = async |id: String| self.to_element(&id, "value", &json!({"text": path})).await;
        self.soon(css, give).await;
    }

    /// Types where the focus is.
    pub(crate) async fn press(&self, keys: &str) {
        let each = keys.chars().flat_map(|key| {
            let act = |kind: &str| json!({"type": kind, "value": key});
            [act("keyDown"), act("keyUp")]
        });
        let each: Vec<Value> = each.collect();
        let actions = json!({"actions": [{"type": "key", "id": "keys", "actions": each}]});
        self.post("/actions", &actions).await;
    }

    /// Runs a script in the page, whatever its security policy; gives what it returns.
    pub(crate) async fn run(&self, script: &str, arguments: Value) -> Value {
        let script = json!({"script": script, "args": arguments});
        self.post("/execute/sync", &script).await
    }

    /// As [`Browser::run`], for a script that gives its last argument, a function, the result.
    pub(crate) async fn run_async(&self, script: &str, arguments: Value) -> Value {
        let script = json!({"script": script, "args": arguments});
        self.post("/execute/async", &script).await
    }

    /// The page is seen with this and in these colours from now on, without motion.
    pub(crate) async fn look(&self, size: Size, scheme: Scheme) {
        let (width, height) = size.pixels();
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1,
            // As on a phone: what the page says of its viewport counts.
            "mobile": size == Size::Narrow,
        });
        self.cdp("Emulation.setDeviceMetricsOverride", metrics)
            .await;
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme.name()},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]});
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// Pages opened from now on may run scripts, or may not. What a test runs, runs all the same.
    pub(crate) async fn allow_scripts(&self, allowed: bool) {
        let disabled = json!({"value": !allowed});
        self.cdp("Emulation.setScriptExecutionDisabled", disabled)
            .await;
    }

    /// All cookies, those that scripts cannot see too, as Chromium's own tools show them.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        let all = self.cdp("Storage.getCookies", json!({})).await;
        all["cookies"].as_array().unwrap().clone()
    }

    /// The window's page as a PNG, its whole height up to so many pixels.
    pub(crate) async fn picture(&self, size: Size, highest: u32) -> Vec<u8> {
        let (width, least) = size.pixels();
        let measured = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let height = measured["cssContentSize"]["height"].as_f64().unwrap();
        let height = height.clamp(f64::from(least), f64::from(highest));
        let clip = json!({
            "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1},
            "captureBeyondViewport": true,
        });
        let taken = self.cdp("Page.captureScreenshot", clip).await;
        STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// What the console says since the last time.
    pub(crate) async fn console(&self) -> Vec<Said> {
        let lines = self.log("browser").await;
        let said = lines.iter().map(|line| Said {
            level: text(&line["level"]),
            text: text(&line["message"]),
        });
        said.collect()
    }

    /// Every URL that pages asked for since the start, in frames too, whether it was answered or
    /// not.
    pub(crate) async fn asked(&self) -> Vec<String> {
        let lines = self.log("performance").await;
        let asked = lines.iter().filter_map(|line| {
            let event: Value = serde_json::from_str(line["message"].as_str()?).ok()?;
            let event = &event["message"];
            let sent = event["method"] == "Network.requestWillBeSent";
            sent.then(|| text(&event["params"]["request"]["url"]))
        });
        let asked: Vec<String> = asked.collect();
        let mut all = self.asked.lock().unwrap();
        all.extend(asked);
        all.clone()
    }

    /// Those of [`Browser::asked`] that are not on this machine.
    pub(crate) async fn strangers(&self) -> Vec<String> {
        let asked = self.asked().await;
        let ours = |url: &str| {
            let url: url::Url = url.parse().unwrap();
            let local = ["localhost", "127.0.0.1"];
            matches!(url.scheme(), "data" | "blob" | "about" | "chrome")
                || url.host_str().is_some_and(|host| local.contains(&host))
        };
        asked.into_iter().filter(|url| !ours(url)).collect()
    }

    /// A command of Chromium's own tools.
    pub(crate) async fn cdp(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        self.post("/goog/cdp/execute", &body).await
    }

    /// Waits until this is so.
    pub(crate) async fn until(&self, what: &str, so: impl AsyncFn() -> bool) {
        self.until_some(what, async || so().await.then_some(()))
            .await;
    }

    async fn until_some<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        let looking = async {
            loop {
                if let Some(found) = look().await {
                    return found;
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        if let Ok(found) = tokio::time::timeout(BOUND, looking).await {
            return found;
        }
        panic!("{what}: not within {BOUND:?}; {}", self.shown().await)
    }

    /// Does this with the first such element, as soon as that works.
    async fn soon<A>(&self, css: &str, act: A) -> Value
    where
        A: AsyncFn(String) -> Result<Value, Refused>,
    {
        let by = json!({"using": "css selector", "value": css});
        let done = async || {
            let done = match self.post_or("/element", &by).await {
                Ok(found) => act(text(&found[ELEMENT])).await,
                Err(refused) => Err(refused),
            };
            done_or_passing(done)
        };
        self.until_some(css, done).await
    }

    /// For the message of a test that fails.
    async fn shown(&self) -> String {
        let body = "return document.body?.innerText?.slice(0, 4000) ?? ''";
        let (url, body) = (self.url().await, self.run(body, json!([])).await);
        let console: Vec<_> = self.console().await.into_iter().map(|s| s.text).collect();
        let body = text(&body);
        format!("{url} shows:\n{body}\nand the console says:\n{console:#?}")
    }

    async fn log(&self, kind: &str) -> Vec<Value> {
        let lines = self.post("/se/log", &json!({"type": kind})).await;
        lines.as_array().unwrap().clone()
    }

    async fn of_element(&self, id: &str, path: &str) -> Result<Value, Refused> {
        let path = format!("/session/{}/element/{id}/{path}", self.session);
        self.call(Method::GET, &path, &Value::Null).await
    }

    async fn to_element(&self, id: &str, path: &str, body: &Value) -> Result<Value, Refused> {
        self.post_or(&format!("/element/{id}/{path}"), body).await
    }

    async fn get(&self, path: &str) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let answer = self.call(Method::GET, &path, &Value::Null).await;
        answer.unwrap_or_else(|e| panic!("{path}: {e:?}"))
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.post_or(path, body).await;
        answer.unwrap_or_else(|e| panic!("{path}: {e:?}"))
    }

    async fn post_or(&self, path: &str, body: &Value) -> Result<Value, Refused> {
        let path = format!("/session/{}{path}", self.session);
        self.call(Method::POST, &path, body).await
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Refused> {
        let url = format!("http://{}{path}", self.at).parse().unwrap();
        let mut request = self.web.request(method, url);
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let answered = answer.status().is_success();
        let mut answer: Value = answer.json().await.unwrap();
        let value = answer["value"].take();
        if answered {
            return Ok(value);
        }
        Err(Refused {
            kind: text(&value["error"]),
            text: text(&value["message"]),
        })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The driver ends the browser and then itself; a killed driver would leave the browser.
        let told = TcpStream::connect(self.at).and_then(|mut driver| {
            driver.set_read_timeout(Some(BOUND))?;
            driver.write_all(b"GET /shutdown HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
            driver.read_to_end(&mut Vec::new())
        });
        if told.is_err() {
            self.driver.kill().ok();
        }
        self.driver.wait().ok();
    }
}

/// A member that must be text.
fn text(value: &Value) -> String {
    let text = value.as_str();
    text.unwrap_or_else(|| panic!("no text: {value}"))
        .to_owned()
}

/// What was done, or nothing when it may be done later.
fn done_or_passing(done: Result<Value, Refused>) -> Option<Value> {
    match done {
        Ok(done) => Some(done),
        Err(refused) if refused.passes() => None,
        Err(refused) => panic!("{}: {}", refused.kind, refused.text),
    }
}

/// Where the driver listens, as it says when it does.
fn port_of(said: &mut ChildStdout) -> SocketAddr {
    let mut lines = BufReader::new(said).lines().map_while(Result::ok);
    let port = lines.find_map(|line| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse::<u16>().ok()
    });
    SocketAddr::from(([127, 0, 0, 1], port.expect("chromedriver says its port")))
}
