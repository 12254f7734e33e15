//! How Waiting looks.
//!
//! # Invariants
//! - What is shown is what the view says.
//! - Forms are there for whoever may decide; others read who decides.
//! - What cannot be undone says so where it is begun.

use jiff::Timestamp;
use maud::{Markup, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::view::{Decided, Group, List, Map, Paused, Removed, Undo, Unmapped, View, Webhook};
use crate::page::access::{Person, Role};
use crate::page::html::parts::{self, Tone};

const NAME: usize = 80;
const REASON: usize = 400;

/// The screen's body.
pub(super) fn body(view: &View, person: &Person) -> Markup {
    let ground = Ground {
        person,
        now: view.now,
        decides: person.role >= Role::Decide,
    };
    html! {
        @if !ground.decides {
            p.soft { "You may look. Whoever has the role “decide” decides what stands here." }
        }
        div id="waiting" data-live {
            @if let Some(why) = &view.unreadable {
                p.problem role="alert" { "Not all can be read now: " (parts::text(why, REASON)) }
            }
            @if view.is_empty() {
                (parts::nothing("Nothing waits for you: every action has an asset, nothing was \
                    given up, no destination is paused, and the webhook is as it should be."))
            }
            @if let Some(webhook) = &view.webhook { (ground.webhook(webhook)) }
            @if !view.paused.is_empty() || !view.removed.is_empty()
                || !view.parked.groups.is_empty()
            {
                section id="paused" aria-labelledby="paused-title" {
                    h2 id="paused-title" { "Destinations to which nothing goes, and what is parked" }
                    ul.cards {
                        @for of in &view.paused { li.card { (ground.paused(of)) } }
                        @for of in &view.removed { li.card { (ground.removed(of)) } }
                    }
                    (ground.groups(&view.parked, "parked"))
                }
            }
            @if !view.unmapped.groups.is_empty() {
                section id="unmapped" aria-labelledby="unmapped-title" {
                    h2 id="unmapped-title" { "Actions without an asset" }
                    (ground.unmapped(&view.unmapped, &view.map))
                }
            }
            @if !view.dead.groups.is_empty() {
                section id="dead" aria-labelledby="dead-title" {
                    h2 id="dead-title" { "Given up" }
                    (ground.groups(&view.dead, "dead"))
                }
            }
        }
        section id="lately" data-live aria-labelledby="lately-title" {
            h2 id="lately-title" { "Decided lately" }
            (ground.lately(&view.lately))
        }
    }
}

/// Who looks, and when.
struct Ground<'a> {
    person: &'a Person,
    now: Timestamp,
    decides: bool,
}

impl Ground<'_> {
    fn webhook(&self, of: &Webhook) -> Markup {
        html! {
            section id="webhook" aria-labelledby="webhook-title" {
                h2 id="webhook-title" { "The webhook in Orbit" }
                div.card {
                    p {
                        (parts::badge(Tone::Bad, match of.status {
                            "drift" => "not as it should be",
                            "disabled" => "disabled",
                            "deleted" => "deleted",
                            _ => "Orbit does not answer",
                        }))
                    }
                    ul {
                        @for what in of.what.iter().take(20) { li { (parts::text(what, REASON)) } }
                    }
                    @if of.repair && self.decides {
                        (parts::button(self.person, "/waiting/webhook", "Repair it in Orbit"))
                        p.hint {
                            "Sets it as it is configured, enables it, and makes it again where it \
                             was deleted: what the command webhook sync does."
                        }
                    } @else if of.status == "failing" {
                        p { "See " a href="/setup" { "Setup" } " and " a href="/health" { "Health" } "." }
                    }
                }
            }
        }
    }

    fn paused(&self, of: &Paused) -> Markup {
        html! {
            h3 { (parts::text(&of.name, NAME)) }
            p { (parts::badge(Tone::Bad, "paused")) }
            p { (parts::text(&of.why, REASON)) }
            dl.facts {
                dt { "since" }
                dd { (parts::time(of.since)) " (" (parts::ago(of.since, self.now)) ")" }
                dt { "by" }
                dd { (parts::text(&of.by, NAME)) }
                dt { "parked" }
                dd { (parts::count(of.count)) }
                @if let Some(trouble) = of.trouble.as_deref() {
                    dt { "first" }
                    dd {
                        (match trouble {
                            "credentials" => "see to its credentials: they were refused",
                            "gone" => "see to its address: there is nothing any more",
                            _ => "see to its address and template: five in a row were refused",
                        })
                    }
                }
            }
            @if self.decides {
                form method="post" action=(parts::signed(self.person, "/waiting/resume")) {
                    (hidden("destination", &of.destination))
                    button type="submit" { "Resume " (parts::text(&of.name, 40)) }
                }
                p.hint { "What is parked goes out. It can be undone by a pause." }
            }
        }
    }

    fn removed(&self, of: &Removed) -> Markup {
        html! {
            h3 { (parts::text(&of.name, NAME)) }
            p { (parts::badge(Tone::Warn, "no longer configured")) }
            p {
                (deliveries(of.count)) " that it still had: parked until it is configured again "
                "(" a href="/setup" { "Setup" } "), or somebody throws them away."
            }
            @if self.decides {
                (self.discard("/waiting/discard-removed", of.count, &html! {
                    (hidden("destination", &of.destination))
                    (hidden("shown", &self.now.to_string()))
                    (hidden("count", &of.count.to_string()))
                }))
            }
        }
    }

    fn groups(&self, of: &List<Group>, state: &str) -> Markup {
        html! {
            @for group in &of.groups {
                article.card id={ (state) "-" (group.destination_key()) "-" (group.seq) } data-live {
                    (self.group(group, state))
                }
            }
            (left_out(of.left_out, of.more))
        }
    }

    fn group(&self, of: &Group, state: &str) -> Markup {
        let list = format!(
            "/deliveries?state={state}&destination={}",
            encoded(&of.destination)
        );
        let one = encoded(&format!("{}:{}", of.destination, of.seq));
        let one = format!("/deliveries/{one}");
        html! {
            h3 { (parts::text(&of.reason, REASON)) }
            p {
                strong { (deliveries(of.count)) } " to " (parts::text(&of.name, NAME))
                ", the first " (parts::ago(of.first, self.now))
                ", the last " (parts::ago(of.last, self.now)) "."
            }
            div.row {
                @if self.decides {
                    form method="post" action=(parts::signed(self.person, "/waiting/replay")) {
                        (on_group(of, state))
                        button type="submit" { "Replay " (deliveries(of.count)) }
                    }
                }
                a.button.second href=(list) { "Open the list" }
                a.button.second href=(one) { "Open the newest" }
            }
            @if self.decides {
                p.hint {
                    "A replay sends them again with today’s template and asset map. It cannot be \
                     undone."
                }
                (self.discard("/waiting/discard", of.count, &on_group(of, state)))
            }
        }
    }

    /// A discard, which is asked about before it is done.
    fn discard(&self, at: &str, count: u64, on: &Markup) -> Markup {
        let fields = html! {
            (on)
            button.danger type="submit" { "Discard " (deliveries(count)) " for good" }
        };
        let means = "A discard is for good: they are not sent, and nothing brings them back. The \
            events stay.";
        parts::sure("Discard", means, &parts::form(self.person, at, &fields))
    }

    fn unmapped(&self, of: &List<Unmapped>, map: &Map) -> Markup {
        html! {
            @if let Some(why) = &map.locked {
                p {
                    "The asset map is the file " code { (parts::text(&map.path, REASON)) } ", from "
                    (parts::text(why, REASON)) ": the page does not change it. Add the line of an \
                     action there, with the asset’s name in it; what waits goes out by itself once \
                     the file is saved."
                }
                @if let Some(header) = &map.header {
                    p { "The file needs this header first:" }
                    pre tabindex="0" { (parts::text(header, REASON)) }
                }
            }
            datalist id="assets" {
                @for asset in &map.assets { option value=(parts::shortened(asset, 200)) {} }
            }
            @for action in &of.groups {
                article.card id={ "unmapped-" (action.seq) } data-live {
                    (self.action(action, map))
                }
            }
            (left_out(of.left_out, of.more))
        }
    }

    fn action(&self, of: &Unmapped, map: &Map) -> Markup {
        let name = of.action.as_deref().unwrap_or("An action without a name");
        let times = match of.events {
            1 => "once".to_owned(),
            n => format!("{} times", parts::count(n)),
        };
        html! {
            h3 { (parts::text(name, NAME)) }
            @if of.picture {
                img.photo.small loading="lazy" src={ "/events/" (of.seq) "/picture" }
                    alt={ "Photograph of " (parts::shortened(name, NAME)) };
            }
            p {
                "Seen " strong { (times) } ", last " (parts::ago(of.last, self.now))
                @if of.events > 1 { ", first " (parts::ago(of.first, self.now)) }
                ". " (deliveries(of.deliveries)) " wait"
                @if of.deliveries == 1 { "s" }
                ": "
                @for (n, to) in of.destinations.iter().take(20).enumerate() {
                    @if n > 0 { ", " }
                    (parts::text(to, NAME))
                }
                "."
            }
            dl.facts {
                @if let Some(mission) = &of.mission {
                    dt { "mission" }
                    dd { (parts::text(mission, NAME)) }
                }
                @if let Some(robot) = &of.robot {
                    dt { "robot" }
                    dd { (parts::text(robot, NAME)) }
                }
                @if let Some(action) = &of.action {
                    dt { "which" }
                    dd {
                        a href={ "/deliveries?state=parked&action=" (encoded(&parts::shortened(action, 200))) } {
                            "Open the list"
                        }
                    }
                }
            }
            @if map.locked.is_some() || of.choices.is_empty() {
                @if of.choices.is_empty() {
                    p { "It says nothing by which a row of the map could find it." }
                } @else {
                    pre tabindex="0" aria-label="Line for the asset map" { (parts::text(&of.line, 2000)) }
                }
            } @else if self.decides {
                (self.assign(of))
            }
        }
    }

    fn assign(&self, of: &Unmapped) -> Markup {
        let (asset, by) = (format!("asset-{}", of.seq), format!("by-{}", of.seq));
        html! {
            form method="post" action=(parts::signed(self.person, "/waiting/asset")) {
                (hidden("seq", &of.seq.to_string()))
                div.row {
                    div {
                        label for=(asset) { "Asset" }
                        input id=(asset) name="asset" type="text" list="assets" required maxlength="200"
                            size="24" autocomplete="off" spellcheck="false";
                    }
                    div {
                        label for=(by) { "is the asset of" }
                        select id=(by) name="by" {
                            @for choice in &of.choices {
                                option value=(choice.by) { (choice.words) }
                            }
                        }
                    }
                    button type="submit" {
                        @if of.events == 1 {
                            "Apply to the one waiting"
                        } @else {
                            "Apply to all " (parts::count(of.events)) " waiting"
                        }
                    }
                }
                p.hint { "Adds a row to the asset map. It can be undone there." }
            }
        }
    }

    fn lately(&self, of: &[Decided]) -> Markup {
        if of.is_empty() {
            return parts::nothing("Nobody decided anything lately.");
        }
        html! {
            ul.lines {
                @for decided in of { li { (self.decided(decided)) } }
            }
            p { a href="/acts" { "All acts" } }
        }
    }

    fn decided(&self, of: &Decided) -> Markup {
        let undo = |action: &str, destination: &str, word: &str| {
            html! {
                @if self.decides {
                    form.inline method="post" action=(parts::signed(self.person, action)) {
                        (hidden("destination", destination))
                        button.second type="submit" { (word) }
                    }
                }
            }
        };
        html! {
            (parts::ago(of.at, self.now)) " " strong { (parts::text(&of.who, NAME)) } ": "
            (parts::text(&of.what, NAME))
            @if let Some(name) = &of.name { " " (parts::text(name, NAME)) }
            @if !of.detail.is_empty() { " – " (parts::text(&of.detail, REASON)) }
            " "
            @match &of.undo {
                Undo::Pause(id) => (undo("/waiting/pause", id, "Undo: pause it again")),
                Undo::Resume(id) => (undo("/waiting/resume", id, "Undo: resume it")),
                Undo::Map(version) => {
                    @if self.decides {
                        form.inline method="post"
                            action=(parts::signed(self.person, "/waiting/undo-map")) {
                            (hidden("version", version))
                            button.second type="submit" { "Undo: the map before that" }
                        }
                    }
                }
                Undo::Never(why) => span.soft { "(" (why) ")" },
                Undo::Done => span.soft { "(changed again since)" },
            }
        }
    }
}

impl Group {
    /// What keeps it apart from other groups, in letters and digits.
    fn destination_key(&self) -> String {
        let id = self.destination.chars().filter(char::is_ascii_alphanumeric);
        id.take(40).collect()
    }
}

fn on_group(of: &Group, state: &str) -> Markup {
    html! {
        (hidden("destination", &of.destination))
        (hidden("state", state))
        (hidden("reason", &of.reason))
        (hidden("first", &of.first.to_string()))
        (hidden("last", &of.last.to_string()))
        (hidden("count", &of.count.to_string()))
    }
}

fn hidden(name: &str, value: &str) -> Markup {
    html! { input type="hidden" name=(name) value=(value); }
}

fn deliveries(n: u64) -> String {
    match n {
        1 => "1 delivery".to_owned(),
        n => format!("{} deliveries", parts::count(n)),
    }
}

fn left_out(groups: usize, more: bool) -> Markup {
    html! {
        @if groups > 0 { p.soft { (groups) " more groups are not shown: they are smaller." } }
        @if more { p.soft { "There are older ones, too many to be counted here." } }
    }
}

/// A text within an address.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::subject::Choice;
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 + seconds).unwrap()
    }

    fn person(role: Role) -> Person {
        Person {
            name: "ann".to_owned(),
            role,
            csrf: "c5rf".to_owned(),
            said: None,
        }
    }

    fn group(text: &str) -> Group {
        Group {
            destination: text.to_owned(),
            name: text.to_owned(),
            reason: text.to_owned(),
            count: 3,
            first: at(-900),
            last: at(-60),
            seq: 12,
        }
    }

    fn list<T>(group: T) -> List<T> {
        List {
            groups: vec![group],
            left_out: 0,
            more: false,
        }
    }

    /// One of everything, with this text wherever one comes from outside.
    fn everything(text: &str) -> View {
        let own = || text.to_owned();
        let decided = |what: &str, undo| Decided {
            at: at(-5),
            who: own(),
            what: what.to_owned(),
            name: Some(own()),
            detail: own(),
            undo,
        };
        View {
            now: at(0),
            unreadable: Some(own()),
            unmapped: list(Unmapped {
                seq: 14,
                action: Some(own()),
                mission: Some(own()),
                robot: Some(own()),
                events: 14,
                deliveries: 28,
                destinations: vec![own()],
                first: at(-900),
                last: at(-60),
                picture: true,
                choices: vec![Choice {
                    by: "action_name".to_owned(),
                    words: "this action".to_owned(),
                }],
                line: own(),
            }),
            dead: list(group(text)),
            parked: list(group(text)),
            paused: vec![Paused {
                destination: own(),
                name: own(),
                since: at(-90),
                by: own(),
                why: own(),
                trouble: Some("credentials".to_owned()),
                count: 2,
            }],
            removed: vec![Removed {
                destination: own(),
                name: own(),
                count: 4,
            }],
            webhook: Some(Webhook {
                status: "drift",
                what: vec![own()],
                repair: true,
            }),
            map: Map {
                locked: None,
                path: own(),
                version: "abc".to_owned(),
                header: None,
                assets: vec![own()],
            },
            lately: vec![
                decided("resume", Undo::Pause(own())),
                decided("pause", Undo::Resume(own())),
                decided("discard", Undo::Never("it cannot be undone")),
                decided("map", Undo::Map("abc".to_owned())),
            ],
        }
    }

    fn drawn(view: &View, role: Role) -> String {
        body(view, &person(role)).into_string()
    }

    #[test]
    fn nothing_that_waits_is_said_in_words() {
        let view = View {
            now: at(0),
            ..View::default()
        };
        let drawn = drawn(&view, Role::Decide);
        assert!(drawn.contains("Nothing waits for you"), "{drawn}");
        assert!(!drawn.contains("<form"), "{drawn}");
    }

    #[test]
    fn what_cannot_be_read_is_not_shown_as_nothing() {
        let view = View {
            unreadable: Some("the journal cannot be read".to_owned()),
            ..View::default()
        };
        let drawn = drawn(&view, Role::See);
        assert!(!drawn.contains("Nothing waits for you"), "{drawn}");
        assert!(drawn.contains("Not all can be read now"), "{drawn}");
    }

    #[test]
    fn who_may_only_look_gets_no_form() {
        let view = everything("x");
        let seen = drawn(&view, Role::See);
        assert!(
            !seen.contains("<form") && !seen.contains("<button"),
            "{seen}"
        );
        assert!(seen.contains("You may look."), "{seen}");
        for role in [Role::Decide, Role::Configure] {
            let drawn = drawn(&view, role);
            let forms = drawn.matches("<form").count();
            assert_eq!(
                forms,
                drawn.matches("csrf=c5rf").count(),
                "each is this session's"
            );
            assert!(forms >= 10, "{drawn}");
        }
    }

    #[test]
    fn an_action_is_one_form_away_from_its_asset() {
        let drawn = drawn(&everything("Read gauge"), Role::Decide);
        assert!(drawn.contains("Seen <strong>14 times</strong>"), "{drawn}");
        assert!(drawn.contains("Apply to all 14 waiting"), "{drawn}");
        assert!(drawn.contains("src=\"/events/14/picture\""), "{drawn}");
        assert!(drawn.contains(
            "<input id=\"asset-14\" name=\"asset\" type=\"text\" list=\"assets\" required"
        ));
        assert!(drawn.contains("<label for=\"asset-14\">"), "{drawn}");
    }

    #[test]
    fn a_locked_map_gives_the_line_and_where_it_goes_instead_of_a_form() {
        let mut view = everything("Read gauge,ASSET-ID-HERE");
        view.map.locked = Some("flag --asset-map".to_owned());
        view.map.path = "/etc/assets.csv".to_owned();
        view.map.header = Some("action_name,asset_id".to_owned());
        let drawn = drawn(&view, Role::Configure);
        assert!(
            drawn.contains("/etc/assets.csv") && drawn.contains("flag --asset-map"),
            "{drawn}"
        );
        assert!(drawn.contains("action_name,asset_id"), "{drawn}");
        assert!(drawn.contains("Line for the asset map"), "{drawn}");
        assert!(!drawn.contains("/waiting/asset"), "{drawn}");
    }

    #[test]
    fn an_act_on_a_group_brings_along_what_was_shown() {
        let drawn = drawn(&everything("answered 422: …"), Role::Decide);
        for (name, value) in [
            ("state", "dead"),
            ("reason", "answered 422: …"),
            ("first", "2026-05-28T20:11:40Z"),
            ("last", "2026-05-28T20:25:40Z"),
            ("count", "3"),
        ] {
            let field = format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">");
            assert!(drawn.contains(&field), "{field} in {drawn}");
        }
    }

    #[test]
    fn what_cannot_be_undone_says_so_where_it_is_begun() {
        let drawn = drawn(&everything("x"), Role::Decide);
        let dead = drawn.split("id=\"dead\"").nth(1).unwrap();
        assert!(dead.contains("A discard is for good"), "{dead}");
        let mut before = drawn.split("/waiting/discard").map(|text| {
            let ends = text.rfind("</details>").unwrap_or(0);
            text.get(ends..).unwrap()
        });
        // Without script too, a first click only shows what it means.
        assert!(
            before
                .by_ref()
                .take(2)
                .all(|text| text.contains("<details class=\"sure\">"))
        );
        assert!(drawn.contains("Undo: pause it again"), "{drawn}");
        assert!(drawn.contains("Undo: resume it"), "{drawn}");
    }

    #[test]
    fn hostile_names_stay_text_and_break_nothing() {
        let hostile = format!(
            "<script>alert(1)</script>\"'&\u{202e}😀{}",
            "x".repeat(10_000)
        );
        let drawn = drawn(&everything(&hostile), Role::Decide);
        assert!(!drawn.contains("<script"), "{drawn}");
        let longest = drawn
            .split('<')
            .filter_map(|tag| Some(tag.split_once('>')?.1.chars().count()))
            .max();
        assert!(longest < Some(2100), "{longest:?}");
        // Only what is sent back unchanged, and never shown, is whole.
        let shown = drawn
            .split("<input type=\"hidden\"")
            .map(|rest| rest.split_once('>').map_or(rest, |(_, shown)| shown));
        let shown: String = shown.collect();
        assert!(!shown.contains('\u{202e}'), "{shown}");
    }

    #[test]
    fn no_two_elements_have_the_same_id() {
        let mut view = everything("x");
        view.dead.groups.push(Group {
            destination: "y".to_owned(),
            ..view.dead.groups[0].clone()
        });
        let drawn = drawn(&view, Role::Decide);
        let mut ids: Vec<_> = drawn
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        ids.sort_unstable();
        let before = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), before, "{ids:?}");
    }
}
