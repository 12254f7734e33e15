//! How Today looks.
//!
//! # Invariants
//! - What is shown is what the view says.
//! - Each section is live.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::known::Part;
use super::verdict::{Standing, Verdict};
use super::view::{Destination, Facts, Numbers, Route, Shares, View};
use crate::page::html::parts::{self, Tone};
use crate::page::html::plot::{self, Bar, Bars};

const NAME: usize = 60;
const REASON: usize = 300;

/// The screen's body.
pub(super) fn body(view: &View) -> Markup {
    let facts = &view.facts;
    html! {
        section id="verdict" data-live aria-labelledby="verdict-title" {
            (verdict(&view.verdict))
        }
        section id="numbers" data-live aria-labelledby="numbers-title" {
            h2 id="numbers-title" { "Received, and what became of it" }
            (numbers(facts))
        }
        section id="destinations" data-live aria-labelledby="destinations-title" {
            h2 id="destinations-title" { "Destinations" }
            (destinations(facts))
        }
        section id="routes" data-live aria-labelledby="routes-title" {
            h2 id="routes-title" { "Robots and missions" }
            (routes(facts))
        }
        section id="hours" data-live aria-labelledby="hours-title" {
            h2 id="hours-title" { "By the hour" }
            (hours(facts))
        }
        section id="parts" data-live aria-labelledby="parts-title" {
            h2 id="parts-title" { "The relay" }
            ul.lines {
                @for part in &facts.parts { li { (line(part)) } }
            }
        }
    }
}

fn verdict(verdict: &Verdict) -> Markup {
    let (class, tone, word) = match verdict.standing {
        Standing::Well => ("verdict good", Tone::Good, "All is well"),
        Standing::Look => ("verdict warn", Tone::Warn, "Please look"),
        Standing::Wrong => ("verdict bad", Tone::Bad, "Something is wrong"),
    };
    html! {
        h2 id="verdict-title" class=(class) { (parts::badge(tone, word)) }
        p { (verdict.words) }
        @if !verdict.causes.is_empty() {
            ol.lines {
                @for cause in &verdict.causes {
                    li {
                        @if cause.standing == Standing::Wrong {
                            (parts::badge(Tone::Bad, "wrong"))
                        } @else {
                            (parts::badge(Tone::Warn, "look"))
                        }
                        " "
                        a.text href=(cause.href) { (parts::text(&cause.what, REASON + 1)) }
                    }
                }
            }
        }
    }
}

fn numbers(facts: &Facts) -> Markup {
    let card = |word: &str, of: &dyn Fn(&Numbers) -> u64, hint: &str| {
        html! {
            li.card {
                h3 { (word) }
                p.number {
                    @match &facts.day {
                        Some(day) => (parts::count(of(day))),
                        None => span { "not known" },
                    }
                }
                p.soft { "in the last 24 hours; " (parts::count(of(&facts.ever))) " ever" }
                p.hint { (hint) }
            }
        }
    };
    html! {
        ul.cards {
            (card("Received", &|of| of.received, "taken, there already, or refused"))
            (card("Delivered", &|of| of.all(|to| to.delivered), "at all destinations"))
            (card("Waiting", &|of| of.all(|to| to.waiting), "goes by itself"))
            (card("Needs you", &|of| of.all(|to| to.needs_you), "goes when somebody decides"))
        }
        @for mistake in &facts.mistakes {
            p.problem role="alert" { "This does not add up: " (parts::text(mistake, 500)) }
        }
        @if let Some(why) = &facts.unreadable {
            p.problem role="alert" { "The last 24 hours cannot be read: " (parts::text(why, 500)) }
        }
        @if let Some(day) = &facts.day {
            (sums("day-sums", "The last 24 hours", day))
        }
        (sums("ever-sums", "Since ever", &facts.ever))
    }
}

/// How it adds up.
fn sums(id: &str, caption: &str, of: &Numbers) -> Markup {
    let refused: u64 = of.rejected.values().sum();
    let columns = [
        "taken",
        "delivered",
        "waiting",
        "needs you",
        "skipped",
        "discarded",
    ];
    let old = of.destinations.iter().any(|to| to.kept + to.expired > 0);
    let name = |name: &str| html! { th scope="row" { (parts::text(name, NAME)) } };
    let row = |to: &Shares| {
        let cells = [
            of.accepted,
            to.delivered,
            to.waiting,
            to.needs_you,
            to.skipped,
            to.discarded,
        ];
        html! {
            tr {
                (name(&to.name))
                @for n in cells { td.n { (parts::count(n)) } }
                @if old {
                    td.n { (parts::count(to.kept)) }
                    td.n { (parts::count(to.expired)) }
                }
            }
        }
    };
    html! {
        div.scroll id=(id) tabindex="0" role="group" aria-label=(caption) {
            table {
                caption {
                    (caption)
                    @if let Some(since) = of.since { ", since " (parts::time(since)) }
                    ": received " (parts::count(of.received)) " = taken " (parts::count(of.accepted))
                    " + there already " (parts::count(of.duplicate)) " + refused "
                    (parts::count(refused))
                    @if !of.rejected.is_empty() {
                        " ("
                        @for (n, (reason, times)) in of.rejected.iter().enumerate() {
                            @if n > 0 { ", " }
                            (parts::text(reason, NAME)) " " (parts::count(*times))
                        }
                        ")"
                    }
                    ". Of each destination, taken is the sum of what stands beside it."
                }
                @if of.destinations.is_empty() {
                    tbody { tr { td { "There is no destination: what is taken is kept." } } }
                } @else {
                    thead {
                        tr {
                            th scope="col" { "destination" }
                            @for column in columns { th.n scope="col" { (column) } }
                            @if old {
                                th.n scope="col" { "kept from before it was configured" }
                                th.n scope="col" { "gone by age" }
                            }
                        }
                    }
                    tbody { @for to in &of.destinations { (row(to)) } }
                }
            }
        }
    }
}

fn destinations(facts: &Facts) -> Markup {
    if facts.destinations.is_empty() {
        return parts::nothing("There is no destination: events are kept. Setup adds one.");
    }
    html! {
        ul.cards {
            @for of in &facts.destinations { li.card { (destination(of, facts.now)) } }
        }
    }
}

fn destination(of: &Destination, now: Timestamp) -> Markup {
    let tone = match (of.well, of.held_s) {
        _ if of.removed => Tone::Warn,
        (true, None) if of.status == "untried" => Tone::Plain,
        (true, None) => Tone::Good,
        (true, Some(_)) => Tone::Warn,
        (false, _) => Tone::Bad,
    };
    html! {
        h3 { (parts::text(&of.name, NAME)) }
        p { (parts::badge(tone, of.in_words())) }
        @if let Some(reason) = &of.reason { p { (parts::text(reason, REASON)) } }
        dl.facts {
            @if let Some(since) = of.since {
                dt { "since" }
                dd { (parts::time(since)) " (" (parts::ago(since, now)) ")" }
            }
            @if let Some(seconds) = of.held_s {
                dt { "held" }
                dd {
                    "for another " (parts::duration(SignedDuration::from_secs(seconds)))
                    ": it asked for that with Retry-After"
                }
            }
            dt { "waiting" }
            dd { (parts::count(of.waiting)) }
            @if of.waiting > 0 {
                @if let Some(oldest) = of.oldest {
                    dt { "the oldest" }
                    dd { "came " (parts::ago(oldest, now)) }
                }
            }
            dt { "needs you" }
            dd {
                @if of.needs_you > 0 {
                    a href="/waiting" { (parts::count(of.needs_you)) }
                } @else { "0" }
            }
        }
    }
}

fn routes(facts: &Facts) -> Markup {
    let row = |route: &Route| {
        html! {
            tr {
                th scope="row" { (parts::text(&route.robot, NAME)) }
                td {
                    @match &route.mission {
                        Some(mission) => (parts::text(mission, NAME)),
                        None => span.soft { "no mission" },
                    }
                }
                td { (parts::ago(route.last_at, facts.now)) }
                td {
                    @if route.silent {
                        (parts::badge(Tone::Warn, "silent longer than usual"))
                    } @else if route.usual_s.is_some() && !facts.reading_on {
                        (parts::badge(Tone::Good, "as usual"))
                    } @else {
                        (parts::badge(Tone::Plain, "not known yet what is usual"))
                    }
                }
                td {
                    @if let Some(seconds) = route.usual_s {
                        "at most " (parts::duration(SignedDuration::from_secs(seconds)))
                    }
                }
                td.n { (parts::count(route.events)) }
            }
        }
    };
    html! {
        @if facts.reading_on {
            p.soft {
                "The relay is still reading what came. Until that is done, nobody is called silent."
            }
        }
        @if facts.routes.is_empty() {
            (parts::nothing("No robot was heard of yet."))
        } @else {
            div.scroll tabindex="0" role="group" aria-label="Robots and missions" {
                table {
                    caption { "The last event of each robot on each mission" }
                    thead {
                        tr {
                            th scope="col" { "robot" }
                            th scope="col" { "mission" }
                            th scope="col" { "last event" }
                            th scope="col" { "is that usual?" }
                            th scope="col" { "usual time between two" }
                            th.n scope="col" { "events" }
                        }
                    }
                    tbody { @for route in &facts.routes { (row(route)) } }
                }
            }
        }
        @if facts.routes_left_out > 0 {
            p.soft { (facts.routes_left_out) " more are not shown: they were heard of longer ago." }
        }
    }
}

fn hours(facts: &Facts) -> Markup {
    if facts.unreadable.is_some() {
        return parts::nothing("This cannot be read now.");
    }
    let hours: Vec<_> = facts
        .hours
        .iter()
        .map(|hour| Bar {
            at: hour.at,
            n: hour.received,
        })
        .collect();
    plot::bars(&Bars {
        id: "hours-plot",
        title: "Events received per hour",
        hours: &hours,
    })
}

fn line(part: &Part) -> Markup {
    let (tone, word) = match part.well {
        Some(true) if part.soon => (Tone::Warn, part.status),
        Some(true) => (Tone::Good, part.status),
        Some(false) => (Tone::Bad, part.status),
        None if part.counts => (Tone::Warn, part.status),
        None => (Tone::Plain, part.status),
    };
    html! {
        strong { (part.name) } " " (parts::badge(tone, &word.replace('_', " ")))
        @if let Some(reason) = &part.reason { " " (parts::text(reason, REASON)) }
        @if part.well == Some(false) || part.is_missed() { " " a href=(part.href) { "Where to see to it" } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::verdict::verdict;
    use super::super::view::tests::{at, well};
    use super::*;

    fn drawn(facts: Facts) -> String {
        let view = View {
            verdict: verdict(&facts),
            facts,
        };
        body(&view).into_string()
    }

    #[test]
    fn a_good_day_is_green_in_words_too() {
        let drawn = drawn(well());
        assert!(drawn.contains("All is well"), "{drawn}");
        assert!(
            !drawn.contains("badge bad") && !drawn.contains("badge warn"),
            "{drawn}"
        );
        for section in [
            "verdict",
            "numbers",
            "destinations",
            "routes",
            "hours",
            "parts",
        ] {
            assert!(
                drawn.contains(&format!("<section id=\"{section}\" data-live")),
                "{section}"
            );
        }
    }

    #[test]
    fn what_does_not_add_up_is_said_in_red_and_is_not_green() {
        let mut facts = well();
        facts.mistakes = vec!["destination cmms: kept 0 + deliveries 9 ≠ accepted 10".to_owned()];
        let drawn = drawn(facts);
        assert!(drawn.contains("<p class=\"problem\" role=\"alert\">This does not add up"));
        assert!(!drawn.contains("All is well"), "{drawn}");
    }

    #[test]
    fn a_day_that_cannot_be_read_is_not_shown_as_nothing() {
        let mut facts = well();
        facts.day = None;
        facts.unreadable = Some("the journal cannot be read".to_owned());
        let drawn = drawn(facts);
        assert!(drawn.contains("not known"), "{drawn}");
        assert!(
            !drawn.contains("All is well") && !drawn.contains("id=\"day-sums\""),
            "{drawn}"
        );
        assert!(!drawn.contains("<svg"), "{drawn}");
    }

    #[test]
    fn each_cause_is_linked_to_where_it_is_decided() {
        let mut facts = well();
        facts.needs.unmapped = 14;
        let drawn = drawn(facts);
        assert!(drawn.contains("href=\"/waiting#unmapped\""), "{drawn}");
        assert!(
            drawn.contains("14 deliveries wait for an asset."),
            "{drawn}"
        );
    }

    #[test]
    fn hostile_names_stay_text_and_break_nothing() {
        let hostile = format!(
            "<script>alert(1)</script>\"'&\u{202e}😀{}",
            "x".repeat(10_000)
        );
        let mut facts = well();
        facts.needs.dead = 1;
        facts.mistakes = vec![hostile.clone()];
        facts.unreadable = Some(hostile.clone());
        for numbers in [facts.day.as_mut().unwrap(), &mut facts.ever] {
            numbers.rejected = [(hostile.clone(), 1)].into();
            numbers.destinations[0].name = hostile.clone();
        }
        let destination = &mut facts.destinations[0];
        destination.name = hostile.clone();
        destination.well = false;
        destination.reason = Some(hostile.clone());
        destination.since = Some(at(-10));
        facts.routes[0] = Route {
            robot: hostile.clone(),
            mission: Some(hostile.clone()),
            silent: true,
            ..facts.routes[0].clone()
        };
        facts.parts[0].reason = Some(hostile);
        let drawn = drawn(facts);
        assert!(!drawn.contains("<script"), "{drawn}");
        assert!(
            !drawn.contains('\u{202e}') && !drawn.contains("&amp;lt;"),
            "{drawn}"
        );
        let longest = drawn
            .split('<')
            .filter_map(|tag| Some(tag.split_once('>')?.1.chars().count()))
            .max();
        assert!(longest < Some(1000), "{longest:?}");
    }
}
