//! What a package brings: its `.env` is taken into the data directory, so that a later package
//! without one goes on with the same settings.
//!
//! # Invariants
//! - A file that cannot be used is an error and is not taken.
//! - That it cannot be taken is none: the start reads it where it is.

use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::config::{Config, Input, package_text};

/// What was done with a package's `.env`.
pub(super) enum Taken {
    /// There is none, or it is there already.
    Nothing,
    /// It was taken.
    Settings,
    /// It could not be taken, and why.
    Not(String),
}

/// Takes what a package brings; no file was read yet.
pub(super) fn take(input: &Input) -> anyhow::Result<Taken> {
    let Some(path) = input.package_dotenv() else {
        return Ok(Taken::Nothing);
    };
    let Some(bytes) = package_text(&path)? else {
        return Ok(Taken::Nothing);
    };
    let mut input = input.clone();
    input.read_for_data_dir()?;
    let dir = Config::data_dir(&input)?;
    let kept = dir.join(".env");
    if std::fs::read(&kept).is_ok_and(|there| there == bytes) {
        return Ok(Taken::Nothing);
    }
    Ok(match write(&dir, &kept, &bytes) {
        Ok(()) => Taken::Settings,
        Err(error) => Taken::Not(format!(
            "the settings of the package cannot be taken into the data directory, so a package \
             without {} would not know them: {}: {error}",
            path.display(),
            kept.display()
        )),
    })
}

fn write(dir: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // The journal would make it so.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let unfinished = dir.join(".env.new");
    // One that was left behind may have other rights.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = std::fs::File::options()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    std::fs::File::open(dir)?.sync_all()
}
