//! What is mounted into a service, and what of it is still there after an upgrade.
//!
//! An upgrade removes the extension with its folder and installs the new one. Named volumes
//! outlive that, and of the folder what the manifest says is saved.
//!
//! # Invariants
//! - Only what is known to outlive an upgrade is called so.

use super::super::archive;
use super::{Node, Service, filled};
use crate::table::Row;

/// Where Orbit unpacks extensions.
const EXTENSIONS: &str = "/data/.extensions";
const SOCKETS: [&str; 2] = ["docker.sock", "containerd.sock"];
const HOST: [&str; 5] = ["", "/var", "/run", "/var/run", "/var/lib/docker"];
/// The variable that says where the relay keeps its journal.
const DATA_DIR: &str = "DATA_DIR";

enum Source {
    Named(String),
    Folder(String),
    Anonymous,
    Memory,
}

struct Mount {
    source: Source,
    target: String,
    read_only: bool,
}

/// What gives the container power over its host.
pub(super) fn doors_to_the_host(service: &Service<'_>) -> Vec<String> {
    let mounts = mounts(service);
    let doors = mounts.iter().filter(|mount| {
        let source = match &mount.source {
            Source::Folder(path) => path.trim_end_matches('/'),
            _ => "?",
        };
        let is_socket = |path: &str| SOCKETS.iter().any(|socket| path.ends_with(socket));
        is_socket(source) || is_socket(&mount.target) || HOST.contains(&source)
    });
    doors
        .map(|mount| {
            let target = archive::shown(mount.target.as_bytes());
            format!("the host's Docker can be reached through {target}")
        })
        .collect()
}

/// Whether the data outlive an upgrade.
pub(super) fn row(service: &Service<'_>) -> Row {
    let name = service.row("data");
    let mounts = mounts(service);
    let written = |mount: &&Mount| !mount.read_only && !matches!(mount.source, Source::Memory);
    let fates: Vec<_> = mounts
        .iter()
        .filter(written)
        .map(|mount| match fate(service, mount) {
            Ok(how) => format!("{}: {how}", archive::shown(mount.target.as_bytes())),
            Err(why) => format!("{}: {why}", archive::shown(mount.target.as_bytes())),
        })
        .collect();
    let fates = fates.join("; ");
    let advice = "mount a named volume where the relay writes, and declare it below `volumes:`";
    let Some(data) = service.variable(DATA_DIR) else {
        return if fates.is_empty() {
            Row::bad(
                name,
                "nothing that is written is kept at an upgrade",
                advice,
            )
        } else {
            Row::unknown(name, format!("DATA_DIR is not known; {fates}"))
        };
    };
    let data = data.trim_end_matches('/');
    let above = |mount: &&Mount| {
        let rest = data.strip_prefix(mount.target.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let shown = archive::shown(data.as_bytes());
    let below = mounts
        .iter()
        .filter(above)
        .max_by_key(|mount| mount.target.len());
    match below.map(|mount| (mount.read_only, fate(service, mount))) {
        Some((false, Ok(_))) => Row::good(name, fates),
        Some((true, _)) => Row::bad(name, format!("{shown} can only be read"), advice),
        Some((false, Err(why))) => Row::bad(name, format!("{shown} {why}"), advice),
        None => Row::bad(
            name,
            format!("{shown} lies in the container, and is lost with it"),
            advice,
        ),
    }
}

/// How what is written there outlives an upgrade, or why it does not.
fn fate(service: &Service<'_>, mount: &Mount) -> Result<String, String> {
    match &mount.source {
        Source::Named(volume) => {
            let shown = archive::shown(volume.as_bytes());
            if service.declared.contains(&volume.as_str()) {
                Ok(format!(
                    "the named volume {shown}, which outlives an upgrade"
                ))
            } else {
                Err(format!(
                    "lies on the volume {shown}, which is not declared below `volumes:`"
                ))
            }
        }
        Source::Anonymous => Err("lies on a volume without a name, which is lost".to_owned()),
        Source::Memory => Err("lies in memory, and is lost".to_owned()),
        Source::Folder(path) => {
            let own = format!("{EXTENSIONS}/{}", service.manifest.name);
            let path = path.trim_end_matches('/');
            let within = path.strip_prefix("./").or_else(|| {
                let rest = path.strip_prefix(&own)?;
                rest.strip_prefix('/')
            });
            match within {
                Some(folder) => saved(service, folder),
                None if path == own => {
                    Err("lies in the extension's folder, and is lost".to_owned())
                }
                None => Err(
                    "lies outside of the extension's folder, where nothing is known to \
                             be kept"
                        .to_owned(),
                ),
            }
        }
    }
}

/// Whether a folder of the package is kept, and can be written.
fn saved(service: &Service<'_>, folder: &str) -> Result<String, String> {
    let shown = archive::shown(folder.as_bytes());
    if !service.manifest.saved.iter().any(|saved| saved == folder) {
        return Err(format!(
            "lies in the folder {shown}, which is not in directories_to_save"
        ));
    }
    let Some(there) = service.contents.folders.get(folder) else {
        return Err(format!(
            "lies in the folder {shown}, which is not in the package: Docker makes it as root"
        ));
    };
    let user = service.user().unwrap_or_default();
    let (uid, gid) = user.split_once(':').unwrap_or((&user, ""));
    let fits = |wanted: &str, is: Option<u64>| wanted.parse().ok() == is && is.is_some();
    if !fits(uid, there.uid) || !(gid.is_empty() || fits(gid, there.gid)) {
        let owner = [there.uid, there.gid].map(|id| id.map_or("?".to_owned(), |id| id.to_string()));
        return Err(format!(
            "lies in the folder {shown}, which belongs to {} and not to the container's user {}",
            owner.join(":"),
            archive::shown(user.as_bytes())
        ));
    }
    Ok(format!(
        "the folder {shown}, which is in directories_to_save"
    ))
}

fn mounts(service: &Service<'_>) -> Vec<Mount> {
    let volumes = service.node.get("volumes");
    let mut mounts: Vec<_> = volumes
        .into_iter()
        .flat_map(Node::items)
        .map(mount)
        .collect();
    let tmpfs = service.node.get("tmpfs");
    let texts = tmpfs.into_iter().flat_map(Node::items).chain(tmpfs);
    mounts.extend(texts.filter_map(Node::text).map(|text| Mount {
        source: Source::Memory,
        target: bare(text.split(':').next().unwrap_or(text)),
        read_only: false,
    }));
    mounts
}

fn mount(node: &Node) -> Mount {
    let text = |node: &Node| {
        let text = node.text().unwrap_or_default();
        filled(text).unwrap_or_else(|| text.to_owned())
    };
    if node.entries().is_empty() {
        return short(&text(node));
    }
    let member = |key: &str| node.get(key).map(text);
    let source = member("source").or_else(|| member("src"));
    let source = match (member("type").as_deref(), source) {
        (Some("tmpfs"), _) => Source::Memory,
        (Some("volume"), Some(source)) => Source::Named(source),
        (_, Some(source)) => place(&source),
        (_, None) => Source::Anonymous,
    };
    let target = member("target").or_else(|| member("dst"));
    Mount {
        source,
        target: bare(&target.unwrap_or_default()),
        read_only: node.get("read_only").is_some_and(Node::is_true),
    }
}

/// `SOURCE:TARGET[:OPTIONS]`, or the target alone.
fn short(text: &str) -> Mount {
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let (source, target) = match parts.next() {
        Some(target) => (place(first), target),
        None => (Source::Anonymous, first),
    };
    let mut options = parts.next().unwrap_or_default().split(',');
    Mount {
        source,
        target: bare(target),
        read_only: options.any(|option| option == "ro"),
    }
}

fn place(source: &str) -> Source {
    if source.starts_with(['/', '.', '~']) || source.contains('$') {
        Source::Folder(source.to_owned())
    } else {
        Source::Named(source.to_owned())
    }
}

fn bare(path: &str) -> String {
    path.trim_end_matches('/').to_owned()
}
