//! Makes packages in memory: a good one, of which a test changes what it is about.
//!
//! # Invariants
//! - A package that nothing was changed of has no bad row.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::EntryType;

pub(super) const COMPOSE: &str = r#"
services:
  relay:
    image: orbit-relay:0.1.0
    network_mode: bridge
    read_only: true
    ports:
      - "21600:21600"
      - "127.0.0.1:22101:22101"
    environment:
      CONFIG_DIR: /config
      ORBIT_API_TOKEN: ""
      WEBHOOK_SECRET: ""
    volumes:
      - orbit-relay-data:/data
      - /data/.extensions/orbit-relay-config/:/config/:ro
    restart: unless-stopped
    deploy:
      resources:
        limits:
          memory: 256m
volumes:
  orbit-relay-data:
"#;

/// One member of a tar, odd ones too.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryType,
    pub(super) target: String,
    pub(super) content: Vec<u8>,
}

impl Entry {
    pub(super) fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind: EntryType::Regular,
            target: String::new(),
            content: content.as_ref().to_vec(),
        }
    }

    pub(super) fn of(kind: EntryType, name: &str) -> Self {
        Self {
            kind,
            ..Self::file(name, "")
        }
    }

    pub(super) fn link(kind: EntryType, name: &str, target: &str) -> Self {
        Self {
            target: target.to_owned(),
            ..Self::of(kind, name)
        }
    }

    /// Extended headers, for the member that follows.
    pub(super) fn pax(records: &[(&str, &str)]) -> Self {
        let record = |(key, value): &(&str, &str)| {
            let bare = key.len() + value.len() + 3;
            let digits = (1..9).find(|n| (bare + n).to_string().len() == *n);
            format!("{} {key}={value}\n", bare + digits.unwrap())
        };
        let text: String = records.iter().map(record).collect();
        Self {
            content: text.into_bytes(),
            ..Self::of(EntryType::XHeader, "PaxHeader")
        }
    }
}

pub(super) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in entries {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(entry.kind);
        header.set_size(entry.content.len().try_into().unwrap());
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        if !entry.target.is_empty() {
            header.set_link_name(&entry.target).unwrap();
        }
        // By hand: the library writes no odd names.
        header.as_mut_bytes()[..entry.name.len()].copy_from_slice(&entry.name);
        header.set_cksum();
        all.extend_from_slice(header.as_bytes());
        all.extend_from_slice(&entry.content);
        all.resize(all.len().next_multiple_of(512), 0);
    }
    all.resize(all.len() + 1024, 0);
    all
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The beginning of an ELF program for x86-64 with program headers of these types.
pub(in super::super) fn elf(types: &[u8]) -> Vec<u8> {
    let mut elf = vec![0; 64];
    elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (elf[16], elf[18], elf[32], elf[54]) = (3, 62, 64, 56);
    elf[56] = types.len().try_into().unwrap();
    for kind in types {
        elf.push(*kind);
        elf.resize(elf.len() + 55, 0);
    }
    elf
}

/// What a program says of itself is no secret.
fn static_program() -> Vec<u8> {
    [elf(&[1, 2]), b"\0ORBIT_API_TOKEN=a\0".repeat(2000)].concat()
}

/// A package, in parts.
pub(super) struct Package {
    pub(super) name: String,
    pub(super) manifest: Value,
    pub(super) compose: String,
    pub(super) image: Image,
    /// Anything else, before the rest.
    pub(super) more: Vec<Entry>,
    /// What is left out.
    pub(super) without: Vec<&'static str>,
}

/// An image, in parts.
pub(super) struct Image {
    pub(super) tags: Value,
    pub(super) config: Value,
    pub(super) layers: Vec<Vec<Entry>>,
    pub(super) more: Vec<Entry>,
    /// What an honest archive would not do.
    pub(super) spoil: fn(&mut Vec<Entry>),
    pub(super) compress_layers: bool,
}

impl Package {
    pub(super) fn good() -> Self {
        Self {
            name: "orbit-relay.spx".to_owned(),
            manifest: json!({
                "extension_name": "orbit-relay",
                "version": "0.1.0",
                "installation_target": "orbit",
                "date": "2026-11-22T09:30:00+00:00",
                "icon": "icon.png",
                "images": ["orbit-relay.tar.gz"],
            }),
            compose: COMPOSE.to_owned(),
            image: Image {
                tags: json!(["orbit-relay:0.1.0"]),
                config: json!({
                    "architecture": "amd64",
                    "os": "linux",
                    "config": {
                        "User": "65532:65532",
                        "Env": ["DATA_DIR=/data", "PATH=/"],
                        "Entrypoint": ["/orbit-relay"],
                    },
                    "history": [{"created_by": "COPY orbit-relay / # buildkit"}],
                }),
                layers: vec![
                    vec![Entry::file("orbit-relay", static_program())],
                    vec![Entry::of(EntryType::Directory, "data/")],
                ],
                more: Vec::new(),
                spoil: |_| {},
                compress_layers: false,
            },
            more: Vec::new(),
            without: Vec::new(),
        }
    }

    /// A plant's settings, and nothing that runs.
    pub(super) fn settings() -> Self {
        Self {
            name: "orbit-relay-config.spx".to_owned(),
            manifest: json!({
                "extension_name": "orbit-relay-config",
                "version": "1.0.0",
                "installation_target": "orbit",
                "date": "2026-11-22",
            }),
            more: vec![
                Entry::file(".env", "ORBIT_API_TOKEN=canary-1\nWEBHOOK_PORT=21600\n"),
                Entry::file("relay.toml", "hostname = \"gateway\"\n"),
                Entry::file("assets.csv", "action_name,asset_id\nPump,P-1\n"),
            ],
            without: vec!["docker-compose.yml", "icon.png", "orbit-relay.tar.gz"],
            ..Self::good()
        }
    }

    pub(super) fn entries(&self) -> Vec<Entry> {
        let rest = [
            Entry::file("manifest.json", self.manifest.to_string()),
            Entry::file("docker-compose.yml", &self.compose),
            Entry::file("icon.png", "PNG"),
            Entry::file("orbit-relay.tar.gz", gzip(&self.image.build())),
        ];
        let is_in = |entry: &Entry| {
            let name = entry.name.as_slice();
            !self
                .without
                .iter()
                .any(|without| without.as_bytes() == name)
        };
        let rest = rest.into_iter().filter(is_in);
        self.more.iter().cloned().chain(rest).collect()
    }

    pub(super) fn build(&self) -> Vec<u8> {
        gzip(&tar(&self.entries()))
    }
}

impl Image {
    /// As Docker writes it since it knows OCI: everything by its digest.
    pub(super) fn build(&self) -> Vec<u8> {
        let layers: Vec<_> = self.layers.iter().map(|layer| tar(layer)).collect();
        let mut config = self.config.clone();
        let ids: Vec<_> = layers
            .iter()
            .map(|l| format!("sha256:{}", digest(l)))
            .collect();
        config["rootfs"] = json!({"type": "layers", "diff_ids": ids});
        let config = config.to_string();
        let blob =
            |content: &[u8]| Entry::file(format!("blobs/sha256/{}", digest(content)), content);
        let stored = layers.iter().map(|layer| {
            if self.compress_layers {
                gzip(layer)
            } else {
                layer.clone()
            }
        });
        let stored: Vec<_> = stored.map(|layer| blob(&layer)).collect();
        let name = |entry: &Entry| String::from_utf8(entry.name.clone()).unwrap();
        let config = blob(config.as_bytes());
        let manifest = json!([{
            "Config": name(&config),
            "RepoTags": self.tags,
            "Layers": stored.iter().map(name).collect::<Vec<_>>(),
        }]);
        let mut entries = vec![Entry::of(EntryType::Directory, "blobs/"), config];
        entries.extend(stored);
        entries.extend(self.more.iter().cloned());
        entries.push(Entry::file("manifest.json", manifest.to_string()));
        (self.spoil)(&mut entries);
        tar(&entries)
    }
}
