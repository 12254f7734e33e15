//! A good package and one for each fault; the rules of the official builder; hostile files.
//!
//! ```text
//! packer   makes packages in memory
//! faults   one package for each fault of the archive, the image, the plant's files
//! texts    the same for the manifest and the compose file
//! hostile  files that nobody made to be installed
//! ```
//!
//! # Invariants
//! - A fault makes its own row bad and no other, and each bad row says what to do.

mod faults;
mod hostile;
pub(super) mod packer;
mod texts;

use self::packer::Package;
use crate::table::{self, Row, Verdict};

fn rows(package: &Package) -> Vec<Row> {
    super::check(&package.name, &mut package.build().as_slice()).unwrap()
}

fn bad(rows: &[Row]) -> Vec<&Row> {
    let bad = rows.iter().filter(|row| row.verdict == Verdict::Bad);
    bad.collect()
}

fn row<'a>(rows: &'a [Row], name: &str) -> &'a Row {
    let found = rows.iter().find(|row| row.name == name);
    found.unwrap_or_else(|| panic!("no row {name} in {rows:#?}"))
}

/// What is changed of the good package.
type Change = fn(&mut Package);

/// Each change makes these rows bad and no others, and the first says this.
#[track_caller]
fn faults(table: &[(Change, &[&str], &str)]) {
    for (change, names, text) in table {
        let mut package = Package::good();
        change(&mut package);
        told(text, &package, names, text);
    }
}

#[track_caller]
fn told(which: &str, package: &Package, names: &[&str], text: &str) {
    let rows = rows(package);
    let bad = bad(&rows);
    let are: Vec<_> = bad.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(are, names, "{which} ({text}): {bad:#?}");
    let what = &bad[0].what;
    assert!(what.contains(text), "{which}: `{text}` is not in `{what}`");
    assert!(bad.iter().all(|row| row.advice.is_some()), "{bad:?}");
}

#[test]
fn a_good_package_has_no_bad_row() {
    insta::assert_snapshot!(table::lines(&rows(&Package::good())).join("\n"), @r"
    ✓ file name                          orbit-relay.spx
    ✓ archive                            gzip and tar, 4 members, 2 KiB
    ✓ manifest.json                      can be read
    ✓ extension_name                     orbit-relay
    ✓ version                            0.1.0
    ✓ installation_target                orbit
    ✓ date                               2026-11-22T09:30:00+00:00
    ✓ icon                               icon.png
    ✓ images                             orbit-relay.tar.gz
    ✓ docker-compose.yml                 can be read; services: relay
    ✓ docker-compose.yml: secrets        none is written into it
    ✓ service relay                      orbit-relay:0.1.0; bridge; port 21600:21600; port 127.0.0.1:22101:22101; a named volume; restart unless-stopped; memory limited
    ✓ image orbit-relay:0.1.0: platform  linux/amd64
    ✓ image orbit-relay:0.1.0: program   /orbit-relay, static, for x86-64
    ✓ orbit-relay.tar.gz: secrets        none were found in layers, settings and history
    – .env                               is not in the package
    – relay.toml                         is not in the package
    – assets.csv                         is not in the package
    ✓ credentials                        none were found
    16 ✓, 0 ✗, 3 –
    ");
}

#[test]
fn a_package_of_settings_is_read_as_the_relay_reads_it_and_shows_no_value() {
    let text = table::lines(&rows(&Package::settings())).join("\n");
    assert!(!text.contains("canary"));
    insta::assert_snapshot!(text, @r"
    ✓ file name            orbit-relay-config.spx
    ✓ archive              gzip and tar, 4 members, 1 KiB
    ✓ manifest.json        can be read
    ✓ extension_name       orbit-relay-config
    ✓ version              1.0.0
    ✓ installation_target  orbit
    ✓ date                 2026-11-22
    – icon                 none; Orbit shows its own
    – images               none: the package has settings only
    – docker-compose.yml   none: the package has settings only
    ✓ .env                 variables: 2, all known
    ✓ relay.toml           is TOML, and its settings are known; destinations and secrets are judged at the start
    ✓ assets.csv           rows: 1
    – credentials          contains credentials: ORBIT_API_TOKEN in .env
        → give this file to nobody, and keep it as you keep a password
    10 ✓, 0 ✗, 4 –
    ");
}
