//! A relay with the page, what is around it, and a browser that looks at it through Orbit's frame.
//!
//! # Invariants
//! - The browser is in the frame, unless a function says otherwise.
//! - [`Scene::end`] holds at the end of a test: no request went to a stranger, the console says
//!   nothing severe, and the relay's sums add up.

use serde_json::json;

use crate::driver::{Browser, Scheme, Size};
use crate::first::{NAME, PASSWORD, setup_code};
use crate::framed::Framed;
use crate::judge::{axe, mistakes};
use crate::picture::Album;
use crate::world::{Relay, Site, sums_at_rest};

/// All of it.
pub(crate) struct Scene {
    pub(crate) site: Site,
    pub(crate) relay: Relay,
    pub(crate) browser: Browser,
    framed: Framed,
    album: Album,
}

impl Scene {
    /// A relay of this site with the page; the browser is at the first visit.
    pub(crate) async fn of(site: Site) -> Self {
        let site = site.with_the_page();
        let relay = site.start().await;
        let framed = Framed::new(&site.orbit, relay.ops).await;
        let browser = Browser::start().await;
        framed.open(&browser).await;
        Self {
            site,
            relay,
            browser,
            framed,
            album: Album::new(),
        }
    }

    /// Makes the first account as a person does; the browser is at the first screen.
    pub(crate) async fn first_visit(&self) {
        let browser = &self.browser;
        let code = setup_code(&self.site.data_dir());
        browser.write("#code", &code).await;
        browser.write("#name", NAME).await;
        browser.write("#password", PASSWORD).await;
        browser.write("#again", PASSWORD).await;
        browser.click("main button").await;
        browser.until_there_is_no("#code").await;
    }

    /// Logs in as a person does, from the login.
    pub(crate) async fn log_in(&self, name: &str, password: &str) {
        self.browser.write("#name", name).await;
        self.browser.write("#password", password).await;
        self.browser.click("main button").await;
    }

    /// Goes to a screen in the frame.
    pub(crate) async fn go(&self, path: &str) {
        let browser = &self.browser;
        let there = "return document.readyState === 'complete' \
                     && location.pathname + location.search === arguments[0] \
                     && !window.leaving";
        let go = "window.leaving = true; location.assign(arguments[0])";
        browser.run(go, json!([path])).await;
        let arrived = async || browser.run(there, json!([path])).await == json!(true);
        browser.until(&format!("at {path}"), arrived).await;
    }

    /// Pages opened from now on run no scripts.
    pub(crate) async fn without_scripts(&self) {
        self.browser.leave_frames().await;
        self.browser.allow_scripts(false).await;
        self.framed.open(&self.browser).await;
    }

    /// Opens a screen without the frame around it.
    pub(crate) async fn alone(&self, path: &str) {
        let url = format!("{}{path}", self.framed.page().trim_end_matches('/'));
        self.browser.leave_frames().await;
        self.browser.open(&url).await;
        let at = self.browser.url().await;
        assert_eq!(at, url, "it is where it is to be");
    }

    /// Back in the frame, at the first screen.
    pub(crate) async fn framed(&self) {
        self.browser.look(Size::Wide, Scheme::Light).await;
        self.framed.open(&self.browser).await;
    }

    /// Holds a screen to all that every screen must be: valid as it was sent; for axe nothing to
    /// find, light, dark and on a phone; there nothing to scroll sideways. Gives what it is not.
    /// The browser is without the frame afterwards.
    pub(crate) async fn faults(&self, name: &str, path: &str) -> Vec<String> {
        let browser = &self.browser;
        self.alone(path).await;
        let fetch = "const done = arguments[0]; \
                     fetch(location.href).then(answer => answer.text()).then(done, e => done('' + e))";
        let html = browser.run_async(fetch, json!([])).await;
        let mistakes = mistakes(&[(name, html.as_str().unwrap())]);
        let mut faults: Vec<_> = mistakes.iter().map(|m| format!("{m:?}")).collect();
        for (scheme, size) in [
            (Scheme::Light, Size::Wide),
            (Scheme::Dark, Size::Wide),
            (Scheme::Light, Size::Narrow),
        ] {
            browser.look(size, scheme).await;
            for violation in axe(browser).await {
                let how = format!("{}, {}", scheme.name(), size.name());
                faults.push(format!("{name}, {how}: {violation}"));
            }
        }
        // A phone zooms out to what is too wide, so its own idea of its width does not count.
        let wide = "const [width] = arguments; \
                    return Array.from(document.querySelectorAll('body *')).filter(e => \
                    document.documentElement.scrollWidth > width && !e.parentElement.closest('.scroll') \
                    && e.getBoundingClientRect().right > width + 1)\
                    .map(e => e.outerHTML.slice(0, 200)).slice(0, 5)";
        let wide = browser.run(wide, json!([Size::Narrow.pixels().0])).await;
        if wide != json!([]) {
            faults.push(format!("{name}: wider than a phone: {wide}"));
        }
        browser.look(Size::Wide, Scheme::Light).await;
        faults
    }

    /// Takes the pictures of a screen. The browser is without the frame afterwards.
    pub(crate) async fn shoot(&self, name: &str, path: &str) {
        self.alone(path).await;
        self.album.shoot_all(&self.browser, name).await;
    }

    /// Stops the relay, looks at what the browser shows meanwhile, and starts one in its place.
    pub(crate) async fn restarted(self, meanwhile: impl AsyncFnOnce(&Browser)) -> Self {
        let (events, ops) = (self.relay.events, self.relay.ops);
        self.relay.stop().await;
        meanwhile(&self.browser).await;
        let relay = self.site.start_again_at(events, ops).await;
        Self { relay, ..self }
    }

    /// Ends it, and holds it to the invariants.
    pub(crate) async fn end(self) {
        assert_eq!(self.browser.strangers().await, [""; 0]);
        let console = self.browser.console().await;
        // A form that is refused, and says so.
        let refused = |text: &str| {
            let status = ["401", "422", "429"];
            status
                .iter()
                .any(|status| text.contains(&format!("with a status of {status} ")))
        };
        let severe = console.iter().filter(|s| s.level == "SEVERE");
        let severe: Vec<_> = severe.filter(|s| !refused(&s.text)).collect();
        assert!(severe.is_empty(), "{severe:#?}");
        drop(self.browser);
        self.relay.stop().await;
        let sums = sums_at_rest(&self.site.data_dir());
        assert_eq!(sums.mistakes(), [""; 0]);
    }
}
