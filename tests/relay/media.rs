//! Pictures and other files: the client against the simulated Orbit, over real sockets.
//!
//! # Invariants
//! - Every wait has a bound: the deadline of the exchange.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orbit_relay::clock::Clock;
use orbit_relay::http::{ExchangeError, Trust, read_certificates};
use orbit_relay::orbit::media::{Form, Media, MediaError, MediaUrl, Wanted};
use orbit_relay::orbit::{CallError, Client, Config};
use orbit_relay::secret::Secret;
use orbit_relay::sim::orbit::{MediaWeather, Orbit, OrbitConfig, Redirect, World};
use orbit_relay::sim::plant::Medium;

use crate::world::{BOUND, TOKEN};

/// A simulated Orbit, and a client that believes its certificate.
pub(crate) struct Robots {
    pub(crate) orbit: Orbit,
    pub(crate) world: World,
    pub(crate) client: Client,
}

impl Robots {
    pub(crate) async fn new(clock: Clock) -> Self {
        let orbit = OrbitConfig {
            listen: "127.0.0.1:0".parse().unwrap(),
            token: Secret::new(TOKEN.to_owned()),
            seed: 7,
            clock,
        };
        let orbit = Orbit::start(orbit).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let certificate = dir.path().join("orbit.pem");
        std::fs::write(&certificate, orbit.certificate_pem()).unwrap();
        let config = Config {
            host: orbit.addr().to_string(),
            token: Secret::new(TOKEN.to_owned()),
            trust: Trust::Authorities(read_certificates(&certificate).unwrap()),
            certificate: None,
        };
        Self {
            world: orbit.world(),
            orbit,
            client: Client::build(config).unwrap(),
        }
    }

    async fn fetch(&self, path: &str, wanted: &Wanted) -> Result<Media, MediaError> {
        let url = MediaUrl::parse(self.client.base(), path).unwrap();
        self.client.media(&url, wanted).await
    }
}

const RAW: Wanted = Wanted {
    limit: 1 << 20,
    form: Form::Raw,
    within: BOUND,
};

const PICTURE: &str = "/daq/download/spot-07/x/camera.jpg";

#[tokio::test]
async fn each_name_that_people_give_fetches_its_own_file() {
    let robots = Robots::new(Clock::system()).await;
    for name in [
        "Kühlung #3",
        "점검 50%",
        "#",
        "is it open?x=1&y=2",
        "%41",
        "%2e%2e",
        "100%25",
        "a + b",
        "🔥 boiler",
        "a;b,c=d:e@f!$&'()*",
        "back\\slash",
        "\"[quoted]\" {1}|^`<>",
        "...",
        "~tilde_under-dash.dot",
        "Pump 1/2",
        "a//b",
        "e\u{301} and \u{e9}",
        "\u{a0}\u{2028}\u{202e}",
    ] {
        let path = format!("/daq/download/spot-07/2026-02-03T091355Z/{name}/{name} ptz.json");
        robots.world.put_medium(&path, Medium::Metadata);
        let media = robots.fetch(&path, &RAW).await.unwrap();
        let found: serde_json::Value = serde_json::from_slice(&media.bytes).unwrap();
        assert_eq!(found["path"], path);
        assert_eq!(media.media_type, "application/json");
    }
    let path = "/daq/download/%41%20b";
    robots
        .world
        .put_medium("/daq/download/A b", Medium::Metadata);
    let absolute = format!("{}{path}", robots.orbit.url());
    let media = robots.fetch(&absolute, &RAW).await.unwrap();
    assert_eq!(media.bytes, br#"{"path":"/daq/download/A b"}"#);
}

#[tokio::test]
async fn a_picture_comes_as_it_is_or_as_base64() {
    let robots = Robots::new(Clock::system()).await;
    robots.world.put_medium(PICTURE, Medium::Camera);
    let raw = robots.fetch(PICTURE, &RAW).await.unwrap();
    assert_eq!(raw.media_type, "image/jpeg");
    assert_eq!(raw.size, u64::try_from(raw.bytes.len()).unwrap());
    let form = Form::Base64;
    let text = robots.fetch(PICTURE, &Wanted { form, ..RAW }).await;
    let text = text.unwrap();
    assert_eq!(text.bytes, STANDARD.encode(&raw.bytes).into_bytes());
    assert_eq!((text.size, text.media_type), (raw.size, raw.media_type));
}

#[tokio::test]
async fn a_file_over_the_limit_is_refused_before_it_is_read_where_its_length_is_known() {
    let robots = Robots::new(Clock::system()).await;
    let limit = 300_000;
    for form in [Form::Raw, Form::Base64] {
        let wanted = Wanted { limit, form, ..RAW };
        for (bytes, declared, expected) in [
            (limit, true, None),
            (limit, false, None),
            (limit + 1, true, Some(Some(limit + 1))),
            (limit + 1, false, Some(None)),
            // So much would not come within the deadline.
            (1 << 60, true, Some(Some(1 << 60))),
            (1 << 60, false, Some(None)),
        ] {
            let filler = Medium::Filler { bytes, declared };
            robots.world.put_medium(PICTURE, filler);
            let found = robots.fetch(PICTURE, &wanted).await;
            match expected {
                None => {
                    let media = found.unwrap();
                    let length = u64::try_from(media.bytes.len()).unwrap();
                    assert_eq!((media.size, length), (bytes, form.length(bytes)));
                    assert_eq!(media.media_type, "image/jpeg");
                }
                Some(bytes) => assert_eq!(found, Err(MediaError::TooLarge { bytes })),
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_of_a_picture_is_not_followed_and_the_token_goes_nowhere_else() {
    let robots = Robots::new(Clock::system()).await;
    let other = Robots::new(Clock::system()).await;
    for status in [301, 302, 303, 307, 308] {
        robots.world.change_weather(|weather| {
            let location = other.orbit.url();
            weather.media.redirect = Some(Redirect { status, location });
        });
        let refused = robots.fetch(PICTURE, &RAW).await.unwrap_err();
        let expected = CallError::Redirect {
            status,
            to: other.orbit.url(),
        };
        assert_eq!(refused, MediaError::Call(expected));
    }
    // Nor is a URL asked for that was made for another Orbit.
    let elsewhere = MediaUrl::parse(other.client.base(), PICTURE).unwrap();
    let refused = robots.client.media(&elsewhere, &RAW).await;
    assert_eq!(refused, Err(MediaError::Call(CallError::Nonsense)));
    assert_eq!(other.world.request_count(), 0);
}

#[tokio::test]
async fn a_picture_that_is_not_there_not_allowed_broken_off_or_a_page_is_an_error_of_its_own() {
    let robots = Robots::new(Clock::system()).await;
    robots.world.put_medium(PICTURE, Medium::Camera);
    let missing = robots.fetch("/daq/download/no.jpg", &RAW).await;
    assert_eq!(missing, Err(CallError::Status(404).into()));
    let under = async |media: MediaWeather| {
        robots.world.change_weather(|weather| weather.media = media);
        robots.fetch(PICTURE, &RAW).await.unwrap_err()
    };
    for (status, expected) in [
        (401, CallError::Unauthorized(401)),
        (403, CallError::Unauthorized(403)),
        (404, CallError::Status(404)),
        (500, CallError::Status(500)),
    ] {
        let media = MediaWeather {
            status: Some(status),
            ..MediaWeather::default()
        };
        assert_eq!(under(media).await, expected.into());
    }
    let login_page = MediaWeather {
        login_page: true,
        ..MediaWeather::default()
    };
    assert_eq!(under(login_page).await, CallError::Nonsense.into());
    let breaks_off = MediaWeather {
        breaks_off: true,
        ..MediaWeather::default()
    };
    let broken = under(breaks_off).await;
    let is_broken = matches!(
        broken,
        MediaError::Call(CallError::Http(ExchangeError::Exchange(_)))
    );
    assert!(is_broken, "{broken:?}");
    // The API is not the worse for it.
    assert_eq!(robots.client.authenticate().await, Ok(()));
}

#[tokio::test]
async fn a_picture_that_comes_too_slowly_is_given_up_at_the_deadline() {
    let robots = Robots::new(Clock::system()).await;
    robots
        .world
        .change_weather(|weather| weather.media.drips = true);
    let within = Duration::from_millis(1_500);
    let given_up = robots.fetch(PICTURE, &Wanted { within, ..RAW }).await;
    let expected = CallError::Http(ExchangeError::Timeout(within));
    assert_eq!(given_up, Err(expected.into()));
}

#[tokio::test]
async fn no_error_of_a_picture_holds_its_url_or_the_token() {
    let robots = Robots::new(Clock::system()).await;
    let path = "/daq/download/canary.jpg";
    let mut said = Vec::new();
    for media in [
        MediaWeather::default(),
        MediaWeather {
            status: Some(403),
            ..MediaWeather::default()
        },
        MediaWeather {
            breaks_off: true,
            ..MediaWeather::default()
        },
        MediaWeather {
            redirect: Some(Redirect {
                status: 302,
                location: "https://other.example/canary?token=canary".to_owned(),
            }),
            ..MediaWeather::default()
        },
    ] {
        robots.world.change_weather(|weather| weather.media = media);
        said.push(robots.fetch(path, &RAW).await.unwrap_err());
    }
    let client = robots.client;
    robots.orbit.stop().await;
    let url = MediaUrl::parse(client.base(), path).unwrap();
    said.push(client.media(&url, &RAW).await.unwrap_err());
    for error in said {
        let said = format!("{error} {error:?}");
        assert!(!said.contains("canary") && !said.contains(TOKEN), "{said}");
    }
}
