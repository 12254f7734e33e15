//! What destinations answer when they are asked for nothing.
//!
//! # Invariants
//! - [`row`] is pure.
//! - All are looked at at once: one that hangs delays no other's row.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::Row;
use crate::http::ExchangeError;
use crate::relay::destination::{Destination, Looked};

/// The looks under way, each with its place in the list.
pub(super) type Looks = JoinSet<(usize, Looked)>;

type Listed = (String, Result<Destination, String>);

pub(super) fn begin(destinations: &[Listed], at: Timestamp) -> Looks {
    let mut looks = Looks::new();
    for (place, (_, destination)) in destinations.iter().enumerate() {
        if let Ok(destination) = destination.clone() {
            looks.spawn(async move { (place, destination.look(at).await) });
        }
    }
    looks
}

pub(super) async fn end(destinations: &[Listed], looks: Looks) -> Vec<Row> {
    if destinations.is_empty() {
        let what = "there is none: events are kept and nothing is forwarded";
        let advice = "set INTEGRATION_URL, or a [[destination]] in the configuration file, when \
            there is one";
        return vec![Row::unknown("destinations", what).advising(advice)];
    }
    let looked: BTreeMap<_, _> = looks.join_all().await.into_iter().collect();
    let each = destinations.iter().enumerate();
    each.map(|(place, (name, built))| {
        let name = format!("destination {name}");
        match (built, looked.get(&place)) {
            (Err(why), _) => Row::bad(name, why, "correct its `tls` in the configuration"),
            (_, Some(looked)) => row(name, looked),
            (_, None) => Row::unknown(name, "not asked"),
        }
    })
    .collect()
}

fn row(name: String, looked: &Looked) -> Row {
    let (method, status, with_auth) = match looked {
        Looked::Answered {
            method,
            status,
            with_auth,
        } => (method, *status, *with_auth),
        Looked::Connected { with_auth: true } => {
            return Row::good(name, "the broker took the connection, with our credentials");
        }
        Looked::Connected { with_auth: false } => {
            return Row::good(name, "the broker took the connection");
        }
        Looked::Refused(why) => {
            return Row::bad(
                name,
                why.clone(),
                "correct its `auth`, or have the broker looked at",
            );
        }
        Looked::NoCredentials(why) => {
            let advice = "correct its `auth` (for the integration URL: INTEGRATION_AUTH)";
            return Row::bad(name, format!("no credentials to show: {why}"), advice);
        }
        Looked::Unreached(error) => return Row::bad(name, error.to_string(), way(error)),
    };
    let answered = format!("{method} answered {status}");
    match status {
        200..=299 if with_auth => Row::good(name, format!("{answered}, with our credentials")),
        200..=299 => Row::good(name, answered),
        300..=399 => Row::bad(
            name,
            format!("{answered}, a redirect, which posts do not follow"),
            "give the URL that it redirects to",
        ),
        401 | 403 => Row::bad(
            name,
            format!("{answered}: the credentials are refused"),
            "correct its `auth` (for the integration URL: INTEGRATION_AUTH), or the rights of that \
             user; `orbit-relay destinations test` makes one post to see",
        ),
        407 => Row::bad(
            name,
            format!("{answered}: the proxy refuses its credentials"),
            "correct the user and password of the proxy",
        ),
        502..=504 => Row::bad(
            name,
            format!("{answered}: it is down, or what stands before it cannot reach it"),
            "have it looked at; events wait until it works",
        ),
        _ => Row::good(
            name,
            format!(
                "reached; {answered}, which does not tell whether it takes posts; no credentials \
                 were refused"
            ),
        ),
    }
}

fn way(error: &ExchangeError) -> &'static str {
    match error {
        ExchangeError::Certificate(_) => {
            "give the authority that signed its certificate (`tls = { ca_file = … }`), or correct \
             the name in its URL"
        }
        ExchangeError::Guarded(_) => {
            "correct its URL, or name the address in `allow_addresses` if it is meant"
        }
        ExchangeError::Connect { .. } => {
            "look whether name and port in its URL are right, whether it runs, and whether a \
             firewall is in between"
        }
        ExchangeError::Timeout(_) | ExchangeError::Exchange(_) => {
            "look whether its URL names the right port and scheme, and whether it is overloaded"
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::app::check::Verdict;
    use crate::http::Guarded;

    #[test]
    fn what_a_destination_answered_and_what_it_means() {
        let connect = ExchangeError::Connect {
            to: "x:1".into(),
            reason: "no".into(),
        };
        let mut table = vec![
            (Looked::NoCredentials("gone".into()), Verdict::Bad),
            (Looked::Unreached(connect), Verdict::Bad),
            (
                Looked::Unreached(ExchangeError::Guarded(Guarded {
                    host: "x".into(),
                    address: [169, 254, 169, 254].into(),
                })),
                Verdict::Bad,
            ),
            (
                Looked::Unreached(ExchangeError::Timeout(Duration::from_secs(1))),
                Verdict::Bad,
            ),
        ];
        let good = [200, 204, 400, 404, 405, 429, 500].map(|status| (status, Verdict::Good));
        let bad = [301, 401, 403, 407, 502, 503].map(|status| (status, Verdict::Bad));
        table.extend(good.into_iter().chain(bad).map(|(status, verdict)| {
            let looked = Looked::Answered {
                method: "HEAD",
                status,
                with_auth: true,
            };
            (looked, verdict)
        }));
        for (looked, verdict) in table {
            let row = row("x".into(), &looked);
            assert_eq!(row.verdict, verdict, "{row:?}");
            assert_eq!(row.advice.is_some(), verdict == Verdict::Bad, "{row:?}");
        }
    }
}
