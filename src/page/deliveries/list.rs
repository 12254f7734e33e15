//! The list of deliveries, as HTML.
//!
//! # Invariants
//! - What is shown is what the view says.

use maud::{Markup, html};

use super::super::access::{Person, Role};
use super::super::html::parts::{self, text};
use super::href;
use super::view::{List, Row};
use super::wanted::{LONGEST, shown};
use crate::relay::journal::{Kind, State};

/// The whole screen.
pub(super) fn html(person: &Person, list: &List) -> Markup {
    html! {
        (fields(list))
        section aria-labelledby="found-title" {
            h2 id="found-title" { "Found" }
            div id="found" data-live { (found(list)) }
        }
        @if person.role >= Role::Decide { (bulk(list)) }
    }
}

fn fields(list: &List) -> Markup {
    let wanted = &list.wanted;
    let suggested = &list.suggested;
    html! {
        form method="get" action="/deliveries" role="search" aria-label="Deliveries" {
            div.fields {
                (field(list, "text", "Words", wanted.text.as_deref(), false))
                (field(list, "asset", "Asset", wanted.asset.as_deref(), true))
                (field(list, "action", "Action", wanted.action.as_deref(), false))
                (field(list, "mission", "Mission", wanted.mission.as_deref(), true))
                (field(list, "robot", "Robot", wanted.robot.as_deref(), true))
                div {
                    label for="destination" { "Destination" }
                    select id="destination" name="destination" {
                        option value="" { "any" }
                        @for to in &list.destinations {
                            option value=(to.id)
                                selected[wanted.destination.as_deref() == Some(&to.id)] {
                                (to.name)
                            }
                        }
                    }
                }
                (moment(list, "since", "Received from (UTC)", wanted.since.map(shown)))
                (moment(list, "until", "Received before (UTC)", wanted.until.map(shown)))
            }
            fieldset aria-describedby=[problem_id(list, "state")] {
                legend { "State" }
                div.row {
                    @for state in State::ALL {
                        label.choice {
                            input type="checkbox" name="state" value=(state.as_str())
                                checked[wanted.states.contains(&state)];
                            " " (state.as_str())
                        }
                    }
                }
                (problem(list, "state"))
            }
            div.row {
                button type="submit" { "Search" }
                a.button.second href="/deliveries" { "All deliveries" }
            }
        }
        (names("assets", &suggested.assets))
        (names("missions", &suggested.missions))
        (names("robots", &suggested.robots))
    }
}

fn field(
    list: &List,
    name: &'static str,
    label: &str,
    value: Option<&str>,
    suggests: bool,
) -> Markup {
    let wrong = problem_id(list, name);
    html! {
        div {
            label for=(name) { (label) }
            input type="text" id=(name) name=(name) value=(value.unwrap_or_default())
                maxlength=(LONGEST) autocomplete="off" list=[suggests.then(|| format!("{name}s"))]
                aria-invalid=[wrong.as_ref().map(|_| "true")] aria-describedby=[&wrong];
            (problem(list, name))
        }
    }
}

fn moment(list: &List, name: &'static str, label: &str, value: Option<String>) -> Markup {
    let wrong = problem_id(list, name);
    html! {
        div {
            label for=(name) { (label) }
            input type="datetime-local" step="1" id=(name) name=(name)
                value=(value.unwrap_or_default())
                aria-invalid=[wrong.as_ref().map(|_| "true")] aria-describedby=[&wrong];
            (problem(list, name))
        }
    }
}

fn problem_id(list: &List, field: &str) -> Option<String> {
    let mut problems = list.problems.iter();
    let found = problems.find(|problem| problem.field == field);
    found.map(|_| format!("{field}-wrong"))
}

fn problem(list: &List, field: &str) -> Markup {
    let mut problems = list.problems.iter();
    let found = problems.find(|problem| problem.field == field);
    html! {
        @if let Some(problem) = found {
            p.error id=(format!("{field}-wrong")) { (problem.what) }
        }
    }
}

fn names(id: &str, names: &std::collections::BTreeSet<String>) -> Markup {
    html! {
        datalist id=(id) {
            @for name in names { option value=(name) {} }
        }
    }
}

fn found(list: &List) -> Markup {
    let looked = parts::count(u64::try_from(list.looked).unwrap_or(u64::MAX));
    html! {
        @if !list.problems.is_empty() {
            (parts::nothing("Nothing was searched for: a field is not right, see above."))
        } @else if list.deliveries.is_empty() && list.more.is_none() {
            (parts::nothing(if list.wanted.is_empty() {
                "There are no deliveries yet."
            } else {
                "Nothing matches."
            }))
        } @else {
            @if list.deliveries.is_empty() {
                (parts::nothing("Nothing matches so far."))
            } @else {
                (table(&list.deliveries))
            }
            @if let Some(more) = &list.more {
                p { "The search looked at " (looked) " deliveries so far. "
                    a href=(list.wanted.on_from(more)) { "Go on with older ones" }
                }
            } @else {
                p.soft { "These are all." }
            }
        }
        @if list.wanted.before.is_some() {
            p { a href=(format!("/deliveries?{}", list.wanted.query())) { "Back to the newest" } }
        }
    }
}

fn table(rows: &[Row]) -> Markup {
    html! {
        section.scroll tabindex="0" aria-label="Deliveries that were found" {
            table {
                thead {
                    tr {
                        th scope="col" { "Received" }
                        th scope="col" { "About" }
                        th scope="col" { "Destination" }
                        th scope="col" { "State" }
                        th scope="col" { "Asset" }
                        th.n scope="col" { "Tries" }
                        th scope="col" { "Why" }
                    }
                }
                tbody {
                    @for row in rows { (line(row)) }
                }
            }
        }
    }
}

fn line(row: &Row) -> Markup {
    let action = row.action.as_deref().unwrap_or(&row.event_type);
    html! {
        tr {
            td { (parts::time(row.received_at)) }
            td {
                a href=(href(&row.id)) { (text(action, 80)) }
                @if row.alert { " " (parts::badge(parts::Tone::Bad, "alert")) }
                @for part in [&row.mission, &row.robot].into_iter().flatten() {
                    br;
                    span.soft { (text(part, 80)) }
                }
            }
            td { (text(&row.destination, 60)) }
            td { (parts::state(row.state)) }
            td { @if let Some(asset) = &row.asset { (text(asset, 60)) } }
            td.n { (row.attempts) }
            td {
                @if let Some(reason) = &row.reason { (text(reason, 120)) }
                @if let Some(at) = row.next_at { " next try about " (parts::time(at)) }
            }
        }
    }
}

fn bulk(list: &List) -> Markup {
    let query = list.wanted.query();
    html! {
        section aria-labelledby="bulk-title" {
            h2 id="bulk-title" { "All that this finds" }
            @if !list.problems.is_empty() || list.wanted.is_empty() {
                p.soft { "Search first: say which deliveries, then all of them can be sent again \
                    or thrown away at once." }
            } @else if list.wanted.filter().is_none() {
                p.soft { "All at once can only be done by destination, state and time: leave the \
                    other fields empty." }
            } @else {
                p { "You are shown how many it is before anything is done." }
                div.row {
                    @for (kind, word) in [
                        (Kind::Replay, "Send them again …"),
                        (Kind::Discard, "Throw them away …"),
                    ] {
                        a.button.second href=(format!(
                            "/deliveries/bulk?act={}&{query}", kind.as_str()
                        )) { (word) }
                    }
                }
            }
        }
    }
}
