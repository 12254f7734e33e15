//! Asks Orbit what can be asked without changing anything; what the answers mean.
//!
//! # Invariants
//! - [`rows`] is pure.
//! - An exchange that fails ends the asking: what hangs once is not waited for again.

use std::net::IpAddr;
use std::time::Duration;

use url::Host;

use super::answers::Questions;
use super::subject::OrbitAt;
use super::ways::Elsewhere;
use super::{Row, Subject};
use crate::clock::{Clock, until};
use crate::http::ExchangeError;
use crate::orbit::{CallError, Client, Page, Version, Webhook, client};
use crate::reconcile::orbit_clock;

/// A name that takes longer does not resolve.
const RESOLVE: Duration = Duration::from_secs(5);
pub(super) const REACHED: &str = "Orbit";
pub(super) const CERTIFICATE: &str = "Orbit's certificate";
pub(super) const VERSION: &str = "Orbit's version";
pub(super) const TOKEN: &str = "token";
pub(super) const CLOCK: &str = "Orbit's clock";
/// How the rows about what the token may do begin.
pub(super) const RIGHT: &str = "right: ";
const TOKENS_PAGE: &str = "Settings → Developer Features → API Access Tokens";

/// What Orbit answered; none where it was not asked.
#[derive(Debug, Default)]
pub struct Seen {
    /// The addresses of its name, or why there are none.
    pub resolved: Option<Result<Vec<IpAddr>, String>>,
    /// Where else it was looked for.
    pub elsewhere: Option<Elsewhere>,
    /// SHA-256 of the certificate that it showed, in hex.
    pub certificate: Option<String>,
    /// What it says of itself.
    pub version: Option<Result<Version, CallError>>,
    /// Whether the token is valid.
    pub token: Option<Result<(), CallError>>,
    /// Its webhooks.
    pub webhooks: Option<Result<Vec<Webhook>, CallError>>,
    /// The two latest run events.
    pub run_events: Option<Result<Page, CallError>>,
    /// One anomaly.
    pub anomalies: Option<Result<Page, CallError>>,
    /// By how many milliseconds its clock is ahead of ours.
    pub skew_ms: Option<Result<i64, CallError>>,
    /// What only this check wants to know.
    pub questions: Questions,
}

/// Asks.
pub(super) async fn look(orbit: &OrbitAt, with_questions: bool, clock: &Clock) -> Seen {
    let mut seen = Seen {
        resolved: Some(resolve(&orbit.host).await),
        ..Seen::default()
    };
    if let (Ok(client), Some(Ok(_))) = (&orbit.client, &seen.resolved) {
        // Whatever ends it early, the rest was not asked.
        ask(client, orbit.has_token, with_questions, clock, &mut seen).await;
        seen.certificate = client.shown_certificate();
    }
    seen
}

/// Whether something answered where Orbit should be.
pub(super) fn is_reached(seen: &Seen) -> bool {
    match &seen.version {
        Some(Err(CallError::Http(error))) => matches!(error, ExchangeError::Certificate(_)),
        Some(_) => true,
        None => false,
    }
}

pub(super) async fn resolve(host: &str) -> Result<Vec<IpAddr>, String> {
    let url = client::base_url(host).ok_or_else(|| format!("`{host}` is not HOST or HOST:PORT"))?;
    let port = url.port_or_known_default().unwrap_or(443);
    match url.host() {
        Some(Host::Ipv4(address)) => Ok(vec![address.into()]),
        Some(Host::Ipv6(address)) => Ok(vec![address.into()]),
        Some(Host::Domain(name)) => {
            let found = tokio::net::lookup_host((name, port));
            match tokio::time::timeout(RESOLVE, found).await {
                Ok(Ok(found)) => {
                    let mut found: Vec<_> = found.map(|address| address.ip()).collect();
                    found.dedup();
                    Ok(found)
                }
                Ok(Err(error)) => Err(error.to_string()),
                Err(_) => Err(format!("no answer within {} s", RESOLVE.as_secs())),
            }
        }
        None => Err(format!("`{host}` has no host")),
    }
}

async fn ask(
    client: &Client,
    has_token: bool,
    with_questions: bool,
    clock: &Clock,
    seen: &mut Seen,
) -> Option<()> {
    goes_on(seen.version.insert(client.version().await))?;
    if !has_token {
        return None;
    }
    let token = seen.token.insert(client.authenticate().await);
    goes_on(token)?;
    if matches!(token, Err(CallError::Unauthorized(_))) {
        return None;
    }
    goes_on(seen.webhooks.insert(client.webhooks().await))?;
    let events = page(client, "run_events", "-created_at", 2, 0).await;
    goes_on(seen.run_events.insert(events))?;
    let anomalies = page(client, "anomalies", "time", 1, 0).await;
    goes_on(seen.anomalies.insert(anomalies))?;
    goes_on(seen.skew_ms.insert(skew_ms(client, clock).await))?;
    if with_questions {
        let second = page(client, "run_events", "-created_at", 1, 1).await;
        goes_on(seen.questions.second.insert(second))?;
        let large = page(client, "run_events", "-created_at", 1000, 0).await;
        goes_on(seen.questions.large.insert(large))?;
    }
    Some(())
}

fn goes_on<T>(asked: &Result<T, CallError>) -> Option<()> {
    (!matches!(asked, Err(CallError::Http(_)))).then_some(())
}

async fn page(
    client: &Client,
    collection: &str,
    order: &str,
    limit: u32,
    offset: u32,
) -> Result<Page, CallError> {
    let mut query = vec![("orderBy", order.to_owned()), ("limit", limit.to_string())];
    if offset > 0 {
        query.push(("offset", offset.to_string()));
    }
    client.page(collection, &query).await
}

async fn skew_ms(client: &Client, clock: &Clock) -> Result<i64, CallError> {
    let (before, wall) = (clock.steady(), clock.wall());
    let shown = client.system_time_ms().await?;
    let took = until(before, clock.steady());
    let half = i64::try_from(took.as_millis() / 2).unwrap_or(0);
    Ok(shown
        .saturating_sub(wall.as_millisecond())
        .saturating_sub(half))
}

/// What it means.
pub(super) fn rows(subject: &Subject, seen: &Seen) -> Vec<Row> {
    let Some(orbit) = &subject.orbit else {
        let row = Row::unknown(REACHED, "not asked: no Orbit host is set");
        return vec![match &seen.elsewhere {
            Some(elsewhere) => row.advising(elsewhere.advice()),
            None => row,
        }];
    };
    if let Err(why) = &orbit.client {
        let advice = "correct ORBIT_VERIFY and ORBIT_CERT";
        return vec![Row::bad(REACHED, why, advice)];
    }
    let mut rows = vec![reached(&orbit.host, seen)];
    rows.push(certificate(&orbit.verified, orbit.accepts_any, seen));
    rows.push(version(seen));
    rows.push(token(orbit.has_token, seen));
    if orbit.has_token {
        rows.extend(rights(seen));
    }
    rows.push(skew(seen));
    rows
}

fn reached(host: &str, seen: &Seen) -> Row {
    let elsewhere = seen.elsewhere.as_ref();
    let elsewhere = elsewhere.map(|elsewhere| format!("; {}", elsewhere.advice()));
    let elsewhere = elsewhere.unwrap_or_default();
    let addresses = match &seen.resolved {
        Some(Ok(addresses)) => addresses
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        Some(Err(why)) => {
            return Row::bad(
                REACHED,
                format!("the name {host} does not resolve: {why}"),
                format!(
                    "correct ORBIT_HOSTNAME, or the name service of this machine or \
                     container{elsewhere}"
                ),
            );
        }
        None => return Row::unknown(REACHED, "not asked"),
    };
    let addresses = addresses.join(", ");
    match &seen.version {
        Some(Err(CallError::Http(error))) if !is_reached(seen) => Row::bad(
            REACHED,
            format!("{host} is at {addresses}, but: {error}"),
            format!(
                "look whether Orbit is on, whether ORBIT_HOSTNAME has the right port, and \
                     whether a firewall is in between{elsewhere}"
            ),
        ),
        Some(_) => Row::good(REACHED, format!("{host} is at {addresses} and answers")),
        None => Row::unknown(REACHED, "not asked"),
    }
}

fn certificate(verified: &str, accepts_any: bool, seen: &Seen) -> Row {
    let refused = match &seen.version {
        Some(Err(CallError::Http(ExchangeError::Certificate(refused)))) => Some(refused),
        _ => None,
    };
    if let Some(refused) = refused {
        let line = format!("ORBIT_VERIFY=sha256:{}", refused.sha256);
        let what = format!("SHA-256 {} is refused: {}", refused.sha256, refused.reason);
        let advice = if refused.pinned {
            format!(
                "the pinned certificate has changed: somebody renewed it, or stands in between; \
                 compare it with the one in Orbit before you pin it with {line}"
            )
        } else {
            format!(
                "compare it with the one that a browser shows for Orbit, and if it is the same pin \
                 it with {line}"
            )
        };
        return Row::bad(CERTIFICATE, what, advice);
    }
    match &seen.certificate {
        Some(sha256) => {
            let strict = format!("; ORBIT_VERIFY=sha256:{sha256} accepts only this one");
            let strict = if accepts_any { &*strict } else { "" };
            let what = format!("SHA-256 {sha256}; {verified}{strict}");
            Row::good(CERTIFICATE, what)
        }
        None => Row::unknown(CERTIFICATE, "not shown"),
    }
}

fn version(seen: &Seen) -> Row {
    match &seen.version {
        Some(Ok(Version {
            version,
            serial,
            host_environment,
        })) => {
            let known = |text: &Option<String>| text.clone().unwrap_or("not said".to_owned());
            let [version, serial, on] = [version, serial, host_environment].map(known);
            let what = format!("{version}, serial {serial}, host environment {on}");
            Row::good(VERSION, what)
        }
        Some(Err(CallError::Http(_))) | None => Row::unknown(VERSION, "not asked"),
        Some(Err(error @ (CallError::Redirect { .. } | CallError::Nonsense))) => Row::bad(
            VERSION,
            error.to_string(),
            "correct ORBIT_HOSTNAME: what answers there is not Orbit's API, maybe a proxy or a \
             portal",
        ),
        Some(Err(error)) => Row::unknown(VERSION, error.to_string()),
    }
}

fn token(has_token: bool, seen: &Seen) -> Row {
    let make = format!(
        "make a new token with the ADMIN role in Orbit ({TOKENS_PAGE}) and set ORBIT_API_TOKEN"
    );
    match &seen.token {
        _ if !has_token => {
            let what = "none is set: a person takes care of the webhook, and what it misses is not \
                found";
            Row::unknown(TOKEN, what)
        }
        Some(Ok(())) => Row::good(TOKEN, "valid"),
        Some(Err(error @ CallError::Unauthorized(_))) => Row::bad(TOKEN, error.to_string(), make),
        Some(Err(error)) => Row::bad(
            TOKEN,
            format!("it cannot be told whether it is valid: {error}"),
            "look whether Orbit is well, and run this again",
        ),
        None => Row::unknown(TOKEN, "not asked"),
    }
}

fn rights(seen: &Seen) -> Vec<Row> {
    let webhooks = seen.webhooks.as_ref();
    let run_events = seen.run_events.as_ref();
    let anomalies = seen.anomalies.as_ref();
    vec![
        right(
            "right: webhooks",
            webhooks.map(|asked| asked.as_ref().map(Vec::len)),
            "give the token the ADMIN role: without this right the relay can neither make its \
             webhook nor repair it",
        ),
        right(
            "right: run events",
            run_events.map(|asked| asked.as_ref().map(|page| page.resources.len())),
            "give the token a role that reads inspections: without this right what the webhook \
             misses is not found",
        ),
        right(
            "right: anomalies",
            anomalies.map(|asked| asked.as_ref().map(|page| page.resources.len())),
            "give the token a role that reads anomalies: without this right alerts that Orbit \
             raises later are not found",
        ),
    ]
}

fn right(name: &str, asked: Option<Result<usize, &CallError>>, advice: &str) -> Row {
    match asked {
        None => Row::unknown(name, "not asked"),
        Some(Ok(_)) => Row::good(name, "the token may read them"),
        Some(Err(error)) => Row::bad(name, error.to_string(), advice),
    }
}

fn skew(seen: &Seen) -> Row {
    match &seen.skew_ms {
        None => Row::unknown(CLOCK, "not asked"),
        Some(Err(error)) => Row::unknown(CLOCK, format!("it does not say: {error}")),
        Some(Ok(skew_ms)) => match orbit_clock::in_words(*skew_ms) {
            None => Row::good(CLOCK, "within 30 s of ours"),
            Some(words) => Row::bad(
                CLOCK,
                words,
                "set the clock that is wrong: this machine's by NTP, Orbit's on its administration \
                 page; until then the relay judges signatures by Orbit's clock",
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::check::Verdict;
    use crate::http::RefusedCertificate;

    fn refused(pinned: bool) -> Seen {
        let refused = RefusedCertificate {
            sha256: "ab".repeat(32),
            reason: "UnknownIssuer".into(),
            pinned,
        };
        Seen {
            resolved: Some(Ok(vec![])),
            version: Some(Err(CallError::Http(ExchangeError::Certificate(refused)))),
            ..Seen::default()
        }
    }

    #[test]
    fn a_refused_certificate_says_the_line_that_pins_it_and_a_changed_pin_says_that_it_changed() {
        let line = format!("ORBIT_VERIFY=sha256:{}", "ab".repeat(32));
        for (pinned, says) in [(false, "browser"), (true, "has changed")] {
            let row = certificate("", false, &refused(pinned));
            assert_eq!(row.verdict, Verdict::Bad);
            let advice = row.advice.unwrap();
            assert!(advice.contains(&line) && advice.contains(says), "{advice}");
            // The host itself was reached.
            assert_eq!(reached("orbit", &refused(pinned)).verdict, Verdict::Good);
        }
    }

    #[test]
    fn what_was_not_asked_is_neither_good_nor_bad() {
        let seen = Seen::default();
        let mut rows = vec![
            reached("orbit", &seen),
            certificate("", false, &seen),
            version(&seen),
            token(true, &seen),
            token(false, &seen),
            skew(&seen),
        ];
        rows.extend(rights(&seen));
        for row in rows {
            assert_eq!(row.verdict, Verdict::Unknown, "{row:?}");
        }
    }

    #[test]
    fn where_any_certificate_is_accepted_the_row_has_the_line_that_pins_it() {
        let seen = Seen {
            certificate: Some("ab".repeat(32)),
            ..Seen::default()
        };
        let line = format!("ORBIT_VERIFY=sha256:{}", "ab".repeat(32));
        let any = certificate("not verified", true, &seen);
        assert_eq!(any.verdict, Verdict::Good);
        assert!(any.what.contains(&line), "{any:?}");
        let pinned = certificate("pinned", false, &seen);
        assert!(!pinned.what.contains("ORBIT_VERIFY"), "{pinned:?}");
    }

    #[test]
    fn each_right_that_is_missing_says_what_does_not_work() {
        let seen = Seen {
            webhooks: Some(Err(CallError::Unauthorized(403))),
            run_events: Some(Err(CallError::Unauthorized(403))),
            anomalies: Some(Err(CallError::Status(404))),
            ..Seen::default()
        };
        let advice: Vec<_> = rights(&seen)
            .into_iter()
            .map(|row| row.advice.unwrap())
            .collect();
        for (advice, says) in advice.iter().zip(["its webhook", "misses", "raises later"]) {
            assert!(advice.contains(says), "{advice}");
        }
    }

    #[test]
    fn a_skew_beyond_30_s_has_size_and_direction() {
        for (skew_ms, verdict, says) in [
            (29_000, Verdict::Good, "within"),
            (-29_000, Verdict::Good, "within"),
            (600_000, Verdict::Bad, "10 min ahead of ours"),
            (-45_000, Verdict::Bad, "45 s behind ours"),
        ] {
            let seen = Seen {
                skew_ms: Some(Ok(skew_ms)),
                ..Seen::default()
            };
            let row = skew(&seen);
            assert_eq!(row.verdict, verdict, "{row:?}");
            assert!(row.what.contains(says), "{row:?}");
        }
    }
}
