//! What is said of a captured request: headers, code, time, type, and whether it would be taken.
//!
//! # Invariants
//! - Pure. It goes through the very checks that receive makes.
//! - No secret and no value of a header is in any line.

use std::time::Duration;

use jiff::Timestamp;

use super::{mistakes, wanted};
use crate::cli::sender::{Known, Sender, not_an_event};
use crate::clock::{later, shifted, until};
use crate::event::{Event, Origin};
use crate::relay::receive::{Source, holds};
use crate::relay::verify::scheme::{Reply, Verified};
use crate::relay::verify::{Headers, Refusal, Scheme};

/// What is said, and what it comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) lines: Vec<String>,
    /// Whether it verifies, and is not refused for what it brings.
    pub(super) would_do: bool,
}

/// Judges a request as of `at`.
pub(super) fn judge(
    sender: &Sender<'_>,
    others: &[Sender<'_>],
    headers: &Headers<'_>,
    body: &[u8],
    at: Timestamp,
) -> Judged {
    let scheme = sender.scheme();
    let mut lines: Vec<_> = wanted::wanted(scheme, headers)
        .iter()
        .map(|wanted| wanted::said(wanted, wanted::state(wanted, headers)))
        .collect();
    let (known, refusal) = match by_which(sender, headers, body) {
        Ok(known) => (known, None),
        Err(refusal) => (None, Some(refusal)),
    };
    if let Some(refusal) = refusal {
        lines.push(format!("code: {}", refusal.explain()));
        lines.extend(
            guesses(sender, others, headers, body, refusal)
                .into_iter()
                .map(|guess| format!("  {guess}")),
        );
        lines.push("it does not verify".to_owned());
        return Judged {
            lines,
            would_do: false,
        };
    }
    lines.push(match known {
        Some(known) => format!("code: it matches, with {}", known.called),
        None => "code: this scheme has none: anybody may send it".to_owned(),
    });
    let secrets = sender.plain_secrets();
    let verify = |at, max_age| sender.verify(headers, body, &secrets, at, max_age);
    let signed_at = signed_at(&verify);
    let judged = verify(at, sender.max_age());
    let in_time = judged.is_ok();
    lines.push(time(sender, signed_at, at, judged.as_ref().err().copied()));
    // What it brings does not hang on when it is looked at.
    let verified = judged.or_else(|refusal| match signed_at {
        Some(signed_at) => verify(signed_at, sender.max_age()),
        None => Err(refusal),
    });
    if let Ok(verified) = &verified {
        lines.extend(brings(sender, verified, body, at));
    }
    let brings_none =
        |verified: &Verified| verified.reply.is_none() && not_an_event(sender, body).is_some();
    let refused = verified.as_ref().is_ok_and(brings_none);
    lines.push(match (in_time, signed_at) {
        (true, _) if refused => "it verifies, and is refused all the same".to_owned(),
        (true, _) => "it verifies".to_owned(),
        (false, Some(at)) => {
            format!("it does not verify, by its time alone; --at {at} says how it was")
        }
        (false, None) => "it does not verify".to_owned(),
    });
    Judged {
        lines,
        would_do: in_time && !refused,
    }
}

/// With which secret the code matches, whatever the time; none where there is no code.
fn by_which<'s>(
    sender: &'s Sender<'_>,
    headers: &Headers<'_>,
    body: &[u8],
) -> Result<Option<&'s Known>, Refusal> {
    let check = |secrets: &[_]| {
        let checked = sender.verify(headers, body, secrets, Timestamp::UNIX_EPOCH, Duration::MAX);
        match checked {
            Ok(_) | Err(Refusal::TooOld(_) | Refusal::FromTheFuture(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    };
    if sender.secrets.is_empty() {
        return check(&[]).map(|()| None);
    }
    let mut last = Refusal::WrongSignature;
    for known in &sender.secrets {
        match check(std::slice::from_ref(&known.secret)) {
            Ok(()) => return Ok(Some(known)),
            // Whose code matches says more than whose does not.
            Err(Refusal::WrongSignature) => {}
            Err(refusal) => last = refusal,
        }
    }
    Err(last)
}

/// When it was signed, if a time is: by how much it is off for who looks far in the future and
/// allows no age.
fn signed_at(
    verify: &dyn Fn(Timestamp, Duration) -> Result<Verified, Refusal>,
) -> Option<Timestamp> {
    let far = Timestamp::from_second(Timestamp::MAX.as_second()).ok()?;
    match verify(far, Duration::ZERO) {
        Err(Refusal::TooOld(off)) => {
            let off_ms = i64::try_from(off.as_millis()).ok()?;
            Some(shifted(far, off_ms.checked_neg()?))
        }
        _ => None,
    }
}

/// How old a signature may be, and how early.
fn window(sender: &Sender<'_>) -> (Duration, Duration) {
    let max_age = sender.max_age();
    let scheme = sender.scheme();
    scheme.map_or((max_age, max_age), |scheme| scheme.window(max_age))
}

fn time(
    sender: &Sender<'_>,
    signed_at: Option<Timestamp>,
    at: Timestamp,
    refusal: Option<Refusal>,
) -> String {
    let Some(signed_at) = signed_at else {
        return match refusal {
            None => "time: none is signed: however old it is, it verifies".to_owned(),
            Some(refusal) => format!("time: {}", refusal.explain()),
        };
    };
    let (old, early) = window(sender);
    let when = if signed_at > at {
        format!("{} later, at {signed_at:.0}", words(until(at, signed_at)))
    } else {
        format!("{} before, at {signed_at:.0}", words(until(signed_at, at)))
    };
    match refusal {
        None => format!("time: it was signed {when}: within {}", words(old)),
        Some(Refusal::FromTheFuture(_)) => {
            let early_ms = i64::try_from(early.as_millis()).unwrap_or(i64::MAX);
            let from = shifted(signed_at, early_ms.saturating_neg());
            format!(
                "time: it was signed {when}; the relay would have taken it from {from:.0} on: a \
                 clock is wrong, here or at the sender"
            )
        }
        Some(_) => format!(
            "time: it was signed {when}; the relay would have taken it until {:.0}",
            later(signed_at, old)
        ),
    }
}

/// What the relay makes of a request that verifies.
fn brings(sender: &Sender<'_>, verified: &Verified, body: &[u8], at: Timestamp) -> Vec<String> {
    match &verified.reply {
        Some(Reply::Pong) => {
            return vec!["event: none; it is a ping, and is answered".to_owned()];
        }
        Some(Reply::Challenge(_)) => {
            return vec![
                "event: none; it asks whether somebody is there, and is answered".to_owned(),
            ];
        }
        None => {}
    }
    if let Some(why) = not_an_event(sender, body) {
        return vec![format!("event: none; {why}: answered 400")];
    }
    let (event_type, id) = (&verified.event_type, verified.identity.text());
    let mut lines = vec![format!("type: {event_type:?}"), format!("known by: {id:?}")];
    if let Some(source) = sender.configured() {
        lines.push(wants(source, verified, body, at).unwrap_or_else(|why| why));
    }
    lines
}

/// How the source's `events` and `when` let it in; else why they do not.
pub(in crate::cli) fn wants(
    source: &Source,
    verified: &Verified,
    body: &[u8],
    at: Timestamp,
) -> Result<String, String> {
    let event_type = &verified.event_type;
    if !source.events.iter().any(|glob| glob.matches(event_type)) {
        let globs = source
            .events
            .iter()
            .map(|glob| format!("{:?}", glob.text()));
        let globs: Vec<_> = globs.collect();
        return Err(format!(
            "events: {event_type:?} is not among [{}]: answered 200, and not kept",
            globs.join(", ")
        ));
    }
    let Some(when) = &source.when else {
        return Ok("events: it is taken".to_owned());
    };
    let event = Event {
        source: source.name.clone(),
        event_type: event_type.clone(),
        identity: verified.identity.clone(),
        origin: Origin::Webhook,
        received_at: at,
        body: body.to_vec(),
    };
    match holds(when, &event) {
        Ok(true) => Ok(format!(
            "events: it is taken; `when` holds: {}",
            when.text()
        )),
        Ok(false) => Err(format!(
            "when: does not hold: {}: answered 200, and not kept",
            when.text()
        )),
        Err(why) => Ok(format!("when: {why}; it is taken all the same")),
    }
}

/// Which of the usual mistakes explain it.
fn guesses(
    sender: &Sender<'_>,
    others: &[Sender<'_>],
    headers: &Headers<'_>,
    body: &[u8],
    refusal: Refusal,
) -> Vec<String> {
    let fits = |sender: &Sender<'_>, body: &[u8]| by_which(sender, headers, body).is_ok();
    // Who checks nothing fits everything.
    let checks = |other: &&Sender<'_>| !other.secrets.is_empty();
    let mut found: Vec<String> = others
        .iter()
        .filter(checks)
        .filter(|other| fits(other, body))
        .map(|other| {
            format!(
                "it verifies as the source `{}`: it was sent to the wrong path, or --source is wrong",
                other.name
            )
        })
        .collect();
    let judged_code = matches!(
        refusal,
        Refusal::WrongSignature | Refusal::WrongToken | Refusal::WrongDigest
    );
    if !found.is_empty() || !judged_code {
        return found;
    }
    let bodies = mistakes::bodies(body).into_iter();
    let bodies = bodies.filter(|(_, body)| fits(sender, body));
    found.extend(bodies.map(|(what, _)| what.to_owned()));
    for known in &sender.secrets {
        for (what, secret) in mistakes::secrets(&known.secret) {
            let called = known.called.clone();
            if fits(&sender.with(vec![Known { called, secret }]), body) {
                found.push(what.to_owned());
            }
        }
    }
    for other in others {
        if !other.secrets.is_empty() && fits(&sender.with(other.secrets.clone()), body) {
            found.push(format!(
                "it matches with a secret of the source `{}`: the sender has that one, or it was \
                 sent to the wrong path",
                other.name
            ));
        }
    }
    found.extend(of_scheme(sender, headers, body));
    if found.is_empty() {
        found.push(
            "none of the usual mistakes explains it: compare the secret here with the sender's, and \
             see that the body is what came, byte for byte"
                .to_owned(),
        );
    }
    found
}

/// Keys of the scheme that would make it match.
fn of_scheme(sender: &Sender<'_>, headers: &Headers<'_>, body: &[u8]) -> Option<String> {
    let schemes = mistakes::schemes(sender.scheme()?);
    let secrets = sender.plain_secrets();
    let fits = |scheme: &Scheme| {
        let at = Timestamp::UNIX_EPOCH;
        let checked = scheme.verify(headers, body, &secrets, at, Duration::MAX);
        matches!(
            checked,
            Ok(_) | Err(Refusal::TooOld(_) | Refusal::FromTheFuture(_))
        )
    };
    let (what, _) = schemes.into_iter().find(|(_, scheme)| fits(scheme))?;
    Some(what.to_owned())
}

/// About how long.
fn words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}
