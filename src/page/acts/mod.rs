//! Acts: who did what, and when.
//!
//! # Invariants
//! - What is shown is what the view says. Nothing is done here.

pub(crate) mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::response::IntoResponse as _;
use axum::routing::get;
use maud::{Markup, html};

use self::view::Acts;
use super::access::See;
use super::html::layout::{self, Here};
use super::html::parts::{self, text};
use super::{Answer, Page};

pub(super) fn routes() -> Router<Arc<Page>> {
    Router::new().route("/acts", get(all))
}

async fn all(State(page): State<Arc<Page>>, See(person): See, RawQuery(query): RawQuery) -> Answer {
    let acts = view::acts(&page, &query.unwrap_or_default()).await?;
    let body = html(&acts);
    Ok(layout::screen(&person, Here::Account, "Acts", &body).into_response())
}

fn html(acts: &Acts) -> Markup {
    let wanted = &acts.wanted;
    html! {
        p { "What people did, and what the relay did in their place." }
        form method="get" action="/acts" role="search" aria-label="Acts" {
            div.fields {
                (field("who", "By", wanted.who.as_deref()))
                (field("what", "What, such as replay or pause", wanted.what.as_deref()))
            }
            div.row {
                button type="submit" { "Show" }
                a.button.second href="/acts" { "All acts" }
            }
        }
        div id="list" data-live { (list(acts)) }
    }
}

fn field(name: &str, label: &str, value: Option<&str>) -> Markup {
    html! {
        div {
            label for=(name) { (label) }
            input type="text" id=(name) name=(name) value=(value.unwrap_or_default())
                maxlength=(view::LONGEST) autocomplete="off";
        }
    }
}

fn list(acts: &Acts) -> Markup {
    html! {
        @if acts.found.is_empty() {
            (parts::nothing("There are no such acts."))
        } @else {
            section.scroll tabindex="0" aria-label="Acts" {
                table {
                    thead {
                        tr {
                            th scope="col" { "When" }
                            th scope="col" { "By" }
                            th scope="col" { "What" }
                            th scope="col" { "Destination" }
                            th scope="col" { "On what, or why" }
                        }
                    }
                    tbody {
                        @for act in &acts.found {
                            tr {
                                td { (parts::time(act.at)) }
                                td { (text(&act.who, 60)) }
                                td { (text(&act.what, 40)) }
                                td { @if let Some(to) = &act.destination { (text(to, 60)) } }
                                td { (text(&act.detail, 300)) }
                            }
                        }
                    }
                }
            }
        }
        @if let Some(more) = acts.more {
            p { a href=(acts.wanted.address(Some(more))) { "Older acts" } }
        }
        @if acts.wanted.before.is_some() {
            p { a href=(acts.wanted.address(None)) { "Back to the newest" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::view::{ActRow, Wanted};
    use super::*;

    #[test]
    fn hostile_names_are_shown_as_text_among_acts() {
        let hostile = "<script>alert(1)</script>\"'\u{202e}";
        let acts = Acts {
            wanted: Wanted {
                who: Some(hostile.to_owned()),
                ..Wanted::default()
            },
            found: vec![ActRow {
                no: 7,
                at: Timestamp::UNIX_EPOCH,
                who: hostile.to_owned(),
                what: hostile.to_owned(),
                destination: Some(hostile.to_owned()),
                detail: hostile.repeat(1000),
            }],
            more: Some(7),
        };
        let shown = html(&acts).into_string();
        assert!(
            !shown.contains("<script") && !shown.contains("\"'\u{202e}"),
            "{shown}"
        );
        assert!(shown.contains("/acts?who=%3Cscript%3E"), "{shown}");
        assert!(shown.contains("&amp;before=7"), "{shown}");
        assert!(shown.len() < 20_000, "{}", shown.len());
    }

    #[test]
    fn an_address_of_acts_is_passed_on_and_what_cannot_be_meant_is_left_out() {
        let wanted = Wanted::parse("who=ann+%26&what=pause&before=12&nobody=1");
        assert_eq!(wanted.who.as_deref(), Some("ann &"));
        assert_eq!(wanted.before, Some(12));
        let again = wanted.address(wanted.before);
        assert_eq!(Wanted::parse(again.strip_prefix("/acts?").unwrap()), wanted);
        assert_eq!(Wanted::parse("who=&before=x"), Wanted::default());
        let long = format!("who={}", "x".repeat(10_000));
        assert_eq!(Wanted::parse(&long).who.unwrap().len(), view::LONGEST);
    }
}
