//! The asset map's file: loaded at start, and again when a person asks for it.
//!
//! # Invariants
//! - A bad file at start is an error; a bad file later keeps the map that is in use.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

use crate::relay::assets::AssetMap;

/// The asset map in use, and where it came from.
#[derive(Debug)]
pub struct Assets {
    path: Option<PathBuf>,
    current: watch::Sender<Arc<AssetMap>>,
}

impl Assets {
    /// Loads the map; without a path it is empty.
    pub fn load(path: Option<PathBuf>) -> anyhow::Result<Self> {
        let map = path
            .as_deref()
            .map_or_else(|| Ok(AssetMap::empty()), read)?;
        if let Some(path) = &path {
            tracing::info!("asset map: {} rows from {}", map.len(), path.display());
        }
        Ok(Self {
            path,
            current: watch::Sender::new(Arc::new(map)),
        })
    }

    /// Whether the file can be loaded.
    pub fn check(path: Option<&Path>) -> anyhow::Result<()> {
        path.map_or(Ok(()), |path| read(path).map(drop))
    }

    /// How many rows the file has, if it can be loaded.
    pub fn rows(path: &Path) -> anyhow::Result<usize> {
        read(path).map(|map| map.len())
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The map in use.
    pub fn current(&self) -> watch::Receiver<Arc<AssetMap>> {
        self.current.subscribe()
    }

    /// Reads the file again.
    pub fn reload(&self) {
        let Some(path) = &self.path else {
            tracing::info!("asset map: none is configured, nothing to load");
            return;
        };
        match read(path) {
            Ok(map) => {
                tracing::info!("asset map: {} rows from {}", map.len(), path.display());
                self.current.send_replace(Arc::new(map));
            }
            Err(error) => {
                tracing::error!(
                    "asset map: the old one stays in use until the next start, which this file would stop: {error:#}"
                );
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<AssetMap> {
    // A pipe would hold the reader up.
    let is_other = std::fs::metadata(path).is_ok_and(|other| !other.is_file());
    anyhow::ensure!(!is_other, "asset map {}: it is no file", path.display());
    let bytes = std::fs::read(path).with_context(|| format!("asset map {}", path.display()))?;
    AssetMap::parse(&bytes).with_context(|| format!("asset map {}", path.display()))
}
