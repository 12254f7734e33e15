//! How the screens of the asset map look.
//!
//! # Invariants
//! - What a cell holds is shown as text, whatever it is.
//! - Who may not change the map, and nobody where another file is it, is offered a change.

use maud::{Markup, html};

use super::MapState;
use super::view::{
    ChangeView, DifferenceView, EntryView, FormView, HistoryView, MapView, ProblemView, UploadView,
    VersionView,
};
use crate::page::Failed;
use crate::page::access::{Person, Role};
use crate::page::html::layout::{self, Here};
use crate::page::html::parts::{self, Tone};

/// A cell in a table is cut there, and a longer text.
const CELL: usize = 80;
const TEXT: usize = 300;

/// The screen of the map.
pub(super) fn map(person: &Person, view: &MapView) -> Markup {
    let may_change = may_change(person, &view.state);
    let body = html! {
        (ways(may_change, view))
        (standing(&view.state))
        @if !view.problems.is_empty() {
            div.problem role="alert" {
                p {
                    "The file cannot be used as it stands: what was in it before is in use until the "
                    "next start, which this file would stop."
                }
                (problems(&view.problems, view.more_problems))
            }
        }
        form method="get" action="/assets/map" role="search" {
            div.row {
                div {
                    label for="q" { "Search in the map" }
                    input id="q" name="q" type="search" size="30" value=(view.q);
                }
                button type="submit" { "Search" }
                @if !view.q.is_empty() { a.button.second href="/assets/map" { "Show all" } }
            }
        }
        div id="map-rows" data-live="" { (rows(view, may_change)) }
        @if may_change && view.undo { (undo(person, &view.version)) }
    };
    layout::screen(person, Here::Assets, "Asset map", &body)
}

fn ways(may_change: bool, view: &MapView) -> Markup {
    html! {
        p {
            "The asset map says which asset of the plant an inspection is about. "
            a href="/assets" { "All assets" }
        }
        @if let Some(origin) = &view.state.locked {
            p.problem {
                "This map cannot be changed here: it is the file " (parts::text(&view.state.path, TEXT))
                ", from " (parts::text(origin, TEXT))
                ". Change that file; it is read again within seconds."
            }
        }
        p.row {
            @if may_change {
                a.button href="/assets/map/row" { "Add a row" }
                a.button.second href="/assets/map/upload" { "Upload a CSV file" }
            }
            a.button.second href="/assets/map/file" { "Download" }
            a.button.second href="/assets/map/history" { "History" }
        }
    }
}

fn standing(state: &MapState) -> Markup {
    html! {
        dl.facts id="map-state" data-live="" {
            dt { "In use" }
            dd {
                @if state.version == "none" { "no map: only assets that Orbit itself names are known" }
                @else { (parts::count(number(state.rows))) " rows, version " code { (state.version) } }
            }
            dt { "File" }
            dd { (parts::text(&state.path, TEXT)) }
        }
    }
}

fn rows(view: &MapView, may_change: bool) -> Markup {
    html! {
        @if view.found == 0 && view.q.is_empty() {
            (parts::nothing("The map has no rows yet."))
        } @else if view.found == 0 {
            (parts::nothing("No row has that in it."))
        } @else {
            section.scroll tabindex="0" aria-label="Rows of the asset map" {
                table {
                    caption {
                        (parts::count(number(view.found))) " rows"
                        @if view.pages > 1 { ", page " (view.page) " of " (view.pages) }
                    }
                    thead {
                        tr {
                            th.n scope="col" { "Line" }
                            @for name in &view.columns {
                                th scope="col" {
                                    @if name.is_empty() { "(no name)" }
                                    @else { (parts::text(name, CELL)) }
                                }
                            }
                            @if may_change { th scope="col" { "Change" } }
                        }
                    }
                    tbody {
                        @for row in &view.rows {
                            tr {
                                td.n { (row.line) }
                                @for cell in &row.cells { td { (parts::text(cell, CELL)) } }
                                @if may_change {
                                    td {
                                        a href={ "/assets/map/row?line=" (row.line) } {
                                            "Change line " (row.line)
                                        }
                                        @if row.unfinished {
                                            " " (parts::badge(Tone::Warn, "no asset yet"))
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            (pages(view))
        }
    }
}

fn pages(view: &MapView) -> Markup {
    let to = |page: usize| {
        let q = percent_encoding::utf8_percent_encode(&view.q, percent_encoding::NON_ALPHANUMERIC);
        format!("/assets/map?q={q}&page={page}")
    };
    html! {
        @if view.pages > 1 {
            nav aria-label="Pages of the map" {
                p.row {
                    @if view.page > 1 {
                        a.button.second href=(to(1)) { "First page" }
                        a.button.second href=(to(view.page - 1)) { "Page before" }
                    }
                    @if view.page < view.pages {
                        a.button.second href=(to(view.page + 1)) { "Next page" }
                        a.button.second href=(to(view.pages)) { "Last page" }
                    }
                }
            }
        }
    }
}

/// The last change taken back.
pub(super) fn undo(person: &Person, version: &str) -> Markup {
    parts::form(
        person,
        "/assets/map/undo",
        &html! {
            input type="hidden" name="version" value=(version);
            button.second type="submit" { "Undo the last change" }
        },
    )
}

/// The screen of one row; with what was wrong about it.
pub(super) fn form(person: &Person, view: &FormView, wrong: Option<&Failed>) -> Markup {
    let (title, line) = match view.line {
        Some(line) => (
            format!("Change line {line} of the asset map"),
            line.to_string(),
        ),
        None => ("Add a row to the asset map".to_owned(), String::new()),
    };
    let numbered = || view.fields.iter().enumerate();
    let hidden = html! {
        input type="hidden" name="version" value=(view.version);
        input type="hidden" name="line" value=(line);
    };
    let fields = html! {
        (hidden)
        @for (n, (name, text)) in numbered().take(view.usual) { (field(n, name, text)) }
        @if view.fields.len() > view.usual {
            details open[wrong.is_some()] {
                summary { "More that a row can go by" }
                @for (n, (name, text)) in numbered().skip(view.usual) { (field(n, name, text)) }
            }
        }
        p.row {
            button type="submit" { @if view.line.is_some() { "Save" } @else { "Add" } }
            a.button.second href="/assets/map" { "Back to the map" }
        }
    };
    let body = html! {
        @if let Some(failed) = wrong {
            div.problem role="alert" {
                p { (failed.what) }
                p { (failed.advice) }
            }
        }
        p.hint {
            "In the columns that a row goes by, " code { "*" } " stands for any characters and "
            code { "?" } " for one; write " code { "\\*" } " for a star that is meant. A row fits "
            "where all of them that are filled do."
        }
        (parts::form(person, "/assets/map/row", &fields))
        @if view.line.is_some() {
            h2 { "Remove it" }
            p.hint { "The version before it is kept in the history." }
            (parts::form(person, "/assets/map/remove", &html! {
                (hidden)
                button.danger type="submit" { "Remove line " (line) }
            }))
        }
    };
    layout::screen(person, Here::Assets, &title, &body)
}

fn field(n: usize, name: &str, text: &str) -> Markup {
    html! {
        label for={ "cell" (n) } { (parts::text(name, CELL)) }
        @if text.contains(['\n', '\r']) {
            textarea id={ "cell" (n) } name={ "cell" (n) } rows="3" { "\n" (text) }
        } @else {
            input id={ "cell" (n) } name={ "cell" (n) } type="text" value=(text) autocomplete="off";
        }
    }
}

/// The screen that asks for a file.
pub(super) fn ask(person: &Person, state: &MapState) -> Markup {
    let fields = html! {
        label for="file" { "CSV file" }
        p.hint id="file-hint" {
            "With a header that has asset_id and at least one column to go by; separated by comma, "
            "semicolon or tab; at most 8 MiB. In Excel: save as CSV UTF-8."
        }
        input id="file" name="file" type="file" required accept=".csv,.txt,text/csv,text/plain"
            aria-describedby="file-hint";
        p.row {
            button type="submit" { "Upload and compare" }
            a.button.second href="/assets/map" { "Back to the map" }
        }
    };
    let body = html! {
        p { "Nothing is changed yet: first you see what the file would change." }
        (standing(state))
        (parts::upload(person, "/assets/map/upload", &fields))
    };
    layout::screen(person, Here::Assets, "Upload an asset map", &body)
}

/// The screen of a file that waits to be confirmed.
pub(super) fn upload(person: &Person, view: &UploadView) -> Markup {
    let at = format!("/assets/map/upload/{}", view.name);
    let drop = parts::form(
        person,
        &format!("{at}/drop"),
        &html! { button.second type="submit" { "Throw the file away" } },
    );
    let body = html! {
        @if view.problems.is_empty() {
            p {
                "The file has " (parts::count(number(view.rows))) " rows. It is compared with version "
                code { (view.against) } "."
            }
            (difference(&view.difference))
            div.row {
                @if view.version != view.against {
                    (parts::form(person, &format!("{at}/apply"), &html! {
                        input type="hidden" name="version" value=(view.against);
                        button type="submit" { "Make it the asset map" }
                    }))
                }
                (drop)
            }
        } @else {
            div.problem role="alert" {
                p { "This file cannot be the asset map. Nothing was changed." }
                (problems(&view.problems, view.more_problems))
            }
            p { "Correct these lines, save the file, and upload it again." }
            div.row {
                a.button href="/assets/map/upload" { "Upload again" }
                (drop)
            }
        }
    };
    layout::screen(person, Here::Assets, "Uploaded asset map", &body)
}

/// The screen of all versions.
pub(super) fn history(person: &Person, view: &HistoryView) -> Markup {
    let is_in_use = |entry: &&EntryView| entry.in_use;
    let last = view.entries.first().filter(is_in_use);
    let body = html! {
        p { a href="/assets/map" { "Back to the map" } }
        (standing(&view.state))
        @if let Some(last) = last.filter(|_| view.entries.len() > 1)
            && may_change(person, &view.state) {
            (undo(person, &last.version))
        }
        div id="map-history" data-live="" {
            @if view.entries.is_empty() {
                (parts::nothing("Nothing was changed on this page yet."))
            } @else {
                section.scroll tabindex="0" aria-label="Versions of the asset map" {
                    table {
                        caption { "The newest first; the last hundred are kept." }
                        thead {
                            tr {
                                th scope="col" { "From" }
                                th scope="col" { "Who" }
                                th scope="col" { "What" }
                                th scope="col" { "Version" }
                            }
                        }
                        tbody {
                            @for entry in &view.entries {
                                tr {
                                    td {
                                        a href={ "/assets/map/history/" (entry.at) } {
                                            (parts::time(entry.time))
                                        }
                                    }
                                    (who(entry))
                                    td {
                                        code { (entry.version) }
                                        @if entry.in_use { " " (parts::badge(Tone::Good, "in use")) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    };
    layout::screen(person, Here::Assets, "History of the asset map", &body)
}

fn who(entry: &EntryView) -> Markup {
    html! {
        td { (entry.who.as_deref().map_or_else(|| html! { "–" }, |who| parts::text(who, CELL))) }
        td {
            @match (&entry.why, entry.version.as_str()) {
                (Some(why), _) => { (parts::text(why, TEXT)) }
                (None, "none") => { "there was no map" }
                (None, _) => { "was in the data directory" }
            }
        }
    }
}

/// The screen of one version.
pub(super) fn version(person: &Person, view: &VersionView) -> Markup {
    let entry = &view.entry;
    let body = html! {
        p { a href="/assets/map/history" { "Back to the history" } }
        div.scroll tabindex="0" {
            table {
                caption { "This version" }
                tbody { tr { td { (parts::time(entry.time)) } (who(entry)) td { code { (entry.version) } } } }
            }
        }
        h2 { "What changes when it is put back" }
        (difference(&view.difference))
        div.row {
            @if view.locked.is_none() && person.role >= Role::Configure && entry.version != view.now {
                (parts::form(person, &format!("/assets/map/history/{}", entry.at), &html! {
                    input type="hidden" name="version" value=(view.now);
                    button type="submit" { "Put this version back" }
                }))
            }
            a.button.second href={ "/assets/map/history/" (entry.at) "/file" } { "Download" }
        }
    };
    layout::screen(person, Here::Assets, "A version of the asset map", &body)
}

fn difference(view: &DifferenceView) -> Markup {
    let list = |names: &[String]| names.join(", ");
    html! {
        p { strong { "Difference: " (view.words) "." } " " (parts::count(number(view.same))) " rows stay." }
        @if !view.columns_added.is_empty() {
            p { "New columns: " (parts::text(&list(&view.columns_added), TEXT)) }
        }
        @if !view.columns_removed.is_empty() {
            p { "Columns that go: " (parts::text(&list(&view.columns_removed), TEXT)) }
        }
        @if !view.rows.is_empty() {
            section.scroll tabindex="0" aria-label="Rows that differ" {
                table {
                    thead {
                        tr {
                            th scope="col" { "What" }
                            th.n scope="col" { "Line" }
                            th scope="col" { "Goes by" }
                            th scope="col" { "Was" }
                            th scope="col" { "Is then" }
                        }
                    }
                    tbody { @for row in &view.rows { (change(row)) } }
                }
            }
        }
        @if view.left_out > 0 {
            p { "and " (parts::count(number(view.left_out))) " rows more" }
        }
    }
}

fn change(row: &ChangeView) -> Markup {
    let tone = match row.what {
        "added" => Tone::Good,
        "removed" => Tone::Bad,
        _ => Tone::Warn,
    };
    let cell = |text: &Option<String>| {
        html! { @if let Some(text) = text { (parts::text(text, TEXT)) } @else { "–" } }
    };
    html! {
        tr {
            td { (parts::badge(tone, row.what)) }
            td.n { (row.line) }
            td { (parts::text(&row.goes_by, TEXT)) }
            td { (cell(&row.was)) }
            td { (cell(&row.is)) }
        }
    }
}

fn problems(problems: &[ProblemView], more: usize) -> Markup {
    html! {
        ul {
            @for problem in problems {
                li { "Line " (problem.line) ": " (parts::text(&problem.what, TEXT)) }
            }
            @if more > 0 { li { "and " (more) " more" } }
        }
    }
}

fn may_change(person: &Person, state: &MapState) -> bool {
    state.locked.is_none() && person.role >= Role::Configure
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
