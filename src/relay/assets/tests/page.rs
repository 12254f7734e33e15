//! The page about the map says what the map does.

use super::*;

const PAGE: &str = include_str!("../../../../docs/asset-map.md");

/// What stands in backticks in a cell of a table.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The tables' rows of a section, as cells.
fn rows(section: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = PAGE.split_once(&format!("\n## {section}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").collect())
        .collect()
}

fn fits(cell: &str, name: &str) -> bool {
    let text = format!("action_name,asset_id\n{cell},A\n");
    parse(&text).find(&action(name)).is_some()
}

#[test]
fn the_examples_of_the_page_can_be_read() {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    let rows: Vec<_> = blocks.map(|block| parse(block).len()).collect();
    assert_eq!(rows, [5, 3]);
}

#[test]
fn the_patterns_of_the_page_fit_what_it_says() {
    let rows = rows("Patterns");
    assert_eq!(rows.len(), 8);
    for row in rows {
        let cell = quoted(row[0])[0];
        for name in quoted(row[1]) {
            assert!(fits(cell, name), "{cell} fits {name}");
        }
        for name in quoted(row[2]) {
            assert!(!fits(cell, name), "{cell} does not fit {name}");
        }
    }
}

#[test]
fn the_rows_of_the_page_win_as_it_says() {
    let rows = rows("Which row wins");
    assert_eq!(rows.len(), 6);
    for row in rows {
        let mut text = "action_name,mission_name,asset_id\n".to_owned();
        for rule in row[0].trim().split(';') {
            let names = quoted(rule);
            // A second name is the mission's.
            let (name, mission) = (names[0], names.get(1).copied().unwrap_or_default());
            let (_, asset) = rule.rsplit_once("→ ").unwrap();
            text.extend([name, ",", mission, ",", asset, "\n"]);
        }
        let mut subject = action("P-101 motor DE");
        subject.mission_name = Some("Night round".into());
        let expected = row[1].trim().chars().next().unwrap().to_string();
        assert_eq!(asset(&parse(&text), &subject), Some(expected), "{text}");
    }
}

#[test]
fn the_columns_of_the_page_are_those_that_there_are_in_their_order() {
    let columns: Vec<_> = rows("Columns")
        .iter()
        .map(|row| quoted(row[0])[0])
        .collect();
    assert_eq!(columns[0], ASSET_ID);
    assert_eq!(columns[1..], KEY_COLUMNS);
}
