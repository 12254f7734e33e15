//! Our webhook in Orbit, and others that would send the same things elsewhere.
//!
//! # Invariants
//! - Pure.
//! - Of a stranger's URL only scheme, host and port are shown: the rest may hold a secret.

use url::Url;

use super::{Row, Seen};
use crate::orbit::Webhook;
use crate::reconcile::webhook;
use crate::secret::WebhookSecret;

pub(super) const OURS: &str = "webhook";
pub(super) const OTHERS: &str = "other webhooks";
const PAGE: &str = "Settings → Developer Features → Webhooks";
/// Where the vendor's Python example listens, by its code and by its README.
const EXAMPLE_PORTS: [u16; 2] = [21605, 21600];
const NAME_CHARS: usize = 60;

/// How our webhook should be.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// None where Orbit is to call nobody.
    pub(super) url: Option<Url>,
    pub(super) config: &'a webhook::Config,
    pub(super) secret: Option<&'a WebhookSecret>,
    /// Whether the relay takes care of it itself.
    pub(super) has_token: bool,
    /// Whether the relay runs.
    pub(super) runs: bool,
}

/// What Orbit gives for a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ShownSecret {
    None,
    Masked,
    Whole,
}

pub(super) fn rows(wanted: &Wanted<'_>, seen: &Seen) -> Vec<Row> {
    let webhooks = match &seen.webhooks {
        Some(Ok(webhooks)) => webhooks,
        Some(Err(_)) => return unasked("not asked: Orbit does not list webhooks"),
        None if !wanted.has_token => {
            return unasked("not asked: there is no token, a person takes care of the webhook");
        }
        None => return unasked("not asked: Orbit cannot be"),
    };
    let live = webhooks.iter().filter(|hook| hook.archived != Some(true));
    let (ours, others): (Vec<_>, Vec<_>) = live.partition(|hook| wanted.config.names(hook));
    vec![own(wanted, &ours), rivals(wanted, &others)]
}

fn unasked(why: &str) -> Vec<Row> {
    [OURS, OTHERS].map(|name| Row::unknown(name, why)).into()
}

/// Whether one of these is ours, and Orbit is to call it.
pub(super) fn is_there(config: &webhook::Config, seen: &Seen) -> bool {
    let webhooks = seen.webhooks.as_ref().and_then(|asked| asked.as_ref().ok());
    let mut webhooks = webhooks.into_iter().flatten();
    webhooks.any(|hook| hook.archived != Some(true) && config.names(hook))
}

fn own(wanted: &Wanted<'_>, ours: &[&Webhook]) -> Row {
    let Some(url) = &wanted.url else {
        return Row::unknown(OURS, "none is wanted: Orbit is polled");
    };
    let there = ours.first().filter(|hook| !wanted.config.is_at(hook, url));
    let url = there.map_or_else(|| text(url), |hook| place(hook));
    let (hook, doubles) = match ours {
        [] if wanted.runs => {
            return Row::bad(
                OURS,
                format!("Orbit has none that calls {url}"),
                "orbit-relay webhook status says why; unless a person deleted it, or --manage is \
                 not repair, the relay makes one within a minute; webhook sync does at once",
            );
        }
        [] => {
            let what = format!("Orbit has none that calls {url}; the relay makes it at its start");
            return Row::unknown(OURS, what);
        }
        [hook, doubles @ ..] => (hook, doubles.len()),
    };
    if doubles > 0 {
        let count = doubles + 1;
        return Row::bad(
            OURS,
            format!("Orbit has {count} that call {url}: events come {count} times"),
            format!(
                "they are kept once all the same; orbit-relay webhook list says which is ours, \
                 delete the others in Orbit ({PAGE})"
            ),
        );
    }
    let wrong = differences(wanted, hook);
    if !wrong.is_empty() {
        let advice = if wanted.config.manage == webhook::Manage::Off {
            "set it right in Orbit: with --manage off the relay does not"
        } else if wanted.config.manage == webhook::Manage::Observe {
            "orbit-relay webhook sync sets it right: with --manage observe the relay does not by \
             itself"
        } else if wanted.runs {
            "wait a minute for the relay to set it right, and look in its log for `webhook:`"
        } else {
            "start the relay: it sets it right"
        };
        let what = format!(
            "it calls {url}, but is not as it should be: {}",
            wrong.join(", ")
        );
        return Row::bad(OURS, what, advice);
    }
    match (hook.enabled, wanted.config.enabled) {
        (Some(false), true) => Row::bad(
            OURS,
            format!("it calls {url}, but is disabled in Orbit: no events come"),
            format!("enable it in Orbit ({PAGE}), or: orbit-relay webhook sync"),
        ),
        (Some(true), false) => Row::bad(
            OURS,
            format!("it calls {url} and is enabled, though --enabled is false"),
            format!("say --enabled true, or disable it in Orbit ({PAGE})"),
        ),
        (_, false) => Row::unknown(
            OURS,
            format!("it is disabled, as --enabled false wants it: {url}"),
        ),
        _ => {
            let secret = match shown_secret(hook) {
                ShownSecret::Whole => "its secret is ours",
                ShownSecret::Masked => "its secret is masked and cannot be compared",
                ShownSecret::None => "its secret is not shown and cannot be compared",
            };
            let secret = if wanted.secret.is_none() {
                "its secret was not compared"
            } else {
                secret
            };
            Row::good(OURS, format!("enabled, calls {url}; {secret}"))
        }
    }
}

fn differences(wanted: &Wanted<'_>, hook: &Webhook) -> Vec<&'static str> {
    let same_events = hook.events.as_ref().is_none_or(|theirs| {
        theirs
            .iter()
            .all(|event| wanted.config.events.contains(event))
            && wanted
                .config
                .events
                .iter()
                .all(|event| theirs.contains(event))
    });
    let theirs = hook.secret.as_ref();
    let theirs = theirs.and_then(|theirs| WebhookSecret::parse(theirs.expose()).ok());
    let other_secret = match (theirs, wanted.secret) {
        (Some(theirs), Some(ours)) => theirs.fingerprint() != ours.fingerprint(),
        _ => false,
    };
    let checks = hook.validate_tls_cert;
    let other_flag = checks.is_some_and(|checks| checks != wanted.config.validate_tls_cert);
    let at = |url: &Url| wanted.config.is_at(hook, url);
    let all = [
        (!wanted.url.as_ref().is_some_and(at), "address"),
        (!same_events, "events"),
        (other_flag, "TLS flag"),
        (other_secret, "secret"),
    ];
    let wrong = all.iter().filter(|(differs, _)| *differs);
    wrong.map(|(_, what)| *what).collect()
}

fn rivals(wanted: &Wanted<'_>, others: &[&Webhook]) -> Row {
    let same = |hook: &&&Webhook| {
        let mut theirs = hook.events.iter().flatten();
        hook.enabled != Some(false) && theirs.any(|event| wanted.config.events.contains(event))
    };
    let rivals: Vec<_> = others.iter().filter(same).collect();
    if rivals.is_empty() {
        let what = match others.len() {
            0 => "there are none".to_owned(),
            others => format!("{others}, none of them for the same events"),
        };
        return Row::good(OTHERS, what);
    }
    let named: Vec<_> = rivals.iter().map(|hook| name(hook)).collect();
    Row::bad(
        OTHERS,
        format!("the same events also go to {}", named.join("; ")),
        format!(
            "if that ends in the same system there are two tickets for one alert: disable what is \
             not needed in Orbit ({PAGE})"
        ),
    )
}

fn name(hook: &Webhook) -> String {
    let url = hook.url.as_deref().and_then(|url| Url::parse(url).ok());
    let port = url.as_ref().and_then(Url::port_or_known_default);
    let place = place(hook);
    let called = hook.name.as_deref().unwrap_or_default();
    let called: String = called
        .chars()
        .filter(|c| !c.is_control())
        .take(NAME_CHARS)
        .collect();
    let guess = match port {
        Some(port) if EXAMPLE_PORTS.contains(&port) => {
            " (by its port another orbit-relay, or the vendor's Python example)"
        }
        _ => "",
    };
    format!("“{called}” at {place}{guess}")
}

/// Scheme, host and port: the rest may hold a secret.
fn place(hook: &Webhook) -> String {
    let url = hook.url.as_deref().and_then(|url| Url::parse(url).ok());
    url.map_or("nowhere".to_owned(), |url| {
        url.origin().ascii_serialization()
    })
}

/// What Orbit gives for a webhook's secret.
pub(super) fn shown_secret(hook: &Webhook) -> ShownSecret {
    match hook.secret.as_ref().map(crate::secret::Secret::expose) {
        None | Some("") => ShownSecret::None,
        Some(text) if WebhookSecret::parse(text).is_ok() => ShownSecret::Whole,
        Some(_) => ShownSecret::Masked,
    }
}

pub(super) fn text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::check::Verdict;
    use crate::secret::Secret;

    fn webhook() -> Webhook {
        Webhook {
            uuid: "u".into(),
            name: Some("orbit-relay".into()),
            url: Some("http://10.0.0.5:21600/".into()),
            enabled: Some(true),
            validate_tls_cert: Some(true),
            events: Some(vec!["A".into()]),
            secret: Some(Secret::new("ab".repeat(32))),
            archived: None,
        }
    }

    fn table(webhooks: Vec<Webhook>, change: impl FnOnce(&mut Wanted<'_>)) -> [Row; 2] {
        let url = Url::parse("http://10.0.0.5:21600").unwrap();
        let secret = WebhookSecret::parse(&"ab".repeat(32)).unwrap();
        let config = webhook::Config {
            urls: vec![url.clone()],
            machine: webhook::Machine::Another,
            manage: webhook::Manage::Repair,
            on_exit: webhook::OnExit::Keep,
            events: vec!["A".into()],
            enabled: true,
            validate_tls_cert: true,
        };
        let mut wanted = Wanted {
            url: Some(url),
            config: &config,
            secret: Some(&secret),
            has_token: true,
            runs: true,
        };
        change(&mut wanted);
        let seen = Seen {
            webhooks: Some(Ok(webhooks)),
            ..Seen::default()
        };
        rows(&wanted, &seen).try_into().unwrap()
    }

    #[test]
    fn a_webhook_is_good_missing_doubled_wrong_or_disabled() {
        let disabled = Webhook {
            enabled: Some(false),
            ..webhook()
        };
        let masked = Webhook {
            secret: Some(Secret::new("*".repeat(64))),
            ..webhook()
        };
        let other_secret = Webhook {
            secret: Some(Secret::new("cd".repeat(32))),
            ..webhook()
        };
        let other_events = Webhook {
            events: Some(vec!["A".into(), "B".into()]),
            ..webhook()
        };
        let archived = Webhook {
            archived: Some(true),
            ..webhook()
        };
        for (webhooks, verdict, what) in [
            (vec![webhook()], Verdict::Good, "its secret is ours"),
            (vec![masked], Verdict::Good, "masked"),
            (vec![], Verdict::Bad, "Orbit has none"),
            (vec![archived], Verdict::Bad, "Orbit has none"),
            (vec![webhook(), webhook()], Verdict::Bad, "Orbit has 2"),
            (vec![disabled], Verdict::Bad, "disabled in Orbit"),
            (vec![other_secret], Verdict::Bad, "should be: secret"),
            (vec![other_events], Verdict::Bad, "should be: events"),
        ] {
            let [row, _] = table(webhooks, |_| {});
            assert_eq!(row.verdict, verdict, "{row:?}");
            assert!(row.what.contains(what), "{row:?}");
            assert_eq!(row.advice.is_some(), verdict == Verdict::Bad, "{row:?}");
        }
        let [row, _] = table(vec![], |wanted| wanted.runs = false);
        assert_eq!(
            row.verdict,
            Verdict::Unknown,
            "it is made at the start: {row:?}"
        );
    }

    #[test]
    fn one_made_by_hand_for_this_machine_is_ours_and_a_path_is_not_as_it_should_be() {
        let by_hand = |url: &str| Webhook {
            url: Some(url.into()),
            ..webhook()
        };
        let config = webhook::Config {
            urls: vec![Url::parse("http://127.0.0.1:21600").unwrap()],
            machine: webhook::Machine::Ours { gateway: None },
            events: vec!["A".into()],
            enabled: true,
            validate_tls_cert: true,
            manage: webhook::Manage::Repair,
            on_exit: webhook::OnExit::Keep,
        };
        for (url, verdict, says) in [
            ("http://0.0.0.0:21600/", Verdict::Good, "enabled, calls"),
            (
                "http://0.0.0.0:21600/canary",
                Verdict::Bad,
                "it calls http://0.0.0.0:21600, but is not as it should be: address",
            ),
        ] {
            let wanted = Wanted {
                url: config.urls.first().cloned(),
                config: &config,
                secret: None,
                has_token: true,
                runs: true,
            };
            let seen = Seen {
                webhooks: Some(Ok(vec![by_hand(url)])),
                ..Seen::default()
            };
            let [ours, others] = rows(&wanted, &seen).try_into().unwrap();
            assert_eq!(ours.verdict, verdict, "{ours:?}");
            assert!(ours.what.contains(says), "{ours:?}");
            assert_eq!(others.verdict, Verdict::Good, "{others:?}");
        }
    }

    #[test]
    fn another_webhook_for_the_same_events_is_a_rival_and_its_path_is_not_shown() {
        let rival = Webhook {
            name: Some("example".into()),
            url: Some("http://me:canary@10.0.0.9:21605/canary?canary".into()),
            ..webhook()
        };
        let [ours, others] = table(vec![webhook(), rival.clone()], |_| {});
        assert_eq!(
            (ours.verdict, others.verdict),
            (Verdict::Good, Verdict::Bad)
        );
        assert!(
            others.what.contains("“example” at http://10.0.0.9:21605"),
            "{others:?}"
        );
        assert!(others.what.contains("Python example"), "{others:?}");
        assert!(!format!("{others:?}").contains("canary"), "{others:?}");
        assert!(others.advice.unwrap().contains("two tickets for one alert"));
        for harmless in [
            Webhook {
                enabled: Some(false),
                ..rival.clone()
            },
            Webhook {
                archived: Some(true),
                ..rival.clone()
            },
            Webhook {
                events: Some(vec!["OTHER".into()]),
                ..rival
            },
        ] {
            let [_, others] = table(vec![webhook(), harmless], |_| {});
            assert_eq!(others.verdict, Verdict::Good, "{others:?}");
        }
    }
}
