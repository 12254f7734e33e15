//! The ways between Orbit and us: where else Orbit may be, and by which address it may call us.
//!
//! # Invariants
//! - No token is sent to a host that is only guessed.
//! - [`row`] and [`next`] are pure.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::Method;
use url::Url;

use super::orbit::resolve;
use super::reach::PRESS;
use super::{Ports, Row, Subject};
use crate::config::gateway::WORD;
use crate::http::{self, Trust};
use crate::orbit::{self, Client, client};
use crate::reconcile::webhook::{Address, Machine};
use crate::secret::Secret;

pub(super) const NAME: &str = "webhook address";
/// What is on this machine answers sooner.
const DEADLINE: Duration = Duration::from_secs(2);
/// Docker's own gateway, and its name for the machine.
const DOCKER: [&str; 2] = ["172.17.0.1", "host.docker.internal"];
/// What `/ping` of the webhook port answers.
const PONG: &[u8] = b"PONG";

/// Where Orbit was looked for, because it is not where it should be.
#[derive(Debug, Default)]
pub struct Elsewhere {
    asked: Vec<String>,
    /// What to set.
    found: Option<String>,
}

/// An address of ours that is not loopback, and whether our port answers there from here.
pub(super) type Pinged = Vec<(Url, bool)>;

/// Looks for an Orbit where a container finds its machine.
pub(super) async fn find_orbit(subject: &Subject) -> Elsewhere {
    let set = subject.orbit.as_ref().map(|orbit| orbit.host.as_str());
    let url = set.and_then(client::base_url);
    let port = url.and_then(|url| url.port());
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let mut elsewhere = Elsewhere::default();
    for (word, host) in candidates(subject.gateway) {
        let (word, host) = (word + &port, host + &port);
        if set == Some(&*host) {
            continue;
        }
        // One that does not resolve is no candidate.
        let asked = tokio::time::timeout(DEADLINE, async {
            resolve(&host).await.ok()?;
            Some(is_orbit(&host).await)
        });
        match asked.await {
            Ok(None) => {}
            Ok(Some(true)) => {
                elsewhere.found = Some(word);
                break;
            }
            Ok(Some(false)) | Err(_) => elsewhere.asked.push(word),
        }
    }
    elsewhere
}

/// What to write, and what it stands for.
fn candidates(gateway: Option<IpAddr>) -> Vec<(String, String)> {
    let gateway = gateway.map(|address| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    });
    let docker = DOCKER.map(str::to_owned).into_iter();
    let docker = docker.filter(|host| Some(host) != gateway.as_ref());
    let docker: Vec<_> = docker.map(|host| (host.clone(), host)).collect();
    let gateway = gateway.map(|host| (WORD.to_owned(), host));
    gateway.into_iter().chain(docker).collect()
}

async fn is_orbit(host: &str) -> bool {
    let client = Client::build(orbit::Config {
        host: host.to_owned(),
        token: Secret::new(String::new()),
        trust: Trust::Anything,
        certificate: None,
    });
    let Ok(client) = client else {
        return false;
    };
    let version = client.version().await;
    version.is_ok_and(|version| version.version.is_some())
}

impl Elsewhere {
    /// What to set, or where nothing was found.
    pub(super) fn advice(&self) -> String {
        match &self.found {
            Some(found) => format!("{found} answers like an Orbit: set ORBIT_HOSTNAME={found}"),
            None if self.asked.is_empty() => "set ORBIT_HOSTNAME to Orbit's address".to_owned(),
            None => format!(
                "set ORBIT_HOSTNAME to Orbit's address; no Orbit answers at {}",
                self.asked.join(", ")
            ),
        }
    }
}

/// Asks our own webhook port at our addresses, as far as that tells anything.
pub(super) async fn ping(subject: &Subject) -> Pinged {
    let mut pinged = Vec::new();
    let client = http::Client::build(&http::Config {
        trust: Trust::Anything,
        certificate: None,
        timeout: DEADLINE,
    });
    // While no relay runs nobody answers there; and our loopback is not that of another machine.
    let Some(client) = client.ok().filter(|_| subject.ports != Ports::Free) else {
        return pinged;
    };
    for url in &subject.webhook.urls {
        if !Machine::is_loopback(url) {
            pinged.push((url.clone(), answers(&client, url).await.is_some()));
        }
    }
    pinged
}

async fn answers(client: &http::Client, url: &Url) -> Option<()> {
    let url = url.join("ping").ok()?;
    let request = client.request(Method::GET, url).build().ok()?;
    let mut answer = client.send(request).await.ok()?;
    let mut body = Vec::new();
    client
        .read(&mut answer, &mut body, PONG.len() + 1)
        .await
        .ok()?;
    (body == PONG).then_some(())
}

/// By which addresses Orbit may call us.
pub(super) fn row(subject: &Subject, pinged: &Pinged) -> Row {
    let Some(address) = subject.address() else {
        return Row::unknown(NAME, "none is wanted: Orbit is polled");
    };
    let listed = subject.webhook.urls.iter().map(|url| {
        let text = super::webhooks::text(url);
        match pinged.iter().find(|(asked, _)| asked == url) {
            Some((_, true)) => format!("{text} (our port answers there)"),
            Some((_, false)) => format!("{text} (our port does not answer there from here)"),
            None => text,
        }
    });
    let listed = listed.collect::<Vec<_>>().join(", ");
    let by_relay = subject.orbit.as_ref().is_some_and(|orbit| orbit.has_token);
    let (url, place) = (&address.url, address.place());
    let what = if !by_relay || address.of.len() < 2 {
        listed
    } else if address.proven {
        format!("{listed}; in use: {url}, by which a signed request came")
    } else {
        format!("{listed}; in use: {url} ({place}), by which nothing has come yet")
    };
    let (asked, urls) = (pinged.len(), subject.webhook.urls.len());
    let is_mute = asked > 0 && pinged.iter().all(|(_, answers)| !answers);
    if address.proven || (urls == 1 && !is_mute) {
        Row::good(NAME, what)
    } else if is_mute && asked == urls {
        Row::unknown(NAME, what).advising(format!(
            "publish the webhook port there (Docker: `ports: [\"{0}:{0}\"]`), or set WEBHOOK_HOST \
             to this machine's address as Orbit reaches it; 127.0.0.1,{WORD} where Orbit is on the \
             same machine as this container",
            subject.listen.port()
        ))
    } else if !by_relay {
        Row::unknown(NAME, what).advising(format!("send a test payload: {PRESS}"))
    } else {
        Row::unknown(NAME, what).advising(format!(
            "send a test payload ({PRESS}): one that comes proves the address; the next is tried \
             when an inspection did not come"
        ))
    }
}

/// What to try where Orbit could not call us.
pub(super) fn next(subject: &Subject) -> Option<String> {
    let address = subject.address()?;
    if address.of.len() > 1 {
        let next = Url::parse(&address.next().url).ok()?;
        let host = next.host_str()?.to_owned();
        return Some(format!("name {host} first in WEBHOOK_HOST"));
    }
    let Machine::Ours { gateway } = subject.webhook.machine else {
        return None;
    };
    let url = subject.webhook.urls.first()?;
    match gateway {
        Some(_) if Machine::is_loopback(url) => Some(format!("set WEBHOOK_HOST={WORD}")),
        _ if !Machine::is_loopback(url) => Some("set WEBHOOK_HOST=127.0.0.1".to_owned()),
        _ => None,
    }
}

impl Subject {
    /// The address that Orbit is given; none where nothing is to be registered.
    pub(super) fn address(&self) -> Option<Address> {
        Address::now(&self.webhook, self.noted.as_ref(), &[])
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::app::check::Verdict;
    use crate::app::check::reach::Reach;
    use crate::config::gateway::Routes;
    use crate::config::{Config, Input};

    /// A relay with a token in a container whose gateway is 172.17.0.1.
    fn subject(hosts: &str) -> Subject {
        let ipv4 = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n".to_owned();
        let set = [
            ("ORBIT_HOSTNAME", "gateway"),
            ("ORBIT_API_TOKEN", "t"),
            ("WEBHOOK_HOST", hosts),
        ];
        let input = Input {
            environment: set.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
            routes: Routes {
                ipv4,
                in_container: true,
                ..Routes::default()
            },
            ..Input::default()
        };
        Subject::of(&Config::load(&input).unwrap(), None)
    }

    fn pinged(answers: bool, hosts: &[&str]) -> Pinged {
        let url = |host: &&str| Url::parse(&format!("http://{host}:21600")).unwrap();
        hosts.iter().map(|host| (url(host), answers)).collect()
    }

    #[test]
    fn the_row_names_the_addresses_in_order_which_is_in_use_and_whether_it_is_proven() {
        let two = "127.0.0.1,gateway";
        let mut subject = subject(two);
        let row_now = row(&subject, &pinged(true, &["172.17.0.1"]));
        assert_eq!(row_now.verdict, Verdict::Unknown);
        assert_eq!(
            row_now.what,
            "http://127.0.0.1:21600, http://172.17.0.1:21600 (our port answers there); in use: \
             http://127.0.0.1:21600 (1 of 2), by which nothing has come yet"
        );
        assert!(row_now.advice.unwrap().contains("send a test payload"));
        let now = subject.address().unwrap();
        subject.noted = Some(Address {
            proven: true,
            ..now.next()
        });
        let proven = row(&subject, &pinged(false, &["172.17.0.1"]));
        assert_eq!((proven.verdict, proven.advice), (Verdict::Good, None));
        let says = "in use: http://172.17.0.1:21600, by which a signed request came";
        assert!(proven.what.contains(says), "{}", proven.what);
    }

    #[test]
    fn where_our_port_answers_at_no_address_the_row_says_what_to_set() {
        for hosts in ["gateway", "gateway,10.0.0.5"] {
            let of = hosts.replace("gateway", "172.17.0.1");
            let of: Vec<_> = of.split(',').collect();
            let mute = row(&subject(hosts), &pinged(false, &of));
            assert_eq!(mute.verdict, Verdict::Unknown);
            assert!(mute.what.contains("does not answer there from here"));
            let advice = mute.advice.unwrap();
            assert!(advice.contains("21600:21600"), "{advice}");
            assert!(advice.contains("127.0.0.1,gateway"), "{advice}");
        }
        // From here nothing can be told of the machine's loopback.
        let alone = row(&subject("127.0.0.1"), &Pinged::new());
        assert_eq!((alone.verdict, alone.advice), (Verdict::Good, None));
    }

    #[test]
    fn after_a_test_payload_that_did_not_come_the_next_address_is_named() {
        for (hosts, says) in [
            (
                "127.0.0.1,gateway",
                Some("name 172.17.0.1 first in WEBHOOK_HOST"),
            ),
            ("127.0.0.1", Some("set WEBHOOK_HOST=gateway")),
            ("gateway", Some("set WEBHOOK_HOST=127.0.0.1")),
            ("none", None),
        ] {
            assert_eq!(next(&subject(hosts)).as_deref(), says, "{hosts}");
        }
        let nothing = Reach::Nothing {
            waited: DEADLINE,
            refused: None,
        };
        let advice = nothing.row(&subject("127.0.0.1")).advice.unwrap();
        assert!(advice.ends_with("set WEBHOOK_HOST=gateway"), "{advice}");
    }

    #[test]
    fn orbit_is_looked_for_at_the_gateway_first_and_nowhere_twice() {
        let words = |gateway: Option<&str>| {
            let gateway = gateway.map(|address| address.parse().unwrap());
            let words = candidates(gateway).into_iter();
            words.map(|(word, _)| word).collect::<Vec<_>>()
        };
        assert_eq!(words(None), DOCKER);
        assert_eq!(words(Some("172.17.0.1")), ["gateway", DOCKER[1]]);
        assert_eq!(words(Some("10.0.0.1")), ["gateway", DOCKER[0], DOCKER[1]]);
    }

    #[tokio::test]
    async fn only_what_answers_as_our_port_does_is_our_port() {
        for (body, is_ours) in [("PONG", true), ("PONG!", false), ("<html>", false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
            let client = http::Client::build(&http::Config {
                trust: Trust::Anything,
                certificate: None,
                timeout: DEADLINE,
            });
            let client = client.unwrap();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 1024];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /ping "));
                let length = body.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream
            };
            let (answered, _open) = tokio::join!(answers(&client, &url), serve);
            assert_eq!(answered.is_some(), is_ours, "{body}");
        }
    }
}
