//! Holds what good intention does not: layers, homes of outside crates, headers, file size.
//!
//! # Invariants
//! - The tree in `src/` breaks no rule, and a planted breach of each kind is found.
//!
//! # Not here
//! - Methods that spawn (`handle.spawn(…)`): the type that has them must be named somewhere, and
//!   that is found.
//! - What a module re-exports under its own path.

#[path = "architecture/judge.rs"]
mod judge;
#[path = "architecture/source.rs"]
mod source;

use std::path::Path;

use judge::violations;

/// The layers, the highest first. Imports go down, may skip, never go sideways or up.
const LAYERS: [&[&str]; 10] = [
    &["main"],
    &["cli"],
    &["page"],
    &["app", "package"],
    &["config"],
    &["ops", "sim"],
    &["relay::receive", "relay::deliver", "reconcile"],
    &[
        "relay::journal",
        "relay::enrich",
        "relay::destination",
        "orbit",
    ],
    &["relay::verify", "relay::assets", "relay::transform", "own"],
    &[
        "event", "clock", "secret", "metrics", "retry", "http", "table",
    ],
];

/// Who may use a neighbour of the same layer: from, to.
const NEIGHBOURS: [(&str, &str); 1] = [("relay::enrich", "orbit")];

/// Where each outside crate may be named. A crate that is not listed may be named anywhere.
const HOMES: [(&str, &[&str]); 30] = [
    ("rusqlite", &["relay::journal"]),
    ("maud", &["page"]),
    ("argon2", &["page"]),
    ("governor", &["relay::receive"]),
    ("ipnet", &["relay::receive", "config", "app", "page"]),
    ("wildmatch", &["event"]),
    ("axum", &["relay::receive", "ops", "app", "page", "sim"]),
    ("hyper", &["relay::receive", "ops", "app", "sim"]),
    ("hyper_util", &["relay::receive", "ops", "app", "sim"]),
    ("reqwest", &["http", "relay::destination", "orbit", "sim"]),
    ("clap", &["cli", "main"]),
    ("anyhow", &["app", "cli", "main"]),
    ("rcgen", &["sim"]),
    ("ryu_js", &["sim"]),
    ("tokio_rustls", &["http", "relay::receive", "sim"]),
    ("rumqttc", &["relay::destination"]),
    ("rustls", &["http", "sim"]),
    ("prometheus", &["metrics", "ops"]),
    ("csv", &["relay::assets"]),
    ("minijinja", &["relay::transform"]),
    ("toml", &["config"]),
    ("strsim", &["config", "cli"]),
    ("sha1", &["relay::destination", "relay::verify"]),
    ("rustix", &["relay::journal"]),
    ("dotenvy", &["config"]),
    ("secrecy", &["secret"]),
    ("mimalloc", &["main"]),
    ("tar", &["package"]),
    ("flate2", &["package", "page"]),
    ("saphyr_parser", &["package"]),
];

const TASKS: &[&str] = &["app", "page", "relay::receive", "relay::deliver", "sim"];
const THREADS: &[&str] = &["relay::journal"];

/// Files that only declare modules.
const MAPS: [&str; 2] = ["src/lib.rs", "src/relay/mod.rs"];
const REFUSED_NAMES: [&str; 5] = ["util", "utils", "common", "helper", "helpers"];
const MOST_CODE_LINES: usize = 600;

fn read_tree(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            read_tree(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("the file is UTF-8");
            let path = path.strip_prefix(root).expect("it lies under the root");
            files.push((path.to_string_lossy().replace('\\', "/"), text));
        }
    }
}

#[test]
fn the_tree_breaks_no_rule() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    read_tree(root, &root.join("src"), &mut files);
    files.sort();
    assert!(files.len() > 5, "only {} files were found", files.len());
    let files: Vec<(&str, &str)> = files.iter().map(|(p, t)| (&**p, &**t)).collect();
    let found = violations(&files);
    assert!(found.is_empty(), "\n\n{}\n", found.join("\n"));
}

/// Plants one line below a header; nothing but `message` at that line may be found.
#[track_caller]
fn planted(path: &str, code: &str, message: &str) {
    let found = violations(&[(path, &format!("//! A header.\n\n{code}\n"))]);
    let start = format!("{path}:3: ");
    assert!(
        matches!(&*found, [one] if one.starts_with(&start) && one.contains(message)),
        "expected `{start}…{message}…`, found {found:#?}"
    );
}

#[track_caller]
fn allowed(path: &str, code: &str) {
    let found = violations(&[(path, &format!("//! A header.\n\n{code}\n"))]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn an_upward_import_is_found() {
    let message = "`relay::verify` (level 2) imports `app` above it (level 7)";
    planted("src/relay/verify/mod.rs", "use crate::app::App;", message);
    planted("src/relay/verify/orbit.rs", "use crate::app;", message);
    planted(
        "src/event.rs",
        "use crate::relay::journal;",
        "imports `relay::journal` above it",
    );
    allowed(
        "src/app/mod.rs",
        "use crate::relay::verify; use crate::event::Event;",
    );
}

#[test]
fn a_sideways_import_is_found() {
    let message = "imports its neighbour `relay::deliver` (both level 4)";
    planted(
        "src/relay/receive.rs",
        "use crate::relay::deliver::wake;",
        message,
    );
    planted(
        "src/clock.rs",
        "use crate::retry::Schedule;",
        "its neighbour `retry`",
    );
}

#[test]
fn only_enrich_may_use_its_neighbour_orbit() {
    allowed("src/relay/enrich.rs", "use crate::orbit::Client;");
    planted(
        "src/orbit/client.rs",
        "use crate::relay::enrich;",
        "its neighbour `relay::enrich`",
    );
    planted(
        "src/relay/journal/mod.rs",
        "use crate::orbit;",
        "its neighbour `orbit`",
    );
}

#[test]
fn an_import_inside_groups_is_found() {
    let code = "pub(crate) use crate::{event, relay::{verify, deliver::{self, circuit}}};";
    planted(
        "src/relay/receive.rs",
        code,
        "its neighbour `relay::deliver`",
    );
}

#[test]
fn a_path_inside_a_macro_call_is_found() {
    let code = "fn f() { assert!(vec![1].iter().all(|n| *n < crate::app::limit())); }";
    planted("src/relay/receive.rs", code, "imports `app` above it");
    let code = "macro_rules! m { () => { $crate::app::run() }; }";
    planted("src/relay/receive.rs", code, "imports `app` above it");
}

#[test]
fn an_import_by_super_is_found() {
    let message = "its neighbour `relay::deliver`";
    planted("src/relay/receive.rs", "use super::deliver;", message);
    planted(
        "src/relay/receive.rs",
        "mod m { use super::super::deliver; }",
        message,
    );
    planted(
        "src/relay/receive/limits.rs",
        "fn f() { super::super::deliver::wake() }",
        message,
    );
    allowed(
        "src/relay/receive/limits.rs",
        "use super::*; use self::super::Config;",
    );
}

#[test]
fn an_import_by_another_name_is_found() {
    let code = "use crate::relay as r; fn f() { r::deliver::wake() }";
    planted(
        "src/relay/receive.rs",
        code,
        "its neighbour `relay::deliver`",
    );
    let code = "use crate::relay; fn f() { relay::deliver::wake() }";
    planted(
        "src/relay/receive.rs",
        code,
        "its neighbour `relay::deliver`",
    );
}

#[test]
fn what_no_layer_owns_cannot_be_imported() {
    for code in [
        "use crate::*;",
        "use crate::Thing;",
        "use crate::relay::*;",
        "use super::*;",
    ] {
        planted(
            "src/relay/receive.rs",
            code,
            "is in no layer; name the module",
        );
    }
}

#[test]
fn main_is_held_too_and_reaches_the_library_by_its_name() {
    allowed("src/main.rs", "fn main() { orbit_relay::cli::run() }");
    planted("src/main.rs", "use orbit_relay::utils;", "is in no layer");
    planted(
        "src/main.rs",
        "use orbit_relay::{cli, nowhere::x};",
        "`crate::nowhere::x`",
    );
    planted(
        "src/cli/mod.rs",
        "fn f() { orbit_relay::main::x() }",
        "imports `main` above it",
    );
    planted(
        "src/main.rs",
        "fn f() { reqwest::get() }",
        "`reqwest` is at home in http",
    );
}

#[test]
fn a_crate_outside_its_home_is_found() {
    for code in [
        "use rusqlite::Connection;",
        "use ::rusqlite as db;",
        "use {std::fmt, rusqlite::{self, Row}};",
        "extern crate rusqlite;",
        "fn f(row: &rusqlite::Row) {}",
        "fn f() -> ::rusqlite::Row { return ::rusqlite::Row }",
        "#[derive(rusqlite::Row)] struct S;",
        "fn f() { println!(\"{}\", rusqlite::version()) }",
        "#[cfg(test)] mod tests { use rusqlite::Row; }",
    ] {
        planted(
            "src/relay/deliver/mod.rs",
            code,
            "`rusqlite` is at home in relay::journal only",
        );
        allowed("src/relay/journal/sqlite.rs", code);
    }
    planted(
        "src/app/mod.rs",
        "use clap::Parser;",
        "`clap` is at home in cli, main only",
    );
}

#[test]
fn a_word_in_a_comment_or_string_or_name_is_no_import() {
    for code in [
        "/// See [crate::app::App] and rusqlite::Row.",
        "// use crate::app;",
        "const S: &str = \"crate::app::App\";",
        "fn f() { x.csv::<u8>(); Kind::csv::y(); let csv = 1; let _: Vec<u8>; <T as K>::csv::x() }",
        "mod csv; use csv::Row;",
        "fn f() -> impl Iterator + use<'static> { a }",
        "pub(crate) fn f() {} pub(in crate::relay) fn g() {}",
    ] {
        let code = format!("{code}\nfn end() {{}}");
        allowed("src/relay/deliver/mod.rs", &code);
    }
}

#[test]
fn spawning_a_task_outside_its_home_is_found() {
    for code in [
        "fn f() { tokio::spawn(g()); }",
        "use tokio::spawn;",
        "use tokio::{sync::mpsc, task::JoinSet};",
        "fn f() { let tasks = tokio::task::JoinSet::<()>::new(); }",
        "use tokio::task; fn f() { task::spawn_blocking(g); }",
        "use tokio as t; fn f() { t::task::spawn_local(g); }",
        "use tokio::task::*;",
    ] {
        planted("src/orbit/client.rs", code, "may start a task");
        allowed("src/relay/deliver/mod.rs", code);
    }
    allowed("src/orbit/client.rs", "use tokio::task::JoinHandle;");
}

#[test]
fn spawning_a_thread_outside_its_home_is_found() {
    for code in [
        "fn f() { std::thread::spawn(g); }",
        "use std::{fmt, thread}; fn f() { thread::Builder::new() }",
        "fn f() { ::std::thread::scope(g); }",
    ] {
        planted(
            "src/app/mod.rs",
            code,
            "only relay::journal may start a thread",
        );
        allowed("src/relay/journal/sqlite.rs", code);
    }
}

#[test]
fn tests_may_spawn_but_nothing_else() {
    let tests = "#[cfg(test)]\nmod tests { fn f() { tokio::spawn(g()); std::thread::spawn(h); } }";
    allowed("src/clock.rs", tests);
    allowed("src/clock.rs", "#[cfg(test)] use tokio::spawn; fn f() {}");
    for path in ["tests.rs", "tests/mod.rs", "tests/trouble.rs"] {
        let path = format!("src/relay/journal/{path}");
        allowed(&path, "fn f() { tokio::spawn(g()); }");
    }
    let code = "#[cfg(test)] mod tests { fn f() {} } fn f() { tokio::spawn(g()); }";
    planted("src/clock.rs", code, "may start a task");
    for condition in ["not(test)", "any(test, unix)", "feature = \"test\""] {
        let code = format!("#[cfg({condition})] fn f() {{ tokio::spawn(g()); }}");
        planted("src/clock.rs", &code, "may start a task");
    }
    let code = "#[cfg(test)] mod tests { use crate::app::App; }";
    planted("src/clock.rs", code, "imports `app` above it");
}

#[test]
fn a_missing_header_is_found() {
    let found = violations(&[("src/clock.rs", "// A comment.\nfn f() {}\n")]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("src/clock.rs:1: no header"),
        "{found:?}"
    );
}

#[test]
fn a_file_over_600_lines_of_code_is_found() {
    let tests = format!(
        "#[cfg(test)]\nmod tests {{\n{}}}\n",
        "fn t() {}\n".repeat(900)
    );
    let with = |functions: usize| {
        let function =
            "/// Text.\nfn f() {\n    // Text.\n\n    /* one */\n    /* two\n*/ g();\n}\n";
        format!("//! A header.\n{}{tests}", function.repeat(functions))
    };
    assert_eq!(violations(&[("src/clock.rs", &with(200))]), [""; 0]);
    let found = violations(&[("src/clock.rs", &with(201))]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].contains("603 lines of code, 600 are allowed"),
        "{found:?}"
    );
    let text = format!(
        "//! A header.\nconst S: &str = \"{}\";\n",
        "\n// text".repeat(600)
    );
    assert_eq!(violations(&[("src/clock.rs", &text)]).len(), 1);
}

#[test]
fn a_module_without_a_level_is_found() {
    for (path, name) in [
        ("src/extra.rs", "`extra`"),
        ("src/extra/deep/mod.rs", "`extra`"),
        ("src/relay/extra.rs", "`relay::extra`"),
        ("src/relay/extra/mod.rs", "`relay::extra`"),
    ] {
        let found = violations(&[(path, "//! A header.\n")]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("give it a level") && found[0].contains(name),
            "{found:?}"
        );
    }
    let two = [
        ("src/x/mod.rs", "//! A header.\n"),
        ("src/x/y.rs", "//! A header.\n"),
    ];
    assert_eq!(violations(&two).len(), 1);
}

#[test]
fn a_module_that_is_called_after_nothing_is_found() {
    for path in [
        "src/app/utils.rs",
        "src/app/common/mod.rs",
        "src/sim/helpers.rs",
    ] {
        let found = violations(&[(path, "//! A header.\n")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("call it what it is about"), "{found:?}");
    }
    planted(
        "src/app/mod.rs",
        "mod helpers { }",
        "a module called `helpers`",
    );
    let found = violations(&[("src/error.rs", "//! A header.\n")]);
    assert!(found[0].contains("errors of the whole crate"), "{found:?}");
    allowed("src/relay/journal/error.rs", "pub enum AppendError {}");
}

#[test]
fn a_map_that_holds_more_than_modules_is_found() {
    for path in MAPS {
        allowed(
            path,
            "#[cfg(feature = \"sim\")]\npub mod sim;\n/// Text.\nmod x;",
        );
        for code in [
            "use crate::app;",
            "pub fn f() {}",
            "mod x { }",
            "pub use x::Y;",
            "m!{}",
        ] {
            planted(path, code, "only declares modules");
        }
    }
}
