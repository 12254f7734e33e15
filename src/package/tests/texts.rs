//! The manifest and the compose file: one package for each fault in them.
//!
//! # Invariants
//! - Each fault is built from the good package by one change.

use serde_json::{Value, json};
use tar::EntryType;

use super::packer::{Entry, Package};
use super::{Change, bad, row, rows, told};
use crate::table::Verdict;

pub(super) fn set(package: &mut Package, key: &str, value: Value) {
    package.manifest[key] = value;
}

pub(super) fn remove(package: &mut Package, key: &str) {
    package.manifest.as_object_mut().unwrap().remove(key);
}

/// A key, what it is instead (nothing: it is left out), and what its row says.
const MANIFEST: [(&str, &str, &str); 27] = [
    ("extension_name", "", "is not there"),
    ("extension_name", r#""orbit_relay""#, "underscore"),
    ("extension_name", r#""orbit relay""#, "other characters"),
    ("extension_name", r#""CoreIO-relay""#, "Boston Dynamics"),
    ("extension_name", r#""relay""#, "is not the relay's name"),
    ("version", "", "is not there"),
    ("version", r#""1.0""#, "1.0"),
    ("version", r#""v1.0.0""#, "v1.0.0"),
    ("version", r#""1.0.0-rc1""#, "rc1"),
    ("version", "1", "is not there"),
    ("installation_target", "", "a robot"),
    ("installation_target", r#""spot""#, "spot"),
    ("date", "", "is not there"),
    ("date", r#""22.11.2026""#, "ISO 8601"),
    ("date", r#""2026-11-22T09:30:00Z""#, "before 3.11"),
    ("description", "", "is not there"),
    ("icon", r#""other.png""#, "other.png is not in the package"),
    ("icon", r#""docker-compose.yml""#, "is no PNG"),
    (
        "images",
        "",
        "names none; in the package: orbit-relay.tar.gz",
    ),
    ("images", r#"["other.tar.gz"]"#, "names other.tar.gz"),
    ("images", r#"["orbit-relay.tar.gz", "x.tgz"]"#, "x.tgz"),
    ("images", r#"["orbit-relay.img"]"#, "does not end in"),
    ("images", r#""orbit-relay.tar.gz""#, "no list"),
    ("files_to_save", r#"["/etc"]"#, "`/etc`"),
    ("files_to_save", r#"["a/../b"]"#, "`a/../b`"),
    ("directories_to_save", r#"[""]"#, "``"),
    ("directories_to_save", r#""data""#, "no list"),
];

#[test]
fn each_fault_of_the_manifest_is_told() {
    for (key, value, text) in MANIFEST {
        let mut package = Package::good();
        match value {
            "" => remove(&mut package, key),
            value => set(&mut package, key, serde_json::from_str(value).unwrap()),
        }
        told(&format!("{key} {value}"), &package, &[key], text);
    }
    let mut package = Package::good();
    set(&mut package, "udev_rules", json!("x.rules"));
    let rows = rows(&package);
    assert_eq!(row(&rows, "udev_rules").verdict, Verdict::Unknown);
}

fn replace(package: &mut Package, from: &str, to: &str) {
    assert!(package.compose.contains(from), "{from}");
    package.compose = package.compose.replace(from, to);
}

const PORT: &str = r#""21600:21600""#;
const OPS: &str = r#""127.0.0.1:22101:22101""#;
const DATA: &str = "orbit-relay-data:/data\n";
const SECRET: &str = r#"WEBHOOK_SECRET: """#;

/// What stands there, what is there instead, the row of the service, and what it says.
const COMPOSE: [(&str, &str, &str, &str); 30] = [
    (
        "relay:0.1.0",
        "relay:0.2.0",
        "image",
        "orbit-relay:0.2.0 is in no",
    ),
    ("image:", "build: .\n    x-image:", "image", "none is named"),
    ("bridge", "host", "network", "the host's"),
    (
        "read_only: true",
        "privileged: true",
        "rights",
        "privileged",
    ),
    (
        DATA,
        "orbit-relay-data:/data\n      - /var/run/docker.sock:/d\n",
        "rights",
        "through /d",
    ),
    (
        DATA,
        "orbit-relay-data:/data\n      - {type: bind, source: /, target: /h}\n",
        "rights",
        "/h",
    ),
    (PORT, "\"8080:21600\"", "port 8080", "is blocked"),
    (PORT, "\"21443:21600\"", "port 21443", "Orbit's own"),
    (
        PORT,
        "21000-21002:21000-21002",
        "port 21000-21002",
        "21001 is Orbit's own",
    ),
    (PORT, "21600", "port", "at each start"),
    (PORT, "\"${PORT}:21600\"", "port", "variable"),
    (PORT, "\"21601-21600:1-2\"", "port", "no port"),
    (OPS, "\"22101:22101\"", "port 22101", "on all addresses"),
    (
        OPS,
        "\"0.0.0.0:22101:22101/tcp\"",
        "port 22101",
        "on all addresses",
    ),
    (
        OPS,
        "{target: 22101, published: 22101}",
        "port 22101",
        "on all addresses",
    ),
    ("unless-stopped", "\"no\"", "restart", "no"),
    ("    restart: unless-stopped\n", "", "restart", "no"),
    ("memory: 256m", "cpus: 1", "memory", "no limit"),
    ("256m", "much", "memory", "no size"),
    (
        SECRET,
        "WEBHOOK_SECRET: canary",
        "secrets",
        "WEBHOOK_SECRET",
    ),
    ("TOKEN:-}", "TOKEN:-canary}", "secrets", "ORBIT_API_TOKEN"),
    ("TOKEN:-}", "TOKEN:-}canary", "secrets", "ORBIT_API_TOKEN"),
    (
        "read_only: true",
        "command: [\"--password=canary\"]",
        "secrets",
        "command",
    ),
    (DATA, "/data\n", "data", "without a name"),
    (DATA, "/srv/relay:/data\n", "data", "outside"),
    (
        DATA,
        "/data/.extensions/orbit-relay:/data\n",
        "data",
        "is lost",
    ),
    (DATA, "./data:/data\n", "data", "not in directories_to_save"),
    (
        DATA,
        "orbit-relay-data:/data:ro\n",
        "data",
        "can only be read",
    ),
    (
        DATA,
        "orbit-relay-data:/elsewhere\n",
        "data",
        "lies in the container",
    ),
    (DATA, "{type: tmpfs, target: /data}\n", "data", "in memory"),
];

#[test]
fn each_fault_of_the_compose_file_is_told() {
    for (from, to, name, text) in COMPOSE {
        let mut package = Package::good();
        replace(&mut package, from, to);
        told(to, &package, &[&format!("relay: {name}")], text);
    }
    let volumes = "\nvolumes:\n  orbit-relay-data:\n";
    let mut package = Package::good();
    replace(&mut package, volumes, "\n");
    told(volumes, &package, &["relay: data"], "not declared");
    let whole: [(Change, &str); 3] = [
        (|p| p.without.push("docker-compose.yml"), "is not there"),
        (|p| p.compose.push_str("\n\tx: ["), "is no YAML: line"),
        (|p| replace(p, "services:", "others:"), "0 services"),
    ];
    for (change, text) in whole {
        let mut package = Package::good();
        change(&mut package);
        told(text, &package, &["docker-compose.yml"], text);
    }
}

#[test]
fn no_value_of_the_compose_file_is_shown() {
    let mut package = Package::good();
    replace(
        &mut package,
        "WEBHOOK_SECRET: \"\"",
        "WEBHOOK_SECRET: canary-1",
    );
    replace(&mut package, "read_only: true", "command: --token=canary-2");
    package.image.config["config"]["Env"] = json!(["API_TOKEN=canary-3"]);
    let text = format!("{:?}", rows(&package));
    assert!(
        text.contains("API_TOKEN") && !text.contains("canary"),
        "{text}"
    );
}

/// What stands there, and what means the same.
const SAME: [(&str, &str); 6] = [
    (PORT, "{target: 21600, published: \"21600\", protocol: tcp}"),
    (PORT, "\"${WEBHOOK_PORT:-21600}:21600\""),
    (OPS, "{target: 22101, published: 22101, host_ip: 127.0.0.1}"),
    (
        DATA,
        "{type: volume, source: orbit-relay-data, target: /data}\n",
    ),
    (
        "deploy:\n      resources:\n        limits:\n          memory: 256m",
        "mem_limit: 256m",
    ),
    ("DATA_DIR: /data\n", "DATA_DIR: /data/journal\n"),
];

#[test]
fn what_means_the_same_in_other_words_is_good_too() {
    for (from, to) in SAME {
        let mut package = Package::good();
        replace(&mut package, from, to);
        let rows = rows(&package);
        assert!(bad(&rows).is_empty(), "{to}: {:#?}", bad(&rows));
    }
    let mut package = Package::good();
    let (before, _) = package.compose.split_once("    environment:").unwrap();
    let (_, behind) = package.compose.split_once("\"\"\n").unwrap();
    let list = "    environment: [ORBIT_API_TOKEN, WEBHOOK_SECRET=]\n";
    package.compose = format!("{before}{list}{behind}");
    assert!(bad(&rows(&package)).is_empty());
}

#[test]
fn a_saved_folder_must_be_packed_and_belong_to_the_containers_user() {
    let with = |owner: Option<(u64, u64)>| {
        let mut package = Package::good();
        replace(
            &mut package,
            "orbit-relay-data:/data\n",
            "/data/.extensions/orbit-relay/data/:/data\n",
        );
        set(&mut package, "directories_to_save", json!(["data/"]));
        if let Some(owner) = owner {
            package.more.push(Entry {
                owner,
                ..Entry::of(EntryType::Directory, "data/")
            });
        }
        package
    };
    let rows = rows(&with(Some((65532, 65532))));
    assert!(bad(&rows).is_empty(), "{rows:#?}");
    assert!(
        row(&rows, "relay: data")
            .what
            .contains("in directories_to_save")
    );
    told(
        "none",
        &with(None),
        &["relay: data"],
        "which is not in the package",
    );
    told("2", &with(Some((0, 0))), &["relay: data"], "belongs to 0:0");
    told(
        "group",
        &with(Some((65532, 0))),
        &["relay: data"],
        "belongs to 65532:0",
    );
}
