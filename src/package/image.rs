//! An archive of images, as `docker save` writes it: read as a stream, judged at its end.
//!
//! # Invariants
//! - Layers are never in memory; of other members only small ones are kept, and of programs only
//!   whether they run.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use serde_json::Value;

use super::archive::{self, Broken, Form, Kind, Member, Meter};
use super::leaks::{self, Scan};
use super::{elf, is_a_secret_of_the_relay};

/// Members of the archive, which are a few for each layer.
const MEMBERS: u64 = 10_000;
/// Files of one layer.
const FILES: u64 = 1_000_000;
/// A description is never longer.
const JSON_BYTES: u64 = 256 << 10;
/// All descriptions of one archive together.
const KEPT_BYTES: usize = 1 << 20;
/// Images of one archive: each is judged by itself.
const IMAGES: usize = 16;
/// So many files that may be the entry point are remembered, and so long may their names be.
const PROGRAMS: usize = 10_000;
const NAME_BYTES: usize = 255;
/// So many secrets are told.
const SECRETS: usize = 20;

/// All images of one archive.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) images: Vec<Image>,
    /// What looks like a secret, without its value.
    pub(super) secrets: Vec<String>,
}

/// One image.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) tags: Vec<String>,
    pub(super) architecture: String,
    pub(super) os: String,
    /// The program that is started, or why it cannot be.
    pub(super) program: Result<String, String>,
}

/// The files of a layer, and why each is not a program that runs.
type Layer = BTreeMap<String, Result<(), &'static str>>;

#[derive(Default)]
struct Archive {
    descriptions: BTreeMap<String, Value>,
    layers: BTreeMap<String, Layer>,
    kept: usize,
    programs: usize,
    secrets: Vec<String>,
}

/// Reads an archive of images.
pub(super) fn read(content: &mut dyn Read, meter: &Meter) -> Result<Images, Broken> {
    let mut archive = Archive::default();
    let mut visit = |member: &Member, content: &mut dyn Read| archive.take(member, content, meter);
    if !unpack(content, MEMBERS, meter, &mut visit, &mut |_| Ok(()))? {
        return Err(Broken("is neither gzip nor tar".to_owned()));
    }
    archive.images()
}

/// Shows each member of a tar, compressed or not; anything else as it is, which is false.
fn unpack(
    content: &mut dyn Read,
    most: u64,
    meter: &Meter,
    visit: &mut archive::Visit<'_>,
    other: &mut dyn FnMut(&mut dyn Read) -> Result<(), Broken>,
) -> Result<bool, Broken> {
    let beginning = archive::beginning(content);
    let (form, mut reader) = beginning.map_err(|error| meter.broken(&error))?;
    match form {
        Form::Gzip => {
            let reader = BufReader::with_capacity(archive::CHUNK, reader);
            archive::walk(
                &mut meter.unpacked(archive::gunzip(reader)),
                most,
                meter,
                visit,
            )?;
        }
        Form::Tar => archive::walk(&mut reader, most, meter, visit)?,
        Form::Other => other(&mut reader)?,
    }
    Ok(form != Form::Other)
}

impl Archive {
    fn take(
        &mut self,
        member: &Member,
        content: &mut dyn Read,
        meter: &Meter,
    ) -> Result<(), Broken> {
        let shown = archive::shown(&member.name);
        let Ok(name) = std::str::from_utf8(&member.name) else {
            return Err(Broken("has a member whose name is not UTF-8".to_owned()));
        };
        match member.kind {
            Kind::File => {}
            Kind::Directory => return Ok(()),
            Kind::Link | Kind::Special => {
                return Err(Broken(format!("has {shown}, which is no file")));
            }
        }
        let Self {
            descriptions,
            kept,
            programs,
            secrets,
            ..
        } = self;
        let told = &mut *secrets;
        let mut said = Vec::new();
        let mut layer = Layer::new();
        let mut visit = |member: &Member, content: &mut dyn Read| {
            file(member, content, programs, &mut layer, told).map_err(|error| meter.broken(&error))
        };
        let mut other = |content: &mut dyn Read| {
            let (description, found) =
                describe(content, kept, &shown).map_err(|error| meter.broken(&error))?;
            said = found;
            descriptions.extend(description.map(|value| (name.to_owned(), value)));
            Ok(())
        };
        let is_layer = unpack(content, FILES, meter, &mut visit, &mut other);
        let broken = |Broken(why)| Broken(format!("has {shown}, which {why}"));
        if is_layer.map_err(broken)? {
            self.layers.insert(name.to_owned(), layer);
        }
        self.secrets.extend(said);
        self.secrets.truncate(SECRETS);
        Ok(())
    }

    fn images(self) -> Result<Images, Broken> {
        let manifest = self.descriptions.get("manifest.json");
        let entries = manifest
            .and_then(Value::as_array)
            .filter(|entries| !entries.is_empty());
        let entries = entries.ok_or_else(|| {
            Broken("has no manifest.json that lists images; write it with `docker save`".to_owned())
        })?;
        if entries.len() > IMAGES {
            return Err(Broken(format!("has more than {IMAGES} images")));
        }
        let images = entries.iter().map(|entry| self.image(entry));
        Ok(Images {
            images: images.collect::<Result<_, _>>()?,
            secrets: self.secrets,
        })
    }

    fn image(&self, entry: &Value) -> Result<Image, Broken> {
        let path = entry.get("Config").and_then(Value::as_str);
        let config = path.and_then(|path| self.descriptions.get(path));
        let config =
            config.ok_or_else(|| Broken("lacks the configuration of an image".to_owned()))?;
        let layers = texts(entry.get("Layers"));
        let layers = layers.iter().map(|path| self.layers.get(path));
        let layers = layers.collect::<Option<Vec<_>>>();
        let layers = layers
            .ok_or_else(|| Broken("lacks a layer of an image, or it is no tar".to_owned()))?;
        let text = |key: &str| {
            let text = config.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        let command = texts(config.pointer("/config/Entrypoint"));
        Ok(Image {
            tags: texts(entry.get("RepoTags")),
            architecture: text("architecture"),
            os: text("os"),
            program: program(command.first().map(String::as_str), &layers),
        })
    }
}

/// The program that an image starts, from the topmost layer that has it.
fn program(entry_point: Option<&str>, layers: &[&Layer]) -> Result<String, String> {
    let path = entry_point.ok_or("no entry point is named")?;
    let shown = archive::shown(path.as_bytes());
    let bare = path.strip_prefix('/');
    let bare = bare.ok_or_else(|| format!("{shown} is no path from the root on"))?;
    let mut layers = layers.iter().rev();
    match layers.find_map(|layer| layer.get(bare)) {
        Some(Ok(())) => Ok(shown),
        Some(Err(why)) => Err(format!("{shown} {why}")),
        None => Err(format!("{shown} is no file in the layers")),
    }
}

/// Looks through one file of a layer.
fn file(
    member: &Member,
    content: &mut dyn Read,
    programs: &mut usize,
    layer: &mut Layer,
    secrets: &mut Vec<String>,
) -> io::Result<()> {
    if member.kind != Kind::File {
        return Ok(());
    }
    let shown = archive::shown(&member.name);
    let mut scan = Scan::new(is_a_secret_of_the_relay);
    let mut head = Vec::new();
    archive::drain(content, &mut |chunk| {
        scan.feed(chunk);
        let room = elf::HEAD.saturating_sub(head.len());
        head.extend_from_slice(chunk.get(..room).unwrap_or(chunk));
    })?;
    if leaks::is_dotenv(&shown) {
        secrets.push(shown.clone());
    }
    secrets.extend(scan.end().told(&shown));
    secrets.truncate(SECRETS);
    let name = std::str::from_utf8(&member.name).unwrap_or_default();
    if *programs < PROGRAMS && name.len() <= NAME_BYTES {
        *programs += 1;
        let bare = name.strip_prefix("./").unwrap_or(name);
        let bare = bare.trim_start_matches('/');
        layer.insert(bare.to_owned(), elf::judge(&head));
    }
    Ok(())
}

/// A description in JSON, if it is one, and what it gives away: settings, labels, history.
fn describe(
    content: &mut dyn Read,
    kept: &mut usize,
    shown: &str,
) -> io::Result<(Option<Value>, Vec<String>)> {
    let mut scan = Scan::new(leaks::names_a_secret);
    let mut description = None;
    if let Some(text) = archive::at_most(content, JSON_BYTES)?
        && *kept + text.len() <= KEPT_BYTES
    {
        *kept += text.len();
        scan.feed(&text);
        description = serde_json::from_slice(&text).ok();
    }
    archive::drain(content, &mut |chunk| scan.feed(chunk))?;
    Ok((description, scan.end().told(shown).collect()))
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}
