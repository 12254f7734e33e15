//! Files that nobody made to be installed: each ends soon, in little memory, with a sentence.
//!
//! # Invariants
//! - Nothing panics, whatever is read.

use std::io::{self, Read};

use serde_json::json;
use tar::EntryType;

use super::super::look;
use super::packer::{Entry, Package, gzip, tar};
use super::{bad, row, rows};

const MIB: u64 = 1 << 20;

/// What a file of these bytes is told to be, with so much to unpack.
fn said(file: &[u8], most: u64) -> String {
    let rows = look("orbit-relay.spx", &mut &*file, most).unwrap();
    row(&rows, "archive").what.clone()
}

#[test]
fn a_gzip_bomb_ends_with_a_clear_sentence() {
    let zeros = vec![0; 32 << 20];
    let bomb = gzip(&tar(&[Entry::file("icon.png", &zeros)]));
    assert!(bomb.len() < 1 << 20, "{}", bomb.len());
    let sentence = "unpacks to more than 8 MiB in all, which is the most that is looked at";
    assert_eq!(said(&bomb, 8 * MIB), sentence);
    // In the image, in its layer, one bomb in another: all count together.
    let nested = gzip(&gzip(&bomb));
    for inner in [
        gzip(&tar(&[Entry::file("layer.tar", gzip(&zeros))])),
        gzip(&tar(&[Entry::file("layer.tar", &bomb)])),
        gzip(&zeros),
        nested,
    ] {
        let package = gzip(&tar(&[Entry::file("orbit-relay.tar.gz", inner)]));
        let said = said(&package, 8 * MIB);
        assert!(
            said == sentence || said.starts_with("gzip and tar"),
            "{said}"
        );
    }
    // And what follows a good package is not unpacked.
    let mut padded = tar(&Package::good().entries());
    padded.extend_from_slice(&zeros);
    assert_eq!(said(&gzip(&padded), 8 * MIB), sentence);
}

#[test]
fn a_package_that_is_cut_off_anywhere_is_found() {
    let mut package = Package::good();
    // Not to be compressed, so that there is something to cut.
    let mut state = 1_u32;
    let noise = (0..60_000).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    package.image.layers[0].push(Entry::file("noise", noise.collect::<Vec<_>>()));
    let whole = package.build();
    assert!(whole.len() > 50 << 10);
    let cuts = (0..whole.len())
        .step_by(1 << 10)
        .chain(whole.len() - 20..whole.len());
    for cut in cuts {
        let rows = look("orbit-relay.spx", &mut &whole[..cut], 64 * MIB).unwrap();
        assert_eq!(bad(&rows).len(), 1, "{cut}: {rows:?}");
        assert_eq!(rows.len(), 2, "{cut}");
    }
    // The tar alone, without the gzip around it that would notice.
    let inner = tar(&package.entries());
    for cut in (512..inner.len() - 1024).step_by(1 << 10) {
        let said = said(&gzip(&inner[..cut]), 64 * MIB);
        assert!(!said.starts_with("gzip and tar"), "{cut}: {said}");
    }
}

#[test]
fn an_image_that_is_cut_off_anywhere_is_found() {
    let package = Package::good();
    let whole = package.image.build();
    for cut in (0..whole.len() - 1024).step_by(1 << 10) {
        let mut package = Package::good();
        package.without.push("orbit-relay.tar.gz");
        package
            .more
            .push(Entry::file("orbit-relay.tar.gz", gzip(&whole[..cut])));
        let rows = rows(&package);
        let bad = bad(&rows);
        assert!(
            bad.iter().any(|row| row.name == "orbit-relay.tar.gz"),
            "{cut}: {bad:?}"
        );
    }
}

#[test]
fn any_byte_may_be_another_and_nothing_panics() {
    let whole = Package::good().build();
    for at in (0..whole.len()).step_by(97) {
        let mut bent = whole.clone();
        bent[at] ^= 0x55;
        look("orbit-relay.spx", &mut bent.as_slice(), 64 * MIB).unwrap();
    }
    let inner = tar(&Package::settings().entries());
    for at in 0..inner.len().min(4096) {
        let mut bent = inner.clone();
        bent[at] ^= 0x41;
        look("orbit-relay.spx", &mut gzip(&bent).as_slice(), 64 * MIB).unwrap();
    }
}

#[test]
fn ten_thousand_members_are_too_many() {
    let entries: Vec<_> = (0..10_000)
        .map(|n| Entry::file(format!("file-{n}"), ""))
        .collect();
    assert_eq!(
        said(&gzip(&tar(&entries)), 64 * MIB),
        "has more than 1000 members"
    );
    let mut package = Package::good();
    package.image.more = entries;
    let rows = rows(&package);
    let what = &row(&rows, "orbit-relay.tar.gz").what;
    assert_eq!(what, "has more than 10000 members");
}

#[test]
fn names_that_are_deep_or_endless_are_told_in_short() {
    let deep = "d/".repeat(20_000) + "x";
    let long = Entry {
        content: deep.clone().into_bytes(),
        ..Entry::of(EntryType::GNULongName, "././@LongLink")
    };
    let file = gzip(&tar(&[long, Entry::file("x", "")]));
    assert!(said(&file, 64 * MIB).len() < 1000);
    let endless = Entry {
        content: vec![b'x'; 10 << 20],
        ..Entry::of(EntryType::GNULongName, "././@LongLink")
    };
    let sentence = "has a name or an extended header beyond all measure";
    assert_eq!(
        said(&gzip(&tar(&[endless, Entry::file("x", "")])), 64 * MIB),
        sentence
    );
    let mut package = Package::good();
    package.image.layers[0].push(Entry::pax(&[("path", &deep)]));
    package.image.layers[0].push(Entry::file("x", ""));
    assert!(bad(&rows(&package)).is_empty());
}

#[test]
fn an_extended_header_cannot_make_two_archives_of_one() {
    for records in [
        &[("size", "1000000")][..],
        &[("size", "-1")],
        &[("size", "x")],
    ] {
        let file = gzip(&tar(&[Entry::pax(records), Entry::file("x", "abc")]));
        assert!(!said(&file, MIB).starts_with("gzip and tar"), "{records:?}");
    }
    let file = gzip(&tar(&[
        Entry::pax(&[("path", "../x")]),
        Entry::file("x", "abc"),
    ]));
    assert!(said(&file, MIB).contains("`..`"));
}

#[test]
fn odd_json_and_yaml_end_with_a_line_and_not_with_the_program() {
    for manifest in [
        "[".repeat(500_000),
        "{\"a\":".repeat(100_000),
        format!("{{\"version\": 1{}}}", "0".repeat(500_000)),
        "{\"version\": 1e999999999}".to_owned(),
        "{\"version\": -0.0e-999}".to_owned(),
        "{\"version\": 123}".to_owned(),
        "{\"images\": 7, \"directories_to_save\": {\"a\": 1}}".to_owned(),
        "{\"images\": [7], \"directories_to_save\": [[\"..\"]]}".to_owned(),
        "null".to_owned(),
        "\u{feff}{}".to_owned(),
        "{} {}".to_owned(),
        "x".repeat(2 << 20),
    ] {
        let mut package = Package::good();
        package.without.push("manifest.json");
        package.more.push(Entry::file("manifest.json", &manifest));
        assert!(
            !bad(&rows(&package)).is_empty(),
            "{}",
            &manifest[..20.min(manifest.len())]
        );
    }
    let laughs = (1..40).map(|n| {
        let names = vec![format!("*a{}", n - 1); 10].join(", ");
        format!("a{n}: &a{n} [{names}]\n")
    });
    let laughs = std::iter::once("a0: &a0 [x, x, x, x, x, x, x]\n".to_owned()).chain(laughs);
    let laughs: String = laughs.collect();
    for compose in [
        laughs,
        "[".repeat(900_000),
        "- ".repeat(400_000),
        "a: &a {b: *a}".to_owned(),
        "services: [1, 2]".to_owned(),
        "services: {a: 1, b: [], c: {image: [x], ports: {a: b}, volumes: x, environment: 7}}".to_owned(),
        "services: {a: {image: x, ports: [[], {}, {published: []}, ''], volumes: [{}, [], '', ':']}}".to_owned(),
        "\u{feff}\t%YAML 9.9\n---".to_owned(),
        "x".repeat(2 << 20),
    ] {
        let mut package = Package::good();
        package.compose = compose;
        assert!(!bad(&rows(&package)).is_empty(), "{}", &package.compose[..20]);
    }
}

#[test]
fn odd_descriptions_of_an_image_are_told() {
    for manifest in [
        json!([]),
        json!({}),
        json!([null]),
        json!([{"Config": 7, "RepoTags": "x", "Layers": {}}]),
        json!([{"Config": "../../etc/passwd", "RepoTags": null, "Layers": ["manifest.json"]}]),
    ] {
        let mut package = Package::good();
        package.without.push("orbit-relay.tar.gz");
        let inner = tar(&[Entry::file("manifest.json", manifest.to_string())]);
        package
            .more
            .push(Entry::file("orbit-relay.tar.gz", gzip(&inner)));
        assert!(!bad(&rows(&package)).is_empty(), "{manifest}");
    }
}

#[test]
fn a_link_in_an_archive_of_images_is_not_followed() {
    let mut package = Package::good();
    package.image.spoil = |entries| {
        entries.retain(|entry| !entry.name.starts_with(b"manifest"));
        entries.push(Entry::link(
            EntryType::Symlink,
            "manifest.json",
            "manifest.json",
        ));
    };
    let rows = rows(&package);
    let what = &row(&rows, "orbit-relay.tar.gz").what;
    assert_eq!(what, "has manifest.json, which is no file");
}

#[test]
fn a_disk_that_fails_is_no_fault_of_the_package() {
    struct Failing(Vec<u8>);
    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Err(io::Error::from_raw_os_error(5));
            }
            let next = self.0.remove(0);
            buffer[0] = next;
            Ok(1)
        }
    }
    let whole = Package::good().build();
    for length in [0, 1, 300, 1500] {
        let mut failing = Failing(whole[..length].to_vec());
        let error = look("orbit-relay.spx", &mut failing, MIB).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(5), "{length}");
    }
}
