//! Reads the package once, from front to end, and keeps what the checks need of it.
//!
//! # Invariants
//! - Kept are small files, the beginnings of the others, and what was found in the images; never
//!   an image.
//! - Order in the archive is of no matter.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use super::archive::{self, Broken, Form, Kind, Member, Meter};
use super::image::{self, Images};
use super::leaks::{self, Found, Scan};

const MIB: u64 = 1 << 20;
/// A package has a handful of files.
const MEMBERS: u64 = 1000;
/// Enough to know a PNG by.
const HEAD: u64 = 33;
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

/// A file that was read.
#[derive(Debug)]
pub(super) enum Text {
    Whole(Vec<u8>),
    /// It is longer than this many bytes.
    TooLong(u64),
}

/// A regular file at the top.
#[derive(Debug)]
pub(super) struct File {
    pub(super) head: Vec<u8>,
    pub(super) size: u64,
    /// What in it looks like a secret.
    pub(super) found: Found,
}

/// A folder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Folder {
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
}

/// What is in the package.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) members: u64,
    pub(super) bytes: u64,
    pub(super) files: BTreeMap<String, File>,
    pub(super) folders: BTreeMap<String, Folder>,
    pub(super) texts: BTreeMap<&'static str, Text>,
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
    let (form, file) = archive::beginning(meter.source(file)).map_err(broken)?;
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
        let why = odd_name(&member.name, member.kind).or_else(|| odd_kind(member));
        let twice = |known: bool| known.then_some("it is there twice");
        let Some(bare) = std::str::from_utf8(&member.name)
            .ok()
            .filter(|_| why.is_none())
        else {
            self.odd
                .push(format!("{name}: {}", why.unwrap_or(ODD_CHARACTERS)));
            return Ok(());
        };
        let bare = bare.trim_end_matches('/');
        let known = self.files.contains_key(bare) || self.folders.contains_key(bare);
        if let Some(why) = twice(known) {
            self.odd.push(format!("{name}: {why}"));
            return Ok(());
        }
        if member.kind == Kind::Directory {
            let (uid, gid) = (member.uid, member.gid);
            self.folders.insert(bare.to_owned(), Folder { uid, gid });
            return Ok(());
        }
        let mut file = File {
            head: Vec::new(),
            size: member.size,
            found: Found::default(),
        };
        if is_image_archive(bare) {
            let images = image::read(content, meter);
            // What is wrong with the whole is no fault of the image.
            if meter.is_over() {
                return images.map(drop);
            }
            self.images.insert(bare.to_owned(), images);
        } else {
            file.read(bare, content, &mut self.texts)
                .map_err(|error| meter.broken(&error))?;
        }
        self.files.insert(bare.to_owned(), file);
        Ok(())
    }
}

impl File {
    fn read(
        &mut self,
        name: &str,
        content: &mut dyn Read,
        texts: &mut BTreeMap<&'static str, Text>,
    ) -> io::Result<()> {
        let mut scan = Scan::new(leaks::names_a_secret);
        if let Some((name, most)) = READ.into_iter().find(|(read, _)| *read == name) {
            let text = match archive::at_most(content, most)? {
                Some(text) => {
                    scan.feed(&text);
                    Text::Whole(text)
                }
                None => Text::TooLong(most),
            };
            texts.insert(name, text);
        } else {
            let mut head = Vec::new();
            content.take(HEAD).read_to_end(&mut head)?;
            scan.feed(&head);
            self.head = head;
            archive::drain(content, &mut |chunk| scan.feed(chunk))?;
        }
        self.found = scan.end();
        Ok(())
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
        Kind::Symlink | Kind::Hardlink => Some("it is a link"),
        Kind::Special => Some("it is neither a file nor a folder"),
    }
}
