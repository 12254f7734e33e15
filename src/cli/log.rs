//! Where log lines go and how they look.
//!
//! # Invariants
//! - Only this program's own lines are written, at any level: what libraries trace may hold what
//!   must not be shown.
//! - An event is one line, whatever stands in its values.

use std::fmt;
use std::io::IsTerminal as _;
use std::sync::Arc;

use jiff::tz::TimeZone;
use tracing_subscriber::field::{MakeExt as _, RecordFields};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{FormatFields, Writer, debug_fn};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::clock::Clock;
use crate::config::Log;
use crate::page::{Line, Recent};

/// Starts logging to standard output, and to what the page shows of it.
pub(super) fn start(log: &Log, recent: &Arc<Recent>) {
    let ours = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), LevelFilter::from_level(log.level))
        .with_default(LevelFilter::OFF);
    let times = Times {
        clock: Clock::system(),
        zone: log.zone.clone(),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_timer(times);
    let shown = tracing_subscriber::fmt::layer()
        .with_target(false)
        .with_level(false)
        .without_time()
        .with_ansi(false)
        .fmt_fields(Shown(fields()))
        .with_writer(ToPage(Arc::clone(recent)));
    let registry = tracing_subscriber::registry().with(ours).with(shown);
    // A second start, as in tests, keeps the first.
    if log.json {
        registry
            .with(lines.json().flatten_event(true))
            .try_init()
            .ok();
    } else {
        let colours = std::io::stdout().is_terminal();
        let lines = lines.with_ansi(colours).fmt_fields(fields());
        registry.with(lines).try_init().ok();
    }
}

/// What the page shows formats fields as a text line does, and keeps them apart from other forms.
struct Shown<F>(F);

impl<'out, F: FormatFields<'out>> FormatFields<'out> for Shown<F> {
    fn format_fields<R: RecordFields>(&self, out: Writer<'out>, fields: R) -> fmt::Result {
        self.0.format_fields(out, fields)
    }
}

/// Hands each line on to the page.
struct ToPage(Arc<Recent>);

/// One line on its way.
struct OneLine {
    to: Arc<Recent>,
    level: tracing::Level,
}

impl<'a> MakeWriter<'a> for ToPage {
    type Writer = OneLine;

    fn make_writer(&'a self) -> OneLine {
        OneLine {
            to: Arc::clone(&self.0),
            level: tracing::Level::INFO,
        }
    }

    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> OneLine {
        OneLine {
            to: Arc::clone(&self.0),
            level: *meta.level(),
        }
    }
}

impl std::io::Write for OneLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.to.add(Line {
            at: Clock::system().wall(),
            level: self.level,
            text: String::from_utf8_lossy(bytes).trim().to_owned(),
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The message and the fields of a text line.
fn fields() -> impl for<'out> FormatFields<'out> {
    let fields = debug_fn(|out, field, value| {
        let value = on_one_line(&format!("{value:?}"));
        match field.name() {
            "message" => out.write_str(&value),
            name => write!(out, "{name}={value}"),
        }
    });
    fields.delimited(" ")
}

/// The wall clock, in the zone that is wanted.
struct Times {
    clock: Clock,
    zone: TimeZone,
}

impl FormatTime for Times {
    fn format_time(&self, out: &mut Writer<'_>) -> fmt::Result {
        let now = self.clock.wall().to_zoned(self.zone.clone());
        let offset = if self.zone == TimeZone::UTC {
            "Z"
        } else {
            "%:z"
        };
        let form = format!("%Y-%m-%dT%H:%M:%S.%3f{offset}");
        write!(out, "{}", now.strftime(&form))
    }
}

/// A text without line ends and without what moves a terminal's cursor.
fn on_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\u{2028}' | '\u{2029}' => line.push('⏎'),
            '\r' => {}
            c if c.is_control() => line.extend(c.escape_unicode()),
            c => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn times_have_milliseconds_and_the_offset_of_the_zone_from_the_bundled_database() {
        let at: jiff::Timestamp = "2026-07-01T22:30:00.0049Z".parse().unwrap();
        let shown = |zone: &str| {
            let (clock, _hand) = Clock::manual(at);
            let zone = jiff::tz::TimeZoneDatabase::bundled().get(zone).unwrap();
            let mut text = String::new();
            let times = Times { clock, zone };
            times.format_time(&mut Writer::new(&mut text)).unwrap();
            text
        };
        assert_eq!(shown("UTC"), "2026-07-01T22:30:00.004Z");
        assert_eq!(shown("Europe/Berlin"), "2026-07-02T00:30:00.004+02:00");
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_level_message_and_fields_and_no_value_breaks_it() {
        let page = Page::default();
        let writer = page.clone();
        let lines = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(false)
            .without_time()
            .fmt_fields(fields())
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let reason = "a\r\nb\u{1b}[31m\u{2028}ü";
            tracing::info!(seq = 7, %reason, action = ?"x\ny", "two\nlines");
        });
        let bytes = page.0.lock().unwrap().clone();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            " INFO two⏎lines seq=7 reason=a⏎b\\u{1b}[31m⏎ü action=\"x\\ny\"\n"
        );
    }
}
