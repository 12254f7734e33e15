//! Two files are compared by what they say.

use super::*;

fn between(old: &str, new: &str) -> Difference {
    let read = |text: &str| Sheet::read(text.as_bytes()).unwrap();
    Difference::between(&read(old), &read(new))
}

#[test]
fn rows_are_added_changed_and_removed_by_their_keys() {
    let difference = between(
        "action_name,asset_id,crew\nA,P1,x\nB,P2,\nC,P3,z\n",
        "crew;asset_id;action_name\n;P9;D\n;P2;B\ny;P1;A\n",
    );
    assert_eq!((difference.counts(), difference.same), ([1, 1, 1], 1));
    assert_eq!(difference.in_words(), "1 row added, 1 changed, 1 removed");
    let [
        Change::Added(d),
        Change::Changed(was, a),
        Change::Removed(c),
    ] = &*difference.rows
    else {
        panic!("{difference:#?}");
    };
    assert_eq!(
        (d.line, &*d.asset, &*d.goes_by()),
        (2, "P9", "action_name \"D\"")
    );
    assert_eq!((was.line, a.line), (2, 4));
    assert_eq!(a.attributes, [("crew".to_owned(), "y".to_owned())]);
    assert_eq!((c.line, &*c.asset), (4, "P3"));
}

#[test]
fn how_a_file_is_written_is_no_difference() {
    let old = "action_name,asset_id\nA**,P1\n\nB,P2\nB,P2\n";
    let new = "\u{feff}\"ASSET_ID\";ACTION_NAME\r\n P2;B\r\nP1;\"A*\"";
    let difference = between(old, new);
    assert!(difference.is_empty(), "{difference:?}");
    assert_eq!(difference.in_words(), "it says the same");
}

#[test]
fn a_row_that_repeats_another_or_is_not_finished_stands_apart() {
    let old = "action_name,asset_id\nA,P1\n";
    let difference = between(old, "action_name,asset_id\nA,P1\nA,P1\nA,ASSET-ID-HERE\n");
    let [Change::Added(says)] = &*difference.rows else {
        panic!("{difference:#?}");
    };
    assert!(says.is_unfinished());
}

#[test]
fn columns_come_and_go_and_an_empty_one_changes_no_row() {
    let old = "action_name,asset_id,old\nA,P1,\n";
    let difference = between(old, "action_name,asset_id,new\nA,P1,\n");
    assert_eq!(difference.columns_added, ["new"]);
    assert_eq!(difference.columns_removed, ["old"]);
    assert_eq!((difference.rows.len(), difference.same), (0, 1));
    assert_eq!(difference.in_words(), "other columns");
    let nothing = Difference::between(&Sheet::empty(), &Sheet::empty());
    assert!(nothing.is_empty());
}

#[test]
fn a_row_with_the_keys_of_another_that_says_something_else_is_no_repetition() {
    let old = "action_name,asset_id\nA,P1\n";
    let difference = between(old, "action_name,asset_id\nA,P1\nA,P2\n");
    assert_eq!((difference.counts(), difference.same), ([1, 0, 0], 1));
}
