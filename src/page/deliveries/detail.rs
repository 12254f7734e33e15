//! The screen of one delivery, as HTML.
//!
//! # Invariants
//! - What is shown is what the view says.

use maud::{Markup, html};

use super::super::access::{Person, Role};
use super::super::html::parts::{self, Tone, text, timed};
use super::story::{LONGEST_BODY, OrderView, RequestView, Story};
use super::{href, one_of};

/// The whole screen.
pub(super) fn html(person: &Person, story: &Story) -> Markup {
    html! {
        div id="stands" data-live { (stands(story)) }
        @if person.role >= Role::Decide { (acts(person, story)) }
        section aria-labelledby="moments-title" {
            h2 id="moments-title" { "What happened" }
            div id="moments" data-live { (moments(story)) }
        }
        (says(story))
        (made_of(story))
        (requests(story))
        section aria-labelledby="tries-title" {
            h2 id="tries-title" { "Tries and answer" }
            div id="tries" data-live { (tries(story)) }
        }
        section aria-labelledby="orders-title" {
            h2 id="orders-title" { "Ticket" }
            div id="orders" data-live { (orders(story)) }
        }
        section aria-labelledby="others-title" {
            h2 id="others-title" { "The same event elsewhere" }
            div id="others" data-live { (others(story)) }
        }
        section aria-labelledby="acts-title" {
            h2 id="acts-title" { "What people did" }
            div id="acts" data-live { (done(story)) }
        }
        (raw(story))
    }
}

fn stands(story: &Story) -> Markup {
    html! {
        p.row {
            (parts::state(story.state))
            @if story.says.alert { (parts::badge(Tone::Bad, "alert")) }
            @if story.unmapped { (parts::badge(Tone::Warn, "no asset")) }
        }
        dl.facts {
            dt { "Destination" }
            dd { (text(&story.destination.name, 100)) }
            dt { "Next try" }
            dd { (timed(&story.next, 400)) }
            dt { "Tries" }
            dd { (timed(&story.tries, 400)) }
        }
    }
}

fn acts(person: &Person, story: &Story) -> Markup {
    let at = href(&story.id);
    html! {
        section aria-labelledby="do-title" {
            h2 id="do-title" { "Do" }
            div.row {
                @if story.can.replay {
                    (one_of(person, &format!("{at}/replay"), "Send again", ""))
                }
                @if story.can.replay_as_sent {
                    (one_of(person, &format!("{at}/replay-as-sent"), "Send again as it was sent",
                        "second"))
                }
            }
            @if story.can.replay {
                p.hint { "Sent again, it is made anew with the template and the asset map of now." }
            }
            @if story.can.discard {
                (parts::sure(
                    "Throw away",
                    "What is thrown away is not sent, and nothing brings it back; the event stays.",
                    &one_of(person, &format!("{at}/discard"), "Throw it away for good", "danger"),
                ))
            }
            (elsewhere(person, story))
        }
    }
}

fn elsewhere(person: &Person, story: &Story) -> Markup {
    let others = story.others.iter().map(|other| &other.destination);
    let all: Vec<_> = story.kept_for.iter().chain(others).collect();
    html! {
        @if !all.is_empty() {
            (parts::form(person, &format!("/events/{}/send", story.event), &html! {
                label for="to" { "Send the event to another destination" }
                div.row {
                    select id="to" name="to" required {
                        @for to in all { option value=(to.id) { (to.name) } }
                    }
                    button.second type="submit" { "Send there" }
                }
            }))
        }
    }
}

fn moments(story: &Story) -> Markup {
    html! {
        ol.story {
            @for moment in &story.moments {
                li {
                    @if let Some(at) = moment.at { (parts::time(at)) ": " }
                    (text(&moment.what, 400))
                }
            }
        }
    }
}

fn says(story: &Story) -> Markup {
    let says = &story.says;
    let facts = [
        ("Action", &says.action),
        ("Mission", &says.mission),
        ("Robot", &says.robot),
        ("Operator", &says.operator),
        ("Alert", &says.title),
        ("Severity", &says.severity),
    ];
    html! {
        section aria-labelledby="says-title" {
            h2 id="says-title" { "What was found" }
            dl.facts {
                @for (name, value) in facts {
                    @if let Some(value) = value {
                        dt { (name) }
                        dd { (text(value, 200)) }
                    }
                }
                dt { "Received" }
                dd { (parts::time(story.received_at)) ": " (text(&story.came, 200)) }
                dt { "Event" }
                dd { (text(&story.event_type, 100)) ", number " (story.event) ", known as "
                    (text(&story.identity, 200)) }
            }
            @if !says.readings.is_empty() { (readings(story)) }
            @for picture in &says.pictures {
                figure {
                    img.photo src=(picture.url) loading="lazy"
                        alt=(format!("Photograph {} of the inspection, or why it is not here: \
                            Orbit does not give it now", picture.n));
                    figcaption { (text(&picture.name, 120)) }
                }
            }
            @if says.more_pictures > 0 {
                p.soft { "and " (says.more_pictures) " more photographs in Orbit" }
            }
        }
    }
}

fn readings(story: &Story) -> Markup {
    html! {
        section.scroll tabindex="0" aria-label="Readings" {
            table {
                caption { "Readings" }
                thead {
                    tr {
                        th scope="col" { "Reading" }
                        th.n scope="col" { "Value" }
                        th scope="col" { "Unit" }
                        th scope="col" { "Channel" }
                    }
                }
                tbody {
                    @for reading in &story.says.readings {
                        tr {
                            th scope="row" { (text(&reading.name, 100)) }
                            td.n { (text(&reading.value, 100)) }
                            td { @if let Some(unit) = &reading.unit { (text(unit, 40)) } }
                            td { @if let Some(of) = &reading.channel { (text(of, 60)) } }
                        }
                    }
                }
            }
        }
        @if story.says.more_readings > 0 {
            p.soft { "and " (story.says.more_readings) " more readings" }
        }
    }
}

fn made_of(story: &Story) -> Markup {
    html! {
        section aria-labelledby="made-title" {
            h2 id="made-title" { "What was made of it" }
            dl.facts {
                dt { "Asset" }
                dd { (text(&story.asset, 400)) }
                @if let Some(template) = &story.template {
                    dt { "Template" }
                    dd { (text(template, 200)) }
                }
                @if let Some(gate) = &story.gate {
                    dt { "Gate" }
                    dd { (text(gate, 300)) }
                }
            }
            @for (what, said) in &story.of_orbit {
                details {
                    summary { "What Orbit said of its " (what) }
                    (block(said, &format!("What Orbit said of its {what}")))
                }
            }
        }
    }
}

fn requests(story: &Story) -> Markup {
    html! {
        section aria-labelledby="requests-title" {
            h2 id="requests-title" { "What is sent" }
            @if let Some(note) = &story.requests_note { p { (text(note, 400)) } }
            p.hint { "Secrets are never shown: " code { "***" } " stands in their place." }
            @for (n, request) in story.requests.iter().enumerate() { (one(n, request)) }
        }
    }
}

fn one(n: usize, request: &RequestView) -> Markup {
    html! {
        article.card {
            h3 { (text(&request.name, 80)) ": " (request.state) }
            @if request.adds { p { "It adds to a ticket that is still open." } }
            @if let Some(when) = &request.when { p { "Only if " code { (text(when, 200)) } } }
            @if let Some(why) = &request.refused { p.error { "Refused: " (text(why, 400)) } }
            p { code { (request.method) " " (text(&request.url, 400)) } }
            @if !request.headers.is_empty() {
                dl.facts {
                    @for (name, value) in &request.headers {
                        dt { code { (name) } }
                        dd { code { (text(value, 300)) } }
                    }
                }
            }
            @if let Some(body) = &request.body { (block(body, &format!("Body of request {}", n + 1))) }
            @if let Some(taken) = &request.taken {
                p { "Taken of the answer: " code { (text(taken, 600)) } }
            }
            (command(n, request))
        }
    }
}

fn command(n: usize, request: &RequestView) -> Markup {
    let id = format!("curl-{n}");
    html! {
        @if let Some(curl) = &request.curl {
            details {
                summary { "As a curl command" }
                @if !request.variables.is_empty() {
                    p.hint { "Set these first: "
                        @for name in &request.variables { code { (name) } " " }
                    }
                }
                label for=(id) { "Command for a shell" }
                textarea.code id=(id) readonly rows="8" spellcheck="false" { (curl) }
            }
        } @else if let Some(why) = request.no_curl {
            p.soft { "There is no curl command. " (why) }
        }
    }
}

fn tries(story: &Story) -> Markup {
    html! {
        p { (timed(&story.tries, 400)) }
        p.hint { "Of earlier tries the journal keeps how many there were; their times and answers \
            stand in the log." }
        @match &story.answer {
            Some(answer) => {
                p { "The last answer began:" }
                (block(answer, "The last answer"))
            }
            None => p { "No answer is kept." }
        }
        p { "Next: " (timed(&story.next, 400)) }
    }
}

fn orders(story: &Story) -> Markup {
    html! {
        @if story.orders.is_empty() {
            p.soft { "No destination told of a ticket that it made of this." }
        }
        @for order in &story.orders { (order_card(order)) }
    }
}

fn order_card(order: &OrderView) -> Markup {
    let tone = match order.state {
        "open" => Tone::Warn,
        _ => Tone::Good,
    };
    html! {
        article.card {
            h3 { (text(order.title.as_deref().unwrap_or("(no title)"), 120)) }
            p { (parts::badge(tone, order.state)) " at " (text(&order.destination, 80)) }
            dl.facts {
                dt { "Made" }
                dd { (parts::time(order.taken_at)) }
                @if let Some(at) = order.closed_at {
                    dt { "Closed" }
                    dd { (parts::time(at))
                        @if let Some(by) = &order.closed_by { ", known by " (text(by, 40)) } }
                }
                dt { "Orbit" }
                dd {
                    @match order.orbit_closed_at {
                        Some(at) => { "was told " (parts::time(at)) }
                        None => "was not told",
                    }
                }
                @if let Some(why) = &order.why {
                    dt { "Why" }
                    dd { (text(why, 300)) }
                }
                @if let Some(answer) = &order.answer {
                    dt { "Answer" }
                    dd { code { (text(answer, 400)) } }
                }
            }
        }
    }
}

fn others(story: &Story) -> Markup {
    html! {
        @if story.others.is_empty() && story.kept_for.is_empty() {
            p.soft { "There is no other destination." }
        }
        ul {
            @for other in &story.others {
                li {
                    a href=(other.href()) { (text(&other.destination.name, 100)) }
                    " " (parts::state(other.state))
                    @if let Some(reason) = &other.reason { " " (text(reason, 200)) }
                }
            }
            @for kept in &story.kept_for {
                li { (text(&kept.name, 100)) ": it came before this destination was configured" }
            }
        }
    }
}

fn done(story: &Story) -> Markup {
    html! {
        @if story.acts.is_empty() { p.soft { "Nobody did anything to it." } }
        ul {
            @for act in &story.acts {
                li {
                    (parts::time(act.at)) " " (text(&act.who, 60)) ": " (text(&act.what, 40))
                    @if act.on_this { " of this delivery" } @else { " at the destination" }
                    @if !act.detail.is_empty() { ", " (text(&act.detail, 200)) }
                }
            }
        }
    }
}

fn raw(story: &Story) -> Markup {
    let bytes = parts::count(u64::try_from(story.body_bytes).unwrap_or(u64::MAX));
    html! {
        section aria-labelledby="raw-title" {
            h2 id="raw-title" { "The event as it came" }
            details {
                summary { (bytes) " bytes from " (text(&story.source, 60)) }
                (block(&story.body, "Body of the event"))
            }
        }
    }
}

/// A text of many lines, which may be scrolled by keyboard.
fn block(long: &str, name: &str) -> Markup {
    html! {
        section aria-label=(name) { pre tabindex="0" { (text(long, LONGEST_BODY)) } }
    }
}
