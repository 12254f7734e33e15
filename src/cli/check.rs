//! `check`: whether all is as it should be, and what to do if not. The first thing to run.
//!
//! # Invariants
//! - It works before anything is configured: what is wrong with the configuration is a row, and
//!   the rest is looked at all the same.
//! - Exit 4 if any row is bad.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use serde_json::json;
use tokio::net::UnixStream;

use super::{Outcome, TROUBLE, complain, print, report, runtime};
use crate::app::check::answers::{self, Answered};
use crate::app::check::reach::{self, PRESS, Reach, Taker, Tested};
use crate::app::check::{self, Findings, Ports, Subject, Verdict};
use crate::app::{control, secret};
use crate::clock::Clock;
use crate::config::Config;
use crate::event::TEST;
use crate::reconcile::webhook::{Address, NOTE_ADDRESS};
use crate::relay::journal::Reader;

/// At a terminal a test payload is waited for so long, unless something else is said.
const WAIT: Duration = Duration::from_mins(1);
const SECOND: Duration = Duration::from_secs(1);

/// All that was found.
struct Checked {
    findings: Findings,
    answers: Vec<Answered>,
}

pub(super) fn run(matches: &ArgMatches) -> Outcome {
    let mut input = super::without_files(matches)?;
    let unread = input.read_files().err();
    let (config, wrong) = Config::as_far_as_it_goes(&input);
    let mut subject = Subject::of(&config, wrong.err().as_ref());
    let unread = unread.map(|error| super::lines(&error.into()));
    subject.problems.extend(unread.into_iter().flatten());
    let default = if std::io::stdout().is_terminal() {
        WAIT
    } else {
        Duration::ZERO
    };
    let wait = matches.get_one("wait").copied().unwrap_or(default);
    let Checked { findings, answers } = runtime()?.block_on(look(&config, subject, wait));
    if let Some(file) = matches.get_one::<PathBuf>("report") {
        report::write(file, &config, &findings, &answers)?;
    }
    if matches.get_flag("json") {
        let all = json!({
            "rows": findings.rows,
            "answers": answers,
            "good": findings.count(Verdict::Good),
            "bad": findings.count(Verdict::Bad),
            "unknown": findings.count(Verdict::Unknown),
        });
        print(&all.to_string())?;
    } else {
        for line in findings.lines() {
            print(&line)?;
        }
    }
    Ok(match findings.count(Verdict::Bad) {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(TROUBLE),
    })
}

async fn look(config: &Config, mut subject: Subject, wait: Duration) -> Checked {
    let clock = Clock::system();
    let socket = control::path(&config.data_dir);
    if UnixStream::connect(socket).await.is_ok() {
        subject.ports = Ports::HeldByARelay;
    }
    let kept = || secret::kept(&config.data_dir);
    subject.secret = subject.secret.or_else(kept);
    subject.noted = noted_address(config);
    let mut findings = check::look(&subject, &clock).await;
    let last = last_test(config);
    let earlier = last.as_ref().map(|(tested, _)| *tested);
    let (reach, body) = reached(config, &subject, &findings, wait, earlier, &clock).await;
    findings.rows.push(reach.row(&subject));
    // What came while this waited stands in the journal, or came here.
    let body = body.or_else(|| last_test(config).map(|(_, body)| body));
    let answers = answers::all(&findings.orbit, &reach, body.as_deref());
    Checked { findings, answers }
}

/// The address on record, by which Orbit is to call the relay.
fn noted_address(config: &Config) -> Option<Address> {
    let reader = Reader::open(&config.data_dir).ok()?;
    Address::read(&reader.note(NOTE_ADDRESS).ok()??)
}

/// The last test payload in the journal.
fn last_test(config: &Config) -> Option<(Tested, Vec<u8>)> {
    let mut reader = Reader::open(&config.data_dir).ok()?;
    let last = reader.last_of(TEST).ok()??;
    let tested = Tested {
        at: last.received_at,
        from: None,
    };
    Some((tested, last.body))
}

async fn reached(
    config: &Config,
    subject: &Subject,
    findings: &Findings,
    wait: Duration,
    earlier: Option<Tested>,
    clock: &Clock,
) -> (Reach, Option<Vec<u8>>) {
    let runs = subject.ports == Ports::HeldByARelay;
    let last = if runs {
        let last = reach::last(&config.data_dir).await.ok().flatten();
        last.or(earlier)
    } else {
        earlier
    };
    let not_waited = |why: &str| {
        let why = why.to_owned();
        (Reach::NotWaited { why, last }, None)
    };
    if subject.webhook.urls.is_empty() {
        return not_waited("not asked: no webhook is wanted");
    }
    if wait.is_zero() {
        return not_waited("not asked: no test payload was waited for");
    }
    if !reach::is_worth_it(subject, &findings.orbit) {
        return not_waited("not asked: Orbit has no webhook that calls this relay");
    }
    let taker = match &subject.secret {
        _ if runs => Taker::Relay(config.data_dir.clone()),
        None => return not_waited("not asked: there is no webhook secret yet"),
        Some(secret) => Taker::Alone {
            listen: config.listen,
            tls: config.tls.clone(),
            secret: secret.clone(),
            max_age: config.max_age,
            skew_ms: match findings.orbit.skew_ms {
                Some(Ok(skew_ms)) => skew_ms,
                _ => 0,
            },
        },
    };
    let waiting = async {
        let waited = reach::wait(taker, wait, clock).await;
        waited.unwrap_or_else(|error| not_waited(&format!("cannot be waited for: {error:#}")))
    };
    let waited = tokio::select! {
        waited = waiting => waited,
        never = progress(wait, clock) => match never {},
    };
    if std::io::stderr().is_terminal() {
        // The table begins on a line of its own.
        complain("");
    }
    waited
}

/// Says that a person is waited for, and how long still.
async fn progress(wait: Duration, clock: &Clock) -> std::convert::Infallible {
    complain(&format!("press the button now ({PRESS})"));
    if !std::io::stderr().is_terminal() {
        complain(&format!("waiting {} s for a test payload", wait.as_secs()));
        std::future::pending::<()>().await;
    }
    let mut left = wait;
    loop {
        let line = format!("\rwaiting for a test payload, {} s left  ", left.as_secs());
        // Where standard error is closed there is nobody to tell.
        let mut err = std::io::stderr().lock();
        err.write_all(line.as_bytes()).ok();
        err.flush().ok();
        drop(err);
        clock.sleep(SECOND).await;
        left = left.saturating_sub(SECOND);
    }
}
