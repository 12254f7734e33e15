//! A page as Orbit shows it: in a frame of Orbit's page, over HTTPS, with Orbit's certificate.
//!
//! # Invariants
//! - The frame is of another origin than the page around it, as with a real Orbit: another port.

use std::net::SocketAddr;

use orbit_relay::sim::orbit::{Orbit, WebView, WebViewConfig};

use crate::driver::Browser;

/// A page in its frame. Dropping it closes the port of the frame.
pub(crate) struct Framed {
    orbit: SocketAddr,
    view: WebView,
}

impl Framed {
    /// This Orbit shows what is served here in plain HTTP.
    pub(crate) async fn new(orbit: &Orbit, extension: SocketAddr) -> Self {
        Self::by(orbit, extension, true).await
    }

    /// As [`Framed::new`], by an Orbit that does not tell the extension for whom it asks.
    pub(crate) async fn silently(orbit: &Orbit, extension: SocketAddr) -> Self {
        Self::by(orbit, extension, false).await
    }

    async fn by(orbit: &Orbit, extension: SocketAddr, says_for_whom: bool) -> Self {
        let config = WebViewConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            extension,
            says_for_whom,
        };
        Self {
            orbit: orbit.addr(),
            view: orbit.show(config).await.unwrap(),
        }
    }

    /// Opens Orbit's page and enters the frame.
    pub(crate) async fn open(&self, browser: &Browser) {
        browser.open(&self.url("localhost")).await;
        browser.enter_frame("iframe").await;
    }

    /// As [`Framed::open`], where browsers know Orbit by an address, so that the frame is of
    /// another site than the page around it, and its cookies are a third party's.
    pub(crate) async fn open_as_another_site(&self, browser: &Browser) {
        browser.open(&self.url("127.0.0.1")).await;
        browser.enter_frame("iframe").await;
    }

    /// The origin of Orbit's page, for `page-orbit`.
    pub(crate) fn orbit_origin(&self) -> String {
        format!("https://localhost:{}", self.orbit.port())
    }

    /// The page itself over HTTPS, without the frame.
    pub(crate) fn page(&self) -> String {
        self.view.url()
    }

    fn url(&self, host: &str) -> String {
        format!("https://{host}:{}/web-view", self.orbit.port())
    }
}
