//! `webhook`: how ours is in Orbit, what else is there, and what a person wants done about it.
//!
//! # Invariants
//! - The running relay does it; where none runs, this process does, under the journal's lock.
//! - No secret is shown.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::args::{json, settings};
use super::asker::Asker;
use super::{FAILED, Outcome, Usage, complain, print, runtime};
use crate::app;
use crate::app::control::{Answer, Ask};
use crate::config::{Config, Input};
use crate::reconcile::webhook::{Listed, Relation, Report, ShownSecret, Told, Wish};

/// The command `webhook`.
pub(super) fn command() -> Command {
    let one =
        |name: &'static str, about: &'static str| Command::new(name).about(about).args(settings());
    Command::new("webhook")
        .about("Look at our webhook in Orbit, set it right, delete it, change its secret")
        .subcommand_required(true)
        .subcommand(
            one(
                "status",
                "Show how it is in Orbit, against how it should be; changes nothing",
            )
            .arg(json()),
        )
        .subcommand(
            one(
                "list",
                "List every webhook in Orbit, and which of them is ours",
            )
            .arg(json()),
        )
        .subcommand(one(
            "sync",
            "Set it right now; enable it, and make it again if it was deleted",
        ))
        .subcommand(
            one(
                "delete",
                "Delete it in Orbit; none is made until --enabled changes, or by sync",
            )
            .arg(
                Arg::new("yes")
                    .long("yes")
                    .help("Do not ask")
                    .action(ArgAction::SetTrue),
            ),
        )
        .subcommand(one(
            "rotate-secret",
            "Make a new webhook secret and give it to Orbit; no event is refused meanwhile",
        ))
}

pub(super) fn run(input: &Input, name: &str, matches: &ArgMatches) -> Outcome {
    let wish = match name {
        "status" => Wish::Status,
        "list" => Wish::List,
        "sync" => Wish::Sync,
        "delete" => Wish::Delete,
        "rotate-secret" => Wish::RotateSecret,
        _ => {
            let all = "say status, list, sync, delete or rotate-secret";
            return Err(Usage(all.into()).into());
        }
    };
    if wish == Wish::Delete && !matches.get_flag("yes") {
        if !std::io::stdin().is_terminal() {
            let why = "delete asks before it does anything, and there is no terminal to ask at: \
                       say --yes";
            return Err(Usage(why.to_owned()).into());
        }
        if !confirmed()? {
            complain("nothing was done");
            return Ok(ExitCode::from(FAILED));
        }
    }
    let told = match runtime()?.block_on(ask(input, wish))? {
        Ok(told) => told,
        Err(why) => {
            complain(&format!("error: {why}"));
            return Ok(ExitCode::from(FAILED));
        }
    };
    let json = matches!(wish, Wish::Status | Wish::List) && matches.get_flag("json");
    match told {
        Told::Status(report) if json => print(&serde_json::to_string(&report)?)?,
        Told::Status(report) => print_all(&report_lines(&report))?,
        Told::List(listed) if json => {
            for webhook in &listed {
                print(&serde_json::to_string(webhook)?)?;
            }
        }
        Told::List(listed) if listed.is_empty() => print("Orbit has no webhooks")?,
        Told::List(listed) => {
            for webhook in &listed {
                print_all(&listed_lines(webhook))?;
            }
        }
        Told::Done(lines) => print_all(&lines)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn ask(input: &Input, wish: Wish) -> anyhow::Result<Result<Told, String>> {
    let who = super::who(input);
    let asker = Asker::find(&Config::data_dir(input)?).await?;
    let told = match &asker {
        Asker::Relay(_) => match asker.ask(Ask::Webhook { wish, who }).await {
            Ok(Answer::Webhook(told)) => Ok(Ok(told)),
            Ok(Answer::Failed(why)) => Ok(Err(why)),
            Ok(other) => Err(anyhow::anyhow!("an answer to something else: {other:?}")),
            Err(error) => Err(error),
        },
        Asker::Journal(ground, _) => match Config::load(input) {
            Ok(config) => {
                let journal = ground.journal.clone();
                let told = app::webhook::act(config, journal, wish, &who).await;
                Ok(told.map_err(|error| format!("{error:#}")))
            }
            Err(error) => Err(error.into()),
        },
    };
    asker.close().await;
    told
}

fn confirmed() -> anyhow::Result<bool> {
    let mut stderr = std::io::stderr().lock();
    write!(
        stderr,
        "delete our webhook in Orbit? no events will come [y/N] "
    )
    .ok();
    stderr.flush().ok();
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn print_all(lines: &[String]) -> anyhow::Result<()> {
    lines.iter().try_for_each(|line| print(line))
}

fn report_lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!("{} (manage = {})", report.status, report.manage)];
    match &report.url {
        None => lines.push("nothing is to be registered: --webhook-host is none".to_owned()),
        Some(url) => lines.push(format!(
            "wanted: {url} for {}; enabled {}, certificate checked {}",
            report.events.join(", "),
            report.enabled,
            report.validate_tls_cert
        )),
    }
    if let Some(ours) = &report.ours {
        lines.extend(listed_lines(ours));
    }
    if report.differences.is_empty() {
        if report.status == "disabled" && report.enabled {
            lines.push("it is disabled in Orbit; webhook sync enables it".to_owned());
        }
    } else {
        lines.push(format!("differs in: {}", report.differences.join(", ")));
    }
    for twin in &report.twins {
        lines.push(format!(
            "{twin} has the same address and is not ours: each event comes twice"
        ));
    }
    match &report.record {
        None => lines.push("on record: nothing".to_owned()),
        Some(record) => {
            let uuid = if record.uuid.is_empty() {
                "none"
            } else {
                &record.uuid
            };
            let deleted = if record.deleted {
                "; a person deleted it"
            } else {
                ""
            };
            let disabled = if record.disabled_on_exit {
                "; disabled because the relay stopped"
            } else {
                ""
            };
            lines.push(format!("on record: {uuid}{deleted}{disabled}"));
        }
    }
    if report.rotating {
        lines.push("the secret before this one is still accepted".to_owned());
    }
    lines
}

fn listed_lines(webhook: &Listed) -> Vec<String> {
    let relation = match webhook.relation {
        Relation::Ours => "ours",
        Relation::FormerlyOurs => "was ours",
        Relation::Twin => "not ours, but with our address: each event comes twice",
        Relation::LookAlike => "not ours, but with our port and events: a second relay?",
        Relation::Other => "not ours",
    };
    let secret = match webhook.secret {
        ShownSecret::Whole => "whole",
        ShownSecret::Masked => "masked",
        ShownSecret::None => "none",
    };
    let text = |text: &Option<String>| format!("{:?}", text.as_deref().unwrap_or_default());
    let known = |flag: Option<bool>| flag.map_or("unknown".to_owned(), |flag| flag.to_string());
    let archived = if webhook.archived { ", archived" } else { "" };
    let events = webhook.events.as_ref().map(|events| events.join(", "));
    vec![
        format!("{:?} {}: {relation}", webhook.uuid, text(&webhook.name)),
        format!(
            "  {} for {}; enabled {}, certificate checked {}, secret {secret}{archived}",
            text(&webhook.url),
            text(&events),
            known(webhook.enabled),
            known(webhook.validate_tls_cert)
        ),
    ]
}
