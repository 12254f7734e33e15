//! The asset map from bytes to an answer.
//!
//! ```text
//! mod         the file, its errors, suggestions, the map as CSV
//! precedence  which row wins
//! page        docs/asset-map.md, its tables and examples
//! ```
//!
//! # Invariants
//! - Each test names a claim of docs/asset-map.md.

mod page;
mod precedence;

use std::collections::HashMap;

use proptest::prelude::*;

use super::columns::ASSET_ID;
use super::*;

fn parse(text: &str) -> AssetMap {
    AssetMap::parse(text.as_bytes()).unwrap()
}

/// The lines that are refused, and the whole message.
fn refused(bytes: &[u8]) -> (Vec<usize>, String) {
    let error = AssetMap::parse(bytes).unwrap_err();
    let lines = error.problems().iter().map(|problem| problem.line);
    (lines.collect(), error.to_string())
}

fn action(name: &str) -> Subject {
    Subject {
        action_name: Some(name.to_owned()),
        ..Subject::default()
    }
}

fn asset(map: &AssetMap, subject: &Subject) -> Option<String> {
    map.find(subject).map(|found| found.asset_id)
}

fn all() -> Subject {
    let some = |text: &str| Some(text.to_owned());
    Subject {
        orbit_asset_id: some("o"),
        element_id: some("e"),
        action_uuid: some("u"),
        action_name: some("a"),
        mission_name: some("m"),
        robot: some("r"),
        channel_name: some("c"),
        reading: some("q"),
    }
}

#[test]
fn columns_and_cells_have_an_end_and_the_line_is_said() {
    let wide = |columns: usize| {
        let more: Vec<_> = (2..columns).map(|n| format!(",x{n}")).collect();
        let more = more.concat();
        let rest = ",".repeat(columns - 2);
        format!("action_name,asset_id{more}\na,b{rest}\n")
    };
    assert_eq!(parse(&wide(200)).len(), 1);
    for columns in [201, 3_000, 500_000] {
        let (lines, what) = refused(wide(columns).as_bytes());
        assert_eq!(lines, [1]);
        assert!(what.contains("more than 200 columns"), "{what}");
    }
    let row = format!("action_name,asset_id\n\na,b{}\n", ",".repeat(500_000));
    assert_eq!(refused(row.as_bytes()).0, [3]);
    let long = |length| format!("action_name,asset_id\na,b\nc,{}\n", "x".repeat(length));
    assert_eq!(parse(&long(10_000)).len(), 2);
    let (lines, what) = refused(long(10_001).as_bytes());
    assert_eq!(lines, [3]);
    assert!(what.contains("10000 characters"), "{what}");
}

#[test]
fn every_other_column_is_an_attribute_in_the_order_of_the_file() {
    let map = parse("Unit,action_name,asset_id,plant\nbar,Gauge,PUMP-101,\n");
    let found = map.find(&action("Gauge")).unwrap();
    assert_eq!(found.asset_id, "PUMP-101");
    assert_eq!(found.matched_by, "action_name");
    let attributes = [("Unit", "bar"), ("plant", "")];
    assert_eq!(
        found.attributes,
        attributes.map(|(name, text)| (name.to_owned(), text.to_owned()))
    );
}

#[test]
fn all_filled_keys_of_a_row_must_match() {
    let map = parse("action_name,mission_name,asset_id\nGauge,Night,P1\n");
    assert_eq!(map.find(&action("Gauge")), None);
    let mut subject = action("Gauge");
    subject.mission_name = Some("Day".into());
    assert_eq!(map.find(&subject), None);
    subject.mission_name = Some("Night".into());
    let found = map.find(&subject).unwrap();
    assert_eq!(found.matched_by, "action_name+mission_name");
}

#[test]
fn the_more_significant_set_of_filled_columns_wins() {
    let map = parse(
        "orbit_asset_id,element_id,action_uuid,action_name,mission_name,robot,asset_id\n\
         ,,,,m,r,MISSION+ROBOT\n\
         ,,,a,,,ACTION\n\
         ,,,a,,r,ACTION+ROBOT\n\
         ,,,a,m,,ACTION+MISSION\n\
         ,,u,,,,UUID\n\
         ,e,,,,,ELEMENT\n\
         o,,,,,,ORBIT\n",
    );
    let mut subject = all();
    assert_eq!(asset(&map, &subject).unwrap(), "ORBIT");
    subject.orbit_asset_id = None;
    assert_eq!(asset(&map, &subject).unwrap(), "ELEMENT");
    subject.element_id = None;
    assert_eq!(asset(&map, &subject).unwrap(), "UUID");
    subject.action_uuid = None;
    assert_eq!(asset(&map, &subject).unwrap(), "ACTION+MISSION");
    subject.mission_name = None;
    assert_eq!(asset(&map, &subject).unwrap(), "ACTION+ROBOT");
    subject.robot = None;
    assert_eq!(asset(&map, &subject).unwrap(), "ACTION");
}

#[test]
fn a_set_that_the_subject_fills_in_part_does_not_pass_for_a_smaller_one() {
    let map = parse(
        "element_id,action_uuid,robot,asset_id\n\
         e,other,,UUID\n\
         e,,r,ROBOT\n\
         e,,,ELEMENT\n",
    );
    let mut subject = all();
    subject.action_uuid = None;
    assert_eq!(asset(&map, &subject).unwrap(), "ROBOT");
}

#[test]
fn without_a_row_the_asset_of_orbit_is_the_asset() {
    let mut subject = action("Gauge");
    subject.orbit_asset_id = Some(" ORBIT-7 ".into());
    for map in [AssetMap::empty(), parse("action_name,asset_id\nOther,P1\n")] {
        let found = map.find(&subject).unwrap();
        assert_eq!(found.asset_id, "ORBIT-7");
        assert_eq!(found.matched_by, "orbit");
        assert_eq!(found.attributes, []);
    }
    subject.orbit_asset_id = Some(" ".into());
    assert_eq!(AssetMap::empty().find(&subject), None);
}

#[test]
fn a_row_wins_over_the_asset_of_orbit() {
    let map = parse("robot,asset_id\nr,P1\n");
    assert_eq!(asset(&map, &all()).unwrap(), "P1");
}

#[test]
fn names_are_compared_trimmed_in_nfc_and_case_sensitive() {
    let map = parse("action_name,asset_id\n  Ku\u{308}hlung ,P1\n");
    assert_eq!(asset(&map, &action("K\u{fc}hlung\t")).unwrap(), "P1");
    assert_eq!(asset(&map, &action("k\u{fc}hlung")), None);
}

#[test]
fn header_names_are_trimmed_and_of_any_case() {
    let map = parse(" Action_Name , ASSET_ID \nGauge,P1\n");
    assert_eq!(asset(&map, &action("Gauge")).unwrap(), "P1");
}

#[test]
fn separators_byte_order_mark_quotes_and_line_ends_of_excel_work() {
    for s in [',', ';', '\t'] {
        for end in ["\n", "\r\n", "\r"] {
            let header = format!("\"note{s} long\"{s}\"asset_id\"{s}action_name");
            let row = format!("\"say \"\"x\"\"\"{s}P1{s}\"a{s}b\"");
            let blank = format!("{s}{s}");
            let text = ["\u{feff}", &header, "", &row, &blank, ""].join(end);
            for text in [text.clone(), text.replacen(end, "", 1)] {
                let map = parse(&text);
                assert_eq!(map.len(), 1);
                let found = map.find(&action(&format!("a{s}b"))).unwrap();
                assert_eq!(found.asset_id, "P1");
                let attribute = (format!("note{s} long"), "say \"x\"".to_owned());
                assert_eq!(found.attributes, [attribute]);
            }
        }
    }
}

#[test]
fn a_separator_inside_a_header_name_misleads_nobody() {
    let map = parse("asset_id;note, long, longer;robot\nP1;a, b;r\n");
    assert_eq!(asset(&map, &all()).unwrap(), "P1");
}

#[test]
fn a_quoted_cell_may_hold_line_ends() {
    let map = parse("action_name,asset_id\r\n\"two\r\nlines\",P1\r\n");
    assert_eq!(asset(&map, &action("two\r\nlines")).unwrap(), "P1");
}

#[test]
fn a_header_without_asset_or_key_column_is_told_what_is_expected() {
    let headers = ["", "\n\n", "action_name,asset", "asset_id,unit", "P1,Gauge"];
    for header in headers {
        let (_, message) = refused(header.as_bytes());
        for name in KEY_COLUMNS.iter().chain(&[ASSET_ID]) {
            assert!(message.contains(name), "{header}: {message}");
        }
    }
}

#[test]
fn two_columns_of_one_name_are_refused() {
    for header in [
        "robot,asset_id,Robot",
        "robot,asset_id,Unit,unit",
        "robot,asset_id,asset_id",
    ] {
        let (lines, message) = refused(format!("\n{header}\n").as_bytes());
        assert_eq!(lines, [2]);
        assert!(message.contains("two columns are called"), "{message}");
    }
}

#[test]
fn a_column_without_a_name_must_be_empty() {
    assert_eq!(parse("robot;asset_id;;\nr;P1;;\n").len(), 1);
    let (lines, message) = refused(b"robot;asset_id;;\nr;P1;;\ns;P2;;x\n");
    assert_eq!(lines, [3]);
    assert!(message.contains("no name in the header"), "{message}");
}

#[test]
fn a_file_that_is_not_utf8_is_refused_with_its_line_and_what_to_do() {
    let (lines, message) = refused(b"action_name,asset_id\r\nK\xfchlung,P1\r\n");
    assert_eq!(lines, [2]);
    assert!(message.contains("Excel: save as CSV UTF-8"), "{message}");
    assert_eq!(refused(b"\xff\xfea\0").0, [1]);
}

#[test]
fn a_row_without_a_key_is_refused() {
    let (lines, message) = refused(b"robot,action_name,asset_id\n, ,P1\n");
    assert_eq!(lines, [2]);
    assert!(message.contains("action_name, robot"), "{message}");
}

#[test]
fn a_row_without_an_asset_is_refused() {
    let (lines, message) = refused(b"robot,asset_id\nr, \n");
    assert_eq!(lines, [2]);
    assert!(message.contains("asset_id is empty"), "{message}");
}

#[test]
fn a_row_with_too_many_or_too_few_cells_is_refused() {
    let (lines, message) = refused(b"robot,asset_id\nr,P1,x\nr\nr,P2\n");
    assert_eq!(lines, [2, 3]);
    assert!(message.contains("3 cells where the header has 2"));
    assert!(message.contains("1 cells where the header has 2"));
}

#[test]
fn two_rows_with_the_same_keys_and_different_assets_are_refused_with_both_lines() {
    let (lines, message) = refused(b"robot,asset_id\nr,P1\n\n r ,P2\n");
    assert_eq!(lines, [4]);
    assert!(message.contains("same keys (robot) as line 2"), "{message}");
    assert!(message.contains("another asset_id"), "{message}");
}

#[test]
fn two_rows_with_the_same_keys_and_different_attributes_are_refused() {
    let (lines, message) = refused(b"robot,asset_id,unit\nr,P1,bar\nr,P1,psi\n");
    assert_eq!(lines, [3]);
    assert!(message.contains("other attributes"), "{message}");
}

#[test]
fn an_identical_row_is_accepted_once() {
    assert_eq!(parse("robot,asset_id\nr,P1\nr, P1\n").len(), 1);
}

#[test]
fn line_numbers_are_those_of_an_editor() {
    for end in ["\n", "\r\n", "\r"] {
        let text = [
            "",
            "robot,asset_id",
            "\"a",
            "",
            "b\",P1",
            "",
            ",,",
            "bad",
            "",
        ]
        .join(end);
        assert_eq!(refused(text.as_bytes()).0, [8], "{text:?}");
    }
}

#[test]
fn a_quote_that_swallows_lines_is_refused_where_it_opens() {
    let (lines, message) = refused(b"robot,asset_id\nr,P1\ns,\"P2\nt,P3\nu,P4\n");
    assert_eq!(lines, [3]);
    assert!(message.contains("never closed"), "{message}");
    let (lines, _) = refused(b"robot,asset_id\nr,P1\ns,\"P2\nt,\"P3\nu,P4\n");
    assert_eq!(lines, [3]);
    assert_eq!(parse("robot,asset_id\n2\" valve,P1\n").len(), 1);
}

#[test]
fn at_most_ten_problems_are_listed_and_the_rest_counted() {
    let text = "robot,asset_id\n".to_owned() + &"r\n".repeat(25);
    let (lines, message) = refused(text.as_bytes());
    assert_eq!(lines, (2..12).collect::<Vec<_>>());
    assert!(message.starts_with("line 2: "), "{message}");
    assert!(message.ends_with("; and 15 more"), "{message}");
}

#[test]
fn a_suggestion_fits_the_header_and_separator() {
    let map = parse("robot;unit;asset_id;action_name\nr;;P1;x\n");
    let subject = action("Gauge; \"left\"");
    let line = map.suggestion(&subject);
    assert_eq!(line, ";;ASSET-ID-HERE;\"Gauge; \"\"left\"\"\"");
}

#[test]
fn a_suggestion_without_an_action_column_takes_the_most_significant_known_key() {
    let map = parse("robot,element_id,mission_name,asset_id\nr,,,P1\n");
    let mut subject = all();
    assert_eq!(map.suggestion(&subject), ",e,,ASSET-ID-HERE");
    subject.element_id = None;
    assert_eq!(map.suggestion(&subject), ",,m,ASSET-ID-HERE");
    assert_eq!(map.suggestion(&Subject::default()), ",,,ASSET-ID-HERE");
}

#[test]
fn a_suggestion_for_an_empty_map_brings_its_header() {
    let suggestion = AssetMap::empty().suggestion(&action("a, b"));
    assert_eq!(suggestion, "action_name,asset_id\n\"a, b\",ASSET-ID-HERE");
    let finished = suggestion.replace("ASSET-ID-HERE", "P1");
    assert_eq!(asset(&parse(&finished), &action("a, b")).unwrap(), "P1");
}

#[test]
fn a_pasted_line_that_was_not_finished_is_about_no_asset() {
    let map = parse("action_name,asset_id\na,ASSET-ID-HERE\nb,P1\n");
    assert_eq!(map.len(), 1);
    assert_eq!(asset(&map, &action("a")), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes: Vec<u8>) {
        let _map = AssetMap::parse(&bytes);
    }

    #[test]
    fn no_table_panics(text in "(action_name|asset_id|robot|x|\"|\"\"|,|;|\n|\r| |ü){0,40}") {
        let _map = AssetMap::parse(text.as_bytes());
    }

    #[test]
    fn a_pasted_suggestion_is_found(name in "\\PC*[a-z*?\\\\\"\n\r,;]{1,3}", separator in "[,;\t]") {
        prop_assume!(!name.trim().is_empty());
        let header = format!("unit{separator}action_name{separator}asset_id\n");
        let with_row = format!("{header}u{separator}\u{1}{separator}P1\n");
        let line = parse(&with_row).suggestion(&action(&name));
        let finished = line.replace("ASSET-ID-HERE", "P1");
        let map = parse(&format!("{header}{finished}\n"));
        prop_assert_eq!(asset(&map, &action(&name)).unwrap(), "P1");
    }

    #[test]
    fn a_map_that_was_written_is_read_and_each_row_found(
        rows in proptest::collection::btree_map(".{0,3}[^\\s]", ".{0,3}[^\\s]", 1..8),
        separator in proptest::sample::select(b",;\t"),
    ) {
        let mut writer = csv::WriterBuilder::new().delimiter(separator).from_writer(Vec::new());
        writer.write_record(["robot", "note", "asset_id"]).unwrap();
        let mut expected = HashMap::new();
        for (robot, asset_id) in &rows {
            if expected.insert(table::normal(robot), table::normal(asset_id)).is_none() {
                let robot = &pattern::escaped(robot);
                    writer.write_record([robot, "n\n", asset_id]).unwrap();
            }
        }
        // Where two names are one in NFC, the first was written and the last expected.
        prop_assume!(expected.len() == rows.len());
        let map = AssetMap::parse(&writer.into_inner().unwrap()).unwrap();
        prop_assert_eq!(map.len(), rows.len());
        for (robot, asset_id) in expected {
            let subject = Subject { robot: Some(robot), ..Subject::default() };
            prop_assert_eq!(asset(&map, &subject).unwrap(), asset_id);
        }
    }
}

#[test]
fn a_map_that_was_written_means_the_same_and_is_written_alike() {
    let text = "\u{feff}note;action_name;asset_id;;\r\n a, b ; P* ;P1;;\r\n\r\n\"x\"\"y\";\\*;P2;;\n\
                x\"y;\\*;P2;;\n";
    let map = parse(text);
    let written = map.to_csv();
    insta::assert_snapshot!(written, @r#"
    note,action_name,asset_id
    "a, b",P*,P1
    "x""y",\*,P2
    "#);
    let again = parse(&written);
    assert_eq!(again.to_csv(), written);
    for name in ["P-1", "*"] {
        let assets = [&map, &again].map(|map| map.find(&action(name)).unwrap());
        let [one, other] = assets.map(|found| (found.asset_id, found.attributes));
        assert_eq!(one, other);
    }
    assert_eq!(AssetMap::empty().to_csv(), "action_name,asset_id\n");
}

#[test]
fn a_version_is_the_beginning_of_the_hash_of_the_file() {
    assert_eq!(AssetMap::empty().version(), "none");
    let version = |text| parse(text).version().to_owned();
    let one = version("robot,asset_id\nr,P1\n");
    insta::assert_snapshot!(one, @"cbb13c1f0215");
    assert_ne!(one, version("robot,asset_id\nr,P1\n\n"));
}

#[test]
fn what_rows_go_by_is_told_and_a_column_that_is_empty_is_not_used() {
    let header = "robot,element_id,orbit_asset_id,action_name,asset_id\n";
    let uses = |rows: &str| {
        let Uses {
            robot,
            element_id,
            orbit_asset_id,
        } = parse(&(header.to_owned() + rows)).uses();
        (robot, element_id, orbit_asset_id)
    };
    assert_eq!(uses(""), (false, false, false));
    assert_eq!(uses(",,,a,P1\n"), (false, false, false));
    assert_eq!(uses("r,,,a,P1\n"), (true, false, false));
    assert_eq!(uses(",e*,,,P1\n,,o,,P2\n"), (false, true, true));
}

#[test]
fn rows_are_told_with_their_lines_and_repeated_ones_apart() {
    let map = parse("robot,action_name,asset_id\nr,,P1\n\nr,a*,P2\n r ,,P1\nr,a**,P2\n");
    let rows: Vec<_> = map.rows().collect();
    let words = [
        (2, r#"robot "r" is "P1""#.to_owned()),
        (4, r#"robot "r", action_name "a*" is "P2""#.to_owned()),
    ];
    assert_eq!(rows, words);
    let repeated = [(5, 2), (6, 4)].map(|(line, first)| Repeated { line, first });
    assert_eq!(map.repeated(), repeated);
}
