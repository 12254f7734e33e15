//! What screens are made of: states, times, texts from outside, forms.
//!
//! # Invariants
//! - A state is a word and a mark, never a colour alone.
//! - A text from outside is isolated in its direction, and cut where a screen would break; the
//!   whole is in its title, up to [`LONGEST_TITLE`].
//! - Every form that does something brings along what shows that it is this session's.

use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::super::access::Person;
use crate::relay::journal::State;
use crate::table::Verdict;

/// No title is longer.
const LONGEST_TITLE: usize = 2000;

/// How something does, for mark and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// All is well.
    Good,
    /// Somebody should look.
    Warn,
    /// Somebody is needed.
    Bad,
    /// Neither.
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
            Self::Plain => "plain",
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Warn => "!",
            Self::Bad => "✗",
            Self::Plain => "–",
        }
    }
}

/// A word with its mark.
pub(crate) fn badge(tone: Tone, word: &str) -> Markup {
    html! {
        span class={ "badge " (tone.class()) } {
            span.mark aria-hidden="true" { (tone.mark()) } " " (word)
        }
    }
}

/// The state of a delivery.
pub(crate) fn state(state: State) -> Markup {
    let tone = match state {
        State::Delivered => Tone::Good,
        State::Postponed | State::Parked => Tone::Warn,
        State::Dead => Tone::Bad,
        State::Pending | State::Sending | State::Skipped | State::Discarded => Tone::Plain,
    };
    badge(tone, state.as_str())
}

/// A row of `check`.
pub(crate) fn verdict(verdict: Verdict) -> Markup {
    match verdict {
        Verdict::Good => badge(Tone::Good, "good"),
        Verdict::Bad => badge(Tone::Bad, "not good"),
        Verdict::Unknown => badge(Tone::Plain, "not known"),
    }
}

/// A text from outside, at most so many characters of it.
pub(crate) fn text(text: &str, longest: usize) -> Markup {
    let (shown, is_cut) = cut(text, longest);
    let title = is_cut.then(|| cut(text, LONGEST_TITLE).0);
    html! {
        bdi.text title=[title] { (shown) }
    }
}

/// The same where no element may stand, as in attributes and plots.
pub(crate) fn shortened(text: &str, longest: usize) -> String {
    cut(text, longest).0
}

/// The beginning of a text, with a mark where something is left out, and what controls terminals
/// and directions taken out.
fn cut(text: &str, longest: usize) -> (String, bool) {
    let mut shown = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == longest {
            shown.push('…');
            return (shown, true);
        }
        shown.push(if is_control(c) { '\u{fffd}' } else { c });
    }
    (shown, false)
}

fn is_control(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A moment: the script shows it in the browser's zone, with the exact one on hover.
pub(crate) fn time(at: Timestamp) -> Markup {
    let exact = format!("{at:.3}");
    let short = at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    html! {
        time datetime=(exact) title=(exact) { (short) }
    }
}

/// A sentence with moments in it, as commands say them: each of them is shown as [`time`] is.
pub(crate) fn timed(text: &str, longest: usize) -> Markup {
    let (shown, is_cut) = cut(text, longest);
    let title = is_cut.then(|| cut(text, LONGEST_TITLE).0);
    html! {
        bdi.text title=[title] {
            @for (n, word) in shown.split(' ').enumerate() {
                @if n > 0 { " " }
                @let bare = word.trim_end_matches([',', '.', ';', ':']);
                @match bare.parse::<Timestamp>() {
                    Ok(at) => { (time(at)) (word.trim_start_matches(bare)) }
                    Err(_) => (word),
                }
            }
        }
    }
}

/// How long ago that was, and when.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    let exact = format!("{at:.3}");
    html! {
        time.ago datetime=(exact) title=(exact) { (duration(now.duration_since(at))) " ago" }
    }
}

/// A length of time as people say it.
pub(crate) fn duration(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A count with its digits in groups of three.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push('\u{202f}');
        }
        shown.push(digit);
    }
    shown
}

/// A form that does something, with its fields and buttons.
pub(crate) fn form(person: &Person, action: &str, inside: &Markup) -> Markup {
    html! {
        form method="post" action=(signed(person, action)) { (inside) }
    }
}

/// A form that brings a file along.
pub(crate) fn upload(person: &Person, action: &str, inside: &Markup) -> Markup {
    html! {
        form method="post" enctype="multipart/form-data" action=(signed(person, action)) { (inside) }
    }
}

/// A form of one button.
pub(crate) fn button(person: &Person, action: &str, word: &str) -> Markup {
    form(person, action, &html! { button type="submit" { (word) } })
}

/// An act that nothing brings back: it is shown only after a first click, with what it means. This
/// needs no script.
pub(crate) fn sure(word: &str, means: &str, form: &Markup) -> Markup {
    html! {
        details.sure {
            summary { (word) " …" }
            p { (means) }
            (form)
        }
    }
}

/// The address of a form, with what shows that it is this session's.
pub(crate) fn signed(person: &Person, action: &str) -> String {
    let join = if action.contains('?') { '&' } else { '?' };
    format!("{action}{join}csrf={}", person.csrf)
}

/// What stands where a list has nothing in it.
pub(crate) fn nothing(words: &str) -> Markup {
    html! { p.nothing { (words) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_from_outside_are_shown_as_text_and_cut() {
        let hostile = "<script>alert(1)</script>\u{202e}abc\u{0}";
        let shown = text(hostile, 100).into_string();
        assert_eq!(
            shown,
            "<bdi class=\"text\">&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}abc\u{fffd}</bdi>"
        );
        let shown = text(&"é".repeat(10_000), 3).into_string();
        assert!(shown.contains(">ééé…</bdi>"), "{}", shown.len());
        assert!(shown.len() < 2 * LONGEST_TITLE + 100);
    }

    #[test]
    fn moments_in_a_sentence_are_shown_as_moments() {
        let shown = timed("a <b>, ended at 2026-02-03T10:00:00Z, and", 100).into_string();
        let at = time("2026-02-03T10:00:00Z".parse().unwrap()).into_string();
        assert_eq!(
            shown,
            format!("<bdi class=\"text\">a &lt;b&gt;, ended at {at}, and</bdi>")
        );
    }

    #[test]
    fn counts_and_durations_are_read_easily() {
        let counts = [0, 12, 999, 1000, 1_234_567].map(count);
        assert_eq!(
            counts,
            ["0", "12", "999", "1\u{202f}000", "1\u{202f}234\u{202f}567"]
        );
        let of = |seconds| duration(SignedDuration::from_secs(seconds));
        assert_eq!(
            [-5, 59, 61, 3700, 90_000, 200_000].map(of),
            ["0 s", "59 s", "1 min", "1 h 1 min", "25 h 0 min", "2 days"]
        );
    }

    #[test]
    fn a_form_brings_along_what_shows_whose_it_is() {
        let person = Person {
            csrf: "abc".to_owned(),
            ..Person::for_tests("ann")
        };
        let plain = button(&person, "/waiting/resume", "Resume").into_string();
        assert!(
            plain.contains("action=\"/waiting/resume?csrf=abc\""),
            "{plain}"
        );
        let with = button(&person, "/waiting/resume?to=cmms", "Resume").into_string();
        assert!(with.contains("?to=cmms&amp;csrf=abc"), "{with}");
    }
}
