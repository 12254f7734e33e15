//! Reads the package once, from front to end, and keeps what the checks need of it.
//!
//! # Invariants
//! - Kept are small files, and what was found in the others and in the images; never an image.
//! - Order in the archive is of no matter.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read};

use super::archive::{self, Broken, Form, Kind, Member, Meter};
use super::image::{self, Images};
use super::leaks::{self, Found, Scan};

const MIB: u64 = 1 << 20;
/// A package has a handful of files.
const MEMBERS: u64 = 1000;
/// Files that are read, and how long they may be.
const READ: [(&str, u64); 5] = [
    (MANIFEST, MIB),
    (COMPOSE, MIB),
    (DOTENV, MIB),
    (RELAY, MIB),
    (ASSETS, 16 * MIB),
];
pub(super) const MANIFEST: &str = "manifest.json";
pub(super) const COMPOSE: &str = "docker-compose.yml";
pub(super) const DOTENV: &str = ".env";
pub(super) const RELAY: &str = "relay.toml";
pub(super) const ASSETS: &str = "assets.csv";

/// What is in the package.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) members: u64,
    pub(super) bytes: u64,
    /// Each regular file, with what in it looks like a secret.
    pub(super) files: BTreeMap<String, Found>,
    pub(super) folders: BTreeSet<String>,
    pub(super) texts: BTreeMap<&'static str, Vec<u8>>,
    pub(super) images: BTreeMap<String, Result<Images, Broken>>,
    /// What does not belong into a package, each as `NAME: why`.
    pub(super) odd: Vec<String>,
}

impl Contents {
    /// Whether it has settings of a plant only, and nothing that runs.
    pub(super) fn is_static(&self) -> bool {
        self.images.is_empty() && !self.files.contains_key(COMPOSE)
    }
}

/// Whether a file of this name holds images.
pub(super) fn is_image_archive(name: &str) -> bool {
    [".tar", ".gz", ".tgz"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// Reads all of it.
pub(super) fn read(file: &mut dyn Read, meter: &Meter) -> Result<Contents, Broken> {
    let broken = |error: io::Error| meter.broken(&error);
    let (form, file) = archive::beginning(file).map_err(broken)?;
    match form {
        Form::Gzip => {}
        Form::Tar => return Err(Broken("is a tar that is not compressed by gzip".to_owned())),
        Form::Other => return Err(Broken("is no gzip file".to_owned())),
    }
    let gzip = flate2::bufread::GzDecoder::new(BufReader::with_capacity(archive::CHUNK, file));
    let mut unpacked = meter.unpacked(gzip);
    let mut contents = Contents::default();
    archive::walk(&mut unpacked, MEMBERS, meter, &mut |member, content| {
        contents.take(member, content, meter)
    })?;
    let mut rest = unpacked.into_inner().into_inner();
    if rest.fill_buf().map_err(broken)?.is_empty() {
        Ok(contents)
    } else {
        Err(Broken(
            "goes on after the end of its gzip data, which not every reader reads".to_owned(),
        ))
    }
}

impl Contents {
    fn take(
        &mut self,
        member: &Member,
        content: &mut dyn Read,
        meter: &Meter,
    ) -> Result<(), Broken> {
        self.members += 1;
        self.bytes = self.bytes.saturating_add(member.size);
        let name = archive::shown(&member.name);
        let bare = std::str::from_utf8(&member.name).unwrap_or_default();
        let bare = bare.trim_end_matches('/');
        let known = self.files.contains_key(bare) || self.folders.contains(bare);
        let why = odd_name(&member.name, member.kind).or_else(|| odd_kind(member));
        if let Some(why) = why.or(known.then_some("it is there twice")) {
            self.odd.push(format!("{name}: {why}"));
            return Ok(());
        }
        if member.kind == Kind::Directory {
            self.folders.insert(bare.to_owned());
            return Ok(());
        }
        let mut found = Found::default();
        if is_image_archive(bare) {
            let images = image::read(content, meter);
            // What is wrong with the whole is no fault of the image.
            if meter.is_over() {
                return Err(meter.broken(&io::Error::other("")));
            }
            self.images.insert(bare.to_owned(), images);
        } else {
            found = self.scan(bare, content, meter)?;
        }
        self.files.insert(bare.to_owned(), found);
        Ok(())
    }

    fn scan(&mut self, name: &str, content: &mut dyn Read, meter: &Meter) -> Result<Found, Broken> {
        let mut scan = Scan::new(match name {
            RELAY => leaks::is_a_secret_in_toml,
            _ => leaks::names_a_secret,
        });
        let broken = |error: io::Error| meter.broken(&error);
        if let Some((name, most)) = READ.into_iter().find(|(read, _)| *read == name) {
            let text = archive::at_most(content, most).map_err(broken)?;
            let text = text.ok_or_else(|| {
                Broken(format!("has a {name} of more than {}", archive::size(most)))
            })?;
            scan.feed(&text);
            self.texts.insert(name, text);
        } else {
            archive::drain(content, &mut |chunk| scan.feed(chunk)).map_err(broken)?;
        }
        Ok(scan.end())
    }
}

const ODD_CHARACTERS: &str = "its name has characters other than letters, digits, `.`, `-` and `_`";

/// What is wrong with a name.
fn odd_name(name: &[u8], kind: Kind) -> Option<&'static str> {
    let bare = match kind {
        Kind::Directory => name.strip_suffix(b"/").unwrap_or(name),
        _ => name,
    };
    let usual = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    let mut parts = bare.split(|byte| *byte == b'/');
    if bare.is_empty() || bare == b"." || bare.starts_with(b"./") {
        Some("it begins with `./`; give tar the names themselves, not `.`")
    } else if bare.starts_with(b"/") {
        Some("its name is absolute")
    } else if parts.clone().any(|part| part == b"..") {
        Some("its name has `..` in it")
    } else if parts.any(|part| part.starts_with(b"._") || part == b".DS_Store") {
        Some("it is a file of macOS, which makes the installation fail")
    } else if !bare.iter().all(usual) || bare.starts_with(b"-") || bare.len() > 255 {
        Some(ODD_CHARACTERS)
    } else if bare.contains(&b'/') && kind != Kind::Directory {
        Some("it lies in a folder; a package is flat")
    } else {
        None
    }
}

/// What is wrong with what it is.
fn odd_kind(member: &Member) -> Option<&'static str> {
    match member.kind {
        _ if member.attributes => {
            Some("it has attributes of macOS or of a file system, which make the installation fail")
        }
        Kind::File | Kind::Directory => None,
        Kind::Link => Some("it is a link"),
        Kind::Special => Some("it is neither a file nor a folder"),
    }
}
