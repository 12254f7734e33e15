//! The screens of health, from their views.
//!
//! # Invariants
//! - Pure.

use maud::{Markup, html};

use super::super::access::{Person, Role};
use super::super::html::layout::{Here, screen};
use super::super::html::parts::{self, Tone};
use super::view::{Check, Least, Log, LogQuery, View};
use crate::ops::health::Part;
use crate::table::Verdict;

pub(super) fn health(person: &Person, view: &View) -> Markup {
    let parts_of = &view.parts;
    let named = [
        ("Journal", &parts_of.journal),
        ("Taking events", &parts_of.listener),
        ("Orbit and our webhook", &parts_of.orbit),
        ("Looking for what was missed", &parts_of.backfill),
        ("Clock", &parts_of.clock),
    ];
    let body = html! {
        section aria-labelledby="parts" {
            h2 id="parts" { "Parts" }
            div.scroll tabindex="0" id="health-parts" data-live {
                table {
                    caption { "How each part of the relay does now" }
                    thead { tr { th scope="col" { "Part" } th scope="col" { "How it does" } th scope="col" { "Why" } } }
                    tbody {
                        @for (name, part) in named { (row(&html! { (name) }, part)) }
                        @for (name, part) in &parts_of.destinations {
                            (row(&html! { "Destination " (parts::text(name, 60)) }, part))
                        }
                    }
                }
            }
        }
        section aria-labelledby="check" {
            h2 id="check" { "Check" }
            p.soft { "Asks Orbit and each destination, and looks at this machine. Nothing is changed there." }
            (parts::button(person, "/health/look", "Look again"))
            div id="health-check" data-live {
                @match &view.check {
                    None if view.is_looking => { p role="status" { "It is being looked at. This takes some seconds." } }
                    None => { (parts::nothing("Nothing was looked at yet.")) }
                    Some(check) => { (table(check, view.is_looking)) }
                }
            }
        }
        section aria-labelledby="facts" {
            h2 id="facts" { "Versions and room" }
            dl.facts id="health-facts" data-live {
                @for fact in &view.facts {
                    dt { (fact.name) }
                    dd { (parts::text(&fact.value, 300)) }
                }
            }
        }
        @if !view.warnings.is_empty() {
            section aria-labelledby="warnings" {
                h2 id="warnings" { "What you should know of the configuration" }
                ul {
                    @for warning in &view.warnings { li { (parts::text(warning, 1000)) } }
                }
            }
        }
        section aria-labelledby="more" {
            h2 id="more" { "For help" }
            p { a href="/health/log" { "The log of the last hour" } }
            @if person.role >= Role::Decide {
                p {
                    a href="/health/report.txt" { "The report for support" }
                    " – the table, the sums, the configuration and the log as one text, without secrets"
                }
            }
        }
    };
    screen(person, Here::Health, "Health", &body)
}

fn row(name: &Markup, part: &Part) -> Markup {
    let tone = if part.well { Tone::Good } else { Tone::Bad };
    html! {
        tr {
            th scope="row" { (name) }
            td { (parts::badge(tone, &part.status.replace('_', " "))) }
            td { @if let Some(reason) = &part.reason { (parts::text(reason, 500)) } }
        }
    }
}

fn table(check: &Check, is_looking: bool) -> Markup {
    html! {
        p {
            "Looked at " (parts::time(check.at)) ": "
            (check.good) " good, " (check.bad) " not good, " (check.unknown) " not known."
            @if is_looking { " It is being looked at again." }
        }
        div.scroll tabindex="0" {
            table {
                caption { "What was looked at, and what to do" }
                thead { tr { th scope="col" { "What" } th scope="col" { "How it is" } th scope="col" { "What was seen" } } }
                tbody {
                    @for verdict in [Verdict::Bad, Verdict::Unknown, Verdict::Good] {
                        @for row in check.rows.iter().filter(|row| row.verdict == verdict) {
                            tr {
                                th scope="row" { (row.name) }
                                td { (parts::verdict(row.verdict)) }
                                td {
                                    (parts::text(&row.what, 1000))
                                    @if let Some(advice) = &row.advice {
                                        p.hint { "→ " (parts::text(advice, 1000)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn log(person: &Person, log: &Log, query: &LogQuery) -> Markup {
    let body = html! {
        form.row method="get" action="/health/log" {
            div {
                label for="level" { "Lines" }
                select id="level" name="level" {
                    @for (level, value, words) in Least::ALL {
                        option value=(value) selected[level == query.level] { (words) }
                    }
                }
            }
            div {
                label for="text" { "With this text" }
                input id="text" name="text" type="search" size="30" maxlength="200" value=(query.text);
            }
            button type="submit" { "Show" }
        }
        div id="log" data-live {
            p {
                (parts::count(u64::try_from(log.found).unwrap_or(u64::MAX))) " lines of the last hour"
                @if log.found > log.lines.len() { ", the last " (log.lines.len()) " of them shown" }
                "."
            }
            @if !log.lines.is_empty() {
                div.scroll tabindex="0" {
                    table {
                        caption { "The newest first" }
                        thead { tr { th scope="col" { "When" } th scope="col" { "Level" } th scope="col" { "What" } } }
                        tbody {
                            @for line in &log.lines {
                                tr {
                                    td { (parts::time(line.at)) }
                                    td { (line.level) }
                                    td { code { (parts::text(&line.text, 2000)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    screen(person, Here::Health, "The log of the last hour", &body)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::view::LogLine;
    use super::*;
    use crate::ops::health::Health;
    use crate::table::Row;

    const HOSTILE: &str = "<script>alert(\"1\")</script>'\u{202e}&";

    fn person(role: Role) -> Person {
        Person {
            role,
            ..Person::for_tests("ann")
        }
    }

    fn part(reason: Option<&str>) -> Part {
        Part {
            well: reason.is_none(),
            status: "word",
            reason: reason.map(str::to_owned),
        }
    }

    fn view() -> View {
        View {
            parts: Health {
                status: "degraded",
                ready: true,
                journal: part(None),
                listener: part(None),
                orbit: part(Some(HOSTILE)),
                backfill: part(None),
                clock: part(None),
                destinations: BTreeMap::from([(HOSTILE.to_owned(), part(None))]),
            },
            check: Some(Check {
                at: jiff::Timestamp::UNIX_EPOCH,
                rows: vec![
                    Row::good("good one", HOSTILE),
                    Row::bad("bad one", HOSTILE, HOSTILE),
                ],
                good: 1,
                bad: 1,
                unknown: 0,
            }),
            is_looking: false,
            facts: Vec::new(),
            warnings: vec![HOSTILE.to_owned()],
        }
    }

    #[test]
    fn what_is_not_good_comes_first_and_hostile_text_is_text() {
        let shown = health(&person(Role::See), &view()).into_string();
        assert!(!shown.contains("<script>alert"), "{shown}");
        assert!(shown.contains("&lt;script&gt;alert"));
        let (bad, good) = (shown.find("bad one"), shown.find("good one"));
        assert!(bad < good, "{shown}");
    }

    #[test]
    fn the_report_is_offered_to_who_may_have_it() {
        let offered = |role| {
            health(&person(role), &view())
                .into_string()
                .contains("report.txt")
        };
        assert!(offered(Role::Decide));
        assert!(!offered(Role::See));
    }

    #[test]
    fn hostile_lines_of_the_log_are_text() {
        let lines = vec![LogLine {
            at: jiff::Timestamp::UNIX_EPOCH,
            level: "INFO",
            text: HOSTILE.to_owned(),
        }];
        let query = LogQuery {
            text: HOSTILE.to_owned(),
            ..LogQuery::default()
        };
        let shown = log(&person(Role::See), &Log { lines, found: 1 }, &query).into_string();
        assert!(
            !shown.contains("<script>alert") && shown.contains("&lt;script"),
            "{shown}"
        );
    }
}
