//! Is a package for Orbit as it should be, before somebody uploads it? Orbit says little of one
//! that is not: it is uploaded, and then nothing runs.
//!
//! ```text
//! mod       what is looked at, in which order
//! contents  reads the package once: names, small files, images
//! archive   tar and gzip as a stream
//! image     an archive of images
//! elf       whether a program is static (pure)
//! leaks     what looks like a secret
//! manifest  manifest.json (pure)
//! compose   docker-compose.yml (pure)
//! yaml      a tree of bounded size (pure)
//! plant     .env, relay.toml, assets.csv (pure)
//! ```
//!
//! # Invariants
//! - Nothing is made or changed, unpacked to a disk, or asked over a network.
//! - Memory and time are bounded by [`UNPACKED_BYTES`], whatever is in the file; nothing in it
//!   ends the program.
//! - No secret is in a row.

mod archive;
mod compose;
mod contents;
mod elf;
mod image;
mod leaks;
mod manifest;
mod plant;
mod yaml;

use std::io::{self, Read};

use self::archive::{Broken, Meter};
use self::contents::Contents;
use self::image::Images;
use self::plant::told;
use crate::config::settings::{Kind, SETTINGS};
use crate::table::Row;

/// More is not unpacked, all archives within archives together.
pub const UNPACKED_BYTES: u64 = 4 << 30;
const ARCHIVE: &str = "archive";
const FILE_NAME: &str = "file name";

/// Looks at a package. An error is one of the disk, not of the package.
pub fn check(name: &str, file: &mut dyn Read) -> io::Result<Vec<Row>> {
    look(name, file, UNPACKED_BYTES)
}

fn look(name: &str, file: &mut dyn Read, most: u64) -> io::Result<Vec<Row>> {
    let meter = Meter::new(most);
    let contents = contents::read(file, &meter);
    if contents.is_err() {
        // A disk that failed fails again, and is no fault of the package.
        let _again = file.read(&mut [0])?;
    }
    let mut rows = vec![file_name(name)];
    match contents {
        Ok(contents) => rows.extend(judge(&contents)),
        Err(Broken(what)) => {
            let advice = "build the package anew, or copy it again; the rest is not known before \
                          it can be read";
            rows.push(Row::bad(ARCHIVE, what, advice));
        }
    }
    Ok(rows)
}

fn judge(contents: &Contents) -> Vec<Row> {
    let (saved, of_manifest) = manifest::look(contents);
    let mut rows = vec![members(contents, &saved)];
    rows.extend(of_manifest);
    rows.extend(compose::rows(contents));
    for (name, images) in &contents.images {
        let name = archive::shown(name.as_bytes());
        match images {
            Ok(images) => rows.extend(image_rows(&name, images)),
            Err(Broken(what)) => {
                let advice = "write it anew with `docker save`";
                rows.push(Row::bad(name, what.as_str(), advice));
            }
        }
    }
    rows.extend(plant::rows(contents));
    rows
}

fn file_name(name: &str) -> Row {
    let shown = archive::shown(name.as_bytes());
    let bad = |why: &str, advice: &str| Row::bad(FILE_NAME, format!("{shown}: {why}"), advice);
    if name.strip_suffix(".spx").is_none_or(str::is_empty) {
        bad("does not end in .spx", "rename it")
    } else if name.contains('_') {
        bad(
            "has an underscore, with which extensions are known not to run",
            "rename it; write `-` instead",
        )
    } else if name.contains(char::is_whitespace) {
        bad("has a space", "rename it; write `-` instead")
    } else {
        Row::good(FILE_NAME, shown)
    }
}

/// What the archive as a whole is like.
fn members(contents: &Contents, saved: &[String]) -> Row {
    let folders = contents.folders.iter();
    let not_saved = folders.filter(|folder| !saved.contains(folder));
    let not_saved = not_saved.map(|folder| {
        format!("{folder}/: a folder that is not in directories_to_save; a package is flat")
    });
    let odd: Vec<_> = contents.odd.iter().cloned().chain(not_saved).collect();
    if odd.is_empty() {
        return Row::good(
            ARCHIVE,
            format!(
                "gzip and tar, {} members, {}",
                contents.members,
                archive::size(contents.bytes)
            ),
        );
    }
    Row::bad(
        ARCHIVE,
        told(&odd),
        "pack it anew: `tar --format=ustar -czf NAME.spx manifest.json …`, with files by their \
         names alone (on macOS with COPYFILE_DISABLE=1)",
    )
}

fn image_rows(archive: &str, images: &Images) -> Vec<Row> {
    let mut rows = Vec::new();
    for image in &images.images {
        let tags = archive::shown(image.tags.join(", ").as_bytes());
        let name = |what: &str| format!("image {tags}: {what}");
        let platform = format!("{}/{}", image.os, image.architecture);
        rows.push(if platform == "linux/amd64" {
            Row::good(name("platform"), platform)
        } else {
            let advice = "build it for linux/amd64, which Orbit's hosts are";
            Row::bad(
                name("platform"),
                archive::shown(platform.as_bytes()),
                advice,
            )
        });
        rows.push(match &image.program {
            Ok(path) => Row::good(name("program"), format!("{path}, static, for x86-64")),
            Err(why) => Row::bad(
                name("program"),
                why.as_str(),
                "pack a static program, as ./build_spx.sh builds it without --binary (Rust's \
                 target x86_64-unknown-linux-musl); the image has nothing else",
            ),
        });
    }
    let name = format!("{archive}: secrets");
    rows.push(if images.secrets.is_empty() {
        Row::good(name, "none were found in layers, settings and history")
    } else {
        let advice = "build it without them: who has the image has them. Change these secrets";
        Row::bad(name, told(&images.secrets), advice)
    });
    rows
}

/// Whether it is one of the relay's own secrets.
fn is_a_secret_of_the_relay(name: &str) -> bool {
    let mut secrets = SETTINGS
        .iter()
        .filter(|setting| setting.kind == Kind::Secret);
    secrets.any(|setting| setting.variables.contains(&name))
}

#[cfg(test)]
mod tests;
