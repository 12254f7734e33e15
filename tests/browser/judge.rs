//! What others find wrong with a page: axe-core in the browser, html-validate on what the server
//! sent. Both come from npm: `npm ci --prefix tests/browser`.
//!
//! # Invariants
//! - A rule that is not applied stands in `htmlvalidate.cjs` with its reason.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::driver::Browser;

/// WCAG 2.2 at level AA, what it builds on, and what the authors of axe advise besides.
const RULES: [&str; 7] = [
    "wcag2a",
    "wcag2aa",
    "wcag21a",
    "wcag21aa",
    "wcag22a",
    "wcag22aa",
    "best-practice",
];

/// Something that shuts people out.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Violation {
    /// The name of axe's rule.
    #[serde(rename = "id")]
    pub(crate) rule: String,
    help: String,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    html: String,
    #[serde(default)]
    failure_summary: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.rule, self.help)?;
        for node in &self.nodes {
            let why = node.failure_summary.replace('\n', "\n    ");
            writeln!(f, "  {}\n    {why}", node.html)?;
        }
        Ok(())
    }
}

/// What axe finds in the page, or in the frame that was entered. Frames in it are not looked into.
pub(crate) async fn axe(browser: &Browser) -> Vec<Violation> {
    let axe = std::fs::read_to_string(node_modules().join("axe-core/axe.min.js"));
    let axe = axe.unwrap_or_else(|e| panic!("axe-core: {e}: npm ci --prefix tests/browser"));
    browser.run(&axe, json!([])).await;
    let look = "const [rules, done] = arguments; \
                axe.run(document, {runOnly: {type: 'tag', values: rules}, iframes: false, \
                resultTypes: ['violations']}) \
                .then(found => done(found.violations), error => done(String(error)))";
    let found = browser.run_async(look, json!([RULES])).await;
    serde_json::from_value(found.clone()).unwrap_or_else(|e| panic!("{e}: {found}"))
}

/// Fails with all that axe finds, if it finds anything.
pub(crate) async fn is_accessible(browser: &Browser, name: &str) {
    let found = axe(browser).await;
    let found: String = found.iter().map(ToString::to_string).collect();
    assert!(found.is_empty(), "{name}:\n{found}");
}

/// Something in a page that is no HTML, or bad HTML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    /// The page's name.
    pub(crate) page: String,
    pub(crate) line: u64,
    pub(crate) rule: String,
    pub(crate) text: String,
}

/// What html-validate finds in pages as the server sent them, each with a name; all in one run.
pub(crate) fn mistakes(pages: &[(&str, &str)]) -> Vec<Mistake> {
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("node");
    command
        .arg(node_modules().join("html-validate/bin/html-validate.mjs"))
        .args(["--formatter", "json", "--config"])
        .arg(here().join("htmlvalidate.cjs"))
        .current_dir(dir.path())
        .stderr(Stdio::inherit());
    for (place, (_, html)) in pages.iter().enumerate() {
        let file = format!("{place}.html");
        std::fs::write(dir.path().join(&file), html).unwrap();
        command.arg(file);
    }
    let output = command.output().expect("node is there");
    let found: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("html-validate: {e}: npm ci --prefix tests/browser"));
    let of_file = |file: &Value| {
        let path = Path::new(file["filePath"].as_str().unwrap());
        let place: usize = path.file_stem()?.to_str()?.parse().ok()?;
        let of_message = |message: &Value| Mistake {
            page: pages[place].0.to_owned(),
            line: message["line"].as_u64().unwrap_or_default(),
            rule: message["ruleId"].as_str().unwrap_or_default().to_owned(),
            text: message["message"].as_str().unwrap_or_default().to_owned(),
        };
        let messages = file["messages"].as_array()?.iter();
        Some(messages.map(of_message).collect::<Vec<_>>())
    };
    found.iter().filter_map(of_file).flatten().collect()
}

/// Fails with all that html-validate finds, if it finds anything.
pub(crate) fn valid_html(pages: &[(&str, &str)]) {
    let found = mistakes(pages);
    assert!(found.is_empty(), "{found:#?}");
}

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

fn node_modules() -> PathBuf {
    here().join("node_modules")
}
