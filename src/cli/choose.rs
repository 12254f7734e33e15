//! How a person says which deliveries and which destination: flags, and what is made of them.
//!
//! # Invariants
//! - A destination may be named by its id or by its name; one that is not known is refused with
//!   the nearest that is.

use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use jiff::{SignedDuration, Timestamp};

use super::Usage;
use super::args::{json, limit, place, place_and_map};
use crate::relay::journal::{DeliveryId, Filter, State, Sums};

/// The command `deliveries`.
pub(super) fn deliveries() -> Command {
    Command::new("deliveries")
        .about("Look at deliveries, send them again, or throw them away")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("List deliveries, the newest event first")
                .args(filters())
                .args([
                    limit(),
                    Arg::new("before")
                        .long("before")
                        .value_name("ID")
                        .help("Only those that stand after this one in the list"),
                    json(),
                ])
                .args(place()),
        )
        .subcommand(
            Command::new("show")
                .visible_alias("explain")
                .about(
                    "Explain one delivery: why this asset, what Orbit said, what was sent and done, \
                     what comes next",
                )
                .args([
                    Arg::new("id")
                        .value_name("ID")
                        .help("DESTINATION:NUMBER, as in the list")
                        .required(true),
                    json(),
                ])
                .args(place_and_map()),
        )
        .subcommand(
            bulk(
                "replay",
                "Send deliveries again: dead ones, unless told otherwise",
            )
            .arg(
                Arg::new("as-sent")
                    .long("as-sent")
                    .help("Send the same body, instead of one made with today's asset map")
                    .action(ArgAction::SetTrue),
            )
            .arg(
                Arg::new("kept")
                    .long("kept")
                    .action(ArgAction::SetTrue)
                    .conflicts_with_all([
                        "ids", "state", "asset", "type", "since", "until", "text", "all",
                        "dry-run", "json", "as-sent",
                    ])
                    .help(
                        "Instead: all events that were kept before the destination was \
                             configured [default destination: integration]",
                    ),
            ),
        )
        .subcommand(bulk(
            "discard",
            "Throw away deliveries that were not made; the events stay",
        ))
}

/// The command `destinations`.
pub(super) fn destinations() -> Command {
    let destination = || {
        Arg::new("destination")
            .value_name("DESTINATION")
            .help("Its name or id")
            .required(true)
    };
    let why = || {
        Arg::new("why")
            .long("why")
            .value_name("TEXT")
            .help("Why, for those who look later")
            .default_value("")
            .hide_default_value(true)
    };
    Command::new("destinations")
        .about("Look at destinations, try, pause and resume them")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("List destinations and how they do")
                .args(place())
                .arg(json()),
        )
        .subcommand(
            Command::new("show")
                .about("Show one destination, and what was done to it last")
                .args([destination(), json()])
                .args(place()),
        )
        .subcommand(
            Command::new("pause")
                .about("Send nothing more to a destination; what comes for it waits")
                .args([destination(), why(), json()])
                .args(place()),
        )
        .subcommand(
            Command::new("test")
                .about("Post once to a destination, to see how it answers; the relay must run")
                .args([destination(), json()])
                .args(place()),
        )
        .subcommand(
            Command::new("resume")
                .about("Send to it again")
                .args([destination(), why(), json()])
                .args(place()),
        )
}

fn bulk(name: &'static str, about: &'static str) -> Command {
    let switch = |name, help| {
        Arg::new(name)
            .long(name)
            .help(help)
            .action(ArgAction::SetTrue)
    };
    Command::new(name)
        .about(about)
        .arg(
            Arg::new("ids")
                .value_name("ID")
                .help("These deliveries: DESTINATION:NUMBER, as in the list")
                .num_args(0..),
        )
        .args(filters())
        .args([
            switch("all", "All of them, where nothing else says which"),
            switch("dry-run", "Only say which it would be"),
            switch("yes", "Do not ask"),
            json(),
        ])
        .args(place())
}

fn filters() -> [Arg; 7] {
    let one = |name, value, help| Arg::new(name).long(name).value_name(value).help(help);
    let words = State::ALL.map(State::as_str);
    [
        one(
            "destination",
            "NAME",
            "Of this destination, by its name or id",
        ),
        one("state", "STATE", "In this state; several with commas")
            .value_delimiter(',')
            .action(ArgAction::Append)
            .value_parser(PossibleValuesParser::new(words)),
        one("asset", "ASSET", "Sent with this asset"),
        one("type", "TYPE", "Of events of this type"),
        one(
            "since",
            "WHEN",
            "Received then or later: RFC 3339, a date, or 2d for two days ago",
        ),
        one("until", "WHEN", "Received before then"),
        one("text", "TEXT", "With this text in the event or the reason"),
    ]
}

/// The filter that the flags make, and `ids` where the command has them.
pub(super) fn filter(matches: &ArgMatches, sums: &Sums, now: Timestamp) -> anyhow::Result<Filter> {
    let text = |name| matches.get_one::<String>(name).cloned();
    let mut filter = Filter {
        destination: text("destination")
            .map(|name| destination(sums, &name))
            .transpose()?,
        asset: text("asset"),
        event_type: text("type"),
        since: when(matches, "since", now)?,
        until: when(matches, "until", now)?,
        text: text("text"),
        ..Filter::default()
    };
    let states = matches.get_many::<String>("state").into_iter().flatten();
    filter.states = states.filter_map(|word| State::from_word(word)).collect();
    if let Ok(Some(ids)) = matches.try_get_many::<String>("ids") {
        for text in ids {
            filter.ids.insert(id(sums, text)?);
        }
    }
    Ok(filter)
}

/// The delivery that a person names.
pub(super) fn id(sums: &Sums, text: &str) -> anyhow::Result<DeliveryId> {
    let id: DeliveryId = text
        .parse()
        .map_err(|error| Usage(format!("`{text}`: {error}")))?;
    Ok(DeliveryId {
        destination: destination(sums, &id.destination)?,
        seq: id.seq,
    })
}

/// The id of the destination that a person names. Of two with one name the configured one is
/// meant.
pub(super) fn destination(sums: &Sums, name: &str) -> anyhow::Result<String> {
    let all = &sums.destinations;
    let named = |removed| {
        all.iter()
            .find(move |d| d.name == name && d.removed == removed)
    };
    let found = all.iter().find(|d| d.id == name);
    let found = found.or_else(|| named(false)).or_else(|| named(true));
    if let Some(found) = found {
        return Ok(found.id.clone());
    }
    let words = all.iter().flat_map(|d| [&d.id, &d.name]);
    let nearest = words
        .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let hint = match nearest {
        Some(nearest) => format!("; is it `{nearest}`? orbit-relay destinations list shows all"),
        None => "; there is none yet: start the relay once with one configured".to_owned(),
    };
    Err(Usage(format!("no destination `{name}`{hint}")).into())
}

/// The time that a flag says.
pub(super) fn when(
    matches: &ArgMatches,
    name: &str,
    now: Timestamp,
) -> anyhow::Result<Option<Timestamp>> {
    let Some(text) = matches.get_one::<String>(name) else {
        return Ok(None);
    };
    let when = moment(text, now).ok_or_else(|| {
        Usage(format!(
            "--{name} {text}: write a time like 2026-02-03T09:14:00Z, a date, or 90s, 30m, 12h, \
             2d or 1w for so long ago"
        ))
    })?;
    Ok(Some(when))
}

/// RFC 3339, a date (its beginning, UTC), or how long ago.
fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    if let Ok(at) = format!("{text}T00:00:00Z").parse() {
        return Some(at);
    }
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let ago = Duration::from_secs(digits.parse::<u64>().ok()?.checked_mul(seconds)?);
    now.checked_sub(SignedDuration::try_from(ago).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::journal::DestinationSums;

    #[test]
    fn a_moment_is_a_time_a_date_or_how_long_ago() {
        let now: Timestamp = "2026-02-03T12:00:00Z".parse().unwrap();
        for (text, at) in [
            ("2026-02-01T10:00:00Z", "2026-02-01T10:00:00Z"),
            ("2026-02-01T10:00:00+02:00", "2026-02-01T08:00:00Z"),
            ("2026-02-01", "2026-02-01T00:00:00Z"),
            ("90s", "2026-02-03T11:58:30Z"),
            ("2d", "2026-02-01T12:00:00Z"),
            ("1w", "2026-01-27T12:00:00Z"),
        ] {
            assert_eq!(moment(text, now), Some(at.parse().unwrap()), "{text}");
        }
        for wrong in [
            "",
            "d",
            "2",
            "2y",
            "-2d",
            "yesterday",
            "99999999999999999w",
            "2ö",
        ] {
            assert_eq!(moment(wrong, now), None, "{wrong}");
        }
    }

    #[test]
    fn a_destination_goes_by_id_or_name_and_another_is_refused_with_the_nearest() {
        let one = |id: &str, name: &str, removed| DestinationSums {
            id: id.into(),
            name: name.into(),
            removed,
            ..DestinationSums::default()
        };
        let sums = Sums {
            destinations: vec![one("a", "cmms", true), one("b", "cmms", false)],
            ..Sums::default()
        };
        assert_eq!(destination(&sums, "a").unwrap(), "a");
        assert_eq!(destination(&sums, "cmms").unwrap(), "b");
        let error = destination(&sums, "cmsm").unwrap_err().to_string();
        assert!(error.contains("is it `cmms`?"), "{error}");
    }
}
