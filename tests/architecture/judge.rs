//! What is wrong in a tree of source files, by the rules that `architecture.rs` lists.
//!
//! # Invariants
//! - What is found names the file, the line and what to do.

use std::collections::HashSet;

use super::source::Source;
use super::{HOMES, LAYERS, MAPS, MOST_CODE_LINES, NEIGHBOURS, REFUSED_NAMES, TASKS, THREADS};

/// What is wrong in these files, each as `file:line: what; what to do`.
pub(crate) fn violations(files: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    let mut homeless = HashSet::new();
    for (path, text) in files {
        let mut say = |line: usize, what: &str| found.push(format!("{path}:{line}: {what}"));
        if !text.starts_with("//!") {
            say(
                1,
                "no header; open with `//!`: what the file is for, and its invariants",
            );
        }
        let module = module_of(path);
        let mut source = match Source::read(text, module.clone()) {
            Ok(source) => source,
            Err(error) => {
                say(
                    1,
                    &format!("cannot be cut into tokens ({error}); make it compile"),
                );
                continue;
            }
        };
        // By convention these are what `#[cfg(test)] mod tests;` declares.
        if path.ends_with("/tests.rs") || path.contains("/tests/") {
            source
                .paths
                .iter_mut()
                .for_each(|named| named.in_test = true);
        }
        let lines = source.code_lines.len();
        if lines > MOST_CODE_LINES {
            say(
                1,
                &format!("{lines} lines of code, {MOST_CODE_LINES} are allowed; split it"),
            );
        }
        let own_name = module.last().map(|name| (name.clone(), 1));
        for (name, line) in own_name.iter().chain(&source.inline_modules) {
            if REFUSED_NAMES.contains(&name.as_str()) {
                say(
                    *line,
                    &format!("a module called `{name}`; call it what it is about"),
                );
            }
        }
        let layered: Vec<String> = match &*module {
            [relay, part, ..] if relay == "relay" => vec![relay.clone(), part.clone()],
            _ => module.iter().take(1).cloned().collect(),
        };
        if MAPS.contains(path) {
            if let Some(line) = source.more_than_a_map {
                say(
                    line,
                    "this file only declares modules; move what is here into one of them",
                );
            }
        } else if module == ["error"] {
            say(
                1,
                "errors of the whole crate; let each module own the errors of its operations",
            );
        } else if let Some(place) = place_of(&layered) {
            judge(&source, place, &mut say);
        } else if homeless.insert(layered.clone()) {
            let name = layered.join("::");
            say(
                1,
                &format!("`{name}` is in no layer; give it a level in LAYERS and in the design"),
            );
        }
    }
    found
}

/// `src/relay/journal/mod.rs` holds `relay::journal`.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_prefix("src/").unwrap_or(path);
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let path = path.strip_suffix("/mod").unwrap_or(path);
    let parts = path.split('/').filter(|part| *part != "lib");
    parts.map(str::to_owned).collect()
}

/// The part of the layers that a module belongs to.
fn place_of(module: &[String]) -> Option<&'static str> {
    let name = match module {
        [relay, part, ..] if relay == "relay" => format!("relay::{part}"),
        [part, ..] => part.clone(),
        [] => return None,
    };
    let mut places = LAYERS.iter().copied().flatten().copied();
    places.find(|place| *place == name)
}

/// The greater, the higher.
fn level_of(place: &str) -> usize {
    let from_top = LAYERS.iter().position(|layer| layer.contains(&place));
    LAYERS.len() - from_top.unwrap_or(LAYERS.len())
}

/// Why `from` may not import `to`.
fn refused_import(from: &str, to: &str) -> Option<String> {
    let (level, other) = (level_of(from), level_of(to));
    if from == to || other < level || NEIGHBOURS.contains(&(from, to)) {
        None
    } else if other == level {
        Some(format!(
            "`{from}` imports its neighbour `{to}` (both level {level}); \
             let the two meet in a level above or below"
        ))
    } else {
        Some(format!(
            "`{from}` (level {level}) imports `{to}` above it (level {other}); \
             move what both need down, or let the upper one call"
        ))
    }
}

/// Where a path that makes tasks or threads may stand, and what it makes.
fn spawning_home(path: &[String]) -> Option<(&'static str, &'static [&'static str])> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    let in_task = |name: &str| {
        name.starts_with("spawn") || ["JoinSet", "LocalSet", "Builder", "*"].contains(&name)
    };
    match &*path {
        ["tokio", "spawn" | "*", ..] | ["tokio", "runtime", "Handle", ..] | ["JoinSet", ..] => {
            Some(("a task", TASKS))
        }
        ["tokio", "task", name, ..] if in_task(name) => Some(("a task", TASKS)),
        ["task", name, ..] if name.starts_with("spawn") => Some(("a task", TASKS)),
        ["std", "thread", "spawn" | "scope" | "Builder" | "*", ..] => Some(("a thread", THREADS)),
        _ => None,
    }
}

/// Says each breach of one kind once, where it first stands.
fn judge(source: &Source, place: &'static str, say: &mut dyn FnMut(usize, &str)) {
    let mut said = HashSet::new();
    let mut once = |line: usize, what: String| {
        if said.insert(what.clone()) {
            say(line, &what);
        }
    };
    for named in &source.paths {
        let path = source.resolved(named);
        let first = path.first().map_or("", String::as_str);
        if first == "crate" {
            let inner = path.get(1..).unwrap_or_default();
            match place_of(inner) {
                Some(to) => {
                    if let Some(what) = refused_import(place, to) {
                        once(named.line, what);
                    }
                }
                // The map itself, of which a part is named later.
                None if inner == ["relay"] => {}
                None => {
                    let path = path.join("::");
                    once(
                        named.line,
                        format!("`{path}` is in no layer; name the module that owns it"),
                    );
                }
            }
            continue;
        }
        if let Some((_, homes)) = HOMES.iter().find(|(name, _)| *name == first)
            && !homes.contains(&place)
        {
            let homes = homes.join(", ");
            once(
                named.line,
                format!("`{first}` is at home in {homes} only; let that do it"),
            );
        }
        if let Some((what, homes)) = spawning_home(&path)
            && !named.in_test
            && !homes.contains(&place)
        {
            let (path, homes) = (path.join("::"), homes.join(", "));
            once(
                named.line,
                format!("`{path}`: only {homes} may start {what}; hand it over to one that may"),
            );
        }
    }
}
