//! The frame of every screen: head, ways to the other screens, what was said.
//!
//! # Invariants
//! - No NUL is in a screen.
//! - Each screen has one `h1`, a language, landmarks, and a way past the navigation.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::super::access::{Person, Role};
use super::super::files;
use super::parts;

/// The ways that stand at the top of every screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Here {
    Today,
    Waiting,
    Deliveries,
    Assets,
    Setup,
    Health,
    /// Acts, accounts, the account itself.
    Account,
}

const WAYS: [(Here, &str, &str); 6] = [
    (Here::Today, "/", "Today"),
    (Here::Waiting, "/waiting", "Waiting for you"),
    (Here::Deliveries, "/deliveries", "Deliveries"),
    (Here::Assets, "/assets", "Assets"),
    (Here::Setup, "/setup", "Setup"),
    (Here::Health, "/health", "Health"),
];

/// In a tab of the browser no more is seen.
const LONGEST_TITLE: usize = 50;

/// A screen for somebody who is logged in.
pub(crate) fn screen(person: &Person, here: Here, title: &str, body: &Markup) -> Markup {
    document(
        title,
        &html! {
            a.skip href="#main" { "Skip to the content" }
            header.top {
                a.brand href="/" { "orbit-relay" }
                nav aria-label="Screens" {
                    ul {
                        @for (of, path, name) in WAYS {
                            li {
                                a href=(path) aria-current=[(of == here).then_some("page")] {
                                    (name)
                                }
                            }
                        }
                    }
                }
                nav.person aria-label="Account" {
                    ul {
                        li {
                            a href="/acts" { "Acts" }
                        }
                        @if person.role == Role::Configure {
                            li { a href="/accounts" { "Accounts" } }
                        }
                        li { a href="/account" { (parts::text(&person.name, 24)) } }
                    }
                }
            }
            main id="main" tabindex="-1" {
                @if let Some(said) = &person.said {
                    p.said role="status" { (said) }
                }
                h1 { (title) }
                (body)
            }
        },
    )
}

/// A screen for somebody who is not, or not yet.
pub(crate) fn alone(title: &str, body: &Markup) -> Markup {
    document(
        title,
        &html! {
            header.top { span.brand { "orbit-relay" } }
            main.alone id="main" {
                h1 { (title) }
                (body)
            }
        },
    )
}

/// What went wrong, and what to do.
pub(crate) fn problem(what: &str, advice: &str) -> Markup {
    html! {
        div.problem role="alert" {
            p { (what) }
            p { (advice) }
        }
        p { a href="/" { "Today" } }
    }
}

fn document(title: &str, body: &Markup) -> Markup {
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (in_a_tab(title)) " · orbit-relay" }
                link rel="icon" href=(files::path("icon.svg"));
                link rel="stylesheet" href=(files::path("page.css"));
                script src=(files::path("page.js")) defer {}
            }
            body { (body) }
        }
    };
    without_nul(document)
}

/// The beginning of a title, as browsers count it; what is escaped is as long as it is written.
fn in_a_tab(title: &str) -> String {
    let written = |c: char| match c {
        '&' => 5,
        '<' | '>' => 4,
        '"' => 6,
        _ => c.len_utf16(),
    };
    let ends = title.chars().scan(0, |end, c| {
        *end += written(c);
        Some(*end)
    });
    let fit = ends.take_while(|end| *end <= LONGEST_TITLE).count();
    parts::shortened(title, fit)
}

/// HTML has no NUL, which may stand in what was searched for.
fn without_nul(document: Markup) -> Markup {
    if document.0.contains('\0') {
        return PreEscaped(document.0.replace('\0', "\u{fffd}"));
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_cut_by_what_is_written() {
        assert_eq!(in_a_tab("Pump hall"), "Pump hall");
        assert_eq!(in_a_tab(&"W".repeat(50)), "W".repeat(50));
        assert_eq!(in_a_tab(&"W".repeat(51)), "W".repeat(50) + "…");
        assert_eq!(in_a_tab(&"<".repeat(51)), "<".repeat(12) + "…");
        assert_eq!(in_a_tab(&"🔥".repeat(51)), "🔥".repeat(25) + "…");
    }

    #[test]
    fn no_nul_is_in_a_screen() {
        let screen = alone("a\0b", &html! { input value="c\0d"; }).into_string();
        assert!(screen.contains("<h1>a\u{fffd}b</h1>"), "{screen}");
        assert!(screen.contains("value=\"c\u{fffd}d\""), "{screen}");
    }
}
