//! Plots, drawn as SVG: bars by hour, and a line over time.
//!
//! # Invariants
//! - A plot is an image with a name and a text that says what it shows; nothing in it is told by
//!   colour alone: an alert has a shape of its own.
//! - No style stands in it, and no number that cannot be drawn: those are counted and said.
//! - At most [`MOST`] points are drawn, the latest.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::parts;

/// So many points are drawn.
pub(crate) const MOST: usize = 2000;
/// What is farther from zero is not drawn.
const FARTHEST: f64 = 1e100;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 788.0;
const TOP: f64 = 28.0;
const BOTTOM: f64 = 210.0;
const LONGEST_NAME: usize = 80;
const LONGEST_UNIT: usize = 16;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// How many there were in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bar {
    /// The hour's beginning.
    pub(crate) at: Timestamp,
    /// How many.
    pub(crate) n: u64,
}

/// Counts by hour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bars<'a> {
    /// Different from that of every other plot of the screen.
    pub(crate) id: &'a str,
    /// What it is of.
    pub(crate) title: &'a str,
    /// The hours, the oldest first, none left out.
    pub(crate) hours: &'a [Bar],
}

/// One value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// When it was taken.
    pub(crate) at: Timestamp,
    /// It.
    pub(crate) value: f64,
    /// Whether it is an alert.
    pub(crate) alert: bool,
}

/// Values over time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// Different from that of every other plot of the screen.
    pub(crate) id: &'a str,
    /// What it is of; it may come from outside.
    pub(crate) title: &'a str,
    /// In what it is measured; it may come from outside.
    pub(crate) unit: Option<&'a str>,
    /// The values, the oldest first.
    pub(crate) points: &'a [Point],
}

/// Bars by hour.
pub(crate) fn bars(plot: &Bars<'_>) -> Markup {
    let (Some(first), Some(last)) = (plot.hours.first(), plot.hours.last()) else {
        return parts::nothing("Nothing to draw yet.");
    };
    let until = last.at.saturating_add(SignedDuration::from_hours(1));
    let until = until.unwrap_or(last.at);
    let most = plot.hours.iter().map(|bar| bar.n).max().unwrap_or(0);
    let total = plot
        .hours
        .iter()
        .fold(0_u64, |sum, bar| sum.saturating_add(bar.n));
    let frame = Frame {
        from: first.at,
        until,
        low: 0.0,
        high: number(most.max(1)),
        whole: true,
    };
    let says = format!(
        "{} in {}: {} in all, at most {} in an hour, {} in the last hour shown.",
        plot.title,
        hours(plot.hours.len()),
        parts::count(total),
        parts::count(most),
        parts::count(last.n),
    );
    frame.draw(
        plot.id,
        plot.title,
        &says,
        &html! {
            @for bar in plot.hours.iter().filter(|bar| bar.n > 0) {
                @let (x, y) = (frame.x(bar.at), frame.y(number(bar.n)));
                @let end = bar.at.saturating_add(SignedDuration::from_hours(1)).unwrap_or(until);
                rect.bar x=(at(x + 1.0)) y=(at(y)) width=(at((frame.x(end) - x - 2.0).max(1.0)))
                    height=(at(BOTTOM - y)) {
                    title { (moment(bar.at)) ": " (parts::count(bar.n)) }
                }
            }
        },
    )
}

/// A line over time, with a point for each value.
pub(crate) fn line(plot: &Line<'_>) -> Markup {
    let skipped = plot.points.len().saturating_sub(MOST);
    let points: Vec<_> = plot
        .points
        .iter()
        .skip(skipped)
        .copied()
        .filter(|point| point.value.is_finite() && point.value.abs() <= FARTHEST)
        .collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return parts::nothing("Nothing to draw yet.");
    };
    let values = || points.iter().map(|point| point.value);
    let low = values().fold(f64::INFINITY, f64::min);
    let high = values().fold(f64::NEG_INFINITY, f64::max);
    let frame = Frame {
        from: first.at,
        until: last.at,
        low,
        high,
        whole: false,
    }
    .with_room();
    let unit = plot.unit.map(|unit| parts::shortened(unit, LONGEST_UNIT));
    let unit = unit.map_or_else(String::new, |unit| format!(" {unit}"));
    let name = parts::shortened(plot.title, LONGEST_NAME);
    let alerts = points.iter().filter(|point| point.alert).count();
    let says = format!(
        "{name}: {} from {} to {}; lowest {}{unit}, highest {}{unit}, last {}{unit}; {}.{}",
        some(points.len(), "value"),
        moment(first.at),
        moment(last.at),
        value(low),
        value(high),
        value(last.value),
        some(alerts, "alert"),
        left_out(plot.points.len() - points.len()),
    );
    let path: Vec<_> = points
        .iter()
        .map(|point| format!("{},{}", at(frame.x(point.at)), at(frame.y(point.value))))
        .collect();
    frame.draw(
        plot.id,
        &format!("{name}{unit}"),
        &says,
        &html! {
            polyline.line points=(path.join(" ")) {}
            @for point in &points {
                @let (x, y) = (frame.x(point.at), frame.y(point.value));
                @let says = format!("{}: {}{unit}", moment(point.at), value(point.value));
                @if point.alert {
                    path.alert d=(format!("M{} {}l7 12h-14z", at(x), at(y - 8.0))) {
                        title { (says) ", alert" }
                    }
                } @else {
                    circle.point cx=(at(x)) cy=(at(y)) r="3" { title { (says) } }
                }
            }
            @if alerts > 0 {
                path.alert d=(format!("M{} 8l6 10h-12z", at(RIGHT - 50.0))) {}
                text x=(at(RIGHT)) y="18" text-anchor="end" { "alert" }
            }
        },
    )
}

/// What a plot is drawn into.
struct Frame {
    from: Timestamp,
    until: Timestamp,
    low: f64,
    high: f64,
    /// Whether values are counts.
    whole: bool,
}

impl Frame {
    /// With room around what stands in it, also where that is a single moment or value.
    fn with_room(mut self) -> Self {
        let span = self.high - self.low;
        let room = if span > 0.0 {
            span * 0.08
        } else {
            (self.low.abs() * 0.1).max(1.0)
        };
        (self.low, self.high) = (self.low - room, self.high + room);
        if self.until.duration_since(self.from) < SignedDuration::from_hours(1) {
            let half = SignedDuration::from_mins(30);
            self.from = self.from.saturating_sub(half).unwrap_or(self.from);
            self.until = self.until.saturating_add(half).unwrap_or(self.until);
        }
        self
    }

    fn x(&self, moment: Timestamp) -> f64 {
        let whole = self.until.duration_since(self.from).as_secs_f64().max(1.0);
        let part = moment.duration_since(self.from).as_secs_f64() / whole;
        LEFT + (RIGHT - LEFT) * part.clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        let part = (value - self.low) / (self.high - self.low);
        BOTTOM - (BOTTOM - TOP) * part.clamp(0.0, 1.0)
    }

    fn draw(&self, id: &str, title: &str, says: &str, inside: &Markup) -> Markup {
        let (title_id, says_id) = (format!("{id}-title"), format!("{id}-says"));
        html! {
            div.scroll tabindex="0" role="group" aria-label=(title) {
                svg.plot viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img"
                    aria-labelledby={ (title_id) " " (says_id) } {
                    title id=(title_id) { (title) }
                    desc id=(says_id) { (says) }
                    text x=(at(LEFT)) y="18" { (title) }
                    @for mark in self.values() {
                        @let y = at(self.y(mark));
                        line.axis x1=(at(LEFT)) x2=(at(RIGHT)) y1=(y) y2=(y) {}
                        text x=(at(LEFT - 8.0)) y=(at(self.y(mark) + 4.0)) text-anchor="end" {
                            (value(mark))
                        }
                    }
                    @let (step, marks) = self.moments();
                    @for mark in marks {
                        @let x = at(self.x(mark));
                        line.axis x1=(x) x2=(x) y1=(at(BOTTOM)) y2=(at(BOTTOM + 5.0)) {}
                        text x=(x) y=(at(BOTTOM + 20.0)) text-anchor="middle"
                            data-at=(format!("{mark:.0}")) data-by=[(step >= DAY).then_some("day")] {
                            (tick(mark, step))
                        }
                    }
                    text x="4" y=(at(BOTTOM + 20.0)) data-zone { "UTC" }
                    (inside)
                }
            }
        }
    }

    /// Where lines go across: round values, a handful.
    fn values(&self) -> Vec<f64> {
        let span = self.high - self.low;
        let rough = span / 4.0;
        let ten = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * ten);
        let step = steps.into_iter().find(|step| *step >= rough);
        let mut step = step.unwrap_or(rough);
        if self.whole {
            step = step.max(1.0);
        }
        let first = (self.low / step).ceil();
        let marks = (0_u8..8).map(|n| {
            let mark = (first + f64::from(n)) * step;
            // Not `-0`.
            if mark.abs() < step / 2.0 { 0.0 } else { mark }
        });
        marks.take_while(|mark| *mark <= self.high).collect()
    }

    /// Where times stand: round ones, a handful, and how many seconds lie between them.
    fn moments(&self) -> (i64, Vec<Timestamp>) {
        let seconds = self.until.duration_since(self.from).as_secs().max(1);
        let hours = [1, 3, 6, 12].map(|n| n * HOUR).into_iter();
        let days = [1, 2, 7, 14, 30, 91, 365].map(|n| n * DAY);
        let step = hours.chain(days).find(|step| seconds / step <= 8);
        let step = step.unwrap_or(seconds / 8);
        let first = self.from.as_second().div_euclid(step) * step;
        let marks = (0..=10_i64).map(|n| first.saturating_add(n * step));
        let marks = marks.filter_map(|second| Timestamp::from_second(second).ok());
        let within = marks.filter(|mark| (self.from..=self.until).contains(mark));
        (step, within.collect())
    }
}

fn tick(mark: Timestamp, step: i64) -> String {
    let format = if step >= DAY { "%Y-%m-%d" } else { "%H:%M" };
    mark.to_zoned(TimeZone::UTC).strftime(format).to_string()
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A place in the picture.
fn at(place: f64) -> String {
    format!("{place:.1}")
}

/// A value as short as it can be told.
pub(crate) fn value(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 || (size > 0.0 && size < 1e-3) {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" {
        "0".to_owned()
    } else {
        text.to_owned()
    }
}

fn number(n: u64) -> f64 {
    u32::try_from(n).map_or(f64::from(u32::MAX), f64::from)
}

fn hours(n: usize) -> String {
    some(n, "hour")
}

/// How many of a thing.
fn some(n: usize, thing: &str) -> String {
    match n {
        0 => format!("no {thing}"),
        1 => format!("1 {thing}"),
        n => format!("{n} {thing}s"),
    }
}

fn left_out(n: usize) -> String {
    match n {
        0 => String::new(),
        n => format!(" {n} more are not drawn."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(n: i64) -> Timestamp {
        Timestamp::from_second(1_780_000_000 / DAY * DAY + n * HOUR).unwrap()
    }

    fn point(n: i64, value: f64, alert: bool) -> Point {
        Point {
            at: hour(n),
            value,
            alert,
        }
    }

    fn drawn(points: &[Point]) -> String {
        let plot = Line {
            id: "r1",
            title: "temperature",
            unit: Some("°C"),
            points,
        };
        line(&plot).into_string()
    }

    #[test]
    fn bars_say_in_words_what_they_show() {
        let counts = [0, 12, 3_u64];
        let hours: Vec<_> = (0_i64..)
            .zip(counts)
            .map(|(n, count)| Bar {
                at: hour(n),
                n: count,
            })
            .collect();
        let plot = Bars {
            id: "hours",
            title: "Events received per hour",
            hours: &hours,
        };
        let drawn = bars(&plot).into_string();
        let says = "Events received per hour in 3 hours: 15 in all, at most 12 in an hour, 3 in \
                    the last hour shown.";
        assert!(drawn.contains(says), "{drawn}");
        assert!(drawn.contains("role=\"img\" aria-labelledby=\"hours-title hours-says\""));
        assert_eq!(
            drawn.matches("<rect").count(),
            2,
            "an empty hour has no bar"
        );
        assert!(!drawn.contains("style="), "{drawn}");
    }

    #[test]
    fn an_alert_has_a_shape_of_its_own_and_is_counted() {
        let drawn = drawn(&[
            point(0, 20.0, false),
            point(1, 95.5, true),
            point(2, 21.0, false),
        ]);
        assert_eq!(drawn.matches("<circle").count(), 2);
        assert_eq!(
            drawn.matches("<path class=\"alert\"").count(),
            2,
            "one, and what it means"
        );
        assert!(
            drawn.contains("highest 95.5 °C, last 21 °C; 1 alert."),
            "{drawn}"
        );
    }

    #[test]
    fn what_cannot_be_drawn_is_said() {
        let wild = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, 1.0];
        let points: Vec<_> = (0..).zip(wild).map(|(n, v)| point(n, v, false)).collect();
        let shown = drawn(&points);
        assert!(shown.contains("1 value from"), "{shown}");
        assert!(shown.contains("4 more are not drawn."), "{shown}");
        assert!(!shown.contains("NaN") && !shown.contains("inf"), "{shown}");
        assert!(drawn(&[point(0, f64::NAN, false)]).contains("Nothing to draw yet."));

        let many: Vec<_> = (0..3000).map(|n| point(n, 1.0, false)).collect();
        let shown = drawn(&many);
        assert_eq!(shown.matches("<circle").count(), MOST);
        assert!(shown.contains("1000 more are not drawn."));
    }

    #[test]
    fn every_point_lies_in_the_frame() {
        let ranges = [
            (-1e100, 1e100),
            (0.0, 0.0),
            (1e-9, 2e-9),
            (-5.0, -4.0),
            (1e15, 1e15 + 1.0),
        ];
        for (low, high) in ranges {
            let shown = drawn(&[point(0, low, false), point(400, high, true)]);
            assert!(
                !shown.contains("NaN") && !shown.contains("inf"),
                "{low} {high}: {shown}"
            );
            let frame = Frame {
                from: hour(0),
                until: hour(400),
                low,
                high,
                whole: false,
            }
            .with_room();
            let marks = frame.values();
            assert!((1..=8).contains(&marks.len()), "{low} {high}: {marks:?}");
            assert!(frame.moments().1.len() <= 10);
            for value in [low, high] {
                assert!((TOP..=BOTTOM).contains(&frame.y(value)), "{low} {high}");
            }
        }
    }

    #[test]
    fn times_and_values_at_the_axes_are_round() {
        let frame = |until, high| Frame {
            from: hour(0),
            until: hour(until),
            low: 0.0,
            high,
            whole: true,
        };
        let frame_of_two_days = frame(48, 14.0);
        assert_eq!(frame_of_two_days.values(), [0.0, 5.0, 10.0]);
        let (step, marks) = frame_of_two_days.moments();
        assert_eq!((step, marks.len()), (6 * HOUR, 9));
        assert_eq!(frame(48, 1.0).values(), [0.0, 1.0], "counts are whole");
        assert_eq!(frame(24 * 90, 1.0).moments().0, 14 * DAY);
    }

    #[test]
    fn hostile_names_stay_text_and_short() {
        let hostile = format!("<script>\"'\u{202e}{}", "x".repeat(10_000));
        let plot = Line {
            id: "r1",
            title: &hostile,
            unit: Some(&hostile),
            points: &[point(0, 1.0, false)],
        };
        let shown = line(&plot).into_string();
        assert!(
            !shown.contains("<script") && !shown.contains('\u{202e}'),
            "{shown}"
        );
        assert!(shown.len() < 4000, "{}", shown.len());
    }
}
