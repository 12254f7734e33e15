//! `assets`: the asset map looked at, what it does not know, and the map as CSV.
//!
//! # Invariants
//! - Nothing is written. The journal is read a page at a time; what is remembered of it has a limit.
//! - The map is the one that a start would load now.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command, value_parser};
use jiff::Timestamp;
use serde::Serialize;

use super::args::{json, place_and_map};
use super::{Outcome, TROUBLE, Usage, print, print_as_it_is};
use crate::app::assets::Assets;
use crate::config::{Config, Input};
use crate::event::{ALERT, COMPLETED, Envelope};
use crate::relay::assets::{AssetMap, LoadError, Match, Subject};
use crate::relay::journal::{EventRow, ReadError, Reader};

/// No more actions without an asset, and no more ties, are told apart.
const MOST: usize = 10_000;

/// Something about a row, for programs.
#[derive(Serialize)]
struct FindingJson<'a> {
    finding: &'static str,
    line: usize,
    other_line: Option<usize>,
    text: &'a str,
}

/// An action that found no asset, for programs.
#[derive(Serialize)]
struct LackingJson<'a> {
    action: Option<&'a str>,
    count: u64,
    last_seen: String,
    last_seq: i64,
    line: &'a str,
}

/// Something about a row of the map.
struct Finding {
    what: &'static str,
    line: usize,
    other_line: Option<usize>,
    text: String,
}

/// What the inspections in the journal said of the rows.
#[derive(Default)]
struct Seen {
    inspections: u64,
    lines: BTreeSet<usize>,
    /// Two lines, with an inspection that both fit.
    ties: BTreeMap<(usize, usize), String>,
}

/// The actions that found no asset.
struct Unmapped {
    /// The most frequent first.
    actions: Vec<Lacking>,
    /// How many inspections there were of actions beyond these.
    more: u64,
}

/// Inspections of one action that found no asset.
struct Lacking {
    count: u64,
    /// The newest.
    last_seen: Timestamp,
    last_seq: i64,
    subject: Subject,
}

pub(super) fn command() -> Command {
    Command::new("assets")
        .about("Look at the asset map, and at actions that it does not know")
        .subcommand_required(true)
        .subcommand(
            Command::new("check")
                .about(
                    "Say which rows are wrong, repeat others, tie with others, or fitted no \
                     inspection in the journal; exit 4 if any is wrong or ties",
                )
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .help("Another file than the asset map that is configured")
                        .value_parser(value_parser!(PathBuf)),
                )
                .args(place_and_map())
                .arg(json()),
        )
        .subcommand(
            Command::new("unmapped")
                .about(
                    "List the actions in the journal that find no asset, the most frequent \
                     first, with lines to paste into the asset map",
                )
                .args(place_and_map())
                .arg(json()),
        )
        .subcommand(
            Command::new("export")
                .about("Write the asset map as plain CSV, with commas, to standard output")
                .args(place_and_map()),
        )
}

pub(super) fn check(input: &Input, matches: &ArgMatches) -> Outcome {
    let file = matches.get_one::<PathBuf>("file").cloned();
    let path = file.map_or_else(|| Config::asset_map(input), |file| Ok(Some(file)))?;
    let path = path.ok_or_else(|| Usage("no asset map is configured; name a file".into()))?;
    let name = path.display();
    let json = matches.get_flag("json");
    let map = match Assets::map(Some(&path)) {
        Ok(map) => map,
        Err(error) => {
            let Some(wrong) = error.downcast_ref::<LoadError>() else {
                return Err(Usage(format!("{error:#}")).into());
            };
            say(&wrong_rows(wrong), json)?;
            if wrong.more() > 0 && !json {
                print(&format!("and {} more lines", wrong.more()))?;
            }
            return Ok(ExitCode::from(TROUBLE));
        }
    };
    let seen = match Reader::open(&Config::data_dir(input)?) {
        Ok(mut reader) => Some(Seen::of(&map, &mut reader)?),
        Err(ReadError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let findings = findings(&map, seen.as_ref());
    say(&findings, json)?;
    if !json {
        let (rows, version) = (map.len(), map.version());
        let seen = seen.as_ref().map_or_else(
            || "there is no journal to compare it with".to_owned(),
            |seen| {
                format!(
                    "compared with {} inspections in the journal",
                    seen.inspections
                )
            },
        );
        print(&format!("{rows} rows in {name}, version {version}; {seen}"))?;
    }
    let has_ties = findings.iter().any(|finding| finding.what == "tie");
    Ok(if has_ties {
        ExitCode::from(TROUBLE)
    } else {
        ExitCode::SUCCESS
    })
}

pub(super) fn unmapped(input: &Input, matches: &ArgMatches) -> Outcome {
    let path = Config::asset_map(input)?;
    let map = in_use(input)?;
    let mut reader = Reader::open(&Config::data_dir(input)?)?;
    let Unmapped { actions, more } = Unmapped::of(&map, &mut reader)?;
    if matches.get_flag("json") {
        for of in &actions {
            print(&serde_json::to_string(&LackingJson {
                action: of.subject.action_name.as_deref(),
                count: of.count,
                last_seen: of.last_seen.to_string(),
                last_seq: of.last_seq,
                line: &map.line_for(&of.subject),
            })?)?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if actions.is_empty() {
        print("every inspection in the journal has an asset")?;
        return Ok(ExitCode::SUCCESS);
    }
    for of in &actions {
        let action = in_words(of.subject.action_name.as_deref());
        let (count, at) = (of.count, of.last_seen);
        print(&format!("{count} × {action}, last seen {at:.0}"))?;
    }
    if more > 0 {
        print(&format!("and {more} inspections of other actions"))?;
    }
    let file = path.map_or("a new file (ASSET_MAP=FILE.csv)".to_owned(), |path| {
        path.display().to_string()
    });
    print(&format!(
        "to map them, add these lines to {file}, with an asset in the place of ASSET-ID-HERE:"
    ))?;
    if let Some(header) = map.missing_header() {
        print(&header)?;
    }
    for of in &actions {
        print(&map.line_for(&of.subject))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn export(input: &Input) -> Outcome {
    print_as_it_is(&in_use(input)?.to_csv())?;
    Ok(ExitCode::SUCCESS)
}

/// A file that a start could not use is the user's affair here too.
fn in_use(input: &Input) -> anyhow::Result<AssetMap> {
    let path = Config::asset_map(input)?;
    Ok(Assets::map(path.as_deref()).map_err(|error| Usage(format!("{error:#}")))?)
}

fn say(findings: &[Finding], json: bool) -> anyhow::Result<()> {
    for finding in findings {
        let Finding {
            what,
            line,
            other_line,
            text,
        } = finding;
        print(&if json {
            serde_json::to_string(&FindingJson {
                finding: what,
                line: *line,
                other_line: *other_line,
                text,
            })?
        } else {
            format!("line {line}: {text}")
        })?;
    }
    Ok(())
}

fn wrong_rows(error: &LoadError) -> Vec<Finding> {
    let wrong = error.problems().iter().map(|problem| Finding {
        what: "wrong",
        line: problem.line,
        other_line: None,
        text: problem.what.clone(),
    });
    wrong.collect()
}

fn findings(map: &AssetMap, seen: Option<&Seen>) -> Vec<Finding> {
    let repeated = map.repeated().iter().map(|repeated| Finding {
        what: "repeated",
        line: repeated.line,
        other_line: Some(repeated.first),
        text: format!(
            "says what line {} says; one of them is enough",
            repeated.first
        ),
    });
    let ties = seen.into_iter().flat_map(|seen| &seen.ties);
    let ties = ties.map(|((line, other), example)| Finding {
        what: "tie",
        line: *line,
        other_line: Some(*other),
        text: format!(
            "ties with line {other}, which names something else, at {example}: give one of them \
             more characters, or that a row of its own"
        ),
    });
    let unmatched = seen.into_iter().flat_map(|seen| {
        let rows = map.rows().filter(|(line, _)| !seen.lines.contains(line));
        rows.map(|(line, row)| Finding {
            what: "unmatched",
            line,
            other_line: None,
            text: format!("{row}: it was taken for no inspection in the journal"),
        })
    });
    let mut findings: Vec<_> = repeated.chain(ties).chain(unmatched).collect();
    findings.sort_by_key(|finding| finding.line);
    findings
}

impl Seen {
    fn of(map: &AssetMap, reader: &mut Reader) -> Result<Self, ReadError> {
        let mut seen = Self::default();
        each_inspection(reader, |_, envelope| {
            let whole = Subject::of(envelope);
            seen.inspections += 1;
            seen.note(map.find(&whole), &whole);
            for part in whole.parts(envelope) {
                seen.note(map.find(&part), &part);
            }
        })?;
        Ok(seen)
    }

    fn note(&mut self, found: Option<Match>, subject: &Subject) {
        let Some(Match {
            line: Some(line),
            tied_with,
            ..
        }) = found
        else {
            return;
        };
        self.lines.insert(line);
        let Some(other) = tied_with else {
            return;
        };
        // What is tied is no row without a use.
        self.lines.insert(other);
        if self.ties.len() < MOST {
            let example = || in_words(subject.action_name.as_deref());
            self.ties.entry((line, other)).or_insert_with(example);
        }
    }
}

impl Unmapped {
    fn of(map: &AssetMap, reader: &mut Reader) -> Result<Self, ReadError> {
        let mut actions: HashMap<Option<String>, Lacking> = HashMap::new();
        let mut more = 0;
        each_inspection(reader, |event, envelope| {
            let subject = Subject::of(envelope);
            if map.find(&subject).is_some() {
                return;
            }
            let has_place = actions.len() < MOST;
            match actions.entry(subject.action_name.clone()) {
                Entry::Occupied(mut entry) => entry.get_mut().count += 1,
                Entry::Vacant(entry) if has_place => {
                    entry.insert(Lacking {
                        count: 1,
                        last_seen: event.received_at,
                        last_seq: event.seq,
                        subject,
                    });
                }
                Entry::Vacant(_) => more += 1,
            }
        })?;
        let mut actions: Vec<_> = actions.into_values().collect();
        actions.sort_by_key(|of| Reverse((of.count, of.last_seq)));
        Ok(Self { actions, more })
    }
}

/// Goes through the inspections in the journal, the newest first.
fn each_inspection(
    reader: &mut Reader,
    mut look: impl FnMut(&EventRow, &Envelope<'_>),
) -> Result<(), ReadError> {
    let mut before = None;
    loop {
        let page = reader.walk(before)?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        before = Some(last.seq);
        for event in &page {
            let is_inspection = matches!(&*event.event_type, COMPLETED | ALERT);
            if let Ok(envelope) = Envelope::parse(&event.body)
                && is_inspection
            {
                look(event, &envelope);
            }
        }
    }
}

fn in_words(action: Option<&str>) -> String {
    action.map_or("(no action name)".to_owned(), |action| {
        format!("{action:?}")
    })
}
