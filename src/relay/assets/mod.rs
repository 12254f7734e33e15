//! The asset map: says which plant asset an inspection is about, from a CSV file that people keep
//! in a spreadsheet.
//!
//! # Invariants
//! - Pure: bytes in, map out; no file is opened here.
//! - A map is loaded whole or not at all: a row that could mean two things is refused, never guessed.
//! - No two rows of a map have the same keys, so the order of rows in the file decides nothing.
//! - Cells and what is looked up are compared trimmed, in Unicode NFC, case-sensitive.

mod table;

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

pub use table::{LoadError, Problem};
use table::{Problems, Record, Table};

/// The columns by which a row can be found, the most significant first.
pub const KEY_COLUMNS: [&str; 6] = [
    "orbit_asset_id",
    "element_id",
    "action_uuid",
    "action_name",
    "mission_name",
    "robot",
];

const ACTION_NAME: usize = 3;
const ASSET_ID: &str = "asset_id";
const PLACEHOLDER: &str = "ASSET-ID-HERE";

/// Which plant asset belongs to what Orbit says about an inspection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetMap {
    separator: u8,
    columns: Vec<Column>,
    rows: HashMap<Keys, Row>,
    filled: BTreeSet<Filled>,
}

/// What is known of an inspection when its asset is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The asset that Orbit itself has for the action.
    pub orbit_asset_id: Option<String>,
    /// The element of the site's walk that the action belongs to.
    pub element_id: Option<String>,
    /// The action's uuid.
    pub action_uuid: Option<String>,
    /// The action's name, as people gave it.
    pub action_name: Option<String>,
    /// The mission's name.
    pub mission_name: Option<String>,
    /// The robot that did it.
    pub robot: Option<String>,
}

/// The asset of one inspection, and why it is that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// The plant's own name of the asset.
    pub asset_id: String,
    /// The filled key columns of the row, joined by `+`; `orbit` when Orbit itself named the asset.
    pub matched_by: String,
    /// Every other column of the row with its text, in the order of the file.
    pub attributes: Vec<(String, String)>,
}

impl AssetMap {
    /// A map without rows: assets are then those that Orbit itself names.
    pub fn empty() -> Self {
        Self {
            separator: b',',
            columns: Vec::new(),
            rows: HashMap::new(),
            filled: BTreeSet::new(),
        }
    }

    /// Reads a CSV file with a header. Separator, quotes and line ends may be those of Excel.
    pub fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        let Table {
            separator,
            header,
            rows,
        } = Table::open(bytes, is_known)?
            .ok_or_else(|| LoadError::at(1, format!("the file is empty; {}", expected())))?;
        let mut problems = Problems::default();
        let columns = columns(&header, &mut problems);
        problems.into_result()?;

        let mut map = Self {
            separator,
            columns,
            ..Self::empty()
        };
        let mut problems = Problems::default();
        for record in rows {
            if let Err(what) = map.add(&record) {
                problems.add(record.line, what);
            }
        }
        problems.into_result()?;
        Ok(map)
    }

    /// How many rows there are; identical rows count once.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The asset of an inspection: from the most significant row whose filled keys all match, else
    /// the one that Orbit itself named, else none.
    pub fn find(&self, subject: &Subject) -> Option<Match> {
        let keys = subject.keys();
        let row = self.filled.iter().rev().find_map(|filled| {
            let keys = keys.only(*filled)?;
            let row = self.rows.get(&keys)?;
            Some(Match {
                asset_id: row.asset_id.clone(),
                matched_by: keys.matched_by(),
                attributes: self.attributes(row),
            })
        });
        row.or_else(|| {
            let asset_id = subject.orbit_asset_id.as_deref()?.trim();
            (!asset_id.is_empty()).then(|| Match {
                asset_id: asset_id.to_owned(),
                matched_by: "orbit".to_owned(),
                attributes: Vec::new(),
            })
        })
    }

    /// What to paste into the file so that `subject` is found: a line that fits its header, or,
    /// for an empty map, a header and a line. A name may hold line ends of its own, in quotes.
    ///
    /// When the file has no key column that `subject` could fill, the line is without a key.
    pub fn suggestion(&self, subject: &Subject) -> String {
        let keys = subject.keys();
        if self.columns.is_empty() {
            let header = table::line(self.separator, [KEY_COLUMNS[ACTION_NAME], ASSET_ID]);
            let name = table::line(self.separator, [keys.text(ACTION_NAME), PLACEHOLDER]);
            return format!("{header}\n{name}");
        }
        let usable =
            |key: &usize| self.columns.contains(&Column::Key(*key)) && !keys.text(*key).is_empty();
        let chosen = std::iter::once(ACTION_NAME)
            .chain(0..KEY_COLUMNS.len())
            .find(usable);
        let cells = self.columns.iter().map(|column| match column {
            Column::Asset => PLACEHOLDER,
            Column::Key(key) if Some(*key) == chosen => keys.text(*key),
            _ => "",
        });
        table::line(self.separator, cells)
    }

    /// Takes one row in, or says why not.
    fn add(&mut self, record: &Record) -> Result<(), String> {
        let (cells, columns) = (record.cells.len(), self.columns.len());
        if cells != columns {
            return Err(format!(
                "{cells} cells where the header has {columns}; quote a cell that holds the separator"
            ));
        }
        let mut keys = Keys::default();
        let mut row = Row {
            line: record.line,
            asset_id: String::new(),
            attributes: Vec::new(),
        };
        for (column, cell) in self.columns.iter().zip(&record.cells) {
            let cell = cell.clone();
            match column {
                Column::Asset => row.asset_id = cell,
                Column::Key(key) => {
                    if let Some(slot) = keys.0.get_mut(*key) {
                        *slot = cell;
                    }
                }
                Column::Attribute(_) => row.attributes.push(cell),
                Column::Nameless if cell.is_empty() => {}
                Column::Nameless => {
                    return Err("a cell is filled whose column has no name in the header".into());
                }
            }
        }
        if row.asset_id.is_empty() {
            return Err("asset_id is empty".to_owned());
        }
        let filled = keys.filled();
        if filled == Filled::NONE {
            let columns = self.key_columns().join(", ");
            return Err(format!("no key is filled; fill at least one of {columns}"));
        }
        let columns = keys.matched_by();
        match self.rows.entry(keys) {
            Entry::Vacant(entry) => {
                entry.insert(row);
                self.filled.insert(filled);
                Ok(())
            }
            Entry::Occupied(entry) => {
                let first = entry.get();
                let difference = if first.asset_id != row.asset_id {
                    "another asset_id"
                } else if first.attributes != row.attributes {
                    "other attributes"
                } else {
                    return Ok(());
                };
                Err(format!(
                    "the same keys ({columns}) as line {}, but {difference}; keep one of the two",
                    first.line
                ))
            }
        }
    }

    fn key_columns(&self) -> Vec<&'static str> {
        (0..)
            .zip(KEY_COLUMNS)
            .filter(|(key, _)| self.columns.contains(&Column::Key(*key)))
            .map(|(_, name)| name)
            .collect()
    }

    fn attributes(&self, row: &Row) -> Vec<(String, String)> {
        let names = self.columns.iter().filter_map(|column| match column {
            Column::Attribute(name) => Some(name.clone()),
            _ => None,
        });
        names.zip(row.attributes.iter().cloned()).collect()
    }
}

impl Subject {
    fn keys(&self) -> Keys {
        let fields = [
            &self.orbit_asset_id,
            &self.element_id,
            &self.action_uuid,
            &self.action_name,
            &self.mission_name,
            &self.robot,
        ];
        Keys(fields.map(|field| field.as_deref().map(table::normal).unwrap_or_default()))
    }
}

/// What a column of the file is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Column {
    /// Its place in [`KEY_COLUMNS`].
    Key(usize),
    Asset,
    Attribute(String),
    /// A spreadsheet's leftover: no name, and nothing may stand in it.
    Nameless,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Row {
    line: usize,
    asset_id: String,
    attributes: Vec<String>,
}

/// The text of each key column, in the order of [`KEY_COLUMNS`]; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Keys([String; 6]);

/// Which keys are filled, one bit each; the greater number is the more significant set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Filled(u8);

impl Filled {
    const NONE: Self = Self(0);
}

impl Keys {
    fn filled(&self) -> Filled {
        let Self(keys) = self;
        Filled(
            keys.iter()
                .fold(0, |bits, key| bits << 1 | u8::from(!key.is_empty())),
        )
    }

    /// Just the keys of `filled`, if each of them is filled here.
    fn only(&self, filled: Filled) -> Option<Self> {
        let Filled(bits) = filled;
        let mut keys = self.clone();
        for (place, key) in keys.0.iter_mut().rev().enumerate() {
            if bits >> place & 1 == 0 {
                key.clear();
            }
        }
        // Without this a set that is filled in part would pass for the smaller set, out of turn.
        (keys.filled() == filled).then_some(keys)
    }

    fn text(&self, key: usize) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    fn matched_by(&self) -> String {
        let names: Vec<&str> = KEY_COLUMNS
            .into_iter()
            .zip(&self.0)
            .filter(|(_, key)| !key.is_empty())
            .map(|(name, _)| name)
            .collect();
        names.join("+")
    }
}

fn is_known(name: &str) -> bool {
    let name = name.to_lowercase();
    name == ASSET_ID || KEY_COLUMNS.contains(&name.as_str())
}

fn expected() -> String {
    format!(
        "expected a header line with {ASSET_ID} and at least one of {}, separated by comma, semicolon or tab",
        KEY_COLUMNS.join(", ")
    )
}

fn columns(header: &Record, problems: &mut Problems) -> Vec<Column> {
    let mut seen = BTreeSet::new();
    let mut columns = Vec::new();
    for name in &header.cells {
        let lower = name.to_lowercase();
        columns.push(match KEY_COLUMNS.iter().position(|key| *key == lower) {
            Some(key) => Column::Key(key),
            None if lower == ASSET_ID => Column::Asset,
            None if lower.is_empty() => Column::Nameless,
            None => Column::Attribute(name.clone()),
        });
        if !lower.is_empty() && !seen.insert(lower) {
            let name: String = name.chars().take(60).collect();
            problems.add(header.line, format!("two columns are called {name:?}"));
        }
    }
    if !columns.contains(&Column::Asset) {
        let what = format!("there is no column {ASSET_ID}; {}", expected());
        problems.add(header.line, what);
    } else if !columns
        .iter()
        .any(|column| matches!(column, Column::Key(_)))
    {
        let what = format!("there is no key column; {}", expected());
        problems.add(header.line, what);
    }
    columns
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        }
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
        assert_eq!(
            asset(&parse(&suggestion), &action("a, b")).unwrap(),
            "ASSET-ID-HERE"
        );
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
        fn a_pasted_suggestion_is_found(name in "\\PC*[a-z\"\n\r,;]{1,3}", separator in "[,;\t]") {
            prop_assume!(!name.trim().is_empty());
            let header = format!("unit{separator}action_name{separator}asset_id\n");
            let with_row = format!("{header}u{separator}\u{1}{separator}P1\n");
            let line = parse(&with_row).suggestion(&action(&name));
            let map = parse(&format!("{header}{line}\n"));
            prop_assert_eq!(asset(&map, &action(&name)).unwrap(), "ASSET-ID-HERE");
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
}
