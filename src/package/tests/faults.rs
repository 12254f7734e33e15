//! One package for each fault.
//!
//! # Invariants
//! - Each fault is built from the good package by one change.

use serde_json::{Value, json};
use tar::EntryType;

use super::packer::{Entry, Package, elf, gzip, tar};
use super::texts::{remove, set};
use super::{bad, faults, row, rows, told};
use crate::table::Verdict;

#[test]
fn a_file_name_that_orbit_would_not_run_is_told() {
    let name = |name: &str| {
        let mut package = Package::good();
        package.name = name.to_owned();
        package
    };
    for (bad, text) in [
        ("orbit_relay.spx", "underscore"),
        ("orbit relay.spx", "space"),
        ("orbit-relay.tar.gz", ".spx"),
        (".spx", ".spx"),
    ] {
        told(bad, &name(bad), &["file name"], text);
    }
}

#[test]
fn what_does_not_belong_into_the_archive_is_told() {
    const A: &[&str] = &["archive"];
    let more: [(Vec<Entry>, &str); 22] = [
        (vec![Entry::file("./x", "")], "x: it begins with `./`"),
        (
            vec![Entry::of(EntryType::Directory, "./")],
            "it begins with `./`",
        ),
        (vec![Entry::file("/etc/passwd", "")], "absolute"),
        (vec![Entry::file("../x", "")], "`..`"),
        (vec![Entry::file("a/../x", "")], "`..`"),
        (vec![Entry::file("folder/x", "")], "lies in a folder"),
        (
            vec![Entry::of(EntryType::Directory, "data/")],
            "data/: a folder that is not in directories_to_save",
        ),
        (
            vec![Entry::link(EntryType::Symlink, "x", "y")],
            "x: it is a link",
        ),
        (
            vec![Entry::link(EntryType::Link, "x", "manifest.json")],
            "it is a link",
        ),
        (
            vec![Entry::of(EntryType::Char, "x")],
            "neither a file nor a folder",
        ),
        (
            vec![Entry::of(EntryType::Block, "x")],
            "neither a file nor a folder",
        ),
        (
            vec![Entry::of(EntryType::Fifo, "x")],
            "neither a file nor a folder",
        ),
        (
            vec![Entry::of(EntryType::GNUSparse, "x")],
            "neither a file nor a folder",
        ),
        (
            vec![Entry::file("manifest.json", "{}")],
            "manifest.json: it is there twice",
        ),
        (vec![Entry::file("._manifest.json", "")], "macOS"),
        (vec![Entry::file(".DS_Store", "")], "macOS"),
        (
            vec![
                Entry::pax(&[("SCHILY.xattr.com.apple.x", "1")]),
                Entry::file("x", ""),
            ],
            "macOS",
        ),
        (
            vec![
                Entry::pax(&[("LIBARCHIVE.xattr.x", "1")]),
                Entry::file("x", ""),
            ],
            "macOS",
        ),
        (
            vec![Entry::file("my file", "")],
            "my file: its name has characters",
        ),
        (
            vec![Entry::file(b"\xff\xfe", "")],
            "its name has characters",
        ),
        (vec![Entry::file("a\\b", "")], "its name has characters"),
        (vec![Entry::file("-rf", "")], "its name has characters"),
    ];
    for (more, text) in more {
        let mut package = Package::good();
        let twice = text.contains("twice");
        package.more = more;
        if twice {
            // The first counts, and it is the good one.
            package.more = vec![package.entries().swap_remove(1)];
        }
        told(text, &package, A, text);
    }
}

#[test]
fn extended_headers_that_python_writes_are_no_fault() {
    let mut package = Package::good();
    package.more = vec![
        Entry::pax(&[("mtime", "1763803800.25")]),
        Entry::file("note.txt", "x"),
    ];
    assert!(bad(&rows(&package)).is_empty());
}

#[test]
fn a_file_around_the_archive_that_is_not_as_it_should_be_is_told() {
    let whole = Package::good().build();
    let entries = tar(&Package::good().entries());
    let twice = [whole.clone(), whole.clone()].concat();
    let junk = [whole, b"junk".to_vec()].concat();
    let mut goes_on = entries.clone();
    goes_on.extend_from_slice(b"more");
    for (file, text) in [
        (entries.clone(), "is a tar that is not compressed"),
        (b"PK\x03\x04".to_vec(), "is no gzip file"),
        (Vec::new(), "is no gzip file"),
        (gzip(b"hello"), "cannot be read"),
        (twice, "goes on after the end of its gzip data"),
        (junk, "goes on after the end of its gzip data"),
        (gzip(&goes_on), "goes on after its end mark"),
        (gzip(&entries[..entries.len() - 1024]), "has no end mark"),
    ] {
        let rows = super::super::check("orbit-relay.spx", &mut file.as_slice()).unwrap();
        let what = &row(&rows, "archive").what;
        assert!(what.contains(text), "`{text}` is not in `{what}`");
        assert_eq!(bad(&rows).len(), 1);
    }
}

#[test]
fn each_fault_of_the_image_is_told() {
    const SECRETS: &[&str] = &["orbit-relay.tar.gz: secrets"];
    const PLATFORM: &[&str] = &["image orbit-relay:0.1.0: platform"];
    const TORN: &[&str] = &["service relay", "orbit-relay.tar.gz"];
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END";
    faults(&[
        (
            |p| p.image.config["architecture"] = json!("arm64"),
            PLATFORM,
            "linux/arm64",
        ),
        (
            |p| p.image.config["os"] = json!("windows"),
            PLATFORM,
            "windows",
        ),
        (
            |p| p.image.tags = Value::Null,
            &["service relay"],
            "in no image archive",
        ),
        (
            |p| p.image.config["config"]["Env"] = json!(["ORBIT_API_TOKEN=canary"]),
            SECRETS,
            "ORBIT_API_TOKEN in blobs/",
        ),
        (
            |p| p.image.config["config"]["Cmd"] = json!(["--token=canary"]),
            SECRETS,
            "--token in blobs/",
        ),
        (
            |p| p.image.config["config"]["Labels"] = json!({"db.password": "canary"}),
            SECRETS,
            "password in blobs/",
        ),
        (
            |p| p.image.config["history"] = json!([{"created_by": "ARG DB_PASSWORD=canary"}]),
            SECRETS,
            "DB_PASSWORD in blobs/",
        ),
        (
            |p| p.image.layers[0].push(Entry::file("app/.env", "")),
            SECRETS,
            "app/.env",
        ),
        (
            |p| p.image.layers[1].push(Entry::file("tls.pem", KEY)),
            SECRETS,
            "a private key in tls.pem",
        ),
        (
            |p| p.image.layers[1].push(Entry::file("x.conf", "a\nORBIT_API_TOKEN=canary\n")),
            SECRETS,
            "ORBIT_API_TOKEN in x.conf",
        ),
        (
            |p| {
                p.image.more.push(Entry::file(
                    "1/json",
                    "{\"Env\":[\"ORBIT_API_TOKEN=canary\"]}",
                ));
            },
            SECRETS,
            "in 1/json",
        ),
        (
            |p| p.image.spoil = |entries| drop(entries.remove(2)),
            TORN,
            "in no image archive",
        ),
        (
            |p| p.image.spoil = |entries| drop(entries.remove(1)),
            TORN,
            "in no image archive",
        ),
        (
            |p| p.image.spoil = |entries| entries.truncate(2),
            TORN,
            "in no image archive",
        ),
    ]);
}

#[test]
fn an_image_whose_entry_point_is_no_static_program_is_told() {
    const PROGRAM: &[&str] = &["image orbit-relay:0.1.0: program"];
    fn entry_point(package: &mut Package, entry_point: Value) {
        package.image.config["config"]["Entrypoint"] = entry_point;
    }
    faults(&[
        // `./build_spx.sh --binary /bin/true`: a program of this machine, with its libraries.
        (
            |p| p.image.layers[0] = vec![Entry::file("orbit-relay", elf(&[6, 3, 1]))],
            PROGRAM,
            "/orbit-relay is linked dynamically",
        ),
        (
            |p| p.image.layers[1].push(Entry::file("./orbit-relay", "#!/bin/sh\n")),
            PROGRAM,
            "/orbit-relay is no ELF program",
        ),
        (
            |p| p.image.layers[0] = vec![Entry::link(EntryType::Symlink, "orbit-relay", "x")],
            PROGRAM,
            "/orbit-relay is no file in the layers",
        ),
        (
            |p| entry_point(p, json!(["/bin/sh", "-c", "/orbit-relay"])),
            PROGRAM,
            "/bin/sh is no file in the layers",
        ),
        (
            |p| entry_point(p, json!(["orbit-relay"])),
            PROGRAM,
            "is no path from the root on",
        ),
        (|p| entry_point(p, Value::Null), PROGRAM, "no entry point"),
    ]);
    let rows = rows(&Package::good());
    assert!(row(&rows, PROGRAM[0]).what.contains("static, for x86-64"));
}

#[test]
fn archives_of_older_and_newer_docker_are_read_alike() {
    let mut compressed = Package::good();
    compressed.image.compress_layers = true;
    assert!(
        bad(&rows(&compressed)).is_empty(),
        "{:#?}",
        bad(&rows(&compressed))
    );
    // Parallel compressors write several members.
    let mut parallel = Package::good();
    parallel.without.push("orbit-relay.tar.gz");
    let image = parallel.image.build();
    let (one, two) = image.split_at(5000);
    let image = [gzip(one), gzip(two)].concat();
    parallel.more.push(Entry::file("orbit-relay.tar.gz", image));
    assert!(
        bad(&rows(&parallel)).is_empty(),
        "{:#?}",
        bad(&rows(&parallel))
    );
    // And none at all.
    let mut plain = Package::good();
    plain.without.push("orbit-relay.tar.gz");
    plain
        .more
        .push(Entry::file("orbit-relay.tar", plain.image.build()));
    set(&mut plain, "images", json!(["orbit-relay.tar"]));
    assert!(bad(&rows(&plain)).is_empty(), "{:#?}", bad(&rows(&plain)));
}

#[test]
fn credentials_in_a_package_are_said_and_never_shown() {
    let mut package = Package::good();
    let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAbcdefghijk\n";
    package.more = vec![
        Entry::file(
            ".env",
            "ORBIT_API_TOKEN=canary\nINTEGRATION_URL=https://me:canary@plant.example/\nLOG_LEVEL=info\nWEBHOOK_SECRET=\n",
        ),
        Entry::file("tls.pem", key),
        Entry::file(
            "relay.toml",
            "api_token = \"canary\"\nwebhook_secret = { env = \"X\" }\n[destinations.a]\n\
             url = \"https://me:canary@plant.example/\"\nsign = { secrets = [\"canary\"] }\n\
             auth = { type = \"header\", name = \"X-Key\", value = \"canary\" }\n",
        ),
    ];
    let rows = rows(&package);
    let row = row(&rows, "credentials");
    assert_eq!(
        row.what,
        "contains credentials: api_token in relay.toml; secrets in relay.toml; \
         value in relay.toml; a private key in tls.pem; ORBIT_API_TOKEN in .env; \
         INTEGRATION_URL in .env; a URL in relay.toml"
    );
    assert!(row.advice.is_some() && row.verdict == Verdict::Unknown);
    assert!(!format!("{rows:?}").contains("canary"));
}

#[test]
fn each_fault_of_the_plants_own_files_is_told_without_values() {
    let table: [(&'static str, &'static str, &str); 4] = [
        (".env", "ORBIT_API_TOKEN=canary x'y", "ORBIT_API_TOKEN"),
        (
            "relay.toml",
            "hostnme = \"canary\"",
            "did you mean `hostname`",
        ),
        ("relay.toml", "api_token = \"canary", "relay.toml:1"),
        ("assets.csv", "asset_id\ncanary\n", "line 1"),
    ];
    for (name, content, text) in table {
        let mut package = Package::settings();
        package.more.retain(|entry| entry.name != name.as_bytes());
        package.more.push(Entry::file(name, content));
        told(content, &package, &[name], text);
        assert!(!format!("{:?}", rows(&package)).contains("canary"));
    }
    let mut package = Package::settings();
    package.more[0].content = b"ORBIT_API_TOKN=canary\n".to_vec();
    let rows = rows(&package);
    let row = row(&rows, ".env");
    assert!(row.what.contains("ORBIT_API_TOKN (line 1)"), "{row:?}");
}

#[test]
fn a_package_of_settings_may_not_take_the_relays_place() {
    let mut package = Package::settings();
    set(&mut package, "extension_name", json!("orbit-relay"));
    told(
        "name",
        &package,
        &["extension_name"],
        "takes the place of the relay itself",
    );
}

/// What Boston Dynamics' own builder holds to, rule by rule, in the words of this check.
#[test]
fn the_rules_of_build_extension_py_hold() {
    const IMAGES: &[&str] = &["images"];
    faults(&[
        // It gives up on a manifest that is no JSON.
        (
            |p| {
                p.without.push("manifest.json");
                p.more.push(Entry::file("manifest.json", "{"));
            },
            &["manifest.json"],
            "is no JSON",
        ),
        // It wants `images` to be exactly the archive that it was given, and fails without it.
        (|p| remove(p, "images"), IMAGES, "names none"),
        (|p| set(p, "images", json!([])), IMAGES, "names none"),
        (
            |p| set(p, "images", json!(["other.tgz"])),
            IMAGES,
            "names other.tgz",
        ),
        // It knows archives that end in .tar, .gz and .tgz.
        (
            |p| set(p, "images", json!(["orbit-relay.zip"])),
            IMAGES,
            "names orbit-relay.zip",
        ),
        // It wants a version that is not empty.
        (
            |p| set(p, "version", json!("")),
            &["version"],
            "is not there",
        ),
        // It packs manifest and compose file always, under these names, without folders.
        (
            |p| p.without.push("docker-compose.yml"),
            &["docker-compose.yml"],
            "is not there",
        ),
        (
            |p| p.more.push(Entry::file("extension/x", "")),
            &["archive"],
            "a package is flat",
        ),
        // Without --amd64 it builds for arm64, which no Orbit host is.
        (
            |p| p.image.config["architecture"] = json!("arm64"),
            &["image orbit-relay:0.1.0: platform"],
            "arm64",
        ),
        // Tags are those that the compose file names.
        (
            |p| p.image.tags = json!(["orbit-relay:latest"]),
            &["service relay"],
            "is in no image archive",
        ),
    ]);
    // It packs an icon and other files where they are there, and goes on without.
    let mut package = Package::good();
    package.without.push("icon.png");
    remove(&mut package, "icon");
    package.more.push(Entry::file("notes.txt", "x"));
    assert!(bad(&rows(&package)).is_empty());
    // The order of the members is its own: the image first.
    let mut entries = Package::good().entries();
    entries.reverse();
    let file = gzip(&tar(&entries));
    let rows = super::super::check("orbit-relay.spx", &mut file.as_slice()).unwrap();
    assert!(bad(&rows).is_empty());
}
