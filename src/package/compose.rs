//! The package's compose file: what Orbit starts.
//!
//! # Invariants
//! - Pure: rows are made of what was read.
//! - What this does not follow (`$`, long forms of ports and volumes) is never called good.
//! - No value of a variable is in a row.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::archive;
use super::contents::{COMPOSE, Contents};
use super::leaks;
use super::plant::told;
use super::yaml::{self, Node};
use crate::table::Row;

/// More services, or ports of one, than this are not looked at.
const MOST: usize = 20;
/// Where Orbit's hosts let others in; they use two of these themselves.
const WEBHOOK: RangeInclusive<u16> = 21000..=22000;
const TAKEN: [u16; 2] = [21001, 21443];
/// What Orbit shows to people, behind its own HTTPS.
const WEB_VIEW: RangeInclusive<u16> = 22101..=22200;

/// Rows for the file, for secrets in it, and for each of its services.
pub(super) fn rows(contents: &Contents) -> Vec<Row> {
    let bad = |what: String, advice: &str| vec![Row::bad(COMPOSE, what, advice)];
    let text = match contents.texts.get(COMPOSE) {
        None if contents.is_static() => {
            return vec![Row::unknown(COMPOSE, "none: the package has settings only")];
        }
        None => {
            let advice = "pack it under this name; without it nothing is started";
            return bad("is not there".to_owned(), advice);
        }
        Some(text) => text,
    };
    let tree = std::str::from_utf8(text)
        .map_err(|_| "is not UTF-8".to_owned())
        .and_then(|text| yaml::read(text).map_err(|error| format!("cannot be read: {error}")));
    let tree = match tree {
        Ok(tree) => tree,
        Err(what) => return bad(what, "mend that line"),
    };
    let services = tree.get("services").map(Node::entries).unwrap_or_default();
    if services.is_empty() || services.len() > MOST {
        let what = format!("has {} services, 1 to {MOST} are read", services.len());
        return bad(what, "write them below `services:`");
    }
    let names: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
    let names = archive::shown(names.join(", ").as_bytes());
    let mut rows = vec![
        Row::good(COMPOSE, format!("can be read; services: {names}")),
        secrets(&tree),
    ];
    rows.extend(services.iter().map(|(name, node)| {
        let mut seen = Seen::default();
        seen.image(node, contents);
        seen.network(node);
        seen.ports(node);
        seen.volumes(node, &tree);
        seen.limits(node);
        seen.row(name)
    }));
    rows
}

/// What was seen of one service.
#[derive(Default)]
struct Seen {
    good: Vec<String>,
    wrong: Vec<String>,
    /// What cannot be judged from here.
    open: Vec<String>,
}

impl Seen {
    fn row(self, service: &str) -> Row {
        let name = format!("service {}", archive::shown(service.as_bytes()));
        if !self.wrong.is_empty() {
            let advice = "write it as extension/docker-compose.yml of the relay has it";
            Row::bad(name, told(&self.wrong), advice)
        } else if !self.open.is_empty() {
            Row::unknown(name, format!("cannot be judged: {}", told(&self.open)))
        } else {
            Row::good(name, self.good.join("; "))
        }
    }

    /// The text below these keys; nothing if there is none, or if it cannot be judged.
    fn text<'n>(&mut self, node: &'n Node, keys: &[&str]) -> Option<&'n str> {
        let text = node.at(keys)?.text()?;
        if text.contains('$') {
            self.open.push(format!("{} has a `$`", keys.join(".")));
            return None;
        }
        Some(text)
    }

    fn image(&mut self, node: &Node, contents: &Contents) {
        let Some(name) = node.get("image").and_then(Node::text) else {
            let why = "no image is named; nothing can be built on a Site Hub";
            return self.wrong.push(why.to_owned());
        };
        let latest = format!("{name}:latest");
        let archives = contents.images.values().flatten();
        let mut tags = archives
            .flat_map(|archive| &archive.images)
            .flat_map(|image| &image.tags);
        let shown = archive::shown(name.as_bytes());
        if tags.any(|tag| *tag == name || *tag == latest) {
            self.good.push(shown);
        } else if name.contains('$') {
            self.open.push("image has a `$`".to_owned());
        } else {
            self.wrong
                .push(format!("{shown} is in no image archive of the package"));
        }
    }

    fn network(&mut self, node: &Node) {
        match self.text(node, &["network_mode"]) {
            Some("host") => self.wrong.push(
                "the network is the host's, so that every port of the container is open".to_owned(),
            ),
            Some(mode) => self.good.push(archive::shown(mode.as_bytes())),
            None => {}
        }
    }

    fn ports(&mut self, node: &Node) {
        let ports = node.get("ports").map(Node::items).unwrap_or_default();
        if ports.is_empty() || ports.len() > MOST {
            let ports = ports.len();
            let why = format!("{ports} ports are published; Orbit calls one of them");
            self.open.push(why);
        }
        for port in ports.iter().take(MOST) {
            match port.text().filter(|text| !text.contains(['$', '-'])) {
                Some(text) => self.port(text),
                None => self
                    .open
                    .push("a port that is not written as \"21600:21600\"".to_owned()),
            }
        }
    }

    /// `[ADDRESS:]PORT:TARGET[/PROTOCOL]`.
    fn port(&mut self, text: &str) {
        let shown = archive::shown(text.as_bytes());
        let bare = text.split('/').next().unwrap_or_default();
        let published = bare.rsplit_once(':').map_or("", |(rest, _)| rest);
        let (on, port) = published.rsplit_once(':').unwrap_or(("", published));
        let wrong = match port.parse::<u16>() {
            Err(_) => "names no port of the host, so that it is another at each start",
            Ok(port) if WEB_VIEW.contains(&port) && on != "127.0.0.1" => {
                "is a web view around Orbit's HTTPS; publish it on 127.0.0.1 only"
            }
            Ok(port) if TAKEN.contains(&port) => "takes a port that is Orbit's own",
            Ok(port) if !WEB_VIEW.contains(&port) && !WEBHOOK.contains(&port) => {
                "is blocked by Orbit's hosts; take one of 21000-22000 for the webhook, of \
                 22101-22200 for a web view"
            }
            Ok(_) => return self.good.push(format!("port {shown}")),
        };
        self.wrong.push(format!("port {shown} {wrong}"));
    }

    /// An upgrade removes the extension with its folder; named volumes outlive it.
    fn volumes(&mut self, node: &Node, tree: &Node) {
        let declared = tree.get("volumes").map(Node::entries).unwrap_or_default();
        let mut kept = false;
        for volume in node.get("volumes").map(Node::items).unwrap_or_default() {
            let Some(text) = volume.text().filter(|text| !text.contains('$')) else {
                let why = "a volume that is not written as \"data:/data\"";
                self.open.push(why.to_owned());
                continue;
            };
            let mut parts = text.split(':');
            let from = parts.next().unwrap_or_default().trim_end_matches('/');
            let docker = ["", "/var", "/run", "/var/run", "/var/lib/docker"];
            let is_path = text.starts_with('/');
            if from.ends_with("sock") || is_path && docker.contains(&from) {
                let why = "the host's Docker can be reached through a volume";
                self.wrong.push(why.to_owned());
            }
            kept |= parts.next().is_some() && declared.iter().any(|(name, _)| name == from);
        }
        if kept {
            self.good.push("a named volume".to_owned());
        } else {
            let why = "no named volume that is declared below `volumes:` is mounted in a short \
                       line: what is written is lost at an upgrade";
            self.open.push(why.to_owned());
        }
    }

    fn limits(&mut self, node: &Node) {
        match node.get("restart").and_then(Node::text).unwrap_or("no") {
            policy if policy.contains('$') => self.open.push("restart has a `$`".to_owned()),
            "no" => self.wrong.push(
                "restart is `no`, so that it is not there after a restart of Orbit".to_owned(),
            ),
            policy => self
                .good
                .push(format!("restart {}", archive::shown(policy.as_bytes()))),
        }
        let deploy = ["deploy", "resources", "limits", "memory"];
        if node.get("mem_limit").or_else(|| node.at(&deploy)).is_none() {
            let why = "memory has no limit (mem_limit), so that it could take Orbit's";
            self.wrong.push(why.to_owned());
        } else {
            self.good.push("memory limited".to_owned());
        }
        let privileged = self.text(node, &["privileged"]);
        if privileged.is_some_and(|text| !text.eq_ignore_ascii_case("false")) {
            self.wrong
                .push("it is privileged: who breaks into it owns the host".to_owned());
        }
    }
}

/// Secrets that stand in the file, wherever.
fn secrets(tree: &Node) -> Row {
    const NAME: &str = "docker-compose.yml: secrets";
    let mut seen = (BTreeSet::new(), false);
    look(tree, &mut seen);
    let (found, variables) = seen;
    let found: Vec<_> = found
        .iter()
        .map(|name: &String| archive::shown(name.as_bytes()))
        .collect();
    if !found.is_empty() {
        Row::bad(
            NAME,
            format!("written into it: {}", told(&found)),
            "leave the value empty, and give it in a `.env`; change a secret that was shown to \
             others",
        )
    } else if variables {
        Row::unknown(
            NAME,
            "cannot be judged: it has a `$`, for which anything may stand",
        )
    } else {
        Row::good(NAME, "none is written into it")
    }
}

/// The names of what has a secret, and whether there is a `$`.
fn look(node: &Node, seen: &mut (BTreeSet<String>, bool)) {
    for (name, value) in node.entries() {
        let text = value.text().unwrap_or_default();
        let is_secret = leaks::names_a_secret(name) && !text.is_empty() && !text.starts_with('$');
        if is_secret || leaks::holds_credentials(text) {
            seen.0.insert(name.clone());
        }
        look(value, seen);
    }
    for item in node.items() {
        if item.text().is_some_and(leaks::holds_credentials) {
            seen.0.insert("a URL".to_owned());
        }
        look(item, seen);
    }
    if let Some(text) = node.text() {
        seen.1 |= text.contains('$');
        // With a colon it may as well be a volume.
        let assigned = leaks::assigned(text).into_iter();
        seen.0
            .extend(assigned.filter(|name| text.contains(&format!("{name}="))));
    }
}
