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
use crate::judge::{is_accessible, valid_html};
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

    /// Holds a screen to all that every screen must be, and takes its pictures: valid as it was
    /// sent; for axe nothing to find, light and dark; on a phone nothing to scroll sideways.
    /// Afterwards the browser is in the frame again, at the first screen.
    pub(crate) async fn judge(&self, name: &str, path: &str) {
        let browser = &self.browser;
        // Without the frame, so that a picture shows the whole of it.
        let url = format!("{}{path}", self.framed.page().trim_end_matches('/'));
        browser.leave_frames().await;
        browser.open(&url).await;
        assert_eq!(browser.url().await, url, "{name}: it is where it is to be");
        let fetch = "const done = arguments[0]; \
                     fetch(location.href).then(answer => answer.text()).then(done, e => done('' + e))";
        let html = browser.run_async(fetch, json!([])).await;
        valid_html(&[(name, html.as_str().unwrap())]);
        for scheme in [Scheme::Light, Scheme::Dark] {
            browser.look(Size::Wide, scheme).await;
            is_accessible(browser, &format!("{name}, {}", scheme.name())).await;
        }
        browser.look(Size::Narrow, Scheme::Light).await;
        is_accessible(browser, &format!("{name}, narrow")).await;
        let wide = "const all = document.documentElement; \
                    return Array.from(document.querySelectorAll('body *')).filter(e => \
                    all.scrollWidth > innerWidth && e.getBoundingClientRect().right > innerWidth + 1)\
                    .map(e => e.outerHTML.slice(0, 200)).slice(0, 5)";
        let wide = browser.run(wide, json!([])).await;
        assert_eq!(wide, json!([]), "{name}: wider than a phone");
        self.album.shoot_all(browser, name).await;
        self.framed.open(browser).await;
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
