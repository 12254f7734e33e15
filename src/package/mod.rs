//! Is a package for Orbit as it should be, before somebody uploads it? Orbit says little of one
//! that is not: it is uploaded, and then nothing runs.
//!
//! ```text
//! mod       what is looked at, in which order
//! contents  reads the package once: names, small files, images
//! archive   tar and gzip as a stream
//! image     an archive of images
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
mod image;
mod leaks;
mod manifest;
mod plant;
mod yaml;

use std::io::{self, Read};

use self::archive::{Broken, Meter};
use self::contents::Contents;
use self::image::Image;
use self::manifest::Manifest;
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
    if let Some(error) = meter.disk() {
        return Err(error);
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
    let (manifest, of_manifest) = manifest::look(contents);
    let manifest = manifest.unwrap_or_default();
    let mut rows = vec![members(contents, &manifest)];
    rows.extend(of_manifest);
    rows.extend(compose::rows(contents, &manifest));
    for (name, images) in &contents.images {
        match images {
            Ok(images) => rows.extend(images.images.iter().flat_map(image_rows)),
            Err(Broken(what)) => rows.push(Row::bad(
                archive::shown(name.as_bytes()),
                what.as_str(),
                "write it anew with `docker save`",
            )),
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
fn members(contents: &Contents, manifest: &Manifest) -> Row {
    let folders = contents.folders.keys();
    let not_saved = folders.filter(|folder| !manifest.saved.contains(folder));
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

fn image_rows(image: &Image) -> Vec<Row> {
    let tags = image.tags.join(", ");
    let shown = archive::shown(tags.as_bytes());
    let shown = if shown.is_empty() {
        "?".to_owned()
    } else {
        shown
    };
    let row = |what: &str| format!("image {shown}: {what}");
    let mut rows = Vec::new();
    if image.tags.is_empty() {
        let advice = "save it by its name, `docker save orbit-relay:X.Y.Z`";
        rows.push(Row::bad(
            row("name"),
            "it has none, so that no service can use it",
            advice,
        ));
    }
    rows.push(platform(image, row("platform")));
    rows.push(user(image, row("user")));
    let layers = format!(
        "{}, {} without compression",
        image.layers,
        archive::size(image.bytes)
    );
    rows.push(if image.torn.is_empty() {
        Row::good(row("layers"), format!("{layers}; all digests fit"))
    } else {
        Row::bad(
            row("layers"),
            told(&image.torn),
            "write the archive anew with `docker save`",
        )
    });
    rows.push(if image.secrets.is_empty() {
        Row::good(
            row("secrets"),
            "none were found in its layers, settings and history",
        )
    } else {
        let advice = "build it without them: who has the image has them. Change these secrets";
        Row::bad(row("secrets"), told(&image.secrets), advice)
    });
    rows
}

fn platform(image: &Image, name: String) -> Row {
    let is = format!("{}/{}", image.os, image.architecture);
    if is == "linux/amd64" {
        Row::good(name, is)
    } else {
        let shown = archive::shown(is.as_bytes());
        Row::bad(
            name,
            shown,
            "build it for linux/amd64, which Orbit's hosts are",
        )
    }
}

fn user(image: &Image, name: String) -> Row {
    let user = archive::shown(image.user.as_bytes());
    let uid = image.user.split(':').next().unwrap_or_default();
    match uid.parse::<u32>() {
        Ok(0) => Row::bad(
            name,
            user,
            "0 is root; write USER 65532:65532 into the Dockerfile",
        ),
        Ok(_) => Row::good(name, user),
        Err(_) if user.is_empty() => {
            let advice = "write USER 65532:65532 into the Dockerfile";
            Row::bad(name, "none is named, so it is root", advice)
        }
        Err(_) => Row::bad(
            name,
            format!("{user} is no number, so that nobody can see that it is not root"),
            "write USER 65532:65532 into the Dockerfile",
        ),
    }
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
