//! Which row wins, and how fast.

use super::*;

const HEADER: &str = "reading,channel_name,orbit_asset_id,element_id,action_uuid,action_name,\
    mission_name,robot,asset_id\n";

fn mapped(rows: &str) -> AssetMap {
    parse(&(HEADER.to_owned() + rows))
}

fn found(map: &AssetMap, subject: &Subject) -> Match {
    map.find(subject).unwrap()
}

#[test]
fn the_most_significant_set_of_filled_keys_wins_whatever_else_is_said() {
    // Each row wins over all that stand below it, for one subject that all of them fit.
    let rows = [
        "q,c,,,,a,,,READING+CHANNEL+ACTION",
        "q,c,,,,,,,READING+CHANNEL",
        "q,,,,,a*,,,READING+PATTERN",
        "*,,,,,,,,ANY-READING",
        ",c,,,,a,,,CHANNEL+ACTION",
        ",?,,,,,,,ANY-CHANNEL",
        ",,o,,,,,,ORBIT",
        ",,,e,,a,,,ELEMENT+ACTION",
        ",,,e*,,,,,ELEMENT",
        ",,,,u,,,,UUID",
        ",,,,,*,m,,ANY-ACTION+MISSION",
        ",,,,,a,,r,ACTION+ROBOT",
        ",,,,,a,,,ACTION",
        ",,,,,a*,,,PATTERN",
        ",,,,,,m,,MISSION",
        ",,,,,,,*,ANY-ROBOT",
    ];
    for (from, row) in rows.iter().enumerate() {
        // The order in the file decides nothing.
        for below in [
            rows[from..].to_vec(),
            rows[from..].iter().copied().rev().collect(),
        ] {
            let winner = found(&mapped(&below.join("\n")), &all());
            assert!(row.ends_with(&winner.asset_id), "{row}: {}", winner.why);
            assert_eq!(winner.tied_with, None);
        }
    }
}

#[test]
fn a_name_beats_a_pattern_and_more_characters_beat_fewer() {
    let rows = [
        "P-101 motor DE,NAME",
        "P-101 motor*,MOTOR",
        "P-101 ?otor*,OTOR",
        "P-101*,PUMP",
        "*DE,END",
        "?*,ONE",
    ];
    for (from, row) in rows.iter().enumerate() {
        let text = "action_name,asset_id\n".to_owned() + &rows[from..].join("\n");
        let winner = found(&parse(&text), &action("P-101 motor DE"));
        assert!(row.ends_with(&winner.asset_id), "{row}: {}", winner.why);
    }
}

#[test]
fn in_a_row_of_several_keys_all_characters_that_are_given_count() {
    let map = mapped(",,,,,P-1*,Night round,,A\n,,,,,P-101,N*,,B\n");
    let mut subject = action("P-101");
    subject.mission_name = Some("Night round".into());
    assert_eq!(found(&map, &subject).asset_id, "A");
}

#[test]
fn of_two_patterns_of_one_weight_the_first_counts_and_that_is_said() {
    let map = parse("action_name,asset_id\nb*c,X\n*101*,A\nP-1*,B\n?-10*,A\n");
    let tied = found(&map, &action("P-101"));
    assert_eq!(
        (&*tied.asset_id, tied.line, tied.tied_with),
        ("A", Some(3), Some(4))
    );
    insta::assert_snapshot!(tied.why, @r#"line 3: action_name "*101*"; line 4 fits as well and says something else, the first counts"#);
    let alone = found(&map, &action("P-1"));
    assert_eq!((&*alone.asset_id, alone.tied_with), ("B", None));
    // Those that say the same are no tie.
    let map = parse("action_name,asset_id\n*101,A\nP-1*,A\n");
    assert_eq!(found(&map, &action("P-101")).tied_with, None);
}

#[test]
fn two_patterns_that_are_the_same_and_name_two_assets_are_refused() {
    for (one, other) in [
        ("P*", "P*"),
        ("P*", "P**"),
        ("?*", "*?"),
        ("a\\b*", "a\\\\b*"),
    ] {
        let text = format!("action_name,asset_id\n{one},A\n{other},B\n");
        let (lines, message) = refused(text.as_bytes());
        assert_eq!(lines, [3], "{one} {other}");
        assert!(
            message.contains("same keys (action_name) as line 2"),
            "{message}"
        );
    }
    // A name that is written with a backslash is another key than the pattern.
    assert_eq!(parse("action_name,asset_id\n\\*,A\n*,B\n").len(), 2);
}

#[test]
fn a_row_with_a_channel_or_a_reading_fits_only_what_has_them() {
    let map = mapped("q,,,,,a,,,READING\n*,,,,,b,,,ANY\n,c,,,,a,,,CHANNEL\n,,,,,a,,,ACTION\n");
    let event = action("a");
    let asset = |channel, reading| found(&map, &event.part(channel, reading)).asset_id;
    assert_eq!(asset(None, None), "ACTION");
    assert_eq!(asset(Some("c"), None), "CHANNEL");
    assert_eq!(asset(Some("c"), Some("q")), "READING");
    assert_eq!(asset(Some("c"), Some("other")), "CHANNEL");
    assert_eq!(asset(Some("other"), Some("other")), "ACTION");
    assert_eq!(map.find(&action("b")), None);
}

#[test]
fn a_match_says_its_line_and_why_in_words() {
    let map = parse("x,mission_name,action_name,asset_id\n\n1,N*,P-101*,P\n");
    let mut subject = action("P-101 motor DE");
    subject.mission_name = Some("Night".into());
    let why = found(&map, &subject);
    assert_eq!(why.line, Some(3));
    assert_eq!(why.matched_by, "action_name+mission_name");
    insta::assert_snapshot!(why.why, @r#"line 3: mission_name "N*", action_name "P-101*""#);
    subject = action("other");
    subject.orbit_asset_id = Some("O".into());
    let why = found(&map, &subject);
    assert_eq!(why.line, None);
    insta::assert_snapshot!(why.why, @"no row fits; Orbit names it");
}

#[test]
fn a_pattern_that_is_too_long_is_refused_with_its_line() {
    let text = format!("action_name,asset_id\na,A\n{}*,B\n", "x".repeat(300));
    let (lines, message) = refused(text.as_bytes());
    assert_eq!(lines, [3]);
    assert!(
        message.contains("action_name: a pattern has more than 256"),
        "{message}"
    );
}

#[test]
fn a_hundred_thousand_rows_load_and_are_looked_up_without_going_through_them() {
    let mut text = "action_name,asset_id\n".to_owned();
    for n in 0..50_000 {
        text += &format!("exact {n},E{n}\nP-{n:06} *,P{n}\n");
    }
    let map = parse(&text);
    assert_eq!(map.len(), 100_000);
    // Going through the patterns at each of these would take minutes in a debug build.
    for n in 0..50_000 {
        let name = format!("P-{n:06} motor");
        assert_eq!(found(&map, &action(&name)).asset_id, format!("P{n}"));
        assert_eq!(
            found(&map, &action(&format!("exact {n}"))).asset_id,
            format!("E{n}")
        );
    }
    assert_eq!(map.find(&action("P-050000 motor")), None);
}
