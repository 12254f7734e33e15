//! How the screens of assets look.
//!
//! # Invariants
//! - Names, texts and units are shown as text, whatever they are.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::view::{AssetView, AssetsView, Days, PictureView, SeriesView};
use crate::page::access::Person;
use crate::page::html::layout::{self, Here};
use crate::page::html::parts::{self, Tone};
use crate::page::html::plot;

const NAME: usize = 80;
const TEXT: usize = 200;

/// Where an asset's screen is.
pub(crate) fn path_of(asset: &str) -> String {
    format!("/assets/one?asset={}", encoded(asset))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The screen of all assets.
pub(super) fn assets(person: &Person, view: &AssetsView) -> Markup {
    let to = |page: usize| format!("/assets?q={}&page={page}", encoded(&view.q));
    let body = html! {
        p.row {
            a.button.second href="/assets/map" { "Asset map" }
        }
        form method="get" action="/assets" role="search" {
            div.row {
                div {
                    label for="q" { "Search for an asset" }
                    input id="q" name="q" type="search" size="30" value=(view.q);
                }
                button type="submit" { "Search" }
                @if !view.q.is_empty() { a.button.second href="/assets" { "Show all" } }
            }
        }
        div id="assets" data-live="" {
            @if view.assets.is_empty() && view.q.is_empty() {
                (parts::nothing("No inspection of an asset came yet. The asset map says which inspection \
                    is about which asset."))
            } @else if view.assets.is_empty() {
                (parts::nothing("No asset of that name had an inspection."))
            } @else {
                (list(view))
                (pages(view.page, view.pages, &to))
            }
        }
    };
    layout::screen(person, Here::Assets, "Assets", &body)
}

fn list(view: &AssetsView) -> Markup {
    html! {
        section.scroll tabindex="0" aria-label="Assets" {
            table {
                caption {
                    (parts::count(number(view.found))) @if view.more { " or more" } " assets"
                    @if view.pages > 1 { ", page " (view.page) " of " (view.pages) }
                    ". Events count as long as they are kept."
                }
                thead {
                    tr {
                        th scope="col" { "Asset" }
                        th scope="col" { "Last inspection" }
                        th.n scope="col" { "Inspections" }
                        th.n scope="col" { "Alerts" }
                    }
                }
                tbody {
                    @for row in &view.assets {
                        tr {
                            th scope="row" {
                                a href=(path_of(&row.asset)) { (parts::text(&row.asset, NAME)) }
                            }
                            td { (parts::ago(row.last_at, view.now)) }
                            td.n { (parts::count(row.events)) }
                            td.n {
                                @if row.alerts > 0 {
                                    (parts::badge(Tone::Bad, &parts::count(row.alerts)))
                                } @else { "0" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn pages(page: usize, pages: usize, to: &dyn Fn(usize) -> String) -> Markup {
    html! {
        @if pages > 1 {
            nav aria-label="Pages" {
                p.row {
                    @if page > 1 { a.button.second href=(to(page - 1)) { "Page before" } }
                    @if page < pages { a.button.second href=(to(page + 1)) { "Next page" } }
                }
            }
        }
    }
}

/// The screen of one asset.
pub(super) fn asset(person: &Person, view: &AssetView) -> Markup {
    let to = |page: usize| format!("{}&page={page}", of_days(view, view.days));
    let title = format!("Asset {}", parts::shortened(&view.asset, NAME));
    let body = html! {
        p { a href="/assets" { "All assets" } }
        p.row {
            a.button.second href={ "/deliveries?asset=" (encoded(&view.asset)) } { "Its deliveries" }
            a.button.second href={ "/assets/map?q=" (encoded(&view.asset)) } { "Its rows in the asset map" }
        }
        nav aria-label="Time" {
            p.row {
                @for (days, _, words) in Days::ALL {
                    a.button.second href=(of_days(view, days))
                        aria-current=[(days == view.days).then_some("true")] {
                        @if days == view.days { "✓ " } (words)
                    }
                }
            }
        }
        section id="readings" data-live="" aria-labelledby="readings-name" {
            h2 id="readings-name" { "Readings" }
            (readings(view))
            (pages(view.page, view.pages, &to))
        }
        section id="photographs" data-live="" aria-labelledby="photographs-name" {
            h2 id="photographs-name" { "Photographs" }
            (photographs(view))
        }
        section id="tickets" data-live="" aria-labelledby="tickets-name" {
            h2 id="tickets-name" { "Tickets" }
            (tickets(view))
        }
        section id="events" data-live="" aria-labelledby="events-name" {
            h2 id="events-name" { "Last inspections" }
            (events(view))
        }
    };
    layout::screen(person, Here::Assets, &title, &body)
}

fn of_days(view: &AssetView, wanted: Days) -> String {
    let all = Days::ALL.into_iter();
    let mut word = all
        .filter(|(days, ..)| *days == wanted)
        .map(|(_, word, _)| word);
    let word = word.next().unwrap_or("30");
    format!("{}&days={word}", path_of(&view.asset))
}

fn readings(view: &AssetView) -> Markup {
    html! {
        @if view.series.is_empty() { (parts::nothing("Nothing was read of it in this time.")) }
        @for (n, series) in view.series.iter().enumerate() { (one_series(n, series)) }
        @if let Some(at) = view.cut_at {
            p.hint { "Readings from before " (parts::time(at)) " are not shown: choose a shorter time." }
        }
    }
}

fn one_series(n: usize, series: &SeriesView) -> Markup {
    let points: Vec<plot::Point> = series
        .points
        .iter()
        .map(|point| plot::Point {
            at: point.at,
            value: point.value,
            alert: point.alert,
        })
        .collect();
    let id = format!("reading-{n}");
    html! {
        h3 { (parts::text(&series.name, NAME)) }
        @if !points.is_empty() {
            (plot::line(&plot::Line {
                id: &id,
                title: &series.name,
                unit: series.unit.as_deref(),
                points: &points,
            }))
        }
        @if let Some(last) = series.points.last() {
            p {
                "Last: " strong { (plot::value(last.value)) @if let Some(unit) = &series.unit {
                    " " (parts::text(unit, 24))
                } }
                ", " (parts::time(last.at)) ". "
                (parts::count(number(series.n))) " readings"
                @if series.n > series.points.len() + series.texts.len() {
                    ", the telling ones drawn"
                }
                @if series.alerts > 0 {
                    ", " (parts::badge(Tone::Bad, &format!("{} with an alert", series.alerts)))
                }
                "."
            }
        }
        @if !series.texts.is_empty() {
            ul {
                @for said in &series.texts {
                    li {
                        (parts::time(said.at)) ": " (parts::text(&said.text, TEXT))
                        @if said.alert { " " (parts::badge(Tone::Bad, "alert")) }
                    }
                }
            }
        }
    }
}

fn photographs(view: &AssetView) -> Markup {
    let mut days: BTreeMap<_, Vec<&PictureView>> = BTreeMap::new();
    for picture in &view.pictures {
        let day = picture.at.to_zoned(TimeZone::UTC).date();
        days.entry(std::cmp::Reverse(day))
            .or_default()
            .push(picture);
    }
    html! {
        @if days.is_empty() { (parts::nothing("No photograph came in this time.")) }
        @for (day, pictures) in &days {
            h3 { (day.0) }
            ul.cards {
                @for picture in pictures {
                    li.card {
                        figure {
                            img.photo src=(picture.url) loading="lazy"
                                alt={ "Photograph " (parts::shortened(&picture.name, NAME)) }
                                width="320";
                            figcaption {
                                (parts::time(picture.at)) " " (parts::text(&picture.name, NAME))
                                @if picture.alert { " " (parts::badge(Tone::Bad, "alert")) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn tickets(view: &AssetView) -> Markup {
    html! {
        @if view.tickets.is_empty() {
            (parts::nothing("No ticket about it is on record."))
        } @else {
            section.scroll tabindex="0" aria-label="Table of tickets" {
                table {
                    thead {
                        tr {
                            th scope="col" { "Taken" }
                            th scope="col" { "About" }
                            th scope="col" { "Destination" }
                            th scope="col" { "State" }
                        }
                    }
                    tbody {
                        @for ticket in &view.tickets {
                            tr {
                                td { (parts::time(ticket.taken_at)) }
                                td {
                                    @let delivery = format!("{}:{}", ticket.destination, ticket.seq);
                                    a href={ "/deliveries/" (encoded(&delivery)) } {
                                        (parts::text(ticket.title.as_deref().unwrap_or("an alert"), TEXT))
                                    }
                                }
                                td { (parts::text(&ticket.destination, NAME)) }
                                td {
                                    @match ticket.closed_at {
                                        Some(at) => {
                                            (parts::badge(Tone::Good, "closed")) " " (parts::time(at))
                                        }
                                        None => { (parts::badge(Tone::Warn, "open")) }
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

fn events(view: &AssetView) -> Markup {
    html! {
        @if let Some(seq) = view.events_looked_to {
            p { "The asset has very many actions: events before number " (seq) " were not looked at. There may be more inspections, which the list of deliveries finds." }
        } @else if view.events.is_empty() {
            (parts::nothing("No inspection of it came in this time."))
        }
        @if !view.events.is_empty() {
            section.scroll tabindex="0" aria-label="Table of the last inspections" {
                table {
                    thead {
                        tr {
                            th scope="col" { "When" }
                            th scope="col" { "Action" }
                            th scope="col" { "Robot" }
                            th scope="col" { "Alert" }
                        }
                    }
                    tbody {
                        @for event in &view.events {
                            tr {
                                td { (parts::time(event.at)) }
                                td { (parts::text(event.action.as_deref().unwrap_or("–"), NAME)) }
                                td { (parts::text(event.robot.as_deref().unwrap_or("–"), NAME)) }
                                td {
                                    @if event.alert { (parts::badge(Tone::Bad, "alert")) }
                                    @else { "no" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn number(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}
