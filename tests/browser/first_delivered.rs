//! From the first visit to the first delivered inspection by page alone: the program as people
//! run it, of which nothing is configured but where browsers reach Orbit.

use orbit_relay::clock::Clock;
use orbit_relay::secret::Secret;
use orbit_relay::sim::backend::{Backend, BackendConfig, BackendWorld, Tls};
use orbit_relay::sim::orbit::{Orbit, OrbitConfig};

use crate::driver::Browser;
use crate::first::{NAME, PASSWORD, setup_code};
use crate::framed::Framed;
use crate::process::{Home, Relay};
use crate::world::{TOKEN, any_port};

/// An Orbit, a plant, a browser in Orbit's frame, and a relay that was just unpacked.
struct Unpacked {
    home: Home,
    orbit: Orbit,
    plant: Backend,
    relay: Relay,
    framed: Framed,
    browser: Browser,
}

impl Unpacked {
    async fn new() -> Self {
        let orbit = Orbit::start(OrbitConfig {
            listen: any_port(),
            token: Secret::new(TOKEN.to_owned()),
            seed: 7,
            clock: Clock::system(),
        });
        let orbit = orbit.await.unwrap();
        let plant = Backend::start(BackendConfig {
            listen: any_port(),
            clock: Clock::system(),
            tls: Tls::Off,
        });
        let home = Home::new();
        let mut command = home.relay();
        // A site's hub has it from its package: no page may frame this one otherwise.
        command.env(
            "PAGE_ORBIT",
            format!("https://localhost:{}", orbit.addr().port()),
        );
        let relay = Relay::start(command).await;
        let framed = Framed::new(&orbit, relay.ops).await;
        Self {
            home,
            plant: plant.await.unwrap(),
            relay,
            framed,
            browser: Browser::start().await,
            orbit,
        }
    }

    /// The set-up code from the data directory, a name and a password.
    async fn makes_an_account(&self) {
        let browser = &self.browser;
        self.framed.open(browser).await;
        browser.write("#code", &setup_code(self.home.data())).await;
        browser.write("#name", NAME).await;
        browser.write("#password", PASSWORD).await;
        browser.write("#again", PASSWORD).await;
        browser.click("main button").await;
        browser.until_text("h1", "Today").await;
    }

    /// Host and token; then the certificate, by its fingerprint.
    async fn finds_orbit(&self) {
        let browser = &self.browser;
        browser.click_text("header a", "Setup").await;
        browser.click_text("main h2 a", "Orbit").await;
        let address = self.orbit.addr().to_string();
        browser.write("#f-hostname", &address).await;
        browser.write("#f-api-token", TOKEN).await;
        browser.click_text("main button", "Save").await;
        browser.until_text(".said", "Saved.").await;
        let expected = self.orbit.certificate_sha256();
        browser.until_text("#setup-orbit code", &expected).await;
        browser
            .click_text("main button", "Pin this certificate")
            .await;
        browser.until_text(".said", "Saved.").await;
        // The screen changes by itself when Orbit was looked at.
        browser.until_text("#setup-orbit tbody tr", "ok").await;
        browser.until_there_is_no("#setup-orbit .badge.bad").await;
        let value = browser.value("#f-api-token").await;
        assert_eq!(value, "", "a secret is never read back");
        assert!(!browser.html().await.contains(TOKEN));
    }

    /// An address; then Orbit's test payload is waited for.
    async fn has_the_webhook_tried(&self) {
        let browser = &self.browser;
        browser.click_text("main a", "Next: the webhook").await;
        browser.until_text("#setup-test", "waiting").await;
        browser.write("#f-webhook-host", "127.0.0.1").await;
        browser.click_text("main button", "Save").await;
        browser.until_text(".said", "Saved.").await;
        let world = self.orbit.world();
        let made = async || world.webhooks().len() == 1;
        browser.until("a webhook in Orbit", made).await;
        let uuid = world.webhooks().remove(0).uuid;
        let sent = world.send_test(&uuid).await.unwrap();
        browser
            .until_text("#setup-test", "Orbit reaches this relay")
            .await;
        drop(sent);
    }

    /// A preset, its fields, what it would send, and a test request.
    async fn gets_a_destination(&self) -> BackendWorld {
        let browser = &self.browser;
        browser.click_text("main a", "Next: where events go").await;
        browser.pick("#preset", "generic").await;
        browser.click_text("main button", "Go on").await;
        browser.write("#f-name", "cmms").await;
        let url = self.plant.url_of("/cmms");
        browser.write("#f-url", &url).await;
        browser.click_text("main button", "Save").await;
        browser.until_text(".said", "Saved.").await;
        if browser.texts("h1").await != ["Destination cmms"] {
            browser.click_text("main a", "cmms").await;
        }
        browser.until_text("h1", "Destination cmms").await;
        browser.until_text("main", "would be sent").await;
        browser.until_text("main pre", "inspection").await;
        browser
            .click_text("main button", "Send a test request")
            .await;
        let world = self.plant.world();
        let came = async || world.received_at("/cmms").len() == 1;
        browser.until("the test request", came).await;
        world
    }
}

#[tokio::test]
async fn from_the_first_visit_to_the_first_delivered_inspection_by_page_alone() {
    let mut site = Unpacked::new().await;
    site.makes_an_account().await;
    site.finds_orbit().await;
    site.has_the_webhook_tried().await;
    let plant = site.gets_a_destination().await;

    let browser = &site.browser;
    browser.click_text("header a", "Today").await;
    browser.until_text("h1", "Today").await;
    let inspection = site.orbit.world().inspect().await;
    browser
        .until_text("#numbers .cards li:nth-child(2) .number", "1")
        .await;
    assert_eq!(plant.received_at("/cmms").len(), 2, "the test and this one");

    browser.click_text("header a", "Deliveries").await;
    browser
        .click_text("main td a", &inspection.action_name)
        .await;
    browser.until_text("main .badge", "delivered").await;
    browser.until_text("main", &inspection.action_name).await;
    assert_eq!(browser.strangers().await, [""; 0]);
    assert_eq!(site.relay.stop().await, Some(0));
}
