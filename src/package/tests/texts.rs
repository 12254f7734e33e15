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
const MANIFEST: [(&str, &str, &str); 23] = [
    ("extension_name", "", "is not there"),
    ("extension_name", r#""orbit_relay""#, "underscore"),
    ("extension_name", r#""orbit relay""#, "other characters"),
    ("extension_name", r#""relay""#, "is not the relay's name"),
    ("version", "", "is not there"),
    ("version", r#""1.0""#, "1.0"),
    ("version", r#""v1.0.0""#, "v1.0.0"),
    ("version", r#""1.0.0-rc1""#, "rc1"),
    ("version", "1", "is not there"),
    ("installation_target", "", "is not there"),
    ("installation_target", r#""spot""#, "spot"),
    ("date", "", "is not there"),
    ("date", r#""22.11.2026""#, "ISO 8601"),
    ("date", r#""2026-02-30""#, "ISO 8601"),
    ("icon", r#""other.png""#, "other.png is not in the package"),
    (
        "images",
        "",
        "names none; in the package: orbit-relay.tar.gz",
    ),
    ("images", r#"["other.tar.gz"]"#, "names other.tar.gz"),
    ("images", r#"["orbit-relay.tar.gz", "x.tgz"]"#, "x.tgz"),
    ("images", r#"["orbit-relay.img"]"#, "names orbit-relay.img"),
    ("images", r#""orbit-relay.tar.gz""#, "no list"),
    ("directories_to_save", r#"["/etc"]"#, "`/etc`"),
    ("directories_to_save", r#"["data"]"#, "`data` is no folder"),
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
}

#[test]
fn a_date_of_iso_8601_is_good_with_and_without_a_time() {
    for date in [
        "2026-11-22",
        "2026-11-22T09:30:05",
        "2026-11-22T09:30:05Z",
        "2026-11-22T09:30:05.123456-05:30",
    ] {
        let mut package = Package::good();
        set(&mut package, "date", json!(date));
        assert!(bad(&rows(&package)).is_empty(), "{date}");
    }
}

#[test]
fn a_saved_folder_must_be_packed() {
    let mut package = Package::good();
    set(&mut package, "directories_to_save", json!(["data/"]));
    package.more = vec![Entry::of(EntryType::Directory, "data/")];
    assert!(bad(&rows(&package)).is_empty());
}

fn replace(package: &mut Package, from: &str, to: &str) {
    assert!(package.compose.contains(from), "{from}");
    package.compose = package.compose.replace(from, to);
}

const PORT: &str = r#""21600:21600""#;
const OPS: &str = r#""127.0.0.1:22101:22101""#;
const DATA: &str = "orbit-relay-data:/data\n";
const SECRET: &str = r#"WEBHOOK_SECRET: """#;
const SERVICE: &str = "service relay";
const SECRETS: &str = "docker-compose.yml: secrets";

/// What stands there, what is there instead, the row, and what it says.
const COMPOSE: [(&str, &str, &str, &str); 18] = [
    (
        "relay:0.1.0",
        "relay:0.2.0",
        SERVICE,
        "relay:0.2.0 is in no",
    ),
    ("image:", "build: .\n    x-image:", SERVICE, "no image"),
    ("bridge", "host", SERVICE, "the host's"),
    ("read_only: true", "privileged: true", SERVICE, "privileged"),
    (
        DATA,
        "orbit-relay-data:/data\n      - /var/run/docker.sock:/d\n",
        SERVICE,
        "the host's Docker",
    ),
    (
        DATA,
        "orbit-relay-data:/data\n      - /:/h\n",
        SERVICE,
        "Docker",
    ),
    (PORT, "\"8080:21600\"", SERVICE, "is blocked"),
    (PORT, "\"21443:21600\"", SERVICE, "Orbit's own"),
    (PORT, "21600", SERVICE, "at each start"),
    (OPS, "\"22101:22101\"", SERVICE, "on 127.0.0.1 only"),
    (
        OPS,
        "\"0.0.0.0:22101:22101/tcp\"",
        SERVICE,
        "on 127.0.0.1 only",
    ),
    ("unless-stopped", "\"no\"", SERVICE, "restart is `no`"),
    (
        "    restart: unless-stopped\n",
        "",
        SERVICE,
        "restart is `no`",
    ),
    ("memory: 256m", "cpus: 1", SERVICE, "memory has no limit"),
    (SECRET, "WEBHOOK_SECRET: canary", SECRETS, "WEBHOOK_SECRET"),
    (
        SECRET,
        "WEBHOOK_SECRET: |\n        canary",
        SECRETS,
        "WEBHOOK_SECRET",
    ),
    (
        SECRET,
        "INTEGRATION_URL: https://a:b@c/",
        SECRETS,
        "INTEGRATION_URL",
    ),
    (
        "read_only: true",
        "command: [\"--password=canary\"]",
        SECRETS,
        "--password",
    ),
];

#[test]
fn each_fault_of_the_compose_file_is_told() {
    for (from, to, name, text) in COMPOSE {
        let mut package = Package::good();
        replace(&mut package, from, to);
        told(to, &package, &[name], text);
    }
    let whole: [(Change, &str); 4] = [
        (|p| p.without.push("docker-compose.yml"), "is not there"),
        (|p| p.compose.push_str("\n\tx: ["), "cannot be read: line"),
        (|p| p.compose.push_str("\nx: {<<: {}}"), "not followed"),
        (|p| replace(p, "services:", "others:"), "0 services"),
    ];
    for (change, text) in whole {
        let mut package = Package::good();
        change(&mut package);
        told(text, &package, &["docker-compose.yml"], text);
    }
}

/// What stands there, and what this check does not follow.
const OPEN: [(&str, &str, &str); 9] = [
    (PORT, "\"${PORT:-21600}:21600\"", SERVICE),
    (PORT, "{target: 21600, published: 80}", SERVICE),
    (PORT, "\"21600-21601:21600-21601\"", SERVICE),
    (
        DATA,
        "{type: volume, source: orbit-relay-data, target: /data}\n",
        SERVICE,
    ),
    (DATA, "/srv:/data\n", SERVICE),
    ("unless-stopped", "${RESTART}", SERVICE),
    ("bridge", "${NETWORK}", SERVICE),
    ("orbit-relay:0.1.0", "orbit-relay:${VERSION}", SERVICE),
    (SECRET, "WEBHOOK_SECRET: ${SECRET:-canary}", SECRETS),
];

#[test]
fn what_is_not_followed_is_never_called_good() {
    for (from, to, name) in OPEN {
        let mut package = Package::good();
        replace(&mut package, from, to);
        let rows = rows(&package);
        assert!(bad(&rows).is_empty(), "{to}: {:#?}", bad(&rows));
        assert_eq!(row(&rows, name).verdict, Verdict::Unknown, "{to}");
    }
}

#[test]
fn each_service_has_a_row_of_its_own() {
    let mut package = Package::good();
    replace(
        &mut package,
        "services:",
        "services:\n  more:\n    image: redis\n    network_mode: host",
    );
    told("two", &package, &["service more"], "redis is in no image");
}

#[test]
fn no_value_of_the_compose_file_is_shown() {
    let mut package = Package::good();
    replace(&mut package, SECRET, "WEBHOOK_SECRET: canary-1");
    replace(&mut package, "read_only: true", "command: --token=canary-2");
    package.image.config["config"]["Env"] = json!(["API_TOKEN=canary-3"]);
    let text = format!("{:?}", rows(&package));
    assert!(
        text.contains("API_TOKEN") && !text.contains("canary"),
        "{text}"
    );
}

#[test]
fn what_means_the_same_in_other_words_is_good_too() {
    let limit = "deploy:\n      resources:\n        limits:\n          memory: 256m";
    for (from, to) in [(limit, "mem_limit: 256m"), (PORT, "21600:21600/tcp")] {
        let mut package = Package::good();
        replace(&mut package, from, to);
        let rows = rows(&package);
        assert!(bad(&rows).is_empty(), "{to}: {:#?}", bad(&rows));
    }
    let mut package = Package::good();
    let (before, _) = package.compose.split_once("    environment:").unwrap();
    let (_, behind) = package.compose.split_once("SECRET: \"\"\n").unwrap();
    let list = "    environment: [ORBIT_API_TOKEN, WEBHOOK_SECRET=]\n";
    package.compose = format!("{before}{list}{behind}");
    assert!(bad(&rows(&package)).is_empty());
}
