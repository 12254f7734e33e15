//! An archive of images, as `docker save` writes it: read as a stream, judged at its end.
//!
//! # Invariants
//! - Layers are never in memory; of other members only small ones are kept.
//! - A digest is of what was read here, never of what the archive says of itself.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::archive::{self, Broken, Form, Kind, Member, Meter};
use super::is_a_secret_of_the_relay;
use super::leaks::{self, Found, Scan};

/// Members of the archive, which are a few for each layer.
const MEMBERS: u64 = 10_000;
/// Files of one layer.
const FILES: u64 = 1_000_000;
/// A description is never longer.
const JSON_BYTES: u64 = 1 << 20;
/// All descriptions of one archive together.
const KEPT_BYTES: usize = 16 << 20;
/// So many secrets of one layer are told.
const TOLD: usize = 5;

/// All images of one archive.
#[derive(Debug)]
pub(super) struct Images {
    pub(super) images: Vec<Image>,
}

/// One image.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub(super) tags: Vec<String>,
    pub(super) architecture: String,
    pub(super) os: String,
    pub(super) user: String,
    /// Each as `NAME=value`.
    pub(super) environment: Vec<String>,
    pub(super) layers: usize,
    /// Without compression.
    pub(super) bytes: u64,
    /// What does not fit together.
    pub(super) torn: Vec<String>,
    /// What looks like a secret, without its value.
    pub(super) secrets: Vec<String>,
}

/// A member of the archive.
#[derive(Debug, Default)]
struct Blob {
    sha256: String,
    json: Option<Value>,
    layer: Option<Layer>,
    found: Found,
}

/// A tar within it.
#[derive(Debug)]
struct Layer {
    /// The digest of what is in it, without compression.
    diff_id: String,
    bytes: u64,
    broken: Option<Broken>,
    secrets: Vec<String>,
}

#[derive(Default)]
struct Archive {
    blobs: BTreeMap<String, Blob>,
    /// Where each link leads; old Docker links layers that are the same.
    links: BTreeMap<String, String>,
    kept: usize,
}

/// Reads an archive of images.
pub(super) fn read(content: &mut dyn Read, meter: &Meter) -> Result<Images, Broken> {
    let broken = |error: io::Error| meter.broken(&error);
    let (form, reader) = archive::beginning(content).map_err(broken)?;
    let mut archive = Archive::default();
    let mut visit = |member: &Member, content: &mut dyn Read| archive.take(member, content, meter);
    match form {
        Form::Gzip => {
            let reader = BufReader::with_capacity(archive::CHUNK, reader);
            let mut unpacked = meter.unpacked(archive::gunzip(reader));
            archive::walk(&mut unpacked, MEMBERS, meter, &mut visit)?;
        }
        Form::Tar => {
            let mut reader = reader;
            archive::walk(&mut reader, MEMBERS, meter, &mut visit)?;
        }
        Form::Other => return Err(Broken("is neither gzip nor tar".to_owned())),
    }
    archive.images()
}

impl Archive {
    fn take(
        &mut self,
        member: &Member,
        content: &mut dyn Read,
        meter: &Meter,
    ) -> Result<(), Broken> {
        let Ok(name) = std::str::from_utf8(&member.name) else {
            return Err(Broken("has a member whose name is not UTF-8".to_owned()));
        };
        match member.kind {
            Kind::File => {
                let blob = self.blob(content, meter)?;
                self.blobs.insert(name.to_owned(), blob);
            }
            Kind::Symlink => {
                let target = String::from_utf8_lossy(&member.target);
                self.links.insert(name.to_owned(), beside(name, &target));
            }
            Kind::Directory => {}
            Kind::Hardlink | Kind::Special => {
                let name = archive::shown(&member.name);
                return Err(Broken(format!("has {name}, which is no file")));
            }
        }
        Ok(())
    }

    fn blob(&mut self, content: &mut dyn Read, meter: &Meter) -> Result<Blob, Broken> {
        let broken = |error: io::Error| meter.broken(&error);
        let mut hashed = Hashed::new(content);
        let (form, mut reader) = archive::beginning(&mut hashed).map_err(broken)?;
        let mut blob = Blob::default();
        match form {
            Form::Tar => blob.layer = Some(Layer::read(&mut reader, meter)?),
            Form::Gzip => {
                let reader = BufReader::with_capacity(archive::CHUNK, &mut reader);
                let mut unpacked = meter.unpacked(archive::gunzip(reader));
                blob.layer = Some(Layer::read(&mut unpacked, meter)?);
            }
            Form::Other => {
                let mut scan = Scan::new(is_a_secret_of_the_relay);
                if let Some(text) = archive::at_most(&mut reader, JSON_BYTES).map_err(broken)?
                    && self.kept + text.len() <= KEPT_BYTES
                {
                    self.kept += text.len();
                    scan.feed(&text);
                    blob.json = serde_json::from_slice(&text).ok();
                }
                archive::drain(&mut reader, &mut |chunk| scan.feed(chunk)).map_err(broken)?;
                blob.found = scan.end();
            }
        }
        drop(reader);
        archive::drain(&mut hashed, &mut |_| {}).map_err(broken)?;
        blob.sha256 = hashed.digest().0;
        Ok(blob)
    }

    fn get(&self, name: &str) -> Option<&Blob> {
        let name = self.links.get(name).map_or(name, String::as_str);
        self.blobs.get(name)
    }

    fn images(&self) -> Result<Images, Broken> {
        let manifest = self
            .get("manifest.json")
            .and_then(|blob| blob.json.as_ref());
        let entries = manifest
            .and_then(Value::as_array)
            .filter(|entries| !entries.is_empty());
        let entries = entries.ok_or_else(|| {
            Broken("has no manifest.json that lists images; write it with `docker save`".to_owned())
        })?;
        let images = entries.iter().map(|entry| self.image(entry)).collect();
        Ok(Images { images })
    }

    fn image(&self, entry: &Value) -> Image {
        let mut image = Image {
            tags: texts(entry.get("RepoTags")),
            ..Image::default()
        };
        let path = entry
            .get("Config")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let Some((config, blob)) = self
            .get(path)
            .and_then(|blob| Some((blob.json.as_ref()?, blob)))
        else {
            image
                .torn
                .push("its configuration is not in the archive".to_owned());
            return image;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        if name.strip_suffix(".json").unwrap_or(name) != blob.sha256 {
            image
                .torn
                .push("its configuration has another digest than its name says".to_owned());
        }
        let text = |key: &str| {
            let text = config.get(key).and_then(Value::as_str);
            text.unwrap_or_default().to_owned()
        };
        (image.architecture, image.os) = (text("architecture"), text("os"));
        let user = config.pointer("/config/User").and_then(Value::as_str);
        user.unwrap_or_default().clone_into(&mut image.user);
        image.environment = texts(config.pointer("/config/Env"));
        image.secrets_of(config);
        let layers = texts(entry.get("Layers"));
        image.layers_of(&layers, &texts(config.pointer("/rootfs/diff_ids")), self);
        // Old Docker keeps a copy of the configuration for each layer.
        let others = self.blobs.iter().filter(|(_, blob)| !blob.found.is_empty());
        let others = others.map(|(name, blob)| in_file(name, &blob.found));
        image.secrets.extend(others.flatten().take(TOLD));
        image.secrets.sort();
        image.secrets.dedup();
        image
    }
}

impl Image {
    /// What its settings and its history give away.
    fn secrets_of(&mut self, config: &Value) {
        for variable in &self.environment {
            let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
            if leaks::names_a_secret(name) && !value.is_empty() {
                let name = archive::shown(name.as_bytes());
                self.secrets.push(format!("{name} in its Env"));
            }
        }
        let mut look = |place: &str, text: &str| {
            let names = leaks::assigned(text).into_iter().take(TOLD);
            self.secrets
                .extend(names.map(|name| format!("{name} in {place}")));
        };
        for key in ["Cmd", "Entrypoint", "OnBuild"] {
            for text in texts(config.pointer(&format!("/config/{key}"))) {
                look(&format!("its {key}"), &text);
            }
        }
        let labels = config.pointer("/config/Labels").and_then(Value::as_object);
        for (name, value) in labels.into_iter().flatten() {
            look(
                "its labels",
                &format!("{name}={}", value.as_str().unwrap_or_default()),
            );
        }
        let history = config.get("history").and_then(Value::as_array);
        for entry in history.into_iter().flatten() {
            for key in ["created_by", "comment"] {
                look(
                    "its history",
                    entry.get(key).and_then(Value::as_str).unwrap_or_default(),
                );
            }
        }
    }

    fn layers_of(&mut self, layers: &[String], diff_ids: &[String], archive: &Archive) {
        self.layers = layers.len();
        if layers.len() != diff_ids.len() {
            let (named, known) = (layers.len(), diff_ids.len());
            self.torn.push(format!(
                "it has {named} layers, and its configuration knows {known}"
            ));
        }
        for (number, path) in (1..).zip(layers) {
            let Some(layer) = archive.get(path).and_then(|blob| blob.layer.as_ref()) else {
                self.torn.push(format!(
                    "layer {number} is not in the archive, or is no tar"
                ));
                continue;
            };
            if let Some(broken) = &layer.broken {
                self.torn.push(format!("layer {number} {broken}"));
            }
            let known = diff_ids.get(number - 1).map(String::as_str);
            if known.and_then(|id| id.strip_prefix("sha256:")) != Some(&layer.diff_id) {
                self.torn.push(format!(
                    "layer {number} has another digest than the configuration says"
                ));
            }
            self.bytes = self.bytes.saturating_add(layer.bytes);
            let told = layer.secrets.iter();
            self.secrets
                .extend(told.map(|what| format!("{what} in layer {number}")));
        }
    }
}

impl Layer {
    fn read(reader: &mut dyn Read, meter: &Meter) -> Result<Self, Broken> {
        let mut hashed = Hashed::new(reader);
        let mut secrets = Vec::new();
        let mut visit = |member: &Member, content: &mut dyn Read| {
            let name = archive::shown(&member.name);
            if member.kind != Kind::File {
                return Ok(());
            }
            let mut told = Vec::new();
            if let Some(what) = leaks::secret_file(&name) {
                told.push(format!("{name} ({what})"));
            }
            let mut scan = Scan::new(is_a_secret_of_the_relay);
            archive::drain(content, &mut |chunk| scan.feed(chunk))
                .map_err(|error| meter.broken(&error))?;
            told.extend(in_file(&name, &scan.end()));
            let room = TOLD.saturating_sub(secrets.len());
            secrets.extend(told.into_iter().take(room));
            Ok(())
        };
        let broken = archive::walk(&mut hashed, FILES, meter, &mut visit).err();
        // What is over or torn here ends all; a tar that is odd is the layer's own trouble.
        archive::drain(&mut hashed, &mut |_| {}).map_err(|error| meter.broken(&error))?;
        let (diff_id, bytes) = hashed.digest();
        Ok(Self {
            diff_id,
            bytes,
            broken,
            secrets,
        })
    }
}

/// What was found in a file, in words.
fn in_file(name: &str, found: &Found) -> Vec<String> {
    let name = archive::shown(name.as_bytes());
    let variables = found.variables.iter();
    let mut told: Vec<_> = variables
        .map(|variable| format!("{variable} in {name}"))
        .collect();
    if found.key {
        told.push(format!("a private key in {name}"));
    }
    told
}

/// The path that a link means.
fn beside(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn texts(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Hashes and counts what is read through it.
struct Hashed<R> {
    inner: R,
    sha256: Sha256,
    bytes: u64,
}

impl<R: Read> Hashed<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            sha256: Sha256::new(),
            bytes: 0,
        }
    }

    fn digest(self) -> (String, u64) {
        (hex::encode(self.sha256.finalize()), self.bytes)
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.sha256.update(buffer.get(..read).unwrap_or_default());
        self.bytes += archive::bytes(read);
        Ok(read)
    }
}
