//! By which address Orbit is to call us, and which webhooks are at one of ours.
//!
//! # Invariants
//! - Pure.
//! - An address that is proven is not moved while it is in the list.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use super::Config;
use crate::orbit::Webhook;

/// The journal's note.
pub const NOTE: &str = "webhook-address";

/// Whose machine Orbit runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// Not ours, as far as is known.
    Another,
    /// Ours.
    Ours {
        /// Where we are in a container: its address as we see it.
        gateway: Option<IpAddr>,
    },
}

/// The address that Orbit is given, of those that are tried in order.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Address {
    /// `http://HOST:PORT`.
    pub url: String,
    /// All that may be given.
    pub of: Vec<String>,
    /// A signed request of Orbit came that names it as its host.
    pub proven: bool,
}

impl Address {
    /// Reads the note; one that cannot be read is none.
    pub fn read(note: &str) -> Option<Self> {
        serde_json::from_str(note).ok()
    }

    /// The one to be given for this configuration: the one that was given for the same list, one
    /// that was proven and is in the list, the one that a webhook of a person's is at, the first.
    /// None where nothing is to be registered.
    pub fn now(config: &Config, noted: Option<&Self>, first_contact: &[Webhook]) -> Option<Self> {
        let of: Vec<_> = config.urls.iter().map(text).collect();
        let noted = noted.filter(|noted| of.contains(&noted.url));
        if let Some(noted) = noted.filter(|noted| noted.proven || noted.of == of) {
            return Some(Self {
                of,
                ..noted.clone()
            });
        }
        let live = first_contact.iter().filter(|w| w.archived != Some(true));
        let is_theirs = |url: &&Url| live.clone().any(|w| config.has(w) && config.is_at(w, url));
        let theirs = config.urls.iter().find(is_theirs).map(text);
        let url = theirs.or_else(|| of.first().cloned())?;
        Some(Self {
            url,
            of,
            proven: false,
        })
    }

    pub(super) fn parsed(&self) -> Option<Url> {
        Url::parse(&self.url).ok()
    }

    /// Whether another one may have to be tried.
    pub fn is_searched(&self) -> bool {
        !self.proven && self.of.len() > 1
    }

    /// The one after this one; after the last comes the first.
    #[must_use]
    pub fn next(&self) -> Self {
        let rest = self.of.iter().skip_while(|url| **url != self.url).skip(1);
        let next = rest.chain(&self.of).next().unwrap_or(&self.url);
        Self {
            url: next.clone(),
            of: self.of.clone(),
            proven: false,
        }
    }

    /// Which of how many it is, in words.
    pub fn place(&self) -> String {
        let before = self.of.iter().take_while(|url| **url != self.url).count();
        format!("{} of {}", before + 1, self.of.len())
    }
}

impl Machine {
    /// Whether whoever calls this calls the machine that it is on: on Linux so do `0.0.0.0` and
    /// `::`.
    pub fn is_loopback(url: &Url) -> bool {
        match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
            Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unspecified(),
            None => false,
        }
    }

    /// Whether an Orbit on this machine that calls this calls this machine.
    pub fn is_ours(self, url: &Url) -> bool {
        let Self::Ours { gateway } = self else {
            return false;
        };
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            _ => None,
        };
        Self::is_loopback(url) || (gateway.is_some() && address == gateway)
    }
}

/// An address that is not proven yet.
#[derive(Debug)]
pub(super) struct Sought {
    pub(super) url: Url,
    config: Config,
    /// A signed request came by it.
    pub(super) came: bool,
}

impl Sought {
    pub(super) fn new(url: Url, config: Config) -> Self {
        Self {
            url,
            config,
            came: false,
        }
    }

    /// Whether a request for this host, as it stands in the request, came by this address.
    pub(super) fn is_at(&self, host: &str) -> bool {
        let called = Url::parse(&format!("{}://{host}", self.url.scheme()));
        called.is_ok_and(|called| self.config.are_one(&called, &self.url))
    }
}

impl Config {
    /// Whether a webhook that is not on record calls us: by one of our URLs, or, where Orbit is on
    /// this machine, our port here by any name and path. Where Orbit is on another machine, what
    /// it calls on loopback is that machine, whatever our own URLs say.
    pub fn has(&self, webhook: &Webhook) -> bool {
        let is_elsewhere =
            |url: Url| self.machine == Machine::Another && Machine::is_loopback(&url);
        self.names(webhook) && !url_of(webhook).is_some_and(is_elsewhere)
    }

    /// Whether a webhook has one of our addresses, as [`Self::has`], or what would be one if Orbit
    /// were here: for those that are on record as ours, and for whoever does not know the record.
    pub fn names(&self, webhook: &Webhook) -> bool {
        let Some(theirs) = url_of(webhook) else {
            return false;
        };
        let port = self.urls.first().and_then(Url::port_or_known_default);
        self.urls.iter().any(|ours| text(ours) == text(&theirs))
            || (port == theirs.port_or_known_default() && self.machine.is_ours(&theirs))
    }

    /// Whether a webhook calls this URL: a trailing slash makes no difference, and for an Orbit on
    /// this machine all names of loopback are one, but for those that are tried one by one.
    pub fn is_at(&self, webhook: &Webhook, ours: &Url) -> bool {
        url_of(webhook).is_some_and(|theirs| self.are_one(&theirs, ours))
    }

    fn are_one(&self, theirs: &Url, ours: &Url) -> bool {
        let is_another_of_ours = self.urls.iter().any(|url| text(url) == text(theirs));
        let both_loopback = self.machine != Machine::Another
            && !is_another_of_ours
            && Machine::is_loopback(theirs)
            && Machine::is_loopback(ours);
        let mut renamed = theirs.clone();
        if both_loopback && renamed.set_host(ours.host_str()).is_err() {
            return false;
        }
        text(&renamed) == text(ours)
    }
}

fn url_of(webhook: &Webhook) -> Option<Url> {
    Url::parse(webhook.url.as_deref()?).ok()
}

/// `http://HOST:PORT`, without the slash that a URL without a path ends in.
pub(super) fn text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::webhook::{Manage, OnExit};

    fn config(hosts: &[&str], machine: Machine) -> Config {
        let url = |host: &&str| Url::parse(&format!("http://{host}:21600")).unwrap();
        Config {
            urls: hosts.iter().map(url).collect(),
            machine,
            events: Vec::new(),
            enabled: true,
            validate_tls_cert: true,
            manage: Manage::Repair,
            on_exit: OnExit::Keep,
        }
    }

    fn webhook(url: &str) -> Webhook {
        Webhook {
            uuid: "u".into(),
            name: None,
            url: Some(url.into()),
            enabled: None,
            validate_tls_cert: None,
            events: None,
            secret: None,
            archived: None,
        }
    }

    fn here() -> Machine {
        Machine::Ours {
            gateway: "172.17.0.1".parse().ok(),
        }
    }

    #[test]
    fn a_webhook_made_by_hand_for_this_machine_and_our_port_is_ours_whatever_its_path() {
        let urls = [
            ("http://0.0.0.0:21600", true),
            ("http://0.0.0.0:21600/", true),
            ("http://0.0.0.0:21600/webhook/x", true),
            ("http://[::]:21600/", true),
            ("http://localhost:21600/x", true),
            ("http://127.0.0.1:21600", true),
            ("https://[::1]:21600", true),
            ("http://172.17.0.1:21600/hook", true),
            ("http://172.17.0.2:21600/", false),
            ("http://0.0.0.0:21605/", false),
            ("http://relay.plant:21600", false),
            ("no url", false),
        ];
        let ours = config(&["127.0.0.1"], here());
        let elsewhere = config(&["10.0.0.5"], Machine::Another);
        for (url, is_ours) in urls {
            assert_eq!(ours.has(&webhook(url)), is_ours, "{url}");
            assert!(!elsewhere.has(&webhook(url)), "{url}");
        }
        // Also where our own address is one that only Orbit's own machine is called by.
        for host in ["0.0.0.0", "127.0.0.1", "localhost"] {
            let elsewhere = config(&[host, "10.0.0.5"], Machine::Another);
            let theirs = webhook(&format!("http://{host}:21600"));
            assert!(!elsewhere.has(&theirs), "{host}");
            assert!(elsewhere.names(&theirs), "{host}: if it is on record");
            assert!(elsewhere.has(&webhook("http://10.0.0.5:21600")));
            let elsewhere = config(&["10.0.0.5", host], Machine::Another);
            let address = Address::now(&elsewhere, None, &[theirs]).unwrap();
            assert_eq!(address.url, "http://10.0.0.5:21600", "{host}");
        }
        // The gateway of a relay that is in no container is somebody else.
        let native = config(&["127.0.0.1"], Machine::Ours { gateway: None });
        assert!(!native.has(&webhook("http://172.17.0.1:21600")));
        assert!(native.has(&webhook("http://0.0.0.0:21600/x")));
    }

    #[test]
    fn for_an_orbit_on_this_machine_all_names_of_loopback_are_one_address_and_a_path_is_none() {
        let urls = [
            ("http://0.0.0.0:21600/", true),
            ("http://localhost:21600", true),
            ("http://[::]:21600", true),
            ("http://0.0.0.0:21600/x", false),
            ("https://0.0.0.0:21600", false),
            ("http://172.17.0.1:21600", false),
        ];
        for (url, is_at) in urls {
            let ours = config(&["127.0.0.1"], here());
            assert_eq!(ours.is_at(&webhook(url), &ours.urls[0]), is_at, "{url}");
            let elsewhere = config(&["127.0.0.1"], Machine::Another);
            assert!(!elsewhere.is_at(&webhook(url), &ours.urls[0]), "{url}");
        }
    }

    #[test]
    fn a_request_came_by_the_address_that_its_host_names() {
        let rows: [(&str, &[&str], &[&str]); 6] = [
            (
                "127.0.0.1",
                &[
                    "127.0.0.1:21600",
                    "0.0.0.0:21600",
                    "[::1]:21600",
                    "LocalHost:21600",
                ],
                &[
                    "172.17.0.1:21600",
                    "127.0.0.1",
                    "127.0.0.1:21605",
                    "x@127.0.0.1:21600",
                ],
            ),
            (
                "172.17.0.1",
                &["172.17.0.1:21600"],
                &[
                    "127.0.0.1:21600",
                    "0.0.0.0:21600",
                    "172.17.0.1:80",
                    "172.17.0.1:21600/x",
                ],
            ),
            (
                "[fd00::1]",
                &["[FD00::1]:21600", "[fd00:0::1]:21600"],
                &["[fd00::2]:21600"],
            ),
            (
                "relay.plant",
                &["Relay.PLANT:21600"],
                &["plant:21600", "", ":21600", "a b"],
            ),
            ("10.0.0.5", &["10.0.0.5:21600"], &["relay:21600"]),
            // Of two that are tried one by one neither is the other.
            (
                "127.0.0.9",
                &["127.0.0.9:21600", "127.0.0.8:21600"],
                &["127.0.0.1:21600"],
            ),
        ];
        let all = config(&rows.each_ref().map(|(of, ..)| *of), here());
        for ((of, by, not_by), url) in rows.into_iter().zip(all.urls.clone()) {
            let sought = Sought::new(url, all.clone());
            for host in by {
                assert!(sought.is_at(host), "{of} by {host}");
            }
            for host in not_by {
                assert!(!sought.is_at(host), "{of} not by {host}");
            }
        }
        for (url, host) in [
            ("http://relay.plant:80", "relay.plant"),
            ("https://relay.plant", "relay.plant:443"),
        ] {
            let sought = Sought::new(Url::parse(url).unwrap(), all.clone());
            assert!(sought.is_at(host), "{url}: the port goes without saying");
        }
        let elsewhere = config(&["127.0.0.1", "10.0.0.5"], Machine::Another);
        let sought = Sought::new(elsewhere.urls[0].clone(), elsewhere.clone());
        assert!(
            !sought.is_at("0.0.0.0:21600"),
            "that is Orbit's own machine"
        );
    }

    #[test]
    fn the_search_goes_on_over_a_restart_and_begins_anew_with_another_list() {
        let hosts = ["127.0.0.1", "172.17.0.1", "10.0.0.5"];
        let all = config(&hosts, here());
        let first = Address::now(&all, None, &[]).unwrap();
        assert_eq!(first.url, "http://127.0.0.1:21600");
        assert!(first.is_searched());
        let second = first.next();
        assert_eq!(
            (&*second.url, &*second.place()),
            ("http://172.17.0.1:21600", "2 of 3")
        );
        assert_eq!(
            second.next().next(),
            first,
            "after the last comes the first"
        );
        assert_eq!(Address::now(&all, Some(&second), &[]), Some(second.clone()));

        let other = config(&["10.0.0.5", "172.17.0.1"], here());
        let anew = Address::now(&other, Some(&second), &[]).unwrap();
        assert_eq!(anew.url, "http://10.0.0.5:21600");
        let proven = Address {
            proven: true,
            ..second
        };
        let kept = Address::now(&other, Some(&proven), &[]).unwrap();
        assert_eq!((kept.url, kept.proven), (proven.url.clone(), true));
        let without = config(&["10.0.0.5", "10.0.0.6"], here());
        let anew = Address::now(&without, Some(&proven), &[]).unwrap();
        assert_eq!((&*anew.url, anew.proven), ("http://10.0.0.5:21600", false));
    }

    #[test]
    fn at_first_contact_the_address_that_a_person_chose_is_tried_first_if_it_is_in_the_list() {
        let all = config(&["127.0.0.1", "172.17.0.1"], here());
        let begins = |url: &str| Address::now(&all, None, &[webhook(url)]).unwrap().url;
        assert_eq!(
            begins("http://172.17.0.1:21600/"),
            "http://172.17.0.1:21600"
        );
        assert_eq!(begins("http://0.0.0.0:21600"), "http://127.0.0.1:21600");
        assert_eq!(begins("http://172.17.0.9:21600"), "http://127.0.0.1:21600");
    }

    #[test]
    fn one_address_alone_is_not_searched_for_and_none_is_none() {
        let one = config(&["10.0.0.5"], Machine::Another);
        assert!(!Address::now(&one, None, &[]).unwrap().is_searched());
        let none = config(&[], Machine::Another);
        assert_eq!(Address::now(&none, None, &[]), None);
    }
}
