//! Tar archives, member by member, and gzip around them: as a stream, in bounded memory.
//!
//! # Invariants
//! - No more bytes are unpacked than the meter has, however nested the archives are, and no more
//!   members are seen than were asked for.
//! - Long names and extended headers are read up to [`HEADER_BYTES`], never as a whole.
//! - An archive is good only if it ends with its end mark and nothing follows.

use std::cell::Cell;
use std::io::{self, BufRead, Cursor, Read};

use tar::{EntryType, PaxExtensions};

/// An extended header or a long name is never longer.
const HEADER_BYTES: u64 = 64 << 10;
/// So much is read at once.
pub(super) const CHUNK: usize = 32 << 10;
const BLOCK: usize = 512;
const MIB: u64 = 1 << 20;

/// Why an archive cannot be read to its end: a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Broken(pub(super) String);

/// How much may still be unpacked, all in all.
#[derive(Debug)]
pub(super) struct Meter {
    most: u64,
    left: Cell<u64>,
    over: Cell<bool>,
}

impl Meter {
    pub(super) fn new(most: u64) -> Self {
        Self {
            most,
            left: Cell::new(most),
            over: Cell::new(false),
        }
    }

    /// Counts what comes out of this.
    pub(super) fn unpacked<R>(&self, inner: R) -> Unpacked<'_, R> {
        Unpacked { inner, meter: self }
    }

    /// Whether more was to be unpacked than may be.
    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// What an error means to a person.
    pub(super) fn broken(&self, error: &io::Error) -> Broken {
        if self.over.get() {
            return Broken(format!(
                "unpacks to more than {} MiB in all, which is the most that is looked at",
                self.most / MIB
            ));
        }
        Broken(match error.kind() {
            io::ErrorKind::UnexpectedEof => "ends too early: a part of it is missing".to_owned(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                format!("is damaged: {error}")
            }
            _ => format!("cannot be read: {error}"),
        })
    }
}

/// See [`Meter::unpacked`].
pub(super) struct Unpacked<'m, R> {
    inner: R,
    meter: &'m Meter,
}

impl<R: Read> Read for Unpacked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let left = self.meter.left.get();
        let Some(left) = left.checked_sub(bytes(read)) else {
            self.meter.over.set(true);
            return Err(io::Error::other("unpacks to too much"));
        };
        self.meter.left.set(left);
        Ok(read)
    }
}

impl<R> Unpacked<'_, R> {
    pub(super) fn into_inner(self) -> R {
        self.inner
    }
}

/// What a member of an archive is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    /// A device, a FIFO, a sparse file, or what is not known.
    Special,
}

/// One member, without its content.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) size: u64,
    /// It has attributes of some file system, such as those of macOS.
    pub(super) attributes: bool,
}

/// What headers before a member say of it.
#[derive(Default)]
struct Said {
    name: Option<Vec<u8>>,
    size: Option<u64>,
    attributes: bool,
    any: bool,
}

/// Takes one member after the other, each with its content.
pub(super) type Visit<'v> = dyn FnMut(&Member, &mut dyn Read) -> Result<(), Broken> + 'v;

/// Shows each member of a tar archive, at most so many.
pub(super) fn walk(
    reader: &mut dyn Read,
    most: u64,
    meter: &Meter,
    visit: &mut Visit<'_>,
) -> Result<(), Broken> {
    let broken = |error: io::Error| meter.broken(&error);
    let mut archive = tar::Archive::new(End {
        inner: reader,
        reached: false,
    });
    let mut said = Said::default();
    // Raw, since otherwise the library would take long names and extended headers in as a whole.
    let entries = archive.entries().map_err(broken)?.raw(true);
    for (number, entry) in (1..).zip(entries) {
        let mut entry = entry.map_err(broken)?;
        if number > most {
            return Err(Broken(format!("has more than {most} members")));
        }
        let kind = entry.header().entry_type();
        if matches!(
            kind,
            EntryType::GNULongName
                | EntryType::GNULongLink
                | EntryType::XHeader
                | EntryType::XGlobalHeader
        ) {
            let text = at_most(&mut entry, HEADER_BYTES).map_err(broken)?;
            let text = text.ok_or_else(|| {
                Broken("has a name or an extended header beyond all measure".to_owned())
            })?;
            said.take(kind, &text)?;
            continue;
        }
        let member = member(entry.header(), std::mem::take(&mut said))?;
        visit(&member, &mut entry)?;
    }
    if said.any {
        return Err(Broken("ends too early: a part of it is missing".to_owned()));
    }
    let mut rest = archive.into_inner();
    if rest.reached {
        return Err(Broken(
            "ends too early: it has no end mark, so a part of it may be missing".to_owned(),
        ));
    }
    let mut zero = true;
    drain(&mut rest, &mut |chunk| {
        zero &= chunk.iter().all(|b| *b == 0);
    })
    .map_err(broken)?;
    if zero {
        Ok(())
    } else {
        Err(Broken("goes on after its end mark".to_owned()))
    }
}

/// Reads on to the end.
pub(super) fn drain(reader: &mut dyn Read, take: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => take(chunk.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The content, if it is no longer than this; the rest is left unread.
pub(super) fn at_most(reader: &mut dyn Read, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut content = Vec::new();
    let mut whole = reader.take(most.saturating_add(1));
    let read = whole.read_to_end(&mut content)?;
    Ok((bytes(read) <= most).then_some(content))
}

/// Whether a reader begins like gzip, or like tar; nothing of it is lost.
pub(super) fn beginning<R: Read>(mut reader: R) -> io::Result<(Form, impl Read)> {
    let mut head = Vec::with_capacity(BLOCK);
    reader.by_ref().take(bytes(BLOCK)).read_to_end(&mut head)?;
    let form = match &*head {
        [0x1f, 0x8b, ..] => Form::Gzip,
        head if is_tar(head) => Form::Tar,
        _ => Form::Other,
    };
    Ok((form, Cursor::new(head).chain(reader)))
}

/// How something begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Gzip,
    Tar,
    Other,
}

/// A tar header with its magic, or the end mark of an archive without members.
fn is_tar(head: &[u8]) -> bool {
    head.len() == BLOCK
        && (head.get(257..262) == Some(b"ustar") || head.iter().all(|byte| *byte == 0))
}

/// Reads gzip of several members, as parallel compressors write it.
pub(super) fn gunzip<R: BufRead>(reader: R) -> impl Read {
    flate2::bufread::MultiGzDecoder::new(reader)
}

/// As a length in a file.
pub(super) fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A size as people read it.
pub(super) fn size(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1 << 10))
}

/// A name as it may be printed.
pub(super) fn shown(name: &[u8]) -> String {
    const CHARS: usize = 80;
    let text = String::from_utf8_lossy(name);
    let mut shown = String::new();
    for c in text.chars().take(CHARS) {
        match c {
            '\'' | '"' => shown.push(c),
            // What cannot be seen, or turns what is around it.
            c => shown.extend(c.escape_debug()),
        }
    }
    if text.chars().count() > CHARS {
        shown.push('…');
    }
    shown
}

impl Said {
    fn take(&mut self, kind: EntryType, text: &[u8]) -> Result<(), Broken> {
        self.any |= kind != EntryType::XGlobalHeader;
        match kind {
            EntryType::GNULongName => {
                let end = text.iter().position(|byte| *byte == 0);
                let name = text.get(..end.unwrap_or(text.len()));
                self.name = name.map(<[u8]>::to_vec);
            }
            EntryType::GNULongLink => {}
            _ => {
                for record in PaxExtensions::new(text) {
                    let record = record.map_err(|_| wrong_header())?;
                    let value = record.value_bytes();
                    match record.key_bytes() {
                        b"path" => self.name = Some(value.to_vec()),
                        b"size" => self.size = Some(number(value)?),
                        key => {
                            let names = ["SCHILY.xattr.", "LIBARCHIVE.", "SCHILY.acl."];
                            self.attributes |=
                                names.iter().any(|name| key.starts_with(name.as_bytes()));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

fn wrong_header() -> Broken {
    Broken("is damaged: an extended header is none".to_owned())
}

fn number(text: &[u8]) -> Result<u64, Broken> {
    let text = std::str::from_utf8(text).map_err(|_| wrong_header())?;
    text.parse().map_err(|_| wrong_header())
}

fn member(header: &tar::Header, said: Said) -> Result<Member, Broken> {
    let size = header.entry_size().map_err(|_| wrong_header())?;
    if said.size.is_some_and(|said| said != size) {
        // Two readers would see two different archives.
        return Err(Broken("says two sizes of one file".to_owned()));
    }
    let name = said
        .name
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let kind = match header.entry_type() {
        // As old archivers wrote it.
        EntryType::Regular if size == 0 && name.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink | EntryType::Link => Kind::Link,
        _ => Kind::Special,
    };
    Ok(Member {
        name,
        kind,
        size,
        attributes: said.attributes,
    })
}

/// Knows whether its end was reached.
struct End<'r> {
    inner: &'r mut dyn Read,
    reached: bool,
}

impl Read for End<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.reached |= read == 0 && !buffer.is_empty();
        Ok(read)
    }
}
