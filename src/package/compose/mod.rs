//! The package's compose file: what Orbit starts.
//!
//! ```text
//! mod      each service: image, network, rights, restarts, memory, secrets
//! ports    what is published, and where
//! volumes  what is mounted, and what of it outlives an upgrade
//! ```
//!
//! # Invariants
//! - Pure: rows are made of what was read.
//! - No value of a variable is in a row.

mod ports;
mod volumes;

use super::archive;
use super::contents::{COMPOSE, Contents, Text};
use super::image::Image;
use super::leaks;
use super::manifest::Manifest;
use super::yaml::{self, Node};
use crate::table::Row;

/// More services than this are not looked at.
const SERVICES: usize = 20;

/// One service, and what is around it.
struct Service<'a> {
    name: &'a str,
    node: &'a Node,
    /// Its image, if the package brings it.
    image: Option<&'a Image>,
    /// The volumes that the file declares.
    declared: Vec<&'a str>,
    manifest: &'a Manifest,
    contents: &'a Contents,
}

/// Rows for the file and each of its services.
pub(super) fn rows(contents: &Contents, manifest: &Manifest) -> Vec<Row> {
    let text = match contents.texts.get(COMPOSE) {
        None if contents.is_static() => {
            return vec![Row::unknown(COMPOSE, "none: the package has settings only")];
        }
        None => {
            let advice = "pack it under this name; without it nothing is started";
            return vec![Row::bad(COMPOSE, "is not there", advice)];
        }
        Some(Text::TooLong(most)) => {
            let what = format!("is longer than {}", archive::size(*most));
            return vec![Row::bad(COMPOSE, what, "write a file of some lines")];
        }
        Some(Text::Whole(text)) => text,
    };
    let tree = std::str::from_utf8(text)
        .map_err(|_| "is not UTF-8".to_owned())
        .and_then(|text| yaml::read(text).map_err(|error| format!("is no YAML: {error}")));
    let tree = match tree {
        Ok(tree) => tree,
        Err(what) => return vec![Row::bad(COMPOSE, what, "mend that line")],
    };
    let services = tree.get("services").map(Node::entries).unwrap_or_default();
    if services.is_empty() || services.len() > SERVICES {
        let what = format!(
            "has {} services, 1 to {SERVICES} are looked at",
            services.len()
        );
        return vec![Row::bad(COMPOSE, what, "write them below `services:`")];
    }
    let all: Vec<_> = services.iter().map(|(name, _)| name.as_str()).collect();
    let all = archive::shown(all.join(", ").as_bytes());
    let mut rows = vec![Row::good(COMPOSE, format!("can be read; services: {all}"))];
    let volumes = tree.get("volumes").map(Node::entries).unwrap_or_default();
    for (name, node) in services {
        let service = Service {
            name,
            node,
            image: image_of(node, contents),
            declared: volumes.iter().map(|(name, _)| name.as_str()).collect(),
            manifest,
            contents,
        };
        rows.extend(service.rows());
    }
    rows
}

/// What Compose makes of a text without any variable of its own: defaults count.
fn filled(text: &str) -> Option<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        filled.push_str(before);
        if let Some(behind) = behind.strip_prefix('$') {
            filled.push('$');
            rest = behind;
            continue;
        }
        let (inner, behind) = behind.strip_prefix('{')?.split_once('}')?;
        filled.push_str(default_of(inner)?);
        rest = behind;
    }
    filled.push_str(rest);
    Some(filled)
}

/// The default in `NAME:-default` or `NAME-default`.
fn default_of(inner: &str) -> Option<&str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (_, behind) = inner.split_at(inner.find(|c| !in_name(c))?);
    behind
        .strip_prefix(":-")
        .or_else(|| behind.strip_prefix('-'))
}

fn image_of<'a>(node: &Node, contents: &'a Contents) -> Option<&'a Image> {
    let wanted = with_tag(&filled(node.get("image")?.text()?)?);
    let archives = contents
        .images
        .values()
        .filter_map(|images| images.as_ref().ok());
    let mut images = archives.flat_map(|archive| &archive.images);
    images.find(|image| image.tags.iter().any(|tag| with_tag(tag) == wanted))
}

/// An image's name as Docker completes it.
fn with_tag(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains(':') {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

impl Service<'_> {
    fn rows(&self) -> Vec<Row> {
        if !matches!(self.node, Node::Map(_)) {
            return vec![Row::bad(
                self.row("image"),
                "says nothing",
                "describe the service",
            )];
        }
        let mut rows = vec![self.image(), self.network(), self.rights()];
        rows.extend(ports::rows(self));
        rows.extend([
            self.restart(),
            self.memory(),
            self.secrets(),
            volumes::row(self),
        ]);
        rows
    }

    fn row(&self, what: &str) -> String {
        format!("{}: {what}", archive::shown(self.name.as_bytes()))
    }

    fn image(&self) -> Row {
        let name = self.row("image");
        let Some(image) = self.node.get("image").and_then(Node::text) else {
            let advice =
                "name an image that the package brings; nothing can be built on a Site Hub";
            return Row::bad(name, "none is named", advice);
        };
        let shown = archive::shown(image.as_bytes());
        match self.image {
            Some(_) => Row::good(name, format!("{shown}, which the package brings")),
            None => Row::bad(
                name,
                format!("{shown} is in no image archive of the package"),
                "write the name and tag that the archive has, or pack that image",
            ),
        }
    }

    fn network(&self) -> Row {
        let name = self.row("network");
        match self.node.get("network_mode").and_then(Node::text) {
            Some("host") => Row::bad(
                name,
                "is the host's, so that every port of the container is open",
                "write network_mode: bridge, and publish the ports that are needed",
            ),
            Some(mode) if mode.contains('$') => {
                Row::bad(name, "is left to a variable", "write network_mode: bridge")
            }
            Some(mode) => Row::good(name, archive::shown(mode.as_bytes())),
            None => Row::good(name, "one of its own, made by Compose"),
        }
    }

    fn rights(&self) -> Row {
        let name = self.row("rights");
        let mut too_much = Vec::new();
        if self
            .node
            .get("privileged")
            .is_some_and(|node| node.is_true() || variable(node))
        {
            too_much.push("it is privileged".to_owned());
        }
        too_much.extend(volumes::doors_to_the_host(self));
        if too_much.is_empty() {
            Row::good(
                name,
                "not privileged, and nothing of the host's Docker is mounted",
            )
        } else {
            let advice = "leave that out: who breaks into the relay would own Orbit's host";
            Row::bad(name, too_much.join("; "), advice)
        }
    }

    fn restart(&self) -> Row {
        let name = self.row("restart");
        let policy = self
            .node
            .get("restart")
            .and_then(Node::text)
            .unwrap_or("no");
        if ["always", "unless-stopped"].contains(&policy) || policy.starts_with("on-failure") {
            Row::good(name, policy)
        } else {
            let advice =
                "write restart: unless-stopped, else it is not there after a restart of Orbit";
            Row::bad(name, archive::shown(policy.as_bytes()), advice)
        }
    }

    fn memory(&self) -> Row {
        let name = self.row("memory");
        let limits = [
            &["deploy", "resources", "limits", "memory"][..],
            &["mem_limit"],
        ];
        let mut limits = limits.iter().filter_map(|keys| self.node.at(keys)?.text());
        match limits.next().map(|limit| (limit, filled(limit))) {
            Some((limit, Some(filled))) if is_size(&filled) => {
                Row::good(name, archive::shown(limit.as_bytes()))
            }
            Some((limit, _)) => Row::bad(
                name,
                format!("{} is no size", archive::shown(limit.as_bytes())),
                "write deploy.resources.limits.memory: \"256m\"",
            ),
            None => Row::bad(
                name,
                "has no limit, so that it could take Orbit's",
                "write deploy.resources.limits.memory: \"256m\"",
            ),
        }
    }

    fn secrets(&self) -> Row {
        let name = self.row("secrets");
        let mut written: Vec<String> = Vec::new();
        for (variable, value) in self.environment() {
            let default = |inner: &str| default_of(inner).is_some_and(|text| !text.is_empty());
            let is_left_open = value.is_empty()
                || value
                    .strip_prefix("${")
                    .and_then(|rest| rest.strip_suffix('}'))
                    .is_some_and(|inner| !inner.contains(['{', '}']) && !default(inner));
            if leaks::names_a_secret(&variable) && !is_left_open {
                written.push(archive::shown(variable.as_bytes()));
            }
        }
        for key in ["command", "entrypoint"] {
            let node = self.node.get(key);
            let items = node
                .into_iter()
                .flat_map(Node::items)
                .filter_map(Node::text);
            let texts = node.and_then(Node::text).into_iter().chain(items);
            for text in texts {
                let found = leaks::assigned(text).into_iter();
                written.extend(found.map(|variable| format!("{variable} in its {key}")));
            }
        }
        if written.is_empty() {
            Row::good(name, "none is written into it")
        } else {
            let advice = "leave the value empty or write ${NAME}, and give it in a `.env` or on \
                          the pages of settings; change a secret that was shown to others";
            Row::bad(
                name,
                format!("written into it: {}", written.join(", ")),
                advice,
            )
        }
    }

    /// Variables and their values.
    fn environment(&self) -> Vec<(String, String)> {
        let Some(node) = self.node.get("environment") else {
            return Vec::new();
        };
        let value = |node: &Node| match node {
            node if node.is_null() => String::new(),
            Node::Text(text, _) => text.clone(),
            _ => "?".to_owned(),
        };
        let mut variables: Vec<_> = node
            .entries()
            .iter()
            .map(|(name, node)| (name.clone(), value(node)))
            .collect();
        for text in node.items().filter_map(Node::text) {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            variables.push((name.to_owned(), value.to_owned()));
        }
        variables
    }

    /// What a variable is in the container, if that can be known: the file's word, or the image's.
    fn variable(&self, wanted: &str) -> Option<String> {
        let here = self.environment();
        let mut here = here.into_iter().filter(|(name, _)| name == wanted);
        if let Some((_, value)) = here.next() {
            return filled(&value).filter(|value| !value.is_empty());
        }
        let image = self.image.iter().flat_map(|image| &image.environment);
        let mut image = image.filter_map(|text| text.split_once('='));
        image
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| value.to_owned())
    }

    /// The user that the container runs as.
    fn user(&self) -> Option<String> {
        let here = self.node.get("user").and_then(Node::text);
        match here {
            Some(text) => filled(text),
            None => self.image.map(|image| image.user.clone()),
        }
    }
}

fn variable(node: &Node) -> bool {
    node.text().is_some_and(|text| text.contains('$'))
}

/// `512m`, `1GB`, a number of bytes.
fn is_size(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text.strip_prefix(number).unwrap_or_default();
    ["", "b", "k", "kb", "m", "mb", "g", "gb"].contains(&unit)
        && number.parse::<f64>().is_ok_and(|number| number > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_filled_as_compose_fills_it() {
        for (text, wanted) in [
            ("plain", Some("plain")),
            ("${PORT:-21600}:${PORT-21600}", Some("21600:21600")),
            ("$$x", Some("$x")),
            ("${PORT}", None),
            ("$PORT", None),
            ("${PORT:?said}", None),
            ("${", None),
            ("$", None),
        ] {
            assert_eq!(filled(text).as_deref(), wanted, "{text}");
        }
    }

    #[test]
    fn a_name_of_an_image_is_completed_as_docker_completes_it() {
        for (name, wanted) in [
            ("orbit-relay", "orbit-relay:latest"),
            ("orbit-relay:0.1.0", "orbit-relay:0.1.0"),
            ("docker.io/library/orbit-relay:1", "orbit-relay:1"),
            ("host:5000/x", "host:5000/x:latest"),
        ] {
            assert_eq!(with_tag(name), wanted, "{name}");
        }
    }

    #[test]
    fn sizes_are_those_of_docker() {
        for good in ["512m", "1GB", "1073741824", "0.5g"] {
            assert!(is_size(good), "{good}");
        }
        for bad in ["", "m", "0", "-1m", "12 apples", "inf", "nan"] {
            assert!(!is_size(bad), "{bad}");
        }
    }
}
