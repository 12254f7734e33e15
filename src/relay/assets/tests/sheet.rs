//! Rows go in and out of a file, and the rest stays as it was.

use proptest::prelude::*;

use super::super::{AssetMap, Subject};
use super::*;

fn cells(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = pairs.iter();
    pairs
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

fn read(text: &str) -> Sheet {
    Sheet::read(text.as_bytes()).unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

fn added(to: &str, pairs: &[(&str, &str)]) -> String {
    text(read(to).with_row(&cells(pairs)))
}

#[test]
fn a_row_is_added_in_the_way_of_the_file() {
    let row = [("action_name", "B"), ("asset_id", "P2")];
    for (file, with) in [
        ("", "action_name,asset_id\nB,P2\n"),
        ("\n\n", "action_name,asset_id\nB,P2\n"),
        ("action_name,asset_id", "action_name,asset_id\nB,P2"),
        (
            "asset_id;action_name\r\nP1;A\r\n",
            "asset_id;action_name\r\nP1;A\r\nP2;B\r\n",
        ),
        (
            "asset_id\taction_name\rP1\tA",
            "asset_id\taction_name\rP1\tA\rP2\tB",
        ),
        (
            "\u{feff}Action_Name,note,ASSET_ID\nA,\" x \",P1\n\n",
            "\u{feff}Action_Name,note,ASSET_ID\nA,\" x \",P1\n\nB,,P2\n",
        ),
    ] {
        assert_eq!(added(file, &row), with);
        AssetMap::parse(with.as_bytes()).unwrap();
    }
}

#[test]
fn a_column_that_the_header_lacks_is_added_to_every_row_and_blank_lines_stay() {
    let file = "action_name;asset_id\r\nA;P1\r\n\r\n\"B\";P2";
    let row = [("robot", "r"), ("asset_id", "P3"), ("mission_name", " ")];
    let with = added(file, &row);
    assert_eq!(
        with,
        "action_name;asset_id;robot\r\nA;P1;\r\n\r\n\"B\";P2;\r\n;P3;r"
    );
    assert_eq!(AssetMap::parse(with.as_bytes()).unwrap().len(), 3);
}

#[test]
fn other_cells_of_a_row_that_is_changed_stay_as_they_are_written() {
    let sheet = read("note,action_name,asset_id\n e\u{301} ,A,P1\n\"a \"\"b\"\"\",B,P2\n");
    let changed = sheet.with_cells(2, &cells(&[("asset_id", "P9"), ("action_name", "A")]));
    assert_eq!(
        text(changed.unwrap()),
        "note,action_name,asset_id\n e\u{301} ,A,P9\n\"a \"\"b\"\"\",B,P2\n"
    );
    let changed = sheet.with_cells(3, &cells(&[("action_name", "C"), ("note", "a \"b\"")]));
    assert!(text(changed.unwrap()).ends_with("\n\"a \"\"b\"\"\",C,P2\n"));
    let same = sheet.with_cells(2, &cells(&[("asset_id", "P1")])).unwrap();
    assert_eq!(same, sheet.bytes(&sheet.text));
    assert_eq!(sheet.with_cells(4, &[]), Err(NoRow(4)));
}

#[test]
fn a_row_is_taken_out_with_its_line_end() {
    let file = "action_name,asset_id\r\n\"A\nB\",P1\r\n\r\nC,P2";
    let sheet = read(file);
    assert_eq!(
        sheet.rows().iter().map(|row| row.line).collect::<Vec<_>>(),
        [2, 5]
    );
    assert_eq!(
        text(sheet.without_row(2).unwrap()),
        "action_name,asset_id\r\n\r\nC,P2"
    );
    assert_eq!(
        text(sheet.without_row(5).unwrap()),
        "action_name,asset_id\r\n\"A\nB\",P1\r\n"
    );
    assert_eq!(sheet.without_row(3), Err(NoRow(3)));
    assert_eq!(sheet.without_row(1), Err(NoRow(1)));
}

#[test]
fn what_can_be_filled_in_is_what_the_header_has_and_then_the_other_keys() {
    let fields = Sheet::empty().fields();
    assert_eq!(fields[..3], ["action_name", "asset_id", "robot"]);
    assert_eq!(fields.len(), 9);
    let sheet = read("Robot;asset_id;;note\nr;P1;;x\n");
    assert_eq!(
        sheet.fields()[..4],
        ["Robot", "asset_id", "note", "mission_name"]
    );
    assert_eq!(sheet.usual(), 3);
}

/// What people and others write into cells.
fn hostile() -> impl Strategy<Value = String> {
    let odd = prop::sample::select(vec![
        "=cmd|' /C calc'!A0".to_owned(),
        "+1;2,3\t4".to_owned(),
        "\"\"\",\"\r\n\"".to_owned(),
        "\u{202e}abc\u{2066}".to_owned(),
        "<script>alert(1)</script>".to_owned(),
        "👩‍🏭 Pumpe".to_owned(),
        "\\*?\\".to_owned(),
        "x\0y".to_owned(),
        "é".repeat(9_998),
    ]);
    prop_oneof![2 => "[a-c,;\t\"\n\r =*?]{1,8}", 1 => "\\PC{1,12}", 1 => odd]
        .prop_map(|text| format!("x{text}x"))
}

/// A good file in one of the ways that people write them.
fn file() -> impl Strategy<Value = String> {
    let rows = prop::collection::vec((hostile(), hostile(), any::<bool>()), 0..6);
    let ends = prop::sample::select(vec!["\n", "\r\n", "\r"]);
    let separators = prop::sample::select(vec![b',', b';', b'\t']);
    (rows, ends, separators, any::<bool>(), any::<bool>()).prop_map(
        |(rows, end, separator, marked, ends_with_end)| {
            let mut lines = vec![table::line(separator, ["note", "action_uuid", "asset_id"])];
            for (n, (note, asset, blank)) in rows.into_iter().enumerate() {
                let key = format!("k{n}");
                lines.push(table::line(separator, [&*note, &*key, &*asset]));
                if blank {
                    lines.push(String::new());
                }
            }
            let mark = if marked { "\u{feff}" } else { "" };
            let last = if ends_with_end { end } else { "" };
            format!("{mark}{}{last}", lines.join(end))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 4 } else { 128 }))]

    #[test]
    fn a_row_that_is_added_is_read_back_and_taken_out_again_leaves_the_same_bytes(
        file in file(), name in hostile(), asset in hostile(), note in hostile(),
    ) {
        let sheet = read(&file);
        let row = cells(&[("action_uuid", &literal(&name)), ("asset_id", &asset), ("note", &note)]);
        let with = sheet.with_row(&row);
        let map = AssetMap::parse(&with).unwrap();
        let subject = Subject { action_uuid: Some(name), ..Subject::default() };
        let found = map.find(&subject).unwrap();
        prop_assert_eq!(&found.asset_id, &table::normal(&asset));
        prop_assert_eq!(&found.attributes[0].1, &table::normal(&note));
        let sheet = Sheet::read(&with).unwrap();
        let line = sheet.rows().last().unwrap().line;
        prop_assert_eq!(sheet.without_row(line).unwrap(), file.into_bytes());
    }

    #[test]
    fn a_change_changes_one_row_and_changed_back_says_the_same(
        file in file(), asset in hostile(), place in any::<prop::sample::Index>(),
    ) {
        let sheet = read(&file);
        prop_assume!(!sheet.rows().is_empty());
        let place = place.index(sheet.rows().len());
        let row = &sheet.rows()[place];
        let with = sheet.with_cells(row.line, &cells(&[("asset_id", &asset)])).unwrap();
        let changed = Sheet::read(&with).unwrap();
        prop_assert_eq!(changed.rows().len(), sheet.rows().len());
        for (n, (one, other)) in sheet.rows().iter().zip(changed.rows()).enumerate() {
            let same = n != place || table::normal(&asset) == one.cells[2];
            prop_assert_eq!(one.cells == other.cells, same);
        }
        let line = changed.rows()[place].line;
        let back = changed.with_cells(line, &cells(&[("asset_id", &row.cells[2])])).unwrap();
        let back = Sheet::read(&back).unwrap();
        let both = back.rows().iter().zip(sheet.rows());
        prop_assert!(both.into_iter().all(|(one, other)| one.cells == other.cells));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-z,;\"\n\r]{0,80}") {
        for bytes in [bytes, text.into_bytes()] {
            if let Ok(sheet) = Sheet::read(&bytes) {
                let row = cells(&[("robot", "r"), ("asset_id", "P")]);
                drop(sheet.with_row(&row));
                for row in sheet.rows() {
                    drop(sheet.without_row(row.line).unwrap());
                    drop(sheet.with_cells(row.line, &cells(&[("robot", "r")])).unwrap());
                }
            }
        }
    }
}
